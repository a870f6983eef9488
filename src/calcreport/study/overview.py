"""``summary.json`` and ``index.html`` of a results folder, brought up to date when one study is rendered again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from calcreport.errors import UsageError
from calcreport.files.report import report_from_text
from calcreport.formats import FILE_NAMES, Templates
from calcreport.formats.page.as_html import IndexEntry, index_entry, render_index
from calcreport.model.report import Report
from calcreport.study.folder import ResultsFolder
from calcreport.study.result import SUMMARY_FILE, StudyOutcome, read_summary, status_of

INDEX_FILE: Final = "index.html"  # in the results folder


def update_overview(results: ResultsFolder, root: Path, folder: str, report: Report, templates: Templates) -> None:
    """Write the row of one study anew; without a summary of this program there is nothing to write.

    `root` is the results folder as a path, `report` what the study's folder holds now. Raises `OutputError`.
    """
    summary = read_summary(root)
    if summary is None or all(study.folder != folder for study in summary.studies):
        return
    studies = tuple(_updated(study, report) if study.folder == folder else study for study in summary.studies)
    updated = summary.model_copy(update={"studies": studies})
    results.write_file(SUMMARY_FILE, updated.to_bytes())
    if (root / INDEX_FILE).is_file():
        software = f"{report.software.name} {report.software.version} · {report.created}"
        rows = [_row(study, root) for study in studies]
        results.write_file(INDEX_FILE, render_index(rows, templates, software=software))


def _updated(study: StudyOutcome, report: Report) -> StudyOutcome:
    counts = study.counts.model_copy(update={"lesions": len(report.lesions), "excluded": len(report.excluded)})
    return study.model_copy(update={"status": status_of(report), "concern": report.concern, "counts": counts})


def _row(study: StudyOutcome, root: Path) -> IndexEntry:
    """Row of a study; of a refused one only its folder is known here."""
    if study.status != "refused":
        try:
            text = (root / study.folder / FILE_NAMES["json"]).read_text(encoding="utf-8")
            return index_entry(report_from_text(text), study.folder)
        except (OSError, ValueError, UsageError):
            pass
    message = f"{study.code}: {study.message}" if study.code else ""
    return IndexEntry(folder=study.folder, status=study.status, concern=study.concern, message=message)
