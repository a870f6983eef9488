"""Tags and UIDs the reader knows, from PS3.6 and PS3.4 annex B."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# Attributes by the words of their keywords.
CHARSET: Final = 0x00080005
IMAGE_TYPE: Final = 0x00080008
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
ACQUISITION_DATE_TIME: Final = 0x0008002A
ACQUISITION_TIME: Final = 0x00080032
CONTENT_TIME: Final = 0x00080033
MODALITY: Final = 0x00080060
CODE_MEANING: Final = 0x00080104
DERIVATION: Final = 0x00082111
FRAME_TYPE: Final = 0x00089007
VOLUMETRIC: Final = 0x00089206
CONTRAST_AGENT: Final = 0x00180010
CONTRAST_AGENTS: Final = 0x00180012
CONTRAST_ROUTES: Final = 0x00180014
SLICE_THICKNESS: Final = 0x00180050
KVP: Final = 0x00180060
SPACING_BETWEEN: Final = 0x00180088
CONTRAST_ROUTE: Final = 0x00181040
CONTRAST_INGREDIENT: Final = 0x00181048
KERNEL: Final = 0x00181210
ACQUISITION_TYPE: Final = 0x00189302
MULTI_ENERGY: Final = 0x00189361
STUDY_UID: Final = 0x0020000D
SERIES_UID: Final = 0x0020000E
SERIES_NUMBER: Final = 0x00200011
INSTANCE_NUMBER: Final = 0x00200013
POSITION: Final = 0x00200032
ORIENTATION: Final = 0x00200037
FRAME_OF_REFERENCE: Final = 0x00200052
LATERALITY: Final = 0x00200060
IMAGE_LATERALITY: Final = 0x00200062
PHOTOMETRIC: Final = 0x00280004
FRAMES: Final = 0x00280008
PIXEL_SPACING: Final = 0x00280030
BURNED_IN: Final = 0x00280301
INTERCEPT: Final = 0x00281052
SLOPE: Final = 0x00281053
RESCALE_TYPE: Final = 0x00281054
LOSSY: Final = 0x00282110
LOSSY_RATIO: Final = 0x00282112

# Functional groups of an enhanced image: shared, per frame.
SHARED_GROUPS: Final = 0x52009229
FRAME_GROUPS: Final = 0x52009230

FUNCTIONAL_GROUPS: Final = (  # those read, weakest first: a later one overrides an earlier one
    0x00209170,  # unassigned, shared
    0x00209171,  # unassigned, per frame
    0x00209113,  # plane position
    0x00209116,  # plane orientation
    0x00289110,  # pixel measures
    0x00289145,  # pixel value transformation
    0x00209111,  # frame content
    0x00189329,  # CT image frame type
    0x00189301,  # CT acquisition type
    0x00189314,  # CT reconstruction
    0x00189325,  # CT exposure
    0x00189118,  # cardiac synchronisation
)
NESTED: Final = frozenset((CONTRAST_AGENTS, CONTRAST_ROUTES, SHARED_GROUPS, FRAME_GROUPS, *FUNCTIONAL_GROUPS))
"""Sequences whose items are kept."""
WANTED: Final = frozenset(tag for tag in list(globals().values()) if isinstance(tag, int)) - NESTED
"""Attributes of a CT slice, but for those that the tables of `parsing` name."""

# Attributes and sequences of radiographs; apart, so that CT headers are walked for theirs only.
PRESENTATION_INTENT: Final = 0x00080068
ACQUISITION_DATE: Final = 0x00080022
CONTENT_DATE: Final = 0x00080023
REFERENCED_INSTANCE: Final = 0x00081155
CODE_VALUE: Final = 0x00080100
CODE_SCHEME: Final = 0x00080102
SOURCE_IMAGES: Final = 0x00082112
DISTANCE_TO_DETECTOR: Final = 0x00181110
DISTANCE_TO_PATIENT: Final = 0x00181111
MAGNIFICATION: Final = 0x00181114
IMAGER_SPACING: Final = 0x00181164
SHUTTER: Final = 0x00181600  # Shutter Shape; its edges, circle and polygon follow at the distances of `APERTURE`
COLLIMATOR: Final = 0x00181700  # Collimator Shape, likewise
SCANNED_SPACING: Final = 0x00182010
VIEW_POSITION: Final = 0x00185101
FIELD_ROTATION: Final = 0x00187032
FIELD_FLIP: Final = 0x00187034
PATIENT_ORIENTATION: Final = 0x00200020
ASPECT_RATIO: Final = 0x00280034
CALIBRATION_TYPE: Final = 0x00280A02
INTENSITY_RELATIONSHIP: Final = 0x00281040
INTENSITY_SIGN: Final = 0x00281041
WINDOW_CENTRE: Final = 0x00281050
WINDOW_WIDTH: Final = 0x00281051
VOI_FUNCTION: Final = 0x00281056
MODALITY_LUT: Final = 0x00283000
LUT_DESCRIPTOR: Final = 0x00283002
LUT_DATA: Final = 0x00283006
VOI_LUT: Final = 0x00283010
VIEW_CODES: Final = 0x00540220
PRESENTATION_SHAPE: Final = 0x20500020

LEFT, RIGHT, UPPER, LOWER, CENTRE, RADIUS, VERTICES = APERTURE = (0x02, 0x04, 0x06, 0x08, 0x10, 0x12, 0x20)
"""Distance of each attribute of an aperture from its shape's tag."""
FILM_NESTED: Final = frozenset((SOURCE_IMAGES, VIEW_CODES, MODALITY_LUT, VOI_LUT))  # sequences whose items are kept
FILM_WANTED: Final = (  # tables of lookup values stay in the file until the film is read
    frozenset(tag for tag in list(globals().values()) if isinstance(tag, int))
    - WANTED - NESTED - FILM_NESTED - {LUT_DATA, *APERTURE}
).union(
    (base + part for base in (SHUTTER, COLLIMATOR) for part in APERTURE),
    (IMAGE_TYPE, ACQUISITION_DATE_TIME, ACQUISITION_TIME, CONTENT_TIME, DERIVATION),
    (LATERALITY, IMAGE_LATERALITY, PIXEL_SPACING, INTERCEPT, SLOPE),
)  # fmt: skip

