"""What would change the answer: every unknown input is answered in turn, and the rules are asked again."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from calcreport.model.clinical import Clinical
from calcreport.model.decision import Capabilities, ChangedLesion, Decision, WouldChange
from calcreport.model.findings import Findings
from calcreport.model.report import Concern, FlagState
from calcreport.rules.conditions import ALWAYS, Condition, Facts, Verdict, facts_read
from calcreport.rules.engine import decide
from calcreport.rules.gathering import Gathered, gather_facts, see_lesions
from calcreport.rules.lesion_rules import Weighing, allow, differential, forbidding, weigh, weigh_all
from calcreport.rules.possible_answers import PossibleAnswer, possible_answers, rank
from calcreport.rules.ruleset import Rule, Ruleset
from calcreport.settings import PolicySettings

_TELLING: Final = frozenset({"is_referral", "forbids_biopsy"})
"""Recommendations whose coming or going matters by itself; same-day contact is another."""

_FOP_TESTS: Final = ("conditions.fop", "conditions.acvr1_variant")
"""Nobody waits for these before something ossified at several sites; looking at the toes comes first."""

_TEXTURE: Final = frozenset((
    "centre_dense", "fatty_mass", "chondroid", "ill_defined", "lucent_centre", "venous_tail", "trabeculated",
    "fluid_calcium_level",
))  # fmt: skip
"""Features: what a pattern that was named with confidence has settled."""

_MOST_KINDS: Final = 8
"""Kinds of lesion that are asked about: a study of a hundred deposits has few kinds, and a reader has little time."""

# Concerns, most severe first; certainty, highest first.
_CONCERNS: Final = tuple(Concern)
_LADDER: Final = ("consistent with", "favoured", "possible", "less likely")
_SETTLED: Final = (FlagState.PRESENT, FlagState.POSSIBLE, FlagState.EXPLAINED)  # states whose coming or going counts


_Answer = tuple[Concern, tuple["_LesionAnswer", ...]]  # what is compared: of the study, and of each lesion


class _LesionAnswer(NamedTuple):
    concern: Concern
    flags: dict[str, FlagState]
    leading: tuple[str, str, str]
    """Class, label and certainty; empty without one."""
    telling: frozenset[str]


def decide_and_ask(findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset) -> Decision:
    """Decide, and say of every unknown input what an answer would change: all that a report needs of the rules."""
    decision = decide(findings, clinical, policy, ruleset)
    return decision.model_copy(update={"would_change": what_would_change(findings, clinical, policy, ruleset)})


def what_would_change(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset
) -> tuple[WouldChange, ...]:
    """Find the unknown inputs of which some answer would change the concern, a flag or the leading class.

    One entry for each input and answer, what matters most first. A flag that was not provided and would become absent
    is no change worth telling, unless the concern changes with it.
    """
    memory = _Memory()
    seen = see_lesions(findings, policy)
    gathered = gather_facts(findings, clinical, policy, ruleset, seen=seen)
    weighings = weigh_all(gathered.cases, ruleset, memory.judge)
    study = _Study(gathered, weighings, ruleset, memory, _kinds(weighings))
    now = _answer(study, weighings)
    changes: dict[tuple[str, str], WouldChange] = {}
    for possible in possible_answers(findings, clinical, policy, ruleset):
        if possible.lesion is not None and possible.lesion not in study.shown:
            continue
        gather = partial(gather_facts, possible.findings, possible.clinical, policy, ruleset, seen=seen)
        then = _asked_again(study, gather)
        change = None if then is None else _compare(possible, now, _answer(study, then))
        if change is None:
            continue
        key = (possible.name, possible.answer)
        changes[key] = _join(changes[key], change) if key in changes else change
    marked = (
        change.model_copy(update={"is_remote": _is_remote(change, weighings, ruleset)}) for change in changes.values()
    )
    return tuple(sorted(marked, key=lambda change: _urgency(change, ruleset.capabilities)))


def _is_remote(change: WouldChange, weighings: list[Weighing], ruleset: Ruleset) -> bool:
    """Whether nobody waits for this answer here."""
    if change.input == "conditions.great_toe_malformation":
        ossified = ruleset.conditions["ossified_pattern"]
        return not any(ossified.judge(weighing.facts) is Verdict.MET for weighing in weighings)
    named = (weighings[lesion.index].facts["pattern.is_sure"] == "yes" for lesion in change.lesions)
    return change.input in _FOP_TESTS or (change.input.removeprefix("lesion.features.") in _TEXTURE and all(named))


class _Memory:
    """Answers of conditions, remembered by the values they read: most answers leave most rules untouched."""

    def __init__(self) -> None:
        self._readings: dict[int, Callable[[Facts], object]] = {}  # takes what a condition reads out of the facts
        self._answers: dict[tuple[int, object], Verdict] = {}
        self._lesions: dict[tuple[int, ...], tuple[Weighing, _LesionAnswer]] = {}

    def judge(self, condition: Condition, facts: Facts) -> Verdict:
        """Answer a condition of the ruleset, whose identity is never another's."""
        reading = self._readings.get(id(condition))
        if reading is None:
            if condition is ALWAYS:
                return Verdict.MET
            reading = self._readings[id(condition)] = operator.itemgetter(*facts_read(condition))
        key = (id(condition), reading(facts))
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = condition.judge(facts)
        return answer

    def sum_up(self, weighing: Weighing, rules: list[Rule]) -> _LesionAnswer:
        """What is compared of a lesion; kept with the weighing, whose identity is then never another's."""
        key = (id(weighing), *map(id, rules))
        if key not in self._lesions:
            leading = next(((first.id, first.label, first.certainty) for first in differential(weighing)), ("", "", ""))
            flags = {name: flag.state for name, flag in weighing.flags.items()}
            telling = frozenset(rule.concludes for rule in rules if rule.capabilities & _TELLING or rule.contact)
            answer = _LesionAnswer(concern=weighing.concern, flags=flags, leading=leading, telling=telling)
            self._lesions[key] = weighing, answer
        return self._lesions[key][1]


