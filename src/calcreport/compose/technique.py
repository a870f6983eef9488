"""Subject and origin of a report, and how its images were made: one CT series, or the radiographs of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from calcreport.model import report as model
from calcreport.model.film import FilmFindings, FilmImage, FilmReading
from calcreport.model.findings import Findings
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.lesion import CtFindings
from calcreport.model.report import FilmTechnique, Technique
from calcreport.settings import Settings

_SIDES: dict[str, Literal["left", "right", "both"]] = {"left": "left", "right": "right", "both": "both"}
"""Side in the report by the side of a film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imaging:
    """How an analysed CT series was made."""

    series_instance_uid: str
    acquisition: Acquisition
    spacing_mm: tuple[float, float, float]
    """Row, column and slice distance in mm."""
    contrast: Contrast
    """The phase the thresholds were chosen for."""
    contrast_source: Literal["header", "clinician", "unknown"] = "unknown"


def describe_technique(findings: CtFindings | FilmFindings | Findings, imaging: Imaging | None) -> Technique | None:
    """Describe how the images were made; ``None`` when no image was measured."""
    if isinstance(findings, FilmFindings):
        return _of_films(findings)
    if imaging is None or not isinstance(findings, CtFindings):
        return None
    acquisition = imaging.acquisition
    return Technique(
        kvp=acquisition.kvp,
        slice_thickness_mm=acquisition.slice_thickness_mm,
        spacing_mm=imaging.spacing_mm,
        kernel=acquisition.kernel,
        contrast=imaging.contrast.value,
        contrast_source=imaging.contrast_source,
        threshold_hu=findings.thresholds,
        threshold_reason=findings.threshold_reason,
        noise_hu=findings.noise_hu,
        patient_position=acquisition.patient_position,
        notes=acquisition.notes,
    )


def _of_films(findings: FilmFindings) -> Technique:
    voltages = {film.kvp for film in findings.films}
    films = tuple(_of_film(*pair) for pair in zip(findings.films, findings.readings, strict=True))
    return Technique(
        kvp=voltages.pop() if len(voltages) == 1 else None,
        slice_thickness_mm=None,
        spacing_mm=None,
        kernel=None,
        contrast="unknown",
        threshold_hu=None,
        films=films,
    )


def _of_film(film: FilmImage, reading: FilmReading) -> FilmTechnique:
    rows, columns = film.intensity.shape
    view, scale = film.view, film.scale
    return FilmTechnique(
        series_instance_uid=film.series_instance_uid,
        sop_instance_uid=film.reference.sop_instance_uid,
        instance_number=film.reference.instance_number,
        view=view.position,
        laterality=_SIDES.get(view.laterality or ""),
        body_part=view.body_part,
        rows=rows,
        columns=columns,
        scale=scale.kind.value,
        spacing_mm=scale.spacing_mm,
        calibration=scale.calibration,
        magnification=scale.magnification,
        kvp=film.kvp,
        noise=reading.noise,
        has_skin_line=reading.has_skin_line,
        notes=scale.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftContext:
    """Subject and origin of a report."""

    study: model.Study
    series: tuple[model.SeriesEntry, ...]
    """Every series of the study and its outcome."""
    clinical: Mapping[str, Any]
    """Clinical inputs as plain values, every unknown named."""
    settings: Settings
    software: model.Software
    created: str | None = None
    """Date and time of the draft, ISO 8601."""
    rules: model.RulesUsed | None = None
    rule_findings: Findings | None = None
    """Input of the rules, where the report is made from measured findings: same lesions, same order."""
    limitations: tuple[str, ...] = ()
    """Sentences on the parts of the study that were not analysed."""
    searched: tuple[model.Searched, ...] = ()
    """Parts of the body that the study covers, and whether each was searched."""
    incidental: tuple[model.Incidental, ...] = ()
    further_imaging: tuple[Imaging, ...] = ()
    """How the CT series after the first were made."""
