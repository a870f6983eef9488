"""Where results go: each sink in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from calcreport.service.adapter_settings import PeerAddressSettings, SinkSettings
from calcreport.service.delivery import Sink
from calcreport.service.sinks.dimse import DimseSink
from calcreport.service.sinks.folder import FolderSink
from calcreport.service.sinks.mllp import MllpSink
from calcreport.service.sinks.web import DicomwebSink, OrthancSink
from calcreport.service.web import tls_context

_KINDS: Final[Mapping[str, Callable[[str, Any], Sink]]] = {
    "folder": FolderSink, "orthanc": OrthancSink, "dicomweb": DicomwebSink, "dicom": DimseSink,
    "mllp": MllpSink,
}  # fmt: skip
"""By the `kind` of the settings."""


def sinks_from(settings: Mapping[str, SinkSettings]) -> list[Sink]:
    """Make the sinks a site has set up; nothing is opened yet.

    Raises `SettingsError` ``settings.secret`` or ``settings.tls``: a file that is named cannot be read.
    """
    for item in settings.values():
        if isinstance(item, PeerAddressSettings) and item.is_encrypted:
            tls_context(item)
    return [_KINDS[item.kind](name, item) for name, item in settings.items()]
