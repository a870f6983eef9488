"""Vignettes as data: each file in cases/ gives findings and clinical input, and what must and must not come out."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from calcreport.errors import ClinicalError
from calcreport.model.clinical import parse_clinical
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.findings import Findings
from calcreport.model.report import Flags
from calcreport.rules import Ruleset, decide
from calcreport.settings import PolicySettings

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
KNOWN_EXPECTATIONS = {
    "leading", "label", "certainty", "weights", "absent_classes", "because", "flags", "flag_says", "flag_notes",
    "no_flag_notes", "concern", "recs", "first", "never", "says", "never_says", "note", "patient", "patient_note",
}  # fmt: skip
MUST_NOT_APPEAR = {"never", "never_says", "absent_classes", "no_flag_notes", "refused"}


def _check_first_lesion(lesion: LesionDecision, expect: dict[str, Any]) -> None:
    weights = {entry.id: entry.weight for entry in lesion.differential}
    if "leading" in expect:
        assert lesion.differential[0].id == expect["leading"]
    if "label" in expect:
        assert expect["label"] in lesion.differential[0].label
    if "certainty" in expect:
        assert lesion.differential[0].certainty == expect["certainty"]
    assert {name: weights.get(name) for name in expect.get("weights", {})} == expect.get("weights", {})
    assert not set(expect.get("absent_classes", ())) & set(weights)
    if "because" in expect:
        assert any(expect["because"] in text for entry in lesion.differential for text in entry.because)
    if "note" in expect:
        assert any(expect["note"] in note for note in lesion.notes)


def _check_flags(flags: Flags, expect: dict[str, Any]) -> None:
    states = {name: getattr(flags, name).state.value for name in expect.get("flags", {})}
    assert states == expect.get("flags", {})
    for name, text in expect.get("flag_says", {}).items():
        assert text in getattr(flags, name).evidence
    for name, text in expect.get("flag_notes", {}).items():
        assert text in " ".join(getattr(flags, name).notes)
    for name, text in expect.get("no_flag_notes", {}).items():
        assert text not in " ".join(getattr(flags, name).notes)


def _check_study(decision: Decision, expect: dict[str, Any]) -> None:
    ids = [entry.id for entry in decision.recommendations]
    assert set(expect.get("recs", ())) <= set(ids)
    assert not set(expect.get("never", ())) & set(ids)
    assert ids[:1] == [expect["first"]] if "first" in expect else True
    text = " ".join(entry.text for entry in decision.recommendations)
    for phrase in expect.get("says", ()):
        assert phrase in text
    for phrase in expect.get("never_says", ()):
        assert phrase not in text
    if "concern" in expect:
        assert decision.concern == expect["concern"]
    assert set(expect.get("patient", ())) <= {entry.id for entry in decision.patient.differential}
    if "patient_note" in expect:
        assert any(expect["patient_note"] in note for note in decision.patient.notes)


def _decide(case: dict[str, Any], ruleset: Ruleset) -> Decision:
    return decide(
        Findings.model_validate(case["findings"]),
        parse_clinical(case.get("clinical", {})),
        PolicySettings(**case.get("policy", {})),
        ruleset,
    )


def _check(case: dict[str, Any], expect: dict[str, Any], ruleset: Ruleset) -> None:
    assert set(expect) <= KNOWN_EXPECTATIONS
    decision = _decide(case, ruleset)
    _check_first_lesion(decision.lesions[0], expect)
    _check_flags(decision.lesions[0].flags, expect)
    _check_study(decision, expect)


def _changed(case: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Vary a case: fields of the first lesion are replaced, the others of their section stay."""
    varied = copy.deepcopy(case)
    lesion = varied["findings"]["lesions"][0]
    for section, fields in changes.items():
        lesion[section] = lesion.get(section, {}) | fields if isinstance(fields, dict) else fields
    return varied


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_vignette_is_decided_as_expected(path: Path, ruleset: Ruleset) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    expect = case["expect"]
    if "refused" in expect:
        with pytest.raises(ClinicalError) as caught:
            parse_clinical(case["clinical"])
        assert caught.value.code == expect["refused"]["code"]
        assert expect["refused"]["names"] in str(caught.value)
        return
    for variant in case.get("vary", [{"set": {}, "expect": {}}]):
        _check(_changed(case, variant["set"]), expect | variant["expect"], ruleset)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_vignette_says_where_it_comes_from_and_what_must_not_appear(path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    assert case["name"]
    assert case["source"]
    assert MUST_NOT_APPEAR & set(case["expect"])
