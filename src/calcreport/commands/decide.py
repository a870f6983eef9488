"""``calcreport decide``: findings typed by a reader in, the same report out as from images."""

from __future__ import annotations

import argparse

from calcreport.arguments import (
    clinical_of,
    earlier_of,
    now,
    ruleset_of,
    settings_of,
    software_with,
    templates_of,
)
from calcreport.files.findings import findings_from_text
from calcreport.files.named_file import read_text
from calcreport.formats import RENDERERS
from calcreport.study.typed import report_on_findings


def run(options: argparse.Namespace) -> str:
    """Decide on typed findings.

    Raises `ConfigurationError`: the first file that is wrong, with every mistake in it.
    """
    settings = settings_of(options.config)
    ruleset = ruleset_of(options.rules, settings, options.config)
    templates = templates_of(options.templates)
    clinical = clinical_of(options.clinical)
    report = report_on_findings(
        findings_from_text(read_text(options.findings, "FINDINGS", may_be_input=True)),
        clinical,
        settings=settings,
        ruleset=ruleset,
        statements=templates.statements,
        software=software_with(ruleset),
        created=now(),
        earlier=earlier_of(options.prior),
    )
    return RENDERERS[options.format](report, templates, {}).decode("utf-8")
