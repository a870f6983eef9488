"""Measured findings converted to the input of the decision logic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import hypot
from typing import Final, Literal

from calcreport.dicom import CtSeries
from calcreport.model.clinical import Clinical
from calcreport.model.film import FilmFindings, ProjectedLesion
from calcreport.model.findings import Findings, HeaderFacts, LesionFinding, finding_of
from calcreport.model.image import Contrast
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.report import Laterality, Study
from calcreport.rules.gathering import place_by_complaint
from calcreport.rules.regions import are_apart

_THICKEST_MM: Final = 50.0  # No CT slice is thicker; a larger header value is a mistake

_LONGEST_UID: Final = 64  # characters of a UID, PS3.5 section 9.1
_LONGEST_PART: Final = 64  # characters kept of Body Part Examined; a hostile value may be longer
_SIDES: Final[dict[str, Literal["left", "right"]]] = {"left": "left", "right": "right"}  # values the rules know


def findings_for_rules(
    findings: CtFindings,
    study: Study,
    clinical: Clinical,
    *,
    contrast: Contrast,
    threshold_hu: float | None,
    series: Sequence[CtSeries],
) -> Findings:
    """Convert the findings of a CT study to the input of the decision logic, lesions in the order measured.

    The typed region takes precedence over the header, when there is one lesion only. `contrast` is the phase the
    thresholds were chosen for, `threshold_hu` the limit the mineral was grown down to, ``None`` where series differ in
    it. A fine detail is blurred by thick slices and missed by distant ones: the slice thickness is the larger of the
    two, and of several series the largest. What is of the study is known where all series say the same.
    """
    parts = [one.acquisition.body_part for one in series]
    diagonals = [one.volume.geometry.voxel_diagonal_mm for one in series]
    places = [(diagonals[lesion.series_index], parts[lesion.series_index]) for lesion in findings.lesions]
    made_with = _common([one.acquisition.contrast for one in series])
    side = _common([one.acquisition.laterality for one in series])
    frame = _common([one.volume.frame_of_reference_uid for one in series])
    rule_findings = Findings(
        modality="CT",
        contrast="unknown" if contrast is Contrast.GIVEN else contrast.value,
        slice_thickness_mm=max(map(_thickness_mm, series)),
        study_date=day_of(study.study_date),
        header=_header_facts(study, Contrast(made_with or Contrast.UNKNOWN), side),
        frame_of_reference_uid=frame if frame and len(frame) <= _LONGEST_UID else None,  # longer: identifies nothing
        threshold_hu=threshold_hu,
    )
    return _with_lesions(rule_findings, findings.lesions, places, study, clinical)


def _thickness_mm(series: CtSeries) -> float:
    thickness_mm = series.acquisition.slice_thickness_mm or 0.0
    return max(series.volume.geometry.spacing_mm[0], thickness_mm if thickness_mm <= _THICKEST_MM else 0.0)


def _common(values: Sequence[str | None]) -> str | None:
    """The value that all share; ``None`` where they differ."""
    return values[0] if len(set(values)) == 1 else None


def film_findings_for_rules(findings: FilmFindings, study: Study, clinical: Clinical) -> Findings:
    """Convert the findings of radiographs to the input of the decision logic, lesions in the order measured.

    Lengths are projected ones, their least error is the diagonal of one pixel of the film that shows the lesion best.
    The side is known for the study only where all films say the same. The typed region counts as in
    `findings_for_rules`.
    """
    shown = [findings.films[lesion.shadows[0].film] for lesion in findings.lesions]
    places = [
        (None if film.scale.spacing_mm is None else hypot(*film.scale.spacing_mm), film.view.body_part)
        for film in shown
    ]
    rule_findings = Findings(
        modality="DX" if study.modality == "DX" else "CR",
        study_date=day_of(study.study_date),
        header=_header_facts(study, Contrast.UNKNOWN, _common([film.view.laterality for film in findings.films])),
    )
    return _with_lesions(rule_findings, findings.lesions, places, study, clinical)


def _with_lesions(
    rule_findings: Findings,
    lesions: Sequence[MeasuredLesion | ProjectedLesion],
    places: Sequence[tuple[float | None, str | None]],
    study: Study,
    clinical: Clinical,
) -> Findings:
    """Add the lesions; `places` are the diagonal of a voxel or pixel in mm, and the part of the body, of each.

    The side of a single lesion is left open where it is only what the header says although another one was typed.
    """
    is_only = len(lesions) == 1
    rows = []
    for number, (lesion, (diagonal_mm, part)) in enumerate(zip(lesions, places, strict=True), start=1):
        finding = finding_of(lesion, lesion_id=f"L{number}", voxel_diagonal_mm=diagonal_mm)
        rows.append(_in_region(finding, lesion, clinical.site.region if is_only else None, part or study.body_part))
    if is_only:
        place, typed = lesions[0].location, clinical.site.laterality
        if place.laterality_source == "header" and typed not in {Laterality.UNKNOWN, place.laterality}:
            location = rows[0].location.model_copy(update={"laterality": Laterality.UNKNOWN})
            rows = [rows[0].model_copy(update={"location": location})]
    return place_by_complaint(rule_findings.model_copy(update={"lesions": tuple(rows)}), clinical)


def _in_region(
    finding: LesionFinding, lesion: MeasuredLesion | ProjectedLesion, typed: str | None, header: str | None
) -> LesionFinding:
    """Name the region of a lesion as the clinician does unless the image shows another; else from image or header."""
    seen = lesion.location.region
    region = typed if typed and not are_apart(seen, typed) else seen or header
    if not region:
        return finding
    location = finding.location.model_copy(update={"region": region.strip().lower()})
    return finding.model_copy(update={"location": location})


def _header_facts(study: Study, contrast: Contrast, laterality: str | None) -> HeaderFacts:
    """Take over what the header says and the clinician can say too; hostile text is cut to a line."""
    sex = study.patient.sex
    part = " ".join((study.body_part or "").split()).lower()
    return HeaderFacts(
        age_years=study.patient.age_years,
        sex="F" if sex == "F" else "M" if sex == "M" else "O" if sex == "O" else None,
        contrast=None if contrast is Contrast.UNKNOWN else contrast.value,
        laterality=_SIDES.get(laterality or ""),
        body_part=part[:_LONGEST_PART] or None,
    )


def day_of(text: str | None) -> date | None:
    """Day of a date as it stands in a report; ``None`` for what is none."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
