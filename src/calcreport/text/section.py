"""The section a radiologist pastes: one screen whatever the number of lesions, every fact in one place.

Lines are made of parts with ranks (`Part`). Where they grow too long the least important parts are left out first, then
whole lines; what is left out stands on the page and in ``report.json``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calcreport.model.report import DepthClass, FlagState, Lesion, Recommendation, YesNo
from calcreport.model.terms import INDETERMINATE_PATTERN
from calcreport.text import impression as imp
from calcreport.text.comparison import describe_growth, name_earlier
from calcreport.text.film import refer, say_projection
from calcreport.text.impression import Item, Line, Part, join_next, longest_mm
from calcreport.text.review import is_by_reader
from calcreport.text.technique import describe_incidental, name_technique, say_no_lesion
from calcreport.text.wording import Presenter, as_sentence, capitalise, name_finding, name_place, spell_mineral

_MOST_WORDS: Final = {3: 160, math.inf: 260}
"""Words of the whole section by the number of lesions up to which the limit holds."""
_PLEASANT_WORDS: Final = 110  # Length to which what is least important (rank `_DISPENSABLE` and higher) is left out
_DISPENSABLE: Final = 4  # rank from which a part goes already at the pleasant length
_NEVER: Final = 9  # rank of what ``report.json`` has and the section never
_ALWAYS_SAID: Final = ("Contradiction", "Identity missing")
"""First words of sentences that outrank other limits of the images."""
_HEADING_WORDS: Final = 12  # words of headings and item numbers
_MOST_NAMED: Final = 3  # lesion ids or places named in one list
_LAST: Final = 3  # place of the advice that the rules give last
_LENGTHS: Final = re.compile(r"\d[\d.]* [cm]m\b")  # a length as it is spelled
_CAPS: Final = ((3, 4, 4), (3, 4, 4), (3, 2, 3), (2, 2, 3), (1, 2, 2), (1, 1, 2), (1, 0, 1))
"""Most lesions in full, groups and items of the impression; the next row where the text is too long with one.

From the second row on a flag stands in its worst state, without its lesions and reasons; explained beside possible.
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


def write_lines(words: Presenter, *, frame: str) -> Section:
    """Write the section within its limits; `frame` is what the layout adds besides headings and numbers."""
    report = words.report
    most = next(longest for lesions, longest in _MOST_WORDS.items() if len(report.lesions) <= lesions)
    room = most - _HEADING_WORDS - len(frame.split())
    kind = "_rejected" if report.rejected else "_typed" if report.technique is None else ""
    negative = words.say(f"section.negative{kind}")  # the finding itself says how and where it was searched
    items = imp.edited_impression(words) or imp.write_impression(words, negative=negative)
    draft: dict[str, list[Line]] = {}
    for row, (most_full, most_groups, most_items) in enumerate(_CAPS):
        draft = {
            "technique": [[Part(name_technique(words))]],
            "comparison": [_comparison(words)],
            "findings": _findings(most_full, most_groups, words),
            "flags": [[Part(" ".join(map(as_sentence, _flags(words, is_brief=row > 0))).rstrip("."))]],
            "limitation": [_limitation(words)],
            "impression": _impression(items, most_items, words, is_brief=row > 0),
        }
        lines = [line for part in draft.values() for line in part]
        for least_rank, longest in ((_NEVER, -1), (_DISPENSABLE, room - most + _PLEASANT_WORDS), (1, room)):
            imp.shorten(lines, least_rank=least_rank, most=longest)
        if imp.count_words(lines) <= room:
            break
    texts = {name: tuple(filter(None, map(_join, part))) for name, part in draft.items()}
    comparison = "".join(part.text for part in draft["comparison"][0]).rstrip(".") + "."
    single = {name: "".join(texts[name]) for name in ("technique", "flags", "limitation")}
    return Section(comparison=comparison, findings=texts["findings"], impression=texts["impression"], **single)


def _join(line: Line) -> str:
    return as_sentence("".join(part.text for part in line).removeprefix(". "))


def _after_comma(text: str, rank: int) -> Part:
    return Part(f", {text}" if text else "", rank)


def _comparison(words: Presenter) -> Line:
    report = words.report
    if report.comparison is None:
        return [Part(words.say("section.none"))]
    named, source, missing = name_earlier(report.comparison, report.lesions, words)
    return [Part(capitalise(named)), Part(source, 3), Part(join_next(missing) if missing else "", 5)]


