"""Foci that belong together: one compartment and near each other, or strung along a vessel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from calcreport.anatomy.arrays import Floats, Ints, Mask
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import Components
from calcreport.calcification.foci import Focus
from calcreport.model.geometry import VolumeGeometry

MAX_FOCUS_POINTS: Final = 3_000  # Voxels of a focus that gaps to its neighbours are taken from; others are left out
VESSEL_WIDTH_MM: Final = 14.0  # A calcified limb artery is no wider than this in cross-section
VESSEL_GAP_MM: Final = 40.0  # Calcified stretches of one vessel lie no farther apart than this along it …
VESSEL_DRIFT: Final = 0.35  # … and drift sideways by no more than this share of the distance (20 degrees) …
VESSEL_WOBBLE_MM: Final = 6.0  # … plus the width of the vessel itself: opposite walls calcify
VESSEL_SCATTER_MM: Final = 4.5  # Foci of a vessel scatter so much at most (root mean square) about a smooth curve
VESSEL_LENGTH_MM: Final = 30.0  # Shorter chains may be chance
VESSEL_FOCI: Final = 5  # Members of a chain without a sure focus; each sure one stands for one more, down to three


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Foci of one lesion."""

    foci: tuple[Focus, ...]
    """Largest first."""
    is_vessel_chain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """Where foci lie."""

    components: Components
    coarse: CoarseVolume
    geometry: VolumeGeometry
    deep: Mask
    """Coarse shape; true beneath the investing fascia. Foci on different sides of it are never joined."""


def group_foci(
    foci: tuple[Focus, ...], weak: tuple[Focus, ...], ground: Ground, *, distance_mm: float
) -> tuple[Group, ...]:
    """Join foci no farther apart than `distance_mm` to lesions; every sure focus comes in exactly one.

    The `weak` ones, near the noise, count only where they line up with sure ones along a vessel.
    """
    everyone = foci + weak
    if not everyone:
        return ()
    near = _near_labels(foci, ground, distance_mm)
    chains = _vessel_labels(everyone, len(foci), ground.components, ground.geometry)
    links: list[tuple[int, int]] = []
    for labels in (near, chains):
        first: dict[int, int] = {}
        links += [(first.setdefault(int(n), i), i) for i, n in enumerate(labels) if n >= 0]
    heads, tails = (np.array([pair[k] for pair in links], dtype=np.int64) for k in (0, 1))
    graph = coo_array((np.ones(heads.size, dtype=np.int8), (heads, tails)), shape=(len(everyone),) * 2)
    _, group_of = connected_components(graph, directed=False)
    groups: list[Group] = []
    chosen = np.concatenate([group_of[: len(foci)], group_of[chains >= 0]])
    for label in dict.fromkeys(chosen.tolist()):
        members = np.flatnonzero(group_of == label)
        kept = sorted((everyone[i] for i in members), key=lambda f: -f.volume_mm3)
        in_chain = [i for i in members if chains[i] >= 0]
        share = sum(everyone[i].volume_mm3 for i in in_chain) / sum(f.volume_mm3 for f in kept)
        groups.append(Group(foci=tuple(kept), is_vessel_chain=share > 0.5))
    return tuple(groups)


