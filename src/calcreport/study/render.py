"""Every output of a study again, from an edited or reviewed report, without a new analysis."""

from __future__ import annotations

import json
import secrets
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calcreport.dicom import StudyFiles, discover
from calcreport.errors import InputError, UsageError
from calcreport.formats import FILE_NAMES, Templates
from calcreport.model.report import Report, Software
from calcreport.progress import Progress
from calcreport.rules import Ruleset
from calcreport.study.folder import ResultsFolder
from calcreport.study.overview import update_overview
from calcreport.study.record import carry_record
from calcreport.study.reread import evidence_of_report
from calcreport.study.review import NOTE_FILE, REVIEW_FILE, WrittenReview, note_lesions
from calcreport.study.revise import bring_up_to_date, list_pictures, settings_of_report
from calcreport.study.write import SOURCES_FILE, Draft, load_output, write_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """What is rendered again, from what and to where."""

    report: Report = field(repr=False)
    """As written or edited."""
    review: WrittenReview | None = field(repr=False)
    """A reader's decisions."""
    templates: Templates
    ruleset: Ruleset
    """Layouts, wording and rules."""
    software: Software
    created: str
    """What makes the report, and when (ISO 8601)."""
    path: Path | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    """Where the report was read from, and what stood there; it must not have changed when the results are written."""
    folder: Path | None = None
    """Folder of the study's results; needed by `render_files`."""
    places: tuple[str, ...] = field(default=(), repr=False)
    """Where the images are; needed by `render_files`."""
    formats: tuple[str, ...] = ()
    """Every format that is written."""
    asks: bool = True
    """Whether the report says what other answers would change; see `bring_up_to_date`."""


def revise_report(job: RenderJob, progress: Progress) -> Report:
    """Apply the review to the report and renew its conclusions where facts or answers were changed."""
    report, is_concluded_anew = bring_up_to_date(
        job.report,
        job.review,
        ruleset=job.ruleset,
        statements=job.templates.statements,
        software=job.software,
        created=job.created,
        asks=job.asks,
    )
    if is_concluded_anew:
        progress.line("facts or answers were changed: flags, impression and recommendations were concluded anew")
    return report


def render_files(job: RenderJob, progress: Progress) -> tuple[Report, str]:
    """Write every output of the study again.

    Returns the report as written, and its section as text; both hold patient data.

    Raises `UsageError` ``render.…``, `InputError` when the images cannot be read any more, `OutputError`.
    """
    if job.folder is None:
        msg = "RenderJob.folder"
        raise ValueError(msg)
    report = list_pictures(revise_report(job, progress), job.formats)
    settings = settings_of_report(report).reading
    results = ResultsFolder(job.folder.parent, run_id=secrets.token_hex(6))
    results.prepare()
    progress.step("looking for the images")
    try:
        with discover([Path(place) for place in job.places], settings=settings, on_progress=lambda _: None) as found:
            study = find_study(found.studies, report)
            _refuse_other_patient(study, report)
            progress.step("reading")
            evidence, order = evidence_of_report(report, study, settings)
            load_output(job.templates, job.formats)
            draft = Draft(report=report, evidence=evidence, order=order, previous_sr=_previous_sr(job, results))
            text, files = write_outputs(draft, job.formats, job.templates, on_step=progress.step)
        if job.review is not None:
            files |= {REVIEW_FILE: job.review.text, NOTE_FILE: note_lesions(report, job.review.text)}
        if job.path is not None and (read_bytes(job.path) or b"").removeprefix(BOM_UTF8) != job.text.encode():
            msg = "the report was changed by somebody else while it was rendered; render it again"
            raise UsageError(msg, code="render.changed_meanwhile")
        files |= carry_record(results, job.folder.name, report, files)
        results.write_study(job.folder.name, files)
        update_overview(results, job.folder.parent, job.folder.name, report, job.templates)
    finally:
        results.recover()
    return report, text


def _previous_sr(job: RenderJob, results: ResultsFolder) -> bytes | None:
    """Structured report of the last draft, which the new one supersedes."""
    name = FILE_NAMES["sr"]
    last = results.read_study(job.folder.name, name) if job.folder is not None else None
    return last or (read_bytes(job.path.with_name(name)) if job.path is not None else None)


def read_bytes(path: Path) -> bytes | None:
    """Content of a file; ``None`` when it is not there or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def remembered_places(folder: Path) -> tuple[str, ...]:
    """Places the analysis read the images from, as noted beside the report; else `UsageError` ``render.no_study``."""
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


def find_study(studies: Sequence[StudyFiles], report: Report) -> StudyFiles:
    """Find the study of a report among those discovered; `InputError` ``render.other_study``."""
    for study in studies:
        if study.study.study_instance_uid == report.study.study_instance_uid:
            return study
    msg = "the study of the report is not among the images; name its folder with --study"
    raise InputError(msg, code="render.other_study")


def _refuse_other_patient(study: StudyFiles, report: Report) -> None:
    """One set of results never speaks of two people, whatever the UIDs say."""
    found, named = study.study.patient, report.study.patient
    if (found.id, found.name, found.birth_date) != (named.id, named.name, named.birth_date):
        msg = (
            "name, id or birth date in the report are not those of the images, which decide whom it is about; take the "
            "original report, or analyse the images anew"
        )
        raise UsageError(msg, code="render.other_patient")
