"""Vignettes as rows of a table (``rows.yaml``): findings and history typed, and what one careful reader expects."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from calcreport.files.findings import checked_findings
from calcreport.files.typed_text import values_from_text
from calcreport.formats.text.as_text import write_section
from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Report
from calcreport.text.statements import Statements

sys.path.append(str(Path(__file__).parents[1] / "properties"))

from test_section import report_of
from test_text_against_json import templates

ROWS = values_from_text(Path(__file__).with_name("rows.yaml").read_text(encoding="utf-8"), area="findings")
KEYS = {
    "lead", "lead_not", "also", "flags", "concern", "concern_not", "rec", "norec", "impression", "says", "never",
}  # fmt: skip
MOST_WORDS = 160


def report_on(row: dict[str, Any], wording: Statements | None = None) -> Report:
    findings = checked_findings({"modality": row.get("modality", "CT"), "lesions": row["lesions"]})
    assert isinstance(findings, Findings)
    return report_of(findings, parse_clinical(row["clinical"]), wording=wording)


def differences(row: dict[str, Any]) -> list[str]:
    """Name what differs from what the row expects; empty where nothing does."""
    expect, report = row["expect"], report_on(row)
    assert set(expect) <= KEYS, set(expect) - KEYS
    text = write_section(report, templates())
    low = re.sub(r"\s+", " ", text).lower()
    impression = low.partition("impression:")[2].partition("limitation:")[0]
    leads = {lesion.differential[0].id for lesion in report.lesions if lesion.differential}
    likely = {e.id for lesion in report.lesions for e in lesion.differential if e.weight in {"+", "++"}}
    advice = {entry.id for entry in report.recommendations}
    found = [f"lead {leads}"] if "lead" in expect and not leads & set(expect["lead"]) else []
    found += [f"lead {leads}"] if leads & set(expect.get("lead_not", ())) else []
    found += [f"lacks {name} among {likely}" for name in expect.get("also", ()) if name not in likely]
    for name, allowed in expect.get("flags", {}).items():
        states = {getattr(lesion.flags, name).state.value for lesion in report.lesions}
        found += [] if states & set(allowed) else [f"{name} {states}"]
    is_expected = str(report.concern) in expect.get("concern", [str(report.concern)])
    found += [] if is_expected and str(report.concern) not in expect.get("concern_not", ()) else [f"{report.concern}"]
    found += [f"advice lacks {name}: {advice}" for name in expect.get("rec", ()) if name not in advice]
    found += [f"advises {name}" for name in expect.get("norec", ()) if name in advice]
    words = expect.get("impression", ())
    found += [f"impression lacks {words}"] if words and not any(word.lower() in impression for word in words) else []
    found += [f"lacks '{word}'" for word in expect.get("says", ()) if word.lower() not in low]
    found += [f"has '{w}'" for w in expect.get("never", ()) if w.lower() in (impression if w == "sarcoma" else low)]
    found += [f"{len(text.split())} words"] if len(text.split()) > MOST_WORDS else []
    return [*found, text] if found else []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_row_is_read_as_a_careful_reader_reads_it(row: dict[str, Any]) -> None:
    found = differences(row)
    assert not found, "\n".join(found)
