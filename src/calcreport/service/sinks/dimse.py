"""Results into an archive by C-STORE, one association a study, and the associations that we ask for.

Each of them has an end: pynetdicom waits for ever for what comes a byte at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DimsePeerSettings, DimseSinkSettings, ObjectKind
from calcreport.service.delivery import Delivery
from calcreport.service.web import Deadline, shut, tls_context

DUPLICATE: Final = 0x0111  # Status of an archive that has the instance already; our UIDs follow from the content
_TRY_AGAIN: Final = frozenset((0x0110, 0x0124))  # a failure in processing, a right that is not given yet
_ORDER: Final[tuple[tuple[ObjectKind, str], ...]] = (
    ("seg", "seg*.dcm"), ("sc", "sc_*.dcm"), ("pdf", "report_pdf*.dcm"), ("sr", "*.dcm"),
)  # fmt: skip
"""Kinds of objects by the names that `calcreport.formats.dicom.objects.write_objects` gives them; the first that fits.

The report comes last: whoever learns of it finds what it refers to.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdentity:
    """What an object is, from its file meta information."""

    class_uid: str
    instance_uid: str
    syntax_uid: str


def identity_of(path: Path) -> ObjectIdentity:
    """Read what an object of ours is.

    Raises `DeliveryError` ``delivery.damaged``: it is no DICOM file; a new analysis makes it anew.
    """
    try:
        meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
        return ObjectIdentity(
            class_uid=UID(meta.MediaStorageSOPClassUID),
            instance_uid=UID(meta.MediaStorageSOPInstanceUID),
            syntax_uid=UID(meta.TransferSyntaxUID),
        )
    except (InvalidDicomError, AttributeError) as error:
        msg = "an object among the results is damaged; analyse the study again"
        raise DeliveryError(msg, code="delivery.damaged", is_retryable=False) from error


def objects_of(delivery: Delivery, kinds: Sequence[ObjectKind]) -> list[Path]:
    """DICOM objects of some kinds among the results, in the order to be sent; none of a study that was refused."""
    if delivery.folder is None:
        return []
    found = [path for path in sorted(delivery.folder.glob("*.dcm")) if path.is_file() and not path.is_symlink()]
    kind_of = {path: next(kind for kind, pattern in _ORDER if path.match(pattern)) for path in found}
    return [path for kind, _pattern in _ORDER if kind in kinds for path in found if kind_of[path] == kind]


def is_retryable(status: int) -> bool:
    """Whether another attempt may succeed after this status of C-STORE (PS3.4 annex B.2.3); A7xx: out of resources."""
    return status in _TRY_AGAIN or status >> 8 == 0xA7


@dataclass(frozen=True)
class DimseSink:
    """A sink. What an archive takes is sent also when there is something that it does not take."""

    name: str
    settings: DimseSinkSettings

    def deliver(self, delivery: Delivery) -> None:
        """Send everything; see `calcreport.service.delivery.Sink.deliver`."""
        objects = [(path, identity_of(path)) for path in objects_of(delivery, self.settings.objects)]
        if not objects:
            return
        contexts = [(item.class_uid, item.syntax_uid) for _path, item in objects]
        size = sum(path.stat().st_size for path, _item in objects)
        seconds = self.settings.timeout_seconds * (len(objects) + 1) + size / self.settings.min_bytes_per_second
        with associated(self.settings, contexts, seconds=seconds) as association:
            answers = [_send(association, path, item, number) for number, (path, item) in enumerate(objects, start=1)]
        failures = [failure for failure in answers if failure is not None]
        if failures:
            raise next((error for error in failures if error.is_retryable), failures[0])


def _send(association: Association, path: Path, identity: ObjectIdentity, number: int) -> DeliveryError | None:
    """Send one object; ``None`` when the archive has it: success, a warning (Bxxx), or had it before."""
    accepted = [(context.abstract_syntax, context.transfer_syntax) for context in association.accepted_contexts]
    if not any(identity.class_uid == name and identity.syntax_uid in syntaxes for name, syntaxes in accepted):
        return _not_accepted()
    try:
        answer = association.send_c_store(path, msg_id=number) if association.is_established else None
    except (RuntimeError, OSError):
        answer = None
    status = answer.get("Status") if answer else None
    if status is None:
        return broken()
    if status in {0, DUPLICATE} or int(status) >> 12 == 0xB:
        return None
    msg = f"the archive did not store an object (status {int(status):04X}); its log says why"
    return DeliveryError(msg, code="dimse.not_stored", is_retryable=is_retryable(int(status)))


@contextmanager
def associated(
    peer: DimsePeerSettings,
    contexts: Iterable[tuple[str, str | None]],
    *,
    seconds: float,
    handlers: Iterable[tuple[evt.InterventionEvent, Callable[[evt.Event], Any]]] = (),
    role: str | None = None,
) -> Iterator[Association]:
    """Give an established association for pairs of SOP class and transfer syntax; after so many seconds it is cut.

    Certificates are read anew. `role` is a class whose provider we are. Raises `DeliveryError` ``dimse.…``;
    `SettingsError` ``settings.tls``.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True  # files are sent as they are, not read and written anew
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    entity = AE(ae_title=peer.calling_aet)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = peer.timeout_seconds
    entity.connection_timeout = peer.timeout_seconds
    for class_uid, syntax_uid in dict.fromkeys(contexts):
        entity.add_requested_context(class_uid, *([syntax_uid] if syntax_uid else []))
    opened: list[Association] = []
    deadline = Deadline(seconds, lambda: list(map(_close, opened)))
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            ae_title=peer.called_aet,
            ext_neg=[build_role(role, scp_role=True)] if role else None,
            tls_args=(tls_context(peer), peer.host) if peer.is_encrypted else None,
            evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc)), *handlers],
        )
        if not association.is_established:
            _close(association)
            raise _failure(association)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            else:
                association.abort()
    finally:
        deadline.end()


def _close(association: Association) -> None:
    """Close the connection of an association that did not come about, or hangs: pynetdicom does not."""
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        shut(connection.socket)
        connection.socket.close()


def _failure(association: Association) -> DeliveryError:
    if association.is_rejected:
        msg = "the archive rejects the association; does it know our AE title, and is called_aet its own?"
        return DeliveryError(msg, code="dimse.rejected", is_retryable=True)
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return _not_accepted()
    msg = "no association with the archive; is it running, and are host, port and encryption right?"
    return DeliveryError(msg, code="dimse.unreachable", is_retryable=True)


def _not_accepted() -> DeliveryError:
    msg = "the archive does not take objects of one of the kinds; leave it out with the sink's objects"
    return DeliveryError(msg, code="dimse.not_accepted", is_retryable=False)


def broken() -> DeliveryError:
    """Say that the association ended too early."""
    return DeliveryError("the archive ended the association", code="dimse.broken", is_retryable=True)
