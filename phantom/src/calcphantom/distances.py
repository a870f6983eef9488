"""Distances between analytic surfaces, found on the surfaces themselves."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from calcphantom.scene import Surface, Tube, wrapped
from calcphantom.shapes import Floats, Shape


def surface_distance_mm(points: Floats, tube: Tube) -> float:
    """Shortest distance (mm) from points to the surface of a tube.

    `points` has shape ``(n, 3)``, LPS mm. Coarse search over the surface, then a local search around the foot of each
    of the nearest points until the step is 0.02 mm.
    """
    bound = np.abs(tube.distance(*points.T))
    if isinstance(tube, Surface):
        close = points[np.argsort(bound)[:400]]
        return float((np.abs(tube.distance(*close.T)) / slope_of(tube.solid, close)).min())
    close = points[bound <= bound.min() * tube.slack + 0.5]
    close = close[:: max(1, len(close) // 600)]
    reach = float(bound.min()) * tube.slack + 4.0
    coarse = tube.points(float(close[:, 2].min()) - reach, float(close[:, 2].max()) + reach, 2.0)
    answer = cKDTree(coarse).query(close)
    gap, foot = np.asarray(answer[0]), np.asarray(answer[1])
    nearest = np.argsort(gap)[:120]
    return _refined_distance_mm(close[nearest], coarse[foot[nearest]], tube)


def _refined_distance_mm(points: Floats, feet: Floats, tube: Tube) -> float:
    """Smallest distance (mm) after walking each foot (shape ``(n, 3)``, LPS mm) along the surface of the tube."""
    cx, cy = tube.centre(feet[:, 2])
    angle, z = np.arctan2(feet[:, 1] - cy, feet[:, 0] - cx), feet[:, 2].copy()
    radius = np.hypot(feet[:, 0] - cx, feet[:, 1] - cy)
    steps = np.stack(np.meshgrid(np.arange(-3, 4), np.arange(-3, 4), indexing="ij"), axis=-1).reshape(-1, 2)
    best = np.inf
    for step_mm in (0.8, 0.3, 0.1, 0.05, 0.02):
        aa = angle[:, None] + steps[:, 0] * step_mm / radius[:, None]
        zz = z[:, None] + steps[:, 1] * step_mm
        mx, my = tube.centre(zz)
        r = tube.radius(wrapped(aa), zz)
        surface = np.stack((mx + r * np.cos(aa), my + r * np.sin(aa), zz), axis=-1)
        gap = np.linalg.norm(surface - points[:, None, :], axis=2)
        pick = gap.argmin(axis=1)
        rows = np.arange(len(points))
        angle, z = aa[rows, pick], zz[rows, pick]
        best = min(best, float(gap.min()))
    return best


def near_distance_mm(shape: Shape, points: Floats) -> float:
    """Shortest distance from points (shape ``(n, 3)``, LPS mm) to a solid, mm; its own bound divided by its slope."""
    bound = shape.distance(*points.T)
    if bound.min() <= 0:
        return 0.0
    close = points[np.argsort(bound)[:400]]
    return float((shape.distance(*close.T) / slope_of(shape, close)).min())


def slope_of(shape: Shape, points: Floats) -> Floats:
    """How fast the distance of a solid changes at points (shape ``(n, 3)``, LPS mm), mm per mm, shape ``(n,)``."""
    step = 0.02
    slopes = [
        (shape.distance(*(points + step * axis).T) - shape.distance(*(points - step * axis).T)) / (2 * step)
        for axis in np.eye(3)
    ]
    return np.asarray(np.maximum(np.linalg.norm(slopes, axis=0), 0.2))
