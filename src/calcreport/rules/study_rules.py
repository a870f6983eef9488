"""The rules applied to all lesions of a study, and which of their recommendations may stand side by side."""

from __future__ import annotations

from calcreport.rules.capabilities import SUSPECTED
from calcreport.rules.conditions import Value
from calcreport.rules.conditions import judge as plainly
from calcreport.rules.gathering import Gathered
from calcreport.rules.lesion_rules import Judge, Weighing, weigh
from calcreport.rules.ruleset import Rule, Ruleset


def weigh_all(gathered: Gathered, ruleset: Ruleset, judge: Judge = plainly) -> list[Weighing]:
    """Apply the rules to every lesion; what one lesion makes suspect of the patient counts for all of them."""
    weighings = [weigh(dict(case), ruleset, judge) for case in gathered.cases]
    # Suspected from one lesion, a class that forbids biopsy forbids it of every other one too.
    suspected: dict[str, Value] = dict.fromkeys(
        (f"{SUSPECTED}{name}" for weighing in weighings for name in forbidding(weighing, ruleset)), "yes"
    )
    if not suspected:
        return weighings
    return [weigh(case | suspected, ruleset, judge) for case in gathered.cases]


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
