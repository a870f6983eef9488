"""Numbers and words of facts as they stand in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from calcreport.model.lengths import LENGTH_LIMITS, Lengths, bind_lengths, spell_change
from calcreport.rules.conditions import Facts, Value
from calcreport.rules.facts import DECLARED, Fact

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_.]+)\}")  # name of a fact in braces
_CHANGES: Final = frozenset(
    {"prior.growth_mm", "prior.error_mm", "mass.felt_beyond_mm", "size.error_mm", "size.over_mm"}
)
"""Facts that are differences or errors of lengths."""


def placeholders(text: str) -> tuple[str, ...]:
    """Names in braces, in order."""
    return tuple(_PLACEHOLDER.findall(text))


def fill(text: str, facts: Facts, declared: Mapping[str, Fact] = DECLARED) -> str:
    """Put facts into a text.

    `text`: with ``{fact}`` where a fact belongs; nothing else is interpreted; `facts`: values; `declared`: units. Gives
    unknown facts read "not provided".
    """

    def say(match: re.Match[str]) -> str:
        name = match.group(1)
        fact = declared.get(name)
        return _say(facts.get(name), fact.unit if fact is not None else "", facts, name)

    return _PLACEHOLDER.sub(say, text)


def _lengths(facts: Facts) -> Lengths:
    return bind_lengths({name: facts.get(f"policy.{name}") for name in LENGTH_LIMITS})


def _say(value: Value, unit: str, facts: Facts, name: str) -> str:
    if not isinstance(value, float):
        words = ("not provided",) if value is None else (value,) if isinstance(value, str) else value
        return ", ".join(words).replace("_", " ")
    if name.startswith("policy.") and name.endswith("_mm"):
        return f"{value / 10:g} cm"
    if unit == "mm":
        return spell_change(value) if name in _CHANGES else _lengths(facts).spell(value)
    if unit == "%":
        return f"{value:.0f}%"
    number = f"{value:.1f}" if unit in {"mg2/dL2", "mm/month"} else f"{value:g}"
    return f"{number} {unit}".strip()
