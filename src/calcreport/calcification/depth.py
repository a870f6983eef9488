"""Which layer a lesion lies in, and how far it is from the investing fascia, edge to edge.

Soft-tissue lumps in the fat that the coarse muscle envelope has taken in are known by the plane of fat beneath them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from calcreport.anatomy.arrays import Floats, Ints, Mask
from calcreport.anatomy.body import Body, Envelope
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import box_of
from calcreport.anatomy.labelling import label
from calcreport.anatomy.morphology import ALL_AXES, dilate, erode, open_planes
from calcreport.anatomy.trunk import FAT_HU
from calcreport.calcification.edges import crossings
from calcreport.calcification.skin import CUT_SKIN, NO_SKIN, SAMPLE_POINTS, Skin, shortest_line
from calcreport.model.image import CtVolume
from calcreport.model.lesion import Segment
from calcreport.model.report import Depth, DepthClass

SKIN_THICKNESS_MM: Final = 2.0  # Mineral this close to the surface lies in the skin; limb skin is 1-2 mm thick
THIN_MM: Final = 8.0  # Mineral that reaches the skin and nowhere lies deeper than this is mineral of the skin
JUXTACORTICAL_GAP_MM: Final = 3.0  # Mineral this close to bone, voxel centre to voxel centre, is juxtacortical
ABUT_MM: Final = 2.0  # No fat plane can be claimed where the fascia is nearer than this
CROSS_SHARE: Final = (0.12, 0.88)  # Between these shares beneath the fascia a lesion lies on both sides of it
AROUND_BLOCKS: Final = 2  # Surroundings of a lesion that tell whether it lies among muscles, in blocks
FILTER_REACH: Final = 4  # The envelope's border is smoothed over no more blocks than this


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """Anatomy a depth is read from, prepared once a series."""

    volume: CtVolume
    coarse: CoarseVolume
    body: Body
    envelope: Envelope
    """Coarse grid, body and muscle envelope on it."""
    skin: Skin
    fascia: KDTree | None
    """Points on the surface of the envelope, LPS mm; ``None`` where it is not seen, or not reliable."""


def prepare_layers(body: Body, envelope: Envelope, skin: Skin) -> Layers:
    """Find the surfaces depths are measured to, of one series."""
    volume, coarse = skin.volume, skin.coarse
    border = _border(envelope.mask)
    fascia = (border + 0.5) * np.array(coarse.step) - 0.5
    # Blocks are means within slices, with slices left out between them.
    fascia[:, 0] = border[:, 0] * coarse.step[0]
    return Layers(
        volume=volume, coarse=coarse, body=body, envelope=envelope, skin=skin,
        fascia=KDTree(volume.geometry.lps_mm(fascia)) if len(fascia) and envelope.is_reliable else None,
    )  # fmt: skip


def _border(mask: Mask) -> Floats:
    """Points on the smoothed border of a mask, fractional indices, shape ``(n, 3)``."""
    sides = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not sides[0].size:
        return np.zeros((0, 3))
    # Beyond the reach of the filter all is as it was.
    low = np.array([max(0, side[0] - FILTER_REACH) for side in sides])
    box = box_of(low, np.array([side[-1] + FILTER_REACH + 1 for side in sides]))
    smooth = ndimage.gaussian_filter(mask[box].astype(np.float32), sigma=(0.5, 0.8, 0.8))
    return np.asarray(crossings(smooth - 0.5)[0] + low)


def fascia_distance(layers: Layers, points_mm: Floats) -> Segment | None:
    """Shortest line from surface points (LPS mm) to the investing fascia, ``None`` where it is not seen."""
    sample = points_mm[:: max(1, len(points_mm) // SAMPLE_POINTS)]
    return None if layers.fascia is None else shortest_line(sample, layers.fascia, np.inf)


def typical_fascia_distance(layers: Layers, voxels: Ints) -> float | None:
    """Median distance of voxels to the investing fascia, mm: small only where mineral lies along it."""
    sample = layers.volume.geometry.lps_mm(voxels[:: max(1, len(voxels) // 500)])
    return None if layers.fascia is None else float(np.median(layers.fascia.query(sample)[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """What was measured from a lesion's surface."""

    to_skin: Segment | None
    to_fascia: Segment | None
    """Shortest lines; ``None`` where they cannot be measured."""
    skin_reason: str = ""
    """Why there is no skin distance; empty otherwise."""
    bone_gap_mm: float = float("inf")
    """Distance to bone, mm; infinity when none is near."""

    @property
    def is_cut(self) -> bool:
        """Whether the body surface next to the lesion is not in the picture."""
        return self.skin_reason in {NO_SKIN, CUT_SKIN}

    @property
    def is_at_fascia(self) -> bool:
        """Whether no fat plane to the fascia can be claimed."""
        return self.to_fascia is not None and self.to_fascia.length_mm < ABUT_MM


