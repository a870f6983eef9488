"""Why a dense component is not soft-tissue calcification, each reason a rule of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.morphology import ALL_AXES, dilate
from calcreport.anatomy.skeleton import Architecture
from calcreport.calcification.bones import METAL_HU, is_fabella, lies_at_joint
from calcreport.calcification.foci import Focus
from calcreport.calcification.scene import Scene
from calcreport.model.report import ExclusionReason

INSIDE_BONE: Final = 0.8
"""A component with this share inside a bone's outline is part of the bone."""

MIN_CONTRAST_TO_NOISE: Final = 6.0
"""A peak must stand this many noise deviations above its surroundings: pure noise reaches 5 in a million voxels, and
streaks make its tails heavier."""

BONE_EDGE_GAP_MM: Final = 4.0
"""Closer to bone than this, partial volume and streaks of the cortex imitate foci …"""

MIN_BONE_EDGE_CNR: Final = 8.0
"""… so they must stand out more."""

BORDER_GAPS: Final = ((8.0, 300.0), (4.5, 800.0))
"""A focus cut by the scan this close to bone (mm) and this small (mm3) is the next part of that bone."""

GAS_REACH_MM: Final = 60.0
"""Bowel fluid is taken for contrast only where enclosed gas lies within this distance, or where the scan cuts it."""

MIN_AIR_SHARE: Final = 0.2
"""What stands on the skin (leads, staples) has this much air around it and lies outside the body's smooth outline."""

MIN_POOL_MM3: Final = 150.0
"""Smaller pools of enteric contrast are left to the reader."""

BLADDER_MM: Final = 28.0
"""Fluid this thick and as homogeneous as the noise is a filled organ; mineral of that size is uneven or layered."""

MIN_GAS_SHARE: Final = 0.02
MIN_POOL_WITH_GAS_MM: Final = 6.0
"""Homogeneous fluid with gas against it is bowel content from this thickness on."""

MIN_POOL_THICKNESS_MM: Final = 8.0
"""Bowel and bladder are filled round; a sheet or a shell of this density is mineral."""

PATCH_PIXELS: Final = 9
"""Half side of the patch in which a small component is held against the noise at first sight."""

PLAIN_NOISE_CNR: Final = 4.5
"""Below this a small component is noise at first sight; between this and `MIN_CONTRAST_TO_NOISE` it is weak."""

STREAK_REACH_MM: Final = 45.0

MIN_STREAK_CNR: Final = 9.0

SURE_CNR: Final = 13.0

MIN_STREAK_THICKNESS_MM: Final = 3.0
"""This near metal a focus must stand out more, and be thicker than a streak unless it stands out very clearly."""

AIRWAY_AREA_MM2: Final = (40.0, 900.0)

MIN_AIRWAY_MM: Final = 24.0

AIRWAY_REACH_MM: Final = 15.0

MIN_CARTILAGE_MM: Final = 18.0

MAX_NECK_MM2: Final = 32_000.0
"""A neck of 20 cm across."""

MIDLINE_MM: Final = 12.0
"""Laryngeal and tracheal cartilage is wider than this and lies this close around a tube of gas of this length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A dense component that is not a focus of soft-tissue calcification."""

    component: int
    reason: ExclusionReason
    detail: str


def is_plain_noise(scene: Scene, component: int) -> bool:
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


def beside_externals(scene: Scene, externals: list[int]) -> NDArray[np.bool_]:
    """Coarse mask of the body's rim against table, cast or clothes: dense voxels there are the same thing."""
    if not externals:
        return np.zeros(scene.coarse.hu.shape, dtype=np.bool_)
    rim = scene.body.mask & dilate(scene.body.outside, "square")
    return rim & dilate(scene.mark(externals), "square", axes=ALL_AXES, steps=2)


