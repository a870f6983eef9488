"""``report.txt``, the section a radiologist pastes, and ``report_full.txt`` with every detail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from calcreport.formats.characters import lay_out, to_ascii
from calcreport.formats.templates import Templates, render_template
from calcreport.model.report import Report
from calcreport.text.narrative import Narrative, narrate

TEXT_TEMPLATE: Final = "report.txt.j2"  # of the section
_FULL_TEMPLATE: Final = "report_full.txt.j2"  # of every detail


def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001 - one signature
    """Render the text section; parameters as in every renderer, pictures are not used."""
    return write_section(report, templates).encode("ascii")


def render_full(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:  # noqa: ARG001
    """Render every lesion, flag, recommendation and limitation in lines of 80 columns at most; no picture is used."""
    words = narrate(report, templates.statements)
    return _write(report, templates, _FULL_TEMPLATE, words, 80).encode("ascii")


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


def _write(report: Report, templates: Templates, template: str, words: Narrative, columns: int | None) -> str:
    text = render_template(templates, template, is_html=False, report=report, say=words)
    # a site's layout may itself hold other characters
    return lay_out("\n".join(map(to_ascii, text.split("\n"))), columns)
