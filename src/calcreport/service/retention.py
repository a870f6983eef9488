"""What is removed, and when: only what was delivered everywhere, only after a time that a site has set."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time
from typing import Final

from calcreport.errors import StoreError
from calcreport.service.journal import Journal
from calcreport.service.record import Record
from calcreport.service.service_settings import RetentionSettings
from calcreport.service.store import ASIDE, IMAGES, Store

_DAY_S: Final = 86_400.0
_EVERY_S: Final = 600.0


class Retention:
    """Looks for what may go, every ten minutes; the journal is told when something cannot be removed."""

    def __init__(
        self,
        store: Store,
        settings: Callable[[], RetentionSettings],
        journal: Journal,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._last_s = float("-inf")

    def tick(self, is_busy: Callable[[str], bool]) -> None:
        """Remove what may go, when it is time; nothing of a study that is busy."""
        settings = self._settings()
        if settings.received_days is None and settings.results_days is None:
            return
        if self._clock() - self._last_s < _EVERY_S:
            return
        self._last_s = self._clock()
        for study in self._store.studies():
            if not is_busy(study):
                try:
                    remove_expired(self._store, study, self._store.record(study), settings)
                except StoreError as error:
                    self._journal.tell("retention_failed", code=error.code)
                    return


def remove_expired(store: Store, study: str, record: Record, settings: RetentionSettings) -> Record:
    """Remove what a study no longer needs, while nothing is arriving for it; give its record as it is now, on disk too.

    The names of removed images are remembered first: a late image alone must not be reported as the whole study. Raises
    `StoreError` when the record cannot be written; then nothing was removed.
    """
    if record.state != "done":
        return record
    age_days = (time() - record.changed) / _DAY_S
    if settings.received_days is not None and age_days >= settings.received_days:
        images = store.images(study)
        if images:
            record = record.model_copy(update={"removed": images})
            store.write_record(study, record)
            store.remove(study, IMAGES, images)
        store.remove(study, ASIDE, store.set_aside(study))
    if settings.results_days is not None and age_days >= settings.results_days:
        store.remove_results(study)
    return record
