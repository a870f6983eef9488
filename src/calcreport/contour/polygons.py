"""Planar polygons to voxels: exact where a contour was drawn, shape-interpolated where slices were skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.model.drawn import BRIDGED_STEPS, tapered, tip_height

ON_SLICE: Final = 0.05  # a contour plane this close to a slice, in slices, was drawn on it
CONTIGUOUS: Final = 1.05  # planes at most this many slices apart leave no slice without a contour of its own
MAX_BRIDGED_MM: Final = 10.0  # a wider break in otherwise denser contours separates two parts and is left open
_MAX_CROSSINGS: Final = 2_000_000  # crossings worked on at a time: bounds memory however a polygon zigzags


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """Everything drawn in one plane."""

    position: float  # fractional slice index of the plane
    polygons: tuple[NDArray[np.float64], ...]  # each of shape ``(n, 2)``: fractional (row, column), closed implicitly
    is_xor: bool = False  # whether the polygons are combined by exclusive or throughout (``CLOSEDPLANAR_XOR``)


def fill_polygon(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside a polygon, by the even-odd rule.

    `points`, shape ``(n, 2)``, are finite (row, column) in pixels, pixel centres at integers, and may reach outside
    `shape` (rows, columns). A centre exactly on an edge belongs to the side of the larger row and column, so that two
    polygons sharing an edge share no pixel. A keyhole bridge drawn there and back encloses nothing.
    """
    rows, columns = shape
    # Of each edge the end of the smaller row first: an edge walked both ways gives bit-equal crossings.
    following = np.roll(points, -1, axis=0)
    is_descending = (points[:, 0] > following[:, 0])[:, None]
    low, high = np.where(is_descending, following, points), np.where(is_descending, points, following)
    first = np.clip(np.ceil(low[:, 0]), 0, rows).astype(np.int64)
    counts = np.clip(np.ceil(high[:, 0]), 0, rows).astype(np.int64) - first
    toggles = np.zeros(rows * (columns + 1), dtype=np.bool_)
    for part in _batches(counts):
        edge = np.repeat(np.arange(part.start, part.stop), counts[part])
        if edge.size == 0:
            continue
        starts = np.cumsum(counts[part]) - counts[part]
        row = first[edge] + np.arange(edge.size) - np.repeat(starts, counts[part])
        share = (row - low[edge, 0]) / (high[edge, 0] - low[edge, 0])
        crossing = low[edge, 1] + share * (high[edge, 1] - low[edge, 1])
        column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
        toggles ^= (np.bincount(row * (columns + 1) + column, minlength=toggles.size) & 1).astype(np.bool_)
    inside: NDArray[np.bool_] = np.logical_xor.accumulate(toggles.reshape(rows, columns + 1), axis=1)[:, :columns]
    return inside


