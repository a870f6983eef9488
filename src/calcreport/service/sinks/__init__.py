"""Where results go: each sink in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping

from calcreport.service.adapter_settings import (
    DicomwebSinkSettings,
    FolderSinkSettings,
    OrthancSinkSettings,
    SinkSettings,
)
from calcreport.service.adapters import Sink
from calcreport.service.sinks.dicomweb import DicomwebSink
from calcreport.service.sinks.dimse import DimseSink
from calcreport.service.sinks.folder import FolderSink
from calcreport.service.sinks.orthanc import OrthancSink

__all__ = ["FolderSink", "sinks_from"]


def sinks_from(settings: Mapping[str, SinkSettings]) -> list[Sink]:
    """Make the sinks a site has set up; nothing is opened yet.

    Raises
    ------
    SettingsError
        ``settings.secret`` or ``settings.tls``: a file that is named cannot be read.
    """
    return [_sink(name, item) for name, item in settings.items()]


def _sink(name: str, settings: SinkSettings) -> Sink:
    if isinstance(settings, FolderSinkSettings):
        return FolderSink(name, settings)
    if isinstance(settings, OrthancSinkSettings):
        return OrthancSink(name, settings)
    if isinstance(settings, DicomwebSinkSettings):
        return DicomwebSink(name, settings)
    return DimseSink(name, settings)
