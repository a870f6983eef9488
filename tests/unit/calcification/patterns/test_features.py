"""Features on solids of known shape: parts, sections, the tissue around, the vessel a deposit sits on."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.calcification.parts import find_parts
from calcreport.calcification.patterns.features import Surroundings, course_contrasts, describe, read_vicinity
from calcreport.calcification.patterns.sections import level_and_ring_share, read_sections, wall_mm
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import DepthClass

SPACING = (1.0, 0.7, 0.7)
SHAPE = (40, 60, 60)
MUSCLE, FAT, MINERAL = 55, -95, 500


def grid(spacing=SPACING, shape=SHAPE):
    """z, y, x in mm about the middle of the box."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def ball(radius, centre=(0.0, 0.0, 0.0), spacing=SPACING, shape=SHAPE):
    z, y, x = grid(spacing, shape)
    return np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) <= radius


def tissue(*layers, base=MUSCLE):
    hu = np.full(SHAPE, base, dtype=np.int16)
    for mask, value in layers:
        hu[mask] = value
    return hu


def geometry(spacing=SPACING, shape=SHAPE):
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*spacing, 1.0)
    return VolumeGeometry(affine=affine, shape=shape)


def on_artery(*, blood=45, runs=(-1, 1), fat=FAT):
    """A deposit of 6 mm on the wall of an artery of 6 mm in a fat sheath, cut off at the ends not in `runs`."""
    z, y, x = grid()
    inside = ball(3.0, (0.0, 0.0, 2.0))
    radius = np.hypot(y, x)
    reach = np.zeros(SHAPE, dtype=bool)
    for side in runs:
        reach |= z * side > -4.0
    return tissue((reach & (radius <= 4.6), fat), (reach & (radius <= 3.0), blood), (inside, MINERAL)), inside


def test_parts_are_counted_and_measured():
    parts = find_parts(ball(4.0) | ball(2.0, (0.0, 0.0, 12.0)), SPACING)
    assert sorted(parts.extents_mm[:, 0]) == pytest.approx([4.0, 8.0], abs=0.8)
    assert parts.smoothness(np.prod(SPACING)) > 0.7


def test_a_grain_of_three_thick_slices_still_runs_along_the_scan():
    spacing = (3.0, 0.65, 0.65)
    z, y, x = grid(spacing)
    grain = (np.hypot(y, x) <= 1.9) & (np.abs(z) <= 4.5)
    assert find_parts(grain, spacing).alignment == 1.0


def test_a_shell_has_no_core_and_a_gap_shows_in_the_worst_section():
    _, y, x = grid()
    shell = ball(10.0) & ~ball(7.5)
    whole = read_sections(tissue((shell, MINERAL)), shell, SPACING, 5.0, 50.0)
    assert whole.coverage == pytest.approx(1.0)
    assert whole.core_hu == MUSCLE
    opened = shell & ~((x > 0) & (np.abs(y) < 4.0))
    assert read_sections(tissue((opened, MINERAL)), opened, SPACING, 5.0, 50.0).worst_coverage < 0.9
    assert wall_mm(shell, SPACING) == pytest.approx(2.5, abs=0.8)


def test_a_thin_rim_of_few_pixels_is_complete_all_the_same():
    spacing = (1.0, 1.1, 1.1)
    _, y, x = grid(spacing)
    rim = (np.hypot(y, x) <= 4.6) & (np.hypot(y, x) > 3.3)
    assert read_sections(tissue((rim, MINERAL)), rim, spacing, 5.0, 50.0).coverage == 1.0


def test_the_content_of_a_shell_is_read_away_from_its_caps():
    shell = ball(9.0) & ~ball(5.5)
    assert read_sections(tissue((shell, MINERAL)), shell, SPACING, 0.0, 50.0).core_tail_hu == 0.0


def test_what_settles_has_a_level_and_what_is_round_has_none():
    _, y, _ = grid()
    assert level_and_ring_share(ball(9.0) & (y > 0.0), SPACING)[0] > 0.8
    assert level_and_ring_share(ball(9.0), SPACING)[0] == 0.0


