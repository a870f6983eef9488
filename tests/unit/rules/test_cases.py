"""Vignettes as data: each file in cases/ gives findings and clinical input, and what must and must not come out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.model.decision import Decision, LesionDecision
from calcreport.model.findings import Findings
from calcreport.rules import Ruleset, decide
from calcreport.settings import PolicySettings

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
KNOWN_EXPECTATIONS = {
    "leading", "certainty", "weights", "absent_classes", "flags", "flag_says", "concern", "recs", "never", "says",
    "note", "patient_note",
}  # fmt: skip


def _check_first_lesion(lesion: LesionDecision, expect: dict[str, Any]) -> None:
    weights = {entry.id: entry.weight for entry in lesion.differential}
    if "leading" in expect:
        assert lesion.differential[0].id == expect["leading"]
    if "certainty" in expect:
        assert lesion.differential[0].certainty == expect["certainty"]
    assert {name: weights.get(name) for name in expect.get("weights", {})} == expect.get("weights", {})
    assert not set(expect.get("absent_classes", ())) & set(weights)
    states = {name: getattr(lesion.flags, name).state.value for name in expect.get("flags", {})}
    assert states == expect.get("flags", {})
    for name, text in expect.get("flag_says", {}).items():
        assert text in getattr(lesion.flags, name).evidence
    if "note" in expect:
        assert any(expect["note"] in note for note in lesion.notes)


def _check_study(decision: Decision, expect: dict[str, Any]) -> None:
    ids = {entry.id for entry in decision.recommendations}
    assert set(expect.get("recs", ())) <= ids
    assert not set(expect.get("never", ())) & ids
    text = " ".join(entry.text for entry in decision.recommendations)
    for phrase in expect.get("says", ()):
        assert phrase in text
    if "concern" in expect:
        assert decision.concern == expect["concern"]
    if "patient_note" in expect:
        assert any(expect["patient_note"] in note for note in decision.patient.notes)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_vignette_is_decided_as_expected(path: Path, ruleset: Ruleset) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    expect = case["expect"]
    assert set(expect) <= KNOWN_EXPECTATIONS
    decision = decide(
        Findings.model_validate(case["findings"]),
        parse_clinical(case.get("clinical", {})),
        PolicySettings(**case.get("policy", {})),
        ruleset,
    )
    _check_first_lesion(decision.lesions[0], expect)
    _check_study(decision, expect)
