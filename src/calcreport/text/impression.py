"""The impression: numbered sentences, most important first, lesions alike in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from calcreport.model.decision import Capabilities, Decision
from calcreport.model.lengths import Lengths, bind_lengths
from calcreport.model.report import (
    Concern,
    Differential,
    FlagState,
    Lesion,
    PatientLevel,
    YesNo,
)
from calcreport.settings import PolicySettings
from calcreport.text.comparison import describe_stability
from calcreport.text.film import is_known_view, name_view
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, join_words, name_place

FLAG_NAMES = ("size", "depth", "growth", "pain", "mass", "history", "aggressive")
"""Red flags in the order they are printed."""

_LADDER = ("consistent with", "favoured", "possible")
"""Degrees of certainty in favour of a diagnosis."""

_MOST_NAMED = 3
"""Most diagnoses named in the impression; the findings list all of them."""


def name_flag(name: str, statements: Statements, *, size_limit_mm: float, size_operator: str = ">") -> str:
    """Printed name of a red flag, such as ``"size >5 cm"``; `size_limit_mm` in mm, `size_operator` from the policy."""
    if name != "size":
        return statements.say(f"flag.{name}")
    return statements.say("flag.size", operator=size_operator, limit=f"{size_limit_mm / 10:g} cm")


def spell_count(count: int, statements: Statements) -> str:
    """Small whole numbers as words, larger ones in digits."""
    return statements.choose("number", str(count), str(count))


def write_impression(
    lesions: tuple[Lesion, ...],
    statements: Statements,
    *,
    policy: PolicySettings,
    negative: str,
    decision: Decision,
    advice: Mapping[str, tuple[str, ...]],
) -> tuple[str, ...]:
    """Write the impression: numbered items of one or more sentences, never none.

    The policy names the limit of the size flag and what is small: small lesions flagged for their depth alone share one
    entry, other flagged ones have their own. `negative` is the sentence for a study without any lesion. The decision is
    what holds for the whole patient, which stands behind the lesions that need sarcoma-centre opinion; `advice` is what
    the rules add for a lesion, by its id.
    """
    overall = _describe_patient(decision.patient, statements)
    if not lesions:
        return (as_sentence(negative), *overall)
    ranked = sorted(
        _group_alike(lesions, policy.small_lesion_limit_mm), key=lambda group: list(Concern).index(group[0].concern)
    )
    items = []
    said: set[str] = set()
    for group in ranked:
        notes = dict.fromkeys(note for lesion in group for note in advice.get(lesion.id, ()) if note not in said)
        said |= notes.keys()
        text = _describe_group(group, statements, policy, decision.capabilities)
        remarks = [as_sentence(_name_concerned(note, group, advice)) for note in notes]
        items.append((group[0].concern, " ".join([text, *remarks])))
    if any(
        decision.capabilities.is_class(entry.id, "forbids_biopsy") and entry.certainty in _LADDER
        for entry in decision.patient.differential
    ):  # first whatever else is said, because it forbids what the rest may lead to
        return (*overall, *(text for _, text in items))
    urgent = [text for concern, text in items if concern is Concern.HIGH]
    return (*urgent, *overall, *(text for concern, text in items if concern is not Concern.HIGH))


def _name_concerned(note: str, group: list[Lesion], advice: Mapping[str, tuple[str, ...]]) -> str:
    """Name the lesions a note is for where it is not for all of the group."""
    ids = [lesion.id for lesion in group if note in advice.get(lesion.id, ())]
    return note if len(ids) == len(group) else f"{note.rstrip('. ')} ({join_ids(ids)})"


def _describe_patient(patient: PatientLevel, statements: Statements) -> tuple[str, ...]:
    notes = [as_sentence(note) for note in patient.notes]
    likely = [entry for entry in patient.differential if entry.certainty in _LADDER]
    if likely:
        best = [entry for entry in likely if entry.certainty == likely[0].certainty][:_MOST_NAMED]
        labels = join_words([entry.label for entry in best], statements.say("words_or"))
        wording = {
            "consistent with": f"consistent with {labels}",
            "favoured": f"{labels} favoured",
        }.get(best[0].certainty, f"possible {labels}")
        notes.insert(0, as_sentence(statements.say("impression.patient", certainty=wording)))
    return (" ".join(notes),) if notes else ()


def _group_alike(lesions: tuple[Lesion, ...], small_limit_mm: float) -> list[list[Lesion]]:
    """Group lesions that one sentence can describe: same concern, nature, layer and flags; severe ones alone."""

    def likeness(lesion: Lesion) -> tuple[str, ...]:
        is_minor = _is_small_and_only_deep(lesion, small_limit_mm)
        is_worrying = lesion.concern is Concern.HIGH or (lesion.concern is Concern.FLAGGED and not is_minor)
        alone = is_worrying or lesion.mass.present is YesNo.YES
        named = tuple(f"{entry.certainty}{entry.label}" for entry in lesion.differential)
        states = tuple(getattr(lesion.flags, name).state for name in FLAG_NAMES)
        own = lesion.id if alone else ""
        # What was seen on different films may be one lesion: it is not counted as two.
        films = [place.sop_instance_uid for place in lesion.location.films]
        return (own, *films, lesion.concern, lesion.pattern.id, lesion.bone_relation, *named, *states)

    order: dict[tuple[str, ...], int] = {}
    for position, lesion in enumerate(lesions):
        order.setdefault(likeness(lesion), position)
    arranged = sorted(lesions, key=lambda lesion: order[likeness(lesion)])
    return [list(group) for _, group in groupby(arranged, key=likeness)]


def _is_small_and_only_deep(lesion: Lesion, small_limit_mm: float) -> bool:
    """Whether depth is the one flag met, and the lesion was measured whole and is small."""
    met = {name for name in FLAG_NAMES if getattr(lesion.flags, name).state is FlagState.PRESENT}
    return met <= {"depth"} and not lesion.size.is_minimum and 0 < _longest_mm(lesion) <= small_limit_mm


def _describe_group(
    group: list[Lesion], statements: Statements, policy: PolicySettings, capabilities: Capabilities
) -> str:
    lead = group[0]
    sentences = [_name_and_judge(group, statements, bind_lengths(policy.model_dump()), capabilities)]
    sentences += _weigh_flags(lead, statements, policy, capabilities)
    sentences += _differ(lead, statements, capabilities)
    sentences += filter(None, [describe_stability(group, statements)])
    return " ".join(as_sentence(sentence) for sentence in sentences)


def _name_and_judge(group: list[Lesion], statements: Statements, lengths: Lengths, capabilities: Capabilities) -> str:
    subject = _name_group(group, statements, lengths)
    differential = group[0].differential
    for certainty, identifier in (
        ("consistent with", "consistent"),
        ("favoured", "favoured"),
        ("possible", "possible"),
    ):
        named = [entry for entry in differential if entry.certainty == certainty][:_MOST_NAMED]
        if named:
            is_open = certainty == "possible" and not capabilities.is_class(differential[0].id, "is_tumour")
            likely, tumours = _set_apart_tumours(named, capabilities) if is_open else (named, [])
            judged = identifier if likely else "indeterminate"
            text = statements.say(f"impression.{judged}", lesion=subject, labels=_join_labels(likely, statements))
            if not tumours:
                return text
            return statements.say("impression.not_excluded", text=text, labels=_join_labels(tumours, statements))
    return statements.say("impression.indeterminate", lesion=subject)


def _set_apart_tumours(
    named: list[Differential], capabilities: Capabilities
) -> tuple[list[Differential], list[Differential]]:
    """Part a tumour, which behind something likelier is not put forward but named as not excluded, from the rest."""
    tumours = [entry for entry in named if capabilities.is_class(entry.id, "is_tumour")]
    return [entry for entry in named if entry not in tumours], tumours


def _join_labels(entries: list[Differential], statements: Statements) -> str:
    return join_words([entry.label for entry in entries], statements.say("words_or"))


def _differ(lesion: Lesion, statements: Statements, capabilities: Capabilities) -> list[str]:
    """Name the alternatives to a surer diagnosis, then the less likely ones."""
    surer = any(entry.certainty in {"consistent with", "favoured"} for entry in lesion.differential)
    possible = [entry for entry in lesion.differential if entry.certainty == "possible"][:_MOST_NAMED]
    unlikely = [entry for entry in lesion.differential if entry.certainty == "less likely"][:_MOST_NAMED]
    sentences = []
    if surer:
        others, tumours = _set_apart_tumours(possible, capabilities)
        for identifier, entries in (("also_possible", others), ("also_not_excluded", tumours)):
            if entries:
                sentences.append(statements.say(f"impression.{identifier}", labels=_join_labels(entries, statements)))
    if unlikely:
        sentences.append(statements.say("impression.less_likely", labels="; ".join(map(_with_reason, unlikely))))
    return sentences


def _with_reason(entry: Differential) -> str:
    return f"{entry.label} ({', '.join(entry.because)})" if entry.because else entry.label


def _name_group(group: list[Lesion], statements: Statements, lengths: Lengths) -> str:
    lead = max(group, key=_longest_mm)
    longest_mm = _longest_mm(lead)
    what = f"{statements.choose('layer', lead.depth.class_)} {_name_nature(lead, statements, many=len(group) > 1)}"
    if len({lesion.depth.class_ for lesion in group}) > 1:
        what = _name_nature(lead, statements, many=True)
    places = list(dict.fromkeys(_name_site(lesion, statements) for lesion in group))
    ids = [lesion.id for lesion in group]
    fields = {
        "what": what.strip(),
        "place": join_words(places) if len(places) <= _MOST_NAMED else statements.say("impression.several_sites"),
        "ids": join_ids(ids),
        "count": spell_count(len(group), statements),
        "size": _say_size(lead, longest_mm, statements, lengths),
    }
    identifier = "lesion" if len(group) == 1 else "lesions"
    return statements.say(f"impression.{identifier}{'' if longest_mm else '_unsized'}", **fields)


def _name_site(lesion: Lesion, statements: Statements) -> str:
    """Side and region; the view where a lesion was seen on one radiograph alone."""
    place = name_place(lesion.location, statements)
    views = [film.view for film in lesion.location.films if is_known_view(film.view, statements)]
    if len(lesion.location.films) != 1 or not views:
        return place
    return statements.say("impression.in_view", place=place, view=name_view(views[0], statements))


def _say_size(lesion: Lesion, longest_mm: float, statements: Statements, lengths: Lengths) -> str:
    """State the longest dimension: marked as projected on a film, as a minimum where the image edge cuts it."""
    if not longest_mm:
        return ""
    size = lengths.spell(longest_mm)
    is_cut = lesion.mass.is_minimum if lesion.mass.max_diameter_mm else lesion.size.is_minimum
    text = statements.say("measure.at_least", length=size) if is_cut else size
    is_projected = lesion.size.projected and lesion.mass.max_diameter_mm is None
    return statements.say("impression.projected", size=text) if is_projected else text


def join_ids(ids: list[str]) -> str:
    """Lesion ids, every one of them: ``"L1, L2, L3"`` (a range would hide ids from a search)."""
    return ", ".join(ids)


def _longest_mm(lesion: Lesion) -> float:
    return lesion.mass.max_diameter_mm or lesion.size.max_diameter_mm or 0.0


def _name_nature(lesion: Lesion, statements: Statements, *, many: bool) -> str:
    family = "pattern.nouns" if many else "pattern.noun"
    noun = statements.choose(family, lesion.pattern.id, statements.say(f"{family}.other"))
    if lesion.mass.present is not YesNo.YES:
        return noun
    has_mineral = lesion.size.max_diameter_mm is not None or lesion.size.max_diameter_px is not None
    return statements.say("impression.mass", noun=noun) if has_mineral else statements.say("impression.mass_only")


def _weigh_flags(
    lesion: Lesion, statements: Statements, policy: PolicySettings, capabilities: Capabilities
) -> list[str]:
    sentences = []
    size_name = name_flag("size", statements, size_limit_mm=policy.size_limit_mm, size_operator=policy.size_operator)
    met = _flags_in(lesion, FlagState.PRESENT, statements, policy)
    if met:
        calls = any(entry.is_referral for entry in lesion.recommendations)  # else no criteria for anything
        count = "one" if len(met) == 1 else "many"
        identifier = f"impression.{'met' if calls else 'flag'}_{count}"
        sentences.append(
            statements.say(identifier, count=spell_count(len(met), statements), flags=join_words(met, "and"))
        )
    possible = _flags_in(lesion, FlagState.POSSIBLE, statements, policy)
    if size_name in possible and capabilities.is_flag_row(lesion.flags.size.rule, "is_silenced"):
        possible.remove(size_name)
    if possible:
        sentences.append(statements.say("impression.possible_flags", flags=join_words(possible)))
    explained = _flags_in(lesion, FlagState.EXPLAINED, statements, policy)
    if explained:
        sentences.append(statements.say("impression.explained_flags", flags=join_words(explained)))
    return sentences


def _flags_in(lesion: Lesion, state: FlagState, statements: Statements, policy: PolicySettings) -> list[str]:
    return [
        name_flag(name, statements, size_limit_mm=policy.size_limit_mm, size_operator=policy.size_operator)
        for name in FLAG_NAMES
        if getattr(lesion.flags, name).state is state
    ]
