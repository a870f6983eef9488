"""Sources that fetch, each in a thread of its own; one that fails is run again after a while."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event, Thread
from time import monotonic
from typing import Final

from calcreport.errors import CalcReportError
from calcreport.service.delivery import Source
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.queue import wait_s

_FIRST_WAIT_S: Final = 5.0
_STEADY_S: Final = 300.0
"""A source that ran for so long before it failed has recovered: its wait begins anew."""


class Sources:
    """All sources but the SCP; the journal is told what happens."""

    def __init__(self, sources: Sequence[Source], inbox: Inbox, *, journal: Journal) -> None:
        self._stop = Event()
        self._inbox = inbox
        self._journal = journal
        self._threads = [
            Thread(target=self._run, args=(source,), name=f"source-{source.name}", daemon=True) for source in sources
        ]

    def start(self) -> None:
        """Begin to fetch."""
        for thread in self._threads:
            thread.start()

    def ask_to_stop(self) -> None:
        """Let every source end."""
        self._stop.set()

    def stop(self, seconds: float) -> None:
        """Wait for every source to end; after so many seconds it is left alone."""
        self._stop.set()
        deadline_s = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - monotonic()))

    def _run(self, source: Source) -> None:
        failures = 0
        while not self._stop.is_set():
            begun_s = monotonic()
            try:
                source.run(self._inbox, self._stop)
                code = ""
            except CalcReportError as error:
                code = error.code
            except OSError:
                code = "source.failed"
            except Exception:  # noqa: BLE001  # a bug in one source must not end its thread, nor quote what it read
                code = "internal.error"
            failures = 1 if not code or monotonic() - begun_s > _STEADY_S else failures + 1
            if code:
                self._journal.ended(f"source_{source.name}", code)
                self._journal.count(f"source_{source.name}_failed")
                self._journal.tell("source_failed", step=source.name, code=code)
            self._stop.wait(wait_s(failures, _FIRST_WAIT_S))
