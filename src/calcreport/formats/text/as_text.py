"""``report.txt``, the section a radiologist pastes, and ``report_full.txt`` with every detail."""

from __future__ import annotations

from collections.abc import Mapping

from calcreport.formats.rendered import Rendered
from calcreport.formats.templates import Templates
from calcreport.formats.text.plain_text import write_full_text, write_section
from calcreport.model.report import Report


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> Rendered:  # noqa: ARG001 - one signature
    """Render the text section; parameters as in every renderer, pictures are not used."""
    return _as_plain(write_section(report, templates))


def render_full(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> Rendered:  # noqa: ARG001
    """Render the full text; parameters as in every renderer, pictures are not used."""
    return _as_plain(write_full_text(report, templates))


def _as_plain(text: str) -> Rendered:
    return Rendered(content=text.encode("ascii"), media_type="text/plain; charset=us-ascii", suffix=".txt")
