"""Every input of the clinical file and of a finding: all three answers, and never a silent no."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from calcreport.model.clinical import Clinical, Labs, as_given, parse_clinical
from calcreport.model.findings import FindingFeatures, Findings
from calcreport.model.report import FlagState, YesNo
from calcreport.rules import Ruleset, decide
from calcreport.rules.conditions import facts_read
from calcreport.rules.laboratory import weigh_labs
from calcreport.rules.possible_answers import ASKED_WHEN, FIRST_ASKED, LAB_VALUES, UNASKED
from calcreport.settings import PolicySettings

sys.path.append(str(Path(__file__).parents[2]))
from worries import CUTS_BOTH_WAYS, LADDERS, NO_RAISES_CONCERN, YES_RAISES_CONCERN, inputs_of_the_rules

CLINICAL = {f"{section}.{field}" for section, record in Clinical() for field in type(record).model_fields}
READER = {f"lesion.features.{name}" for name in FindingFeatures.model_fields} | {
    "lesion.mass.present", "lesion.mass.max_diameter_mm", "lesion.depth.class", "lesion.bone_relation", "lesion.prior",
}  # fmt: skip
YES_NO = sorted(
    f"{section}.{field}"
    for section, record in Clinical()
    if section != "labs"
    for field, value in record
    if isinstance(value, YesNo)
)
FEATURES = sorted(FindingFeatures.model_fields)
BASES: dict[str, dict[str, Any]] = {
    "amorphous": {"pattern": {"id": "P09", "confidence": "high"}},
    "rim": {"pattern": {"id": "P05", "confidence": "high"}, "features": {"rim_complete": True}},
    "faint": {"pattern": {"id": "P06"}},
    "bone": {"pattern": {"id": "P07", "confidence": "high"}},
    "shell": {"pattern": {"id": "P10", "confidence": "high"}, "location": {"region": "calf"}},
    "sheet": {"pattern": {"id": "P11", "confidence": "high"}},
    "acral": {"pattern": {"id": "P12", "confidence": "high"}, "location": {"region": "hand"}},
    "cloud": {"pattern": {"id": "P13", "confidence": "high"}},
    "net": {"pattern": {"id": "P04"}},
    "artery": {"pattern": {"id": "P02", "confidence": "high"}},
    "tendon": {"pattern": {"id": "P15", "confidence": "high"}},
    "reticular": {"pattern": {"id": "P18", "confidence": "high"}},
    "buttock": {"pattern": {"id": "P19", "confidence": "high"}},
    "rice": {"pattern": {"id": "P20", "confidence": "high"}},
    "fluid": {"pattern": {"id": "P27"}},
    "faint nodules": {"pattern": {"id": "P17"}},
    "vein": {"pattern": {"id": "P01", "confidence": "high"}},
    "nothing": {},
    "string": {"pattern": {"id": "P30"}},
}
_ENOUGH = 4
"""Kinds of lesion an answer is tried on, once one of them was moved by it."""

CONTEXT: dict[str, dict[str, dict[str, str]]] = {
    "rim": {"history": {"trauma": "yes"}},
    "net": {"conditions": {"dialysis": "yes"}},
    "tendon": {"symptoms": {"pain": "yes"}},
    "string": {"history": {"parasite_exposure": "yes"}},
}


def _decide(ruleset: Ruleset, lesion: dict[str, Any], clinical: dict[str, Any]) -> Any:
    sized = {"size": {"max_diameter_mm": 18.0}, "depth": {"class": "subfascial"}} | lesion
    findings = Findings.model_validate({"modality": "CT", "lesions": [sized]})
    return decide(findings, parse_clinical(clinical), PolicySettings(), ruleset)


def test_every_input_has_its_place() -> None:
    groups = [YES_RAISES_CONCERN, NO_RAISES_CONCERN, set(LADDERS), set(CUTS_BOTH_WAYS), set(UNASKED)]
    assert sum(map(len, groups)) == len(inputs_of_the_rules())
    assert inputs_of_the_rules() - {"labs.core"} == CLINICAL | READER
    assert set(FIRST_ASKED) <= inputs_of_the_rules()
    assert {name for pair in ASKED_WHEN.items() for name in (pair[0], pair[1][0])} <= inputs_of_the_rules()


def test_an_input_that_is_not_asked_for_is_read_by_no_rule_that_decides(ruleset: Ruleset) -> None:
    for name in UNASKED:
        fact = {"patient.sex": "sex"}.get(name, name)
        for rule in (rule for table, rules in ruleset.tables.items() if table != "note" for rule in rules):
            read = {name for when in (rule.when, rule.strong) if when is not None for name in facts_read(when)}
            assert fact not in read, rule.id


@pytest.mark.parametrize("name", [*YES_NO, *(f"lesion.features.{feature}" for feature in FEATURES)])
def test_every_answer_is_read_and_unknown_is_never_a_settled_no(name: str, ruleset: Ruleset) -> None:
    section, _, field = name.removeprefix("lesion.").rpartition(".")
    is_read = False
    for number, (base, lesion) in enumerate(BASES.items()):
        if is_read and number >= _ENOUGH:
            break
        decided = {}
        for answer in ("yes", "no", "unknown"):
            told = {part: dict(answers) for part, answers in CONTEXT.get(base, {}).items()}
            features = dict(lesion.get("features", {}))
            (features if name.startswith("lesion.") else told.setdefault(section, {}))[field] = answer
            decided[answer] = _decide(ruleset, lesion | {"features": features}, told)
        is_read |= decided["yes"] != decided["no"]
        _absent_only_when_settled(decided)
    assert is_read, "no rule reads this answer: let one read it, or say in UNASKED why it is not asked for"


def _absent_only_when_settled(decided: dict[str, Any]) -> None:
    """A flag that is absent while an answer is unknown is absent with that answer given as no, or as yes."""
    for flag in type(decided["unknown"].lesions[0].flags).model_fields:
        states = {answer: getattr(decision.lesions[0].flags, flag).state for answer, decision in decided.items()}
        if states["unknown"] is FlagState.ABSENT:
            assert FlagState.ABSENT in {states["no"], states["yes"]}


@pytest.mark.parametrize("name", YES_NO)
def test_the_report_names_what_was_not_given(name: str) -> None:
    section, _, field = name.partition(".")
    for answer in ("yes", "no", "unknown"):
        assert as_given(parse_clinical({section: {field: answer}}))[section][field] == answer
    assert as_given(Clinical())[section][field] == "unknown"


@pytest.mark.parametrize("name", sorted(name for name in CLINICAL if name.startswith("labs.")))
def test_each_laboratory_test_moves_a_fact(name: str) -> None:
    test = name.partition(".")[2]
    facts = set()
    for state, lab in LAB_VALUES[test].items():
        labs = {"calcium": LAB_VALUES["calcium"]["normal"], "phosphate": LAB_VALUES["phosphate"]["normal"]} | {
            test: lab
        }
        told = Clinical(labs=Labs(**labs))
        weighed = weigh_labs(told, age_years=50.0, study_date=None, max_age_days=183)
        facts.add((state, str(sorted(weighed.facts.items(), key=str))))
    assert len({text for _, text in facts}) > 1
