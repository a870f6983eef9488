"""Noise of a film, from differences between neighbouring pixels."""

from __future__ import annotations

from typing import Final

import numpy as np

from calcreport.film.reduced import Floats, Mask

_TO_SIGMA: Final = 1.4826
"""Median absolute deviation of a normal distribution to its standard deviation."""
_STEP: Final = 3
"""Pixels apart that are compared: detectors and their processing tie direct neighbours together."""
_BLOCK: Final = 64  # side of a block, plate pixels
_FEWEST: Final = 12  # blocks; with fewer, smaller blocks are used
_LEAST_SIDE: Final = 24
"""Film pixels a side that tell a deviation."""


def film_noise(intensity: Floats, field: Mask, factor: int) -> float:
    """Standard deviation of the noise in soft tissue, in grey.

    `intensity` has the shape ``(rows, columns)`` of the film; `field` is soft tissue on the plate, whose pixels are
    `factor` x `factor` film pixels. It is the median over blocks of the robust deviation of second differences, which
    slow changes of the tissue do not reach.
    """
    found = _deviations(intensity, field, factor, side=_BLOCK, least=0.9)
    if len(found) < _FEWEST:
        found += _deviations(intensity, field, factor, side=_BLOCK // 8, least=1.0)
    return float(np.median(found)) if found else _deviation(intensity[::2, ::2])


def noise_around(intensity: Floats, box: tuple[slice, slice]) -> float:
    """Standard deviation of the noise in a box of the film, in grey; 0 where the box is too small to tell.

    Thick parts let less of the beam through than thin ones, and are noisier on a logarithmic film.
    """
    block = intensity[box]
    if min(block.shape) < _LEAST_SIDE:
        return 0.0
    # a limb curves across its length only
    return min(_deviation(block), _deviation(block.T))


def _deviations(intensity: Floats, field: Mask, factor: int, *, side: int, least: float) -> list[float]:
    """Deviation in each block of `side` plate pixels of which at least the share `least` is soft tissue."""
    found = []
    for i in range(0, intensity.shape[0] - side * factor, side * factor):
        for j in range(0, intensity.shape[1] - side * factor, side * factor):
            inside = field[i // factor : i // factor + side, j // factor : j // factor + side]
            if inside.mean() >= least:
                found.append(_deviation(intensity[i : i + side * factor, j : j + side * factor]))
    return found


def _deviation(block: Floats) -> float:
    second = block[:, 2 * _STEP :] - 2 * block[:, _STEP:-_STEP] + block[:, : -2 * _STEP]
    return float(np.median(np.abs(second))) * _TO_SIGMA / float(np.sqrt(6))
