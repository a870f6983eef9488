"""A reader's review laid over the facts of a report; what follows from them is concluded anew afterwards."""

from __future__ import annotations

from typing import Any, Final

from calcreport.errors import ClinicalError
from calcreport.model.findings import FindingFeatures, Findings, LesionFinding, finding_facts
from calcreport.model.report import Lesion, LesionReview, RejectedLesion, Report
from calcreport.model.review import ReviewChange
from calcreport.model.terms import PATTERN_LABELS, Confidence, DepthClass, Record, YesNo
from calcreport.model.typed_review import LesionVerdict, Review

_REPLACED: Final = ("size", "mass", "depth", "pattern", "location")
"""Parts of a lesion a reader can change; every change of a field in them is written down."""


def restore(report: Report, taken: Findings) -> tuple[Report, Findings]:
    """Undo an earlier review: every lesion as it was drafted, rejected ones back in their places.

    Parameters
    ----------
    report : Report
        Reviewed or not.
    taken : Findings
        Findings it holds, without the rejected lesions.

    Returns
    -------
    tuple[Report, Findings]
        Facts and findings in the order of the draft.
    """
    findings = {lesion.id: lesion for lesion in taken.lesions} | {
        entry.lesion.id: LesionFinding.model_validate(entry.finding) for entry in report.rejected
    }
    lesions = sorted((*report.lesions, *(entry.lesion for entry in report.rejected)), key=_place)
    drafted = tuple(_undo(lesion) for lesion in lesions)
    return (
        report.model_copy(update={"lesions": drafted, "rejected": ()}),
        taken.model_copy(update={"lesions": tuple(findings[lesion.id] for lesion in drafted)}),
    )


def apply_review(report: Report, taken: Findings, review: Review) -> tuple[Report, Findings]:
    """Lay a review over a draft.

    Parameters
    ----------
    report, taken
        From `restore`.
    review : Review
        As typed.

    Returns
    -------
    tuple[Report, Findings]
        Facts, with the rejected lesions apart, and the findings of the others.

    Raises
    ------
    ClinicalError
        ``review.unknown_lesion`` when it names a lesion the report does not have, ``review.twice`` when one lesion is
        named by its id and by its tracking UID.
    """
    verdicts = _match(report, review)
    lesions: list[Lesion] = []
    kept: list[LesionFinding] = []
    rejected: list[RejectedLesion] = []
    for lesion, finding in zip(report.lesions, taken.lesions, strict=True):
        verdict = verdicts.get(lesion.id)
        judged = lesion if verdict is None else _judge(lesion, verdict, review)
        if verdict is not None and verdict.decision == "reject":
            told = finding.model_dump(mode="json", exclude_defaults=True)
            rejected.append(RejectedLesion(lesion=judged, finding=told))
        else:
            lesions.append(judged)
            kept.append(finding)
    facts = report.model_copy(update={"lesions": tuple(lesions), "rejected": tuple(rejected)})
    return facts, taken.model_copy(update={"lesions": tuple(kept)})


def set_rejected_apart(report: Report, taken: Findings) -> tuple[Report, Findings]:
    """Move lesions whose `review` was set to rejected in the report itself to where rejected ones are kept.

    Parameters
    ----------
    report : Report
        As written or edited.
    taken : Findings
        Findings of its lesions.
    """
    rejected = {lesion.id: lesion for lesion in report.lesions if lesion.review and lesion.review.status == "rejected"}
    if not rejected:
        return report, taken
    apart = tuple(
        RejectedLesion(lesion=rejected[finding.id], finding=finding.model_dump(mode="json", exclude_defaults=True))
        for finding in taken.lesions
        if finding.id in rejected
    )
    lesions = tuple(lesion for lesion in report.lesions if lesion.id not in rejected)
    kept = tuple(finding for finding in taken.lesions if finding.id not in rejected)
    facts = report.model_copy(update={"lesions": lesions, "rejected": (*report.rejected, *apart)})
    return facts, taken.model_copy(update={"lesions": kept})