def _findings(most_full: int, most_groups: int, words: Presenter) -> list[Line]:
    """Lesions that change management in full, the others by diagnosis, how many there are besides, the incidental."""
    lesions = words.report.lesions
    incidental = [[Part(text)] for text in describe_incidental(words.report.incidental, words, words.lengths)]
    if not lesions:
        return [[Part(say_no_lesion(words))], *incidental]
    pressing = [lesion for lesion in lesions if imp.changes_management(lesion)][:most_full]
    groups = imp.group_alike([lesion for lesion in lesions if lesion not in pressing])
    lines = [
        _describe_one(group[0], words) if len(group) == 1 else _describe_many(group, words)
        for group in [*([lesion] for lesion in pressing), *groups[:most_groups]]
    ]
    further = sum(map(len, groups[most_groups:]))
    if further:
        lines.append([Part(words.say("section.further" if further > 1 else "section.further_one", count=further))])
    return lines + incidental


def _describe_one(lesion: Lesion, words: Presenter) -> Line:
    """One lesion: place and layer, the mass before its mineral, images, density, relation to bone, change."""
    lesions, place = words.report.lesions, name_place(lesion.location, words)
    features = [words.choose("section.feature", n) for n, answer in lesion.pattern.features.items() if answer == "yes"]
    mass, mineral, reference = _mass(lesion, words), _mineral(lesion, words), refer(lesion, words)
    what = words.say("section.mass_with", mass=mass, mineral=mineral) if mass and mineral else mass or mineral
    count, mean_hu = lesion.foci.count or 0, lesion.density.mean_hu
    foci = words.say("size.foci_cluster_unsized", count=count) if count > 1 else ""
    density = "" if mean_hu is None else words.say("section.density", mean=f"{mean_hu:.0f}")
    bone = "" if words.is_on_film else words.choose("section.bone", lesion.bone_relation)
    growth = describe_growth(lesion.growth, words, words.lengths)
    if words.is_on_film:
        growth = _LENGTHS.sub(lambda found: words.say("section.projected", size=found[0]), growth)
    before = lesions[: lesions.index(lesion)]
    same = next((one.id for one in before if one.growth == lesion.growth), None)
    change = join_next(growth) if same is None else words.say("section.change_as", id=same)
    return [
        Part(f"{lesion.id}, {place}" if len(lesions) > 1 else capitalise(place)),
        _after_comma(_layer(lesion, words), 1),
        *_surroundings(lesion, words),
        Part(f": {what}"),
        Part(f" {reference}" if reference else "", 2),
        _after_comma(foci, 3),
        _after_comma(density, 5),
        _after_comma(bone, {"contiguous": 1, "abuts": 2}.get(lesion.bone_relation, 4)),
        *(_after_comma(text, 2) for text in features if text not in what),
        _after_comma(words.say("section.no_mass") if lesion.mass.present is YesNo.NO else "", 4),
        Part(change if growth else "", 2),
    ]


def _layer(lesion: Lesion, words: Presenter) -> str:
    layer = lesion.mass.depth_class or lesion.depth.class_
    unknown = layer is DepthClass.CANNOT_DETERMINE or words.is_on_film
    return "" if unknown else words.say(f"review.layer.{layer}")


def _surroundings(lesion: Lesion, words: Presenter) -> Line:
    """Tissue, distance from the skin, what a radiograph projects it over."""
    compartment = lesion.location.compartment or ""
    tissue = words.choose("tissue", compartment, compartment)
    if "fascia" in tissue or tissue in f"{name_finding(lesion.pattern, words)} {_layer(lesion, words)}":
        tissue = ""
    distance = lesion.depth.skin_distance_mm
    if lesion.location.films:
        place = _after_comma(say_projection(lesion.location.films, words), 2)
    elif distance is None or words.is_on_film:
        place = Part("")
    else:
        place = _after_comma(words.say("depth.skin", distance=words.lengths.spell(distance)), 4)
    return [_after_comma(tissue, 3), place]


def _mass(lesion: Lesion, words: Presenter) -> str:
    mass, felt_mm = lesion.mass, imp.felt_mass_mm(lesion, words)
    if felt_mm is not None:
        fields = {"length": f" {words.lengths.spell(felt_mm)}", "source": words.say("section.felt")}
    elif mass.present is not YesNo.YES:
        return ""
    else:
        source = "none" if is_by_reader(lesion, "mass.source") else mass.source  # who signs is the reader
        length = "" if mass.max_diameter_mm is None else words.lengths.spell(mass.max_diameter_mm)
        length = words.at_least(length, is_minimum=mass.is_minimum)
        fields = {"length": f" {length}" if length else "", "source": words.say(f"size.mass_{source}")}
    return words.say("section.mass", **fields)


