"""A real CT series as stored values with its headers, read from DICOM and written back without loss."""

from __future__ import annotations

import copy
import dataclasses
import uuid
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from calcphantom.dicom_series import IMPLEMENTATION_UID, decimal_text
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import NOT_IMAGED_HU

LOWEST_HU: Final = -1024.0
"""Values below are padding, declared or not: nothing is less dense than air."""
SPACING_TOLERANCE: Final = 0.02
"""Slices whose distance differs by more than this share are no regular stack."""
FEWEST_SLICES: Final = 3
_REGISTERED: Final = "1.2.840.10008."
"""Root of the UIDs that DICOM itself gives out: classes and transfer syntaxes stay as they are."""
_OF_THE_RANGE: Final = ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingRangeLimit")
_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    JPEGLossless: imagecodecs.ljpeg_decode,
    JPEGLosslessSV1: imagecodecs.ljpeg_decode,
    JPEGLSLossless: imagecodecs.jpegls_decode,
}
"""Lossless compression that pydicom alone does not read."""


class HostError(ValueError):
    """The folder holds no CT series that lesions can be put into."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Host:
    """A CT series, slice by slice.

    Parameters
    ----------
    headers : tuple[Dataset, ...]
        One a slice, without pixels.
    stored : NDArray[np.int32]
        Shape ``(slices, rows, columns)``; stored values, sign applied, no unit.
    scale : NDArray[np.float64]
        Shape ``(slices, 2)``; rescale slope and intercept of each slice, HU.
    geometry : VolumeGeometry
        Position of every voxel centre, LPS mm.
    thickness_mm : float
        Slice thickness as the header says it, mm; the distance between slices where it is silent.
    """

    headers: tuple[Dataset, ...]
    stored: NDArray[np.int32]
    scale: NDArray[np.float64]
    geometry: VolumeGeometry
    thickness_mm: float

    def hu(self) -> NDArray[np.float32]:
        """HU, shape ``(slices, rows, columns)``; `NOT_IMAGED_HU` where the series is padded."""
        slope, intercept = (self.scale[:, i, None, None].astype(np.float32) for i in (0, 1))
        hu = np.asarray(self.stored * slope + intercept, dtype=np.float32)
        hu[hu < LOWEST_HU] = NOT_IMAGED_HU
        padding = getattr(self.headers[0], "PixelPaddingValue", None)
        if padding is not None:
            hu[self.stored == padding] = NOT_IMAGED_HU
        return hu

    def limits(self) -> tuple[int, int]:
        """Lowest and highest value that the series can store, no unit."""
        bits, is_signed = int(self.headers[0].BitsStored), int(self.headers[0].PixelRepresentation) == 1
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)

    def with_change(self, change_hu: NDArray[np.float32]) -> Host:
        """Add HU (shape of `stored`) to the stored values, rounded and clipped to what the series can store."""
        slope = self.scale[:, 0, None, None]
        changed = np.clip(np.rint(self.stored + change_hu / slope), *self.limits()).astype(np.int32)
        return dataclasses.replace(self, stored=np.where(change_hu == 0, self.stored, changed))


def read_host(folder: Path) -> Host:
    """Read the largest stack of parallel, equally spaced CT slices in a folder.

    Parameters
    ----------
    folder : Path
        Files are found in all its folders; what is no CT image is passed over.

    Returns
    -------
    Host
        Slices in the order of the slice normal.

    Raises
    ------
    HostError
        No stack of three slices, or slices at unequal distances.
    """
    stacks: dict[Hashable, list[Dataset]] = defaultdict(list)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            header = dcmread(path)
        except InvalidDicomError:
            continue
        # The class may be blank in anonymised files.
        if header.get("Modality") != "CT" or not {"ImagePositionPatient", "PixelData"} <= set(header.dir()):
            continue
        turned = tuple(round(float(v), 3) for v in header.ImageOrientationPatient)
        stacks[header.get("SeriesInstanceUID", ""), turned, header.Rows, header.Columns].append(header)
    slices = max(stacks.values(), key=len, default=[])
    if len(slices) < FEWEST_SLICES:
        msg = "no CT series of at least three slices"
        raise HostError(msg)
    return _stacked(slices)


def _stacked(slices: list[Dataset]) -> Host:
    orientation = np.array(slices[0].ImageOrientationPatient, dtype=np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    places = {float(np.array(s.ImagePositionPatient, dtype=np.float64) @ normal): s for s in slices}
    heights = np.array(sorted(places))
    steps = np.diff(heights)
    if np.ptp(steps) > SPACING_TOLERANCE * steps.mean():
        msg = "the slices lie at unequal distances"
        raise HostError(msg)
    ordered = [places[height] for height in heights]
    first, last = (np.array(s.ImagePositionPatient, dtype=np.float64) for s in (ordered[0], ordered[-1]))
    row_mm, column_mm = (float(v) for v in ordered[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(ordered) - 1)
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = orientation[3:] * row_mm, orientation[:3] * column_mm, first
    stored = np.stack([stored_values(s) for s in ordered])
    scale = np.array([(float(s.RescaleSlope), float(s.RescaleIntercept)) for s in ordered])
    for header in ordered:
        del header.PixelData
    thickness = ordered[0].get("SliceThickness")
    return Host(
        headers=tuple(ordered),
        stored=stored,
        scale=scale,
        geometry=VolumeGeometry(affine=affine, shape=(len(ordered), *stored.shape[1:])),
        thickness_mm=float(thickness) if thickness else float(steps.mean()),
    )


def stored_values(image: Dataset) -> NDArray[np.int32]:
    """Stored values of one single-frame image, sign applied; shape ``(rows, columns)``, no unit."""
    decode = _DECODERS.get(image.file_meta.TransferSyntaxUID)
    if decode is None:
        return np.asarray(image.pixel_array, dtype=np.int32)
    values = np.asarray(decode(next(generate_frames(image.PixelData, number_of_frames=1))))
    if int(image.PixelRepresentation) == 1:
        values = values.view(np.int16)
    return values.reshape(image.Rows, image.Columns).astype(np.int32)


def write_host(host: Host, folder: Path, *, salt: str) -> None:
    """Write a series as uncompressed DICOM, one file a slice.

    Parameters
    ----------
    host : Host
        Values beyond what its headers can store make it 16-bit signed; else the pixel description stays.
    folder : Path
        Made when missing.
    salt : str
        UIDs are made from the old ones and this: the same salt gives the same files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    low, high = host.limits()
    is_wider = bool(host.stored.min() < low or host.stored.max() > high)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # faults of the host's own header are kept
        for number, header in enumerate(host.headers):
            image = copy.deepcopy(header)
            _renew_uids(image, salt, number)
            _place(image, host, number)
            _fill(image, host.stored[number], is_wider=is_wider)
            path = folder / f"slice_{number + 1:04d}.dcm"
            dcmwrite(path, image, implicit_vr=False, little_endian=True, enforce_file_format=True)


