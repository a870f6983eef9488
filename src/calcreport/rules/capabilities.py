"""Rows of the rule tables as written: what a class or a recommendation is capable of, and a site's own rows.

A capability is written on one row of a conclusion and true of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from calcreport.model.decision import Capabilities
from calcreport.rules.conditions import comparisons
from calcreport.rules.facts import Fact, declare
from calcreport.rules.rule_rows import CAPABILITIES, CONTACT, Rule, near

SUSPECTED: Final = "suspected."
"""Before a class that forbids biopsy: the fact that any lesion of the patient speaks for it."""

# Columns of conclusions, and whom to call.
_OF_CONCLUSION: Final = {table: (*CAPABILITIES[table], CONTACT) for table in ("class", "recommendation")}


def share_capabilities(rows: Iterable[Row], all_rows: Iterable[Row], problems: list[str]) -> list[Row]:
    """Give every row of a class or recommendation what any of them says; rows that were replaced or removed count too.

    So a site that rewords a row cannot take a capability away by leaving its column out.
    """
    held: dict[tuple[str, str, str], object] = {}
    for row in all_rows:
        for key in _OF_CONCLUSION.get(row.table, ()):
            said = row.content.get(key)
            name = row.conclusion
            if key in row.content and held.setdefault((row.table, name, key), said) != said:
                problems.append(f"{row.where}: {key} contradicts another row of {name}")
    return [
        replace(row, content=row.content | shared)
        if (shared := {key: value for (table, name, key), value in held.items()
                       if table == row.table and name == row.conclusion})
        else row
        for row in rows
    ]  # fmt: skip


def explanations_by_class(rows: Iterable[Row]) -> list[Row]:
    """Explanation rows of the classes that explain flags: where characteristic, and not of a large mass."""
    bare = {"not": {"certainly": {"condition": "large_lump"}}}
    return [
        Row(
            where=row.where,
            table="explanation",
            content={
                "id": f"{row.id}-explains",
                "explains": row.content["explains_flags"],
                "text": row.content.get("label", ""),
                "when": {"all": [{"fact": f"class.{row.conclusion}", "is": "++"}, bare]},
                **{key: row.content[key] for key in ("sources", "since") if key in row.content},
            },
        )
        for row in rows
        if row.table == "class" and "explains_flags" in row.content
    ]


def suspicions(rows: Iterable[Row]) -> dict[str, Fact]:
    """A fact for each class that forbids biopsy: that it is suspected from any lesion."""
    return {
        f"{SUSPECTED}{row.conclusion}": declare("answer", f"{row.content.get('label')} is suspected from any lesion")
        for row in rows
        if row.table == "class" and row.content.get("forbids_biopsy") is True
    }


def bar_procedures(rules: Iterable[Rule]) -> list[Rule]:
    """Let what forbids biopsy exclude everything that leads to a procedure."""
    held = list(rules)
    barred = {rule.concludes for rule in held if "leads_to_procedure" in rule.capabilities}
    return [
        replace(rule, excludes=tuple(sorted({*rule.excludes, *barred} - {rule.concludes})))
        if rule.table == "recommendation" and "forbids_biopsy" in rule.capabilities
        else rule
        for rule in held
    ]


def unspoken_bans(rules: Iterable[Rule]) -> Iterable[str]:
    """Name the classes that forbid biopsy of which no recommendation says so, and what both forbids and advises it."""
    held = [rule for rule in rules if "forbids_biopsy" in rule.capabilities]
    bans = [rule for rule in held if rule.table == "recommendation"]
    read_by_bans = {row.fact for rule in bans for row in comparisons(rule.when)}
    for name in dict.fromkeys(rule.concludes for rule in held if rule.table == "class"):
        if f"class.{name}" not in read_by_bans:
            yield f"class {name} forbids biopsy: a recommendation with forbids_biopsy must ask for class.{name}"
    for rule in bans:
        if "leads_to_procedure" in rule.capabilities:
            yield f"{rule.id}: forbids_biopsy and leads_to_procedure contradict each other"


def capabilities_of(tables: Mapping[str, Iterable[Rule]]) -> Capabilities:
    """Collect the capabilities by id, for the words of a report."""

    def listed(table: str) -> dict[str, frozenset[Any]]:
        return {rule.concludes: rule.capabilities for rule in tables[table] if rule.capabilities}

    labels = {f"class.{rule.concludes}": rule.text for rule in reversed(tuple(tables["class"]))}
    forbidding = {f"class.{name}" for name, held in listed("class").items() if "forbids_biopsy" in held}
    bans: dict[str, dict[str, None]] = {}  # the values say nothing: words in their order, each once
    for rule in tables["recommendation"]:
        if "forbids_biopsy" in rule.capabilities:
            names = (labels[row.fact] for row in comparisons(rule.when) if row.fact in forbidding)
            bans.setdefault(rule.concludes, {}).update(dict.fromkeys(names))
    return Capabilities(
        classes=listed("class"),
        recommendations=listed("recommendation"),
        flag_rows={rule.id: rule.capabilities for rule in tables["flag"] if rule.capabilities},
        contacts={rule.concludes: rule.contact for rule in tables["recommendation"] if rule.contact},
        bans={name: tuple(said) for name, said in bans.items()},
    )


_WORDS: Final = ("text", "label", "because", "notes", "sources", "since")
"""Keys a site may change without changing what is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as written."""

    where: str
    """File, line and id, for messages."""
    table: str
    content: dict[str, Any]

    @property
    def id(self) -> object:
        """As written; anything that is no text is named a mistake later."""
        return self.content.get("id")

    @property
    def conclusion(self) -> str:
        """Flag, class, concern or recommendation it speaks of."""
        return str(self.content.get(self.table, self.content.get("id")))

    @property
    def judgement(self) -> dict[str, Any]:
        """All of it but its words and where they come from."""
        return {key: value for key, value in self.content.items() if key not in _WORDS}


@dataclass(slots=True, kw_only=True)
class Tables:
    """Everything one layer of rule files says."""

    version: str = ""
    names: list[str] = field(default_factory=list)
    conditions: dict[str, Any] = field(default_factory=dict)
    """Named conditions as read from TOML."""
    rows: list[Row] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    """File, and id of a row it takes out."""
    warnings: list[str] = field(default_factory=list)
    """Safety rows (red flags, referral, ban on biopsy) that the site's layer takes out or changes."""


