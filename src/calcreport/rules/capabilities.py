"""What a class or a recommendation is capable of: written on one of its rows, and true of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from calcreport.model.decision import Capabilities
from calcreport.rules.conditions import comparisons
from calcreport.rules.facts import YES_NO, Fact, Kind
from calcreport.rules.rule_rows import CAPABILITIES, CONTACT, Rule
from calcreport.rules.site_rules import Row

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
    return [
        Row(
            where=row.where,
            table="explanation",
            content={
                "id": f"{row.id}-explains",
                "explains": row.content["explains_flags"],
                "text": row.content.get("label", ""),
                "when": {
                    "all": [
                        {"fact": f"class.{row.conclusion}", "is": "++"},
                        {"not": {"certainly": {"condition": "large_lump"}}},
                    ]
                },
                **{key: row.content[key] for key in ("sources", "since") if key in row.content},
            },
        )
        for row in rows
        if row.table == "class" and "explains_flags" in row.content
    ]


def suspicions(rows: Iterable[Row]) -> dict[str, Fact]:
    """A fact for each class that forbids biopsy: that it is suspected from any lesion."""
    return {
        f"{SUSPECTED}{row.conclusion}": Fact(
            kind=Kind.WORD, meaning=f"{row.content.get('label')} is suspected from any lesion", words=YES_NO
        )
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
    held = list(rules)
    bans = [rule for rule in held if rule.table == "recommendation" and "forbids_biopsy" in rule.capabilities]
    read_by_bans = {row.fact for rule in bans for row in comparisons(rule.when)}
    for name in dict.fromkeys(
        rule.concludes for rule in held if rule.table == "class" and "forbids_biopsy" in rule.capabilities
    ):
        if f"class.{name}" not in read_by_bans:
            yield f"class {name} forbids biopsy: a recommendation with forbids_biopsy must ask for class.{name}"
    for rule in bans:
        if "leads_to_procedure" in rule.capabilities:
            yield f"{rule.id}: forbids_biopsy and leads_to_procedure contradict each other"


def capabilities_of(tables: Mapping[str, Iterable[Rule]]) -> Capabilities:
    """Collect the capabilities by id, for the words of a report."""

    def listed(table: str) -> dict[str, frozenset[Any]]:
        return {rule.concludes: rule.capabilities for rule in tables[table] if rule.capabilities}

    labels = {rule.concludes: rule.text for rule in reversed(tuple(tables["class"]))}
    forbidding = {name for name, held in listed("class").items() if "forbids_biopsy" in held}
    bans: dict[str, list[str]] = {}
    for rule in tables["recommendation"]:
        if "forbids_biopsy" in rule.capabilities:
            asked = {f"class.{name}": name for name in sorted(forbidding)}
            names = {asked[row.fact]: None for row in comparisons(rule.when) if row.fact in asked}
            bans.setdefault(rule.concludes, []).extend(labels[name] for name in names)
    return Capabilities(
        classes=listed("class"),
        recommendations=listed("recommendation"),
        flag_rows={rule.id: rule.capabilities for rule in tables["flag"] if rule.capabilities},
        contacts={rule.concludes: rule.contact for rule in tables["recommendation"] if rule.contact},
        bans={name: tuple(dict.fromkeys(said)) for name, said in bans.items()},
    )
