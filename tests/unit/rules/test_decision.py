"""Decisions over several lesions, policies, classes and the certainty ladder."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.rules import Ruleset, decide
from calcreport.settings import PolicySettings

PHLEBOLITH = {
    "size": {"max_diameter_mm": 6},
    "depth": {"class": "subfascial"},
    "pattern": {"id": "P01", "confidence": "high"},
}
DEEP_MASS = {
    "size": {"max_diameter_mm": 60},
    "mass": {"present": "yes", "max_diameter_mm": 90},
    "depth": {"class": "subfascial"},
    "pattern": {"id": "P23", "confidence": "high"},
}
TENDON = {"size": {"max_diameter_mm": 18}, "depth": {"class": "subfascial"}, "pattern": {"id": "P15"}}


def _decide(
    ruleset: Ruleset, lesions: list[dict[str, Any]], clinical: dict[str, Any] | None = None, **policy: Any
) -> Decision:
    findings = Findings.model_validate({"modality": "CT", "lesions": lesions})
    return decide(findings, parse_clinical(clinical or {}), PolicySettings(**policy), ruleset)


def _ids(decision: Decision) -> set[str]:
    return {entry.id for entry in decision.recommendations}


def test_concern_is_the_highest_and_lesions_keep_their_order(ruleset: Ruleset) -> None:
    decision = _decide(ruleset, [PHLEBOLITH, DEEP_MASS])
    assert [lesion.concern for lesion in decision.lesions] == ["modified", "high"]
    assert decision.concern == "high"
    assert decision.flags_summary["size"] == "present"
    assert decision.recommendations[0].id == "R09"
    assert "R02" in {entry.id for entry in decision.lesions[0].recommendations}


def test_no_injection_for_one_lesion_beside_a_referral_for_another(ruleset: Ruleset) -> None:
    alone = _decide(ruleset, [TENDON], {"symptoms": {"symptomatic": "yes"}})
    beside = _decide(ruleset, [TENDON, DEEP_MASS], {"symptoms": {"symptomatic": "yes"}})
    assert "R03" in _ids(alone)
    assert "R03" not in _ids(beside)


def test_suspected_fop_keeps_biopsy_out_of_the_whole_report(ruleset: Ruleset) -> None:
    decision = _decide(ruleset, [DEEP_MASS, PHLEBOLITH], {"conditions": {"acvr1_variant": "yes"}})
    assert "R11" in _ids(decision)
    assert not _ids(decision) & {"R05", "R06", "R07", "R09", "R16", "R18"}
    assert decision.lesions[0].flags.size.state == "present"
    assert "without biopsy" in decision.recommendations[0].text


def test_fop_suspected_from_one_lesion_forbids_biopsy_of_another_without_losing_the_referral(ruleset: Ruleset) -> None:
    decision = _decide(ruleset, [{"pattern": {"id": "P08"}}, DEEP_MASS], {"patient": {"age_years": 8}})
    assert decision.lesions[1].recommendations[0].id == "R11"
    assert "sarcoma-centre opinion on the images" in decision.recommendations[0].text
    assert decision.lesions[1].concern == "high"


def test_strict_policy_explains_nothing(ruleset: Ruleset) -> None:
    assert "R09" not in _ids(_decide(ruleset, [PHLEBOLITH]))
    strict = _decide(ruleset, [PHLEBOLITH], strict_s1=True)
    assert "R09" in _ids(strict)
    assert strict.lesions[0].flags.depth.state == "present"


def test_policy_follows_up_definite_benign_findings(ruleset: Ruleset) -> None:
    assert "R02" in _ids(_decide(ruleset, [PHLEBOLITH]))
    followed = _ids(_decide(ruleset, [PHLEBOLITH], followup_for_definite_benign=True))
    assert "R01" in followed
    assert "R02" not in followed


def test_size_limit_is_a_policy(ruleset: Ruleset) -> None:
    lesion = {"mass": {"max_diameter_mm": 44}}
    assert _decide(ruleset, [lesion]).lesions[0].flags.size.state == "absent"
    stricter = _decide(ruleset, [lesion], size_limit_mm=43, size_possible_mm=40)
    assert stricter.lesions[0].flags.size.state == "present"


@pytest.mark.parametrize(("longest_mm", "noted"), [(19.9, False), (20.0, False), (20.1, True)])
def test_head_and_neck_note_above_2_cm(ruleset: Ruleset, longest_mm: float, noted: bool) -> None:
    lesion = {"size": {"max_diameter_mm": longest_mm}, "location": {"region": "neck"}}
    notes = _decide(ruleset, [lesion]).lesions[0].notes
    assert any("Head and neck" in note for note in notes) is noted


@pytest.mark.parametrize(("focus_mm", "leading"), [(15.0, "C15"), (15.1, "C25")])
def test_a_phlebolith_above_15_mm_is_a_contradiction(ruleset: Ruleset, focus_mm: float, leading: str) -> None:
    lesion = PHLEBOLITH | {"size": {"max_diameter_mm": focus_mm}}
    decided = _decide(ruleset, [lesion]).lesions[0]
    assert decided.differential[0].id == leading
    assert (decided.flags.depth.state == "explained") is (leading == "C15")


MEASURED_STABLE = {
    "size": {"max_diameter_mm": 30},
    "depth": {"class": "subfascial"},
    "mass": {"present": "no"},
    "bone_relation": "separate",
    "prior": {"max_diameter_mm": 30, "interval_days": 365, "comparable": "yes"},
}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "explained"),
        ({"prior": MEASURED_STABLE["prior"] | {"max_diameter_mm": 28}}, "explained"),  # within the error of both
        ({"prior": MEASURED_STABLE["prior"] | {"max_diameter_mm": 27.9}}, "present"),
        ({"prior": MEASURED_STABLE["prior"] | {"max_diameter_mm": 40}}, "explained"),  # smaller
        ({"prior": MEASURED_STABLE["prior"] | {"interval_days": 364}}, "present"),
        ({"prior": MEASURED_STABLE["prior"] | {"comparable": "unknown"}}, "present"),
        ({"prior": None}, "present"),
        ({"mass": {}}, "present"),
        ({"mass": {"present": "yes"}}, "present"),
        ({"bone_relation": "abuts"}, "present"),
        ({"bone_relation": None}, "present"),
    ],
)
def test_only_a_measured_year_without_mass_and_bone_explains(
    ruleset: Ruleset, change: dict[str, Any], state: str
) -> None:
    """A lump nobody feels is no mass excluded, and a clinician's word on stability clears nothing."""
    clinical = {
        "symptoms": {"symptomatic": "no"},
        "mass": {"palpable": "no"},
        "growth": {"rate": "none", "stable_months": 60},
    }
    assert _decide(ruleset, [MEASURED_STABLE | change], clinical).lesions[0].flags.depth.state == state


