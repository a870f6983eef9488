"""Structures excluded from measurement, and incidental mineral, in words."""

from __future__ import annotations

from typing import Final

from calcreport.model.lengths import Lengths
from calcreport.model.report import Excluded, ExclusionReason, Incidental, IncidentalKind
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence

_MOST_NAMED: Final = 4
"""Structures of one kind that are named; the list is in the JSON report and on the page."""


def name_reason(entry: Excluded, statements: Statements) -> str:
    """Name the reason for an exclusion; external objects have other names on radiographs than on CT."""
    on_film = statements.choose("excluded.film", entry.reason) if entry.sop_instance_uid is not None else ""
    return on_film or statements.say(f"excluded.{entry.reason}")


def describe_excluded(excluded: tuple[Excluded, ...], statements: Statements) -> tuple[str, ...]:
    """Say what was excluded from measurement, by reason, with the number of parts where it is worth counting."""
    counts: dict[ExclusionReason, int] = {}
    names: dict[ExclusionReason, str] = {}
    organs: list[str] = []
    for entry in excluded:
        counts[entry.reason] = counts.get(entry.reason, 0) + entry.count
        names[entry.reason] = name_reason(entry, statements)
        if entry.reason is ExclusionReason.ORGAN and entry.detail and entry.detail not in organs:
            organs.append(entry.detail)
    if not counts:
        return ()
    uncounted = {ExclusionReason.SKELETON, ExclusionReason.EXTERNAL}
    listed = [
        names[reason] + ("" if reason in uncounted else f" ({counts[reason]})")
        for reason in ExclusionReason
        if reason in counts
    ]
    sentences = [statements.say("excluded.sentence", list=", ".join(listed))]
    sentences += [statements.say("excluded.organ_scope", organ=organ) for organ in organs]
    return tuple(as_sentence(text) for text in sentences)


def describe_incidental(rows: tuple[Incidental, ...], statements: Statements, lengths: Lengths) -> tuple[str, ...]:
    """Say in one sentence what mineral of organs, vessels, gut and airway was seen; empty without any."""
    entries = []
    for kind in IncidentalKind:
        same = [row for row in rows if row.kind is kind]
        if same:
            longest = lengths.spell(max(row.largest_mm for row in same))
            words = {"kind": statements.say(f"incidental.{kind}"), "count": _count(same, statements)}
            entries.append(statements.say("incidental.entry", **words, length=longest))
    return (as_sentence(statements.say("incidental.line", list=", ".join(entries))),) if entries else ()


def _count(rows: list[Incidental], statements: Statements) -> str:
    """Structures with how many each, those with most first, and how many others."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.structure or ""] = counts.get(row.structure or "", 0) + row.count
    rest = counts.pop("", 0)
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rest += sum(count for _, count in ordered[_MOST_NAMED:])
    named = [f"{name} {count}" for name, count in ordered[:_MOST_NAMED]]
    others = f"{statements.say('incidental.more')} {rest}" if named else str(rest)
    return ", ".join([*named, *([others] if rest else [])])
