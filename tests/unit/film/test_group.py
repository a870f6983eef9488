"""Which foci of a film are one finding; distances hold in millimetres, not in pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.one_film import search_film
from calcreport.film.outline import Outline, group_outlines
from calcreport.model.film import PixelMask

sys.path.append(str(Path(__file__).parent))

from painted_films import ball, leg


def rectangle(top, left, height, width, spacing):
    """Outline of a rectangle given in mm."""
    across = np.linspace(0, 1, 40)
    zero, one = np.zeros(40), np.ones(40)
    corners = [(zero, across), (one, across), (across, zero), (across, one)]
    points = np.concatenate([np.stack((top + a * height, left + b * width), axis=1) for a, b in corners]) / spacing
    shape = (max(1, round(height / spacing[0])), max(1, round(width / spacing[1])))
    return Outline(
        mask=PixelMask(offset=(round(top / spacing[0]), round(left / spacing[1])), pixels=np.ones(shape, dtype=bool)),
        points=points,
        contrast=100.0,
        sharpness=1.0,
    )


def grouped(*boxes, spacing=(0.2, 0.2)):
    found = group_outlines([rectangle(*box, spacing) for box in boxes], spacing)
    return sorted(sorted(group) for group in found)


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.1, 0.4), (0.4, 0.1)])
@pytest.mark.parametrize(("gap", "is_one"), [(2, True), (9.5, True), (10.5, False), (15, False)])
@pytest.mark.parametrize("axis", [0, 1])
def test_foci_within_ten_millimetres_are_one_finding(axis, gap, is_one, spacing):
    second = (10 + 5 + gap, 10, 5, 5) if axis == 0 else (10, 10 + 5 + gap, 5, 5)
    groups = grouped((10, 10, 5, 5), second, spacing=spacing)
    assert groups == ([[0, 1]] if is_one else [[0], [1]])


def test_the_gap_counts_between_edges_also_aslant():
    assert grouped((10, 10, 5, 5), (22, 22, 5, 5)) == [[0, 1]]
    assert grouped((10, 10, 5, 5), (23, 23, 5, 5)) == [[0], [1]]


def test_a_chain_of_foci_is_one_finding_and_another_chain_another():
    chain = [(10, 10 + 12 * n, 4, 4) for n in range(4)]
    other = [(60, 10 + 12 * n, 4, 4) for n in range(3)]
    assert grouped(*chain, *other) == [[0, 1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("second", "is_one"),
    [
        ((55, 10, 20, 2), True),
        ((55, 16, 20, 2), True),
        ((65, 10, 20, 2), False),
        ((45, 35, 20, 2), False),
        ((55, 4, 2, 20), False),
        ((55, 10, 6, 6), False),
    ],
    ids=["in line", "opposite wall", "too far", "aside", "athwart", "round"],
)
def test_stretches_of_one_vessel_are_joined(second, is_one):
    assert grouped((10, 10, 20, 2), second) == ([[0, 1]] if is_one else [[0], [1]])


def test_order_does_not_matter():
    boxes = [(10, 10, 5, 5), (60, 60, 5, 5), (20, 10, 5, 5), (60, 70, 5, 5)]
    assert grouped(*boxes) == [[0, 2], [1, 3]]
    assert grouped(*boxes[::-1]) == [[0, 2], [1, 3]]


def test_nothing_makes_no_group():
    assert group_outlines([], (0.2, 0.2)) == []


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.2, 0.4)])
def test_two_balls_on_a_film(spacing):
    """Both in one finding with both lengths, or two findings."""
    near = leg(ball((40, 78), 5, 200), ball((40 + 5 + 7, 78), 5, 200), spacing=spacing)
    far = leg(ball((40, 78), 5, 200), ball((40 + 5 + 13, 78), 5, 200), spacing=spacing)
    (one,) = search_film(near, 0).findings
    assert one.shape.count == len(one.focus_lengths) == 2
    assert one.shadow.longest.length_mm == pytest.approx(17.0, abs=0.6)
    assert max(one.focus_lengths) == pytest.approx(5.0, abs=0.5)
    assert len(search_film(far, 0).findings) == 2
