"""Work shared by a few threads of one process: numpy and Pillow let go of the interpreter where they work long."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

# What a call is given, and what it returns.
Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS: Final = 2  # More threads than this wait for the interpreter rather than for a processor


def map_in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call a function with each item, some at a time; results are in the order of the items.

    A call must not change what another one reads. What a call raises is raised here, that of the earliest item first.
    """
    given = list(items)
    threads = min(MOST_THREADS, count_cores(), len(given))
    if threads < 2:
        return [work(item) for item in given]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, given))


def count_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
