"""Results into an archive by C-STORE, one association a study."""

from __future__ import annotations

from pathlib import Path

from pynetdicom.association import Association

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DimseSinkSettings
from calcreport.service.adapters import Delivery
from calcreport.service.association import associated, broken, not_accepted
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
        if settings.is_encrypted:
            tls_context(settings)

    def deliver(self, delivery: Delivery) -> None:
        """Send everything; see `calcreport.service.adapters.Sink.deliver`."""
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
