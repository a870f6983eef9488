"""The rules applied to one lesion, step by step, and to all lesions of a study.

Every step adds its conclusions as facts for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from calcreport.model.report import Concern, Differential, Flag, Flags, FlagState
from calcreport.rules.capabilities import SUSPECTED
from calcreport.rules.condition_words import fill
from calcreport.rules.conditions import ALWAYS, Condition, Facts, Value, Verdict
from calcreport.rules.conditions import judge as plainly
from calcreport.rules.facts import answer
from calcreport.rules.ruleset import Rule, Ruleset

FLAG_NAMES = tuple(Flags.model_fields)  # Red flags in report order

_MAJOR = ("size", "growth", "mass", "aggressive")  # flags of which two together mean high concern

_FLAG_WORDS = {
    "depth": "deep location", "pain": "pain without identified cause", "mass": "soft-tissue mass",
    "aggressive": "aggressive feature",
}  # fmt: skip
"""Names of flags as printed, where they are not their own."""

BLOCKING_FLAGS = ("growth", "mass", "aggressive")
"""Flags no pattern explains: while one is present, nothing is explained."""

Weight = Literal["++", "+", "-"]  # Characteristic, supports, argues against

Certainty = Literal["consistent with", "favoured", "possible", "less likely", "cannot be determined"]
"""Steps of the certainty ladder this tool may use."""

_WEIGHTS = {"++": 0, "+": 1, "-": 2}  # order, strongest first


@dataclass(slots=True, kw_only=True)
class Weighing:
    """Facts of one lesion as they grow, and what was concluded."""

    facts: dict[str, Value]
    gates: list[Rule] = field(default_factory=list)
    flags: dict[str, Flag] = field(default_factory=dict)
    flag_rows: list[Rule] = field(default_factory=list)
    """The row that spoke for each flag."""
    explanations: list[Rule] = field(default_factory=list)
    """Rows that turned a flag into "explained"."""
    entries: list[tuple[Rule, Weight]] = field(default_factory=list)
    """Differential: row and weight, leading first."""
    concern: Concern = Concern.INDETERMINATE
    concern_row: Rule | None = None
    """The row that gave it; ``None`` when a gate ended the evaluation."""
    recommendations: list[Rule] = field(default_factory=list)
    """Rows that are met, before exclusions, in table order."""
    before_explaining: dict[str, Value] = field(default_factory=dict)
    """Every fact after flags and classes were first read: what the explanations were judged by."""

    @property
    def stop(self) -> Rule | None:
        """The gate that ends the evaluation, ``None`` when the lesion is in scope."""
        return next((gate for gate in self.gates if gate.stops), None)


Judge = Callable[[Condition, Facts], Verdict]  # Answers a condition: plainly, or remembering what it answered before


def is_met(rule: Rule, facts: Facts, judge: Judge = plainly) -> bool:
    """Whether a rule's condition is met for certain."""
    return judge(rule.when, facts) is Verdict.MET


def infer_pattern(facts: dict[str, Value], ruleset: Ruleset) -> None:
    """Read a pattern from a reader's features when none was named."""
    if facts["pattern.id"] is not None:
        return
    rule = next((rule for rule in ruleset.tables["pattern"] if is_met(rule, facts)), None)
    if rule is not None:
        is_sure = rule.is_sure and facts["projection"] != "yes"
        facts |= {"pattern.id": rule.concludes, "pattern.is_sure": answer(is_yes=is_sure), "pattern.read_by": rule.id}


def weigh(facts: dict[str, Value], ruleset: Ruleset, judge: Judge = plainly) -> Weighing:
    """Apply every table to one lesion; conclusions are added to its facts, recommendations are before exclusions."""
    facts |= {f"class.{rule.concludes}": "none" for rule in ruleset.tables["class"]}
    weighing = Weighing(facts=facts)
    weighing.gates = [rule for rule in ruleset.tables["gate"] if is_met(rule, facts, judge)]
    if weighing.stop is not None:
        text = f"not evaluated: {fill(weighing.stop.text, facts)}"
        weighing.flags = {name: Flag(state=FlagState.CANNOT_DETERMINE, evidence=text) for name in FLAG_NAMES}
        return weighing
    _raise_flags(weighing, ruleset, judge)
    _record_flags(weighing)
    weighing.entries = _classify(facts, ruleset, judge)
    weighing.before_explaining = dict(facts)
    _explain(weighing, ruleset, judge)
    # Classes again: which sarcoma mimics stay listed depends on the flags left unexplained.
    _record_flags(weighing)
    weighing.entries = _classify(facts, ruleset, judge)
    # Part of the engine, not of the tables: no site's rule raises an alert on a run that failed its own checks, nor on
    # small mineral without a mass.
    is_bare = judge(ruleset.conditions["bare_small_mineral"], facts) is Verdict.MET
    barred = Concern.HIGH if is_bare or facts["checks.failed"] == "yes" else None
    rows = (rule for rule in ruleset.tables["concern"] if rule.concludes != barred)
    weighing.concern_row = next(rule for rule in rows if is_met(rule, facts, judge))
    weighing.concern = Concern(weighing.concern_row.concludes)
    met: dict[str, Rule] = {}  # the first row of each recommendation; exclusions are the caller's
    for rule in ruleset.tables["recommendation"]:
        if not rule.is_silenced and rule.concludes not in met and is_met(rule, facts, judge):
            met[rule.concludes] = rule
    weighing.recommendations = list(met.values())
    return weighing


