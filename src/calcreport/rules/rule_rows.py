"""Rows of the rule tables: from TOML to checked rules, mistakes collected.

Conditions are written as inline tables, and checked against the declared facts::

    { fact = "size.longest_mm", above = "policy.size_limit_mm" }
    { fact = "place.tissue", one_of = ["tendon", "bursa"] }
    { fact = "history.trauma", known = true }
    { all = [ ... ] }   { any = [ ... ] }   { not = { ... } }   { certainly = { ... } }
    { condition = "name" }
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, get_args

from calcreport.model.decision import Capability
from calcreport.model.report import Concern, Flags, FlagState
from calcreport.rules.condition_words import placeholders
from calcreport.rules.conditions import ALWAYS, All, AnyOf, Certainly, Comparison, Condition, Not, Relation, Value
from calcreport.rules.facts import DECLARED, Fact, Kind

REQUIRED: Final = {
    "pattern": ("pattern", "when"),
    "gate": ("text", "when"),
    "flag": ("flag", "state", "text"),
    "explanation": ("explains", "text", "when"),
    "class": ("label", "when"),
    "concern": ("concern",),
    "recommendation": ("text", "when"),
    "note": ("text", "when"),
}  # columns each table must have
CAPABILITIES: Final[Mapping[str, tuple[Capability, ...]]] = {
    "flag": ("is_extent", "is_silenced"),
    "class": (
        "forbids_biopsy", "is_systemic", "is_tumour", "is_open", "contests_benign", "is_commonest", "is_of_bone",
    ),
    "recommendation": ("is_referral", "forbids_biopsy", "leads_to_procedure", "stands_without_lesion"),
}  # fmt: skip
"""Columns by which a row says what it is, so that no program has to know its id."""

CONTACT: Final = "same_day_contact"  # Column of a recommendation: who is called the same day

OPTIONAL: Final = {  # columns each table may have
    "pattern": ("is_sure",),
    "gate": ("stops", "is_silenced"),
    "flag": ("when", "value", "limit", "unit", "notes", *CAPABILITIES["flag"]),
    "explanation": (),
    "class": ("class", "strong", "weight", "is_benign", "rank", "because", "explains_flags", *CAPABILITIES["class"]),
    "concern": ("when",),
    "recommendation": (
        "recommendation", "excludes", "excludes_here", "is_silenced", CONTACT, *CAPABILITIES["recommendation"],
    ),
    "note": ("level",),
}  # fmt: skip
_COMMON: Final = ("id", "sources", "since")  # columns of every table

_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    **dict.fromkeys(
        ("id", "text", "label", "flag", "state", "value", "limit", "unit", "weight", "class", "concern", "pattern",
         "recommendation", "level", CONTACT),
        (str, "text"),
    ),
    **dict.fromkeys(("is_sure", "stops", "is_benign", *get_args(Capability)), (bool, "true or false")),
    **dict.fromkeys(("explains", "explains_flags", "notes", "because", "excludes", "excludes_here"), (list, "a list")),
    "rank": (int, "a whole number"),
}  # fmt: skip
"""What is written under a key."""
_CHOICES: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    key: (frozenset(words), f"{key} must be one of {', '.join(sorted(words))}")
    for key, words in (
        ("pattern", DECLARED["pattern.id"].words), ("flag", Flags.model_fields), ("state", FlagState),
        ("concern", Concern),
    )
} | {
    "weight": (frozenset("+-"), "weight is + or -; a 'strong' condition makes it ++"),
    "level": (frozenset(("lesion", "limitation")), "level is lesion or limitation"),
}  # fmt: skip
"""Words a column may hold, and the message of another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence printed when its condition is met."""

    text: str
    when: Condition = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of a table."""

    id: str
    """Of the row; never reused."""
    table: str
    when: Condition
    concludes: str
    """Pattern, gate, flag, class, concern or recommendation it speaks of."""
    text: str = ""
    """Statement or label with ``{fact}`` placeholders."""
    sources: tuple[str, ...]
    since: date
    """Day the row got its present meaning."""
    state: FlagState | None = None
    value: str | None = None
    limit: str | None = None
    unit: str | None = None
    remarks: tuple[Remark, ...] = ()
    explains: tuple[str, ...] = ()
    strong: Condition | None = None
    weight: Literal["+", "-"] = "+"
    is_benign: bool = False
    rank: int = 50
    is_sure: bool = False
    stops: bool = False
    excludes: tuple[str, ...] = ()
    """Recommendations that must not stand anywhere in the same report."""
    excludes_here: tuple[str, ...] = ()
    """Recommendations that must not stand beside it for the same lesion."""
    is_silenced: bool = False
    level: str = "lesion"
    capabilities: frozenset[Capability] = frozenset()
    contact: str = ""
    """Who is called the same day."""


