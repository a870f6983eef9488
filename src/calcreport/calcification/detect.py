"""Dense components sorted: skeleton, foreign material, contrast, noise, table; what remains are foci."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.body import Body
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import (
    Components,
    collect_runs,
    find_components,
    paint,
    runs_of_slice,
    with_extra,
)
from calcreport.anatomy.outgrowth import find_outgrowths
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
from calcreport.calcification.foci import GAS_HU, Focus, examine
from calcreport.model.image import CtVolume
from calcreport.model.report import ExclusionReason, Thresholds

METAL_HU: Final = 2_400
"""Denser than any cortex or mineral on a clinical scanner; metal cut-offs of 2500-3000 HU are common practice."""

MIN_CONTRAST_TO_NOISE: Final = 6.0
"""A peak must stand this many noise deviations above its surroundings: pure noise reaches 5 in a million voxels, and
streaks make its tails heavier."""

BONE_EDGE_GAP_MM: Final = 4.0
"""Closer to bone than this, partial volume and streaks of the cortex imitate foci …"""

MIN_BONE_EDGE_CNR: Final = 8.0
"""… so they must stand out more."""

BORDER_GAPS: Final = ((8.0, 300.0), (4.5, 800.0))
"""A focus cut by the scan this close to bone (mm) and this small (mm3) is the next part of that bone coming into view."""

GAS_REACH_MM: Final = 60.0
"""Bowel fluid is taken for contrast only where enclosed gas lies within this distance, or where the scan cuts it."""

MIN_AIR_SHARE: Final = 0.2
"""What stands on the skin (leads, staples) has this much air around it and lies outside the body's smooth outline."""

MIN_POOL_MM3: Final = 150.0
"""Smaller pools of enteric contrast are left to the reader."""

BLADDER_MM: Final = 18.0
"""Fluid this thick and as homogeneous as the noise is a filled organ; mineral of that size is uneven or layered."""

