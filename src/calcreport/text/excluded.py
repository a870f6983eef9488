"""Structures excluded from measurement, in words."""

from __future__ import annotations

from calcreport.model.report import Excluded, ExclusionReason
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence


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
