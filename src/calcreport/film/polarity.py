"""Which end of the grey of a film is dense, as its picture shows: air beside the patient is the darkest there is.

A header may state the wrong Photometric Interpretation; then bone would be searched as air and mineral as a gap. Air
beside a limb proves which end is dark: it is even, reaches the end of the field, and grey rises from it over
centimetres as the limb grows thicker. A collimator's margin is even as well, but ends in a step.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.film.exposure import find_exposure
from calcreport.film.reduced import ReducedFilm, additive, reduce_film, shrunk
from calcreport.model.film import FilmImage

TURNED: Final = (
    "Photometric Interpretation contradicts the picture: the background beside the patient shows which end is dense, "
    "and the film was read by that."
)  # note on a film that was turned
_PIXEL_MM: Final = 1.2
"""Coarse enough to be quick, fine enough for the rounding of a finger."""
_RINGS_MM: Final = ((1.0, 2.5), (2.5, 5.0), (5.0, 10.0), (10.0, 20.0))
"""Grey is compared at these distances from the air."""
_STEP: Final = 0.08
"""Rise of grey at 1-2.5 mm, the skin, as a share of the way from air to the median of the body: 0.11 or more ..."""
_STEP_TO_UNEVENNESS: Final = 1.25
"""... and so many times what the air itself varies by (10 to 90 %): 1.36 and more, against 1.14 and less, or a step
without rounding, on films of the wrong polarity."""
_ROUND: Final = (0.36, 0.8)
"""Rise at 2.5-5 mm over that at 10-20 mm: 0.38 to 0.76 where a limb begins, 0.82 and more at a collimator or a cast."""
_FAR: Final = (0.4, 1.0)
"""Rise at 10-20 mm: 0.46 to 0.89 in a limb, which is thicker still in its middle."""
_LEAST_AIR: Final = 0.05
"""A film is turned only by air that fills at least this share of its field ..."""
_LEAST_RIM: Final = 0.1
"""... and this share of the field's rim: clipped metal may be even and reach the rim, but in one place."""


def settle_polarity(film: FilmImage) -> FilmImage | None:
    """Film as it is, or turned where its background proves the header wrong.

    ``None`` where the header contradicts itself and the background does not decide.
    """
    reduced = reduce_film(film)
    factor = max(1, round(_PIXEL_MM / reduced.pixel_mm))
    reduced = reduced.reduced(factor) if factor > 1 else reduced
    if not reduced.grey.size or not reduced.is_imaged.any():
        return film
    if _has_air(_additive(film, reduced), least_air=0.0, least_rim=0.0):
        return film
    turned = replace(reduced, grey=reduced.grey.max() + reduced.grey.min() - reduced.grey)
    if _has_air(_additive(film, turned), least_air=_LEAST_AIR, least_rim=_LEAST_RIM):
        return replace(
            film,
            intensity=film.intensity.max() + film.intensity.min() - film.intensity,
            picture=~film.picture,
            notes=(TURNED, *film.notes),
        )
    return None if film.has_polarity_conflict else film


def _additive(film: FilmImage, reduced: ReducedFilm) -> ReducedFilm:
    if film.is_logarithmic is not False:
        return reduced
    image = replace(
        film, intensity=reduced.grey, picture=np.zeros(reduced.grey.shape, np.uint8), is_imaged=reduced.is_imaged
    )
    return replace(reduced, grey=additive(image))


def _has_air(reduced: ReducedFilm, *, least_air: float, least_rim: float) -> bool:
    """Whether the dark end of a plate is direct exposure beside a rounded body."""
    exposure = find_exposure(reduced)
    air, field = exposure.is_air, exposure.is_exposed
    if not air.any() or air.sum() < least_air * field.sum():
        return False
    rim = field & ~shrunk(field, 1)
    if air[rim].mean() < least_rim:
        return False
    distance = ndimage.distance_transform_edt(~air) * reduced.pixel_mm
    rings = [field & ~air & (distance > near) & (distance <= far) for near, far in _RINGS_MM]
    if not all(ring.any() for ring in rings):
        return False
    low, level, high = np.percentile(reduced.grey[air], (10, 50, 90))
    way = float(np.median(reduced.grey[field & ~air]) - level)
    if way <= 0:
        return False
    rises = [float(np.median(reduced.grey[ring]) - level) / way for ring in rings]
    return (
        rises[0] > max(_STEP, _STEP_TO_UNEVENNESS * float(high - low) / way)
        and all(a < b for a, b in pairwise(rises))
        and _ROUND[0] <= rises[1] / rises[-1] <= _ROUND[1]
        and _FAR[0] <= rises[-1] <= _FAR[1]
    )
