"""Dense components sorted: skeleton, foreign material, contrast, noise, table; what remains are foci."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.body import Body
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import Components, find_components, paint, with_extra
from calcreport.anatomy.outgrowth import find_outgrowths
from calcreport.anatomy.runs import find_runs
from calcreport.anatomy.skeleton import SMALL_BONE_MM3
from calcreport.calcification.airway import bulky_parts
from calcreport.calcification.bones import (
    BREAKING_HU,
    METAL_HU,
    bone_territory,
    find_large_bones,
    is_solid,
    lies_at_joint,
    metal_in_bone,
)
from calcreport.calcification.enteric import beside_pools
from calcreport.calcification.foci import Focus, Neighbours, examine
from calcreport.calcification.reject import (
    MAX_NOISE_MM3,
    Landmarks,
    Rejected,
    beside_externals,
    is_plain_noise,
    judge,
    metal_blocks,
)
from calcreport.calcification.scene import Scene
from calcreport.model.image import CtVolume
from calcreport.model.report import ExclusionReason, Thresholds

BONE_LIMIT_HU: Final = 300.0
"""Bones are whole at this limit; enhanced muscle stays far below it."""


DOUBTFUL_BONE_MM3: Final = 10_000.0
"""A bone seen in part that is smaller than this is not told from an ossified lesion."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """Dense components of a volume, sorted."""

    components: Components
    """All of them."""
    skeleton: NDArray[np.bool_]
    """Shape ``(components.count,)``; true for bones."""
    foci: tuple[Focus, ...]
    """What remains: soft-tissue mineral."""
    weak: tuple[Focus, ...]
    """Too near the noise to stand alone; taken when they line up along a vessel with others."""
    rejected: tuple[Rejected, ...]
    """The rest with reasons; noise is counted, not listed."""
    noise_count: int
    """Components not told from noise."""
    has_metal: bool
    """Whether metal throws streaks in or on the body."""
    territory: NDArray[np.bool_]
    """Coarse shape; true in bones with their marrow."""


def detect(
    volume: CtVolume, coarse: CoarseVolume, body: Body, *, limits: Thresholds, noise_hu: float, min_volume_mm3: float
) -> Detection:
    """Sort the dense components of a volume.

    Parameters
    ----------
    volume : CtVolume
        HU.
    coarse, body : CoarseVolume, Body
        Coarse grid and body on it.
    limits : Thresholds
        Growth limit and seed, HU.
    noise_hu : float
        Noise of soft tissue, HU.
    min_volume_mm3 : float
        Smallest focus, voxel volume at the growth limit; three voxels at least.

    Returns
    -------
    Detection
    """
    scene = Scene(
        volume=volume, coarse=coarse, body=body, components=_components_above(volume, limits.grow), limits=limits,
        noise_hu=noise_hu,
    )  # fmt: skip
    volume_mm3 = scene.components.voxels.astype(np.float64) * volume.geometry.voxel_volume_mm3
    seeded = (scene.components.peak_hu >= limits.seed) & (scene.components.voxels >= 3) & (volume_mm3 >= min_volume_mm3)
    candidates, externals, noise_count = _part_by_place(scene, np.flatnonzero(seeded), volume_mm3)
    rejected = [Rejected(component=i, reason=ExclusionReason.EXTERNAL, detail="outside the body") for i in externals]
    skeleton, architectures = find_large_bones(scene, candidates, volume_mm3)
    if limits.grow >= BREAKING_HU:
        skeleton |= _in_bones_of_lower_limit(scene, candidates)
    scene, skeleton, fused, implants = _with_parts_of_bones(scene, skeleton)
    rejected += [
        Rejected(component=i, reason=ExclusionReason.SKELETON, detail=_bone_detail(scene, i))
        for i in map(int, np.flatnonzero(skeleton))
    ]
    rejected += [Rejected(component=i, reason=ExclusionReason.METAL, detail="metal in or on bone") for i in implants]
    landmarks = Landmarks(
        skeleton=skeleton, territory=bone_territory(scene, skeleton), metal=metal_blocks(scene, candidates)
    )
    foci: list[Focus] = []
    weak: list[Focus] = []
    for i in candidates:
        if skeleton[i]:
            continue
        focus = _look_at(scene, i, skeleton)
        verdict = judge(scene, focus, architectures.get(i), landmarks)
        if verdict is None:
            foci.append(focus)
        elif verdict.reason is ExclusionReason.NOISE:
            weak.append(focus)
        else:
            rejected.append(verdict)
    pools = [r.component for r in rejected if r.reason is ExclusionReason.CONTRAST]
    loops = beside_pools(scene, foci, pools)
    foci = [f for f in foci if f not in loops]
    beside = "cut by the scan beside enteric contrast, probably the same"
    rejected += [Rejected(component=f.component, reason=ExclusionReason.CONTRAST, detail=beside) for f in loops]
    airway = [r.component for r in rejected if r.reason is ExclusionReason.ORGAN]
    scene, skeleton, beside_airway = _with_parts_of_airway(scene, skeleton, airway)
    foci += [_look_at(scene, i, skeleton) for i in beside_airway]
    # Bone-contiguous mineral is a class of its own, never dropped for being close to bone.
    foci += [
        replace(focus, bone_gap_mm=0.0) for i in fused if (focus := _look_at(scene, i, skeleton)).peak_hu < METAL_HU
    ]
    return Detection(
        components=scene.components, skeleton=skeleton, foci=tuple(foci), weak=tuple(weak), rejected=tuple(rejected),
        noise_count=noise_count + len(weak), has_metal=bool(landmarks.metal.any()), territory=landmarks.territory,
    )  # fmt: skip


def _bone_detail(scene: Scene, component: int) -> str:
    """What a reader has to know of a bone: a small one that an end of the scan cuts could be an ossified lesion."""
    low, high = scene.components.box[component, 0]
    is_cut_once = bool((low == 0) != (high == scene.volume.hu.shape[0]))
    volume_mm3 = float(scene.components.voxels[component]) * scene.volume.geometry.voxel_volume_mm3
    is_doubtful = is_cut_once and volume_mm3 < DOUBTFUL_BONE_MM3
    return "cut by the end of the scan, taken as bone; check the source images" if is_doubtful else "bone"


def _components_above(volume: CtVolume, limit_hu: float) -> Components:
    limit = int(np.ceil(limit_hu))
    runs = find_runs(volume.hu, limit)
    return find_components(volume.hu, runs)


def _in_bones_of_lower_limit(scene: Scene, candidates: list[int]) -> NDArray[np.bool_]:
    """Which components lie in bones that are whole only at a lower limit: true per component."""
    components = _components_above(scene.volume, BONE_LIMIT_HU)
    whole = replace(scene, components=components, limits=Thresholds(grow=BONE_LIMIT_HU, seed=scene.limits.seed))
    volume_mm3 = components.voxels.astype(np.float64) * scene.volume.geometry.voxel_volume_mm3
    large = np.flatnonzero((components.peak_hu >= scene.limits.seed) & (volume_mm3 >= SMALL_BONE_MM3))
    inside = [i for i in map(int, large) if whole.share_in(scene.body.mask, i) >= 0.5]
    bones, architectures = find_large_bones(whole, inside, volume_mm3)
    territory = bone_territory(whole, bones)
    for i in inside:
        has_marrow = i in architectures and architectures[i].has_marrow
        if not bones[i] and has_marrow and lies_at_joint(whole, _look_at(whole, i, bones), territory):
            bones[i] = True
    in_bone = np.zeros(scene.components.count, dtype=np.bool_)
    for i in candidates:
        first = scene.components.indices(i)[0]
        box = (slice(first[0], first[0] + 1), slice(first[1], first[1] + 1), slice(first[2], first[2] + 1))
        in_bone[i] = bool(paint(components, bones, box).any())
    return in_bone


def _look_at(scene: Scene, component: int, skeleton: NDArray[np.bool_]) -> Focus:
    neighbours = Neighbours(skeleton=skeleton, coarse=scene.coarse, outside=scene.body.outside, noise_hu=scene.noise_hu)
    return examine(scene.volume.hu, scene.components, component, neighbours, scene.spacing_mm)


def _part_by_place(
    scene: Scene, seeded: NDArray[np.int64], volume_mm3: NDArray[np.float64]
) -> tuple[list[int], list[int], int]:
    """Components inside the body, largest first; those outside it; and how many are plain noise."""
    inside: list[int] = []
    externals: list[int] = []
    noise_count = 0
    for i in map(int, seeded):
        if scene.components.peak_hu[i] < METAL_HU and volume_mm3[i] < MAX_NOISE_MM3 and is_plain_noise(scene, i):
            noise_count += 1
        elif scene.share_in(scene.body.mask, i) >= 0.5:
            inside.append(i)
        else:
            externals.append(i)
    beside = beside_externals(scene, externals)
    externals += [i for i in inside if scene.share_in(beside, i) > 0.5]
    candidates = sorted(set(inside) - set(externals), key=lambda i: (-int(scene.components.voxels[i]), i))
    return candidates, externals, noise_count


def _with_parts_of_airway(
    scene: Scene, skeleton: NDArray[np.bool_], airway: list[int]
) -> tuple[Scene, NDArray[np.bool_], list[int]]:
    """Add mineral that touches cartilage of the airway as components of their own; their numbers come last."""
    parts = [index for i in airway for index in bulky_parts(scene, i)]
    if not parts:
        return scene, skeleton, []
    first = scene.components.count
    scene = replace(scene, components=with_extra(scene.components, scene.volume.hu, parts))
    return scene, np.append(skeleton, np.zeros(len(parts), dtype=bool)), list(range(first, first + len(parts)))


def _with_parts_of_bones(
    scene: Scene, skeleton: NDArray[np.bool_]
) -> tuple[Scene, NDArray[np.bool_], list[int], list[int]]:
    """Add fused mineral and implants as components of their own; their numbers are returned after the skeleton."""
    hu = scene.volume.hu
    found = find_outgrowths(hu, scene.components, skeleton, scene.spacing_mm)
    # A single slice may be the cap of a neighbouring bone.
    outgrowths = [index for index in found if np.ptp(index[:, 0]) > 0 and is_solid(hu, index)]
    implants = metal_in_bone(scene, skeleton)
    first = scene.components.count
    middle, last = first + len(outgrowths), first + len(outgrowths) + len(implants)
    if last > first:
        scene = replace(scene, components=with_extra(scene.components, hu, outgrowths + implants))
        skeleton = np.append(skeleton, np.zeros(last - first, dtype=bool))
    return scene, skeleton, list(range(first, middle)), list(range(middle, last))
