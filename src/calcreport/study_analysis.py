"""One study, from its files to its folder of results: the work of a worker process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final, Literal

from calcreport.calcification.analysis import analyse_ct
from calcreport.compose import OVERVIEW_IMAGE, Imaging, Occasion, compose_report, key_image_name, number_lesions
from calcreport.dicom import CtSeries, SeriesFiles, StudyFiles, rank_ct_series, read_ct
from calcreport.errors import CalcReportError, ConfigurationError, InputError, OutputError, UnsupportedImageError
from calcreport.model.clinical import as_given
from calcreport.model.decision import Decision
from calcreport.model.image import Contrast
from calcreport.model.lesion import CtFindings, LesionContour
from calcreport.model.report import Report, SeriesEntry
from calcreport.output import RENDERERS, Rendered
from calcreport.output.as_html import PAGE_TEMPLATE
from calcreport.output.as_index import index_entry
from calcreport.output.plain_text import TEXT_TEMPLATE
from calcreport.output.templates import compile_template
from calcreport.request import Request
from calcreport.rules import decide_and_ask
from calcreport.rules.prior_match import compare_with_earlier, refuse_wrong_report
from calcreport.study_findings import day_of, findings_for_rules
from calcreport.study_folder import ResultsFolder, folder_name
from calcreport.study_result import Kind, StudyOutcome
from calcreport.threads import map_in_threads

_WITH_PICTURES: Final = frozenset({"png", "html"})
"""Formats that need the key images drawn; the page shows them, and they lie beside it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measurable:
    """The series to measure, read, and what became of every series of the study."""

    ct: CtSeries
    contours: tuple[LesionContour, ...]
    entries: tuple[SeriesEntry, ...]
    series_instance_uid: str


class _RefusedStudyError(Exception):
    """No series of a study can be measured: the reason, and what became of each series."""

    def __init__(self, reason: CalcReportError, entries: tuple[SeriesEntry, ...]) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.entries = entries


def analyse_study(
    study: StudyFiles, request: Request, results: ResultsFolder, on_step: Callable[[str], None]
) -> StudyOutcome:
    """Measure one study and write its folder.

    Parameters
    ----------
    study : StudyFiles
        As found.
    request : Request
        What to analyse and how.
    results : ResultsFolder
        Where the study's folder goes.
    on_step : Callable[[str], None]
        Told the name of each step.

    Returns
    -------
    StudyOutcome
        Also when the study is refused; only bugs are raised.
    """
    # What draws and prints is loaded while voxels are measured.
    with ThreadPoolExecutor(1) as ahead:
        return _analyse(study, request, results, on_step, partial(ahead.submit, _load_output, request))


def _load_output(request: Request) -> None:
    """Import what draws and prints, and compile the layouts."""
    if not _WITH_PICTURES.isdisjoint(request.formats):
        import calcreport.output.as_overview
        import calcreport.output.as_png  # noqa: F401

    compile_template(request.templates, TEXT_TEMPLATE, is_html=False)
    if "html" in request.formats:
        compile_template(request.templates, PAGE_TEMPLATE, is_html=True)


def _analyse(
    study: StudyFiles,
    request: Request,
    results: ResultsFolder,
    on_step: Callable[[str], None],
    load_output: Callable[[], Future[None]],
) -> StudyOutcome:
    """As `analyse_study`; `load_output` begins to load what draws and prints."""
    began = monotonic()
    folder = folder_name(study.study.study_instance_uid)
    entries: tuple[SeriesEntry, ...] = ()
    try:
        _refuse_wrong_prior(study, request)
        on_step("reading")
        measurable = _read_best(study, request)
        entries = measurable.entries
        report, files = _report(study, measurable, request, on_step, load_output())
        text = files["report.txt"].decode("ascii")
        if "text" not in request.formats:
            del files["report.txt"]
        results.write_study(folder, files)
    except _RefusedStudyError as refused:
        return _refusal(refused.reason, refused.entries, folder, monotonic() - began)
    except CalcReportError as error:
        return _refusal(error, entries, folder, monotonic() - began)
    return StudyOutcome(
        folder=folder,
        status="reported" if report.lesions else "no_calcification",
        concern=report.concern,
        lesion_count=len(report.lesions),
        excluded_count=len(report.excluded),
        image_count=measurable.ct.volume.hu.shape[0],
        seconds=monotonic() - began,
        text=text,
        series=report.series,
        index_row=index_entry(report, folder),
    )


def _refuse_wrong_prior(study: StudyFiles, request: Request) -> None:
    """Refuse an earlier report of someone else before anything is measured."""
    if request.earlier is not None:
        this = study.study
        refuse_wrong_report(
            request.earlier,
            study_date=day_of(this.study_date),
            study_instance_uid=this.study_instance_uid,
            patient=this.patient,
        )


def _refusal(error: CalcReportError, entries: tuple[SeriesEntry, ...], folder: str, seconds: float) -> StudyOutcome:
    kinds: tuple[tuple[type[CalcReportError], Kind], ...] = (
        (InputError, "input"),
        (OutputError, "output"),
        (ConfigurationError, "configuration"),
    )
    kind: Kind = next((kind for family, kind in kinds if isinstance(error, family)), "internal")
    return StudyOutcome(
        folder=folder,
        status="refused",
        kind=kind,
        code=error.code,
        message=error.message,
        series=entries,
        seconds=seconds,
    )