def test_a_small_ring_closes_around_a_gap():
    _, y, x = grid()
    ring = (np.hypot(y, x) <= 3.0) & (np.hypot(y, x) > 1.5)
    assert level_and_ring_share(ring, SPACING)[1] == 1.0
    assert level_and_ring_share(ring & (x < 0), SPACING)[1] == 0.0


def test_the_tissue_around_is_read_apart_from_the_coat():
    inside, gland, bed = ball(4.0), ball(6.5), ball(14.0)
    around = read_vicinity(tissue((bed, FAT), (gland, MUSCLE), (inside, MINERAL)), inside, SPACING)
    assert around["coat_hu"] == MUSCLE
    assert 0.5 < around["near_fat"] < 1.0
    bare = read_vicinity(tissue((bed, FAT), (inside, MINERAL)), inside, SPACING)
    assert (bare["coat_hu"], bare["near_fat"]) == (FAT, 1.0)


def test_fat_on_one_side_is_not_fat_all_round():
    _, y, _ = grid()
    inside = ball(4.0)
    assert read_vicinity(tissue((y > 0, FAT), (inside, MINERAL)), inside, SPACING)["fat_sides"] == pytest.approx(0.5)
    assert read_vicinity(tissue((inside, MINERAL), base=FAT), inside, SPACING)["fat_sides"] == 1.0


@pytest.mark.parametrize(("sleeve", "sign"), [(40, 1), (55, 0), (85, -1)])
def test_swollen_muscle_is_darker_and_tendon_denser_than_muscle(sleeve, sign):
    inside = ball(5.0)
    around = read_vicinity(tissue((ball(10.0), sleeve), (inside, MINERAL)), inside, SPACING)
    assert np.sign(around["swelling_hu"]) == sign


def test_swelling_is_unknown_where_there_is_no_muscle():
    inside = ball(4.0)
    assert read_vicinity(tissue((inside, MINERAL), base=FAT), inside, SPACING)["swelling_hu"] is None


def test_the_artery_beyond_a_plaque_is_seen():
    assert course_contrasts(*on_artery(), SPACING, 10.0)[0] > 50.0
    assert course_contrasts(*on_artery(blood=300), SPACING, 10.0)[0] > 150.0


@pytest.mark.parametrize(
    "case",
    [{"runs": (1,)}, {"fat": MUSCLE}, {"blood": 1200}, {"blood": -60}],
    ids=["ends at the deposit", "no fat around", "bone", "fatty marrow"],
)
def test_what_is_no_vessel_beyond_both_ends_counts_for_nothing(case):
    assert course_contrasts(*on_artery(**case), SPACING, 10.0)[0] < 0.0


def test_noise_alone_makes_no_vessel():
    spacing = (5.0, 0.7, 0.7)  # one slice beyond each end: nothing averages the noise away
    inside = ball(8.0, spacing=spacing)
    for seed in range(5):
        stranded_fat = np.random.default_rng(seed).normal(15, 40, SHAPE)
        hu = np.where(inside, MINERAL, stranded_fat).astype(np.int16)
        assert course_contrasts(hu, inside, spacing, 40.0)[0] < 5.0


def test_nothing_is_said_of_a_vessel_beyond_the_end_of_the_scan():
    hu, inside = on_artery()
    first = int(np.flatnonzero(inside.any(axis=(1, 2)))[0])
    assert course_contrasts(hu[first:], inside[first:], SPACING, 10.0) == (None, None)


def surroundings(layer=DepthClass.SUBFASCIAL, longest_mm=10.0):
    return Surroundings(
        longest_mm=longest_mm,
        layer=layer,
        bone_gap_mm=float("inf"),
        to_fascia_mm=None,
        is_vessel_chain=False,
        noise_hu=5.0,
    )


def test_features_do_not_depend_on_where_in_the_box_the_lesion_lies():
    first, second = (
        describe(tissue((mask, MINERAL)), mask, geometry(), surroundings())
        for mask in (ball(5.0), ball(5.0, (2.0, -4.2, 7.0)))
    )
    assert first.as_row() == pytest.approx(second.as_row(), nan_ok=True)
    assert first.bone_gap_mm == float("inf")
    assert first.as_row()["bone_gap_mm"] is None


