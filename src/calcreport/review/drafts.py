"""The draft of one study while a reader decides about it: kept in memory, written when it is finished."""

from __future__ import annotations

import multiprocessing
import secrets
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from threading import RLock
from typing import Any, Final

import yaml

from calcreport.api import render_job
from calcreport.arguments import now, ruleset_of_report, software_with, templates_of
from calcreport.compose.reviewed import restore
from calcreport.errors import CalcReportError, OutputError, UsageError
from calcreport.files.findings import review_from_text
from calcreport.files.named_file import FilePath, read_text
from calcreport.files.report import MAX_REPORT_BYTES, findings_of_report, report_from_text
from calcreport.formats.characters import to_ascii
from calcreport.formats.text.as_text import write_section
from calcreport.model.report import Lesion, Report
from calcreport.model.typed_review import parse_review
from calcreport.progress import Progress
from calcreport.study.folder import read_bytes
from calcreport.study.kept import REVIEW_FILE, WrittenReview, review_of
from calcreport.study.render import RenderJob, remembered_places, render_files, revise_report
from calcreport.text.film import refer
from calcreport.text.narrative import narrate
from calcreport.text.review import say_changes
from calcreport.text.wording import lengths_of, present

_SHOWN: Final = {
    "pattern": {"id", "label"},
    "depth": {"class_"},
    "location": {"laterality", "region"},
    "size": {"max_diameter_mm"},
    "mass": {"present", "max_diameter_mm"},
}
"""Values of a lesion that the page shows and a reader may change."""
_WHO: Final = ("reader", "date")  # entries of a decision that say whose it is
_OTHER_DRAFT: Final = "review.other_lesion"
"""A review about an earlier draft is shown as what it is, and may be replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a site lays over the built-in templates and rules, as for ``render``."""

    templates: FilePath | None = None
    rules: FilePath | None = None


class Draft:
    """One study of a results folder; its methods may be called from several threads.

    `path`: its ``report.json``. `reader`: who decides, where the page does not say. Raises what `read_text` and
    `report_from_text` do.
    """

    def __init__(self, path: Path, site: Site, reader: str | None) -> None:
        self.path = path
        self.reader = reader
        self.lock = RLock()
        self._site = site
        self._templates = templates_of(site.templates)
        self._name = secrets.token_hex(4)  # a window may outlive the draft it knows
        self._version = 0
        self.load()

    def load(self) -> None:
        """Take the study as it lies on disk; decisions that were not finished are dropped."""
        self._seen = _contents(self.path)
        self.report = report_from_text(read_text(self.path, "DIR", max_bytes=MAX_REPORT_BYTES))
        self._ruleset = ruleset_of_report(self._site.rules, self.report)
        self.drafted, _ = restore(self.report, findings_of_report(self.report))
        self.notice = "".join(f"Rules of the site: {what}. " for what in self._ruleset.warnings)
        self.is_blocked = False
        self._finished = self._decided()
        self._decisions = dict(self._finished)
        self._version += 1
        self._revise(self._written())  # what is wrong with the report is said now; and the first decision is not slow
        self._state: dict[str, Any] | None = None

    def _decided(self) -> dict[str, Any]:
        """Take the decisions of an earlier review; those about other lesions, or in a damaged file, are not applied."""
        try:
            written = review_of(None, self.path.parent)
            if written is None:
                return _recorded(self.report)
            self._revise(written)
        except CalcReportError as error:
            self.is_blocked = error.code != _OTHER_DRAFT
            how = "mend or remove the file, then reload" if self.is_blocked else "finishing replaces the file"
            self.notice += f"The review.yaml beside this report is not applied [{error.code}]; {how}."
            return {}
        signed = written.review.model_dump(mode="json", include=set(_WHO), exclude_none=True)
        names = {lesion.tracking_uid: lesion.id for lesion in self.drafted.lesions}
        return {
            names.get(name, name): {key: value for key, value in signed.items() if value}
            | verdict.model_dump(mode="json", exclude_none=True, exclude_unset=True)
            for name, verdict in written.review.lesions.items()
        }

    @property
    def version(self) -> str:
        """What a change has to name: it is refused when somebody else changed the draft in between."""
        return f"{self._name}-{self._version}"

    @property
    def is_changed(self) -> bool:
        """Whether there are decisions that were not finished."""
        return self._decisions != self._finished

    def check(self, version: str | None) -> None:
        """Refuse a change of another state than the present one: `UsageError` ``review.changed_meanwhile``."""
        if self.is_stale():
            msg = "the files of this study were changed by somebody else; reload them, and decide again"
            raise UsageError(msg, code="review.changed_on_disk")
        if version != self.version:
            msg = "this study was changed in another window: its present state is shown, your last change was not taken"
            raise UsageError(msg, code="review.changed_meanwhile")

    def is_stale(self) -> bool:
        """Whether report or review on disk are not those that were loaded."""
        return _contents(self.path) != self._seen

    def decide(self, decisions: Mapping[str, Any]) -> None:
        """Take the decisions about every lesion in place of those before.

        Raises `ClinicalError` ``review.…`` when they cannot be what a reader means; nothing is changed then.
        """
        own = {name: _unsigned(verdict) for name, verdict in decisions.items() if _unsigned(verdict)}
        kept = {n: self._finished[n] for n in own if n in self._finished and _unsigned(self._finished[n]) == own[n]}
        before, self._decisions = self._decisions, own | kept
        self._state = None
        try:
            self.state()
        except CalcReportError:
            self._decisions = before
            raise
        self._version += 1

    def _written(self) -> WrittenReview:
        """Review as it would be written now, with today's date."""
        signed = {"reader": self.reader, "date": date.today().isoformat()}  # noqa: DTZ011 - the reader's day
        content = {key: value for key, value in signed.items() if value} | {"lesions": self._decisions}
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        return WrittenReview(review=parse_review(content), text=text.encode(), note=None)

    def _revise(self, review: WrittenReview) -> Report:
        job = RenderJob(
            report=self.report, review=review, templates=self._templates, ruleset=self._ruleset,
            software=software_with(self._ruleset), created=now(), asks=False,
        )  # fmt: skip
        return revise_report(job, Progress.silent())

    def state(self) -> dict[str, Any]:
        """All that the page shows of the study; conclusions are renewed where decisions changed."""
        if self._state is None:
            written = self._written()
            report = self._revise(written) if self._decisions or self._seen[1] is not None else self.report
            present = {one.id: one for one in (*report.lesions, *(entry.lesion for entry in report.rejected))}
            words = narrate(report, self._templates.statements)
            self._state = {
                "reader": self.reader or "",
                "text": write_section(report, self._templates, words),
                "findings": to_ascii("\n".join(words.section.findings)),
                "impression": to_ascii("\n".join(words.section.impression)),
                "concern": report.concern,
                "rows": [self._row(report, drafted, present[drafted.id]) for drafted in self.drafted.lesions],
                "decisions": {name: _unsigned(verdict) for name, verdict in self._decisions.items()},
                "review_yaml": written.text.decode(),
            }
        return self._state | {
            "version": self.version,
            "is_changed": self.is_changed,
            "notice": self.notice,
            "is_blocked": self.is_blocked,
            "study": self.report.study.model_dump(mode="json"),
            "compared": self.report.comparison.date if self.report.comparison else None,
        }

    def _row(self, report: Report, drafted: Lesion, lesion: Lesion) -> dict[str, Any]:
        statements, review = self._templates.statements, lesion.review
        return {
            "id": lesion.id,
            "review": review.model_dump(include={"status", "reason", "reader", "date"}) if review else None,
            "changes": say_changes(review, statements, lengths_of(report)) if review else [],
            "concern": lesion.concern if review is None or review.status != "rejected" else "",
            "image": refer(drafted, present(self.drafted, statements)).strip("()"),
            "now": lesion.model_dump(mode="json", include=_SHOWN),
            "drafted": drafted.model_dump(mode="json", include=_SHOWN),
            "prior": lesion.growth.prior_id if lesion.growth else None,
        }

    def finish(self, reader: str) -> None:
        """Write the review, and every output that exists with it, through the steps of ``calcreport render``.

        In a process of its own: reading whole series takes memory that a server does not give back. Raises what
        `render_job` and `render_files` do; `OutputError` ``review.not_finished`` when the process died.
        """
        if self.is_blocked:
            msg = "the review.yaml beside this report cannot be applied; mend or remove it, then reload"
            raise UsageError(msg, code="review.not_applied")
        remembered_places(self.path.parent)  # without images nothing is begun
        self.reader, self._state = reader or None, None
        try:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                outcome = pool.submit(_finish, self.path, self._site, self._seen, self._written().text).result()
        except BrokenProcessPool as error:
            msg = "writing was interrupted; the outputs are those from before, and your decisions are kept"
            raise OutputError(msg, code="review.not_finished") from error
        if outcome is not None:
            kind, message, code = outcome
            raise kind(message, code=code)
        self.load()


