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

SHAFT_REACH_MM: Final = 12.0
SHAFT_MM2: Final = (300.0, 1_800.0)
SLIM_SHAFT_MM2: Final = 60.0
MIN_BROADER: Final = 1.5
MAX_SHAFT_CHANGE: Final = 1.5
"""A shaft keeps its section this far above and below. Femur, tibia and humerus have the greater sections; beside a
slimmer one only what is this much broader is no bone."""

MIN_BONE_SHARE: Final = 0.12
"""At a knee bone takes this share of the section or more; at a spine less, but in the thinnest necks."""

MAX_LIMB_MM2: Final = 32_000.0
"""A limb 20 cm across."""

MIN_AIRWAY_MM2: Final = 40.0
"""Section of the narrowest airway."""

MIN_PATELLA_MM3: Final = 2_000.0
"""Smaller bones before a joint are left to the gap and the air beside them."""

BREAKING_HU: Final = 600.0
"""From this limit on (arterial phase) a bone falls into pieces of its cortex …"""

SPONGIOSA_HU: Final = 200.0
"""… that spongiosa and blurred cortex of this density join, well above enhanced muscle …"""

PIECE_GAP_MM: Final = 4.0
MAX_PIECE_MM3: Final = 500.0
"""… over gaps this short; larger pieces are judged as bones or lesions of their own …"""

AROUND_CORTEX_HU: Final = (130.0, 300.0)
MAX_SHELL_MM3: Final = 5_000.0
"""… unless spongiosa lies around them: denser than enhanced muscle, fainter than an artery."""

METAL_HU: Final = 2_400
"""Denser than any cortex or mineral on a clinical scanner; metal cut-offs of 2500-3000 HU are common practice."""

SMALL_METAL_HU: Final = 1_800
SMALL_METAL_MM3: Final = 100.0
"""Partial volume dims what is this small: no deposit of that size stays so dense, a fragment of metal does."""


def is_metal(focus: Focus) -> bool:
    """Whether a component is denser than any cortex or mineral of its size."""
    limit = METAL_HU if focus.volume_mm3 > SMALL_METAL_MM3 else SMALL_METAL_HU
    return focus.peak_hu >= limit


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
        extent_mm = (components.box[i, :, 1] - components.box[i, :, 0]) * np.array(scene.spacing_mm)
        skeleton[i] = is_large_bone(
            architecture, volume_mm3=float(volume_mm3[i]), extent_mm=float(extent_mm.max()),
            peak_hu=float(components.peak_hu[i]), cut_shares=_cut_shares(scene, i),
            is_cut_sideways=scene.border(i)[1],
        )  # fmt: skip
    for i in candidates:
        # Ends of bones may lie apart from their shaft where cartilage or thin cortex falls below the limit.
        if skeleton[i] or i not in architectures or volume_mm3[i] < MIN_BONE_END_MM3:
            continue
        core_hu = architectures[i].core_hu
        is_trabecular = architectures[i].has_marrow and core_hu is not None and core_hu > TRABECULAR_HU
        skeleton[i] = is_trabecular and _is_in_line(scene, i, skeleton)
    return skeleton, architectures


def _cut_shares(scene: Scene, component: int) -> tuple[float, float]:
    """Section of a component in the scan's first and last slice over its largest section; 0 where not cut.

    Sections are the boxes around them: a shell counts with what it encloses.
    """
    components = scene.components
    runs = slice(int(components.first[component]), int(components.first[component + 1]))
    plane, line = np.divmod(components.runs.row[runs], components.runs.shape[1])
    begins = np.flatnonzero(np.diff(plane, prepend=-1))
    width = np.maximum.reduceat(components.runs.stop[runs], begins) - np.minimum.reduceat(
        components.runs.start[runs], begins
    )
    height = np.maximum.reduceat(line, begins) - np.minimum.reduceat(line, begins) + 1
    share = width * height / float((width * height).max())
    is_cut = (plane[begins[0]] == 0, plane[begins[-1]] == components.runs.shape[0] - 1)
    return float(share[0]) if is_cut[0] else 0.0, float(share[-1]) if is_cut[1] else 0.0


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


def lies_at_joint(scene: Scene, focus: Focus, territory: NDArray[np.bool_]) -> bool:
    """Whether a separate bone lies where patella, sesamoids and carpal bones lie."""
    if focus.bone_gap_mm <= JOINT_GAP_MM:
        return not _lies_at_shaft(scene, focus, territory)
    if focus.bone_gap_mm > PATELLA_GAP_MM:
        return False
    if focus.air_fraction > 0:
        return True
    # The skin over a knee may be thick or in plaster; the patella lies before the broad end of the femur all the same.
    return focus.volume_mm3 >= MIN_PATELLA_MM3 and _behind_bone_end_mm(scene, focus, territory) < -MIN_BEHIND_MM


def is_fabella(scene: Scene, focus: Focus, territory: NDArray[np.bool_]) -> bool:
    """Whether a small dense ovoid lies close behind the broad end of a bone."""
    if focus.bone_gap_mm > FABELLA_GAP_MM or focus.volume_mm3 > MAX_FABELLA_MM3:
        return False
    return _behind_bone_end_mm(scene, focus, territory) > MIN_BEHIND_MM