@pytest.mark.parametrize(
    ("pattern", "limit_mm", "size", "history"),
    [
        ("P01", 15, "max_diameter_mm", {}),
        ("P15", 30, "max_diameter_mm", {}),
        ("P19", 20, "max_diameter_mm", {}),
        ("P19", 30, "max_diameter_mm", {"injections_at_site": "yes"}),
        ("P20", 23, "max_diameter_mm", {}),
        ("P21", 30, "axial_short_mm", {}),
        ("P21", 30, "max_diameter_mm", {}),  # no short axis given
        ("P02", 10, "axial_short_mm", {}),
        ("P03", 10, "axial_short_mm", {}),
    ],
)
def test_a_pattern_explains_no_more_than_its_published_size(
    ruleset: Ruleset, pattern: str, limit_mm: float, size: str, history: dict[str, str]
) -> None:
    lesion = {"depth": {"class": "subfascial"}, "pattern": {"id": pattern, "confidence": "high"}}
    for length_mm, is_beyond in ((limit_mm - 0.1, False), (limit_mm, False), (limit_mm + 0.1, True), (60, True)):
        sized = lesion | {"size": {"max_diameter_mm": max(60, length_mm) if size != "max_diameter_mm" else length_mm}}
        sized["size"] = {"max_diameter_mm": 60} | sized["size"] | {size: length_mm}
        decided = _decide(ruleset, [sized], {"history": history}).lesions[0]
        assert (decided.differential[0].id == "C25") is is_beyond
        assert decided.flags.depth.state == ("present" if is_beyond else "explained")
        if length_mm == 60:
            assert decided.flags.size.state == "present"
            assert not {"R01", "R02", "R06"} & {entry.id for entry in decided.recommendations}


@pytest.mark.parametrize(
    ("pattern", "foci", "state"),
    [
        ("P20", {"count": 9}, "present"),  # 60 mm together, and nobody measured one grain
        ("P20", {"count": 9, "largest_max_diameter_mm": 12}, "explained"),
        ("P01", {"count": 9, "largest_max_diameter_mm": 12}, "explained"),
        ("P02", {"count": 9}, "explained"),
    ],
)
def test_each_focus_is_held_against_the_size_of_its_pattern(
    ruleset: Ruleset, pattern: str, foci: dict[str, float], state: str
) -> None:
    size = {"max_diameter_mm": 60, "axial_short_mm": 30}
    lesion = {"depth": {"class": "subfascial"}, "pattern": {"id": pattern}, "size": size, "foci": foci}
    assert _decide(ruleset, [lesion]).lesions[0].flags.depth.state == state


