"""What is asked about a study, and what its measurement gives, common to CT and radiographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from calcreport.compose.technique import Imaging
from calcreport.dicom import SeriesFiles, StudyFiles
from calcreport.errors import CalcReportError
from calcreport.files.clinical_table import ClinicalData, StudyClinical
from calcreport.formats import Templates
from calcreport.model.clinical import Clinical
from calcreport.model.film import FilmFindings
from calcreport.model.findings import Findings
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings
from calcreport.model.overlay import EarlierSlice
from calcreport.model.report import Incidental, Report, Searched, SeriesEntry, Software, Study
from calcreport.rules import Ruleset
from calcreport.rules.prior_match import EarlierReport
from calcreport.settings import Settings

if TYPE_CHECKING:
    from calcreport.dicom.header.image_header import ImageHeader

Pictures = Mapping[str, Callable[[], bytes]]
"""Renderer of each picture by file name; `as_html.PREVIEW` names those used by the page alone."""
Draw = Callable[..., Pictures]
"""Prepares the pictures of a report: called with it, the measured index of each of its lesions, and the statements; of
CT also with `earlier`, an `EarlierSlice` by measured index."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prior:
    """An earlier study of the same patient, as far as it is known."""

    report: Report | None = field(default=None, repr=False)
    """``None`` for images, which are analysed first."""
    facts: EarlierReport | None = None
    places: tuple[Path, ...] = field(default=(), repr=False)
    """Where its images lie; empty where that is not known."""
    files: StudyFiles | None = field(default=None, repr=False)
    older: tuple[Prior, ...] = ()
    """Studies before it, the latest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to analyse and how."""

    paths: tuple[Path, ...]
    out: Path | None
    settings: Settings
    clinical_data: ClinicalData
    lesion_mask: Path | None
    """Contours of whole lesions; only for a single study."""
    lesion_roi: str | None
    """Name or number of the structure in the mask that is the lesion."""
    anatomy: Path | Literal["run"] | None
    """Organ and bone masks of another program, of a single study, or to be made by TotalSegmentator."""
    formats: tuple[str, ...]
    """Names of renderers, and ``png`` for key images beside the report."""
    templates: Templates
    ruleset: Ruleset
    jobs: int
    software: Software
    created: str
    """Date and time of the draft, ISO 8601."""
    prior: Prior | None = None
    priors: Path | None = None  # results of many, among which each study finds the earlier one of its patient
    beside: Callable[[Report, Mapping[str, bytes]], dict[str, bytes]] | None = None
    """Makes further files of a study's folder from its report and its files."""
    keeps_reports: bool = False
    """Whether the outcome of a study holds its report."""
    study_clinical: StudyClinical | None = None
    """What of `clinical_data` is about the study at hand; ``None`` before that is known."""

    @property
    def clinical(self) -> Clinical:
        """Clinical input of the present study."""
        return (self.study_clinical or StudyClinical()).clinical


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportEvidence:
    """Masks and images that a report rests on."""

    findings: CtFindings | FilmFindings
    draw: Draw
    images: tuple[ImageHeader, ...] = field(repr=False)
    """Files that were measured, each once."""
    volumes: tuple[CtVolume, ...] = ()
    """The measured CT series, best first; empty for radiographs."""
    earlier: Mapping[int, EarlierSlice] = field(default_factory=dict)
    """Earlier images on the key slice of a lesion, by its measured index."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredStudy:
    """One study, measured."""

    study: Study
    """As the header says, with the modality of what was measured."""
    series: tuple[SeriesEntry, ...]
    evidence: ReportEvidence
    rule_findings: Findings
    imaging: tuple[Imaging, ...]
    """How each measured CT series was made, best first; empty for radiographs."""
    image_count: int
    limitations: tuple[str, ...] = ()
    """Sentences on the parts of the study that were not analysed."""
    searched: tuple[Searched, ...] = ()
    incidental: tuple[Incidental, ...] = ()


class RefusedStudyError(Exception):
    """Nothing of a study can be measured: the reason and the outcome of each series."""

    def __init__(self, reason: CalcReportError, entries: tuple[SeriesEntry, ...]) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.entries = entries


def entry_of_series(
    series: SeriesFiles, status: Literal["analysed", "skipped", "refused"], code: str, message: str
) -> SeriesEntry:
    """Row of a CT series in the report."""
    stack = f" Stack: {series.stack}." if series.stack else ""
    return SeriesEntry(
        series_instance_uid=series.uid,
        modality=series.modality,
        status=status,
        code=code,
        message=message + stack,
        series_number=series.number,
        description=series.description,
        image_count=len(series.planes),
    )
