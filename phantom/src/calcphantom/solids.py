"""Solids that anatomy is made of: rods, plates, drums, chains; without surface points, for nothing rests on them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from calcphantom.shapes import Floats, Shape, intersection, no_points, outside


def _solid(distance: object, low: Floats, high: Floats) -> Shape:
    return Shape(distance=distance, box=np.array([low, high]), points=no_points())  # type: ignore[arg-type]


def rod(start_mm: Floats, end_mm: Floats, radius_mm: float, end_radius_mm: float | None = None) -> Shape:
    """Straight rod with round ends, thinner towards its end when a second radius is given; mm."""
    start, along = np.asarray(start_mm, dtype=float), np.asarray(end_mm, dtype=float) - np.asarray(start_mm)
    taper = 0.0 if end_radius_mm is None else radius_mm - end_radius_mm
    a = [float(v) for v in along / max(float(along @ along), 1e-9)]
    u, v, w = (float(value) for value in along)
    sx, sy, sz = (float(value) for value in start)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        dx, dy, dz = x - sx, y - sy, z - sz
        t = np.clip(dx * a[0] + dy * a[1] + dz * a[2], 0.0, 1.0)
        gap = np.sqrt((dx - t * u) ** 2 + (dy - t * v) ** 2 + (dz - t * w) ** 2)
        return np.asarray(gap - (radius_mm - taper * t))

    ends, reach = np.array([start, start + along]), max(radius_mm, radius_mm - taper)
    return _solid(distance, ends.min(axis=0) - reach, ends.max(axis=0) + reach)


def joined(parts: Sequence[Shape]) -> Shape:
    """Union that is painted part by part."""
    flat = tuple(p for part in parts for p in (part.parts or (part,)))
    boxes = np.array([part.box for part in flat])

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        span = np.array([[np.min(q), np.max(q)] for q in (x, y, z)]).T
        gap = np.linalg.norm(np.maximum(np.maximum(boxes[:, 0] - span[1], span[0] - boxes[:, 1]), 0.0), axis=1)
        nearest = np.argsort(gap)
        best = flat[nearest[0]].distance(x, y, z)
        for n in nearest[1:]:
            if gap[n] > np.max(best):  # the parts beyond are farther from every point than what was found
                break
            best = np.minimum(best, flat[n].distance(x, y, z))
        return np.asarray(best)

    low, high = (f([p.box[n] for p in flat], axis=0) for n, f in ((0, np.min), (1, np.max)))
    return Shape(distance=distance, box=np.array([low, high]), points=no_points(), parts=flat)


def without(shape: Shape, *holes: Shape) -> Shape:
    """Return what is left of a solid, or of each of its parts, outside the holes."""
    cut = tuple(outside(hole) for hole in holes)
    if shape.parts:
        return joined([intersection(part, *cut) for part in shape.parts])
    return intersection(shape, *cut)


def kept_in(shape: Shape, room: Shape) -> Shape:
    """Return what of a solid, or of each of its parts, lies in a convex room; parts wholly inside stay as they are."""
    if shape.parts:
        return joined([kept_in(part, room) for part in shape.parts])
    corners = np.stack(np.meshgrid(*shape.box.T, indexing="ij"), axis=-1).reshape(-1, 3)
    return shape if float(room.distance(*corners.T).max()) < 0 else intersection(shape, room)


def chain(points_mm: Sequence[Floats], radii_mm: Sequence[float] | float) -> Shape:
    """Bent rod through points, with one radius or one for each point; mm."""
    count = len(points_mm)
    radii = [float(radii_mm)] * count if isinstance(radii_mm, (int, float)) else [float(r) for r in radii_mm]
    return joined(
        [rod(points_mm[n], points_mm[n + 1], radii[n], radii[n + 1]) for n in range(count - 1)],
    )


def plate(centre_mm: Floats, half_u_mm: Floats, half_v_mm: Floats, radius_mm: float) -> Shape:
    """Flat plate with round edges: all points within a radius of a rectangle given by its centre and two half sides.

    Of the second side only what is square to the first counts.
    """
    centre, hu, hv = (np.asarray(value, dtype=float) for value in (centre_mm, half_u_mm, half_v_mm))
    hv = hv - (hv @ hu) / (hu @ hu) * hu
    lu, lv = float(np.linalg.norm(hu)), float(np.linalg.norm(hv))
    u, v = [float(q) for q in hu / lu], [float(q) for q in hv / lv]
    cx, cy, cz = (float(q) for q in centre)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        dx, dy, dz = x - cx, y - cy, z - cz
        s = np.clip(dx * u[0] + dy * u[1] + dz * u[2], -lu, lu)
        t = np.clip(dx * v[0] + dy * v[1] + dz * v[2], -lv, lv)
        gap = (dx - s * u[0] - t * v[0]) ** 2 + (dy - s * u[1] - t * v[1]) ** 2 + (dz - s * u[2] - t * v[2]) ** 2
        return np.asarray(np.sqrt(gap) - radius_mm)

    reach = np.abs(hu) + np.abs(hv) + radius_mm
    return _solid(distance, centre - reach, centre + reach)


def band(points_mm: Sequence[Floats], across_mm: Floats, half_mm: float, radius_mm: float) -> Shape:
    """Bent strap through points: a rib. `across_mm` says which way it is broad, `half_mm` how far to each side."""
    parts = []
    for start, end in itertools.pairwise(points_mm):
        along = (end - start) / 2
        unit = along / np.linalg.norm(along)
        broad = across_mm - (across_mm @ unit) * unit
        parts.append(plate((start + end) / 2, along, broad / np.linalg.norm(broad) * half_mm, radius_mm))
    return joined(parts)


def egg(centre_mm: Floats, radii_mm: Sequence[float], axes: Floats | None = None) -> Shape:
    """Ellipsoid, turned by an orthonormal matrix; its distance is close to the true one near the surface; mm."""
    centre, turn = np.asarray(centre_mm, dtype=float), np.eye(3) if axes is None else np.asarray(axes)
    a, b, c = (float(r) for r in radii_mm)
    m = [[float(q) for q in row] for row in turn]
    cx, cy, cz = (float(q) for q in centre)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        dx, dy, dz = x - cx, y - cy, z - cz
        p = (m[0][0] * dx + m[1][0] * dy + m[2][0] * dz) / a
        q = (m[0][1] * dx + m[1][1] * dy + m[2][1] * dz) / b
        r = (m[0][2] * dx + m[1][2] * dy + m[2][2] * dz) / c
        scaled = np.sqrt(p * p + q * q + r * r)
        slope = np.sqrt((p / a) ** 2 + (q / b) ** 2 + (r / c) ** 2)
        return np.asarray(np.maximum(scaled * (scaled - 1.0) / np.maximum(slope, 1e-6), -min(a, b, c)))

    reach = np.sqrt((turn**2) @ np.array([a, b, c]) ** 2)
    return _solid(distance, centre - reach, centre + reach)


def drum(centre_mm: Floats, radii_mm: tuple[float, float], half_height_mm: float, *, waist_mm: float = 0.0) -> Shape:
    """Upright elliptic cylinder, narrower at half height by `waist_mm`: a vertebral body, a disc."""
    cx, cy, cz = (float(q) for q in centre_mm)
    a, b = radii_mm

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        dx, dy, dz = (x - cx) / a, (y - cy) / b, z - cz
        waist = waist_mm * np.clip(1.0 - (dz / half_height_mm) ** 2, 0.0, 1.0)
        side = (np.sqrt(dx * dx + dy * dy) - 1.0) * min(a, b) + waist
        return np.asarray(np.maximum(side, np.abs(dz) - half_height_mm))

    reach = np.array([a, b, half_height_mm])
    return _solid(distance, np.asarray(centre_mm) - reach, np.asarray(centre_mm) + reach)


def flecks(points_mm: Floats, radii_mm: Floats) -> Shape:
    """Many small balls; shapes ``(n, 3)`` and ``(n,)``, mm."""
    return joined([egg(p, (r, r, r)) for p, r in zip(points_mm, radii_mm, strict=True)])


def sampled(shape: Shape, low_mm: Floats, high_mm: Floats, *, gain: float = 1.0) -> Shape:
    """Return a smooth solid whose distance, times `gain`, is read from a table: for large surfaces asked for often."""
    step = np.array([2.5, 2.5, 4.0])
    count = np.ceil((high_mm - low_mm) / step).astype(int) + 2
    x, y, z = (low_mm[n] + step[n] * np.arange(count[n]) for n in range(3))
    table = np.empty((count[2], count[1], count[0]), dtype=np.float32)
    for k, height in enumerate(z):
        table[k] = gain * shape.distance(x[None, :], y[:, None], np.full((1, 1), height))

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        i, j, k = ((q - low_mm[n]) / step[n] for n, q in enumerate((x, y, z)))
        at = np.stack([np.asarray(q, dtype=np.float32) for q in np.broadcast_arrays(k, j, i)])
        return np.asarray(ndimage.map_coordinates(table, at, order=1, mode="nearest", output=np.float32))

    return _solid(distance, low_mm, high_mm)


def curve(points_mm: Sequence[Floats], count: int) -> list[Floats]:
    """Return `count` points evenly spread along a smooth curve through the points (Catmull-Rom), mm."""
    p = np.asarray(points_mm, dtype=float)
    p = np.vstack((2 * p[0] - p[1], p, 2 * p[-1] - p[-2]))
    out = []
    for t in np.linspace(0, len(p) - 3 - 1e-9, count):
        n, s = int(t), t % 1.0
        a, b, c, d = p[n : n + 4]
        out.append(0.5 * (2 * b + (c - a) * s + (2 * a - 5 * b + 4 * c - d) * s**2 + (3 * b - a - 3 * c + d) * s**3))
    return out
