"""Application of a reader's review to the facts of a report; conclusions are renewed afterwards."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from calcreport.compose.corrections import correct, edits_of, list_changes, mark_edits, undo
from calcreport.errors import ClinicalError, UsageError
from calcreport.model.findings import Findings, LesionFinding, finding_facts
from calcreport.model.report import Lesion, LesionReview, RejectedLesion, Report
from calcreport.model.terms import YesNo
from calcreport.model.typed_review import LesionVerdict, Review
from calcreport.text.statements import Statements
from calcreport.text.wording import name_body_part


def restore(report: Report, rule_findings: Findings) -> tuple[Report, Findings]:
    """Undo an earlier review: every lesion and finding as drafted, rejected ones back in their places.

    What was edited by hand in the report itself stays, marked as such. `rule_findings` are those of the lesions not
    rejected. Raises `UsageError` ``render.unknown_lesion`` when a lesion has no finding, ``report.edited_value``.
    """
    findings = {lesion.id: lesion for lesion in rule_findings.lesions} | {
        entry.lesion.id: LesionFinding.model_validate(entry.finding) for entry in report.rejected
    }
    refuse_unknown(report.lesions, findings)
    lesions = sorted((*report.lesions, *(entry.lesion for entry in report.rejected)), key=_place)
    drafted = tuple(_without_review(mark_edits(lesion, findings[lesion.id])) for lesion in lesions)
    drafted_findings = tuple(findings[lesion.id] for lesion in drafted)
    facts = report.model_copy(update={"lesions": drafted, "rejected": ()})
    return facts, rule_findings.model_copy(update={"lesions": drafted_findings})


def refuse_unknown(lesions: Iterable[Lesion], known: Container[str | None]) -> None:
    """Refuse lesions without a finding among the ids `known`: `UsageError` ``render.unknown_lesion``."""
    if any(lesion.id not in known for lesion in lesions):
        msg = "the report names a lesion that was never measured; take the original report"
        raise UsageError(msg, code="render.unknown_lesion")


def apply_review(report: Report, rule_findings: Findings, review: Review) -> tuple[Report, Findings]:
    """Apply a review to a draft from `restore`: facts, with the rejected lesions apart, and findings of the others.

    Raises `ClinicalError` ``review.unknown_lesion`` when it names a lesion the report does not have, ``review.twice``
    when one lesion is named by its id and by its tracking UID.
    """
    verdicts = _match(report, review)
    judged = [
        _judge(lesion, verdicts[lesion.id], review) if lesion.id in verdicts else lesion for lesion in report.lesions
    ]
    return _set_apart(report, rule_findings, judged)


def set_rejected_apart(report: Report, rule_findings: Findings) -> tuple[Report, Findings]:
    """Apply the edits of a report without a review file: changed facts, and lesions set to rejected.

    Facts are marked as a reader's (`mark_edits`); lesions whose `review` says rejected go where rejected ones are kept.
    """
    found = {finding.id: finding for finding in rule_findings.lesions}
    edited = [mark_edits(lesion, found[lesion.id]) if lesion.id in found else lesion for lesion in report.lesions]
    return _set_apart(report, rule_findings, edited)


def _set_apart(report: Report, rule_findings: Findings, lesions: Sequence[Lesion]) -> tuple[Report, Findings]:
    """Put the lesions whose `review` says rejected where rejected ones are kept, each with its finding."""
    rejected = {lesion.id: lesion for lesion in lesions if lesion.review and lesion.review.status == "rejected"}
    findings = rule_findings.lesions
    apart = tuple(
        RejectedLesion(lesion=rejected[finding.id], finding=finding.model_dump(mode="json", exclude_defaults=True))
        for finding in findings
        if finding.id in rejected
    )
    kept = tuple(lesion for lesion in lesions if lesion.id not in rejected)
    facts = report.model_copy(update={"lesions": kept, "rejected": (*report.rejected, *apart)})
    return facts, rule_findings.model_copy(update={"lesions": tuple(f for f in findings if f.id not in rejected)})


def refresh(report: Report, rule_findings: Findings, statements: Statements) -> Findings:
    """Findings of the lesions as they stand in a report now: the same as `rule_findings` unless a fact was changed.

    Both are in the order of the report. Raises `ClinicalError` ``review.nothing_left`` when a lesion is neither mineral
    nor mass any more.
    """
    before = {lesion.id: lesion for lesion in rule_findings.lesions}
    part = name_body_part(report.study.body_part, statements)
    lesions = []
    for lesion in report.lesions:
        if lesion.id in before:
            _refuse_nothing_left(lesion)
            region = _region_of(lesion, before[lesion.id], part, statements)
            lesions.append(_refresh(lesion, before[lesion.id], region))
    return rule_findings.model_copy(update={"lesions": tuple(lesions)})


def _refresh(lesion: Lesion, before: LesionFinding, region: str | None) -> LesionFinding:
    facts = finding_facts(lesion)
    place = {"laterality": lesion.location.laterality, "region": region}
    changed = {change.field for change in lesion.review.changes} if lesion.review else set()
    if "size.max_diameter_mm" in changed:
        facts["size"] = facts["size"].model_copy(update={"is_by_reader": True})
    if "mass.source" in changed and lesion.mass.source == "clinician":
        facts["mass"] = facts["mass"].model_copy(update={"source": "reader"})
    return before.model_copy(update=facts | {"location": before.location.model_copy(update=place)})


def _region_of(lesion: Lesion, before: LesionFinding, part: str, statements: Statements) -> str | None:
    """Region for the rules: that of the finding, unless the report names another one.

    `part` is the body part of the study in words, which names a region that has no name of its own.
    """
    region, kept = lesion.location.region, before.location.region
    named = name_body_part(kept, statements) or part
    if region is None or region.strip().lower() in {kept, named.lower()}:
        return kept if region is not None or not named else None
    return region.strip().lower()


def _place(lesion: Lesion) -> tuple[int, str]:
    digits = lesion.id.removeprefix("L")
    return (int(digits) if digits.isascii() and digits.isdigit() else 0, lesion.id)


def _match(report: Report, review: Review) -> dict[str, LesionVerdict]:
    names = {lesion.id: lesion.id for lesion in report.lesions}
    names |= {lesion.tracking_uid: lesion.id for lesion in report.lesions if lesion.tracking_uid}
    unknown = [number for number, name in enumerate(review.lesions, start=1) if name not in names]
    if unknown:
        msg = (
            f"The review names a lesion that the report does not have (entry {unknown[0]} of lesions); the report has "
            f"{', '.join(lesion.id for lesion in report.lesions) or 'none'}. Correct the entry."
        )
        raise ClinicalError(msg, code="review.unknown_lesion")
    verdicts: dict[str, LesionVerdict] = {}
    for name, verdict in review.lesions.items():
        if names[name] in verdicts:
            msg = f"The review names {names[name]} twice, by its id and by its tracking UID; leave one entry."
            raise ClinicalError(msg, code="review.twice")
        verdicts[names[name]] = verdict
    return verdicts


def _judge(lesion: Lesion, verdict: LesionVerdict, review: Review) -> Lesion:
    corrected = correct(lesion, verdict)
    by_hand = {(change.field, repr(change.reader)) for change in edits_of(lesion)}
    changes = tuple(
        change.model_copy(update={"is_edit": (change.field, repr(change.reader)) in by_hand})
        for change in list_changes(undo(lesion), corrected)
    )
    status = "rejected" if verdict.decision == "reject" else "corrected" if changes else "accepted"
    day, reader = verdict.date or (review.date if verdict.reader is None else None), verdict.reader or review.reader
    date = day.isoformat() if day else None
    record = LesionReview(status=status, reason=verdict.reason, reader=reader, date=date, changes=changes)
    return corrected.model_copy(update={"review": record})


def _without_review(lesion: Lesion) -> Lesion:
    """Lesion as it was drafted, but for what was edited in the report itself."""
    edits = edits_of(lesion)
    record = LesionReview(status="corrected", changes=edits) if edits else None
    return undo(lesion, keep=edits).model_copy(update={"review": record})


def _refuse_nothing_left(lesion: Lesion) -> None:
    """Refuse a contour without mineral whose mass a reader denies: it would read as an unseen calcification."""
    is_empty = lesion.shape is not None and not lesion.location.films and lesion.shape.mineral is None
    if is_empty and lesion.mass.present is not YesNo.YES and lesion.size.max_diameter_mm is None:
        msg = (
            f"{lesion.id} is a contour in which no mineral was measured; without its mass nothing is left of it. "
            f"Reject it instead, with the reason."
        )
        raise ClinicalError(msg, code="review.nothing_left")
