"""From attenuation to stored values: Beer-Lambert, noise, scatter, polarity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calcphantom.film.exposure import amplifier_for, detected_quanta, open_field, with_noise
from calcphantom.film.recipe import ExposureRecipe, Photometric, Spacing

PLAIN = ExposureRecipe(
    pixel_mm=0.5, scatter_ratio=0.0, blur_mm=0.0, electronic_quanta=0.0, quanta_per_mm2=40000.0, noise_grain_pixels=0.0
)
SHAPE = (160, 200)


def slab(thick: float, thin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Attenuation of a slab over the right half of a film, and where it is."""
    attenuation = np.full(SHAPE, thin, dtype=np.float32)
    attenuation[:, 100:] = thick
    is_tissue = np.zeros(SHAPE, dtype=bool)
    is_tissue[:, 100:] = True
    return attenuation, is_tissue


def test_a_slab_attenuates_as_beer_and_lambert_say() -> None:
    attenuation, is_tissue = slab(2.0)
    quanta, open_quanta = detected_quanta(attenuation, np.ones(SHAPE, dtype=bool), is_tissue, PLAIN)
    assert quanta[80, 150] == pytest.approx(40000 * 0.25, rel=1e-3)
    assert quanta[80, 50] / quanta[80, 150] == pytest.approx(np.exp(2.0), rel=1e-3)
    assert open_quanta == pytest.approx(quanta[80, 50], rel=1e-3)


@pytest.mark.parametrize("ratio", [0.2, 1.0])
def test_scatter_has_the_ratio_that_was_asked_for_and_lowers_contrast(ratio: float) -> None:
    attenuation, is_tissue = slab(2.0, thin=1.9)
    field = np.ones(SHAPE, dtype=bool)
    recipe = replace(PLAIN, scatter_ratio=ratio)
    quanta, open_quanta = detected_quanta(attenuation, field, is_tissue, recipe)
    primary = open_quanta * np.exp(-attenuation)
    assert np.median((quanta / primary - 1)[is_tissue]) == pytest.approx(ratio, rel=0.1)
    assert quanta[80, 50] / quanta[80, 150] < np.exp(0.1)


@pytest.mark.parametrize("grain", [0.0, 0.6])
def test_noise_is_that_of_the_quanta_and_the_electronics(grain: float) -> None:
    recipe = replace(PLAIN, noise_grain_pixels=grain, electronic_quanta=50.0)
    quanta = np.full((300, 300), 5000.0, dtype=np.float32)
    noisy = with_noise(quanta, recipe, np.random.default_rng(3))
    assert float(noisy.std()) == pytest.approx(np.sqrt(5000.0 + 50.0**2), rel=0.02)
    assert float(noisy.mean()) == pytest.approx(5000.0, rel=0.01)


@pytest.mark.parametrize("is_linear", [False, True])
def test_more_attenuation_is_more_in_one_polarity_and_less_in_the_other(is_linear: bool) -> None:
    attenuation, is_tissue = slab(2.0)
    field = np.ones(SHAPE, dtype=bool)
    quanta, open_quanta = detected_quanta(attenuation, field, is_tissue, PLAIN)
    stored = {}
    for photometric in Photometric:
        recipe = replace(PLAIN, photometric=photometric, is_linear=is_linear)
        stored[photometric] = amplifier_for(quanta, field, open_quanta, recipe).stored(quanta).astype(int)
    assert stored[Photometric.MONOCHROME2][80, 150] > stored[Photometric.MONOCHROME2][80, 50]
    both = stored[Photometric.MONOCHROME1] + stored[Photometric.MONOCHROME2]
    assert np.abs(both - (2**PLAIN.bits - 1)).max() <= 1


def test_a_logarithmic_film_is_linear_in_attenuation_and_a_linear_one_in_quanta() -> None:
    steps = np.repeat(np.linspace(0.5, 2.5, 8, dtype=np.float32)[None, :], 40, axis=0).repeat(20, axis=1)
    field = np.ones(steps.shape, dtype=bool)
    quanta, open_quanta = detected_quanta(steps, field, field, PLAIN)
    logarithmic = amplifier_for(quanta, field, open_quanta, PLAIN).stored(quanta)[20, 10::20].astype(float)
    assert np.diff(logarithmic) == pytest.approx(np.diff(logarithmic).mean(), abs=2.0)
    recipe = replace(PLAIN, is_linear=True)
    linear = amplifier_for(quanta, field, open_quanta, recipe).stored(quanta)[20, 10::20].astype(float)
    # the scale runs from no quanta to 1.15 times the open beam
    expected = (1 - np.exp(-np.linspace(0.5, 2.5, 8)) / 1.15) * (2**recipe.bits - 1)
    assert linear == pytest.approx(expected, abs=2.0)


def test_nothing_but_scatter_reaches_the_film_behind_the_collimator() -> None:
    attenuation, is_tissue = slab(1.0)
    field = open_field(SHAPE, (20, 10, 30, 15))
    quanta, open_quanta = detected_quanta(attenuation, field, is_tissue, PLAIN)
    assert field.sum() == (160 - 30) * (200 - 45)
    assert quanta[~field].max() < 0.02 * open_quanta


@pytest.mark.parametrize(
    "settings", [{"modality": "DX", "spacing": Spacing.NONE}, {"modality": "CR", "is_linear": True}]
)
def test_films_that_cannot_exist_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="DX film"):
        ExposureRecipe(**settings)  # type: ignore[arg-type]
