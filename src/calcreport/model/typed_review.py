"""A reader's review as typed: checked, every mistake named at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from calcreport.model.answers import Answer, Day, Length, Side, Word, as_word
from calcreport.model.findings import FindingPattern
from calcreport.model.terms import DepthClass, Record, YesNo
from calcreport.model.typed_mistakes import checked, spell_path

_LONGEST_TEXT: Final = 400  # characters of a line a reader types


def _positive(length: float | None) -> float | None:
    if length is not None and length <= 0:
        msg = "must be above 0 mm"
        raise ValueError(msg)
    return length


Extent = Annotated[Length | None, AfterValidator(_positive)]
"""A length in mm by the reader."""

Line = Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT)]  # one line of text a reader types


def _as_entry(name: str) -> BeforeValidator:
    """Read a word alone, as in ``L1: accept`` and ``pattern: P05``, as the one entry of its section."""
    return BeforeValidator(lambda value: {name: value} if isinstance(value, str) else value)


class TypedMass(Record):
    """The whole lesion with its non-mineralised part, as the reader sees it."""

    present: Answer = YesNo.UNKNOWN
    max_diameter_mm: Extent = None


class LesionVerdict(Record):
    """What a reader decides about one lesion; what is not given stays as it was drafted."""

    decision: Annotated[Literal["accept", "reject", "correct"], BeforeValidator(as_word)] | None = None
    """Without it a lesion with corrected values is corrected."""
    reason: Line | None = None
    """Why; a rejection needs one."""
    pattern: Annotated[FindingPattern | None, _as_entry("id")] = None
    depth_class: Annotated[DepthClass, BeforeValidator(as_word)] | None = None
    laterality: Side | None = None
    region: Annotated[Word, Field(min_length=1)] | None = None
    max_diameter_mm: Extent = None
    """Longest dimension of the mineral."""
    mass: TypedMass | None = None
    reader: Line | None = None
    date: Day | None = None
    """Who decided, and when, where it is not the reader of the whole review."""

    @property
    def has_values(self) -> bool:
        """Whether the reader replaced anything."""
        given = (self.pattern, self.depth_class, self.laterality, self.region, self.max_diameter_mm, self.mass)
        return any(value is not None for value in given)


class Review(Record):
    """``review.yaml``."""

    reader: Line | None = None
    """Name as it should stand in the report."""
    date: Day | None = None
    lesions: dict[str, Annotated[LesionVerdict, _as_entry("decision")]] = Field(default_factory=dict)
    """By the lesion's id in the report, such as ``L1``, or by its tracking UID."""


def parse_review(data: Mapping[str, Any]) -> Review:
    """Check a typed review, as read from YAML or JSON, and take it over.

    Raises `ClinicalError` with every mistake at once, one a line, without the values typed: ``review.unknown_key``,
    ``review.value``; ``review.invalid`` when there are both kinds.
    """
    return checked(data, Review, area="review", data=data, contradictions=_contradictions)


def _contradictions(review: Review) -> Iterator[str]:
    for name, verdict in review.lesions.items():
        decision, has_values, pattern, mass = verdict.decision, verdict.has_values, verdict.pattern, verdict.mass
        is_sized = mass is not None and mass.max_diameter_mm is not None
        for is_so, text in (
            (decision is None and not has_values, "give a decision (accept, reject or correct) or a corrected value"),
            (decision == "reject" and not (verdict.reason or "").strip(), "a rejection needs its reason"),
            (decision in {"reject", "accept"} and has_values, f"{decision} and corrected values contradict each other"),
            (decision == "correct" and not has_values, "name what is corrected"),
            (pattern and pattern.id is pattern.confidence is None, "name the pattern, or how sure it is"),
            (is_sized and mass and mass.present is not YesNo.YES, "a mass with a size needs 'present: yes'"),
        ):
            if is_so:
                yield f"{spell_path(('lesions', name))}: {text}"
