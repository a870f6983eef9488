"""The tissue a lesion lies in: fat or muscle around it, a coat, oedema, and the vessel it may belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

COAT_MM: Final = (1.5, 2.5)
"""Distances from the mineral at which a coat of soft tissue shows; nearer, the mineral's own blur does."""

NEAR_RING_MM: Final = (2.0, 5.0)
WIDE_RING_MM: Final = (8.0, 14.0)
"""Distances at which the tissue right around the mineral, and the tissue it lies in, are read."""

FAT_HU: Final = -35
GAS_OR_AIR_HU: Final = -250
WATER_HU: Final = 0
DENSE_HU: Final = 130
"""Tissue lies between gas and mineral; muscle, oedema and masses of soft tissue lie between water and mineral."""

MAX_VOXELS: Final = 400_000
"""Larger boxes are thinned out before their surroundings are looked at."""

FEW_VOXELS: Final = 30
"""A median of fewer voxels says nothing."""

SIDES: Final = 12
MOSTLY: Final = 0.5
"""Directions within the slice in which fat is looked for, and its share that counts."""

SLEEVE_MM: Final = 3.0
"""Thickness of the layer in which swelling, or the tendon around a deposit, is read; it starts a slice away, where
the mineral's own partial volume has ended."""

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vicinity:
    """Tissue around a lesion; fields as in `calcreport.calcification.patterns.features.Features`."""

    near_hu: float
    near_fat: float
    wide_fat: float
    fat_sides: float
    coat_hu: float | None
    swelling_hu: float | None


def read_vicinity(hu: NDArray[np.int16], inside: NDArray[np.bool_], spacing: Spacing) -> Vicinity:
    """Tissue around a lesion, within a box.

    `hu`: shape ``(slices, rows, columns)`` of a box around the lesion, HU; `inside`: same shape; true in the mineral;
    `spacing`: voxel spacing along slice, row, column, mm.
    """
    stride = max(1, int(np.ceil((inside.size / MAX_VOXELS) ** (1 / 3))))
    if not inside[::stride, ::stride, ::stride].any():
        stride = 1
    mask, local = inside[::stride, ::stride, ::stride], hu[::stride, ::stride, ::stride]
    distance = ndimage.distance_transform_edt(~mask, sampling=np.array(spacing) * stride)
    is_tissue = (local > GAS_OR_AIR_HU) & (local < DENSE_HU)

    def ring(limits_mm: tuple[float, float]) -> NDArray[np.bool_]:
        return np.asarray((distance > limits_mm[0]) & (distance <= limits_mm[1]), dtype=bool)

    is_near = is_tissue & ring(NEAR_RING_MM)
    near, wide, coat = local[is_near], local[is_tissue & ring(WIDE_RING_MM)], local[ring(COAT_MM)]
    near_fat = float((near < FAT_HU).mean()) if near.size else 0.0
    clear_mm = max(NEAR_RING_MM[0], 1.05 * max(spacing))
    sleeve = local[is_tissue & ring((clear_mm, clear_mm + SLEEVE_MM))]
    soft_near, soft_wide = sleeve[sleeve > WATER_HU], wide[wide > WATER_HU]
    is_known = min(soft_near.size, soft_wide.size) >= FEW_VOXELS
    return Vicinity(
        near_hu=float(np.median(near)) if near.size else 0.0,
        near_fat=near_fat,
        wide_fat=float((wide < FAT_HU).mean()) if wide.size else near_fat,
        fat_sides=_fat_sides(local, mask, is_near, spacing),
        coat_hu=float(np.median(coat)) if coat.size else None,
        swelling_hu=float(np.median(soft_wide) - np.median(soft_near)) if is_known else None,
    )


def _fat_sides(hu: NDArray[np.int16], inside: NDArray[np.bool_], is_near: NDArray[np.bool_], spacing: Spacing) -> float:
    """Share of the directions within the slice, from the middle of the mineral, in which mostly fat lies around it."""
    middle = np.argwhere(inside).mean(0)
    holds_mineral = np.asarray(inside.any(axis=(1, 2)))
    index = np.argwhere(is_near & holds_mineral[:, np.newaxis, np.newaxis])
    y, x = ((index[:, i] - middle[i]) * spacing[i] for i in (1, 2))
    side = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * SIDES).astype(int) % SIDES
    seen = np.bincount(side, minlength=SIDES)
    fat = np.bincount(side, weights=hu[tuple(index.T)] < FAT_HU, minlength=SIDES)
    return float((fat[seen > 0] > MOSTLY * seen[seen > 0]).mean()) if len(index) else 0.0
