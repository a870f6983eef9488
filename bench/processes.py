"""Wall time and peak memory of a whole process tree."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, sleep

import psutil

SAMPLING_S = 0.01
"""Between two looks at the memory of a tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a command: wall and processor time, its standard output, and its peak memory when asked for."""

    seconds: float
    processor_s: float = 0.0
    stdout: str = ""
    peak_bytes: int = 0


def calcreport_command() -> list[str]:
    """Command that starts the program as its console script does."""
    script = Path(sys.executable).with_name("calcreport")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "calcreport"]


def machine() -> str:
    """Kind of machine, and versions of what is measured on it."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "pydicom", "SimpleITK", "pillow"))
    return (
        f"{platform.system()} {platform.machine()}, {count} core{'s' if count > 1 else ''}, "
        f"Python {platform.python_version()}, {libraries}"
    )


def run_timed(command: Sequence[str]) -> Run:
    """Run a command from start to end of its process and measure the time alone.

    Raises
    ------
    RuntimeError
        When the command fails; with the end of what it wrote on standard error.
    """
    began, used = perf_counter(), _children_s()
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())  # noqa: S603
    seconds = perf_counter() - began
    if process.returncode:
        msg = f"{command[0]} failed with {process.returncode}: {process.stderr[-800:]}"
        raise RuntimeError(msg)
    return Run(seconds=seconds, processor_s=_children_s() - used, stdout=process.stdout)


def _children_s() -> float:
    """Processor time, user and system, of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def run_weighed(command: Sequence[str]) -> Run:
    """Run a command and sample the memory of its whole tree: not for times, since looking costs time.

    Pages shared between processes are counted once (proportional set size) where the system tells.
    """
    began, peak_bytes = perf_counter(), 0
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment()
    ) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak_bytes = max(peak_bytes, _tree_bytes(root))
            sleep(SAMPLING_S)
    if process.returncode:
        msg = f"{command[0]} failed with {process.returncode}"
        raise RuntimeError(msg)
    return Run(seconds=perf_counter() - began, peak_bytes=peak_bytes)


def _tree_bytes(root: psutil.Process) -> int:
    total = 0
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in tree:
        try:
            memory = process.memory_full_info()
        except (psutil.Error, OSError):
            continue
        total += int(getattr(memory, "pss", 0) or memory.rss)
    return total


def _environment() -> dict[str, str]:
    """Return the environment, the same for every program measured: one thread of linear algebra, modules compiled.

    An installation compiles its modules; where writing them is switched off, ours would be compiled in every run.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
