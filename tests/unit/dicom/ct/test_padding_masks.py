"""Masks beside padding, against what scipy says of whole slices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcreport.dicom.ct import pixels


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.55, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(70, 90), (1, 40), (40, 1), (2, 2)])
def test_parts_that_reach_the_border_are_those_of_scipy(share: float, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(3).random(shape) < share
    labels, _ = ndimage.label(mask)
    at_border = {*labels[[0, -1]].ravel().tolist(), *labels[:, [0, -1]].ravel().tolist()} - {0}
    assert np.array_equal(pixels.reaching_border(mask), np.isin(labels, list(at_border)))


def test_what_winds_to_the_border_reaches_it_however_long_the_way() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[2::4, 2:-2] = True
    mask[2:-2:8, 57] = mask[:5, 30] = mask[3:6, 2] = True  # a band from the border, and islands
    reached = pixels.reaching_border(mask)
    assert reached[0, 30]
    assert reached[6, 2]
    assert not reached[54, 2]
    assert not (reached & ~mask).any()


def test_voxels_around_are_counted_in_the_square_and_not_round_the_side() -> None:
    mask = np.random.default_rng(4).random((40, 31)) < 0.1
    side = np.ones(pixels._HARD_EDGE_REACH, dtype=int)
    expected = ndimage.convolve(mask.astype(int), np.outer(side, side), mode="constant")
    assert np.array_equal(pixels._count_around(mask), expected)
