"""Measurements of one study, common to CT and radiographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from calcreport.compose.technique import Imaging
from calcreport.dicom import SeriesFiles
from calcreport.errors import CalcReportError
from calcreport.model.film import FilmFindings
from calcreport.model.findings import Findings
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings
from calcreport.model.report import Incidental, Searched, SeriesEntry, Study

if TYPE_CHECKING:
    from calcreport.dicom.header.image_header import ImageHeader

Pictures = Mapping[str, Callable[[], bytes]]
"""Renderer of each picture by file name; `as_html.PREVIEW` names those used by the page alone."""

Draw = Callable[..., Pictures]
"""Prepares the pictures of a report: called with it, the measured index of each of its lesions, and the statements; of
CT also with `earlier`, an `EarlierSlice` by measured index."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportEvidence:
    """Masks and images that a report rests on."""

    findings: CtFindings | FilmFindings
    """As measured."""
    draw: Draw
    """Prepares the pictures."""
    images: tuple[ImageHeader, ...] = field(repr=False)
    """Files that were measured, each once."""
    volumes: tuple[CtVolume, ...] = ()
    """The measured CT series, best first; empty for radiographs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredStudy:
    """One study, measured."""

    study: Study
    """As the header says, with the modality of what was measured."""
    series: tuple[SeriesEntry, ...]
    """Every series of the study and its outcome."""
    evidence: ReportEvidence
    """Masks and images."""
    rule_findings: Findings
    """The findings as input of the decision logic."""
    imaging: tuple[Imaging, ...]
    """How each measured CT series was made, best first; empty for radiographs."""
    image_count: int
    """Slices or radiographs measured."""
    limitations: tuple[str, ...] = ()
    """Sentences on the parts of the study that were not analysed."""
    searched: tuple[Searched, ...] = ()
    """Parts of the body that the study covers, and whether each was searched."""
    incidental: tuple[Incidental, ...] = ()
    """Mineral of organs, vessels, gut and airway."""


class RefusedStudyError(Exception):
    """Nothing of a study can be measured: the reason and the outcome of each series."""

    def __init__(self, reason: CalcReportError, entries: tuple[SeriesEntry, ...]) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.entries = entries


def entry_of_series(
    series: SeriesFiles,
    status: Literal["analysed", "skipped", "refused"],
    code: str,
    message: str,
    *,
    image_count: int | None = None,
) -> SeriesEntry:
    """Row of a series in the report; `image_count` where it is not that of its slices."""
    stack = f" Stack: {series.stack}." if series.stack else ""
    return SeriesEntry(
        series_instance_uid=series.uid,
        modality=series.modality,
        status=status,
        code=code,
        message=message + stack,
        series_number=series.number,
        description=series.description,
        image_count=len(series.planes) if image_count is None else image_count,
    )
