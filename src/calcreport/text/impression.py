"""The impression, most important first, lesions alike in one sentence; names of flags, recommendations of lesions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from calcreport.model.report import (
    Concern,
    Differential,
    Flag,
    FlagState,
    Lesion,
    Recommendation,
    Report,
    Searched,
    YesNo,
)
from calcreport.text.comparison import describe_stability
from calcreport.text.film import is_known_view, is_on_film, name_view
from calcreport.text.statements import Statements
from calcreport.text.technique import say_not_searched
from calcreport.text.wording import as_sentence, capitalise, lengths_of, name_place

_SURE = ("consistent with", "favoured")
"""Certainties with which a diagnosis names a group, whatever the patterns in it."""


class Part(NamedTuple):
    """A piece of a line with the blank or mark before it."""

    text: str
    rank: int = 0
    """0: always said; of others the highest rank is left out first where the text grows too long."""


Line = list[Part]
"""Its full stop is added at the end."""


def join_next(sentence: str) -> str:
    """Text of a part that is a sentence of its own behind another one."""
    text = sentence.strip(" .")
    return f". {text[:1].upper()}{text[1:]}"


def longest_mm(lesion: Lesion) -> float:
    """Longest dimension of the mass where it is known, otherwise of the mineral, otherwise 0, in mm."""
    return lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm or 0.0


def changes_management(lesion: Lesion) -> bool:
    """Whether a lesion asks for more than a note: an alert, a flag, a referral, a call, or no biopsy."""
    is_flagged = lesion.concern in {Concern.HIGH, Concern.FLAGGED}
    return is_flagged or asks_for_action(lesion) or lesion.mass.present is YesNo.YES


def is_binding(entry: Recommendation) -> bool:
    """Whether a recommendation is never left out: a referral, a call on the same day, or no biopsy."""
    return entry.is_same_day or entry.forbids_biopsy or entry.is_referral


def asks_for_action(lesion: Lesion) -> bool:
    """Whether a lesion has a recommendation that is never left out."""
    return any(map(is_binding, lesion.recommendations))


def _urgency(lesion: Lesion) -> tuple[int, bool]:
    return list(Concern).index(lesion.concern), not asks_for_action(lesion)


def group_alike(lesions: Sequence[Lesion]) -> list[list[Lesion]]:
    """Group lesions of one concern and diagnosis, or where none leads of one pattern; a mass stands alone.

    Worst first, otherwise in the order given. What was seen on different radiographs may be one lesion and is not
    counted as two.
    """
    groups: dict[tuple[object, ...], list[Lesion]] = {}
    for lesion in sorted(lesions, key=_urgency):
        lead = next(iter(lesion.differential), None)
        is_sure = lead is not None and lead.certainty in _SURE
        films = tuple(place.sop_instance_uid for place in lesion.location.films)
        own = lesion.id if lesion.mass.present is YesNo.YES else ""
        diagnosis = (lead.id, lead.certainty) if lead is not None else ()
        key = (lesion.concern, diagnosis, "" if is_sure else lesion.pattern.id, own, films, asks_for_action(lesion))
        groups.setdefault(key, []).append(lesion)
    return list(groups.values())


def count_words(lines: Sequence[Line]) -> int:
    """Words of some lines."""
    return sum(len("".join(part.text for part in line).split()) for line in lines)


def shorten(lines: Sequence[Line], *, least_rank: int, most: int) -> None:
    """Leave out parts of `least_rank` or higher, highest ranks and last lines first, down to `most` words."""
    for rank in sorted({part.rank for line in lines for part in line if part.rank >= least_rank}, reverse=True):
        for line in reversed(lines):
            for place in [place for place, part in enumerate(line) if part.rank == rank][::-1]:
                if count_words(lines) <= most:
                    return
                del line[place]


_BRACKETS: Final = re.compile(r"\(([^()]*)\)")  # one pair of brackets and its content


def join_advice(advice: tuple[Recommendation, ...], lesions: tuple[Lesion, ...]) -> tuple[Recommendation, ...]:
    """Merge the recommendations of one rule that differ in wording between lesions, in the order given.

    Words in one pair of brackets that differ are given for each lesion: ``"(L1: size; L2: deep location)"``; a row
    whose words differ elsewhere stays in as many entries as it has wordings.
    """
    rows: dict[str, list[Recommendation]] = {}
    for entry in advice:
        rows.setdefault(entry.rule or entry.text, []).append(entry)
    return tuple(joined for entries in rows.values() for joined in _join_row(entries, lesions))


def _join_row(entries: list[Recommendation], lesions: tuple[Lesion, ...]) -> list[Recommendation]:
    parts = [_BRACKETS.split(entry.text) for entry in entries]
    differing = [place for place, words in enumerate(zip(*parts, strict=False)) if len(set(words)) > 1]
    if len({len(part) for part in parts}) > 1 or len(differing) != 1 or differing[0] % 2 == 0:
        return entries
    by_lesion = [
        f"{', '.join(name_concerned(entry, lesions))}: {part[differing[0]]}"
        for entry, part in zip(entries, parts, strict=True)
    ]
    words = [*parts[0]]
    words[differing[0]] = "; ".join(by_lesion)
    text = "".join(f"({word})" if place % 2 else word for place, word in enumerate(words))
    return [entries[0].model_copy(update={"text": text})]


def name_concerned(entry: Recommendation, lesions: tuple[Lesion, ...]) -> list[str]:
    """Ids of the lesions with this recommendation, or with its rule where the entry merges several wordings."""
    own = [lesion.id for lesion in lesions if entry in lesion.recommendations]
    if own or not entry.rule:
        return own
    return [lesion.id for lesion in lesions if any(item.rule == entry.rule for item in lesion.recommendations)]


FLAG_NAMES = ("size", "depth", "growth", "pain", "mass", "history", "aggressive")
"""Red flags in the order they are printed."""

_LADDER = {"consistent with": "consistent", "favoured": "favoured", "possible": "possible"}
"""Degrees of certainty in favour of a diagnosis, and the end of the name of their statement."""

_MOST_NAMED = 3
"""Most diagnoses named in the impression; the findings list all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of the impression: the lesions it is about, none for what holds for the patient, and its sentences."""

    lesions: tuple[Lesion, ...]
    line: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Every sentence, as ``report.json`` has them."""
        return as_sentence("".join(part.text for part in self.line))


