"""Codes and measured numbers by name, from ``codes.toml``, for DICOM objects, HL7 and FHIR alike; read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from calcreport.resources import packaged_text


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(packaged_text("formats/codes.toml"))


def rows_of(table: str) -> Mapping[str, tuple[str, str, str]]:
    """Coding scheme, value and meaning by name."""
    return {name: (scheme, value, meaning) for name, (scheme, value, meaning) in _tables()[table].items()}


def measured_of(group: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Numbers of a lesion: path in ``report.json``, words, UCUM unit, and the three parts of a code or none."""
    return [(path, words, unit, tuple(code)) for path, (words, unit, *code) in _tables()[f"measured_{group}"].items()]


def region_names() -> list[str]:
    """Names of regions whose code HL7 and FHIR receive; each is that of a site, with blanks."""
    return list(_tables()["regions"])


def unpaired_parts() -> list[str]:
    """Body Part Examined of what the patient has one of."""
    return list(_tables()["unpaired"])
