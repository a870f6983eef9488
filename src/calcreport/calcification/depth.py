"""Which layer a lesion lies in, and how far it is from skin and fascia, edge to edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from calcreport.anatomy.body import Body
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.fascia import Envelope
from calcreport.anatomy.morphology import ALL_AXES, dilate
from calcreport.calcification.edges import crossings
from calcreport.calcification.size import as_point
from calcreport.model.image import NOT_IMAGED_HU, CtVolume
from calcreport.model.lesion import Segment
from calcreport.model.report import Depth, DepthClass

SKIN_EDGE_HU: Final = -500.0
"""Halfway between air and the first tissue: the outer surface of the skin."""

SAMPLE_POINTS: Final = 600
"""Surface points of a lesion that distances are taken from at first …"""

CLOSE_POINTS: Final = 3_000
"""… and at most, of those nearest to the skin, for the distance itself."""

SKIN_THICKNESS_MM: Final = 2.0
"""Mineral that reaches this close to the surface lies in the skin itself; limb skin is 1-2 mm thick."""

CREASE_HU: Final = -220.0
"""Where skin lies on skin, air is thinner than a voxel: what is lighter than any fat, noise smoothed away, is a
crease."""

FOLD_BLOCKS: Final = 3
"""Coarse blocks beyond the resolved outside in which a thin skin crease is still looked for."""

THIN_MM: Final = 8.0
"""Mineral that reaches the skin and nowhere lies deeper than this is mineral of the skin."""

JUXTACORTICAL_GAP_MM: Final = 3.0
"""Mineral this close to bone, voxel centre to voxel centre, is juxtacortical."""

ABUT_MM: Final = 2.0
"""No fat plane can be claimed where the fascia is nearer than this."""

CROSS_SHARE: Final = (0.12, 0.88)
"""A lesion with between these shares of its voxels beneath the fascia lies on both sides of it."""


FILTER_REACH: Final = 4
"""The envelope's border is smoothed over no more blocks than this."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """Anatomy a depth is read from, prepared once a series.

    Parameters
    ----------
    volume : CtVolume
        HU.
    coarse, body, envelope : CoarseVolume, Body, Envelope
        Coarse grid, body and muscle envelope on it.
    skin : KDTree | None
        Coarse indices, in mm along slice, row and column, of blocks outside the body that touch it.
    cut : KDTree | None
        The same for blocks of the body that the side of the picture cuts.
    skin_blocks : NDArray[np.int64]
        Shape ``(n, 3)``; coarse indices of the blocks of `skin`.
    fascia : KDTree | None
        Points on the surface of the envelope, LPS mm.
    """

    volume: CtVolume
    coarse: CoarseVolume
    body: Body
    envelope: Envelope
    skin: KDTree | None
    cut: KDTree | None
    skin_blocks: NDArray[np.int64]
    fascia: KDTree | None


def prepare_layers(volume: CtVolume, coarse: CoarseVolume, body: Body, envelope: Envelope) -> Layers:
    """Find the surfaces depths are measured to.

    Parameters
    ----------
    volume : CtVolume
        HU.
    coarse, body, envelope : CoarseVolume, Body, Envelope
        Coarse grid, body and muscle envelope on it.
    """
    touching = dilate(body.mask, "cross", axes=ALL_AXES) & body.outside & coarse.is_imaged
    cut = body.mask & dilate(~coarse.is_imaged, "cross")
    cut[:, 0] |= body.mask[:, 0]
    cut[:, -1] |= body.mask[:, -1]
    cut[:, :, 0] |= body.mask[:, :, 0]
    cut[:, :, -1] |= body.mask[:, :, -1]
    spacing = np.array(coarse.spacing_mm)
    skin_blocks, cut_blocks = np.argwhere(touching), np.argwhere(cut)
    border = _border(envelope.mask)
    fascia = (border + 0.5) * np.array(coarse.step) - 0.5
    # Blocks are means within slices, with slices left out between them.
    fascia[:, 0] = border[:, 0] * coarse.step[0]
    return Layers(
        volume=volume,
        coarse=coarse,
        body=body,
        envelope=envelope,
        skin=KDTree(skin_blocks * spacing) if len(skin_blocks) else None,
        cut=KDTree(cut_blocks * spacing) if len(cut_blocks) else None,
        skin_blocks=skin_blocks,
        fascia=KDTree(volume.geometry.lps_mm(fascia)) if len(fascia) else None,
    )


def _border(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points on the smoothed border of a mask, fractional indices, shape ``(n, 3)``."""
    sides = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not sides[0].size:
        return np.zeros((0, 3))
    # Beyond the reach of the filter all is as it was.
    low = np.array([max(0, int(side[0]) - FILTER_REACH) for side in sides])
    box = tuple(slice(int(a), int(side[-1]) + FILTER_REACH + 1) for a, side in zip(low, sides, strict=True))
    smooth = ndimage.gaussian_filter(mask[box].astype(np.float32), sigma=(0.5, 0.8, 0.8))
    points, _ = crossings(smooth - 0.5)
    points += low
    return points


