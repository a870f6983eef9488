"""Typed or from the image header: what was used, and every contradiction printed."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import UsedInput
from calcreport.rules import Ruleset, decide
from calcreport.rules.gathering import place_by_complaint
from calcreport.settings import PolicySettings

HEADER = {"age_years": 46, "sex": "F", "contrast": "venous", "laterality": "left", "body_part": "thigh"}
TYPED = {
    "patient": {"age_years": 46, "sex": "F"},
    "imaging": {"contrast": "venous"},
    "site": {"laterality": "left", "region": "thigh"},
}


def _inputs(
    ruleset: Ruleset, header: dict[str, Any], typed: dict[str, Any]
) -> tuple[dict[str, UsedInput], tuple[str, ...]]:
    findings = Findings.model_validate({"modality": "CT", "header": header, "lesions": [{"pattern": {"id": "P09"}}]})
    decision = decide(findings, parse_clinical(typed), PolicySettings(), ruleset)
    told = tuple(text for text in decision.limitations if text.startswith("Contradiction"))
    return {used.name: used for used in decision.inputs}, told


def test_what_only_the_header_says_is_marked_as_such(ruleset: Ruleset) -> None:
    inputs, told = _inputs(ruleset, HEADER, {})
    assert {used.source for used in inputs.values()} == {"header"}
    assert {name: used.value for name, used in inputs.items()} == {
        "patient.age_years": 46,
        "patient.sex": "F",
        "imaging.contrast": "venous",
        "site.laterality": "left",
        "site.region": "thigh",
    }
    assert told == ()


def test_what_was_typed_wins_and_agreement_is_no_contradiction(ruleset: Ruleset) -> None:
    inputs, told = _inputs(ruleset, HEADER, TYPED)
    assert {used.source for used in inputs.values()} == {"clinician"}
    assert not any(used.is_contradicted for used in inputs.values())
    assert told == ()


def test_nothing_known_is_nothing_told(ruleset: Ruleset) -> None:
    assert _inputs(ruleset, {}, {}) == ({}, ())


@pytest.mark.parametrize(
    ("name", "value", "of_header"),
    [
        ("patient.age_years", 64, "says 46;"),
        ("patient.sex", "M", "says F;"),
        ("imaging.contrast", "none", "says venous;"),
        ("site.laterality", "right", "says left;"),
        ("site.region", "forearm", "says thigh;"),
    ],
)
def test_a_contradiction_is_printed_and_the_typed_value_used(
    name: str, value: object, of_header: str, ruleset: Ruleset
) -> None:
    section, _, key = name.partition(".")
    inputs, told = _inputs(ruleset, HEADER, {section: {key: value}})
    assert (inputs[name].value, inputs[name].source, inputs[name].is_contradicted) == (value, "clinician", True)
    (sentence,) = told
    assert f"entered as {value}," in sentence
    assert of_header in sentence


@pytest.mark.parametrize(("typed", "is_contradicted"), [(45, False), (47, False), (44.9, True), (47.1, True)])
def test_an_age_may_differ_by_a_birthday(typed: float, is_contradicted: bool, ruleset: Ruleset) -> None:
    inputs, _ = _inputs(ruleset, HEADER, {"patient": {"age_years": typed}})
    assert inputs["patient.age_years"].is_contradicted is is_contradicted


@pytest.mark.parametrize("region", ["thigh", "vastus lateralis", "knee", "somewhere"])
def test_a_nearer_or_neighbouring_region_is_no_contradiction(region: str, ruleset: Ruleset) -> None:
    assert _inputs(ruleset, HEADER, {"site": {"region": region}})[1] == ()


def test_the_age_typed_decides(ruleset: Ruleset) -> None:
    """A child by the header and an adult by the clinician: the adult's rules apply."""
    findings = Findings.model_validate(
        {"modality": "CT", "header": {"age_years": 10}, "lesions": [{"mass": {"present": "yes"}}]}
    )
    notes = [
        decide(findings, parse_clinical(typed), PolicySettings(), ruleset).lesions[0].notes
        for typed in ({"growth": {"rate": "rapid"}}, {"growth": {"rate": "rapid"}, "patient": {"age_years": 40}})
    ]
    assert any("48" in note for note in notes[0])
    assert not any("48" in note for note in notes[1])


def test_a_single_lesion_lies_where_the_complaint_is_when_nothing_else_tells() -> None:
    clinical = parse_clinical({"site": {"region": "calf", "laterality": "right"}})
    one = place_by_complaint(Findings.model_validate({"lesions": [{}]}), clinical).lesions[0].location
    assert (one.region, one.laterality) == ("calf", "right")
    known = {"location": {"region": "thigh", "laterality": "left"}}
    kept = place_by_complaint(Findings.model_validate({"lesions": [known]}), clinical).lesions[0].location
    assert (kept.region, kept.laterality) == ("thigh", "left")
    two = Findings.model_validate({"lesions": [{}, {}]})
    assert place_by_complaint(two, clinical) == two


@pytest.mark.parametrize(("typed", "is_contradicted"), [("none", True), ("venous", False), ("arterial", False)])
def test_contrast_given_contradicts_none_alone(*, typed: str, is_contradicted: bool, ruleset: Ruleset) -> None:
    inputs, told = _inputs(ruleset, {"contrast": "given_phase_unknown"}, {"imaging": {"contrast": typed}})
    assert (inputs["imaging.contrast"].value, inputs["imaging.contrast"].is_contradicted) == (typed, is_contradicted)
    assert ["says given;" in sentence for sentence in told] == [True] * is_contradicted
