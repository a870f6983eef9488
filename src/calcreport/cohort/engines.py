"""Where the studies of a cohort are analysed: in processes of this machine, or by the workers of a Dask scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

from calcreport.cohort.task import Plan, StudyTask, analyse_task
from calcreport.errors import DeliveryError, UsageError
from calcreport.processes.crash import Crash
from calcreport.processes.pool import WorkerLimits, run_tasks
from calcreport.study.record import StudyRecord

Result = StudyRecord | Crash
"""Of one task; its worker may give no answer."""
Results = Generator[tuple[StudyTask, Result], None, None]
"""Tasks with their results as they finish."""
Engine = Callable[[Iterator[StudyTask], int], Results]
"""Analyses tasks, so many at once, and gives each with its result as they finish; draws tasks when it needs them."""

_AHEAD: Final = 2  # tasks a thread of a worker has waiting, so that it never idles
_CONNECT_SECONDS: Final = 30  # given to a scheduler to answer


def run_on_dask(
    tasks: Iterator[StudyTask],
    jobs: int,
    *,
    plan: Plan,
    limits: WorkerLimits,
    client: Any,  # noqa: ANN401
) -> Results:
    """Analyse on the workers of a scheduler; `jobs` of 1 keeps one study at work, more fill all workers.

    A study whose worker is lost goes to another one; a scheduler gives it up after some losses
    (``distributed.scheduler.allowed-failures``).
    """
    from distributed import as_completed  # noqa: PLC0415 - an extra

    running: dict[str, StudyTask] = {}
    finished = as_completed(loop=client.loop)
    while True:
        most = 1 if jobs == 1 else max(_AHEAD, _AHEAD * sum(client.nthreads().values()))
        for task in islice(tasks, max(0, most - len(running))):
            # The name keeps two clients from analysing one study at once.
            name = f"calcreport-{task.folder}-{task.key.request[:16]}-{task.key.signature[:16]}-{task.attempt}"
            future = client.submit(_analyse_apart, task, plan, limits, key=name)
            running[name] = task
            finished.add(future)
        if not running:
            return
        future = next(finished)
        yield running.pop(future.key), _result_of(future)
        future.release()


def connect(address: str) -> Any:  # noqa: ANN401 - of a library without types
    """Client of the scheduler at an address such as ``tcp://host:8786``, or in a file it wrote.

    Raises `UsageError` ``cohort.no_dask`` and ``cohort.no_scheduler``.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "--scheduler needs Dask; pip install calcreport[cohort], here and on every worker"
        raise UsageError(msg, code="cohort.no_dask") from error
    where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    try:
        return Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = "the scheduler named with --scheduler does not answer; give its address, such as tcp://host:8786"
        raise UsageError(msg, code="cohort.no_scheduler") from error


def _result_of(future: Any) -> Result:  # noqa: ANN401 - of a library without types
    if future.status == "finished":
        result: Result = future.result()
        return result
    if future.status != "error":
        msg = "the scheduler ended the work or is gone; start it and run the same command again"
        raise DeliveryError(msg, code="cohort.scheduler_gone", is_retryable=True)
    msg = "the worker of the study was lost, or failed, again and again; see the log of the scheduler"
    return Crash(code="study.worker_lost", message=msg, detail=str(future.exception()))


@dataclass(slots=True, eq=False)
class _Lane:
    """The process in which one thread of a Dask worker has its studies analysed."""

    plan: Plan
    limits: WorkerLimits
    waiting: list[StudyTask] = field(default_factory=list)
    results: Iterator[tuple[StudyTask, Result]] = field(init=False)

    def __post_init__(self) -> None:
        # A Dask worker has threads, and may not have children by multiprocessing.
        work = partial(analyse_task, plan=self.plan)
        self.results = run_tasks(work, self._draw(), jobs=1, limits=self.limits, is_forked=False)

    def _draw(self) -> Iterator[StudyTask]:
        while self.waiting:
            yield self.waiting.pop()


_LANES: Final = threading.local()  # of the threads of a Dask worker


def _analyse_apart(task: StudyTask, plan: Plan, limits: WorkerLimits) -> Result:
    """Work of one task of Dask: a process of its own does it, so that a crash costs no Dask worker."""
    lane: _Lane | None = getattr(_LANES, "lane", None)
    if lane is None or (lane.plan, lane.limits) != (plan, limits):
        lane = _LANES.lane = _Lane(plan, limits)
    lane.waiting.append(task)
    return next(lane.results)[1]
