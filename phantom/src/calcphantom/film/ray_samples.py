"""What solids change along rays: surfaces found where the distance changes its sign between two samples of a ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcphantom.film.beam import Beam
from calcphantom.film.path_lengths import Box, Map
from calcphantom.scene import Paint
from calcphantom.shapes import Floats, Shape

_BLOCK: Final = 4
"""Samples a side of the blocks that are sorted into inside, outside and surface before every sample is looked at."""
_WORTH_BLOCKS: Final = 20000
_UNLIMITED_MM: Final = 1000.0


def detector_box(beam: Beam, box_mm: Floats, *, margin: int = 2) -> Box | None:
    """Slices of the detector that the shadow of a box (shape ``(2, 3)``, LPS mm) falls on; ``None`` for none."""
    corners = np.array([[box_mm[i, 0], box_mm[j, 1], box_mm[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    places = beam.project(corners)
    low = np.maximum(np.floor(places.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(places.max(axis=0)).astype(int) + margin + 1, beam.shape)
    if (high <= low).any():
        return None
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def depth_range(beam: Beam, box_mm: Floats) -> tuple[float, float]:
    """Nearest and farthest depth of a box (shape ``(2, 3)``, LPS mm) along the central ray, mm from the source."""
    ends = (box_mm - beam.source_mm) * beam.forward
    depths = ends.sum(axis=1)
    return float(depths.min()), float(depths.max())


Base = Callable[[Floats, Floats, Floats], Floats]
"""Attenuation (1/mm) of what was there before, at points in LPS mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RayGrid:
    """Samples along a bundle of rays.

    Parameters
    ----------
    beam : Beam
        Geometry.
    rows, columns : NDArray[np.float64]
        Pixels whose rays are followed.
    depths_mm : NDArray[np.float64]
        Depth of the samples along the central ray, mm from the source, evenly spaced.
    """

    beam: Beam
    rows: Floats
    columns: Floats
    depths_mm: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of segments a ray, of rows, of columns."""
        return len(self.depths_mm) - 1, len(self.rows), len(self.columns)

    def segment_mm(self) -> Floats:
        """Length of a segment of each ray, shape ``(rows, columns)``, mm."""
        b, a = self.beam.slopes(self.rows, self.columns)
        step = float(self.depths_mm[1] - self.depths_mm[0])
        return np.asarray(np.sqrt(1 + b[:, None] ** 2 + a[None, :] ** 2) * step)

    def points(self, depth_mm: Floats, rows: Floats, columns: Floats) -> tuple[Floats, Floats, Floats]:
        """Positions (x, y, z in LPS mm) at depths (mm) on the rays of pixels; the arguments broadcast."""
        b, a = self.beam.slopes(rows, columns)
        source, way, along_rows, along_columns = (
            self.beam.source_mm, self.beam.forward, self.beam.along_rows, self.beam.along_columns,
        )  # fmt: skip
        x, y, z = (source[n] + depth_mm * (way[n] + b * along_rows[n] + a * along_columns[n]) for n in range(3))
        return x, y, z

    def window(self, shape: Shape) -> tuple[slice, slice, slice] | None:
        """Segments, rows and columns that a solid's box reaches; ``None`` for none."""
        if np.abs(shape.box).max() > _UNLIMITED_MM:
            k, i, j = (slice(0, n) for n in self.shape)
            return k, i, j
        near, far = depth_range(self.beam, shape.box)
        first = max(0, int(np.searchsorted(self.depths_mm, near)) - 1)
        last = min(self.shape[0], int(np.searchsorted(self.depths_mm, far)) + 1)
        shadow = detector_box(self.beam, shape.box, margin=1)
        if shadow is None or last <= first:
            return None
        i, j = (
            slice(max(0, int(np.searchsorted(places, part.start)) - 1), int(np.searchsorted(places, part.stop)) + 1)
            for places, part in ((self.rows, shadow[0]), (self.columns, shadow[1]))
        )
        return slice(first, last), i, j

    def inside_share(self, shape: Shape, part: tuple[slice, slice, slice]) -> Map:
        """Share of each segment of a part that lies inside a solid."""
        k, i, j = part
        grid = RayGrid(
            beam=self.beam,
            rows=self.rows[i],
            columns=self.columns[j],
            depths_mm=self.depths_mm[k.start : k.stop + 1],
        )
        distance = grid.distances(shape)
        near, far = distance[:-1], distance[1:]
        low, high = np.minimum(near, far), np.maximum(near, far)
        crossing = np.clip(-low / np.maximum(high - low, 1e-9), 0.0, 1.0)
        return np.where(high <= 0, 1.0, np.where(low >= 0, 0.0, crossing)).astype(np.float32)

    def distances(self, shape: Shape) -> Map:
        """Signed distance of every sample to a solid; far from its surface only the sign is right."""
        counts = (len(self.depths_mm), len(self.rows), len(self.columns))
        places = np.ix_(self.depths_mm, self.rows, self.columns)
        if np.prod(counts) < _WORTH_BLOCKS or min(counts) < 2:
            return shape.distance(*np.broadcast_arrays(*self.points(*places))).astype(np.float32)
        nodes = [np.unique(np.append(np.arange(0, n, _BLOCK), n - 1)) for n in counts]
        coarse_places = np.ix_(self.depths_mm[nodes[0]], self.rows[nodes[1]], self.columns[nodes[2]])
        coarse = shape.distance(*np.broadcast_arrays(*self.points(*coarse_places)))
        holds_surface = _blocks_near_surface(np.abs(coarse) <= self._half_block_mm())
        lower, is_near = coarse, holds_surface
        for axis, n in enumerate(counts):
            block = np.minimum(np.arange(n) // _BLOCK, holds_surface.shape[axis] - 1)
            before = np.maximum((np.arange(n) - 1) // _BLOCK, 0)
            lower = lower.take(block, axis=axis)
            is_near = is_near.take(block, axis=axis) | is_near.take(before, axis=axis)
        out: Map = lower.astype(np.float32)
        k, i, j = np.nonzero(is_near)
        if len(k):
            out[k, i, j] = shape.distance(*self.points(self.depths_mm[k], self.rows[i], self.columns[j]))
        return out

    def _half_block_mm(self) -> float:
        step = self.depths_mm[1] - self.depths_mm[0]
        across = max(float(np.diff(v).max(initial=0.0)) for v in (self.rows, self.columns)) * self.beam.pixel_mm
        return 0.5 * _BLOCK * float(np.sqrt(1.1 * step**2 + 2 * across**2))


def _blocks_near_surface(is_near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Blocks of which a corner is near the surface, from the corners; one less along every axis."""
    for axis in range(3):
        n = is_near.shape[axis]
        is_near = is_near.take(range(n - 1), axis=axis) | is_near.take(range(1, n), axis=axis)
    return is_near


def painted_along_rays(
    grid: RayGrid, paints: tuple[Paint, ...], attenuation: Callable[[float], float], base: Base
) -> tuple[Map, Map]:
    """What solids painted over a base change along every ray.

    Parameters
    ----------
    grid : RayGrid
        Rays and their samples.
    paints : tuple[Paint, ...]
        In the order of painting, LPS mm.
    attenuation : Callable
        Maps HU to 1/mm.
    base : Callable
        What was there before.

    Returns
    -------
    tuple[NDArray[np.float32], NDArray[np.float32]]
        Shape ``(rows, columns)``: change of the line integral (no unit), and mm of lesion mineral on the ray.
    """
    change, mineral, filled = (np.zeros(grid.shape, dtype=np.float32) for _ in range(3))
    for paint in paints:
        part = grid.window(paint.shape)
        if part is None:
            continue
        share = grid.inside_share(paint.shape, part)
        # What shares a segment mostly shares a surface too (a rim and its core, a gap and the shell it is in): the new
        # solid takes the place of the old one first, and of the surroundings only where it reaches farther.
        before = filled[part]
        keep = np.maximum(before - share, 0) / np.maximum(before, np.float32(1e-6))
        for total, value in ((change, attenuation(paint.hu)), (filled, 1.0), (mineral, float(paint.is_mineral))):
            total[part] = total[part] * keep + share * np.float32(value)
    k, i, j = np.nonzero(filled)
    if len(k):
        middle = (grid.depths_mm[k] + grid.depths_mm[k + 1]) / 2
        points = grid.points(middle, grid.rows[i], grid.columns[j])
        change[k, i, j] -= (filled[k, i, j] * base(*points)).astype(np.float32)
    length = grid.segment_mm()
    return (change.sum(axis=0) * length).astype(np.float32), (mineral.sum(axis=0) * length).astype(np.float32)


def sample_places(part: slice, step: int) -> Floats:
    """Pixels from the start of a slice, `step` apart, to its end or beyond."""
    return np.arange(part.start, part.stop - 1 + step, step, dtype=np.float64)