def _mineral(lesion: Lesion, words: Presenter) -> str:
    """Name the mineral as surely as the report does, with its longest dimension; empty where there is none."""
    length = spell_mineral(lesion, words)
    if not length and lesion.mass.present is YesNo.YES and lesion.mass.source == "contour":
        return ""
    is_all = lesion.mass.present is YesNo.YES and lesion.size.max_diameter_mm == lesion.mass.max_diameter_mm
    return _finding(lesion, words) + (f", {length}" if length and not is_all else "")


def _finding(lesion: Lesion, words: Presenter) -> str:
    if lesion.pattern.id == INDETERMINATE_PATTERN:
        return words.say("section.indeterminate")
    named = name_finding(lesion.pattern, words)
    finding = words.choose("pattern.film", lesion.pattern.id, named) if words.is_on_film else named
    return words.say(f"section.confidence.{lesion.pattern.confidence}", finding=finding)


def _describe_many(group: list[Lesion], words: Presenter) -> Line:
    """Describe a group in one line: what, how many, where, the largest with its images."""
    lead = max(group, key=longest_mm)
    sure = min(group, key=lambda lesion: ("low", "moderate", "high").index(lesion.pattern.confidence))
    same = len({lesion.pattern.id for lesion in group}) == 1
    what = _finding(sure, words) if same else words.say("pattern.nouns.other")
    places = list(dict.fromkeys(name_place(lesion.location, words) for lesion in group))
    many = len(places) > _MOST_NAMED
    where = words.say("impression.several_sites") if many else words.join(places)
    group_text = words.say("section.group", what=capitalise(what), count=len(group), place=where)
    length, reference = spell_mineral(lead, words), refer(lead, words).strip("()")
    if not length:
        return [Part(group_text)]
    largest = words.say("section.largest", length=length)
    named = Part(f"{group_text}, {largest} ({lead.id}")
    return [named, _after_comma(reference, 2), Part(")")]


def _flags(words: Presenter, *, is_brief: bool) -> list[str]:
    """Every flag once: what is present or possible with its lesions, what is explained, absent, and not assessed.

    Without a lesion those reported for the patient, and why the others were not assessed.
    """
    if words.report.lesions:
        return _settled(words, is_brief=is_brief and len(words.report.lesions) > 1)
    names, reported = imp.name_flags(words), imp.name_summary_flags(words, FlagState.PRESENT)
    first = ", ".join(names[key] for key in ("size", "depth") if names[key] not in reported)
    why = words.say("flags.all_rejected_reason" if words.report.rejected else "flags.no_lesion_reason")
    return [
        *(words.say("section.flag.reported", flag=capitalise(name)) for name in reported),
        words.say("section.flag.no_lesion", list=first, reason=why),
    ]


def _settled(words: Presenter, *, is_brief: bool) -> list[str]:
    lesions, names = words.report.lesions, imp.name_flags(words)
    phrases, absent, unknown = [], [], []
    named, possible = set[str](), set[str]()
    for state in (FlagState.PRESENT, FlagState.POSSIBLE, FlagState.EXPLAINED):
        by_holders: dict[tuple[str, ...], list[str]] = {}
        for key, name in names.items():
            holders = [lesion for lesion in lesions if getattr(lesion.flags, key).state is state]
            if holders and not (is_brief and key in named):
                (possible if state is FlagState.POSSIBLE else named).add(key)  # what is explained may be larger
                ids = tuple(lesion.id for lesion in holders) if len(lesions) > 1 else (key,)
                flag = name if is_brief and key == "history" else _with_value(key, name, holders, words)
                by_holders.setdefault(("",) if is_brief else ids, []).append(flag)
        for ids, flags in by_holders.items():
            text = words.say(f"section.flag.{state}", flag=capitalise(", ".join(flags)))
            phrases.append(f"{text} ({_name_ids(ids, words)})" if len(lesions) > 1 and not is_brief else text)
    for key, name in names.items():
        states = {lesion.id: getattr(lesion.flags, key).state for lesion in lesions}
        if set(states.values()) == {FlagState.ABSENT}:
            absent.append(name)
        missing = [i for i, state in states.items() if state in {FlagState.CANNOT_DETERMINE, FlagState.NOT_PROVIDED}]
        if missing and not (is_brief and key in named | possible):
            of = words.say("section.some") if is_brief else _name_ids(missing, words)
            unknown.append(name if len(missing) == len(states) else f"{name} ({of})")
    phrases += [words.say("section.flag.absent", list=", ".join(absent))] if absent else []
    return phrases + ([words.say("section.flag.not_assessed", list=", ".join(unknown))] if unknown else [])


