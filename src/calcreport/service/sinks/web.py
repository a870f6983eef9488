"""Results into Orthanc by its REST interface, or into an archive by STOW-RS."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from calcreport.service.adapter_settings import DicomwebSinkSettings, OrthancSinkSettings
from calcreport.service.delivery import Delivery
from calcreport.service.sinks.dimse import DUPLICATE, identity_of, is_retryable, objects_of
from calcreport.service.web import Body, WebClient, WebError, file_body, files_body


class OrthancSink:
    """A sink. An object that is there already is left alone: our UIDs follow from the content."""

    def __init__(self, name: str, settings: OrthancSinkSettings) -> None:
        self.name = name
        self._settings = settings
        self._client = WebClient(settings)

    def deliver(self, delivery: Delivery) -> None:
        """Send what is not there; see `calcreport.service.delivery.Sink.deliver`."""
        try:
            for path in objects_of(delivery, self._settings.objects):
                if not self._is_there(identity_of(path).instance_uid):
                    self._send(path)
        finally:
            self._client.close()

    def _send(self, path: Path) -> None:
        answer = self._client.json("/instances", body=file_body(path))
        if not isinstance(answer, dict) or answer.get("Status") not in {"Success", "AlreadyStored"}:
            raise WebError("Orthanc did not store an object; its log says why", code="web.not_stored")

    def _is_there(self, uid: str) -> bool:
        body = Body(kind="text/plain", length=len(uid), blocks=lambda: [uid.encode()])
        found = self._client.json("/tools/lookup", body=body)
        return isinstance(found, list) and any(isinstance(row, dict) and row.get("Type") == "Instance" for row in found)


_ANSWER: Final = "application/dicom+json"
_FAILED, _REASON = "00081198", "00081197"

_UNTOLD: Final = 0x0110


class DicomwebSink:
    """A sink."""

    def __init__(self, name: str, settings: DicomwebSinkSettings) -> None:
        self.name = name
        self._settings = settings
        self._client = WebClient(settings)

    def deliver(self, delivery: Delivery) -> None:
        """Send everything; see `calcreport.service.delivery.Sink.deliver`.

        An archive that has an object already says so, or stores the same again under the same UID.
        """
        paths = objects_of(delivery, self._settings.objects)
        if not paths:
            return
        allowed = (HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)
        try:
            answer = self._client.json("/studies", body=files_body(paths), accept=_ANSWER, allowed=allowed)
        finally:
            self._client.close()
        reasons = set(_failures(answer)) - {DUPLICATE}
        if reasons:
            msg = "the archive did not store an object; its log says why"
            raise WebError(msg, code="web.not_stored", is_retryable=any(map(is_retryable, reasons)))


def _failures(answer: Any) -> Iterator[int]:  # noqa: ANN401 - any JSON document
    """Reasons why objects were not stored (PS3.18 annex I.2), whatever the HTTP status said."""
    document = answer[0] if isinstance(answer, list) and answer else answer
    failed = document.get(_FAILED) if isinstance(document, dict) else None
    for item in failed.get("Value", ()) if isinstance(failed, dict) else ():
        try:
            yield int(item[_REASON]["Value"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            yield _UNTOLD
