"""Replacement of lesion values by a reader: dependent values, the record of changes, and undoing them."""

from __future__ import annotations

from typing import Any, Final

from calcreport.model.evidence import ReviewChange
from calcreport.model.report import Depth, Lesion, LesionShape, Mass, Pattern, Size
from calcreport.model.terms import PATTERN_LABELS, Confidence, Record, YesNo
from calcreport.model.typed_review import LesionVerdict

_REPLACED: Final = ("size", "mass", "depth", "pattern", "location", "shape")
"""Parts of a lesion a reader can change; every change of a field in them is written down."""

_OF_SHAPE: Final = frozenset({"contour", "to_skin", "to_fascia"})
"""Fields of a shape that a correction removes; the others locate the lesion and cannot be typed."""


def correct(lesion: Lesion, verdict: LesionVerdict) -> Lesion:
    """Replace drafted values by a reader's, and remove values derived from the drafted ones.

    A value of `verdict` (lengths in mm) that is the drafted one changes nothing; `review` stays as it was.
    """
    update: dict[str, Record | None] = {}
    if verdict.pattern is not None:
        update["pattern"] = _pattern_of(lesion.pattern, verdict)
    place = {
        name: value
        for name in ("laterality", "region")
        if (value := getattr(verdict, name)) not in {None, getattr(lesion.location, name)}
    }
    if place:
        sources = {f"{name}_source": "reader" for name in place}
        update["location"] = lesion.location.model_copy(update=place | sources)
    if verdict.max_diameter_mm not in {None, lesion.size.max_diameter_mm}:
        update["size"] = _size_of(lesion.size, verdict)
    if verdict.mass is not None:
        update["mass"] = _mass_of(lesion.mass, verdict)
    corrected = lesion.model_copy(update=update)
    if verdict.depth_class not in {None, lesion.depth.class_}:
        corrected = _with_depth(corrected, verdict)
    return _without_contour(corrected)


def _pattern_of(drafted: Pattern, verdict: LesionVerdict) -> Pattern:
    typed = verdict.pattern
    if typed is None:
        return drafted
    if typed.id in {None, drafted.id}:
        return drafted.model_copy(update={"confidence": typed.confidence or drafted.confidence})
    # Scores and features belong to the pattern that the reader replaced.
    return Pattern(
        id=typed.id or "",
        label=PATTERN_LABELS.get(typed.id or "", typed.id or ""),
        confidence=typed.confidence or Confidence.HIGH,
        scores={},
        features={},
    )


def _size_of(drafted: Size, verdict: LesionVerdict) -> Size:
    """Size with the reader's length; measured extents and error do not apply to it."""
    return Size(
        max_diameter_mm=verdict.max_diameter_mm,
        volume_mm3=drafted.volume_mm3,
        projected=drafted.projected,
        plane=drafted.plane,
    )


def _mass_of(drafted: Mass, verdict: LesionVerdict) -> Mass:
    typed = verdict.mass
    if typed is None or (typed.present is drafted.present and typed.max_diameter_mm in {None, drafted.max_diameter_mm}):
        return drafted
    if typed.present is YesNo.UNKNOWN:
        return Mass()
    return Mass(
        present=typed.present,
        max_diameter_mm=typed.max_diameter_mm,
        source="clinician",
        depth_class=drafted.depth_class if typed.present is YesNo.YES else None,
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
    is_denied = lesion.mass.present is not YesNo.YES
    if shape is None or shape.contour is None or shape.mineral is None or not is_denied:
        return lesion
    depth = lesion.depth.model_copy(update={"skin_distance_mm": None, "fascia_distance_mm": None})
    return lesion.model_copy(
        update={"depth": depth, "shape": shape.model_copy(update=dict.fromkeys(_OF_SHAPE))},
    )


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
    restored = {part: _put_back(getattr(lesion, part), fields) for part, fields in parts.items()}
    return lesion.model_copy(update=restored | {"review": None})


def _put_back(part: Record, fields: dict[str, Any]) -> Record:
    return type(part).model_validate(part.model_dump(mode="json", by_alias=True) | fields)


def _plain(part: Size | Mass | Depth | Pattern | LesionShape | None) -> dict[str, Any]:
    include = set(_OF_SHAPE) if isinstance(part, LesionShape) else None
    return {} if part is None else part.model_dump(mode="json", by_alias=True, include=include)
