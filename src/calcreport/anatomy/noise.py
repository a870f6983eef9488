"""Noise of soft tissue, the yardstick for every threshold on low-dose CT."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SOFT_TISSUE_HU: Final = (-20, 150)
"""Voxels in this range are muscle or fluid with noise; fat and mineral would add their own texture."""

MIN_PAIRS: Final = 200
"""Fewer voxel pairs than this say nothing about a slice."""

DEFAULT_NOISE_HU: Final = 20.0
"""Assumed where no slice holds enough soft tissue: a usual value for body CT."""


def slice_noise_hu(plane: NDArray[np.int16]) -> float | None:
    """Standard deviation of the noise in one slice, HU, or ``None`` with too little soft tissue.

    `plane`: shape ``(rows, columns)``, HU. Median absolute difference of voxels two columns apart, so that neither
    edges nor the slow shading of the tissue counts as noise, and neighbouring voxels blurred into each other do not
    hide it.
    """
    low, high = SOFT_TISSUE_HU
    soft = (plane > low) & (plane < high)
    pairs = soft[:, 2:] & soft[:, 1:-1] & soft[:, :-2]
    if int(pairs.sum()) < MIN_PAIRS:
        return None
    difference = plane[:, 2:][pairs].astype(np.int32) - plane[:, :-2][pairs]
    return float(np.median(np.abs(difference))) / 0.6745 / float(np.sqrt(2.0))


def volume_noise_hu(hu: NDArray[np.int16], *, samples: int = 16) -> float:
    """Upper-quartile noise over some evenly spaced slices, HU: the noisy part of a scan sets the pace."""
    chosen = np.unique(np.linspace(0, hu.shape[0] - 1, min(samples, hu.shape[0])).round().astype(int))
    values = [noise for i in chosen if (noise := slice_noise_hu(hu[i])) is not None]
    return float(np.percentile(values, 75)) if values else DEFAULT_NOISE_HU
