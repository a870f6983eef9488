"""Formats of the report. A renderer opens no file, reads no clock and decides nothing.

`RENDERERS` holds the formats made from a report alone; pictures need the voxels and have their own functions in
`calcreport.output.as_png` and `calcreport.output.as_overview`, which are imported only where pictures are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from calcreport.model.report import Report
from calcreport.output import as_html, as_json, as_text
from calcreport.output.rendered import Rendered
from calcreport.output.templates import Templates, load_templates

Renderer = Callable[[Report, Templates, Mapping[str, bytes]], Rendered]
"""``(report, templates, pictures by file name) -> Rendered``."""

RENDERERS: Final[Mapping[str, Renderer]] = MappingProxyType(
    {"text": as_text.render, "json": as_json.render, "html": as_html.render}
)
"""Renderer by the name used with ``--format``; the file is named ``report`` plus the suffix."""

__all__ = ["RENDERERS", "Rendered", "Renderer", "Templates", "load_templates"]
