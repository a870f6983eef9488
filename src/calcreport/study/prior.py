"""An earlier study of the same patient: whose it is, its report, and its images registered with the present one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from calcreport.dicom import StudyFiles
from calcreport.errors import InputError, UsageError
from calcreport.files.report import earlier_report
from calcreport.model.film import FilmFindings, FilmImage
from calcreport.model.findings import Findings
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.overlay import EarlierSlice, Overlay
from calcreport.model.report import Lesion, Report, YesNo
from calcreport.rules.prior_match import EarlierReport, refuse_wrong_report
from calcreport.settings import ReadingSettings
from calcreport.study.findings import day_of
from calcreport.study.measured import ReportEvidence
from calcreport.study.request import EarlierImages
from calcreport.study.reread import evidence_of_report

if TYPE_CHECKING:
    from calcreport.model.image import CtVolume
    from calcreport.registration.pairing import Deposit

_LIMIT_HU: Final = 130.0
"""Mineral is denser, where a report does not say from which limit on it was measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaidOver:
    """The lesions of both studies in their images."""

    overlay: Overlay
    slices: Mapping[int, EarlierSlice]
    """By index of the lesion: the earlier images on its key slice."""


def earlier_of_files(files: StudyFiles) -> EarlierReport:
    """Whose images these are and when they were made, before they are measured."""
    return EarlierReport(
        findings=Findings(study_date=day_of(files.study.study_date)),
        study_instance_uid=files.study.study_instance_uid,
        patient=files.study.patient,
        id_issuer=files.patient_id_issuer,
    )


def earlier_of_images(images: EarlierImages) -> EarlierReport:
    """Report of earlier images, with who issued the patient's id."""
    return replace(earlier_report(images.report), id_issuer=images.files.patient_id_issuer)


def refuse_wrong_prior(study: StudyFiles, earlier: EarlierReport) -> None:
    """Refuse an earlier study of someone else, this same study or a later one, before anything is measured.

    Raises `UsageError` as `refuse_wrong_report`.
    """
    this = study.study
    refuse_wrong_report(
        earlier,
        study_date=day_of(this.study_date),
        study_instance_uid=this.study_instance_uid,
        patient=this.patient,
        id_issuer=study.patient_id_issuer,
    )


def in_report_order(findings: Findings, report: Report) -> Findings:
    """Findings of a report with the lesions it names, in its order: a reader may have rejected some."""
    by_id = {lesion.id: lesion for lesion in findings.lesions}
    kept = tuple(by_id[lesion.id] for lesion in report.lesions if lesion.id in by_id)
    return findings.model_copy(update={"lesions": kept})


def lay_over(evidence: ReportEvidence, images: EarlierImages, settings: ReadingSettings) -> LaidOver | None:
    """Register the earlier CT with this one; ``None`` where that fails, or one is no CT or cannot be read again."""
    from calcreport.registration.pairing import Pairing
    from calcreport.registration.rigid import earlier_slice

    if not isinstance(evidence.findings, CtFindings) or images.report.study.modality != "CT":
        return None
    try:
        before, _ = evidence_of_report(images.report, images.files, settings)
    except (InputError, UsageError):  # changed since: the report still says where its lesions lay
        return None
    if not isinstance(before.findings, CtFindings):
        return None
    names = [lesion.id for lesion in images.report.lesions]
    limits = images.report.technique.threshold_hu if images.report.technique else None
    pairing = Pairing(
        now=_deposits(evidence.findings.lesions, evidence.volumes, [f"L{i + 1}" for i in range(9999)]),
        before=_deposits(before.findings.lesions, before.volumes, names),
        volumes_now=evidence.volumes,
        volumes_before=before.volumes,
        limit_hu=max(evidence.findings.thresholds.grow, limits.grow if limits else _LIMIT_HU),
    )
    overlay = pairing.overlay()
    if pairing.now and not pairing.is_laid:
        return None
    slices = {}
    for index, (lesion, laid) in enumerate(zip(evidence.findings.lesions, pairing.laid, strict=True)):
        if laid is not None and overlay.places[index].status in {"matched", "new"}:
            volume = evidence.volumes[lesion.series_index]
            hu = earlier_slice(volume, lesion.key_slice, before.volumes[laid.series], laid.place)
            slices[index] = EarlierSlice(hu=hu, date=images.report.study.study_date)
    return LaidOver(overlay=overlay, slices=slices)


def with_film_doubts(rule_findings: Findings, films: FilmFindings, report: Report) -> Findings:
    """Say where projected lengths may not be compared: no view of the same part on both studies, or no scale."""
    earlier = {lesion.id: lesion for lesion in report.lesions}
    lesions = []
    for finding, lesion in zip(rule_findings.lesions, films.lesions, strict=True):
        prior, then = finding.prior, earlier.get((finding.prior and finding.prior.lesion_id) or "")
        if prior is not None and then is not None and not prior.reason:
            reason = _why_films_differ([films.films[shadow.film] for shadow in lesion.shadows], then, report)
            prior = prior.model_copy(update={"reason": reason, "comparable": YesNo.NO if reason else prior.comparable})
        lesions.append(finding.model_copy(update={"prior": prior}))
    return rule_findings.model_copy(update={"lesions": tuple(lesions)})


def _why_films_differ(films: Sequence[FilmImage], then: Lesion, report: Report) -> str:
    shown = {place.sop_instance_uid for place in then.location.films}
    before = [film for film in (report.technique.films if report.technique else ()) if film.sop_instance_uid in shown]
    pairs = [
        (film.scale.kind.value, other.scale)
        for film in films
        for other in before
        if film.view.position is not None and film.view.position == other.view
        and all(a is None or b is None or a == b for a, b in (
            (film.view.laterality, other.laterality), (film.view.body_part, other.body_part)
        ))
    ]  # fmt: skip
    if not pairs:
        return "the films of the two studies have no view of it in common"
    if any(now == before and now != "none" for now, before in pairs):
        return ""
    return "the scale of the films is not known, or not in the same plane, on both studies"


def _deposits(
    lesions: tuple[MeasuredLesion, ...], volumes: tuple[CtVolume, ...], names: list[str]
) -> tuple[Deposit, ...]:
    from calcreport.registration.pairing import Deposit

    made = []
    for lesion, name in zip(lesions, names, strict=False):
        mask = lesion.contour or lesion.mineral
        index = np.zeros((1, 3)) if mask is None else np.argwhere(mask.voxels) + mask.offset
        made.append(
            Deposit(
                name=name,
                points=volumes[lesion.series_index].geometry.lps_mm(index),
                series=lesion.series_index,
                length_mm=lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm or 0.0,
            )
        )
    return tuple(made)
