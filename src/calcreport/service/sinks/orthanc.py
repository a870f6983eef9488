"""Results into Orthanc by its REST interface."""

from __future__ import annotations

from pathlib import Path

from calcreport.service.adapter_settings import OrthancSinkSettings
from calcreport.service.adapters import Delivery
from calcreport.service.multipart import file_body
from calcreport.service.sinks.objects import identity_of, objects_of
from calcreport.service.web import Body, WebClient, WebError


class OrthancSink:
    """A sink. An object that is there already is left alone: our UIDs follow from the content."""

    def __init__(self, name: str, settings: OrthancSinkSettings) -> None:
        self.name = name
        self._settings = settings
        self._client = WebClient(settings)

    def deliver(self, delivery: Delivery) -> None:
        """Send what is not there; see `calcreport.service.adapters.Sink.deliver`."""
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
