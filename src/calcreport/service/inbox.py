"""Where the SCP and every other source put images: kept durably, counted, and noted as arriving."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from calcreport.service.arrivals import Arrivals
from calcreport.service.clinical_watch import study_of_clinical
from calcreport.service.identity import Identity
from calcreport.service.incoming import IncomingFile
from calcreport.service.journal import Journal
from calcreport.service.names import References, study_name
from calcreport.service.service_settings import LimitSettings
from calcreport.service.store import Store


class Inbox:
    """What a source needs of the store. Every method may be called from any thread, and may raise ``store.…``."""

    def __init__(
        self,
        store: Store,
        references: References,
        arrivals: Arrivals,
        *,
        journal: Journal,
        limits: Callable[[], LimitSettings] = LimitSettings,
    ) -> None:
        self._store = store
        self._references = references
        self._arrivals = arrivals
        self._journal = journal
        self._limits = limits

    @contextmanager
    def incoming(self) -> Iterator[IncomingFile]:
        """Give a file that a source fetches into, under the limits of the receiver; it is gone unless it was kept."""
        file = IncomingFile(self._store, self._limits())
        try:
            yield file
        finally:
            file.discard()

    def recall(self, source: str) -> str | None:
        """Cursor a source left with `remember`; ``None`` when there is none."""
        return self._store.recall(source)

    def remember(self, source: str, cursor: str) -> None:
        """Keep a cursor durably: to be called only after everything before it was kept."""
        self._store.remember(source, cursor)

    def keep(self, path: Path, *, accept: Callable[[Identity], None] | None = None, sender: str = "") -> None:
        """Keep a DICOM file written to an `incoming` path; when this returns, it survives a power cut.

        The file is moved, with its bytes as they are except for the preamble, which is zeroed. One that is there
        already changes nothing. `accept` may raise what it has against it; `sender` is a name out of the settings.
        Raises `InputError`: the file is not DICOM,
        damaged, truncated, or names no study, series or instance; it is removed; `StoreError` ``store.full`` or
        ``store.failed``: try again later.
        """
        arrival = self._store.keep(path, accept=accept)
        if not arrival.is_new:
            self._journal.count("duplicates")
            return
        self._journal.count("set_aside" if arrival.is_aside else "images_kept")
        if arrival.is_conflict:
            self._journal.count("conflicts")
            self._journal.tell("instance_conflict", study_ref=self._references.of(arrival.study))
        if not arrival.is_aside:
            self._arrivals.note(arrival.study, sender)

    def keep_clinical(self, content: bytes) -> None:
        """Keep clinical data of one study, YAML or JSON that names its ``study_instance_uid``, durably.

        Raises `ClinicalError` ``clinical.…``: a mistake in it, or ``clinical.which_study``; `StoreError` ``store.full``
        or ``store.failed``: try again later.
        """
        study = study_name(study_of_clinical(content))
        if self._store.keep_clinical(study, content):
            self._journal.count("clinical_files_kept")
            self._arrivals.note(study)

    def expect(self, study_instance_uid: str, count: int) -> None:
        """Tell how many instances a study has: it is complete when they are here, without waiting for quiet."""
        self._arrivals.expect(study_name(study_instance_uid), count)
