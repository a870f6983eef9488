"""Cross-sections drawn pixel by pixel: what counts as a tube, a level, a ring, a wall, a core."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.calcification.patterns.sections import (
    count_peaks,
    level_and_ring_share,
    outward_correlation,
    read_sections,
    section_hull,
    wall_mm,
)

UNIT = (1.0, 1.0, 1.0)


def drawn(*rows: str, slices: int = 1):
    """Planes alike of the given rows, true where they hold a ``#``."""
    plane = np.array([[sign == "#" for sign in row] for row in rows])
    return np.repeat(plane[None], slices, axis=0)


RING = (".###.", "#...#", "#...#", "#...#", ".###.")
SOLID = (".###.", "#####", "#####", "#####", ".###.")
RAILS = ("##...##", "##...##", "##...##")
CLOSED = ("#####", "#####", "##.##", "#####", "#####")
SPOTS = ("#.#.#", ".....", "#...#", ".....", "#.#.#")


def tube_share(mask, spacing=UNIT):
    return read_sections(np.where(mask, 500, 50), mask, spacing, 5.0, 50.0).tube_share


@pytest.mark.parametrize(
    ("rows", "spacing", "share"),
    [
        (RING, UNIT, 1.0),
        (SOLID, UNIT, 0.0),
        (RAILS, UNIT, 1.0),
        (CLOSED, UNIT, 0.0),  # 24 of 25 pixels: no lumen
        (RING, (1.0, 0.3, 0.3), 0.0),  # too narrow for a vessel
        (RING, (1.0, 2.0, 2.0), 1.0),
        (RING, (1.0, 2.2, 2.2), 0.0),  # too wide
        (SPOTS, UNIT, 0.0),  # more than four pieces
    ],
)
def test_a_tube_is_hollow_of_vessel_size_and_in_few_pieces(rows, spacing, share):
    assert tube_share(drawn(*rows, slices=3), spacing) == share


def test_a_tube_of_exactly_four_pieces_and_a_lumen_of_exactly_its_share():
    assert tube_share(drawn("#...#", ".....", "#...#", slices=2)) == 1.0
    whole = ["#" * 10] * 10
    lumen = [*whole[:3], "###....###", "###....###", "###....###", "###...####", *whole[7:]]  # 15 of 100
    assert tube_share(drawn(*lumen)) == 0.0
    assert tube_share(drawn(*[*lumen[:6], "###....###", *lumen[7:]])) == 1.0


def test_the_share_of_tubes_and_of_what_is_filled_is_of_all_sections():
    mask = np.concatenate([drawn(*RING, slices=1), drawn(*SOLID, slices=3)])
    found = read_sections(np.where(mask, 500, 50), mask, UNIT, 5.0, 50.0)
    assert found.tube_share == 0.25
    hull = int(section_hull(mask[0]).sum())
    assert found.section_fill == pytest.approx((12 + 3 * 21) / (4 * hull))


def test_points_and_lines_have_no_section():
    for rows in (("#",), ("###",), ("#..", ".#.", "..#")):
        assert section_hull(drawn(*rows)[0]) is None
        found = read_sections(np.full((1, 3, 3), 500)[:, : len(rows), : len(rows[0])], drawn(*rows), UNIT, 5.0, 50.0)
        assert (found.tube_share, found.section_fill, found.coverage, found.hole_count) == (None, None, None, 0.0)


@pytest.mark.parametrize(("rows", "level", "ring"), [
    (("########", "########", ".######.", "..####.."), 1.0, 0.0),  # flat above, bent below
    (("..####..", ".######.", "########", "########"), 1.0, 0.0),  # flat below
    (("########", "########", "########", "########"), 0.0, 0.0),  # flat on both sides: a bar
    (("..####..", ".######.", ".######.", "..####.."), 0.0, 0.0),
    (("#######.", "#######.", ".#####..", "..###..."), 1.0, 0.0),
    (("######", "######", ".####.", "..##.."), 0.0, 0.0),  # 6 mm: too narrow
    (("########",), 0.0, 0.0),  # 1 mm: too flat
    (("########", "#......#", "########"), 0.0, 1.0),
    (("###", "#.#", "###"), 0.0, 1.0),
    (("##.", "#.#", "###"), 0.0, 0.0),
    (("##", "##"), 0.0, 0.0),
])  # fmt: skip
def test_levels_are_flat_on_one_side_and_rings_closed(rows, level, ring):
    assert level_and_ring_share(drawn(*rows, slices=2), UNIT) == (level, ring)


@pytest.mark.parametrize(("width_mm", "height_mm", "share"), [(0.875, 0.5, 1.0), (0.87, 0.5, 0.0), (0.875, 0.49, 0.0)])
def test_a_level_is_looked_for_in_what_is_7_mm_wide_and_2_mm_high(width_mm, height_mm, share):
    rows = drawn("########", "########", ".######.", "..####..")
    assert level_and_ring_share(rows, (1.0, height_mm, width_mm))[0] == share


def test_rings_are_counted_among_sections_of_foci_small_enough():
    ring = np.ones((21, 21), dtype=bool)
    ring[1:-1, 1:-1] = False  # 80 pixels
    solid = np.ones((20, 20), dtype=bool)  # 400
    field = np.zeros((1, 60, 60), dtype=bool)
    field[0, :21, :21], field[0, 25:45, 25:45] = ring, solid
    assert level_and_ring_share(field, UNIT)[1] == 0.5
    field[0, 45, 25] = True  # 401: no focus
    assert level_and_ring_share(field, UNIT)[1] == 1.0


