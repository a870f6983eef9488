"""Coded concepts of the DICOM objects: of the standard's context groups where they exist, private ones where none does.

``docs/dicom_conformance.md`` lists what is reused outside its own context group and what every private code means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from pydicom.sr.coding import Code

from calcreport.formats.code_table import rows_of
from calcreport.model.report import BoneRelation, Concern, Confidence, DepthClass, FlagState, Laterality
from calcreport.model.terms import PATTERN_LABELS
from calcreport.rules.regions import name_areas

PRIVATE_SCHEME: Final = "99CALCREPORT"
"""Coding scheme designator of what the standard has no code for."""


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _ucum(value: str, meaning: str) -> Code:
    return Code(value, "UCUM", meaning)


def _ours(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


# Findings
CALCIFICATION: Final = _sct("129748009", "Radiographic calcification finding")
PATHOLOGIC_CALCIFICATION: Final = _sct("18115005", "Pathologic calcification, calcified structure")
ABNORMAL_STRUCTURE: Final = _sct("49755003", "Morphologically Abnormal Structure")
MASS: Final = _sct("4147007", "Mass")

# Measurements
JUDGED_LENGTH: Final = _ours("JUDGEDLENGTH", "Length held against limit of size criterion")
SIZE_LIMIT: Final = _ours("SIZELIMIT", "Limit of size criterion")
PROJECTED_LENGTH: Final = _ours("PROJLENGTH", "Projected longest diameter")
PROJECTED_WIDTH: Final = _ours("PROJWIDTH", "Projected extent across longest diameter")
PROJECTED_SKIN_LINE: Final = _ours("PROJSKINLINE", "Projected distance to skin line, not a depth")

# How a number came about
BY_READER: Final = _ours("BYREADER", "Stated by clinician or reader")
ON_CONTOUR: Final = _ours("BYCONTOUR", "Measured on contour drawn by reader")
SUM_OF_VOXELS: Final = _dcm("126030", "Sum of segmented voxel volumes")
IN_DETECTOR_PLANE: Final = _ours("DETECTORPLANE", "In the plane of the detector, enlarged by unknown factor")
IN_CALIBRATED_PLANE: Final = _ours("CALIBPLANE", "In the plane of calibration")
IN_PIXELS: Final = _ours("NOSCALE", "In pixels, the image has no scale")

# Units
MILLIMETRE: Final = _ucum("mm", "mm")
CUBIC_MILLIMETRE: Final = _ucum("mm3", "cubic millimeter")
HOUNSFIELD: Final = _ucum("[hnsf'U]", "Hounsfield unit")
COUNT: Final = _ucum("1", "no units")
PIXELS: Final = _ucum("{pixels}", "pixels")

# Qualitative evaluations
PATTERN: Final = _ours("PATTERN", "Morphological pattern of calcification")
PATTERN_CONFIDENCE: Final = _ours("PATTERNCONF", "Confidence in morphological pattern")
CALCIFICATION_TYPE: Final = _dcm("111009", "Calcification Type")
CALCIFICATION_DISTRIBUTION: Final = _dcm("111008", "Calcification Distribution")
DEPTH_CLASS: Final = _ours("DEPTHCLASS", "Depth relative to deep fascia")
MASS_DEPTH_CLASS: Final = _ours("MASSDEPTHCLASS", "Depth of whole mass relative to deep fascia")
BONE_RELATION: Final = _ours("BONERELATION", "Relation of mineral to bone")
CONCERN: Final = _ours("CONCERN", "Concern by criteria for sarcoma referral, not a diagnosis")
REVIEW: Final = _ours("REVIEW", "Decision of reader on draft finding")
IS_MINIMUM: Final = _ours("SIZEMINIMUM", "Size is a minimum, cut by edge of scan")
MASS_IS_MINIMUM: Final = _ours("MASSMINIMUM", "Size of whole mass is a minimum, cut by edge of scan")
IS_CLIPPED: Final = _ours("HUCLIPPED", "Attenuation is a lower bound, scale clipped")
IS_FAINT: Final = _ours("FAINT", "Below attenuation of certain calcification")

YES: Final = _sct("373066001", "Yes")
RIGHT: Final = _sct("24028007", "Right")
LEFT: Final = _sct("7771000", "Left")
MIDLINE: Final = _sct("261129000", "Midline")
SOFT_TISSUE: Final = _sct("87784001", "Soft tissue")

# Report
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
FINDINGS: Final = Code("59776-5", "LN", "Findings")
IMPRESSIONS: Final = Code("19005-8", "LN", "Impressions")
RECOMMENDATIONS: Final = Code("18783-1", "LN", "Recommendations")
LIMITATIONS: Final = _ours("LIMITATIONS", "Limitations")
REPORT_SECTION: Final = _ours("SECTION", "Draft report section as plain text")
REVIEW_AUDIT: Final = _ours("REVIEW_AUDIT", "Decisions of the reader about the draft")
NOT_MEASURED: Final = _ours("NOTMEASURED", "Why there is no measurement")
CT_PROCEDURE: Final = Code("25045-6", "LN", "CT unspecified body region")
RADIOGRAPH_PROCEDURE: Final = _sct("363679005", "Imaging procedure")
"""Validators of some age do not know the code for radiographs that the context group has now."""

KeyT = TypeVar("KeyT", bound=str)


def _table(name: str, key: Callable[[str], KeyT]) -> Mapping[KeyT, Code]:
    """Table of ``codes.toml``, each name read by `key`, which refuses one it does not know."""
    rows = rows_of(name).items()
    return MappingProxyType({key(word): Code(value, scheme, meaning) for word, (scheme, value, meaning) in rows})


OF_MINERAL: Final = _table("of_mineral", str)
"""Numbers of the mineral on CT by their path in `Lesion`, in the order they are written."""

OF_MASS: Final = _table("of_mass", str)
"""Numbers of the whole mass, which no name shares with the mineral."""

FLAGS: Final = _table("flags", str)
"""Red flag by its name in the report."""

FLAG_STATES: Final = _table("flag_states", FlagState)
CONCERNS: Final = _table("concerns", Concern)
DEPTHS: Final = _table("depths", DepthClass)
BONE_RELATIONS: Final = _table("bone_relations", BoneRelation)
CONFIDENCES: Final = _table("confidences", Confidence)
REVIEWS: Final = _table("reviews", str)

PATTERNS: Final[Mapping[str, Code]] = MappingProxyType(
    {key: _ours(key, label) for key, label in PATTERN_LABELS.items()}
)
"""Pattern by its id in the report."""

TYPES: Final = _table("types", str)
DISTRIBUTIONS: Final = _table("distributions", str)
"""Radiographic calcification type and distribution of a pattern, where one says no more than the pattern does."""

LATERALITIES: Final[Mapping[Laterality, Code]] = MappingProxyType({Laterality.LEFT: LEFT, Laterality.RIGHT: RIGHT})
"""Sides; the midline is a modifier of the place, and an unknown side is left out."""

_SITES: Final = _table("sites", str)


def code_site(region: str | None) -> Code:
    """Anatomic code of a region's name; soft tissue where the name is missing, not understood or has no code."""
    areas = name_areas(region) or ()
    return next((_SITES[area] for area in areas if area in _SITES), SOFT_TISSUE)
