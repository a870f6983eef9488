"""What can be called from Python; the command line, the hook and the benchmark take the same steps.

`calcreport` offers `analyze`, `decide`, `render` and `read_report` of this module. Inputs may be paths or plain
mappings. Errors of the input as a whole are raised as `CalcReportError`; a study that is refused is a `StudyResult`
with its code, and the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from calcreport import arguments
from calcreport.arguments import AnalyzeOptions, ClinicalInput, PriorInput, PriorsInput, SettingsInput
from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.errors import UsageError
from calcreport.files.findings import checked_findings, findings_from_text
from calcreport.files.named_file import FilePath, read_text
from calcreport.files.report import MAX_REPORT_BYTES, earlier_report, report_from_text
from calcreport.formats import TABLE_FORMAT, Templates
from calcreport.formats.text.as_text import write_section
from calcreport.model.clinical import as_given
from calcreport.model.report import Patient, Report, Study
from calcreport.pipeline import analyse
from calcreport.progress import Progress
from calcreport.rules import decide_and_ask
from calcreport.rules.gathering import place_by_complaint
from calcreport.rules.prior_match import compare_with_earlier
from calcreport.study.folder import folder_name
from calcreport.study.kept import ReviewInput, WrittenReview, review_of
from calcreport.study.render import RenderJob, remembered_places, render_files, revise_report
from calcreport.study.result import status_of
from calcreport.study.write import formats_present

FindingsInput = FilePath | Mapping[str, Any]
"""Findings a reader typed: a YAML or JSON file, or what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """Outcome of one study.

    Parameters
    ----------
    status : {"reported", "no_calcification", "refused"}
        Whether there is a report, and whether it names a lesion. "No calcification" holds for what was searched only.
    code, message : str | None
        Why a study was refused, with the remedy; a stable code, no patient data.
    report : Report | None
        The report; ``None`` for a refused study. Holds patient data.
    text : str
        The report section that is pasted; empty for a refused study. Holds patient data.
    folder : Path | None
        Folder of the study's results; ``None`` where nothing was written.
    """

    status: Literal["reported", "no_calcification", "refused"]
    code: str | None = None
    message: str | None = None
    report: Report | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    folder: Path | None = field(default=None, repr=False)


def analyze(  # noqa: PLR0913 - the published interface
    paths: FilePath | Sequence[FilePath],
    *,
    out: FilePath | None = None,
    clinical: ClinicalInput = None,
    anatomy: FilePath | None = None,
    prior: PriorsInput = None,
    lesion_mask: FilePath | None = None,
    settings: SettingsInput = None,
) -> list[StudyResult]:
    """Find every study under the paths, measure each, and draft its report.

    Parameters
    ----------
    paths : FilePath | Sequence[FilePath]
        Folders, files, zip archives or DICOMDIR.
    out : FilePath | None
        Folder of the results, laid out as by ``calcreport analyze``. Without it nothing is written.
    clinical : ClinicalInput
        Clinical data of one patient (file or mapping), or a table (file, or a list of mappings) keyed by
        ``patient_id``, ``accession_number`` or ``study_instance_uid``.
    anatomy : FilePath | None
        Organ and bone masks of another program, hints for one study: a label map (NIfTI), a folder with one NIfTI a
        structure, or a DICOM SEG; ``"run"`` lets an installed TotalSegmentator make them for every study.
    prior : PriorsInput
        An earlier study of the same patient: ``report.json``, the folder of its results, the report, or its images,
        which are analysed first. Where the images are known, they are registered with the present one.
        A list of several makes a curve.
    lesion_mask : FilePath | None
        A reader's contour of the whole lesion: RTSTRUCT, DICOM SEG, NIfTI, NRRD or MetaImage.
    settings : SettingsInput
        TOML file or its tables; see ``calcreport schema settings``.

    Returns
    -------
    list[StudyResult]
        One a study, in the order found; refused ones among them.

    Raises
    ------
    CalcReportError
        When the input as a whole is wrong: a path, the clinical data, settings, or no study at all
        (``study.none_found``).

    Examples
    --------
    >>> import calcreport
    >>> (study,) = calcreport.analyze("sample_dicoms/negative_calf")
    >>> study.status
    'no_calcification'
    """
    options = AnalyzeOptions(
        paths=(paths,) if isinstance(paths, str | os.PathLike) else tuple(paths),
        out=out,
        clinical=clinical,
        prior=prior,
        anatomy=anatomy,
        lesion_mask=lesion_mask,
        config=settings,
        keeps_reports=True,
    )
    outcome = analyse(arguments.request_from(options), progress=Progress.silent())
    if outcome.nothing_found is not None:
        raise outcome.nothing_found
    return [
        StudyResult(
            status=study.status,
            code=study.code or None,
            message=study.message or None,
            report=study.report,
            text=study.text,
            folder=None if out is None or study.status == "refused" else Path(out) / study.folder,
        )
        for study in outcome.studies
    ]