@pytest.mark.parametrize(("longest_mm", "sphericity"), [(10.0, 1.0), (12.0, (10 / 12) ** 3)])
def test_sphericity_is_held_against_the_measured_diameter(longest_mm, sphericity):
    solid = ball(5.0)
    found = describe(tissue((solid, MINERAL)), solid, geometry(), surroundings(longest_mm=longest_mm))
    assert found.sphericity == pytest.approx(sphericity, abs=0.05)


def test_a_vessel_is_looked_for_beneath_the_fascia_only():
    hu, inside = on_artery()
    assert describe(hu, inside, geometry(), surroundings()).vessel_hu > 50.0
    assert describe(hu, inside, geometry(), surroundings(DepthClass.SUBCUTANEOUS)).vessel_hu is None


def described(hu, inside, spacing=SPACING, **known):
    return describe(hu, inside, geometry(spacing, hu.shape), surroundings(**known))


def rings(*centres, radius=4.0, wall=1.5):
    """Hollow balls side by side, 3D mask."""
    mask = np.zeros(SHAPE, dtype=bool)
    for centre in centres:
        mask |= ball(radius, centre) & ~ball(radius - wall, centre)
    return mask


@pytest.mark.parametrize(
    ("mask", "fewest", "most"),
    [
        (ball(6.0), 0.0, 0.0),
        (rings((0.0, 0.0, 0.0)), 0.4, 1.0),
        (rings((0.0, 0.0, -6.0), (0.0, 0.0, 6.0)), 0.8, 2.0),
        (rings((0.0, 0.0, 0.0)) & (grid()[2] < 1.0), 0.0, 0.0),
    ],
    ids=["solid", "one", "two", "open"],
)
def test_what_mineral_encloses_is_a_hole(mask, fewest, most):
    found = described(tissue((mask, MINERAL)), mask)
    assert fewest <= found.hole_count <= most
    assert (found.hole_mm > 0) == (fewest > 0)


def test_the_largest_hole_is_measured():
    shell = ball(9.0) & ~ball(6.0)
    assert described(tissue((shell, MINERAL)), shell).hole_mm == pytest.approx(12.0, abs=0.8)


@pytest.mark.parametrize(("inner_hu", "is_hole"), [(480, False), (420, True)])
def test_a_hole_is_clearly_darker_than_what_encloses_it(inner_hu, is_hole):
    shell = ball(9.0)
    assert (described(tissue((shell, MINERAL), (ball(5.0), inner_hu)), shell).hole_count > 0) == is_hole


def test_the_noise_makes_no_hole():
    solid = ball(8.0)
    hu = tissue((solid, MINERAL), (ball(4.0), MINERAL - 80))
    assert described(hu, solid).hole_count > 0
    loud = Surroundings(longest_mm=16.0, layer=DepthClass.SUBFASCIAL, bone_gap_mm=np.inf, to_fascia_mm=None,
                        is_vessel_chain=False, noise_hu=40.0)  # fmt: skip
    assert describe(hu, solid, geometry(), loud).hole_count == 0.0


@pytest.mark.parametrize(("inner_hu", "heart_hu"), [(-80, -80), (300, 300)])
def test_the_heart_of_a_lesion_is_its_darkest_middle(inner_hu, heart_hu):
    shell = ball(9.0)
    assert described(tissue((shell, MINERAL), (ball(5.0), inner_hu)), shell).heart_hu == pytest.approx(heart_hu, abs=15)


@pytest.mark.parametrize(("middle", "edge", "sign"), [(900, 300, -1), (300, 900, 1)])
def test_density_that_falls_outwards_has_a_negative_correlation(middle, edge, sign):
    solid = ball(8.0)
    found = described(tissue((solid, edge), (ball(5.0), middle)), solid).outward_correlation
    assert found * sign > 0.6


def test_even_density_and_a_few_voxels_say_nothing_of_the_middle():
    assert described(tissue((ball(8.0), MINERAL)), ball(8.0)).outward_correlation == 0.0
    for count, is_said in ((4, False), (5, True)):
        hu, few = tissue(), np.zeros(SHAPE, dtype=bool)
        few[20, 30, 30 : 30 + count], hu[20, 30, 30 : 30 + count] = True, np.arange(300, 300 + 50 * count, 50) ** 1.2
        assert (described(hu, few).outward_correlation != 0.0) == is_said


