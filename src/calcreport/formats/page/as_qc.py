"""``qc.html``: the studies of a cohort on one page, to sort, to filter and to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import nsmallest
from itertools import count
from typing import Any, Final

from calcreport.formats.templates import Templates, inline_script, render_template
from calcreport.model.report import Concern

QC_FILE: Final = "qc.html"  # beside the folders of the studies
_TEMPLATE: Final = "qc.html.j2"  # of the page
_SCRIPT: Final = "qc.js"  # the one script of the page
_MOST_ROWS: Final = 20_000  # Rows a browser still sorts in a second; those most in need of a look are kept
RANK: Final = {"": -1, **{concern.value: number for number, concern in enumerate(Concern)}}  # by concern, worst first


def render_qc(rows: Iterable[Mapping[str, Any]], templates: Templates, *, software: str, folder: str) -> bytes:
    """Render the page; `folder` is that of the results, for the command that opens a review.

    A row holds what the template prints of a study, and nothing that identifies the patient; lowest rank comes first.
    """
    numbers = count()
    counted = (row for row, _ in zip(rows, numbers, strict=False))
    kept = nsmallest(_MOST_ROWS, counted, key=lambda row: (row["rank"], -(row["largest_mm"] or 0.0), row["folder"]))
    choices = {
        "status": sorted({row["status"] for row in kept}),
        "concern": sorted({row["concern"] for row in kept if row["concern"]}, key=RANK.__getitem__),
        "pattern": sorted({pattern for row in kept for pattern in row["patterns"]}),
        "code": sorted({row["code"] for row in kept if row["code"]}),
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
