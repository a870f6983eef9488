"""What needs more than one lesion or site: ossification, metabolic calcification, phleboliths, both sides, merging."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.rules import Ruleset, decide
from calcreport.rules.gathering import gather_facts
from calcreport.settings import PolicySettings


def _decide(ruleset: Ruleset, lesions: list[dict[str, Any]], clinical: dict[str, Any] | None = None) -> Decision:
    findings = Findings.model_validate({"modality": "CT", "lesions": lesions})
    return decide(findings, parse_clinical(clinical or {}), PolicySettings(), ruleset)


def _at(region: str, pattern: str, side: str = "unknown", **more: Any) -> dict[str, Any]:
    place = {"region": region, "laterality": side}
    return {"pattern": {"id": pattern, "confidence": "high"}, "location": place, "size": {"max_diameter_mm": 12}} | more


def _weights(decision: Decision, name: str) -> list[str | None]:
    return [{entry.id: entry.weight for entry in lesion.differential}.get(name) for lesion in decision.lesions]


@pytest.mark.parametrize(
    ("regions", "suspected"),
    [(["thigh"], False), (["thigh", "forearm"], False), (["thigh", "forearm", "calf"], True), (["thigh", "neck"], True),
     (["neck"], False), (["thigh", "thigh", "thigh"], False)],
)  # fmt: skip
def test_bone_at_three_areas_or_at_two_with_neck_or_girdle(
    regions: list[str], suspected: bool, ruleset: Ruleset
) -> None:
    decision = _decide(ruleset, [_at(region, "P07") for region in regions], {"patient": {"age_years": 9}})
    assert all((weight is not None) is suspected for weight in _weights(decision, "C05"))
    assert ("R11" in {entry.id for entry in decision.recommendations}) is suspected


def test_bone_in_an_organ_or_metal_is_no_site_of_ossification(ruleset: Ruleset) -> None:
    organ = _at("kidney", "P07")
    organ["location"]["tissue"] = "organ"
    decision = _decide(ruleset, [_at("thigh", "P07"), _at("forearm", "P07"), organ], {"patient": {"age_years": 9}})
    assert "R11" not in {entry.id for entry in decision.recommendations}


@pytest.mark.parametrize(("regions", "weight"), [(["thigh", "hand"], None), (["thigh", "hand", "back"], "+")])
def test_amorphous_deposits_are_metabolic_only_when_widespread_and_the_blood_says_so(
    regions: list[str], weight: str | None, ruleset: Ruleset
) -> None:
    lesions = [_at(region, "P09") for region in regions]
    assert set(_weights(_decide(ruleset, lesions, {"conditions": {"ckd_stage": 4}}), "C07")) == {weight}
    assert set(_weights(_decide(ruleset, lesions), "C07")) == {None}


@pytest.mark.parametrize(("other", "weight"), [("P13", "+"), ("P14", "+"), ("P09", None)])
def test_arteries_beside_a_metabolic_deposit_may_be_metabolic_too(
    other: str, weight: str | None, ruleset: Ruleset
) -> None:
    lesions = [_at("thigh", "P02"), _at("hip", other)]
    assert _weights(_decide(ruleset, lesions, {"conditions": {"dialysis": "yes"}}), "C07")[0] == weight


@pytest.mark.parametrize(
    ("others", "label"),
    [
        ([], "phlebolith"),
        ([("forearm", "left")], "phlebolith"),
        ([("forearm", "left"), ("forearm", "left")], "venous malformation with phleboliths"),
        ([("forearm", "right"), ("forearm", "left")], "phlebolith"),
        ([("pelvis", "left"), ("pelvis", "left")], "phlebolith"),
    ],
)
def test_a_mass_is_a_venous_malformation_with_three_phleboliths_in_its_own_place(
    others: list[tuple[str, str]], label: str, ruleset: Ruleset
) -> None:
    mass = _at("forearm", "P01", "left", foci={"count": 1}, mass={"present": "yes"})
    rest = [_at(region, "P01", side, foci={"count": 1}) for region, side in others]
    assert _decide(ruleset, [mass, *rest]).lesions[0].differential[0].label == label


def test_an_unknown_number_of_foci_leaves_a_malformation_open(ruleset: Ruleset) -> None:
    mass = _at("forearm", "P01", "left", mass={"present": "yes"})
    assert _decide(ruleset, [mass]).lesions[0].differential[0].label == "phlebolith"


def test_sheets_on_both_sides_speak_for_the_patient(ruleset: Ruleset) -> None:
    lesions = [_at("thigh", "P11", "left"), _at("thigh", "P11", "right")]
    decision = _decide(ruleset, lesions, {"conditions": {"juvenile_dermatomyositis": "yes"}})
    assert [entry.id for entry in decision.patient.differential] == ["C10"]
    assert "bilateral" in decision.lesions[0].differential[0].because


def test_two_major_flags_make_the_concern_high(ruleset: Ruleset) -> None:
    deep = {"depth": {"class": "subfascial"}, "mass": {"max_diameter_mm": 40, "present": "no"}}
    large = {"depth": {"class": "subcutaneous"}, "mass": {"max_diameter_mm": 60, "present": "no"}}
    assert _decide(ruleset, [deep]).concern == "flagged"
    assert _decide(ruleset, [large]).concern == "flagged"
    assert _decide(ruleset, [deep | {"mass": large["mass"]}]).concern == "flagged"  # depth is no second one
    assert _decide(ruleset, [large | {"mass": {"max_diameter_mm": 60, "present": "yes"}}]).concern == "high"


def test_recommendations_stand_in_order_of_urgency(ruleset: Ruleset) -> None:
    lesions = [
        _at("calf", "P02"),
        _at("shoulder", "P15", depth={"class": "subfascial"}),
        _at("thigh", "P23", mass={"present": "yes"}, depth={"class": "subfascial"}),
        _at("calf", "P04"),
    ]
    decision = _decide(ruleset, lesions, {"conditions": {"dialysis": "yes"}, "symptoms": {"skin_necrosis": "yes"}})
    order = [entry.id for entry in decision.recommendations]
    assert order[:3] == ["R13", "R09", "R08"]
    assert order[-1] == "R21"
    assert order.index("R02") < order.index("R15")


def test_three_vessels_one_with_the_complaint(ruleset: Ruleset) -> None:
    vessels = [_at("thigh", "P02", "left"), _at("thigh", "P02", "right"), _at("calf", "P02", "right")]
    decision = _decide(
        ruleset, vessels, {"site": {"region": "calf", "laterality": "right"}, "symptoms": {"pain": "no"}}
    )
    assert [lesion.flags.pain.state for lesion in decision.lesions] == ["not_provided", "not_provided", "absent"]


def test_the_advice_of_one_lesion_is_never_given_for_another(ruleset: Ruleset) -> None:
    """A 4 mm dot beside a 7 cm mass: each keeps the row it has alone, and the study names both."""
    deep = {"depth": {"class": "subfascial"}}
    dot = _at("thigh", "P09") | deep | {"size": {"max_diameter_mm": 4}}
    mass = _at("calf", "P30") | deep | {"mass": {"present": "yes", "max_diameter_mm": 70}}
    decision = _decide(ruleset, [dot, mass])
    rows = [{entry.rule for entry in lesion.recommendations if entry.id == "R09"} for lesion in decision.lesions]
    assert rows == [set(), {"R09"}]
    assert [entry.rule for entry in decision.recommendations if entry.id == "R08"] == ["R08", "R08-small"]
    assert set(decision.recommendations) == {entry for lesion in decision.lesions for entry in lesion.recommendations}


EXTENT = {"size": {"max_diameter_mm": 300}} | {"pattern": {"id": "P02", "confidence": "high"}}
SIZES = {
    "present": {"mass": {"max_diameter_mm": 60}},
    "possible": {"mass": {"max_diameter_mm": 48}},
    "explained": EXTENT,
    "cannot_determine": {"size": {"max_diameter_mm": 12}},
    "absent": {"mass": {"max_diameter_mm": 12}},
}


@pytest.mark.parametrize("worse", range(len(SIZES)))
def test_the_summary_holds_the_worst_state_of_each_flag(ruleset: Ruleset, worse: int) -> None:
    """A criterion that is met stays in sight, explained or not; what is unknown of one lesion is absent of none."""
    states = list(SIZES)
    for state in states[worse:]:
        for pair in ([SIZES[states[worse]], SIZES[state]], [SIZES[state], SIZES[states[worse]]]):
            assert _decide(ruleset, pair).flags_summary["size"] == states[worse]


@pytest.mark.parametrize(
    ("counts", "total"), [([1, 1], 2.0), ([None, 1], None), ([None, 2], 3.0), ([None], None), ([5], 5.0)]
)
def test_phleboliths_of_one_place_add_up_and_an_unknown_count_is_at_least_one(
    ruleset: Ruleset, counts: list[int | None], total: float | None
) -> None:
    lesions = [_at("forearm", "P01", "left", foci={"count": count}) for count in counts]
    findings = Findings.model_validate({"modality": "CT", "lesions": lesions})
    gathered = gather_facts(findings, parse_clinical({}), PolicySettings(), ruleset)
    assert [case["patient.phleboliths_here"] for case in gathered.cases] == [total] * len(counts)
