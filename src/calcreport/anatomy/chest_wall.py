"""The wall of the trunk: the hull of ribs, spine and sternum, lung behind it, and cartilage of the ribs in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from calcreport.anatomy.coarse import Grid
from calcreport.anatomy.morphology import Mask, dilate, open_planes

CAGE_MM2: Final = 15_000.0
"""Bones outline a trunk where their hull in a slab has at least this area …"""

SLAB_MM: Final = 24.0
"""… over this length, which holds parts of several ribs at every side."""

WALL_MM: Final = 16.0
"""Ribs, their cartilage and clavicles lie this close to the hull."""

CARTILAGE_HU: Final = 85
NOISE_DEVIATIONS: Final = 2.5
MUSCLE_HU: Final = 55.0
"""Cartilage is denser than muscle, by this much of the noise."""

MAX_CARTILAGE_MM: Final = 24.0
"""Thickness: what is thicker is liver or spleen."""

MIN_CARTILAGE_MM3: Final = 400.0
MIN_TOUCH: Final = 0.02
"""Cartilage has this volume and meets bone with this share of it; muscle that noise lifts is in smaller bits."""


def slabs(grid: Grid) -> list[slice]:
    """Slices of the grid, `SLAB_MM` at a time."""
    step = max(1, round(SLAB_MM / grid.spacing_mm[0]))
    return [slice(start, start + step) for start in range(0, len(grid.hu), step)]


def beyond_hull_mm(bone: Mask, grid: Grid) -> NDArray[np.float64] | None:
    """Distance outside the hull of the bones of a slab, negative inside, mm; ``None`` where they outline no trunk."""
    points = np.argwhere(bone.any(axis=0)) * np.array(grid.spacing_mm[1:])
    if len(points) < 3:
        return None
    try:
        hull = ConvexHull(points)
    except QhullError:
        return None
    if hull.volume < CAGE_MM2:
        return None
    rows, columns = (np.arange(n) * mm for n, mm in zip(bone.shape[1:], grid.spacing_mm[1:], strict=True))
    # The greatest of the signed distances from the sides.
    beyond = np.full(bone.shape[1:], -np.inf)
    for a, b, c in hull.equations:
        np.maximum(beyond, a * rows[:, None] + b * columns + c, out=beyond)
    return beyond


def costal_cartilage(grid: Grid, solid: Mask, bone: Mask, main: Mask, *, noise_hu: float, front: int) -> Mask:
    """Cartilage of the ribs with what is calcified in it: bands in the front wall of the trunk that meet bone.

    Of grid shape are `solid`, tissue without enhanced blood, `bone`, and `main`, the body without arms beside it;
    `front` is where the patient's front lies along the rows: -1 at the first row, 1 at the last, 0 at neither.
    """
    hulls = [beyond_hull_mm(bone[planes] & main[planes], grid) for planes in slabs(grid)]
    found = np.zeros_like(bone)
    if not front or all(hull is None for hull in hulls):
        return found
    limit = max(CARTILAGE_HU, round(MUSCLE_HU + NOISE_DEVIATIONS * noise_hu))
    soft = solid & ~bone & (grid.hu >= limit)
    steps = round(MAX_CARTILAGE_MM / 4 / grid.spacing_mm[1])  # a step of a disc has two blocks
    band = open_planes(soft & ~dilate(open_planes(soft, "disc", steps=steps), "disc", steps=2), "cross")
    for planes, hull in zip(slabs(grid), hulls, strict=True):
        if hull is None:
            continue
        middle = np.flatnonzero((bone[planes] & main[planes]).any(axis=(0, 2)))[[0, -1]].mean()
        is_in_front = (np.arange(bone.shape[1]) - middle) * front > 0
        found[planes] = band[planes] & (np.abs(hull) <= WALL_MM) & is_in_front[:, None]
    labels, count = ndimage.label(found)
    size = np.bincount(labels.ravel(), minlength=count + 1)
    touching = np.bincount(labels[dilate(bone, "square", steps=2)], minlength=count + 1)
    keep = (size * float(np.prod(grid.spacing_mm)) >= MIN_CARTILAGE_MM3) & (touching >= MIN_TOUCH * size)
    keep[0] = False
    return dilate(keep[labels], "square", within=soft)
