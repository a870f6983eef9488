"""The outline is one closed line around exactly the mask and its holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_fill_holes

from calcreport.formats.dicom.outline import outline


def inside(line: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside, by the parity of crossings of a ray to the right."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    crossed = np.zeros(shape, dtype=int)
    for (x, y), (u, v) in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
        low, high = sorted(((y, x), (v, u)))
        if low[0] == high[0]:
            continue
        passes = (rows >= low[0]) & (rows < high[0])
        at = low[1] + (rows - low[0]) * (high[1] - low[1]) / (high[0] - low[0])
        crossed += passes & (at > columns)
    return crossed % 2 == 1


def test_one_pixel_is_outlined_from_its_first_corner() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[2, 3] = True
    assert outline(mask).tolist() == [[3, 2], [4, 2], [4, 3], [3, 3], [3, 2]]


def test_pixels_at_the_border_are_inside_the_image() -> None:
    line = outline(np.ones((4, 6), dtype=bool))
    assert line.tolist() == [[0, 0], [6, 0], [6, 4], [0, 4], [0, 0]]


def test_foci_are_joined_by_a_line_drawn_twice() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[1:3, 1:3] = mask[7:9, 6:9] = True
    line = outline(mask)
    assert len(line) == 11
    assert (inside(line, mask.shape) == mask).all()


def test_a_hole_is_enclosed() -> None:
    mask = np.ones((7, 7), dtype=bool)
    mask[2:5, 2:5] = False
    assert inside(outline(mask), mask.shape).all()


def test_an_empty_mask_has_no_outline() -> None:
    with pytest.raises(ValueError, match="empty"):
        outline(np.zeros((3, 3), dtype=bool))


@settings(max_examples=300, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))).filter(np.any))
def test_every_mask_is_enclosed_and_nothing_beside_it_but_holes(mask: np.ndarray) -> None:
    line = outline(mask)
    assert (line[0] == line[-1]).all()
    assert line.min() >= 0
    assert (line <= mask.shape[::-1]).all()
    assert (inside(line, mask.shape) == binary_fill_holes(mask)).all()


def test_thousands_of_foci_are_joined_by_the_shortest_ways() -> None:
    mask = np.zeros((800, 800), dtype=bool)
    mask[::12, ::12] = True
    line = outline(mask)
    foci = int(mask.sum())
    between = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert foci == 67**2
    # four sides each, and for each focus but one a way of eleven pixels there and back
    assert between.sum() == pytest.approx(4 * foci + 2 * 11 * (foci - 1))
    corner = (slice(0, 40), slice(0, 40))
    assert (inside(outline(mask[corner]), (40, 40)) == mask[corner]).all()
