"""One study, from its files to its folder of results: the work of a worker process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Final

from calcreport.compose import Occasion, compose_report
from calcreport.dicom import StudyFiles, rank_ct_series, rank_radiographs
from calcreport.errors import CalcReportError, ConfigurationError, InputError, OutputError, UnsupportedImageError
from calcreport.model.clinical import as_given
from calcreport.model.report import Report, SeriesEntry
from calcreport.output import RENDERERS
from calcreport.output.as_html import PAGE_TEMPLATE, PREVIEW
from calcreport.output.as_index import index_entry
from calcreport.output.plain_text import TEXT_TEMPLATE
from calcreport.output.templates import compile_template
from calcreport.request import Request
from calcreport.rules import decide_and_ask
from calcreport.rules.prior_match import compare_with_earlier, refuse_wrong_report
from calcreport.study_ct import CtReading, measure_ct, read_best_ct
from calcreport.study_findings import day_of
from calcreport.study_folder import ResultsFolder, folder_name
from calcreport.study_measured import MeasuredStudy, RefusedStudyError
from calcreport.study_radiographs import FilmsReading, measure_films, read_films
from calcreport.study_result import Kind, StudyOutcome
from calcreport.threads import map_in_threads

_WITH_PICTURES: Final = frozenset({"png", "html"})
"""Formats that need the key images drawn; the page shows them, and they lie beside it."""


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
        reading = _read(study, request)
        entries = reading.entries
        output = load_output()
        measured = _measure(study, reading, request, on_step)
        report, files = _report(measured, request, on_step, output)
        text = files["report.txt"].decode("ascii")
        if "text" not in request.formats:
            del files["report.txt"]
        results.write_study(folder, files)
    except RefusedStudyError as refused:
        return _refusal(refused.reason, refused.entries, folder, monotonic() - began)
    except CalcReportError as error:
        return _refusal(error, entries, folder, monotonic() - began)
    return StudyOutcome(
        folder=folder,
        status="reported" if report.lesions else "no_calcification",
        concern=report.concern,
        lesion_count=len(report.lesions),
        excluded_count=len(report.excluded),
        image_count=measured.image_count,
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


def _read(study: StudyFiles, request: Request) -> CtReading | FilmsReading:
    """Read the best CT series of a study; without one that can be measured, its radiographs.

    Raises
    ------
    RefusedStudyError
        When there is neither.
    """
    ranking = rank_ct_series(study)
    refused: tuple[SeriesEntry, ...] = ()
    reason: CalcReportError | None = None
    if ranking.candidates:
        try:
            return read_best_ct(ranking, request)
        except RefusedStudyError as refusal:
            refused, reason = refusal.entries, refusal.reason
    radiographs = rank_radiographs(study)
    entries = (*radiographs.entries, *refused)
    if not radiographs.candidates:
        raise RefusedStudyError(reason or _nothing_to_measure(entries), entries)
    return read_films(radiographs.candidates, entries, request)


def _measure(
    study: StudyFiles, reading: CtReading | FilmsReading, request: Request, on_step: Callable[[str], None]
) -> MeasuredStudy:
    if isinstance(reading, CtReading):
        return measure_ct(study, reading, request, on_step)
    return measure_films(study, reading, request, on_step)


def _nothing_to_measure(entries: Sequence[SeriesEntry]) -> InputError:
    """Name the reason of the series that came nearest to being measured."""
    refused = next((entry for entry in entries if entry.status == "refused"), None)
    if refused is not None:
        return InputError(refused.message, code=refused.code)
    codes = ", ".join(sorted({entry.code for entry in entries}))
    msg = f"the study holds no CT series and no radiograph that can be measured ({codes}); export its original images"
    return UnsupportedImageError(msg, code="study.no_ct")


def _report(
    measured: MeasuredStudy, request: Request, on_step: Callable[[str], None], output: Future[None]
) -> tuple[Report, dict[str, bytes]]:
    """Decide, compose and render."""
    on_step("composing")
    taken = measured.taken
    if request.earlier is not None:
        taken = compare_with_earlier(taken, request.earlier)
    decision = decide_and_ask(taken, request.clinical, request.settings.policy, request.ruleset)
    statements = request.templates.statements
    report = compose_report(
        measured.findings,
        decision,
        occasion=Occasion(
            study=measured.study,
            series=measured.series,
            clinical=as_given(request.clinical),
            settings=request.settings,
            software=request.software,
            created=request.created,
            rules=request.ruleset.used,
            taken=taken,
            limitations=measured.limitations,
        ),
        imaging=measured.imaging,
        statements=statements,
        has_pictures=not _WITH_PICTURES.isdisjoint(request.formats),
    )
    output.result()
    on_step("drawing and writing")
    pictures = measured.draw(report, decision, statements) if report.images else {}
    drawn = dict(zip(pictures, map_in_threads(lambda draw: draw().content, pictures.values()), strict=True))
    files = {name: content for name, content in drawn.items() if not name.startswith(PREVIEW)}
    for name in dict.fromkeys((*request.formats, "text")):
        if name in RENDERERS:
            rendered = RENDERERS[name](report, request.templates, drawn)
            files[f"report{rendered.suffix}"] = rendered.content
    return report, files
