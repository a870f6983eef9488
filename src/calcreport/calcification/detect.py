"""Dense components sorted: skeleton, foreign material, contrast, noise, table; what remains are foci."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from calcreport.anatomy.arrays import Floats, Ints, Mask
from calcreport.anatomy.bone_map import BONE_HU
from calcreport.anatomy.components import Components, with_extra
from calcreport.anatomy.outgrowth import find_outgrowths
from calcreport.calcification.enteric import beside_pools
from calcreport.calcification.foci import Focus, examine, lies_in_contour
from calcreport.calcification.reject import (
    MAX_NOISE_MM3,
    METAL_HU,
    SMALL_METAL_HU,
    Rejected,
    beside_externals,
    is_in_reach_of_blood,
    is_lump,
    is_plain_noise,
    is_solid,
    judge,
    metal_blocks,
    metal_in_bone,
    mirrored_at_ends,
)
from calcreport.calcification.scene import HALF, Scene
from calcreport.calcification.size import as_point, farthest_pair
from calcreport.model.image import CtVolume
from calcreport.model.lesion import LesionContour
from calcreport.model.report import Excluded, ExclusionReason

THIN_SLICES: Final = 2  # In no more slices a component is averaged with what lies above and below: its peak says little
DOUBTFUL_BONE_MM3: Final = 10_000.0  # A bone seen in part that is smaller than this may be an ossified lesion
MAX_SMALL_BONE_MM3: Final = 5_000.0
"""Where no region is seen it may be hand or foot, whose bones, a thumb's metacarpal (46 x 12 mm) at most, blur."""
CHIP_SHARE: Final = (0.25, 0.9)
"""Above `BONE_HU` a chip of cortex lies in the map of bones by the first share (at the side of the picture its outer
blocks are half air) and within the reach of their edge by the second."""
SHAFTS: Final = frozenset({"thigh", "lower leg", "upper arm", "forearm"})
"""Regions without small bones of their own. Above `BONE_HU` bones themselves fall into pieces."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """Dense components of a volume, sorted."""

    components: Components
    skeleton: Mask
    """Shape ``(components.count,)``; true for bones."""
    foci: tuple[Focus, ...]
    """What remains: soft-tissue mineral."""
    inner: tuple[Focus, ...]
    """Mineral inside a cavity of the body: of an organ, vessel, gut or airway."""
    weak: tuple[Focus, ...]
    """Too near the noise to stand alone; taken when they line up along a vessel with others."""
    rejected: tuple[Rejected, ...]
    """The rest with reasons; noise is counted, not listed."""
    noise_count: int
    """Components that may be noise."""
    has_metal: bool
    """Whether metal throws streaks in or on the body."""


def detect(
    scene: Scene, *, min_volume_mm3: float, thin_seed_hu: float | None = None, contours: tuple[LesionContour, ...] = ()
) -> Detection:
    """Sort the dense components of a volume.

    `scene`: the series and what is known of its anatomy; `min_volume_mm3`: smallest focus, voxel volume at the growth
    limit; three voxels at least; `thin_seed_hu`: peak from which components of `THIN_SLICES` count, HU; ``None`` for
    the seed of all others; `contours`: what a reader drew as a lesion is no bone or cartilage for its place alone.
    """
    volume, limits = scene.volume, scene.limits
    volume_mm3 = scene.components.voxels.astype(np.float64) * volume.geometry.voxel_volume_mm3
    is_thin = np.ptp(scene.components.box[:, 0], axis=1) <= THIN_SLICES
    seed = np.where(is_thin, limits.seed if thin_seed_hu is None else thin_seed_hu, limits.seed)
    seeded = (scene.components.peak_hu >= seed) & (scene.components.voxels >= 3) & (volume_mm3 >= min_volume_mm3)
    candidates, externals, noise_count = _part_by_place(scene, np.flatnonzero(seeded), volume_mm3)
    rejected = [Rejected(component=i, reason=ExclusionReason.EXTERNAL, detail="outside the body") for i in externals]
    skeleton = np.zeros(scene.components.count, dtype=np.bool_)
    for i in candidates:
        skeleton[i] = _is_bone(scene, i) and not _is_parted(scene, i)
    scene, skeleton, fused, implants = _with_parts_of_bones(scene, skeleton)
    rejected += [
        Rejected(component=i, reason=ExclusionReason.SKELETON, detail=_bone_detail(scene, i))
        for i in map(int, np.flatnonzero(skeleton))
    ]
    rejected += [Rejected(component=i, reason=ExclusionReason.METAL, detail="metal in or on bone") for i in implants]
    metal = metal_blocks(scene, candidates, METAL_HU)
    hooks = metal_blocks(scene, candidates, SMALL_METAL_HU)
    foci: list[Focus] = []
    weak: list[Focus] = []
    inner: list[Focus] = []
    for i in candidates:
        if skeleton[i]:
            continue
        focus = examine(scene, i, skeleton)
        verdict = judge(scene, focus, metal, hooks)
        is_placed = verdict is not None and verdict.reason in {ExclusionReason.SKELETON, ExclusionReason.ORGAN}
        if verdict is None or (is_placed and lies_in_contour(scene.components, contours, focus)):
            (inner if _is_inside(scene, i) else foci).append(focus)
        elif verdict.reason is ExclusionReason.NOISE:
            # Enhanced vessels line up as well.
            noise_count += 1
            if not is_in_reach_of_blood(scene, focus):
                weak.append(focus)
        else:
            rejected.append(verdict)
    pools = [r.component for r in rejected if r.reason is ExclusionReason.CONTRAST]
    loops = beside_pools(scene, foci, pools)
    foci = [f for f in foci if f not in loops]
    beside = "cut by the scan beside enteric contrast, probably the same"
    rejected += [Rejected(component=f.component, reason=ExclusionReason.CONTRAST, detail=beside) for f in loops]
    pairs = mirrored_at_ends(scene, [f for f in foci if not lies_in_contour(scene.components, contours, f)])
    foci = [f for f in foci if f not in pairs]
    alike = "alike on both sides where the scan ends, taken as bone; check the source images"
    rejected += [Rejected(component=f.component, reason=ExclusionReason.SKELETON, detail=alike) for f in pairs]
    # Bone-contiguous mineral is a class of its own, never dropped for being close to bone.
    foci += [
        replace(focus, bone_gap_mm=0.0) for i in fused if (focus := examine(scene, i, skeleton)).peak_hu < METAL_HU
    ]
    # Edges of organs and of bowel line up as plaques do.
    in_line = tuple(f for f in weak if not _is_inside(scene, f.component))
    return Detection(
        components=scene.components, skeleton=skeleton, foci=tuple(foci), weak=in_line, rejected=tuple(rejected),
        inner=tuple(inner), noise_count=noise_count, has_metal=bool(metal.any()),
    )  # fmt: skip


def _is_inside(scene: Scene, component: int) -> bool:
    """Whether a component lies in a cavity; the airway with its cartilage is one too."""
    return scene.share_in(scene.places.cavity > 0, component) >= HALF


def _is_bone(scene: Scene, component: int) -> bool:
    """Whether a component lies in the map of bones, or is a chip of their cortex that a raised limit leaves."""
    share = scene.share_on_grid(scene.bones.bone, component)
    is_possible = scene.limits.grow > BONE_HU and share >= CHIP_SHARE[0]
    if share >= HALF or (is_possible and scene.share_on_grid(scene.bone_edge, component) >= CHIP_SHARE[1]):
        return True
    return share > 0 and scene.limits.grow < BONE_HU and _is_faint_inside(scene, component)


def _is_faint_inside(scene: Scene, component: int) -> bool:
    """Whether a component is bone as far as the map sees it, and the rest spongiosa too faint for the map.

    Spongiosa lies between the cortex of its bone, within the convex outline of its section; mineral beside a bone does
    not.
    """
    blocks = scene.bones.grid.of_fine(scene.components.indices(component))
    bone = scene.bones.bone
    is_seen = scene.bones.grid.hu[tuple(blocks.T)] >= BONE_HU
    if not is_seen.any() or bone[tuple(blocks[is_seen].T)].mean() < HALF:
        return False
    low, high = blocks.min(axis=0), blocks.max(axis=0) + 1
    within = np.zeros(high - low, dtype=np.bool_)
    for level, plane in enumerate(bone[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]):
        labels, _ = ndimage.label(plane, structure=np.ones((3, 3)))
        for n, place in enumerate(ndimage.find_objects(labels), start=1):
            within[level][place] |= convex_hull_image(labels[place] == n)
    return float(within[tuple((blocks - low).T)].mean()) >= HALF


def _is_parted(scene: Scene, component: int) -> bool:
    """Whether a piece that only the blocks of the map join to a bone is mineral beside it: solid, or along a shaft."""
    volume_mm3 = float(scene.components.voxels[component]) * scene.volume.geometry.voxel_volume_mm3
    if scene.limits.grow > BONE_HU or volume_mm3 >= DOUBTFUL_BONE_MM3 or scene.border(component)[0]:
        return False
    if scene.bones.is_crowded(*scene.components.box[component].T):
        return is_lump(scene, component)
    region = scene.region(component)
    is_small_bone = region is None and volume_mm3 < MAX_SMALL_BONE_MM3
    return region in SHAFTS or (not is_small_bone and is_solid(scene.volume.hu, scene.components.indices(component)))


def _bone_detail(scene: Scene, component: int) -> str:
    """What a reader has to know of a bone: a small one that an end of the scan cuts could be an ossified lesion."""
    low, high = scene.components.box[component, 0]
    is_cut_once = bool((low == 0) != (high == scene.volume.hu.shape[0]))
    volume_mm3 = float(scene.components.voxels[component]) * scene.volume.geometry.voxel_volume_mm3
    is_doubtful = is_cut_once and volume_mm3 < DOUBTFUL_BONE_MM3
    return "cut by the end of the scan, taken as bone; check the source images" if is_doubtful else "bone"


def _part_by_place(scene: Scene, seeded: Ints, volume_mm3: Floats) -> tuple[list[int], list[int], int]:
    """Components inside the body, largest first; those outside it; and how many are plain noise."""
    inside: list[int] = []
    externals: list[int] = []
    noise_count = 0
    for i in map(int, seeded):
        if scene.components.peak_hu[i] < METAL_HU and volume_mm3[i] < MAX_NOISE_MM3 and is_plain_noise(scene, i):
            noise_count += 1
        elif scene.share_in(scene.body.mask, i) >= HALF:
            inside.append(i)
        else:
            externals.append(i)
    beside = beside_externals(scene, externals)
    externals += [i for i in inside if scene.share_in(beside, i) > HALF]
    candidates = sorted(set(inside) - set(externals), key=lambda i: (-int(scene.components.voxels[i]), i))
    return candidates, externals, noise_count


def _with_parts_of_bones(scene: Scene, skeleton: Mask) -> tuple[Scene, Mask, list[int], list[int]]:
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


LISTED_PER_REASON = 12  # Larger ones are listed one by one, the rest of a kind as one row with a count


def list_excluded(detection: Detection, volume: CtVolume) -> tuple[Excluded, ...]:
    """Rows for everything rejected, largest first within a reason; many small ones share a row."""
    kinds: dict[tuple[str, str], list[Rejected]] = {}
    for rejected in detection.rejected:
        kinds.setdefault((rejected.reason.value, rejected.detail), []).append(rejected)
    rows: list[Excluded] = []
    for members in kinds.values():
        members.sort(key=lambda r: -int(detection.components.voxels[r.component]))
        rows += [_row(detection, volume, [r]) for r in members[:LISTED_PER_REASON]]
        if len(members) > LISTED_PER_REASON:
            rows.append(_row(detection, volume, members[LISTED_PER_REASON:]))
    return tuple(rows)


def _row(detection: Detection, volume: CtVolume, members: list[Rejected]) -> Excluded:
    """One row for one or several components; a shared row gives the largest one's place and size."""
    component = members[0].component
    low, high = detection.components.box[component].T.astype(np.float64)
    corners = np.array([[i, j, k] for i in (low[0], high[0]) for j in (low[1], high[1]) for k in (low[2], high[2])])
    # Outer edges of the box: half a voxel beyond the outermost centres. A box is enough to find the thing again.
    start, end = farthest_pair(volume.geometry.lps_mm(corners - 0.5))
    voxels = sum(int(detection.components.voxels[r.component]) for r in members)
    return Excluded(
        reason=members[0].reason, centroid_lps_mm=as_point(volume.geometry.lps_mm((low + high - 1) / 2)),
        max_diameter_mm=float(np.linalg.norm(end - start)), volume_mm3=voxels * volume.geometry.voxel_volume_mm3,
        detail=members[0].detail, count=len(members),
    )  # fmt: skip
