"""Paint a large anatomy quickly: edges from the signed distance instead of sample points.

The background of a trunk has no truth that rests on it, so a voxel at a surface takes the share that its distance to
the surface says. Lesions are painted over it sample by sample, as in `render`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calcphantom.recipe import ScanRecipe
from calcphantom.render import AIR_HU
from calcphantom.scene import Paint
from calcphantom.shapes import Floats, Shape
from calcreport.model.geometry import VolumeGeometry

FINEST_PLANES_MM: Final = 1.25
"""Thick slices are averaged from planes no farther apart than this, mm."""
BLOCK: Final = (4, 6, 6)
"""Planes, rows and columns that are skipped or filled at once when a surface is far."""
SMALL_VOXELS: Final = 40_000
"""Solids in a smaller box are painted without blocks."""
BLOCKS_AT_ONCE: Final = 4096

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """Planes on which solids are painted one over the other.

    Parameters
    ----------
    hu : NDArray[np.float32]
        Shape ``(planes, rows, columns)``; HU.
    scratch : NDArray[np.float32]
        Same shape, infinite between two paints; distance to the nearest part of a solid that has parts, mm.
    x, y : NDArray[Any]
        Shape ``(columns,)`` and ``(rows,)``; LPS mm, in single precision: it is enough, and faster.
    z : NDArray[Any]
        Shape ``(planes, rows)``; LPS mm: rows differ under a tilted gantry.
    width_mm : float
        Width over which an edge is smeared, mm.
    """

    hu: NDArray[np.float32]
    scratch: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    z: NDArray[Any]
    width_mm: float

    def paint(self, paint: Paint) -> None:
        """Paint one solid over what is there."""
        shape = paint.shape
        boxes = [(part, self._box(part)) for part in shape.parts or (shape,)]
        touched = [(part, box) for part, box in boxes if _volume(box) > 0]
        if not shape.parts:
            for part, box in touched:
                self._paint_solid(part, box, paint.hu)
            return
        for part, box in touched:  # the scratch is infinite wherever no solid is being painted
            np.minimum(self.scratch[box], self._distance(part, box), out=self.scratch[box], casting="unsafe")
        for _, box in touched:
            self._mix(box, self.scratch[box], paint.hu)
            self.scratch[box] = np.float32(np.inf)

    def _box(self, shape: Shape) -> Box:
        """Planes, rows and columns that a solid may touch."""
        low, high = shape.box[0] - self.width_mm, shape.box[1] + self.width_mm
        columns = slice(int(np.searchsorted(self.x, low[0])), int(np.searchsorted(self.x, high[0], side="right")))
        rows = slice(int(np.searchsorted(self.y, low[1])), int(np.searchsorted(self.y, high[1], side="right")))
        first = int(np.searchsorted(self.z.max(axis=1), low[2]))
        last = int(np.searchsorted(self.z.min(axis=1), high[2], side="right"))
        return (slice(first, last), rows, columns)

    def _distance(self, shape: Shape, box: Box) -> Floats:
        z = self.z[box[0], box[1] if self.z.shape[1] > 1 else slice(None)]
        return shape.distance(self.x[None, None, box[2]], self.y[None, box[1], None], z[:, :, None])

    def _mix(self, box: Box, distance: Floats, hu: float) -> None:
        share = np.clip(0.5 - distance / self.width_mm, 0.0, 1.0).astype(np.float32)
        target = self.hu[box]
        target += share * (np.float32(hu) - target)

    def _paint_solid(self, shape: Shape, box: Box, hu: float) -> None:
        if _volume(box) < SMALL_VOXELS:
            self._mix(box, self._distance(shape, box), hu)
            return
        middles = [np.arange(s.start, s.stop, n) for s, n in zip(box, BLOCK, strict=True)]
        k, i, j = (np.minimum(m + n // 2, s.stop - 1) for m, n, s in zip(middles, BLOCK, box, strict=True))
        z = self.z[k][:, i if self.z.shape[1] > 1 else slice(None)]
        coarse = np.broadcast_to(
            shape.distance(self.x[None, None, j], self.y[None, i, None], z[:, :, None]), (len(k), len(i), len(j))
        )
        step = (abs(float(self.z[-1, 0] - self.z[0, 0])) / max(1, len(self.z) - 1), self.y[1] - self.y[0])
        reach = float(np.linalg.norm([step[0] * BLOCK[0] * 0.5, step[1] * 4.3, step[1] * 4.3])) + self.width_mm
        self._fill(box, coarse < -reach, hu)
        near = np.argwhere(np.abs(coarse) <= reach)
        starts = np.stack([m[near[:, n]] for n, m in enumerate(middles)], axis=1)
        for first in range(0, len(starts), BLOCKS_AT_ONCE):
            self._mix_blocks(shape, starts[first : first + BLOCKS_AT_ONCE], box, hu)

    def _fill(self, box: Box, whole: NDArray[np.bool_], hu: float) -> None:
        """Fill every block that lies wholly inside."""
        rows, columns = (s.stop - s.start for s in box[1:])
        for n, layer in enumerate(whole):
            if layer.any():
                mask = layer.repeat(BLOCK[1], axis=0)[:rows].repeat(BLOCK[2], axis=1)[:, :columns]
                first = box[0].start + n * BLOCK[0]
                part = self.hu[first : min(first + BLOCK[0], box[0].stop), box[1], box[2]]
                np.copyto(part, np.float32(hu), where=mask)

    def _mix_blocks(self, shape: Shape, starts: NDArray[np.int64], box: Box, hu: float) -> None:
        k, i, j = (
            np.minimum(starts[:, n, None] + np.arange(BLOCK[n]), box[n].stop - 1) for n in range(3)
        )  # a block that overhangs repeats its last voxels, which get the same value again
        z = self.z[k[:, :, None], i[:, None, :] if self.z.shape[1] > 1 else 0]
        distance = shape.distance(self.x[j][:, None, None, :], self.y[i][:, None, :, None], z[:, :, :, None])
        share = np.clip(0.5 - distance / self.width_mm, 0.0, 1.0).astype(np.float32)
        where = (k[:, :, None, None], i[:, None, :, None], j[:, None, None, :])
        before = self.hu[where]
        self.hu[where] = before + share * (np.float32(hu) - before)


def _volume(box: Box) -> int:
    sides = [s.stop - s.start for s in box]
    return int(np.prod(sides)) if min(sides) > 0 else 0


def painted_background(paints: tuple[Paint, ...], geometry: VolumeGeometry, scan: ScanRecipe) -> NDArray[np.float32]:
    """Paint everything and average the planes to slices.

    Parameters
    ----------
    paints : tuple[Paint, ...]
        In the order of painting, LPS mm.
    geometry : VolumeGeometry
        Grid of voxel centres: axial, or sheared by a gantry tilt.
    scan : ScanRecipe
        Slice spacing and thickness.

    Returns
    -------
    NDArray[np.float32]
        Shape of the geometry; HU without blur and noise.
    """
    per_slice = max(1, int(np.ceil(scan.spacing_mm / FINEST_PLANES_MM)))
    step = scan.spacing_mm / per_slice
    beyond = int(np.ceil(scan.slice_thickness_mm / 2 / step))
    slices, rows, columns = geometry.shape
    count = (slices - 1) * per_slice + 1 + 2 * beyond
    corner, row, column = geometry.affine[:3, 3], geometry.affine[:3, 1], geometry.affine[:3, 2]
    height = corner[2] + (np.arange(count) - beyond) * step
    lean = row[2] * np.arange(rows) if abs(row[2]) > 1e-6 else np.zeros(1)
    canvas = Canvas(
        hu=np.full((count, rows, columns), AIR_HU, dtype=np.float32),
        scratch=np.full((count, rows, columns), np.inf, dtype=np.float32),
        x=(corner[0] + column[0] * np.arange(columns)).astype(np.float32),
        y=(corner[1] + row[1] * np.arange(rows)).astype(np.float32),
        z=(height[:, None] + lean[None, :]).astype(np.float32),
        width_mm=float((scan.pixel_mm + min(step, scan.slice_thickness_mm)) / 2),
    )
    for paint in paints:
        canvas.paint(paint)
    weights = np.clip(scan.slice_thickness_mm / 2 / step + 0.5 - np.abs(np.arange(-beyond, beyond + 1)), 0.0, 1.0)
    if (weights > 0).sum() == 1:
        return canvas.hu[beyond : beyond + slices * per_slice : per_slice]
    out = np.zeros(geometry.shape, dtype=np.float32)
    for n, weight in enumerate(weights / weights.sum()):
        if weight > 0:
            out += np.float32(weight) * canvas.hu[n : n + (slices - 1) * per_slice + 1 : per_slice]
    return out
