"""Pixels of a segmentation: masks laid on whole slices, packed bit by bit, and whether they overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from calcreport.model.film import PixelMask
from calcreport.model.lesion import VoxelMask


def pack_frames(planes: Iterable[NDArray[np.bool_]]) -> bytes:
    """Pack frames of one shape ``(rows, columns)``, one bit a pixel, without a gap, to even length (PS3.5 8.1.1).

    They are taken eight at a time, for eight frames end with a whole byte whatever their size.
    """
    packed = []
    rest = iter(planes)
    while batch := list(islice(rest, 8)):
        packed.append(np.packbits(np.stack(batch), bitorder="little").tobytes())
    content = b"".join(packed)
    return content + b"\0" * (len(content) % 2)


def overlap(masks: Sequence[VoxelMask | PixelMask]) -> bool:
    """Whether any two masks share a cell."""
    return any(_share(one, other) for one, other in combinations(masks, 2))


def _share(one: VoxelMask | PixelMask, other: VoxelMask | PixelMask) -> bool:
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.box, other.box, strict=True)]
    if any(part.start >= part.stop for part in common):
        return False
    cut = [
        (mask.voxels if isinstance(mask, VoxelMask) else mask.pixels)[
            tuple(slice(part.start - o, part.stop - o) for part, o in zip(common, mask.offset, strict=True))
        ]
        for mask in (one, other)
    ]
    return bool((cut[0] & cut[1]).any())
