"""Foci that lie on each other are one; foci that touch are two."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.film.foci import FilmFocus
from calcreport.film.outline import Outline, without_repeats
from calcreport.model.film import PixelMask


def found(row: int, column: int, side: int, *, has_edges: bool = False) -> tuple[FilmFocus, Outline]:
    """A square focus and its outline."""
    pixels = np.ones((side, side), dtype=bool)
    focus = FilmFocus(
        box=(slice(row, row + side), slice(column, column + side)),
        mask=pixels,
        contrast=1.0,
        significance=10.0,
        bone_contact=0.0,
        is_cut=False,
        has_edges=has_edges,
    )
    mask = PixelMask(offset=(row, column), pixels=pixels)
    return focus, Outline(mask=mask, points=np.argwhere(pixels).astype(float), contrast=1.0, sharpness=1.0)


def offsets(pairs):
    return sorted(outline.mask.offset for _focus, outline in pairs)


@pytest.mark.parametrize(("column", "left"), [(0, 1), (20, 1), (36, 1), (39, 2), (40, 2), (60, 2)])
def test_what_is_seen_twice_is_kept_once(column, left):
    assert len(without_repeats([found(0, 0, 40), found(0, column, 6)])) == left


def test_of_what_is_seen_twice_the_larger_is_kept():
    assert offsets(without_repeats([found(10, 10, 6), found(0, 0, 40)])) == [(0, 0)]


def test_or_that_which_its_edges_bound():
    assert offsets(without_repeats([found(0, 0, 40), found(10, 10, 20, has_edges=True)])) == [(10, 10)]
