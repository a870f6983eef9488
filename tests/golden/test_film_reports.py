"""Reports of radiographs: rules, composition and wording together, compared exactly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calcreport.formats import as_json
from calcreport.formats.templates import Templates
from calcreport.formats.text import as_text
from calcreport.model.report import Report

sys.path.append(str(Path(__file__).parents[1] / "films"))

import made_films


@pytest.mark.parametrize("name", made_films.CASES)
def test_the_text_section_is_as_reviewed(
    name: str, templates: Templates, check_golden: Callable[[str, bytes], None]
) -> None:
    report = made_films.CASES[name]().report(templates)
    check_golden(f"{name}.txt", as_text.render(report, templates, {}))


def test_the_json_report_is_as_reviewed(templates: Templates, check_golden: Callable[[str, bytes], None]) -> None:
    report = made_films.cluster().report(templates, has_pictures=True)
    content = as_json.render(report, templates, {})
    check_golden("films/cluster.json", content)
    assert Report.model_validate_json(content) == report
