"""Conditions of rules and their three answers.

A condition is a comparison of one fact, a named condition, or a combination of conditions. Its answer is met, not met
or unknown (Kleene's strong logic): a fact that was not given makes a comparison unknown, never false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import ClassVar, Final

Value = float | str | tuple[str, ...] | None
"""A fact: a number, a word (``"yes"`` and ``"no"`` too), several words, or ``None`` for unknown."""

Facts = Mapping[str, Value]  # Facts by declared name


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
    """One comparison that was made."""

    fact: str
    value: Value
    relation: Relation
    limit: Value
    """What it was compared with, policies resolved."""
    verdict: Verdict
    """Answer of this comparison alone."""
    is_wanted: bool = True
    """``False`` where the rule asks that this comparison be *not* met."""


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

    def judge(self, facts: Facts) -> Verdict:
        """Answer for these facts."""
        value = facts[self.fact]
        if self.relation is Relation.KNOWN:
            return _verdict(is_met=(value is not None) == (self.limit == "yes"))
        limit = self.resolved(facts)
        if value is None or limit is None:
            return Verdict.UNKNOWN
        if isinstance(value, float) and isinstance(limit, float):
            return _verdict(is_met=_NUMERIC[self.relation](value, limit))
        words = limit if isinstance(limit, tuple) else (limit,)
        if isinstance(value, tuple):
            return _verdict(is_met=any(word in value for word in words))
        return _verdict(is_met=value in words)

    def evidence(self, facts: Facts, *, is_wanted: bool) -> Evidence:
        """What is known, and the answer for it."""
        return Evidence(
            fact=self.fact, value=facts[self.fact], relation=self.relation, limit=self.resolved(facts),
            verdict=self.judge(facts), is_wanted=is_wanted,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Parts of which one with the settling answer decides, then one unknown."""

    parts: tuple[Condition, ...]
    settling: ClassVar[Verdict]
    otherwise: ClassVar[Verdict]

    def judge(self, facts: Facts) -> Verdict:
        """Answer for these facts."""
        answer = self.otherwise
        for part in self.parts:
            verdict = part.judge(facts)
            if verdict is self.settling:
                return verdict
            if verdict is Verdict.UNKNOWN:
                answer = verdict
        return answer


class All(_Group):
    """Met when every part is met; met when there is no part."""

    settling, otherwise = Verdict.NOT_MET, Verdict.MET


class AnyOf(_Group):
    """Met when some part is met."""

    settling, otherwise = Verdict.MET, Verdict.NOT_MET


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turned:
    """A part whose answer stands for another one."""

    part: Condition
    answers: ClassVar[Mapping[Verdict, Verdict]]

    def judge(self, facts: Facts) -> Verdict:
        """Answer for these facts."""
        return self.answers[self.part.judge(facts)]


class Not(_Turned):
    """Met when the part is not met; unknown stays unknown."""

    answers: ClassVar = dict(zip(Verdict, (Verdict.NOT_MET, Verdict.MET, Verdict.UNKNOWN), strict=True))


class Certainly(_Turned):
    """Met when the part is met for certain; an unknown part counts as not met.

    The one place where unknown becomes a no, to say "not known to be": a rule must ask for it by name.
    """

    answers: ClassVar = dict(zip(Verdict, (Verdict.MET, Verdict.NOT_MET, Verdict.NOT_MET), strict=True))


Condition = Comparison | All | AnyOf | Not | Certainly  # any condition

ALWAYS = All(parts=())  # The condition that is always met


def judge(condition: Condition, facts: Facts) -> Verdict:
    """Answer a condition for every declared fact: unknown when the facts do not settle it."""
    return condition.judge(facts)


def _walk(condition: Condition, *, is_wanted: bool = True) -> Iterator[tuple[Comparison, bool]]:
    """Every comparison in a condition, in reading order, and whether the rule asks for it to be met."""
    match condition:
        case Comparison():
            yield condition, is_wanted
        case All() | AnyOf():
            for part in condition.parts:
                yield from _walk(part, is_wanted=is_wanted)
        case Not() | Certainly():
            yield from _walk(condition.part, is_wanted=is_wanted is not isinstance(condition, Not))


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Every comparison in a condition, in reading order."""
    return (comparison for comparison, _ in _walk(condition))


def facts_read(condition: Condition) -> tuple[str, ...]:
    """Facts that a condition reads, each once."""
    return tuple({name: None for row in comparisons(condition) for name in (row.fact, row.other) if name})


def gather(condition: Condition, facts: Facts) -> tuple[Evidence, ...]:
    """Every comparison a condition makes, with what is known and its own answer, in reading order."""
    return tuple(row.evidence(facts, is_wanted=is_wanted) for row, is_wanted in _walk(condition))


def decisive(condition: Condition, facts: Facts, *, is_wanted: bool = True) -> tuple[Evidence, ...]:
    """Comparisons that settle the answer of a condition, or that keep it open, in reading order.

    `is_wanted`: whether the rule asks for this condition to be met. Of a condition that is met: what met it. Of one not
    met: what failed. Of an unknown one: what is missing.
    """
    match condition:
        case Comparison():
            return (condition.evidence(facts, is_wanted=is_wanted),)
        case All() | AnyOf():
            verdict = condition.judge(facts)
            parts = [part for part in condition.parts if part.judge(facts) is verdict]
            by_part = [decisive(part, facts, is_wanted=is_wanted) for part in parts]
            # Where something known settles the answer, what is merely not known to be adds nothing.
            known = [rows for rows in by_part if all(row.verdict is not Verdict.UNKNOWN for row in rows)]
            return tuple(row for rows in (by_part if verdict is Verdict.UNKNOWN else known or by_part) for row in rows)
        case Not() | Certainly():
            return decisive(condition.part, facts, is_wanted=is_wanted is not isinstance(condition, Not))


_NUMERIC: Final[Mapping[Relation, Callable[[float, float], bool]]] = {
    Relation.IS: operator.eq,
    Relation.AT_LEAST: operator.ge,
    Relation.AT_MOST: operator.le,
    Relation.ABOVE: operator.gt,
    Relation.BELOW: operator.lt,
}  # comparison that answers each relation of numbers


def _verdict(*, is_met: bool) -> Verdict:
    return Verdict.MET if is_met else Verdict.NOT_MET
