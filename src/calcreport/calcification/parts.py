"""Separate deposits of a lesion and their solid shape: extents, hulls, how much of an outline is filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from calcreport.anatomy.arrays import Floats, Ints, Mask, Spacing
from calcreport.anatomy.labelling import label

SMALLEST_VOXELS: Final = 3  # Smaller parts are left out, unless there are no others
SUBSTANTIAL_SHARE: Final = 0.02  # A deposit counts among the foci from this share of the largest one's volume on
ELONGATED: Final = 1.6  # Ratio of longest to middle extent from which a part has an axis
ALONG_DEGREES: Final = 30.0  # An axis this close to the scan axis runs along it


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Separate deposits."""

    extents_mm: Floats
    """Shape ``(n, 3)``; longest, middle and smallest extent of each."""
    counts: Ints
    """Shape ``(n,)``; voxels of each."""
    along_axis: Floats
    """Shape ``(n,)``; cosine between the long axis of each and the scan axis."""
    bulkiest_hull_mm3: float
    """Volume of the convex hull of the part with most voxels, mm3; 0 where it has none."""

    @property
    def largest(self) -> int:
        """Index of the longest part."""
        return int(self.extents_mm[:, 0].argmax())

    @property
    def substantial(self) -> Mask:
        """Shape ``(n,)``; parts that are no crumbs of the largest one."""
        return np.asarray(self.counts >= max(SMALLEST_VOXELS, SUBSTANTIAL_SHARE * self.counts.max()))

    @property
    def elongations(self) -> Floats:
        """Shape ``(n,)``; longest over middle extent."""
        return np.asarray(self.extents_mm[:, 0] / np.maximum(self.extents_mm[:, 1], 1e-6))

    @property
    def alignment(self) -> float:
        """Share of the elongated parts that run along the scan axis; 0 when none is elongated."""
        elongated = self.elongations > ELONGATED
        return (
            float((self.along_axis[elongated] > np.cos(np.radians(ALONG_DEGREES))).mean()) if elongated.any() else 0.0
        )

    def sphericity(self, voxel_mm3: float, longest_mm: float) -> float:
        """Volume of the longest part over that of the ball on its longest diameter."""
        ball_mm3 = np.pi / 6 * max(longest_mm, 1e-6) ** 3
        return float(min(1.0, self.counts[self.largest] * voxel_mm3 / ball_mm3))

    def smoothness(self, voxel_mm3: float) -> float:
        """Volume of the bulkiest part over that of its convex hull; `voxel_mm3` is a voxel's, mm3."""
        if self.bulkiest_hull_mm3 <= 0:
            return 1.0
        return float(min(1.0, self.counts.max() * voxel_mm3 / self.bulkiest_hull_mm3))


def find_parts(inside: Mask, spacing: Spacing) -> Parts:
    """Separate deposits of a lesion of shape ``(slices, rows, columns)``, at least one voxel."""
    labels, count = label(inside, corners=True)
    counts = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(counts >= SMALLEST_VOXELS) if (counts >= SMALLEST_VOXELS).any() else np.arange(count)
    boxes = ndimage.find_objects(labels)
    bulkiest, hull_mm3 = int(counts.argmax()), 0.0
    extents, along = np.zeros((kept.size, 3)), np.zeros(kept.size)
    for n, i in enumerate(kept):
        part = labels[boxes[i]] == i + 1
        points = np.argwhere(part) * np.array(spacing)
        extents[n] = principal_extents(points, spacing)
        # The farthest pair would do for thin slices; in thick ones it runs from corner to corner.
        along[n] = abs(_principal_axes(points)[0, -1])
        if i == bulkiest:
            hull_mm3 = hull_volume(_corners(part) * np.array(spacing))
    return Parts(extents_mm=extents, counts=counts[kept], along_axis=along, bulkiest_hull_mm3=hull_mm3)


def principal_extents(points_mm: Floats, spacing: Spacing) -> Floats:
    """Extents of voxel centres along their principal axes, longest first, mm; one voxel wide at least."""
    if len(points_mm) < 4:
        return np.sort(np.ptp(points_mm, axis=0) + np.array(spacing))[::-1]
    axes = _principal_axes(points_mm)[:, ::-1]
    projected = (points_mm - points_mm.mean(0)) @ axes
    return np.asarray(np.sort(np.ptp(projected, axis=0) + np.abs(axes).T @ np.array(spacing))[::-1])


def _principal_axes(points_mm: Floats) -> Floats:
    """Axes of points of shape ``(n, 3)`` in columns, the longest last."""
    centred = points_mm - points_mm.mean(0)
    return np.asarray(np.linalg.eigh(centred.T @ centred)[1])


def hull_volume(points_mm: Floats) -> float:
    """Volume of the convex hull of points of shape ``(n, 3)``, or area of ``(n, 2)``; 0 where they span none."""
    try:
        return float(ConvexHull(points_mm).volume)
    except (QhullError, ValueError):
        return 0.0


def row_ends(inside: Mask) -> Floats:
    """First and last voxel of every row, shape ``(n, 3)``, in voxels: no other can be a corner of the hull."""
    rows = np.argwhere(inside.any(axis=2))
    first, last = inside.argmax(axis=2), inside.shape[2] - 1 - inside[:, :, ::-1].argmax(axis=2)
    return np.concatenate([np.column_stack([rows, edge[tuple(rows.T)]]) for edge in (first, last)]).astype(np.float64)


def _corners(part: Mask) -> Floats:
    """Voxel corners that may be corners of the hull, shape ``(n, 3)``, in voxels."""
    ends = row_ends(part)
    half = len(ends) // 2
    ends[:half, 2] -= 0.5
    ends[half:, 2] += 0.5
    return np.concatenate([ends + np.array([a, b, 0.0]) for a in (-0.5, 0.5) for b in (-0.5, 0.5)])


def projected_fill(points_mm: Floats, spacing: Spacing) -> float:
    """Share of the convex outline that voxels fill when projected along the smallest principal axis."""
    if len(points_mm) < 8:
        return 1.0
    flat = (points_mm - points_mm.mean(0)) @ _principal_axes(points_mm)[:, 1:]
    # Cells as wide as the coarsest voxel: finer ones would show the gaps between slices.
    cells = np.floor(flat / max(spacing)).astype(np.int64)
    cells -= cells.min(0)
    filled = np.zeros(cells.max(0) + 1, dtype=bool)
    filled[tuple(cells.T)] = True
    corners = np.argwhere(filled)
    outline = hull_volume(np.concatenate([corners + np.array([a, b]) for a in (0, 1) for b in (0, 1)]))
    return float(min(1.0, len(corners) / outline)) if outline else 1.0
