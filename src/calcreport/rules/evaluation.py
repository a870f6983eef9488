"""Outcome of every rule, and why: its answer, the comparisons behind it, and whether its conclusion was used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, unique

from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings
from calcreport.model.report import FlagState
from calcreport.rules.conditions import ALWAYS, Evidence, Value, Verdict, decisive, gather
from calcreport.rules.gathering import gather_facts
from calcreport.rules.lesion_rules import BLOCKING_FLAGS, Weighing, allow, weigh_all
from calcreport.rules.ruleset import Rule, Ruleset
from calcreport.settings import PolicySettings


@unique
class Outcome(StrEnum):
    """Outcome of a rule."""

    APPLIED = "applied"
    """Its conclusion stands in the report."""
    OUTRANKED = "outranked"
    """Met, but its conclusion gave way; the reason is named."""
    NOT_MET = "not_met"
    """Something it needs is known not to be so."""
    UNKNOWN = "unknown"
    """Something it needs was not given; the evidence names it."""
    NOT_ASKED = "not_asked"
    """A gate ended the evaluation of this lesion before this rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """Outcome of one rule for one lesion."""

    rule: Rule
    lesion: int
    """Index of the lesion in the findings; 0 for a study without lesion, which is judged as one nothing is known of."""
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    """Every comparison the condition makes, with what was known."""
    decisive: tuple[Evidence, ...]
    """The comparisons that settle the answer: what met it, what failed, or what is missing."""
    outcome: Outcome
    reason: str = ""
    """Why a rule that is met was not used; empty otherwise."""


def evaluate(
    findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset
) -> tuple[RuleVerdict, ...]:
    """Answer every rule for every lesion, in order of lesion, table and row, with the comparisons that led to it.

    A rule that is unknown names in its evidence what was missing.
    """
    weighings = weigh_all(gather_facts(findings, clinical, policy, ruleset).cases, ruleset)
    allowed = allow(weighings, ruleset)
    printed_ids = {rule.id for rules in allowed for rule in rules}
    return tuple(
        _verdict(rule, index, weighing, allowed[index], printed_ids, ruleset)
        for index, weighing in enumerate(weighings)
        for rule in ruleset.rules
    )


def _verdict(
    rule: Rule, index: int, weighing: Weighing, allowed: list[Rule], printed_ids: set[str], ruleset: Ruleset
) -> RuleVerdict:
    facts = weighing.facts
    if rule.table in {"explanation", "flag"} and weighing.before_explaining:
        facts = weighing.before_explaining  # what they were judged by
    verdict, reason = rule.when.judge(facts), ""
    speaking = _speaking(weighing, allowed).get(rule.table)
    if rule.table not in {"gate", "pattern"} and weighing.stop is not None:
        outcome, reason = Outcome.NOT_ASKED, f"gate {weighing.stop.id} ends the evaluation of this lesion"
    elif verdict is not Verdict.MET:
        outcome = Outcome(verdict.value)
    elif speaking is None or rule.id in speaking:
        outcome = Outcome.APPLIED
    else:
        reasons = _reasons(rule, weighing, printed_ids, ruleset)
        outcome, reason = Outcome.OUTRANKED, next(reasons, "an earlier row of its table speaks")
    return RuleVerdict(
        rule=rule, lesion=index, verdict=verdict, evidence=gather(rule.when, facts), outcome=outcome, reason=reason,
        decisive=decisive(rule.when, facts),
    )  # fmt: skip


def _speaking(weighing: Weighing, allowed: list[Rule]) -> dict[str, set[Value]]:
    """Ids of the rows whose conclusion was used, by table; notes are all used that are met."""
    return {
        "gate": {rule.id for rule in weighing.gates},
        "pattern": {weighing.facts["pattern.read_by"]},
        "flag": {rule.id for rule in weighing.flag_rows},
        "explanation": {rule.id for rule in weighing.explanations},
        "class": {rule.id for rule, _ in weighing.entries},
        "concern": {None if weighing.concern_row is None else weighing.concern_row.id},
        "recommendation": {rule.id for rule in allowed},
    }


def _reasons(rule: Rule, weighing: Weighing, printed_ids: set[str], ruleset: Ruleset) -> Iterator[str]:
    """Reasons why a rule that is met does not speak, the plainest first."""
    if rule.table == "pattern":
        yield "the pattern was named, or an earlier row reads it"
    elif rule.table == "flag":
        yield from _earlier(rule, weighing.flag_rows)
    elif rule.table == "explanation":
        yield from _unexplained(rule, weighing)
    elif rule.table == "class":
        if rule.is_benign and ruleset.conditions["no_benign_class"].judge(weighing.facts) is Verdict.MET:
            yield "no benign class is concluded of mineral continuous with bone"
        if rule.when is ALWAYS:
            yield "another class applies"
        yield from _earlier(rule, [entry for entry, _ in weighing.entries])
    elif rule.table == "recommendation":
        yield from _unsaid(rule, weighing, printed_ids, ruleset)


def _earlier(rule: Rule, speaking: list[Rule]) -> Iterator[str]:
    yield from (f"{other.id} speaks" for other in speaking if other.concludes == rule.concludes and other is not rule)


def _unexplained(rule: Rule, weighing: Weighing) -> Iterator[str]:
    if weighing.facts["policy.strict_s1"] == "yes":
        yield "under the strict policy nothing is explained"
    alarming = [name for name in BLOCKING_FLAGS if weighing.flags[name].state is FlagState.PRESENT]
    if alarming:
        yield f"nothing is explained beside {', '.join(alarming)}"
    yield f"there is no {' or '.join(rule.explains)} flag left to explain"


def _unsaid(rule: Rule, weighing: Weighing, printed_ids: set[str], ruleset: Ruleset) -> Iterator[str]:
    if rule.is_silenced:
        yield "known, and not printed in a radiology report"
    yield from _earlier(rule, weighing.recommendations)
    excluding = [
        other.id
        for other in ruleset.tables["recommendation"]
        if other.id in printed_ids and rule.concludes in (*other.excludes, *other.excludes_here)
    ]
    if "leads_to_procedure" in rule.capabilities and not excluding:
        yield "biopsy is forbidden"
    if excluding:
        yield f"it must not stand beside {', '.join(excluding)}"
