"""Foci that belong together: one compartment and near each other, or strung along a vessel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.components import Components
from calcreport.calcification.foci import Focus
from calcreport.model.geometry import VolumeGeometry

VESSEL_WIDTH_MM: Final = 12.0
"""A calcified limb artery is no wider than this in cross-section."""

VESSEL_GAP_MM: Final = 40.0
"""Calcified stretches of one vessel lie no farther apart than this along it …"""

VESSEL_DRIFT: Final = 0.35
"""… and drift sideways by no more than this share of the distance (20 degrees) …"""

VESSEL_WOBBLE_MM: Final = 6.0
"""… plus the width of the vessel itself: opposite walls calcify."""

VESSEL_LENGTH_MM: Final = 30.0
"""Shorter chains may be chance."""

VESSEL_FOCI: Final = 4
"""A chain with a single sure focus needs this many members in all, one with two sure foci three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Foci of one lesion.

    Parameters
    ----------
    foci : tuple[Focus, ...]
        Largest first.
    is_vessel_chain : bool
        Whether they string along a vessel.
    """

    foci: tuple[Focus, ...]
    is_vessel_chain: bool = False


def group_foci(
    foci: tuple[Focus, ...],
    weak: tuple[Focus, ...],
    components: Components,
    coarse: CoarseVolume,
    geometry: VolumeGeometry,
    *,
    deep: NDArray[np.bool_],
    distance_mm: float,
) -> tuple[Group, ...]:
    """Join foci to lesions.

    Parameters
    ----------
    foci : tuple[Focus, ...]
        Sure foci.
    weak : tuple[Focus, ...]
        Foci near the noise; used only where they line up with sure ones along a vessel.
    components : Components
        Of the volume.
    coarse : CoarseVolume
        Coarse grid.
    geometry : VolumeGeometry
        Of the volume.
    deep : NDArray[np.bool_]
        Coarse shape; true beneath the investing fascia. Foci on different sides of it are never joined.
    distance_mm : float
        Widest gap between foci of one lesion, mm.

    Returns
    -------
    tuple[Group, ...]
        Every sure focus in exactly one group.
    """
    if not foci:
        return ()
    near = _near_labels(foci, components, coarse, deep, distance_mm)
    everyone = foci + weak
    chains = _vessel_labels(everyone, len(foci), components, geometry)
    links: list[tuple[int, int]] = []
    for labels, members in ((near, range(len(foci))), (chains, range(len(everyone)))):
        first: dict[int, int] = {}
        for i in members:
            if labels[i] >= 0:
                links.append((first.setdefault(int(labels[i]), i), i))
    heads, tails = (np.array([pair[k] for pair in links], dtype=np.int64) for k in (0, 1))
    graph = coo_array((np.ones(heads.size, dtype=np.int8), (heads, tails)), shape=(len(everyone),) * 2)
    _, group_of = connected_components(graph, directed=False)
    groups: list[Group] = []
    for label in dict.fromkeys(group_of[: len(foci)].tolist()):
        members = np.flatnonzero(group_of == label)
        kept = sorted((everyone[i] for i in members), key=lambda f: -f.volume_mm3)
        in_chain = [i for i in members if chains[i] >= 0]
        share = sum(everyone[i].volume_mm3 for i in in_chain) / sum(f.volume_mm3 for f in kept)
        groups.append(Group(foci=tuple(kept), is_vessel_chain=share > 0.5))
    return tuple(groups)


def _near_labels(
    foci: tuple[Focus, ...], components: Components, coarse: CoarseVolume, deep: NDArray[np.bool_], distance_mm: float
) -> NDArray[np.int64]:
    """Label of each focus; foci of one side of the fascia within `distance_mm` share one (to the coarse voxel)."""
    spacing = np.array(coarse.spacing_mm)
    blocks = [np.unique(coarse.of_fine(components.indices(f.component)), axis=0) for f in foci]
    side = np.array([float(deep[tuple(b.T)].mean()) > 0.5 for b in blocks])
    labels = np.full(len(foci), -1, dtype=np.int64)
    used = 0
    for wanted in (True, False):
        members = np.flatnonzero(side == wanted)
        if members.size == 0:
            continue
        everything = np.concatenate([blocks[i] for i in members])
        margin = np.ceil(distance_mm / spacing).astype(int)
        low = everything.min(0) - margin
        empty = np.ones(tuple(everything.max(0) + margin + 1 - low), dtype=bool)
        empty[tuple((everything - low).T)] = False
        # Two foci touch after each has grown by half the gap; block centres lie up to one block inside the edges.
        grown = ndimage.distance_transform_edt(empty, sampling=spacing) <= (distance_mm + float(spacing.mean())) / 2
        regions, count = ndimage.label(grown)
        for i in members:
            labels[i] = used + int(regions[tuple(blocks[i][0] - low)])
        used += count + 1
    return labels


def _vessel_labels(
    foci: tuple[Focus, ...], sure: int, components: Components, geometry: VolumeGeometry
) -> NDArray[np.int64]:
    """Label of each focus that strings with others along the scan axis, -1 for the rest."""
    boxes = components.box[[f.component for f in foci]]
    spacing = np.array(geometry.spacing_mm)
    low, high = boxes[:, :, 0] * spacing, boxes[:, :, 1] * spacing
    size = high - low
    middle = (low + high) / 2
    slim = size[:, 1:].max(axis=1) <= VESSEL_WIDTH_MM
    gap = np.maximum(low[:, None, 0] - high[None, :, 0], low[None, :, 0] - high[:, None, 0])
    along = np.abs(middle[:, None, 0] - middle[None, :, 0])
    aside = np.linalg.norm(middle[:, None, 1:] - middle[None, :, 1:], axis=2)
    joined = slim[:, None] & slim[None, :] & (gap <= VESSEL_GAP_MM) & (aside <= VESSEL_WOBBLE_MM + VESSEL_DRIFT * along)
    np.fill_diagonal(joined, val=False)
    _, labels = connected_components(coo_array(joined), directed=False)
    result = np.full(len(foci), -1, dtype=np.int64)
    for label in np.unique(labels[:sure]):
        members = np.flatnonzero(labels == label)
        length = float(high[members, 0].max() - low[members, 0].min())
        breadth = float((high[members, 1:].max(0) - low[members, 1:].min(0)).max())
        strong = int((members < sure).sum())
        enough = len(members) >= (VESSEL_FOCI if strong < 2 else VESSEL_FOCI - 1)
        is_single_tube = len(members) == 1 and length >= VESSEL_LENGTH_MM and breadth <= VESSEL_WIDTH_MM
        if is_single_tube or (enough and length >= VESSEL_LENGTH_MM and breadth <= VESSEL_WIDTH_MM + VESSEL_DRIFT * length):
            result[members] = label
    return result
