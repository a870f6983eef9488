"""What is bone in projection, and what lies beside it; soft tissue by its distance from the skin."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.bone import find_bones, soft_tissue
from calcreport.film.exposure import find_exposure
from calcreport.film.reduced import reduce_film

sys.path.append(str(Path(__file__).parent))

from painted_films import (
    BONE,
    BONE_AT,
    ENDLESS,
    LIMB_AT,
    SOFT,
    SOFT_AT,
    Thing,
    ball,
    bar,
    chord,
    disc,
    ellipse,
    film,
    leg,
    limb,
    noisy,
    paint,
    ring,
    shaft,
)

WIDE = (160.0, 150.0)
"""Height and width of a film of a knee."""


def parted(made):
    reduced = reduce_film(made)
    exposure = find_exposure(reduced)
    return reduced, exposure, find_bones(reduced, exposure)


def within(reduced, middle, diameter):
    """Disc on the plate, mm."""
    i, j = (np.indices(reduced.grey.shape) + 0.5) * reduced.pixel_mm
    return np.hypot(i - middle[0], j - middle[1]) < diameter / 2


def column_mm(reduced):
    return (np.arange(reduced.grey.shape[1]) + 0.5) * reduced.pixel_mm


def knee(*things, seed=1, **fields):
    """A shaft that widens to 66 mm at its end, and the shaft of another bone beyond the joint."""
    grey = paint(
        (limb(75, width=130, depth=110), shaft(75, width=30, row=0, length=150), KNEE_END, *things),
        size_mm=WIDE,
        spacing=(0.4, 0.4),
    )
    return film(noisy(grey, seed=seed), spacing=(0.4, 0.4), part="KNEE", **fields)


KNEE_END = ellipse((90, 75), (60, 66), 30 * BONE, solid=True)


def test_a_shaft_is_bone_with_its_marrow_and_nothing_else_is():
    reduced, _exposure, bones = parted(leg())
    apart = np.abs(column_mm(reduced) - BONE_AT)
    assert bones.is_bone[:, apart < 11].mean() > 0.99
    assert not bones.is_bone[:, apart > 14].any()
    assert bones.contrast > 300


def test_a_limb_without_bone_shows_none():
    _plate, _exposure, bones = parted(leg(bone=False))
    assert bones.is_bone.mean() < 0.01


def test_the_wide_end_of_a_bone_is_bone():
    reduced, _exposure, bones = parted(knee())
    assert bones.is_bone[within(reduced, (90, 75), 54)].all()
    assert not bones.is_bone[:, np.abs(column_mm(reduced) - 75) > 38].any()


def test_a_bone_too_wide_for_the_filter_is_bone_on_the_bright_side_of_its_edges():
    """A flat bone 58 mm wide that leaves the film: its middle stands out of nothing within the reach of the filter."""
    body = (limb(75, width=140, depth=110), shaft(75, width=30, row=0, length=150), ellipse((150, 75), (160, 58), 700))
    reduced, _exposure, bones = parted(film(noisy(paint(body, size_mm=WIDE, spacing=(0.4, 0.4))), spacing=(0.4, 0.4)))
    assert bones.is_bone[within(reduced, (140, 75), 30)].mean() > 0.95
    assert not bones.is_bone[:, np.abs(column_mm(reduced) - 75) > 34].any()


@pytest.mark.parametrize("thing", [ball((50, 57), 8, 250), ball((50, 60), 12, 400), disc((50, 56), 6, 300)])
def test_a_deposit_beside_a_shaft_is_no_bone(thing):
    reduced, _exposure, bones = parted(leg(thing))
    assert bones.is_bone[within(reduced, thing.middle, 2 * thing.reach - 2)].mean() < 0.05


def test_a_deposit_that_overlaps_a_shaft_ends_where_the_shaft_ends():
    reduced, _exposure, bones = parted(leg(ball((50, 54), 8, 250)))
    assert not bones.is_bone[:, column_mm(reduced) > BONE_AT + 12 + 3].any()


def test_soft_tissue_between_two_bones_is_no_marrow():
    body = (limb(75, width=130, depth=110), shaft(55, width=20), shaft(95, width=20))
    muscle = ellipse((80, 75), (100, 20), 0.4 * 20 * BONE, solid=True)
    reduced, _exposure, bones = parted(film(noisy(paint((*body, muscle), size_mm=WIDE))))
    assert not bones.is_bone[within(reduced, (80, 75), 10)].any()
    assert bones.is_bone[within(reduced, (80, 95), 16)].all()


def test_a_deposit_between_two_bones_is_no_marrow():
    body = (limb(75, width=130, depth=110), shaft(55, width=20), shaft(95, width=20))
    deposit = bar((80, 75), 24, 6, 700)
    reduced, _exposure, bones = parted(film(noisy(paint((*body, deposit), size_mm=WIDE))))
    assert not bones.is_bone[within(reduced, deposit.middle, 20)].any()
    assert bones.is_bone[within(reduced, (80, 95), 16)].all()


@pytest.mark.parametrize("depth", [90.0, 120.0, 150.0])
def test_a_limb_that_thickens_faster_on_one_side_is_no_bone_there(depth):
    """The curve of soft tissue is that of both sides; what it leaves on the steeper one does not rise on the film."""

    def lopsided(_y, x):
        return SOFT * depth * np.maximum(0, 1 - np.abs(x / 45) ** np.where(x > 0, 8, 2))

    body = (Thing((0.0, LIMB_AT), ENDLESS, lopsided), shaft(LIMB_AT, width=20))
    reduced, _exposure, bones = parted(film(noisy(paint(body))))
    aside = np.abs(column_mm(reduced) - LIMB_AT)
    assert not bones.is_bone[:, aside > 14].any()
    assert bones.is_bone[:, aside < 9].mean() > 0.95


@pytest.mark.parametrize("gap_deg", [0.0, 60.0])
def test_a_ring_in_soft_tissue_is_no_bone(gap_deg):
    made = leg(ring((50, 77), 38, 3, 300, gap_deg=gap_deg))
    reduced, _exposure, bones = parted(made)
    assert bones.is_bone[within(reduced, (50, 77), 36)].mean() < 0.02
    assert bones.is_bone[:, np.abs(column_mm(reduced) - BONE_AT) < 11].mean() > 0.95


@pytest.mark.parametrize("thing", [ball((50, 78), 24, 500), disc((50, 78), 28, 600)])
def test_a_large_deposit_in_soft_tissue_is_no_bone(thing):
    """However dense and large: it does not leave the field, and is no joint's width away from a bone that does."""
    reduced, _exposure, bones = parted(leg(thing))
    assert bones.is_bone[within(reduced, thing.middle, 22)].mean() < 0.02


