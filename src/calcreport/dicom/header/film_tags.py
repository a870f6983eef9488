"""Tags and storage classes of radiographs (PS3.3 A.2, A.26); apart, so that CT headers are walked for theirs only."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from calcreport.dicom.header import tags

# Attributes by the words of their keywords.
PRESENTATION_INTENT: Final = 0x00080068
ACQUISITION_DATE: Final = 0x00080022
CONTENT_DATE: Final = 0x00080023
REFERENCED_INSTANCE: Final = 0x00081155
CODE_VALUE: Final = 0x00080100
CODE_SCHEME: Final = 0x00080102
DISTANCE_TO_DETECTOR: Final = 0x00181110
DISTANCE_TO_PATIENT: Final = 0x00181111
MAGNIFICATION: Final = 0x00181114
IMAGER_SPACING: Final = 0x00181164
SHUTTER: Final = 0x00181600
"""Shutter Shape; its edges, circle and polygon follow at the same distances as those of the collimator."""
COLLIMATOR: Final = 0x00181700  # Collimator Shape
LEFT, RIGHT, UPPER, LOWER, CENTRE, RADIUS, VERTICES = 0x02, 0x04, 0x06, 0x08, 0x10, 0x12, 0x20
"""Distance of each attribute of an aperture from its shape's tag."""
# Attributes and sequences by the words of their keywords.
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
LUT_DESCRIPTOR: Final = 0x00283002
LUT_DATA: Final = 0x00283006
PRESENTATION_SHAPE: Final = 0x20500020

# Sequences.
SOURCE_IMAGES: Final = 0x00082112
VIEW_CODES: Final = 0x00540220
MODALITY_LUT: Final = 0x00283000
VOI_LUT: Final = 0x00283010

_APERTURE: Final = (0, LEFT, RIGHT, UPPER, LOWER, CENTRE, RADIUS, VERTICES)  # all distances
NESTED: Final = frozenset((SOURCE_IMAGES, VIEW_CODES, MODALITY_LUT, VOI_LUT))  # sequences whose items are kept
# Every tag of this module.
_OWN: Final = frozenset(tag for tag in list(globals().values()) if isinstance(tag, int) and tag > max(_APERTURE))
WANTED: Final = (_OWN - NESTED - {LUT_DATA}).union(
    (base + part for base in (SHUTTER, COLLIMATOR) for part in _APERTURE),
    (tags.IMAGE_TYPE, tags.ACQUISITION_DATE_TIME, tags.ACQUISITION_TIME, tags.CONTENT_TIME, tags.DERIVATION),
    (tags.LATERALITY, tags.IMAGE_LATERALITY, tags.PIXEL_SPACING, tags.INTERCEPT, tags.SLOPE),
)
"""Attributes of a film; tables of lookup values stay in the file until it is read."""

# SOP classes and modalities of radiographs.
CR: Final = "1.2.840.10008.5.1.4.1.1.1"
DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
FILM_CLASSES: Final = frozenset((CR, DX, DX_FOR_PROCESSING))
FILM_MODALITIES: Final = frozenset(("CR", "DX", "DR", "RG"))
OUT_OF_SCOPE: Final = MappingProxyType({"MG": "series.mammogram", "IO": "series.dental", "PX": "series.dental"})
"""Modalities that are not measured whatever their storage class, and the code of each."""
