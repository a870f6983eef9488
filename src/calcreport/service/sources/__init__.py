"""Where images come from, beside the storage SCP: each source in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from calcreport.service.adapter_settings import SourceSettings
from calcreport.service.journal import Journal
from calcreport.service.sources.archive import DicomwebSource, DimseSource
from calcreport.service.sources.folder import FolderSource
from calcreport.service.sources.orthanc import OrthancSource
from calcreport.service.sources.polled import Source

_KINDS: Final[Mapping[str, type[Source[Any, Any]]]] = {
    "folder": FolderSource, "orthanc": OrthancSource, "dicomweb": DicomwebSource, "dicom": DimseSource,
}  # fmt: skip
"""By the `kind` of the settings."""


def sources_from(settings: Mapping[str, SourceSettings], journal: Journal) -> list[Source[Any, Any]]:
    """Make the sources a site has set up; nothing is opened yet.

    Raises `SettingsError` ``settings.secret`` or ``settings.tls``: a file that is named cannot be read.
    """
    return [_KINDS[item.kind](name, item, journal) for name, item in settings.items()]
