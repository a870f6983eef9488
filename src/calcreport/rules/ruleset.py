"""Rule tables: from TOML text to checked rules, every mistake collected before any is reported."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from calcreport.errors import RuleFileError
from calcreport.model.decision import Capabilities
from calcreport.model.report import Flags, RulesUsed
from calcreport.model.typed_mistakes import explain_toml
from calcreport.rules.capabilities import (
    Row,
    Tables,
    bar_procedures,
    capabilities_of,
    explanations_by_class,
    lay_over,
    mark_changed,
    share_capabilities,
    suspicions,
    unspoken_bans,
)
from calcreport.rules.conditions import Condition
from calcreport.rules.facts import DECLARED, declare
from calcreport.rules.rule_rows import REQUIRED, ConditionParser, Remark, Rule, near, read_row

SCHEMA: Final = 1  # Version of the tables' layout

REQUIRED_CONDITIONS: Final = (
    "extent_pattern", "no_benign_class", "ossified_pattern", "vessel_wall_pattern", "metabolic_pattern",
    "phlebolith_pattern", "no_lesion_pattern", "bare_small_mineral",
)  # fmt: skip
"""Named conditions the engine itself asks for."""

BUILT_IN: Final = "calcreport"  # Name of the rules that travel with the software

# Top-level keys of rule files; the header of a row; characters of a site's name.
_TOP: Final = ("schema", "version", "condition", *REQUIRED)
_TOP_OF_SITE: Final = (*_TOP, "name", "removed")
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*([A-Za-z]+)[ \t]*\]\]", re.MULTILINE)
_LONGEST_NAME: Final = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Ruleset:
    """Checked rules by table, in the order written; two are the same when they are one object."""

    version: str
    """Printed in every report; with a site's own rules both are joined by ``+``."""
    name: str = BUILT_IN
    sha256: str = ""
    """Of all texts."""
    warnings: tuple[str, ...] = ()
    """What a site's own rules do to safety rows: red flags, referral, the ban on biopsy."""
    conditions: Mapping[str, Condition]
    tables: Mapping[str, tuple[Rule, ...]]
    """``pattern``, ``gate``, ``flag``, ``explanation``, ``class``, ``concern``, ``recommendation``, ``note``."""

    @property
    def used(self) -> RulesUsed:
        """Name, version and digest, as printed in the report."""
        return RulesUsed(name=self.name, version=self.version, sha256=self.sha256, warnings=self.warnings)

    @property
    def printed_version(self) -> str:
        """Version as it stands at the foot of every report."""
        return mark_changed(self.version) if self.warnings else self.version

    @cached_property
    def capabilities(self) -> Capabilities:
        """What classes, recommendations and rows of flags are, by id."""
        return capabilities_of(self.tables)

    @cached_property
    def biopsy_forbidding(self) -> tuple[str, ...]:
        """Classes that forbid biopsy."""
        return tuple(name for name in self.capabilities.classes if self.capabilities.is_class(name, "forbids_biopsy"))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of every table."""
        return tuple(rule for table in self.tables.values() for rule in table)


def load_rules(texts: Mapping[str, str], site_texts: Mapping[str, str] | None = None) -> Ruleset:
    """Read and check rule tables, file name to TOML text: rules that name only declared facts and leave no gap.

    The order of names decides the order of rows of one kind; a site's own rules replace or extend them: see `lay_over`.
    Raises `RuleFileError` ``rules.invalid`` with every mistake in ``problems``.
    """
    return _load(tuple(texts.items()), None if site_texts is None else tuple(site_texts.items()))


@lru_cache(maxsize=4)  # 0.1 s, and a process that serves many studies has one set of them
def _load(texts: tuple[tuple[str, str], ...], site_texts: tuple[tuple[str, str], ...] | None) -> Ruleset:
    problems: list[str] = []
    reading = _read_files(dict(texts), _TOP, problems)
    written = list(reading.rows)
    built_in = {(row.table, row.conclusion) for row in written}
    if site_texts is not None:
        site = _read_files(dict(site_texts), _TOP_OF_SITE, problems)
        written += site.rows
        lay_over(reading, site, problems)
    reading.rows = share_capabilities(reading.rows, written, problems)
    reading.rows += explanations_by_class(reading.rows)
    facts = dict(DECLARED) | {
        f"class.{row.conclusion}": declare("word", f"weight of {row.conclusion}", "++", "+", "-", "none")
        for row in reading.rows
        if row.table == "class"
    }
    parser = ConditionParser(facts | suspicions(reading.rows), reading.conditions)
    conditions = parser.parse_named(problems)
    read = (read_row(row.where, row.table, row.content, parser, problems) for row in reading.rows)
    rules = [rule for rule in read if rule is not None]
    problems += _whole_problems(reading, rules, built_in)
    if problems:
        problems = ["".join(sign if sign.isprintable() else "?" for sign in text) for text in problems]
        count = len(problems)
        msg = f"The rule tables have {count} mistake{'s' if count > 1 else ''}:\n" + "\n".join(problems)
        raise RuleFileError(msg, code="rules.invalid", problems=tuple(problems))
    whole = bar_procedures(rules)
    return Ruleset(
        version=reading.version,
        name="+".join((BUILT_IN, *reading.names)),
        sha256=_digest(dict(texts), dict(site_texts or ())),
        warnings=tuple(reading.warnings),
        conditions=conditions,
        tables={table: tuple(rule for rule in whole if rule.table == table) for table in REQUIRED},
    )


def _digest(*texts: Mapping[str, str]) -> str:
    """Digest of names and texts; line ends of another system make no difference."""
    digest = hashlib.sha256()
    for layer in texts:
        for name in sorted(layer):
            for part in (name, layer[name].replace("\r\n", "\n")):
                digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read_files(texts: Mapping[str, str], top: tuple[str, ...], problems: list[str]) -> Tables:
    """Take over rows and named conditions of all files of one layer."""
    reading = Tables()
    versions: set[str] = set()
    for name in sorted(texts):
        try:
            data = tomllib.loads(texts[name])
        except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: a number of thousands of digits
            problems.append(f"{name}: not TOML ({explain_toml(error, texts[name])})")
            continue
        versions.update(_read_head(name, data, top, reading, problems))
        _read_conditions(name, data, reading, problems)
        _read_rows(name, data, texts[name], reading, problems)
    if len(versions) > 1:
        problems.append(f"all files must have one version, not {', '.join(sorted(versions))}")
    reading.version = min(versions, default="")
    return reading


def _read_head(
    name: str, data: dict[str, Any], top: tuple[str, ...], reading: Tables, problems: list[str]
) -> list[str]:
    """Check what stands above the rows; return the version."""
    if data.get("schema") != SCHEMA or isinstance(data.get("schema"), bool):
        problems.append(f"{name}: schema must be {SCHEMA}")
    problems += [f"{name}: unknown table '{key}'{near(key, top)}" for key in data if key not in top]
    removed = data.get("removed", [])
    if isinstance(removed, list) and all(isinstance(entry, str) for entry in removed):
        reading.removed += [(name, entry) for entry in removed]
    else:
        problems.append(f"{name}: removed must list ids of rows")
    title, version = data.get("name"), data.get("version")
    if title is not None and not _is_line(title):
        problems.append(f"{name}: name must be a line of at most {_LONGEST_NAME} characters")
    elif title is not None:
        reading.names.append(title)
    if _is_line(version):
        return [str(version)]
    problems.append(f"{name}: version is missing")
    return []


def _is_line(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()


def _read_conditions(name: str, data: dict[str, Any], reading: Tables, problems: list[str]) -> None:
    named = data.get("condition", {})
    if not isinstance(named, dict):
        problems.append(f"{name}: write named conditions under [condition]")
        return
    problems += [f"{name}: condition '{key}' is given twice" for key in named if key in reading.conditions]
    reading.conditions |= named


def _read_rows(name: str, data: dict[str, Any], text: str, reading: Tables, problems: list[str]) -> None:
    lines: dict[str, list[int]] = {}
    for header in _HEADER.finditer(text):
        lines.setdefault(header.group(1), []).append(text.count("\n", 0, header.start()) + 1)
    for table in REQUIRED:
        rows = data.get(table, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            problems.append(f"{name}: write [[{table}]] for each row")
            continue
        places = lines.get(table, [])
        for number, row in enumerate(rows, start=1):
            line = f" line {places[number - 1]}" if len(places) == len(rows) else ""
            title = row.get("id") if isinstance(row.get("id"), str) else f"{table} row {number}"
            reading.rows.append(Row(where=f"{name}{line} {title}", table=table, content=row))


def _whole_problems(reading: Tables, rules: list[Rule], built_in: set[tuple[str, str]]) -> Iterator[str]:
    """Mistakes that no single row shows: ids, conclusions, tables without a gap."""
    counts = Counter(rule.id for rule in rules)
    yield from (f"{name}: this id is given twice" for name, count in counts.items() if count > 1)
    missing = (name for name in REQUIRED_CONDITIONS if name not in reading.conditions)
    yield from (f"the condition '{name}' is missing" for name in missing)
    yield from (*_gaps(reading.rows), *_unknown_conclusions(reading.rows, built_in), *unspoken_bans(rules))


def _gaps(rows: list[Row]) -> Iterable[str]:
    """Name the inputs the tables would leave without an answer; a mistaken row hides no gap."""
    tables = {table: [row.content for row in rows if row.table == table] for table in REQUIRED}
    for flag in Flags.model_fields:
        ends = [content for content in tables["flag"] if content.get("flag") == flag]
        if not ends or ends[-1].get("when", {}) != {}:
            yield f"the last row of the {flag} flag must have no condition, so that it always has a state"
    if not tables["concern"] or tables["concern"][-1].get("when", {}) != {}:
        yield "the last concern row must have no condition"
    if not tables["recommendation"]:
        yield "there is no recommendation"
    if not any(content.get("when") == {} and content.get("weight", "+") == "+" for content in tables["class"]):
        yield "one class must have 'when = {}', so that every lesion has a conclusion"


def _unknown_conclusions(rows: Iterable[Row], built_in: set[tuple[str, str]]) -> Iterable[str]:
    """Name what a row speaks of, or excludes, that is neither built in nor the id of a row of that table."""
    held = [row for row in rows if row.table in {"class", "recommendation"}]
    known = built_in | {(row.table, str(row.id)) for row in held}
    for row in held:
        listed = [row.content.get(key, []) for key in ("excludes", "excludes_here")]
        excluded = [str(name) for names in listed if isinstance(names, list) for name in names]
        if (row.table, row.conclusion) not in known:
            names = [name for table, name in known if table == row.table]
            yield f"{row.where}: speaks of the unknown {row.table} '{row.conclusion}'{near(row.conclusion, names)}"
        yield from (
            f"{row.where}: excludes the unknown {name}" for name in excluded if ("recommendation", name) not in known
        )


__all__ = ["REQUIRED_CONDITIONS", "SCHEMA", "Remark", "Rule", "Ruleset", "load_rules"]
