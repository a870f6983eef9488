"""Technique in words: what was searched and what was excluded, and the statement of a study without a lesion."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from calcreport.model.incidental import Doubt
from calcreport.model.lengths import Lengths
from calcreport.model.report import Excluded, ExclusionReason, Incidental, IncidentalKind, Searched, Technique
from calcreport.text.film import say_scales, say_views
from calcreport.text.statements import Statements
from calcreport.text.wording import Presenter, as_sentence, name_body_part, spell_number


def name_region(
    side: str | None, words: Sequence[str | None], series_number: int | None, statements: Statements
) -> str:
    """Name a part of the body as a header does.

    `side` is ``"left"``, ``"right"``, ``"both"`` or ``None``. Of `words` (Body Part Examined, description and the like)
    the first that holds a known term counts; `series_number` names what no word names.
    """
    # a word, or the whole of a text of several
    terms = (term for text in words for term in (text or "", *re.findall(r"[^\W_]+", text or "")))
    part = next(filter(None, (name_body_part(term, statements) for term in terms)), "")
    part = part or name_series(series_number, statements)
    if side == "both":
        return statements.say("film.both_sides", region=part)
    return f"{statements.say(f'side.{side}')} {part}" if side in {"left", "right"} else part


def name_series(number: int | None, statements: Statements) -> str:
    """Name a series by its number: ``"series 4"``."""
    return statements.say("searched.unnamed") if number is None else statements.say("searched.series", number=number)


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
    identifier = "searched.part" if row.searched_count is None else "searched.images"
    counts = {"count": row.searched_count or 0, "total": row.image_count or 0}
    return statements.say(identifier, region=row.region, why=why, **counts)


_MOST_STRUCTURES: Final = 4  # Structures of one kind that are named; the list is in the JSON report and on the page


def name_reason(entry: Excluded, statements: Statements) -> str:
    """Name the reason for an exclusion; external objects have other names on radiographs than on CT."""
    on_film = statements.choose("excluded.film", entry.reason) if entry.sop_instance_uid is not None else ""
    return on_film or statements.say(f"excluded.{entry.reason}")


def describe_excluded(excluded: tuple[Excluded, ...], statements: Statements) -> tuple[str, ...]:
    """Say what was excluded from measurement, by reason, with the number of parts where it is worth counting."""
    if not excluded:
        return ()
    listed = []
    for reason in ExclusionReason:
        same = [entry for entry in excluded if entry.reason is reason]
        is_counted = reason not in {ExclusionReason.SKELETON, ExclusionReason.EXTERNAL}
        count = f" ({sum(entry.count for entry in same)})" if is_counted else ""
        listed += [f"{name_reason(same[-1], statements)}{count}"] if same else []
    organs = dict.fromkeys(e.detail for e in excluded if e.reason is ExclusionReason.ORGAN and e.detail)
    sentences = [statements.say("excluded.sentence", list=", ".join(listed))]
    sentences += [statements.say("excluded.organ_scope", organ=organ) for organ in organs]
    return tuple(map(as_sentence, sentences))


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
    counts = Counter[str]()
    for row in rows:
        counts[row.structure or ""] += row.count
    rest = counts.pop("", 0)
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rest += sum(count for _, count in ordered[_MOST_STRUCTURES:])
    named = [f"{name} {count}" for name, count in ordered[:_MOST_STRUCTURES]]
    others = f"{statements.say('incidental.more')} {rest}" if named else str(rest)
    return ", ".join([*named, *([others] if rest else [])])


def name_technique(words: Presenter) -> str:
    """Name what was examined and what of it limits the reading."""
    technique = words.report.technique
    if technique is None:
        return words.say(f"section.typed_{'film' if words.is_on_film else 'ct'}")
    if technique.films:
        scales = dict.fromkeys(film.scale for film in technique.films)
        limits = words.join([words.say(f"section.scale.{scale}") for scale in scales])
        return f"{say_views(technique.films, words.report.study.body_part, words)}, {limits}"
    return ", ".join(filter(None, (_say_contrast(technique, words), _describe_slices(technique, words))))


def say_technique(words: Presenter) -> tuple[str, ...]:
    """Say how the images were made: images and thresholds of CT, views and meaning of lengths of radiographs."""
    technique = words.report.technique
    if technique is None:
        return (words.say("technique.none"),)
    kvp = "" if technique.kvp is None else words.say("technique.kvp", kvp=f"{technique.kvp:.0f}")
    if technique.films:
        views = ", ".join(filter(None, (say_views(technique.films, words.report.study.body_part, words), kvp)))
        return (as_sentence(views), *say_scales(technique.films, words))
    parts = (
        _say_contrast(technique, words),
        kvp,
        _describe_slices(technique, words),
        words.say("technique.kernel", kernel=technique.kernel) if technique.kernel else "",
    )
    sentences, limits = [", ".join(filter(None, parts))], technique.threshold_hu
    if limits is not None:
        why = f": {words.reword(technique.threshold_reason)}" if technique.threshold_reason else ""
        values = {"grow": f"{limits.grow:.0f}", "seed": f"{limits.seed:.0f}"}
        sentences.append(words.say("technique.threshold", **values, why=why))
    further = [
        words.say(
            "technique.further_series",
            series=name_series(entry.series_number, words),
            spacing=spell_number(entry.geometry.spacing_mm[2]),
            grow=f"{entry.threshold_hu.grow:.0f}",
        )
        for entry in words.report.series
        if entry.geometry is not None and entry.threshold_hu is not None
    ][1:]
    sentences += [words.say("technique.further", list=words.join(further))] if further else []
    return tuple(map(as_sentence, (*sentences, *technique.notes)))


def _say_contrast(technique: Technique, words: Presenter) -> str:
    """Name the kind of CT, its body part and its contrast."""
    part = name_body_part(words.report.study.body_part, words)
    how = words.say(f"contrast.{technique.contrast}", part=f" {part}" if part else "")
    return how + (words.say("technique.contrast_clinician") if technique.contrast_source == "clinician" else "")


def _describe_slices(technique: Technique, statements: Statements) -> str:
    """Name thickness and distance of the slices."""
    if technique.spacing_mm is None:
        return ""
    spacing = spell_number(technique.spacing_mm[2])
    if technique.slice_thickness_mm is None:
        return statements.say("technique.spaced", spacing=spacing)
    thickness = spell_number(technique.slice_thickness_mm)
    is_told = abs(technique.slice_thickness_mm - technique.spacing_mm[2]) >= 0.05  # mm; nobody dictates less
    identifier = "technique.slices_spaced" if is_told else "technique.slices"
    return statements.say(identifier, thickness=thickness, spacing=spacing)


def say_no_lesion(words: Presenter) -> str:
    """State that nothing was found, with the searched regions and the threshold; never that the study is normal.

    Where every finding was rejected that is said instead.
    """
    report, technique = words.report, words.report.technique
    if report.rejected and not report.lesions:
        return words.say("review.nothing_accepted")
    if technique is None:
        return words.say("findings.no_lesion_given")
    if technique.threshold_hu is None:
        return words.say("findings.negative_film" if len(technique.films) == 1 else "findings.negative_films")
    limits = [entry.threshold_hu.grow for entry in report.series if entry.threshold_hu is not None]
    threshold = f"{max([technique.threshold_hu.grow, *limits]):.0f}"
    regions = name_searched(report.searched, words)
    return words.say(f"findings.negative{'_in' if regions else ''}", threshold=threshold, regions=regions)
