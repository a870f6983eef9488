"""Text of a ``report.json``, of this or an earlier run, to a checked report."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from pydantic import ValidationError

from calcreport.errors import UsageError
from calcreport.model.decision import Capabilities
from calcreport.model.findings import Findings
from calcreport.model.report import READABLE_VERSIONS, SCHEMA_VERSION, Report
from calcreport.model.typed_mistakes import spell_path
from calcreport.resources import rule_texts
from calcreport.rules import load_rules
from calcreport.rules.prior_match import EarlierReport

MAX_REPORT_BYTES: Final = 50_000_000  # a report of a thousand lesions is 10 MB
_MOST_NAMED: Final = 5  # mistakes listed in one message


def report_from_text(text: str) -> Report:
    """Read ``report.json``, hostile text; fields later than its version are at their defaults.

    Raises `UsageError` ``report.not_json``, ``report.other_version``, ``report.invalid``; no value is repeated.
    """
    try:
        data: Any = json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_once_each)
        where = ""
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        data, where = None, f" (its JSON breaks off at line {line})" if line else ""
    if not isinstance(data, dict) or "schema_version" not in data:
        msg = f"the file is not a report.json{where}; name the one that calcreport wrote into a study's folder"
        raise UsageError(msg, code="report.not_json")
    if data["schema_version"] not in READABLE_VERSIONS:
        known = " and ".join(READABLE_VERSIONS)
        msg = f"the report has another schema version than {known}; use the calcreport version it was made with"
        raise UsageError(msg, code="report.other_version")
    try:
        if _complete(data) or data["schema_version"] != SCHEMA_VERSION:
            text = json.dumps(data | {"schema_version": SCHEMA_VERSION})
        report = Report.model_validate_json(text)
        impossible = list(find_impossible(report, data))
        if not impossible:
            return report
        shown = ", ".join(spell_path(where) for where in impossible[:_MOST_NAMED])
    except (ValidationError, RecursionError) as error:
        mistakes = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
        places = [spell_path(str(part) for part in item["loc"]) for item in mistakes[:_MOST_NAMED]]
        shown = ", ".join(places) or "its nesting"
    # Raised outside the handler: the cause would carry the values into a traceback.
    msg = f"the report is damaged or was edited wrongly at: {shown}; take the original one"
    raise UsageError(msg, code="report.invalid")


def _complete(data: dict[str, Any]) -> bool:
    """Add to the recommendations of an earlier report what they are by the tables; whether anything was missing."""
    lesions = data.get("lesions")
    holders = [data, *(lesions if isinstance(lesions, list) else ())]
    lists = [holder.get("recommendations") for holder in holders if isinstance(holder, dict)]
    entries = [entry for entries in lists if isinstance(entries, list) for entry in entries]
    earlier = [entry for entry in entries if isinstance(entry, dict) and "is_referral" not in entry]
    known = load_rules(rule_texts()).capabilities if earlier else Capabilities()
    for entry in earlier:
        name = str(entry.get("id"))
        entry |= {key: known.has_any((name,), key) for key in ("is_referral", "forbids_biopsy")}
        entry["is_same_day"] = name in known.contacts
    return bool(earlier)


def _finite(number: str) -> float:
    """Read a number; NaN and infinity, which Python's JSON allows, are none (`UsageError` ``report.invalid``)."""
    if math.isfinite(float(number)):
        return float(number)
    msg = "the report was damaged or edited wrongly: it holds a number that is none (NaN, infinity); take the original"
    raise UsageError(msg, code="report.invalid")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Take over the entries of an object; a name given twice is ``report.invalid``, as one value would be lost."""
    entries = dict(pairs)
    if len(entries) == len(pairs):
        return entries
    msg = "the report was edited wrongly: an entry is given twice; keep one of them, or take the original"
    raise UsageError(msg, code="report.invalid")


def findings_of_report(report: Report) -> Findings:
    """Findings a report was made from; `UsageError` ``report.no_findings`` when it does not hold them."""
    with contextlib.suppress(ValidationError):
        return Findings.model_validate(report.findings)
    # Raised outside the handler: the cause would carry the values into a traceback.
    msg = "the report does not hold the findings it was made from, or they were damaged; make it again"
    raise UsageError(msg, code="report.no_findings")


def earlier_report(report: Report) -> EarlierReport:
    """Take over an earlier report to compare with; `UsageError` as `findings_of_report`."""
    return EarlierReport(
        findings=findings_of_report(report),
        study_instance_uid=report.study.study_instance_uid,
        patient=report.study.patient,
        stable_since={
            lesion.id: (day, lesion.growth.stable_from_mm)
            for lesion in report.lesions
            if lesion.growth is not None
            and (day := _iso(lesion.growth.stable_since, date)) is not None
            and lesion.growth.stable_from_mm is not None
        },
        lengths={
            (lesion.id, growth.basis): tuple((day, mm) for text, mm in known if (day := _iso(text, date)) and mm)
            for lesion in report.lesions
            if (growth := lesion.growth) is not None and growth.basis is not None and growth.comparable == "yes"
            for known in [(*growth.earlier_lengths, (growth.prior_date, growth.before_mm))]
        },
    )


def _iso(text: str | None, kind: type[date]) -> date | None:
    """Day or time of a text; ``None`` for one that is no ISO 8601."""
    try:
        return kind.fromisoformat(text or "")
    except ValueError:
        return None


# Names of lesions and UIDs; longest of UIDs and versions; parts of a lesion whose numbers are checked.
_LESION_ID: Final = re.compile(r"L[1-9][0-9]{0,4}")
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_LONGEST: Final = 64
_CHECKED: Final = ("size", "foci", "mass", "density", "depth")

# Names of fields, and the least and largest value any of them can have.
_RANGES: Final = (
    (re.compile(r".*(?<!lps)_mm"), 0.0, 2500.0),
    (re.compile(r".*_mm3"), 0.0, 1e9),
    (re.compile(r".*_hu"), -1e5, 1e5),
    (re.compile(r".*_px"), 0.0, 1e6),
    (re.compile(r"count"), 0.0, 1e7),
)


def find_impossible(report: Report, data: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Find values that cannot be, and yield the path of each; `data` is the checked report as plain values."""
    if report.created is not None and _iso(report.created, datetime) is None:
        yield ("created",)
    if any(len(text) > _LONGEST for text in (report.software.name, report.software.version)):
        yield ("software", "version")
    lesions = (*report.lesions, *(entry.lesion for entry in report.rejected))
    for name in ("id", "tracking_uid"):
        stated = [value for lesion in lesions if (value := getattr(lesion, name)) is not None]
        pattern = _LESION_ID if name == "id" else _UID
        is_twice = max(Counter(stated).values(), default=0) > 1
        if is_twice or any(not pattern.fullmatch(value) or len(value) > _LONGEST for value in stated):
            yield ("lesions", name)
    for number, lesion in enumerate(data["lesions"]):
        for part in _CHECKED:
            yield from (("lesions", str(number), part, name) for name in _out_of_range(lesion[part]))


def _out_of_range(part: dict[str, Any]) -> Iterator[str]:
    for name, value in part.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and any(p.fullmatch(name) and not low <= value <= high for p, low, high in _RANGES):
            yield name
