"""An archive by DICOMweb: QIDO-RS says what is there, WADO-RS gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Event
from typing import Any, Final
from urllib.parse import quote

from pydicom.datadict import tag_for_keyword

from calcreport.service.adapter_settings import DicomwebSourceSettings
from calcreport.service.inbox import Inbox
from calcreport.service.sources.archive import ArchiveSource, Row, StudyCursor
from calcreport.service.sources.polled import WebSource
from calcreport.service.web import MissingError, WebError

# Media types of rows and of a file.
_ROWS: Final = "application/dicom+json"
_FILE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PAGE: Final = 200  # rows
_MOST_PAGES: Final = 1000  # of one query


class DicomwebSource(ArchiveSource[DicomwebSourceSettings], WebSource[DicomwebSourceSettings, StudyCursor]):
    """A source; see the module."""

    def _fetch_study(self, inbox: Inbox, study: str, images: Mapping[str, str], stop: Event, sender: str) -> bool:
        paths = [f"/studies/{study}/series/{series}/instances/{instance}" for instance, series in images.items()]
        return self._fetch_all(inbox, study, paths, stop, accept=_FILE, sender=sender)

    def _rows(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[Row]:
        """Rows of a query, page by page; an archive that knows no pages gives the same rows again."""
        tags = {keyword: f"{tag_for_keyword(keyword):08X}" for keyword in wanted}
        matched = "&".join(f"{keyword}={quote(value)}" for keyword, value in where.items())
        query = f"/studies?{matched}" if level == "STUDY" else f"/studies/{where['StudyInstanceUID']}/instances?"
        query += "".join(f"&includefield={tag}" for tag in tags.values())
        known: set[str] = set()
        for _page in range(_MOST_PAGES):
            try:
                answer = self._client.json(f"{query}&limit={_PAGE}&offset={len(known)}", accept=_ROWS)
            except MissingError:  # how some archives say that there is none
                return
            rows = [{name: _text(row, tag) for name, tag in tags.items()} for row in answer or ()]
            fresh = [row for row in rows if row[wanted[0]] not in known]
            known.update(row[wanted[0]] for row in fresh)
            if len(known) > _PAGE * _MOST_PAGES:
                raise WebError("the server's answer has no end", code="web.unreadable")
            yield from fresh
            if not fresh:  # a page may be shorter than asked for
                return


def _text(row: Any, tag: str) -> str:  # noqa: ANN401 - whatever a server says
    try:
        value = row[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return ""
    return "" if value is None else str(value).strip("\0 ")
