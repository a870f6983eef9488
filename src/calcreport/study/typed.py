"""A report on findings that a reader typed: the same decision and text as from images."""

from __future__ import annotations

from calcreport.compose.report import compose_report
from calcreport.compose.technique import DraftContext
from calcreport.model.clinical import Clinical, as_given
from calcreport.model.findings import Findings
from calcreport.model.report import Patient, Report, Software, Study
from calcreport.rules import Ruleset, decide_and_ask
from calcreport.rules.gathering import place_by_complaint
from calcreport.rules.prior_match import EarlierReport, compare_with_earlier
from calcreport.settings import Settings
from calcreport.text.statements import Statements


def report_on_findings(  # noqa: PLR0913 - everything a report rests on, by name
    findings: Findings,
    clinical: Clinical,
    *,
    settings: Settings,
    ruleset: Ruleset,
    statements: Statements,
    software: Software,
    created: str,
    earlier: EarlierReport | None = None,
) -> Report:
    """Decide on typed, checked findings and compose the report, without images, masks or identity.

    `created` is the time of the report (ISO 8601); `earlier` one of an earlier study of the same patient to compare
    with.
    """
    placed = place_by_complaint(findings, clinical)
    if earlier is not None:
        placed = compare_with_earlier(placed, earlier)
    return compose_report(
        placed,
        decide_and_ask(placed, clinical, settings.policy, ruleset),
        context=DraftContext(
            study=_study_of(placed),
            series=(),
            clinical=as_given(clinical),
            settings=settings,
            software=software,
            created=created,
            rules=ruleset.used,
        ),
        imaging=None,
        statements=statements,
    )


def _study_of(findings: Findings) -> Study:
    """Name the study a reader speaks of: nothing identifies it, and the patient is in the clinical file."""
    header = findings.header
    return Study(
        study_instance_uid="",
        study_date=findings.study_date.isoformat() if findings.study_date else None,
        modality=findings.modality or "",
        description=None,
        patient=Patient(sex=header.sex, age_years=header.age_years),
        body_part=header.body_part,
    )
