"""From paths to results: where the edge is wired to the core.

The calling process only looks for studies; each study is analysed in a worker process of its own.
"""

from __future__ import annotations

import gc
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from calcreport.dicom import discover
from calcreport.errors import InputError, OutputError, UsageError
from calcreport.files.clinical_table import ClinicalData
from calcreport.files.report import earlier_report
from calcreport.formats import TABLE_FORMAT
from calcreport.formats.page.as_html import IndexEntry, render_index
from calcreport.formats.tables.write import table_files
from calcreport.log import event, study_ref
from calcreport.processes.crash import Crash
from calcreport.processes.pool import Report, WorkerLimits, run_tasks
from calcreport.progress import Progress
from calcreport.study.folder import ResultsFolder, folder_name
from calcreport.study.kept import KEPT_FILES, record_of
from calcreport.study.request import Prior, Request
from calcreport.study.result import INDEX_FILE, SUMMARY_FILE, StudyOutcome, Summary, SummarySetAside, tabulate

if TYPE_CHECKING:
    from calcreport.dicom import Discovery, StudyFiles
    from calcreport.model.report import Study

LOGGER: Final = logging.getLogger(__name__)  # of the events of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """Outcome of a run."""

    studies: tuple[StudyOutcome, ...]
    """In the order found; of a cohort one of each kind."""
    text: str = field(default="", repr=False)
    """For standard output: the report section of a single study, a table of several; of a cohort what it holds."""
    detail: str = field(default="", repr=False)  # tracebacks of bugs; shown only when asked for
    is_summary_written: bool = True
    """Whether ``summary.json`` and the index are in place, where they are asked for."""
    nothing_found: InputError | None = None  # why there is no study, with the remedy


def analyse(request: Request, *, progress: Progress) -> RunOutcome:
    """Find every study, analyse each, write the results.

    No patient data reaches `progress`. Raises `ConfigurationError` ``usage.mask_for_many``, ``usage.prior_for_many``,
    ``clinical.which_study``; `InputError` ``path.too_many_files``; `OutputError` when the results folder cannot be
    written to at all.
    """
    progress.warn_of_rules(request.ruleset.warnings)
    results = None
    if request.out is not None:
        results = ResultsFolder(request.out, run_id=secrets.token_hex(6))
        results.prepare()
    if TABLE_FORMAT in request.formats:
        request = replace(request, keeps_reports=True)
    nothing_found = None
    try:
        with ExitStack() as inputs:
            begin = partial(
                discover,
                settings=request.settings.reading,
                on_progress=lambda count: progress.step(f"looking for studies: {count} files"),
            )

            def look(places: tuple[Path, ...]) -> Discovery:
                return inputs.enter_context(begin(places))

            found = look(request.paths)
            aside = tuple(SummarySetAside.model_validate(row, from_attributes=True) for row in found.set_aside)
            _refuse_many(request, len(found.studies))
            if not found.studies:
                nothing_found = no_study_error(aside)
                progress.error(f"error [{nothing_found.code}]: {nothing_found.message}")
            data = request.clinical_data
            if unmatched := data.count_unmatched(found.studies):
                progress.line(f"{unmatched} of {len(data.rows)} rows of the clinical table match no study")
            priors: Sequence[Prior | None] = [request.prior] * len(found.studies)
            if request.priors is not None and request.prior is None:
                from calcreport.study.earlier import find_earlier, reports_in  # noqa: PLC0415 - as in load_analysis

                priors = find_earlier(found.studies, reports_in(request.priors))
            requests = [
                replace(request, study_clinical=clinical, prior=with_images(prior, study, request, look, progress))
                for study, prior, clinical in zip(found.studies, priors, data.assign(found.studies), strict=True)
            ]
            outcomes = _analyse_all(found.studies, requests, results, progress)
            identities = tuple(study.study for study in found.studies)
    finally:
        if results is not None:
            results.recover()
    is_written = results is None or _write_overview(outcomes, identities, aside, request, results, progress)
    return RunOutcome(
        studies=outcomes,
        text=outcomes[0].text if len(outcomes) == 1 else tabulate(outcomes) if outcomes else "",
        detail="".join(study.detail for study in outcomes),
        is_summary_written=is_written,
        nothing_found=nothing_found,
    )


def _analyse_all(
    studies: Sequence[StudyFiles], requests: Sequence[Request], results: ResultsFolder | None, progress: Progress
) -> tuple[StudyOutcome, ...]:
    """Analyse the studies side by side; whatever happens to one, the others go on."""
    count = len(studies)
    if not studies:
        return ()
    load_analysis()
    outcomes: dict[int, StudyOutcome] = {}
    run = run_tasks(
        partial(_analyse_one, studies, requests, results),
        range(count),
        jobs=requests[0].jobs,
        limits=WorkerLimits(seconds=requests[0].settings.run.max_study_seconds),
        on_step=lambda number, step: progress.step(f"study {number + 1} of {count}: {step}"),
    )
    for number, result in run:
        name = folder_name(studies[number].study.study_instance_uid)
        outcomes[number] = outcome = StudyOutcome.refused(result, name) if isinstance(result, Crash) else result
        tell = progress.error if outcome.status == "refused" else progress.line
        tell(f"study {number + 1} of {count}: {outcome.sentence()}")
        fields: dict[str, float | str] = {"code": outcome.code} if outcome.code else {}
        fields |= {"status": outcome.status, "seconds": outcome.seconds, "lesions": outcome.counts.lesions}
        event(LOGGER, "study_done", study_ref=study_ref(name), **fields)
    return tuple(outcomes[number] for number in range(count))


