"""What the RIS receives, compared exactly: a CT with a mass, and two radiographs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calcreport.formats.ris import as_fhir, as_hl7
from calcreport.formats.templates import Templates
from calcreport.model.report import Report

sys.path.append(str(Path(__file__).parents[1] / "films"))

import made_films

Check = Callable[[str, bytes], None]


def check(name: str, report: Report, templates: Templates, check_golden: Check) -> None:
    message = as_hl7.render(report, templates, {})
    # one segment a line: a reviewer sees what changed
    check_golden(f"ris/{name}.hl7", message.replace(b"\r", b"\n"))
    check_golden(f"ris/{name}.fhir.json", as_fhir.render(report, templates, {}))


@pytest.mark.parametrize("named_report", ["deep_mass"], indirect=True)
def test_what_is_sent_of_a_ct_is_as_reviewed(
    named_report: tuple[str, Report], templates: Templates, check_golden: Check
) -> None:
    check(*named_report, templates, check_golden)


def test_what_is_sent_of_radiographs_is_as_reviewed(templates: Templates, check_golden: Check) -> None:
    check("film_rim_mass", made_films.rim_mass().report(templates), templates, check_golden)
