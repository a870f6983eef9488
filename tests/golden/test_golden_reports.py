"""Whole reports, compared exactly."""

from __future__ import annotations

from collections.abc import Callable

from calcreport.formats import as_json
from calcreport.formats.templates import Templates
from calcreport.formats.text import as_text
from calcreport.model.report import Report


def test_the_text_section_is_as_reviewed(
    named_report: tuple[str, Report], templates: Templates, check_golden: Callable[[str, bytes], None]
) -> None:
    name, report = named_report
    check_golden(f"{name}.txt", as_text.render(report, templates, {}))


def test_the_json_report_is_as_reviewed(
    named_report: tuple[str, Report], templates: Templates, check_golden: Callable[[str, bytes], None]
) -> None:
    name, report = named_report
    content = as_json.render(report, templates, {})
    check_golden(f"{name}.json", content)
    assert Report.model_validate_json(content) == report
