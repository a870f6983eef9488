"""Foci that several searches found at one place."""

from __future__ import annotations

from typing import Final

import numpy as np

from calcreport.film.foci import FilmFocus
from calcreport.film.outline import Outline
from calcreport.model.film import PixelMask

SAME: Final = 0.3
"""Foci that share this much of the smaller are seen twice; with less they touch each other."""


def without_repeats(pairs: list[tuple[FilmFocus, Outline]]) -> list[tuple[FilmFocus, Outline]]:
    """One of the foci that lie on each other: the one its edges bound, else the largest.

    The narrow search sees the border of a mass, the wide one all; either may take it together with what lies beside.
    """
    kept: list[tuple[FilmFocus, Outline]] = []
    for focus, outline in sorted(pairs, key=lambda pair: (not pair[0].has_edges, -float(pair[1].mask.pixels.sum()))):
        if not _is_among(outline, kept):
            kept.append((focus, outline))
    return kept


def not_among(
    pairs: list[tuple[FilmFocus, Outline]], others: list[tuple[FilmFocus, Outline]]
) -> list[tuple[FilmFocus, Outline]]:
    """Those of the foci that lie on none of the others."""
    return [(focus, outline) for focus, outline in pairs if not _is_among(outline, others)]


def _is_among(outline: Outline, others: list[tuple[FilmFocus, Outline]]) -> bool:
    return any(_overlap(outline.mask, other.mask) > SAME for _, other in others)


def _overlap(first: PixelMask, second: PixelMask) -> float:
    """Share of the smaller of two masks that lies on the other."""
    low = np.maximum(first.offset, second.offset)
    high = np.minimum(np.add(first.offset, first.pixels.shape), np.add(second.offset, second.pixels.shape))
    if (high <= low).any():
        return 0.0
    cuts = [
        mask.pixels[tuple(slice(int(a - o), int(b - o)) for a, b, o in zip(low, high, mask.offset, strict=True))]
        for mask in (first, second)
    ]
    return float((cuts[0] & cuts[1]).sum()) / max(1, min(int(first.pixels.sum()), int(second.pixels.sum())))
