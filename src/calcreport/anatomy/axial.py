"""The coarse grid turned so that slices run up the patient, rows to the back and columns to the left."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Hu, Ints, Mask, Spacing
from calcreport.anatomy.labelling import label, label_planes
from calcreport.anatomy.morphology import chosen
from calcreport.model.geometry import VolumeGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How axes of a grid become foot-head, front-back, right-left."""

    order: tuple[int, int, int]
    """Axis of the grid that runs along the patient, to the back, to the left."""
    step: tuple[int, int, int]
    """1 where that axis runs up, back, left; -1 where it runs the other way."""

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """View of an array of the grid."""
        return array.transpose(self.order)[:: self.step[0], :: self.step[1], :: self.step[2]]

    def returned(self, array: NDArray[Any]) -> NDArray[Any]:
        """Array of the grid from a turned one."""
        back = array[:: self.step[0], :: self.step[1], :: self.step[2]].transpose(np.argsort(self.order))
        return np.ascontiguousarray(back)

    def index(self, index: Ints, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Turned index of a voxel of the grid, whose shape is `shape`."""
        return tuple(
            int(index[axis]) if step > 0 else shape[axis] - 1 - int(index[axis])
            for axis, step in zip(self.order, self.step, strict=True)
        )  # type: ignore[return-value]


def turn_of(geometry: VolumeGeometry) -> Turn:
    """The turn for a stack: each patient axis (z, y, x) gets the grid axis nearest to it."""
    steps = geometry.affine[:3, :3] / np.linalg.norm(geometry.affine[:3, :3], axis=0)
    patient = steps[[2, 1, 0]]
    axes = max(permutations(range(3)), key=lambda order: float(np.abs(patient[range(3), order]).sum()))
    signs = [1 if patient[i, axis] >= 0 else -1 for i, axis in enumerate(axes)]
    return Turn(order=axes, step=tuple(signs))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axial:
    """Turned arrays, each of shape ``(levels, rows, columns)``."""

    hu: Hu
    """Block means, HU."""
    body: Mask
    bone: Mask
    is_imaged: Mask
    """False where nothing was imaged."""
    spacing_mm: Spacing
    """Between levels, rows, columns, mm."""

    @property
    def pixel_mm2(self) -> float:
        """Area of a block in its level, mm2."""
        return self.spacing_mm[1] * self.spacing_mm[2]

    def columns(self, length_mm: float) -> int:
        """Whole columns of a length across the patient."""
        return max(1, round(length_mm / self.spacing_mm[2]))

    def rows(self, length_mm: float) -> int:
        """Whole rows of a length from front to back."""
        return max(1, round(length_mm / self.spacing_mm[1]))

    def levels(self, length_mm: float) -> int:
        """Whole levels of a length along the patient."""
        return max(1, round(length_mm / self.spacing_mm[0]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sections:
    """Connected parts of each level of a mask."""

    labels: NDArray[np.signedinteger]
    """Shape ``(levels, rows, columns)``; 0 outside, else 1 + index into the arrays."""
    level: Ints
    area_mm2: Floats
    row: Floats
    column: Floats
    """Shape ``(n,)``; level, area and centre of each part."""
    box: Ints
    """Shape ``(n, 2, 2)``; first and last row, first and last column."""

    def of_level(self, level: int | np.integer) -> Ints:
        """Indices of the parts of a level, largest first."""
        own = np.flatnonzero(self.level == level)
        return own[np.argsort(-self.area_mm2[own], kind="stable")]

    def largest(self) -> Mask:
        """The largest part of each level."""
        order = np.argsort(self.area_mm2, kind="stable")
        number = np.full(len(self.labels), -1)
        number[self.level[order]] = 1 + order
        return np.asarray((self.labels > 0) & (self.labels == number[:, None, None]))


def along(mask: Mask, *axes: int) -> Mask:
    """Where a mask has anything along some axes; levels that hold any of it for ``along(mask, 1, 2)``."""
    return np.asarray(mask.any(axis=axes), dtype=np.bool_)


def find_sections(mask: Mask, pixel_mm2: float) -> Sections:
    """Connected parts of each level of a mask (shape ``(levels, rows, columns)``)."""
    labels, count = label_planes(mask)
    at = np.flatnonzero(labels)
    own = labels.ravel()[at] - 1
    row, column = np.divmod(at, mask.shape[2])
    row %= mask.shape[1]
    size = np.maximum(np.bincount(own, minlength=count), 1)
    boxes = ndimage.find_objects(labels)
    return Sections(
        labels=labels,
        level=np.array([b[0].start for b in boxes], dtype=np.int64),
        area_mm2=size[:count] * pixel_mm2,
        row=np.bincount(own, row, count) / size,
        column=np.bincount(own, column, count) / size,
        box=np.array([[[b[1].start, b[1].stop - 1], [b[2].start, b[2].stop - 1]] for b in boxes]).reshape(-1, 2, 2),
    )


def lasting(mask: Mask, least: int, *, gap: int) -> Mask:
    """Runs of levels (shape ``(levels,)``) that hold over at least so many, gaps of twice `gap` filled."""
    closed = ndimage.binary_closing(np.pad(mask, gap), iterations=gap)[gap:-gap]
    labels, _ = label(closed)
    return chosen(labels, np.bincount(labels) >= least)