MIN_POOL_THICKNESS_MM: Final = 8.0
"""Bowel and bladder are filled round; a sheet or a shell of this density is mineral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A dense component that is not a focus of soft-tissue calcification."""

    component: int
    reason: ExclusionReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """Dense components of a volume, sorted.

    Parameters
    ----------
    components : Components
        All of them.
    skeleton : NDArray[np.bool_]
        Shape ``(components.count,)``; true for bones.
    foci : tuple[Focus, ...]
        What remains: soft-tissue mineral.
    weak : tuple[Focus, ...]
        Too near the noise to stand alone; taken when they line up along a vessel with others.
    rejected : tuple[Rejected, ...]
        The rest with reasons; noise is counted, not listed.
    noise_count : int
        Components not told from noise.
    has_metal : bool
        Whether metal throws streaks in or on the body.
    territory : NDArray[np.bool_]
        Coarse shape; true in bones with their marrow.
    """

    components: Components
    skeleton: NDArray[np.bool_]
    foci: tuple[Focus, ...]
    weak: tuple[Focus, ...]
    rejected: tuple[Rejected, ...]
    noise_count: int
    has_metal: bool
    territory: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scene:
    """What every judgement looks at."""

    volume: CtVolume
    coarse: CoarseVolume
    body: Body
    components: Components
    limits: Thresholds
    noise_hu: float

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return self.volume.geometry.spacing_mm

    def share_inside(self, component: int) -> float:
        """Share of a component that lies inside the body."""
        coarse_index = self.coarse.of_fine(self.components.indices(component))
        return float(self.body.mask[tuple(coarse_index.T)].mean())

    def border(self, component: int) -> tuple[bool, bool]:
        """Whether a component runs out of the scan at all, and through the side of a slice."""
        low, high = self.components.box[component].T
        touches = (low == 0) | (high == np.array(self.volume.hu.shape))
        return bool(touches.any()), bool(touches[1:].any())


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
    limit = int(np.ceil(limits.grow))
    runs = collect_runs([runs_of_slice(plane >= limit) for plane in volume.hu], volume.hu.shape)
    components = find_components(volume.hu, runs)
    scene = _Scene(volume=volume, coarse=coarse, body=body, components=components, limits=limits, noise_hu=noise_hu)
    volume_mm3 = components.voxels * volume.geometry.voxel_volume_mm3
    seeded = (components.peak_hu >= limits.seed) & (components.voxels >= 3) & (volume_mm3 >= min_volume_mm3)
    rejected: list[Rejected] = []
    candidates: list[int] = []
    noise_count = 0
    externals: list[int] = []
    for i in map(int, np.flatnonzero(seeded)):
        if components.peak_hu[i] < METAL_HU and volume_mm3[i] < MIN_POOL_MM3 and _is_plain_noise(scene, i):
            noise_count += 1
        elif scene.share_inside(i) >= 0.5:
            candidates.append(i)
        else:
            externals.append(i)
    beside = _beside_externals(scene, externals)
    for i in tuple(candidates):
        if _share_in(scene, beside, i) > 0.5:
            candidates.remove(i)
            externals.append(i)
    rejected += [Rejected(component=i, reason=ExclusionReason.EXTERNAL, detail="outside the body") for i in externals]
    candidates.sort(key=lambda i: (-int(components.voxels[i]), i))
    skeleton, architectures = _find_large_bones(scene, candidates, volume_mm3)
    outgrowths = find_outgrowths(volume.hu, components, skeleton, scene.spacing_mm)
    implants = _metal_in_bone(scene, skeleton)
    fused = components.count
    if outgrowths or implants:
        components = with_extra(components, volume.hu, outgrowths + implants)
        skeleton = np.append(skeleton, np.zeros(len(outgrowths) + len(implants), dtype=bool))
        scene = replace(scene, components=components)
        candidates += range(fused, fused + len(outgrowths))
        rejected += [
            Rejected(component=fused + len(outgrowths) + n, reason=ExclusionReason.METAL, detail="metal in or on bone")
            for n in range(len(implants))
        ]
    metal = _metal_blocks(scene, candidates)
    territory = _bone_territory(scene, skeleton)
    foci: list[Focus] = []
    weak: list[Focus] = []
    for i in candidates:
        if skeleton[i]:
            rejected.append(Rejected(component=i, reason=ExclusionReason.SKELETON, detail="bone"))
            continue
        focus = examine(
            volume.hu, components, i, skeleton=skeleton, coarse=coarse, outside=body.outside,
            spacing_mm=scene.spacing_mm, noise_hu=noise_hu,
        )  # fmt: skip
        if i >= fused:
            # Bone-contiguous mineral is a class of its own, never dropped for being close to bone.
            if focus.peak_hu < METAL_HU:
                foci.append(replace(focus, bone_gap_mm=0.0))
            continue
        verdict = _judge(scene, focus, architectures.get(i), territory, metal)
        if verdict is None:
            foci.append(focus)
        elif verdict.reason is ExclusionReason.NOISE:
            noise_count += 1
            weak.append(focus)
        else:
            rejected.append(verdict)
            if verdict.reason is ExclusionReason.SKELETON:
                skeleton[i] = True
    return Detection(
        components=components, skeleton=skeleton, foci=tuple(foci), weak=tuple(weak), rejected=tuple(rejected),
        noise_count=noise_count, has_metal=bool(metal.any()), territory=territory,
    )  # fmt: skip


PATCH_PIXELS: Final = 9
"""Half side of the patch in which a small component is held against the noise at first sight."""

PLAIN_NOISE_CNR: Final = 4.5
"""Below this a small component is noise at first sight; between this and `MIN_CONTRAST_TO_NOISE` it is weak."""


def _beside_externals(scene: _Scene, externals: list[int]) -> NDArray[np.bool_]:
    """Coarse mask of the body's rim against table, cast or clothes: dense voxels there are the same thing."""
    mask = np.zeros(scene.coarse.hu.shape, dtype=bool)
    for i in externals:
        mask[tuple(scene.coarse.of_fine(scene.components.indices(i)).T)] = True
    within = np.zeros((3, 3, 3), dtype=bool)
    within[1] = True
    rim = scene.body.mask & ndimage.binary_dilation(scene.body.outside, structure=within)
    return rim & ndimage.binary_dilation(mask, structure=np.ones((3, 3, 3)), iterations=2)


