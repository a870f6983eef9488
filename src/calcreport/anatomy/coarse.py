"""The volume on a coarse grid of about 3 mm, where anatomy is mapped at a hundredth of the cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.model.image import NOT_IMAGED_HU, CtVolume
from calcreport.processes.threads import map_in_threads

COARSE_VOXEL_MM: Final = 3.0
"""Edge aimed at: finer than every layer the coarse maps must tell apart (fat, muscle), coarse enough to be quick."""

_SLICES_AT_ONCE: Final = 8
"""As many as the cache of a processor holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoarseVolume:
    """Block means of a volume."""

    hu: NDArray[np.int16]
    """Shape ``(slices, rows, columns)`` of the coarse grid; mean HU of a block within one slice (slices between are
    left out, not averaged). Blocks with a voxel that was not imaged hold the floor of the scale."""
    is_imaged: NDArray[np.bool_]
    """Same shape; false where a block holds a voxel outside the field of view."""
    step: tuple[int, int, int]
    """Fine voxels a coarse voxel spans along slice, row, column."""
    spacing_mm: tuple[float, float, float]
    """Distances between coarse voxels along slice, row, column, mm."""

    def of_fine(self, index: NDArray[np.integer]) -> NDArray[np.int64]:
        """Coarse index that holds each fine voxel index; shape ``(..., 3)`` in and out, clipped to the grid."""
        coarse = np.asarray(index, dtype=np.int64) // np.asarray(self.step)
        clipped: NDArray[np.int64] = np.minimum(coarse, np.asarray(self.hu.shape) - 1)
        return clipped


def block_means(planes: NDArray[np.int16], steps: tuple[int, int]) -> NDArray[np.int16]:
    """Means over blocks of so many rows and columns of some slices, HU; the last of an axis may be smaller.

    A block that is whole is rounded down.
    """
    down, across = steps
    count, rows, columns = planes.shape
    row_starts, column_starts = np.arange(0, rows, down), np.arange(0, columns, across)
    means = np.empty((count, row_starts.size, column_starts.size), dtype=np.int16)
    high, wide = rows // down, columns // across
    # Whole rows added one to the other beat a reduction over short axes by far.
    full = planes[:, : high * down].reshape(count, high, down, columns)
    lines = full[:, :, 0].astype(np.int32)
    for i in range(1, down):
        lines += full[:, :, i]
    parts = lines[:, :, : wide * across].reshape(count, high, wide, across)
    total = parts[..., 0].copy()
    for j in range(1, across):
        total += parts[..., j]
    means[:, :high, :wide] = total // (down * across)
    if rows % down:
        means[:, -1] = np.add.reduceat(planes[:, row_starts[-1] :].mean(axis=1), column_starts, axis=1) / np.diff(
            np.append(column_starts, columns)
        )
    if columns % across:
        means[:, :, -1] = np.add.reduceat(planes[:, :, column_starts[-1] :].mean(axis=2), row_starts, axis=1) / np.diff(
            np.append(row_starts, rows)
        )
    return means


def coarsen(volume: CtVolume) -> CoarseVolume:
    """Reduce a volume to its coarse grid."""
    i, j, k = (max(1, round(COARSE_VOXEL_MM / s)) for s in volume.geometry.spacing_mm)
    step = (i, j, k)
    taken = volume.hu[:: step[0]]
    starts = range(0, len(taken), _SLICES_AT_ONCE)
    hu = np.concatenate(map_in_threads(lambda i: block_means(taken[i : i + _SLICES_AT_ONCE], step[1:]), starts))
    lowest = NOT_IMAGED_HU // 2
    is_imaged = hu > lowest - 20
    spacing = volume.geometry.spacing_mm
    return CoarseVolume(
        hu=np.maximum(hu, np.int16(lowest)),
        is_imaged=is_imaged,
        step=step,
        spacing_mm=(spacing[0] * step[0], spacing[1] * step[1], spacing[2] * step[2]),
    )
