"""Foci of one film that belong together: near each other, or stretches of one vessel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.film.outline import Outline, Points

GROUP_MM: Final = 10.0
"""Foci no farther apart than this are one finding, as on CT: two deposits of one process look like one."""
_STRETCH_RATIO: Final = 3.0
"""A stretch of a vessel's wall is this many times as long as wide."""
_STRETCH_MM: Final = 8.0  # least length of a stretch
_VESSEL_GAP_MM: Final = 30.0
"""Stretches of one vessel follow each other within this, mm ..."""
_VESSEL_WIDTH_MM: Final = 12.0
"""... and lie no farther aside than a calcified artery is wide."""
_MOST_POINTS: Final = 200  # of an outline for distances; more change them by less than a pixel


def group_outlines(outlines: Sequence[Outline], spacing_mm: tuple[float, float]) -> list[list[int]]:
    """Indices of the outlines of each finding on one film; `spacing_mm` is between rows and between columns."""
    points = [o.points[:: max(1, -(-len(o.points) // _MOST_POINTS))] * spacing_mm for o in outlines]
    axes = [_axis(part) for part in points]
    owner = list(range(len(outlines)))

    def root(index: int) -> int:
        while owner[index] != index:
            index = owner[index]
        return index

    for i in range(len(outlines)):
        for j in range(i):
            if root(i) == root(j):
                continue
            if _gap_mm(points[i], points[j]) <= GROUP_MM or _are_in_line(axes[i], axes[j]):
                owner[root(i)] = root(j)
    found: dict[int, list[int]] = {}
    for index in range(len(outlines)):
        found.setdefault(root(index), []).append(index)
    return list(found.values())


def _gap_mm(first: Points, second: Points) -> float:
    """Shortest distance between two sets of points, mm; infinite where their boxes are farther apart than a group."""
    apart = np.maximum(np.maximum(first.min(axis=0) - second.max(axis=0), second.min(axis=0) - first.max(axis=0)), 0)
    if float(np.hypot(*apart)) > GROUP_MM:
        return float("inf")
    return float(np.sqrt(((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=2).min()))


_Axis = tuple[NDArray[np.float64], NDArray[np.float64], float]  # centre and direction, mm; length, mm


def _axis(points: Points) -> _Axis | None:
    """Centre, direction and length of an elongated focus, mm; ``None`` for one that is not."""
    centre = points.mean(axis=0)
    _values, vectors = np.linalg.eigh(np.cov((points - centre).T) if len(points) > 2 else np.eye(2))
    along, across = (points - centre) @ vectors[:, 1], (points - centre) @ vectors[:, 0]
    length, width = float(np.ptp(along)), float(np.ptp(across))
    if length < _STRETCH_MM or length < _STRETCH_RATIO * width:
        return None
    return centre, vectors[:, 1], length


def _are_in_line(first: _Axis | None, second: _Axis | None) -> bool:
    """Whether two elongated foci may be stretches, or opposite walls, of one vessel."""
    if first is None or second is None:
        return False
    (a, u, m), (b, v, n) = first, second
    if abs(float(u @ v)) < np.cos(np.radians(25)):
        return False
    apart = b - a
    along = abs(float(apart @ u))
    aside = float(np.sqrt(max(0.0, float(apart @ apart) - along**2)))
    return along - (m + n) / 2 <= _VESSEL_GAP_MM and aside <= _VESSEL_WIDTH_MM
