"""Write phantom films as CR or DX images, one series a view, with their truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    JPEG2000Lossless,
    JPEGLossless,
)

from calcphantom.dicom_series import IMPLEMENTATION_UID, STUDY_DATE, TRANSFER_SYNTAXES, decimal_text
from calcphantom.film.recipe import Collimation, ExposureRecipe, FilmRecipe, Photometric, Spacing
from calcphantom.film.study import FIRST_SERIES, FilmHeader, as_film_image, film_uid_stem
from calcphantom.film.truth import FilmStudyTruth
from calcphantom.recipe import Region
from calcphantom.study import STUDY_NUMBER, identifier

Encoder = Callable[[NDArray[np.uint16], int], bytes]

_ENCODERS: Final[Mapping[UID, Encoder]] = MappingProxyType(
    {
        JPEGLossless: lambda p, bits: bytes(imagecodecs.ljpeg_encode(p, bitspersample=bits)),
        JPEG2000Lossless: lambda p, bits: bytes(
            imagecodecs.jpeg2k_encode(p, level=0, codecformat="j2k", bitspersample=bits, reversible=True)
        ),
    }
)
"""Encoders that declare the bits of the film; the others are those of the CT series."""
FULL_DEPTH_ONLY: Final = frozenset(("jpeg-ls", "htj2k"))
"""Transfer syntaxes whose encoder declares 16 bits, whatever the values."""
_REGIONS: Final = {
    Region.CALF: ("30021000", "Lower leg"), Region.THIGH: ("68367000", "Thigh"), Region.HAND: ("85562004", "Hand"),
    Region.FOOT: ("56459004", "Foot"), Region.SHOULDER: ("16982005", "Shoulder"), Region.PELVIS: ("29836001", "Hip"),
}  # fmt: skip

_VIEWS: Final = {
    "AP": ("399348003", "antero-posterior"),
    "LL": ("399173006", "left lateral"),
    "RL": ("399198007", "right lateral"),
}


def write_films(
    films: tuple[FilmHeader, ...],
    truth: FilmStudyTruth,
    recipe: FilmRecipe,
    out: Path,
    *,
    transfer_syntax: str = "explicit",
) -> list[Path]:
    """Write one file a film, and ``truth.json``.

    Parameters
    ----------
    films : tuple[FilmHeader, ...]
        As `calcphantom.film.study.expose` gives them.
    truth : FilmStudyTruth
        Written as JSON, without its masks.
    recipe : FilmRecipe
        Header texts and exposure.
    out : Path
        Folder; made when missing.
    transfer_syntax : str
        A key of `calcphantom.dicom_series.TRANSFER_SYNTAXES`.

    Returns
    -------
    list[Path]
        The files written, truth last.

    Raises
    ------
    ValueError
        The transfer syntax holds 16 bits only, and the film has fewer.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, film in enumerate(films):
        path = out / f"film_{number + 1:02d}_{film.view.value.lower()}.dcm"
        dcmwrite(path, film_dataset(film, recipe, number, transfer_syntax=transfer_syntax), enforce_file_format=True)
        paths.append(path)
    paths.append(out / "truth.json")
    paths[-1].write_text(json.dumps(truth.as_json(), indent=1) + "\n", encoding="utf-8")
    return paths


def film_dataset(film: FilmHeader, recipe: FilmRecipe, number: int, *, transfer_syntax: str) -> FileDataset:
    """One film as a CR Image (PS3.3 A.2) or DX Image (A.26); see `write_films`."""
    exposure = recipe.exposure
    if transfer_syntax in FULL_DEPTH_ONLY and exposure.bits != 16:
        msg = f"{transfer_syntax} holds 16 bits a pixel here: choose 16 bits or another transfer syntax"
        raise ValueError(msg)
    syntax, encode, _ = TRANSFER_SYNTAXES[transfer_syntax]
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = _sop_class(exposure)
    meta.MediaStorageSOPInstanceUID = UID(identifier(film_uid_stem(recipe), number + 1))
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "CALCREPORT_PHAN"
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    _identify(dataset, recipe, number)
    _position(dataset, film, recipe, number)
    _acquire(dataset, film, exposure)
    _describe_pixels(dataset, film, exposure)
    own = _ENCODERS.get(syntax)
    data = encode(film.stored) if own is None else own(film.stored, exposure.bits)
    dataset.PixelData = encapsulate([data]) if syntax.is_encapsulated else data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if syntax.is_encapsulated else "OW"
    return dataset


def _sop_class(exposure: ExposureRecipe) -> UID:
    if exposure.modality == "CR":
        return ComputedRadiographyImageStorage
    return DigitalXRayImageStorageForProcessing if exposure.is_linear else DigitalXRayImageStorageForPresentation


