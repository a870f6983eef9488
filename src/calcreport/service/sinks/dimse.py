"""Results into an archive by C-STORE, one association a study.

An association that we ask for has an end: pynetdicom waits for ever for what comes a byte at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import SHUT_RDWR
from threading import Timer
from typing import Any, Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DimsePeerSettings, DimseSinkSettings, ObjectKind
from calcreport.service.delivery import Delivery
from calcreport.service.web import tls_context

SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
"""It has the instance already; our UIDs follow from the content."""
_PROCESSING_FAILURE: Final = 0x0110
_NOT_AUTHORISED: Final = 0x0124


def is_stored(status: int) -> bool:
    """Whether the archive has the object: success, a warning (Bxxx), or had it before."""
    return status in {SUCCESS, DUPLICATE} or status >> 12 == 0xB


def is_retryable(status: int) -> bool:
    """Whether another attempt may succeed: out of resources (A7xx), a failure in processing, a right not given yet."""
    return status in {_PROCESSING_FAILURE, _NOT_AUTHORISED} or status >> 8 == 0xA7


_ORDER: tuple[ObjectKind, ...] = ("seg", "sc", "pdf", "sr")
"""The report comes last: whoever is told of it finds what it refers to."""


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
    """DICOM objects of some kinds among the results; none of a study that was refused."""
    if delivery.folder is None:
        return []
    found = [path for path in sorted(delivery.folder.glob("*.dcm")) if path.is_file() and not path.is_symlink()]
    return [path for kind in _ORDER if kind in kinds for path in found if _kind(path.name) == kind]


def _kind(name: str) -> ObjectKind:
    """Kind of an object by its file name, as `calcreport.formats.dicom.objects.write_objects` gives them."""
    if name.startswith("seg"):
        return "seg"
    if name.startswith("sc_"):
        return "sc"
    return "pdf" if name.startswith("report_pdf") else "sr"


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
    deadline = Timer(seconds, lambda: deque(map(_close, opened), maxlen=0))
    deadline.daemon = True
    deadline.start()
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
        deadline.cancel()


def _close(association: Association) -> None:
    """Close the connection of an association that did not come about, or hangs: pynetdicom does not."""
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        with suppress(OSError):
            connection.socket.shutdown(SHUT_RDWR)  # wakes up what reads
        with suppress(OSError):
            connection.socket.close()


def _failure(association: Association) -> DeliveryError:
    if association.is_rejected:
        msg = "the archive rejects the association; does it know our AE title, and is called_aet its own?"
        return DeliveryError(msg, code="dimse.rejected", is_retryable=True)
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return not_accepted()
    msg = "no association with the archive; is it running, and are host, port and encryption right?"
    return DeliveryError(msg, code="dimse.unreachable", is_retryable=True)


def not_accepted() -> DeliveryError:
    """Say that the archive does not take a kind of object."""
    msg = "the archive does not take objects of one of the kinds; leave it out with the sink's objects"
    return DeliveryError(msg, code="dimse.not_accepted", is_retryable=False)


def broken() -> DeliveryError:
    """Say that the association ended too early."""
    return DeliveryError("the archive ended the association", code="dimse.broken", is_retryable=True)


class DimseSink:
    """A sink. What an archive takes is sent also when there is something that it does not take.

    Raises `SettingsError` ``settings.tls``.
    """

    def __init__(self, name: str, settings: DimseSinkSettings) -> None:
        self.name = name
        self._settings = settings
        if settings.is_encrypted:
            tls_context(settings)

    def deliver(self, delivery: Delivery) -> None:
        """Send everything; see `calcreport.service.delivery.Sink.deliver`."""
        paths = objects_of(delivery, self._settings.objects)
        if not paths:
            return
        identities = [identity_of(path) for path in paths]
        contexts = [(item.class_uid, item.syntax_uid) for item in identities]
        size = sum(path.stat().st_size for path in paths)
        seconds = self._settings.timeout_seconds * (len(paths) + 1) + size / self._settings.min_bytes_per_second
        with associated(self._settings, contexts, seconds=seconds) as association:
            failures = [
                failure
                for number, (path, identity) in enumerate(zip(paths, identities, strict=True), start=1)
                if (failure := _send(association, path, identity, number)) is not None
            ]
        if failures:
            raise next((error for error in failures if error.is_retryable), failures[0])


def _send(association: Association, path: Path, identity: ObjectIdentity, number: int) -> DeliveryError | None:
    """Send one object; ``None`` when the archive has it."""
    accepted = {
        (context.abstract_syntax, syntax)
        for context in association.accepted_contexts
        for syntax in context.transfer_syntax
    }
    if (identity.class_uid, identity.syntax_uid) not in accepted:
        return not_accepted()
    if not association.is_established:
        return broken()
    try:
        answer = association.send_c_store(path, msg_id=number)
    except (RuntimeError, OSError):
        return broken()
    status = answer.get("Status") if answer else None
    if status is None:
        return broken()
    if is_stored(int(status)):
        return None
    msg = f"the archive did not store an object (status {int(status):04X}); its log says why"
    return DeliveryError(msg, code="dimse.not_stored", is_retryable=is_retryable(int(status)))
