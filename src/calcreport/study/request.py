"""The request of a run: inputs, formats and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from calcreport.dicom import StudyFiles
from calcreport.files.clinical_table import ClinicalData, StudyClinical
from calcreport.formats import Templates
from calcreport.model.clinical import Clinical
from calcreport.model.report import Report, Software
from calcreport.rules import Ruleset
from calcreport.rules.prior_match import EarlierReport
from calcreport.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPrior:
    """What was named as the earlier study."""

    report: Report | None = field(default=None, repr=False)
    """``None`` for images, which are analysed first."""
    places: tuple[Path, ...] = field(default=(), repr=False)
    """Where its images lie; empty where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlierImages:
    """An earlier study with its images."""

    report: Report = field(repr=False)
    files: StudyFiles = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to analyse and how."""

    paths: tuple[Path, ...]
    """Folders, files or zip archives."""
    out: Path | None
    """Where results go; ``None`` writes nothing."""
    settings: Settings
    """Effective settings."""
    clinical_data: ClinicalData
    """Clinical input, of one patient or of many."""
    lesion_mask: Path | None
    """Contours of whole lesions; only for a single study."""
    lesion_roi: str | None
    """Name or number of the structure in the mask that is the lesion."""
    anatomy: Path | Literal["run"] | None
    """Organ and bone masks of another program, of a single study, or to be made by TotalSegmentator."""
    formats: tuple[str, ...]
    """Names of renderers, and ``png`` for key images beside the report."""
    templates: Templates
    """Layouts and wording."""
    ruleset: Ruleset
    """Rules of the decision logic."""
    jobs: int
    """Studies analysed side by side, ≥ 1."""
    software: Software
    """Printed in every report."""
    created: str
    """Date and time of the draft, ISO 8601."""
    prior: GivenPrior | None = None
    """What was named as an earlier study of the same patient."""
    earlier: EarlierReport | None = None
    """Its report, to compare with; of images once they are analysed."""
    earlier_images: EarlierImages | None = None
    """Its images, where they are known."""
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
