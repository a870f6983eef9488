"""What would change the answer, in words a radiologist would say."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import OtherAnswer
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import Ruleset, decide_and_ask, load_rules
from calcreport.rules.possible_answers import UNASKED, possible_answers
from calcreport.settings import PolicySettings
from calcreport.text.changes import MOST_STATED, describe_changes
from calcreport.text.statements import parse_statements

sys.path.append(str(Path(__file__).parents[2]))
from worries import inputs_of_the_rules

STATEMENTS = parse_statements(template_texts()["statements.toml"])
CASES = Path(__file__).parents[1] / "rules" / "cases"


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return load_rules(rule_texts())


def _described(ruleset: Ruleset, lesions: list[dict[str, Any]], clinical: dict[str, Any]) -> tuple[OtherAnswer, ...]:
    findings = Findings.model_validate({"modality": "CT", "lesions": lesions})
    decision = decide_and_ask(findings, parse_clinical(clinical), PolicySettings(), ruleset)
    numbered = [(f"L{number}", number - 1) for number in range(1, len(lesions) + 1)]
    return describe_changes(decision, numbered, STATEMENTS, size_name="size >5 cm")


def _told(ruleset: Ruleset, lesions: list[dict[str, Any]], clinical: dict[str, Any] | None = None) -> list[str]:
    return [entry.text for entry in _described(ruleset, lesions, clinical or {}) if entry.is_told]


CLOUD = {"pattern": {"id": "P13", "confidence": "high"}, "depth": {"class": "subfascial"}}
RIM = {"pattern": {"id": "P05", "confidence": "high"}, "depth": {"class": "subfascial"},
       "size": {"max_diameter_mm": 30}}  # fmt: skip
VEIN = {"pattern": {"id": "P01", "confidence": "high"}, "depth": {"class": "subfascial"}, "foci": {"count": 5},
        "size": {"max_diameter_mm": 5}}  # fmt: skip


def test_missing_phosphate_is_told_as_a_radiologist_would(ruleset: Ruleset) -> None:
    assert "Serum phosphate not provided; a raised value would support metastatic (metabolic) calcification." in _told(
        ruleset, [CLOUD]
    )


def test_missing_trauma_is_told_with_what_it_does_to_the_referral(ruleset: Ruleset) -> None:
    assert (
        "Trauma history not provided; documented trauma would support myositis ossificans and remove the criterion for "
        "sarcoma-centre opinion." in _told(ruleset, [RIM])
    )


def test_stability_is_told_beside_growth(ruleset: Ruleset) -> None:
    lesion = {"size": {"max_diameter_mm": 20}, "depth": {"class": "subfascial"}, "mass": {"present": "no"}}
    lesion["bone_relation"] = "separate"
    told = _told(ruleset, [lesion], {"symptoms": {"symptomatic": "no"}})
    stable = "Comparison with an earlier study not available; no growth over a year would account for deep location."
    assert stable in told


def test_few_are_told_and_not_only_alarms(ruleset: Ruleset) -> None:
    for lesion in (CLOUD, RIM, VEIN, {"size": {"max_diameter_mm": 30}}):
        described = _described(ruleset, [lesion], {})
        told = [entry for entry in described if entry.is_told]
        assert 0 < len(told) <= MOST_STATED < len(described)
        assert len({entry.input for entry in told}) == len(told)
        alarms = [entry for entry in told if any("R09" in lesion.recommended for lesion in entry.lesions)]
        assert len(alarms) <= 2


def test_nobody_is_asked_about_toes_because_of_a_phlebolith(ruleset: Ruleset) -> None:
    assert not any("toes" in text or "Fibrodysplasia" in text for text in _told(ruleset, [VEIN]))


def test_a_question_about_one_lesion_names_it(ruleset: Ruleset) -> None:
    described = _described(ruleset, [VEIN, CLOUD], {})
    texts = {(entry.input, entry.answer): entry.text for entry in described}
    assert texts["labs.phosphate", "high"].endswith("(L2).")
    assert not texts["growth.rate", "rapid"].endswith(").")


@pytest.mark.slow
def test_every_answer_to_every_input_has_its_words(ruleset: Ruleset) -> None:
    said: set[str] = set()
    for path in sorted(CASES.glob("*.toml")):
        case = tomllib.loads(path.read_text(encoding="utf-8"))
        if "refused" in case["expect"]:
            continue
        findings = Findings.model_validate(case["findings"])
        told = parse_clinical(case.get("clinical", {}))
        said |= {answer.name for answer in possible_answers(findings, told, PolicySettings(), ruleset)}
        decision = decide_and_ask(findings, told, PolicySettings(), ruleset)
        numbered = [(f"L{index + 1}", index) for index in range(len(findings.lesions))]
        for entry in describe_changes(decision, numbered, STATEMENTS, size_name="size >5 cm"):
            assert entry.text.endswith(".")
            assert entry.input not in entry.text
            assert "_" not in entry.text
            assert "unknown" not in entry.text
    assert said == inputs_of_the_rules() - set(UNASKED)


@pytest.mark.parametrize("name", sorted(inputs_of_the_rules() - set(UNASKED)))
def test_every_input_has_a_name_in_words(name: str) -> None:
    assert STATEMENTS.choose("ask", name)
