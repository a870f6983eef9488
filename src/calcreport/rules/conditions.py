"""Conditions of rules and their three answers.

A condition is a comparison of one fact, a named condition, or a combination of conditions. Its answer is met, not met
or unknown (Kleene's strong logic): a fact that was not given makes a comparison unknown, never false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

Value = float | str | tuple[str, ...] | None
"""A fact: a number, a word (``"yes"`` and ``"no"`` too), several words, or ``None`` for unknown."""

Facts = Mapping[str, Value]
"""Facts by declared name."""


@unique
class Verdict(StrEnum):
    """Answer to a condition."""

    MET = "met"
    NOT_MET = "not_met"
    UNKNOWN = "unknown"


@unique
class Relation(StrEnum):
    """How a fact is compared."""

    IS = "is"
    ONE_OF = "one_of"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    ABOVE = "above"
    BELOW = "below"
    INCLUDES = "includes"
    KNOWN = "known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One comparison that was made.

    Parameters
    ----------
    fact : str
        Declared name of the fact.
    value : Value
        What is known; ``None`` when nothing is.
    relation : Relation
        Comparison.
    limit : Value
        What it was compared with, policies resolved.
    verdict : Verdict
        Answer of this comparison alone.
    """

    fact: str
    value: Value
    relation: Relation
    limit: Value
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One fact compared with a limit, or with another fact when `other` names one."""

    fact: str
    relation: Relation
    limit: Value = None
    other: str | None = None

    def resolved(self, facts: Facts) -> Value:
        """Limit, taken from the other fact when there is one."""
        return self.limit if self.other is None else facts[self.other]


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """Met when every part is met; met when there is no part."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """Met when some part is met."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """Met when the part is not met; unknown stays unknown."""

    part: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainly:
    """Met when the part is met for certain; an unknown part counts as not met.

    The one place where unknown becomes a no, to say "not known to be": a rule must ask for it by name.
    """

    part: Condition


Condition = Comparison | All | AnyOf | Not | Certainly

ALWAYS = All(parts=())
"""The condition that is always met."""


def judge(condition: Condition, facts: Facts) -> Verdict:
    """Answer a condition.

    Parameters
    ----------
    condition : Condition
        As parsed from a rule table.
    facts : Facts
        Every declared fact; ``None`` for unknown.

    Returns
    -------
    Verdict
        Met, not met, or unknown when the facts do not settle it.
    """
    match condition:
        case Comparison():
            return _compare(condition, facts)
        case All():
            return _all(condition.parts, facts)
        case AnyOf():
            return _negate(_all(tuple(Not(part=part) for part in condition.parts), facts))
        case Not():
            return _negate(judge(condition.part, facts))
        case Certainly():
            return Verdict.MET if judge(condition.part, facts) is Verdict.MET else Verdict.NOT_MET


def gather(condition: Condition, facts: Facts) -> tuple[Evidence, ...]:
    """Every comparison a condition makes, with what is known and its own answer, in reading order."""
    match condition:
        case Comparison():
            return (
                Evidence(
                    fact=condition.fact,
                    value=facts[condition.fact],
                    relation=condition.relation,
                    limit=condition.resolved(facts),
                    verdict=_compare(condition, facts),
                ),
            )
        case All() | AnyOf():
            return tuple(row for part in condition.parts for row in gather(part, facts))
        case Not() | Certainly():
            return gather(condition.part, facts)


def _all(parts: tuple[Condition, ...], facts: Facts) -> Verdict:
    answer = Verdict.MET
    for part in parts:
        verdict = judge(part, facts)
        if verdict is Verdict.NOT_MET:
            return verdict
        if verdict is Verdict.UNKNOWN:
            answer = verdict
    return answer


def _negate(verdict: Verdict) -> Verdict:
    return {Verdict.MET: Verdict.NOT_MET, Verdict.NOT_MET: Verdict.MET}.get(verdict, verdict)


def _compare(comparison: Comparison, facts: Facts) -> Verdict:
    value = facts[comparison.fact]
    if comparison.relation is Relation.KNOWN:
        return _verdict(is_met=(value is not None) == (comparison.limit == "yes"))
    if value is None:
        return Verdict.UNKNOWN
    limit = comparison.resolved(facts)
    if limit is None:
        return Verdict.UNKNOWN
    if isinstance(value, float) and isinstance(limit, float):
        return _verdict(is_met=_compare_numbers(value, comparison.relation, limit))
    words = limit if isinstance(limit, tuple) else (limit,)
    if isinstance(value, tuple):
        return _verdict(is_met=any(word in value for word in words))
    return _verdict(is_met=value in words)


def _compare_numbers(value: float, relation: Relation, limit: float) -> bool:
    match relation:
        case Relation.AT_LEAST:
            return value >= limit
        case Relation.AT_MOST:
            return value <= limit
        case Relation.ABOVE:
            return value > limit
        case Relation.BELOW:
            return value < limit
        case _:
            return value == limit


def _verdict(*, is_met: bool) -> Verdict:
    return Verdict.MET if is_met else Verdict.NOT_MET
