"""Bones of a series among its dense components, and metal joined to them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.components import paint
from calcreport.anatomy.morphology import outside_planes
from calcreport.anatomy.skeleton import (
    FABELLA_GAP_MM,
    JOINT_GAP_MM,
    MAX_FABELLA_MM3,
    MIN_ARTICULAR_MM2,
    PATELLA_GAP_MM,
    SMALL_BONE_MM3,
    TRABECULAR_HU,
    Architecture,
    describe_architecture,
    is_large_bone,
)
from calcreport.calcification.foci import Focus
from calcreport.calcification.scene import Scene

MIN_BONE_END_MM3: Final = 5_000.0

BONE_END_REACH_MM: Final = 25.0

MIN_IN_LINE: Final = 0.4
"""An end of a bone lies over or under other bones by at least this share of its outline."""

MIN_IMPLANT_MM3: Final = 20.0

INNER_SHARE: Final = 0.6
MIN_INNER_RATIO: Final = 0.85
"""The inner part of mineral laid on a bone is about as dense as its outer part, or denser."""

MIN_BEHIND_MM: Final = 8.0
"""Behind the middle of the bone (posterior, patient axes)."""

METAL_HU: Final = 2_400
"""Denser than any cortex or mineral on a clinical scanner; metal cut-offs of 2500-3000 HU are common practice."""


def find_large_bones(
    scene: Scene, candidates: list[int], volume_mm3: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], dict[int, Architecture]]:
    """Bones that frame the scan, and the architecture of every component large enough to have one."""
    components = scene.components
    skeleton = np.zeros(components.count, dtype=bool)
    architectures: dict[int, Architecture] = {}
    for i in candidates:
        if volume_mm3[i] < SMALL_BONE_MM3:
            continue
        architecture = describe_architecture(
            scene.volume.hu, components, i, spacing_mm=scene.spacing_mm, grow_hu=scene.limits.grow
        )
        architectures[i] = architecture
        touches, sideways = scene.border(i)
        extent_mm = (components.box[i, :, 1] - components.box[i, :, 0]) * np.array(scene.spacing_mm)
        skeleton[i] = is_large_bone(
            architecture, volume_mm3=float(volume_mm3[i]), extent_mm=float(extent_mm.max()),
            peak_hu=float(components.peak_hu[i]), touches_border=touches, is_cut_sideways=sideways,
        )  # fmt: skip
    for i in candidates:
        # Ends of bones may lie apart from their shaft where cartilage or thin cortex falls below the limit.
        if skeleton[i] or i not in architectures or volume_mm3[i] < MIN_BONE_END_MM3:
            continue
        core_hu = architectures[i].core_hu
        is_trabecular = architectures[i].has_marrow and core_hu is not None and core_hu > TRABECULAR_HU
        skeleton[i] = is_trabecular and _is_in_line(scene, i, skeleton)
    return skeleton, architectures


def _is_in_line(scene: Scene, component: int, skeleton: NDArray[np.bool_]) -> bool:
    """Whether a component lies, along the scan, in line with a bone close above or below it."""
    reach = int(np.ceil(BONE_END_REACH_MM / scene.spacing_mm[0]))
    (low, high), rows, columns = scene.components.box[component]
    box = (
        slice(max(0, int(low) - reach), min(scene.volume.hu.shape[0], int(high) + reach)),
        slice(int(rows[0]), int(rows[1])),
        slice(int(columns[0]), int(columns[1])),
    )
    chosen = np.zeros(scene.components.count, dtype=bool)
    chosen[component] = True
    own = paint(scene.components, chosen, box).any(axis=0)
    others = paint(scene.components, skeleton & ~chosen, box).any(axis=0)
    filled = ndimage.binary_fill_holes(np.asarray(others, dtype=np.bool_))
    return float((own & filled).sum()) >= MIN_IN_LINE * float(own.sum())


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

    Parameters
    ----------
    hu : NDArray[np.int16]
        The volume, HU.
    index : NDArray[np.int64]
        Shape ``(n, 3)``; its voxels.
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


def bone_territory(scene: Scene, skeleton: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Coarse mask of bones with their marrow: islands of trabeculae inside belong to the bone."""
    return ~outside_planes(scene.mark(np.flatnonzero(skeleton)))


def lies_at_joint(focus: Focus) -> bool:
    """Whether a separate bone lies where patella, sesamoids and carpal bones lie."""
    return focus.bone_gap_mm <= JOINT_GAP_MM or (focus.bone_gap_mm <= PATELLA_GAP_MM and focus.air_fraction > 0)


def is_fabella(scene: Scene, focus: Focus, territory: NDArray[np.bool_]) -> bool:
    """Whether a small dense ovoid lies close behind the broad end of a bone."""
    if focus.bone_gap_mm > FABELLA_GAP_MM or focus.volume_mm3 > MAX_FABELLA_MM3 or not np.isfinite(focus.bone_gap_mm):
        return False
    block = (scene.components.box[focus.component].mean(axis=1) / np.array(scene.coarse.step)).astype(int)
    labels, count = ndimage.label(territory[min(int(block[0]), len(territory) - 1)])
    if not count:
        return False
    areas = np.bincount(labels.ravel())[1:] * scene.coarse.spacing_mm[1] * scene.coarse.spacing_mm[2]
    distances = [float(np.abs(np.argwhere(labels == i + 1) - block[1:]).sum(axis=1).min()) for i in range(count)]
    nearest = int(np.argmin(distances))
    if areas[nearest] < MIN_ARTICULAR_MM2:
        return False
    row, column = np.argwhere(labels == nearest + 1).mean(axis=0)
    index = np.array([[block[0], row, column], block]) * np.array(scene.coarse.step)
    bone_lps, focus_lps = scene.volume.geometry.lps_mm(index)
    return bool(focus_lps[1] - bone_lps[1] > MIN_BEHIND_MM)
