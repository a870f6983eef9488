"""The section a radiologist pastes: one screen whatever the number of lesions, every fact in one place.

Lines are made of parts with ranks (`Part`). Where they grow too long the least important parts are left out first, then
whole lines; what is left out stands on the page and in ``report.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from calcreport.model.report import DepthClass, Flag, FlagState, Lesion, Recommendation, Report, YesNo
from calcreport.model.terms import INDETERMINATE_PATTERN
from calcreport.text.comparison import describe_growth, name_earlier
from calcreport.text.film import is_on_film, refer, say_projection, say_views, spell_projected
from calcreport.text.impression import (
    FLAG_NAMES,
    Item,
    Line,
    Part,
    changes_management,
    count_words,
    felt_mass_mm,
    group_alike,
    is_binding,
    join_next,
    longest_mm,
    name_flags,
    name_summary_flags,
    shorten,
    write_impression,
)
from calcreport.text.review import is_by_reader
from calcreport.text.statements import Statements
from calcreport.text.technique import describe_incidental, describe_slices, say_contrast, say_no_lesion
from calcreport.text.wording import as_sentence, capitalise, lengths_of, name_finding, name_place

_MOST_WORDS: Final = 260
"""Words of the whole section."""
_MOST_WORDS_OF_FEW: Final = 160
"""The same of a study with few lesions."""
_FEW: Final = 3
"""Lesions up to which the shorter limit holds."""
_PLEASANT_WORDS: Final = 110
"""Length to which what is least important (rank `_DISPENSABLE` and higher) is left out."""
_DISPENSABLE: Final = 4
"""Rank from which a part goes already at the pleasant length."""
_NEVER: Final = 9
"""Rank of what ``report.json`` has and the section never."""
_ALWAYS_SAID: Final = ("Contradiction", "Identity missing")
"""First words of sentences that outrank other limits of the images."""
_HEADING_WORDS: Final = 12
"""Words of headings and item numbers."""
_MOST_NAMED: Final = 3
"""Lesion ids or places named in one list."""
_MOST_SENTENCES: Final = 3
"""Sentences of advice in one item."""
_LAST: Final = 3
"""Place of the advice that the rules give last."""
_BRACKETS: Final = re.compile(r" ?\([^()]*\)")
"""A pair of brackets with its content."""
_LENGTHS: Final = re.compile(r"\d[\d.]* [cm]m\b")
"""A length as it is spelled."""
_CAPS: Final = ((3, 4, 4), (3, 4, 4), (3, 2, 3), (2, 2, 3), (1, 2, 2), (1, 1, 2), (1, 0, 1))
"""Most lesions in full, groups and items of the impression; the next row where the text is too long with one.

