"""Codes of what a RIS receives: the standard's where they exist, our own names otherwise.

Standard codes are only those that the concept dictionary of DICOM PS3.16 holds. Our own are the names of fields of
``report.json`` and the words that stand there; with them a site maps whatever it wants to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from calcreport.formats.code_table import region_names, rows_of


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept."""

    system: str
    """LOINC, SNOMED CT or the DICOM controlled terminology, as HL7 version 2 calls them."""
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: UCUM code and how it is read."""

    code: str
    text: str


OUR_SYSTEM: Final = "99CALCREPORT"
"""Coding system of our own names in HL7 version 2 and in DICOM objects."""

_UNITS: Final = {"mm": "mm", "mm3": "mm3", "[hnsf'U]": "HU", "1": "1", "{pixels}": "pixels"}
UNITS: Final = {code: Unit(code, text) for code, text in _UNITS.items()}
"""Units by their UCUM code."""

STUDY_UID: Final = Code("DCM", "113014", "DICOM Study")
FINDING: Final = Code("DCM", "121071", "Finding")


def _table(name: str) -> dict[str, Code]:
    return {word: Code(*row) for word, row in rows_of(name).items()}


SERVICES: Final = _table("services")
"""What was reported on, by modality."""

REPORT: Final = Code("LN", "18748-4", "Diagnostic Imaging Report")
"""For every other modality, and for text outside any section."""

DEPARTMENTS: Final = {"CT": ("CT", "CAT Scan"), "CR": ("RX", "Radiograph"), "DX": ("RX", "Radiograph")}
"""Diagnostic service section (HL7 table 0074) by modality."""

OTHER_DEPARTMENT: Final = ("RAD", "Radiology")

SECTIONS: Final = _table("sections")
"""Sections of the text that have a code; the others go by our own names."""

SIDES: Final = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}

_SITES: Final = _table("sites") | _table("further_sites")
REGIONS: Final = {name: _SITES[name.replace(" ", "_")] for name in region_names()}
"""Region by its name in the report; any other stays text."""