def _with_value(key: str, name: str, holders: list[Lesion], words: Presenter) -> str:
    """Name of a flag with the length or the change it rests on, of the longest lesion that has it."""
    longest = max(holders, key=longest_mm)
    flag = getattr(longest.flags, key)
    if key == "growth" and flag.value is not None and flag.unit == "%":
        return f"{name} ({flag.value:+.0f} %)"
    if key == "history":
        whys = [why for one in holders for why in one.flags.history.notes or (one.flags.history.evidence,)]
        return f"{name} ({', '.join(dict.fromkeys(whys))})"
    if key != "size" or flag.value is None or flag.unit != "mm":
        return name
    length = words.lengths.spell(flag.value)
    is_mass = flag.value in {longest.mass.max_diameter_mm, imp.felt_mass_mm(longest, words)}
    kind = "capture.mass" if is_mass else "section.projected" if words.is_on_film else "section.largest"
    is_plain = kind == "section.largest" and len(holders) == 1
    return f"{name} ({length if is_plain else words.say(kind, length=length, size=length)})"


def _name_ids(ids: Sequence[str], words: Presenter) -> str:
    if len(ids) <= _MOST_NAMED:
        return ", ".join(ids)
    return words.say("section.ids", ids=ids[0], count=len(ids) - 1)


def _impression(items: tuple[Item, ...], most: int, words: Presenter, *, is_brief: bool) -> list[Line]:
    """At most `most` items, each with its advice; the last one counts the lesions that have none of their own."""
    report = words.report
    most += most < _CAPS[0][2] and not items[0].lesions  # what holds for the patient does not displace a lesion
    kept = items if len(items) <= most else items[: max(most - 1, 1)]
    own = {imp.rule_of(entry) for lesion in report.lesions for entry in lesion.recommendations}
    asked = [[entry for lesion in item.lesions for entry in lesion.recommendations] for item in kept]
    asked[0] += [entry for entry in report.recommendations if imp.rule_of(entry) not in own]
    phrases = [([lesion.id for lesion in item.lesions], list(item.line)) for item in kept]
    if not report.lesions:  # a study without lesions has one item, in the line of its heading
        phrases = [([], [Part(join_next("".join(part.text for part in line))) for _, line in phrases])]
        asked = [[entry for entries in asked for entry in entries]]
    elif len(kept) < len(items):
        hidden = [lesion for item in items[len(kept) :] for lesion in item.lesions]
        count = words.say("section.others" if len(hidden) > 1 else "section.others_one", count=len(hidden))
        general = [item.text.rstrip(".") for item in items[len(kept) :] if not item.lesions]
        first, *others = [*([count] if hidden else []), *general]
        binding = [entry for lesion in hidden for entry in lesion.recommendations if imp.is_binding(entry)]
        referred = [k for k, entries in enumerate(asked) if any(entry.is_referral for entry in entries)]
        also = [lesion.id for lesion in hidden if any(entry.is_referral for entry in lesion.recommendations)]
        if referred and also:  # whatever the reason, it is the same referral
            names = "" if len(also) == len(hidden) else f" ({_name_ids(also, words)})"
            first = words.say("section.referral_as", text=first, number=referred[0] + 1, ids=names)
            binding = [entry for entry in binding if not entry.is_referral]
        line = [Part(first), Part(imp.name_sure(hidden), 2), *(Part(join_next(text), 1) for text in others)]
        phrases.append(([lesion.id for lesion in hidden], line))
        asked.append(binding)
    said = imp.without_differences(words, is_brief=is_brief)
    worded = [[entry.model_copy(update={"text": said[entry.text]}) for entry in entries] for entries in asked]
    return _with_advice(phrases, worded, words)


