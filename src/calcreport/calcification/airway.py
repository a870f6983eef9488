"""Cartilage of larynx and trachea: dense plates around a gas-filled tube that runs along the scan."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.components import paint
from calcreport.anatomy.morphology import outside_planes
from calcreport.calcification.foci import GAS_HU, Focus
from calcreport.calcification.scene import Scene
from calcreport.calcification.thresholds import RAISED_HU

AIRWAY_AREA_MM2: Final = (40.0, 900.0)
MIN_AIRWAY_MM: Final = 24.0
"""Section and length of the airway."""

AIRWAY_REACH_MM: Final = 15.0
"""Cartilage lies this close to it, …"""

MIN_CARTILAGE_MM: Final = 18.0
"""… and is this wide where it embraces it, …"""

MIDLINE_MM: Final = 12.0
"""… or lies this close to its midline in front."""

MAX_NECK_MM2: Final = 32_000.0
"""A neck of 20 cm across."""

FAINT_CNR: Final = 6.0
MAX_SPECK_MM3: Final = 150.0
"""At raised limits, and where the plates stand out of the noise no more than this, only specks of them remain."""

BULKY_MM: Final = 9.0
"""Plates of ossified cartilage are thinner than this ball: the lamina of the cricoid, their thickest, has 5-8 mm."""


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
        # A raised limit or noise leaves specks of the plates beside it, which are not told from mineral of the thyroid.
        is_faint = scene.limits.grow >= RAISED_HU or focus.contrast_to_noise < FAINT_CNR
        is_speck = near and is_faint and focus.volume_mm3 <= MAX_SPECK_MM3
        beside = low[2] - reach[2] <= middle[2] <= high[2] + reach[2]
        # Hyoid and small pieces of cartilage lie in front of the airway, in the midline.
        is_in_front = (
            near
            and abs((low + high)[2] / 2 - middle[2]) * spacing[2] <= MIDLINE_MM
            and _is_anterior(scene, (low + high) / 2, middle)
        )
        is_long = length >= min(MIN_AIRWAY_MM, 0.8 * (high - low + 1)[0] * spacing[0])
        is_airway = is_long and AIRWAY_AREA_MM2[0] <= area <= AIRWAY_AREA_MM2[1]
        if is_airway and (is_embraced or is_in_front or (is_speck and beside)):
            return True
    return False


def bulky_parts(scene: Scene, component: int) -> list[NDArray[np.int64]]:
    """Parts of laryngeal or tracheal cartilage too thick for it: mineral beside the airway that touches it.

    Parameters
    ----------
    scene : Scene
        The series.
    component : int
        The cartilage.

    Returns
    -------
    list of NDArray[np.int64]
        One array of shape ``(n, 3)`` per part: voxel indices (slice, row, column).
    """
    low, high = scene.components.box[component].T
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    chosen = np.zeros(scene.components.count, dtype=np.bool_)
    chosen[component] = True
    own, hu = paint(scene.components, chosen, box), scene.volume.hu[box]
    # What a plane of mineral closes in belongs to it, unless it is the airway.
    holes, count = ndimage.label(~outside_planes(own) & ~own)
    holds_gas = np.zeros(count + 1, dtype=np.bool_)
    holds_gas[holes[hu < GAS_HU]] = True
    filled = own | ((holes > 0) & ~holds_gas[holes])
    inside = ndimage.distance_transform_edt(np.pad(filled, 1), sampling=scene.spacing_mm)[1:-1, 1:-1, 1:-1]
    core = inside >= BULKY_MM / 2
    if not core.any():
        return []
    bulk = ndimage.distance_transform_edt(~core, sampling=scene.spacing_mm) <= BULKY_MM / 2
    labels, count = ndimage.label(bulk & filled)
    parts = [np.argwhere((labels == part) & own) + low for part in range(1, count + 1)]
    last = np.array(scene.volume.hu.shape) - 1
    # What runs out of the scan may be the spine itself, joined to the larynx.
    return [index for index in parts if index.min() > 0 and (index < last).all()]


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