def _read_best(study: StudyFiles, request: Request) -> _Measurable:
    """Read the best series that can be read, with the contours that fit it."""
    ranking = rank_ct_series(study)
    entries = list(ranking.entries)
    refusals: list[InputError] = []
    for position, candidate in enumerate(ranking.candidates):
        try:
            ct = read_ct(candidate, settings=request.settings.reading)
            contours = _read_contours(ct, request)
        except InputError as error:
            refusals.append(error)
            entries.append(_entry(candidate, "refused", error.code, error.message))
            continue
        message = f"Measured. {' '.join(ct.notes)}".strip()
        analysed = _entry(candidate, "analysed", "series.analysed", message)
        entries.append(analysed.model_copy(update={"geometry": ct.geometry}))
        entries += [
            _entry(other, "skipped", "series.not_best", "Another series of the study is better for measuring.")
            for other in ranking.candidates[position + 1 :]
        ]
        return _Measurable(ct=ct, contours=contours, entries=tuple(entries), series_instance_uid=candidate.uid)
    raise _RefusedStudyError(refusals[0] if refusals else _no_ct(entries), tuple(entries))


def _read_contours(ct: CtSeries, request: Request) -> tuple[LesionContour, ...]:
    if request.lesion_mask is None:
        return ()
    from calcreport.dicom.lesion_mask import read_lesion_masks

    reading = request.settings.reading
    return read_lesion_masks(request.lesion_mask, ct.volume, roi=request.lesion_roi, limits=reading)


def _no_ct(entries: list[SeriesEntry]) -> InputError:
    """Name the reason of the series that came nearest to being measured."""
    refused = next((entry for entry in entries if entry.status == "refused"), None)
    if refused is not None:
        return InputError(refused.message, code=refused.code)
    codes = ", ".join(sorted({entry.code for entry in entries}))
    msg = f"the study holds no CT series that can be measured ({codes}); export its original axial images"
    return UnsupportedImageError(msg, code="study.no_ct")


def _entry(
    series: SeriesFiles, status: Literal["analysed", "skipped", "refused"], code: str, message: str
) -> SeriesEntry:
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


def _report(
    study: StudyFiles,
    measurable: _Measurable,
    request: Request,
    on_step: Callable[[str], None],
    output: Future[None],
) -> tuple[Report, dict[str, bytes]]:
    """Measure, decide, compose and render."""
    acquisition = measurable.ct.acquisition
    contrast, source = _contrast(request, acquisition.contrast)
    findings = analyse_ct(
        measurable.ct.volume,
        acquisition,
        settings=request.settings.detection,
        contrast=contrast if source == "clinician" else None,
        contours=measurable.contours,
        on_progress=on_step,
    )
    on_step("composing")
    typed = findings_for_rules(
        findings,
        study.study,
        acquisition,
        request.clinical,
        contrast=contrast,
        volume=measurable.ct.volume,
    )
    if request.earlier is not None:
        typed = compare_with_earlier(typed, request.earlier)
    decision = decide_and_ask(typed, request.clinical, request.settings.policy, request.ruleset)
    report = compose_report(
        findings,
        decision,
        occasion=Occasion(
            study=study.study,
            series=measurable.entries,
            clinical=as_given(request.clinical),
            settings=request.settings,
            software=request.software,
            created=request.created,
            rules=request.ruleset.used,
            taken=typed,
        ),
        imaging=Imaging(
            series_instance_uid=measurable.series_instance_uid,
            acquisition=acquisition,
            spacing_mm=measurable.ct.geometry.spacing_mm,
            contrast=contrast,
            contrast_source=source,
        ),
        statements=request.templates.statements,
        has_pictures=not _WITH_PICTURES.isdisjoint(request.formats),
    )
    output.result()
    on_step("drawing and writing")
    files = _draw(report, findings, decision, measurable, request) if report.images else {}
    for name in dict.fromkeys((*request.formats, "text")):
        if name in RENDERERS:
            rendered = RENDERERS[name](report, request.templates, files)
            files[f"report{rendered.suffix}"] = rendered.content
    return report, files


def _draw(
    report: Report, findings: CtFindings, decision: Decision, measurable: _Measurable, request: Request
) -> dict[str, bytes]:
    """Draw the overview and a key image of each lesion; file name to content."""
    from calcreport.output.as_overview import render_overview
    from calcreport.output.as_png import render_key_image

    statements, volume = request.templates.statements, measurable.ct.volume
    numbered = number_lesions(findings.lesions, decision)
    series = next(entry for entry in report.series if entry.status == "analysed")
    lesions = {lesion.id: lesion for lesion in report.lesions}
    pictures: dict[str, Callable[[], Rendered]] = {
        OVERVIEW_IMAGE: partial(render_overview, volume, findings, numbered, statements)
    }
    for lesion_id, index in numbered:
        pictures[key_image_name(lesion_id)] = partial(
            render_key_image, volume, findings.lesions[index], lesions[lesion_id], statements, series=series
        )
    contents = map_in_threads(lambda draw: draw().content, pictures.values())
    return dict(zip(pictures, contents, strict=True))


def _contrast(request: Request, header: Contrast) -> tuple[Contrast, Literal["header", "clinician", "unknown"]]:
    """Contrast phase and who told it: the clinician's word counts more than the header's."""
    told = Contrast(request.clinical.imaging.contrast or Contrast.UNKNOWN)
    if told is not Contrast.UNKNOWN:
        return told, "clinician"
    return header, "unknown" if header is Contrast.UNKNOWN else "header"
