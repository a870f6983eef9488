"""Codes of what a RIS receives: the standard's where they exist, our own names otherwise.

Standard codes are only those that the concept dictionary of DICOM PS3.16 holds. Our own are the names of fields of
``report.json`` and the words that stand there; with them a site maps whatever it wants to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept."""

    system: Literal["LN", "SCT", "DCM"]
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

MM: Final = Unit("mm", "mm")
MM3: Final = Unit("mm3", "mm3")
HU: Final = Unit("[hnsf'U]", "HU")
ONE: Final = Unit("1", "1")
PIXELS: Final = Unit("{pixels}", "pixels")

STUDY_UID: Final = Code("DCM", "113014", "DICOM Study")
FINDING: Final = Code("DCM", "121071", "Finding")

SERVICES: Final = {
    "CT": Code("LN", "25045-6", "CT unspecified body region"),
    "CR": Code("LN", "43468-8", "X-Ray Report"),
    "DX": Code("LN", "43468-8", "X-Ray Report"),
}
"""What was reported on, by modality."""

REPORT: Final = Code("LN", "18748-4", "Diagnostic Imaging Report")
"""For every other modality, and for text outside any section."""

DEPARTMENTS: Final = {"CT": ("CT", "CAT Scan"), "CR": ("RX", "Radiograph"), "DX": ("RX", "Radiograph")}
"""Diagnostic service section (HL7 table 0074) by modality."""

OTHER_DEPARTMENT: Final = ("RAD", "Radiology")

SECTIONS: Final = {
    "clinical": Code("LN", "55752-0", "Clinical Information"),
    "technique": Code("LN", "55111-9", "Current Procedure Descriptions"),
    "comparison": Code("DCM", "111424", "Comparison to previous studies"),
    "findings": Code("LN", "59776-5", "Findings"),
    "impression": Code("LN", "19005-8", "Impressions"),
    "recommendation": Code("LN", "18783-1", "Recommendations"),
}
"""Sections of the text that have a code; the others go by our own names."""

SIDES: Final = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}

REGIONS: Final = {
    "lower leg": Code("SCT", "30021000", "Lower leg"),
    "calf": Code("SCT", "53840002", "Calf of leg"),
    "thigh": Code("SCT", "68367000", "Thigh"),
    "knee": Code("SCT", "72696002", "Knee"),
    "hip": Code("SCT", "29836001", "Hip"),
    "foot": Code("SCT", "56459004", "Foot"),
    "forearm": Code("SCT", "14975008", "Forearm"),
    "upper arm": Code("SCT", "40983000", "Upper arm"),
    "shoulder": Code("SCT", "16982005", "Shoulder"),
    "neck": Code("SCT", "45048000", "Neck"),
    "buttock": Code("SCT", "46862004", "Buttock"),
    "back": Code("SCT", "77568009", "Back"),
    "chest wall": Code("SCT", "78904004", "Chest wall"),
    "retroperitoneum": Code("SCT", "82849001", "Retroperitoneum"),
}
"""Region by its name in the report; any other stays text."""
