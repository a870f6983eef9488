"""What no report of this program holds, although its fields have the right types: the marks of an edit gone wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from calcreport.model.report import Report

_LESION_ID: Final = re.compile(r"L[1-9][0-9]{0,4}")
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_LONGEST_UID: Final = 64
_LONGEST_VERSION: Final = 64

_RANGES: Final = (
    (re.compile(r".*(?<!lps)_mm"), 0.0, 2500.0),
    (re.compile(r".*_mm3"), 0.0, 1e9),
    (re.compile(r".*_hu"), -1e5, 1e5),
    (re.compile(r".*_px"), 0.0, 1e6),
    (re.compile(r"count"), 0.0, 1e7),
)
"""Names of fields, and the least and largest value any of them can have."""

_CHECKED: Final = ("size", "foci", "mass", "density", "depth")


def find_impossible(report: Report, data: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Find values that cannot be, and yield the path of each; `data` is the checked report as plain values."""
    if report.created is not None and not _is_time(report.created):
        yield ("created",)
    if any(len(text) > _LONGEST_VERSION for text in (report.software.name, report.software.version)):
        yield ("software", "version")
    lesions = (*report.lesions, *(entry.lesion for entry in report.rejected))
    for name in ("id", "tracking_uid"):
        told = [value for lesion in lesions if (value := getattr(lesion, name)) is not None]
        pattern = _LESION_ID if name == "id" else _UID
        is_twice = max(Counter(told).values(), default=0) > 1
        if is_twice or any(not pattern.fullmatch(value) or len(value) > _LONGEST_UID for value in told):
            yield ("lesions", name)
    for number, lesion in enumerate(data["lesions"]):
        for part in _CHECKED:
            yield from (("lesions", str(number), part, name) for name in _out_of_range(lesion[part]))


def _out_of_range(part: dict[str, Any]) -> Iterator[str]:
    for name, value in part.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and any(p.fullmatch(name) and not low <= value <= high for p, low, high in _RANGES):
            yield name


def _is_time(text: str) -> bool:
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False