def read_depth(layers: Layers, voxels: Ints, distances: Distances, *, is_mass: bool) -> Depth:
    """Layer of a lesion.

    Of a whole lesion (`is_mass`), and not its mineral, any part beneath the fascia makes it deep, however far it
    reaches outwards.
    """
    layer, reason = _layer(layers, voxels, distances, is_mass=is_mass)
    return Depth(
        class_=layer,
        skin_distance_mm=distances.to_skin.length_mm if distances.to_skin else None,
        fascia_distance_mm=distances.to_fascia.length_mm if distances.to_fascia else None,
        reason="; ".join(filter(None, (reason, distances.skin_reason))),
    )


def _layer(layers: Layers, voxels: Ints, distances: Distances, *, is_mass: bool) -> tuple[DepthClass, str]:
    """Layer, and why."""
    blocks = layers.coarse.of_fine(voxels)
    share = float(layers.envelope.mask[tuple(blocks.T)].mean())
    is_seen = distances.to_fascia is not None
    is_deep = share > CROSS_SHARE[0] or (is_mass and _holds_subfascial(layers, blocks))
    if distances.to_skin is not None and distances.to_skin.length_mm < SKIN_THICKNESS_MM:
        is_thin = float(np.linalg.norm(np.ptp(layers.volume.geometry.lps_mm(voxels), axis=0))) <= THIN_MM
        # A large mass may reach both ways: that it reaches the skin does not say that it ends above the fascia.
        ends_above = not is_deep and is_seen and not distances.is_at_fascia
        if (is_thin and not (is_mass and is_deep)) or (ends_above if is_mass else share < CROSS_SHARE[1]):
            return DepthClass.CUTANEOUS, "reaches the skin"
    if not is_seen:
        return DepthClass.CANNOT_DETERMINE, "muscle and fat cannot be told apart"
    if not is_deep:
        return _superficial_layer(distances)
    if is_mass and distances.is_cut and not _lies_among_muscles(layers, blocks):
        return DepthClass.CANNOT_DETERMINE, "the muscles around it are not in the field of view"
    if share < CROSS_SHARE[1]:
        return DepthClass.CROSSES_FASCIA, "on both sides of the outer border of the muscles"
    is_near_bone = distances.bone_gap_mm <= JUXTACORTICAL_GAP_MM
    layer = DepthClass.JUXTACORTICAL if is_near_bone else DepthClass.SUBFASCIAL
    return layer, "beneath the outer border of the muscles"


def _superficial_layer(distances: Distances) -> tuple[DepthClass, str]:
    """Layer of what does not reach beneath the fascia; none where the body is cut, since muscle may lie beyond."""
    if distances.is_cut:
        return DepthClass.CANNOT_DETERMINE, "outside the muscles as far as they are seen"
    if distances.is_at_fascia:
        return DepthClass.ABUTS_FASCIA, "no fat plane to the muscles is seen"
    return DepthClass.SUBCUTANEOUS, "fat all around, outside the muscles"


def _holds_subfascial(layers: Layers, blocks: Ints) -> bool:
    """Whether a lesion reaches further beneath the fascia than its border is uncertain, which is one block."""
    inner = erode(layers.envelope.mask, "cross", axes=ALL_AXES, beyond=1)
    return bool(inner[tuple(blocks.T)].any())


def _lies_among_muscles(layers: Layers, blocks: Ints) -> bool:
    """Whether most of what is imaged around a mass is muscle.

    A mass that the side of the picture cuts may itself have been taken for muscle.
    """
    own = np.zeros(layers.envelope.mask.shape, dtype=np.bool_)
    own[tuple(blocks.T)] = True
    around = (
        dilate(own, "cross", axes=ALL_AXES, steps=AROUND_BLOCKS) & ~own & layers.body.mask & layers.coarse.is_imaged
    )
    return bool(around.any()) and float(layers.envelope.mask[around].mean()) > 0.5