def test_a_long_lesion_is_densest_in_its_middle_by_the_lengths_of_its_axes():
    z, y, x = grid()
    far = np.sqrt((z / 16) ** 2 + (y / 4) ** 2 + (x / 4) ** 2)
    solid = far <= 1
    hu = np.where(solid, 900 - 500 * far, MUSCLE).astype(np.int16)
    assert described(hu, solid).outward_correlation < -0.9


@pytest.mark.parametrize(("centres", "peaks"), [
    ([(0.0, 0.0, 0.0)], 1), ([(0.0, 0.0, -5.0), (0.0, 0.0, 5.0)], 2),
    ([(-8.0, 0.0, 0.0), (0.0, 0.0, 0.0), (8.0, 0.0, 0.0), (0.0, 9.0, 0.0)], 4),
])  # fmt: skip
def test_grains_hold_the_same_mineral_each(centres, peaks):
    mask, hu = np.zeros(SHAPE, dtype=bool), tissue()
    for centre in centres:
        z, y, x = grid()
        far = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
        hu = np.maximum(hu, np.where(far <= 3.0, 800 - 60 * far, MUSCLE)).astype(np.int16)
        mask |= ball(3.0, centre)
    found = described(hu, mask)
    assert found.peak_count == peaks
    assert found.grain_mm == pytest.approx(5.8, abs=0.5)


def test_a_grain_stands_out_less_than_a_focus():
    mask = ball(6.0)
    hu = tissue((mask, 400), (ball(1.5, (0.0, 0.0, -3.0)), 470), (ball(1.5, (0.0, 0.0, 3.0)), 460))
    found = described(hu, mask)
    assert found.peak_count == 1
    assert found.grain_mm < 10.0


def on_plane(*, fat=FAT, runs=(-1, 1), offset_mm=0.0):
    """A slender deposit in muscle on a fat plane of 2 mm that runs on beyond it at the sides in `runs`."""
    z, y, x = grid()
    inside = (np.hypot(y, x) <= 1.2) & (np.abs(z) <= 5.0)
    plane = np.zeros(SHAPE, dtype=bool)
    for side in runs:
        plane |= (z * side > 0) & (np.abs(y - offset_mm) <= 1.0)
    return tissue((plane, fat), (inside, MINERAL)), inside


@pytest.mark.parametrize(
    ("case", "low", "high"),
    [({}, 50.0, 150.0), ({"runs": (1,)}, 20.0, 75.0), ({"runs": ()}, -10.0, 1.0), ({"offset_mm": 12.0}, -10.0, 1.0),
     ({"fat": 20}, 5.0, 40.0)],
    ids=["both ends", "one end", "none", "elsewhere", "thin"],
)  # fmt: skip
def test_the_plane_between_muscles_beyond_a_deposit_is_seen(case, low, high):
    hu, inside = on_plane(**case)
    assert low <= course_contrasts(hu, inside, SPACING, 5.0)[1] <= high


def test_noise_takes_off_the_plane_and_fat_all_around_is_none():
    hu, inside = on_plane()
    quiet, loud = (course_contrasts(hu, inside, SPACING, noise)[1] for noise in (0.0, 50.0))
    assert quiet - loud == pytest.approx(30.0)
    bare = tissue((inside, MINERAL), base=FAT)
    assert course_contrasts(bare, inside, SPACING, 0.0)[1] == 0.0


def test_a_course_is_looked_for_along_small_deposits_beneath_the_fascia():
    hu, inside = on_plane()
    assert described(hu, inside, longest_mm=40.0).plane_hu > 50.0
    assert described(hu, inside, longest_mm=41.0).plane_hu is None
    assert described(hu, inside, layer=DepthClass.CUTANEOUS).plane_hu is None


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.5, 0.5)])
def test_fill_is_the_share_of_the_hull(spacing):
    solid = np.zeros((20, 30, 30), dtype=bool)
    solid[5:15, 5:25, 5:25] = True
    hu = np.where(solid, MINERAL, MUSCLE).astype(np.int16)
    assert described(hu, solid, spacing).fill == pytest.approx(1.0)
    solid[7:13, 8:22, 8:22] = False
    hu = np.where(solid, MINERAL, MUSCLE).astype(np.int16)
    # The hull runs through the centres of the voxels.
    hull = 9 * 19 * 19
    assert described(hu, solid, spacing).fill == pytest.approx(min(1.0, solid.sum() / hull), abs=0.01)


