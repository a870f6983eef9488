"""From findings and clinical input to flags, concern, differential and recommendations, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from calcreport.model.clinical import Clinical
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.findings import Findings, LesionFinding
from calcreport.model.report import (
    Concern,
    Differential,
    Flags,
    FlagState,
    Laterality,
    PatientLevel,
    Recommendation,
)
from calcreport.rules.conditions import Evidence, Value, Verdict, gather, judge
from calcreport.rules.facts import DECLARED, answer
from calcreport.rules.laboratory import LabFacts, weigh_labs
from calcreport.rules.lesion_facts import (
    complaint_facts,
    image_facts,
    is_elsewhere,
    policy_facts,
    size_facts,
    study_facts,
)
from calcreport.rules.lesion_rules import FLAG_NAMES, Weighing, differential, infer_pattern, weigh
from calcreport.rules.phrasing import fill
from calcreport.rules.ruleset import Rule, Ruleset
from calcreport.settings import PolicySettings

_WORST_STATE: Final = (
    FlagState.PRESENT,
    FlagState.POSSIBLE,
    FlagState.EXPLAINED,
    FlagState.CANNOT_DETERMINE,
    FlagState.NOT_PROVIDED,
    FlagState.ABSENT,
)
"""Order in which one state of a flag stands for all lesions: absent only when it is absent everywhere."""

_CONCERNS: Final = (Concern.HIGH, Concern.FLAGGED, Concern.MODIFIED, Concern.INDETERMINATE, Concern.NONE)
"""Most worrying first."""

_PATIENT_CLASSES: Final = ("C05", "C07", "C10", "C11")
"""Classes that are about the patient rather than about one deposit."""

_OSSIFIED: Final = frozenset({"P05", "P06", "P07", "P08"})
_SEVERAL: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What became of one rule for one lesion.

    Parameters
    ----------
    rule : Rule
        The row.
    lesion : int
        Index of the lesion in the findings.
    verdict : Verdict
        Answer of the row's condition after all steps.
    evidence : tuple[Evidence, ...]
        Every comparison the condition makes, with what was known.
    """

    rule: Rule
    lesion: int
    verdict: Verdict
    evidence: tuple[Evidence, ...]


def decide(findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset) -> Decision:
    """Decide on all lesions of a study.

    Parameters
    ----------
    findings : Findings
        Measured on images or typed by a reader.
    clinical : Clinical
        What the clinician told.
    policy : PolicySettings
        Choices of the site.
    ruleset : Ruleset
        From `load_rules`.

    Returns
    -------
    Decision
        Lesions in the order given; concern is the highest of the lesions in scope; recommendations merged, most
        urgent first, none that contradicts a more urgent one.
    """
    labs = _weigh_labs(findings, clinical, policy)
    weighings = _weigh_all(findings, clinical, policy, ruleset, labs)
    if not findings.lesions:
        return _decide_without_lesion(findings, clinical, policy, ruleset, labs)
    allowed = _allow(weighings, ruleset)
    lesions = tuple(_describe(weighing, rules, ruleset) for weighing, rules in zip(weighings, allowed, strict=True))
    in_scope = [weighing for weighing in weighings if weighing.stop is None] or weighings
    return Decision(
        lesions=lesions,
        patient=PatientLevel(differential=_patient_differential(weighings), notes=labs.notes),
        concern=min((weighing.concern for weighing in in_scope), key=_CONCERNS.index),
        flags_summary={name: _worst(weighing.flags[name].state for weighing in in_scope) for name in FLAG_NAMES},
        recommendations=_merge(weighings, allowed, ruleset),
        limitations=(*labs.limitations, *_notes(weighings, ruleset, level="limitation")),
    )