def hand():
    """Five rays of three phalanges and a bone that leaves the film; soft tissue around each; joint spaces of 2 mm."""
    things, bones = [], []
    for ray in range(5):
        column, row = 24.0 + 20 * ray, 8.0 + 4 * abs(ray - 2)
        things.append(ellipse((80, column), (170, 17), SOFT * 15, solid=True))
        for length, width in ((16, 8), (22, 9), (32, 10), (90, 11)):
            middle = (row + length / 2, column)
            things.append(shaft(column, width=width, row=middle[0], length=length))
            bones.append((middle, length, width))
            row += length + 2
    grey = paint(things, size_mm=(150, 130), spacing=(0.2, 0.2))
    return film(noisy(grey), part="HAND"), bones


def test_the_phalanges_of_a_hand_are_bone():
    made, phalanges = hand()
    reduced, _exposure, bones = parted(made)
    i, j = (np.indices(reduced.grey.shape) + 0.5) * reduced.pixel_mm
    for (row, column), length, width in phalanges:
        here = (np.abs(i - row) < length / 2 - 1) & (np.abs(j - column) < width / 2 - 1)
        assert bones.is_bone[here].mean() > 0.9, (row, column)


def test_bone_has_the_shape_of_the_plate_whatever_is_left_over():
    made = leg()
    for rows, columns in ((499, 597), (401, 600), (350, 555)):
        reduced, exposure, bones = parted(film(made.intensity[:rows, :columns]))
        assert bones.is_bone.shape == reduced.grey.shape == exposure.is_body.shape
        assert bones.is_bone.any()


def test_soft_tissue_is_told_by_the_distance_from_the_skin_also_behind_bone():
    reduced, exposure, _bones = parted(leg())
    model = soft_tissue(reduced, exposure, reduced.smoothed(0.8))
    inside = np.abs(column_mm(reduced) - LIMB_AT) < 40
    true = 100 + SOFT * 70 * chord(1.0, (column_mm(reduced) - LIMB_AT) / 45) / 2
    assert np.abs(np.median(model, axis=0) - true)[inside].max() < 0.1 * SOFT * 70
    assert not model[~exposure.is_body].any()


def test_soft_tissue_has_no_steps_that_could_pass_for_edges():
    reduced, exposure, _bones = parted(leg(bone=False))
    model = soft_tissue(reduced, exposure, reduced.smoothed(0.8))
    inside = np.abs(column_mm(reduced) - LIMB_AT) < 40
    true = SOFT * 70 * chord(1.0, (column_mm(reduced) - LIMB_AT) / 45) / 2
    change = np.abs(np.diff(np.median(model, axis=0)[inside]))
    assert change.max() < 1.5 * np.abs(np.diff(true[inside])).max()


def test_without_a_skin_line_soft_tissue_has_no_model():
    reduced, exposure, _bones = parted(film(leg(bone=False).intensity[:, 150:450]))
    assert not soft_tissue(reduced, exposure, reduced.smoothed(0.8)).any()


def test_the_bones_of_a_film_scale_with_its_grey():
    made = leg(ball(SOFT_AT, 10, 200))
    _plate, _exposure, one = parted(made)
    _plate, _exposure, other = parted(film(made.intensity * 4))
    assert (one.is_bone == other.is_bone).all()
    assert other.contrast == pytest.approx(4 * one.contrast, rel=1e-4)


@pytest.mark.parametrize(
    ("width", "share", "length", "is_bone"),
    [
        (11.0, 0.5, 160.0, True),  # a fibula
        (11.0, 0.5, 90.0, False),  # ends within the limb: a deposit
        (11.0, 0.2, 160.0, False),  # a band of muscle
        (24.0, 0.35, 160.0, False),
        (3.0, 0.5, 160.0, False),  # a vessel
    ],
)
def test_a_thin_shaft_that_runs_through_the_film_is_bone(width, share, length, is_bone):
    """Beside a strong bone a fibula stands out too little to pass for one by its density."""
    peak = BONE * float(chord(10.0, np.array(5.0)))
    things = (limb(LIMB_AT), shaft(35, width=20), bar((60, 70), length, width, share * peak))
    reduced, _exposure, bones = parted(film(noisy(paint(things, size_mm=(120.0, 120.0)))))
    assert bones.is_bone[within(reduced, (60, 35), 15)].mean() > 0.9
    assert (bones.is_bone[within(reduced, (60, 70), width / 2)].mean() > 0.5) == is_bone
