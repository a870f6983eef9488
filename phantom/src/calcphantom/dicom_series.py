"""Write a phantom as a DICOM CT series with its truth beside it."""

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
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from calcphantom.recipe import Kernel, PhantomRecipe, Region
from calcphantom.study import FRAME_NUMBER, SERIES_NUMBER, STUDY_NUMBER, identifier, uid_stem
from calcphantom.truth import Truth
from calcreport.model.image import Contrast, CtVolume

Pixels = NDArray[np.uint16]

INTERCEPT_HU: Final = -1024
"""Rescale intercept: stored value 0 is -1024 HU."""
IMPLEMENTATION_UID: Final = "2.25.310582945811920356481002791356"
"""Implementation Class UID of the phantom writer."""
STUDY_DATE: Final = "20260102"
"""Date of every phantom, so that files are reproducible."""
_KERNELS: Final = {Kernel.SOFT: "B30f", Kernel.STANDARD: "B45f", Kernel.SHARP: "B70f", Kernel.LUNG: "B80f"}
_PARTS: Final = {region: region.value.upper() for region in Region} | {
    Region.CALF: "LEG",
    Region.THORAX: "CHEST",
}


def _rle(pixels: Pixels) -> bytes:
    """RLE Lossless (PS3.5 annex G): high bytes, then low bytes, each row packed by itself."""
    segments = []
    for plane in ((pixels >> 8).astype(np.uint8), (pixels & 0xFF).astype(np.uint8)):
        packed = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in plane)
        segments.append(packed + b"\0" * (len(packed) % 2))
    header = np.zeros(16, dtype="<u4")
    header[:3] = (2, 64, 64 + len(segments[0]))
    return bytes(header.tobytes() + b"".join(segments))


def _as_is(pixels: Pixels) -> bytes:
    return pixels.astype("<u2").tobytes()


Encoder = Callable[[Pixels], bytes]

TRANSFER_SYNTAXES: Final[Mapping[str, tuple[UID, Encoder, int]]] = MappingProxyType(
    {
        "explicit": (ExplicitVRLittleEndian, _as_is, 12),
        "implicit": (ImplicitVRLittleEndian, _as_is, 12),
        "deflated": (DeflatedExplicitVRLittleEndian, _as_is, 12),
        "rle": (RLELossless, _rle, 12),
        "jpeg-lossless": (JPEGLossless, lambda p: bytes(imagecodecs.ljpeg_encode(p, bitspersample=12)), 12),
        "jpeg-ls": (JPEGLSLossless, lambda p: bytes(imagecodecs.jpegls_encode(p)), 16),
        "jpeg2000": (
            JPEG2000Lossless,
            lambda p: bytes(
                imagecodecs.jpeg2k_encode(p, level=0, codecformat="j2k", bitspersample=12, reversible=True)
            ),
            12,
        ),
        "htj2k": (HTJ2KLossless, lambda p: bytes(imagecodecs.htj2k_encode(p, reversible=True)), 16),
    }
)
"""Transfer syntax, encoder of one slice, and the bit depth its stream declares."""