def write_impression(report: Report, statements: Statements, *, negative: str) -> tuple[Item, ...]:
    """Write the impression: items of one or more sentences, worst first, never none; lesions alike in one item.

    `negative` is the sentence for a study without any lesion. What holds for the whole patient stands behind the
    lesions of most concern, and first where it forbids a biopsy or is an emergency.
    """
    overall = _describe_patient(report, statements)
    missing = tuple(_item(text) for text in say_not_searched(_unsearched(report), statements))
    is_emergency = report.laboratory is not None and report.laboratory.is_calcium_urgent
    if not report.lesions:
        first = (_item(capitalise(negative)),)
        return (*overall, *first, *missing) if is_emergency else (*first, *overall, *missing)
    said: set[str] = set()
    items = []
    for group in group_alike(report.lesions):
        notes = dict.fromkeys(note for lesion in group for note in decided_notes(lesion) if note not in said)
        said |= notes.keys()
        line = _describe_group(group, report, statements)
        line += [Part(join_next(_name_concerned(note, group)), 1) for note in notes]
        items.append(Item(lesions=tuple(group), line=tuple(line)))
    is_first = is_emergency or any(entry.forbids_biopsy for entry in report.recommendations)
    urgent = [item for item in items if item.lesions[0].concern is Concern.HIGH and not is_first]
    return (*urgent, *overall, *items[len(urgent) :], *missing)


def _unsearched(report: Report) -> list[Searched]:
    """Parts that were not searched; where a check of the run failed the limitations say what could not be judged."""
    return [row for row in report.searched if not (row.reason or "").startswith("check.")]


def _item(text: str) -> Item:
    return Item(lesions=(), line=(Part(text.rstrip(". ")),))


def decided_notes(lesion: Lesion) -> list[str]:
    """Notes of a lesion that follow from the rules; the others were measured."""
    return [note for note in lesion.notes if note not in lesion.measured_notes]


def _name_concerned(note: str, group: list[Lesion]) -> str:
    """Name the lesions a note is for where it is not for all of the group."""
    ids = [lesion.id for lesion in group if note in lesion.notes]
    if len(ids) == len(group):
        return note
    text = note.rstrip(". ")
    return f"{text.removesuffix(')')}; {', '.join(ids)})" if text.endswith(")") else f"{text} ({', '.join(ids)})"