def _is_plain_noise(scene: _Scene, component: int) -> bool:
    """First sight of a small component: its peak against a patch of its slice."""
    components, hu = scene.components, scene.volume.hu
    index = components.indices(component)
    values = hu[tuple(index.T)]
    i, j, k = index[int(values.argmax())]
    patch = hu[i, max(0, j - PATCH_PIXELS) : j + PATCH_PIXELS + 1, max(0, k - PATCH_PIXELS) : k + PATCH_PIXELS + 1]
    tissue = patch[(patch > -250) & (patch < scene.limits.grow)]
    if tissue.size < 30:
        return False
    middle = float(np.median(tissue))
    deviation = 1.4826 * float(np.median(np.abs(tissue - middle)))
    return float(values.max()) - middle < PLAIN_NOISE_CNR * max(deviation, 5.0)


def _find_large_bones(
    scene: _Scene, candidates: list[int], volume_mm3: NDArray[np.float64]
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
        architecture = architectures.get(i)
        if skeleton[i] or architecture is None or volume_mm3[i] < MIN_BONE_END_MM3:
            continue
        is_trabecular = architecture.has_marrow and (architecture.core_hu or 0.0) > TRABECULAR_HU
        skeleton[i] = is_trabecular and _is_in_line(scene, i, skeleton)
    return skeleton, architectures


MIN_BONE_END_MM3: Final = 5_000.0
BONE_END_REACH_MM: Final = 25.0
MIN_IN_LINE: Final = 0.4
"""An end of a bone lies over or under other bones by at least this share of its outline."""


def _is_in_line(scene: _Scene, component: int, skeleton: NDArray[np.bool_]) -> bool:
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
    filled = ndimage.binary_fill_holes(others)
    return float((own & filled).sum()) >= MIN_IN_LINE * float(own.sum())


MIN_IMPLANT_MM3: Final = 20.0


def _metal_in_bone(scene: _Scene, skeleton: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Voxels of implants that dense voxels join to a bone, one array of shape ``(n, 3)`` a bone."""
    found = []
    for i in np.flatnonzero(skeleton & (scene.components.peak_hu >= METAL_HU)):
        index = scene.components.indices(int(i))
        metal = index[scene.volume.hu[tuple(index.T)] >= METAL_HU]
        if len(metal) * scene.volume.geometry.voxel_volume_mm3 >= MIN_IMPLANT_MM3:
            found.append(metal)
    return found


def _metal_blocks(scene: _Scene, candidates: list[int]) -> NDArray[np.bool_]:
    """Coarse mask of metal in or on the body."""
    metal = np.zeros(scene.coarse.hu.shape, dtype=bool)
    for i in candidates:
        if scene.components.peak_hu[i] >= METAL_HU:
            index = scene.components.indices(i)
            dense = index[scene.volume.hu[tuple(index.T)] >= METAL_HU]
            metal[tuple(scene.coarse.of_fine(dense).T)] = True
    return metal


def _is_near(scene: _Scene, component: int, blocks: NDArray[np.bool_], reach_mm: float) -> bool:
    """Whether a component's box, grown within its slices, meets some coarse blocks."""
    step, spacing = np.array(scene.coarse.step), np.array(scene.coarse.spacing_mm)
    reach = np.ceil(np.array([0.0, reach_mm, reach_mm]) / spacing).astype(int)
    low = np.maximum(scene.components.box[component, :, 0] // step - reach, 0)
    high = (scene.components.box[component, :, 1] - 1) // step + reach + 1
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return bool(blocks[i, j, k].any())


def _bone_territory(scene: _Scene, skeleton: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Coarse mask of bones with their marrow: islands of trabeculae inside belong to the bone."""
    territory = np.zeros(scene.coarse.hu.shape, dtype=bool)
    for i in np.flatnonzero(skeleton):
        territory[tuple(scene.coarse.of_fine(scene.components.indices(int(i))).T)] = True
    return np.stack([ndimage.binary_fill_holes(plane) for plane in territory])


def _judge(
    scene: _Scene,
    focus: Focus,
    architecture: Architecture | None,
    territory: NDArray[np.bool_],
    metal: NDArray[np.bool_],
) -> Rejected | None:
    """Why a component is not a focus of soft-tissue calcification, or ``None`` when it is one."""
    i = focus.component
    _, sideways = scene.border(i)

    def reject(reason: ExclusionReason, detail: str) -> Rejected:
        return Rejected(component=i, reason=reason, detail=detail)

    if focus.peak_hu >= METAL_HU:
        return reject(ExclusionReason.METAL, "high-attenuation material, probably metal")
    if _share_in(scene, territory, i) > 0.8:
        return reject(ExclusionReason.SKELETON, "inside a bone")
    if focus.contrast_to_noise >= MIN_CONTRAST_TO_NOISE and _is_contrast_pool(scene, focus):
        return reject(ExclusionReason.CONTRAST, "homogeneous fluid density, probably enteric or urinary contrast")
    if focus.touches_border and any(focus.bone_gap_mm < g and focus.volume_mm3 < v for g, v in BORDER_GAPS):
        return reject(ExclusionReason.SKELETON, "part of a bone at the edge of the scan")
    if architecture is not None and architecture.has_marrow and _lies_at_joint(focus):
        return reject(ExclusionReason.SKELETON, "separate bone beside the skeleton (patella, sesamoid or ossicle)")
    if focus.air_fraction > MIN_AIR_SHARE and _share_in(scene, scene.body.firm, i) < 0.5:
        return reject(ExclusionReason.EXTERNAL, "on the skin")
    if _is_fabella(scene, focus, territory):
        return reject(ExclusionReason.SKELETON, "small ossicle behind the end of a bone (fabella)")
    if _is_airway_cartilage(scene, focus):
        return reject(ExclusionReason.ORGAN, "around the airway, cartilage of larynx or trachea")
    if sideways:
        return reject(ExclusionReason.SKELETON, "cut by the side of the picture, taken as bone; check the source images")
    if focus.contrast_to_noise < MIN_CONTRAST_TO_NOISE:
        return reject(ExclusionReason.NOISE, "not told from noise")
    if focus.bone_gap_mm < BONE_EDGE_GAP_MM and focus.contrast_to_noise < MIN_BONE_EDGE_CNR:
        return reject(ExclusionReason.NOISE, "edge of bone")
    if _is_streak(focus) and _is_near(scene, i, metal, STREAK_REACH_MM):
        return reject(ExclusionReason.NOISE, "metal streak")
    return None


def _lies_at_joint(focus: Focus) -> bool:
    """Whether a separate bone lies where patella, sesamoids and carpal bones lie."""
    return focus.bone_gap_mm <= JOINT_GAP_MM or (focus.bone_gap_mm <= PATELLA_GAP_MM and focus.air_fraction > 0)


def _share_in(scene: _Scene, territory: NDArray[np.bool_], component: int) -> float:
    return float(territory[tuple(scene.coarse.of_fine(scene.components.indices(component)).T)].mean())


def _is_contrast_pool(scene: _Scene, focus: Focus) -> bool:
    """Homogeneous fluid of contrast density among fat and gas: bowel or bladder, not mineral."""
    if focus.thickness_mm >= BLADDER_MM and focus.spread_hu < 1.3 * scene.noise_hu + 8:
        return True
    is_homogeneous = focus.spread_hu < 1.6 * scene.noise_hu + 10 and focus.core_hu < 450
    is_pool = focus.volume_mm3 >= MIN_POOL_MM3 and focus.thickness_mm >= MIN_POOL_THICKNESS_MM
    if not is_homogeneous or not is_pool or focus.background_hu > 15:
        return False
    return focus.touches_border or focus.gas_fraction > 0 or _gas_near(scene, focus.component)


def _gas_near(scene: _Scene, component: int) -> bool:
    """Whether enclosed gas lies within `GAS_REACH_MM` of a component."""
    reach = np.ceil(GAS_REACH_MM / np.array(scene.coarse.spacing_mm)).astype(int)
    low = scene.components.box[component, :, 0] // np.array(scene.coarse.step) - reach
    high = scene.components.box[component, :, 1] // np.array(scene.coarse.step) + reach + 1
    i, j, k = (slice(max(0, int(a)), int(b)) for a, b in zip(low, high, strict=True))
    return bool(((scene.coarse.hu[i, j, k] < GAS_HU) & scene.body.mask[i, j, k]).any())


STREAK_REACH_MM: Final = 45.0
MIN_STREAK_CNR: Final = 9.0
SURE_CNR: Final = 13.0
MIN_STREAK_THICKNESS_MM: Final = 3.0
"""This near metal a focus must stand out more, and be thicker than a streak unless it stands out very clearly."""


def _is_streak(focus: Focus) -> bool:
    if focus.contrast_to_noise >= SURE_CNR:
        return False
    return focus.contrast_to_noise < MIN_STREAK_CNR or focus.thickness_mm < MIN_STREAK_THICKNESS_MM


def _is_fabella(scene: _Scene, focus: Focus, territory: NDArray[np.bool_]) -> bool:
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


MIN_BEHIND_MM: Final = 8.0
"""Behind the middle of the bone (posterior, patient axes)."""

AIRWAY_AREA_MM2: Final = (40.0, 900.0)
MIN_AIRWAY_MM: Final = 24.0
AIRWAY_REACH_MM: Final = 15.0
MIN_CARTILAGE_MM: Final = 18.0
MIDLINE_MM: Final = 12.0
"""Laryngeal and tracheal cartilage is wider than this and lies this close around a tube of gas of this length."""


def _is_airway_cartilage(scene: _Scene, focus: Focus) -> bool:
    """Whether a component embraces a gas-filled tube that runs along the scan."""
    spacing = np.array(scene.coarse.spacing_mm)
    low, high = scene.components.box[focus.component].T // np.array(scene.coarse.step)
    is_wide = float((high - low + 1)[2] * spacing[2]) >= MIN_CARTILAGE_MM
    reach = np.ceil(np.array([MIN_AIRWAY_MM, AIRWAY_REACH_MM, AIRWAY_REACH_MM]) / spacing).astype(int)
    start = np.maximum(low - reach, 0)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, high + reach + 1, strict=True))
    labels, count = ndimage.label((scene.coarse.hu[i, j, k] < GAS_HU) & scene.body.mask[i, j, k])
    for tube in range(1, count + 1):
        index = np.argwhere(labels == tube)
        length = (np.ptp(index[:, 0]) + 1) * spacing[0]
        area = len(index) * spacing[1] * spacing[2] / (np.ptp(index[:, 0]) + 1)
        middle = index.mean(axis=0) + start
        near = low[1] - reach[1] <= middle[1] <= high[1] + reach[1]
        is_embraced = is_wide and low[2] <= middle[2] <= high[2] and near
        # Hyoid and small pieces of cartilage lie in front of the airway, in the midline.
        is_in_front = near and abs((low + high)[2] / 2 - middle[2]) * spacing[2] <= MIDLINE_MM and _is_anterior(
            scene, (low + high) / 2, middle
        )
        if length >= min(MIN_AIRWAY_MM, 0.8 * (high - low + 1)[0] * spacing[0]) and (is_embraced or is_in_front):
            if AIRWAY_AREA_MM2[0] <= area <= AIRWAY_AREA_MM2[1]:
                return True
    return False


def _is_anterior(scene: _Scene, block: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether one coarse position lies in front of another in the patient."""
    step = np.array(scene.coarse.step)
    here, there = scene.volume.geometry.lps_mm(np.stack([block, other]) * step)
    return bool(here[1] < there[1])
