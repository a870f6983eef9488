"""Reports to render: the reviewed ones, read back from their JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from calcreport.formats import Templates, load_templates
from calcreport.model.report import Report
from calcreport.resources import template_texts

EXPECTED = Path(__file__).parents[2] / "golden" / "expected"


@pytest.fixture(scope="session")
def templates() -> Templates:
    return load_templates(template_texts())


@pytest.fixture(scope="session")
def reports() -> dict[str, Report]:
    return {path.stem: Report.model_validate_json(path.read_bytes()) for path in sorted(EXPECTED.glob("*.json"))}
