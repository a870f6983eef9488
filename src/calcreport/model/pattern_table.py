"""Tables of patterns, read from TOML and checked, a site's own applied to them, and how well a pattern's rows hold."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from calcreport.errors import RuleFileError
from calcreport.model.terms import PATTERN_LABELS

NEEDS: Final = ("lesion", "centre", "wall")
"""What has to be resolved for a feature to be read."""

NEUTRAL: Final = 0.6
"""Grade of a feature that cannot be read: it speaks neither way."""

_HEAD: Final = frozenset({"source", "never_sure", "highest"})  # keys of a pattern that are no features

Values = Mapping[str, Any]  # measured features by name
Grade = Any
"""A number, or an array of them for many lesions at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one feature speaks for a pattern."""

    feature: str
    low: float
    high: float
    """Grade 0 at or below the first, 1 at or above the second."""
    falls: bool = False
    """Grade 1 at or below the first, 0 at or above the second instead."""
    weight: float = 1.0
    """What a grade of 0 takes off, 0 to 1."""
    unit: str = ""
    needs: str = ""
    """One of `NEEDS`, or empty."""
    unknown: float = NEUTRAL
    """Grade where the feature cannot be read."""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """What speaks for one pattern or sign: rows that hold together, in one or several cases."""

    source: str
    """Publication, or "proposal" with the reason."""
    cases: tuple[tuple[Row, ...], ...]
    never_sure: bool = False
    """Named with moderate confidence at most."""
    highest: float = 1.0
    """Grade when all rows hold: below 1 for what is left when nothing specific is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternTable:
    """Signs in the order in which they are graded, and patterns, by name."""

    signs: Mapping[str, Cases]
    patterns: Mapping[str, Cases]


def read_table(text: str, features: frozenset[str], site: Mapping[str, Any] | None = None) -> PatternTable:
    """Read a table; a site's own ``sign`` and ``pattern`` tables replace those of their name.

    `text`: TOML; `features`: features a row may name, beside the signs before it; `site`: as read from TOML, of the
    same form. Raises `RuleFileError` ``rules.invalid_patterns`` with every mistake in ``problems``.
    """
    content, own, problems = tomllib.loads(text), dict(site or {}), list[str]()
    problems += [f"{key}: unknown table; write sign or pattern" for key in own if key not in {"sign", "pattern"}]
    known = set(features)
    read: dict[str, dict[str, Cases]] = {}
    for kind in ("sign", "pattern"):
        read[kind] = {}
        for name, entry in (content.get(kind, {}) | dict(own.get(kind, {}))).items():
            where = f"{kind}.{name}"
            if kind == "pattern" and name not in PATTERN_LABELS:
                problems.append(f"{where}: no such pattern; known are {', '.join(PATTERN_LABELS)}")
            read[kind][name] = _cases(where, entry, known, problems)
            known |= {name} if kind == "sign" else set()
    if problems:
        msg = f"The table of patterns has {len(problems)} mistake(s):\n" + "\n".join(problems)
        raise RuleFileError(msg, code="rules.invalid_patterns", problems=tuple(problems))
    return PatternTable(signs=read["sign"], patterns=read["pattern"])


def _cases(where: str, entry: object, known: set[str], problems: list[str]) -> Cases:
    if not isinstance(entry, Mapping) or not (entry.keys() - _HEAD):
        problems.append(f"{where}: needs rows")
        return Cases(source="", cases=())
    source = entry.get("source")
    if not isinstance(source, str) or not source.strip():
        problems.append(f'{where}: needs a source; write "proposal" where there is none')
    cases = []
    for case, rows in entry.items():
        if case not in _HEAD:
            listed = rows if isinstance(rows, list) else [None]
            cases.append(tuple(_rows(f"{where}.{case}", listed, known, problems)))
    highest = entry.get("highest", 1.0)
    if type(highest) not in (int, float) or not 0 < highest <= 1:
        problems.append(f"{where}: highest is a number above 0, 1 at most")
        highest = 1.0
    return Cases(source=str(source), cases=tuple(cases), never_sure=entry.get("never_sure") is True, highest=highest)


def _rows(where: str, rows: list[Any], known: set[str], problems: list[str]) -> Iterator[Row]:
    if not rows:
        problems.append(f"{where}: needs at least one row")
    for number, given in enumerate(rows, 1):
        try:
            row = Row(**given)
        except TypeError:
            fields = ", ".join(field.name for field in dataclasses.fields(Row))
            problems.append(f"{where} row {number}: needs feature, low and high, and may have {fields}")
            continue
        faults = list(_faults(row, known))
        problems += [f"{where} row {number}: {fault}" for fault in faults]
        if not faults:
            yield row


def _faults(row: Row, known: set[str]) -> Iterator[str]:
    """What is wrong with a row, each a sentence."""
    if row.feature not in known:
        yield "feature is not known; calcreport rules list prints those in use"
    given: dict[str, object] = dataclasses.asdict(row)
    if any(type(given[name]) not in (int, float) for name in ("low", "high", "weight", "unknown")):
        yield "low, high, weight and unknown are numbers"
    elif not -1e6 < row.low < row.high < 1e6:
        yield "low lies below high; write falls = true where a high value speaks against the pattern"
    elif not (0 < row.weight <= 1 and 0 <= row.unknown <= 1):
        yield "weight and unknown lie between 0 and 1"
    if row.needs not in ("", *NEEDS):
        yield f"needs is one of {', '.join(NEEDS)}"
    if type(given["falls"]) is not bool or {type(given[name]) for name in ("unit", "source")} != {str}:
        yield "falls is true or false, unit and source are texts"


def rise(value: Grade, low: float, high: float) -> Grade:
    """Grade 0 at or below `low`, 1 at or above `high`, straight between."""
    return np.clip((value - low) / (high - low), 0.0, 1.0)


def grade_cases(cases: Cases, values: Values) -> tuple[Grade, Grade]:
    """Grade of the best case, and the share of its weight that is resolved, each 0 to 1.

    A case is the product of its rows, each drawn to 1 by what its weight leaves out, and to `unknown` by what is not
    resolved. All rows at once: one lesion has three hundred of them.
    """
    rows = [row for case in cases.cases for row in case]
    starts = np.cumsum([0, *map(len, cases.cases[:-1])])
    value = np.array([values[row.feature] for row in rows])
    whole = np.ones_like(value[0])
    resolved = np.array([values[f"resolved_{row.needs}"] if row.needs else whole for row in rows])
    seen = np.where(np.isnan(value), 0.0, resolved)
    facts = [(row.low, row.high, row.weight, row.unknown, row.falls) for row in rows]
    low, high, weight, unknown, falls = np.array(facts).T.reshape(5, -1, *(1,) * (value.ndim - 1))
    grade = np.nan_to_num(rise(value, low, high))
    grade = seen * np.where(falls, 1.0 - grade, grade) + (1.0 - seen) * unknown
    product = np.multiply.reduceat(1.0 - weight * (1.0 - grade), starts)
    share = np.add.reduceat(weight * seen, starts) / np.add.reduceat(weight, starts)
    best = product.max(axis=0)
    return best * cases.highest, np.where(product == best, share, 0.0).max(axis=0)


def score_patterns(values: Values, table: PatternTable) -> dict[str, tuple[Grade, Grade]]:
    """Grade of each pattern, and how well what it rests on is resolved, each 0 to 1."""
    known = dict(values)
    for name, cases in table.signs.items():
        known[name] = grade_cases(cases, known)[0]
    return {name: grade_cases(cases, known) for name, cases in table.patterns.items()}
