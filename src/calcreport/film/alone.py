"""Foci that stand alone: all that is told from bone where many bones, or bones wider than a shaft, lie on the film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from calcreport.film.foci import FilmFocus
from calcreport.film.outline import diameters
from calcreport.film.reduced import ReducedFilm, around, grown, within

_ALONE_MM: Final = 20.0  # greatest length of a focus that stands alone ...
_ALONE_ROUND: Final = 0.5  # ... of the disc on that length it covers at least this share ...
_ALONE_GAP_MM: Final = 3.0  # ... and nothing else stands out so near
_TWICE: Final = (0.5, 1.6)
"""A focus that covers the first share of another, and is no larger than the second, is the same at another width."""


def standing_alone(reduced: ReducedFilm, foci: Sequence[FilmFocus]) -> list[FilmFocus]:
    """Compact foci with nothing beside them: parts of a bone that was not found come in numbers, or are long."""
    return [
        focus
        for focus in foci
        if _is_compact(reduced, focus) and not any(_is_beside(reduced, focus, other) for other in foci)
    ]


def _is_compact(reduced: ReducedFilm, focus: FilmFocus) -> bool:
    length = diameters(np.argwhere(focus.mask).astype(np.float64))[0] + 1.0
    is_short = length * reduced.pixel_mm <= _ALONE_MM
    return is_short and float(focus.mask.sum()) >= _ALONE_ROUND * np.pi / 4 * length**2


def _is_beside(reduced: ReducedFilm, focus: FilmFocus, other: FilmFocus) -> bool:
    """Whether another focus lies within reach, and is not this one at another width."""
    reach = reduced.pixels(_ALONE_GAP_MM)
    window = around(focus.box, reach)
    if any(b.start >= w.stop or b.stop <= w.start for b, w in zip(other.box, window, strict=True)):
        return False
    own, its = np.zeros((2, *(s.stop - s.start for s in window)), dtype=bool)
    own[within(focus.box, window)] = focus.mask
    cut = tuple(slice(max(b.start, w.start), min(b.stop, w.stop)) for b, w in zip(other.box, window, strict=True))
    its[within((cut[0], cut[1]), window)] = other.mask[within((cut[0], cut[1]), other.box)]
    if (own & its).sum() > _TWICE[0] * own.sum() and other.mask.sum() < _TWICE[1] * own.sum():
        return False
    return bool((grown(own, reach) & its).any())
