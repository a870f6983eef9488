"""The reduced film: its size, its guess of a millimetre, additive grey, and the filters on masks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from calcreport.film.reduced import (
    additive,
    enlarge_mask,
    film_pixel_mm,
    grown,
    open_square,
    reduce_film,
    reduce_mask,
    shrunk,
)

sys.path.append(str(Path(__file__).parent))

from painted_films import film

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("spacing", "factor", "pixel_mm"),
    [((0.1, 0.1), 4, 0.4), ((0.15, 0.15), 3, 0.45), ((0.5, 0.5), 1, 0.5), ((0.1, 0.4), 2, 0.4)],
)
def test_a_plate_pixel_is_the_mean_of_its_film_pixels(spacing, factor, pixel_mm):
    grey = RNG.normal(size=(42, 61)).astype(np.float32)
    reduced = reduce_film(film(grey, spacing=spacing))
    assert reduced.factor == factor
    assert reduced.pixel_mm == pytest.approx(pixel_mm)
    rows, columns = 42 // factor, 61 // factor
    whole = grey[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    assert np.allclose(reduced.grey, whole.mean(axis=(1, 3)), atol=1e-5)


def test_a_plate_pixel_is_imaged_where_all_its_film_pixels_are():
    imaged = np.ones((20, 30), dtype=bool)
    imaged[7, 13] = imaged[:, 29] = False
    reduced = reduce_film(film(np.zeros((20, 30)), spacing=(0.2, 0.2), imaged=imaged))
    expected = np.ones((10, 15), dtype=bool)
    expected[3, 6] = expected[:, 14] = False
    assert (reduced.is_imaged == expected).all()


def test_a_plate_is_reduced_further_as_the_film_would_be():
    grey = RNG.normal(size=(48, 36)).astype(np.float32)
    twice = reduce_film(film(grey, spacing=(0.2, 0.2))).reduced(3)
    assert (twice.factor, twice.grey.shape) == (6, (8, 6))
    assert twice.pixel_mm == pytest.approx(1.2)
    assert np.allclose(twice.grey, grey.reshape(8, 6, 6, 6).mean(axis=(1, 3)), atol=1e-5)
    assert twice.pixels(3.0) == 2
    assert twice.pixels(0.1) == 1


@pytest.mark.parametrize(
    ("side", "guess"), [(3000, 400 / 3000), (2000, 0.2), (1000, 0.2), (6000, 0.08), (500, 0.8), (100, 1.0)]
)
def test_without_a_scale_the_matrix_of_a_cassette_is_guessed(side, guess):
    made = film(np.zeros((8, side)), spacing=None)
    assert film_pixel_mm(made) == pytest.approx((guess, guess))


def test_a_scale_is_taken_as_it_is():
    assert film_pixel_mm(film(np.zeros((8, 8)), spacing=(0.1, 0.3))) == (0.1, 0.3)


def test_a_deposit_stands_out_as_much_behind_a_thick_limb_on_a_film_linear_in_exposure():
    attenuation = np.zeros((10, 40))
    attenuation[:, 10:] = 1.0
    attenuation[:, 25:] = 2.5
    attenuation[5, ::5] += 0.3
    attenuation[0] = 9.0  # lead: a film holds something nearly no exposure reached
    exposure = 1000 * np.exp(-attenuation)
    values = additive(film(4000 - exposure, is_logarithmic=False))
    contrast = values[5, ::5] - values[4, ::5]
    assert contrast.max() / contrast.min() < 1.15
    assert contrast.min() > 0
    plain = film(4000 - exposure)
    assert np.ptp((plain.intensity[5] - plain.intensity[4])[::5]) > 100


@pytest.mark.parametrize("is_logarithmic", [True, None])
def test_other_films_are_taken_as_they_are(is_logarithmic):
    made = film(RNG.normal(size=(8, 8)), is_logarithmic=is_logarithmic)
    assert additive(made) is made.intensity


def test_the_film_itself_keeps_its_values():
    grey = RNG.uniform(0, 100, size=(8, 8)).astype(np.float32)
    made = film(grey, is_logarithmic=False)
    additive(made)
    assert (made.intensity == grey).all()


def test_a_constant_linear_film_has_no_infinite_value():
    assert np.isfinite(additive(film(np.full((8, 8), 7.0), is_logarithmic=False))).all()


def test_opening_takes_off_what_is_narrow_and_leaves_steps_and_the_end_of_the_film():
    step = np.zeros((40, 60), dtype=np.float32)
    step[:, 35:] = 10
    ramp = np.broadcast_to(np.arange(60, dtype=np.float32), (40, 60))
    for kept in (step, ramp, ramp[:, ::-1].copy(), ramp[:40, :40].T.copy()):
        assert (open_square(kept, 4) == kept).all()
    narrow, wide, at_end = (np.zeros((40, 60), dtype=np.float32) for _ in range(3))
    narrow[10:17, 20:27] = 5
    wide[10:19, 20:29] = 5
    at_end[:5, 20:40] = 5
    assert not open_square(narrow, 4).any()
    assert (open_square(wide, 4) == wide).all()
    assert (open_square(at_end, 4) == at_end).all()


@pytest.mark.parametrize("half_side", [1, 4, 11, 60])
def test_opening_is_that_by_a_square_on_a_film_that_goes_on_as_it_ends(half_side):
    grey = np.random.default_rng(half_side).normal(size=(41, 30)).astype(np.float32)
    room = 2 * half_side
    opened = ndimage.grey_opening(np.pad(grey, room, mode="edge"), size=2 * half_side + 1)
    np.testing.assert_array_equal(open_square(grey, half_side), opened[room:-room, room:-room])


@pytest.mark.parametrize("pixels", [1, 2, 5])
@pytest.mark.parametrize("density", [0.02, 0.5, 0.98])
def test_masks_grow_and_shrink_as_a_binary_morphology_by_a_square_would(pixels, density):
    mask = np.random.default_rng(pixels).uniform(size=(37, 53)) < density
    element = np.ones((2 * pixels + 1, 2 * pixels + 1), dtype=bool)
    before = mask.copy()
    assert (grown(mask, pixels) == ndimage.binary_dilation(mask, element)).all()
    assert (shrunk(mask, pixels) == ndimage.binary_erosion(mask, element)).all()
    expected = ndimage.binary_erosion(mask, element, border_value=1)
    assert (shrunk(mask, pixels, is_set_beyond=True) == expected).all()
    assert grown(mask, pixels).dtype == bool
    assert (mask == before).all()


def test_a_mask_that_is_a_view_is_spread_right():
    mask = np.random.default_rng(3).uniform(size=(40, 40)) < 0.1
    for view in (mask.T, mask[::-1], mask[:, 3:21]):
        assert (grown(view, 2) == ndimage.binary_dilation(view, np.ones((2 * 2 + 1, 2 * 2 + 1), dtype=bool))).all()


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_mask_is_enlarged_to_the_film_and_reduced_back(factor):
    mask = np.random.default_rng(2).uniform(size=(9, 7)) < 0.5
    shape = (9 * factor + factor - 1, 7 * factor)
    wide = enlarge_mask(mask, factor, shape)
    assert wide.shape == shape
    assert (reduce_mask(wide, factor) == mask).all()
    assert (wide[9 * factor :] == wide[9 * factor - 1]).all()
