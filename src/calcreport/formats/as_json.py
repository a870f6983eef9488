"""``report.json``: the report itself, every number at full precision."""

from __future__ import annotations

from collections.abc import Mapping

from calcreport.formats.templates import Templates
from calcreport.model.report import Report


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001 - one signature
    """Render the report as JSON in UTF-8; parameters as in every renderer, templates and pictures are not used."""
    text = report.model_dump_json(by_alias=True, indent=2)
    return f"{text}\n".encode()
