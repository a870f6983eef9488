"""Facts of a lesion edited by hand in ``report.json``: treated and marked as a reader's values."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from calcreport.compose.corrections import correct, list_changes, undo
from calcreport.errors import UsageError
from calcreport.model.evidence import ReviewChange
from calcreport.model.findings import FindingPattern, FindingSize, LesionFinding
from calcreport.model.report import Lesion, LesionReview
from calcreport.model.terms import PATTERN_LABELS, Confidence, DepthClass, Record, YesNo
from calcreport.model.typed_review import LesionVerdict, TypedMass

_EXTENTS: Final = tuple(name for name in FindingSize.model_fields if name not in {"max_diameter_mm", "is_by_reader"})
"""Fields of a size beside its longest dimension."""


def mark_edits(lesion: Lesion, finding: LesionFinding) -> Lesion:
    """Mark the values of a lesion that were edited by hand since the rules took it as `finding`.

    The same lesion when none of pattern, layer, side, mass or longest dimension (mm) differs from the finding.
    Otherwise with the edited values in `review`, and without what the draft drew from the values before. Raises
    `UsageError` ``report.edited_value``; the value is not repeated.
    """
    before = _before_edits(lesion, finding)
    if before == lesion:
        return lesion
    drafted = undo(before)
    try:
        typed = _compare(drafted, lesion)
    except ValidationError:
        typed = None
    if typed is None:
        # Raised outside the handler: the cause would carry the values into a traceback.
        msg = f"a value of {lesion.id} was edited to what it cannot be (pattern or a length); correct it"
        raise UsageError(msg, code="report.edited_value")
    after = correct(drafted, typed)
    after = after.model_copy(update={"size": _size_of(after, lesion, finding)})
    by_hand = {change.field for change in (*list_changes(before, after), *edits_of(before))}
    changes = tuple(
        change.model_copy(update={"is_edit": change.field in by_hand}) for change in list_changes(drafted, after)
    )
    return after.model_copy(update={"review": _record(lesion.review, changes)})


def edits_of(lesion: Lesion) -> tuple[ReviewChange, ...]:
    """List the changes of a lesion made in ``report.json``; no review undoes them."""
    return tuple(change for change in lesion.review.changes if change.is_edit) if lesion.review else ()


def _record(earlier: LesionReview | None, changes: tuple[ReviewChange, ...]) -> LesionReview | None:
    if earlier is None:
        return LesionReview(status="corrected", changes=changes) if changes else None
    if not changes and all(change.is_edit for change in earlier.changes) and earlier.status == "corrected":
        return None  # the edits were undone by hand
    status = "rejected" if earlier.status == "rejected" else "corrected" if changes else "accepted"
    return earlier.model_copy(update={"status": status, "changes": changes})


def _before_edits(lesion: Lesion, finding: LesionFinding) -> Lesion:
    """Lesion with the values last given to the rules."""
    update: dict[str, Record] = {
        "size": lesion.size.model_copy(update={"max_diameter_mm": finding.size.max_diameter_mm}),
        "mass": lesion.mass.model_copy(
            update={"present": finding.mass.present, "max_diameter_mm": finding.mass.max_diameter_mm}
        ),
        "depth": lesion.depth.model_copy(update={"class_": finding.depth.class_ or DepthClass.CANNOT_DETERMINE}),
        "location": lesion.location.model_copy(update={"laterality": finding.location.laterality}),
    }
    name = finding.pattern.id or lesion.pattern.id
    pattern = {"id": name, "confidence": finding.pattern.confidence or Confidence.LOW}
    label = {} if name == lesion.pattern.id else {"label": PATTERN_LABELS.get(name, name)}
    update["pattern"] = lesion.pattern.model_copy(update=pattern | label)
    return lesion.model_copy(update=update)


def _compare(drafted: Lesion, lesion: Lesion) -> LesionVerdict:
    """Verdict that turns the values of a draft into those of the report."""
    pattern, mass = lesion.pattern, lesion.mass
    is_other = pattern.id != drafted.pattern.id
    is_as_sure = pattern.confidence is drafted.pattern.confidence
    is_mass = (mass.present, mass.max_diameter_mm) != (drafted.mass.present, drafted.mass.max_diameter_mm)
    longest_mm = mass.max_diameter_mm if mass.present is YesNo.YES else None
    return LesionVerdict(
        pattern=FindingPattern(
            id=pattern.id if is_other else None,
            confidence=None if is_as_sure else pattern.confidence,
        ),
        depth_class=lesion.depth.class_,
        laterality=lesion.location.laterality,
        max_diameter_mm=lesion.size.max_diameter_mm,
        mass=TypedMass(present=mass.present, max_diameter_mm=longest_mm) if is_mass else None,
    )


def _size_of(after: Lesion, lesion: Lesion, finding: LesionFinding) -> Record:
    """Size with the extents that were edited along with the length, or unchanged where the length was deleted."""
    if lesion.size.max_diameter_mm is None:
        return lesion.size
    extents = {name: getattr(lesion.size, name) for name in _EXTENTS}
    edited = {name: value for name, value in extents.items() if value != getattr(finding.size, name)}
    return after.size.model_copy(update=edited)
