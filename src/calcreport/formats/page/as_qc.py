"""``qc.html``: the studies of a cohort on one page, to sort, to filter and to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from itertools import count
from typing import Final
from urllib.parse import quote

from calcreport.formats.templates import Templates, inline_script, render_template
from calcreport.model.report import Concern

QC_FILE: Final = "qc.html"  # beside the folders of the studies
_TEMPLATE: Final = "qc.html.j2"  # of the page
_SCRIPT: Final = "qc.js"  # the one script of the page
_MOST_ROWS: Final = 20_000  # Rows a browser still sorts in a second; those most in need of a look are kept
_RANK: Final = {"": -1, **{concern.value: number for number, concern in enumerate(Concern)}}  # by concern


@dataclass(frozen=True, slots=True, kw_only=True)
class QcRow:
    """A study on the page; nothing identifies the patient."""

    folder: str
    status: str
    code: str
    message: str
    concern: str
    """Empty when nothing was measured."""
    lesion_count: int
    largest_mm: float | None
    patterns: tuple[str, ...]
    regions: tuple[str, ...]
    thumbnail: str
    """Path of the small picture; empty without one."""

    @property
    def link(self) -> str:
        """Address of the study's page."""
        return "" if self.status == "refused" else f"{quote(self.folder, safe='')}/report.html"

    @property
    def rank(self) -> int:
        """Refused first, then the highest concern."""
        return -1 if self.status == "refused" else _RANK[self.concern]


def render_qc(rows: Iterable[QcRow], templates: Templates, *, software: str, folder: str) -> bytes:
    """Render the page; `folder` is that of the results, for the command that opens a review."""
    numbers = count()
    counted = (row for row, _ in zip(rows, numbers, strict=False))
    kept = nsmallest(_MOST_ROWS, counted, key=lambda row: (row.rank, -(row.largest_mm or 0.0), row.folder))
    choices = {
        "status": sorted({row.status for row in kept}),
        "concern": sorted({row.concern for row in kept if row.concern}, key=_RANK.__getitem__),
        "pattern": sorted({pattern for row in kept for pattern in row.patterns}),
        "code": sorted({row.code for row in kept if row.code}),
    }
    page = render_template(
        templates,
        _TEMPLATE,
        is_html=True,
        rows=kept,
        total=next(numbers),
        choices=choices,
        software=software,
        folder=folder,
        **inline_script(templates.texts[_SCRIPT]),
    )
    return page.encode()