def _near_labels(foci: tuple[Focus, ...], ground: Ground, distance_mm: float) -> Ints:
    """Label of each focus; foci on one side of the fascia with a gap of at most `distance_mm` share one."""
    geometry = ground.geometry
    voxels = [ground.components.indices(f.component) for f in foci]
    side = [float(ground.deep[tuple(ground.coarse.of_fine(v).T)].mean()) > 0.5 for v in voxels]
    points = [geometry.lps_mm(v[:: max(1, len(v) // MAX_FOCUS_POINTS)]) for v in voxels]
    trees: dict[int, KDTree] = {}
    # Gaps run from edge to edge, half a pixel inside the outermost centres at either end.
    reach = distance_mm + float(min(geometry.spacing_mm[1:]))
    low, high = np.array([p.min(0) for p in points]), np.array([p.max(0) for p in points])
    joined = np.zeros((len(foci), len(foci)), dtype=np.bool_)
    for i in range(len(foci)):
        gap = np.maximum(np.maximum(low - high[i], low[i] - high), 0.0)
        for j in np.flatnonzero(np.linalg.norm(gap, axis=1) <= reach):
            if j > i and side[i] == side[j]:
                tree = trees.setdefault(i, KDTree(points[i]))
                joined[i, j] = np.isfinite(tree.query(points[j], distance_upper_bound=reach)[0]).any()
    return np.asarray(connected_components(coo_array(joined), directed=False)[1], dtype=np.int64)


def _cross_width(components: Components, component: int, geometry: VolumeGeometry) -> float:
    """Median over the slices of a focus of its longer side within the slice, mm."""
    index = components.indices(component)
    first = np.flatnonzero(np.diff(index[:, 0], prepend=-1))
    sides = [
        (np.maximum.reduceat(index[:, a], first) - np.minimum.reduceat(index[:, a], first) + 1) * geometry.spacing_mm[a]
        for a in (1, 2)
    ]
    return float(np.median(np.maximum(*sides)))


def _scatter_mm(middles_mm: Floats) -> float:
    """Root mean square distance of foci from a parabola along the scan axis through them, mm."""
    along = middles_mm[:, 0] - middles_mm[:, 0].mean()
    # With few members a parabola would pass through anything.
    powers = np.vander(along, 3 if len(along) >= 6 else 2)
    fit, *_ = np.linalg.lstsq(powers, middles_mm[:, 1:], rcond=None)
    return float(np.sqrt(np.mean(np.sum((middles_mm[:, 1:] - powers @ fit) ** 2, axis=1))))


def _vessel_labels(foci: tuple[Focus, ...], sure: int, components: Components, geometry: VolumeGeometry) -> Ints:
    """Label of each focus that strings with others along the scan axis, -1 for the rest."""
    boxes = components.box[[f.component for f in foci]]
    spacing = np.array(geometry.spacing_mm)
    low, high = boxes[:, :, 0] * spacing, boxes[:, :, 1] * spacing
    middle = (low + high) / 2
    width = np.array([_cross_width(components, f.component, geometry) for f in foci])
    slim = width <= VESSEL_WIDTH_MM
    gap = np.maximum(low[:, None, 0] - high[None, :, 0], low[None, :, 0] - high[:, None, 0])
    along = np.abs(middle[:, None, 0] - middle[None, :, 0])
    aside = np.linalg.norm(middle[:, None, 1:] - middle[None, :, 1:], axis=2)
    joined = slim[:, None] & slim[None, :] & (gap <= VESSEL_GAP_MM) & (aside <= VESSEL_WOBBLE_MM + VESSEL_DRIFT * along)
    np.fill_diagonal(joined, val=False)
    _, labels = connected_components(coo_array(joined), directed=False)
    result = np.full(len(foci), -1, dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        length = float(high[members, 0].max() - low[members, 0].min())
        breadth = float((high[members, 1:].max(0) - low[members, 1:].min(0)).max())
        # A long slim focus is a stretch of vessel in itself.
        long = high[members, 0] - low[members, 0] >= np.maximum(VESSEL_WIDTH_MM, 2 * width[members])
        strong = int((members < sure).sum()) + int(long.sum())
        enough = len(members) >= max(2 if long.any() else 3, VESSEL_FOCI - strong)
        is_straight = breadth <= VESSEL_WIDTH_MM + VESSEL_DRIFT * length
        is_single_tube = len(members) == 1 and slim[members[0]] and length >= 3 * VESSEL_WIDTH_MM
        is_curve = _scatter_mm(middle[members]) <= VESSEL_SCATTER_MM
        if is_straight and (is_single_tube or (enough and is_curve and length >= VESSEL_LENGTH_MM)):
            result[members] = label
    return result
