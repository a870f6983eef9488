"""Analyses on several machines: studies are lent to workers that share the store's folder.

Procrastinate's queue in PostgreSQL tells workers what there is to take, and no more: the store is the truth. A lease is
a name in the study's record and two files in ``leases``: one that its worker makes and touches, and its answer. Clocks of
machines are never compared: the service sees that a file changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Annotated, Any, Final

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from psycopg import Error
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field, ValidationError

from calcreport.errors import CalcReportError, DeliveryError
from calcreport.service.clinical_watch import TABLE
from calcreport.service.durable import make_folder, write_file
from calcreport.service.journal import Journal, code_of
from calcreport.service.queue import Failure
from calcreport.service.service_settings import AnalysisSettings, WorkersSettings, service_settings_from_text
from calcreport.service.store import CLINICAL, read_record
from calcreport.service.worker import Analysis, Executor, Snapshot
from calcreport.study.result import StudyOutcome

_TASK: Final = "calcreport.analyse"  # in the queue of the same name
_NAMES: Final = re.compile(r"[0-9a-f]{32} [0-9a-f]+ settings-[0-9a-f]+")  # what a database says is part of paths
_LEASES: Final = "leases"  # folder of the store
# Seconds: between two looks at a lease; between two times that the database is asked, and told again what nobody has
# taken; patience with it; patience with an analysis that is to end.
_LOOK_S: Final = 0.5
_AGAIN_S: Final = 10.0
_CONNECT_S: Final = 5.0
_STOP_S: Final = 1.0
_AWAY: Final = (ConnectorException, PoolTimeout, Error, OSError)  # what a database that cannot be used raises
_LIVING: Final = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '30 seconds'"


class _Answer(BaseModel):
    result: Annotated[StudyOutcome | Failure, Field(union_mode="left_to_right")]


class Lent:
    """A study that was lent, as the service sees it; `names` are its lease, its folder and the settings' snapshot."""

    def __init__(self, root: Path, names: tuple[str, str, str], seconds: float) -> None:
        self.names, self._seconds = names, seconds
        self._taken, self._answer = files_of(root, names[0])
        self._looked_s = self.told_s = float("-inf")
        self._sign, self._sign_s = 0, 0.0  # last sign of life, 0 when nobody has taken it; when it was seen first
        self.is_over = False

    def result(self) -> StudyOutcome | Failure | None:
        """Answer of the worker, or that it is lost; ``None`` while neither is known."""
        now, result, sign = monotonic(), None, 0
        if now - self._looked_s < _LOOK_S:
            return None
        self._looked_s = now
        with suppress(FileNotFoundError), self._taken.open("rb") as stream:  # opened: network file systems look anew
            sign = os.fstat(stream.fileno()).st_mtime_ns
        with suppress(FileNotFoundError, ValidationError):
            result = _Answer.model_validate_json(self._answer.read_bytes()).result
        if sign != self._sign:
            self._sign, self._sign_s = sign, now
        if sign and result is None and now - self._sign_s > self._seconds:
            msg = "the worker of this study gave no sign of life for service.workers.lease_seconds"
            result = Failure(code="worker.lost", message=msg, is_interruption=True, seconds=0.0)
        self.is_over = result is not None
        return result

    def is_to_be_told(self) -> bool:
        """Whether nobody has it, and workers have not been told of it of late."""
        return not self._sign and monotonic() - self.told_s >= _AGAIN_S

    def ask_to_stop(self) -> None:
        """Nothing: workers go on when the service ends."""

    def stop(self, _seconds: float) -> bool:
        """Return that it is not ended."""
        return False


def files_of(root: Path, lease: str) -> tuple[Path, Path]:
    """Files of a lease: the one its worker has made, and the answer."""
    return root / _LEASES / f"{lease}.taken", root / _LEASES / f"{lease}.json"


def tell_workers(settings: WorkersSettings, lent: list[Lent]) -> int:
    """Queue what was lent, each once, and count the workers; tables that are missing are made.

    Raises `DeliveryError` ``queue.unreachable``.
    """
    try:
        with App(connector=SyncPsycopgConnector(**_words(settings, 1))).open() as app:
            if not app.check_connection():
                app.schema_manager.apply_schema()
            for item in lent:
                with suppress(AlreadyEnqueued):
                    task = app.configure_task(_TASK, queue=_TASK, queueing_lock=item.names[0])
                    task.defer(names=" ".join(item.names))
            return int(app.connector.get_sync_connector().execute_query_one(_LIVING)["count"])
    except _AWAY as error:
        msg = "the database of service.workers does not answer, or does not let us in; is it running?"
        raise DeliveryError(msg, code="queue.unreachable", is_retryable=True) from error


def _words(settings: WorkersSettings, most: int) -> dict[str, Any]:
    """What a connector with so many connections is made with."""
    for name in ("procrastinate", "psycopg"):  # they quote addresses, and know no budget of lines
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    kwargs = {"connect_timeout": int(_CONNECT_S)}
    return {"conninfo": settings.database, "kwargs": kwargs, "min_size": 1, "max_size": most, "timeout": _CONNECT_S}


