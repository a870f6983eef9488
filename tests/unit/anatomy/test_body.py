"""What is body, and what lies around it."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.body import find_body

PLATE_HU = 150


def at(coarse, x_mm, y_mm):
    """Slice, row and column of the middle slice's block at a place."""
    slices, rows, columns = coarse.hu.shape
    return slices // 2, round(y_mm / 3 + (rows - 1) / 2), round(x_mm / 3 + (columns - 1) / 2)


def test_nothing_but_air_is_no_body(make_coarse):
    coarse = make_coarse(lambda x, _y, _z: np.full(x.shape, -1000.0))
    body = find_body(coarse)
    assert not body.mask.any()
    assert body.outside.all()
    assert not body.firm.any()


def test_the_body_is_the_limb(make_coarse, limb):
    coarse = make_coarse(limb)
    body = find_body(coarse)
    expected = coarse.hu > -300
    # Corners of the circle may go either way, nothing else.
    assert (body.mask != expected).sum() <= 0.01 * expected.sum()
    assert (body.outside == ~body.mask).all()


def test_a_plate_that_touches_nothing_is_no_body(make_coarse, limb):
    def on_table(x, y, z):
        return np.where((y > 66) & (y < 76) & (np.abs(x) < 85), PLATE_HU, limb(x, y, z))

    coarse = make_coarse(on_table)
    body = find_body(coarse)
    assert coarse.hu[at(coarse, 0, 71)] == PLATE_HU
    assert not body.mask[at(coarse, 0, 71)]
    assert not body.mask[at(coarse, 60, 71)]
    assert body.mask[at(coarse, 0, 0)]
    assert (body.mask == find_body(make_coarse(limb)).mask).all()


def test_a_table_thick_in_places_is_no_body(make_coarse, limb):
    """A low, broad plate with a rib passes an opening; a hand of the same height beside the limb is narrower."""

    def on_table(x, y, z):
        rib = (y > 66) & (y < 84) & (np.abs(x) < 21)
        reduced = (y > 66) & (y < 75) & (np.abs(x) < 75)
        return np.where(rib | reduced, 40, limb(x, y, z))

    coarse = make_coarse(on_table)
    assert coarse.hu[at(coarse, 0, 72)] == 40
    assert not find_body(coarse).mask[at(coarse, 0, 72)]

    def with_hand(x, y, z):
        return np.where((y > 66) & (y < 84) & (np.abs(x) < 21), 40, limb(x, y, z))

    assert find_body(make_coarse(with_hand)).mask[at(coarse, 0, 72)]


def test_a_thin_board_the_limb_lies_on_is_cut_off(make_coarse, limb):
    """A sheet one block thick that reaches out from the skin to both sides."""

    def on_board(x, y, z):
        return np.where((y > 58) & (y < 62) & (np.abs(x) < 85), -50, limb(x, y, z))

    coarse = make_coarse(on_board)
    body = find_body(coarse)
    for x in (-70, 70):
        assert coarse.hu[at(coarse, x, 60)] == -50
        assert not body.mask[at(coarse, x, 60)]
    assert body.mask[at(coarse, 0, 0)]


def test_clothes_around_the_limb_are_outside(make_coarse, limb):
    def dressed(x, y, z):
        r = np.hypot(x, y)
        return np.where((r > 72) & (r < 75.5), -150, limb(x, y, z))

    body = find_body(make_coarse(dressed))
    bare = find_body(make_coarse(limb))
    assert (body.mask == bare.mask).all()


def test_a_soft_plate_as_dense_as_tissue_is_told_by_its_shape(make_coarse, limb):
    def on_mattress(x, y, z):
        return np.where((y > 66) & (y < 75.5) & (np.abs(x) < 85), 0, limb(x, y, z))

    coarse = make_coarse(on_mattress)
    body = find_body(coarse)
    assert coarse.hu[at(coarse, 0, 71)] == 0
    assert not body.mask[at(coarse, 0, 71)]


def test_a_block_of_foam_is_told_by_its_density(make_coarse, limb):
    """A cushion as thick as a limb: too light for soft tissue, too dense for air."""

    def on_cushion(x, y, z):
        return np.where((y > 80) & (y < 125) & (np.abs(x) < 90), -250, limb(x, y, z))

    coarse = make_coarse(on_cushion, size_mm=270.0)
    body = find_body(coarse)
    assert not body.mask[at(coarse, 0, 100)]
    assert body.mask[at(coarse, 0, 0)]


def test_a_corner_that_opening_shaves_off_is_given_back(make_coarse):
    coarse = make_coarse(lambda x, y, _z: np.where(np.abs(x) + np.abs(y) < 50, 40, -1000))
    body = find_body(coarse)
    assert (body.mask == (coarse.hu == 40)).sum() > 0
    tissue = coarse.hu == 40
    assert (tissue & ~body.mask).sum() <= 4 * len(coarse.hu)


@pytest.mark.parametrize("gas_radius_mm", [6.0, 20.0])
def test_gas_within_is_body(make_coarse, limb, gas_radius_mm):
    def with_gas(x, y, z):
        return np.where(np.hypot(x - 5, y) < gas_radius_mm, -950, limb(x, y, z))

    coarse = make_coarse(with_gas, slices=40)
    body = find_body(coarse)
    assert coarse.hu[at(coarse, 5, 0)] == -950
    assert body.mask[at(coarse, 5, 0)]


def test_air_of_a_fold_that_opens_near_by_is_outside(make_coarse, limb):
    """A pocket closed in one slice and open to the side a few slices on is a skin fold, not bowel."""

    def folded(x, y, z):
        hu = np.where(np.hypot(x - 30, y) < 9, -1000, limb(x, y, z))
        return np.where((z < 9) & (x > 30) & (np.abs(y) < 9), -1000, hu)

    coarse = make_coarse(folded, slices=40)
    body = find_body(coarse)
    _, row, column = at(coarse, 30, 0)
    assert not body.mask[6, row, column]
    assert body.mask[35, row, column]


def test_two_legs_are_both_body(make_coarse):
    def legs(x, y, _z):
        return np.where(np.minimum(np.hypot(x - 50, y), np.hypot(x + 50, y)) < 40, 50, -1000)

    coarse = make_coarse(legs, size_mm=210.0)
    body = find_body(coarse)
    assert body.mask[at(coarse, 50, 0)]
    assert body.mask[at(coarse, -50, 0)]
    assert body.outside[at(coarse, 0, 60)]


def test_a_body_that_fills_the_picture_has_no_outside(make_coarse):
    coarse = make_coarse(lambda x, _y, _z: np.full(x.shape, 40.0))
    body = find_body(coarse)
    assert body.mask.all()
    assert body.firm.all()
    assert not body.outside.any()


def test_what_was_not_imaged_is_not_body(make_coarse):
    coarse = make_coarse(lambda x, _y, _z: np.full(x.shape, 40.0), is_imaged=lambda x, y, _z: np.hypot(x, y) < 80)
    body = find_body(coarse)
    assert not body.mask[~coarse.is_imaged].any()
    assert body.mask[at(coarse, 0, 0)]


def test_a_narrow_bump_is_body_but_not_firm(make_coarse, limb):
    def with_lead(x, y, z):
        return np.where((np.abs(x) < 5) & (y < -55) & (y > -75), 100, limb(x, y, z))

    coarse = make_coarse(with_lead)
    body = find_body(coarse)
    place = at(coarse, 0, -70)
    assert body.mask[place]
    assert not body.firm[place]
    assert body.firm[at(coarse, 0, -40)]
