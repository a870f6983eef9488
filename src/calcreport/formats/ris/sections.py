"""The text section, cut into the sections a RIS keeps apart."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from calcreport.formats.characters import lay_out, to_ascii
from calcreport.formats.templates import Templates
from calcreport.formats.text.as_text import write_section
from calcreport.model.report import Report
from calcreport.text.narrative import narrate
from calcreport.text.statements import Statements

_HEADINGS: Final = "heading."  # start of the ids of headings
DRAFT: Final = "draft"  # name of the sentence that says what the text is
WHOLE: Final = "report"
"""Name of text that stands before any heading: all of it, where a site's layout brings headings of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of the report."""

    name: str
    """Id of its heading, such as ``"impression"``; `DRAFT` for the sentence that says what the text is, `WHOLE`."""
    heading: str
    """As it stands in the text; empty for `DRAFT` and `WHOLE`."""
    text: str
    """Paragraphs of printable ASCII, one a line, without the heading and without a line break at the end."""


def cut_sections(report: Report, templates: Templates) -> tuple[Section, ...]:
    """Cut the text section at its headings: the words of ``report.txt``, a paragraph a line, no empty section.

    The layout is rendered with marks in place of the headings, which nobody who writes a header or a clinical file can
    foresee: text that reads like a heading never opens a section. Raises `TemplateError` when it cannot be rendered.
    """
    statements = templates.statements
    mark = f"x{hashlib.sha256(report.model_dump_json().encode('utf-8', 'backslashreplace')).hexdigest()[:24]}"
    headings = {name: text for name, text in statements.texts.items() if name.startswith(_HEADINGS)}
    marked = {name: f"{mark}-{name.removeprefix(_HEADINGS)}" for name in headings}
    wording = Statements(texts=MappingProxyType({**statements.texts, **marked}))
    narrative = narrate(report, statements)
    marked_draft = replace(narrative, draft=f"{mark}-{DRAFT}")
    text = write_section(report, replace(templates, statements=wording), marked_draft, is_wrapped=False)
    before, *parts = re.split(rf"(?:^|  ){mark}-(\w+):?[ ]*", text, flags=re.MULTILINE)
    draft = lay_out(to_ascii(narrative.draft), None)
    sections = [(WHOLE, before)] + [
        (name, f"{draft}{body}" if name == DRAFT else body) for name, body in zip(parts[::2], parts[1::2], strict=True)
    ]
    # A layout may name a heading in the middle of a line.
    names = {**headings, f"{_HEADINGS}{DRAFT}": narrative.draft}
    unmark = partial(re.sub, rf"{mark}-(\w+)", lambda match: to_ascii(names[f"{_HEADINGS}{match[1]}"]))
    return tuple(
        Section(name=name, heading=to_ascii(headings.get(f"{_HEADINGS}{name}", "")), text=unmark(body).strip("\n"))
        for name, body in sections
        if body.strip()
    )
