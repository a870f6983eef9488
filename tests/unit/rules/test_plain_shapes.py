"""A lesion without a pattern: its plain shape is said, and what is thought of follows from that shape."""

from __future__ import annotations

import tomllib

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Confidence, Pattern
from calcreport.resources import packaged_text, template_texts
from calcreport.rules import Ruleset, decide
from calcreport.settings import PolicySettings
from calcreport.text.statements import Statements
from calcreport.text.wording import name_finding

SHAPES = tomllib.loads(packaged_text("rules/facts.toml"))["pattern.shape"][2:]
DEEP, SHALLOW = "subfascial", "subcutaneous"


def thought_of(ruleset: Ruleset, shape: str, depth: str = DEEP, size_mm: float = 12.0, region: str = "left calf"):
    """Classes with their weights and reasons."""
    lesion = {
        "size": {"max_diameter_mm": size_mm}, "foci": {"count": 1, "largest_max_diameter_mm": size_mm},
        "depth": {"class": depth}, "pattern": {"id": "P30", "confidence": "low", "shape": shape},
        "location": {"region": region},
    }  # fmt: skip
    findings = Findings.model_validate({"modality": "CT", "lesions": [lesion]})
    decided = decide(findings, parse_clinical({}), PolicySettings(), ruleset)
    return {entry.id: entry for entry in decided.lesions[0].differential}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shape_is_the_reason_and_no_pattern_is_none(ruleset, shape):
    reasons = thought_of(ruleset, shape)["C24"].because
    assert reasons
    assert not any("characteristic" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("shape", "depth", "size_mm", "region", "classes"),
    [
        ("linear", DEEP, 14.0, "left calf", {"C14"}),
        ("linear", SHALLOW, 14.0, "left calf", set()),
        ("punctate", DEEP, 5.0, "left calf", {"C14"}),
        ("punctate", DEEP, 5.0, "pelvis", {"C14", "C15"}),
        ("amorphous", DEEP, 8.0, "pelvis", {"C15"}),
        ("sheet-like", DEEP, 30.0, "left thigh", {"C10", "C22"}),
        ("plate", SHALLOW, 30.0, "left thigh", {"C10"}),
        ("rim", DEEP, 30.0, "left thigh", {"C02", "C16", "C22"}),
        ("rim", SHALLOW, 30.0, "left thigh", {"C16"}),
        ("clustered", DEEP, 30.0, "left thigh", {"C22"}),
        ("clustered", DEEP, 12.0, "left thigh", set()),
        ("clustered", SHALLOW, 30.0, "left thigh", set()),
        ("amorphous", DEEP, 30.0, "left thigh", {"C22"}),
    ],
)
def test_what_is_thought_of_follows_from_the_shape(ruleset, shape, depth, size_mm, region, classes):
    found = thought_of(ruleset, shape, depth, size_mm, region)
    assert set(found) & {"C02", "C10", "C14", "C15", "C16", "C22"} == classes
    assert all(found[name].weight == "+" for name in classes)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_finding_without_a_pattern_is_named_by_its_shape(shape):
    texts = tomllib.loads(template_texts()["statements.toml"])["pattern"]["finding"]
    statements = Statements(texts={f"pattern.finding.{name}": text for name, text in texts.items()})
    pattern = Pattern(id="P30", label="x", confidence=Confidence.LOW, scores={}, features={"morphology": shape})
    assert name_finding(pattern, statements) == texts[f"P30_{shape}"]
    assert "characteristic" not in name_finding(pattern, statements)
