"""Whatever a reader types, the answer is a report or a named mistake."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.errors import ClinicalError
from calcreport.files.findings import findings_from_text
from calcreport.files.report import findings_of_report, report_from_text
from calcreport.formats import RENDERERS, load_templates
from calcreport.formats.templates import Templates
from calcreport.model.clinical import as_given, parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Patient, Report, Software, Study
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import Ruleset, decide, load_rules
from calcreport.rules.gathering import place_by_complaint
from calcreport.settings import PolicySettings, Settings

TEXT = st.text(max_size=20) | st.sampled_from(["calf", "thigh", "\u202e", "<b>", "{{1}}", "unknown", "x" * 300])
LENGTH = st.floats(0, 200) | st.sampled_from([0, 45, 50, 50.1, -1, 1e9, float("nan"), None, "unknown", "5 cm", True])
ANSWER = st.sampled_from(["yes", "no", "unknown", True, False, None, "Yes", "maybe", 1])
DAY = st.sampled_from(["2026-01-01", "2025-06-01", "2030-01-01", "yesterday", None])
LENGTHS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["max_diameter_mm", "ap_mm", "cc_mm"], LENGTH) | {"is_minimum": st.booleans()}
)
LESION = st.fixed_dictionaries(
    {},
    optional={
        "size": LENGTHS,
        "mass": st.fixed_dictionaries({}, optional={"present": ANSWER, "max_diameter_mm": LENGTH}),
        "depth": st.fixed_dictionaries(
            {}, optional={"class": st.sampled_from(["subcutaneous", "subfascial", "abuts_fascia", "deep"])}
        ),
        "pattern": st.fixed_dictionaries(
            {}, optional={"id": st.sampled_from([f"P{number:02d}" for number in range(1, 33)])}
        ),
        "location": st.fixed_dictionaries(
            {}, optional={"region": TEXT, "laterality": st.sampled_from(["left", "R", "midline", "up"]), "tissue": TEXT}
        ),
        "features": st.dictionaries(
            st.sampled_from(["rim_complete", "centre_dense", "bone_destruction", "rim"]), ANSWER, max_size=3
        ),
        "prior": st.fixed_dictionaries(
            {}, optional={"max_diameter_mm": LENGTH, "comparable": ANSWER, "study_date": DAY, "basis": TEXT}
        ),
    },
)
FINDINGS = st.fixed_dictionaries(
    {"lesions": st.lists(LESION, max_size=3)},
    optional={"modality": st.sampled_from(["CT", "DX", "MR", "ct"]), "study_date": DAY},
)


@cache
def _rules() -> Ruleset:
    return load_rules(rule_texts())


@cache
def _templates() -> Templates:
    return load_templates(template_texts())


def _report(findings: Findings, clinical: dict[str, Any]) -> Report:
    ruleset, templates = _rules(), _templates()
    told = parse_clinical(clinical)
    placed = place_by_complaint(findings, told)
    study = Study(study_instance_uid="", study_date=None, modality="CT", description=None, patient=Patient())
    context = DraftContext(
        study=study, series=(), clinical=as_given(told), settings=Settings(), rules=ruleset.used,
        software=Software(name="calcreport", version="0", rules_version=ruleset.version),
    )  # fmt: skip
    decision = decide(placed, told, PolicySettings(), ruleset)
    return compose_report(placed, decision, context=context, imaging=None, statements=templates.statements)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(given=FINDINGS, region=TEXT)
def test_what_is_typed_becomes_a_report_or_a_named_mistake(given: dict[str, Any], region: str) -> None:
    clinical = {"site": {"region": region}} if len(region) <= 200 else {}
    try:
        findings = findings_from_text(json.dumps(given))
        parse_clinical(clinical)  # a region that reads yes or no is a mistake
    except ClinicalError as error:
        assert error.code.startswith(("findings.", "clinical."))  # noqa: PT017 - either is right, a third is not
        return
    report = _report(findings, clinical)
    for name in sorted(set(RENDERERS) - {"pdf"}):  # a PDF is no text, and made of the page
        content = RENDERERS[name](report, _templates(), {}).decode()
        if name == "text":
            assert all(sign.isprintable() or sign == "\n" for sign in content)
        if name == "json":
            kept = findings_of_report(report_from_text(content))
            again = _report(kept, clinical)
            assert [lesion.flags for lesion in again.lesions] == [lesion.flags for lesion in report.lesions]
            assert again.recommendations == report.recommendations