def test_noise_of_averaged_slices_is_taken_off_the_vessel():
    hu, inside = on_artery()
    quiet, loud = (course_contrasts(hu, inside, SPACING, noise)[0] for noise in (0.0, 26.0))
    assert quiet - loud == pytest.approx(1.3 * 26.0 / np.sqrt(7), rel=0.01)


def test_density_is_read_one_voxel_inside_and_its_variation_without_noise():
    solid = ball(6.0)
    hu = tissue((solid, 300), (ball(4.0), 500))
    found = described(hu, solid)
    assert found.peak_hu == 500.0
    assert 370 < found.mean_hu < 420  # of all voxels it is 359
    assert hu[solid].mean() < 365
    assert found.variation > 0.05
    even = described(tissue((solid, 300)), solid)
    assert (even.mean_hu, even.variation) == (300.0, 0.0)
    speck = np.zeros(SHAPE, dtype=bool)
    speck[20, 30, 30:33] = True
    assert described(tissue((speck, 300)), speck).mean_hu == 300.0


def test_contrast_of_the_densest_mineral_over_that_of_its_median():
    solid = ball(6.0)
    hu = tissue((solid, 255), (ball(3.0), 455))
    assert described(hu, solid).contrast_ratio == pytest.approx(400 / 200, rel=0.01)


def test_extents_and_foci_are_those_of_the_parts():
    first, second = ball(5.0), ball(2.0, (0.0, 0.0, 12.0))
    found = described(tissue((first | second, MINERAL)), first | second, longest_mm=19.0)
    assert (found.longest_mm, found.foci_count) == (19.0, 2)
    assert found.largest_focus_mm == pytest.approx(10.0, abs=0.8)
    assert found.focus_size_mm == pytest.approx(7.0, abs=0.8)
    assert found.width_mm == pytest.approx(10.0, abs=1.0)
    alone = described(tissue((first, MINERAL)), first, longest_mm=9.3)
    assert (alone.largest_focus_mm, alone.foci_count) == (9.3, 1)


def test_shares_of_fat_near_and_farther_off():
    inside, bed = ball(3.0), ball(9.0)
    around = read_vicinity(tissue((bed, FAT), (inside, MINERAL)), inside, SPACING)
    assert (around["near_fat"], around["near_hu"]) == (1.0, FAT)
    assert around["wide_fat"] == pytest.approx(0.0, abs=0.1)
    gassy = read_vicinity(tissue((bed, -900), (inside, MINERAL)), inside, SPACING)
    assert (gassy["near_fat"], gassy["near_hu"]) == (0.0, 0.0)


def test_of_a_large_box_a_part_is_read_and_says_the_same():
    shape = (80, 100, 100)
    inside, gland = ball(8.0, shape=shape), ball(12.0, shape=shape)
    hu = np.full(shape, FAT, dtype=np.int16)
    hu[gland], hu[inside] = MUSCLE, MINERAL
    around = read_vicinity(hu, inside, SPACING)
    assert around["near_fat"] < 0.4
    assert around["coat_hu"] == MUSCLE


@pytest.mark.parametrize(("noise_hu", "peaks"), [(30.0, 2), (40.0, 1)])
def test_a_focus_stands_out_of_the_noise(noise_hu, peaks):
    mask = ball(6.0)
    hu = tissue((mask, 300), (ball(1.5, (0.0, 0.0, -3.0)), 450), (ball(1.5, (0.0, 0.0, 3.0)), 440))
    known = Surroundings(longest_mm=12.0, layer=DepthClass.SUBFASCIAL, bone_gap_mm=np.inf, to_fascia_mm=None,
                         is_vessel_chain=False, noise_hu=noise_hu)  # fmt: skip
    assert describe(hu, mask, geometry(), known).peak_count == peaks
