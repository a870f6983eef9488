"""Surface of a lesion as it was drawn: from the planes it was drawn in, not from the CT voxels it was laid into.

A contour ends somewhere between its last plane and the next one, where nothing was drawn. A full last section carried
half a plane outwards makes the lesion too long from corner to corner; here the end tapers to where the sections above
it, extrapolated, vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BRIDGED_STEPS: Final = 1.5
"""Planes further apart than this many steps do not belong to one end of a lesion."""

MOST_SKIPPED: Final = 5
"""A mask drawn on fewer than every fifth plane is parts of a lesion, and nothing is filled in between."""

CAP_SHARES: Final = (0.25, 0.5, 0.75, 0.9, 1.0)
"""Shares of the height of an end at which its tapering outline is sampled."""

VOXEL_REACH: Final = 0.25
"""A lesion reaches about this share of a voxel beyond the centres of its outermost voxels: less than half, since these
are the ones whose centre lies inside. Measured on balls, ellipsoids and rods; see docs/accuracy.md."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """What was drawn in one plane."""

    position_mm: float
    """Of the plane, along the normal of the planes."""
    outlines_mm: tuple[NDArray[np.float64], ...]
    """Each of shape ``(n, 3)``, LPS mm; at least one."""
    area_mm2: float
    """Of all of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnOutline:
    """Surface of a lesion as drawn."""

    points_mm: NDArray[np.float64]
    """Shape ``(n, 3)``, LPS mm; holds every corner of the convex hull of the surface."""
    ends_mm: NDArray[np.float64]
    """Shape ``(2, 3)``; for either end, from the middle of its last section to where that of the next plane is to be
    expected, LPS mm: a slanted lesion that ends between planes loses more than their distance."""
    steps_mm: NDArray[np.float64]
    """Shape ``(2, 3)``; a row for each axis of the grid within the planes, LPS mm."""


def outline_of_sections(sections: Sequence[Section], steps_mm: NDArray[np.float64]) -> DrawnOutline:
    """Join sections, at least one, by rising position, to a surface with tapered ends.

    `steps_mm`, shape ``(3, 3)``, has a row for each axis of the grid of the drawing (first from plane to plane), LPS
    mm.
    """
    normal = np.cross(steps_mm[1], steps_mm[2])
    normal *= np.sign(normal @ steps_mm[0]) / np.linalg.norm(normal)
    step_mm = float(normal @ steps_mm[0])
    points = [outline for section in sections for outline in section.outlines_mm]
    ends = []
    for ordered, outwards in ((sections, -normal), (sections[::-1], normal)):
        positions = [abs(section.position_mm - ordered[0].position_mm) for section in ordered[:3]]
        height = tip_height(positions, [section.area_mm2 for section in ordered[:3]], step_mm)
        points += [
            tapered(outline, share) + outwards * share * height
            for share in CAP_SHARES
            for outline in ordered[0].outlines_mm
        ]
        ends.append(outwards * step_mm + _drift(ordered, positions, outwards) * step_mm)
    return DrawnOutline(points_mm=np.concatenate(points), ends_mm=np.array(ends), steps_mm=steps_mm[1:])


