"""How sharp a host's images are in their plane, measured where the skin meets air, and how noisy in soft tissue."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR_BELOW_HU: Final = -900.0
TISSUE_ABOVE_HU: Final = -250.0
"""Before and after an edge that is used: air, then skin or fat."""
EDGE_HU: Final = -500.0
LEVELS: Final = (0.2, 0.5)
"""Shares of the step between which its width is taken: the side of the air, for beneath the skin fat follows soon."""
WIDTH_PER_SIGMA: Final = 0.8416
"""Distance between those levels of a Gaussian edge, in standard deviations."""
SHARPEST_SHARE: Final = 0.25
"""Quantile of the widths: edges aslant to the slice, hair and cloth only widen."""
FEWEST_EDGES: Final = 60
DEFAULT_PIXELS: Final = 0.6
"""Standard deviation in pixels where no edges are seen: a soft kernel at the usual pixel."""
WIDEST_PIXELS: Final = 1.6
SOFT_HU: Final = (-150.0, 150.0)
NOISE_PIXELS: Final = 7
"""Side of the squares, all of soft tissue, in which noise is measured."""
QUIET_SHARE: Final = 0.3
"""Quantile of their standard deviations: structure only adds."""
_REACH_MM: Final = 5.0
_STEP_MM: Final = 0.1
_SLICES: Final = 16
_POINTS: Final = 300


def measure_blur_mm(hu: NDArray[np.float32], pixel_mm: float) -> float:
    """Standard deviation in mm of the blur in the plane of the slices.

    Parameters
    ----------
    hu : NDArray[np.float32]
        Shape ``(slices, rows, columns)``; HU.
    pixel_mm : float
        Distance between pixels, mm.

    Returns
    -------
    float
        mm; `DEFAULT_PIXELS` where fewer than `FEWEST_EDGES` clean edges are seen.
    """
    rng = np.random.default_rng(0)
    chosen = np.unique(np.linspace(0, len(hu) - 1, _SLICES).astype(int))
    widths = np.concatenate([_edge_widths_mm(hu[i], pixel_mm, rng) for i in chosen])
    if len(widths) < FEWEST_EDGES:
        return DEFAULT_PIXELS * pixel_mm
    sigma = float(np.quantile(widths, SHARPEST_SHARE)) / WIDTH_PER_SIGMA
    return float(np.clip(sigma, 0.25 * pixel_mm, WIDEST_PIXELS * pixel_mm))


def measure_noise_hu(hu: NDArray[np.float32]) -> float:
    """Standard deviation of the noise in HU, in squares of soft tissue of a host of shape ``(slices, rows, columns)``.

    Returns 0 where no square is of soft tissue alone.
    """
    found = []
    for i in np.unique(np.linspace(0, len(hu) - 1, _SLICES).astype(int)):
        plane = hu[i].astype(np.float64)
        smooth = ndimage.uniform_filter(plane, 3)
        soft = ndimage.binary_erosion(
            (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1]), np.ones((NOISE_PIXELS,) * 2, dtype=bool)
        )
        mean, square = (ndimage.uniform_filter(values, NOISE_PIXELS) for values in (plane, plane**2))
        found.append(np.sqrt(np.maximum(square - mean**2, 0.0))[soft])
    values = np.concatenate(found)
    return float(np.quantile(values, QUIET_SHARE)) if len(values) else 0.0


def _edge_widths_mm(plane: NDArray[np.float32], pixel_mm: float, rng: np.random.Generator) -> NDArray[np.float64]:
    tissue = plane > EDGE_HU
    edge = np.argwhere(tissue & ~ndimage.binary_erosion(tissue, border_value=1))
    if not len(edge):
        return np.empty(0)
    edge = edge[rng.permutation(len(edge))[:_POINTS]]
    slope = np.stack([ndimage.gaussian_filter(plane, 1.5, order=o)[tuple(edge.T)] for o in ((1, 0), (0, 1))], axis=1)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
    along = np.arange(-_REACH_MM, _REACH_MM, _STEP_MM)
    places = edge[:, :, None] + slope[:, :, None] * along / pixel_mm
    profiles = ndimage.map_coordinates(plane, places.transpose(1, 0, 2), order=3, mode="nearest")
    outer = profiles[:, along < -_REACH_MM + 2].mean(axis=1)
    inner = profiles[:, (along > 1.5) & (along < _REACH_MM - 1)].mean(axis=1)
    lowest = np.min(places, axis=(1, 2)) >= 0
    kept = lowest & (outer < AIR_BELOW_HU) & (outer > -1100) & (inner > TISSUE_ABOVE_HU)
    shares = (profiles[kept] - outer[kept, None]) / (inner - outer)[kept, None]
    reached = [(shares > level).argmax(axis=1) for level in LEVELS]
    at = np.arange(len(shares))
    crossings = []
    for level, i in zip(LEVELS, reached, strict=True):
        low, high = shares[at, np.maximum(i - 1, 0)], shares[at, i]
        crossings.append(i - (high - level) / np.maximum(high - low, 1e-6))
    widths: NDArray[np.float64] = ((crossings[1] - crossings[0]) * _STEP_MM)[reached[0] > 0]
    return widths