def _raise_flags(weighing: Weighing, ruleset: Ruleset, judge: Judge) -> None:
    """Take the first row met for each flag; the last row of each has no condition."""
    facts = weighing.facts
    for rule in ruleset.tables["flag"]:
        if rule.concludes in weighing.flags or rule.state is None or not is_met(rule, facts, judge):
            continue
        weighing.flag_rows.append(rule)
        value, limit = (None if name is None else _number(facts[name]) for name in (rule.value, rule.limit))
        weighing.flags[rule.concludes] = Flag(
            state=rule.state, evidence=fill(rule.text, facts), value=value, limit=limit, unit=rule.unit,
            notes=_remarks(rule, facts), rule=rule.id,
        )  # fmt: skip


def _remarks(rule: Rule, facts: Facts) -> tuple[str, ...]:
    return tuple(fill(remark.text, facts) for remark in rule.remarks if remark.when.judge(facts) is Verdict.MET)


def _number(value: Value) -> float | None:
    return value if isinstance(value, float) else None


def _record_flags(weighing: Weighing) -> None:
    """Add the flags' states to the facts."""
    states = {name: flag.state for name, flag in weighing.flags.items()}
    present = tuple(name for name in FLAG_NAMES if states[name] is FlagState.PRESENT)
    weighing.facts |= {f"flag.{name}": state.value for name, state in states.items()}
    weighing.facts |= {
        "flags.present": present,
        "flags.explained": tuple(name for name in FLAG_NAMES if states[name] is FlagState.EXPLAINED),
        "flags.named": ", ".join(_FLAG_WORDS.get(name, name) for name in present),
        "flags.major_count": float(sum(name in present for name in _MAJOR)),
    }


def _classify(facts: dict[str, Value], ruleset: Ruleset, judge: Judge) -> list[tuple[Rule, Weight]]:
    """Weigh every class, best row of each, leading first; the unconditional row only when nothing else is left."""
    is_benign_barred = judge(ruleset.conditions["no_benign_class"], facts) is Verdict.MET
    best: dict[str, tuple[Rule, Weight]] = {}
    for rule in ruleset.tables["class"]:
        if (rule.is_benign and is_benign_barred) or not is_met(rule, facts, judge):
            continue
        is_strong = rule.strong is not None and judge(rule.strong, facts) is Verdict.MET
        weight: Weight = "++" if is_strong and rule.weight == "+" else rule.weight
        held = best.get(rule.concludes)
        if held is None or _order((rule, weight)) < _order(held):
            best[rule.concludes] = (rule, weight)
    entries = sorted(best.values(), key=_order)
    if any(weight != "-" and rule.when is not ALWAYS for rule, weight in entries):
        entries = [(rule, weight) for rule, weight in entries if rule.when is not ALWAYS]
    facts |= {f"class.{rule.concludes}": "none" for rule in ruleset.tables["class"]}
    facts |= {f"class.{rule.concludes}": weight for rule, weight in entries}
    leading, weight = entries[0]
    facts |= {
        "class.leading": leading.concludes,
        "class.leading_label": leading.text,
        "class.leading_weight": weight,
        "class.leading_is_benign": answer(is_yes=leading.is_benign),
    }
    return entries


def _order(entry: tuple[Rule, Weight]) -> tuple[int, int]:
    rule, weight = entry
    return (_WEIGHTS[weight], rule.rank)