def read_row(where: str, table: str, row: dict[str, Any], parser: ConditionParser, problems: list[str]) -> Rule | None:
    """Read one row; ``None`` when it has a mistake, which is then in `problems`."""
    before = len(problems)
    known = (*_COMMON, *REQUIRED[table], *OPTIONAL[table])
    problems += [f"{where}: unknown key '{key}'{near(key, known)}" for key in row if key not in known]
    problems += [f"{where}: '{key}' is missing" for key in (*_COMMON, *REQUIRED[table]) if key not in row]
    sources = row.get("sources", [])
    if not _is_words(sources) or not sources:
        problems.append(f"{where}: sources must list at least one source")
    mistyped = {
        key: f"{where}: '{key}' must be {words}"
        for key, (kind, words) in _KINDS.items()
        if key in row and (not isinstance(row[key], kind) or (kind is int and isinstance(row[key], bool)))
    }
    problems += mistyped.values()
    row = {key: value for key, value in row.items() if key in known and key not in mistyped}  # the rest is checked
    if "since" in row and not isinstance(row["since"], date):
        problems.append(f"{where}: since must be a date such as 2026-01-01")
    problems += _choice_problems(where, row, parser)
    when = parser.parse(where, row["when"], problems) if "when" in row else ALWAYS
    strong = parser.parse(where, row["strong"], problems) if "strong" in row else None
    remarks = _read_remarks(where, row.get("notes", row.get("because", [])), parser, problems)
    problems += _text_problems(where, row, parser)
    if len(problems) > before:
        return None
    marks = CAPABILITIES.get(table, ())
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items() if key not in marks}
    fields: dict[str, Any] = {key: value for key, value in plain.items() if key in Rule.__slots__}
    fields |= {"table": table, "when": when, "strong": strong, "remarks": remarks, "contact": row.get(CONTACT, "")}
    fields |= {"concludes": row.get(table, row["id"]), "text": row.get("text", row.get("label", ""))}
    fields |= {"state": FlagState(row["state"])} if "state" in row else {}
    return Rule(**fields, capabilities=frozenset(key for key in marks if row.get(key)))


def _choice_problems(where: str, row: dict[str, Any], parser: ConditionParser) -> Iterator[str]:
    """Mistakes in columns that take certain words, names of numbers or ids."""
    for key, (words, message) in _CHOICES.items():
        if key in row and row[key] not in words:
            yield f"{where}: {message}"
    for key in ("value", "limit"):
        name = row.get(key)
        if name is not None and (name not in parser.facts or parser.facts[name].kind != "number"):
            yield f"{where}: {key} must name a number, not '{name}'"
    explains = row.get("explains", [])
    if not _is_words(explains) or not set(explains) <= {"size", "depth"}:
        yield f"{where}: only size and depth can be explained"
    for key in ("excludes", "excludes_here"):
        if not _is_words(row.get(key, [])):
            yield f"{where}: {key} must list recommendation ids"


def _read_remarks(where: str, rows: Any, parser: ConditionParser, problems: list[str]) -> tuple[Remark, ...]:  # noqa: ANN401
    """Read sentences, each plain or with a condition."""
    remarks = []
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, str):
            remarks.append(Remark(text=row))
        elif isinstance(row, dict) and set(row) == {"text", "when"} and isinstance(row["text"], str):
            remarks.append(Remark(text=row["text"], when=parser.parse(where, row["when"], problems)))
        else:
            problems.append(f"{where}: write a sentence, or {{ text = ..., when = ... }}")
    return tuple(remarks)


def _text_problems(where: str, row: dict[str, Any], parser: ConditionParser) -> Iterator[str]:
    """Mistakes in texts: not a text, or a placeholder that names no fact."""
    texts: list[tuple[str, Any]] = [(key, row[key]) for key in ("text", "label", "id") if key in row]
    for key in ("notes", "because"):
        entries = row.get(key, [])
        texts += [(key, entry["text"] if isinstance(entry, dict) else entry) for entry in entries if entry]
    for key, text in texts:
        if not isinstance(text, str):
            yield f"{where}: {key} must be text"
            continue
        yield from (f"{where}: {{{name}}} is no fact" for name in placeholders(text) if name not in parser.facts)


def _is_words(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


# Relations of numbers.
_NUMERIC: Final = frozenset({Relation.AT_LEAST, Relation.AT_MOST, Relation.ABOVE, Relation.BELOW})
_FITTING: Final[Mapping[Kind, frozenset[Relation]]] = {
    "number": _NUMERIC | {Relation.IS, Relation.KNOWN},
    "word": frozenset({Relation.IS, Relation.ONE_OF, Relation.KNOWN}),
    "words": frozenset({Relation.INCLUDES, Relation.KNOWN}),
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
        if fact.kind == "number" and isinstance(limit, str) and relation is not Relation.KNOWN:
            return Comparison(fact=name, relation=relation, other=limit)
        return Comparison(fact=name, relation=relation, limit=limit)

    def _limit(self, name: str, relation: Relation, raw: Any) -> Value:  # noqa: ANN401
        """Limit of a comparison: yes/no for known, a number or a policy, or words the fact can have."""
        fact = self.facts[name]
        if relation is Relation.KNOWN:
            if isinstance(raw, bool):
                return "yes" if raw else "no"
            raise _Mistake("known is true or false")
        if fact.kind == "number":
            if isinstance(raw, int | float) and not isinstance(raw, bool):
                return float(raw)
            if isinstance(raw, str) and raw in self.facts and self.facts[raw].kind == "number":
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
