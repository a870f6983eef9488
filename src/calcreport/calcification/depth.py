"""Which layer a lesion lies in, and how far it is from the investing fascia, edge to edge."""

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
from calcreport.calcification.edges import crossings
from calcreport.calcification.nearest import query, shortest_line
from calcreport.calcification.skin import SAMPLE_POINTS, Skin
from calcreport.model.image import CtVolume
from calcreport.model.lesion import Segment
from calcreport.model.report import Depth, DepthClass

SKIN_THICKNESS_MM: Final = 2.0
"""Mineral that reaches this close to the surface lies in the skin itself; limb skin is 1-2 mm thick."""

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
    skin : Skin
        The skin.
    fascia : KDTree | None
        Points on the surface of the envelope, LPS mm.
    """

    volume: CtVolume
    coarse: CoarseVolume
    body: Body
    envelope: Envelope
    skin: Skin
    fascia: KDTree | None


def prepare_layers(body: Body, envelope: Envelope, skin: Skin) -> Layers:
    """Find the surfaces depths are measured to.

    Parameters
    ----------
    body, envelope : Body, Envelope
        Body and muscle envelope on the coarse grid.
    skin : Skin
        Of the same series.
    """
    volume, coarse = skin.volume, skin.coarse
    border = _border(envelope.mask)
    fascia = (border + 0.5) * np.array(coarse.step) - 0.5
    # Blocks are means within slices, with slices left out between them.
    fascia[:, 0] = border[:, 0] * coarse.step[0]
    return Layers(
        volume=volume,
        coarse=coarse,
        body=body,
        envelope=envelope,
        skin=skin,
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
    return shortest_line(sample, layers.fascia, np.inf)


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
    return float(np.median(query(layers.fascia, sample)[0]))


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