def metal_blocks(scene: Scene, candidates: list[int]) -> NDArray[np.bool_]:
    """Coarse mask of metal in or on the body."""
    metal = np.zeros(scene.coarse.hu.shape, dtype=bool)
    for i in candidates:
        if scene.components.peak_hu[i] >= METAL_HU:
            index = scene.components.indices(i)
            dense = index[scene.volume.hu[tuple(index.T)] >= METAL_HU]
            metal[tuple(scene.coarse.of_fine(dense).T)] = True
    return metal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landmarks:
    """What a component is judged against, found before any focus is judged.

    Parameters
    ----------
    skeleton : NDArray[np.bool_]
        Shape ``(components,)``; true for bones.
    territory, metal : NDArray[np.bool_]
        Coarse shape; bones with their marrow, and metal.
    """

    skeleton: NDArray[np.bool_]
    territory: NDArray[np.bool_]
    metal: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One component before its judge."""

    scene: Scene
    focus: Focus
    architecture: Architecture | None
    landmarks: Landmarks


_Rule = tuple[Callable[[_Case], bool], ExclusionReason, str]

RULES: Final[tuple[_Rule, ...]] = (
    (lambda c: c.focus.peak_hu >= METAL_HU,
     ExclusionReason.METAL, "high-attenuation material, probably metal"),
    (lambda c: c.scene.share_in(c.landmarks.territory, c.focus.component) > INSIDE_BONE,
     ExclusionReason.SKELETON, "inside a bone"),
    (lambda c: c.focus.contrast_to_noise >= MIN_CONTRAST_TO_NOISE and _is_contrast_pool(c.scene, c.focus),
     ExclusionReason.CONTRAST, "homogeneous fluid density, probably enteric or urinary contrast"),
    (lambda c: c.focus.touches_border
     and any(c.focus.bone_gap_mm < gap and c.focus.volume_mm3 < volume for gap, volume in BORDER_GAPS),
     ExclusionReason.SKELETON, "part of a bone at the edge of the scan"),
    (lambda c: c.architecture is not None and c.architecture.has_marrow and lies_at_joint(c.focus),
     ExclusionReason.SKELETON, "separate bone beside the skeleton (patella, sesamoid or ossicle)"),
    (lambda c: c.focus.air_fraction > MIN_AIR_SHARE and c.scene.share_in(c.scene.body.firm, c.focus.component) < 0.5,
     ExclusionReason.EXTERNAL, "on the skin"),
    (lambda c: is_fabella(c.scene, c.focus, c.landmarks.territory),
     ExclusionReason.SKELETON, "small ossicle behind the end of a bone (fabella)"),
    (lambda c: is_airway_cartilage(c.scene, c.focus),
     ExclusionReason.ORGAN, "around the airway, cartilage of larynx or trachea"),
    (lambda c: c.scene.border(c.focus.component)[1],
     ExclusionReason.SKELETON, "cut by the side of the picture, taken as bone; check the source images"),
    (lambda c: c.focus.contrast_to_noise < MIN_CONTRAST_TO_NOISE,
     ExclusionReason.NOISE, "not told from noise"),
    (lambda c: c.focus.bone_gap_mm < BONE_EDGE_GAP_MM and c.focus.contrast_to_noise < MIN_BONE_EDGE_CNR,
     ExclusionReason.NOISE, "edge of bone"),
    (lambda c: _is_streak(c.focus) and c.scene.is_near(c.focus.component, c.landmarks.metal, STREAK_REACH_MM),
     ExclusionReason.NOISE, "metal streak"),
)  # fmt: skip
"""Tried in order; the first that holds says why a component is not soft-tissue calcification."""


def judge(scene: Scene, focus: Focus, architecture: Architecture | None, landmarks: Landmarks) -> Rejected | None:
    """Why a component is not a focus of soft-tissue calcification, or ``None`` when it is one.

    Parameters
    ----------
    scene : Scene
        The series.
    focus : Focus
        The component in its surroundings.
    architecture : Architecture | None
        Its shell and core, ``None`` when too small to have them.
    landmarks : Landmarks
        Bones and metal.
    """
    case = _Case(scene=scene, focus=focus, architecture=architecture, landmarks=landmarks)
    for holds, reason, detail in RULES:
        if holds(case):
            return Rejected(component=focus.component, reason=reason, detail=detail)
    return None


def _is_contrast_pool(scene: Scene, focus: Focus) -> bool:
    """Homogeneous fluid of contrast density among fat and gas: bowel or bladder, not mineral."""
    if focus.thickness_mm >= BLADDER_MM and focus.spread_hu < 1.3 * scene.noise_hu + 8:
        return True
    is_homogeneous = focus.spread_hu < 1.6 * scene.noise_hu + 10 and focus.core_hu < 450
    if not is_homogeneous or focus.volume_mm3 < MIN_POOL_MM3:
        return False
    if focus.gas_fraction > MIN_GAS_SHARE:
        return focus.thickness_mm >= MIN_POOL_WITH_GAS_MM
    # Without gas against it, only a round pool among fat is taken for bowel, and never one near the skin.
    if focus.thickness_mm < MIN_POOL_THICKNESS_MM or focus.background_hu > 15 or focus.air_fraction > 0:
        return False
    return focus.touches_border or scene.is_near(focus.component, scene.gas, GAS_REACH_MM, along_mm=GAS_REACH_MM)


def _is_streak(focus: Focus) -> bool:
    if focus.contrast_to_noise >= SURE_CNR:
        return False
    return focus.contrast_to_noise < MIN_STREAK_CNR or focus.thickness_mm < MIN_STREAK_THICKNESS_MM


def is_airway_cartilage(scene: Scene, focus: Focus) -> bool:
    """Whether a component embraces a gas-filled tube that runs along the scan."""
    spacing = np.array(scene.coarse.spacing_mm)
    low, high = scene.components.box[focus.component].T // np.array(scene.coarse.step)
    if not _is_neck_like(scene, int((low[0] + high[0]) // 2)):
        return False
    is_wide = float((high - low + 1)[2] * spacing[2]) >= MIN_CARTILAGE_MM
    reach = np.ceil(np.array([MIN_AIRWAY_MM, AIRWAY_REACH_MM, AIRWAY_REACH_MM]) / spacing).astype(int)
    start = np.maximum(low - reach, 0)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, high + reach + 1, strict=True))
    labels, count = ndimage.label(scene.gas[i, j, k])
    for tube in range(1, count + 1):
        index = np.argwhere(labels == tube)
        length = (np.ptp(index[:, 0]) + 1) * spacing[0]
        area = len(index) * spacing[1] * spacing[2] / (np.ptp(index[:, 0]) + 1)
        middle = index.mean(axis=0) + start
        near = low[1] - reach[1] <= middle[1] <= high[1] + reach[1]
        is_embraced = is_wide and low[2] <= middle[2] <= high[2] and near
        # Hyoid and small pieces of cartilage lie in front of the airway, in the midline.
        is_in_front = (
            near
            and abs((low + high)[2] / 2 - middle[2]) * spacing[2] <= MIDLINE_MM
            and _is_anterior(scene, (low + high) / 2, middle)
        )
        is_long = length >= min(MIN_AIRWAY_MM, 0.8 * (high - low + 1)[0] * spacing[0])
        is_airway = is_long and AIRWAY_AREA_MM2[0] <= area <= AIRWAY_AREA_MM2[1]
        if is_airway and (is_embraced or is_in_front):
            return True
    return False


def _is_neck_like(scene: Scene, plane: int) -> bool:
    """Whether the body's section is as small as a neck and seen whole: bowel gas in a pelvis is no airway."""
    body = scene.body.mask[min(plane, len(scene.body.mask) - 1)]
    area_mm2 = float(body.sum()) * scene.coarse.spacing_mm[1] * scene.coarse.spacing_mm[2]
    is_cut = bool(body[0].any() or body[-1].any() or body[:, 0].any() or body[:, -1].any())
    return area_mm2 <= MAX_NECK_MM2 and not is_cut


def _is_anterior(scene: Scene, block: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether one coarse position lies in front of another in the patient."""
    step = np.array(scene.coarse.step)
    here, there = scene.volume.geometry.lps_mm(np.stack([block, other]) * step)
    return bool(here[1] < there[1])
