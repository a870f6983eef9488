"""From findings and clinical input to flags, concern, differential and recommendations, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from calcreport.model.clinical import Clinical
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.findings import Findings
from calcreport.model.report import (
    Concern,
    Differential,
    Flags,
    FlagState,
    PatientLevel,
    Recommendation,
)
from calcreport.rules.gathering import Gathered, gather_facts
from calcreport.rules.lesion_rules import FLAG_NAMES, Weighing, differential, is_met
from calcreport.rules.phrasing import fill
from calcreport.rules.provenance import add_provenance
from calcreport.rules.ruleset import Rule, Ruleset
from calcreport.rules.study_rules import allow, weigh_all
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

_CONCERNS: Final = tuple(Concern)
"""Most severe first."""

_SEVERAL: Final = 2  # lesions that speak for a disease of the whole patient


def decide(findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset) -> Decision:
    """Decide on all lesions of a study.

    `findings`: measured on images or typed by a reader; `clinical`: what the clinician stated; `policy`: choices of the
    site; `ruleset`: from `load_rules`. Gives lesions in the order given; concern is the highest of the lesions in
    scope; recommendations merged, most urgent first, none that contradicts a more urgent one.
    """
    gathered = gather_facts(findings, clinical, policy, ruleset)
    weighings = weigh_all(gathered, ruleset)
    if not findings.lesions:
        decision = _decide_without_lesion(weighings[0], gathered, ruleset)
    else:
        decision = _conclude(weighings, gathered, ruleset)
    return add_provenance(decision, findings, clinical, policy, gathered.labs)


def _conclude(weighings: list[Weighing], gathered: Gathered, ruleset: Ruleset) -> Decision:
    """Join the lesions: highest concern, worst state of each flag, recommendations that agree."""
    allowed = allow(weighings, ruleset)
    lesions = tuple(_describe(weighing, rules, ruleset) for weighing, rules in zip(weighings, allowed, strict=True))
    in_scope = [weighing for weighing in weighings if weighing.stop is None] or weighings
    return Decision(
        lesions=lesions,
        patient=PatientLevel(differential=_patient_differential(weighings, ruleset), notes=gathered.labs.notes),
        concern=min((weighing.concern for weighing in in_scope), key=_CONCERNS.index),
        flags_summary={name: _worst(weighing.flags[name].state for weighing in in_scope) for name in FLAG_NAMES},
        recommendations=_merge(weighings, allowed, ruleset),
        limitations=(*gathered.labs.limitations, *_notes(weighings, ruleset, level="limitation")),
        capabilities=ruleset.capabilities,
    )


def _recommendation(rule: Rule, weighing: Weighing) -> Recommendation:
    text = fill(rule.text, weighing.facts)
    return Recommendation(
        id=rule.concludes,
        text=text,
        sources=rule.sources,
        rule=rule.id,
        is_referral="is_referral" in rule.capabilities,
        forbids_biopsy="forbids_biopsy" in rule.capabilities,
        is_same_day=bool(rule.contact),
    )


def _describe(weighing: Weighing, rules: list[Rule], ruleset: Ruleset) -> LesionDecision:
    gates = tuple(fill(gate.text, weighing.facts) for gate in weighing.gates if not gate.is_silenced)
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
            if rule.level == level and is_met(rule, weighing.facts)
        )
    )


def _merge(weighings: list[Weighing], allowed: list[list[Rule]], ruleset: Ruleset) -> tuple[Recommendation, ...]:
    """Every recommendation of a lesion once: by table order, then by the most severe lesion it is for.

    What one row says of different lesions in different words stays apart: the words of the worst hold for none of the
    others.
    """
    by_concern = sorted(range(len(weighings)), key=lambda index: _urgency(weighings[index]))
    said = dict.fromkeys(_recommendation(rule, weighings[index]) for index in by_concern for rule in allowed[index])
    order = list(dict.fromkeys(rule.concludes for rule in ruleset.tables["recommendation"]))
    return tuple(sorted(said, key=lambda entry: order.index(entry.id)))


def _urgency(weighing: Weighing) -> tuple[int, bool, float]:
    """Order of the words of a recommendation: the concern, then more than depth alone, then the longer lesion."""
    present = {name for name, flag in weighing.flags.items() if flag.state is FlagState.PRESENT}
    longest = weighing.facts["size.longest_mm"]
    return _CONCERNS.index(weighing.concern), present <= {"depth"}, -longest if isinstance(longest, float) else 0.0


def _worst(states: Iterable[FlagState]) -> FlagState:
    return min(states, key=_WORST_STATE.index)


def _patient_differential(weighings: list[Weighing], ruleset: Ruleset) -> tuple[Differential, ...]:
    """Classes about the patient that more than one lesion speaks for."""
    entries = [entry for weighing in weighings for entry in differential(weighing)]
    listed: dict[str, Differential] = {}
    for name in (name for name, held in ruleset.capabilities.classes.items() if "is_systemic" in held):
        same = [entry for entry in entries if entry.id == name and entry.weight != "-"]
        if len(same) >= _SEVERAL:
            listed[name] = min(same, key=lambda entry: entry.weight != "++")
    return tuple(listed.values())


def _decide_without_lesion(weighing: Weighing, gathered: Gathered, ruleset: Ruleset) -> Decision:
    """Decide on a study without calcification: a reported mass, growth or history still counts."""
    reported = [
        name for name in ("size", "growth", "mass", "history") if weighing.flags[name].state is FlagState.PRESENT
    ]
    (allowed,) = allow([weighing], ruleset)
    rules = [rule for rule in allowed if "stands_without_lesion" in rule.capabilities] if reported else []
    note = (
        # Holds for a negative study, and for one whose findings a reader rejected, which is not a negative one.
        "The lump, growth or history that was reported is not explained by this report and keeps its own weight",
    )
    return Decision(
        lesions=(),
        patient=PatientLevel(notes=(*gathered.labs.notes, *(note if reported else ()))),
        concern=weighing.concern if reported else Concern.NONE,
        flags_summary={name: weighing.flags[name].state for name in reported},
        recommendations=tuple(_recommendation(rule, weighing) for rule in rules),
        limitations=gathered.labs.limitations,
        capabilities=ruleset.capabilities,
    )