def decide(findings: FindingsInput, clinical: ClinicalInput = None) -> Report:
    """Draft the report on findings that a reader typed, without images.

    Parameters
    ----------
    findings : FindingsInput
        As ``calcreport schema findings`` describes them. Everything may be missing; missing means unknown.
    clinical : ClinicalInput
        Clinical data of the patient.

    Returns
    -------
    Report
        The same as from images, without what only images tell.

    Raises
    ------
    CalcReportError
        ``findings.…`` and ``clinical.…``, every mistake named.

    Examples
    --------
    >>> import calcreport
    >>> report = calcreport.decide({"modality": "CT", "lesions": [{"mass": {"present": "yes", "max_diameter_mm": 62}}]})
    >>> report.lesions[0].flags.size.state.value
    'present'
    """
    return report_on_findings(findings, clinical)[0]


def report_on_findings(  # noqa: PLR0913 - what may be typed after ``decide``
    findings: FindingsInput,
    clinical: ClinicalInput,
    *,
    config: SettingsInput = None,
    rules: FilePath | None = None,
    templates: FilePath | None = None,
    prior: PriorInput = None,
    is_typed: bool = False,
) -> tuple[Report, Templates]:
    """Draft the report on typed findings: nothing identifies the study; with it, the layouts to render it with.

    With `is_typed` a person named the file, and may type ``-`` for standard input. Raises `ConfigurationError`: the
    first file that is wrong, with every mistake in it.
    """
    settings = arguments.settings_of(config)
    ruleset = arguments.ruleset_of(rules, settings, config)
    texts = arguments.templates_of(templates)
    known = arguments.clinical_of(clinical)
    if isinstance(findings, str | os.PathLike):
        checked = findings_from_text(read_text(findings, "FINDINGS" if is_typed else "findings", may_be_input=is_typed))
    else:
        checked = checked_findings(findings)
    placed = place_by_complaint(checked, known)
    if prior:
        placed = compare_with_earlier(placed, earlier_report(arguments.report_of(prior, "--prior")))
    study = Study(
        study_instance_uid="",
        study_date=placed.study_date.isoformat() if placed.study_date else None,
        modality=placed.modality or "",
        description=None,
        patient=Patient(sex=placed.header.sex, age_years=placed.header.age_years),
        body_part=placed.header.body_part,
    )
    context = DraftContext(
        study=study,
        series=(),
        clinical=as_given(known),
        settings=settings,
        software=arguments.software_with(ruleset),
        created=arguments.now(),
        rules=ruleset.used,
    )
    decision = decide_and_ask(placed, known, settings.policy, ruleset)
    return compose_report(placed, decision, context=context, imaging=None, statements=texts.statements), texts


def read_report(path: FilePath) -> Report:
    """Read a report that was written earlier.

    Parameters
    ----------
    path : FilePath
        ``report.json``, or a folder of results with one study.

    Returns
    -------
    Report
        As written.

    Raises
    ------
    CalcReportError
        ``usage.no_such_file``, ``report.…``.

    Examples
    --------
    >>> import calcreport
    >>> calcreport.read_report("out/calf").study.modality  # doctest: +SKIP
    'CT'
    """
    return arguments.report_of(path, "path")


