"""Technique in words: what was searched and what was excluded, and the statement of a study without a lesion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from calcreport.model.incidental import Doubt
from calcreport.model.lengths import Lengths
from calcreport.model.report import Excluded, ExclusionReason, Incidental, IncidentalKind, Report, Searched, Technique
from calcreport.text.film import say_films
from calcreport.text.review import say_nothing_accepted
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, name_body_part, spell_number


def name_region(
    side: str | None, words: Sequence[str | None], series_number: int | None, statements: Statements
) -> str:
    """Name a part of the body as a header does.

    `side` is ``"left"``, ``"right"``, ``"both"`` or ``None``. Of `words` (Body Part Examined, description and the like)
    the first that holds a known term counts; `series_number` names what no word names.
    """
    part = next(filter(None, (_known_term(text or "", statements) for text in words)), "")
    part = part or name_series(series_number, statements)
    if side == "both":
        return statements.say("film.both_sides", region=part)
    return f"{statements.say(f'side.{side}')} {part}" if side in {"left", "right"} else part


def name_series(number: int | None, statements: Statements) -> str:
    """Name a series by its number: ``"series 4"``."""
    return statements.say("searched.unnamed") if number is None else statements.say("searched.series", number=number)


def _known_term(text: str, statements: Statements) -> str:
    """First known body part in a text, the whole text or one of its words; empty without any."""
    words = (text, *re.findall(r"[^\W_]+", text))
    return next(filter(None, (name_body_part(word, statements) for word in words)), "")


def merge_searched(searched: Sequence[Searched], missing: Sequence[Searched]) -> tuple[Searched, ...]:
    """Merge to one row per region; a region with searched and unsearched series counts as searched in part."""
    rows: dict[str, Searched] = {}
    for row in searched:
        rows.setdefault(row.region, row)
    for row in missing:
        known = rows.get(row.region)
        if known is None or known.status == "searched":
            rows[row.region] = row if known is None else row.model_copy(update={"status": "partly"})
    return tuple(rows.values())


def limit_searched(searched: Sequence[Searched], doubts: Iterable[tuple[str, Sequence[Doubt]]]) -> tuple[Searched, ...]:
    """Count regions as searched in part whose search failed a check of its own; the reason is the first such check."""
    rows = {row.region: row for row in searched}
    for region, failed in doubts:
        row = rows.get(region)
        if failed and row is not None and row.status == "searched":
            rows[region] = row.model_copy(update={"status": "partly", "reason": failed[0].code})
    return tuple(rows.values())


def name_searched(searched: Sequence[Searched], statements: Statements) -> str:
    """Regions that were searched, in words; empty where the study covers one only, or nothing was recorded."""
    if len(searched) == 1 and searched[0].status == "searched":
        return ""
    names = [
        statements.say("searched.within", region=row.region) if row.status == "partly" else row.region
        for row in searched
        if row.status != "not_searched"
    ]
    return statements.join(names)


def say_not_searched(
    searched: Sequence[Searched], statements: Statements, identifier: str = "searched.not"
) -> tuple[str, ...]:
    """State the unsearched and partly searched regions, with series and reason; empty when all were searched."""
    missing = [_say_missing(row, statements) for row in searched if row.status != "searched"]
    return (as_sentence(statements.say(identifier, list="; ".join(missing))),) if missing else ()


def _say_missing(row: Searched, statements: Statements) -> str:
    series = name_series(row.series_number, statements)
    why = ", ".join(filter(None, ("" if series in row.region else series, row.reason)))
    if row.status == "not_searched":
        return f"{row.region} ({why})"
    if row.searched_count is None:
        return statements.say("searched.part", region=row.region, why=why)
    counts = {"count": row.searched_count, "total": row.image_count or 0}
    return statements.say("searched.images", region=row.region, why=why, **counts)


_MOST_STRUCTURES: Final = 4
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
    rest += sum(count for _, count in ordered[_MOST_STRUCTURES:])
    named = [f"{name} {count}" for name, count in ordered[:_MOST_STRUCTURES]]
    others = f"{statements.say('incidental.more')} {rest}" if named else str(rest)
    return ", ".join([*named, *([others] if rest else [])])


def say_technique(report: Report, statements: Statements) -> tuple[str, ...]:
    """Say how the images were made: images and thresholds of CT, views and meaning of lengths of radiographs."""
    technique = report.technique
    if technique is None:
        return (statements.say("technique.none"),)
    if technique.films:
        return say_films(technique, report.study.body_part, statements)
    parts = [say_contrast(report, technique, statements)]
    if technique.kvp is not None:
        parts.append(statements.say("technique.kvp", kvp=f"{technique.kvp:.0f}"))
    if technique.spacing_mm is not None:
        parts.append(describe_slices(technique.spacing_mm[2], technique.slice_thickness_mm, statements))
    if technique.kernel:
        parts.append(statements.say("technique.kernel", kernel=technique.kernel))
    sentences = [as_sentence(", ".join(parts))]
    limits = technique.threshold_hu
    if limits is not None:
        sentences.append(statements.say("technique.threshold", grow=f"{limits.grow:.0f}", seed=f"{limits.seed:.0f}"))
    return (*sentences, *_say_further(report, statements), *map(as_sentence, technique.notes))


def say_contrast(report: Report, technique: Technique, statements: Statements) -> str:
    """Name the kind of CT, its body part and its contrast."""
    part = name_body_part(report.study.body_part, statements)
    how = statements.say(f"contrast.{technique.contrast}", part=f" {part}" if part else "")
    return how + (statements.say("technique.contrast_clinician") if technique.contrast_source == "clinician" else "")


def _say_further(report: Report, statements: Statements) -> tuple[str, ...]:
    """Name the CT series measured beside the first."""
    further = [
        statements.say(
            "technique.further_series",
            series=name_series(entry.series_number, statements),
            spacing=spell_number(entry.geometry.spacing_mm[2]),
            grow=f"{entry.threshold_hu.grow:.0f}",
        )
        for entry in report.series
        if entry.geometry is not None and entry.threshold_hu is not None
    ][1:]
    return (as_sentence(statements.say("technique.further", list=statements.join(further))),) if further else ()


def describe_slices(spacing_mm: float, thickness_mm: float | None, statements: Statements) -> str:
    """Name thickness and distance of the slices."""
    spacing = spell_number(spacing_mm)
    if thickness_mm is None:
        return statements.say("technique.spaced", spacing=spacing)
    thickness = spell_number(thickness_mm)
    identifier = "technique.slices" if thickness == spacing else "technique.slices_spaced"
    return statements.say(identifier, thickness=thickness, spacing=spacing)


def say_no_lesion(report: Report, statements: Statements) -> str:
    """Finding of a study without lesions: every one was rejected, or how and where it was searched."""
    return say_nothing_accepted(report, statements) or say_negative(report, statements)


def say_negative(report: Report, statements: Statements) -> str:
    """State that nothing was found, with the searched regions and the threshold; never that the study is normal."""
    technique = report.technique
    if technique is None:
        return statements.say("findings.no_lesion_given")
    if technique.threshold_hu is None:
        return statements.say("findings.negative_film" if len(technique.films) == 1 else "findings.negative_films")
    limits = [entry.threshold_hu.grow for entry in report.series if entry.threshold_hu is not None]
    threshold = f"{max([technique.threshold_hu.grow, *limits]):.0f}"
    regions = name_searched(report.searched, statements)
    if regions:
        return statements.say("findings.negative_in", threshold=threshold, regions=regions)
    return statements.say("findings.negative", threshold=threshold)
