"""``calcreport decide``: findings typed by a reader in, the same report out as from images."""

from __future__ import annotations

import argparse

from calcreport.arguments import (
    clinical_of,
    earlier_of,
    now,
    read_text,
    ruleset_of,
    settings_of,
    software_with,
    templates_of,
)
from calcreport.compose import DraftContext, compose_report
from calcreport.files.findings import findings_from_text
from calcreport.formats import RENDERERS
from calcreport.model.clinical import as_given
from calcreport.model.findings import Findings
from calcreport.model.report import Patient, Study
from calcreport.rules import decide_and_ask
from calcreport.rules.prior_match import compare_with_earlier
from calcreport.rules.single_lesion import place_by_complaint


def run(options: argparse.Namespace) -> str:
    """Decide on typed findings.

    Raises
    ------
    ConfigurationError
        The first file that is wrong, with every mistake in it.
    """
    settings = settings_of(options)
    ruleset = ruleset_of(options, settings)
    templates = templates_of(options)
    clinical = clinical_of(options)
    typed = findings_from_text(read_text(options.findings, "FINDINGS", may_be_input=True))
    findings = place_by_complaint(typed, clinical)
    earlier = earlier_of(options)
    if earlier is not None:
        findings = compare_with_earlier(findings, earlier)
    report = compose_report(
        findings,
        decide_and_ask(findings, clinical, settings.policy, ruleset),
        context=DraftContext(
            study=_study_of(findings),
            series=(),
            clinical=as_given(clinical),
            settings=settings,
            software=software_with(ruleset),
            created=now(),
            rules=ruleset.used,
        ),
        imaging=None,
        statements=templates.statements,
    )
    return RENDERERS[options.format](report, templates, {}).content.decode("utf-8")


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
