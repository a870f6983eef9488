"""The impression, most important first, lesions alike in one sentence; names of flags, recommendations of lesions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from calcreport.model.report import Concern, Differential, Flag, FlagState, Lesion, Recommendation, Report, YesNo
from calcreport.text.comparison import describe_stability
from calcreport.text.film import known_view
from calcreport.text.technique import say_no_lesion, say_not_searched
from calcreport.text.wording import Presenter, as_sentence, capitalise, name_place

_SURE: Final = ("consistent with", "favoured")
"""Certainties with which a diagnosis names a group, whatever the patterns in it."""


class Part(NamedTuple):
    """A piece of a line with the blank or mark before it."""

    text: str
    rank: int = 0
    """0: always said; of others the highest rank is left out first where the text grows too long."""


Line = list[Part]  # Its full stop is added at the end


def join_next(sentence: str) -> str:
    """Text of a part that is a sentence of its own behind another one."""
    return f". {capitalise(sentence.strip(' .'))}"


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


def group_alike(lesions: Sequence[Lesion]) -> list[list[Lesion]]:
    """Group lesions of one concern and diagnosis, or where none leads of one pattern; a mass stands alone.

    Worst first, otherwise in the order given. What was seen on different radiographs may be one lesion and is not
    counted as two.
    """
    worst_first = sorted(lesions, key=lambda one: (list(Concern).index(one.concern), not asks_for_action(one)))
    groups: dict[tuple[object, ...], list[Lesion]] = {}
    for lesion in worst_first:
        lead = next(iter(lesion.differential), None)
        is_sure = lead is not None and lead.certainty in _SURE
        films = tuple(place.sop_instance_uid for place in lesion.location.films)
        own = lesion.id if lesion.mass.present is YesNo.YES else ""
        diagnosis = (lead.id, lead.certainty) if lead is not None else ()
        key = (lesion.concern, diagnosis, "" if is_sure else lesion.pattern.id, own, films, asks_for_action(lesion))
        groups.setdefault(key, []).append(lesion)
    return list(groups.values())


def name_sure(lesions: Sequence[Lesion]) -> str:
    """Diagnoses of some lesions in brackets; empty where one has none that is sure, is referred, or they are many."""
    sure = [lead.label for one in lesions for lead in one.differential[:1] if lead.certainty == _SURE[0]]
    is_open = len(sure) < max(len(lesions), 1) or len(set(sure)) >= _MOST_NAMED or any(map(changes_management, lesions))
    return "" if is_open else f" ({', '.join(dict.fromkeys(sure))})"


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
_MOST_SENTENCES: Final = 3  # of advice in one item


def rule_of(entry: Recommendation) -> str:
    """Rule that gave a recommendation, or its words where no rule did: the same for every lesion."""
    return entry.rule or entry.text


def join_advice(advice: tuple[Recommendation, ...], lesions: tuple[Lesion, ...]) -> tuple[Recommendation, ...]:
    """Merge the recommendations of one rule that differ in wording between lesions, in the order given.

    Words in one pair of brackets that differ are given for each lesion: ``"(L1: size; L2: deep location)"``; a row
    whose words differ elsewhere stays in as many entries as it has wordings.
    """
    rows: dict[str, list[Recommendation]] = {}
    for entry in advice:
        rows.setdefault(rule_of(entry), []).append(entry)
    return tuple(joined for entries in rows.values() for joined in _join_row(entries, lesions))


def _join_row(entries: list[Recommendation], lesions: tuple[Lesion, ...]) -> list[Recommendation]:
    parts = [_BRACKETS.split(entry.text) for entry in entries]
    differing = [place for place, words in enumerate(zip(*parts, strict=False)) if len(set(words)) > 1]
    if len({len(part) for part in parts}) > 1 or len(differing) != 1 or differing[0] % 2 == 0:
        return entries
    (place,) = differing
    ids = [", ".join(name_concerned(entry, lesions)) for entry in entries]
    words = [*parts[0]]
    words[place] = "; ".join(f"{names}: {part[place]}" for names, part in zip(ids, parts, strict=True))
    text = "".join(f"({word})" if number % 2 else word for number, word in enumerate(words))
    return [entries[0].model_copy(update={"text": text})]


def name_concerned(entry: Recommendation, lesions: tuple[Lesion, ...]) -> list[str]:
    """Ids of the lesions with this recommendation, or with its rule where the entry merges several wordings."""
    own = [lesion.id for lesion in lesions if entry in lesion.recommendations]
    if own or not entry.rule:
        return own
    return [lesion.id for lesion in lesions if any(item.rule == entry.rule for item in lesion.recommendations)]


def without_differences(words: Presenter, *, is_brief: bool) -> dict[str, str]:
    """Words of each recommendation: without its brackets where lesions differ in them alone, or `is_brief`."""
    report = words.report
    rows: dict[str, set[str]] = {}
    for entry in (*report.recommendations, *(entry for lesion in report.lesions for entry in lesion.recommendations)):
        rows.setdefault(rule_of(entry), set()).add(entry.text)
    bare = {text: re.sub(r" ?\([^()]*\)", "", text) for texts in rows.values() for text in texts}
    return {
        t: bare[t] if is_brief or (len(texts) > 1 and len({bare[o] for o in texts}) == 1) else t
        for texts in rows.values()
        for t in texts
    }


def choose_advice(advice: list[Recommendation]) -> list[Recommendation]:
    """One entry of each recommendation, the binding ones and then others while there is room for their sentences."""
    chosen: dict[str, Recommendation] = {}
    room = _MOST_SENTENCES
    for entry in sorted(advice, key=lambda entry: not is_binding(entry)):
        if entry.id not in chosen and (room > 0 or is_binding(entry)):
            chosen[entry.id] = entry
            room -= len(sentences_of(entry))
    return list(chosen.values())


def sentences_of(entry: Recommendation) -> list[str]:
    """Sentences of a recommendation, without their full stops."""
    return [text.rstrip(".") for text in re.split(r"(?<=\.)\s+(?=[A-Z])", entry.text.strip())]


FLAG_NAMES: Final = ("size", "depth", "growth", "pain", "mass", "history", "aggressive")
"""Red flags in the order they are printed."""

LADDER: Final = {"consistent with": "consistent", "favoured": "favoured", "possible": "possible"}
"""Degrees of certainty in favour of a diagnosis, and the end of the name of their statement."""

_MOST_NAMED: Final = 3  # Most diagnoses named in the impression; the findings list all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of the impression: the lesions it is about, none for what holds for the patient, and its sentences."""

    lesions: tuple[Lesion, ...] = ()
    line: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Every sentence, as ``report.json`` has them."""
        return as_sentence("".join(part.text for part in self.line))


def write_impression(words: Presenter, *, negative: str) -> tuple[Item, ...]:
    """Write the impression: items of one or more sentences, worst first, never none; lesions alike in one item.

    `negative` is the sentence for a study without any lesion. What holds for the whole patient stands behind the
    lesions of most concern, and first where it forbids a biopsy or is an emergency.
    """
    report = words.report
    overall = _describe_patient(words)
    # where a check of the run failed the limitations say what could not be judged
    unsearched = [row for row in report.searched if not (row.reason or "").startswith("check.")]
    missing = tuple(map(_item, say_not_searched(unsearched, words)))
    is_emergency = report.laboratory is not None and report.laboratory.is_calcium_urgent
    if not report.lesions:
        first = (_item(capitalise(negative)),)
        return (*overall, *first, *missing) if is_emergency else (*first, *overall, *missing)
    said: set[str] = set()
    items = []
    for group in group_alike(report.lesions):
        decided = (note for lesion in group for note in lesion.notes if note not in lesion.measured_notes)
        notes = [note for note in dict.fromkeys(decided) if note not in said]
        said.update(notes)
        line = [*_describe_group(group, words), *(Part(join_next(_name_concerned(note, group)), 1) for note in notes)]
        items.append(Item(lesions=tuple(group), line=tuple(line)))
    is_first = is_emergency or any(entry.forbids_biopsy for entry in report.recommendations)
    urgent = [] if is_first else [item for item in items if item.lesions[0].concern is Concern.HIGH] or items[:1]
    return (*urgent, *overall, *items[len(urgent) :], *missing)


def edited_impression(words: Presenter) -> tuple[Item, ...]:
    """Impression as a reader wrote it by hand, none where it is that of the rules; advice follows its first item."""
    report = words.report
    drafted = write_impression(words, negative=say_no_lesion(words))
    if report.impression == tuple(item.text for item in drafted):
        return ()
    return tuple(
        Item(lesions=() if number else report.lesions, line=(Part(text),))
        for number, text in enumerate(report.impression)
    )


def _item(text: str) -> Item:
    return Item(line=(Part(text.rstrip(". ")),))


def _name_concerned(note: str, group: list[Lesion]) -> str:
    """Name the lesions a note is for where it is not for all of the group."""
    ids = [lesion.id for lesion in group if note in lesion.notes]
    if len(ids) == len(group):
        return note
    text = note.rstrip(". ")
    return f"{text.removesuffix(')')}; {', '.join(ids)})" if text.endswith(")") else f"{text} ({', '.join(ids)})"


def _describe_patient(words: Presenter) -> tuple[Item, ...]:
    """What holds for the whole patient; a diagnosis that leads for a lesion is said there."""
    patient = words.report.patient
    notes = [as_sentence(note) for note in patient.notes]
    leading = {(entry.id, entry.certainty) for lesion in words.report.lesions for entry in lesion.differential[:1]}
    likely = [entry for entry in patient.differential if entry.certainty in LADDER]
    if likely and (likely[0].id, likely[0].certainty) not in leading:
        best = [entry for entry in likely if entry.certainty == likely[0].certainty][:_MOST_NAMED]
        certainty = words.say(f"impression.overall_{LADDER[best[0].certainty]}", labels=_join_labels(best, words))
        notes.insert(0, as_sentence(words.say("impression.patient", certainty=certainty)))
    return (_item(" ".join(notes)),) if notes else ()


def _describe_group(group: list[Lesion], words: Presenter) -> Line:
    """Name a group and its diagnoses: those that every lesion has with the same certainty, none that one lacks."""
    named = [{(entry.id, entry.certainty, entry.label) for entry in lesion.differential} for lesion in group]
    common = [e for e in group[0].differential if all((e.id, e.certainty, e.label) in others for others in named)]
    judged = capitalise(_name_and_judge(_name_group(group, words), common, words, group[0].concern))
    line = [*_with_brackets_apart(judged, common), *_differ(common, words)]
    stable = describe_stability(group, words)
    return [*line, Part(join_next(stable), 3)] if stable else line


def _with_brackets_apart(text: str, differential: list[Differential]) -> Line:
    """Part what labels of tumours add in brackets from the sentence: where room is short it may be left out."""
    labels = [entry.label for entry in differential if entry.is_tumour and entry.label.endswith(")")]
    brackets = "|".join(re.escape(label[label.rindex(" (") :]) for label in labels)
    pieces = re.split(f"({brackets})", text) if brackets else [text]
    return [Part(piece, number % 2) for number, piece in enumerate(pieces) if piece]


def _name_and_judge(subject: str, differential: list[Differential], words: Presenter, concern: Concern) -> str:
    """Add the likeliest diagnoses: tumours alone with an alert as suspected, behind others as not excluded."""
    for certainty, identifier in LADDER.items():
        named = [entry for entry in differential if entry.certainty == certainty][:_MOST_NAMED]
        if named:
            is_open = certainty == "possible" and not differential[0].is_tumour
            likely = [entry for entry in named if not (is_open and entry.is_tumour)]
            tumours = [entry for entry in named if is_open and entry.is_tumour]
            is_suspected = concern is Concern.HIGH and all(entry.is_tumour for entry in likely)
            judged = ("suspicious" if is_suspected else identifier) if likely else "indeterminate"
            text = words.say(f"impression.{judged}", lesion=subject, labels=_join_labels(likely, words))
            labels = _join_labels(tumours, words)
            return words.say("impression.not_excluded", text=text, labels=labels) if tumours else text
    return words.say("impression.indeterminate", lesion=subject)


def _join_labels(entries: list[Differential], words: Presenter) -> str:
    return words.join([entry.label for entry in entries], "words_or")


def _differ(differential: list[Differential], words: Presenter) -> Line:
    """Name the alternatives to a surer diagnosis, then the less likely ones."""
    possible = [entry for entry in differential if entry.certainty == "possible"][:_MOST_NAMED]
    unlikely = [entry for entry in differential if entry.certainty == "less likely"][:_MOST_NAMED]
    line: Line = []
    if any(entry.certainty in _SURE for entry in differential):
        tumours, others = ([entry for entry in possible if entry.is_tumour is kind] for kind in (True, False))
        if tumours:
            line.append(Part(words.say("impression.not_excluded", text="", labels=_join_labels(tumours, words))))
        if others:
            text = words.say("impression.also_possible", text="", labels=_join_labels(others, words))
            line.append(Part(join_next(text), 4))
    if unlikely:
        named = (f"{one.label} ({', '.join(one.because)})" if one.because else one.label for one in unlikely)
        line.append(Part(join_next(words.say("impression.less_likely", labels="; ".join(named))), 9))
    return line


def _name_group(group: list[Lesion], words: Presenter) -> str:
    lead = max(group, key=longest_mm)
    felt_mm = felt_mass_mm(lead, words)
    longest = felt_mm or longest_mm(lead)
    many = len(group) > 1
    layers = {words.choose("layer", lesion.mass.depth_class or lesion.depth.class_) for lesion in group}
    layer = layers.pop() if len(layers) == 1 and not words.is_on_film else ""  # a radiograph shows no layer
    what = f"{layer} {_name_nature(lead, words, many=many, has_mass=felt_mm is not None)}"
    places = list(dict.fromkeys(_name_site(lesion, words) for lesion in group))
    ids = [lesion.id for lesion in group] if len(group) < len(words.report.lesions) else []
    return words.say(
        f"impression.{'lesions' if many else 'lesion'}{'' if longest else '_unsized'}",
        what=what.strip(),
        place=words.join(places) if len(places) <= _MOST_NAMED else words.say("impression.several_sites"),
        ids=f" ({', '.join(ids)})" if ids else "",
        count=words.choose("number", str(len(group)), str(len(group))),
        size=_say_size(lead, longest, words),
    )


def felt_mass_mm(lesion: Lesion, words: Presenter) -> float | None:
    """Size of the palpable mass as entered, where the size flag of the lesion rests on it; ``None`` otherwise."""
    mass = words.report.clinical.get("mass")
    felt = mass.get("size_cm") if isinstance(mass, dict) else None
    value = lesion.flags.size.value
    if lesion.mass.max_diameter_mm is not None or not isinstance(felt, int | float) or value is None:
        return None
    return value if math.isclose(value, felt * 10) and value != lesion.size.max_diameter_mm else None


def _name_site(lesion: Lesion, words: Presenter) -> str:
    """Side and region; the view where a lesion was seen on one radiograph alone."""
    place, films = name_place(lesion.location, words), lesion.location.films
    view = known_view(films[0].view, words) if len(films) == 1 else ""
    return words.say("impression.in_view", place=place, view=view) if view else place


def _say_size(lesion: Lesion, longest: float, words: Presenter) -> str:
    """State the longest dimension: marked as projected on a film, as a minimum where the image edge cuts it."""
    if not longest:
        return ""
    is_cut = lesion.mass.is_minimum if lesion.mass.max_diameter_mm else lesion.size.is_minimum
    text = words.at_least(words.lengths.spell(longest), is_minimum=is_cut)
    is_projected = words.is_on_film and longest == lesion.size.max_diameter_mm
    return words.say("impression.projected", size=text) if is_projected else text


def _name_nature(lesion: Lesion, words: Presenter, *, many: bool, has_mass: bool) -> str:
    family, mass = ("pattern.nouns", "impression.masses") if many else ("pattern.noun", "impression.mass")
    other = words.say(f"{family}.other")
    if lesion.mass.present is not YesNo.YES and not has_mass:
        return words.choose(family, lesion.pattern.id, other)
    has_mineral = lesion.size.max_diameter_mm is not None or lesion.size.max_diameter_px is not None
    noun = words.choose("pattern.of_mass", lesion.pattern.id, other)
    return words.say(mass, noun=noun) if has_mineral else words.say(f"{mass}_only")


def size_limit(report: Report) -> tuple[str, float]:
    """Operator and limit in mm of the size flag, from the settings the report was made with."""
    policy = report.settings.get("policy")
    given = policy if isinstance(policy, dict) else {}
    operator, limit = given.get("size_operator"), given.get("size_limit_mm")
    return operator if operator in {">", ">="} else ">", float(limit) if isinstance(limit, int | float) else 50.0


def is_assessed(report: Report) -> bool:
    """Whether any red flag of the study was assessed: without a lesion only flags reported for the patient can be."""
    return bool(report.flags_summary)


def name_flags(words: Presenter) -> dict[str, str]:
    """Printed names of the flags by their names in the report, in their order."""
    operator, limit_mm = size_limit(words.report)
    return {name: words.say(f"flag.{name}", operator=operator, limit=f"{limit_mm / 10:g} cm") for name in FLAG_NAMES}


def name_summary_flags(words: Presenter, state: FlagState) -> list[str]:
    """Printed names of the flags that the study as a whole has in this state, in their order."""
    return [text for name, text in name_flags(words).items() if words.report.flags_summary.get(name) is state]


def list_flags(lesion: Lesion, words: Presenter) -> tuple[tuple[str, Flag], ...]:
    """Printed name and state of each flag of a lesion, in their order."""
    return tuple((text, getattr(lesion.flags, name)) for name, text in name_flags(words).items())
