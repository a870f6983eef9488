"""Where every source puts images: streamed to a file, kept durably, noted until their study is complete.

DICOM has no sign for the end of a study: it is complete when nothing came for a while, or as much as its source
announced. Time is monotonic: a clock that is set does not complete or hold up anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final

from calcreport.errors import DeliveryError, InputError, StoreError
from calcreport.service.clinical_watch import study_of_clinical
from calcreport.service.durable import store_error
from calcreport.service.identity import Identity, References, study_name
from calcreport.service.journal import Journal
from calcreport.service.service_settings import LimitSettings, StudySettings
from calcreport.service.store import Store

_CHECK_SPACE_BYTES: Final = 16 << 20
"""Free space is looked at whenever so much has arrived."""


class IncomingFile:
    """What pynetdicom takes for its temporary file.

    When the disk is full it goes on taking bytes and drops them, so that the sender can be answered with a status.
    `on_excess` is told the code when a limit is exceeded, and ends the connection.
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
            self.path = store.temporary()
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW)
        except StoreError as error:
            self._refuse(error.code)
        except OSError as error:
            self._refuse(store_error(error).code)

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
            done = 0
            while done < len(data):
                done += os.write(self._descriptor, memoryview(data)[done:] if done else data)
            self._unchecked += len(data)
            if self._unchecked >= _CHECK_SPACE_BYTES:
                self._unchecked = 0
                self._store.require_space()
        except StoreError as error:
            self._refuse(error.code)
        except OSError as error:
            self._refuse(store_error(error).code)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A study that is complete: its folder name, whether fewer instances came than the source told of, who sent it."""

    study: str
    is_short: bool
    sender: str = ""


class Arrivals:
    """Studies that images arrive for. Every method may be called from any thread.

    Settings are asked for every time, so that they can be changed; `count` gives the instances of a study that are
    there, objects set aside included; `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        settings: Callable[[], StudySettings],
        *,
        count: Callable[[str], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._count = count
        self._clock = clock
        self._guard = Lock()
        self._arriving: dict[str, _Arriving] = {}

    def note(self, study: str, sender: str = "") -> None:
        """Something arrived for a study; the last sender that the settings name is remembered."""
        now = self._clock()
        with self._guard:
            arriving = self._arriving.setdefault(study, _Arriving(last_s=now))
            arriving.last_s = now
            arriving.sender = sender or arriving.sender

    def expect(self, study: str, count: int) -> None:
        """A source told how many instances a study has."""
        with self._guard:
            arriving = self._arriving.setdefault(study, _Arriving(last_s=self._clock()))
            arriving.expected = count

    def take_complete(self) -> list[Complete]:
        """Take every study that is complete by now; it is forgotten here."""
        settings, now = self._settings(), self._clock()
        with self._guard:
            candidates = [(study, item.last_s, item.expected, item.sender) for study, item in self._arriving.items()]
        complete = []
        for study, last_s, expected, sender in candidates:
            quiet_s = now - last_s
            if expected is None:
                is_over, is_short = quiet_s >= settings.quiet_seconds, False
            else:
                is_short = self._lacks(study, expected)
                is_over = not is_short or quiet_s >= settings.missing_seconds
            if is_over and self._forget(study, last_s):
                complete.append(Complete(study=study, is_short=is_short, sender=sender))
        return complete

    def _lacks(self, study: str, expected: int) -> bool:
        """Whether images are still to come; not of a study whose folder cannot be read, which is to be looked at."""
        try:
            return self._count(study) < expected
        except StoreError:
            return False

    def _forget(self, study: str, last_s: float) -> bool:
        """Forget a study unless something arrived in between."""
        with self._guard:
            arriving = self._arriving.get(study)
            if arriving is None or arriving.last_s != last_s:
                return False
            del self._arriving[study]
            return True

    def __contains__(self, study: str) -> bool:
        """Whether a study is still arriving."""
        with self._guard:
            return study in self._arriving

    def __len__(self) -> int:
        """How many studies are arriving."""
        with self._guard:
            return len(self._arriving)


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
