"""Tasks in processes of their own, kept from task to task.

A damaged file can crash native code or exhaust memory. In its own process that ends one task, under its own name, and
the others go on.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any, Generic, TypeVar

from calcreport.processes.crash import Crash, name_task_crash

Task = TypeVar("Task")
Result = TypeVar("Result")

Report = Callable[[str], None]
"""What a task calls to tell the name of its present step."""


@dataclass(frozen=True, slots=True)
class _Step:
    name: str


@dataclass(frozen=True, slots=True)
class _Done:
    value: Any


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    process: Any
    connection: Connection
    task: int | None = None
    deadline_s: float = 0.0


def run_tasks(
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    max_seconds: float,
    on_step: Callable[[int, str], None],
) -> Iterator[tuple[int, Result | Crash]]:
    """Run tasks side by side, each in a worker process; yield number and result as they finish.

    `work` is a module-level function, its arguments and result picklable. A task that takes longer than `max_seconds`
    is stopped. `on_step` receives the task's number (from 0) and the name of its present step.
    """
    crew = _Crew(work=work, max_seconds=max_seconds)
    waiting = list(enumerate(tasks))[::-1]
    try:
        while waiting or crew.busy:
            while waiting and len(crew.busy) < jobs:
                crew.give(*waiting.pop())
            for worker in crew.ready():
                message = crew.take(worker)
                if isinstance(message, _Step):
                    on_step(worker.task or 0, message.name)
                    continue
                number, worker.task = worker.task or 0, None
                yield number, message.value if isinstance(message, _Done) else message
    finally:
        crew.stop()


class _Crew(Generic[Task, Result]):
    """The worker processes of one run."""

    def __init__(self, *, work: Callable[[Task, Report], Result], max_seconds: float) -> None:
        # Forking shares the modules already loaded; elsewhere than on Linux it is not safe.
        self._context = (
            multiprocessing.get_context("fork") if sys.platform == "linux" else multiprocessing.get_context("spawn")
        )
        self._work = work
        self._max_seconds = max_seconds
        self._workers: list[_Worker] = []

    @property
    def busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def give(self, number: int, task: Task) -> None:
        """Hand a task to an idle worker, a new one if need be."""
        worker = next((worker for worker in self._workers if worker.task is None), None) or self._hire()
        worker.task = number
        worker.deadline_s = monotonic() + self._max_seconds
        with suppress(BrokenPipeError):  # a worker that died while idle shows as a crash of this task
            worker.connection.send(task)

    def ready(self) -> list[_Worker]:
        """Wait until a worker has something to say, has died, or has used up its time."""
        busy = self.busy
        patience_s = max(0.0, min(worker.deadline_s for worker in busy) - monotonic())
        heard = wait([worker.connection for worker in busy], timeout=patience_s)
        now = monotonic()
        return [worker for worker in busy if worker.connection in heard or worker.deadline_s <= now]

    def take(self, worker: _Worker) -> _Step | _Done | Crash:
        """Read what a ready worker has to say; a dead or overdue one is dismissed."""
        try:
            if worker.connection.poll():
                message: _Step | _Done | Crash = worker.connection.recv()
                return message
        except (EOFError, ConnectionResetError):
            return self._dismiss(worker)
        worker.process.kill()
        self._dismiss(worker)
        msg = f"the study took longer than {self._max_seconds:g} s and was stopped; raise run.max_study_seconds"
        return Crash(code="study.time_limit", message=msg)

    def stop(self) -> None:
        """End every worker, at work or not."""
        for worker in self._workers:
            worker.process.kill() if worker.task is not None else worker.connection.close()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _hire(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        foreign = [ours, *(worker.connection for worker in self._workers)]
        process = self._context.Process(target=_serve, args=(theirs, foreign, self._work), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process=process, connection=ours)
        self._workers.append(worker)
        return worker

    def _dismiss(self, worker: _Worker) -> Crash:
        self._workers.remove(worker)
        worker.process.join()
        worker.connection.close()
        return name_task_crash(worker.process.exitcode)


def _serve(connection: Connection, foreign: list[Connection], work: Callable[[Any, Report], Any]) -> None:
    """Work on what arrives until the other end closes; the parent alone answers an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in foreign:  # a copy kept open here would hide the end of the parent
        other.close()
    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            connection.send(_attempt(work, task, lambda step: connection.send(_Step(step))))
        except (BrokenPipeError, ConnectionResetError):
            return


def _attempt(work: Callable[[Any, Report], Any], task: object, report: Report) -> _Done | Crash:
    try:
        return _Done(work(task, report))
    except MemoryError:
        msg = "the study does not fit in memory; use fewer --jobs or a machine with more memory"
        return Crash(code="study.out_of_memory", message=msg)
    except (BrokenPipeError, ConnectionResetError):  # the parent is gone: nobody is left to tell
        raise
    except Exception as error:  # noqa: BLE001  # last resort of a worker: one bad study never stops the others
        msg = f"an internal error ({type(error).__name__}) stopped this study; please report it (--debug shows where)"
        return Crash(code="internal.error", message=msg, detail=traceback.format_exc())
