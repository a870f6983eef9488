"""Analyses on several machines: studies are lent to workers that share the store's folder.

Procrastinate's queue in PostgreSQL tells workers what there is to take, and no more: the store is the truth. A lease is
a name in the study's record and a file of that name beside it, which one worker makes, touches, and puts its answer in.
Clocks of machines are never compared: the service sees that the file changes.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Final

from procrastinate import App, JobContext, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from psycopg import Error

from calcreport.errors import CalcReportError, DeliveryError
from calcreport.service.clinical_watch import TABLE
from calcreport.service.durable import write_file
from calcreport.service.journal import Journal, code_of
from calcreport.service.queue import Failure
from calcreport.service.service_settings import AnalysisSettings, WorkersSettings, service_settings_from_text
from calcreport.service.store import CLINICAL, read_record
from calcreport.service.worker import ANSWER, Analysis, Executor, Lent, Result, Snapshot

logging.getLogger().addHandler(logging.NullHandler())  # the libraries quote addresses, and know no budget of lines
_TASK: Final = "calcreport.analyse"  # in the queue of the same name
_NAMES: Final = re.compile(r"[0-9a-f]{32} [0-9a-f]+ settings-[0-9a-f]+")  # what a database says becomes part of paths
# Seconds between two signs of life, and between two times that workers are counted and notified of what is not taken.
_LOOK_S, _AGAIN_S = 0.5, 10.0
_LIVING: Final = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '30 s'"  # query


@contextmanager
def _database() -> Iterator[None]:
    try:
        yield
    except (ConnectorException, Error) as error:
        msg = "the database of service.workers does not answer, or does not let us in; is it running?"
        raise DeliveryError(msg, code="queue.unreachable", is_retryable=True) from error


class DistributedExecutor(Executor):
    """Lends studies; a thread of its own tells workers of them."""

    def __init__(self, settings: WorkersSettings, *, journal: Journal) -> None:
        self._settings, self._journal, self._wake = settings, journal, Event()
        self._lent: list[Lent] = []
        self.workers = 0
        Thread(target=self._tell, name="workers", daemon=True).start()

    def begin(self, folder: Path, lease: str, _settings: AnalysisSettings, snapshot: Snapshot) -> Lent:
        """Lend a study, or go on with what an earlier service lent."""
        lent = Lent(folder / f"{lease}.lease", snapshot, self._settings.lease_seconds)
        for path in set(folder.glob("*.lease")) - {lent.file}:
            path.unlink()
        self._lent.append(lent)
        self._wake.set()
        return lent

    def _tell(self) -> None:
        """Tell workers what nobody has taken; remove leases that are over, which a worker still at one notices."""
        while True:
            self._wake.clear()
            try:
                for item in [item for item in self._lent if item.is_over]:
                    self._lent.remove(item)
                    item.file.unlink(missing_ok=True)
                self.workers = tell_workers(self._settings, [item.names for item in self._lent if not item.sign])
                self._journal.ended("queue")
            except Exception as error:  # noqa: BLE001 - whatever a database does, it is asked again
                self._journal.ended("queue", code_of(error, "queue.unreachable"))
            self._wake.wait(_AGAIN_S)


@_database()
def tell_workers(settings: WorkersSettings, lent: Sequence[str]) -> int:
    """Queue what was lent, each once, and count the workers; tables that are missing are made; raises as `serve`."""
    with App(connector=SyncPsycopgConnector(conninfo=settings.database, min_size=1)).open() as app:
        if not app.check_connection():
            app.schema_manager.apply_schema()
        for names in lent:
            with suppress(AlreadyEnqueued):
                app.configure_task(_TASK, queue=_TASK, queueing_lock=names).defer(names=names)
        return int(app.connector.get_sync_connector().execute_query_one(_LIVING)["count"])


@_database()
def serve(root: Path, settings: WorkersSettings) -> None:
    """Take studies that are lent until SIGTERM or SIGINT; raises `DeliveryError` ``queue.unreachable``, at any time."""
    app = App(connector=PsycopgConnector(conninfo=settings.database, min_size=3, timeout=5.0))
    app.task(name=_TASK, queue=_TASK, pass_context=True)(partial(_analyse, root / "studies"))
    app.run_worker(queues=[_TASK], delete_jobs="always", shutdown_graceful_timeout=0)


def _analyse(studies: Path, context: JobContext, names: str) -> None:
    """Analyse a study, unless its lease is over or another worker has it; what cannot be answered is given back."""
    lease, study, snapshot = names.split() if _NAMES.fullmatch(names) else ("", "", "")
    file = studies / study / f"{lease}.lease"
    if not lease or read_record(file.parent).lease != lease:
        return
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with suppress(OSError):  # the lease is over, the disk is full
            result = _result(file, studies.parent / snapshot, context)
            if result is not None and file.exists():
                write_file(file, ANSWER.dump_json(result))
                return
        file.unlink(missing_ok=True)


def _result(file: Path, snapshot: Path, context: JobContext) -> Result | None:
    """Answer of an analysis; ``None`` when the worker is to end."""
    config, rules = snapshot / "site.toml", snapshot / "rules"
    clinical = [str(path) for path in (file.with_name(CLINICAL), snapshot.parent / TABLE) if path.is_file()]
    try:
        settings = service_settings_from_text(config.read_text(encoding="utf-8")).analysis
        settings = settings.model_copy(update={"clinical": clinical[0] if clinical else None})
        used = Snapshot(config=config, rules=rules if any(rules.iterdir()) else None)
        analysis = Analysis(file.parent, settings, used)
    except (OSError, CalcReportError) as error:
        code, msg = code_of(error, "store.failed"), "the worker could not begin the analysis; see the store"
        return Failure(code=code, message=msg, is_environment=True, seconds=0.0)
    try:
        while (result := analysis.result()) is None and not context.should_abort():
            os.utime(file)
            sleep(_LOOK_S)
    finally:
        analysis.stop(0.0)
    return result
