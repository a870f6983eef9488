"""Where images come from, beside the storage SCP: each source in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping

from calcreport.service.adapter_settings import FolderSourceSettings, OrthancSourceSettings, SourceSettings
from calcreport.service.adapters import Source
from calcreport.service.journal import Journal
from calcreport.service.sources.dicomweb import DicomwebSource
from calcreport.service.sources.folder import FolderSource
from calcreport.service.sources.orthanc import OrthancSource
from calcreport.service.sources.threads import Sources

__all__ = ["Sources", "sources_from"]


def sources_from(settings: Mapping[str, SourceSettings]) -> list[Source]:
    """Make the sources a site has set up; nothing is opened yet.

    Raises
    ------
    SettingsError
        ``settings.secret`` or ``settings.tls``: a file that is named cannot be read.
    """
    journal = Journal()
    return [_source(name, item, journal) for name, item in settings.items()]


def _source(name: str, settings: SourceSettings, journal: Journal) -> Source:
    if isinstance(settings, FolderSourceSettings):
        return FolderSource(name, settings, journal)
    if isinstance(settings, OrthancSourceSettings):
        return OrthancSource(name, settings, journal)
    return DicomwebSource(name, settings, journal)
