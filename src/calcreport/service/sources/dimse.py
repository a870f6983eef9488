"""An archive by DICOM itself: C-FIND says what is there, C-MOVE lets it send that to our own storage SCP.

So what comes keeps to the limits of the receiver, and nothing is taken over an association that has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Event
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import DimseSourceSettings
from calcreport.service.inbox import Inbox
from calcreport.service.sinks.dimse import associated
from calcreport.service.sources.archive import MODALITIES, ArchiveSource, Row, uid_of

# Query/Retrieve by study (PS3.4 annex C).
_FIND: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")
_MOVE: Final = UID("1.2.840.10008.5.1.4.1.2.2.2")
_SOME_FAILED: Final = 0xB000  # status of C-MOVE: the others came
_MOST_ROWS: Final = 200_000  # of one query


class DimseSource(ArchiveSource[DimseSourceSettings]):
    """A source; see the module."""

    def _rows(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[Row]:
        if level == "STUDY":
            yield from self._found(level, where, wanted)
            return
        for row in self._found("SERIES", where, ("SeriesInstanceUID", "Modality")):
            if (series := uid_of(row, "SeriesInstanceUID")) and row["Modality"] in MODALITIES:
                images = self._found(level, {**where, "SeriesInstanceUID": series}, wanted)
                yield from ({**image, "SeriesInstanceUID": series} for image in images)

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

    def _found(self, level: str, where: Mapping[str, str], wanted: tuple[str, ...]) -> list[Row]:
        rows: list[Row] = []
        answer = Dataset()
        with associated(self._settings, [(_FIND, None)], seconds=10 * self._settings.timeout_seconds) as association:
            request = _request(level, {**dict.fromkeys(wanted, ""), **where})
            for answer, row in association.send_c_find(request, _FIND):  # noqa: B007 - the last one counts
                if row is not None:
                    rows.append({keyword: _text(row, keyword) for keyword in wanted})
                if len(rows) > _MOST_ROWS:
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


def _text(row: Dataset, keyword: str) -> str:
    try:
        return str(row[keyword].value or "").strip("\0 ")
    except Exception:  # noqa: BLE001 - not there, or whatever pydicom finds in a hostile one
        return ""