def _explain(weighing: Weighing, ruleset: Ruleset, judge: Judge) -> None:
    """Turn size and depth that a pattern accounts for into "explained", unless a flag none explains is present."""
    facts = weighing.facts
    blocked = any(weighing.flags[name].state is FlagState.PRESENT for name in BLOCKING_FLAGS)
    if blocked or facts["policy.strict_s1"] == "yes":
        return
    for rule in ruleset.tables["explanation"]:
        if not is_met(rule, facts, judge):
            continue
        for name in rule.explains:
            flag = weighing.flags[name]
            if flag.state is FlagState.PRESENT:
                weighing.explanations += [rule] if rule not in weighing.explanations else []
                evidence = f"criterion met, {flag.evidence}; explained by {fill(rule.text, facts)}"
                weighing.flags[name] = flag.model_copy(update={"state": FlagState.EXPLAINED, "evidence": evidence})


def differential(weighing: Weighing) -> tuple[Differential, ...]:
    """Differential of a lesion in words of the certainty ladder, leading first."""
    entries, facts = weighing.entries, weighing.facts
    strong = [rule for rule, weight in entries if weight == "++"]
    is_contested = any(not rule.is_benign for rule in strong) or any(
        "contests_benign" in rule.capabilities for rule, _ in entries
    )
    plain = [rule for rule, weight in entries if weight == "+" and "is_open" not in rule.capabilities]
    is_doubtful = any("is_open" in rule.capabilities and weight == "+" for rule, weight in entries) and any(
        flag.state in {FlagState.PRESENT, FlagState.POSSIBLE} for flag in weighing.flags.values()
    )
    if is_doubtful:
        plain = []  # nothing is favoured while the nature is open and a red flag is met or in doubt
    elif facts["projection"] == "yes" and facts["pattern.is_sure"] != "yes":
        # 95 to 98 % of all calcification on radiographs is dystrophic: favoured there even at low confidence.
        plain = [rule for rule in plain if "is_commonest" in rule.capabilities] if len(plain) == 1 else []
    return tuple(
        Differential(
            id=rule.concludes,
            label=rule.text,
            weight=weight,
            because=_remarks(rule, facts),
            certainty=_certainty(rule, weight, strong, plain, is_contested=is_contested),
            rule=rule.id,
        )
        for rule, weight in entries
    )


def _certainty(rule: Rule, weight: str, strong: list[Rule], plain: list[Rule], *, is_contested: bool) -> Certainty:
    """Step of the certainty ladder; "diagnostic of" is never this tool's to say."""
    if weight == "-":
        return "less likely"
    if "is_open" in rule.capabilities:
        return "cannot be determined"
    if weight == "++":
        if is_contested and rule.is_benign:
            return "possible"
        return "favoured" if is_contested and len(strong) > 1 else "consistent with"
    return "favoured" if not strong and plain == [rule] else "possible"


def weigh_all(cases: Sequence[Facts], ruleset: Ruleset, judge: Judge = plainly) -> list[Weighing]:
    """Apply the rules to every lesion; what one lesion makes suspect of the patient counts for all of them."""
    weighings = [weigh(dict(case), ruleset, judge) for case in cases]
    # Suspected from one lesion, a class that forbids biopsy forbids it of every other one too.
    suspected: dict[str, Value] = dict.fromkeys(
        (f"{SUSPECTED}{name}" for weighing in weighings for name in forbidding(weighing, ruleset)), "yes"
    )
    if not suspected:
        return weighings
    return [weigh({**case, **suspected}, ruleset, judge) for case in cases]


def forbidding(weighing: Weighing, ruleset: Ruleset) -> list[str]:
    """Classes that forbid biopsy and that a lesion speaks for."""
    return [name for name in ruleset.biopsy_forbidding if weighing.facts.get(f"class.{name}") in {"++", "+"}]


def allow(weighings: list[Weighing], ruleset: Ruleset) -> list[list[Rule]]:
    """Recommendations of each lesion after exclusions: in table order, an excluded one excludes nothing."""
    barred: set[str] = set()
    if any(forbidding(weighing, ruleset) for weighing in weighings):  # wherever a site put its own rows
        barred |= {
            rule.concludes for rule in ruleset.tables["recommendation"] if "leads_to_procedure" in rule.capabilities
        }
    barred_here: list[set[str]] = [set() for _ in weighings]
    allowed: list[list[Rule]] = [[] for _ in weighings]
    met = [{rule.id for rule in weighing.recommendations} for weighing in weighings]
    for rule in ruleset.tables["recommendation"]:
        if rule.concludes in barred:
            continue
        for index in range(len(weighings)):
            if rule.id in met[index] and rule.concludes not in barred_here[index]:
                allowed[index].append(rule)
                barred |= set(rule.excludes)
                barred_here[index] |= set(rule.excludes_here)
    return allowed
