"""Every output of a study again, from an edited or reviewed report, without a new analysis."""

from __future__ import annotations

import json
import secrets
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from calcreport.compose.conclusion import conclude
from calcreport.compose.lesions import name_key_images, name_overviews
from calcreport.compose.reviewed import apply_review, refresh, refuse_unknown, restore, set_rejected_apart
from calcreport.dicom import StudyFiles, discover
from calcreport.errors import InputError, UsageError
from calcreport.files.report import findings_of_report, report_from_text
from calcreport.formats import FILE_NAMES, Templates
from calcreport.formats.page.as_html import IndexEntry, index_entry, render_index
from calcreport.model.clinical import parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.lesion import MeasuredLesion
from calcreport.model.overlay import EarlierSlice
from calcreport.model.report import Report, Software
from calcreport.progress import Progress
from calcreport.rules import Ruleset, decide, decide_and_ask
from calcreport.settings import Settings
from calcreport.study import kept
from calcreport.study.folder import ResultsFolder, read_bytes
from calcreport.study.request import ReportEvidence
from calcreport.study.reread import evidence_of_report
from calcreport.study.result import INDEX_FILE, SUMMARY_FILE, StudyOutcome, read_summary, status_of
from calcreport.study.write import EARLIER_FILE, SOURCES_FILE, Draft, load_output, needs_pictures, write_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """What is rendered again, from what and to where."""

    report: Report = field(repr=False)
    """As written or edited."""
    review: kept.WrittenReview | None = field(repr=False)
    templates: Templates
    ruleset: Ruleset
    software: Software
    created: str
    path: Path | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    """Where the report was read from, and what stood there; it must not have changed when the results are written."""
    folder: Path | None = None
    """Folder of the study's results; needed by `render_files`."""
    places: tuple[str, ...] = field(default=(), repr=False)
    """Where the images are; needed by `render_files`."""
    formats: tuple[str, ...] = ()
    asks: bool = True
    """Whether the report says what other answers would change: most of the time, and no part of the text section."""


def revise_report(job: RenderJob, progress: Progress) -> Report:
    """Apply the review, and renew conclusions where a fact or an answer was changed, by review or by hand.

    The decisions of the review replace those of an earlier one. Words edited by hand stay where nothing else was
    changed. Raises `ConfigurationError` ``report.no_findings``, ``review.…``, ``render.unknown_lesion``,
    ``render.damaged_settings``.
    """
    rule_findings = findings_of_report(job.report)
    if job.review is None:
        facts, before = set_rejected_apart(job.report, rule_findings)
    else:
        drafted, before = restore(job.report, rule_findings)
        kept.refuse_other_lesions(drafted, job.review)
        facts, before = apply_review(drafted, before, job.review.review)
    refuse_unknown(facts.lesions, {lesion.id for lesion in before.lesions})
    refreshed = refresh(facts, before, job.templates.statements)

    def answer(ask: Callable[..., Decision]) -> Decision:
        return ask(refreshed, parse_clinical(facts.clinical), settings_of_report(facts).policy, job.ruleset)

    is_changed = facts.rejected != job.report.rejected or refreshed != rule_findings
    # Rules of another version are no edit; by the same ones an edited answer or flag is concluded otherwise.
    if not is_changed and facts.rules is not None and facts.rules.sha256 == job.ruleset.sha256:
        decision = answer(decide)
        recorded = [(lesion.flags, lesion.concern) for lesion in facts.lesions]
        concluded = [(lesion.flags, lesion.concern) for lesion in decision.lesions]
        is_changed = recorded != concluded or facts.concern is not decision.concern
    if not is_changed:  # or lesions were accepted only: what is concluded stays as it is
        return facts if facts == job.report else facts.model_copy(update={"created": job.created})
    progress.line("facts or answers were changed: flags, impression and recommendations were concluded anew")
    facts = facts.model_copy(update={"created": job.created, "software": job.software, "rules": job.ruleset.used})
    return conclude(
        facts,
        answer(decide_and_ask if job.asks else decide),
        order=tuple(range(len(facts.lesions))),
        rule_findings=refreshed,
        statements=job.templates.statements,
    )


def settings_of_report(report: Report) -> Settings:
    """Settings a report was made with; `UsageError` ``render.damaged_settings`` where it does not hold them."""
    try:
        return Settings.model_validate(report.settings)
    except ValidationError:
        pass
    # Raised outside the handler: the cause would carry the values into a traceback.
    msg = "the settings in the report were damaged; take the original report"
    raise UsageError(msg, code="render.damaged_settings")


