"""Images out of an archive by DICOMweb: QIDO-RS says what is there, WADO-RS gives it; nothing in it is altered.

There is no feed of changes, so that the studies of the last days are asked for again and again. A study is fetched when
two queries in a row name the same images, and again when there are others later.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from threading import Event
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel

from calcreport.service.adapter_settings import DicomwebSourceSettings
from calcreport.service.identity import ANALYSED_CLASSES, DIGITS, content_of, uid_digest
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.queue import EARLIER
from calcreport.service.sources.polled import WebSource, cursor_from, is_uid
from calcreport.service.web import MissingError, WebError

# Media types of rows and of a file.
_ROWS: Final = "application/dicom+json"
_FILE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PAGE: Final = 200  # rows
_MOST_PAGES: Final = 1000  # of one query
_MODALITIES: Final = ("CT", "CR", "DX")  # asked for
_DATE, _WHO = "00080020", ("00100021", "00100020", "00100030", "00100040")  # issuer, id, date of birth, sex
_STUDY, _SERIES, _INSTANCE, _CLASS, _COUNT = "0020000D", "0020000E", "00080018", "00080016", "00201208"


class _Seen(BaseModel):
    images: str = ""
    """Hash of the images that were fetched last, or that were there before."""
    count: int | None = None
    """Number of instances of the study by then, as the archive states it."""


class _Cursor(BaseModel):
    studies: dict[str, _Seen] = {}
    """By hash of the Study Instance UID."""


class DicomwebSource(WebSource[DicomwebSourceSettings, _Cursor]):
    """A source; see the module."""

    def __init__(self, name: str, settings: DicomwebSourceSettings, journal: Journal) -> None:
        super().__init__(name, settings, journal)
        self._last: dict[str, str] = {}
        self._is_first = False

    def _begin(self, inbox: Inbox) -> _Cursor:
        known = inbox.recall(self.name)
        self._is_first = known is None and not self._settings.is_from_beginning
        return cursor_from(known or "", _Cursor())

    def _look(self, inbox: Inbox, cursor: _Cursor, stop: Event) -> _Cursor:
        """Ask for the studies of the last days and fetch those that are new or changed and at rest."""
        now = _Cursor()
        last, self._last = self._last, {}
        for study, count in self._studies().items():
            if stop.is_set():
                return cursor
            name = uid_digest(study)
            seen = cursor.studies.get(name, _Seen())
            if count is not None and count == seen.count:
                now.studies[name] = seen
                continue
            images = self._images(study)
            digest = content_of(images)[:DIGITS]
            if self._is_first or digest == seen.images or not images:
                now.studies[name] = _Seen(images=digest, count=count)
                continue
            self._last[name] = digest
            if last.get(name) == digest and self._fetch_images(inbox, study, images, stop):
                now.studies[name] = _Seen(images=digest, count=count)
        if self._is_first or now != cursor:
            inbox.remember(self.name, now.model_dump_json())
        self._is_first = False
        return now

    def _fetch_images(self, inbox: Inbox, study: str, images: dict[str, str], stop: Event, suffix: str = "") -> bool:
        if self._settings.earlier_studies and not suffix:
            for earlier in self._earlier(study):
                others = self._images(earlier)
                if len(others) <= self._settings.earlier_images:
                    self._fetch_images(inbox, earlier, others, stop, EARLIER)
        paths = [f"/studies/{study}/series/{series}/instances/{instance}" for instance, series in images.items()]
        return self._fetch_all(inbox, study, paths, stop, accept=_FILE, suffix=suffix)

    def _earlier(self, study: str) -> list[str]:
        """Latest earlier studies of the patient of a study: id, issuer, date of birth and sex agree."""
        fields = "".join(f"&includefield={tag}" for tag in (_DATE, *_WHO))
        row = next(self._rows(f"/studies?StudyInstanceUID={study}{fields}", _STUDY), {})
        who, day = [_value(row, tag) for tag in _WHO], str(_value(row, _DATE) or "")
        if None in who[1:] or not day:
            return []
        dates: dict[str, str] = {}
        for modality in _MODALITIES:
            query = f"/studies?PatientID={quote(str(who[1]))}&StudyDate=-{day}&ModalitiesInStudy={modality}{fields}"
            for other in self._rows(query, _STUDY):
                then, uid = str(_value(other, _DATE) or ""), _uid(other, _STUDY)
                if uid and [_value(other, tag) for tag in _WHO] == who and "" < then < day:
                    dates[uid] = then
        return sorted(dates, key=dates.__getitem__)[-self._settings.earlier_studies :]

    def _studies(self) -> dict[str, int | None]:
        """Study Instance UIDs of the last days, and how many instances each has, where the archive tells."""
        today = date.today()  # noqa: DTZ011 - the wall clock of the site, as scanners write it
        first = today - timedelta(days=self._settings.days - 1)
        dates = f"{first:%Y%m%d}-{today:%Y%m%d}"
        found: dict[str, int | None] = {}
        for modality in _MODALITIES:
            query = f"/studies?StudyDate={dates}&ModalitiesInStudy={modality}&includefield={_COUNT}"
            for row in self._rows(query, _STUDY):
                found[_uid(row, _STUDY)] = _whole_number(row, _COUNT)
        found.pop("", None)
        return found

    def _images(self, study: str) -> dict[str, str]:
        """Images of a study that are of a kind that is analysed: SOP Instance UID → Series Instance UID."""
        images = {
            _uid(row, _INSTANCE): _uid(row, _SERIES)
            for row in self._rows(f"/studies/{study}/instances?includefield={_CLASS}", _INSTANCE)
            if _uid(row, _CLASS) in ANALYSED_CLASSES
        }
        return {instance: series for instance, series in images.items() if instance and series}

    def _rows(self, query: str, key: str) -> Iterator[dict[str, Any]]:
        """Rows of a query, page by page; an archive that knows no pages gives the same rows again."""
        known: set[str] = set()
        for _page in range(_MOST_PAGES):
            try:
                rows = self._client.json(f"{query}&limit={_PAGE}&offset={len(known)}", accept=_ROWS)
            except MissingError:  # how some archives say that there is none
                return
            fresh = [row for row in rows or () if isinstance(row, dict) and _uid(row, key) not in known]
            known.update(_uid(row, key) for row in fresh)
            if len(known) > _PAGE * _MOST_PAGES:
                raise WebError("the server's answer has no end", code="web.unreadable")
            yield from fresh
            if not fresh:  # a page may be shorter than asked for
                return


def _value(row: dict[str, Any], tag: str) -> object:
    try:
        return row[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return None


def _uid(row: dict[str, Any], tag: str) -> str:
    """Identifier; empty when it is none: it becomes part of an address."""
    text = str(_value(row, tag) or "").strip("\0 ")
    return text if is_uid(text) else ""


def _whole_number(row: dict[str, Any], tag: str) -> int | None:
    try:
        return int(str(_value(row, tag)))
    except ValueError:
        return None
