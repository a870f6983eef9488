"""Every number in the rule tables: one case just below it, one at it, one just above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.rules import Ruleset, decide
from calcreport.rules.conditions import comparisons
from calcreport.settings import PolicySettings

Told = Mapping[str, Any]
HIGH_P = {"value": 2.0, "unit": "mmol/L", "low": 0.8, "high": 1.45}
NORMAL = {
    "calcium": {"value": 2.4, "unit": "mmol/L"},
    "phosphate": {"value": 1.1, "unit": "mmol/L"},
    "pth": {"value": 4.0, "unit": "pmol/L"},
    "alp": {"value": 80, "unit": "U/L"},
}


def lesion(pattern: str | None = None, **more: Any) -> dict[str, Any]:
    sized: dict[str, Any] = {"size": {"max_diameter_mm": 18.0}, "depth": {"class": "subfascial"}}
    return sized | ({"pattern": {"id": pattern, "confidence": "high"}} if pattern else {}) | more


def weight(name: str) -> Callable[[Decision], str | None]:
    return lambda decision: {entry.id: entry.weight for entry in decision.lesions[0].differential}.get(name)


def state(name: str) -> Callable[[Decision], str]:
    return lambda decision: getattr(decision.lesions[0].flags, name).state.value


def says(identifier: str) -> Callable[[Decision], bool]:
    return lambda decision: identifier in {entry.rule for entry in decision.recommendations}


def notes(words: str) -> Callable[[Decision], bool]:
    return lambda decision: any(words in note for note in decision.lesions[0].notes)


def because(words: str) -> Callable[[Decision], bool]:
    return lambda decision: any(words in text for entry in decision.lesions[0].differential for text in entry.because)


def rows(words: str) -> Callable[[Decision], bool]:
    return lambda decision: any(words in note for note in decision.lesions[0].flags.size.notes)


def grown(words: str) -> Callable[[Decision], bool]:
    return lambda decision: any(words in note for note in decision.lesions[0].flags.growth.notes)


class Limit(NamedTuple):
    """A number of the tables, and what stands below it, at it and above it."""

    fact: str
    limit: float | str
    path: str
    values: tuple[Any, Any, Any]
    probe: Callable[[Decision], object]
    expected: tuple[object, object, object]
    lesion: Told = lesion()
    clinical: Told = MappingProxyType({})


CKD = {"conditions": {"ckd_stage": 5}}
WATCHED = lesion("P05", features={"rim_complete": True}, size={"max_diameter_mm": 60.0})
INJECTED = {"history": {"injections_at_site": "yes"}}
MINERAL, FOCUS = "lesion.size.max_diameter_mm", "size.focus_mm"
PATTERN_SIZES: list[tuple[str, str, float, str, str, Told]] = [
    ("P15", "tendon_deposit_limit_mm", 30, FOCUS, MINERAL, {}),
    ("P19", "small_nodule_limit_mm", 20, FOCUS, MINERAL, {}),
    ("P19", "injection_granuloma_limit_mm", 30, FOCUS, MINERAL, INJECTED),
    ("P20", "rice_grain_limit_mm", 23, FOCUS, MINERAL, {}),
    ("P21", "node_limit_mm", 30, "size.short_axis_mm", "lesion.size.axial_short_mm", {}),
    ("P02", "plaque_across_mm", 10, "size.across_mm", "lesion.size.axial_short_mm", {}),
]
PATTERN_REACHES: list[tuple[str, str, float, str, str, Told]] = [
    (pattern, policy, limit_mm, fact.replace("focus_mm", "focus_at_most_mm"), path, history)
    for pattern, policy, limit_mm, fact, path, history in PATTERN_SIZES
    if pattern != "P02"
]
LIMITS = [
    Limit("age_years", 10.0, "patient.age_years", (9.9, 10, 10.1), weight("C03"), (None, "+", "+"), lesion("P06")),
    Limit("age_years", 40.0, "patient.age_years", (39.9, 40, 40.1), weight("C03"), ("+", "+", None), lesion("P06")),
    Limit("age_years", 40.0, "patient.age_years", (39.9, 40, 40.1), weight("C08"), ("+", None, None),
          lesion("P13"), {"labs": {"phosphate": HIGH_P}}),
    Limit("age_years", 15.0, "patient.age_years", (14.9, 15, 15.1), because("age 15"), (False, True, True),
          lesion("P24")),
    Limit("age_years", 30.0, "patient.age_years", (29.9, 30, 30.1), weight("C26"), ("+", "+", None),
          lesion("P09", depth={"class": "subcutaneous"}, location={"region": "neck"})),
    Limit("labs.calcium_mmol_l", "policy.urgent_calcium_mmol_l", "labs.calcium.value", (2.99, 3.0, 3.01), says("R22"),
          (False, True, True), lesion("P14"), {"labs": {"calcium": {"unit": "mmol/L"}}}),
    Limit("size.mineral_mm", "policy.rice_grain_limit_mm", "lesion.size.max_diameter_mm", (22.9, 23, 23.1),
          weight("C19"), (None, None, "+"), lesion("P30", depth={"class": "subcutaneous"}, mass={"present": "no"}),
          {"history": {"parasite_exposure": "yes"}}),
    Limit("age_years", 25.0, "patient.age_years", (24.9, 25, 25.1), notes("child or young"), (True, False, False),
          lesion(mass={"present": "yes"}), {"growth": {"rate": "rapid"}}),
    Limit("age_years", 20.0, "patient.age_years", (19.9, 20, 20.1), weight("C05"), ("++", None, None), lesion("P08")),
    Limit("age_years", 20.0, "patient.age_years", (19.9, 20, 20.1), notes("great toes"), (True, False, False),
          lesion("P05", location={"region": "neck"})),
    Limit("age_years", 18.0, "patient.age_years", (17.9, 18, 18.1), says("R12-child"), (True, False, False),
          lesion("P11"), {"conditions": {"dermatomyositis": "yes"}}),
    Limit("age_years", 50.0, "patient.age_years", (49.9, 50, 50.1), weight("C13"), ("+", "++", "++"), lesion("P16")),
    Limit("conditions.ckd_stage", 3.0, "conditions.ckd_stage", (2, 3, 4), weight("C07"), ("+", "++", "++"),
          lesion("P13")),
    Limit("density.max_hu", 3000.0, "lesion.density.max_hu", (2999.9, 3000, 3000.1), notes("metal"),
          (False, True, True)),
    Limit("density.max_hu", 200.0, "lesion.density.max_hu", (199.9, 200, 200.1), notes("faint"), (True, False, False)),
    Limit("foci.count", 2.0, "lesion.foci.count", (1, 2, 3), weight("C10"), ("+", "++", "++"), lesion("P09"),
          {"conditions": {"dermatomyositis": "yes"}}),
    Limit("foci.count", 3.0, "lesion.foci.count", (2, 3, 4), weight("C30"), (None, "++", "++"),
          lesion("P22", location={"tissue": "joint", "region": "knee"})),
    Limit("growth.stable_months", 0.0, "growth.stable_months", (None, 0, 0.1), notes("stability"), (False, False, True),
          lesion(), {"growth": {"rate": "slow"}}),
    Limit("growth.weeks", 13.0, "growth.weeks", (12.9, 13, 13.1), state("growth"), ("possible", "possible", "absent"),
          lesion(), {"growth": {"rate": "slow"}}),
    Limit("history.trauma_weeks_ago", 6.0, "history.trauma_weeks_ago", (5.9, 6, 6.1), weight("C03"), ("+", None, None),
          lesion("P06")),
    Limit("history.trauma_weeks_ago", 6.0, "history.trauma_weeks_ago", (5.9, 6, 6.1), weight("C02"), ("+", "++", "++"),
          lesion("P05")),
    Limit("history.trauma_weeks_ago", 12.0, "history.trauma_weeks_ago", (11.9, 12, 12.1), state("pain"),
          ("absent", "absent", "present"), lesion("P09"), {"symptoms": {"pain": "yes"}}),
    Limit("history.trauma_weeks_ago", 26.0, "history.trauma_weeks_ago", (25.9, 26, 26.1), because("six months"),
          (False, False, True), lesion("P05")),
    Limit("history.trauma_weeks_ago", 260.0, "history.trauma_weeks_ago", (259.9, 260, 260.1), weight("C09"),
          ("+", "++", "++"), lesion("P10", location={"region": "calf"})),
    # 2.50 mmol/L calcium: the product is 31.0 times the phosphate; normal phosphate keeps every other reason away.
    Limit("labs.product", "labs.product_limit", "labs.phosphate.value", (1.76, 1.7724, 1.78), weight("C07"),
          ("+", "++", "++"), lesion("P13"),
          {"labs": {"calcium": {"value": 2.5, "unit": "mmol/L"},
                    "phosphate": {"value": 0, "unit": "mmol/L", "low": 0.8, "high": 3.0}}}),
    Limit("mass.felt_beyond_mm", 0.0, "mass.size_cm", (5.5, 5.6, 5.61), rows("larger than the mineral"),
          (False, False, True), lesion(size={"max_diameter_mm": 56.0})),
    Limit("mass.felt_beyond_mm", 10.0, "mass.size_cm", (2.7, 2.8, 2.9), state("mass"), ("absent", "absent", "present"),
          lesion(mass={"present": "no"}), {"mass": {"palpable": "yes"}}),
    Limit("prior.growth_mm", "policy.growth_mm", "lesion.size.max_diameter_mm", (24.9, 25, 25.1), state("growth"),
          ("possible", "present", "present"),
          lesion(prior={"max_diameter_mm": 20, "interval_days": 90, "comparable": "yes"})),
    Limit("prior.growth_percent", "policy.growth_percent", "lesion.size.max_diameter_mm", (35.9, 36, 36.1),
          state("growth"), ("possible", "present", "present"),
          lesion(prior={"max_diameter_mm": 30, "interval_days": 90, "comparable": "yes"})),
    Limit("prior.interval_days", 28.0, "lesion.prior.interval_days", (27, 28, 29), says("R01-rim"), (False, True, True),
          WATCHED | {"prior": {"max_diameter_mm": 60, "comparable": "yes"}}, {"history": {"trauma": "yes"}}),
    Limit("prior.interval_days", 365.0, "lesion.prior.interval_days", (364, 365, 366), state("depth"),
          ("present", "explained", "explained"),
          lesion(mass={"present": "no"}, bone_relation="separate", prior={"max_diameter_mm": 18, "comparable": "yes"}),
          {"symptoms": {"symptomatic": "no"}}),
    Limit("size.extent_mm", "policy.size_limit_mm", "lesion.size.max_diameter_mm", (49.9, 50, 50.1), state("size"),
          ("cannot_determine", "cannot_determine", "explained"), lesion("P02")),
    Limit("size.extent_mm", "size.possible_from_mm", "lesion.size.max_diameter_mm", (44.9, 45, 45.1), state("size"),
          ("cannot_determine", "possible", "possible"), lesion("P02"), {"mass": {"palpable": "yes"}}),
    Limit("size.felt_mm", "policy.size_limit_mm", "mass.size_cm", (4.99, 5.0, 5.01), state("depth"),
          ("explained", "explained", "present"), lesion("P02")
          | {"mass": {"present": "no"}, "size": {"max_diameter_mm": 45}}),
    *(Limit(fact, f"policy.{policy}", path, (limit_mm - 0.1, limit_mm, limit_mm + 0.1), weight("C25"),
            (None, None, "+"), lesion(pattern), history)
      for pattern, policy, limit_mm, fact, path, history in PATTERN_SIZES),
    *(Limit(fact, f"policy.{policy}", path, (limit_mm - 0.1, limit_mm, limit_mm + 0.1), state("depth"),
            ("explained", "explained", "present"), lesion(pattern), history)
      for pattern, policy, limit_mm, fact, path, history in PATTERN_REACHES),
    Limit("prior.volume_percent", 0.0, "lesion.size.volume_mm3", (999, 1000, 1001), grown("volume"),
          (False, False, True),
          lesion(size={"max_diameter_mm": 26}, prior={"max_diameter_mm": 18, "volume_mm3": 1000})),
    Limit("size.focus_at_most_mm", "policy.phlebolith_limit_mm", MINERAL, (14.9, 15, 15.1), weight("C15"),
          ("++", "++", "+"), lesion("P01")),
    Limit(FOCUS, "policy.phlebolith_limit_mm", "lesion.foci.largest_max_diameter_mm", (14.9, 15, 15.1),
          weight("C25"), (None, None, "+"), lesion("P01")),
    Limit("size.longest_mm", "policy.head_neck_note_mm", "lesion.size.max_diameter_mm", (19.9, 20, 20.1),
          notes("Head and neck"), (False, False, True), lesion(location={"region": "neck"})),
    Limit("size.longest_mm", "policy.size_limit_mm", "lesion.mass.max_diameter_mm", (49.9, 50.0, 50.1), state("size"),
          ("possible", "possible", "present")),
    Limit("size.longest_mm", "size.possible_from_mm", "lesion.mass.max_diameter_mm", (44.9, 45.0, 45.1), state("size"),
          ("absent", "possible", "possible")),
    Limit("size.longest_mm", 30.0, "lesion.size.max_diameter_mm", (29.9, 30, 30.1), weight("C21"), ("+", "+", None),
          lesion("P22", location={"region": "hand"})),
    Limit("size.longest_mm", "policy.small_lesion_limit_mm", "lesion.size.max_diameter_mm", (19.9, 20, 20.1),
          says("R08-small"), (True, False, False), lesion("P09")),
    Limit("size.mineral_mm", "policy.small_lesion_limit_mm", MINERAL, (19.9, 20, 20.1), lambda one: str(one.concern),
          ("flagged", "high", "high"), lesion("P04"), {"history": {"sarcoma": "yes"}}),
    Limit("size.mineral_mm", 15.0, "lesion.size.max_diameter_mm", (14.9, 15, 15.1), says("R02"), (True, True, False),
          lesion("P15")),
    Limit("size.over_mm", "size.uncertainty_mm", "lesion.mass.max_diameter_mm", (52.4, 52.5, 52.6), state("size"),
          ("possible", "possible", "present"), lesion(mass={"present": "yes", "uncertainty_mm": 2.5})),
    Limit("size.over_mm", "size.error_mm", "lesion.mass.max_diameter_mm", (50.8, 50.9, 51.0),
          rows("measurement error"), (True, False, False), lesion(voxel_diagonal_mm=0.9)),
]  # fmt: skip

COUNTED = {
    # Numbers of lesions, sites and flags: held against whole studies in test_several_lesions.py and test_flags.py.
    ("flags.major_count", 2.0), ("patient.lesions", 0.0), ("patient.calcified_areas", 3.0),
    ("patient.metabolic_lesions", 1.0), ("patient.ossified_areas", 2.0), ("patient.ossified_areas", 3.0),
    ("patient.phleboliths_here", 3.0), ("patient.vessel_lesions", 1.0),
    # Days since the first of several studies: one below, at and above in test_growth.py.
    ("prior.stable_days", 365.0),
}  # fmt: skip


def _given(limit: Limit, value: object) -> tuple[Findings, dict[str, Any]]:
    found = {key: dict(part) if isinstance(part, dict) else part for key, part in limit.lesion.items()}
    told = {key: {name: dict(v) if isinstance(v, dict) else v for name, v in part.items()}
            for key, part in limit.clinical.items()}  # fmt: skip
    *sections, field = limit.path.removeprefix("lesion.").split(".")
    place: dict[str, Any] = found if limit.path.startswith("lesion.") else told
    for section in sections:
        place = place.setdefault(section, {})
    place[field] = value
    return Findings.model_validate({"modality": "CT", "lesions": [found]}), told


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.fact}-{limit.limit}-{limit.path}")
def test_below_at_and_above(limit: Limit, ruleset: Ruleset) -> None:
    answers = []
    for value in limit.values:
        findings, told = _given(limit, value)
        answers.append(limit.probe(decide(findings, parse_clinical(told), PolicySettings(), ruleset)))
    assert tuple(answers) == limit.expected


def test_every_number_of_the_tables_has_its_cases(ruleset: Ruleset) -> None:
    conditions = [
        condition
        for rule in ruleset.rules
        for condition in (rule.when, rule.strong, *(remark.when for remark in rule.remarks))
        if condition is not None
    ]
    used = {
        (row.fact, row.limit if row.other is None else row.other)
        for condition in conditions
        for row in comparisons(condition)
        if isinstance(row.limit, float) or row.other is not None
    }
    assert used == {(limit.fact, limit.limit) for limit in LIMITS} | COUNTED
