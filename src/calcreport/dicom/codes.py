"""Every code the reader can give, what it means and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from calcreport.dicom.film_codes import FILM_CODES
from calcreport.errors import CalibrationError, GeometryError, InputError, NotDicomError, UnsupportedImageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One thing that can be wrong with what was read.

    Parameters
    ----------
    kind : type[InputError]
        Error raised for it.
    meaning : str
        What is wrong, without a full stop; no patient data.
    remedy : str
        What to do about it, a sentence.
    """

    kind: type[InputError]
    meaning: str
    remedy: str


NOTHING_TO_DO: Final = "Nothing to do."
_SEND_AGAIN: Final = "Send or copy the file again from the archive."
_EXPORT_ORIGINAL: Final = "Export the original axial images instead."
_RECONSTRUCT: Final = "Export the complete, original reconstruction from the scanner or archive."

_TABLE: Final[dict[str, tuple[type[InputError], str, str]]] = {
    **FILM_CODES,
    # paths and files
    "path.missing": (NotDicomError, "There is nothing at this path", "Check the path."),
    "path.unreadable": (NotDicomError, "The folder cannot be opened", "Check its permissions."),
    "path.too_many_files": (
        InputError,
        "More files lie under the path than may be looked at",
        "Name the study's own folder, or raise reading.max_files.",
    ),
    "file.not_dicom": (
        NotDicomError,
        "Not a DICOM file",
        "Nothing to do if it is no image; export images as DICOM, not as pictures.",
    ),
    "file.empty": (NotDicomError, "The file is empty", _SEND_AGAIN),
    "file.symlink": (NotDicomError, "Symbolic links are not followed", "Name the folder it points to."),
    "file.special": (NotDicomError, "Not a regular file", NOTHING_TO_DO),
    "file.unreadable": (NotDicomError, "The file cannot be opened or read", "Check its permissions."),
    "file.too_large": (
        NotDicomError,
        "The file is larger than allowed",
        "Raise reading.max_file_bytes if it is real.",
    ),
    "file.changed": (NotDicomError, "The file changed while it was read", "Wait until the transfer is complete."),
    "file.damaged": (NotDicomError, "The DICOM data elements are damaged", _SEND_AGAIN),
    "file.truncated": (NotDicomError, "The file ends too early", _SEND_AGAIN),
    "file.nested_too_deep": (NotDicomError, "Sequences are nested too deeply", _SEND_AGAIN),
    "file.no_uid": (
        NotDicomError,
        "Study, series or instance UID is malformed, or missing in what is no CT slice",
        "Repair the header or export the study again.",
    ),
    "file.dicomdir": (NotDicomError, "A DICOMDIR index is not needed: the folder itself is searched", NOTHING_TO_DO),
    "file.own_result": (NotDicomError, "A result of calcreport, not an image", NOTHING_TO_DO),
    "file.deflate": (NotDicomError, "The deflated data set is damaged or grows beyond its limit", _SEND_AGAIN),
    "zip.damaged": (NotDicomError, "The zip archive is damaged", "Create the archive again."),
    "zip.encrypted": (NotDicomError, "The zip archive is encrypted", "Unpack it first."),
    "zip.nested": (
        NotDicomError,
        "A zip archive inside a zip archive is not opened",
        "Unpack the outer archive first.",
    ),
    "zip.compression": (
        NotDicomError,
        "The zip archive uses a compression other than deflate",
        "Create it again with deflate, or unpack it first.",
    ),
    "zip.bomb": (NotDicomError, "The zip archive would unpack to more than is allowed", "Unpack it first."),
    # kinds of series
    "series.localizer": (UnsupportedImageError, "Localizer (scout) images", NOTHING_TO_DO),
    "series.projection": (
        UnsupportedImageError,
        "Projections or renderings (MIP, MinIP, VRT) keep no densities to measure",
        _EXPORT_ORIGINAL,
    ),
    "series.secondary_capture": (
        UnsupportedImageError,
        "Secondary captures (screenshots) have no trustworthy scale or densities",
        _EXPORT_ORIGINAL,
    ),
    "series.dose_report": (UnsupportedImageError, "Dose report", NOTHING_TO_DO),
    "series.structured_report": (UnsupportedImageError, "Structured report, no image", NOTHING_TO_DO),
    "series.presentation": (UnsupportedImageError, "Presentation state or key object, no image", NOTHING_TO_DO),
    "series.rtstruct": (UnsupportedImageError, "Contours (RTSTRUCT), no image", "Give it as --lesion-mask to use it."),
    "series.segmentation": (UnsupportedImageError, "Segmentation, no image", "Give it as --lesion-mask to use it."),
    "series.radiotherapy": (UnsupportedImageError, "Radiotherapy object, no CT image", NOTHING_TO_DO),
    "series.pet": (UnsupportedImageError, "PET images hold no Hounsfield units", NOTHING_TO_DO),
    "series.mr": (UnsupportedImageError, "MR images hold no Hounsfield units", NOTHING_TO_DO),
    "series.document": (UnsupportedImageError, "Encapsulated document, no image", NOTHING_TO_DO),
    "series.no_image": (
        UnsupportedImageError,
        "No pixel data in the files",
        "Export the images, not only the headers.",
    ),
    "series.other": (UnsupportedImageError, "Neither CT images nor radiographs", NOTHING_TO_DO),
    "series.perfusion": (
        UnsupportedImageError,
        "Computed maps (subtraction, perfusion, bone removal) are not Hounsfield units of tissue",
        _EXPORT_ORIGINAL,
    ),
    "series.spectral": (
        CalibrationError,
        "Spectral results (virtual monoenergetic, virtual non-contrast, material maps) shift the HU thresholds",
        "Export the conventional (mixed-energy) reconstruction.",
    ),
    "series.not_ct_scanner": (
        CalibrationError,
        "Cone-beam or C-arm images have grey values, not Hounsfield units",
        "Use a CT scanner's images.",
    ),
    "series.mixed_patients": (
        InputError,
        "Images of one series name different patients",
        "Separate the patients in the archive, then export again.",
    ),
    "series.mixed_studies": (
        InputError,
        "One series UID is used in more than one study",
        "Correct the UIDs in the archive, then export again.",
    ),
    "series.one_image_each": (
        InputError,
        "Each image has a Series Instance UID of its own: one scan was split into series of one image",
        "Give the images of one scan one Series Instance UID, or export the study again from the archive.",
    ),
    "study.mixed_patients": (
        InputError,
        "Series of one study name different patients",
        "Separate the patients in the archive, then export again.",
    ),
    "series.interleaved": (
        GeometryError,
        "Images with different attributes lie alternately in one stack",
        _RECONSTRUCT,
    ),
    # geometry
    "geometry.too_few_slices": (
        GeometryError,
        "Fewer than three slices: no volume can be measured",
        _RECONSTRUCT,
    ),
    "geometry.no_position": (
        GeometryError,
        "Image Position (Patient) is missing or malformed",
        _RECONSTRUCT,
    ),
    "geometry.orientation": (
        GeometryError,
        "Image Orientation (Patient) is missing, malformed or not two perpendicular unit vectors",
        _RECONSTRUCT,
    ),
    "geometry.mixed_orientation": (GeometryError, "Slices are not parallel", _RECONSTRUCT),
    "geometry.pixel_spacing": (
        GeometryError,
        "Pixel Spacing is missing, malformed or outside 0.01-20 mm",
        _RECONSTRUCT,
    ),
    "geometry.mixed_size": (GeometryError, "Slices differ in matrix or pixel spacing", _RECONSTRUCT),
    "geometry.frames_of_reference": (
        GeometryError,
        "Images lie in more than one frame of reference: their positions cannot be related",
        "Export each acquisition as its own series.",
    ),
    "geometry.duplicate_positions": (
        GeometryError,
        "Different images lie at one position and nothing tells them apart with certainty",
        "Export each phase or reconstruction as its own series.",
    ),
    "geometry.conflicting_instances": (
        GeometryError,
        "One instance UID stands for different images",
        "Export the series again from the archive.",
    ),
    "geometry.missing_slice": (GeometryError, "Slices are missing", _RECONSTRUCT),
    "geometry.irregular_spacing": (GeometryError, "Slices are not evenly spaced", _RECONSTRUCT),
    "geometry.spacing_range": (GeometryError, "The distance between slices is outside 0.01-20 mm", _RECONSTRUCT),
    "geometry.shifted_slices": (GeometryError, "Slices are shifted sideways irregularly", _RECONSTRUCT),
    "geometry.shear": (GeometryError, "The stack leans more than 60 degrees", _RECONSTRUCT),
    "geometry.not_a_volume": (
        GeometryError,
        "Volumetric Properties say the frames are no undistorted volume",
        _EXPORT_ORIGINAL,
    ),
    "geometry.functional_groups": (
        GeometryError,
        "The multi-frame header does not describe every frame",
        "Export again from the archive.",
    ),
    # calibration
    "calibration.no_rescale": (
        CalibrationError,
        "Rescale Slope or Intercept is missing or malformed",
        _RECONSTRUCT,
    ),
    "calibration.slope": (CalibrationError, "Rescale Slope is not a positive number of plausible size", _RECONSTRUCT),
    "calibration.rescale_type": (
        CalibrationError,
        "Pixel values are not stated to be Hounsfield units (Rescale Type)",
        _EXPORT_ORIGINAL,
    ),
    "calibration.air": (
        CalibrationError,
        "Air does not lie near -1000: the values are not Hounsfield units",
        "Use images of a calibrated CT scanner.",
    ),
    "calibration.tissue": (
        CalibrationError,
        "Fat and muscle do not lie where they must: the values are not Hounsfield units",
        "Use the original images: a conversion has shifted, stretched or windowed these.",
    ),
    "calibration.implausible": (
        CalibrationError,
        "The values cannot be a CT image in Hounsfield units",
        "Use images of a calibrated CT scanner.",
    ),
    # pixels
    "pixel.description": (
        UnsupportedImageError,
        "Rows, Columns, bit depth or another pixel attribute is missing or contradictory",
        _SEND_AGAIN,
    ),
    "pixel.bits_allocated": (
        UnsupportedImageError,
        "CT images need 16 bits allocated, radiographs 8 or 16",
        _EXPORT_ORIGINAL,
    ),
    "pixel.colour": (UnsupportedImageError, "Colour images hold no densities to measure", _EXPORT_ORIGINAL),
    "pixel.frames": (UnsupportedImageError, "Number of Frames does not fit this kind of image", _EXPORT_ORIGINAL),
    "pixel.missing": (UnsupportedImageError, "The image has no pixel data", "Export the images, not only the headers."),
    "pixel.length": (UnsupportedImageError, "The pixel data are shorter or longer than the header says", _SEND_AGAIN),
    "pixel.too_large": (
        UnsupportedImageError,
        "The volume is larger than allowed",
        "Raise reading.max_volume_voxels if it is real.",
    ),
    "pixel.transfer_syntax": (
        UnsupportedImageError,
        "This transfer syntax is not supported",
        "Export uncompressed or with lossless compression.",
    ),
    "pixel.damaged": (UnsupportedImageError, "The compressed pixel data cannot be decoded", _SEND_AGAIN),
    "pixel.lossy_ratio": (
        UnsupportedImageError,
        "The images were compressed lossily beyond 15:1: small deposits may be lost",
        "Export the uncompressed originals.",
    ),
}

CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {code: Code(kind=kind, meaning=meaning, remedy=remedy) for code, (kind, meaning, remedy) in _TABLE.items()}
)
"""Stable codes of this package; never reused with another meaning."""


def message(code: str, detail: str = "") -> str:
    """Sentence for a code: meaning, detail (no patient data), remedy."""
    entry = CODES[code]
    return f"{entry.meaning}{f' ({detail})' if detail else ''}. {entry.remedy}"


def problem(code: str, detail: str = "") -> InputError:
    """Error of the kind, message and code that belong to `code`.

    Parameters
    ----------
    code : str
        Key of `CODES`.
    detail : str
        What was seen, such as an instance number; no patient data.
    """
    return CODES[code].kind(message(code, detail), code=code)