# SOP classes.
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT: Final = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_CT: Final = "1.2.840.10008.5.1.4.1.1.2.2"
CT_CLASSES: Final = frozenset((CT, ENHANCED_CT, LEGACY_CT))
MULTI_FRAME_CT: Final = frozenset((ENHANCED_CT, LEGACY_CT))
CR: Final = "1.2.840.10008.5.1.4.1.1.1"
DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
FILM_CLASSES: Final = frozenset((CR, DX, DX_FOR_PROCESSING))
DICOMDIR: Final = "1.2.840.10008.1.3.10"

OTHER_CLASSES: Final = MappingProxyType(
    {
        "1.2.840.10008.5.1.4.1.1.7": "series.secondary_capture",
        "1.2.840.10008.5.1.4.1.1.88.67": "series.dose_report",
        "1.2.840.10008.5.1.4.1.1.88.68": "series.dose_report",
        "1.2.840.10008.5.1.4.1.1.88.59": "series.presentation",
        "1.2.840.10008.5.1.4.1.1.88": "series.structured_report",
        "1.2.840.10008.5.1.4.1.1.11": "series.presentation",
        "1.2.840.10008.5.1.4.1.1.481.3": "series.rtstruct",
        "1.2.840.10008.5.1.4.1.1.481": "series.radiotherapy",
        "1.2.840.10008.5.1.4.1.1.66.4": "series.segmentation",
        "1.2.840.10008.5.1.4.1.1.66.5": "series.segmentation",
        "1.2.840.10008.5.1.4.1.1.128": "series.pet",
        "1.2.840.10008.5.1.4.1.1.130": "series.pet",
        "1.2.840.10008.5.1.4.1.1.4": "series.mr",
        "1.2.840.10008.5.1.4.1.1.1.2": "series.mammogram",
        "1.2.840.10008.5.1.4.1.1.1.3": "series.dental",
        "1.2.840.10008.5.1.4.1.1.12": "series.fluoroscopy",
        "1.2.840.10008.5.1.4.1.1.13.1": "series.not_ct_scanner",
        "1.2.840.10008.5.1.4.1.1.13.1.3": "series.mammogram",
        "1.2.840.10008.5.1.4.1.1.13.1.4": "series.mammogram",
        "1.2.840.10008.5.1.4.1.1.13.1.5": "series.mammogram",
        "1.2.840.10008.5.1.4.1.1.104": "series.document",
    }
)
"""Storage classes that are no CT image, by UID or a whole arc of UIDs, and the code each is set aside with."""

# Modalities of radiographs, and those that are not measured whatever their storage class, with the code of each.
FILM_MODALITIES: Final = frozenset(("CR", "DX", "DR", "RG"))
OUT_OF_SCOPE: Final = MappingProxyType({"MG": "series.mammogram", "IO": "series.dental", "PX": "series.dental"})

# Transfer syntaxes.
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
RLE: Final = "1.2.840.10008.1.2.5"
NATIVE: Final = frozenset((IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN))
JPEG_LOSSLESS: Final = frozenset(("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"))
JPEG_LS: Final = frozenset(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"))
JPEG_2000: Final = frozenset(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"))
HTJ2K: Final = frozenset(("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"))
GREY: Final = frozenset(("MONOCHROME1", "MONOCHROME2"))  # photometric interpretations that are densities
LOSSY_SYNTAXES: Final = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"))
"""JPEG baseline and extended; others may be lossy, and say so in an attribute."""
