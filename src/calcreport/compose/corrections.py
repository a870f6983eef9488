"""Replacement of lesion values by a reader, in a review or in ``report.json`` itself: dependent values, and undoing."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from calcreport.errors import UsageError
from calcreport.model.evidence import ReviewChange
from calcreport.model.findings import FindingPattern, FindingSize, LesionFinding
from calcreport.model.report import Lesion, LesionReview, LesionShape, Mass, Pattern, Size
from calcreport.model.terms import PATTERN_LABELS, Confidence, DepthClass, Record, YesNo
from calcreport.model.typed_review import LesionVerdict, TypedMass

_REPLACED: Final = ("size", "mass", "depth", "pattern", "location", "shape")
"""Parts of a lesion a reader can change; every change of a field in them is written down."""

_OF_SHAPE: Final = frozenset({"contour", "to_skin", "to_fascia"})
"""Fields of a shape that a correction removes; the others locate the lesion and cannot be typed."""

_EXTENTS: Final = tuple(name for name in FindingSize.model_fields if name not in {"max_diameter_mm", "is_by_reader"})
"""Fields of a size beside its longest dimension."""


def correct(lesion: Lesion, verdict: LesionVerdict) -> Lesion:
    """Replace drafted values by a reader's, and remove values derived from the drafted ones.

    A value of `verdict` (lengths in mm) that is the drafted one changes nothing; `review` stays as it was.
    """
    update: dict[str, Record | None] = {}
    if verdict.pattern is not None:
        update["pattern"] = _pattern_of(lesion.pattern, verdict.pattern)
    place = {
        name: value
        for name in ("laterality", "region")
        if (value := getattr(verdict, name)) not in {None, getattr(lesion.location, name)}
    }
    if place:
        sources = {f"{name}_source": "reader" for name in place}
        update["location"] = lesion.location.model_copy(update=place | sources)
    if verdict.max_diameter_mm not in {None, lesion.size.max_diameter_mm}:
        # measured extents and error do not apply to the reader's length
        kept = {name: getattr(lesion.size, name) for name in ("volume_mm3", "projected", "plane")}
        update["size"] = Size(max_diameter_mm=verdict.max_diameter_mm, **kept)
    if verdict.mass is not None:
        update["mass"] = _mass_of(lesion.mass, verdict.mass)
    corrected = lesion.model_copy(update=update)
    if verdict.depth_class not in {None, lesion.depth.class_}:
        corrected = _with_depth(corrected, verdict)
    return _without_contour(corrected)


def _pattern_of(drafted: Pattern, typed: FindingPattern) -> Pattern:
    if typed.id in {None, drafted.id}:
        return drafted.model_copy(update={"confidence": typed.confidence or drafted.confidence})
    # Scores and features belong to the pattern that the reader replaced.
    name = typed.id or ""
    confidence = typed.confidence or Confidence.HIGH
    return Pattern(id=name, label=PATTERN_LABELS.get(name, name), confidence=confidence, scores={}, features={})


def _mass_of(drafted: Mass, typed: TypedMass) -> Mass:
    if typed.present is drafted.present and typed.max_diameter_mm in {None, drafted.max_diameter_mm}:
        return drafted
    if typed.present is YesNo.UNKNOWN:
        return Mass()
    depth_class = drafted.depth_class if typed.present is YesNo.YES else None
    return Mass(
        present=typed.present, max_diameter_mm=typed.max_diameter_mm, source="clinician", depth_class=depth_class
    )


def _with_depth(lesion: Lesion, verdict: LesionVerdict) -> Lesion:
    """Lesion in the reader's layer, and its mass with it; the distance to the fascia belongs to the drafted layer."""
    depth = {"class_": verdict.depth_class, "reason": "", "fascia_distance_mm": None}
    update: dict[str, Record | None] = {"depth": lesion.depth.model_copy(update=depth)}
    if lesion.mass.depth_class is not None:
        update["mass"] = lesion.mass.model_copy(update={"depth_class": verdict.depth_class})
    if lesion.shape is not None:
        update["shape"] = lesion.shape.model_copy(update={"to_fascia": None})
    return lesion.model_copy(update=update)


