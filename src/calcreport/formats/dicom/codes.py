"""Coded concepts of the DICOM objects: of the standard's context groups where they exist, private ones where none does.

``docs/dicom_conformance.md`` lists what is reused outside its own context group and what every private code means.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydicom.sr.coding import Code

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
MAXIMUM_3D_DIAMETER: Final = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
LONG_AXIS: Final = _sct("103339001", "Long axis")
SHORT_AXIS: Final = _sct("103340004", "Short axis")
VOLUME: Final = _sct("118565006", "Volume")
MEAN_ATTENUATION: Final = _dcm("112181", "Mean Attenuation Coefficient")
MAXIMUM_ATTENUATION: Final = _dcm("112180", "Maximum Attenuation Coefficient")
ATTENUATION_DEVIATION: Final = _dcm("112183", "Standard Deviation of Attenuation Coefficient")
DISTANCE_FROM_SKIN: Final = _dcm("121243", "Distance from skin")
CALCIFICATION_COUNT: Final = _dcm("111038", "Number of calcifications")
EXTENT_AP: Final = _ours("EXTENTAP", "Anteroposterior extent of mineral")
EXTENT_TR: Final = _ours("EXTENTTR", "Transverse extent of mineral")
EXTENT_CC: Final = _ours("EXTENTCC", "Craniocaudal extent of mineral")
FASCIA_DISTANCE: Final = _ours("FASCIADIST", "Distance from deep fascia")
MASS_DIAMETER: Final = _ours("MASSDIAM", "Maximum diameter of whole mass incl. non-mineralised part")
MASS_VOLUME: Final = _ours("MASSVOLUME", "Volume of whole mass incl. non-mineralised part")
MASS_EXTENT_AP: Final = _ours("MASSAP", "Anteroposterior extent of whole mass")
MASS_EXTENT_TR: Final = _ours("MASSTR", "Transverse extent of whole mass")
MASS_EXTENT_CC: Final = _ours("MASSCC", "Craniocaudal extent of whole mass")
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
NOT_MEASURED: Final = _ours("NOTMEASURED", "Why there is no measurement")
CT_PROCEDURE: Final = Code("25045-6", "LN", "CT unspecified body region")
RADIOGRAPH_PROCEDURE: Final = _sct("363679005", "Imaging procedure")
"""Validators of some age do not know the code for radiographs that the context group has now."""

FLAGS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "size": _ours("FLAGSIZE", "Referral criterion: size over limit"),
        "depth": _ours("FLAGDEPTH", "Referral criterion: deep to fascia"),
        "growth": _ours("FLAGGROWTH", "Referral criterion: rapid growth"),
        "pain": _ours("FLAGPAIN", "Referral criterion: unexplained pain"),
        "mass": _ours("FLAGMASS", "Referral criterion: non-mineralised soft-tissue mass"),
        "history": _ours("FLAGHISTORY", "Referral criterion: relevant history"),
        "aggressive": _ours("FLAGAGGRESSIVE", "Referral criterion: aggressive imaging feature"),
    }
)
"""Red flag by its name in the report."""

FLAG_STATES: Final[Mapping[FlagState, Code]] = MappingProxyType(
    {
        FlagState.PRESENT: _sct("52101004", "Present"),
        FlagState.ABSENT: _sct("272519000", "Absent"),
        FlagState.POSSIBLE: _ours("POSSIBLE", "Possible"),
        FlagState.CANNOT_DETERMINE: _sct("373068000", "Undetermined"),
        FlagState.NOT_PROVIDED: _ours("NOTPROVIDED", "Not provided"),
        FlagState.EXPLAINED: _ours("EXPLAINED", "Criterion met, explained by pattern"),
    }
)

CONCERNS: Final[Mapping[Concern, Code]] = MappingProxyType(
    {
        Concern.HIGH: _sct("75540009", "High"),
        Concern.FLAGGED: _ours("FLAGGED", "Flagged"),
        Concern.MODIFIED: _ours("MODIFIED", "Criteria met, explained by pattern"),
        Concern.INDETERMINATE: _sct("82334004", "Indeterminate"),
        Concern.NONE: _ours("NOCRITERION", "No criterion met"),
    }
)

DEPTHS: Final[Mapping[DepthClass, Code]] = MappingProxyType(
    {
        DepthClass.CUTANEOUS: _sct("39937001", "Skin"),
        DepthClass.SUBCUTANEOUS: _sct("71966008", "Subcutaneous tissue"),
        DepthClass.ABUTS_FASCIA: _ours("ABUTSFASCIA", "Abuts deep fascia, involvement not determined"),
        DepthClass.CROSSES_FASCIA: _ours("CROSSESFASCIA", "Crosses deep fascia"),
        DepthClass.SUBFASCIAL: _sct("795002", "Deep"),
        DepthClass.JUXTACORTICAL: _ours("JUXTACORTICAL", "Juxtacortical"),
        DepthClass.CANNOT_DETERMINE: _sct("373068000", "Undetermined"),
    }
)

BONE_RELATIONS: Final[Mapping[BoneRelation, Code]] = MappingProxyType(
    {
        BoneRelation.SEPARATE: _ours("BONESEPARATE", "Separate from bone"),
        BoneRelation.ABUTS: _ours("BONEABUTS", "Abuts bone without visible continuity"),
        BoneRelation.CONTIGUOUS: _ours("BONECONTIGUOUS", "Continuous with bone"),
        BoneRelation.CANNOT_DETERMINE: _sct("373068000", "Undetermined"),
    }
)

CONFIDENCES: Final[Mapping[Confidence, Code]] = MappingProxyType(
    {
        Confidence.HIGH: _sct("75540009", "High"),
        Confidence.MODERATE: _sct("6736007", "Moderate"),
        Confidence.LOW: _sct("62482003", "Low"),
    }
)

REVIEWS: Final[Mapping[str, Code]] = MappingProxyType(
    {"accepted": _ours("ACCEPTED", "Accepted by reader"), "corrected": _ours("CORRECTED", "Corrected by reader")}
)

PATTERNS: Final[Mapping[str, Code]] = MappingProxyType(
    {key: _ours(key, label) for key, label in PATTERN_LABELS.items()}
)
"""Pattern by its id in the report."""

_AMORPHOUS = _sct("129760005", "Amorphous calcification")
_EGGSHELL = _sct("129751002", "Eggshell calcification")
_PUNCTATE = _sct("129755006", "Punctate calcification")
_ROUND = _sct("129756007", "Round shaped calcification")
_VASCULAR = _sct("129759000", "Vascular calcification")
_OSSIFICATION = _sct("83323007", "Ossification")

TYPES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "P01": _ROUND,
        "P02": _VASCULAR,
        "P03": _VASCULAR,
        "P05": _EGGSHELL,
        "P07": _OSSIFICATION,
        "P08": _OSSIFICATION,
        "P09": _AMORPHOUS,
        "P13": _sct("129753004", "Milk of calcium calcification"),
        "P14": _PUNCTATE,
        "P20": _PUNCTATE,
        "P23": _AMORPHOUS,
        "P24": _PUNCTATE,
        "P27": _EGGSHELL,
    }
)
"""Radiographic calcification type of a pattern, where one says no more than the pattern does."""

DISTRIBUTIONS: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "P02": _sct("129765000", "Linear calcification distribution"),
        "P11": _sct("129767008", "Regional calcification distribution"),
        "P14": _sct("129764001", "Diffuse calcification distribution"),
        "P20": _sct("129766004", "Grouped calcification distribution"),
    }
)
"""Radiographic calcification distribution of a pattern, where one says no more than the pattern does."""

LATERALITIES: Final[Mapping[Laterality, Code]] = MappingProxyType({Laterality.LEFT: LEFT, Laterality.RIGHT: RIGHT})
"""Sides; the midline is a modifier of the place, and an unknown side is left out."""

_SITES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "lower_leg": _sct("30021000", "Lower leg"),
        "thigh": _sct("68367000", "Thigh"),
        "knee": _sct("72696002", "Knee"),
        "foot": _sct("56459004", "Foot"),
        "hip": _sct("29836001", "Hip"),
        "buttock": _sct("46862004", "Buttock"),
        "hand": _sct("85562004", "Hand"),
        "forearm": _sct("14975008", "Forearm"),
        "elbow": _sct("16953009", "Elbow joint"),
        "upper_arm": _sct("40983000", "Upper arm"),
        "shoulder": _sct("16982005", "Shoulder"),
        "neck": _sct("45048000", "Neck"),
        "head": _sct("69536005", "Head"),
        "back": _sct("77568009", "Back"),
        "chest_wall": _sct("78904004", "Chest wall"),
        "pelvis": _sct("816092008", "Pelvis"),
        "retroperitoneum": _sct("82849001", "Retroperitoneum"),
        "abdomen": _sct("818981001", "Abdomen"),
        "mediastinum": _sct("72410000", "Mediastinum"),
    }
)


def code_site(region: str | None) -> Code:
    """Anatomic code of a region's name; soft tissue where the name is missing, not understood or has no code."""
    areas = name_areas(region) or ()
    return next((_SITES[area] for area in areas if area in _SITES), SOFT_TISSUE)
