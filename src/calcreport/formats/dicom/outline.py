"""Outline of a mask as one closed line, as the standard wants a planar region to be.

The line runs along the outer edges of pixels, so that it encloses exactly the mask and its holes. Separate parts are
joined by lines drawn there and back: they enclose nothing, and a reader sees what was taken together.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

Loop = list[tuple[int, int]]  # Corners of a closed line as (column, row); the last one joins the first

_STEPS: Final = ((1, 0), (0, 1), (-1, 0), (0, -1))  # Right, down, left, up as (column, row): clockwise in an image


def outline(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Outline of all that a mask holds.

    Shape ``(n, 2)``, n >= 5: (column, row) of the corners, first and last the same.

    As in PS3.3 C.18.6.1.2 the corner of the first pixel is (0, 0) and its centre (0.5, 0.5). A ray from a point inside
    crosses the line an odd number of times. Raises `ValueError` when the mask is empty.
    """
    loops = _trace(np.pad(binary_fill_holes(mask), 1))
    if not loops:
        msg = "an empty mask has no outline"
        raise ValueError(msg)
    joined = _join(loops)
    return np.array([*joined, joined[0]], dtype=np.float32)


def _trace(padded: NDArray[np.bool_]) -> list[Loop]:
    """Trace the outer edges of a mask without holes; pixels that touch at a corner are one part.

    `padded`, shape ``(rows + 2, columns + 2)``, has one empty pixel around the mask. Lines are clockwise, without
    corners on straight lines, the longest first.
    """
    leaving = _edges(padded)
    loops = []
    for start in sorted(leaving):
        place, direction, loop = start, next(iter(leaving[start]), 0), Loop()
        while ways := leaving[place]:
            left = (direction - 1) % 4
            # where two parts touch at a corner, turn left, so that they become one line
            turn = left if left in ways else ways[0]
            ways.remove(turn)
            if turn != direction or not loop:
                loop.append((place[1], place[0]))
            direction, place = turn, (place[0] + _STEPS[turn][1], place[1] + _STEPS[turn][0])
        loops += [loop] if loop else []
    return sorted(loops, key=lambda loop: (-len(loop), loop[0]))


def _edges(padded: NDArray[np.bool_]) -> dict[tuple[int, int], list[int]]:
    """Directions in which edges leave each corner (row, column), the mask always to their right."""
    inside = padded[1:-1, 1:-1]
    sides = (  # neighbour across the edge, and where the edge starts from the pixel's first corner
        (0, padded[:-2, 1:-1], (0, 0)),
        (1, padded[1:-1, 2:], (0, 1)),
        (2, padded[2:, 1:-1], (1, 1)),
        (3, padded[1:-1, :-2], (1, 0)),
    )
    leaving: dict[tuple[int, int], list[int]] = {}
    for direction, beyond, (row, column) in sides:
        for i, j in np.argwhere(inside & ~beyond).tolist():
            leaving.setdefault((i + row, j + column), []).append(direction)
    return leaving


def _join(loops: list[Loop]) -> Loop:
    """Join lines into one by the shortest ways between corners that suffice: the minimum spanning tree."""
    if len(loops) == 1:
        return loops[0]
    corners = np.array([corner for loop in loops for corner in loop], dtype=np.int64)
    owner = np.repeat(np.arange(len(loops)), [len(loop) for loop in loops])
    part_of = list(range(len(loops)))  # which of `joined` each line is part of
    joined = dict(enumerate(loops))
    for i, j in _near_pairs(corners, owner):
        one, other = part_of[owner[i]], part_of[owner[j]]
        if one != other:
            into, loop = joined[one], joined.pop(other)
            here, there = into.index(tuple(corners[i].tolist())), loop.index(tuple(corners[j].tolist()))
            # along a line to a corner, from there around the other line, and back
            joined[one] = [*into[: here + 1], *loop[there:], *loop[: there + 1], *into[here:]]
            part_of = [one if part == other else part for part in part_of]
    (whole,) = joined.values()
    return whole


def _near_pairs(corners: NDArray[np.int64], owner: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Pairs of corners of different lines, nearest first: edges of the Delaunay triangulation, which hold the tree."""
    from scipy.spatial import Delaunay  # noqa: PLC0415 - 0.2 s, and needed for foci apart alone

    triangles = Delaunay(corners).simplices
    pairs = np.unique(np.sort(np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (0, 2))])), axis=0)
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    squared = ((corners[pairs[:, 0]] - corners[pairs[:, 1]]) ** 2).sum(axis=1)
    return [(i, j) for i, j in pairs[np.argsort(squared, kind="stable")].tolist()]