class _Study(NamedTuple):
    """The study as it is; only lesions in `shown` are asked about."""

    gathered: Gathered
    weighings: list[Weighing]
    ruleset: Ruleset
    memory: _Memory
    shown: frozenset[int]


def _kinds(weighings: list[Weighing]) -> frozenset[int]:
    """One lesion of each kind, most severe kinds first: what an answer does to one it does to its like."""
    first: dict[tuple[object, ...], int] = {}
    for index, weighing in enumerate(weighings):
        states = tuple(flag.state for flag in weighing.flags.values())
        first.setdefault(
            (weighing.concern, weighing.facts["pattern.id"], weighing.facts["class.leading"], states), index
        )
    ranked = sorted(first.values(), key=lambda index: _CONCERNS.index(weighings[index].concern))
    return frozenset(ranked[:_MOST_KINDS])


def _asked_again(study: _Study, gather: Callable[..., Gathered]) -> list[Weighing] | None:
    """Apply the rules to changed facts; ``None`` when the answer changes no fact.

    Only lesions whose facts changed are weighed again, unless the suspicion of the whole patient changes with one.
    """
    weighings, cases = list(study.weighings), gather(only=study.shown).cases
    changed = [index for index in study.shown if cases[index] != study.gathered.cases[index]]
    for index in changed:
        weighings[index] = weigh(dict(cases[index]), study.ruleset, study.memory.judge)
    if changed and any(forbidding(weighing, study.ruleset) for weighing in (*weighings, *study.weighings)):
        return weigh_all(gather().cases, study.ruleset, study.memory.judge)
    return weighings if changed else None


def _answer(study: _Study, weighings: list[Weighing]) -> _Answer:
    in_scope = [weighing for weighing in weighings if weighing.stop is None] or weighings
    answers = map(study.memory.sum_up, weighings, allow(weighings, study.ruleset))
    return min((weighing.concern for weighing in in_scope), key=_CONCERNS.index), tuple(answers)


def _compare(possible: PossibleAnswer, now: _Answer, then: _Answer) -> WouldChange | None:
    changes = (_compare_lesion(index, *pair) for index, pair in enumerate(zip(now[1], then[1], strict=True)))
    lesions = tuple(change for change in changes if change is not None)
    if not lesions:
        return None
    return WouldChange(
        input=possible.name, answer=possible.answer, concern_now=now[0], concern=then[0], lesions=lesions
    )


def _compare_lesion(index: int, before: _LesionAnswer, after: _LesionAnswer) -> ChangedLesion | None:
    flags = {
        name: state
        for name, state in after.flags.items()
        if state is not before.flags[name] and (state in _SETTLED or before.flags[name] in _SETTLED)
    }
    is_led_otherwise = before.leading != after.leading
    gained, lost = after.telling - before.telling, before.telling - after.telling
    if not (flags or is_led_otherwise or gained or lost or before.concern is not after.concern):
        return None
    leading, label, certainty = after.leading if is_led_otherwise else (None, "", "")
    steps = [_LADDER.index(one.leading[2]) for one in (before, after) if one.leading[2] in _LADDER]
    return ChangedLesion(
        index=index,
        concern=after.concern,
        flags=flags,
        leading=leading,
        label=label,
        certainty=certainty,
        is_weaker=before.leading[0] == after.leading[0] and len(steps) > 1 and steps[1] > steps[0],
        recommended=tuple(sorted(gained)),
        withdrawn=tuple(sorted(lost)),
    )


def _join(one: WouldChange, other: WouldChange) -> WouldChange:
    """Join the same answer to the same question about several lesions."""
    concern = min(one.concern, other.concern, key=_CONCERNS.index)
    return one.model_copy(update={"concern": concern, "lesions": (*one.lesions, *other.lesions)})


def _urgency(change: WouldChange, capabilities: Capabilities) -> tuple[int, int, bool, int]:
    """Order: first what forbids or hurries, then what the class or the referral turns on, then flags alone."""
    recommended = {name for lesion in change.lesions for name in lesion.recommended}
    is_referral_changed = any(
        capabilities.has_any((*lesion.recommended, *lesion.withdrawn), "is_referral") for lesion in change.lesions
    )
    is_led_otherwise = any(lesion.leading is not None and not lesion.is_weaker for lesion in change.lesions)
    is_changed = change.concern != change.concern_now
    is_called = not recommended.isdisjoint(capabilities.contacts)
    tier = (is_called, is_led_otherwise or is_referral_changed, is_changed, True).index(True)
    is_mere_name = not is_referral_changed and change.concern is change.concern_now
    return tier, rank(change.input), is_mere_name, _CONCERNS.index(change.concern)