MARGIN_MM: Final = 15.0  # How far around a deposit its mass is looked at
SMOOTH_MM: Final = 24.0  # The fascia of a limb or trunk bends with at least this radius; a mass on it bends more
MIN_SHARE: Final = 0.12  # Deposits with less of their volume in the envelope are superficial already
MIN_OUTSIDE: Final = 0.8  # The deposit of such a mass lies in the bulge, not in the smooth envelope
MAX_LOSS: Final = 0.4  # Where smoothing takes more than this of the envelope, the part is too slim for the question
MAX_WITHIN: Final = 0.35  # A mass parted from the muscles lies beyond the smooth envelope by most of its volume
NECK_MM: Final = 2.0  # Strands, vessels and skin that tie a mass to its surroundings are at most twice this thick
NOISE_WINDOW_MM: Final = 2.0  # The noise is averaged over this width; planes of fat are about as thick
LARGEST: Final = 60  # Deposits looked at, largest first: many specks are not lumps


def without_lumps(envelope: Envelope, volume: CtVolume, coarse: CoarseVolume, deposits: Iterable[Ints]) -> Envelope:
    """Take lumps in the subcutaneous fat out of the muscle envelope.

    A mass of muscle's density close to the fascia joins the muscles in blocks of 3 mm. It is taken out where it bulges
    from the smooth course of the envelope and, voxel by voxel, fat parts it from the muscles. `deposits` are voxel
    indices.
    """
    mask = envelope.mask
    for voxels in sorted(deposits, key=len, reverse=True)[:LARGEST]:
        blocks = tuple(coarse.of_fine(voxels).T)
        if mask[blocks].mean() <= MIN_SHARE:
            continue
        planes = slice(int(blocks[0].min()), int(blocks[0].max()) + 1)
        smooth = open_planes(mask[planes], "disc", steps=max(1, round(SMOOTH_MM / coarse.spacing_mm[1] / 2)))
        is_slim = smooth.sum() < (1 - MAX_LOSS) * mask[planes].sum()
        if is_slim or smooth[(blocks[0] - planes.start, *blocks[1:])].mean() > 1 - MIN_OUTSIDE:
            continue
        lump = _lump_around(volume, coarse, voxels, smooth, planes.start)
        if lump is not None:
            mask = mask.copy() if mask is envelope.mask else mask
            mask[tuple(lump.T)] = False
    return envelope if mask is envelope.mask else replace(envelope, mask=mask)


def _lump_around(volume: CtVolume, coarse: CoarseVolume, voxels: Ints, smooth: Mask, first: int) -> Ints | None:
    """Coarse blocks of the soft tissue around a deposit, shape ``(n, 3)``; ``None`` where it goes on into the muscles.

    `smooth` is the smooth envelope of the coarse planes from `first` on.
    """
    spacing = np.array(volume.geometry.spacing_mm)
    margin = np.ceil(MARGIN_MM / spacing).astype(int)
    low = np.maximum(voxels.min(0) - margin, 0)
    high = np.minimum(voxels.max(0) + 1 + margin, np.array(volume.hu.shape))
    # The smooth envelope is known in the deposit's own slices.
    low[0], high[0] = voxels[:, 0].min(), voxels[:, 0].max() + 1
    box = box_of(low, high)
    width = [1, *(max(1, round(NOISE_WINDOW_MM / s)) for s in spacing[1:])]
    soft = ndimage.uniform_filter(volume.hu[box].astype(np.float32), size=width, mode="nearest") > FAT_HU
    own = np.zeros(soft.shape, dtype=np.bool_)
    own[tuple((voxels - low).T)] = True
    soft |= own
    inside = np.stack([ndimage.distance_transform_edt(np.pad(p, 1), sampling=spacing[1:])[1:-1, 1:-1] for p in soft])
    cores, _ = label(inside > NECK_MM)
    held = np.bincount(cores[own & (cores > 0)])
    if held.size < 2:
        return None
    core = cores == int(held.argmax())
    block = coarse.of_fine(np.argwhere(core) + low)
    if smooth[tuple((block - [first, 0, 0]).T)].mean() > MAX_WITHIN:
        return None
    grown = np.stack([ndimage.distance_transform_edt(~p, sampling=spacing[1:]) <= NECK_MM for p in core]) & soft
    return np.unique(coarse.of_fine(np.argwhere(grown | own) + low), axis=0)
