"""Codes and measured numbers by name, from ``codes.toml``, for DICOM objects, HL7 and FHIR alike; read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from calcreport.resources import packaged_text

_TABLES: Final = tomllib.loads(packaged_text("formats/codes.toml"))  # of codes


def table_of(name: str) -> Any:  # noqa: ANN401 - as the file has it
    """Table or list of the file, such as the regions whose code HL7 and FHIR receive."""
    return _TABLES[name]


def rows_of(table: str) -> Mapping[str, tuple[str, str, str]]:
    """Coding scheme, value and meaning by name."""
    return {name: (scheme, value, meaning) for name, (scheme, value, meaning) in table_of(table).items()}