def _identify(ds: Dataset, recipe: FilmRecipe, number: int) -> None:
    stem, phantom = film_uid_stem(recipe), recipe.phantom
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID = _sop_class(recipe.exposure)
    ds.SOPInstanceUID = UID(identifier(stem, number + 1))
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"12{number:02d}00"
    ds.StudyTime = "120000"
    ds.AccessionNumber = ""
    ds.Modality = recipe.exposure.modality
    if recipe.exposure.modality == "DX":
        ds.PresentationIntentType = "FOR PROCESSING" if recipe.exposure.is_linear else "FOR PRESENTATION"
    ds.Manufacturer = "calcreport phantom"
    ds.ManufacturerModelName = f"synthetic {recipe.exposure.modality}"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = phantom.description
    ds.SeriesDescription = f"{phantom.region.value} {recipe.views[number].value}"
    ds.PatientName = f"PHANTOM^{phantom.region.value.upper()}"
    ds.PatientID = f"PHANTOM-{phantom.kind[:40]}-{phantom.seed}"
    ds.PatientBirthDate = ""
    ds.PatientSex = phantom.sex
    if phantom.age_years is not None:
        ds.PatientAge = f"{phantom.age_years:03d}Y"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "synthetic: no patient"
    ds.StudyInstanceUID = UID(identifier(stem, STUDY_NUMBER))
    ds.SeriesInstanceUID = UID(identifier(stem, FIRST_SERIES + number))
    ds.StudyID = str(phantom.seed)[:16]
    ds.SeriesNumber = number + 1
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = number + 1
    ds.BurnedInAnnotation = "YES" if recipe.exposure.has_text else "NO"
    ds.LossyImageCompression = "00"


def _position(ds: Dataset, film: FilmHeader, recipe: FilmRecipe, number: int) -> None:
    view = as_film_image(film, recipe, number).view
    side = {"left": "L", "right": "R", "both": "B"}[view.laterality or "both"]
    ds.ViewPosition = view.position
    ds.PatientOrientation = list(view.patient_orientation or ())
    ds.BodyPartExamined = view.body_part
    ds.ImageLaterality = side
    ds.AnatomicRegionSequence = Sequence([_code(*_REGIONS[recipe.phantom.region])])
    if recipe.exposure.modality == "DX":
        ds.PositionerType = "NONE"
        ds.ViewCodeSequence = Sequence([_code(*_VIEWS[view.position or "AP"])])


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodeMeaning = value, meaning
    code.CodingSchemeDesignator = "SCT"
    return code


def _acquire(ds: Dataset, film: FilmHeader, exposure: ExposureRecipe) -> None:
    ds.KVP = decimal_text(exposure.kvp)
    if exposure.modality == "DX":
        ds.DetectorType = "SCINTILLATOR"
        ds.AcquisitionContextSequence = Sequence([])
    pixel = [decimal_text(exposure.pixel_mm)] * 2
    if exposure.spacing is not Spacing.NONE:
        ds.ImagerPixelSpacing = pixel
    if exposure.spacing is Spacing.CALIBRATED:
        ds.PixelSpacing = [decimal_text(exposure.pixel_mm / film.magnification)] * 2
        ds.PixelSpacingCalibrationType = "GEOMETRY"
        ds.PixelSpacingCalibrationDescription = "distances of source, middle of the limb and detector"
        ds.DistanceSourceToDetector = decimal_text(exposure.sid_mm)
        ds.DistanceSourceToPatient = decimal_text(exposure.sid_mm / film.magnification)
        ds.EstimatedRadiographicMagnificationFactor = decimal_text(film.magnification)
    if exposure.collimation is Collimation.HEADER and film.border is not None:
        top, bottom, left, right = film.border
        rows, columns = film.stored.shape
        ds.CollimatorShape = "RECTANGULAR"
        ds.CollimatorUpperHorizontalEdge, ds.CollimatorLowerHorizontalEdge = top + 1, rows - bottom
        ds.CollimatorLeftVerticalEdge, ds.CollimatorRightVerticalEdge = left + 1, columns - right


def _describe_pixels(ds: Dataset, film: FilmHeader, exposure: ExposureRecipe) -> None:
    is_inverse = exposure.photometric is Photometric.MONOCHROME1
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = exposure.photometric.value
    ds.Rows, ds.Columns = film.stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, exposure.bits, exposure.bits - 1
    ds.PixelRepresentation = 0
    if exposure.modality == "DX":
        ds.PixelIntensityRelationship = "LIN" if exposure.is_linear else "LOG"
        ds.PixelIntensityRelationshipSign = 1 if is_inverse else -1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
        ds.PresentationLUTShape = "INVERSE" if is_inverse else "IDENTITY"
    if not exposure.is_linear:
        ds.WindowCenter, ds.WindowWidth = str(2 ** (exposure.bits - 1)), str(2**exposure.bits)
