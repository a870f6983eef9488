"""Images out of an archive that is queried, by DICOMweb or by DICOM itself; nothing in it is altered.

There is no feed of changes, so that the studies of the last days are asked for again and again. A study is fetched when
two queries in a row name the same images, and again when there are others later.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from threading import Event
from typing import Any, Final, TypeVar
from urllib.parse import quote

from pydantic import BaseModel
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DicomwebSourceSettings, DimseSourceSettings
from calcreport.service.identity import ANALYSED_CLASSES, DIGITS, content_of, uid_digest
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.queue import EARLIER
from calcreport.service.sinks.dimse import associated
from calcreport.service.sources.polled import Source, WebSource, cursor_from, is_uid
from calcreport.service.web import MissingError, WebError

# Settings of either kind; what an archive says of a study or an image, as DICOM JSON (PS3.18 annex F).
Settings = TypeVar("Settings", bound=DicomwebSourceSettings | DimseSourceSettings)
_Row = Mapping[str, Any]
# Asked for: kinds of studies, elements that say whose one is, elements of an image, how many images there are.
_MODALITIES: Final = ("CT", "CR", "DX")
_WHO: Final = ("IssuerOfPatientID", "PatientID", "PatientBirthDate", "PatientSex")
_IMAGE: Final = ("SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID")
_COUNT: Final = "NumberOfStudyRelatedInstances"
# Media types of rows and of a file; rows on a page, and pages of a query.
_ROWS: Final = "application/dicom+json"
_FILE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PAGE, _MOST_PAGES = 200, 1000
# Query/Retrieve by study (PS3.4 annex C), and status of C-MOVE where some images did not come.
_SOME_FAILED: Final = 0xB000
_FIND, _MOVE = UID("1.2.840.10008.5.1.4.1.2.2.1"), UID("1.2.840.10008.5.1.4.1.2.2.2")


class _Seen(BaseModel):
    images: str = ""
    """Hash of the images that were fetched last, or that were there before."""
    count: int | None = None
    """Number of instances of the study by then, as the archive states it."""


class _Cursor(BaseModel):
    studies: dict[str, _Seen] = {}
    """By hash of the Study Instance UID."""


class ArchiveSource(Source[Settings, _Cursor]):
    """A source; see the module."""

    def __init__(self, name: str, settings: Settings, journal: Journal) -> None:
        super().__init__(name, settings, journal)
        self._last: dict[str, str] = {}
        self._is_first = False

    @abstractmethod
    def _rows(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[_Row]:
        """Studies that match (``STUDY``), or images of one (``IMAGE``), with what is wanted of each, its UID first."""

    @abstractmethod
    def _fetch_study(self, inbox: Inbox, study: str, images: Mapping[str, str], stop: Event, sender: str) -> bool:
        """Fetch images, instance to series, of a study; ``False`` when `stop` was set before its end."""

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

    def _fetch_images(self, inbox: Inbox, study: str, images: Mapping[str, str], stop: Event) -> bool:
        try:
            for earlier in self._earlier(study) if self._settings.earlier_studies else ():
                others = self._images(earlier)
                if len(others) <= self._settings.earlier_images:
                    self._fetch_study(inbox, earlier, others, stop, self.name + EARLIER)
        except DeliveryError as error:  # which holds up no later study
            self._journal.tell("earlier_refused", step=self.name, code=error.code)
        return self._fetch_study(inbox, study, images, stop, self.name)

    def _earlier(self, study: str) -> list[str]:
        """Latest earlier studies of the patient of a study: id, issuer, date of birth and sex agree."""
        wanted = ("StudyInstanceUID", "StudyDate", *_WHO)
        row = next(self._rows("STUDY", {"StudyInstanceUID": study}, wanted), {})
        day, *who = (_text(row, name) for name in wanted[1:])
        if not all((*who[1:], day)):
            self._journal.tell("earlier_refused", step=self.name, code="prior.patient_unknown")
            return []
        dates: dict[str, str] = {}
        for other in self._matching({"PatientID": who[1], "StudyDate": f"-{day}"}, wanted):
            uid, (then, *whose) = _uid(other, "StudyInstanceUID"), [_text(other, name) for name in wanted[1:]]
            if uid and "" < then < day and whose[1] == who[1]:  # a patient id may hold a wildcard
                dates[uid] = then if whose == who else ""
        if "" in dates.values():
            self._journal.tell("earlier_refused", step=self.name, code="prior.other_patient")
        return sorted(filter(dates.get, dates), key=dates.__getitem__)[-self._settings.earlier_studies :]

    def _matching(self, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[_Row]:
        return (
            row for name in _MODALITIES for row in self._rows("STUDY", {**where, "ModalitiesInStudy": name}, wanted)
        )

    def _studies(self) -> dict[str, int | None]:
        """Study Instance UIDs of the last days, and how many instances each has, where the archive tells."""
        today = date.today()  # noqa: DTZ011 - the wall clock of the site, as scanners write it
        first = today - timedelta(days=self._settings.days - 1)
        rows = self._matching({"StudyDate": f"{first:%Y%m%d}-{today:%Y%m%d}"}, ("StudyInstanceUID", _COUNT))
        counts = {_uid(row, "StudyInstanceUID"): _text(row, _COUNT) for row in rows}
        return {study: int(count) if count.isdecimal() else None for study, count in counts.items() if study}

    def _images(self, study: str) -> dict[str, str]:
        """Images of a study that are of a kind that is analysed: SOP Instance UID → Series Instance UID."""
        return {
            instance: series
            for row in self._rows("IMAGE", {"StudyInstanceUID": study}, _IMAGE)
            if (instance := _uid(row, "SOPInstanceUID")) and (series := _uid(row, "SeriesInstanceUID"))
            and _text(row, "SOPClassUID") in {"", *ANALYSED_CLASSES}  # some archives do not say what an image is
        }  # fmt: skip


class DicomwebSource(ArchiveSource[DicomwebSourceSettings], WebSource[DicomwebSourceSettings, _Cursor]):
    """QIDO-RS says what is there, WADO-RS gives it."""

    def _fetch_study(self, inbox: Inbox, study: str, images: Mapping[str, str], stop: Event, sender: str) -> bool:
        paths = [f"/studies/{study}/series/{series}/instances/{instance}" for instance, series in images.items()]
        return self._fetch_all(inbox, study, paths, stop, accept=_FILE, sender=sender)

    def _rows(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[_Row]:
        """Rows of a query, page by page; an archive that knows no pages gives the same rows again."""
        matched = "&".join(f"{keyword}={quote(value)}" for keyword, value in where.items())
        query = f"/studies?{matched}" if level == "STUDY" else f"/studies/{where['StudyInstanceUID']}/instances?"
        query += "".join(f"&includefield={tag_for_keyword(keyword):08X}" for keyword in wanted)
        known: set[str] = set()
        for _page in range(_MOST_PAGES):
            try:
                answer = self._client.json(f"{query}&limit={_PAGE}&offset={len(known)}", accept=_ROWS)
            except MissingError:  # how some archives say that there is none
                return
            fresh = [row for row in answer or () if isinstance(row, dict) and _text(row, wanted[0]) not in known]
            known.update(_text(row, wanted[0]) for row in fresh)
            if len(known) > _PAGE * _MOST_PAGES:
                raise WebError("the server's answer has no end", code="web.unreadable")
            yield from fresh
            if not fresh:  # a page may be shorter than asked for
                return


class DimseSource(ArchiveSource[DimseSourceSettings]):
    """C-FIND says what is there, C-MOVE lets it send that to our own SCP, where the limits of the receiver hold."""

    def _rows(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[_Row]:
        if level == "STUDY":
            yield from self._found(level, where, wanted)
            return
        for row in self._found("SERIES", where, ("SeriesInstanceUID", "Modality")):
            if (series := _uid(row, "SeriesInstanceUID")) and _text(row, "Modality") in _MODALITIES:
                for image in self._found(level, {**where, "SeriesInstanceUID": series}, wanted):
                    yield {**image, **row}  # some archives leave out what was asked for

    def _fetch_study(self, inbox: Inbox, study: str, images: Mapping[str, str], stop: Event, sender: str) -> bool:
        """Let the archive send the series one by one; raises `DeliveryError` ``dimse.not_moved``, to be tried again."""
        inbox.expect(study, len(images), sender)
        moved, settings = 0, self._settings
        # Some archives say nothing between the first image and the last.
        patient = settings.model_copy(update={"timeout_seconds": settings.series_seconds})
        for series in dict.fromkeys(images.values()):
            if stop.is_set():
                return False
            request, answer = _request("SERIES", {"StudyInstanceUID": study, "SeriesInstanceUID": series}), Dataset()
            with associated(patient, [(_MOVE, None)], seconds=settings.series_seconds) as association:
                for answer, _none in association.send_c_move(request, settings.calling_aet, _MOVE):  # noqa: B007 - as below
                    pass
            if answer.get("Status") not in {0, _SOME_FAILED}:
                msg = "the archive did not send a series; does it know calling_aet with our address and port?"
                raise DeliveryError(msg, code="dimse.not_moved", is_retryable=True)
            moved += answer.get("NumberOfCompletedSuboperations") or 0
        if 0 < moved < len(images):
            inbox.expect(study, moved, sender)  # the others will not come
        return True

    def _found(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> list[_Row]:
        rows: list[_Row] = []
        answer = Dataset()
        with associated(self._settings, [(_FIND, None)], seconds=10 * self._settings.timeout_seconds) as association:
            request = _request(level, {**dict.fromkeys(wanted, ""), **where})
            for answer, row in association.send_c_find(request, _FIND):  # noqa: B007 - the last one counts
                if row is not None:
                    rows.append(row.to_json_dict(suppress_invalid_tags=True))
                if len(rows) > _PAGE * _MOST_PAGES:
                    association.abort()
        if answer.get("Status") != 0:
            msg = "the archive did not answer a query to its end; its log says why"
            raise DeliveryError(msg, code="dimse.query_failed", is_retryable=True)
        return rows


def _request(level: str, values: Mapping[str, str]) -> Dataset:
    request = Dataset()
    for keyword, value in {"QueryRetrieveLevel": level, **values}.items():
        setattr(request, keyword, value)
    return request


def _text(row: _Row, keyword: str) -> str:
    """First value of an element; empty where there is none."""
    try:
        value = row[f"{tag_for_keyword(keyword):08X}"]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return ""
    return "" if value is None else str(value).strip("\0 ")


def _uid(row: _Row, keyword: str) -> str:
    """Identifier; empty when it is none: it becomes part of an address."""
    text = _text(row, keyword)
    return text if is_uid(text) else ""
