"""What the decision logic answers."""

from __future__ import annotations

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
