"""What the decision logic answers."""

from __future__ import annotations

from calcreport.model.report import (
    Concern,
    Differential,
    Flags,
    FlagState,
    PatientLevel,
    Recommendation,
    Record,
)


class LesionDecision(Record):
    """The rules' answer for one lesion; field meanings as in the report."""

    flags: Flags
    concern: Concern
    differential: tuple[Differential, ...]
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()


class Decision(Record):
    """The rules' answer for the patient, lesions in the order they were given."""

    lesions: tuple[LesionDecision, ...]
    patient: PatientLevel
    concern: Concern
    flags_summary: dict[str, FlagState]
    recommendations: tuple[Recommendation, ...]
    limitations: tuple[str, ...] = ()
