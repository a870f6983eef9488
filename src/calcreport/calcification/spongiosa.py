"""Thin cortex of vertebrae and sacrum whose spongiosa is fainter than what the map calls bone."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from calcreport.anatomy.bone_map import BONE_HU
from calcreport.calcification.foci import Focus
from calcreport.calcification.scene import HALF, Scene

REACH_MM: Final = 60.0  # A section of the sacrum reaches this far from a piece of its cortex ...
MIN_AREA_MM2: Final = 500.0  # ... those of vertebrae have at least this area ...
ASIDE_MM: Final = 40.0  # ... their middle lies this close to that of the body ...
MIN_SPONGIOSA_HU: Final = 85.0  # ... and their inside is denser than muscle, enhanced or not


def is_around_spongiosa(scene: Scene, focus: Focus) -> bool:
    """Whether a limit above `BONE_HU` shows a piece of cortex that outlines spongiosa at the middle of the body.

    The inside of a calcified shell is as faint as muscle, or it lies aside.
    """
    index = scene.components.indices(focus.component)
    plane = int(np.bincount(index[:, 0]).argmax())
    own = index[index[:, 0] == plane, 1:]
    across = np.flatnonzero(scene.body.firm[int(scene.coarse.of_fine(index)[0, 0])].any(axis=0))
    if scene.limits.grow <= BONE_HU or focus.air_fraction > 0 or not across.size:
        return False
    spacing = np.array(scene.spacing_mm[1:])
    reach = np.ceil(REACH_MM / spacing).astype(int)
    low, high = np.maximum(own.min(axis=0) - reach, 0), own.max(axis=0) + reach + 1
    hu = scene.volume.hu[plane, low[0] : high[0], low[1] : high[1]]
    labels, _ = ndimage.label(hu >= BONE_HU, structure=np.ones((3, 3)))
    cortex = labels == np.bincount(labels[tuple((own - low).T)]).argmax()
    section = convex_hull_image(cortex)
    inside = section & ~cortex
    middle = (across[0] + across[-1] + 1) / 2 * scene.coarse.step[2]
    aside_mm = abs(low[1] + float(np.nonzero(section)[1].mean()) - middle) * spacing[1]
    is_large = section.sum() * np.prod(spacing) >= MIN_AREA_MM2 and inside.sum() >= HALF * section.sum()
    return bool(is_large and aside_mm <= ASIDE_MM and np.median(hu[inside]) >= MIN_SPONGIOSA_HU)