def write_study(
    volume: CtVolume, truth: Truth, recipe: PhantomRecipe, out: Path, *, transfer_syntax: str = "explicit"
) -> list[Path]:
    """Write one CT file a slice, and ``truth.json``.

    Parameters
    ----------
    volume : CtVolume
        HU, as `make_phantom` gives it.
    truth : Truth
        Written as JSON.
    recipe : PhantomRecipe
        Header texts and scanner settings.
    out : Path
        Folder; made when missing.
    transfer_syntax : str
        A key of `TRANSFER_SYNTAXES`.

    Returns
    -------
    list[Path]
        The files written, truth last.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(volume.hu.shape[0]):
        path = out / f"slice_{index + 1:04d}.dcm"
        dcmwrite(path, slice_dataset(volume, recipe, index, transfer_syntax=transfer_syntax), enforce_file_format=True)
        paths.append(path)
    paths.append(out / "truth.json")
    paths[-1].write_text(json.dumps(truth.as_json(), indent=1) + "\n", encoding="utf-8")
    return paths


def slice_dataset(volume: CtVolume, recipe: PhantomRecipe, index: int, *, transfer_syntax: str) -> FileDataset:
    """One slice as a CT Image (PS3.3 A.3), patient coordinates LPS mm, HU from a slope of 1 and `INTERCEPT_HU`."""
    syntax, encode, bits = TRANSFER_SYNTAXES[transfer_syntax]
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(identifier(uid_stem(recipe), index + 1))
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "CALCREPORT_PHAN"
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    _identify(dataset, recipe, index)
    _place(dataset, volume, recipe, index)
    _acquire(dataset, recipe)
    stored = (volume.hu[index].astype(np.int32) - INTERCEPT_HU).astype(np.uint16)
    _describe_pixels(dataset, stored, bits=16 if recipe.scan.ceiling_hu > 3071 else bits)
    data = encode(stored)
    if syntax.is_encapsulated:
        dataset.PixelData = encapsulate([data])
        dataset["PixelData"].VR = "OB"
    else:
        dataset.PixelData = data
        dataset["PixelData"].VR = "OW"
    return dataset


def _identify(ds: Dataset, recipe: PhantomRecipe, index: int) -> None:
    stem = uid_stem(recipe)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = UID(identifier(stem, index + 1))
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = STUDY_DATE
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber = ""
    ds.Modality = "CT"
    ds.Manufacturer = "calcreport phantom"
    ds.ManufacturerModelName = "synthetic CT"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = recipe.description
    ds.SeriesDescription = f"axial {recipe.scan.slice_thickness_mm:g} mm {recipe.scan.kernel.value}"
    ds.PatientName = f"PHANTOM^{recipe.region.value.upper()}"
    ds.PatientID = f"PHANTOM-{recipe.kind[:40]}-{recipe.seed}"
    ds.PatientBirthDate = ""
    ds.PatientSex = recipe.sex
    if recipe.age_years is not None:
        ds.PatientAge = f"{recipe.age_years:03d}Y"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "synthetic: no patient"
    ds.StudyInstanceUID = UID(identifier(stem, STUDY_NUMBER))
    ds.SeriesInstanceUID = UID(identifier(stem, SERIES_NUMBER))
    ds.StudyID = str(recipe.seed)[:16]
    ds.SeriesNumber = 1
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = index + 1
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"


def _place(ds: Dataset, volume: CtVolume, recipe: PhantomRecipe, index: int) -> None:
    affine = volume.geometry.affine
    _, row_mm, column_mm = volume.geometry.spacing_mm
    position = affine[:3, 3] + index * affine[:3, 0]
    ds.FrameOfReferenceUID = UID(identifier(uid_stem(recipe), FRAME_NUMBER))
    ds.PositionReferenceIndicator = ""
    ds.PatientPosition = "HFS"
    ds.ImagePositionPatient = [decimal_text(v) for v in position]
    ds.ImageOrientationPatient = [decimal_text(v) for v in (*(affine[:3, 2] / column_mm), *(affine[:3, 1] / row_mm))]
    ds.PixelSpacing = [decimal_text(row_mm), decimal_text(column_mm)]
    ds.SliceThickness = decimal_text(recipe.scan.slice_thickness_mm)
    ds.SliceLocation = decimal_text(float(position[2]))
    if recipe.region in {Region.CALF, Region.THIGH}:
        ds.Laterality = recipe.laterality[0].upper()


def decimal_text(value: float) -> str:
    """Return a decimal string of at most 16 characters (PS3.5 6.2)."""
    text = f"{value:.10g}"
    return text if len(text) <= 16 else f"{value:.8g}"


def _acquire(ds: Dataset, recipe: PhantomRecipe) -> None:
    scan = recipe.scan
    ds.BodyPartExamined = _PARTS[recipe.region]
    ds.ScanOptions = "HELICAL MODE"
    ds.KVP = decimal_text(scan.kvp)
    ds.DataCollectionDiameter = "500"
    ds.ReconstructionDiameter = "250"
    ds.GantryDetectorTilt = decimal_text(scan.tilt_deg)
    ds.TableHeight = "150"
    ds.ExposureTime = 500
    ds.XRayTubeCurrent = max(20, int(200 * (12 / max(scan.noise_hu, 1.0)) ** 2))
    ds.Exposure = ds.XRayTubeCurrent // 2
    ds.ConvolutionKernel = _KERNELS[scan.kernel]
    if scan.contrast in {Contrast.VENOUS, Contrast.ARTERIAL}:
        ds.ContrastBolusAgent = "synthetic iodine"
        ds.ContrastBolusRoute = "IV"
        ds.SeriesDescription = f"{ds.SeriesDescription} {scan.contrast.value} phase"
    else:
        ds.ContrastBolusAgent = ""
        ds.SeriesDescription = f"{ds.SeriesDescription} non-contrast"


def _describe_pixels(ds: Dataset, stored: Pixels, *, bits: int) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = 0
    ds.RescaleIntercept = str(INTERCEPT_HU)
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = "50", "400"
