"""Where the surface of a deposit lies, below voxel size.

A fixed threshold reads bright deposits too large and faint shells too thin, because partial volume smears every edge
over about a voxel. Here the surface is where the density has fallen halfway from the local plateau of the deposit to
its background: for an edge blurred by any symmetric point spread that is the true edge. Foci about as small as the
blur itself keep their width but lose their plateau; `deblurred_width_mm` takes that excess off again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from calcreport.anatomy.arrays import Floats, Hu, Ints, Mask, Spacing

FAINT_SHARE: Final = 0.35  # a tail of noise reaches less than this share of the deposit's contrast ...
TAIL_NOISE: Final = 3.75  # ... or this many noise deviations ...
MAX_TAIL: Final = 0.1  # ... and holds no more than this share of its voxels
PLATEAU_REACH_MM: Final = 2.0  # The plateau of an edge is the greatest density within this distance
SMOOTHING_RATIO: Final = 0.08  # Noise above this share of the contrast is smoothed before edges are sought …
SMOOTHED_NOISE: Final = 0.5  # … which leaves about this share of it (noise of neighbouring pixels is correlated)
NOISE_FLOOR: Final = 3.5  # Fewer noise deviations above the background nothing counts as mineral, whatever its plateau


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """A deposit with its surface."""

    inside: Mask
    """Shape of the box; voxels whose centre lies inside the surface."""
    points: Floats
    """Shape ``(n, 3)``; index (slice, row, column) in the box, fractional, of points on the surface."""
    axis: NDArray[np.int8]
    """Shape ``(n,)``; axis along which each point was interpolated: 0 slice, 1 row, 2 column."""


def crossings(field: NDArray[np.floating], allowed: Mask | None = None) -> tuple[Floats, NDArray[np.int8]]:
    """Points where a field changes sign between face neighbours, by linear interpolation.

    `field`: shape ``(slices, rows, columns)``; positive inside; `allowed`: same shape; only voxels true here count as
    inside (the others as outside, at the field's own value when that is negative, else half a voxel away). Gives
    `points`: shape ``(n, 3)``, fractional indices; `axis`: shape ``(n,)``.
    """
    inside = field > 0 if allowed is None else (field > 0) & allowed
    points: list[Floats] = []
    axes: list[NDArray[np.int8]] = []
    for axis in range(3):
        if field.shape[axis] < 2:
            continue
        lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        differs = inside[lower] != inside[upper]
        # Of a sparse mask the flat way is several times as fast as argwhere.
        changed = np.stack(np.unravel_index(np.flatnonzero(differs), differs.shape), axis=1)
        if changed.size == 0:
            continue
        other = changed.copy()
        other[:, axis] += 1
        a, b = field[tuple(changed.T)].astype(np.float64), field[tuple(other.T)].astype(np.float64)
        opposite = (a > 0) != (b > 0)
        share = np.where(opposite, a / np.where(opposite, a - b, 1.0), 0.5)
        at = changed.astype(np.float64)
        at[:, axis] += share
        points.append(at)
        axes.append(np.full(at.shape[0], axis, dtype=np.int8))
    if not points:
        return np.zeros((0, 3)), np.zeros(0, dtype=np.int8)
    return np.concatenate(points), np.concatenate(axes)


def find_surface(hu: Hu, mask: Mask, *, background_hu: float, noise_hu: float, spacing_mm: Spacing) -> Surface:
    """Surface of a deposit at half of its local contrast, sought in the thresholded mask and one voxel around it.

    The box has a margin of a voxel around the deposit. Never empty: where the half level leaves nothing, it is the
    mask.
    """
    density = hu.astype(np.float32)
    contrast = float(np.percentile(density[mask], 75)) - background_hu
    if noise_hu > SMOOTHING_RATIO * contrast and int(mask.sum()) > 2 * mask.any(axis=(1, 2)).sum() * 3:
        for axis in (1, 2):
            density = ndimage.convolve1d(density, np.array([0.25, 0.5, 0.25], dtype=np.float32), axis=axis)
        noise_hu *= SMOOTHED_NOISE
    reach = ndimage.binary_dilation(mask)
    own = np.where(reach, density, background_hu)
    size = tuple(2 * max(1, round(PLATEAU_REACH_MM / s)) + 1 for s in spacing_mm)
    plateau = ndimage.maximum_filter(own, size=size)
    level = background_hu + np.maximum(0.5 * (plateau - background_hu), min(NOISE_FLOOR * noise_hu, 0.5 * contrast))
    field = density - level
    inside = (field > 0) & reach
    # Noise strung to an end of a deposit has its own low plateau; where much of a deposit is so faint, it is no noise.
    faint = inside & (plateau < background_hu + max(FAINT_SHARE * contrast, TAIL_NOISE * noise_hu))
    if int(faint.sum()) <= MAX_TAIL * int(inside.sum()):
        inside &= ~faint
    # The densest voxel is part of any deposit; where it is not, the level has lost the deposit to its surroundings.
    if not inside[np.unravel_index(int(np.where(mask, hu, hu.min()).argmax()), hu.shape)]:
        inside = mask
        field = np.where(mask, 1.0, -1.0).astype(np.float32)
    points, axis_of = crossings(field, inside)
    return Surface(inside=inside, points=points, axis=axis_of)


@lru_cache(maxsize=1)
def _ball_widths() -> tuple[Floats, Floats]:
    """Half-maximum width of blurred balls against their true diameter, both in units of the blur's FWHM.

    The density along a diameter of a ball of radius R convolved with a Gaussian of deviation s is a closed form of
    error functions; half of its central value is found on a fine grid.
    """
    sigma = 1.0 / FWHM_PER_SIGMA
    diameters = np.linspace(0.05, 6.0, 240)
    radius = np.linspace(1e-6, 6.0, 6001)

    def density(at: Ints) -> Floats:
        near = (radius[at] - diameters / 2) / (np.sqrt(2) * sigma)
        far = (radius[at] + diameters / 2) / (np.sqrt(2) * sigma)
        edge = sigma / (np.sqrt(2 * np.pi) * radius[at]) * (np.exp(-(near**2)) - np.exp(-(far**2)))
        return np.asarray(0.5 * (special.erf(far) - special.erf(near)) - edge)

    # The density falls all the way outwards: halving finds where it passes half of its central value.
    above, below = np.zeros(diameters.size, dtype=np.int64), np.full(diameters.size, radius.size - 1)
    half = 0.5 * density(above)
    while (below - above).max() > 1:
        middle = (above + below) // 2
        is_below = density(middle) < half
        above, below = np.where(is_below, above, middle), np.where(is_below, middle, below)
    widths = 2 * radius[below]
    return widths, diameters


MAX_SHRINKAGE: Final = 0.12  # Share of a width given back at most for the rounding of its ends
FWHM_PER_SIGMA: Final = 2.3548  # of a normal distribution


def deblurred_width_mm(width_mm: float, along_mm: float, across_mm: tuple[float, float] = (0.0, 0.0)) -> float:
    """True extent of a rounded deposit from its half-maximum width under a known blur, all mm.

    A deposit hardly wider than the blur `along_mm` (full width at half maximum) keeps the width of the blur and loses
    its plateau: that excess is taken off. Blur across a rounded end draws its half level inwards, by the variance over
    the radius of the end: that is given back. Deposits much wider than the blur keep their width.
    """
    if width_mm <= 0:
        return width_mm
    true_mm = width_mm
    if along_mm > 0:
        widths, diameters = _ball_widths()
        # Beyond the table the blur is small against the deposit and takes nothing off.
        true_mm = min(width_mm, float(np.interp(width_mm / along_mm, widths, diameters, right=np.inf)) * along_mm)
    variance = sum((w / FWHM_PER_SIGMA) ** 2 for w in across_mm)
    return true_mm + min(2 * variance / max(true_mm, 1e-6), MAX_SHRINKAGE * true_mm)