class DistributedExecutor(Executor):
    """Lends studies; a thread of its own tells workers of them."""

    def __init__(self, root: Path, settings: WorkersSettings, *, journal: Journal) -> None:
        self._root, self._settings, self._journal = root, settings, journal
        self._lent: list[Lent] = []
        self.workers: int | None = 0
        Thread(target=self._tell, name="workers", daemon=True).start()

    def places(self, most: int) -> int:
        """One study more than there are workers, so that none waits; none where the settings say 0."""
        return self.workers + 1 if most and self.workers else 0

    def begin(self, folder: Path, lease: str, settings: AnalysisSettings, snapshot: Snapshot) -> Lent:  # noqa: ARG002 - of the snapshot
        """Lend a study."""
        return self.resume(folder, lease, snapshot)

    def resume(self, folder: Path, lease: str, snapshot: Snapshot) -> Lent:
        """Go on with what an earlier service lent; its workers have not noticed that it was away."""
        names = (lease, folder.name, snapshot.config.parent.name if snapshot.config else "")
        self._lent = [*self._lent, Lent(self._root, names, self._settings.lease_seconds)]
        return self._lent[-1]

    def tidy(self) -> None:
        """Remove leases that are over: a worker that is still at one notices."""
        self._lent = [item for item in self._lent if not item.is_over]
        kept = {path for item in self._lent for path in files_of(self._root, item.names[0])}
        with suppress(OSError):
            for path in set((self._root / _LEASES).iterdir()) - kept:
                path.unlink(missing_ok=True)

    def _tell(self) -> None:
        asked_s = float("-inf")
        while True:
            due = [item for item in self._lent if item.is_to_be_told()]
            if due or monotonic() - asked_s >= _AGAIN_S:
                asked_s, code = monotonic(), ""
                try:
                    self.workers = tell_workers(self._settings, due)
                except CalcReportError as error:
                    code = error.code
                for item in due:
                    item.told_s = asked_s
                self._journal.ended("queue", code)
            Event().wait(_LOOK_S)


class Worker:
    """Takes studies that a service lends, one at a time, until SIGTERM or SIGINT; what it has begun is then given back.

    A database that is away is waited for; the analysis that is under way then comes to its end and to the store.
    """

    def __init__(self, root: Path, settings: WorkersSettings, *, journal: Journal) -> None:
        self._root, self._settings, self._journal = root, settings, journal
        self._is_stopping = Event()

    async def serve(self) -> None:
        """Work."""
        for kind in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(kind, self._stop, asyncio.current_task())
        self._journal.tell("worker_started")
        with suppress(asyncio.CancelledError):
            while not self._is_stopping.is_set():
                with suppress(*_AWAY):
                    await self._take_jobs()
                self._journal.tell("queue_failed", code="queue.unreachable")
                await asyncio.sleep(_CONNECT_S)
        self._journal.tell("worker_stopped")

    async def _take_jobs(self) -> None:
        app = App(connector=PsycopgConnector(**_words(self._settings, 4)))
        app.task(name=_TASK, queue=_TASK)(self._analyse)
        async with app.open_async():
            for job in await app.job_manager.get_stalled_jobs(queue=_TASK):  # of workers that died
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
            await app.run_worker_async(queues=[_TASK], delete_jobs="always", install_signal_handlers=False)

    def _stop(self, serving: asyncio.Task[Any] | None) -> None:
        self._is_stopping.set()
        if serving is not None:
            serving.cancel()

    def _analyse(self, names: str) -> None:
        """Analyse a study, unless its lease is over or another worker has it; give it back when the disk is full."""
        lease, study, snapshot = names.split() if _NAMES.fullmatch(names) else ("", "", "")
        folder, (taken, answer) = self._root / "studies" / study, files_of(self._root, lease)
        if not lease or read_record(folder).lease != lease:
            return
        with suppress(FileExistsError):
            make_folder(taken.parent)
            os.close(os.open(taken, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with suppress(OSError):
                result = self._result(folder, self._root / snapshot, taken)
                if result is not None and taken.exists():
                    write_file(answer, _Answer(result=result).model_dump_json().encode())
                    return
            taken.unlink(missing_ok=True)

    def _result(self, folder: Path, snapshot: Path, taken: Path) -> StudyOutcome | Failure | None:
        """Answer of an analysis; ``None`` when the worker is to end. Raises `OSError` when the lease is over."""
        try:
            analysis, touched_s = self._begin(folder, snapshot), monotonic()
        except (OSError, CalcReportError) as error:
            msg = "the worker could not begin the analysis; see the store and its disk"
            return Failure(code=code_of(error, "store.failed"), message=msg, is_environment=True, seconds=0.0)
        try:
            while (result := analysis.result()) is None and not self._is_stopping.wait(0.2):
                if monotonic() - touched_s >= self._settings.lease_seconds / 6:
                    touched_s = monotonic()
                    os.utime(taken)  # a sign of life
        finally:
            analysis.ask_to_stop()
            analysis.stop(_STOP_S)
        return result

    def _begin(self, folder: Path, snapshot: Path) -> Analysis:
        config, rules = snapshot / "site.toml", snapshot / "rules"
        settings = service_settings_from_text(config.read_text(encoding="utf-8")).analysis
        own, table = folder / CLINICAL, self._root / TABLE
        clinical = own if own.is_file() else table if settings.clinical else None
        settings = settings.model_copy(update={"clinical": clinical and str(clinical)})
        return Analysis(folder, settings, Snapshot(config=config, rules=rules if any(rules.iterdir()) else None))