def _behind_bone_end_mm(scene: Scene, focus: Focus, territory: NDArray[np.bool_]) -> float:
    """How far behind (posterior, patient axes) the middle of the nearest bone a focus lies, mm.

    Not a number unless a limb's section at the middle or an end of the focus shows that bone as broad as at its end.
    """
    low, high = scene.components.box[focus.component].T // np.array(scene.coarse.step)
    middle = (low + high) // 2
    for plane in sorted({int(middle[0]), int(low[0]), int(high[0])}, key=lambda p: abs(p - int(middle[0]))):
        if plane >= len(territory) or not _is_limb(scene, territory, np.array([plane, *middle[1:]])):
            continue
        labels, count = ndimage.label(territory[plane])
        areas = np.bincount(labels.ravel())[1:] * scene.coarse.spacing_mm[1] * scene.coarse.spacing_mm[2]
        distances = [float(np.abs(np.argwhere(labels == i + 1) - middle[1:]).sum(axis=1).min()) for i in range(count)]
        nearest = int(np.argmin(distances))
        if areas[nearest] >= MIN_ARTICULAR_MM2:
            row, column = np.argwhere(labels == nearest + 1).mean(axis=0)
            index = np.array([[plane, row, column], [plane, *middle[1:]]]) * np.array(scene.coarse.step)
            bone_lps, focus_lps = scene.volume.geometry.lps_mm(index)
            return float(focus_lps[1] - bone_lps[1])
    return float("nan")


def _lies_at_shaft(scene: Scene, focus: Focus, territory: NDArray[np.bool_]) -> bool:
    """Whether the bone beside a focus is the shaft of a large long bone: its section stays the same above and below.

    No joint is there, and what looks like a small bone is ossified muscle or a calcified artery.
    """
    low, high = scene.components.box[focus.component].T // np.array(scene.coarse.step)
    middle = (low + high) // 2
    reach = max(1, int(np.ceil(SHAFT_REACH_MM / scene.coarse.spacing_mm[0])))
    plane = min(int(middle[0]), len(territory) - 1)
    labels, count = ndimage.label(territory[plane])
    if not count:
        return False
    distances = [float(np.abs(np.argwhere(labels == i + 1) - middle[1:]).sum(axis=1).min()) for i in range(count)]
    own = labels == int(np.argmin(distances)) + 1
    sections = [float(own.sum())]
    for other in (int(low[0]) - reach, int(high[0]) + reach):
        if 0 <= other < len(territory):
            above, _ = ndimage.label(territory[other])
            met = np.unique(above[own & (above > 0)])
            sections.append(float(np.isin(above, met[met > 0]).sum()))
    areas = np.array(sections) * scene.coarse.spacing_mm[1] * scene.coarse.spacing_mm[2]
    sides_mm = (scene.components.box[focus.component][1:] @ [-1, 1]) * np.array(scene.spacing_mm[1:])
    # Beside slim shafts lie bones of hand and foot; none of them is much broader than the shaft.
    is_broad = areas.min() >= SHAFT_MM2[0] or np.pi / 4 * float(sides_mm.prod()) >= MIN_BROADER * areas.max()
    is_shaft = bool(areas.min() >= SLIM_SHAFT_MM2 and areas.max() <= SHAFT_MM2[1])
    return len(areas) > 1 and is_shaft and is_broad and bool(areas.max() <= MAX_SHAFT_CHANGE * areas.min())


def _is_limb(scene: Scene, territory: NDArray[np.bool_], block: NDArray[np.int64]) -> bool:
    """Whether the section at a coarse position is that of a limb at its joint: slim, much of it bone, without gas."""
    plane, row, column = map(int, block)
    area_mm2 = scene.coarse.spacing_mm[1] * scene.coarse.spacing_mm[2]
    labels, _ = ndimage.label(scene.body.mask[plane])
    own = labels == labels[min(row, labels.shape[0] - 1), min(column, labels.shape[1] - 1)]
    body = float((own & scene.body.mask[plane]).sum())
    bone = float((own & territory[plane]).sum())
    is_slim = body * area_mm2 <= MAX_LIMB_MM2 and float((own & scene.gas[plane]).sum()) * area_mm2 < MIN_AIRWAY_MM2
    return is_slim and bone > 0 and bone >= MIN_BONE_SHARE * body


def is_broken_off(scene: Scene, focus: Focus, skeleton: NDArray[np.bool_]) -> bool:
    """Whether a small piece close to bone is one with it at the density of spongiosa."""
    if scene.limits.grow < BREAKING_HU or not np.isfinite(focus.bone_gap_mm):
        return False
    low_hu, high_hu = AROUND_CORTEX_HU
    if low_hu <= focus.reference_hu <= high_hu and focus.volume_mm3 <= MAX_SHELL_MM3:
        return True
    if focus.bone_gap_mm > PIECE_GAP_MM or focus.volume_mm3 > MAX_PIECE_MM3:
        return False
    margin = np.ceil(PIECE_GAP_MM / np.array(scene.spacing_mm)).astype(int) + 1
    low = np.maximum(scene.components.box[focus.component, :, 0] - margin, 0)
    high = np.minimum(scene.components.box[focus.component, :, 1] + margin, np.array(scene.volume.hu.shape))
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    chosen = np.zeros(scene.components.count, dtype=np.bool_)
    chosen[focus.component] = True
    labels, _ = ndimage.label(scene.volume.hu[box] >= SPONGIOSA_HU)
    own = np.unique(labels[paint(scene.components, chosen, box)])
    return bool(np.isin(labels[paint(scene.components, skeleton, box)], own).any())
