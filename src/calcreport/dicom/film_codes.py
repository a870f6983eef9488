"""Codes of radiographs: kind of error, meaning, remedy; part of `calcreport.dicom.codes.CODES`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from calcreport.errors import CalibrationError, InputError, UnsupportedImageError

_SEND_AGAIN: Final = "Send or copy the file again from the archive."
_CODES: Final[dict[str, tuple[type[InputError], str, str]]] = {
    "series.radiograph": (
        UnsupportedImageError,
        "Radiographs hold no Hounsfield units",
        "They are measured by themselves where the study holds no CT series that can be measured.",
    ),
    "series.radiograph_beside_ct": (
        UnsupportedImageError,
        "The study's CT series is measured, and its radiographs are not measured beside it",
        "To measure the radiographs, give them without the CT images.",
    ),
    "series.same_exposure": (
        UnsupportedImageError,
        "The unprocessed form (FOR PROCESSING) of a radiograph that is read as it was made for presentation",
        "Nothing to do.",
    ),
    "series.same_pixels": (
        UnsupportedImageError,
        "The radiograph holds the same pixels as another one of the study",
        "Nothing to do.",
    ),
    "series.mammogram": (
        UnsupportedImageError,
        "Mammograms and breast tomosynthesis are out of scope: calcification of the breast has rules of its own",
        "Nothing to do.",
    ),
    "series.dental": (
        UnsupportedImageError,
        "Dental radiographs (intra-oral, panoramic) are out of scope",
        "Nothing to do.",
    ),
    "series.not_searchable": (
        UnsupportedImageError,
        "No radiograph of the study shows soft tissue that can be searched: chest, abdomen, or bone throughout",
        "Use CT to look for calcification there.",
    ),
    "series.fluoroscopy": (
        UnsupportedImageError,
        "Angiography and fluoroscopy are out of scope",
        "Nothing to do.",
    ),
    "calibration.modality_lut": (
        CalibrationError,
        "The Modality LUT is damaged, or neither rises nor falls throughout",
        _SEND_AGAIN,
    ),
    "calibration.film_rescale": (
        CalibrationError,
        "Rescale Slope or Intercept of the radiograph is zero, out of range or malformed",
        _SEND_AGAIN,
    ),
    "calibration.polarity": (
        CalibrationError,
        "Whether dense tissue has high or low values is contradictory in an unprocessed radiograph",
        "Export the radiograph as it was made for presentation.",
    ),
    "calibration.film_polarity": (
        CalibrationError,
        "The header contradicts itself about which end of the grey scale is dense, and the background does not show it",
        "Correct Photometric Interpretation and Presentation LUT Shape, or export the radiograph again.",
    ),
    "pixel.film_too_large": (
        UnsupportedImageError,
        "The radiograph has more pixels than allowed",
        "Export it at the resolution at which it was taken.",
    ),
    "pixel.film_too_small": (
        UnsupportedImageError,
        "The radiograph is smaller than 64 pixels a side: nothing can be measured on it",
        "Export the full image, not its icon.",
    ),
    "pixel.film_flat": (
        UnsupportedImageError,
        "The exposed field of the radiograph holds a single grey value",
        _SEND_AGAIN,
    ),
    "pixel.film_lossy_ratio": (
        UnsupportedImageError,
        "The radiograph was compressed lossily beyond 30:1: fine deposits may be lost",
        "Export the uncompressed original.",
    ),
}
FILM_CODES: Final = MappingProxyType(_CODES)
"""By code."""
