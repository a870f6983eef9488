"""What the decision logic answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from calcreport.model import report

Capability = Literal[
    "is_commonest", "is_systemic", "is_tumour", "is_open", "is_of_bone", "contests_benign", "forbids_biopsy",
    "is_referral", "leads_to_procedure", "stands_without_lesion", "is_extent", "is_silenced",
]  # fmt: skip
"""A column of the rule tables that says what a class, a recommendation or a row of a flag is; docs/usage.md."""


class Capabilities(report.Record):
    """What the rule tables say of their classes, recommendations and rows of flags, by id."""

    classes: dict[str, frozenset[Capability]] = Field(default_factory=dict)
    recommendations: dict[str, frozenset[Capability]] = Field(default_factory=dict)
    flag_rows: dict[str, frozenset[Capability]] = Field(default_factory=dict)
    contacts: dict[str, str] = Field(default_factory=dict)
    """Recommendation to who is called the same day."""
    bans: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Recommendation that forbids biopsy to the names of the classes it does so for."""

    def is_class(self, name: str | None, capability: Capability) -> bool:
        """Whether a class has a capability."""
        return capability in self.classes.get(name or "", ())

    def is_flag_row(self, row: str, capability: Capability) -> bool:
        """Whether a row of a flag has a capability."""
        return capability in self.flag_rows.get(row, ())

    def has_any(self, names: Iterable[str], capability: Capability) -> bool:
        """Whether one of some recommendations has a capability."""
        return any(capability in self.recommendations.get(name, ()) for name in names)


class LesionDecision(report.Record):
    """The rules' answer for one lesion; field meanings as in the report."""

    flags: report.Flags
    concern: report.Concern
    differential: tuple[report.Differential, ...]
    recommendations: tuple[report.Recommendation, ...]
    notes: tuple[str, ...] = ()
    growth: report.LesionGrowth | None = None


class ChangedLesion(report.OtherAnswerLesion):
    """What another answer would change about one lesion, which has no name yet."""

    lesion: str = ""
    index: int
    """Place of the lesion among those given."""


class WouldChange(report.Record):
    """An answer to an unknown input that would change concern, a flag or the leading class; see `OtherAnswer`."""

    input: str
    answer: str
    concern_now: report.Concern
    concern: report.Concern
    lesions: tuple[ChangedLesion, ...]
    is_remote: bool = False
    """The answer would be a surprise here: kept, and not worth a line of the text."""


class Decision(report.Record):
    """The rules' answer for the patient, lesions in the order they were given."""

    lesions: tuple[LesionDecision, ...]
    patient: report.PatientLevel
    concern: report.Concern
    flags_summary: dict[str, report.FlagState]
    recommendations: tuple[report.Recommendation, ...]
    limitations: tuple[str, ...] = ()
    laboratory: report.Laboratory | None = None
    inputs: tuple[report.UsedInput, ...] = ()
    capabilities: Capabilities = Field(default_factory=Capabilities)
    would_change: tuple[WouldChange, ...] = ()
    """What matters most first."""
