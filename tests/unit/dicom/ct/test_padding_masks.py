"""Masks beside padding, against what scipy says of whole slices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcreport.dicom.ct import pixels


@pytest.mark.parametrize("share", [0.05, 0.3, 0.55, 0.6, 0.9, 1.0])
def test_what_reaches_the_border_is_told_voxel_by_voxel_as_of_the_whole_slice(share: float) -> None:
    mask = np.random.default_rng(3).random((70, 90)) < share
    index = np.flatnonzero(mask)[::3]
    assert np.array_equal(pixels._reach_border(mask, index), pixels.reaching_border(mask).reshape(-1)[index])


def test_what_winds_to_the_border_reaches_it_however_long_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[2::4, 2:-2] = True
    mask[2:-2:8, 57] = mask[:5, 30] = mask[3:6, 2] = True  # a band from the border, and islands
    index = np.flatnonzero(mask)
    expected = pixels.reaching_border(mask).reshape(-1)[index]
    assert expected.any()
    assert not expected.all()
    for largest in (3, 1_000):  # with and without the look at the whole slice
        monkeypatch.setattr(pixels, "_LARGEST_SPECK", largest)
        assert np.array_equal(pixels._reach_border(mask, index), expected)


def test_voxels_around_are_counted_in_the_square_and_not_round_the_side() -> None:
    mask = np.random.default_rng(4).random((40, 31)) < 0.1
    side = np.ones(pixels._HARD_EDGE_REACH, dtype=int)
    expected = ndimage.convolve(mask.astype(int), np.outer(side, side), mode="constant")
    assert np.array_equal(pixels._count_around(mask), expected)
