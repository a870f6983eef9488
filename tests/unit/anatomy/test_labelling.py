"""Parts are numbered as scipy numbers them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcreport.anatomy.labelling import label, label_planes


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("shape", [(40,), (17, 23), (6, 17, 23), (1, 1, 9), (9, 1, 1), (5, 1, 7), (2, 2, 9)])
@pytest.mark.parametrize("corners", [False, True])
def test_parts_have_the_numbers_of_scipy(shape: tuple[int, ...], share: float, corners: bool) -> None:
    mask = np.random.default_rng(3).random(shape) < share
    structure = np.ones((3,) * mask.ndim) if corners else None
    for given in (mask, np.asfortranarray(mask), mask[::-1]):
        labels, count = label(given, corners=corners)
        expected, number = ndimage.label(given, structure=structure)
        assert count == number
        assert np.array_equal(labels, expected)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_parts_of_a_slice_do_not_reach_the_next(share: float) -> None:
    mask = np.random.default_rng(4).random((5, 12, 9)) < share
    in_plane = ndimage.generate_binary_structure(3, 1) & np.array([[[False]], [[True]], [[False]]])
    labels, count = label_planes(mask)
    expected, number = ndimage.label(mask, structure=in_plane)
    assert count == number
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("axis", range(3))
def test_a_line_of_voxels_has_its_parts(axis: int) -> None:
    mask = np.moveaxis(np.array([[[True, False, True]]]), 2, axis)
    labels, count = label(mask, corners=True)
    assert (labels.ravel().tolist(), count) == ([1, 0, 2], 2)
