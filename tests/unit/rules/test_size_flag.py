"""The size flag just below, at and just above each of its limits."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Flag
from calcreport.rules import Ruleset, decide
from calcreport.settings import PolicySettings


def _size_flag(
    ruleset: Ruleset, lesion: dict[str, Any], clinical: Clinical | None = None, modality: str = "CT"
) -> Flag:
    findings = Findings.model_validate({"modality": modality, "lesions": [lesion]})
    return decide(findings, clinical or Clinical(), PolicySettings(), ruleset).lesions[0].flags.size


@pytest.mark.parametrize(
    ("longest_mm", "state", "has_error_note"),
    [
        (44.9, "absent", False),
        (45.0, "possible", False),
        (49.9, "possible", False),
        (50.0, "possible", False),
        (50.1, "present", True),
        (50.8999, "present", True),
        (50.9, "present", False),
        (51.0, "present", False),
    ],
)
def test_limits_of_a_measured_mass(ruleset: Ruleset, longest_mm: float, state: str, has_error_note: bool) -> None:
    lesion = {"mass": {"present": "yes", "max_diameter_mm": longest_mm}, "voxel_diagonal_mm": 0.9}
    flag = _size_flag(ruleset, lesion)
    assert flag.state == state
    assert any("measurement error" in note for note in flag.notes) is has_error_note
    assert flag.value == longest_mm


def test_a_coarse_voxel_widens_the_possible_band(ruleset: Ruleset) -> None:
    lesion = {"mass": {"max_diameter_mm": 44.5}, "voxel_diagonal_mm": 6.0}
    assert _size_flag(ruleset, lesion).state == "possible"


def test_length_just_above_the_limit_is_never_printed_as_the_limit(ruleset: Ruleset) -> None:
    assert "5.01 cm" in _size_flag(ruleset, {"mass": {"max_diameter_mm": 50.1}}).evidence
    assert "5.002 cm" in _size_flag(ruleset, {"mass": {"max_diameter_mm": 50.02}}).evidence


@pytest.mark.parametrize("mineral_mm", [3.0, 30.0, 44.9])
def test_mineral_alone_never_makes_the_size_absent(ruleset: Ruleset, mineral_mm: float) -> None:
    assert _size_flag(ruleset, {"size": {"max_diameter_mm": mineral_mm}}).state == "cannot_determine"


def test_palpated_size_settles_the_size_of_a_single_lesion(ruleset: Ruleset) -> None:
    clinical = parse_clinical({"mass": {"palpable": "yes", "size_cm": 3.0}})
    assert _size_flag(ruleset, {"size": {"max_diameter_mm": 20.0}}, clinical).state == "absent"


def test_palpated_size_does_not_settle_which_of_two_lesions_it_belongs_to(ruleset: Ruleset) -> None:
    clinical = parse_clinical({"mass": {"palpable": "yes", "size_cm": 3.0}})
    findings = Findings.model_validate({"modality": "CT", "lesions": [{"size": {"max_diameter_mm": 20.0}}] * 2})
    states = {lesion.flags.size.state for lesion in decide(findings, clinical, PolicySettings(), ruleset).lesions}
    assert states == {"cannot_determine"}


def test_mineral_longer_than_the_given_mass_counts(ruleset: Ruleset) -> None:
    lesion = {"size": {"max_diameter_mm": 55.0}, "mass": {"max_diameter_mm": 30.0}}
    assert _size_flag(ruleset, lesion).state == "present"


@pytest.mark.parametrize("pattern", ["P02", "P03", "P04", "P11", "P16", "P18"])
def test_extent_of_a_linear_pattern_is_no_size(ruleset: Ruleset, pattern: str) -> None:
    lesion = {"size": {"max_diameter_mm": 300.0}, "pattern": {"id": pattern, "confidence": "high"}}
    flag = _size_flag(ruleset, lesion)
    assert flag.state == "explained"
    assert "extent" in flag.evidence


@pytest.mark.parametrize("pattern", ["P02", "P11"])
def test_a_doubtful_linear_pattern_still_counts_its_length(ruleset: Ruleset, pattern: str) -> None:
    lesion = {"size": {"max_diameter_mm": 300.0}, "pattern": {"id": pattern, "confidence": "low"}}
    assert _size_flag(ruleset, lesion).state == "present"


def test_a_projected_length_is_only_possible(ruleset: Ruleset) -> None:
    assert _size_flag(ruleset, {"size": {"max_diameter_mm": 80.0}}, modality="CR").state == "possible"


def test_a_palpated_lump_counts_on_a_radiograph_too(ruleset: Ruleset) -> None:
    clinical = parse_clinical({"mass": {"palpable": "yes", "size_cm": 6.0}})
    assert _size_flag(ruleset, {"size": {"max_diameter_mm": 80.0}}, clinical, modality="CR").state == "present"


@pytest.mark.parametrize(
    ("size_cm", "state", "value_mm"), [(4.99, "possible", 80.0), (5.0, "possible", 80.0), (5.01, "present", 50.1)]
)
def test_on_a_radiograph_a_lump_up_to_the_limit_leaves_the_projected_length(
    ruleset: Ruleset, size_cm: float, state: str, value_mm: float
) -> None:
    clinical = parse_clinical({"mass": {"palpable": "yes", "size_cm": size_cm}})
    flag = _size_flag(ruleset, {"size": {"max_diameter_mm": 80.0}}, clinical, modality="CR")
    assert (flag.state, flag.value) == (state, pytest.approx(value_mm))


def test_a_cut_lesion_is_a_minimum(ruleset: Ruleset) -> None:
    small = {"mass": {"present": "yes", "max_diameter_mm": 30.0, "is_minimum": True}}
    flag = _size_flag(ruleset, small)
    assert flag.state == "cannot_determine"
    assert "at least 3.0 cm" in flag.evidence
