"""Analytic solids: signed distance functions in mm, with points on their surface for exact truth.

Every solid lives in patient LPS mm (or, before it is placed, in its own frame). ``distance`` is negative inside and
its absolute value never exceeds the true distance to the surface, so a voxel farther away than its own half diagonal
is certainly inside or outside: only the others need supersampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Distance = Callable[[Floats, Floats, Floats], Floats]

SURFACE_STEP_MM: Final = 0.35
"""Spacing of surface points; the chord error on a 5 mm ball is 0.003 mm."""

_GOLDEN: Final = np.pi * (3.0 - np.sqrt(5.0))
_EVERYWHERE: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """A solid.

    Parameters
    ----------
    distance : Callable
        Maps x, y, z (mm, equal shapes) to the signed distance in mm, negative inside, never an overestimate.
    box : NDArray[np.float64]
        Shape ``(2, 3)``; lowest and highest corner of a box that holds the solid, mm.
    points : NDArray[np.float64]
        Shape ``(n, 3)``; points on the outer surface, mm; empty for solids whose size is never asked for.
    z_slope : float
        Bound on how fast the distance changes along z, mm per mm; below 1 for tubes along z.
    parts : tuple[Shape, ...]
        Solids with small boxes that it is the union of, so that a large thin thing is painted piece by piece.
    """

    distance: Distance
    box: Floats
    points: Floats
    z_slope: float = 1.0
    parts: tuple[Shape, ...] = ()


def no_points() -> Floats:
    """Empty array of points, shape ``(0, 3)``, mm."""
    return np.empty((0, 3), dtype=np.float64)


def everywhere() -> Floats:
    """Box without limits, shape ``(2, 3)``, mm."""
    return np.array([[-_EVERYWHERE] * 3, [_EVERYWHERE] * 3], dtype=np.float64)


def directions(count: int) -> Floats:
    """Return unit vectors spread evenly over the sphere, shape ``(count, 3)``, no unit."""
    index = np.arange(count) + 0.5
    polar = np.arccos(1.0 - 2.0 * index / count)
    azimuth = _GOLDEN * index
    return np.column_stack((np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)))


def _count(radius_mm: float) -> int:
    return int(np.clip(4 * np.pi * radius_mm**2 / SURFACE_STEP_MM**2, 200, 12000))


def ellipsoid(radii_mm: tuple[float, float, float], centre_mm: tuple[float, float, float] = (0, 0, 0)) -> Shape:
    """Ellipsoid with half axes along x, y, z in mm."""
    a, b, c = radii_mm
    u, v, w = centre_mm
    smallest = min(radii_mm)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        scaled = np.sqrt(((x - u) / a) ** 2 + ((y - v) / b) ** 2 + ((z - w) / c) ** 2)
        return np.asarray((scaled - 1.0) * smallest)

    centre, radii = np.asarray(centre_mm, dtype=np.float64), np.asarray(radii_mm, dtype=np.float64)
    box = np.array([centre - radii, centre + radii])
    return Shape(distance=distance, box=box, points=centre + directions(_count(max(radii_mm))) * radii)


def ball(radius_mm: float, centre_mm: tuple[float, float, float] = (0, 0, 0)) -> Shape:
    """Ball of a radius in mm."""
    return ellipsoid((radius_mm, radius_mm, radius_mm), centre_mm)


def capsule(start_mm: Floats, end_mm: Floats, radius_mm: float) -> Shape:
    """Rod with round ends: all points within `radius_mm` of the line from start to end, shape ``(3,)``, mm."""
    start, end = np.asarray(start_mm, dtype=np.float64), np.asarray(end_mm, dtype=np.float64)
    along = end - start
    length_squared = max(float(along @ along), 1e-12)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        dx, dy, dz = x - start[0], y - start[1], z - start[2]
        t = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / length_squared, 0.0, 1.0)
        return np.asarray(
            np.sqrt((dx - t * along[0]) ** 2 + (dy - t * along[1]) ** 2 + (dz - t * along[2]) ** 2) - radius_mm
        )

    steps = max(2, int(np.sqrt(length_squared) / max(SURFACE_STEP_MM, radius_mm / 4)))
    ball_points = directions(max(60, _count(radius_mm) // 2)) * radius_mm
    axis = start + np.linspace(0, 1, steps)[:, None] * along
    along_axis = (axis[:, None, :] + ball_points[None, :: max(1, steps // 4), :]).reshape(-1, 3)
    points = np.concatenate((start + ball_points, end + ball_points, along_axis))
    points = points[np.abs(distance(*points.T)) < SURFACE_STEP_MM / 10]
    low, high = np.minimum(start, end) - radius_mm, np.maximum(start, end) + radius_mm
    return Shape(distance=distance, box=np.array([low, high]), points=points)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bumps:
    """Smooth random relief on the unit sphere: a sum of cosines, at most `height` in absolute value.

    Parameters
    ----------
    waves : NDArray[np.float64]
        Shape ``(n, 3)``; wave vectors, radians per unit.
    phases : NDArray[np.float64]
        Shape ``(n,)``; radians.
    height : float
        Largest relief as a fraction of the radius.
    """

    waves: Floats
    phases: Floats
    height: float

    def __call__(self, unit: Floats) -> Floats:
        """Relief at unit vectors, shape ``(..., 3)`` to ``(...)``; fraction of the radius."""
        return np.asarray(np.cos(unit @ self.waves.T + self.phases).sum(axis=-1) * (self.height / len(self.phases)))

    @property
    def steepness(self) -> float:
        """Bound on the change of relief per radian."""
        return float(np.linalg.norm(self.waves, axis=1).sum()) * self.height / len(self.phases)


def random_bumps(rng: np.random.Generator, *, height: float, frequency: float, count: int = 5) -> Bumps:
    """Draw a relief of `count` waves of about `frequency` periods around the sphere."""
    unit = rng.normal(size=(count, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return Bumps(
        waves=unit * frequency * rng.uniform(0.6, 1.3, size=(count, 1)),
        phases=rng.uniform(0, 2 * np.pi, size=count),
        height=height,
    )


def lump(
    radii_mm: tuple[float, float, float], bumps: Bumps, centre_mm: tuple[float, float, float] = (0, 0, 0)
) -> Shape:
    """Ellipsoid with a bumpy surface; half axes in mm before the relief."""
    radii, centre = np.asarray(radii_mm, dtype=np.float64), np.asarray(centre_mm, dtype=np.float64)
    reach = 1.0 + bumps.height
    slack = float(np.hypot(1.0, bumps.steepness)) / float(radii.min())

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        axes = ((x - centre[0]) / radii[0], (y - centre[1]) / radii[1], (z - centre[2]) / radii[2])
        p = np.stack(np.broadcast_arrays(*axes), axis=-1)
        r = np.linalg.norm(p, axis=-1)
        unit = p / np.maximum(r, 1e-9)[..., None]
        return np.asarray((r - 1.0 - bumps(unit)) / slack)

    unit = directions(_count(float(radii.max())))
    points = centre + unit * (1.0 + bumps(unit))[:, None] * radii
    return Shape(distance=distance, box=np.array([centre - radii * reach, centre + radii * reach]), points=points)


def shrunk(shape: Shape, by_mm: float) -> Shape:
    """Return the points of a solid deeper than `by_mm`: the inside of a shell about `by_mm` thick."""
    return Shape(
        distance=lambda x, y, z: shape.distance(x, y, z) + by_mm,
        box=shape.box,
        points=no_points(),
        z_slope=shape.z_slope,
        parts=tuple(shrunk(part, by_mm) for part in shape.parts),
    )


def intersection(*parts: Shape) -> Shape:
    """Points in all solids."""

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(reduce(np.maximum, [part.distance(x, y, z) for part in parts]))

    kept = [
        part.points[np.all([o.distance(*part.points.T) <= 1e-6 for o in parts if o is not part], axis=0)]
        for part in parts
        if len(part.points)
    ]
    box = np.array([np.max([p.box[0] for p in parts], axis=0), np.min([p.box[1] for p in parts], axis=0)])
    return Shape(
        distance=distance,
        box=box,
        points=np.concatenate(kept) if kept else no_points(),
        z_slope=max(part.z_slope for part in parts),
    )


def outside(shape: Shape) -> Shape:
    """Everything but the solid; has no points of its own."""
    return Shape(
        distance=lambda x, y, z: -shape.distance(x, y, z), box=everywhere(), points=no_points(), z_slope=shape.z_slope
    )


def half_space(normal: Floats, offset_mm: float) -> Shape:
    """Points with ``p . normal <= offset_mm``; `normal` is a unit vector, shape ``(3,)``, no unit."""
    n = np.asarray(normal, dtype=np.float64)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(x * n[0] + y * n[1] + z * n[2] - offset_mm)

    return Shape(distance=distance, box=everywhere(), points=no_points(), z_slope=abs(float(n[2])))


def union(*parts: Shape) -> Shape:
    """Points in any solid; surface points that lie inside another part are kept (they change no size)."""

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(reduce(np.minimum, [part.distance(x, y, z) for part in parts]))

    box = np.array([np.min([p.box[0] for p in parts], axis=0), np.max([p.box[1] for p in parts], axis=0)])
    return Shape(distance=distance, box=box, points=np.concatenate([p.points for p in parts]))


def moved(shape: Shape, rotation: Floats, shift_mm: Floats) -> Shape:
    """Rotate about the origin, then shift.

    Parameters
    ----------
    shape : Shape
        Solid in its own frame.
    rotation : NDArray[np.float64]
        Shape ``(3, 3)``; orthonormal, acts on column vectors, no unit.
    shift_mm : NDArray[np.float64]
        Shape ``(3,)``; mm.

    Returns
    -------
    Shape
        The solid in the frame it was moved to.
    """
    r, t = rotation, shift_mm

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        dx, dy, dz = x - t[0], y - t[1], z - t[2]
        return shape.distance(
            r[0, 0] * dx + r[1, 0] * dy + r[2, 0] * dz,
            r[0, 1] * dx + r[1, 1] * dy + r[2, 1] * dz,
            r[0, 2] * dx + r[1, 2] * dy + r[2, 2] * dz,
        )

    box = shape.box
    if np.abs(box).max() < _EVERYWHERE:
        corners = np.array([[box[i, 0], box[j, 1], box[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        corners = corners @ r.T + t
        box = np.array([corners.min(axis=0), corners.max(axis=0)])
    return Shape(distance=distance, box=box, points=shape.points @ r.T + t)


def random_rotation(rng: np.random.Generator) -> Floats:
    """Orthonormal matrix drawn evenly, shape ``(3, 3)``, no unit."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return np.asarray(q)


def about_z(angle_rad: float, lean_rad: float = 0.0) -> Floats:
    """Rotation about z by `angle_rad` after leaning `lean_rad` about x, shape ``(3, 3)``, no unit."""
    c, s, cl, sl = np.cos(angle_rad), np.sin(angle_rad), np.cos(lean_rad), np.sin(lean_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    lean = np.array([[1.0, 0.0, 0.0], [0.0, cl, -sl], [0.0, sl, cl]])
    return np.asarray(turn @ lean)


def max_diameter_mm(points_mm: Floats) -> float:
    """Longest distance between two points of a set.

    Parameters
    ----------
    points_mm : NDArray[np.float64]
        Shape ``(n, 3)``, n at least 1; mm.

    Returns
    -------
    float
        mm; from the extreme points in 1500 directions, low by less than 0.03 %.
    """
    best = 0.0
    for block in np.array_split(directions(3000)[:1500], 10):
        along = points_mm @ block.T
        ends = points_mm[along.argmax(axis=0)] - points_mm[along.argmin(axis=0)]
        best = max(best, float(np.linalg.norm(ends, axis=1).max()))
    return best