def fill_plane(plane: Plane, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels inside what was drawn in one plane, shape ``shape``.

    A polygon inside another is a hole, one inside a hole an island; polygons that merely overlap are joined, since
    drawing a place twice does not take it out. A polygon given twice counts once. With ``is_xor`` every polygon is
    combined by exclusive or (PS3.3 C.8.8.6.3).
    """
    filled: NDArray[np.bool_] = np.zeros(shape, dtype=np.bool_)
    seen: set[bytes] = set()
    for points in sorted(plane.polygons, key=_area, reverse=True):
        mask = fill_polygon(points, shape)
        if plane.is_xor:
            filled ^= mask
            continue
        packed = np.packbits(mask).tobytes()
        if packed in seen:
            continue
        seen.add(packed)
        is_nested = not bool((mask & ~filled).any())
        filled = filled ^ mask if is_nested else filled | mask
    return filled


def fill_stack(
    planes: Sequence[Plane], shape: tuple[int, int, int], pixel_mm: tuple[float, float, float]
) -> tuple[NDArray[np.bool_], tuple[int, int, int], int, int]:
    """Voxels inside a stack of planar contours: at least one plane, sorted by position, all different.

    Returns a box of voxels, the index of its first one, how many slices without a contour of their own were filled
    between two contours, and how many breaks were too wide to fill.
    `shape` and `pixel_mm` are along slices, rows, columns. A slice takes the nearest plane within half a slice. Where
    planes are further apart than slices, a slice between two of them is filled by shape interpolation (linear between
    signed distances), and beyond the outermost planes the contour tapers to its end.
    """
    offset, window = _window(planes, shape)
    positions = np.array([plane.position for plane in planes])
    typical = float(np.median(np.diff(positions))) if len(planes) > 1 else 1.0
    reach = max(0.5, typical / 2)
    bridged = max(BRIDGED_STEPS * typical, MAX_BRIDGED_MM / pixel_mm[0])
    # Planes on every slice leave no slice for a tapering end.
    tips = _tip_heights(planes, typical) if typical > CONTIGUOUS else (0.0, 0.0)
    first = max(0, int(np.ceil(positions[0] - max(0.5, tips[0]))))
    last = min(shape[0] - 1, int(np.floor(positions[-1] + max(0.5, tips[1]))))
    voxels = np.zeros((max(0, last - first + 1), *window), dtype=np.bool_)
    moved = [replace(p, polygons=tuple(points - np.array(offset) for points in p.polygons)) for p in planes]
    interpolated = 0
    for i in range(voxels.shape[0]):
        beyond = (float(positions[0] - (first + i)), float(first + i - positions[-1]))
        end = int(beyond[1] > beyond[0])
        if 0.5 < beyond[end] < tips[end]:
            polygons = tuple(tapered(points, beyond[end] / tips[end]) for points in moved[-end].polygons)
            voxels[i] = fill_plane(replace(moved[-end], polygons=polygons), window)
            continue
        source = _source(positions, first + i, reach, bridged)
        if isinstance(source, int):
            voxels[i] = fill_plane(moved[source], window)
        elif source is not None:
            left, right, weight = source
            pair = (fill_plane(moved[left], window), fill_plane(moved[right], window))
            voxels[i] = between(pair, weight, pixel_mm[1:])
            interpolated += 1
    breaks = int(np.count_nonzero(np.diff(positions) > max(bridged, CONTIGUOUS)))
    return voxels, (first, *offset), interpolated, breaks


def _source(
    positions: NDArray[np.float64], i: int, reach: float, bridged: float
) -> int | tuple[int, int, float] | None:
    """Plane for slice ``i``, or the two planes it lies between with the weight of the second, or nothing."""
    distance = i - positions
    # Half-open, so that planes half-way between slices fill as many slices as there are planes.
    nearest = int(np.argmin(np.where(distance > -0.5, np.abs(distance), np.abs(distance) + ON_SLICE)))
    after = int(np.searchsorted(positions, i))
    limit = reach
    if abs(distance[nearest]) > ON_SLICE and 0 < after < len(positions):
        gap = float(positions[after] - positions[after - 1])
        if CONTIGUOUS < gap <= bridged:
            return after - 1, after, float((i - positions[after - 1]) / gap)
        limit = 0.5 if gap <= CONTIGUOUS else reach
    return nearest if -limit < distance[nearest] <= limit else None


def between(
    pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], weight: float, pixel_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """Shape between two planes, linear between signed distances; `weight` is that of the second."""
    from scipy import ndimage  # noqa: PLC0415 - 0.2 s, needed only where slices were skipped

    blended = np.zeros(pair[0].shape)
    for mask, share in zip(pair, (1.0 - weight, weight), strict=True):
        padded = np.pad(mask, 1)
        outside = ndimage.distance_transform_edt(~padded, sampling=pixel_mm) if mask.any() else np.inf
        signed = ndimage.distance_transform_edt(padded, sampling=pixel_mm) - outside
        blended += share * signed[1:-1, 1:-1]
    return np.asarray(blended > 0)


def _tip_heights(planes: Sequence[Plane], typical: float) -> tuple[float, float]:
    """How far the drawn lesion reaches beyond its first and its last plane, in slices."""
    first, last = (
        tip_height([abs(p.position - ends[0].position) for p in ends], list(map(plane_area, ends)), typical)
        for ends in (planes[:3], planes[::-1][:3])
    )
    return first, last


def plane_area(plane: Plane) -> float:
    """Area of what was drawn in a plane, in pixels; holes are not taken off."""
    return sum(_area(points) for points in plane.polygons)


def _batches(counts: NDArray[np.int64]) -> list[slice]:
    ends = np.cumsum(counts)
    total = int(ends[-1]) if counts.size else 0
    cuts = np.searchsorted(ends, np.arange(_MAX_CROSSINGS, total, _MAX_CROSSINGS)) + 1
    borders = [0, *np.unique(cuts).tolist(), counts.size]
    return [slice(a, b) for a, b in pairwise(borders) if b > a]


def _area(points: NDArray[np.float64]) -> float:
    """Area of a polygon in pixels (shoelace formula): holes are smaller than what they are cut out of."""
    row, column = (points - points.mean(axis=0)).T
    return abs(float(row @ np.roll(column, -1) - column @ np.roll(row, -1))) / 2


def _window(planes: Sequence[Plane], shape: tuple[int, int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First (row, column) and (rows, columns) of the part of a slice that the polygons can reach."""
    points = np.concatenate([points for plane in planes for points in plane.polygons])
    first = np.clip(np.ceil(points.min(axis=0)), 0, shape[1:]).astype(np.int64)
    stop = np.clip(np.floor(points.max(axis=0)) + 1, 0, shape[1:]).astype(np.int64)
    size = np.maximum(stop - first, 0)
    return (int(first[0]), int(first[1])), (int(size[0]), int(size[1]))