From the second row on a flag stands in its worst state alone, without the lesions that have it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The lines of the section, without headings; an empty text has no line."""

    technique: str
    comparison: str
    findings: tuple[str, ...]
    flags: str
    impression: tuple[str, ...]
    limitation: str


def write_lines(report: Report, statements: Statements, *, frame: str) -> Section:
    """Write the section within its limits; `frame` is what the layout adds besides headings and numbers."""
    most = _MOST_WORDS_OF_FEW if len(report.lesions) <= _FEW else _MOST_WORDS
    room = most - _HEADING_WORDS - len(frame.split())
    kind = "_rejected" if report.rejected else "_typed" if report.technique is None else ""
    negative = statements.say(f"section.negative{kind}")  # the finding itself says how and where it was searched
    items = _edited(report, statements) or write_impression(report, statements, negative=negative)
    drafts = (
        _shorten(_draft(report, items, caps, statements, is_brief=row > 0), room, room - most + _PLEASANT_WORDS)
        for row, caps in enumerate(_CAPS)
    )
    shortest = next(drafts)
    while count_words(_lines(shortest)) > room and (shorter := next(drafts, None)) is not None:
        shortest = shorter
    return _joined(shortest)


def _edited(report: Report, statements: Statements) -> tuple[Item, ...]:
    """Impression as a reader wrote it by hand, none where it is that of the rules; advice follows its first item."""
    drafted = write_impression(report, statements, negative=say_no_lesion(report, statements))
    if report.impression == tuple(item.text for item in drafted):
        return ()
    return tuple(
        Item(lesions=() if number else report.lesions, line=(Part(text),))
        for number, text in enumerate(report.impression)
    )


_Draft = dict[str, list[Line]]
"""Lines in their parts, by the name of the field, those with the least important parts last."""


def _draft(
    report: Report, items: tuple[Item, ...], caps: tuple[int, int, int], statements: Statements, *, is_brief: bool
) -> _Draft:
    return {
        "technique": [_technique(report, statements)],
        "comparison": [_comparison(report, statements)],
        "findings": _findings(report, caps, statements),
        "flags": [_flags(report, statements, is_brief=is_brief)],
        "limitation": [_limitation(report, statements)],
        "impression": _impression(report, items, caps[2], statements, is_brief=is_brief),
    }


def _lines(draft: _Draft) -> list[Line]:
    return [line for lines in draft.values() for line in lines]


def _shorten(draft: _Draft, most: int, pleasant: int) -> _Draft:
    for least_rank, words in ((_NEVER, -1), (_DISPENSABLE, pleasant), (1, most)):
        shorten(_lines(draft), least_rank=least_rank, most=words)
    return draft


def _joined(draft: _Draft) -> Section:
    texts = {name: tuple(filter(None, map(_join, lines))) for name, lines in draft.items()}
    return Section(
        technique="".join(texts["technique"]),
        comparison="".join(part.text for part in draft["comparison"][0]).rstrip(".") + ".",
        findings=texts["findings"],
        flags="".join(texts["flags"]),
        impression=texts["impression"],
        limitation="".join(texts["limitation"]),
    )


def _join(line: Line) -> str:
    return as_sentence("".join(part.text for part in line).removeprefix(". "))


# --- technique and comparison ----------------------------------------------------------------------------


def _technique(report: Report, statements: Statements) -> Line:
    """What was examined and what of it limits the reading."""
    technique = report.technique
    if technique is None:
        kind = "film" if is_on_film(report) else "ct"
        return [Part(statements.say(f"section.typed_{kind}"))]
    if technique.films:
        scales = dict.fromkeys(film.scale for film in technique.films)
        limits = statements.join([statements.say(f"section.scale.{scale}") for scale in scales])
        return [Part(say_views(technique.films, report.study.body_part, statements)), Part(f", {limits}")]
    line = [Part(say_contrast(report, technique, statements))]
    if technique.spacing_mm is not None:
        slices = describe_slices(technique.spacing_mm[2], technique.slice_thickness_mm, statements)
        line.append(Part(f", {slices}"))
    return line


def _comparison(report: Report, statements: Statements) -> Line:
    if report.comparison is None:
        return [Part(statements.say("section.none"))]
    named, source, missing = name_earlier(report.comparison, report.lesions, statements)
    return [Part(capitalise(named)), Part(source, 3), *([Part(join_next(missing), 5)] if missing else [])]


# --- findings --------------------------------------------------------------------------------------------


def _findings(report: Report, caps: tuple[int, int, int], statements: Statements) -> list[Line]:
    """Lesions that change management in full, the others by diagnosis, how many there are besides, the incidental."""
    incidental = [[Part(text)] for text in describe_incidental(report.incidental, statements, lengths_of(report))]
    if not report.lesions:
        return [[Part(say_no_lesion(report, statements))], *incidental]
    pressing = [lesion for lesion in report.lesions if changes_management(lesion)][: caps[0]]
    rest = [lesion for lesion in report.lesions if lesion not in pressing]
    groups = group_alike(rest)
    lines = [_describe_one(report, lesion, statements) for lesion in pressing]
    lines += [
        _describe_one(report, group[0], statements) if len(group) == 1 else _describe_many(report, group, statements)
        for group in groups[: caps[1]]
    ]
    further = sum(map(len, groups[caps[1] :]))
    if further:
        lines.append([Part(statements.say("section.further" if further > 1 else "section.further_one", count=further))])
    return lines + incidental


def _describe_one(report: Report, lesion: Lesion, statements: Statements) -> Line:
    """One lesion: place and layer, the mass before its mineral, images, density, relation to bone, change."""
    lengths = lengths_of(report)
    head = f"{lesion.id}, " if len(report.lesions) > 1 else ""
    line = [
        Part(
            f"{head}{name_place(lesion.location, statements)}"
            if head
            else capitalise(name_place(lesion.location, statements))
        )
    ]
    layer = _layer(report, lesion, statements)
    line += [Part(f", {layer}", 1)] if layer else []
    line += [Part(f", {text}", rank) for text, rank in _surroundings(report, lesion, statements) if text]
    mass, mineral = _mass(report, lesion, statements), _mineral(report, lesion, statements)
    if mass:
        what = statements.say("section.mass_with", mass=mass, mineral=mineral) if mineral else mass
        line.append(Part(f": {what}"))
    else:
        line.append(Part(f": {mineral}"))
    reference = refer(report, lesion, statements)
    line += [Part(f" {reference}", 2)] if reference else []
    count = lesion.foci.count or 0
    line += [Part(f", {statements.say('size.foci_cluster_unsized', count=count)}", 3)] if count > 1 else []
    if lesion.density.mean_hu is not None:
        line.append(Part(f", {statements.say('section.density', mean=f'{lesion.density.mean_hu:.0f}')}", 5))
    bone = statements.choose("section.bone", lesion.bone_relation) if not is_on_film(report) else ""
    line += [Part(f", {bone}", 1 if lesion.bone_relation == "contiguous" else 4)] if bone else []
    if lesion.mass.present is YesNo.NO:
        line.append(Part(f", {statements.say('section.no_mass')}", 4))
    growth = describe_growth(lesion.growth, statements, lengths)
    if is_on_film(report):
        growth = _LENGTHS.sub(lambda found: statements.say("section.projected", size=found[0]), growth)
    if not growth:
        return line
    before = report.lesions[: report.lesions.index(lesion)]
    same = next((one.id for one in before if one.growth == lesion.growth), None)
    return [*line, Part(join_next(growth) if same is None else statements.say("section.change_as", id=same), 2)]


def _layer(report: Report, lesion: Lesion, statements: Statements) -> str:
    layer = lesion.mass.depth_class or lesion.depth.class_
    unknown = layer is DepthClass.CANNOT_DETERMINE or is_on_film(report)
    return "" if unknown else statements.say(f"review.layer.{layer}")


def _surroundings(report: Report, lesion: Lesion, statements: Statements) -> list[tuple[str, int]]:
    """Tissue, distance from the skin, what a radiograph projects it over; each with its rank."""
    compartment = lesion.location.compartment or ""
    tissue = statements.choose("tissue", compartment, compartment)
    is_named = tissue in {name_finding(lesion.pattern, statements), _layer(report, lesion, statements)}
    phrases = [(tissue, 3)] if tissue and not is_named and "fascia" not in tissue else []
    if lesion.location.films:
        return [*phrases, (say_projection(lesion.location.films, statements), 2)]
    distance = lesion.depth.skin_distance_mm
    if distance is None or is_on_film(report):
        return phrases
    return [*phrases, (statements.say("depth.skin", distance=lengths_of(report).spell(distance)), 4)]


def _mass(report: Report, lesion: Lesion, statements: Statements) -> str:
    mass = lesion.mass
    felt_mm = felt_mass_mm(report, lesion)
    if felt_mm is not None:
        fields = {"length": f" {lengths_of(report).spell(felt_mm)}", "source": statements.say("section.felt")}
        return statements.say("section.mass", **fields)
    if mass.present is not YesNo.YES:
        return ""
    source = "none" if is_by_reader(lesion, "mass.source") else mass.source  # who signs is the reader
    length = "" if mass.max_diameter_mm is None else lengths_of(report).spell(mass.max_diameter_mm)
    if mass.is_minimum and length:
        length = statements.say("measure.at_least", length=length)
    fields = {"length": f" {length}" if length else "", "source": statements.say(f"size.mass_{source}")}
    return statements.say("section.mass", **fields)


def _mineral(report: Report, lesion: Lesion, statements: Statements) -> str:
    """Name the mineral as surely as the report does, with its longest dimension; empty where there is none."""
    length = spell_mineral(report, lesion, statements)
    has_mass = lesion.mass.present is YesNo.YES
    if has_mass and not length and lesion.mass.source == "contour":
        return ""
    finding = _finding(report, lesion, statements)
    return f"{finding}, {length}" if length else finding


def _finding(report: Report, lesion: Lesion, statements: Statements) -> str:
    if lesion.pattern.id == INDETERMINATE_PATTERN:
        return statements.say("section.indeterminate")
    finding = name_finding(lesion.pattern, statements)
    if is_on_film(report):
        finding = statements.choose("pattern.film", lesion.pattern.id, finding)
    return statements.say(f"section.confidence.{lesion.pattern.confidence}", finding=finding)


def spell_mineral(report: Report, lesion: Lesion, statements: Statements) -> str:
    """Spell the longest dimension of the mineral, as a projected one or a minimum where it is; empty without one."""
    size, lengths = lesion.size, lengths_of(report)
    if lesion.location.films:
        text = spell_projected(size, statements, lengths)
    else:
        text = "" if size.max_diameter_mm is None else lengths.spell(size.max_diameter_mm)
    if text and size.is_minimum:
        text = statements.say("measure.at_least", length=text)
    return statements.say("section.projected", size=text) if text and is_on_film(report) else text


def _describe_many(report: Report, group: list[Lesion], statements: Statements) -> Line:
    """Tell a group in one line: what, how many, where, the largest with its images."""
    lead = max(group, key=longest_mm)
    sure = min(group, key=lambda lesion: ("low", "moderate", "high").index(lesion.pattern.confidence))
    same = len({lesion.pattern.id for lesion in group}) == 1
    what = _finding(report, sure, statements) if same else statements.say("pattern.nouns.other")
    places = list(dict.fromkeys(name_place(lesion.location, statements) for lesion in group))
    many = len(places) > _MOST_NAMED
    where = statements.say("impression.several_sites") if many else statements.join(places)
    line = [Part(statements.say("section.group", what=capitalise(what), count=len(group), place=where))]
    length = spell_mineral(report, lead, statements)
    if length:
        line.append(Part(f", {statements.say('section.largest', length=length)}"))
        reference = refer(report, lead, statements).strip("()")
        line += [Part(f" ({lead.id}"), *([Part(f", {reference}", 2)] if reference else []), Part(")")]
    return line


# --- flags -----------------------------------------------------------------------------------------------


def _flags(report: Report, statements: Statements, *, is_brief: bool) -> Line:
    """Every flag once: what is present or possible with its lesions, what is explained, absent, and not assessed."""
    names = dict(zip(FLAG_NAMES, name_flags(report, statements), strict=True))
    if report.lesions:
        phrases = _settled(report, names, statements, is_brief=is_brief and len(report.lesions) > 1)
    else:
        phrases = _reported(report, names, statements)
    return [Part(" ".join(map(as_sentence, phrases)).rstrip("."))]


def _reported(report: Report, names: dict[str, str], statements: Statements) -> list[str]:
    """Flags without a lesion: those reported for the patient, and why the others were not assessed."""
    reported = name_summary_flags(report, statements, FlagState.PRESENT)
    first = ", ".join(names[key] for key in ("size", "depth") if names[key] not in reported)
    why = statements.say("flags.all_rejected_reason" if report.rejected else "flags.no_lesion_reason")
    return [
        *(statements.say("section.flag.reported", flag=capitalise(name)) for name in reported),
        statements.say("section.flag.no_lesion", list=first, reason=why),
    ]


def _settled(report: Report, names: dict[str, str], statements: Statements, *, is_brief: bool) -> list[str]:
    phrases, absent, unknown = [], [], []
    named: set[str] = set()
    for state in (FlagState.PRESENT, FlagState.POSSIBLE, FlagState.EXPLAINED):
        by_holders: dict[tuple[str, ...], list[str]] = {}
        for key, name in names.items():
            holders = [lesion for lesion in report.lesions if _flag(lesion, key).state is state]
            if holders and not (is_brief and key in named):
                named.add(key)
                ids = tuple(lesion.id for lesion in holders) if len(report.lesions) > 1 else (key,)
                shared = ("",) if is_brief else ids
                by_holders.setdefault(shared, []).append(_with_value(report, key, name, holders, statements))
        for ids, flags in by_holders.items():
            text = statements.say(f"section.flag.{state}", flag=capitalise(", ".join(flags)))
            is_named = len(report.lesions) > 1 and not is_brief
            phrases.append(f"{text} ({_name_ids(list(ids), statements)})" if is_named else text)
    for key, name in names.items():
        states = {lesion.id: _flag(lesion, key).state for lesion in report.lesions}
        if set(states.values()) == {FlagState.ABSENT}:
            absent.append(name)
        missing = [i for i, state in states.items() if state in {FlagState.CANNOT_DETERMINE, FlagState.NOT_PROVIDED}]
        if missing and not (is_brief and key in named):
            whole = len(missing) == len(states)
            ids_or_some = statements.say("section.some") if is_brief else _name_ids(missing, statements)
            unknown.append(name if whole else f"{name} ({ids_or_some})")
    phrases += [statements.say("section.flag.absent", list=", ".join(absent))] if absent else []
    return phrases + ([statements.say("section.flag.not_assessed", list=", ".join(unknown))] if unknown else [])


def _flag(lesion: Lesion, key: str) -> Flag:
    flag: Flag = getattr(lesion.flags, key)
    return flag


def _with_value(report: Report, key: str, name: str, holders: list[Lesion], statements: Statements) -> str:
    """Name of a flag with the length or the change it rests on, of the longest lesion that has it."""
    longest = max(holders, key=longest_mm)
    flag = _flag(longest, key)
    if key == "growth" and flag.value is not None and flag.unit == "%":
        return f"{name} ({flag.value:+.0f} %)"
    if key != "size" or flag.value is None or flag.unit != "mm":
        return name
    length = lengths_of(report).spell(flag.value)
    is_mass = flag.value in {longest.mass.max_diameter_mm, felt_mass_mm(report, longest)}
    kind = "capture.mass" if is_mass else "section.projected" if is_on_film(report) else "section.largest"
    is_plain = kind == "section.largest" and len(holders) == 1
    return f"{name} ({length if is_plain else statements.say(kind, length=length, size=length)})"


def _name_ids(ids: list[str], statements: Statements) -> str:
    if len(ids) <= _MOST_NAMED:
        return ", ".join(ids)
    return statements.say("section.ids", ids=ids[0], count=len(ids) - 1)


# --- impression and advice -------------------------------------------------------------------------------


def _impression(
    report: Report, items: tuple[Item, ...], most: int, statements: Statements, *, is_brief: bool
) -> list[Line]:
    """At most `most` items, each with its advice; the last one counts the lesions that have none of their own."""
    most += most < _CAPS[0][2] and not items[0].lesions  # what holds for the patient does not displace a lesion
    kept = items if len(items) <= most else items[: max(most - 1, 1)]
    hidden = [lesion for item in items[len(kept) :] for lesion in item.lesions]
    own = {entry.rule or entry.text for lesion in report.lesions for entry in lesion.recommendations}
    loose = [entry for entry in report.recommendations if (entry.rule or entry.text) not in own]
    asked = [[entry for lesion in item.lesions for entry in lesion.recommendations] for item in kept]
    asked[0] += loose
    said = _as_said(report, is_brief=is_brief)
    phrases = [([lesion.id for lesion in item.lesions], list(item.line)) for item in kept]
    if not report.lesions:  # a study without lesions has one item, in the line of its heading
        phrases = [([], [part for _, line in phrases for part in (Part(join_next("".join(p.text for p in line))),)])]
        asked = [[entry for entries in asked for entry in entries]]
    elif len(kept) < len(items):
        count = statements.say("section.others" if len(hidden) > 1 else "section.others_one", count=len(hidden))
        general = [item.text.rstrip(".") for item in items[len(kept) :] if not item.lesions]
        first, *others = [*([count] if hidden else []), *general]
        line = [Part(first), *(Part(join_next(text), 1) for text in others)]
        phrases.append(([lesion.id for lesion in hidden], line))
        binding = [entry for lesion in hidden for entry in lesion.recommendations if is_binding(entry)]
        referred = [k for k, entries in enumerate(asked) if any(entry.is_referral for entry in entries)]
        also = [lesion.id for lesion in hidden if any(entry.is_referral for entry in lesion.recommendations)]
        if referred and also:  # whatever the reason, it is the same referral
            names = "" if len(also) == len(hidden) else f" ({_name_ids(also, statements)})"
            phrases[-1][1][0] = Part(
                statements.say("section.referral_as", text=first, number=referred[0] + 1, ids=names)
            )
            binding = [entry for entry in binding if not entry.is_referral]
        asked.append(binding)
    worded = [[entry.model_copy(update={"text": said[entry.text]}) for entry in entries] for entries in asked]
    return _with_advice(phrases, worded, statements)


def _as_said(report: Report, *, is_brief: bool) -> dict[str, str]:
    """Words of each recommendation: without its brackets where lesions differ in them alone, or `is_brief`."""
    rows: dict[str, set[str]] = {}
    for entry in (*report.recommendations, *(entry for lesion in report.lesions for entry in lesion.recommendations)):
        rows.setdefault(entry.rule or entry.text, set()).add(entry.text)
    bare = {text: _BRACKETS.sub("", text) for texts in rows.values() for text in texts}
    return {
        t: bare[t] if is_brief or (len(texts) > 1 and len({bare[o] for o in texts}) == 1) else t
        for texts in rows.values()
        for t in texts
    }


def _with_advice(
    phrases: list[tuple[list[str], Line]], asked: list[list[Recommendation]], statements: Statements
) -> list[Line]:
    """Add what is recommended for each item, a sentence once: an item that asks for the same refers to the earlier one.

    An item never refers to advice that its lesions do not have; where an earlier item asks for more, the sentence they
    share names the further lesions.
    """
    chosen: list[list[Recommendation]] = []
    also: dict[str, list[str]] = {}
    printed: set[str] = set()
    lines: list[list[tuple[Recommendation, list[str]]]] = []
    last = next((entry.id for advice in asked for entry in advice[:0:-1]), "")  # what the rules advise last, of all
    for (ids, line), advice in zip(phrases, asked, strict=True):
        own = {entry.text for entry in advice}
        known = {entry.text for entries in chosen for entry in entries}
        same = [k for k, entries in enumerate(chosen) if entries and {entry.text for entry in entries} <= own]
        if same:
            line[0] = Part(statements.say("section.advice_as", text=line[0].text, number=same[0] + 1))
        covered = {entry.text for k in same[:1] for entry in chosen[k]}
        chosen.append(_choose([entry for entry in advice if entry.text not in known]))
        shared = [entry for entry in advice if entry.text in known - covered]
        again = {_sentences(entry)[0]: None for entry in shared}
        again |= {text: None for entry in chosen[-1] for text in _sentences(entry) if text in printed}
        for text in again:
            also.setdefault(text, []).extend(name for name in ids if name not in also.get(text, ()))
        lines.append([(entry, [t for t in _sentences(entry) if t not in printed]) for entry in chosen[-1]])
        printed |= {text for entry in chosen[-1] for text in _sentences(entry)}
    return [
        line
        + [
            part
            for place, (entry, own) in enumerate(said)
            for part in _say(entry, own, _LAST if entry.id == last else place, also, statements)
        ]
        for (_, line), said in zip(phrases, lines, strict=True)
    ]


def _choose(advice: list[Recommendation]) -> list[Recommendation]:
    """One entry of each recommendation, the binding ones and then others while there is room for their sentences."""
    chosen: dict[str, Recommendation] = {}
    room = _MOST_SENTENCES
    for entry in sorted(advice, key=lambda entry: not is_binding(entry)):
        if entry.id not in chosen and (room > 0 or is_binding(entry)):
            chosen[entry.id] = entry
            room -= len(_sentences(entry))
    return list(chosen.values())


def _say(
    entry: Recommendation, sentences: list[str], place: int, also: dict[str, list[str]], statements: Statements
) -> Line:
    """Sentences of a recommendation: what binds, and the first of an item, stays whatever the length."""
    line: Line = []
    for number, sentence in enumerate(sentences):
        first, *others = sentence.split("; ")
        rank = min(number, 1) if is_binding(entry) or place == number == 0 else min(1 + place, 6)
        clause_rank = rank if entry.forbids_biopsy or entry.is_same_day else max(rank, 4)
        if sentence in also:
            kind = "also_in" if first.endswith(")") else "also"  # one pair of brackets
            text = first.removesuffix(")") if kind == "also_in" else first
            first = statements.say(f"section.{kind}", text=text, ids=_name_ids(also[sentence], statements))
        line += [Part(join_next(first), rank), *(Part(f"; {clause}", clause_rank) for clause in others)]
    return line


def _sentences(entry: Recommendation) -> list[str]:
    return [text.rstrip(".") for text in re.split(r"(?<=\.)\s+(?=[A-Z])", entry.text.strip())]


# --- limitation ------------------------------------------------------------------------------------------


def _limitation(report: Report, statements: Statements) -> Line:
    """What limits the study most: what could not be judged, before what holds for every study."""
    checks = {row.reason for row in report.searched if row.reason is not None}
    failed = [text for text in (statements.choose("check", reason.removeprefix("check.")) for reason in checks) if text]
    cut = any(lesion.size.is_minimum or lesion.mass.is_minimum for lesion in report.lesions)
    kind = "negative" if not report.lesions else "film" if is_on_film(report) else "mineral"
    is_seen_whole = all(lesion.mass.present is not YesNo.UNKNOWN for lesion in report.lesions)
    general = statements.say(f"section.limit.{kind}")
    ranked = [
        *((text, 0) for text in sorted(failed)),
        *([(statements.say("section.limit.cut"), 1)] if cut and kind == "mineral" else []),
        *([] if kind == "mineral" else [(general, 0)]),
        *((text, 2) for text in report.limitations if text.startswith(_ALWAYS_SAID)),
        *((text, 6 if number and is_on_film(report) else 3) for number, text in enumerate(report.measured_limitations)),
        *([(general, 4)] if kind == "mineral" and not is_seen_whole else []),
    ]
    sentences = dict(reversed([(text.strip(" ."), rank) for text, rank in ranked]))
    line: Line = []
    for text, rank in reversed(sentences.items()):
        # What a general sentence adds behind a semicolon may be left out.
        first, *clauses = text.split("; ") if text == general else [text]
        line += [Part(join_next(first), rank), *(Part(f"; {clause}", max(rank, 3)) for clause in clauses)]
    return line
