"""Grey of soft tissue alone, as far as it follows from the distance to the skin."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.film.exposure import Exposure
from calcreport.film.reduced import Floats, Mask, ReducedFilm

_LAYER_MM: Final = 2.0  # thickness of a layer beneath the skin
_LAYERS: Final = 80  # to 160 mm
_STRETCH_MM: Final = 50.0  # length of limb that shares a curve
_LOW_PERCENT: Final = 25  # percentile: deposits and bone are brighter
_FAT_MM: Final = 14.0
"""So near to the skin line fat gives way to muscle, and grey may rise ever faster."""


def soft_tissue(reduced: ReducedFilm, exposure: Exposure, smooth: Floats) -> Floats:
    """Grey of soft tissue alone as far as it follows from the distance to the skin, shape of the plate.

    A limb is thickest in its middle. At one distance from the skin line most of what is brighter is bone, so that a low
    percentile there, in a stretch of the limb, is soft tissue. Zero where the film shows no skin line.
    """
    if not exposure.has_skin_line:
        return np.zeros(smooth.shape, dtype=np.float32)
    depth = ndimage.distance_transform_edt(~exposure.is_air) * reduced.pixel_mm
    bins = np.minimum(depth / _LAYER_MM, _LAYERS - 1).astype(np.intp)
    # a curve holds from the middle of one layer to the middle of the next
    within = np.clip(depth / _LAYER_MM - 0.5, 0, _LAYERS - 1.001)
    layer = within.astype(np.intp)
    part = (within - layer).astype(np.float32)
    body = exposure.is_body & exposure.is_exposed
    band = max(1, reduced.pixels(_STRETCH_MM))
    starts = range(0, smooth.shape[0], band)
    curves = np.array(
        [_low_curve(smooth[i : i + 2 * band], bins[i : i + 2 * band], body[i : i + 2 * band]) for i in starts]
    )
    place = np.clip((np.arange(smooth.shape[0]) - band) / band, 0, len(curves) - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, len(curves) - 1)
    share = (place - low).astype(np.float32)[:, None]
    model = (1 - part) * _at(curves, low, high, share, layer) + part * _at(curves, low, high, share, layer + 1)
    return np.asarray(np.where(body, model, 0), dtype=np.float32)


def _at(
    curves: NDArray[np.float64], low: NDArray[np.intp], high: NDArray[np.intp], share: Floats, layer: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Grey of a layer, between the curves of two stretches of the limb."""
    return np.asarray((1 - share) * curves[low[:, None], layer] + share * curves[high[:, None], layer])


def _low_curve(grey: Floats, bins: NDArray[np.intp], body: Mask) -> NDArray[np.float64]:
    """Low percentile of the grey in each layer beneath the skin, never falling with depth, shape ``(layers,)``."""
    order = np.argsort(bins[body], kind="stable")
    values, keys = grey[body][order], bins[body][order]
    edges = np.searchsorted(keys, np.arange(_LAYERS + 1))
    curve = np.full(_LAYERS, np.nan)
    for layer in range(_LAYERS):
        part = values[edges[layer] : edges[layer + 1]]
        if part.size > 20:
            curve[layer] = np.percentile(part[:: max(1, part.size // 500)], _LOW_PERCENT)
    known = np.flatnonzero(np.isfinite(curve))
    if not known.size:
        return np.zeros(_LAYERS)
    filled = ndimage.gaussian_filter1d(np.interp(np.arange(_LAYERS), known, curve[known]), 1.5, mode="nearest")
    rise = np.maximum(np.diff(filled), 0)
    # A round limb thickens ever more slowly with depth; where grey rises faster again, bone has begun.
    start = int(_FAT_MM / _LAYER_MM)
    rise[start:] = np.minimum.accumulate(rise[start:])
    return np.concatenate((filled[:1], filled[0] + np.cumsum(rise)))