def _fill(image: Dataset, stored: NDArray[np.int32], *, is_wider: bool) -> None:
    if is_wider:
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.pop("PixelPaddingValue", None)
    for keyword in _OF_THE_RANGE:
        image.pop(keyword, None)
    image.PixelData = stored.astype("<i2" if int(image.PixelRepresentation) == 1 else "<u2").tobytes()
    image["PixelData"].VR = "OW"


def renewed_uid(uid: str, salt: str) -> UID:
    """UID made from another one; the same for the same salt."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{salt}:{uid}').int}")


def _renew_uids(image: Dataset, salt: str, number: int) -> None:
    def renew(_: Dataset, element: DataElement) -> None:
        if element.VR != "UI" or not element.value:
            return
        many = not isinstance(element.value, str)
        old = [str(v) for v in (element.value if many else [element.value])]
        new = [UID(v) if v.startswith(_REGISTERED) else renewed_uid(v, salt) for v in old]
        element.value = new if many else new[0]

    image.walk(renew)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not image.get(keyword):
            setattr(image, keyword, renewed_uid(keyword, salt))
    image.SOPClassUID = CTImageStorage
    # Named by its place in the stack: names in the file are blank or repeated in some archives.
    image.SOPInstanceUID = renewed_uid(f"{image.SeriesInstanceUID}:{number}", salt)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)


def _place(image: Dataset, host: Host, number: int) -> None:
    affine = host.geometry.affine
    corner = affine[:3, 3] + number * affine[:3, 0]
    image.ImagePositionPatient = [decimal_text(float(v)) for v in corner]
    image.Rows, image.Columns = host.geometry.shape[1:]
    image.InstanceNumber = number + 1
    image.SliceThickness = decimal_text(host.thickness_mm)
    for keyword in ("SliceLocation", "SpacingBetweenSlices"):
        image.pop(keyword, None)
    image.RescaleSlope, image.RescaleIntercept = (decimal_text(float(v)) for v in host.scale[number])
