"""Facts of a lesion before any rule: one row for each way an input becomes a fact."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.rules import Ruleset
from calcreport.rules.gathering import gather_facts
from calcreport.settings import PolicySettings


def _facts(ruleset: Ruleset, lesion: dict[str, Any], clinical: dict[str, Any], modality: str = "CT") -> dict[str, Any]:
    findings = Findings.model_validate({"modality": modality, "lesions": [lesion]})
    return gather_facts(findings, parse_clinical(clinical), PolicySettings(), ruleset).cases[0]


@pytest.mark.parametrize(
    ("lesion", "felt_cm", "expected"),
    [
        ({"size": {"max_diameter_mm": 30}}, None,
         {"mineral_mm": 30, "mass_mm": None, "longest_mm": 30, "basis": "mineralised component", "over_mm": -20,
          "has_scale": "yes", "is_settled": "no", "is_minimum": "no", "is_projected": "no"}),
        ({"size": {"max_diameter_px": 30}}, None,
         {"longest_mm": None, "basis": None, "over_mm": None, "has_scale": "no", "is_settled": "no"}),
        ({}, None, {"longest_mm": None, "has_scale": None}),
        ({"size": {"max_diameter_mm": 30}, "mass": {"max_diameter_mm": 70}}, None,
         {"longest_mm": 70, "basis": "whole lesion", "over_mm": 20, "is_settled": "yes", "mass_mm": 70}),
        ({"size": {"max_diameter_mm": 70}, "mass": {"max_diameter_mm": 70}}, None, {"basis": "whole lesion"}),
        ({"size": {"max_diameter_mm": 71}, "mass": {"max_diameter_mm": 70}}, None, {"basis": "mineralised component"}),
        ({"size": {"max_diameter_mm": 30}, "mass": {"present": "no"}}, None, {"is_settled": "yes"}),
        ({"mass": {"present": "no"}}, None, {"is_settled": "no"}),
        ({"size": {"max_diameter_mm": 30, "is_minimum": True}, "mass": {"present": "no"}}, None,
         {"is_settled": "no", "is_minimum": "yes"}),
        ({"size": {"max_diameter_mm": 30, "is_minimum": True}, "mass": {"max_diameter_mm": 70}}, None,
         {"is_minimum": "no", "is_settled": "yes"}),
        ({"size": {"max_diameter_mm": 30}, "mass": {"max_diameter_mm": 70, "is_minimum": True}}, None,
         {"is_minimum": "yes", "is_settled": "no"}),
        ({"size": {"max_diameter_mm": 30}}, 4.5,
         {"felt_mm": 45, "mass_mm": 45, "longest_mm": 45, "basis": "whole lesion", "is_settled": "yes"}),
        ({"size": {"max_diameter_mm": 70, "projected": True}}, None, {"is_projected": "yes", "longest_mm": 70}),
        ({"size": {"max_diameter_mm": 70, "projected": True}}, 6, {"is_projected": "no", "longest_mm": 60}),
        ({"size": {"max_diameter_mm": 70, "projected": True}}, 5, {"is_projected": "yes", "longest_mm": 70}),
        ({"size": {"max_diameter_mm": 40}, "pattern": {"id": "P02"}}, None, {"extent_mm": 40, "longest_mm": None}),
        ({"size": {"max_diameter_mm": 40}, "pattern": {"id": "P09"}}, None, {"extent_mm": None, "longest_mm": 40}),
        ({"size": {"max_diameter_mm": 40}, "voxel_diagonal_mm": 3}, None, {"error_mm": 3, "uncertainty_mm": None}),
        ({"size": {"max_diameter_mm": 40}, "mass": {"max_diameter_mm": 60, "uncertainty_mm": 4}}, None,
         {"uncertainty_mm": 4}),
        ({"size": {"max_diameter_mm": 40}, "mass": {"max_diameter_mm": 30, "uncertainty_mm": 4}}, None,
         {"uncertainty_mm": None}),
        ({"size": {"max_diameter_mm": 40, "axial_short_mm": 9, "tr_mm": 7}}, None,
         {"short_axis_mm": 9, "across_mm": 7, "focus_mm": 40, "focus_at_most_mm": 40}),
        ({"size": {"max_diameter_mm": 40, "tr_mm": 7}, "foci": {"count": 2}}, None,
         {"short_axis_mm": 40, "across_mm": None, "focus_mm": None, "focus_at_most_mm": 40}),
        ({"size": {"max_diameter_mm": 40, "tr_mm": 7}, "foci": {"count": 1}}, None, {"across_mm": 7, "focus_mm": 40}),
        ({"size": {"max_diameter_mm": 40}, "foci": {"count": 3, "largest_max_diameter_mm": 8}}, None,
         {"focus_mm": 8, "focus_at_most_mm": 8}),
    ],
)  # fmt: skip
def test_facts_of_the_size(
    lesion: dict[str, Any], felt_cm: float | None, expected: dict[str, Any], ruleset: Ruleset
) -> None:
    facts = _facts(ruleset, lesion, {"mass": {"size_cm": felt_cm}} if felt_cm else {})
    assert {name: facts[f"size.{name}"] for name in expected} == expected


@pytest.mark.parametrize(
    ("error_mm", "uncertainty_mm", "possible_from_mm"),
    [(None, None, 45.0), (3.0, None, 45.0), (12.0, None, 38.0), (3.0, 14.0, 36.0), (14.0, 3.0, 36.0)],
)
def test_a_length_within_its_error_of_the_limit_may_exceed_it(
    error_mm: float | None, uncertainty_mm: float | None, possible_from_mm: float, ruleset: Ruleset
) -> None:
    lesion = {
        "voxel_diagonal_mm": error_mm,
        "mass": {"max_diameter_mm": 45, "uncertainty_mm": uncertainty_mm},
    }
    assert _facts(ruleset, lesion, {})["size.possible_from_mm"] == possible_from_mm


@pytest.mark.parametrize(
    ("lesion", "felt_cm", "beyond_mm"),
    [
        ({"size": {"max_diameter_mm": 30}}, 4, 10.0),
        ({"size": {"max_diameter_mm": 30}, "mass": {"max_diameter_mm": 35}}, 4, 5.0),
        ({"size": {"max_diameter_mm": 30}, "pattern": {"id": "P02"}}, 4, None),  # along a vessel: no part of a mass
        ({"size": {"max_diameter_mm": 30}}, None, None),
    ],
)
def test_how_far_the_palpated_mass_exceeds_what_is_seen(
    lesion: dict[str, Any], felt_cm: float | None, beyond_mm: float | None, ruleset: Ruleset
) -> None:
    facts = _facts(ruleset, lesion, {"mass": {"size_cm": felt_cm}} if felt_cm else {})
    assert facts["mass.felt_beyond_mm"] == beyond_mm


@pytest.mark.parametrize(
    ("mass", "present"),
    [({}, None), ({"present": "no"}, "no"), ({"max_diameter_mm": 9}, "yes"), ({"present": "yes"}, "yes")],
)
def test_a_mass_that_was_measured_is_present(mass: dict[str, Any], present: str | None, ruleset: Ruleset) -> None:
    assert _facts(ruleset, {"mass": mass}, {})["mass.present"] == present


@pytest.mark.parametrize(
    ("pattern", "modality", "is_sure"),
    [
        ({"id": "P05", "confidence": "high"}, "CT", "yes"),
        ({"id": "P05", "confidence": "moderate"}, "DX", "yes"),
        ({"id": "P05", "confidence": "low"}, "CT", "no"),
        ({"id": "P05"}, "CT", "yes"),
        ({"id": "P05"}, "DX", "no"),
        ({"id": "P30", "confidence": "high"}, "CT", "no"),
    ],
)
def test_a_pattern_is_sure_by_its_confidence(
    pattern: dict[str, str], modality: str, is_sure: str, ruleset: Ruleset
) -> None:
    assert _facts(ruleset, {"pattern": pattern}, {}, modality)["pattern.is_sure"] == is_sure


@pytest.mark.parametrize(
    ("lesion", "modality", "layer", "source"),
    [
        ({"depth": {"class": "subcutaneous"}}, "CT", "subcutaneous", "given"),
        ({"depth": {"class": "subcutaneous"}, "mass": {"depth_class": "subfascial"}}, "CT", "subfascial", "given"),
        ({"depth": {"class": "subfascial"}, "mass": {"depth_class": "subcutaneous"}}, "CT", "subfascial", "given"),
        ({"location": {"tissue": "muscle"}}, "CT", "subfascial", "tissue"),
        ({"location": {"tissue": "muscle"}, "depth": {"class": "abuts_fascia"}}, "CT", "subfascial", "tissue"),
        ({"location": {"tissue": "muscle"}, "depth": {"class": "subcutaneous"}}, "CT", "subcutaneous", "given"),
        ({"location": {"tissue": "muscle"}}, "DX", None, None),
        ({"bone_relation": "contiguous"}, "CT", "juxtacortical", "bone"),
        ({"bone_relation": "contiguous"}, "DX", None, None),
        ({"bone_relation": "separate"}, "CT", None, None),
        ({"location": {"region": "retroperitoneum"}}, "CT", "subfascial", "region"),
        ({"location": {"region": "retroperitoneum", "tissue": "fat"}}, "CT", None, None),
        ({"location": {"region": "calf"}}, "CT", None, None),
    ],
)
def test_the_layer_is_given_or_follows_from_tissue_bone_or_region(
    lesion: dict[str, Any], modality: str, layer: str | None, source: str | None, ruleset: Ruleset
) -> None:
    facts = _facts(ruleset, lesion, {}, modality)
    assert (facts["depth.class"], facts["depth.from"]) == (layer, source)


@pytest.mark.parametrize(
    ("clinical", "fact", "value"),
    [
        ({"symptoms": {"symptomatic": "no"}}, "symptoms.pain", "no"),
        ({"symptoms": {"symptomatic": "yes"}}, "symptoms.pain", None),
        ({"symptoms": {"pain_explained_by": "arthritis"}}, "symptoms.pain", "yes"),
        ({"symptoms": {"pain_explained_by": "none"}}, "symptoms.pain", None),
        ({"symptoms": {"pain": "yes"}}, "symptoms.symptomatic", "yes"),
        ({"symptoms": {"point_tenderness": "yes"}}, "symptoms.symptomatic", "yes"),
        ({"symptoms": {"inflammation": "yes"}}, "symptoms.symptomatic", "yes"),
        ({"symptoms": {"functional_limitation": ["walking"]}}, "symptoms.symptomatic", "yes"),
        ({"symptoms": {"functional_limitation": ["walking"]}}, "symptoms.limited", "yes"),
        ({"symptoms": {"functional_limitation": []}}, "symptoms.limited", "no"),
        ({"symptoms": {"fever": "yes"}}, "symptoms.symptomatic", None),
        ({"mass": {"size_cm": 3}}, "felt.palpable", "yes"),
        ({}, "felt.palpable", None),
        ({"history": {"trauma_weeks_ago": 3}}, "history.trauma", "yes"),
        ({}, "history.trauma", None),
        ({"conditions": {"dialysis": "yes"}}, "conditions.ckd_stage", 5.0),
        ({"conditions": {"dialysis": "no", "ckd_stage": 3}}, "conditions.ckd_stage", 3.0),
        ({}, "conditions.ckd_stage", None),
    ],
)
def test_one_answer_of_the_clinician_implies_another(
    clinical: dict[str, Any], fact: str, value: str | None, ruleset: Ruleset
) -> None:
    assert _facts(ruleset, {}, clinical)[fact] == value


@pytest.mark.parametrize(
    ("site", "location", "is_apart"),
    [
        ({}, {"region": "calf", "laterality": "left"}, "no"),
        ({"laterality": "left"}, {"region": "calf", "laterality": "left"}, "no"),
        ({"laterality": "right"}, {"region": "calf", "laterality": "left"}, "yes"),
        ({"region": "hand"}, {"region": "calf", "laterality": "left"}, "yes"),
        ({"region": "calf"}, {"region": "calf", "laterality": "left"}, "no"),
    ],
)
def test_a_complaint_elsewhere_says_nothing_of_a_lesion_unless_every_lesion_is_elsewhere(
    site: dict[str, str], location: dict[str, str], is_apart: str, ruleset: Ruleset
) -> None:
    clinical = {"site": site, "symptoms": {"pain": "yes"}, "history": {"trauma": "yes", "sarcoma": "yes"}}
    here = {"region": "hand" if site.get("region") == "hand" else "calf", "laterality": site.get("laterality", "left")}
    findings = Findings.model_validate({"modality": "CT", "lesions": [{"location": location}, {"location": here}]})
    facts, _ = gather_facts(findings, parse_clinical(clinical), PolicySettings(), ruleset).cases
    said = None if is_apart == "yes" else "yes"
    assert (facts["place.is_apart"], facts["symptoms.pain"], facts["history.trauma"]) == (is_apart, said, said)
    assert facts["history.sarcoma"] == "yes"
    assert _facts(ruleset, {"location": location}, clinical)["symptoms.pain"] == "yes"
