"""Metal among dense components, and mineral laid on a bone."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.bone_map import MIN_SMALL_BONE_MM3
from calcreport.calcification.foci import Focus
from calcreport.calcification.scene import Scene

MIN_IMPLANT_MM3: Final = 20.0

INNER_SHARE: Final = 0.6
MIN_INNER_RATIO: Final = 0.85
"""The inner part of mineral laid on a bone is about as dense as its outer part, or denser."""

MIN_CORTEX: Final = 0.75
"""Among the bones of hand or foot a piece smaller than a phalanx has the cortex of the larger bones of the scan: in
phantoms a peak of 0.79 of theirs and more; lumps of mineral have 0.7 and less."""

METAL_HU: Final = 2_400
"""Denser than any cortex or mineral on a clinical scanner; metal cut-offs of 2500-3000 HU are common practice."""

SMALL_METAL_HU: Final = 1_800
SMALL_METAL_MM3: Final = 100.0
"""Partial volume dims what is this small: no deposit of that size stays so dense, a fragment of metal does."""


def is_metal(focus: Focus) -> bool:
    """Whether a component is denser than any cortex or mineral of its size."""
    limit = METAL_HU if focus.volume_mm3 > SMALL_METAL_MM3 else SMALL_METAL_HU
    return focus.peak_hu >= limit


def is_lump(scene: Scene, component: int) -> bool:
    """Whether a component is smaller than a phalanx and fainter than the cortex of the bones of the scan."""
    volume_mm3 = float(scene.components.voxels[component]) * scene.volume.geometry.voxel_volume_mm3
    return volume_mm3 < MIN_SMALL_BONE_MM3 and float(scene.components.peak_hu[component]) < MIN_CORTEX * scene.cortex_hu


def metal_in_bone(scene: Scene, skeleton: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Voxels of implants that dense voxels join to a bone, one array of shape ``(n, 3)`` a bone."""
    found = []
    for i in np.flatnonzero(skeleton & (scene.components.peak_hu >= METAL_HU)):
        index = scene.components.indices(int(i))
        metal = index[scene.volume.hu[tuple(index.T)] >= METAL_HU]
        if len(metal) * scene.volume.geometry.voxel_volume_mm3 >= MIN_IMPLANT_MM3:
            found.append(metal)
    return found


def is_solid(hu: NDArray[np.int16], index: NDArray[np.int64]) -> bool:
    """Whether an outgrowth is mineral through and through: a bony process has marrow under a shell.

    `hu`: the volume, HU; `index`: shape ``(n, 3)``; its voxels.
    """
    low = index.min(0)
    mask = np.zeros(tuple(index.max(0) - low + 1), dtype=np.bool_)
    mask[tuple((index - low).T)] = True
    depth = np.stack([ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1] for plane in mask])
    own = depth[tuple((index - low).T)]
    values = hu[tuple(index.T)]
    inner = own > INNER_SHARE * own.max()
    return (
        float(np.median(values[inner])) >= MIN_INNER_RATIO * float(np.median(values[~inner]))
        if (~inner).any()
        else True
    )
