"""Every management statement of the articles is carried by a rule that speaks in a case, or has a reason not to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.formats import load_templates
from calcreport.formats.text.as_text import render_full
from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Patient, Software, Study
from calcreport.resources import template_texts
from calcreport.rules import Outcome, Ruleset, decide, evaluate
from calcreport.settings import PolicySettings, Settings

TABLE = tomllib.loads((Path(__file__).parents[3] / "docs" / "management-statements.toml").read_text(encoding="utf-8"))
CASES = Path(__file__).parent / "cases"
TEMPLATES = load_templates(template_texts())
CARRIED = [entry for entry in TABLE["statement"] if "rules" in entry]
NOT_SAID = [entry for entry in TABLE["statement"] if "rules" not in entry]
ALWAYS_THERE = {"R19"}


def _name(entry: dict[str, Any]) -> str:
    return f"{entry['article']}: {entry['says']}"


@pytest.mark.parametrize("entry", CARRIED, ids=_name)
def test_its_rule_speaks_in_the_case_named(entry: dict[str, Any], ruleset: Ruleset) -> None:
    assert set(entry) - {"said"} == {"article", "says", "rules", "case"}
    case = tomllib.loads((CASES / f"{entry['case']}.toml").read_text(encoding="utf-8"))
    verdicts = evaluate(
        Findings.model_validate(case["findings"]),
        parse_clinical(case.get("clinical", {})),
        PolicySettings(**case.get("policy", {})),
        ruleset,
    )
    speaking = {
        name for row in verdicts if row.outcome is Outcome.APPLIED for name in (row.rule.id, row.rule.concludes)
    }
    assert set(entry["rules"]) <= speaking


@pytest.mark.parametrize("entry", [entry for entry in CARRIED if "said" in entry], ids=_name)
def test_its_words_are_said_in_the_report_of_that_case(entry: dict[str, Any], ruleset: Ruleset) -> None:
    """In the text a reader is given, not only in what the rules answer."""
    case = tomllib.loads((CASES / f"{entry['case']}.toml").read_text(encoding="utf-8"))
    findings, clinical = Findings.model_validate(case["findings"]), parse_clinical(case.get("clinical", {}))
    settings = Settings(policy=PolicySettings(**case.get("policy", {})))
    context = DraftContext(
        study=Study(study_instance_uid="1.2", study_date=None, modality="CT", description=None, patient=Patient()),
        series=(),
        clinical=clinical.model_dump(mode="json"),
        settings=settings,
        software=Software(name="calcreport", version="0", rules_version="0"),
    )
    decision = decide(findings, clinical, settings.policy, ruleset)
    statements = TEMPLATES.statements
    report = compose_report(findings, decision, context=context, imaging=None, statements=statements)
    assert entry["said"] in " ".join(render_full(report, TEMPLATES, {}).decode().lower().split())


def test_what_was_found_unsaid_is_said() -> None:
    """Statements that a rule carried without a word of them in any report."""
    said = " ".join(entry.get("said", "") for entry in CARRIED)
    for words in ("biopsy", "radiograph first", "hyperparathyroidism", "kidney", "palpation", "mass effect", "harmless",
                  "degenerative", "specialist nurse"):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize("entry", NOT_SAID, ids=_name)
def test_what_a_report_must_not_say_has_a_reason(entry: dict[str, Any]) -> None:
    assert set(entry) == {"article", "says", "reason"}
    assert entry["reason"]


def test_every_article_is_covered() -> None:
    assert {entry["article"] for entry in TABLE["statement"]} == set(TABLE["articles"])


def test_every_recommendation_is_carried_by_some_statement_or_beyond_the_articles(ruleset: Ruleset) -> None:
    carried = {name[:3] for entry in CARRIED for name in entry["rules"] if name.startswith("R")}
    beyond = {"R13", "R22", "R23", "R24"}  # calciphylaxis, severe hypercalcaemia, known malignancy, parasite
    every = {rule.concludes for rule in ruleset.tables["recommendation"]}
    assert carried | beyond | ALWAYS_THERE == every
