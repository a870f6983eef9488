"""Unknown inputs that could change the conclusion, in words: input, possible answer and effect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from calcreport.model.decision import Capabilities, ChangedLesion, Decision, WouldChange
from calcreport.model.report import Concern, FlagState, OtherAnswer, OtherAnswerLesion
from calcreport.rules.possible_answers import ASKED_TOGETHER
from calcreport.text.impression import LADDER
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence

MOST_STATED: Final = 4  # Inputs named in the text; all of them are in ``report.json``

_MOST_ALARMS: Final = 2  # Of these, inputs that could only add a red flag: they are the same for nearly every lesion


def describe_changes(
    decision: Decision, numbered: Iterable[tuple[str, int]], statements: Statements, *, size_name: str
) -> tuple[OtherAnswer, ...]:
    """Describe the effect of each possible answer, in the order of `would_change`, lesions by their ids.

    `numbered` are lesion ids and their places among the lesions; `size_name` is the printed name of the size flag.
    """
    ids = {index: name for name, index in numbered}
    words = _Words(
        texts=statements.texts, of_core=statements.of_core, size_name=size_name, capabilities=decision.capabilities
    )
    stated = _choose(decision.would_change, words)
    return tuple(
        OtherAnswer(
            input=change.input,
            answer=change.answer,
            text=_describe(change, ids, words),
            is_told=change in stated,
            concern=change.concern,
            lesions=tuple(
                OtherAnswerLesion(lesion=ids.get(lesion.index, ""), **lesion.model_dump(exclude={"index", "lesion"}))
                for lesion in change.lesions
            ),
        )
        for change in decision.would_change
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words(Statements):
    """Wording, name of the size flag with its limit, and what the rules say of their classes and recommendations."""

    size_name: str
    capabilities: Capabilities

    def name_flags(self, lesion: ChangedLesion, state: FlagState) -> str:
        names = [name for name, then in lesion.flags.items() if then is state]
        return self.join([self.size_name if name == "size" else self.say(f"flag.{name}") for name in names])


def _choose(changes: tuple[WouldChange, ...], words: _Words) -> list[WouldChange]:
    """Select the inputs named in the text: one per question, not only those that could add a red flag."""
    chosen: list[WouldChange] = []
    asked: set[str] = set()
    alarms = 0
    for change in changes:
        question = _question(change)
        is_alarm = _rises(change, words)
        is_too_much = len(chosen) == MOST_STATED or (is_alarm and alarms == _MOST_ALARMS)
        if question in asked or is_too_much or change.is_remote or not _matters(change):
            continue
        asked.add(question)
        alarms += is_alarm
        chosen.append(change)
    return chosen


def _question(change: WouldChange) -> str:
    if change.input == "lesion.prior":
        return "growth" if change.answer == "grown" else "stability"
    return ASKED_TOGETHER.get(change.input, change.input)


def _matters(change: WouldChange) -> bool:
    """Whether more than the state of one flag would change."""
    return change.concern is not change.concern_now or any(
        (lesion.leading is not None and not lesion.is_weaker) or lesion.recommended or lesion.withdrawn
        for lesion in change.lesions
    )


def _rises(change: WouldChange, words: _Words) -> bool:
    """Whether the answer would raise the concern or add a referral."""
    order = tuple(Concern)  # most severe first
    is_referred = any(words.capabilities.has_any(lesion.recommended, "is_referral") for lesion in change.lesions)
    return is_referred or order.index(change.concern) < order.index(change.concern_now)


def _describe(change: WouldChange, ids: dict[int, str], words: _Words) -> str:
    ask = words.choose("ask", change.input, change.input)
    answer = words.say("change.answer", answer=_say_answer(change, words), effect=_say_effect(change, words))
    is_read = change.input.startswith("lesion.")
    identifier = "compared" if change.input == "lesion.prior" else "read" if is_read else "told"
    text = words.say(f"change.{identifier}", ask=ask, answers=answer)
    indices = {lesion.index for lesion in change.lesions}
    concerned = [name for index, name in ids.items() if index in indices]  # in the order of the report
    if 0 < len(concerned) < len(ids):
        text = words.say("change.for_lesions", text=text, ids=", ".join(concerned))
    return as_sentence(text)


def _say_answer(change: WouldChange, statements: Statements) -> str:
    """Answer as a phrase; a number by the interval between the limits of the rules."""
    name, answer = change.input, change.answer
    if answer.startswith("<"):
        return statements.say(f"possible.{name}.below", high=_in_words(name, answer[1:]))
    if answer.startswith(">"):
        return statements.say(f"possible.{name}.above", low=_in_words(name, answer[1:]))
    low, dash, high = answer.partition("-")
    if dash and low.replace(".", "").isdigit():
        return statements.say(f"possible.{name}.between", low=low, high=high)
    own = statements.choose("possible", f"{name}.{answer}")
    if own or name.startswith("labs."):
        return own or statements.say(f"possible.labs.{answer}")
    affirmed = statements.choose("clinical.yes", name, name)
    if answer == "yes":
        is_name = affirmed.lower() == statements.choose("ask", name).lower()
        return statements.say("possible.present") if is_name else affirmed
    return statements.choose("clinical.no", name) or f"no {affirmed}"


def _in_words(name: str, number: str) -> str:
    return f"{float(number) / 10:g} cm" if name.endswith(("_cm", "_mm")) else number


def _say_effect(change: WouldChange, words: _Words) -> str:
    """Describe the effect on the lesion that changes most."""
    capabilities = words.capabilities
    lesion = max(change.lesions, key=lambda one: (len(one.recommended), one.leading is not None, len(one.flags)))
    parts = _say_urgent(lesion, words)
    is_referral_changed = capabilities.has_any((*lesion.recommended, *lesion.withdrawn), "is_referral")
    is_mere_doubt = lesion.is_weaker or (lesion.certainty == "possible" and is_referral_changed)
    if not parts and capabilities.is_class(lesion.leading, "is_of_bone"):
        parts.append(words.say("change.bone"))
    elif not parts and lesion.leading is not None and not is_mere_doubt:
        parts.append(words.say(f"change.{LADDER.get(lesion.certainty or '', 'open')}", label=lesion.label or ""))
    parts += [] if capabilities.has_any(lesion.recommended, "forbids_biopsy") else _say_flags(lesion, words)
    if not parts:
        parts.append(words.say("change.higher" if _rises(change, words) else "change.lower"))
    if len(parts) > 1 and "," in parts[0]:
        parts[0] += ","  # its own commas would run into the second part
    return words.join(parts[:2], "change.and")


def _say_urgent(lesion: ChangedLesion, words: _Words) -> list[str]:
    contacts, bans = words.capabilities.contacts, words.capabilities.bans
    for name in lesion.recommended:
        if name in contacts:
            return [words.say("change.urgent", contact=contacts[name])]
    labels = dict.fromkeys(label for name in lesion.recommended for label in bans.get(name, ()))
    return [words.say("change.no_biopsy", label=words.join(list(labels), "words_or"))] if labels else []


def _say_flags(lesion: ChangedLesion, words: _Words) -> list[str]:
    """Name the flags that change, or the effect on the referral."""
    named = {state: words.name_flags(lesion, state) for state in FlagState}
    if words.capabilities.has_any(lesion.recommended, "is_referral"):
        met = {name for name, state in lesion.flags.items() if state is FlagState.PRESENT}
        is_unexplained = bool(met) and met <= {"size", "depth"} and lesion.leading is not None
        unexplained = words.say("change.unexplained", flags=named[FlagState.PRESENT])
        return [unexplained if is_unexplained else words.say("change.refer")]
    if named[FlagState.EXPLAINED]:
        return [words.say("change.explain", flags=named[FlagState.EXPLAINED])]
    if words.capabilities.has_any(lesion.withdrawn, "is_referral"):
        return [words.say("change.release")]
    states = {FlagState.PRESENT: "flag", FlagState.POSSIBLE: "flag_possible", FlagState.ABSENT: "settle"}
    said = (words.say(f"change.{end}", flags=named[state]) for state, end in states.items() if named[state])
    return [*said][:1]
