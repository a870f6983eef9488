"""``report.txt``: the section a radiologist pastes."""

from __future__ import annotations

from collections.abc import Mapping

from calcreport.formats.rendered import Rendered
from calcreport.formats.templates import Templates
from calcreport.formats.text.plain_text import write_section
from calcreport.model.report import Report


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> Rendered:  # noqa: ARG001 - one signature
    """Render the text section; parameters as in every renderer, pictures are not used."""
    return Rendered(
        content=write_section(report, templates).encode("ascii"),
        media_type="text/plain; charset=us-ascii",
        suffix=".txt",
    )
