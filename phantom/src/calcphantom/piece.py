"""A lesion in its own frame, before it is placed in a body."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

import numpy as np
from numpy.typing import NDArray

from calcphantom.scene import Paint, painted_hu
from calcphantom.shapes import Floats, Shape, half_space, intersection, no_points


@unique
class Posture(StrEnum):
    """How a lesion may be turned when it is placed."""

    ANY = "any"
    ALONG = "along"
    UPRIGHT = "upright"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """A lesion in its own frame: centre at the origin, long axis along z.

    Parameters
    ----------
    paints : tuple[Paint, ...]
        In the order of painting, mm.
    posture : Posture
        Allowed turns.
    mass : Shape | None
        Outer surface of the soft-tissue mass.
    bed : Shape | None
        Fat the lesion lies in; painted first, and only where the body has soft tissue beneath the fascia.
    foci : int
        Number of separate deposits meant.
    features : tuple[str, ...]
        What a reader should be able to see: ``rim``, ``lucent_centre``, ``level`` …
    finest_mm : float
        Size of the finest structure that the pattern rests on, mm; coarser voxels cannot show it.
    """

    paints: tuple[Paint, ...]
    posture: Posture = Posture.ANY
    mass: Shape | None = None
    bed: Shape | None = None
    foci: int = 1
    features: tuple[str, ...] = ()
    finest_mm: float = 3.0


def mineral(shape: Shape, hu: float) -> Paint:
    """Paint of lesion mineral, HU."""
    return Paint(shape=shape, hu=hu, is_mineral=True)


def soft(shape: Shape, hu: float) -> Paint:
    """Paint that belongs to a lesion but is no mineral, HU."""
    return Paint(shape=shape, hu=hu)


def half_axes(
    rng: np.random.Generator, diameter_mm: float, squeeze: float, low: float = 0.55, high: float = 0.9
) -> tuple[float, float, float]:
    """Half axes in mm of an ellipsoid with its longest along z; `squeeze` narrows the other two."""
    u, v = rng.uniform(low, high, 2) * squeeze
    return (diameter_mm / 2 * float(u), diameter_mm / 2 * float(v), diameter_mm / 2)


def cap(shape: Shape, normal: Floats, above_mm: float) -> Shape:
    """Return the part of a solid beyond a plane: points with ``p . normal >= above_mm``."""
    return intersection(shape, half_space(-np.asarray(normal), -above_mm))


def mineral_points(paints: tuple[Paint, ...]) -> Floats:
    """Points on the outer surface of the mineral, shape ``(n, 3)``, mm: what no later soft paint covers."""
    kept = []
    for i, paint in enumerate(paints):
        if not paint.is_mineral or not len(paint.shape.points):
            continue
        points = paint.shape.points
        for later in paints[i + 1 :]:
            if not later.is_mineral:
                points = points[later.shape.distance(*points.T) > 0.03]
        kept.append(points)
    return np.concatenate(kept) if kept else no_points()


def mineral_content(paints: tuple[Paint, ...], *, samples: int = 60000) -> tuple[float, float, NDArray[np.float64]]:
    """Volume, mean density and centre of the mineral.

    Parameters
    ----------
    paints : tuple[Paint, ...]
        Paints of one lesion.
    samples : int
        Sample points; each solid gets its share by volume of its box.

    Returns
    -------
    tuple[float, float, NDArray[np.float64]]
        Volume in mm3, mean HU, centre of volume (shape ``(3,)``, mm).
    """
    boxes = [p.shape.box for p in paints if p.is_mineral]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    step = float((np.prod(high - low) / samples) ** (1 / 3))
    counts = np.maximum(np.ceil((high - low) / step).astype(int), 3)
    axes = [low[i] + (np.arange(counts[i]) + 0.5) * (high[i] - low[i]) / counts[i] for i in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    hu, is_mineral = painted_hu(paints, grid)
    cell = float(np.prod((high - low) / counts))
    if not is_mineral.any():
        return 0.0, float("nan"), (low + high) / 2
    return float(is_mineral.sum()) * cell, float(hu[is_mineral].mean()), grid[is_mineral].mean(axis=0)
