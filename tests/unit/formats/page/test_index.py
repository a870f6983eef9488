from __future__ import annotations

from calcreport.formats import Templates
from calcreport.formats.page.as_html import IndexEntry, index_entry, render_index
from calcreport.model.report import Concern, Report


def test_the_index_has_one_row_a_study_most_worrying_first(reports: dict[str, Report], templates: Templates) -> None:
    entries = [index_entry(report, f"1.2.{number}") for number, report in enumerate(reports.values())]
    entries.append(IndexEntry(folder="1.2.99", status="refused", message="Geometry: slices are missing."))
    page = render_index(entries, templates, software="calcreport 0.1.0").decode()
    assert page.count("<tr>") == len(entries) + 1
    order = [page.index(entry.folder) for entry in entries if entry.concern is Concern.HIGH]
    assert max(order) < page.index("Geometry: slices are missing.") < page.index("no calcification detected")
    assert 'href="1.2.99/' not in page


def test_a_hostile_row_cannot_leave_its_folder_or_its_cell(templates: Templates) -> None:
    entry = IndexEntry(folder='../../x"><script>', status="reported", title="<script>alert(1)</script>", lesion_count=1)
    page = render_index([entry], templates, software="calcreport").decode()
    assert "<script>" not in page
    assert 'href="..%2F..%2Fx%22%3E%3Cscript%3E/report.html"' in page
