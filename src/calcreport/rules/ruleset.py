"""Rule tables: from TOML text to checked rules, every mistake collected before any is reported."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from calcreport.errors import RuleFileError
from calcreport.model.report import Flags
from calcreport.rules.condition_parser import ConditionParser
from calcreport.rules.conditions import ALWAYS, Condition
from calcreport.rules.facts import DECLARED, Fact, Kind
from calcreport.rules.rule_rows import REQUIRED, Remark, Rule, read_row

SCHEMA: Final = 1
"""Version of the tables' layout."""

REQUIRED_CONDITIONS: Final = ("extent_pattern", "no_benign_class")
"""Named conditions the engine itself asks for."""

_TOP: Final = ("schema", "version", "condition", *REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Checked rules by table, in the order written.

    Parameters
    ----------
    version : str
        Printed in every report.
    conditions : Mapping[str, Condition]
        Named conditions.
    tables : Mapping[str, tuple[Rule, ...]]
        ``pattern``, ``gate``, ``flag``, ``explanation``, ``class``, ``concern``, ``recommendation``, ``note``.
    """

    version: str
    conditions: Mapping[str, Condition]
    tables: Mapping[str, tuple[Rule, ...]]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of every table."""
        return tuple(rule for table in self.tables.values() for rule in table)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What has been read of all files so far, and every mistake."""

    versions: set[str] = field(default_factory=set)
    conditions: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def load_rules(texts: Mapping[str, str]) -> Ruleset:
    """Read and check rule tables.

    Parameters
    ----------
    texts : Mapping[str, str]
        File name to TOML text; the order of names decides the order of rows of one kind.

    Returns
    -------
    Ruleset
        Rules that name only declared facts and whose tables leave no gap.

    Raises
    ------
    RuleFileError
        ``rules.invalid`` with every mistake in ``problems``.
    """
    reading = _Reading()
    for name in sorted(texts):
        _read_file(name, texts[name], reading)
    classes = {str(row.get("class", row.get("id"))) for _, table, row in reading.rows if table == "class"}
    facts = dict(DECLARED) | {
        f"class.{name}": Fact(kind=Kind.WORD, meaning=f"weight of {name}", words=frozenset({"++", "+", "-", "none"}))
        for name in classes
    }
    parser = ConditionParser(facts, reading.conditions)
    conditions = parser.parse_named(reading.problems)
    rules = [read_row(where, table, row, parser, reading.problems) for where, table, row in reading.rows]
    _check_whole(reading, [rule for rule in rules if rule is not None])
    if reading.problems:
        count = len(reading.problems)
        msg = f"The rule tables have {count} mistake{'s' if count > 1 else ''}:\n" + "\n".join(reading.problems)
        raise RuleFileError(msg, code="rules.invalid", problems=tuple(reading.problems))
    return Ruleset(
        version=reading.versions.pop(),
        conditions=conditions,
        tables={table: tuple(rule for rule in rules if rule is not None and rule.table == table) for table in REQUIRED},
    )


def _read_file(name: str, text: str, reading: _Reading) -> None:
    """Take over one file's rows and named conditions."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reading.problems.append(f"{name}: not TOML ({error})")
        return
    if data.get("schema") != SCHEMA:
        reading.problems.append(f"{name}: schema must be {SCHEMA}")
    version = data.get("version")
    if isinstance(version, str) and version:
        reading.versions.add(version)
    else:
        reading.problems.append(f"{name}: version is missing")
    reading.problems += [f"{name}: unknown table '{key}'" for key in data if key not in _TOP]
    named = data.get("condition", {})
    for key, content in named.items() if isinstance(named, dict) else ():
        if key in reading.conditions:
            reading.problems.append(f"{name}: condition '{key}' is given twice")
        reading.conditions[key] = content
    for table in REQUIRED:
        rows = data.get(table, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            reading.problems.append(f"{name}: write [[{table}]] for each row")
            continue
        reading.rows += [(f"{name} {row.get('id', f'{table} row {i}')}", table, row) for i, row in enumerate(rows, 1)]


def _check_whole(reading: _Reading, rules: list[Rule]) -> None:
    """Check what no single row shows: ids, one version, tables without a gap."""
    counts = Counter(rule.id for rule in rules)
    reading.problems += [f"{name}: this id is given twice" for name, count in counts.items() if count > 1]
    if len(reading.versions) > 1:
        reading.problems.append(f"all files must have one version, not {', '.join(sorted(reading.versions))}")
    if not reading.problems:
        missing = [name for name in REQUIRED_CONDITIONS if name not in reading.conditions]
        reading.problems += [f"the condition '{name}' is missing" for name in missing]
        reading.problems += [*_gaps(rules), *_unknown_exclusions(rules)]


def _gaps(rules: list[Rule]) -> Iterable[str]:
    """Name the inputs the tables would leave without an answer."""
    ends = {rule.concludes: rule.when for rule in rules if rule.table == "flag"}
    for flag in Flags.model_fields:
        if ends.get(flag) is not ALWAYS:
            yield f"the last row of the {flag} flag must have no condition, so that it always has a state"
    concerns = [rule for rule in rules if rule.table == "concern"]
    if not concerns or concerns[-1].when is not ALWAYS:
        yield "the last concern row must have no condition"
    if not any(rule.table == "recommendation" for rule in rules):
        yield "there is no recommendation"
    if not any(rule.table == "class" and rule.when is ALWAYS and rule.weight == "+" for rule in rules):
        yield "one class must have 'when = {}', so that every lesion has a conclusion"


def _unknown_exclusions(rules: list[Rule]) -> Iterable[str]:
    known = {rule.concludes for rule in rules if rule.table == "recommendation"}
    for rule in rules:
        for name in (*rule.excludes, *rule.excludes_here):
            if name not in known:
                yield f"{rule.id}: excludes the unknown {name}"


__all__ = ["REQUIRED_CONDITIONS", "SCHEMA", "Remark", "Rule", "Ruleset", "load_rules"]