def render_files(job: RenderJob, progress: Progress) -> tuple[Report, str]:
    """Write every output of the study again; the report as written and its section as text hold patient data.

    Raises `UsageError` ``render.…``, `InputError` when the images cannot be read any more, `OutputError`.
    """
    if job.folder is None:
        msg = "RenderJob.folder"
        raise ValueError(msg)
    report = revise_report(job, progress)
    settings, has_pictures = settings_of_report(report), needs_pictures(job.formats)
    most = settings.output.max_key_images if has_pictures else 0
    images = name_overviews(report) if has_pictures else ()
    report = report.model_copy(update={"lesions": name_key_images(report.lesions, most), "images": images})
    results = ResultsFolder(job.folder.parent, run_id=secrets.token_hex(6))
    results.prepare()
    progress.step("looking for the images")
    try:
        with discover([Path(place) for place in job.places], settings=settings.reading) as found:
            study = find_study(found.studies, report)
            _refuse_other_patient(study, report)
            progress.step("reading")
            evidence, order = evidence_of_report(report, study, settings.reading), tuple(range(len(report.lesions)))
            load_output(job.templates, job.formats)
            # A lesion that is rejected may come back.
            known = (one.id for one in (*report.lesions, *(past.lesion for past in report.rejected)))
            slices = {one: png for one in known if (png := _last(job, results, EARLIER_FILE.format(one))) is not None}
            # The structured report of the last draft is superseded by the new one.
            last = _last(job, results, FILE_NAMES["sr"])
            if has_pictures:
                evidence = replace(evidence, earlier=_earlier(slices, report, evidence))
            draft = Draft(report=report, evidence=evidence, order=order, previous_sr=last)
            text, files = write_outputs(draft, job.formats, job.templates, on_step=progress.step)
        files = {EARLIER_FILE.format(lesion): content for lesion, content in slices.items()} | files
        if job.review is not None:
            files |= {kept.REVIEW_FILE: job.review.text, kept.NOTE_FILE: kept.note_lesions(report, job.review.text)}
        if job.path is not None and (read_bytes(job.path) or b"").removeprefix(BOM_UTF8) != job.text.encode():
            msg = "the report was changed by somebody else while it was rendered; render it again"
            raise UsageError(msg, code="render.changed_meanwhile")
        files |= kept.carry_record(results, job.folder.name, report, files)
        results.write_study(job.folder.name, files)
        _update_overview(results, job.folder.parent, job.folder.name, report, job.templates)
    finally:
        results.recover()
    return report, text


def _last(job: RenderJob, results: ResultsFolder, name: str) -> bytes | None:
    """File of the last draft: in the folder that is written, or beside the report that was read."""
    content = None if job.folder is None else results.read_study(job.folder.name, name)
    return read_bytes(job.path.parent / name) if content is None and job.path is not None else content


def _earlier(slices: Mapping[str, bytes], report: Report, evidence: ReportEvidence) -> dict[int, EarlierSlice]:
    """Earlier images that the last draft had beside its lesions, by place in the report; `slices`: PNG by lesion id."""
    from calcreport.formats.pictures.as_png import slice_from_png

    found = {}
    for index, (lesion, measured) in enumerate(zip(report.lesions, evidence.findings.lesions, strict=True)):
        if lesion.growth is None or not isinstance(measured, MeasuredLesion):
            continue
        shape = evidence.volumes[measured.series_index].hu.shape[1:]
        hu = slice_from_png(slices.get(lesion.id), shape)
        if hu is not None:
            found[index] = EarlierSlice(hu=hu, date=lesion.growth.prior_date)
    return found


def remembered_places(folder: Path) -> tuple[str, ...]:
    """Places the analysis read the images from, as noted beside the report; else `UsageError` ``render.no_study``."""
    try:
        places: Any = json.loads((folder / SOURCES_FILE).read_bytes()).get("places")
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


def _update_overview(results: ResultsFolder, root: Path, folder: str, report: Report, templates: Templates) -> None:
    """Write the row of one study again, with what its folder in `root` holds now; nothing without a summary."""
    summary = read_summary(root)
    if summary is None or all(study.folder != folder for study in summary.studies):
        return
    counts = {"lesions": len(report.lesions), "excluded": len(report.excluded)}
    now = {"status": status_of(report), "concern": report.concern}
    studies = tuple(
        study.model_copy(update={**now, "counts": study.counts.model_copy(update=counts)})
        if study.folder == folder
        else study
        for study in summary.studies
    )
    updated = summary.model_copy(update={"studies": studies})
    results.write_file(SUMMARY_FILE, updated.to_bytes())
    if (root / INDEX_FILE).is_file():
        software = f"{report.software.name} {report.software.version} · {report.created}"
        rows = [_row(study, root) for study in studies]
        results.write_file(INDEX_FILE, render_index(rows, templates, software=software))


def _row(study: StudyOutcome, root: Path) -> IndexEntry:
    """Row of a study; of a refused one only its folder is known here."""
    if study.status != "refused":
        try:
            text = (root / study.folder / FILE_NAMES["json"]).read_text(encoding="utf-8")
            return index_entry(report_from_text(text), study.folder)
        except (OSError, ValueError, UsageError):
            pass
    message = f"{study.code}: {study.message}" if study.code else ""
    return IndexEntry(folder=study.folder, status=study.status, concern=study.concern, message=message)
