"""From line integrals to the values a detector stores: scatter, blur, quanta, amplifier, processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.film.path_lengths import Map, enlarged
from calcphantom.film.recipe import ExposureRecipe, Photometric

_SCATTER_MM: Final = 22.0
"""Spread of scatter at the detector, standard deviation."""
_SCATTER_CELL_MM: Final = 4.0
_UNEXPOSED: Final = 0.004
"""Scatter behind the collimator as a share of the open beam."""
_UNSHARP_MM: Final = 2.5
_UNSHARP_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Amplifier:
    """What turns detected quanta into stored values, fixed for a film.

    Parameters
    ----------
    open_quanta : float
        Quanta a pixel in the open beam.
    field : NDArray[np.bool_]
        Exposed field, which alone is processed.
    low, high : float
        Limits of the scale: logarithm of open over detected quanta, or detected quanta for a linear film.
    recipe : ExposureRecipe
        Bits, polarity, processing.
    """

    open_quanta: float
    field: NDArray[np.bool_]
    low: float
    high: float
    recipe: ExposureRecipe

    def stored(self, quanta: Map) -> NDArray[np.uint16]:
        """Values as stored, from quanta a pixel of the same shape."""
        recipe = self.recipe
        top = 2**recipe.bits - 1
        if recipe.is_linear:
            dense = 1.0 - (quanta - self.low) / (self.high - self.low)
        else:
            dense = _logarithm(quanta, self.open_quanta)
            if recipe.is_processed:
                dense += _UNSHARP_SHARE * _detail(dense, self.field, _UNSHARP_MM / recipe.pixel_mm)
            dense = (dense - self.low) / (self.high - self.low)
            if recipe.is_processed:
                dense = _curve(dense)
        value = dense if recipe.photometric is Photometric.MONOCHROME2 else 1.0 - dense
        return np.asarray(np.clip(np.rint(value * top), 0, top), dtype=np.uint16)


def _detail(values: Map, field: NDArray[np.bool_], sigma: float) -> Map:
    """Values above their surroundings in the exposed field, 0 outside; `sigma` in pixels."""
    inside = field.astype(np.float32)
    around = ndimage.gaussian_filter(values * inside, sigma) / np.maximum(ndimage.gaussian_filter(inside, sigma), 1e-3)
    return np.asarray((values - around) * inside, dtype=np.float32)


def _logarithm(quanta: Map, open_quanta: float) -> Map:
    return np.asarray(np.log(open_quanta / np.maximum(quanta, 1.0)), dtype=np.float32)


def _curve(x: Map) -> Map:
    """Return a sigmoid from 0 to 1 over the scale, steepest in its middle."""
    steep = 4.5
    low, high = 1 / (1 + np.exp(steep * 0.5)), 1 / (1 + np.exp(-steep * 0.5))
    return np.asarray((1 / (1 + np.exp(-steep * (x - 0.5))) - low) / (high - low), dtype=np.float32)


def detected_quanta(
    attenuation: Map, is_exposed: NDArray[np.bool_], is_tissue: NDArray[np.bool_], recipe: ExposureRecipe
) -> tuple[Map, float]:
    """Mean number of quanta in each pixel, without noise.

    Parameters
    ----------
    attenuation : NDArray[np.float32]
        Line integral of the attenuation, no unit.
    is_exposed : NDArray[np.bool_]
        Same shape; inside the collimator.
    is_tissue : NDArray[np.bool_]
        Same shape; soft tissue, behind which the dose is set.
    recipe : ExposureRecipe
        Dose, scatter, blur.

    Returns
    -------
    tuple[NDArray[np.float32], float]
        Quanta a pixel, and quanta a pixel in the open beam.
    """
    primary = np.exp(-attenuation) * is_exposed
    behind = float(np.median(primary[is_tissue & is_exposed]))
    total = primary + _scatter(primary, attenuation, is_tissue & is_exposed, recipe)
    total = ndimage.gaussian_filter(total, recipe.blur_mm / recipe.pixel_mm, mode="nearest")
    total = np.where(is_exposed, total, np.minimum(total, _UNEXPOSED) + _UNEXPOSED)
    open_quanta = recipe.quanta_per_mm2 * recipe.pixel_mm**2 / (behind * (1 + recipe.scatter_ratio))
    return np.asarray(total * open_quanta, dtype=np.float32), float(open_quanta)


def _scatter(primary: Map, attenuation: Map, is_tissue: NDArray[np.bool_], recipe: ExposureRecipe) -> Map:
    """Scatter as a share of the open beam: born where the beam is attenuated, spread widely."""
    step = max(1, round(_SCATTER_CELL_MM / recipe.pixel_mm))
    sources = (primary * np.minimum(attenuation, 3.0), primary * is_tissue, is_tissue.astype(np.float32))
    cells = [_summed(_summed(source, step, 0), step, 1) for source in sources]
    spread = ndimage.gaussian_filter(cells[0], _SCATTER_MM / (step * recipe.pixel_mm), mode="constant")
    tissue = cells[2] > 0.5 * step * step
    ratio = np.median(spread[tissue] / np.maximum(cells[1][tissue] / cells[2][tissue], 1e-6))
    spread *= recipe.scatter_ratio / float(ratio)
    box = (slice(0, primary.shape[0]), slice(0, primary.shape[1]))
    padded = np.pad(spread, ((0, 2), (0, 2)), mode="edge").astype(np.float32)
    return enlarged(padded, box, step)


def _summed(values: Map, step: int, axis: int) -> Map:
    return np.asarray(np.add.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis), dtype=np.float32)


def with_noise(quanta: Map, recipe: ExposureRecipe, rng: np.random.Generator) -> Map:
    """Add quantum and electronic noise to quanta a pixel; the grain correlates neighbours and keeps the level."""
    noise = rng.standard_normal(quanta.shape, dtype=np.float32)
    if recipe.noise_grain_pixels > 0:
        noise = ndimage.gaussian_filter(noise, recipe.noise_grain_pixels, mode="wrap")
        noise /= noise.std()
    return np.asarray(quanta + noise * np.sqrt(quanta + np.float32(recipe.electronic_quanta**2)), dtype=np.float32)


def amplifier_for(quanta: Map, is_exposed: NDArray[np.bool_], open_quanta: float, recipe: ExposureRecipe) -> Amplifier:
    """Choose the scale of a film from its noise-free quanta: the whole exposed field, with room at both ends."""
    if recipe.is_linear:
        return Amplifier(open_quanta=open_quanta, field=is_exposed, low=0.0, high=1.15 * open_quanta, recipe=recipe)
    values = _logarithm(quanta, open_quanta)[is_exposed]
    high = float(np.percentile(values[:: max(1, len(values) // 100000)], 99.9))
    return Amplifier(open_quanta=open_quanta, field=is_exposed, low=-0.25, high=1.15 * high + 0.15, recipe=recipe)


def open_field(shape: tuple[int, int], border: tuple[int, int, int, int] | None) -> NDArray[np.bool_]:
    """Exposed field: everything, or what a border of pixels (top, bottom, left, right) leaves."""
    field = np.ones(shape, dtype=np.bool_)
    if border is not None:
        top, bottom, left, right = border
        field[:top], field[shape[0] - bottom :], field[:, :left], field[:, shape[1] - right :] = (False,) * 4
    return field