def lay_over(tables: Tables, site: Tables, problems: list[str]) -> None:
    """Lay a site's rules over the built-in ones, `tables`, which are changed in place; mistakes go to `problems`.

    A row with a known id replaces that row where it stands; a new row goes before the row it names with ``before``,
    else to the end of its table (where the first row met decides: before the row without a condition). A named
    condition replaces the one of its name. ``removed`` takes rows out. The ban on biopsy is none of the site's: its
    rows stay, behind those of the site that speak of the same.
    """
    bans = _marked(tables.rows, "forbids_biopsy")
    safety = {
        row.id: row
        for row in tables.rows
        if isinstance(row.id, str)
        if row.table == "flag" or (row.table, row.conclusion) in bans | _marked(tables.rows, "is_referral")
    }
    kept = {name for name, row in safety.items() if (row.table, row.conclusion) in bans}
    deciding = _named_in(
        [row.content.get("when") for row in safety.values() if row.id in kept and row.table == "class"]
    )
    problems += [
        f"condition '{name}' decides on the ban on biopsy and cannot be replaced"
        for name, content in site.conditions.items()
        if name in deciding and content != tables.conditions.get(name)
    ]
    asked = _named_in([row.content.get("when") for row in safety.values()])
    while (further := asked | _named_in([tables.conditions.get(name) for name in asked])) != asked:
        asked = further
    differing = {name for name in asked & site.conditions.keys() if site.conditions[name] != tables.conditions[name]}
    tables.conditions |= site.conditions
    tables.version = f"{tables.version}+{site.version}" if site.version else tables.version
    tables.names += site.names or ["site"]
    ids = [row.id for row in tables.rows if isinstance(row.id, str)]
    for name, removed in site.removed:
        if removed not in ids:
            problems.append(f"{name}: removed names the unknown row '{removed}'{near(removed, ids)}")
    taken_out = {removed for _, removed in site.removed}
    tables.rows = [row for row in tables.rows if row.id not in taken_out or row.id in kept]
    for row in site.rows:
        _put(tables.rows, row, problems)
    present = {row.id: row for row in tables.rows if isinstance(row.id, str)}
    changed = [name for name, row in safety.items() if name in present and present[name].judgement != row.judgement]
    for name in (name for name in changed if name in kept):
        row = safety[name]
        content = row.content | {"id": f"{name}-built-in", row.table: row.conclusion}
        tables.rows.insert(tables.rows.index(present[name]) + 1, Row(where=row.where, table=row.table, content=content))
    for what, names in (
        ("taken out", taken_out & safety.keys() - kept),
        ("changed", set(changed)),
        ("decided by changed conditions", differing),
        ("kept although the site takes them out", taken_out & kept),
    ):
        if names:
            tables.warnings.append(f"safety rows {what}: {', '.join(sorted(map(str, names)))}")


def mark_changed(version: str) -> str:
    """Version of rules whose safety rows a site has changed, as every report prints it."""
    return f"{version} (safety rows changed by the site)"


def _marked(rows: list[Row], column: str) -> set[tuple[str, str]]:
    """Tables and conclusions of which some row has the column."""
    return {(row.table, row.conclusion) for row in rows if row.content.get(column) is True}


def _named_in(content: Any) -> set[str]:  # noqa: ANN401 - as read from TOML
    """Named conditions that a condition asks for by itself."""
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    own = content.get("condition") if isinstance(content, dict) else None
    return ({own} if isinstance(own, str) else set()).union(*map(_named_in, parts))


def _put(rows: list[Row], row: Row, problems: list[str]) -> None:
    content = {key: value for key, value in row.content.items() if key != "before"}
    new, before = Row(where=row.where, table=row.table, content=content), row.content.get("before")
    held = next((place for place, other in enumerate(rows) if other.id == row.id and row.id is not None), None)
    if held is not None and rows[held].table != row.table:
        problems.append(f"{row.where}: this id belongs to a {rows[held].table}, not a {row.table}")
        return
    if held is not None:
        del rows[held]
    if held is None or before is not None:
        held = _end_of(rows, new) if before is None else _place_of(rows, new, before, problems)
    rows.insert(held, new)


def _place_of(rows: list[Row], row: Row, before: object, problems: list[str]) -> int:
    ids = [other.id for other in rows if other.table == row.table and isinstance(other.id, str)]
    if before not in ids:
        problems.append(f"{row.where}: before names the unknown {row.table} '{before}'{near(str(before), ids)}")
        return len(rows)
    return next(place for place, other in enumerate(rows) if other.id == before)


def _end_of(rows: list[Row], row: Row) -> int:
    """Place at the end of the table; where the first row met decides, before the row without a condition."""
    is_end = (
        other.table == row.table
        and not other.content.get("when")
        and (row.table == "concern" or (row.table == "flag" and other.conclusion == row.conclusion))
        for other in rows
    )
    return next((place for place, ends in enumerate(is_end) if ends), len(rows))
