"""Facts, comparisons and conditions in words a radiologist can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from calcreport.model.lengths import LENGTH_LIMITS, bind_lengths, spell_change
from calcreport.rules.conditions import (
    ALWAYS,
    All,
    AnyOf,
    Certainly,
    Comparison,
    Condition,
    Evidence,
    Facts,
    Not,
    Relation,
    Value,
)
from calcreport.rules.facts import DECLARED, Fact

_RELATIONS: Final = {relation: f"is {relation.value.replace('_', ' ')}" for relation in Relation} | {
    Relation.IS: "is",
    Relation.ONE_OF: "is",
    Relation.INCLUDES: "includes",
}  # words between a fact and its limit

_SECTIONS: Final = {"felt": "palpation: ", "growth": "growth: ", "history": "history of ", "policy": "policy: "}
"""Prefix of a fact's meaning, by its section."""


def name_fact(name: str) -> str:
    """Name of a fact in a reader's words; ``class.C02``, ``suspected.C05`` and so on are named by their id."""
    section, _, rest = name.partition(".")
    if section == "class" and name not in DECLARED:
        return f"weight of {rest}"
    if section == "suspected":
        return f"{rest} is suspected from any lesion"
    fact = DECLARED.get(name)
    return f"{_SECTIONS.get(section, '')}{fact.meaning}" if fact is not None else name


class ConditionWords:
    """Puts conditions into words; a named condition of the rule set inside another one is printed by its name."""

    def __init__(self, named: Mapping[str, Condition]) -> None:
        # The parser hands out one object for every mention of a name. The condition that is always met has none.
        self._names = {id(condition): name for name, condition in named.items() if condition is not ALWAYS}

    def describe(self, condition: Condition) -> str:
        """Say what a condition asks for in one phrase, ``"always"`` for a row without one.

        Parts that belong together stand in parentheses, named conditions in angle brackets.
        """
        name = self._names.get(id(condition))
        return f"<{name}>" if name is not None else self.spell_out(condition)

    def spell_out(self, condition: Condition) -> str:
        """Describe a condition in full; named conditions inside it are printed by name."""
        match condition:
            case Comparison():
                return _describe_comparison(condition)
            case All():
                return " and ".join(map(self._bracketed, condition.parts)) or "always"
            case AnyOf():
                return " or ".join(map(self._bracketed, condition.parts))
            case Not(part=Certainly(part=part)):
                return f"it is not known that {self._bracketed(part)}"
            case Not():
                return f"not {self._bracketed(condition.part)}"
            case Certainly():
                return f"it is known that {self._bracketed(condition.part)}"

    def _bracketed(self, condition: Condition) -> str:
        text = self.describe(condition)
        return text if isinstance(condition, Comparison) or id(condition) in self._names else f"({text})"


def describe_evidence(row: Evidence) -> str:
    """Describe a comparison and its answer: ``"longest dimension of the mineral: 64 mm (is above 50 mm? yes)"``.

    A comparison that must not be met is marked.
    """
    known = _say(row.value, DECLARED.get(row.fact))
    if row.relation is Relation.KNOWN:
        return f"{name_fact(row.fact)}: {known}"
    verdict = {"met": "yes", "not_met": "no", "unknown": "unknown"}[row.verdict.value]
    asked = f"{_RELATIONS[row.relation]} {_say_limit(row.limit, DECLARED.get(row.fact))}"
    return f"{name_fact(row.fact)}: {known} ({'' if row.is_wanted else 'must not be so: '}{asked}? {verdict})"


def _describe_comparison(comparison: Comparison) -> str:
    name = name_fact(comparison.fact)
    if comparison.relation is Relation.KNOWN:
        return f"{name} is {'' if comparison.limit == 'yes' else 'not '}known"
    if comparison.relation is Relation.IS and comparison.limit in {"yes", "no"}:
        return name if comparison.limit == "yes" else f"no {name}"
    other, fact = comparison.other, DECLARED.get(comparison.fact)
    limit = _say_limit(comparison.limit, fact) if other is None else name_fact(other)
    return f"{name} {_RELATIONS[comparison.relation]} {limit}"


def _say_limit(limit: Value, fact: Fact | None) -> str:
    return " or ".join(limit) if isinstance(limit, tuple) else _say(limit, fact)


def _say(value: Value, fact: Fact | None) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, float):
        return f"{value:.4g} {fact.unit if fact is not None else ''}".strip()
    return "not provided" if value is None else value


_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_.]+)\}")  # name of a fact in braces
_CHANGES: Final = ("prior.growth_mm", "prior.error_mm", "mass.felt_beyond_mm", "size.error_mm", "size.over_mm")
"""Facts that are differences or errors of lengths."""


def placeholders(text: str) -> tuple[str, ...]:
    """Names in braces, in order."""
    return tuple(_PLACEHOLDER.findall(text))


def fill(text: str, facts: Facts) -> str:
    """Put facts into a text where it has ``{fact}``; nothing else is interpreted, unknown facts read "not provided"."""
    return _PLACEHOLDER.sub(lambda match: _say_in_text(match.group(1), facts), text)


def _say_in_text(name: str, facts: Facts) -> str:
    value, unit = facts.get(name), DECLARED[name].unit if name in DECLARED else ""
    if not isinstance(value, float):
        words = ("not provided",) if value is None else (value,) if isinstance(value, str) else value
        return ", ".join(words).replace("_", " ")
    if name.startswith("policy.") and name.endswith("_mm"):
        return f"{value / 10:g} cm"
    if unit == "mm":
        limits = {name: facts.get(f"policy.{name}") for name in LENGTH_LIMITS}
        return spell_change(value) if name in _CHANGES else bind_lengths(limits).spell(value)
    if unit == "%":
        return f"{value:.0f}%"
    number = f"{value:.1f}" if unit in {"mg2/dL2", "mm/month"} else f"{value:g}"
    return f"{number} {unit}".strip()
