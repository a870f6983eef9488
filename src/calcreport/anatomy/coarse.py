"""The volume as block means on two grids, and the noise of its soft tissue, the yardstick for every threshold.

The coarse one of about 3 mm maps anatomy at a hundredth of the cost; one of about 1.5 mm within a slice is fine enough
for cortex, quick and quiet enough to map bones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from calcreport.anatomy.arrays import Hu, Ints, Labels, Mask, Spacing
from calcreport.model.image import LOWEST_HU, NOT_IMAGED_HU, CtVolume
from calcreport.processes.threads import map_in_threads

COARSE_VOXEL_MM: Final = 3.0  # Edge aimed at: finer than layers of fat and muscle, coarse enough to be quick
_SLICES_AT_ONCE: Final = 8  # As many as the cache of a processor holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Block means of a volume."""

    hu: Hu
    """Shape ``(slices, rows, columns)`` of the grid, HU."""
    step: tuple[int, int, int]
    """Fine voxels a block spans along slice, row, column."""
    spacing_mm: Spacing
    """Distances between blocks along slice, row, column, mm."""
    first: tuple[int, int, int] = (0, 0, 0)
    """Fine voxel at which the first block begins; blocks without a patient are left out."""

    def of_fine(self, index: Labels) -> Ints:
        """Block that holds each fine voxel index; shape ``(..., 3)`` in and out, clipped to the grid."""
        within = np.maximum(np.asarray(index) - np.asarray(self.first), 0) if any(self.first) else np.asarray(index)
        block: Ints = np.minimum(within // np.asarray(self.step), np.asarray(self.hu.shape) - 1, dtype=np.int64)
        return block

    def steps(self, length_mm: float) -> int:
        """Blocks within a slice that a length spans, at least one."""
        return max(1, round(length_mm / self.spacing_mm[1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoarseVolume(Grid):
    """Blocks within one slice each; slices between are left out, not averaged.

    Blocks with a voxel that was not imaged hold the floor of the scale.
    """

    is_imaged: Mask
    """Shape of `hu`; false where a block holds a voxel outside the field of view."""


def block_means(planes: Hu, steps: tuple[int, int]) -> Hu:
    """Means over blocks of some slices, HU, rounded down where whole; the last of an axis may be smaller."""
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
        last = np.add.reduceat(planes[:, row_starts[-1] :].mean(axis=1), column_starts, axis=1)
        means[:, -1] = last / np.diff(np.append(column_starts, columns))
    if columns % across:
        last = np.add.reduceat(planes[:, :, column_starts[-1] :].mean(axis=2), row_starts, axis=1)
        means[:, :, -1] = last / np.diff(np.append(row_starts, rows))
    return means


def coarsen(volume: CtVolume) -> CoarseVolume:
    """Reduce a volume to its coarse grid."""
    spacing = volume.geometry.spacing_mm
    i, j, k = (max(1, round(COARSE_VOXEL_MM / s)) for s in spacing)
    planes = volume.hu[::i]
    starts = range(0, len(planes), _SLICES_AT_ONCE)
    hu = np.concatenate(map_in_threads(lambda n: block_means(planes[n : n + _SLICES_AT_ONCE], (j, k)), starts))
    lowest = NOT_IMAGED_HU // 2
    return CoarseVolume(
        hu=np.maximum(hu, np.int16(lowest)), is_imaged=hu > lowest - 20, step=(i, j, k),
        spacing_mm=(spacing[0] * i, spacing[1] * j, spacing[2] * k),
    )  # fmt: skip


IN_PLANE_MM: Final = 1.5  # Edge aimed at within a slice: half of a rib's cortex and marrow, so that both still show
THROUGH_MM: Final = 3.0  # Slices are averaged up to this: an oblique rib still overlaps itself in the next


def make_grid(volume: CtVolume, coarse: CoarseVolume, body: Mask) -> Grid:
    """Reduce the part of a volume that holds the body (coarse shape), lightly smoothed within the slice.

    The last blocks of an axis may be smaller.
    """
    spacing = volume.geometry.spacing_mm
    step = (max(1, int(THROUGH_MM / spacing[0] + 1e-6)), *(max(1, round(IN_PLANE_MM / s)) for s in spacing[1:]))
    top, bottom = _range(np.asarray(body.any(axis=(0, 2))), coarse.step[1], step[1])
    left, right = _range(np.asarray(body.any(axis=(0, 1))), coarse.step[2], step[2])

    def reduce(plane: int) -> Hu:
        planes = block_means(volume.hu[plane : plane + step[0], top:bottom, left:right], (step[1], step[2]))
        mean = planes[0] if len(planes) == 1 else (planes.sum(axis=0, dtype=np.int32) // len(planes)).astype(np.int16)
        return _smooth(np.maximum(mean, np.int16(LOWEST_HU)))

    hu = np.stack(map_in_threads(reduce, range(0, len(volume.hu), step[0])))
    i, j, k = (s * n for s, n in zip(spacing, step, strict=True))
    return Grid(hu=hu, step=(step[0], step[1], step[2]), spacing_mm=(i, j, k), first=(0, top, left))


def _range(holds: Mask, coarse_step: int, step: int) -> tuple[int, int]:
    """First and last fine voxel along an axis of what a coarse profile holds, with a block of margin."""
    held = np.flatnonzero(holds)
    if not held.size:
        return 0, coarse_step * len(holds)
    margin = coarse_step + step
    low = max(0, int(held[0]) * coarse_step - margin) // step * step
    return low, (int(held[-1]) + 1) * coarse_step + margin


def _smooth(plane: Hu) -> Hu:
    """Weights 1, 2, 1 along rows and columns: a standard deviation of 0.7 blocks, about 1 mm."""
    wide = np.pad(plane, 1, mode="edge")
    rows = (wide[:-2] + wide[1:-1] * np.int16(2) + wide[2:]) >> 2
    return np.asarray((rows[:, :-2] + rows[:, 1:-1] * np.int16(2) + rows[:, 2:]) >> 2)


SOFT_TISSUE_HU: Final = (-20, 150)  # muscle or fluid with noise; fat and mineral would add their own texture
MIN_PAIRS: Final = 200  # Fewer voxel pairs than this say nothing about a slice
DEFAULT_NOISE_HU: Final = 20.0  # Assumed where no slice holds enough soft tissue: a usual value for body CT


def slice_noise_hu(plane: Hu) -> float | None:
    """Standard deviation of the noise in one slice, HU, or ``None`` with too little soft tissue.

    `plane`: shape ``(rows, columns)``, HU. Median absolute difference of voxels two columns apart, so that neither
    edges nor the slow shading of the tissue counts as noise, and neighbouring voxels blurred into each other do not
    hide it.
    """
    low, high = SOFT_TISSUE_HU
    soft = (plane > low) & (plane < high)
    pairs = soft[:, 2:] & soft[:, 1:-1] & soft[:, :-2]
    if int(pairs.sum()) < MIN_PAIRS:
        return None
    difference = plane[:, 2:][pairs].astype(np.int32) - plane[:, :-2][pairs]
    return float(np.median(np.abs(difference))) / 0.6745 / float(np.sqrt(2.0))


def volume_noise_hu(hu: Hu, *, samples: int = 16) -> float:
    """Upper-quartile noise over some evenly spaced slices, HU: the noisy part of a scan sets the pace."""
    chosen = np.unique(np.linspace(0, hu.shape[0] - 1, min(samples, hu.shape[0])).round().astype(int))
    values = [noise for i in chosen if (noise := slice_noise_hu(hu[i])) is not None]
    return float(np.percentile(values, 75)) if values else DEFAULT_NOISE_HU
