"""What is removed, and when: only what was delivered everywhere, only after a time that a site has set."""

from __future__ import annotations

from time import time
from typing import Final

from calcreport.service.record import Record
from calcreport.service.service_settings import RetentionSettings
from calcreport.service.store import ASIDE, IMAGES, RESULTS, Store

_DAY_S: Final = 86_400.0


def remove_expired(store: Store, study: str, record: Record, settings: RetentionSettings) -> Record:
    """Remove what a study no longer needs.

    The names of removed images are remembered first: a late image alone must not be reported as the whole study.

    Parameters
    ----------
    store : Store
        Where it lies.
    study : str
        Folder name; nothing is arriving for it.
    record : Record
        Its record.
    settings : RetentionSettings
        When; ``None`` is never.

    Returns
    -------
    Record
        As it is now, on disk too.

    Raises
    ------
    StoreError
        When the record cannot be written; then nothing was removed.
    """
    if record.state != "done":
        return record
    age_days = (time() - record.changed) / _DAY_S
    if settings.received_days is not None and age_days >= settings.received_days:
        images = store.images(study)
        if images:
            record = record.model_copy(update={"removed": images})
            store.write_record(study, record)
            store.remove(study, IMAGES)
        store.remove(study, ASIDE)
    if settings.results_days is not None and age_days >= settings.results_days:
        store.remove(study, RESULTS)
    return record
