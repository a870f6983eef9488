"""The slow part of a curve is what the filter of Savitzky and Golay leaves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from calcreport.film.registration import _parabolas


@pytest.mark.parametrize("length", [51, 80, 313])
def test_the_slow_part_is_that_of_the_filter_scipy_has(length: int) -> None:
    curve = np.random.default_rng(length).normal(size=length).cumsum() + 1000
    np.testing.assert_allclose(_parabolas(curve, 25), savgol_filter(curve, 51, 2, mode="interp"), rtol=1e-9)


def test_a_parabola_is_followed_to_both_of_its_ends() -> None:
    place = np.arange(90.0)
    parabola = 3 - 0.5 * place + 0.01 * place**2
    np.testing.assert_allclose(_parabolas(parabola, 25), parabola, atol=1e-9)