def test_levels_are_looked_for_in_some_of_many_sections():
    flat = drawn("########", "########", ".######.", "..####..")
    bar = drawn("########", "########", "########", "########")
    every_other = np.concatenate([flat if n % 2 == 0 else bar for n in range(60)])
    assert level_and_ring_share(every_other, UNIT)[0] == 1.0


@pytest.mark.parametrize(("rows", "thickness"), [
    (("#####", "#####", "#####"), 3.0), (("#####",), 1.0), (("#######",) * 5, 5.0), ((".....",), 1.0),
])  # fmt: skip
def test_the_wall_is_as_thick_as_drawn(rows, thickness):
    assert wall_mm(np.pad(drawn(*rows, slices=3), ((0, 0), (1, 1), (1, 1))), UNIT) == pytest.approx(thickness, abs=1.0)


def disc(radius: float, size: int = 31):
    y, x = np.indices((size, size)) - size // 2
    return np.repeat((np.hypot(y, x) <= radius)[None], 5, axis=0)


def test_shell_and_core_are_read_by_their_depth():
    solid, hole = disc(10.0), disc(5.0)
    ring = solid & ~hole
    hu = np.where(ring, 500, np.where(hole, 80, 50))
    found = read_sections(hu, ring, UNIT, 0.0, 50.0)
    assert found.shell_share == 1.0
    assert found.coverage == found.worst_coverage == 1.0
    assert (found.core_hu, found.heart_hu, found.core_tail_hu) == (80.0, 80.0, 0.0)
    assert found.centre_level == pytest.approx(30 / 450, abs=0.01)
    assert 0.5 < found.middle_level <= 1.0
    full = read_sections(np.where(solid, 500, 50), solid, UNIT, 0.0, 50.0)
    assert (full.centre_level, full.middle_level, full.hole_count, full.hole_mm) == (1.0, 1.0, 0.0, 0.0)


def test_the_noise_is_taken_off_the_tail_of_the_core():
    solid = disc(10.0)
    hu = np.where(solid, 500, 50)
    assert read_sections(hu, solid, UNIT, 10.0, 50.0).core_tail_hu == pytest.approx(-12.82)


def test_a_section_narrower_than_6_mm_has_no_core():
    assert read_sections(np.where(disc(2.0), 500, 50), disc(2.0), UNIT, 0.0, 50.0).core_hu is None
    assert read_sections(np.where(disc(3.0), 500, 50), disc(3.0), UNIT, 0.0, 50.0).core_hu == 500.0


def test_small_sections_at_the_caps_are_left_out():
    mask = np.concatenate([disc(4.0)[:2], disc(10.0)[:3]])
    hu = np.where(mask, 500, 50)
    hu[:2][mask[:2]] = 900
    assert read_sections(hu, mask, UNIT, 0.0, 50.0).core_hu == 500.0


def test_a_gap_counts_by_the_section_it_is_in():
    ring = disc(10.0) & ~disc(7.0)
    open_ = ring.copy()
    open_[0, 12:19, 16:] = False  # a gap in one of five sections
    hu = np.where(open_, 500, 50)
    found = read_sections(hu, open_, UNIT, 0.0, 50.0)
    assert found.worst_coverage < found.coverage <= 1.0
    half = np.where(open_[:1], 500, 50)
    assert found.worst_coverage == read_sections(half, open_[:1], UNIT, 0.0, 50.0).worst_coverage


def test_holes_are_the_mean_of_the_sections_and_the_largest_of_all():
    mask = disc(10.0)
    hu = np.where(mask, 500, 50)
    hu[0, 12:15, 12:15] = 200  # 9 pixels
    hu[1, 12:14, 12:14], hu[1, 18:20, 18:20] = 200, 200
    found = read_sections(hu, mask, UNIT, 5.0, 50.0)
    assert found.hole_count == pytest.approx(3 / 5)
    assert found.hole_mm == pytest.approx(2 * np.sqrt(9 / np.pi))
    wide = read_sections(hu, mask, (1.0, 0.5, 2.0), 5.0, 50.0)
    assert wide.hole_mm == pytest.approx(2 * np.sqrt(9 / np.pi))


def test_peaks_that_stand_out_by_the_height_count_apart():
    hu = np.full((3, 9, 9), 300)
    hu[1, 4, 2], hu[1, 4, 6] = 500, 450
    inside = np.ones_like(hu, dtype=bool)
    assert count_peaks(hu, inside, 140.0) == 2
    assert count_peaks(hu, inside, 160.0) == 1
    assert count_peaks(hu, inside, 0.0) == 2
    assert count_peaks(np.full_like(hu, 300), inside, 900.0) == 1


def test_the_correlation_is_that_of_numbers_on_a_line():
    hu = np.zeros((1, 1, 9))
    hu[0, 0] = [100, 200, 300, 400, 500, 400, 300, 200, 100]
    assert outward_correlation(hu, np.ones_like(hu, dtype=bool), UNIT) == pytest.approx(-1.0)
    assert outward_correlation(500 - hu, np.ones_like(hu, dtype=bool), UNIT) == pytest.approx(1.0)
