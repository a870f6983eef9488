"""Work shared by threads: order, failures, and one core."""

from __future__ import annotations

import os
from threading import Barrier, current_thread

import pytest

from calcreport.processes.threads import MOST_THREADS, map_in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    assert map_in_threads(lambda number: number * number, range(50)) == [number * number for number in range(50)]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the cores of this process are not told here")
def test_calls_overlap_where_there_are_cores(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    together = Barrier(MOST_THREADS, timeout=20.0)
    assert len(map_in_threads(lambda _: together.wait(), range(MOST_THREADS))) == MOST_THREADS


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the cores of this process are not told here")
def test_one_core_needs_no_thread(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert set(map_in_threads(lambda _: current_thread(), range(5))) == {current_thread()}


def test_what_a_call_raises_is_raised_the_earliest_first() -> None:
    def fail(number: int) -> int:
        if number in {3, 7}:
            raise ValueError(str(number))
        return number

    with pytest.raises(ValueError, match="3"):
        map_in_threads(fail, range(10))


def test_nothing_to_do_gives_nothing() -> None:
    assert map_in_threads(lambda number: number, []) == []
