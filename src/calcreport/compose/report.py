"""Findings and decision become one report. Pure: the clock, versions and wording are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from calcreport.compose.changes import describe_changes
from calcreport.compose.clinical_text import describe_clinical
from calcreport.compose.comparison_text import is_stability_told
from calcreport.compose.impression import join_ids, name_flag, write_impression
from calcreport.compose.lesions import OVERVIEW_IMAGE, join_lesion, key_image_name, number_lesions
from calcreport.compose.statements import Statements
from calcreport.compose.wording import name_body_part, spell_number
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.lesion import CtFindings
from calcreport.model.report import (
    DepthClass,
    Laterality,
    Lesion,
    Location,
    PriorStudy,
    Report,
    RulesUsed,
    SeriesEntry,
    Software,
    Study,
    Technique,
)
from calcreport.settings import Settings

THICK_SLICE_MM = 3.0
"""Slices further apart than this, in mm, show neither a thin rim nor a lucent centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a report is about and by whom it is made.

    Parameters
    ----------
    study : Study
        As the header says.
    series : tuple[SeriesEntry, ...]
        Every series of the study and what became of it.
    clinical : Mapping[str, Any]
        Clinical inputs as plain values, every unknown named.
    settings : Settings
        Effective settings.
    software : Software
        Name and versions.
    created : str | None
        Date and time of the draft, ISO 8601.
    rules : RulesUsed | None
        Rules the decision was made with.
    taken : Findings | None
        Findings as the rules took them, where the report is made from measured ones: same lesions, same order.
    """

    study: Study
    series: tuple[SeriesEntry, ...]
    clinical: Mapping[str, Any]
    settings: Settings
    software: Software
    created: str | None = None
    rules: RulesUsed | None = None
    taken: Findings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imaging:
    """How the analysed series was made.

    Parameters
    ----------
    series_instance_uid : str
        The analysed series.
    acquisition : Acquisition
        As its header says.
    spacing_mm : tuple[float, float, float]
        Row, column and slice distance in mm.
    contrast : Contrast
        The phase the thresholds were chosen for.
    contrast_source : str
        Who said so.
    """

    series_instance_uid: str
    acquisition: Acquisition
    spacing_mm: tuple[float, float, float]
    contrast: Contrast
    contrast_source: Literal["header", "clinician", "unknown"] = "unknown"


def compose_report(
    findings: CtFindings | Findings,
    decision: Decision,
    *,
    occasion: Occasion,
    imaging: Imaging | None,
    statements: Statements,
    has_pictures: bool = False,
) -> Report:
    """Compose the report of one study.

    Parameters
    ----------
    findings : CtFindings | Findings
        What the analysis measured, or what a reader typed.
    decision : Decision
        The rules' answer for the same lesions, in the same order.
    occasion : Occasion
        Study, series, clinical inputs, settings, versions, time.
    imaging : Imaging | None
        How the analysed series was made; ``None`` when no image was measured.
    statements : Statements
        Wording.
    has_pictures : bool
        Whether picture files are written beside the report; their names are then listed in it.

    Returns
    -------
    Report
        Lesions in the order of `number_lesions`, all numbers at full precision.
    """
    region = _name_region(occasion, statements, lesion_count=len(findings.lesions))
    taken = occasion.taken if isinstance(findings, CtFindings) else findings
    lesions = _join_lesions(findings, decision, imaging, region=region, taken=taken, has_pictures=has_pictures)
    technique = _describe_technique(findings, imaging)
    impression = write_impression(
        lesions,
        decision.patient,
        statements,
        policy=occasion.settings.policy,
        negative=say_negative(technique, statements),
        advice={name: decision.lesions[index].notes for name, index in number_lesions(findings.lesions, decision)},
    )
    policy = occasion.settings.policy
    size_name = name_flag("size", statements, size_limit_mm=policy.size_limit_mm, size_operator=policy.size_operator)
    measured = isinstance(findings, CtFindings)
    return Report(
        software=occasion.software,
        study=occasion.study,
        series=occasion.series,
        technique=technique,
        lesions=lesions,
        excluded=findings.excluded if isinstance(findings, CtFindings) else (),
        patient=decision.patient,
        concern=decision.concern,
        flags_summary=decision.flags_summary,
        impression=impression,
        recommendations=decision.recommendations,
        limitations=_collect_limitations(findings, decision, lesions, technique, occasion, statements),
        would_change=describe_changes(
            decision, number_lesions(findings.lesions, decision), statements, size_name=size_name
        ),
        clinical=dict(occasion.clinical),
        settings=occasion.settings.model_dump(mode="json"),
        images=(OVERVIEW_IMAGE,) if has_pictures and measured else (),
        created=occasion.created,
        comparison=_name_comparison(taken),
        laboratory=decision.laboratory,
        inputs=decision.inputs,
        rules=occasion.rules,
        findings=_keep(taken, number_lesions(findings.lesions, decision)),
    )


def _keep(taken: Findings | None, numbered: tuple[tuple[str, int], ...]) -> dict[str, Any] | None:
    """Findings as the rules took them, in the order and under the names of the report; what is not known left out."""
    if taken is None:
        return None
    lesions = tuple(taken.lesions[index].model_copy(update={"id": name}) for name, index in numbered)
    return taken.model_copy(update={"lesions": lesions}).model_dump(mode="json", exclude_defaults=True) | (
        {} if lesions else {"lesions": []}
    )


def _name_comparison(taken: Findings | None) -> PriorStudy | None:
    """Earlier study compared with: the one named for all lesions, else the one a reader named for a lesion."""
    if taken is None:
        return None
    study = taken.prior_study
    typed = [lesion.prior for lesion in taken.lesions if lesion.prior is not None]
    if study is None and not typed:
        return None
    days = {prior.study_date for prior in typed} if study is None else {study.study_date}
    kinds = {prior.modality for prior in typed} if study is None else {study.modality}
    day = days.pop() if len(days) == 1 else None
    return PriorStudy(
        source="reader" if study is None else study.source,
        date=None if day is None else day.isoformat(),
        modality=kinds.pop() if len(kinds) == 1 else None,
    )


def say_negative(technique: Technique | None, statements: Statements) -> str:
    """Say that nothing was found: with the threshold it rests on, and never as a normal study."""
    if technique is None:
        return statements.say("findings.no_lesion_given")
    return statements.say("findings.negative", threshold=f"{technique.threshold_hu.grow:.0f}")


def _name_region(occasion: Occasion, statements: Statements, *, lesion_count: int) -> str | None:
    """Region where the images do not tell: the clinician's if there is just one lesion, else the header's.

    The clinician speaks of the lump that was felt; another deposit in the same scan may lie elsewhere.
    """
    header = name_body_part(occasion.study.body_part, statements)
    site = occasion.clinical.get("site")
    given = site.get("region") if isinstance(site, Mapping) else None
    told = str(given) if lesion_count == 1 and given not in {None, "", "unknown"} else ""
    return told or header or None


def _join_lesions(
    findings: CtFindings | Findings,
    decision: Decision,
    imaging: Imaging | None,
    *,
    region: str | None,
    taken: Findings | None,
    has_pictures: bool,
) -> tuple[Lesion, ...]:
    series_instance_uid = imaging.series_instance_uid if imaging else ""
    lesions = []
    for lesion_id, index in number_lesions(findings.lesions, decision):
        lesion = join_lesion(
            findings.lesions[index],
            decision.lesions[index],
            lesion_id=lesion_id,
            series_instance_uid=series_instance_uid,
        )
        pictures = (key_image_name(lesion_id),) if has_pictures else ()
        location = lesion.location if lesion.location.region else lesion.location.model_copy(update={"region": region})
        if taken is not None:
            location = _with_side(location, taken.lesions[index].location.laterality)
        lesions.append(lesion.model_copy(update={"images": pictures, "location": location}))
    return tuple(lesions)


def _with_side(location: Location, side: Laterality) -> Location:
    """Side as the rules took it, where only the clinician could tell."""
    if side is location.laterality:
        return location
    return location.model_copy(update={"laterality": side, "laterality_source": "clinician"})


def _describe_technique(findings: CtFindings | Findings, imaging: Imaging | None) -> Technique | None:
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


def _collect_limitations(
    findings: CtFindings | Findings,
    decision: Decision,
    lesions: tuple[Lesion, ...],
    technique: Technique | None,
    occasion: Occasion,
    statements: Statements,
) -> tuple[str, ...]:
    sentences = [*_limit_lesions(lesions, occasion.study.modality, statements)]
    if technique is not None:
        sentences += _limit_technique(technique, statements)
    if isinstance(findings, CtFindings):
        sentences += findings.notes
    sentences += decision.limitations
    if lesions:
        missing = describe_clinical(occasion.clinical, occasion.study.patient, statements).missing_for_flags
        if missing:
            sentences.append(statements.say("limitation.clinical", list=", ".join(missing)))
    return tuple(dict.fromkeys(sentences))


def _limit_lesions(lesions: tuple[Lesion, ...], modality: str, statements: Statements) -> list[str]:
    if not lesions:
        return [statements.say("limitation.negative")]
    sentences = []
    if modality in {"CR", "DX"}:
        sentences.append(statements.say("limitation.radiograph"))
    elif any(lesion.mass.source != "contour" for lesion in lesions):
        sentences.append(statements.say("limitation.mineral_only"))
    unclear = [lesion.id for lesion in lesions if lesion.depth.class_ is DepthClass.CANNOT_DETERMINE]
    if unclear and modality == "CT":
        sentences.append(statements.say("limitation.fascia", ids=join_ids(unclear)))
    cut = [lesion.id for lesion in lesions if lesion.size.is_minimum or lesion.mass.is_minimum]
    if cut:
        sentences.append(statements.say("limitation.truncated", ids=join_ids(cut)))
    open_ids = [lesion.id for lesion in lesions if not is_stability_told(lesion)]
    if len(open_ids) == len(lesions) and all(lesion.growth is None for lesion in lesions):
        sentences.append(statements.say("limitation.stability"))
    elif open_ids:
        sentences.append(statements.say("limitation.stability_of", ids=join_ids(open_ids)))
    return sentences


def _limit_technique(technique: Technique, statements: Statements) -> list[str]:
    sentences = []
    if technique.spacing_mm[2] > THICK_SLICE_MM:
        spacing = spell_number(technique.spacing_mm[2])
        sentences.append(statements.say("limitation.thick_slices", spacing=spacing))
    return sentences
