"""The outer surface of the skin, and how far a lesion lies beneath it, edge to edge; shortest lines to points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from calcreport.anatomy.arrays import Floats, Ints
from calcreport.anatomy.body import Body
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import box_of
from calcreport.anatomy.morphology import ALL_AXES, dilate, enlarged
from calcreport.calcification.edges import crossings
from calcreport.calcification.size import as_point
from calcreport.model.image import NOT_IMAGED_HU, CtVolume
from calcreport.model.lesion import Segment

SKIN_EDGE_HU: Final = -500.0  # Halfway between air and the first tissue: the outer surface of the skin
SAMPLE_POINTS: Final = 600  # surface points of a lesion that distances are taken from at first ...
SAMPLE_STRIDE: Final = 8  # ... of small ones every eighth, which lie closer together than blocks ...
FEWEST_POINTS: Final = 60  # ... but no fewer than this ...
CLOSE_POINTS: Final = 3_000  # … and at most, of those nearest to the skin, for the distance itself
CREASE_HU: Final = -220.0  # Air between skin and skin, thinner than a voxel: lighter than any fat, noise smoothed away
FOLD_BLOCKS: Final = 3  # Coarse blocks beyond the resolved outside in which a thin skin crease is still looked for
# Reasons why there is no skin distance: what lies between a lesion and the skin was not imaged.
NO_SKIN: Final = "no skin surface in the field of view"
CUT_SKIN: Final = "the nearest body surface is cut by the field of view"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skin:
    """Where the skin is, prepared once a series."""

    volume: CtVolume
    coarse: CoarseVolume
    tree: KDTree | None
    """Coarse indices, in mm along slice, row and column, of blocks outside the body that touch it."""
    blocks: Ints
    """Shape ``(n, 3)``; coarse indices of the blocks of `tree`."""
    cut: KDTree | None
    """As `tree`, for blocks of the body that the side of the picture cuts."""


def find_skin(volume: CtVolume, coarse: CoarseVolume, body: Body) -> Skin:
    """Find the surface of the body, and where the picture cuts it."""
    touching = dilate(body.mask, "cross", axes=ALL_AXES) & body.outside & coarse.is_imaged
    unseen = np.pad(~coarse.is_imaged, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    cut = body.mask & dilate(unseen, "cross")[:, 1:-1, 1:-1]
    blocks = np.argwhere(touching)
    tree, cut_tree = (
        KDTree(index * np.array(coarse.spacing_mm)) if len(index) else None for index in (blocks, np.argwhere(cut))
    )
    return Skin(volume=volume, coarse=coarse, tree=tree, blocks=blocks, cut=cut_tree)


def skin_distance(skin: Skin, points_mm: Floats) -> tuple[Segment | None, str]:
    """Shortest line from a lesion's surface (LPS mm) to the skin; or ``None``, and why no distance can be claimed."""
    if skin.tree is None:
        return None, NO_SKIN
    step, spacing = np.array(skin.coarse.step), np.array(skin.coarse.spacing_mm)
    block_mm = float(np.linalg.norm(spacing))
    count = len(points_mm)
    sample = points_mm[:: max(1, count // SAMPLE_POINTS, min(SAMPLE_STRIDE, count // FEWEST_POINTS))]
    position = skin.volume.geometry.index(sample) / step * spacing
    # A few percent of error here only widens the search below.
    near = np.asarray(skin.tree.query(position, eps=0.05)[0])
    nearest_mm = float(near.min())
    if skin.cut is not None and np.min(skin.cut.query(position, eps=0.05)[0]) < nearest_mm - spacing[1]:
        return None, CUT_SKIN
    reach = nearest_mm + 2.0 * block_mm
    blocks = _near_any(skin.tree, position[near <= nearest_mm + block_mm], reach)
    skin_mm = _skin_points(skin, skin.blocks[blocks])
    if len(skin_mm) == 0:
        return None, "the skin surface is not resolved"
    # A tree that serves once is not worth balancing.
    ends = KDTree(skin_mm, leafsize=32, balanced_tree=False, compact_nodes=False)
    segment = shortest_line(_facing(points_mm, sample[near <= reach], reach), ends, reach)
    return segment, "" if segment else "the skin surface is not resolved"


def _near_any(tree: KDTree, points: Floats, reach: float) -> Ints:
    """Numbers of the points of a tree that lie within reach of any of some others."""
    centre = points.mean(axis=0)
    radius = float(np.linalg.norm(points - centre, axis=1).max()) + reach
    around = np.asarray(tree.query_ball_point(centre, radius * (1.0 + 1e-9)), dtype=np.int64)
    distances, _ = KDTree(points).query(tree.data[around], distance_upper_bound=float(np.nextafter(reach, np.inf)))
    return around[np.isfinite(distances)]


def _facing(points_mm: Floats, nearer: Floats, reach: float) -> Floats:
    """Only the side of a lesion that faces the skin can hold the point nearest to it."""
    centre = nearer.mean(axis=0)
    radius = float(np.linalg.norm(nearer - centre, axis=1).max()) + reach / 4 + 2.0
    around = points_mm[np.linalg.norm(points_mm - centre, axis=1) <= radius]
    return np.asarray(around[:: max(1, len(around) // CLOSE_POINTS)])


def _skin_points(skin: Skin, blocks: Ints) -> Floats:
    """Points of the skin surface in and around some coarse blocks, LPS mm, shape ``(n, 3)``."""
    step = np.array(skin.coarse.step)
    shape = np.array(skin.volume.hu.shape)
    low = np.maximum((blocks.min(0) - FOLD_BLOCKS) * step, 0)
    high = np.minimum((blocks.max(0) + FOLD_BLOCKS + 1) * step, shape)
    hu = skin.volume.hu[box_of(low, high)]
    wanted = np.zeros(-(-high // step) - low // step, dtype=bool)
    wanted[tuple((blocks - low // step).T)] = True
    rim = dilate(wanted, "cross", axes=ALL_AXES)
    folds = dilate(rim, "cross", axes=ALL_AXES, steps=FOLD_BLOCKS - 1)
    density = hu.astype(np.float32)
    density[hu == NOT_IMAGED_HU] = 0.0
    at_rim, in_folds = (enlarged(mask, step)[tuple(map(slice, hu.shape))] for mask in (rim, folds))
    field = np.where(at_rim, density - np.float32(SKIN_EDGE_HU), np.float32(1.0))
    creases = in_folds & ~at_rim
    if bool((density[creases] < CREASE_HU).any()):
        for axis in (1, 2):
            density = ndimage.convolve1d(density, np.array([0.25, 0.5, 0.25], dtype=np.float32), axis=axis)
        field = np.where(creases, density - np.float32(CREASE_HU), field)
    # Outside the chosen blocks, and where nothing was imaged, no surface is claimed.
    points, _ = crossings(field)
    return skin.volume.geometry.lps_mm(points + low)


def shortest_line(start_mm: Floats, ends: KDTree, reach: float) -> Segment | None:
    """Shortest line from points (LPS mm) to those of a tree, ``None`` where it is no shorter than `reach`."""
    # The distance of any of the points bounds the shortest one, and a bound spares most of the search.
    bound = float(np.min(ends.query(start_mm[:: max(1, len(start_mm) // 32)])[0])) + 1e-6
    distances, nearest = map(np.asarray, ends.query(start_mm, distance_upper_bound=min(bound, reach)))
    best = int(distances.argmin())
    if not np.isfinite(distances[best]):
        return None
    return Segment(
        start_lps_mm=as_point(start_mm[best]),
        end_lps_mm=as_point(np.asarray(ends.data[int(nearest[best])])),
        length_mm=float(distances[best]),
    )