def _with_advice(
    phrases: list[tuple[list[str], Line]], asked: list[list[Recommendation]], words: Presenter
) -> list[Line]:
    """Add what is recommended for each item, a sentence once: an item that asks for the same refers to the earlier one.

    An item never refers to advice that its lesions do not have; where an earlier item asks for more, the sentence they
    share names the further lesions.
    """
    chosen: list[list[Recommendation]] = []
    also: dict[str, list[str]] = {}
    printed: set[str] = set()
    # Of each item the place of its first sentence, behind what it shares with an earlier item, and its sentences.
    lines: list[tuple[int, list[tuple[Recommendation, list[str]]]]] = []
    last = next((entry.id for advice in asked for entry in advice[:0:-1]), "")  # what the rules advise last, of all
    for (ids, line), advice in zip(phrases, asked, strict=True):
        own = {entry.text for entry in advice}
        known = {entry.text for entries in chosen for entry in entries}
        same = [k for k, entries in enumerate(chosen) if entries and {entry.text for entry in entries} <= own]
        if same:
            end = next((k for k, part in enumerate(line[1:]) if part.text.startswith((". ", "; "))), len(line) - 1)
            line[end] = Part(words.say("section.advice_as", text=line[end].text, number=same[0] + 1))
        covered = {entry.text for k in same[:1] for entry in chosen[k]}
        chosen.append(imp.choose_advice([entry for entry in advice if entry.text not in known]))
        again = {imp.sentences_of(entry)[0]: None for entry in advice if entry.text in known - covered}
        again |= {text: None for entry in chosen[-1] for text in imp.sentences_of(entry) if text in printed}
        for text in again:
            also.setdefault(text, []).extend(name for name in ids if name not in also.get(text, ()))
        said = [(entry, [t for t in imp.sentences_of(entry) if t not in printed]) for entry in chosen[-1]]
        lines.append((len(same[:1]), said))
        printed |= {text for entry in chosen[-1] for text in imp.sentences_of(entry)}
    for (_, line), (start, said) in zip(phrases, lines, strict=True):
        for place, (entry, sentences) in enumerate(said, start):
            line.extend(_say(entry, sentences, _LAST if entry.id == last else place, also, words))
    return [line for _, line in phrases]


def _say(entry: Recommendation, sentences: list[str], place: int, also: dict[str, list[str]], words: Presenter) -> Line:
    """Sentences of a recommendation: what binds, and the first of an item, stays whatever the length."""
    line: Line = []
    for number, sentence in enumerate(sentences):
        first, *others = sentence.split("; ")
        rank = min(number, 1) if imp.is_binding(entry) or place == number == 0 else min(1 + place, 6)
        clause_rank = rank if entry.forbids_biopsy or entry.is_same_day else max(rank, 4)
        if sentence in also:
            kind = "also_in" if first.endswith(")") else "also"  # one pair of brackets
            text = first.removesuffix(")") if kind == "also_in" else first
            first = words.say(f"section.{kind}", text=text, ids=_name_ids(also[sentence], words))
        line += [Part(join_next(first), rank), *(Part(f"; {clause}", clause_rank) for clause in others)]
    return line


def _limitation(words: Presenter) -> Line:
    """What limits the study most: what could not be judged, before what holds for every study."""
    report = words.report
    checks = {row.reason for row in report.searched if row.reason is not None}
    failed = filter(None, (words.choose("check", reason.removeprefix("check.")) for reason in checks))
    kind = "negative" if not report.lesions else "film" if words.is_on_film else "mineral"
    general = words.say(f"section.limit.{kind}")
    ranked = [(text, 0) for text in sorted(failed)]
    if kind != "mineral":
        ranked.append((general, 0))
    elif any(lesion.size.is_minimum or lesion.mass.is_minimum for lesion in report.lesions):
        ranked.append((words.say("section.limit.cut"), 1))
    ranked += [(text, 2) for text in report.limitations if text.startswith(_ALWAYS_SAID)]
    ranked += [(t, 6 if number and words.is_on_film else 3) for number, t in enumerate(report.measured_limitations)]
    if kind == "mineral" and any(lesion.mass.present is YesNo.UNKNOWN for lesion in report.lesions):
        ranked.append((general, 4))
    sentences = dict(reversed([(text.strip(" ."), rank) for text, rank in ranked]))
    line: Line = []
    for text, rank in reversed(sentences.items()):
        # What a general sentence adds behind a semicolon may be left out.
        first, *clauses = text.split("; ") if text == general else [text]
        line += [Part(join_next(first), rank), *(Part(f"; {clause}", max(rank, 3)) for clause in clauses)]
    return line
