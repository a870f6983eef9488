"""Erosion and dilation of masks by shifted views: ten times as fast as general structuring elements.

The results are those of `scipy.ndimage`, which a property test holds them to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.arrays import Ints, Labels, Mask
from calcreport.anatomy.labelling import label_planes
from calcreport.processes.threads import MOST_THREADS, map_in_threads

Element = Literal["cross", "square", "disc"]
"""What a voxel touches: its neighbours along each axis; those at the corners too; or both in turn, which makes the
corners of a box five voxels wide round."""

IN_PLANE: Final = (1, 2)  # Axes of a slice: row and column
ALL_AXES: Final = (0, 1, 2)  # slice, row and column
SHARED_VOXELS: Final = 500_000  # Voxels from which a mask is shared between threads
# elements that are joined one after the other
_PASSES: Final[dict[Element, tuple[Element, ...]]] = {"disc": ("cross", "square")}


def dilate(
    mask: Mask, element: Element, *, axes: tuple[int, ...] = IN_PLANE, steps: int = 1, within: Mask | None = None
) -> Mask:
    """Grow a mask, shape ``(slices, rows, columns)``, so many times; nothing comes in from beyond its border.

    `axes` are those along which a voxel touches anything; of `within`, same shape, only the voxels are added.
    """
    grown = mask.copy()
    for _ in range(steps):
        before = grown
        for shape in _PASSES.get(element, (element,)):
            grown = join_neighbours(grown, shape, axes, np.logical_or)
        if within is not None:
            grown &= within
            grown |= before
    return grown


def erode(
    mask: Mask, element: Element, *, axes: tuple[int, ...] = IN_PLANE, steps: int = 1, beyond: Literal[0, 1] = 0
) -> Mask:
    """Shrink a mask; `beyond` is what is taken to lie beyond its border: 1 leaves what touches it."""
    shrunk = mask.copy()
    for _ in range(steps):
        for shape in _PASSES.get(element, (element,)):
            shrunk = join_neighbours(shrunk, shape, axes, np.logical_and)
            for axis in () if beyond else axes:
                np.moveaxis(shrunk, axis, 0)[[0, -1]] = False
    return shrunk


def open_planes(mask: Mask, element: Element, *, steps: int = 1) -> Mask:
    """Erode and dilate slice by slice; eroding, the mask is taken to go on beyond the side of the picture."""
    return _by_slabs(lambda part: dilate(erode(part, element, steps=steps, beyond=1), element, steps=steps), mask)


def close_planes(mask: Mask, element: Element, *, steps: int = 1) -> Mask:
    """Dilate and erode slice by slice; what lies at the side of the picture is taken to go on just beyond it."""
    rim = steps * len(_PASSES.get(element, (element,)))
    wide = np.pad(mask, ((0, 0), (rim, rim), (rim, rim)), mode="edge")
    closed = _by_slabs(lambda part: erode(dilate(part, element, steps=steps), element, steps=steps), wide)
    return closed[:, rim:-rim, rim:-rim]


def outside_planes(mask: Mask) -> Mask:
    """What is connected, within each slice, to the side of the picture without crossing the mask."""
    return _by_slabs(_outside, mask)


def _by_slabs(work: Callable[[Mask], Mask], mask: Mask) -> Mask:
    """Do what treats each slice on its own to several slabs of a mask at once."""
    if mask.size < SHARED_VOXELS:
        return work(mask)
    return np.concatenate(map_in_threads(work, np.array_split(mask, MOST_THREADS)))


def _outside(mask: Mask) -> Mask:
    labels, count = label_planes(~mask)
    is_open = np.zeros(count + 1, dtype=np.bool_)
    for side in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_open[side] = True
    return chosen(labels, is_open)


def chosen(labels: Labels, is_chosen: Mask) -> Mask:
    """The parts that are chosen, shape of `labels`; `is_chosen` has a value a label, that of 0 does not count."""
    is_chosen[0] = False
    mask: Mask = is_chosen[labels]
    return mask


def enlarged(mask: Mask, steps: Ints) -> Mask:
    """Mask with every voxel so many times as long along each axis."""
    return mask.repeat(steps[0], 0).repeat(steps[1], 1).repeat(steps[2], 2)


def join_neighbours(array: NDArray[Any], shape: Element, axes: tuple[int, ...], join: np.ufunc) -> NDArray[Any]:
    """Join each voxel with its neighbours, of a mask or of numbers; those beyond the border take no part."""
    result = array.copy()
    for axis in axes:
        source = array if shape == "cross" else result.copy()
        upper, lower = [slice(None)] * array.ndim, [slice(None)] * array.ndim
        upper[axis], lower[axis] = slice(1, None), slice(None, -1)
        for to, of in ((tuple(upper), tuple(lower)), (tuple(lower), tuple(upper))):
            join(result[to], source[of], out=result[to])
    return result
