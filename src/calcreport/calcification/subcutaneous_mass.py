"""Soft-tissue lumps in the fat that the coarse muscle envelope has taken in: told by the plane of fat beneath them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.cavities import FAT_HU
from calcreport.anatomy.coarse import CoarseVolume
from calcreport.anatomy.fascia import Envelope
from calcreport.anatomy.morphology import open_planes
from calcreport.model.image import CtVolume

MARGIN_MM: Final = 15.0
"""How far around a deposit its lump is looked at."""

SMOOTH_MM: Final = 24.0
"""The fascia of a limb or trunk bends with at least this radius; a lump on it bends more."""

MIN_SHARE: Final = 0.12
"""Deposits with less of their volume in the envelope are superficial already."""

MIN_OUTSIDE: Final = 0.8
"""A lump's deposit lies in the bulge, not in the smooth envelope."""

MAX_LOSS: Final = 0.4
"""Where smoothing takes more than this of the envelope, the part is too slim for the question."""

MAX_WITHIN: Final = 0.35
"""A lump parted from the muscles lies beyond the smooth envelope by most of its volume."""

NECK_MM: Final = 2.0
"""Strands, vessels and skin that tie a lump to its surroundings are at most twice this thick."""

NOISE_WINDOW_MM: Final = 2.0
"""The noise is averaged over this width; planes of fat are about as thick."""

LARGEST: Final = 60
"""Deposits looked at, largest first: many specks are not lumps."""


def without_lumps(
    envelope: Envelope, volume: CtVolume, coarse: CoarseVolume, deposits: Iterable[NDArray[np.int64]]
) -> Envelope:
    """Take lumps in the subcutaneous fat out of the muscle envelope.

    A lump of muscle's density close to the fascia joins the muscles in blocks of 3 mm. It is taken out where it bulges
    from the smooth course of the envelope and, voxel by voxel, fat parts it from the muscles.

    `envelope`: as found on the coarse grid; `volume` and `coarse`: HU, and its coarse grid; `deposits`: voxel indices
    of the mineral, each of shape ``(n, 3)``.
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


def _lump_around(
    volume: CtVolume, coarse: CoarseVolume, voxels: NDArray[np.int64], smooth: NDArray[np.bool_], first: int
) -> NDArray[np.int64] | None:
    """Coarse blocks of the soft tissue around a deposit, shape ``(n, 3)``; ``None`` where it goes on into the muscles.

    `smooth` is the smooth envelope of the coarse planes from `first` on.
    """
    spacing = np.array(volume.geometry.spacing_mm)
    margin = np.ceil(MARGIN_MM / spacing).astype(int)
    low = np.maximum(voxels.min(0) - margin, 0)
    high = np.minimum(voxels.max(0) + 1 + margin, np.array(volume.hu.shape))
    # The smooth envelope is known in the deposit's own slices.
    low[0], high[0] = voxels[:, 0].min(), voxels[:, 0].max() + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    width = [1, *(max(1, round(NOISE_WINDOW_MM / s)) for s in spacing[1:])]
    soft = ndimage.uniform_filter(volume.hu[box].astype(np.float32), size=width, mode="nearest") > FAT_HU
    own = np.zeros(soft.shape, dtype=np.bool_)
    own[tuple((voxels - low).T)] = True
    soft |= own
    inside = np.stack([ndimage.distance_transform_edt(np.pad(p, 1), sampling=spacing[1:])[1:-1, 1:-1] for p in soft])
    cores, _ = ndimage.label(inside > NECK_MM)
    held = np.bincount(cores[own & (cores > 0)])
    if held.size < 2:
        return None
    core = cores == int(held.argmax())
    index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1)
    block = coarse.of_fine(index)
    plane = np.clip(block[..., 0] - first, 0, len(smooth) - 1)
    if smooth[plane, block[..., 1], block[..., 2]][core].mean() > MAX_WITHIN:
        return None
    grown = np.stack([ndimage.distance_transform_edt(~p, sampling=spacing[1:]) <= NECK_MM for p in core]) & soft
    return np.unique(block[grown | own], axis=0)
