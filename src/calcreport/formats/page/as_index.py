"""``index.html``: one row a study, when there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from calcreport.formats.page.as_html import show_date, show_name
from calcreport.formats.templates import Templates, render_template
from calcreport.model.report import Concern, Report

INDEX_TEMPLATE: Final = "index.html.j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """A study in the index."""

    folder: str
    """Name of its folder beside the index; empty when it has no page."""
    status: Literal["reported", "no_calcification", "refused"]
    """Outcome of the study."""
    title: str = ""
    patient: str = ""
    date: str = ""
    """Description, patient and study date as received."""
    lesion_count: int | None = None
    """Lesions reported; ``None`` when nothing was measured."""
    concern: Concern | None = None
    """Highest concern; ``None`` when nothing was measured."""
    message: str = ""
    """Why it was refused, and what to do."""

    @property
    def link(self) -> str:
        """Address of its page; empty when it has none."""
        has_page = self.folder and self.status != "refused"
        return f"{quote(self.folder, safe='')}/report.html" if has_page else ""


def index_entry(report: Report, folder: str) -> IndexEntry:
    """Make the row of a reported study."""
    study = report.study
    identity = " ".join(filter(None, (show_name(study.patient.name), study.patient.id)))
    return IndexEntry(
        folder=folder,
        status="reported" if report.lesions or report.rejected else "no_calcification",
        title=study.description or study.body_part or study.modality,
        patient=identity,
        date=show_date(study.study_date),
        lesion_count=len(report.lesions),
        concern=report.concern if report.lesions or report.concern is not Concern.NONE else None,
    )


def render_index(entries: Sequence[IndexEntry], templates: Templates, *, software: str) -> bytes:
    """Render the index page, most severe study first, refused ones right behind those of high concern.

    `software` is name and version, for the foot of the page. Raises `TemplateError` when a template cannot be rendered.
    """
    page = render_template(
        templates, INDEX_TEMPLATE, is_html=True, rows=sorted(entries, key=_urgency), software=software
    )
    return page.encode()


def _urgency(entry: IndexEntry) -> tuple[float, str, str]:
    if entry.status == "refused":
        return (0.5, entry.date, entry.folder)
    rank = len(Concern) if entry.concern is None else list(Concern).index(entry.concern)
    return (float(rank), entry.date, entry.folder)