def refresh(report: Report, taken: Findings) -> Findings:
    """Findings of the lesions as they stand in a report now: the same as `taken` unless a fact was changed.

    Parameters
    ----------
    report : Report
        Measured lesions, possibly corrected or edited.
    taken : Findings
        Findings of these lesions before; the order is that of the report.
    """
    before = {lesion.id: lesion for lesion in taken.lesions}
    lesions = tuple(_refresh(lesion, before[lesion.id]) for lesion in report.lesions if lesion.id in before)
    return taken.model_copy(update={"lesions": lesions})


def _refresh(lesion: Lesion, before: LesionFinding) -> LesionFinding:
    facts = finding_facts(lesion)
    place = before.location.model_copy(update={"laterality": lesion.location.laterality})
    if lesion.review is not None and any(change.field == "pattern.id" for change in lesion.review.changes):
        facts["features"] = FindingFeatures()  # they were read off as signs of the pattern the reader did not see
    return before.model_copy(update=facts | {"location": place})


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
    corrected = _correct(lesion, verdict)
    changes = _differences(lesion, corrected)
    status = "rejected" if verdict.decision == "reject" else "corrected" if changes else "accepted"
    record = LesionReview(
        status=status,
        reason=verdict.reason,
        reader=review.reader,
        date=review.date.isoformat() if review.date else None,
        changes=changes,
    )
    return corrected.model_copy(update={"review": record})


def _correct(lesion: Lesion, verdict: LesionVerdict) -> Lesion:
    update: dict[str, Record] = {}
    if verdict.pattern is not None and verdict.pattern.id not in {None, lesion.pattern.id}:
        update["pattern"] = lesion.pattern.model_copy(
            update={
                "id": verdict.pattern.id,
                "label": PATTERN_LABELS.get(verdict.pattern.id or "", verdict.pattern.id),
                "confidence": verdict.pattern.confidence or Confidence.HIGH,
                "caveats": (),
            }
        )
    if verdict.depth_class not in {None, lesion.depth.class_}:
        is_fat = verdict.depth_class is DepthClass.SUBCUTANEOUS
        distance = lesion.depth.fascia_distance_mm if is_fat else None
        reason = {"reason": "", "fascia_distance_mm": distance}
        update["depth"] = lesion.depth.model_copy(update={"class_": verdict.depth_class} | reason)
    if verdict.laterality not in {None, lesion.location.laterality}:
        side = {"laterality": verdict.laterality, "laterality_source": "reader"}
        update["location"] = lesion.location.model_copy(update=side)
    if verdict.max_diameter_mm is not None:
        # Extents and errors of the program's own measurement say nothing about the reader's.
        update["size"] = type(lesion.size)(
            max_diameter_mm=verdict.max_diameter_mm,
            volume_mm3=lesion.size.volume_mm3,
            projected=lesion.size.projected,
            plane=lesion.size.plane,
        )
    if verdict.mass is not None:
        update["mass"] = _mass_of(lesion, verdict)
    return lesion.model_copy(update=update)


def _mass_of(lesion: Lesion, verdict: LesionVerdict) -> Record:
    typed = verdict.mass
    if typed is None or (typed.present is lesion.mass.present and typed.max_diameter_mm is None):
        return lesion.mass
    kind = type(lesion.mass)
    if typed.present is YesNo.UNKNOWN:
        return kind()
    return kind(present=typed.present, max_diameter_mm=typed.max_diameter_mm, source="clinician")


def _differences(before: Lesion, after: Lesion) -> tuple[ReviewChange, ...]:
    changes = []
    for part in _REPLACED:
        old, new = _plain(getattr(before, part)), _plain(getattr(after, part))
        changes += [
            ReviewChange(field=f"{part}.{name}", measured=old[name], reader=new[name])
            for name in old
            if old[name] != new[name]
        ]
    return tuple(changes)


def _undo(lesion: Lesion) -> Lesion:
    if lesion.review is None:
        return lesion
    parts: dict[str, dict[str, Any]] = {}
    for change in lesion.review.changes:
        part, _, name = change.field.partition(".")
        if part in _REPLACED:
            parts.setdefault(part, _plain(getattr(lesion, part)))[name] = change.measured
    restored = {part: type(getattr(lesion, part)).model_validate(fields) for part, fields in parts.items()}
    return lesion.model_copy(update=restored | {"review": None})


def _plain(part: Record) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True)
