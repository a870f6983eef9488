"""Where every source puts images: streamed to a file, kept durably, noted until their study is complete.

DICOM has no sign for the end of a study: it is complete when nothing came for a while, or as much as its source
announced. Time is monotonic: a clock that is set does not complete or hold up anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final

from calcreport.errors import DeliveryError, InputError, StoreError
from calcreport.service.clinical_watch import study_of_clinical
from calcreport.service.durable import store_errors
from calcreport.service.identity import Identity, uid_digest
from calcreport.service.journal import Journal
from calcreport.service.service_settings import LimitSettings, StudySettings
from calcreport.service.store import Store

_CHECK_SPACE_BYTES: Final = 16 << 20  # Free space is looked at whenever so much has arrived


class IncomingFile:
    """What pynetdicom takes for its temporary file.

    When the disk is full it goes on taking bytes and drops them, so that the sender can be answered with a status.
    `on_excess` is given the code when a limit is exceeded, and ends the connection.
    """

    def __init__(
        self, store: Store, limits: LimitSettings, on_excess: Callable[[str], None] = lambda _code: None
    ) -> None:
        self._store = store
        self._limits = limits
        self._on_excess = on_excess
        self._deadline_s = monotonic() + limits.message_seconds
        self._descriptor = -1
        self._unchecked = 0
        self.size = 0
        self.refusal = ""
        self.path = Path(os.devnull)
        try:
            with store_errors():
                self.path = store.temporary()
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW)
        except StoreError as error:
            self._refuse(error.code)

    @property
    def name(self) -> str:
        """Path; pynetdicom removes the file under it when the message was handled, if it is still there."""
        return str(self.path) if self.path != Path(os.devnull) else ""

    @property
    def file(self) -> IncomingFile:
        """Itself: there is nothing buffered behind it."""
        return self

    def write(self, data: bytes) -> int:
        """Take the next bytes of the message."""
        self.size += len(data)
        if self.size > self._limits.max_message_bytes:
            self._exceed("message.too_large")
        elif monotonic() > self._deadline_s:
            self._exceed("message.too_slow")
        elif self._descriptor >= 0:
            self._append(data)
        return len(data)

    def take(self, data: bytes) -> None:
        """Take the next bytes of a file that is fetched: nobody waits for a status, so that a refusal is raised.

        Raises `InputError` ``message.too_large``; `DeliveryError` ``message.too_slow`` and `StoreError` ``store.…``:
        to be fetched again later.
        """
        self.write(data)
        if self.refusal == "message.too_large":
            raise InputError("the file is larger than limits.max_message_bytes", code=self.refusal)
        if self.refusal == "message.too_slow":
            msg = "the file took longer than limits.message_seconds"
            raise DeliveryError(msg, code=self.refusal, is_retryable=True)
        if self.refusal:
            raise StoreError("the store is full or cannot be written to; free space", code=self.refusal)

    def flush(self) -> None:
        """Do nothing: every write goes to the system at once."""

    def close(self) -> None:
        """Close the file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close the file and remove it, unless it was kept."""
        self.close()
        if self.name:
            with suppress(OSError):
                self.path.unlink()

    def _append(self, data: bytes) -> None:
        try:
            with store_errors():
                done = 0
                while done < len(data):
                    done += os.write(self._descriptor, memoryview(data)[done:] if done else data)
            self._unchecked += len(data)
            if self._unchecked >= _CHECK_SPACE_BYTES:
                self._unchecked = 0
                self._store.require_space()
        except StoreError as error:
            self._refuse(error.code)

    def _refuse(self, code: str) -> None:
        self.refusal = code
        self.discard()

    def _exceed(self, code: str) -> None:
        if self.refusal != code:
            self._refuse(code)
            self._on_excess(code)


@dataclass(slots=True, kw_only=True)
class _Arriving:
    last_s: float
    sender: str = ""
    expected: int | None = None
    asked_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A study that is complete: its folder name, whether fewer instances came than the source announced, its sender."""

    study: str
    is_short: bool
    sender: str = ""