def _contents(path: Path) -> tuple[bytes | None, ...]:
    """Report and review as they lie on disk; ``None`` where there is none."""
    return read_bytes(path), read_bytes(path.with_name(REVIEW_FILE))


def _finish(
    path: Path, site: Site, seen: tuple[bytes | None, ...], review: bytes
) -> tuple[type[CalcReportError], str, str] | None:
    """Write the outputs of one study of which the reader has `seen` report and review.

    Returns what an error says, as errors with keywords cross no processes.
    """
    try:
        written = WrittenReview(review=review_from_text(review.decode()), text=review, note=None)
        nothing: dict[str, Any] = {"lesions": {}}  # instead of what lies beside
        job = render_job(path, review=nothing, format="json", templates=site.templates, rules=site.rules)
        if _contents(path) != seen:
            msg = "the files of this study were changed by somebody else; reload them, and decide again"
            raise UsageError(msg, code="review.changed_on_disk")
        render_files(replace(job, review=written), Progress.silent())
    except CalcReportError as error:
        return UsageError if isinstance(error, UsageError) else CalcReportError, error.message, error.code
    return None


def _recorded(report: Report) -> dict[str, Any]:
    """Decisions that the report itself records, where no review file does: a rejection is never lost."""
    lesions = (*report.lesions, *(entry.lesion for entry in report.rejected))
    words = {"accepted": "accept", "rejected": "reject"}
    kept = {lesion.id: lesion.review for lesion in lesions if lesion.review and lesion.review.status in words}
    return {
        name: {"decision": words[record.status]}
        | record.model_dump(include={"reason", "reader", "date"}, exclude_none=True)
        for name, record in kept.items()
    }


def _unsigned(verdict: Any) -> Any:  # noqa: ANN401 - as typed
    """Decision without whose it is."""
    return {key: value for key, value in verdict.items() if key not in _WHO} if isinstance(verdict, dict) else verdict
