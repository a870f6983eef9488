"""What was measured on one study, whatever kind of image it is: the part of the work that CT and radiographs share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from calcreport.compose import Imaging, Statements
from calcreport.dicom import SeriesFiles
from calcreport.errors import CalcReportError
from calcreport.formats import Rendered
from calcreport.model.film import FilmFindings
from calcreport.model.findings import Findings
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings
from calcreport.model.report import Report, Searched, SeriesEntry, Study

if TYPE_CHECKING:
    from calcreport.dicom.header.image_header import ImageHeader

Pictures = Mapping[str, Callable[[], Rendered]]
"""What draws each picture, by its file name; one that is only for the page is named as `as_html.PREVIEW` says."""

Draw = Callable[[Report, tuple[int, ...], Statements], Pictures]
"""Prepares the pictures of a report; with each of its lesions goes the index among those measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Basis:
    """What stands behind a report: masks and images.

    Parameters
    ----------
    findings : CtFindings | FilmFindings
        As measured.
    draw : Draw
        Prepares the pictures.
    images : tuple[ImageHeader, ...]
        Files that were measured, each once.
    volumes : tuple[CtVolume, ...]
        The measured CT series, best first; empty for radiographs.
    """

    findings: CtFindings | FilmFindings
    draw: Draw
    images: tuple[ImageHeader, ...] = field(repr=False)
    volumes: tuple[CtVolume, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredStudy:
    """One study, measured.

    Parameters
    ----------
    study : Study
        As the header says, with the modality of what was measured.
    series : tuple[SeriesEntry, ...]
        Every series of the study and what became of it.
    basis : Basis
        Masks and images.
    taken : Findings
        The same for the decision logic.
    imaging : tuple[Imaging, ...]
        How each measured CT series was made, best first; empty for radiographs.
    image_count : int
        Slices or radiographs measured.
    limitations : tuple[str, ...]
        Sentences on what of the study was not looked at.
    searched : tuple[Searched, ...]
        Parts of the body that the study covers, and whether each was searched.
    """

    study: Study
    series: tuple[SeriesEntry, ...]
    basis: Basis
    taken: Findings
    imaging: tuple[Imaging, ...]
    image_count: int
    limitations: tuple[str, ...] = ()
    searched: tuple[Searched, ...] = ()


class RefusedStudyError(Exception):
    """Nothing of a study can be measured: the reason, and what became of each series."""

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
