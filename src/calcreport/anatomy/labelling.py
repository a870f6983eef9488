"""Connected parts of masks, numbered as `scipy.ndimage.label` does, which takes three times as long."""

from __future__ import annotations

from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.arrays import Mask


def label(mask: Mask, *, corners: bool = False) -> tuple[NDArray[np.int32], int]:
    """Number the connected parts of a mask from 1, in the order of their first voxels, and count them.

    The mask has up to three axes. Voxels connect by faces, with `corners` by corners, too.
    """
    # A single section is small. Of a mask one voxel thick cc3d loses parts that touch at corners.
    if mask.ndim != 3 or (corners and 1 in mask.shape):
        numbered, parts = ndimage.label(mask, structure=np.ones((3,) * mask.ndim) if corners else None)
        return numbered.astype(np.int32, copy=False), parts
    whole = np.ascontiguousarray(mask)  # the order of memory would be the order of numbers
    connectivity: Literal[6, 26] = 26 if corners else 6
    labels, count = cc3d.connected_components(whole, connectivity=connectivity, return_N=True, out_dtype=np.uint32)
    return labels.view(np.int32), count


def label_planes(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Number the connected parts of each slice, shape ``(slices, rows, columns)``, through all slices."""
    slices, rows, columns = mask.shape
    apart = np.zeros((slices, rows + 1, columns), dtype=np.bool_)  # one picture, an empty row below each slice
    apart[:, :-1] = mask
    labels, count = label(apart.reshape(1, -1, columns))
    return np.ascontiguousarray(labels.reshape(apart.shape)[:, :-1]), count
