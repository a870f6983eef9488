"""Shortest lines to points held in a tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from calcreport.calcification.size import as_point
from calcreport.model.lesion import Segment


def query(
    tree: KDTree, points: NDArray[np.float64], *, eps: float = 0.0, bound: float = np.inf
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance to the nearest point of a tree, and its number; infinity where it is not nearer than `bound`.

    `tree`: of points of shape ``(m, 3)``, mm; `points`: shape ``(n, 3)``, mm; `eps`: share by which a distance may be
    too long; `bound`: only points nearer than this, mm, are looked for.
    """
    distances, nearest = tree.query(points, eps=eps, distance_upper_bound=bound)
    return np.asarray(distances), np.asarray(nearest, dtype=np.int64)


def shortest_line(start_mm: NDArray[np.float64], ends: KDTree, reach: float) -> Segment | None:
    """Shortest line from some points to those of a tree, ``None`` where it is no shorter than `reach`.

    `start_mm`: shape ``(n, 3)``, n ≥ 1, LPS mm; `ends`: of points in LPS mm; `reach`: mm.
    """
    # The distance of any of the points bounds the shortest one, and a bound spares most of the search.
    bound = float(query(ends, start_mm[:: max(1, len(start_mm) // 32)])[0].min()) + 1e-6
    distances, nearest = query(ends, start_mm, bound=min(bound, reach))
    best = int(distances.argmin())
    if not np.isfinite(distances[best]):
        return None
    return Segment(
        start_lps_mm=as_point(start_mm[best]),
        end_lps_mm=as_point(np.asarray(ends.data[int(nearest[best])])),
        length_mm=float(distances[best]),
    )
