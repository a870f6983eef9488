"""Lesion contours in DICOM files; the only part of mask reading that imports pydicom."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from calcreport.contour.grid import LabelVolume, PlacedMask
from calcreport.contour.rtstruct import place_structures
from calcreport.contour.segmentation import place_segments, read_labels
from calcreport.errors import InputError
from calcreport.model.image import CtVolume

_RTSTRUCT: Final = "1.2.840.10008.5.1.4.1.1.481.3"  # RT Structure Set Storage
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage and Label Map Segmentation Storage."""

_DAMAGE: Final = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RecursionError, OSError, EOFError,
    struct.error, zlib.error, InvalidDicomError, BytesLengthException,
)  # fmt: skip
"""What pydicom and numpy raise on files that break their own rules."""


def place_dicom(stream: IO[bytes], volume: CtVolume, wanted: str | None, max_voxels: int) -> tuple[PlacedMask, ...]:
    """Lay the lesions of an RT Structure Set or Segmentation into the CT grid, one entry each.

    `wanted` is the name or number of the structure chosen by the user. Raises `InputError` ``mask.unknown_format``,
    ``mask.damaged``, and those of `place_structures` and `place_segments`.
    """
    with _opened(stream) as (dataset, sop_class):
        if sop_class == _RTSTRUCT:
            return place_structures(dataset, volume, wanted)
        if sop_class in _SEGMENTATIONS:
            return place_segments(dataset, volume, wanted, max_voxels)
    msg = "the lesion mask is a DICOM file, but neither an RT Structure Set nor a Segmentation; give the contour"
    raise InputError(msg, code="mask.unknown_format")


def read_segments(
    stream: IO[bytes], volume: CtVolume, max_voxels: int
) -> tuple[LabelVolume, dict[int, tuple[str, ...]]]:
    """Read every segment of a Segmentation as a label, and what each is called.

    Raises `InputError` ``mask.unknown_format``, ``mask.damaged``, and those of `read_labels`.
    """
    with _opened(stream) as (dataset, sop_class):
        if sop_class in _SEGMENTATIONS:
            return read_labels(dataset, volume, max_voxels)
    msg = "the lesion mask is a DICOM file, but no Segmentation; give a Segmentation or NIfTI"
    raise InputError(msg, code="mask.unknown_format")


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[tuple[Dataset, str]]:
    """A data set and its SOP class; ``mask.damaged`` for what breaks the rules of DICOM while it is read."""
    try:
        # Warnings of pydicom quote values, and with them the patient.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(stream, force=True)
            yield dataset, str(dataset.get("SOPClassUID") or "")
    except _DAMAGE as error:
        msg = "the lesion mask is damaged or incomplete; export it again"
        raise InputError(msg, code="mask.damaged") from error
