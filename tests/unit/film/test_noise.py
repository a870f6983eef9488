"""Noise is that of the detector, whatever the tissue does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcreport.film.reduced import film_noise

SHAPE = (700, 600)


def measured(grey, *, field=None, factor=2):
    shape = tuple(n // factor for n in grey.shape)
    field = np.ones(shape, dtype=bool) if field is None else field
    return film_noise(grey.astype(np.float32), field, factor)


def white(deviation, seed=1, shape=SHAPE):
    return np.random.default_rng(seed).normal(0, deviation, shape)


@pytest.mark.parametrize("deviation", [0.5, 8.0, 300.0])
@pytest.mark.parametrize("correlation_px", [0.0, 0.5, 0.8])
def test_noise_is_right_within_a_tenth(deviation, correlation_px):
    grey = ndimage.gaussian_filter(white(1.0), correlation_px) if correlation_px else white(1.0)
    grey *= deviation / grey.std()
    assert measured(grey) == pytest.approx(deviation, rel=0.1)


def test_slopes_and_a_limb_do_not_count():
    i, j = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    round_limb = 800 * np.sqrt(np.clip(1 - ((j - 300) / 320) ** 2, 0, None))
    assert measured(white(8.0) + 3 * j + 0.5 * i + round_limb) == pytest.approx(8.0, rel=0.1)


def test_only_the_field_counts():
    grey = white(8.0)
    grey[:, 300:] *= 10
    field = np.zeros((350, 300), dtype=bool)
    field[:, :140] = True
    assert measured(grey, field=field) == pytest.approx(8.0, rel=0.1)


def test_a_narrow_field_counts_in_small_blocks():
    grey = white(8.0)
    field = np.zeros((350, 300), dtype=bool)
    field[:, 100:140] = True
    outside = np.repeat(np.repeat(~field, 2, axis=0), 2, axis=1)
    grey[outside] *= 10
    assert measured(grey, field=field) == pytest.approx(8.0, rel=0.1)


def test_a_few_sharp_things_do_not_count():
    grey = white(8.0)
    grey[::40, ::40] += 500
    assert measured(grey) == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize("shape", [(64, 64), (20, 500), (9, 9)])
def test_a_small_film_has_a_noise(shape):
    assert 4.0 < measured(white(8.0, shape=shape), factor=1) < 16.0


def test_a_film_without_a_field_has_a_noise():
    field = np.zeros((350, 300), dtype=bool)
    assert measured(white(8.0), field=field) == pytest.approx(8.0, rel=0.1)
