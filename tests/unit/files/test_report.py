"""Reports of earlier runs as text: read, or refused without repeating what they hold."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from calcreport.errors import UsageError
from calcreport.files.report import earlier_report, findings_of_report, report_from_text

MINIMAL: dict[str, Any] = {
    "schema_version": "1.0",
    "software": {"name": "calcreport", "version": "0", "rules_version": "0"},
    "study": {"study_instance_uid": "1.2", "study_date": None, "modality": "CT", "description": None, "patient": {}},
    "series": [],
    "technique": None,
    "lesions": [],
    "excluded": [],
    "patient": {},
    "concern": "none",
    "flags_summary": {},
    "impression": [],
    "recommendations": [],
    "limitations": [],
    "clinical": {},
    "settings": {},
    "findings": {"study_date": "2026-01-01", "lesions": []},
}


def _refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        findings_of_report(report_from_text(text))
    assert caught.value.__context__ is None, "the cause would carry what the report holds into a traceback"
    return caught.value


def test_a_report_is_read() -> None:
    report = report_from_text(json.dumps(MINIMAL))
    assert findings_of_report(report).study_date == date(2026, 1, 1)
    assert earlier_report(report).study_instance_uid == "1.2"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_report_of_any_readable_version_is_read_as_the_present_one(version: str) -> None:
    report = report_from_text(json.dumps(MINIMAL | {"schema_version": version}))
    assert (report.schema_version, report.searched) == ("1.1", ())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("R09", (True, False, False)),
        ("R11", (False, True, False)),
        ("R13", (False, False, True)),
        ("R21", (False,) * 3),
    ],
)
def test_an_earlier_report_is_read_with_what_its_recommendations_are(name: str, told: tuple[bool, ...]) -> None:
    row = {"id": name, "text": "x", "sources": ["s"]}
    (entry,) = report_from_text(json.dumps(MINIMAL | {"recommendations": [row]})).recommendations
    assert (entry.is_referral, entry.forbids_biopsy, entry.is_same_day) == told
    own = row | {"is_referral": True, "forbids_biopsy": True, "is_same_day": False}
    (entry,) = report_from_text(json.dumps(MINIMAL | {"recommendations": [own]})).recommendations
    assert (entry.is_referral, entry.forbids_biopsy, entry.is_same_day) == (True, True, False), "as written"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "report.not_json"),
        ("{", "report.not_json"),
        ("[]", "report.not_json"),
        ("[" * 100_000, "report.not_json"),
        ('{"a": ' + "9" * 5000 + "}", "report.not_json"),
        ('{"schema_version": "1.0",\n "lesions": 5,4}', "report.not_json"),
        ('{"schema_version": "1.0", "lesions": [], "lesions": []}', "report.invalid"),
        ('{"schema_version": "2.0"}', "report.other_version"),
        ('{"schema_version": null}', "report.other_version"),
        ('{"schema_version": ["1.0"]}', "report.other_version"),
        ('{"schema_version": "1.0"}', "report.invalid"),
        (json.dumps(MINIMAL | {"lesions": 5}), "report.invalid"),
        (json.dumps(MINIMAL | {"secret\u001b": "secret"}), "report.invalid"),
        (json.dumps(MINIMAL | {"impression": ["\ud83d"]}), "report.invalid"),  # half a character
        (json.dumps({key: value for key, value in MINIMAL.items() if key != "findings"}), "report.no_findings"),
        (json.dumps(MINIMAL | {"findings": {"lesions": [{"size": {"max_diameter_mm": -1}}]}}), "report.no_findings"),
        (json.dumps(MINIMAL).replace('"study_date": "2026-01-01"', '"slice_thickness_mm": NaN'), "report.invalid"),
    ],
)
def test_what_is_no_report_is_refused_by_code(text: str, code: str) -> None:
    error = _refusal(text)
    assert error.code == code
    assert "secret" not in error.message.replace("(unreadable key)", "")
    assert error.message.isprintable()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    text = json.dumps(MINIMAL).replace('"clinical": {}', f'"clinical": {{"size": {number}}}')
    assert number in text
    assert _refusal(text).code == "report.invalid"
