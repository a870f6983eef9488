"""The text section: what a radiologist pastes into the dictation system."""

from __future__ import annotations

from calcreport.compose import Narrative, narrate
from calcreport.formats.characters import lay_out, to_ascii
from calcreport.formats.templates import Templates, render_template
from calcreport.model.report import Report

TEXT_TEMPLATE = "report.txt.j2"


def write_section(report: Report, templates: Templates, narrative: Narrative | None = None) -> str:
    """Write the report section as printable 7-bit ASCII, no line longer than 80 columns, ending in a line break.

    `narrative` is the report in words, where the caller has it already. Raises `TemplateError` when the template cannot
    be rendered.
    """
    words = narrative or narrate(report, templates.statements)
    text = render_template(templates, TEXT_TEMPLATE, is_html=False, report=report, say=words)
    # a site's layout may itself hold other characters
    return lay_out("\n".join(map(to_ascii, text.split("\n"))))