def render(
    report: FilePath | Mapping[str, Any] | Report, *, review: ReviewInput = None, out: FilePath | None = None
) -> StudyResult:
    """Bring a report up to date: apply a reader's review, and renew conclusions where facts were edited.

    Parameters
    ----------
    report : FilePath | Mapping[str, Any] | Report
        ``report.json``, the folder of its study, its content, or the report.
    review : ReviewInput
        A reader's decisions (``calcreport schema review``), a file or a mapping; for a report on disk without them
        the ``review.yaml`` beside it.
    out : FilePath | None
        Folder of the results: every output is written again to ``out/<StudyInstanceUID>/``, from the images the
        analysis read. Needs the path of the report. Without it nothing is written.

    Returns
    -------
    StudyResult
        With the report and its text.

    Raises
    ------
    CalcReportError
        ``report.…``, ``review.…``, ``render.…``.

    Examples
    --------
    >>> import calcreport
    >>> report = calcreport.decide({"modality": "CT", "lesions": []})
    >>> calcreport.render(report).status
    'no_calcification'
    """
    path = arguments.report_path(report, "report") if isinstance(report, str | os.PathLike) else None
    if out is not None:
        if path is None:
            msg = "give the path of report.json: the images are looked for where the analysis noted them beside it"
            raise UsageError(msg, code="render.no_study")
        job = render_job(path, review=review, out=out)
        written, text = render_files(job, Progress.silent())
        return StudyResult(status=status_of(written), report=written, text=text, folder=job.folder)
    read = arguments.report_of(report if path is None else path, "report")
    job = _job(read, review_of(review, path.parent if path is not None else None))
    revised = revise_report(job, Progress.silent())
    return StudyResult(status=status_of(revised), report=revised, text=write_section(revised, job.templates))


def _job(
    report: Report,
    review: WrittenReview | None,
    templates: FilePath | None = None,
    rules: FilePath | None = None,
    **files: Any,  # noqa: ANN401 - fields of the job
) -> RenderJob:
    ruleset = arguments.ruleset_of_report(rules, report)
    return RenderJob(
        report=report,
        review=review,
        templates=arguments.templates_of(templates),
        ruleset=ruleset,
        software=arguments.software_with(ruleset),
        created=arguments.now(),
        **files,
    )


def render_job(  # noqa: PLR0913 - what may be typed after ``render``
    path: Path,
    *,
    review: ReviewInput = None,
    out: FilePath | None = None,
    places: Sequence[str] | None = None,
    format: str | None = None,  # noqa: A002 - the name users know
    templates: FilePath | None = None,
    rules: FilePath | None = None,
) -> RenderJob:
    """Check everything that is needed to write the outputs of a report again.

    Without `review` the review beside the report counts, without `out` results go to where the report lies, without
    `places` the images are where the analysis found them; all else is as for an analysis. Raises `ConfigurationError`
    ``usage.…``, ``report.…``, ``review.…``, ``render.…``, ``rules.…``, ``template.…``.
    """
    text = read_text(path, "REPORT", max_bytes=MAX_REPORT_BYTES)
    report = report_from_text(text)
    if not report.study.study_instance_uid or any(lesion.shape is None for lesion in report.lesions):
        msg = "the report was not made from images; change the findings file and run calcreport decide again"
        raise UsageError(msg, code="render.typed_findings")
    beside = path.parent
    name = folder_name(report.study.study_instance_uid)
    if out:
        folder = Path(out) / name
    elif beside.resolve().name == name:
        folder = beside.resolve()
    else:
        msg = "the report does not lie in the folder of its study; say with --out where the results go"
        raise UsageError(msg, code="render.no_folder")
    formats = arguments.formats_of(format)
    if TABLE_FORMAT in formats:
        msg = "tables are about a whole run; run calcreport cohort again, which takes up what was rendered"
        raise UsageError(msg, code="usage.no_tables")
    # What lies in the folder is replaced as a whole: every format in it is written anew, and the report always.
    present = formats_present([path.name for path in folder.iterdir()]) if folder.is_dir() else ()
    return _job(
        report,
        review_of(review, beside),
        templates,
        rules,
        path=path,
        text=text,
        folder=folder,
        places=tuple(places) if places else remembered_places(beside),
        formats=tuple(dict.fromkeys((*formats, *present, "json"))),
    )
