"""An association that we ask for, and that has an end: pynetdicom waits for ever for what comes a byte at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from threading import Timer
from typing import Any

from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DimsePeerSettings
from calcreport.service.web import tls_context


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
