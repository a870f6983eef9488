"""Reports of findings a reader typed: rules, composition and wording together, compared exactly."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.formats.templates import Templates
from calcreport.formats.text import as_text
from calcreport.model.clinical import as_given, parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Patient, Software, Study
from calcreport.resources import rule_texts
from calcreport.rules import Ruleset, decide_and_ask, load_rules
from calcreport.settings import Settings

CASES = Path(__file__).parents[1] / "unit" / "rules" / "cases"
EXAMPLES = {
    "phlebolith": "E-A",
    "myositis_ossificans": "E-B",
    "deep_mass": "E-C",
    "renal_calcinosis": "E-D",
    "radiograph": "E-E",
    "fop_child": "fop_child",
}


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return load_rules(rule_texts())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_text_section_is_as_reviewed(
    name: str, ruleset: Ruleset, templates: Templates, check_golden: Callable[[str, bytes], None]
) -> None:
    case = tomllib.loads((CASES / f"{EXAMPLES[name]}.toml").read_text(encoding="utf-8"))
    findings, clinical = Findings.model_validate(case["findings"]), parse_clinical(case.get("clinical", {}))
    settings = Settings()
    study = Study(
        study_instance_uid="", study_date=None, modality=findings.modality or "", description=None, patient=Patient()
    )
    report = compose_report(
        findings,
        decide_and_ask(findings, clinical, settings.policy, ruleset),
        context=DraftContext(
            study=study,
            series=(),
            clinical=as_given(clinical),
            settings=settings,
            software=Software(name="calcreport", version="0.1.0", rules_version="1.0"),
            created=None,
        ),
        imaging=None,
        statements=templates.statements,
    )
    check_golden(f"reader_{name}.txt", as_text.render(report, templates, {}))
