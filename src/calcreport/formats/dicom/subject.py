"""What the DICOM objects of one study are made from, and their identity.

The same draft has the same UIDs, a changed one supersedes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from calcreport.dicom.source_images import SourceImages
from calcreport.errors import UsageError
from calcreport.model.film import FilmFindings, ProjectedLesion
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.report import Lesion, Report
from calcreport.model.shape import PackedMask, unpack_mask
from calcreport.model.uids import derive_uid
from calcreport.text.statements import Statements
from calcreport.text.wording import Presenter, present

REFERENCE: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")  # What names an object
_UID: Final = re.compile(r"[0-9.]{1,64}")
"""Less strict than the standard: scanners write components that begin with a zero."""


class Reference(NamedTuple):
    """An object in a PACS, by the UIDs that `REFERENCE` names."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str

    def as_dataset(self) -> Dataset:
        """Header that refers to the object."""
        header = Dataset()
        for keyword, uid in zip(REFERENCE, self, strict=True):
            setattr(header, keyword, uid)
        return header


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One draft of a report."""

    study_instance_uid: str
    digest: str
    """Of all that the report says, in fields, masks and text."""
    created: datetime
    """When it was drafted, as the clock on the wall showed it, in whole seconds; of a draft that is written again the
    first time."""
    superseded: tuple[Reference, ...] = ()
    """Structured reports that it replaces."""

    def series_uid(self, kind: str) -> str:
        """Series Instance UID of objects of a kind, such as ``"sr"``."""
        return derive_uid("series", kind, *self._names)

    def instance_uid(self, kind: str, name: str = "") -> str:
        """SOP Instance UID of an object; `name` tells several of one kind apart."""
        return derive_uid("instance", kind, name, *self._names)

    @property
    def _names(self) -> tuple[str, ...]:
        # What is superseded counts: a report changed and changed back is not the first one again, for its objects
        # name another predecessor, and one UID never stands for two contents.
        return (self.study_instance_uid, self.digest, *(document.sop_instance_uid for document in self.superseded))


def revise(report: Report, *, text: Iterable[str] = (), previous: bytes | None = None) -> Revision:
    """Identify the objects of a report, whose `created` is the time of the draft.

    `text` stands in the documents in the words of a site, which are no part of the report. `previous` is ``sr.dcm`` of
    the last draft of the same study; damaged, it counts as none. An unchanged report has the revision of the last
    draft, its time and what it superseded included: written again, the objects are the same. Otherwise the last draft
    is superseded.
    """
    study = report.study.study_instance_uid
    # the wall clock: DICOM times carry no zone here, and those of the study stand beside them
    drafted = datetime.fromisoformat(report.created or "1970-01-01").replace(tzinfo=None, microsecond=0)
    first = Revision(study_instance_uid=study, digest=digest_of(report, text), created=drafted)
    last = _header(previous)
    if last is None or str(last.StudyInstanceUID) != study:
        return first
    again = replace(first, superseded=_superseded_by(last), created=_time_of(last) or first.created)
    if str(last.SOPInstanceUID) == again.instance_uid("sr"):
        return again
    return replace(first, superseded=(Reference(*(str(last[name].value) for name in REFERENCE)),))


def digest_of(report: Report, text: Iterable[str] = ()) -> str:
    """SHA-256 of what a report says but for its time, and of the text written about it, in hexadecimal."""

    def content(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
        if isinstance(value, dict):
            if value.keys() == PackedMask.model_fields.keys():
                # the cells of a mask compress to other bits with another version of the compressor
                cells = np.packbits(unpack_mask(PackedMask.model_validate(value)))
                return value | {"bits": hashlib.sha256(cells.tobytes()).hexdigest()}
            return {name: content(part) for name, part in value.items() if name != "created"}
        return [content(part) for part in value] if isinstance(value, list) else value

    said = [content(report.model_dump(mode="json", by_alias=True)), *text]
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _header(content: bytes | None) -> Dataset | None:
    """Header of an earlier report; ``None`` when it is damaged, no such document, or cannot be referred to."""
    if content is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
            uids = [str(header[name].value) for name in REFERENCE]
    except Exception:  # noqa: BLE001 - whatever a parser raises on a damaged file
        return None
    is_report = header.SOPClassUID == Comprehensive3DSRStorage
    return header if is_report and all(_UID.fullmatch(uid) for uid in uids) else None


def _superseded_by(header: Dataset) -> tuple[Reference, ...]:
    """Documents that a document replaces; none when its list of them is damaged."""
    try:
        uids = [
            (
                study.StudyInstanceUID,
                series.SeriesInstanceUID,
                item.ReferencedSOPClassUID,
                item.ReferencedSOPInstanceUID,
            )
            for study in header.get("PredecessorDocumentsSequence") or ()
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        ]
        return tuple(Reference(*map(str, each)) for each in uids)
    except (AttributeError, TypeError):
        return ()


def _time_of(header: Dataset) -> datetime | None:
    try:
        return datetime.strptime(f"{header.ContentDate}{str(header.ContentTime)[:6]}", "%Y%m%d%H%M%S")  # noqa: DTZ007
    except (AttributeError, ValueError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """One reported study."""

    report: Report = field(repr=False)
    findings: CtFindings | FilmFindings
    order: tuple[int, ...]
    """For each lesion of the report its index in `findings`."""
    volume: CtVolume | None
    """The best measured series; ``None`` for radiographs."""
    source: SourceImages
    """Headers of every image of the study that was measured."""
    section: str = field(repr=False)
    """The report section as text: ASCII, lines of at most 80 columns."""
    statements: Statements
    revision: Revision
    further_volumes: tuple[CtVolume, ...] = ()
    """Series measured beside it, each of another part of the body."""

    @property
    def words(self) -> Presenter:
        """Wording bound to the report."""
        return present(self.report, self.statements)

    @property
    def volumes(self) -> tuple[CtVolume, ...]:
        """Measured series, by `MeasuredLesion.series_index`; empty for radiographs."""
        return () if self.volume is None else (self.volume, *self.further_volumes)

    @property
    def lesions(self) -> tuple[tuple[Lesion, MeasuredLesion | ProjectedLesion], ...]:
        """Lesions in the order of the report, which holds rejected ones apart, each with what was measured of it."""
        pairs = zip(self.report.lesions, self.order, strict=True)
        return tuple((lesion, self.findings.lesions[index]) for lesion, index in pairs)


def other_images() -> UsageError:
    """Error for an image that the report names and the study does not have."""
    msg = "the images found are not those the report was made from; name the study with --study, or analyse it anew"
    return UsageError(msg, code="render.other_images")


def damaged_shape() -> UsageError:
    """Error for a lesion without any voxel or pixel."""
    msg = "the report does not hold where its lesions are, or it was damaged; take the original one or analyse anew"
    return UsageError(msg, code="render.damaged_shape")
