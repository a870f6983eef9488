"""``calcreport render``: every output again from a report that was edited or reviewed, without a new analysis."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from calcreport.arguments import formats_of, now, read_text, ruleset_of_report, software_with, templates_of
from calcreport.compose import conclude, name_key_images, name_overviews
from calcreport.compose.reviewed import apply_review, refresh, restore, set_rejected_apart
from calcreport.dicom import StudyFiles, discover
from calcreport.errors import InputError, UsageError
from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Report
from calcreport.model.typed_review import Review
from calcreport.output import FILE_NAMES, Templates
from calcreport.progress import Progress
from calcreport.report_file import MAX_REPORT_BYTES, findings_of_report, report_from_text
from calcreport.review_file import review_from_text
from calcreport.rules import Ruleset, decide, decide_and_ask
from calcreport.settings import Settings
from calcreport.study_folder import ResultsFolder, folder_name
from calcreport.study_output import (
    SOURCES_FILE,
    Draft,
    formats_present,
    load_output,
    needs_pictures,
    write_outputs,
)
from calcreport.study_overview import update_overview
from calcreport.study_reported import basis_of_report
from calcreport.study_review import NOTE_FILE, REVIEW_FILE, note_lesions, refuse_other_lesions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What was asked for, checked."""

    path: Path = field(repr=False)
    text: str = field(repr=False)
    report: Report = field(repr=False)
    review: Review | None = field(repr=False)
    review_text: str | None = field(repr=False)
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
    report = _bring_up_to_date(job)
    settings = _settings_of(report).reading
    results = ResultsFolder(job.folder.parent, run_id=secrets.token_hex(6))
    results.prepare()
    progress.step("looking for the images")
    try:
        with discover([Path(place) for place in job.places], settings=settings, on_progress=lambda _: None) as found:
            study = _find(found.studies, report)
            _refuse_other_patient(study, report)
            progress.step("reading")
            basis, order = basis_of_report(report, study, settings)
            load_output(job.templates, job.formats)
            previous = results.read_study(job.folder.name, FILE_NAMES["sr"]) or _read(
                job.path.with_name(FILE_NAMES["sr"])
            )
            draft = Draft(report=report, basis=basis, order=order, previous_sr=previous)
            text, files = write_outputs(draft, job.formats, job.templates, on_step=progress.step)
        if job.review_text is not None:
            review = job.review_text.encode()
            files |= {REVIEW_FILE: review, NOTE_FILE: note_lesions(report, review)}
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
    review_path = options.review or _beside(beside, REVIEW_FILE)
    review_text = read_text(str(review_path), "--review") if review_path else None
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
        review=None if review_text is None else review_from_text(review_text),
        review_text=review_text,
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


def _beside(folder: Path, name: str) -> Path | None:
    path = folder / name
    return path if path.is_file() else None


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


def _bring_up_to_date(job: _Job) -> Report:
    """Lay the review over the report, and conclude anew where a fact was changed, by review or by hand."""
    taken = findings_of_report(job.report)
    if job.review is None:
        facts, before = set_rejected_apart(job.report, taken)
    else:
        drafted, before = restore(job.report, taken)
        note = _read(job.path.with_name(NOTE_FILE))
        refuse_other_lesions(drafted, job.review, (job.review_text or "").encode(), note)
        facts, before = apply_review(drafted, before, job.review)
    _refuse_unknown_lesions(facts, before)
    refreshed = refresh(facts, before)
    is_changed = facts.rejected != job.report.rejected or refreshed != taken
    if not is_changed:
        _refuse_edited_conclusions(facts, refreshed, job)
    if not is_changed and facts == job.report:
        report = facts
    elif not is_changed:  # lesions were accepted: what is concluded stays as it is
        report = facts.model_copy(update={"created": now()})
    else:
        report = _conclude(facts, refreshed, job)
    return _with_pictures(report, job.formats)


def _refuse_unknown_lesions(facts: Report, taken: Findings) -> None:
    known = {lesion.id for lesion in taken.lesions}
    if any(lesion.id not in known for lesion in facts.lesions):
        msg = "the report names a lesion that was never measured; take the original report"
        raise UsageError(msg, code="render.unknown_lesion")


def _conclude(facts: Report, taken: Findings, job: _Job) -> Report:
    """Ask the rules again, with the clinical input and the choices of the site that the report was made with."""
    settings = _settings_of(facts)
    clinical = parse_clinical(facts.clinical)
    facts = facts.model_copy(
        update={"created": now(), "software": software_with(job.ruleset), "rules": job.ruleset.used}
    )
    return conclude(
        facts,
        decide_and_ask(taken, clinical, settings.policy, job.ruleset),
        order=tuple(range(len(facts.lesions))),
        taken=taken,
        policy=settings.policy,
        statements=job.templates.statements,
    )


def _refuse_edited_conclusions(facts: Report, taken: Findings, job: _Job) -> None:
    """Flags and concern follow from facts: edited by hand they would contradict what the impression says."""
    if facts.rules is None or facts.rules.sha256 != job.ruleset.sha256:
        return  # rules of another version conclude otherwise
    decision = decide(taken, parse_clinical(facts.clinical), _settings_of(facts).policy, job.ruleset)
    told = [(lesion.flags, lesion.concern) for lesion in facts.lesions]
    if told != [(lesion.flags, lesion.concern) for lesion in decision.lesions] or facts.concern is not decision.concern:
        msg = (
            "flags or concern were edited, but they follow from the facts; edit the fact (size, depth class, pattern) "
            "instead, or write a review.yaml"
        )
        raise UsageError(msg, code="render.edited_conclusion")


def _settings_of(report: Report) -> Settings:
    try:
        return Settings.model_validate(report.settings)
    except ValidationError:
        pass
    # Raised outside the handler: the cause would carry the values into a traceback.
    msg = "the settings in the report were damaged; take the original report"
    raise UsageError(msg, code="render.damaged_settings")


def _with_pictures(report: Report, formats: tuple[str, ...]) -> Report:
    """List the pictures where the formats want them, as an analysis does."""
    if not needs_pictures(formats):
        bare = tuple(lesion.model_copy(update={"images": ()}) for lesion in report.lesions)
        return report.model_copy(update={"lesions": bare, "images": ()})
    lesions = tuple(lesion.model_copy(update={"images": name_key_images(lesion)}) for lesion in report.lesions)
    return report.model_copy(update={"lesions": lesions, "images": name_overviews(report)})