def _describe_patient(report: Report, statements: Statements) -> tuple[Item, ...]:
    """What holds for the whole patient; a diagnosis that leads for a lesion is said there."""
    notes = [as_sentence(note) for note in report.patient.notes]
    leading = {(entry.id, entry.certainty) for lesion in report.lesions for entry in lesion.differential[:1]}
    likely = [entry for entry in report.patient.differential if entry.certainty in _LADDER]
    if likely and (likely[0].id, likely[0].certainty) in leading:
        likely = []
    if likely:
        best = [entry for entry in likely if entry.certainty == likely[0].certainty][:_MOST_NAMED]
        certainty = statements.say(
            f"impression.overall_{_LADDER[likely[0].certainty]}", labels=_join_labels(best, statements)
        )
        notes.insert(0, as_sentence(statements.say("impression.patient", certainty=certainty)))
    return (_item(" ".join(notes)),) if notes else ()


def _describe_group(group: list[Lesion], report: Report, statements: Statements) -> list[Part]:
    common = _in_common(group)
    named = _name_and_judge(_name_group(group, report, statements), common, statements)
    line = [Part(capitalise(named)), *(Part(text, rank) for text, rank in _differ(common, statements))]
    stable = describe_stability(group, statements)
    return [*line, Part(join_next(stable), 3)] if stable else line


def _in_common(group: list[Lesion]) -> list[Differential]:
    """Diagnoses that every lesion of a group has with the same certainty: none is said of one that lacks it."""
    named = [{(entry.id, entry.certainty, entry.label) for entry in lesion.differential} for lesion in group]
    return [e for e in group[0].differential if all((e.id, e.certainty, e.label) in others for others in named)]


def _name_and_judge(subject: str, differential: list[Differential], statements: Statements) -> str:
    for certainty, identifier in _LADDER.items():
        named = [entry for entry in differential if entry.certainty == certainty][:_MOST_NAMED]
        if named:
            is_open = certainty == "possible" and not differential[0].is_tumour
            likely, tumours = _set_apart_tumours(named) if is_open else (named, [])
            judged = identifier if likely else "indeterminate"
            text = statements.say(f"impression.{judged}", lesion=subject, labels=_join_labels(likely, statements))
            if not tumours:
                return text
            return statements.say("impression.not_excluded", text=text, labels=_join_labels(tumours, statements))
    return statements.say("impression.indeterminate", lesion=subject)


def _set_apart_tumours(named: list[Differential]) -> tuple[list[Differential], list[Differential]]:
    """Part a tumour, which behind something likelier is not put forward but named as not excluded, from the rest."""
    return [entry for entry in named if not entry.is_tumour], [entry for entry in named if entry.is_tumour]


def _join_labels(entries: list[Differential], statements: Statements) -> str:
    return statements.join([entry.label for entry in entries], "words_or")


def _differ(differential: list[Differential], statements: Statements) -> list[tuple[str, int]]:
    """Name the alternatives to a surer diagnosis, then the less likely ones; each with its rank."""
    surer = any(entry.certainty in {"consistent with", "favoured"} for entry in differential)
    possible = [entry for entry in differential if entry.certainty == "possible"][:_MOST_NAMED]
    unlikely = [entry for entry in differential if entry.certainty == "less likely"][:_MOST_NAMED]
    sentences = []
    if surer:
        others, tumours = _set_apart_tumours(possible)
        for identifier, entries, rank in (("not_excluded", tumours, 0), ("also_possible", others, 4)):
            if entries:
                text = statements.say(f"impression.{identifier}", text="", labels=_join_labels(entries, statements))
                sentences.append((join_next(text) if rank else text, rank))
    if unlikely:
        text = statements.say("impression.less_likely", labels="; ".join(map(_with_reason, unlikely)))
        sentences.append((join_next(text), 9))
    return sentences


def _with_reason(entry: Differential) -> str:
    return f"{entry.label} ({', '.join(entry.because)})" if entry.because else entry.label


