"""An earlier study of the same patient: whose it is, its report, and its images laid over the present ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from calcreport.dicom import StudyFiles
from calcreport.errors import InputError, UsageError
from calcreport.files.report import earlier_report
from calcreport.model.findings import Findings
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.overlay import EarlierSlice, Overlay
from calcreport.model.report import Report
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
    """Lay the earlier CT over the present one; ``None`` where one of them is no CT or cannot be read again."""
    from calcreport.registration.pairing import Pairing
    from calcreport.registration.slices import earlier_slice

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
    slices = {}
    for index, (lesion, laid) in enumerate(zip(evidence.findings.lesions, pairing.laid, strict=True)):
        if laid is not None and overlay.places[index].status in {"matched", "new"}:
            volume = evidence.volumes[lesion.series_index]
            hu = earlier_slice(volume, lesion.key_slice, before.volumes[laid.series], laid.place)
            slices[index] = EarlierSlice(hu=hu, date=images.report.study.study_date)
    return LaidOver(overlay=overlay, slices=slices)


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
