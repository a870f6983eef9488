"""Formats of the report. A renderer opens no file, reads no clock and decides nothing.

`RENDERERS` holds the formats made from a report and its pictures. Pictures need the voxels and have their own functions
in `calcreport.formats.pictures`; DICOM objects have `calcreport.formats.dicom`. Both are imported only where they are
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from calcreport.formats import as_json
from calcreport.formats.page import as_html
from calcreport.formats.templates import Templates, load_templates
from calcreport.formats.text import as_text
from calcreport.model.report import Report

Renderer = Callable[[Report, Templates, Mapping[str, bytes]], bytes]
"""``(report, templates, pictures by file name) -> content of the file``."""


def _late(module: str) -> Renderer:
    """Renderer of a module that is imported when it is first used: a format that few ask for."""

    def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:
        content: bytes = import_module(f"{__name__}.{module}").render(report, templates, pictures)
        return content

    return render


RENDERERS: Final[Mapping[str, Renderer]] = MappingProxyType(
    {
        "text": as_text.render,
        "text-full": as_text.render_full,
        "json": as_json.render,
        "html": as_html.render,
        "pdf": _late("page.as_pdf"),
        "hl7": _late("ris.as_hl7"),
        "fhir": _late("ris.as_fhir"),
    }
)
"""Renderer by the name used with ``--format``."""

FILE_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "text": "report.txt",
        "text-full": "report_full.txt",
        "json": "report.json",
        "html": "report.html",
        "pdf": "report.pdf",
        "hl7": "oru.hl7",
        "fhir": "fhir.json",
        "sr": "sr.dcm",
    }
)
"""File a format is written to, in the study's folder."""

OBJECTS: Final = frozenset(("sr", "seg", "sc", "pdf", "sr-volumetric"))
"""Formats that give DICOM objects; ``pdf`` gives one beside its document."""

FORMATS: Final = (*RENDERERS, "png", "sr", "seg", "sc", "sr-volumetric")
"""Every name ``--format`` knows."""

DEFAULT_FORMATS: Final = ("text", "json", "html", "png", "sr", "seg", "sc")
"""Everything that needs no extra installation and that every hospital can use."""

__all__ = [
    "DEFAULT_FORMATS",
    "FILE_NAMES",
    "FORMATS",
    "OBJECTS",
    "RENDERERS",
    "Renderer",
    "Templates",
    "load_templates",
]
