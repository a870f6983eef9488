"""Tasks in processes of their own, kept from task to task.

A damaged file can crash native code or exhaust memory. In its own process that ends one task, under its own name, and
the others go on.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from calcreport.processes.child import PR_SET_PDEATHSIG
from calcreport.processes.crash import Crash, name_task_crash

# What a worker is given, and what it makes of it.
Task = TypeVar("Task")
Result = TypeVar("Result")

Report = Callable[[str], None]  # What a task calls with the name of its present step


_Message = tuple[bool, Any]
"""What a worker sends: whether its task has ended, and the result, or the name of the present step."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    process: Any
    connection: Connection
    task: Any = None
    deadline_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """Limits on each worker."""

    seconds: float
    """A task that takes longer is stopped."""
    memory_bytes: int | None = None
    """Memory a worker may take beside what it begins with; ``None`` for no limit."""


def run_tasks(
    work: Callable[[Task, Report], Result],
    tasks: Iterable[Task],
    *,
    jobs: int,
    limits: WorkerLimits,
    on_step: Callable[[Task, str], None] = lambda _task, _step: None,
    is_forked: bool = sys.platform == "linux",
) -> Generator[tuple[Task, Result | Crash], None, None]:
    """Run tasks side by side, each in a worker process; yield task and result as they finish.

    `work` is a module-level function, its arguments and result picklable. `tasks` are drawn only when a worker is free
    for one, and are not None. `on_step` receives the task and the name of its present step. Forked workers share the
    modules already loaded; a process with threads, or one that may have no children of its own kind, starts others.
    """
    crew = _Crew(work=work, limits=limits, is_forked=is_forked)
    waiting = iter(tasks)
    try:
        while True:
            while len(crew.busy) < jobs and (drawn := next(waiting, None)) is not None:
                crew.give(drawn)
            if not crew.busy:
                return
            for worker in crew.ready():
                has_ended, content = crew.take(worker)
                if not has_ended:
                    on_step(worker.task, content)
                    continue
                task, worker.task = worker.task, None
                yield task, content
    finally:
        crew.stop()


class _Crew(Generic[Task, Result]):
    """The worker processes of one run."""

    def __init__(self, *, work: Callable[[Task, Report], Result], limits: WorkerLimits, is_forked: bool) -> None:
        self._is_forked = is_forked
        self._work = work
        self._limits = limits
        self._workers: list[_Worker] = []

    @property
    def busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def give(self, task: Task) -> None:
        """Hand a task to an idle worker, a new one if need be."""
        worker = next((worker for worker in self._workers if worker.task is None), None) or self._hire()
        worker.task = task
        worker.deadline_s = monotonic() + self._limits.seconds
        with suppress(BrokenPipeError):  # a worker that died while idle shows as a crash of this task
            worker.connection.send(task)

    def ready(self) -> list[_Worker]:
        """Wait until a worker has something to say, has died, or has used up its time."""
        busy = self.busy
        patience_s = max(0.0, min(worker.deadline_s for worker in busy) - monotonic())
        heard = wait([worker.connection for worker in busy], timeout=patience_s)
        now = monotonic()
        return [worker for worker in busy if worker.connection in heard or worker.deadline_s <= now]

    def take(self, worker: _Worker) -> _Message:
        """Read what a ready worker has to say; a dead or overdue one is dismissed."""
        try:
            if worker.connection.poll():
                message: _Message = worker.connection.recv()
                return message
        except (EOFError, ConnectionResetError):
            return True, self._dismiss(worker)
        worker.process.kill()
        self._dismiss(worker)
        msg = f"the study took longer than {self._limits.seconds:g} s and was stopped; raise run.max_study_seconds"
        return True, Crash(code="study.time_limit", message=msg)

    def stop(self) -> None:
        """End every worker, at work or not."""
        for worker in self._workers:
            worker.process.kill() if worker.task is not None else worker.connection.close()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _hire(self) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        if self._is_forked:
            foreign = [ours, *(worker.connection for worker in self._workers)]
            process: Any = multiprocessing.get_context("fork").Process(
                target=_serve, args=(theirs, foreign, os.getpid(), self._work, self._limits.memory_bytes), daemon=True
            )
            process.start()
        else:
            process = _Program([sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno())], pass_fds=[theirs.fileno()])
            ours.send((os.getpid(), self._work, self._limits.memory_bytes))
        theirs.close()
        worker = _Worker(process=process, connection=ours)
        self._workers.append(worker)
        return worker

    def _dismiss(self, worker: _Worker) -> Crash:
        self._workers.remove(worker)
        worker.process.join()
        worker.connection.close()
        return name_task_crash(worker.process.exitcode)


_PROGRAM: Final = "from calcreport.processes import pool; pool.serve_inherited()"  # of a worker that is not forked


class _Program(subprocess.Popen[bytes]):
    """A worker that was started, not forked, with the names of `multiprocessing.Process`."""

    join = subprocess.Popen.wait

    @property
    def exitcode(self) -> int | None:
        return self.returncode


def serve_inherited() -> None:
    """Work as a program of its own; the last word of its command line is the descriptor of its connection."""
    connection: Connection = Connection(int(sys.argv[-1]))
    with suppress(EOFError, ConnectionResetError):
        parent, work, memory_bytes = connection.recv()
        _serve(connection, [], parent, work, memory_bytes)


def _serve(
    connection: Connection,
    foreign: list[Connection],
    parent: int,
    work: Callable[[Any, Report], Any],
    memory_bytes: int | None,
) -> None:
    """Work on what arrives until the other end closes; the parent alone answers an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(OSError, AttributeError):  # Linux: a parent that is killed takes its workers with it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    if memory_bytes is not None:
        with suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])  # held already; on Linux
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory_bytes, hard))
    for other in foreign:  # a copy kept open here would hide the end of the parent
        other.close()
    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            connection.send((True, _attempt(work, task, lambda step: connection.send((False, step)))))
        except (BrokenPipeError, ConnectionResetError):
            return


def _attempt(work: Callable[[Any, Report], Any], task: object, report: Report) -> object:
    try:
        return work(task, report)
    except MemoryError:
        msg = "the study does not fit in memory; use fewer --jobs or a machine with more memory"
        return Crash(code="study.out_of_memory", message=msg)
    except (BrokenPipeError, ConnectionResetError):  # the parent is gone: nobody is left to hear
        raise
    except Exception as error:  # noqa: BLE001  # last resort of a worker: one bad study never stops the others
        msg = f"an internal error ({type(error).__name__}) stopped this study; please report it (--debug shows where)"
        return Crash(code="internal.error", message=msg, detail=traceback.format_exc())
