"""Masks cut out of a series or a film find their place in it again."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.model.film import PixelMask
from calcreport.model.lesion import VoxelMask

CELLS = np.array([[True, False, True], [False, True, True]])


@pytest.mark.parametrize(("index", "row"), [(3, 0), (4, 1)])
def test_a_slice_of_a_mask_lies_where_it_was_cut_out(index, row):
    plane = VoxelMask(offset=(3, 2, 1), voxels=CELLS[:, None, :]).on_slice(index, (5, 6))
    assert np.array_equal(plane[2, 1:4], CELLS[row])
    assert plane.sum() == CELLS[row].sum()


@pytest.mark.parametrize("index", [2, 5])
def test_a_slice_beside_the_mask_is_empty(index):
    assert not VoxelMask(offset=(3, 2, 1), voxels=CELLS[:, None, :]).on_slice(index, (5, 6)).any()


def test_a_mask_lies_on_its_film_where_it_was_cut_out():
    film = PixelMask(offset=(1, 2), pixels=CELLS).on_film((4, 6))
    assert np.array_equal(film[1:3, 2:5], CELLS)
    assert film.sum() == CELLS.sum()


@pytest.mark.parametrize(
    ("room", "box"),
    [(0, ((1, 3), (2, 5))), (1, ((0, 4), (1, 6))), (9, ((0, 4), (0, 6)))],
)
def test_room_around_a_mask_ends_with_the_film(room, box):
    rows, columns = PixelMask(offset=(1, 2), pixels=CELLS).padded_box(room, (4, 6))
    assert ((rows.start, rows.stop), (columns.start, columns.stop)) == box