def test_a_rim_that_shrinks_is_credited(ruleset: Ruleset) -> None:
    """Myositis ossificans from 44 to 34 mm, trauma not recalled: class, advice and concern say so."""
    lesion = {
        "size": {"max_diameter_mm": 34}, "depth": {"class": "subfascial"}, "mass": {"present": "no"},
        "pattern": {"id": "P05", "confidence": "high"}, "bone_relation": "separate",
        "features": {"rim_complete": "yes", "cleft_to_cortex": "yes"},
        "prior": {"max_diameter_mm": 44, "interval_days": 120, "comparable": "yes"},
    }  # fmt: skip
    clinical = {"history": {"trauma": "yes", "trauma_weeks_ago": 26}}
    smaller = _decide(ruleset, [lesion], clinical).lesions[0]
    assert smaller.flags.growth.state == "absent"
    assert "R01-smaller" in {entry.rule for entry in smaller.recommendations}
    assert any("smaller than on the earlier study (4.4 cm)" in text for text in smaller.differential[0].because)
    untold = _decide(ruleset, [lesion]).lesions[0]
    assert (untold.differential[0].id, untold.differential[0].weight, untold.concern) == ("C02", "++", "modified")
    assert "R01-smaller" in {entry.rule for entry in untold.recommendations}
    denied = _decide(ruleset, [lesion], {"history": {"trauma": "no", "fracture": "no"}}).lesions[0]
    assert (denied.differential[0].id, denied.concern) == ("C04", "flagged")
    lesion["prior"] = {"max_diameter_mm": 34, "interval_days": 120, "comparable": "yes"}
    assert _decide(ruleset, [lesion]).lesions[0].differential[0].weight == "+"


@pytest.mark.parametrize(
    ("longest_mm", "region", "leading"), [(30, "hand", "C21"), (30.1, "hand", "C22"), (20, "thigh", "C22")]
)
def test_chondroid_mineral_is_a_chondroma_only_when_small_and_acral(
    ruleset: Ruleset, longest_mm: float, region: str, leading: str
) -> None:
    lesion = {
        "size": {"max_diameter_mm": longest_mm},
        "pattern": {"id": "P22", "confidence": "high"},
        "location": {"region": region},
    }
    entries = _decide(ruleset, [lesion]).lesions[0].differential
    assert entries[0].id == leading


@pytest.mark.parametrize(("age", "weight"), [(19.9, "++"), (20, None), (None, "+")])
def test_multifocal_ossification_of_the_young_is_suspected_fop(
    ruleset: Ruleset, age: float | None, weight: str | None
) -> None:
    decision = _decide(ruleset, [{"pattern": {"id": "P08"}}], {"patient": {"age_years": age}})
    weights = {entry.id: entry.weight for entry in decision.lesions[0].differential}
    assert weights.get("C05") == weight
    assert ("R11" in _ids(decision)) is (weight is not None)


@pytest.mark.parametrize(
    ("clinical", "size_mm", "referred"),
    [
        ({"history": {"trauma": "yes"}}, 30, False),
        ({"history": {"trauma": "yes"}}, 60, True),
        ({"history": {"trauma": "no"}}, 30, True),
        ({}, 30, True),
        ({"history": {"trauma": "yes"}, "growth": {"rate": "rapid"}}, 30, True),
        ({"history": {"trauma": "yes", "trauma_weeks_ago": 5}}, 30, True),
        ({"history": {"trauma": "yes", "trauma_weeks_ago": 6}}, 30, False),
        ({"history": {"trauma": "yes"}, "mass": {"palpable": "yes"}}, 30, True),
        ({"history": {"trauma": "yes", "radiotherapy_at_site": "yes"}}, 30, True),
    ],
)
def test_myositis_is_watched_only_with_trauma_and_nothing_but_depth(
    ruleset: Ruleset, clinical: dict[str, Any], size_mm: float, referred: bool
) -> None:
    lesion = {
        "size": {"max_diameter_mm": size_mm},
        "depth": {"class": "subfascial"},
        "pattern": {"id": "P05", "confidence": "high"},
    }
    assert ("R09" in _ids(_decide(ruleset, [lesion], clinical))) is referred


@pytest.mark.parametrize(("days", "referred"), [(27, True), (28, False)])
def test_large_myositis_needs_two_studies_four_weeks_apart(ruleset: Ruleset, days: int, referred: bool) -> None:
    lesion = {
        "size": {"max_diameter_mm": 60},
        "depth": {"class": "subfascial"},
        "pattern": {"id": "P05", "confidence": "high"},
        "features": {"rim_complete": True},
        "prior": {"max_diameter_mm": 60, "interval_days": days, "comparable": True},
    }
    assert ("R09" in _ids(_decide(ruleset, [lesion], {"history": {"trauma": "yes"}}))) is referred