@dataclass(slots=True)
class Arrivals:
    """Studies that images arrive for. Every method may be called from any thread.

    Settings are asked for every time, so that they can be changed; `count` gives the instances of a study that are
    there, objects set aside included; `clock` gives monotonic seconds.
    """

    settings: Callable[[], StudySettings]
    _: KW_ONLY
    count: Callable[[str], int]
    clock: Callable[[], float] = monotonic
    _guard: Lock = field(default_factory=Lock, init=False)
    _arriving: dict[str, _Arriving] = field(default_factory=dict, init=False)

    def note(self, study: str, sender: str = "") -> None:
        """Something arrived for a study; the last sender that the settings name is remembered."""
        now = self.clock()
        with self._guard:
            arriving = self._arriving.setdefault(study, _Arriving(last_s=now))
            arriving.last_s = now
            arriving.sender = arriving.asked_by or sender or arriving.sender

    def expect(self, study: str, count: int, asked_by: str = "") -> None:
        """A source announced how many instances a study has, or asked for them to be sent: they are its own then."""
        with self._guard:
            arriving = self._arriving.setdefault(study, _Arriving(last_s=self.clock()))
            arriving.expected, arriving.asked_by = count, asked_by

    def take_complete(self) -> list[Complete]:
        """Take every study that is complete by now; it is forgotten here, unless something arrived in between."""
        settings, now = self.settings(), self.clock()
        with self._guard:
            candidates = {study: replace(item) for study, item in self._arriving.items()}
        complete = []
        for study, item in candidates.items():
            is_short = item.expected is not None and self._lacks(study, item.expected)
            patience_s = settings.missing_seconds if is_short else settings.quiet_seconds
            is_whole = item.expected is not None and not is_short
            if not is_whole and now - item.last_s < patience_s:
                continue
            with self._guard:
                if (later := self._arriving.get(study)) is None or later.last_s != item.last_s:
                    continue
                del self._arriving[study]
            complete.append(Complete(study=study, is_short=is_short, sender=item.sender))
        return complete

    def _lacks(self, study: str, expected: int) -> bool:
        """Whether images are still to come; not of a study whose folder cannot be read, which is to be looked at."""
        try:
            return self.count(study) < expected
        except StoreError:
            return False

    def __contains__(self, study: str) -> bool:
        """Whether a study is still arriving."""
        with self._guard:
            return study in self._arriving

    def __len__(self) -> int:
        """How many studies are arriving."""
        with self._guard:
            return len(self._arriving)


@dataclass(frozen=True, slots=True)
class Inbox:
    """What a source needs of the store. Every method may be called from any thread, and may raise ``store.…``."""

    store: Store
    arrivals: Arrivals
    _: KW_ONLY
    journal: Journal
    limits: Callable[[], LimitSettings] = LimitSettings

    @contextmanager
    def incoming(self) -> Iterator[IncomingFile]:
        """Give a file that a source fetches into, under the limits of the receiver; it is gone unless it was kept."""
        file = IncomingFile(self.store, self.limits())
        try:
            yield file
        finally:
            file.discard()

    def recall(self, source: str) -> str | None:
        """Cursor a source left with `remember`; ``None`` when there is none."""
        return self.store.recall(source)

    def remember(self, source: str, cursor: str) -> None:
        """Keep a cursor durably: to be called only after everything before it was kept."""
        self.store.remember(source, cursor)

    def keep(self, path: Path, *, accept: Callable[[Identity], None] | None = None, sender: str = "") -> None:
        """Keep a DICOM file written to an `incoming` path; when this returns, it survives a power cut.

        The file is moved, with its bytes as they are except for the preamble, which is zeroed. One that is there
        already changes nothing. `accept` may raise what it has against it; `sender` is a name out of the settings.
        Raises `InputError`: the file is not DICOM, damaged, truncated, or names no study, series or instance; it is
        removed; `StoreError` ``store.full`` or ``store.failed``: try again later.
        """
        arrival = self.store.keep(path, accept=accept)
        if not arrival.is_new:
            self.journal.count("duplicates")
            return
        self.journal.count("set_aside" if arrival.is_aside else "images_kept")
        if arrival.is_conflict:
            self.journal.count("conflicts")
            self.journal.tell("instance_conflict", study_ref=self.store.reference(arrival.study))
        if not arrival.is_aside:
            self.arrivals.note(arrival.study, sender)

    def keep_clinical(self, content: bytes) -> None:
        """Keep clinical data of one study, YAML or JSON that names its ``study_instance_uid``, durably.

        Raises `ClinicalError` ``clinical.…``: a mistake in it, or ``clinical.which_study``; `StoreError` as `keep`.
        """
        study = uid_digest(study_of_clinical(content))
        if self.store.keep_clinical(study, content):
            self.journal.count("clinical_files_kept")
            self.arrivals.note(study)

    def expect(self, study_instance_uid: str, count: int, asked_by: str = "") -> None:
        """Announce how many instances a study has, which is complete then; `asked_by` counts as the sender of them."""
        self.arrivals.expect(uid_digest(study_instance_uid), count, asked_by)
