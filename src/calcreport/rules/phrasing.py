"""Numbers and words of facts as they stand in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from calcreport.rules.conditions import Facts, Value
from calcreport.rules.facts import DECLARED, Fact

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_.]+)\}")
_SMALL_MM: Final = 10.0
"""Lengths below are said in mm, from here on in cm."""
_NEAR_LIMIT_MM: Final = 0.5
"""So near to a limit, rounding to 0.1 cm could hide on which side a length lies."""
_LIMITS: Final = ("policy.size_limit_mm", "policy.size_possible_mm")


def placeholders(text: str) -> tuple[str, ...]:
    """Names in braces, in order."""
    return tuple(_PLACEHOLDER.findall(text))


def fill(text: str, facts: Facts, declared: Mapping[str, Fact] = DECLARED) -> str:
    """Put facts into a text.

    Parameters
    ----------
    text : str
        With ``{fact}`` where a fact belongs; nothing else is interpreted.
    facts : Facts
        Values.
    declared : Mapping[str, Fact]
        Units.

    Returns
    -------
    str
        Unknown facts read "not provided".
    """

    def say(match: re.Match[str]) -> str:
        name = match.group(1)
        fact = declared.get(name)
        return _say(facts.get(name), fact.unit if fact is not None else "", facts, name)

    return _PLACEHOLDER.sub(say, text)


def spell_length(length_mm: float, limits_mm: tuple[float, ...] = ()) -> str:
    """Say a length as a radiologist does: mm below 10 mm, otherwise cm with one decimal.

    Parameters
    ----------
    length_mm : float
        In mm.
    limits_mm : tuple[float, ...]
        Near one of these the length stays in mm with as many decimals as it takes to show the side it lies on.
    """
    near = [limit for limit in limits_mm if 0 < abs(length_mm - limit) <= _NEAR_LIMIT_MM]
    if near:
        decimals = next((n for n in range(1, 6) if round(length_mm, n) != near[0]), 6)
        return f"{length_mm:.{decimals}f} mm"
    return f"{length_mm:.0f} mm" if round(length_mm) < _SMALL_MM else f"{length_mm / 10:.1f} cm"


def _say(value: Value, unit: str, facts: Facts, name: str) -> str:
    if not isinstance(value, float):
        words = ("not provided",) if value is None else (value,) if isinstance(value, str) else value
        return ", ".join(words).replace("_", " ")
    if name.startswith("policy.") and name.endswith("_mm"):
        return f"{value / 10:g} cm"
    if unit == "mm":
        return spell_length(value, tuple(limit for key in _LIMITS if isinstance(limit := facts.get(key), float)))
    if unit == "%":
        return f"{value:.0f}%"
    number = f"{value:.1f}" if unit in {"mg2/dL2", "mm/month"} else f"{value:g}"
    return f"{number} {unit}".strip()