def _without_contour(lesion: Lesion) -> Lesion:
    """Lesion without the contour of a mass that the reader does not see, and without the distances of its edge."""
    shape = lesion.shape
    if shape is None or shape.contour is None or shape.mineral is None or lesion.mass.present is YesNo.YES:
        return lesion
    depth = lesion.depth.model_copy(update={"skin_distance_mm": None, "fascia_distance_mm": None})
    shape = shape.model_copy(update=dict.fromkeys(_OF_SHAPE))
    return lesion.model_copy(update={"depth": depth, "shape": shape})


def list_changes(drafted: Lesion, corrected: Lesion) -> tuple[ReviewChange, ...]:
    """List every value that differs, with its drafted and its present state."""
    changes = []
    for part in _REPLACED:
        old, new = _plain(getattr(drafted, part)), _plain(getattr(corrected, part))
        changes += [
            ReviewChange(field=f"{part}.{name}", measured=old[name], reader=new[name])
            for name in old
            if old[name] != new[name]
        ]
    return tuple(changes)


def undo(lesion: Lesion, *, keep: tuple[ReviewChange, ...] = ()) -> Lesion:
    """Undo a review: the lesion as drafted, but for the changes in `keep`, without a review."""
    if lesion.review is None:
        return lesion
    parts: dict[str, dict[str, Any]] = {}
    for change in lesion.review.changes:
        part, _, name = change.field.partition(".")
        if part in _REPLACED and change not in keep:
            parts.setdefault(part, {})[name] = change.measured
    restored = {}
    for part, fields in parts.items():
        present: Record = getattr(lesion, part)
        restored[part] = type(present).model_validate(present.model_dump(mode="json", by_alias=True) | fields)
    return lesion.model_copy(update=restored | {"review": None})


def _plain(part: Record | None) -> dict[str, Any]:
    include = set(_OF_SHAPE) if isinstance(part, LesionShape) else None
    return {} if part is None else part.model_dump(mode="json", by_alias=True, include=include)


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
    size = lesion.size  # with the length that was deleted
    if size.max_diameter_mm is not None:
        extents = {name: getattr(lesion.size, name) for name in _EXTENTS}
        edited = {name: value for name, value in extents.items() if value != getattr(finding.size, name)}
        size = after.size.model_copy(update=edited)
    after = after.model_copy(update={"size": size})
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
    name, mass = finding.pattern.id or lesion.pattern.id, finding.mass
    pattern = {"id": name, "confidence": finding.pattern.confidence or Confidence.LOW}
    label = {} if name == lesion.pattern.id else {"label": PATTERN_LABELS.get(name, name)}
    changed: dict[str, dict[str, Any]] = {
        "size": {"max_diameter_mm": finding.size.max_diameter_mm},
        "mass": {"present": mass.present, "max_diameter_mm": mass.max_diameter_mm},
        "depth": {"class_": finding.depth.class_ or DepthClass.CANNOT_DETERMINE},
        "location": {"laterality": finding.location.laterality},
        "pattern": pattern | label,
    }
    parts = {part: getattr(lesion, part).model_copy(update=update) for part, update in changed.items()}
    return lesion.model_copy(update=parts)


def _compare(drafted: Lesion, lesion: Lesion) -> LesionVerdict:
    """Verdict that turns the values of a draft into those of the report."""
    pattern, mass = lesion.pattern, lesion.mass
    is_as_sure = pattern.confidence is drafted.pattern.confidence
    is_mass = (mass.present, mass.max_diameter_mm) != (drafted.mass.present, drafted.mass.max_diameter_mm)
    longest_mm = mass.max_diameter_mm if mass.present is YesNo.YES else None
    return LesionVerdict(
        pattern=FindingPattern(
            id=None if pattern.id == drafted.pattern.id else pattern.id,
            confidence=None if is_as_sure else pattern.confidence,
        ),
        depth_class=lesion.depth.class_,
        laterality=lesion.location.laterality,
        max_diameter_mm=lesion.size.max_diameter_mm,
        mass=TypedMass(present=mass.present, max_diameter_mm=longest_mm) if is_mass else None,
    )
