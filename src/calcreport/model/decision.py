"""What the decision logic answers."""

from __future__ import annotations

from pydantic import Field

from calcreport.model.report import (
    Concern,
    Differential,
    Flags,
    FlagState,
    Laboratory,
    LesionGrowth,
    PatientLevel,
    Recommendation,
    Record,
    UsedInput,
)


class LesionDecision(Record):
    """The rules' answer for one lesion; field meanings as in the report."""

    flags: Flags
    concern: Concern
    differential: tuple[Differential, ...]
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    growth: LesionGrowth | None = None


class ChangedLesion(Record):
    """What another answer would change about one lesion; only what differs is named."""

    index: int
    """Place of the lesion among those given."""
    concern: Concern
    flags: dict[str, FlagState] = Field(default_factory=dict)
    """Flag to the state it would have."""
    leading: str | None = None
    """Class that would lead, or lead with another certainty; ``None`` when nothing of that changes."""
    label: str = ""
    certainty: str = ""
    is_weaker: bool = False
    """The same class would lead as now, with less certainty."""
    recommended: tuple[str, ...] = ()
    """Of referral (R09), no biopsy (R11) and same-day contact (R13): what would be said."""
    withdrawn: tuple[str, ...] = ()
    """… and what would no longer be said."""


class WouldChange(Record):
    """One answer to one unknown input that would change the concern, a flag or the leading class."""

    input: str
    """As in the clinical file; ``lesion.`` before a field of the findings."""
    answer: str
    concern_now: Concern
    concern: Concern
    """Of the study with this answer."""
    lesions: tuple[ChangedLesion, ...]
    is_remote: bool = False
    """The answer would be a surprise here: kept, and not worth a line of the text."""


class Decision(Record):
    """The rules' answer for the patient, lesions in the order they were given."""

    lesions: tuple[LesionDecision, ...]
    patient: PatientLevel
    concern: Concern
    flags_summary: dict[str, FlagState]
    recommendations: tuple[Recommendation, ...]
    limitations: tuple[str, ...] = ()
    laboratory: Laboratory | None = None
    inputs: tuple[UsedInput, ...] = ()
    would_change: tuple[WouldChange, ...] = ()
    """What matters most first."""
