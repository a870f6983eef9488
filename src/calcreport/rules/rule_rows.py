"""Rows of the rule tables: from TOML to checked rules, mistakes collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, get_args

from calcreport.model.decision import Capability
from calcreport.model.report import Concern, Flags, FlagState
from calcreport.rules.condition_parser import ConditionParser, near
from calcreport.rules.condition_words import placeholders
from calcreport.rules.conditions import ALWAYS, Condition
from calcreport.rules.facts import DECLARED, Kind

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

CONTACT: Final = "same_day_contact"
"""Column of a recommendation: who is called the same day."""

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
    problems += [
        f"{where}: '{key}' is missing" for key in ("id", "sources", "since", *REQUIRED[table]) if key not in row
    ]
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
    # Most columns are fields of a rule under their own names.
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in row.items()
        if key in Rule.__slots__ and key not in marks
    }
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
        if name is not None and (name not in parser.facts or parser.facts[name].kind is not Kind.NUMBER):
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


def _text_problems(where: str, row: dict[str, Any], parser: ConditionParser) -> list[str]:
    """Mistakes in texts: not a text, or a placeholder that names no fact."""
    texts: list[tuple[str, Any]] = [(key, row[key]) for key in ("text", "label", "id") if key in row]
    for key in ("notes", "because"):
        entries = row.get(key, [])
        texts += [(key, entry["text"] if isinstance(entry, dict) else entry) for entry in entries if entry]
    problems = []
    for key, text in texts:
        if not isinstance(text, str):
            problems.append(f"{where}: {key} must be text")
            continue
        problems += [f"{where}: {{{name}}} is no fact" for name in placeholders(text) if name not in parser.facts]
    return problems


def _is_words(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
