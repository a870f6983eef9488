"""``report.txt``, the section a radiologist pastes, and ``report_full.txt`` with every detail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from calcreport.compose import Narrative, narrate
from calcreport.formats.characters import lay_out, to_ascii
from calcreport.formats.rendered import Rendered
from calcreport.formats.templates import Templates, render_template
from calcreport.model.report import Report

TEXT_TEMPLATE: Final = "report.txt.j2"
_FULL_TEMPLATE: Final = "report_full.txt.j2"


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> Rendered:  # noqa: ARG001 - one signature
    """Render the text section; parameters as in every renderer, pictures are not used."""
    return _as_plain(write_section(report, templates))


def render_full(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> Rendered:  # noqa: ARG001
    """Render the full text; parameters as in every renderer, pictures are not used."""
    return _as_plain(write_full_text(report, templates))


def _as_plain(text: str) -> Rendered:
    return Rendered(content=text.encode("ascii"), media_type="text/plain; charset=us-ascii", suffix=".txt")


def write_section(
    report: Report, templates: Templates, narrative: Narrative | None = None, *, is_wrapped: bool = True
) -> str:
    """Write the report section as printable 7-bit ASCII, a paragraph a line, ending in a line break.

    With `is_wrapped` lines are folded where the settings of the report name a width. `narrative` is the report in
    words, where the caller has it already. Raises `TemplateError` when the template cannot be rendered.
    """
    layout = report.settings.get("text")
    columns = layout.get("wrap_columns") if isinstance(layout, dict) and is_wrapped else None
    return _write(report, templates, TEXT_TEMPLATE, narrative or narrate(report, templates.statements), columns)


def write_full_text(report: Report, templates: Templates) -> str:
    """Write every lesion, flag, recommendation and limitation, in lines of at most 80 columns; else as the section."""
    return _write(report, templates, _FULL_TEMPLATE, narrate(report, templates.statements), 80)


def _write(report: Report, templates: Templates, template: str, words: Narrative, columns: int | None) -> str:
    text = render_template(templates, template, is_html=False, report=report, say=words)
    # a site's layout may itself hold other characters
    return lay_out("\n".join(map(to_ascii, text.split("\n"))), columns)