def _drift(ordered: Sequence[Section], positions: Sequence[float], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift of a section within its plane, for each mm towards the end; none where it is alone.

    A slanted lesion reaches beyond the section before on the side it shifts to; an end that only narrows does not.
    """
    if len(ordered) < 2:
        return np.zeros(3, dtype=np.float64)
    last, before = (_joined(section) for section in ordered[:2])
    shift: NDArray[np.float64] = (last.min(axis=0) + last.max(axis=0) - before.min(axis=0) - before.max(axis=0)) / 2
    shift -= normal * (shift @ normal)
    length = float(np.linalg.norm(shift))
    if length == 0:
        return shift
    along = shift / length
    beyond = float((last @ along).max() - (before @ along).max())
    return np.asarray(along * min(max(beyond, 0.0), length) / positions[1])


def _joined(section: Section) -> NDArray[np.float64]:
    return np.concatenate(section.outlines_mm)


def outline_of_voxels(voxels: NDArray[np.bool_], affine: NDArray[np.float64]) -> DrawnOutline:
    """Surface of a mask, shape ``(n0, n1, n2)`` with at least one true, on the grid it was drawn on.

    `affine`, shape ``(4, 4)``, leads from the voxel-centre index of `voxels` to LPS mm.
    """
    # Ends are hardest to see along the coarsest axis; of equal ones the first is that across the slices.
    every = [drawn_every(voxels, axis) for axis in range(3)]
    across = int(np.round(np.linalg.norm(affine[:3, :3], axis=0) * every, 3).argmax())
    axes = [across, *(axis for axis in range(3) if axis != across)]
    solid, steps_mm = voxels.transpose(axes), affine[:3, axes].T
    normal = np.cross(steps_mm[1], steps_mm[2])
    area_mm2 = float(np.linalg.norm(normal))
    step_mm = abs(float(normal @ steps_mm[0])) / area_mm2
    reach = VOXEL_REACH * np.array([(0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
    sections = []
    for i in np.flatnonzero(solid.any(axis=(1, 2))):
        rows = np.flatnonzero(solid[i].any(axis=1))
        # Between the first and the last voxel of a row there is no corner of the hull.
        first, last = solid[i, rows].argmax(axis=1), solid.shape[2] - 1 - solid[i, rows, ::-1].argmax(axis=1)
        centres = np.column_stack((np.full(2 * rows.size, i), np.tile(rows, 2), np.concatenate((first, last))))
        points_mm = (centres[:, None] + reach).reshape(-1, 3) @ steps_mm + affine[:3, 3]
        area = float(np.count_nonzero(solid[i])) * area_mm2
        sections.append(Section(position_mm=float(i) * step_mm, outlines_mm=(points_mm,), area_mm2=area))
    steps_mm = np.vstack((steps_mm[0] * every[across], steps_mm[1:]))
    return outline_of_sections(sections, steps_mm)


def drawn_every(voxels: NDArray[np.bool_], axis: int) -> int:
    """On every how many planes along an axis a lesion was drawn: 2 where every second one was left out, else 1."""
    planes = np.flatnonzero(voxels.any(axis=tuple(other for other in range(3) if other != axis)))
    # Two planes apart are two parts; of three on, and nowhere two neighbours, planes were skipped.
    every = int(np.diff(planes).min()) if planes.size > 2 else 1
    return every if every <= MOST_SKIPPED else 1


def tip_height(positions: Sequence[float], areas: Sequence[float], step: float) -> float:
    """How far beyond its last section a lesion ends, in the unit of the positions.

    `positions` are distances from the last section to itself and up to two before it, rising from 0; `areas` theirs, in
    any unit; `step` is the usual distance between planes. The end is where the area reaches zero when it goes on as
    between the sections: exact for ellipsoids. Half a step where that lies beyond the next plane, on which nothing was
    drawn: a blunt end may lie anywhere in between.
    """
    gaps = np.diff(positions)
    joined = int(np.argmax(np.append(gaps > BRIDGED_STEPS * step, True)))
    if joined == 0:
        return step / 2
    gap = float(gaps[0])
    slope, bend = float(areas[1] - areas[0]) / gap, 0.0
    if joined > 1:
        outer = slope
        bend = (float(areas[2] - areas[1]) / float(gaps[1]) - outer) / float(gaps[0] + gaps[1])
        slope = outer - bend * gap
    root = slope**2 - 4 * bend * areas[0]
    fall = slope + float(np.sqrt(max(root, 0.0)))
    height = 2 * areas[0] / fall if fall > 0 else np.inf
    return float(height if height <= gap else max(gap / 2, 1.5 * gap - height / 2))


def tapered(outline: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Outline of an end at a share of its height, in the plane of the last section: its area falls evenly to zero."""
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    return np.asarray(middle + (outline - middle) * np.sqrt(max(0.0, 1.0 - share)))
