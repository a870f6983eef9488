"""Results into an archive by STOW-RS, all objects of a study in one request."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from calcreport.service.adapter_settings import DicomwebSinkSettings
from calcreport.service.adapters import Delivery
from calcreport.service.multipart import files_body
from calcreport.service.sinks.objects import objects_of
from calcreport.service.sinks.statuses import DUPLICATE, is_retryable
from calcreport.service.web import WebClient, WebError

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
        """Send everything; see `calcreport.service.adapters.Sink.deliver`.

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
