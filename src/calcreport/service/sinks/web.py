"""Results into Orthanc by its REST interface, or into an archive by STOW-RS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from calcreport.service.adapter_settings import DicomwebSinkSettings, OrthancSinkSettings
from calcreport.service.delivery import Delivery
from calcreport.service.sinks.dimse import DUPLICATE, identity_of, is_retryable, objects_of
from calcreport.service.web import WebClient, WebError, body_of, files_body

_ANSWER: Final = "application/dicom+json"  # media type
_FAILED, _REASON = "00081198", "00081197"  # Failed SOP Sequence, Failure Reason
_UNSTATED: Final = 0x0110  # a failure in processing, for a reason that is missing


class _WebSink(ABC):
    """A sink that is a server."""

    def __init__(self, name: str, settings: OrthancSinkSettings | DicomwebSinkSettings) -> None:
        self.name = name
        self._settings = settings
        self._client = WebClient(settings)

    def deliver(self, delivery: Delivery) -> None:
        """Send the DICOM objects; see `calcreport.service.delivery.Sink.deliver`."""
        paths = objects_of(delivery, self._settings.objects)
        try:
            if paths:
                self._send(paths)
        finally:
            self._client.close()

    @abstractmethod
    def _send(self, paths: list[Path]) -> None:
        """Send files in an order of their own; raises `WebError`."""


class OrthancSink(_WebSink):
    """A sink. An object that is there already is left alone: our UIDs follow from the content."""

    def _send(self, paths: list[Path]) -> None:
        for path in paths:
            if self._is_there(identity_of(path).instance_uid):
                continue
            answer = self._client.json("/instances", body=body_of("application/dicom", path))
            if not isinstance(answer, dict) or answer.get("Status") not in {"Success", "AlreadyStored"}:
                raise WebError("Orthanc did not store an object; its log says why", code="web.not_stored")

    def _is_there(self, uid: str) -> bool:
        found = self._client.json("/tools/lookup", body=body_of("text/plain", uid.encode()))
        return isinstance(found, list) and any(isinstance(row, dict) and row.get("Type") == "Instance" for row in found)


class DicomwebSink(_WebSink):
    """A sink. All objects of a study go in one request.

    An archive that has an object already says so, or stores the same again under the same UID.
    """

    def _send(self, paths: list[Path]) -> None:
        allowed = (HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)
        answer = self._client.json("/studies", body=files_body(paths), accept=_ANSWER, allowed=allowed)
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
            yield _UNSTATED
