"""Depth, growth, pain, mass and history flags: every answer of every input they rest on."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Flags
from calcreport.rules import Ruleset, decide
from calcreport.settings import PolicySettings


def _flags(
    ruleset: Ruleset, lesion: dict[str, Any], clinical: dict[str, Any] | None = None, modality: str = "CT"
) -> Flags:
    findings = Findings.model_validate({"modality": modality, "lesions": [lesion]})
    return decide(findings, parse_clinical(clinical or {}), PolicySettings(), ruleset).lesions[0].flags


@pytest.mark.parametrize(
    ("layer", "state"),
    [
        ("cutaneous", "absent"),
        ("subcutaneous", "absent"),
        ("abuts_fascia", "possible"),
        ("crosses_fascia", "present"),
        ("subfascial", "present"),
        ("juxtacortical", "present"),
        ("cannot_determine", "possible"),
        (None, "cannot_determine"),
    ],
)
def test_depth_by_layer(ruleset: Ruleset, layer: str | None, state: str) -> None:
    assert _flags(ruleset, {"depth": {"class": layer}}).depth.state == state


def test_depth_is_the_worse_of_mineral_and_mass(ruleset: Ruleset) -> None:
    lesion = {"depth": {"class": "subcutaneous"}, "mass": {"depth_class": "crosses_fascia"}}
    assert _flags(ruleset, lesion).depth.state == "present"


def test_superficial_within_muscle_is_a_contradiction_and_not_absent(ruleset: Ruleset) -> None:
    lesion = {"depth": {"class": "subcutaneous"}, "location": {"tissue": "muscle"}}
    assert _flags(ruleset, lesion).depth.state == "possible"


def test_depth_cannot_be_read_from_a_radiograph(ruleset: Ruleset) -> None:
    assert _flags(ruleset, {}, modality="DX").depth.state == "cannot_determine"


@pytest.mark.parametrize("location", [{"tissue": "muscle"}, {"region": "pelvis"}, {"region": "retroperitoneum"}])
def test_depth_follows_from_muscle_and_body_cavity(ruleset: Ruleset, location: dict[str, str]) -> None:
    assert _flags(ruleset, {"location": location}).depth.state == "present"


@pytest.mark.parametrize(
    ("prior", "now_mm", "state"),
    [
        ({"max_diameter_mm": 30, "interval_days": 60, "comparable": True}, 36.0, "present"),
        ({"max_diameter_mm": 30, "interval_days": 60, "comparable": True}, 35.9, "possible"),
        ({"max_diameter_mm": 20, "interval_days": 60, "comparable": True}, 24.9, "possible"),
        ({"max_diameter_mm": 20, "interval_days": 60, "comparable": True}, 25.0, "present"),
        ({"max_diameter_mm": 20, "interval_days": 60, "comparable": True}, 22.0, "absent"),
        ({"max_diameter_mm": 10, "interval_days": 90, "comparable": True}, 14.0, "possible"),
        ({"max_diameter_mm": 30, "interval_days": 60, "comparable": "unknown"}, 40.0, "possible"),
        ({"max_diameter_mm": 30, "interval_days": 60, "comparable": "no"}, 40.0, "possible"),
        ({"max_diameter_mm": 30, "interval_days": 60, "comparable": "no"}, 30.0, "not_provided"),
        ({"max_diameter_mm": 30, "comparable": True}, 30.0, "not_provided"),
        ({"interval_days": 60, "comparable": True}, 30.0, "not_provided"),
        (None, 30.0, "not_provided"),
    ],
)
def test_growth_on_a_prior_is_present_from_20_percent_with_5_mm(
    ruleset: Ruleset, prior: dict[str, Any] | None, now_mm: float, state: str
) -> None:
    assert _flags(ruleset, {"size": {"max_diameter_mm": now_mm}, "prior": prior}).growth.state == state


@pytest.mark.parametrize(
    ("growth", "state"),
    [
        ({"rate": "none"}, "absent"),
        ({"rate": "slow"}, "absent"),
        ({"rate": "slow", "weeks": 13}, "possible"),
        ({"rate": "slow", "weeks": 14}, "absent"),
        ({"rate": "rapid"}, "present"),
        ({"rate": "unknown"}, "not_provided"),
        ({"weeks": 10}, "not_provided"),
    ],
)
def test_growth_as_told(ruleset: Ruleset, growth: dict[str, Any], state: str) -> None:
    assert _flags(ruleset, {}, {"growth": growth}).growth.state == state


@pytest.mark.parametrize(
    ("clinical", "state"),
    [
        ({}, "not_provided"),
        ({"symptoms": {"pain": "no"}}, "absent"),
        ({"symptoms": {"symptomatic": "no"}}, "absent"),
        ({"symptoms": {"pain": "yes"}}, "present"),
        ({"symptoms": {"pain": "yes", "pain_explained_by": "none"}}, "present"),
        ({"symptoms": {"pain": "yes", "pain_explained_by": "arthritis"}}, "absent"),
        ({"symptoms": {"pain": "yes"}, "history": {"trauma_weeks_ago": 12}}, "absent"),
        ({"symptoms": {"pain": "yes"}, "history": {"trauma_weeks_ago": 13}}, "present"),
        ({"symptoms": {"pain": "yes"}, "history": {"trauma": "yes"}}, "possible"),
        ({"symptoms": {"pain": "yes"}, "history": {"trauma": "no"}}, "present"),
    ],
)
def test_pain_needs_a_cause(ruleset: Ruleset, clinical: dict[str, Any], state: str) -> None:
    assert _flags(ruleset, {"pattern": {"id": "P09"}}, clinical).pain.state == state


@pytest.mark.parametrize(
    ("present", "palpable", "size_cm", "state"),
    [
        ("yes", "no", None, "present"),
        ("unknown", "yes", None, "present"),
        ("unknown", "no", None, "cannot_determine"),
        ("unknown", "unknown", None, "not_provided"),
        ("no", "unknown", None, "absent"),
        ("no", "no", None, "absent"),
        ("no", "yes", None, "possible"),
        ("no", "yes", 3.0, "absent"),
        ("no", "yes", 3.1, "present"),
    ],
)
def test_mass_on_imaging_and_by_palpation(
    ruleset: Ruleset, present: str, palpable: str, size_cm: float | None, state: str
) -> None:
    lesion = {"size": {"max_diameter_mm": 20.0}, "mass": {"present": present}}
    clinical = {"mass": {"palpable": palpable, "size_cm": size_cm}}
    assert _flags(ruleset, lesion, clinical).mass.state == state


@pytest.mark.parametrize(
    "name", ["sarcoma", "excision_at_site", "radiotherapy_at_site", "predisposition_syndrome", "malignancy"]
)
def test_history_is_absent_only_when_every_question_was_answered(ruleset: Ruleset, name: str) -> None:
    questions = ("sarcoma", "excision_at_site", "radiotherapy_at_site", "predisposition_syndrome", "malignancy")
    states = {
        answer: _flags(ruleset, {}, {"history": dict.fromkeys(questions, "no") | {name: answer}}).history.state
        for answer in ("yes", "no", "unknown")
    }
    assert states == {"yes": "present", "no": "absent", "unknown": "not_provided"}


@pytest.mark.parametrize(
    "lesion",
    [
        {"features": {"bone_destruction": True}},
        {"features": {"fatty_mass": True}},
        {"features": {"growing_soft_tissue": True}},
        {"features": {"centre_dense": True}},
        {"features": {"chondroid": True}, "depth": {"class": "subfascial"}},
        {"pattern": {"id": "P23"}},
        {"pattern": {"id": "P25", "confidence": "moderate"}},
    ],
)
def test_each_aggressive_feature_counts(ruleset: Ruleset, lesion: dict[str, Any]) -> None:
    assert _flags(ruleset, lesion).aggressive.state == "present"


def test_a_doubtful_aggressive_pattern_is_possible(ruleset: Ruleset) -> None:
    assert _flags(ruleset, {"pattern": {"id": "P23", "confidence": "low"}}).aggressive.state == "possible"


def test_a_complaint_on_the_other_side_does_not_count_for_a_second_lesion(ruleset: Ruleset) -> None:
    findings = Findings.model_validate(
        {"modality": "CT", "lesions": [{"location": {"laterality": "right"}}, {"location": {"laterality": "left"}}]}
    )
    clinical = parse_clinical({"site": {"laterality": "right"}, "growth": {"rate": "rapid"}})
    lesions = decide(findings, clinical, PolicySettings(), ruleset).lesions
    assert [lesion.flags.growth.state for lesion in lesions] == ["present", "not_provided"]


def test_a_complaint_on_the_wrong_side_still_counts_for_the_only_lesion(ruleset: Ruleset) -> None:
    findings = Findings.model_validate({"modality": "CT", "lesions": [{"location": {"laterality": "left"}}]})
    clinical = parse_clinical({"site": {"laterality": "right"}, "growth": {"rate": "rapid"}})
    lesion = decide(findings, clinical, PolicySettings(), ruleset).lesions[0]
    assert lesion.flags.growth.state == "present"
    assert any("another region or side" in note for note in lesion.notes)
