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

from calcreport.formats.templates import Templates, load_templates
from calcreport.model.report import Report

Renderer = Callable[[Report, Templates, Mapping[str, bytes]], bytes]
"""``(report, templates, pictures by file name) -> content of the file``; raises `TemplateError`."""


def _late(module: str, function: str) -> Renderer:
    """Renderer of a module that is imported when it is first used."""

    def render(report: Report, templates: Templates, pictures: Mapping[str, bytes]) -> bytes:
        content: bytes = getattr(import_module(f"{__name__}.{module}"), function)(report, templates, pictures)
        return content

    return render


_FORMATS: Final = {  # module and function that render it, and the file it is written to
    "text": ("text.as_text", "render", "report.txt"),
    "text-full": ("text.as_text", "render_full", "report_full.txt"),
    "json": ("as_json", "render", "report.json"),
    "html": ("page.as_html", "render", "report.html"),
    "pdf": ("page.as_pdf", "render", "report.pdf"),
    "hl7": ("ris.as_hl7", "render", "oru.hl7"),
    "fhir": ("ris.as_fhir", "render", "fhir.json"),
}
RENDERERS: Final[Mapping[str, Renderer]] = MappingProxyType({name: _late(*row[:2]) for name, row in _FORMATS.items()})
"""Renderer by the name used with ``--format``."""

FILE_NAMES: Final = MappingProxyType({name: row[2] for name, row in _FORMATS.items()} | {"sr": "sr.dcm"})
"""File a format is written to, in the study's folder."""

OBJECTS: Final = frozenset(("sr", "seg", "sc", "pdf", "sr-volumetric"))
"""Formats that give DICOM objects; ``pdf`` gives one beside its document."""

TABLE_FORMAT: Final = "csv"
"""``studies.csv`` and ``lesions.csv`` of a whole run, beside the folders of its studies."""

FORMATS: Final = (*RENDERERS, "png", "sr", "seg", "sc", "sr-volumetric", TABLE_FORMAT, "nifti", "coco")
"""Every name ``--format`` knows."""

DEFAULT_FORMATS: Final = ("text", "json", "html", "png", "sr", "seg", "sc")
"""Everything that needs no extra installation and that every hospital can use."""

__all__ = ["Templates", "load_templates"]
