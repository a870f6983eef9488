"""Codes and measured numbers by name, from ``codes.toml``, for DICOM objects, HL7 and FHIR alike; read once."""

from __future__ import annotations

import tomllib
from typing import Any, Final

from calcreport.resources import packaged_text

_TABLES: Final = tomllib.loads(packaged_text("formats/codes.toml"))  # of codes


def table_of(name: str) -> Any:  # noqa: ANN401 - as the file has it
    """Table or list of the file; coded concepts by name are rows of coding scheme, value and meaning."""
    return _TABLES[name]
