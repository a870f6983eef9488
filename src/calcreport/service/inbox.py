"""Where sources put images: kept durably, counted, and noted as arriving."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from calcreport.service.adapters import Kept
from calcreport.service.arrivals import Arrivals
from calcreport.service.clinical_watch import study_of_clinical
from calcreport.service.health import Counters
from calcreport.service.identity import Identity
from calcreport.service.journal import Journal
from calcreport.service.names import References, study_name
from calcreport.service.store import Store


class StoreInbox:
    """The inbox of `calcreport.service.adapters.Inbox`, for the SCP and for every other source.

    Parameters
    ----------
    store : Store
        Where files are kept.
    references : References
        How studies are named in logs.
    arrivals : Arrivals
        Told of new images.
    counters, journal : Counters, Journal
        Told what happens.
    """

    def __init__(
        self, store: Store, references: References, arrivals: Arrivals, *, counters: Counters, journal: Journal
    ) -> None:
        self._store = store
        self._references = references
        self._arrivals = arrivals
        self._counters = counters
        self._journal = journal

    def temporary(self) -> Path:
        """Path of a new empty file."""
        return self._store.temporary()

    def keep(self, path: Path, *, accept: Callable[[Identity], None] | None = None) -> Kept:
        """Keep a file; `accept` may raise what it has against it. An image that is there already changes nothing."""
        arrival = self._store.keep(path, accept=accept)
        kept = Kept(
            reference=self._references.of(arrival.study),
            is_new=arrival.is_new,
            is_conflict=arrival.is_conflict,
            is_aside=arrival.is_aside,
        )
        if not arrival.is_new:
            self._counters.add("duplicates")
            return kept
        self._counters.add("set_aside" if arrival.is_aside else "images_kept")
        if arrival.is_conflict:
            self._counters.add("conflicts")
            self._journal.tell("instance_conflict", study_ref=kept.reference)
        if not arrival.is_aside:
            self._arrivals.note(arrival.study)
        return kept

    def keep_clinical(self, content: bytes) -> None:
        """Keep clinical data of one study; see `calcreport.service.adapters.Inbox.keep_clinical`."""
        study = study_name(study_of_clinical(content))
        if self._store.keep_clinical(study, content):
            self._counters.add("clinical_files_kept")
            self._arrivals.note(study)

    def expect(self, study_instance_uid: str, count: int) -> None:
        """Tell how many instances a study has."""
        self._arrivals.expect(study_name(study_instance_uid), count)

    def recall(self, source: str) -> str | None:
        """Cursor of a source."""
        return self._store.recall(source)

    def remember(self, source: str, cursor: str) -> None:
        """Keep the cursor of a source durably."""
        self._store.remember(source, cursor)
