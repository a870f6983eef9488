"""Images ready to measure. Only a `CtVolume` holds Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.model.geometry import VolumeGeometry, lock

NOT_IMAGED_HU: Final = -2048
"""Value of voxels the scanner did not image (padding outside the field of view). Real air is never below -1024."""

LOWEST_HU: Final = -1024
"""Imaged voxels are clamped to this floor: nothing is less dense than air."""


@unique
class Contrast(StrEnum):
    """Intravenous contrast phase."""

    NONE = "none"
    VENOUS = "venous"
    ARTERIAL = "arterial"
    GIVEN = "given_phase_unknown"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReference:
    """The stored image a slice came from."""

    sop_instance_uid: str
    instance_number: int | None
    """Instance Number as the viewer shows it; ``None`` when absent."""
    frame: int | None = None
    """1-based frame number in a multi-frame object; ``None`` for a single-frame file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtVolume:
    """A CT series in Hounsfield units."""

    hu: NDArray[np.int16]
    """Shape ``(slices, rows, columns)``; Hounsfield units, read-only. Voxels not imaged hold `NOT_IMAGED_HU`, every
    other voxel is at least `LOWEST_HU`."""
    geometry: VolumeGeometry
    slices: tuple[SliceReference, ...]
    """One entry a slice, in slice order."""
    ceiling_hu: int | None = None
    """HU of the largest storable value where the scale may be clipped (3071 on 12-bit data); a voxel at or above it is
    a lower bound. ``None`` when the scale is wide enough not to clip."""
    series_instance_uid: str = ""
    frame_of_reference_uid: str | None = None
    """From the header; a contour drawn in another frame of reference does not fit."""

    def __post_init__(self) -> None:
        lock("hu", self.hu, np.int16, (len(self.slices), *self.geometry.shape[1:]))
        if self.hu.shape != self.geometry.shape:
            msg = "geometry and slices disagree on the shape"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How a CT series was made, as its header says; ``None`` where the header is silent."""

    kvp: float | None = None
    slice_thickness_mm: float | None = None
    """Slice Thickness attribute in mm: shown, never used for volume."""
    kernel: str | None = None
    contrast: Contrast = Contrast.UNKNOWN
    patient_position: str | None = None
    """HFS, FFS …; shown only, never used for sides."""
    body_part: str | None = None
    laterality: str | None = None
    """``"left"``, ``"right"`` or ``None``."""
    notes: tuple[str, ...] = ()
    """Sentences a reader must see (gantry tilt, overlap, gaps, lossy, burned-in annotation …)."""