def skin_distance(layers: Layers, points_mm: NDArray[np.float64]) -> tuple[Segment | None, str]:
    """Shortest line from a lesion's surface to the outer surface of the skin.

    Parameters
    ----------
    layers : Layers
        Anatomy.
    points_mm : NDArray[np.float64]
        Shape ``(n, 3)``; surface of the lesion, LPS mm.

    Returns
    -------
    segment : Segment | None
        From lesion to skin; ``None`` where no distance can be claimed.
    reason : str
        Why not; empty otherwise.
    """
    if layers.skin is None:
        return None, "no skin surface in the field of view"
    step, spacing = np.array(layers.coarse.step), np.array(layers.coarse.spacing_mm)
    block_mm = float(np.linalg.norm(spacing))
    sample = points_mm[:: max(1, len(points_mm) // SAMPLE_POINTS)]
    position = layers.volume.geometry.index(sample) / step * spacing
    # A few percent of error here only widens the search below.
    near, _ = _query(layers.skin, position, eps=0.05)
    nearest_mm = float(near.min())
    if layers.cut is not None and _query(layers.cut, position, eps=0.05)[0].min() < nearest_mm - spacing[1]:
        return None, "the nearest body surface is cut by the field of view"
    reach = nearest_mm + 2.0 * block_mm
    blocks = _near_any(layers.skin, position[near <= nearest_mm + block_mm], reach)
    skin_mm = _skin_points(layers, layers.skin_blocks[blocks])
    if len(skin_mm) == 0:
        return None, "the skin surface is not resolved"
    # A tree that serves once is not worth balancing.
    ends = KDTree(skin_mm, leafsize=32, balanced_tree=False, compact_nodes=False)
    segment = _between(_facing(points_mm, sample[near <= reach], reach), ends, reach)
    return segment, "" if segment else "the skin surface is not resolved"


def _query(
    tree: KDTree, points: NDArray[np.float64], *, eps: float = 0.0, bound: float = np.inf
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance to the nearest point of a tree, and its number; infinity where it is not nearer than `bound`."""
    distances, nearest = tree.query(points, eps=eps, distance_upper_bound=bound)
    return np.asarray(distances), np.asarray(nearest, dtype=np.int64)


def _near_any(tree: KDTree, points: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    """Numbers of the points of a tree that lie within reach of any of some others."""
    centre = points.mean(axis=0)
    radius = float(np.linalg.norm(points - centre, axis=1).max()) + reach
    around = np.asarray(tree.query_ball_point(centre, radius * (1.0 + 1e-9)), dtype=np.int64)
    distances, _ = _query(KDTree(points), tree.data[around], bound=float(np.nextafter(reach, np.inf)))
    return around[np.isfinite(distances)]


def _facing(points_mm: NDArray[np.float64], nearer: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Only the side of a lesion that faces the skin can hold the point nearest to it."""
    centre = nearer.mean(axis=0)
    radius = float(np.linalg.norm(nearer - centre, axis=1).max()) + reach / 4 + 2.0
    around = points_mm[np.linalg.norm(points_mm - centre, axis=1) <= radius]
    return around[:: max(1, len(around) // CLOSE_POINTS)] if len(around) else nearer


def _between(start_mm: NDArray[np.float64], ends: KDTree, reach: float) -> Segment | None:
    """Shortest line from some points to those of a tree, ``None`` where it is no shorter than `reach`."""
    # The distance of any of the points bounds the shortest one, and a bound spares most of the search.
    bound = float(_query(ends, start_mm[:: max(1, len(start_mm) // 32)])[0].min()) + 1e-6
    distances, nearest = _query(ends, start_mm, bound=min(bound, reach))
    best = int(distances.argmin())
    if not np.isfinite(distances[best]):
        return None
    return Segment(
        start_lps_mm=as_point(start_mm[best]),
        end_lps_mm=as_point(np.asarray(ends.data[int(nearest[best])])),
        length_mm=float(distances[best]),
    )


def _skin_points(layers: Layers, blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Points of the skin surface in and around some coarse blocks, LPS mm, shape ``(n, 3)``."""
    step = np.array(layers.coarse.step)
    shape = np.array(layers.volume.hu.shape)
    low = np.maximum((blocks.min(0) - FOLD_BLOCKS) * step, 0)
    high = np.minimum((blocks.max(0) + FOLD_BLOCKS + 1) * step, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    hu = layers.volume.hu[box]
    wanted = np.zeros(layers.coarse.hu.shape, dtype=bool)
    wanted[tuple(blocks.T)] = True
    coarse_box = tuple(slice(int(a // s), int(-(-b // s))) for a, b, s in zip(low, high, step, strict=True))
    rim = dilate(wanted[coarse_box], "cross", axes=ALL_AXES)
    folds = dilate(rim, "cross", axes=ALL_AXES, steps=FOLD_BLOCKS - 1)

    def fine(blocks_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        spread = blocks_mask.repeat(step[0], 0).repeat(step[1], 1).repeat(step[2], 2)
        return spread[: hu.shape[0], : hu.shape[1], : hu.shape[2]]

    density = hu.astype(np.float32)
    density[hu == NOT_IMAGED_HU] = 0.0
    at_rim, in_folds = fine(rim), fine(folds)
    field = np.where(at_rim, density - np.float32(SKIN_EDGE_HU), np.float32(1.0))
    creases = in_folds & ~at_rim
    if bool((density[creases] < CREASE_HU).any()):
        for axis in (1, 2):
            density = ndimage.convolve1d(density, np.array([0.25, 0.5, 0.25], dtype=np.float32), axis=axis)
        field = np.where(creases, density - np.float32(CREASE_HU), field)
    # Outside the chosen blocks, and where nothing was imaged, no surface is claimed.
    points, _ = crossings(field)
    return layers.volume.geometry.lps_mm(points + low)


def fascia_distance(layers: Layers, points_mm: NDArray[np.float64]) -> Segment | None:
    """Shortest line from a lesion's surface to the investing fascia, ``None`` where it is not seen.

    Parameters
    ----------
    layers : Layers
        Anatomy.
    points_mm : NDArray[np.float64]
        Shape ``(n, 3)``; surface of the lesion, LPS mm.
    """
    if not layers.envelope.is_reliable or layers.fascia is None:
        return None
    sample = points_mm[:: max(1, len(points_mm) // SAMPLE_POINTS)]
    return _between(sample, layers.fascia, np.inf)


def typical_fascia_distance(layers: Layers, voxels: NDArray[np.int64]) -> float | None:
    """Median distance of a lesion's voxels to the investing fascia, mm: small only where mineral lies along it.

    Parameters
    ----------
    layers : Layers
        Anatomy.
    voxels : NDArray[np.int64]
        Shape ``(n, 3)``; voxel indices in the volume.
    """
    if not layers.envelope.is_reliable or layers.fascia is None:
        return None
    sample = layers.volume.geometry.lps_mm(voxels[:: max(1, len(voxels) // 500)])
    return float(np.median(_query(layers.fascia, sample)[0]))


def read_depth(
    layers: Layers,
    voxels: NDArray[np.int64],
    *,
    to_skin: Segment | None,
    skin_reason: str,
    to_fascia: Segment | None,
    bone_gap_mm: float,
) -> Depth:
    """Layer of a lesion.

    Parameters
    ----------
    layers : Layers
        Anatomy.
    voxels : NDArray[np.int64]
        Shape ``(n, 3)``; voxel indices of the lesion in the volume.
    to_skin, to_fascia : Segment | None
        Distances measured before.
    skin_reason : str
        Why there is no skin distance.
    bone_gap_mm : float
        Distance to bone, mm; infinity when none is near.
    """
    skin_mm = to_skin.length_mm if to_skin else None
    fascia_mm = to_fascia.length_mm if to_fascia else None
    share = float(layers.envelope.mask[tuple(layers.coarse.of_fine(voxels).T)].mean())
    extent_mm = float(np.linalg.norm(np.ptp(layers.volume.geometry.lps_mm(voxels), axis=0)))
    reaches_skin = skin_mm is not None and skin_mm < SKIN_THICKNESS_MM
    if reaches_skin and (share < CROSS_SHARE[1] or extent_mm <= THIN_MM):
        layer, reason = DepthClass.CUTANEOUS, "reaches the skin"
    elif not layers.envelope.is_reliable or fascia_mm is None:
        layer, reason = DepthClass.CANNOT_DETERMINE, "muscle and fat cannot be told apart"
    elif share >= CROSS_SHARE[1]:
        is_near_bone = bone_gap_mm <= JUXTACORTICAL_GAP_MM
        layer = DepthClass.JUXTACORTICAL if is_near_bone else DepthClass.SUBFASCIAL
        reason = "beneath the outer border of the muscles"
    elif share > CROSS_SHARE[0]:
        layer, reason = DepthClass.CROSSES_FASCIA, "on both sides of the outer border of the muscles"
    elif fascia_mm < ABUT_MM:
        layer, reason = DepthClass.ABUTS_FASCIA, "no fat plane to the muscles is seen"
    else:
        layer, reason = DepthClass.SUBCUTANEOUS, "fat all around, outside the muscles"
    return Depth(
        class_=layer,
        skin_distance_mm=skin_mm,
        fascia_distance_mm=fascia_mm,
        reason=reason if not skin_reason else f"{reason}; {skin_reason}",
    )