def _name_group(group: list[Lesion], report: Report, statements: Statements) -> str:
    lead = max(group, key=longest_mm)
    felt_mm = felt_mass_mm(report, lead)
    longest = felt_mm or longest_mm(lead)
    many = len(group) > 1
    layers = {statements.choose("layer", lesion.mass.depth_class or lesion.depth.class_) for lesion in group}
    layer = layers.pop() if len(layers) == 1 and not is_on_film(report) else ""  # a radiograph shows no layer
    what = f"{layer} {_name_nature(lead, statements, many=many, has_mass=felt_mm is not None)}"
    places = list(dict.fromkeys(_name_site(lesion, statements) for lesion in group))
    ids = [lesion.id for lesion in group] if len(group) < len(report.lesions) else []
    fields = {
        "what": what.strip(),
        "place": statements.join(places) if len(places) <= _MOST_NAMED else statements.say("impression.several_sites"),
        "ids": f" ({', '.join(ids)})" if ids else "",
        "count": statements.choose("number", str(len(group)), str(len(group))),
        "size": _say_size(lead, longest, report, statements),
    }
    identifier = "lesion" if len(group) == 1 else "lesions"
    return statements.say(f"impression.{identifier}{'' if longest else '_unsized'}", **fields)


def felt_mass_mm(report: Report, lesion: Lesion) -> float | None:
    """Size of the palpable mass as entered, where the size flag of the lesion rests on it; ``None`` otherwise."""
    mass = report.clinical.get("mass")
    felt = mass.get("size_cm") if isinstance(mass, dict) else None
    value = lesion.flags.size.value
    if lesion.mass.max_diameter_mm is not None or not isinstance(felt, int | float) or value is None:
        return None
    return value if math.isclose(value, felt * 10) and value != lesion.size.max_diameter_mm else None


def _name_site(lesion: Lesion, statements: Statements) -> str:
    """Side and region; the view where a lesion was seen on one radiograph alone."""
    place = name_place(lesion.location, statements)
    views = [film.view for film in lesion.location.films if is_known_view(film.view, statements)]
    if len(lesion.location.films) != 1 or not views:
        return place
    return statements.say("impression.in_view", place=place, view=name_view(views[0], statements))


def _say_size(lesion: Lesion, longest: float, report: Report, statements: Statements) -> str:
    """State the longest dimension: marked as projected on a film, as a minimum where the image edge cuts it."""
    if not longest:
        return ""
    size = lengths_of(report).spell(longest)
    is_cut = lesion.mass.is_minimum if lesion.mass.max_diameter_mm else lesion.size.is_minimum
    text = statements.say("measure.at_least", length=size) if is_cut else size
    is_projected = is_on_film(report) and longest == lesion.size.max_diameter_mm
    return statements.say("impression.projected", size=text) if is_projected else text


def _name_nature(lesion: Lesion, statements: Statements, *, many: bool, has_mass: bool) -> str:
    family = "pattern.nouns" if many else "pattern.noun"
    noun = statements.choose(family, lesion.pattern.id, statements.say(f"{family}.other"))
    mass = "impression.masses" if many else "impression.mass"
    if lesion.mass.present is not YesNo.YES and not has_mass:
        return noun
    noun = statements.choose("pattern.of_mass", lesion.pattern.id, statements.say(f"{family}.other"))
    has_mineral = lesion.size.max_diameter_mm is not None or lesion.size.max_diameter_px is not None
    return statements.say(mass, noun=noun) if has_mineral else statements.say(f"{mass}_only")


def size_limit(report: Report) -> tuple[str, float]:
    """Operator and limit in mm of the size flag, from the settings the report was made with."""
    policy = report.settings.get("policy")
    given = policy if isinstance(policy, dict) else {}
    operator, limit = given.get("size_operator"), given.get("size_limit_mm")
    return operator if operator in {">", ">="} else ">", float(limit) if isinstance(limit, int | float) else 50.0


def is_assessed(report: Report) -> bool:
    """Whether any red flag of the study was assessed: without a lesion only flags reported for the patient can be."""
    return bool(report.flags_summary)


def name_flags(report: Report, statements: Statements) -> list[str]:
    """Printed names of the flags, in their order."""
    operator, limit_mm = size_limit(report)
    fields = {"operator": operator, "limit": f"{limit_mm / 10:g} cm"}
    return [statements.say(f"flag.{name}", **fields) for name in FLAG_NAMES]


def name_summary_flags(report: Report, statements: Statements, state: FlagState) -> list[str]:
    """Printed names of the flags that the study as a whole has in this state, in their order."""
    named = zip(FLAG_NAMES, name_flags(report, statements), strict=True)
    return [name for key, name in named if report.flags_summary.get(key) is state]


def list_flags(report: Report, lesion: Lesion, statements: Statements) -> tuple[tuple[str, Flag], ...]:
    """Printed name and state of each flag of a lesion, in their order."""
    names = zip(FLAG_NAMES, name_flags(report, statements), strict=True)
    return tuple((name, getattr(lesion.flags, key)) for key, name in names)
