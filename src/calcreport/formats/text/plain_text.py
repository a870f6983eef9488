"""The text section: what a radiologist pastes into the dictation system."""

from __future__ import annotations

from calcreport.compose import Narrative, narrate
from calcreport.formats.characters import lay_out, to_ascii
from calcreport.formats.templates import Templates, render_template
from calcreport.model.report import Report

TEXT_TEMPLATE = "report.txt.j2"


def write_section(report: Report, templates: Templates, narrative: Narrative | None = None) -> str:
    """Write the report section as plain text.

    Parameters
    ----------
    report : Report
        The report.
    templates : Templates
        Layout and wording.
    narrative : Narrative | None
        The report in words, where the caller has it already.

    Returns
    -------
    str
        Printable 7-bit ASCII, no line longer than 80 columns, ending in a line break.

    Raises
    ------
    TemplateError
        When the template cannot be rendered.
    """
    words = narrative or narrate(report, templates.statements)
    text = render_template(templates, TEXT_TEMPLATE, is_html=False, report=report, say=words)
    # a site's layout may itself hold other characters
    return lay_out("\n".join(map(to_ascii, text.split("\n"))))
