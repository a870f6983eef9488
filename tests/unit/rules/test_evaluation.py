"""Why each rule spoke or did not: outcome, what settled it, what was missing."""

from __future__ import annotations

from typing import Any

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.rules import Outcome, Ruleset, RuleVerdict, decide, evaluate
from calcreport.rules.conditions import Verdict
from calcreport.settings import PolicySettings

RIM = {
    "size": {"max_diameter_mm": 30},
    "depth": {"class": "subfascial"},
    "pattern": {"id": "P05", "confidence": "high"},
}


def _rows(
    ruleset: Ruleset, lesion: dict[str, Any], clinical: dict[str, Any] | None = None, **policy: Any
) -> dict[str, RuleVerdict]:
    findings = Findings.model_validate({"modality": "CT", "lesions": [lesion] if lesion else []})
    rows = evaluate(findings, parse_clinical(clinical or {}), PolicySettings(**policy), ruleset)
    return {row.rule.id: row for row in rows}


def test_what_stands_in_the_report_is_what_was_applied(ruleset: Ruleset) -> None:
    for lesion in (RIM, {}, {"pattern": {"id": "P01", "confidence": "high"}}, {"location": {"tissue": "organ"}}):
        given = lesion or {"foci": {"count": 1}}
        findings = Findings.model_validate({"modality": "CT", "lesions": [given]})
        decision = decide(findings, parse_clinical({}), PolicySettings(), ruleset)
        applied = {name for name, row in _rows(ruleset, given).items() if row.outcome is Outcome.APPLIED}
        decided = decision.lesions[0]
        flags = {getattr(decided.flags, name).rule for name in type(decided.flags).model_fields} - {""}
        said = {entry.rule for entry in (*decided.differential, *decided.recommendations)}
        assert flags | said <= applied
        tables = {"flag", "class", "recommendation"}
        assert {rule.id for rule in ruleset.rules if rule.id in applied and rule.table in tables} == flags | said


def test_a_rule_that_gave_way_says_to_what(ruleset: Ruleset) -> None:
    rows = _rows(ruleset, RIM)
    assert (rows["R09"].outcome, rows["R09"].reason) == (Outcome.OUTRANKED, "R09-rim speaks")
    assert rows["R07"].reason == "it must not stand beside R09-rim"
    assert rows["R19"].reason == "known, and not printed in a radiology report"
    assert rows["K-one-flag"].outcome is Outcome.APPLIED


def test_an_explanation_that_was_barred_says_by_what(ruleset: Ruleset) -> None:
    vein = {"depth": {"class": "subfascial"}, "pattern": {"id": "P01", "confidence": "high"}, "foci": {"count": 1},
            "size": {"max_diameter_mm": 5}}  # fmt: skip
    assert _rows(ruleset, vein)["E-phlebolith"].outcome is Outcome.APPLIED
    growing = _rows(ruleset, vein, {"growth": {"rate": "rapid"}})["E-phlebolith"]
    assert (growing.outcome, growing.reason) == (Outcome.OUTRANKED, "nothing is explained beside growth")
    strict = _rows(ruleset, vein, strict_s1=True)["E-phlebolith"]
    assert strict.reason == "under the strict policy nothing is explained"


def test_a_benign_class_barred_by_bone_says_so(ruleset: Ruleset) -> None:
    row = _rows(ruleset, RIM | {"bone_relation": "contiguous"})["C02"]
    assert (row.outcome, row.reason) == (
        Outcome.OUTRANKED, "no benign class is concluded of mineral continuous with bone",
    )  # fmt: skip


def test_a_gate_that_ends_the_evaluation_is_named(ruleset: Ruleset) -> None:
    row = _rows(ruleset, {"location": {"tissue": "organ"}})["F1"]
    assert (row.outcome, row.reason) == (Outcome.NOT_ASKED, "gate G6 ends the evaluation of this lesion")


def test_what_met_what_failed_and_what_is_missing_are_told_apart(ruleset: Ruleset) -> None:
    rows = _rows(ruleset, RIM, {"symptoms": {"symptomatic": "yes"}})
    missing = {row.fact for row in rows["F3-rapid"].decisive}
    assert (rows["F3-rapid"].verdict, missing) == (Verdict.UNKNOWN, {"growth.rate"})
    failed = {(row.fact, row.value) for row in rows["C07"].decisive}
    assert rows["C07"].verdict is Verdict.NOT_MET
    assert ("pattern.id", "P05") in failed
    assert "labs.phosphate" not in {fact for fact, _ in failed}
    met = {(row.fact, row.value, row.is_wanted) for row in rows["C04"].evidence}
    assert ("pattern.id", "P05", True) in met


def test_under_a_not_the_evidence_says_that_it_is_not_wanted(ruleset: Ruleset) -> None:
    rows = _rows(ruleset, {"pattern": {"id": "P05", "confidence": "high"}}, {"history": {"trauma": "no"}})
    evidence = {(row.fact, row.is_wanted) for row in rows["C02"].decisive}
    assert ("history.trauma", False) in evidence


def test_a_study_without_lesion_is_explained_too(ruleset: Ruleset) -> None:
    rows = _rows(ruleset, {})
    assert rows["G4"].outcome is Outcome.APPLIED
    assert rows["F5-unknown"].outcome is Outcome.APPLIED


def test_a_pattern_read_from_features_names_its_row(ruleset: Ruleset) -> None:
    rows = _rows(ruleset, {"features": {"venous_tail": True}})
    assert rows["infer-P01"].outcome is Outcome.APPLIED
    named = _rows(ruleset, {"features": {"venous_tail": True}, "pattern": {"id": "P09"}})["infer-P01"]
    assert (named.outcome, named.reason) == (Outcome.OUTRANKED, "the pattern was named, or an earlier row reads it")
