"""Conditions as written in a rule table, checked against the declared facts.

Written as inline tables::

    { fact = "size.longest_mm", above = "policy.size_limit_mm" }
    { fact = "place.tissue", one_of = ["tendon", "bursa"] }
    { fact = "history.trauma", known = true }
    { all = [ ... ] }   { any = [ ... ] }   { not = { ... } }   { certainly = { ... } }
    { condition = "name" }
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from calcreport.rules.conditions import ALWAYS, All, AnyOf, Certainly, Comparison, Condition, Not, Relation, Value
from calcreport.rules.facts import Fact, Kind

# Relations of numbers.
_NUMERIC: Final = frozenset({Relation.AT_LEAST, Relation.AT_MOST, Relation.ABOVE, Relation.BELOW})
_FITTING: Final[Mapping[Kind, frozenset[Relation]]] = {
    Kind.NUMBER: _NUMERIC | {Relation.IS, Relation.KNOWN},
    Kind.WORD: frozenset({Relation.IS, Relation.ONE_OF, Relation.KNOWN}),
    Kind.WORDS: frozenset({Relation.INCLUDES, Relation.KNOWN}),
}  # relations that each kind of fact allows


class _Mistake(Exception):  # noqa: N818 - never leaves this module
    """Sentences on what is wrong with a condition."""


class ConditionParser:
    """Parses conditions; keeps the declared facts and the named conditions, as read from TOML."""

    def __init__(self, facts: Mapping[str, Fact], named: Mapping[str, Any]) -> None:
        self.facts = facts
        self._raw = named
        self._parsed: dict[str, Condition] = {}
        self._open: list[str] = []

    def parse_named(self, problems: list[str]) -> dict[str, Condition]:
        """Parse every named condition; mistakes are added to `problems`."""
        for name in self._raw:
            self._resolve(name, problems)
        return dict(self._parsed)

    def parse(self, where: str, raw: Any, problems: list[str]) -> Condition:  # noqa: ANN401 - as read from TOML
        """Parse one condition; mistakes are added to `problems`, and a mistaken part is always met."""
        if raw == {}:
            return ALWAYS
        try:
            return self._parse(where, raw, problems)
        except _Mistake as mistake:
            problems += [f"{where}: {text}" for text in mistake.args]
            return ALWAYS

    def _parse(self, where: str, raw: Any, problems: list[str]) -> Condition:  # noqa: ANN401
        if not isinstance(raw, dict):
            raise _Mistake("a condition is written { ... }")
        key, value = next(iter(raw.items()))
        if len(raw) == 1 and key in {"all", "any"}:
            if not isinstance(value, list) or not value:
                raise _Mistake(f"'{key}' needs a list of conditions")
            parts = tuple(self.parse(where, part, problems) for part in value)
            return All(parts=parts) if key == "all" else AnyOf(parts=parts)
        if len(raw) == 1 and key in {"not", "certainly"}:
            part = self.parse(where, value, problems)
            return Not(part=part) if key == "not" else Certainly(part=part)
        if len(raw) == 1 and key == "condition":
            return self._resolve(value, problems)
        if "fact" in raw:
            return self._parse_comparison(raw)
        raise _Mistake("a condition has one of all, any, not, certainly, condition, or a fact")

    def _resolve(self, name: Any, problems: list[str]) -> Condition:  # noqa: ANN401
        if not isinstance(name, str):
            raise _Mistake("a condition is named by a word")
        if name in self._open:
            raise _Mistake(f"condition '{name}' refers to itself")
        if name not in self._raw:
            raise _Mistake(f"unknown condition '{name}'{near(name, self._raw)}")
        if name not in self._parsed:
            self._open.append(name)
            self._parsed[name] = self.parse(f"condition {name}", self._raw[name], problems)
            self._open.pop()
        return self._parsed[name]

    def _parse_comparison(self, raw: dict[str, Any]) -> Condition:
        name = raw["fact"]
        fact = self.facts.get(name) if isinstance(name, str) else None
        relations = [key for key in raw if key != "fact"]
        if fact is None:
            raise _Mistake(f"unknown fact '{name}'{near(str(name), self.facts)}")
        if len(relations) != 1 or relations[0] not in set(Relation):
            raise _Mistake(f"'{name}' needs one of {', '.join(sorted(Relation))}")
        relation = Relation(relations[0])
        if relation not in _FITTING[fact.kind]:
            raise _Mistake(f"'{name}' is a {fact.kind} and cannot be compared with {relation}")
        limit = self._limit(name, relation, raw[relation.value])
        if fact.kind is Kind.NUMBER and isinstance(limit, str) and relation is not Relation.KNOWN:
            return Comparison(fact=name, relation=relation, other=limit)
        return Comparison(fact=name, relation=relation, limit=limit)

    def _limit(self, name: str, relation: Relation, raw: Any) -> Value:  # noqa: ANN401
        """Limit of a comparison: yes/no for known, a number or a policy, or words the fact can have."""
        fact = self.facts[name]
        if relation is Relation.KNOWN:
            if isinstance(raw, bool):
                return "yes" if raw else "no"
            raise _Mistake("known is true or false")
        if fact.kind is Kind.NUMBER:
            if isinstance(raw, int | float) and not isinstance(raw, bool):
                return float(raw)
            if isinstance(raw, str) and raw in self.facts and self.facts[raw].kind is Kind.NUMBER:
                return raw
            raise _Mistake(f"'{name}' is compared with a number or a numeric fact, not '{raw}'")
        words = tuple(raw) if isinstance(raw, list) else (raw,)
        if not words or (len(words) > 1 and relation is Relation.IS):
            raise _Mistake(f"'{name}' needs {'one word' if relation is Relation.IS else 'at least one word'}")
        wrong = [word for word in words if not isinstance(word, str) or (fact.words and word not in fact.words)]
        if wrong:
            raise _Mistake(*(f"'{name}' is never '{word}'{near(str(word), fact.words)}" for word in wrong))
        return words if relation in {Relation.ONE_OF, Relation.INCLUDES} else words[0]


def near(name: str, known: Iterable[str]) -> str:
    """Suggest the known name nearest to one that is unknown; empty when none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""
