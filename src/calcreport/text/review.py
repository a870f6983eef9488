"""The reader's review in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from calcreport.model.lengths import Lengths
from calcreport.model.report import FilmPlace, Lesion, LesionReview, RejectedLesion
from calcreport.model.terms import PATTERN_LABELS
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, name_place

_STATED: Final = (
    "pattern.id",
    "pattern.confidence",
    "depth.class",
    "location.laterality",
    "location.region",
    "size.max_diameter_mm",
    "mass.present",
    "mass.max_diameter_mm",
)
"""Replaced values that are printed, in this order; values derived from them are not."""

_WITH: Final = {"pattern.confidence": "pattern.id", "mass.max_diameter_mm": "mass.present"}
"""Values left out where the value they depend on was replaced as well and they were emptied."""

_FAMILIES: Final = {"depth.class": "review.layer", "location.laterality": "review.side", "mass.present": "review.mass"}
"""Family of the words of a value."""


def say_review(lesion: Lesion, statements: Statements, lengths: Lengths) -> str:
    """Say what a reader decided about a lesion that stays; empty when nobody has looked."""
    review = lesion.review
    if review is None:
        return ""
    reader, changes = _name_reader(review, statements), say_changes(review, statements, lengths)
    if review.status == "accepted" or not changes:
        return statements.say("review.accepted", reader=reader)
    corrected = statements.say("review.corrected", reader=reader, changes=statements.join(changes))
    return f"{corrected} ({review.reason})" if review.reason else corrected


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedText:
    """A rejected lesion in words: the finding, which a page strikes out, and the whole as a sentence."""

    finding: str
    verdict: str
    sentence: str


def say_rejected(rejected: RejectedLesion, statements: Statements, lengths: Lengths) -> RejectedText:
    """Say which lesion of the draft a reader rejected, and why."""
    lesion = rejected.lesion
    review = lesion.review or LesionReview(status="rejected")
    longest_mm = lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm
    length = "" if longest_mm is None else lengths.spell(longest_mm)
    parts = (lesion.id, name_place(lesion.location, statements), length, lesion.pattern.label)
    finding = ", ".join(filter(None, parts))
    reason = review.reason or statements.say("review.no_reason")
    reader = _name_reader(review, statements)
    return RejectedText(
        finding=finding,
        verdict=as_sentence(statements.say("review.verdict", reader=reader, reason=reason)),
        sentence=as_sentence(statements.say("review.rejected", reader=reader, finding=finding, reason=reason)),
    )


def _name_reader(review: LesionReview, statements: Statements) -> str:
    name = review.reader or statements.say("review.reader")
    return f"{name} ({review.date})" if review.date else name


def is_by_reader(lesion: Lesion, field: str) -> bool:
    """Whether a reader replaced the value of a field, such as ``"size.max_diameter_mm"``."""
    return lesion.review is not None and any(change.field == field for change in lesion.review.changes)


def longest_film(lesion: Lesion) -> FilmPlace:
    """Radiograph on which a lesion was measured longest: a reader's length replaces the length on it."""
    return max(lesion.location.films, key=lambda place: (place.max_diameter_mm or 0.0, place.max_diameter_px))


def say_changes(review: LesionReview, statements: Statements, lengths: Lengths) -> list[str]:
    """Say which values a reader replaced, each with the value before."""
    changes = {change.field: change for change in review.changes}
    stated = [changes[field] for field in _STATED if field in changes]
    return [
        statements.say(
            f"review.{change.field.replace('.', '_')}",
            before=_spell(change.field, change.measured, statements, lengths),
            after=_spell(change.field, change.reader, statements, lengths),
        )
        for change in stated
        if _WITH.get(change.field) not in changes or (change.field.endswith("_mm") and change.reader is not None)
    ]


def _spell(field: str, value: Any, statements: Statements, lengths: Lengths) -> str:  # noqa: ANN401
    if value is None:
        return statements.say("review.not_measured")
    if field.endswith("_mm"):
        return lengths.spell(float(value))
    if field == "pattern.id":
        return f"{value} ({PATTERN_LABELS[value]})" if value in PATTERN_LABELS else str(value)
    return statements.choose(_FAMILIES[field], str(value), str(value)) if field in _FAMILIES else str(value)
