"""Results into an archive by C-STORE, one association a study."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR
from threading import Timer

from pynetdicom import AE, _config
from pynetdicom.association import Association

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DimseSinkSettings
from calcreport.service.adapters import Delivery
from calcreport.service.sinks.objects import ObjectIdentity, identity_of, objects_of
from calcreport.service.sinks.statuses import is_retryable, is_stored
from calcreport.service.web import tls_context


class DimseSink:
    """A sink. What an archive takes is sent also when there is something that it does not take.

    Raises `SettingsError` ``settings.tls``.
    """

    def __init__(self, name: str, settings: DimseSinkSettings) -> None:
        self.name = name
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        if settings.is_encrypted:
            self._tls = tls_context(settings.authority, settings.certificate, settings.key)

    def deliver(self, delivery: Delivery) -> None:
        """Send everything; see `calcreport.service.adapters.Sink.deliver`."""
        paths = objects_of(delivery, self._settings.objects)
        if not paths:
            return
        identities = [identity_of(path) for path in paths]
        association = self._associate(identities)
        size = sum(path.stat().st_size for path in paths)
        # pynetdicom waits for ever for the rest of a unit that comes a byte at a time
        seconds = self._settings.timeout_seconds * (len(paths) + 1) + size / self._settings.min_bytes_per_second
        deadline = Timer(seconds, _close, (association,))
        deadline.daemon = True
        deadline.start()
        try:
            failures = [
                failure
                for number, (path, identity) in enumerate(zip(paths, identities, strict=True), start=1)
                if (failure := _send(association, path, identity, number)) is not None
            ]
        finally:
            _end(association)
            deadline.cancel()
        if failures:
            raise next((error for error in failures if error.is_retryable), failures[0])

    def _associate(self, identities: Sequence[ObjectIdentity]) -> Association:
        settings = self._settings
        _config.STORE_SEND_CHUNKED_DATASET = True  # files are sent as they are, not read and written anew
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        entity = AE(ae_title=settings.calling_aet)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.timeout_seconds
        entity.connection_timeout = settings.timeout_seconds
        for class_uid, syntax_uid in dict.fromkeys((item.class_uid, item.syntax_uid) for item in identities):
            entity.add_requested_context(class_uid, syntax_uid)
        tls = (self._tls, settings.host) if self._tls is not None else None
        association = entity.associate(settings.host, settings.port, ae_title=settings.called_aet, tls_args=tls)
        if association.is_established:
            return association
        _close(association)
        if association.is_rejected:
            msg = "the archive rejects the association; does it know our AE title, and is called_aet its own?"
            raise DeliveryError(msg, code="dimse.rejected", is_retryable=True)
        if association.acceptor.primitive is not None and not association.accepted_contexts:
            raise _not_accepted()
        msg = "no association with the archive; is it running, and are host, port and encryption right?"
        raise DeliveryError(msg, code="dimse.unreachable", is_retryable=True)


def _send(association: Association, path: Path, identity: ObjectIdentity, number: int) -> DeliveryError | None:
    """Send one object; ``None`` when the archive has it."""
    accepted = {
        (context.abstract_syntax, syntax)
        for context in association.accepted_contexts
        for syntax in context.transfer_syntax
    }
    if (identity.class_uid, identity.syntax_uid) not in accepted:
        return _not_accepted()
    if not association.is_established:
        return _broken()
    try:
        answer = association.send_c_store(path, msg_id=number)
    except (RuntimeError, OSError):
        return _broken()
    status = answer.get("Status") if answer else None
    if status is None:
        return _broken()
    if is_stored(int(status)):
        return None
    msg = f"the archive did not store an object (status {int(status):04X}); its log says why"
    return DeliveryError(msg, code="dimse.not_stored", is_retryable=is_retryable(int(status)))


def _end(association: Association) -> None:
    if association.is_established:
        association.release()
    else:
        association.abort()


def _close(association: Association) -> None:
    """Close the connection of an association that did not come about, or hangs: pynetdicom does not."""
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        with suppress(OSError):
            connection.socket.shutdown(SHUT_RDWR)  # wakes up what reads
        with suppress(OSError):
            connection.socket.close()


def _not_accepted() -> DeliveryError:
    msg = "the archive does not take objects of one of the kinds; leave it out with the sink's objects"
    return DeliveryError(msg, code="dimse.not_accepted", is_retryable=False)


def _broken() -> DeliveryError:
    return DeliveryError("the archive ended the association", code="dimse.broken", is_retryable=True)
