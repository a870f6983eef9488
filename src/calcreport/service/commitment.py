"""Storage Commitment (PS3.4 annex J): given to senders for what is kept here, asked of an archive before images go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import BoundedSemaphore, Event, Lock, Thread
from time import monotonic
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when the module is loaded
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from calcreport.errors import CalcReportError
from calcreport.service.adapter_settings import DimsePeerSettings
from calcreport.service.identity import content_of
from calcreport.service.journal import Journal
from calcreport.service.service_settings import ServiceSettings
from calcreport.service.sinks.dimse import associated, broken, identity_of
from calcreport.service.store import IMAGES, Store

# SOP class, and its well-known instance.
PUSH_MODEL: Final[UID] = StorageCommitmentPushModel
_WELL_KNOWN: Final[UID] = StorageCommitmentPushModelInstance
# Status, action, and events of Storage Commitment.
_SUCCESS, _FAILURE, _NO_SUCH_ACTION, _INVALID, _RESOURCES, _NO_SUCH_INSTANCE = 0, 0x0110, 0x0123, 0x0115, 0x0213, 0x0112
_REQUEST, _ALL_KEPT, _SOME_LACKING = 1, 1, 2
_MOST_AT_A_TIME: Final = 8  # Requests of senders that are looked up or answered at a time
_ATTEMPTS_S: Final = (0.0, 5.0, 60.0)  # Waits before the attempts to reach a caller with the answer
_AGAIN_S: Final = 3600.0  # Wait before an archive that did not confirm a study is asked about it again

References = list[tuple[str, str]]  # SOP class and instance UIDs


@dataclass(slots=True, kw_only=True)
class _Question:
    content: str
    asked_s: float
    instances: frozenset[str] = frozenset()
    transaction: str | None = None  # until it is answered
    is_confirmed: bool = False
    ended: Event = field(default_factory=Event)


class Commitments:
    """Both roles. Methods may be called from any thread."""

    def __init__(self, store: Store, settings: Callable[[], ServiceSettings], *, journal: Journal) -> None:
        self._store = store
        self._settings = settings
        self._journal = journal
        self._places = BoundedSemaphore(_MOST_AT_A_TIME)
        self._guard = Lock()
        self._questions: dict[str, _Question] = {}  # by study
        self._stop = Event()
        self._open: SimpleQueue[tuple[str, Sequence[str], _Question]] = SimpleQueue()
        Thread(target=self._ask_all, name="commitment-asked", daemon=True).start()

    # As provider.

    def asked(self, event: evt.Event) -> tuple[int, None]:
        """Take a sender's request; the answer follows from a thread of its own."""
        if not self._settings().commitment.is_offered:
            return _FAILURE, None
        if event.action_type != _REQUEST:
            return _NO_SUCH_ACTION, None
        try:
            transaction, wanted = _transaction(event.action_information)
        except Exception:  # noqa: BLE001 - whatever pydicom finds in a hostile data set
            return _INVALID, None
        if not self._places.acquire(blocking=False):
            return _RESOURCES, None
        Thread(target=self._answer, args=(event.assoc, transaction, wanted), name="commitment", daemon=True).start()
        return _SUCCESS, None

    def _answer(self, asking: Association, transaction: str, wanted: References) -> None:
        is_done = False
        try:
            lacking = self._store.lacks(uid for _class, uid in wanted)
            report = _report(transaction, wanted, lacking)
            title = str(asking.requestor.ae_title).strip()
            callers = [item for item in self._settings().commitment.callers.values() if item.called_aet == title]
            is_done = self._call(callers[0], report) if callers else asking.is_established and _tell(asking, report)
        except Exception:  # noqa: BLE001 - a broken association must not end in a traceback
            self._journal.count("internal_errors")
        finally:
            self._places.release()
        if is_done:
            self._journal.count("commitments_told")
        else:
            self._journal.tell("commitment_failed", code="commitment.not_told")

    def _call(self, caller: DimsePeerSettings, report: Dataset) -> bool:
        """Give a report over a connection of our own, after a few attempts perhaps."""
        seconds = 3 * caller.timeout_seconds
        for wait in _ATTEMPTS_S:
            if self._stop.wait(wait):
                break
            try:
                with associated(caller, [(PUSH_MODEL, None)], seconds=seconds, role=PUSH_MODEL) as association:
                    if _tell(association, report):
                        return True
            except CalcReportError as error:
                self._journal.tell("commitment_failed", code=error.code)
        return False

    # As user.

    def is_confirmed(self, study: str, images: Sequence[str]) -> bool:
        """Whether the archive has confirmed these images of a study, said once; otherwise it is asked, now and then."""
        content = content_of(images)
        with self._guard:
            known = self._questions.get(study)
            if known is not None and known.content == content:
                if known.is_confirmed:
                    del self._questions[study]
                    return True
                if monotonic() - known.asked_s < _AGAIN_S:
                    return False
            question = self._questions[study] = _Question(content=content, asked_s=monotonic())
        self._open.put((study, images, question))
        return False

    def reported(self, event: evt.Event) -> tuple[int, None]:
        """Take an archive's report; one on a transaction that was not asked for changes nothing."""
        try:
            transaction, kept = _transaction(event.event_information)
        except Exception:  # noqa: BLE001 - whatever pydicom finds in a hostile data set
            return _INVALID, None
        with self._guard:
            question = next((item for item in self._questions.values() if item.transaction == transaction), None)
            if question is None:
                return _INVALID, None
            question.transaction = None
            uids = {uid for _class, uid in kept}
            question.is_confirmed = event.event_type == _ALL_KEPT and question.instances <= uids
        self._journal.ended("commitment", "" if question.is_confirmed else "commitment.not_kept")
        question.ended.set()
        return _SUCCESS, None

    def stop(self) -> None:
        """Try nothing again."""
        self._stop.set()

    def _ask_all(self) -> None:
        while True:
            study, images, question = self._open.get()
            try:
                self._ask(study, images, question)
            except CalcReportError as error:
                self._journal.ended("commitment", error.code)
                self._journal.tell("commitment_failed", code=error.code)
            except Exception:  # noqa: BLE001 - images stay, and the archive is asked again
                self._journal.count("internal_errors")

    def _ask(self, study: str, images: Sequence[str], question: _Question) -> None:
        archive = self._settings().sinks.get(self._settings().retention.commitment or "")
        if not isinstance(archive, DimsePeerSettings):
            return
        identities = [identity_of(self._store.folder(study) / IMAGES / name) for name in images]
        with self._guard:
            question.instances = frozenset(item.instance_uid for item in identities)
            question.transaction = generate_uid(prefix=None)
        request = _report(question.transaction, [(item.class_uid, item.instance_uid) for item in identities], set())
        handlers = [(evt.EVT_N_EVENT_REPORT, self.reported)]
        patience_s = archive.timeout_seconds
        with associated(archive, [(PUSH_MODEL, None)], seconds=4 * patience_s, handlers=handlers) as association:
            status, _reply = association.send_n_action(request, _REQUEST, PUSH_MODEL, _WELL_KNOWN)
            if not status or status.get("Status") != _SUCCESS:
                raise broken()
            question.ended.wait(min(5.0, patience_s))  # many answer at once; others over a connection of their own


def _tell(association: Association, report: Dataset) -> bool:
    kind = _SOME_LACKING if "FailedSOPSequence" in report else _ALL_KEPT
    try:
        status, _reply = association.send_n_event_report(report, kind, PUSH_MODEL, _WELL_KNOWN)
    except (ValueError, RuntimeError, OSError):
        return False
    return bool(status) and status.get("Status") == _SUCCESS


def _transaction(information: Dataset) -> tuple[str, References]:
    items = information.get("ReferencedSOPSequence") or ()
    pairs = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID).strip(" \0")) for item in items]
    return str(information.TransactionUID), pairs


def _report(transaction: str, references: References, lacking: set[str]) -> Dataset:
    report = Dataset()
    report.TransactionUID = transaction
    report.ReferencedSOPSequence = [_reference(*pair) for pair in references if pair[1] not in lacking]
    if lacking:
        report.FailedSOPSequence = [_reference(*pair) for pair in references if pair[1] in lacking]
        for item in report.FailedSOPSequence:
            item.FailureReason = _NO_SUCH_INSTANCE
    return report


def _reference(class_uid: str, instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, instance_uid
    return item
