"""Foci that stand alone: all that can be distinguished from bone where many or wide bones lie on the film."""

from __future__ import annotations

from typing import Final

import numpy as np

from calcreport.film.foci import FilmFocus
from calcreport.film.outline import diameters
from calcreport.film.reduced import ReducedFilm, around, grown

_ALONE_MM: Final = (10.0, 3.0)  # Length below which a focus stands alone, less than most tarsals, and its least gap; ..
_ALONE_ROUND: Final = 0.5  # ... of the disc on its length it covers at least this share
_TWICE: Final = (0.5, 1.6)  # What shares so much of a focus, and is no larger than this, is the same at another width


def standing_alone(reduced: ReducedFilm, foci: list[FilmFocus]) -> list[FilmFocus]:
    """Compact foci with nothing beside them: parts of a bone that was not found come in numbers, or are long."""
    plates, alone = np.zeros((len(foci), *reduced.grey.shape), dtype=bool), []
    for plate, focus in zip(plates, foci, strict=True):
        plate[focus.box] = focus.mask
    areas = plates.sum(axis=(1, 2))
    for number, focus in enumerate(foci):
        length, area = diameters(np.argwhere(focus.mask).astype(np.float64))[0] + 1.0, areas[number]
        if length * reduced.pixel_mm > _ALONE_MM[0] or area < _ALONE_ROUND * np.pi / 4 * length**2:
            continue
        reach = reduced.pixels(_ALONE_MM[1])
        here = plates[(slice(None), *around(focus.box, reach))]
        is_same = ((here & here[number]).sum(axis=(1, 2)) > _TWICE[0] * area) & (areas < _TWICE[1] * area)
        if not (here[~is_same] & grown(here[number], reach)).any():
            alone.append(focus)
    return alone