def test_a_tumour_pattern_beside_a_benign_one_is_favoured(ruleset: Ruleset) -> None:
    lesion = {
        "depth": {"class": "subfascial"},
        "pattern": {"id": "P10"},
        "features": {"bone_destruction": True},
        "location": {"region": "calf"},
    }
    entries = _decide(ruleset, [lesion], {"history": {"compartment_syndrome": "yes"}}).lesions[0].differential
    assert [(entry.id, entry.certainty) for entry in entries][:2] == [("C22", "favoured"), ("C09", "possible")]


def test_an_organ_does_not_lend_its_concern_to_the_study(ruleset: Ruleset) -> None:
    organ = {"location": {"tissue": "organ"}, "size": {"max_diameter_mm": 70}}
    assert _decide(ruleset, [organ]).recommendations == ()
    assert _decide(ruleset, [organ, PHLEBOLITH]).concern == "modified"


def test_a_measured_lesion_in_a_scan_named_after_an_organ_is_still_judged(ruleset: Ruleset) -> None:
    lesion = DEEP_MASS | {"location": {"region": "lung"}}
    assert _decide(ruleset, [lesion]).concern == "high"


def test_metal_with_a_lump_is_not_set_aside(ruleset: Ruleset) -> None:
    metal = {"size": {"max_diameter_mm": 60}, "depth": {"class": "subfascial"}, "pattern": {"id": "P28"}}
    assert _decide(ruleset, [metal]).recommendations == ()
    assert "R09" in _ids(_decide(ruleset, [metal], {"mass": {"palpable": "yes"}}))


def test_a_study_without_calcification_is_no_concern_unless_a_lump_or_growth_was_told(ruleset: Ruleset) -> None:
    assert _decide(ruleset, []).concern == "none"
    assert _decide(ruleset, []).recommendations == ()
    growing = _decide(ruleset, [], {"growth": {"rate": "rapid"}, "mass": {"palpable": "yes", "size_cm": 7}})
    assert growing.concern == "high"
    assert {"R08", "R09"} <= _ids(growing)


def test_features_typed_without_a_pattern_are_read(ruleset: Ruleset) -> None:
    lesion = {"features": {"fluid_calcium_level": True}, "depth": {"class": "subfascial"}}
    decided = _decide(ruleset, [lesion], {"conditions": {"dialysis": "yes"}}).lesions[0]
    assert (decided.differential[0].id, decided.differential[0].weight) == ("C07", "++")


def test_both_hips_speak_for_the_patient(ruleset: Ruleset) -> None:
    lesion = {"pattern": {"id": "P13", "confidence": "high"}}
    decision = _decide(ruleset, [lesion, lesion], {"conditions": {"ckd_stage": 5}})
    assert [entry.id for entry in decision.patient.differential] == ["C07"]


def test_calciphylaxis_is_urgent(ruleset: Ruleset) -> None:
    lesion = {"pattern": {"id": "P04"}, "depth": {"class": "subcutaneous"}}
    clinical = {"conditions": {"dialysis": "yes"}, "symptoms": {"skin_necrosis": "yes"}}
    decision = _decide(ruleset, [lesion], clinical)
    assert decision.recommendations[0].id == "R13"
    healthy_skin = clinical | {"symptoms": {"skin_necrosis": "no"}}
    assert "R13" not in _ids(_decide(ruleset, [lesion], healthy_skin))


def test_contradictions_are_printed(ruleset: Ruleset) -> None:
    lesion = {"depth": {"class": "subcutaneous"}, "location": {"tissue": "muscle"}}
    decided = _decide(ruleset, [lesion], {"growth": {"rate": "rapid", "stable_months": 12}}).lesions[0]
    assert sum("contradictory" in note for note in decided.notes) == 2


@pytest.mark.parametrize(
    ("more", "clinical"),
    [
        ({"features": {"bone_destruction": True}}, {}),
        ({"features": {"growing_soft_tissue": True}}, {}),
        ({"mass": {"present": "yes"}}, {}),
        ({}, {"mass": {"palpable": "yes"}}),
        ({}, {"growth": {"rate": "rapid"}}),
    ],
)
@pytest.mark.parametrize("pattern", ["P01", "P02", "P15", "P16", "P19", "P20", "P21"])
def test_no_pattern_explains_depth_beside_growth_mass_or_aggression(
    ruleset: Ruleset, pattern: str, more: dict[str, Any], clinical: dict[str, Any]
) -> None:
    lesion = {
        "size": {"max_diameter_mm": 8},
        "depth": {"class": "subfascial"},
        "pattern": {"id": pattern, "confidence": "high"},
    }
    assert _decide(ruleset, [lesion]).lesions[0].flags.depth.state == "explained"
    alarmed = _decide(ruleset, [lesion | more], clinical)
    assert alarmed.lesions[0].flags.depth.state == "present"
    assert "R09" in _ids(alarmed)
    assert not _ids(alarmed) & {"R01", "R02", "R03", "R06"}
