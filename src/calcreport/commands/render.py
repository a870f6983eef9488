"""``calcreport render``: every output again from a report that was edited or reviewed, without a new analysis."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calcreport.arguments import formats_of, now, read_text, ruleset_of_report, software_with, templates_of
from calcreport.dicom import StudyFiles, discover
from calcreport.errors import InputError, UsageError
from calcreport.files.report import MAX_REPORT_BYTES, report_from_text
from calcreport.files.review import review_from_text
from calcreport.formats import FILE_NAMES, Templates
from calcreport.model.report import Report
from calcreport.progress import Progress
from calcreport.rules import Ruleset
from calcreport.study.folder import ResultsFolder, folder_name
from calcreport.study.overview import update_overview
from calcreport.study.reread import evidence_of_report
from calcreport.study.review import NOTE_FILE, REVIEW_FILE, WrittenReview, note_lesions
from calcreport.study.revise import bring_up_to_date, list_pictures, settings_of_report
from calcreport.study.write import SOURCES_FILE, Draft, formats_present, load_output, write_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What was asked for, checked."""

    path: Path = field(repr=False)
    text: str = field(repr=False)
    report: Report = field(repr=False)
    review: WrittenReview | None = field(repr=False)
    folder: Path
    places: tuple[str, ...] = field(repr=False)
    formats: tuple[str, ...]
    templates: Templates
    ruleset: Ruleset


def run(options: argparse.Namespace, progress: Progress) -> str:
    """Render a report again.

    Parameters
    ----------
    options : argparse.Namespace
        The words after ``render``, parsed.
    progress : Progress
        Told each step.

    Returns
    -------
    str
        The report section; holds patient data.

    Raises
    ------
    ConfigurationError
        ``usage.…``, ``report.…``, ``review.…``, ``render.…``, ``rules.…``, ``template.…``.
    InputError
        When the images cannot be read any more.
    OutputError
        When the results cannot be written.
    """
    job = _job_of(options)
    report, is_concluded_anew = bring_up_to_date(
        job.report,
        job.review,
        ruleset=job.ruleset,
        statements=job.templates.statements,
        software=software_with(job.ruleset),
        created=now(),
    )
    if is_concluded_anew:
        progress.line("facts or answers were changed: flags, impression and recommendations were concluded anew")
    report = list_pictures(report, job.formats)
    settings = settings_of_report(report).reading
    results = ResultsFolder(job.folder.parent, run_id=secrets.token_hex(6))
    results.prepare()
    progress.step("looking for the images")
    try:
        with discover([Path(place) for place in job.places], settings=settings, on_progress=lambda _: None) as found:
            study = _find(found.studies, report)
            _refuse_other_patient(study, report)
            progress.step("reading")
            evidence, order = evidence_of_report(report, study, settings)
            load_output(job.templates, job.formats)
            previous = results.read_study(job.folder.name, FILE_NAMES["sr"]) or _read(
                job.path.with_name(FILE_NAMES["sr"])
            )
            draft = Draft(report=report, evidence=evidence, order=order, previous_sr=previous)
            text, files = write_outputs(draft, job.formats, job.templates, on_step=progress.step)
        if job.review is not None:
            files |= {REVIEW_FILE: job.review.text, NOTE_FILE: note_lesions(report, job.review.text)}
        if _read(job.path) != job.text.encode():
            msg = "the report was changed by somebody else while it was rendered; render it again"
            raise UsageError(msg, code="render.changed_meanwhile")
        results.write_study(job.folder.name, files)
        update_overview(results, job.folder.parent, job.folder.name, report, job.templates)
    finally:
        results.recover()
    return text


def _job_of(options: argparse.Namespace) -> _Job:
    text = read_text(options.report, "REPORT", max_bytes=MAX_REPORT_BYTES)
    report = report_from_text(text)
    if not report.study.study_instance_uid or any(lesion.shape is None for lesion in report.lesions):
        msg = "the report was not made from images; change the findings file and run calcreport decide again"
        raise UsageError(msg, code="render.typed_findings")
    beside = Path(options.report).parent
    name = folder_name(report.study.study_instance_uid)
    if options.out:
        folder = Path(options.out) / name
    elif beside.resolve().name == name:
        folder = beside.resolve()
    else:
        msg = "the report does not lie in the folder of its study; say with --out where the results go"
        raise UsageError(msg, code="render.no_folder")
    formats = formats_of(options.format)
    # What lies in the folder is replaced as a whole: every format in it is written anew, and the report always.
    present = formats_present([path.name for path in folder.iterdir()]) if folder.is_dir() else ()
    return _Job(
        path=Path(options.report),
        text=text,
        report=report,
        review=_review_of(options, beside),
        folder=folder,
        places=tuple(options.study) if options.study else _remembered(beside),
        formats=tuple(dict.fromkeys((*formats, *present, "json"))),
        templates=templates_of(options),
        ruleset=ruleset_of_report(options, report),
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _review_of(options: argparse.Namespace, beside: Path) -> WrittenReview | None:
    """Review of ``--review``, else the one beside the report."""
    path = options.review or (str(beside / REVIEW_FILE) if (beside / REVIEW_FILE).is_file() else None)
    if path is None:
        return None
    text = read_text(path, "--review")
    return WrittenReview(review=review_from_text(text), text=text.encode(), note=_read(beside / NOTE_FILE))


def _remembered(folder: Path) -> tuple[str, ...]:
    """Places the analysis read the images from, as it noted them beside the report."""
    path = folder / SOURCES_FILE
    places: Any = None
    if path.is_file():
        try:
            places = json.loads(path.read_bytes()).get("places")
        except (OSError, ValueError, AttributeError):
            places = None
    known = [place for place in places or () if isinstance(place, str) and Path(place).exists()]
    if not known:
        msg = "the images of the report are not where they were; name their folder with --study"
        raise UsageError(msg, code="render.no_study")
    return tuple(known)


def _find(studies: Sequence[StudyFiles], report: Report) -> StudyFiles:
    for study in studies:
        if study.study.study_instance_uid == report.study.study_instance_uid:
            return study
    msg = "the study of the report is not among the images; name its folder with --study"
    raise InputError(msg, code="render.other_study")


def _refuse_other_patient(study: StudyFiles, report: Report) -> None:
    """One set of results never speaks of two people, whatever the UIDs say."""
    found, told = study.study.patient, report.study.patient
    if (found.id, found.name, found.birth_date) != (told.id, told.name, told.birth_date):
        msg = (
            "name, id or birth date in the report are not those of the images, which decide whom it is about; take the "
            "original report, or analyse the images anew"
        )
        raise UsageError(msg, code="render.other_patient")
