"""From findings and clinical input to flags, concern, differential and recommendations, and why."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

from calcreport.model.clinical import Clinical
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.findings import Findings
from calcreport.model.report import (
    Concern,
    Differential,
    Flags,
    FlagState,
    Laterality,
    PatientLevel,
    Recommendation,
    UsedInput,
)
from calcreport.rules.condition_words import fill
from calcreport.rules.gathering import gather_facts
from calcreport.rules.growth import weigh_growth
from calcreport.rules.laboratory import LabFacts
from calcreport.rules.lesion_rules import FLAG_NAMES, Weighing, allow, differential, is_met, weigh_all
from calcreport.rules.regions import are_apart
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

_CONCERNS: Final = tuple(Concern)  # most severe first
_SEVERAL: Final = 2  # lesions that speak for a disease of the whole patient


def decide(findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset) -> Decision:
    """Decide on all lesions of a study, in the order given.

    Concern is the highest of the lesions in scope; recommendations are merged, most urgent first, none that contradicts
    a more urgent one.
    """
    gathered = gather_facts(findings, clinical, policy, ruleset)
    weighings = weigh_all(gathered.cases, ruleset)
    decision = (_conclude if findings.lesions else _decide_without_lesion)(weighings, gathered.labs, ruleset)
    inputs = tuple(_used_inputs(findings, clinical))
    lesions = tuple(
        decided.model_copy(update={"growth": weigh_growth(lesion, findings, policy)})
        for decided, lesion in zip(decision.lesions, findings.lesions, strict=True)
    )
    contradictions = (_contradiction(used) for used in inputs if used.is_contradicted)
    limitations = (*decision.limitations, *contradictions)
    laboratory = gathered.labs.laboratory
    return decision.model_copy(
        update={"lesions": lesions, "laboratory": laboratory, "inputs": inputs, "limitations": limitations}
    )


def _conclude(weighings: list[Weighing], labs: LabFacts, ruleset: Ruleset) -> Decision:
    """Join the lesions: highest concern, worst state of each flag, recommendations that agree."""
    allowed = allow(weighings, ruleset)
    lesions = tuple(_describe(weighing, rules, ruleset) for weighing, rules in zip(weighings, allowed, strict=True))
    in_scope = [weighing for weighing in weighings if weighing.stop is None] or weighings
    return Decision(
        lesions=lesions,
        patient=PatientLevel(differential=_patient_differential(weighings, ruleset), notes=labs.notes),
        concern=min((weighing.concern for weighing in in_scope), key=_CONCERNS.index),
        flags_summary={
            name: min((weighing.flags[name].state for weighing in in_scope), key=_WORST_STATE.index)
            for name in FLAG_NAMES
        },
        recommendations=_merge(weighings, allowed, ruleset),
        limitations=(*labs.limitations, *_notes(weighings, ruleset, level="limitation")),
        capabilities=ruleset.capabilities,
    )


def _recommendation(rule: Rule, weighing: Weighing) -> Recommendation:
    marks = {name: name in rule.capabilities for name in ("is_referral", "forbids_biopsy")}
    return Recommendation(
        id=rule.concludes, text=fill(rule.text, weighing.facts), sources=rule.sources, rule=rule.id,
        is_same_day=bool(rule.contact), **marks,
    )  # fmt: skip


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


def _patient_differential(weighings: list[Weighing], ruleset: Ruleset) -> tuple[Differential, ...]:
    """Classes about the patient that more than one lesion speaks for."""
    entries = [entry for weighing in weighings for entry in differential(weighing) if entry.weight != "-"]
    systemic = (name for name, held in ruleset.capabilities.classes.items() if "is_systemic" in held)
    by_class = ([entry for entry in entries if entry.id == name] for name in systemic)
    return tuple(min(same, key=lambda entry: entry.weight != "++") for same in by_class if len(same) >= _SEVERAL)


def _decide_without_lesion(weighings: list[Weighing], labs: LabFacts, ruleset: Ruleset) -> Decision:
    """Decide on a study without calcification: a reported mass, growth or history still counts."""
    (weighing,), (allowed,) = weighings, allow(weighings, ruleset)
    reported = [
        name for name in ("size", "growth", "mass", "history") if weighing.flags[name].state is FlagState.PRESENT
    ]
    rules = [rule for rule in allowed if "stands_without_lesion" in rule.capabilities] if reported else []
    # Holds for a negative study, and for one whose findings a reader rejected, which is not a negative one.
    note = "The lump, growth or history that was reported is not explained by this report and keeps its own weight"
    return Decision(
        lesions=(),
        patient=PatientLevel(notes=(*labs.notes, *([note] if reported else ()))),
        concern=weighing.concern if reported else Concern.NONE,
        flags_summary={name: weighing.flags[name].state for name in reported},
        recommendations=tuple(_recommendation(rule, weighing) for rule in rules),
        limitations=labs.limitations,
        capabilities=ruleset.capabilities,
    )


_AGE_TOLERANCE_YEARS: Final = 1.0  # A header holds the age on the day of the study, or in whole years

_NAMES: Final = {
    "patient.age_years": "age",
    "patient.sex": "sex",
    "imaging.contrast": "contrast",
    "site.laterality": "side",
    "site.region": "region",
}  # printed names of the inputs

Given = float | str | None  # value as given; None for none


def _used_inputs(findings: Findings, clinical: Clinical) -> Iterator[UsedInput]:
    """Inputs from clinician and image header: typed input takes precedence, differences are marked."""
    header, site = findings.header, clinical.site
    contrast = None if clinical.imaging.contrast == "unknown" else clinical.imaging.contrast
    side = None if site.laterality is Laterality.UNKNOWN else site.laterality.value
    rows: tuple[tuple[str, Given, Given, Callable[[Any, Any], bool]], ...] = (
        (
            "patient.age_years",
            clinical.patient.age_years,
            header.age_years,
            lambda typed, said: abs(typed - said) > _AGE_TOLERANCE_YEARS,
        ),
        ("patient.sex", clinical.patient.sex, header.sex, operator.ne),
        ("imaging.contrast", contrast, header.contrast, _are_other_phases),
        ("site.laterality", side, header.laterality, lambda typed, said: typed not in {said, "midline"}),
        ("site.region", site.region, header.body_part, are_apart),
    )
    for name, typed, said, differ in rows:
        if typed is not None or said is not None:
            source = "header" if typed is None else "clinician"
            differs = typed is not None and said is not None and differ(typed, said)
            given = {"value": said if typed is None else typed, "header_value": said, "is_contradicted": differs}
            yield UsedInput.model_validate({"name": name, "source": source} | given)


def _are_other_phases(typed: str, said: str) -> bool:
    """Whether contrast phases differ: one that the header does not name contradicts none alone."""
    return typed == "none" if said == "given_phase_unknown" else typed != said


def _contradiction(used: UsedInput) -> str:
    typed, header = (
        f"{value:g}" if isinstance(value, float) else str(value).removesuffix("_phase_unknown")
        for value in (used.value, used.header_value)
    )
    return (
        f"Contradiction: the {_NAMES[used.name]} was entered as {typed}, the image header says {header}; what was "
        "entered was used."
    )
