"""``report.json``: the report itself, every number at full precision."""

from __future__ import annotations

import json
from collections.abc import Mapping

from calcreport.formats.templates import Templates
from calcreport.model.report import Report


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001 - one signature
    """Render the report as JSON in UTF-8; parameters as in every renderer, templates and pictures are not used."""
    text = report.model_dump_json(by_alias=True, indent=2)
    return f"{text}\n".encode()


def report_json_schema() -> str:
    """JSON Schema of ``report.json``, as ``calcreport schema report`` prints it and ``docs/schema`` publishes it."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Report.model_json_schema(mode="serialization"), indent=2, ensure_ascii=False) + "\n"
