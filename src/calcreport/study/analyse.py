"""One study, from its files to its folder of results, and beside an earlier one: the work of a worker process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

import numpy as np

from calcreport.compose.lesions import number_lesions
from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.dicom import StudyFiles, rank_ct_series, rank_films
from calcreport.dicom.codes import NOTHING_TO_DO
from calcreport.errors import CalcReportError, InputError, UnsupportedImageError, UsageError
from calcreport.formats import FILE_NAMES
from calcreport.formats.page.as_html import index_entry
from calcreport.model.clinical import as_given
from calcreport.model.film import FilmFindings, FilmImage
from calcreport.model.findings import Findings
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.overlay import EarlierSlice, Overlay
from calcreport.model.report import Lesion, Report, SeriesEntry, YesNo
from calcreport.rules import decide_and_ask
from calcreport.rules.growth import PROBABLY_SAME, with_older
from calcreport.rules.prior_match import EarlierReport, compare_with_earlier, refuse_wrong_report
from calcreport.settings import ReadingSettings
from calcreport.study.ct import measure_ct
from calcreport.study.films import FilmsReading, measure_films, read_films
from calcreport.study.findings import day_of
from calcreport.study.folder import ResultsFolder, folder_name
from calcreport.study.kept import carry_review
from calcreport.study.request import MeasuredStudy, Prior, RefusedStudyError, ReportEvidence, Request
from calcreport.study.reread import evidence_of_report
from calcreport.study.result import Counts, StudyOutcome, status_of
from calcreport.study.series import CtReading, read_ct_series
from calcreport.study.write import Draft, load_output, needs_pictures, write_outputs

if TYPE_CHECKING:
    from calcreport.model.image import CtVolume
    from calcreport.registration.pairing import Deposit

_SR: Final = FILE_NAMES["sr"]  # of an earlier draft, which the new one supersedes
_UNFIT: Final = "the images of the two studies do not fit at its place, and its side and region may hold another"
"""Why lengths may not be compared of lesions that were matched without images, though these are at hand."""
_LIMIT_HU: Final = 130.0  # mineral is denser, where a report does not say from which limit on it was measured


def analyse_study(
    study: StudyFiles, request: Request, results: ResultsFolder | None, on_step: Callable[[str], None]
) -> StudyOutcome:
    """Measure one study and write its folder; without `results` nothing is written.

    A refused study has an outcome as well; only bugs are raised. `on_step` receives the name of each step.
    """
    began = monotonic()
    folder = folder_name(study.study.study_instance_uid)
    entries: tuple[SeriesEntry, ...] = ()
    with ThreadPoolExecutor(1) as ahead:
        try:
            request = _with_clinical(study, request)
            for prior in (request.prior, *request.prior.older) if request.prior else ():
                if prior.facts is not None:
                    refuse_wrong_prior(study, prior.facts)
            on_step("reading")
            reading = _read(study, request)
            entries = reading.entries
            # What draws and prints is loaded while voxels are measured.
            output = ahead.submit(load_output, request.templates, request.formats)
            measured = _compare(_measure(study, reading, request, on_step), request, on_step)
            report, order = _report(measured, request, on_step)
            output.result()
            last = results.read_study(folder, _SR) if results is not None else None
            draft = Draft(report=report, evidence=measured.evidence, order=order, previous_sr=last)
            text, files = write_outputs(draft, request.formats, request.templates, on_step=on_step)
            if request.beside is not None:
                files |= request.beside(report, files)
            review = carry_review(results, folder) if results is not None else {}
            if results is not None:
                results.write_study(folder, files | review)
        except RefusedStudyError as refused:
            return StudyOutcome.refused(refused.reason, folder, series=refused.entries, seconds=monotonic() - began)
        except CalcReportError as error:
            return StudyOutcome.refused(error, folder, series=entries, seconds=monotonic() - began)
    return StudyOutcome(
        folder=folder,
        status=status_of(report),
        concern=report.concern,
        counts=Counts(lesions=len(report.lesions), excluded=len(report.excluded), images=measured.image_count),
        seconds=monotonic() - began,
        text=text,
        series=report.series,
        index_row=index_entry(report, folder),
        has_review=bool(review),
        report=report if request.keeps_reports else None,
    )


def _with_clinical(study: StudyFiles, request: Request) -> Request:
    """Settle what of the clinical data is about the study; refuse those of another patient before it is measured."""
    its = request.study_clinical or request.clinical_data.assign((study,))[0]
    if its.refusal is not None:
        raise its.refusal
    return replace(request, study_clinical=its)


def _read(study: StudyFiles, request: Request) -> CtReading | FilmsReading:
    """Read the best CT series of each part of the body; without one that can be measured, its radiographs.

    Raises `RefusedStudyError` when there is neither, `UsageError` ``usage.mask_for_radiographs``.
    """
    ranking = rank_ct_series(study)
    refused: tuple[SeriesEntry, ...] = ()
    reason: CalcReportError | None = None
    if ranking.candidates:
        try:
            return read_ct_series(study, ranking, request)
        except RefusedStudyError as refusal:
            refused, reason = refusal.entries, refusal.reason
    radiographs = rank_films(study)
    entries = (*radiographs.entries, *refused)
    if not radiographs.candidates:
        raise RefusedStudyError(reason or _nothing_to_measure(entries), entries)
    for option, mask in (("--lesion-mask", request.lesion_mask), ("--anatomy", request.anatomy)):
        if mask not in {None, "run"}:
            msg = f"what is given with {option} is laid into CT, but this study holds radiographs only; leave it out"
            raise UsageError(msg, code="usage.mask_for_radiographs")
    return read_films(radiographs.candidates, entries, request.settings.reading)


def _measure(
    study: StudyFiles, reading: CtReading | FilmsReading, request: Request, on_step: Callable[[str], None]
) -> MeasuredStudy:
    measure: Callable[..., MeasuredStudy] = measure_ct if isinstance(reading, CtReading) else measure_films
    measured = measure(study, reading, request, on_step)
    return replace(measured, limitations=(*study.notes, *measured.limitations))


def _nothing_to_measure(entries: Sequence[SeriesEntry]) -> InputError:
    """Name the reason of the series that came nearest to being measured."""
    refused = next((entry for entry in entries if entry.status == "refused"), None)
    if refused is not None:
        return InputError(refused.message, code=refused.code)
    images: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        images[entry.code, entry.message] += entry.image_count or 1
    ((code, reason), count), *others = images.most_common()
    beside = f", beside {', '.join(sorted({other for (other, _), _ in others}))}" if others else ""
    remedy = reason.replace(NOTHING_TO_DO, "Add the study's CT images or radiographs.")
    msg = (
        "the study holds no CT series and no radiograph that can be measured: "
        f"{count} images [{code}]{beside}. {remedy}"
    )
    return UnsupportedImageError(msg, code="study.no_ct")


def _compare(measured: MeasuredStudy, request: Request, on_step: Callable[[str], None]) -> MeasuredStudy:
    """Add the earlier finding of each lesion, its lengths before, and the earlier images beside the present ones."""
    if request.prior is None:
        return measured
    compared, *older = [_beside(measured, one, request, on_step) for one in (request.prior, *request.prior.older)]
    findings = with_older(compared.rule_findings, [one.rule_findings for one in older], request.settings.policy)
    return replace(compared, rule_findings=findings)


def _beside(measured: MeasuredStudy, prior: Prior, request: Request, on_step: Callable[[str], None]) -> MeasuredStudy:
    """Add the finding of each lesion on one earlier study, and its images."""
    if prior.facts is None or prior.report is None:
        return measured
    if prior.files is not None:
        on_step("comparing with the earlier study")
        laid = _lay_over(measured.evidence, prior.report, prior.files, request.settings.reading)
        if laid is not None:
            overlay, slices = laid
            # A reader may have rejected some of the lesions.
            by_id = {lesion.id: lesion for lesion in prior.facts.findings.lesions}
            kept = tuple(by_id[lesion.id] for lesion in prior.report.lesions if lesion.id in by_id)
            ordered = replace(prior.facts, findings=prior.facts.findings.model_copy(update={"lesions": kept}))
            return replace(
                measured,
                rule_findings=compare_with_earlier(measured.rule_findings, ordered, overlay=overlay),
                evidence=replace(measured.evidence, earlier=slices),
            )
    compared = compare_with_earlier(measured.rule_findings, prior.facts, doubt=_UNFIT if prior.files else "")
    if isinstance(measured.evidence.findings, FilmFindings):
        compared = _with_film_doubts(compared, measured.evidence.findings, prior.report)
    return replace(measured, rule_findings=compared)


def _report(
    measured: MeasuredStudy, request: Request, on_step: Callable[[str], None]
) -> tuple[Report, tuple[int, ...]]:
    """Decide and compose; with each lesion of the report goes its index among those measured."""
    on_step("composing")
    rule_findings = measured.rule_findings
    limitations = measured.limitations
    if request.study_clinical is not None and request.study_clinical.is_not_in_table:
        limitations = (*limitations, request.templates.statements.say("limitation.no_clinical_row"))
    decision = decide_and_ask(rule_findings, request.clinical, request.settings.policy, request.ruleset)
    report = compose_report(
        measured.evidence.findings,
        decision,
        context=DraftContext(
            study=measured.study,
            series=measured.series,
            clinical=as_given(request.clinical),
            settings=request.settings,
            software=request.software,
            created=request.created,
            rules=request.ruleset.used,
            rule_findings=rule_findings,
            limitations=limitations,
            searched=measured.searched,
            incidental=measured.incidental,
            further_imaging=measured.imaging[1:],
        ),
        imaging=next(iter(measured.imaging), None),
        statements=request.templates.statements,
        has_pictures=needs_pictures(request.formats),
    )
    return report, tuple(index for _, index in number_lesions(measured.evidence.findings.lesions, decision))


def earlier_of_files(files: StudyFiles) -> EarlierReport:
    """Whose images these are and when they were made, before they are measured."""
    return EarlierReport(
        findings=Findings(study_date=day_of(files.study.study_date)),
        study_instance_uid=files.study.study_instance_uid,
        patient=files.study.patient,
        id_issuer=files.patient_id_issuer,
    )


def refuse_wrong_prior(study: StudyFiles, earlier: EarlierReport) -> None:
    """Refuse an earlier study of someone else, this same study or a later one: as `refuse_wrong_report`."""
    this, issuer = study.study, study.patient_id_issuer
    refuse_wrong_report(
        earlier, study_date=day_of(this.study_date), study_instance_uid=this.study_instance_uid,
        patient=this.patient, id_issuer=issuer,
    )  # fmt: skip


def _lay_over(
    evidence: ReportEvidence, report: Report, files: StudyFiles, settings: ReadingSettings
) -> tuple[Overlay, dict[int, EarlierSlice]] | None:
    """Register the earlier CT with this one; ``None`` where that fails, or one is no CT or cannot be read again.

    Gives the lesions of both studies in their images, and by index of the lesion the earlier images on its key slice.
    """
    from calcreport.registration.pairing import Pairing
    from calcreport.registration.rigid import earlier_slice

    if not isinstance(evidence.findings, CtFindings) or report.study.modality != "CT":
        return None
    try:
        before = evidence_of_report(report, files, settings)
    except (InputError, UsageError):  # changed since: the report still says where its lesions lay
        return None
    if not isinstance(before.findings, CtFindings):
        return None
    names = [lesion.id for lesion in report.lesions]
    limits = report.technique.threshold_hu if report.technique else None
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
            slices[index] = EarlierSlice(hu=hu, date=report.study.study_date)
    return overlay, slices


def _with_film_doubts(rule_findings: Findings, films: FilmFindings, report: Report) -> Findings:
    """Say where projected lengths may not be compared: no view of the same part on both studies, or no scale."""
    earlier = {lesion.id: lesion for lesion in report.lesions}
    lesions = []
    for finding, lesion in zip(rule_findings.lesions, films.lesions, strict=True):
        prior, then = finding.prior, earlier.get((finding.prior and finding.prior.lesion_id) or "")
        if prior is not None and then is not None and prior.reason in {"", PROBABLY_SAME}:
            reason = _why_films_differ([films.films[shadow.film] for shadow in lesion.shadows], then, report)
            prior = prior.model_copy(update={"reason": reason, "comparable": YesNo.NO} if reason else {})
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

    masks = [lesion.contour or lesion.mineral for lesion in lesions]
    voxels = [np.zeros((1, 3)) if mask is None else np.argwhere(mask.voxels) + mask.offset for mask in masks]
    return tuple(
        Deposit(
            name=name,
            points=volumes[lesion.series_index].geometry.lps_mm(index),
            series=lesion.series_index,
            length_mm=lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm or 0.0,
        )
        for lesion, index, name in zip(lesions, voxels, names, strict=False)
    )