def evaluate(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset
) -> tuple[RuleVerdict, ...]:
    """Answer every rule for every lesion, with the comparisons that led to it.

    Parameters
    ----------
    findings, clinical, policy, ruleset
        As for `decide`.

    Returns
    -------
    tuple[RuleVerdict, ...]
        In order of lesion, then table, then row. A rule that is unknown names in its evidence what was missing.
    """
    labs = _weigh_labs(findings, clinical, policy)
    return tuple(
        RuleVerdict(
            rule=rule,
            lesion=index,
            verdict=judge(rule.when, weighing.facts),
            evidence=gather(rule.when, weighing.facts),
        )
        for index, weighing in enumerate(_weigh_all(findings, clinical, policy, ruleset, labs))
        for rule in ruleset.rules
    )


def _weigh_labs(findings: Findings, clinical: Clinical, policy: PolicySettings) -> LabFacts:
    age = clinical.patient.age_years
    return weigh_labs(
        clinical,
        age_years=findings.header.age_years if age is None else age,
        study_date=findings.study_date,
        max_age_days=policy.max_laboratory_age_days,
    )


def _weigh_all(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset, labs: LabFacts
) -> list[Weighing]:
    """Apply the rules to every lesion, after gathering what holds for the patient."""
    shared: dict[str, Value] = dict.fromkeys(DECLARED)
    shared |= policy_facts(policy) | study_facts(findings, clinical) | labs.facts
    apart = [is_elsewhere(lesion, clinical) for lesion in findings.lesions]
    cases = []
    for lesion, is_apart in zip(findings.lesions, apart, strict=True):
        # Where every lesion seems to be elsewhere, side or region was mistyped: then the complaint counts for all.
        applies = not is_apart or all(apart)
        case = shared | complaint_facts(clinical, applies=applies) | image_facts(lesion, findings)
        case["place.is_apart"] = answer(is_yes=is_apart)
        infer_pattern(case, ruleset)
        cases.append(case)
    together = _patient_facts(findings.lesions, cases)
    is_only = len(apart) == 1 or apart.count(False) == 1

    def weigh_each(**more: Value) -> list[Weighing]:
        weighings = []
        for lesion, case in zip(findings.lesions, cases, strict=True):
            facts = case | together | more
            is_extent = judge(ruleset.conditions["extent_pattern"], facts) is Verdict.MET
            facts |= size_facts(lesion, facts, policy, is_extent=is_extent, is_only=is_only)
            weighings.append(weigh(facts, ruleset))
        return weighings

    weighings = weigh_each()
    if any(weighing.facts["class.C05"] in {"++", "+"} for weighing in weighings):
        # What one lesion makes suspect forbids biopsy of every other one too.
        return weigh_each(**{"patient.fop_suspected": "yes"})
    return weighings


def _patient_facts(lesions: tuple[LesionFinding, ...], cases: list[dict[str, Value]]) -> dict[str, Value]:
    """Facts that need all lesions at once."""
    ossified = {
        area
        for case in cases
        if case["pattern.id"] in _OSSIFIED or case["features.trabeculated"] == "yes"
        if isinstance(areas := case["place.areas"], tuple)
        for area in areas[:1]
    }
    counts = [case["foci.count"] or 1.0 for case in cases if case["pattern.id"] == "P01"]
    sides: dict[Value, set[Laterality]] = {}
    for lesion, case in zip(lesions, cases, strict=True):
        sides.setdefault(case["pattern.id"], set()).add(lesion.location.laterality)
    both = any({Laterality.LEFT, Laterality.RIGHT} <= seen for pattern, seen in sides.items() if pattern is not None)
    return {
        "patient.ossified_areas": float(len(ossified)),
        "patient.phleboliths": float(sum(count for count in counts if isinstance(count, float))),
        "patient.both_sides": "yes" if both else None,
    }


def _allow(weighings: list[Weighing], ruleset: Ruleset) -> list[list[Rule]]:
    """Recommendations of each lesion after exclusions: in table order, an excluded one excludes nothing."""
    barred: set[str] = set()
    barred_here: list[set[str]] = [set() for _ in weighings]
    allowed: list[list[Rule]] = [[] for _ in weighings]
    for rule in ruleset.tables["recommendation"]:
        if rule.concludes in barred:
            continue
        for index, weighing in enumerate(weighings):
            if rule in weighing.recommendations and rule.concludes not in barred_here[index]:
                allowed[index].append(rule)
                barred |= set(rule.excludes)
                barred_here[index] |= set(rule.excludes_here)
    return allowed


