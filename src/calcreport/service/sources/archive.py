"""Images out of an archive that can be queried, whichever protocol it speaks; nothing in it is altered.

There is no feed of changes, so that the studies of the last days are asked for again and again. A study is fetched when
two queries in a row name the same images, and again when there are others later.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from threading import Event
from typing import Final, TypeVar

from pydantic import BaseModel

from calcreport.service.adapter_settings import DicomwebSourceSettings, DimseSourceSettings
from calcreport.service.identity import ANALYSED_CLASSES, DIGITS, content_of, uid_digest
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.queue import EARLIER
from calcreport.service.sources.polled import Source, cursor_from, is_uid

ArchiveSettings = TypeVar("ArchiveSettings", bound=DicomwebSourceSettings | DimseSourceSettings)
Row = Mapping[str, str]
"""What an archive says of a study or an image, by keyword; empty what it does not say."""
MODALITIES: Final = ("CT", "CR", "DX")  # asked for
_WHO: Final = ("IssuerOfPatientID", "PatientID", "PatientBirthDate", "PatientSex")
_IMAGE: Final = ("SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID")
_COUNT: Final = "NumberOfStudyRelatedInstances"


class _Seen(BaseModel):
    images: str = ""
    """Hash of the images that were fetched last, or that were there before."""
    count: int | None = None
    """Number of instances of the study by then, as the archive states it."""


class StudyCursor(BaseModel):
    """Where to go on: what was seen of each study, by hash of its UID."""

    studies: dict[str, _Seen] = {}


class ArchiveSource(Source[ArchiveSettings, StudyCursor]):
    """A source; see the module."""

    def __init__(self, name: str, settings: ArchiveSettings, journal: Journal) -> None:
        super().__init__(name, settings, journal)
        self._last: dict[str, str] = {}
        self._is_first = False

    @abstractmethod
    def _rows(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[Row]:
        """Studies that match (``STUDY``), or images of one (``IMAGE``), with what is wanted of each, its UID first."""

    @abstractmethod
    def _fetch_study(self, inbox: Inbox, study: str, images: Mapping[str, str], stop: Event, sender: str) -> bool:
        """Fetch images, instance to series, of a study; ``False`` when `stop` was set before its end."""

    def _begin(self, inbox: Inbox) -> StudyCursor:
        known = inbox.recall(self.name)
        self._is_first = known is None and not self._settings.is_from_beginning
        return cursor_from(known or "", StudyCursor())

    def _look(self, inbox: Inbox, cursor: StudyCursor, stop: Event) -> StudyCursor:
        """Ask for the studies of the last days and fetch those that are new or changed and at rest."""
        now = StudyCursor()
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
        for earlier in self._earlier(study) if self._settings.earlier_studies else ():
            others = self._images(earlier)
            if len(others) <= self._settings.earlier_images:
                self._fetch_study(inbox, earlier, others, stop, self.name + EARLIER)
        return self._fetch_study(inbox, study, images, stop, self.name)

    def _earlier(self, study: str) -> list[str]:
        """Latest earlier studies of the patient of a study: id, issuer, date of birth and sex agree."""
        wanted = ("StudyInstanceUID", "StudyDate", *_WHO)
        row = next(self._rows("STUDY", {"StudyInstanceUID": study}, wanted), dict.fromkeys(wanted, ""))
        who, day = [row[name] for name in _WHO], row["StudyDate"]
        if not all((*who[1:], day)):
            self._journal.tell("earlier_refused", step=self.name, code="prior.patient_unknown")
            return []
        dates: dict[str, str] = {}
        for other in self._matching({"PatientID": who[1], "StudyDate": f"-{day}"}, wanted):
            uid, then = uid_of(other, "StudyInstanceUID"), other["StudyDate"]
            if uid and "" < then < day and other["PatientID"] == who[1]:  # a patient id may hold a wildcard
                dates[uid] = then if [other[name] for name in _WHO] == who else ""
        if "" in dates.values():
            self._journal.tell("earlier_refused", step=self.name, code="prior.other_patient")
        return sorted(filter(dates.get, dates), key=dates.__getitem__)[-self._settings.earlier_studies :]

    def _matching(self, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[Row]:
        return (row for name in MODALITIES for row in self._rows("STUDY", {**where, "ModalitiesInStudy": name}, wanted))

    def _studies(self) -> dict[str, int | None]:
        """Study Instance UIDs of the last days, and how many instances each has, where the archive tells."""
        today = date.today()  # noqa: DTZ011 - the wall clock of the site, as scanners write it
        first = today - timedelta(days=self._settings.days - 1)
        rows = self._matching({"StudyDate": f"{first:%Y%m%d}-{today:%Y%m%d}"}, ("StudyInstanceUID", _COUNT))
        counts = {uid_of(row, "StudyInstanceUID"): row[_COUNT] for row in rows}
        return {study: int(count) if count.isdecimal() else None for study, count in counts.items() if study}

    def _images(self, study: str) -> dict[str, str]:
        """Images of a study that are of a kind that is analysed: SOP Instance UID → Series Instance UID."""
        rows = self._rows("IMAGE", {"StudyInstanceUID": study}, _IMAGE)
        images = {
            uid_of(row, "SOPInstanceUID"): uid_of(row, "SeriesInstanceUID")
            for row in rows
            if row["SOPClassUID"] in {"", *ANALYSED_CLASSES}  # some archives do not say what an image is
        }
        return {instance: series for instance, series in images.items() if instance and series}


def uid_of(row: Row, keyword: str) -> str:
    """Identifier; empty when it is none: it becomes part of an address."""
    return row[keyword] if is_uid(row[keyword]) else ""