def with_images(
    prior: Prior | None, study: StudyFiles, request: Request, look: Callable[..., Discovery], progress: Progress
) -> Prior | None:
    """The earlier study with its images, and those before it."""
    if prior is None:
        return None
    named = [_one_with_images(one, study, request, look, progress) for one in (prior, *prior.older)]
    named.sort(key=lambda one: (one.report and one.report.study.study_date) or "")
    return replace(named[-1], older=tuple(named[-2::-1]))


def _one_with_images(
    prior: Prior, study: StudyFiles, request: Request, look: Callable[..., Discovery], progress: Progress
) -> Prior:
    """An earlier study with its images; those without a report of them are analysed first."""
    if not prior.places:
        return prior
    from calcreport.study.analyse import earlier_of_files, refuse_wrong_prior  # noqa: PLC0415 - 0.2 s

    found = look(prior.places).studies
    if prior.report is not None:
        uid = prior.report.study.study_instance_uid
        files = next((one for one in found if one.study.study_instance_uid == uid), None)
        if files is not None and prior.facts is not None:
            prior = replace(prior, facts=replace(prior.facts, id_issuer=files.patient_id_issuer))
        return replace(prior, files=files)
    if len(found) != 1:
        msg = f"what --prior names holds {len(found)} studies; name the folder of one study, or its report.json"
        raise UsageError(msg, code="prior.which_study")
    refuse_wrong_prior(study, earlier_of_files(found[0]))
    progress.line("the earlier study is analysed first")
    alone = replace(
        request, out=None, formats=(), clinical_data=ClinicalData(), lesion_mask=None, prior=None,
        anatomy=request.anatomy if request.anatomy == "run" else None, keeps_reports=True,
    )  # fmt: skip
    (outcome,) = _analyse_all(found, [alone], None, progress)
    if outcome.report is None:
        msg = f"the earlier study cannot be measured [{outcome.code}]; leave --prior out, or name another"
        raise UsageError(msg, code="prior.not_measured")
    facts = replace(earlier_report(outcome.report), id_issuer=found[0].patient_id_issuer)
    return Prior(report=outcome.report, facts=facts, files=found[0])


def load_analysis() -> None:
    """Import what every worker needs, once and only where there is a study: workers that are forked share it."""
    import calcreport.study.analyse  # noqa: F401, PLC0415 - 0.2 s

    gc.freeze()  # nothing of what was loaded and found is garbage


def _analyse_one(
    studies: Sequence[StudyFiles], requests: Sequence[Request], results: ResultsFolder | None, number: int, step: Report
) -> StudyOutcome:
    gc.collect()  # what an earlier study left; within one there is hardly any garbage, and looking for it takes time
    gc.disable()
    from calcreport.study.analyse import analyse_study  # noqa: PLC0415 - see load_analysis

    return analyse_study(studies[number], requests[number], results, step)


def _refuse_many(request: Request, study_count: int) -> None:
    """Refuse what fits one study only, where there are several."""
    for option, mask in (("--lesion-mask", request.lesion_mask), ("--anatomy", request.anatomy)):
        if mask not in {None, "run"} and study_count > 1:
            msg = f"{option} fits one study, but {study_count} were found; name the folder of one study"
            raise UsageError(msg, code="usage.mask_for_many")
    if request.prior is not None and study_count > 1:
        msg = f"--prior fits one study, but {study_count} were found; name the folder of one study"
        raise UsageError(msg, code="usage.prior_for_many")


def no_study_error(set_aside: Sequence[SummarySetAside]) -> InputError:
    """Say why no file was taken: the reason of most files with its remedy, and the others by their code."""
    if not set_aside:
        why = "no file at all; name the folder that holds the images"
    else:
        first, *others = sorted(set_aside, key=lambda row: -row.count)
        beside = ", ".join(f"{row.count} {row.code}" for row in others)
        counted = f"{first.count} files, beside {beside}" if others else f"all of {first.count} files"
        why = f"{counted} [{first.code}]: {first.message}"
    return InputError(f"no study under the paths: {why}", code="study.none_found")


def _write_overview(
    outcomes: Sequence[StudyOutcome],
    identities: Sequence[Study],
    set_aside: Sequence[SummarySetAside],
    request: Request,
    results: ResultsFolder,
    progress: Progress,
) -> bool:
    """Write summary and index, and remove what an earlier run left and holds no longer."""
    summary = Summary(
        software=request.software, created=request.created, studies=tuple(outcomes), set_aside=tuple(set_aside)
    )
    try:
        for outcome in outcomes:
            if outcome.kind in {"input", "internal"} or outcome.code.startswith("clinical."):
                results.remove(outcome.folder, keep=KEPT_FILES)
        if len(outcomes) > 1 and "html" in request.formats:
            results.write_file(INDEX_FILE, _index_page(outcomes, identities, request))
        else:
            results.remove(INDEX_FILE)
        if TABLE_FORMAT in request.formats:
            records = [record_of(study, one, one.report) for study, one in zip(identities, outcomes, strict=True)]
            records.sort(key=lambda record: str(record.study["study_instance_uid"]))
            for name, content in table_files(lambda: records, salt=results.salt(), with_identifiers=False):
                results.write_file(name, content)
        results.write_file(SUMMARY_FILE, summary.to_bytes())
    except OutputError as error:
        progress.error(f"error [{error.code}]: {error.message}")
        return False
    return True


def _index_page(outcomes: Sequence[StudyOutcome], identities: Sequence[Study], request: Request) -> bytes:
    rows = [
        outcome.index_row
        or IndexEntry.of(study, folder=outcome.folder, status="refused", message=f"{outcome.code}: {outcome.message}")
        for outcome, study in zip(outcomes, identities, strict=True)
    ]
    software = f"{request.software.name} {request.software.version} · {request.created}"
    return render_index(rows, request.templates, software=software)