def _recommendation(rule: Rule, weighing: Weighing) -> Recommendation:
    return Recommendation(id=rule.concludes, text=fill(rule.text, weighing.facts), sources=rule.sources)


def _describe(weighing: Weighing, rules: list[Rule], ruleset: Ruleset) -> LesionDecision:
    gates = tuple(fill(gate.text, weighing.facts) for gate in weighing.gates)
    return LesionDecision(
        flags=Flags.model_validate(weighing.flags),
        concern=weighing.concern,
        differential=differential(weighing),
        recommendations=tuple(_recommendation(rule, weighing) for rule in rules),
        notes=(*gates, *_notes([weighing], ruleset, level="lesion")),
    )


def _notes(weighings: list[Weighing], ruleset: Ruleset, *, level: str) -> tuple[str, ...]:
    """Sentences of the note table that apply, each once."""
    return tuple(
        dict.fromkeys(
            fill(rule.text, weighing.facts)
            for weighing in weighings
            if weighing.stop is None
            for rule in ruleset.tables["note"]
            if rule.level == level and judge(rule.when, weighing.facts) is Verdict.MET
        )
    )


def _merge(weighings: list[Weighing], allowed: list[list[Rule]], ruleset: Ruleset) -> tuple[Recommendation, ...]:
    """Each recommendation once, in table order, in the words it has for the most worrying lesion."""
    by_concern = sorted(range(len(weighings)), key=lambda index: _urgency(weighings[index]))
    words: dict[str, Recommendation] = {}
    for index in by_concern:
        for rule in allowed[index]:
            words.setdefault(rule.concludes, _recommendation(rule, weighings[index]))
    order = dict.fromkeys(rule.concludes for rule in ruleset.tables["recommendation"])
    return tuple(words[name] for name in order if name in words)


def _urgency(weighing: Weighing) -> tuple[int, bool, float]:
    """Order of the words of a recommendation: the concern, then more than depth alone, then the longer lesion."""
    present = {name for name, flag in weighing.flags.items() if flag.state is FlagState.PRESENT}
    longest = weighing.facts["size.longest_mm"]
    return _CONCERNS.index(weighing.concern), present <= {"depth"}, -longest if isinstance(longest, float) else 0.0


def _worst(states: Iterable[FlagState]) -> FlagState:
    return min(states, key=_WORST_STATE.index)


def _patient_differential(weighings: list[Weighing]) -> tuple[Differential, ...]:
    """Classes about the patient that more than one lesion speaks for."""
    entries = [entry for weighing in weighings for entry in differential(weighing)]
    listed: dict[str, Differential] = {}
    for name in _PATIENT_CLASSES:
        same = [entry for entry in entries if entry.id == name and entry.weight != "-"]
        if len(same) >= _SEVERAL:
            listed[name] = min(same, key=lambda entry: entry.weight != "++")
    return tuple(listed.values())


def _decide_without_lesion(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset, labs: LabFacts
) -> Decision:
    """Decide on a study without calcification: a reported lump, growth or history still counts."""
    nothing = findings.model_copy(update={"lesions": (LesionFinding(),)})
    (weighing,) = _weigh_all(nothing, clinical, policy, ruleset, labs)
    worrying = [
        name for name in ("size", "growth", "mass", "history") if weighing.flags[name].state is FlagState.PRESENT
    ]
    (allowed,) = _allow([weighing], ruleset)
    rules = [rule for rule in allowed if rule.concludes in {"R08", "R09", "R11"}] if worrying else []
    note = (
        "No calcification was found; the lump, growth or history reported is not explained by that and keeps its own "
        "weight",
    )
    return Decision(
        lesions=(),
        patient=PatientLevel(notes=(*(note if worrying else ()), *labs.notes)),
        concern=weighing.concern if worrying else Concern.NONE,
        flags_summary={name: weighing.flags[name].state for name in worrying},
        recommendations=tuple(_recommendation(rule, weighing) for rule in rules),
        limitations=labs.limitations,
    )
