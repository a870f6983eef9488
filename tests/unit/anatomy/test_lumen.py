"""Enhanced blood in painted trunks: seen at any density, set apart from bone, cartilage and mineral."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.coarse import Grid
from calcreport.anatomy.lumen import Outline, find_lumen, find_small_vessels

NOISE_HU = 8.0


def painted(*things, slices=24, noise_hu=NOISE_HU, size_mm=150.0):
    """Grid of 1.5 x 1.5 x 3 mm of muscle with noise; each thing paints HU where its mask of x, y, z (mm) holds."""
    rng = np.random.default_rng(0)
    line = (np.arange(round(size_mm / 1.5)) - size_mm / 3.0) * 1.5
    z, y, x = np.meshgrid(np.arange(slices) * 3.0, line, line, indexing="ij")
    hu = np.full(x.shape, 55.0)
    for where, value in things:
        mask = where(x, y, z)
        hu[mask] = value(x, y, z)[mask] if callable(value) else value
    # What is painted gets the blur of a scanner and of the grid.
    for axis in (1, 2):
        hu = (np.roll(hu, 1, axis) + 2 * hu + np.roll(hu, -1, axis)) / 4
    hu += rng.normal(0, noise_hu, hu.shape)
    return Grid(hu=hu.astype(np.int16), step=(1, 1, 1), spacing_mm=(3.0, 1.5, 1.5))


def look(grid, fine_hu=None, bone=None):
    """What the bone map does, with given bones."""
    outline = everywhere(grid)
    lumen = find_lumen(grid, outline, NOISE_HU)
    if lumen.hu is not None:
        return lumen
    fine_hu = grid.hu if fine_hu is None else fine_hu
    return find_small_vessels(
        grid, fine_hu, outline, ~outline.body if bone is None else bone, noise_hu=NOISE_HU, fine_noise_hu=NOISE_HU
    )


def everywhere(grid):
    """A body that fills the grid."""
    body = np.ones(grid.hu.shape, dtype=bool)
    return Outline(body=body, main=body, front=0)


def tube(radius, x0=0.0, y0=0.0, z=(-1.0, 1e9)):
    return lambda x, y, w: (np.hypot(x - x0, y - y0) < radius) & (w >= z[0]) & (w < z[1])


@pytest.mark.parametrize("blood", [140.0, 200.0, 335.0, 430.0, 700.0])
@pytest.mark.parametrize("radius", [3.5, 5.0, 10.0, 16.0])
def test_a_vessel_through_the_scan_is_measured(blood, radius):
    lumen = look(painted((tube(radius), blood)))
    assert lumen.hu == pytest.approx(blood, rel=0.12, abs=20)
    assert lumen.mask[:, 49:51, 49:51].mean() > 0.9
    assert not lumen.mask[:, :20, :20].any()


def test_a_vein_of_undiluted_contrast_beside_the_vessels_makes_no_blood_of_everything():
    lumen = look(painted((tube(12.0), 180.0), (tube(4.0, -30.0), 800.0)))
    assert lumen.hu == pytest.approx(180, abs=20)
    assert lumen.mask.mean() < 0.1
    assert not lumen.mask[:, 49:51, 29:31].any(), "far denser than the blood"


@pytest.mark.parametrize("blood", [45.0, 80.0])
def test_blood_without_contrast_is_not_enhanced(blood):
    assert look(painted((tube(12.0), blood))).hu is None


def test_an_aorta_on_the_spine_is_told_from_it():
    spine = ((tube(20.0, 0, 26), 800.0), (tube(17.0, 0, 26), lambda x, y, _z: 200 + 60 * np.sin(x) * np.sin(y)))
    lumen = look(painted(*spine, (tube(10.0, 0, -4), 350.0)))
    assert lumen.hu == pytest.approx(350, abs=30)
    assert lumen.mask[:, 40:48, 47:53].mean() > 0.9
    assert lumen.mask[:, 58:80, :].mean() < 0.01


def test_spongiosa_under_a_cortex_is_no_blood():
    assert look(painted((tube(16.0), 700.0), (tube(12.0), 200.0))).hu is None


@pytest.mark.parametrize(("share", "is_blood"), [(0.2, True), (0.6, False)])
def test_bone_on_one_side_is_a_neighbour_and_around_most_of_it_a_rim(share, is_blood):
    rim = lambda x, y, z: tube(15.0)(x, y, z) & (np.arctan2(y, x) < np.pi * (2 * share - 1))  # noqa: E731
    assert (look(painted((rim, 700.0), (tube(10.0), 200.0))).hu is not None) is is_blood


@pytest.mark.parametrize("radius", [3.5, 10.0])
def test_undiluted_contrast_and_metal_are_no_lumen_to_measure(radius):
    assert look(painted((tube(radius), 2500.0))).hu is None


def test_lumpy_mineral_is_no_blood():
    rough = lambda x, y, z: 350 + 120 * np.sin(x / 2) * np.sin(y / 2) * np.sin(z / 4)  # noqa: E731
    assert look(painted((tube(10.0), rough))).hu is None


def test_a_loop_of_bowel_ends_before_a_vessel_does():
    assert look(painted((tube(10.0, z=(0, 33)), 300.0))).hu is None
    assert look(painted((tube(10.0, z=(0, 51)), 300.0))).hu is not None


def test_a_bladder_is_too_broad_for_a_vessel_and_belongs_to_blood_only_beside_one():
    bladder = (tube(30.0, 30), 300.0)
    assert look(painted(bladder)).hu is None
    assert look(painted(bladder, (tube(6.0, -40), 300.0))).mask[12, 50, 70]


def test_a_calcified_artery_changes_along_its_way():
    plaques = lambda _x, _y, z: 250 + 250 * np.sin(z / 5)  # noqa: E731
    assert look(painted((tube(3.5), plaques))).hu is None


def test_a_wall_of_plaques_that_blurs_to_an_even_tube_is_no_blood():
    """Block means hide the wall; the voxels show it two to three times as dense."""
    grid = painted((tube(3.5), 250.0))
    wall = grid.hu.astype(np.int32)
    wall[:, 50, 50] = 600
    assert look(grid).hu is not None
    assert look(grid, wall.astype(np.int16)).hu is None


def test_scraps_in_line_are_no_small_vessel():
    scraps = lambda x, y, z: tube(3.5)(x, y, z) & (z % 9 > 1)  # noqa: E731
    assert look(painted((scraps, 160.0))).hu is None


@pytest.mark.parametrize(("half_mm", "is_vessel"), [(6.0, True), (16.0, False)])
def test_a_sheet_is_no_small_vessel_and_an_oblique_one_is(half_mm, is_vessel):
    sheet = lambda x, y, _z: (np.abs(x) < half_mm) & (np.abs(y) < 2.3)  # noqa: E731
    assert (look(painted((sheet, 300.0))).hu is not None) is is_vessel


def test_what_touches_bone_is_no_small_vessel():
    grid = painted((tube(3.5), 250.0))
    bone = np.zeros(grid.hu.shape, dtype=bool)
    bone[:, 50, 50] = True
    assert look(grid).hu is not None
    assert look(grid, bone=bone).hu is None


def test_a_short_scan_is_followed_through_most_of_it():
    assert look(painted((tube(10.0), 300.0), slices=8)).hu is not None
    assert look(painted((tube(10.0, z=(0, 15)), 300.0), slices=8)).hu is None


@pytest.mark.parametrize(
    ("ends_mm", "slices", "is_vessel"),
    [
        ((6.0, 54.0), 20, False),  # 48 mm long, its even part 27 mm broad
        ((6.0, 78.0), 28, True),
        ((0.0, 54.0), 18, True),  # both ends of the scan cut it
        ((0.0, 54.0), 20, False),
    ],
)
def test_a_filled_bladder_is_not_twice_as_long_as_broad(ends_mm, slices, is_vessel):
    assert (look(painted((tube(16.5, z=ends_mm), 680.0), slices=slices)).hu is not None) is is_vessel


IN_NOISE_HU = 20.0


@pytest.mark.parametrize("hu", [160.0, 300.0])
def test_a_blade_in_noise_is_even_and_no_disc(hu):
    blade = lambda x, y, z: (np.abs(y) < 3.8) & (np.abs(x) < 20)  # noqa: E731, ARG005
    grid = painted((blade, hu), noise_hu=IN_NOISE_HU)
    assert find_lumen(grid, everywhere(grid), IN_NOISE_HU).hu is None


@pytest.mark.parametrize(("rim_hu", "is_blood"), [(300.0, True), (340.0, False)])
def test_a_denser_shell_tells_a_bone_from_a_chamber_in_noise(rim_hu, is_blood):
    """Both are flat beside a vessel that runs through the scan; one like the vessel all through is its chamber."""
    bone = ((tube(20.0, 40, 20, (15, 57)), rim_hu), (tube(16.0, 40, 20, (15, 57)), 300.0))
    grid = painted((tube(8.0, -30, 0), 320.0), *bone, noise_hu=IN_NOISE_HU)
    mask = find_lumen(grid, everywhere(grid), IN_NOISE_HU).mask
    assert mask[12, 50, 30]
    assert mask[12, 63, 77] == is_blood


TRUNK_MM = 300.0
GAS_LOOP = (tube(12.0, -60, 40), -900.0)


def in_trunk(*things, front=-1, cut=(), width_mm=264.0, depth_mm=210.0, gas=True, spine=True):
    """What is found in a trunk around x = y = 0; `cut` names sides that leave the picture."""
    bones = ((tube(15.0, 0, -75.0 * (front or -1)), 1_200.0),)
    grid = painted(*things, *((GAS_LOOP,) if gas else ()), *(bones if spine else ()), size_mm=TRUNK_MM)
    at = np.indices(grid.hu.shape[1:]) * 1.5 - TRUNK_MM / 2
    main = (np.abs(at[0]) < depth_mm / 2) & (np.abs(at[1]) < width_mm / 2)
    main[:, : round(TRUNK_MM / 3)] |= "left" in cut
    main[:, -round(TRUNK_MM / 3) :] |= "right" in cut
    main = np.broadcast_to(main, grid.hu.shape).copy()
    outline = Outline(body=main, main=main, front=front)
    lumen = find_lumen(grid, outline, NOISE_HU)
    if lumen.hu is not None:
        return lumen
    return find_small_vessels(grid, grid.hu, outline, ~main, noise_hu=NOISE_HU, fine_noise_hu=NOISE_HU)


def beside(x_mm, y_mm, radius=10.0):
    """A tube so far from the middle of the trunk, to the side and to the back."""
    return tube(radius, x_mm, y_mm)


@pytest.mark.parametrize("radius", [3.5, 10.0])
@pytest.mark.parametrize(
    ("x_mm", "y_mm", "is_blood"),
    [
        (0, 10, True),
        (-50, 10, True),
        (-54, 10, False),  # where the colon descends
        (54, 10, False),
        (0, -18, True),  # 0.41 of the depth
        (0, -25, False),  # 0.38: a loop of bowel before the great vessels
    ],
)
def test_a_tube_of_a_trunk_is_blood_where_the_great_vessels_run(x_mm, y_mm, radius, is_blood):
    assert (in_trunk((beside(x_mm, y_mm, radius), 350.0)).hu is not None) is is_blood


def test_the_front_of_a_patient_who_lies_prone_is_the_last_row():
    thing = (beside(0, 25), 350.0)
    assert in_trunk(thing, front=-1).hu is not None
    assert in_trunk(thing, front=1).hu is None
    assert in_trunk(thing, front=0).hu is not None, "nobody knows where the front is"


@pytest.mark.parametrize(
    ("options", "is_blood"),
    [
        ({}, False),
        ({"gas": False}, True),  # two thighs that touch each other
        ({"width_mm": 140.0}, True),  # a limb
        ({"spine": False}, True),  # its middle is not known
        ({"cut": ("left",)}, False),  # an arm at the side of the picture
        ({"cut": ("left", "right")}, False),
    ],
)
def test_a_tube_aside_is_taken_for_bowel_only_where_bowel_can_be(options, is_blood):
    assert (in_trunk((beside(-60, 10), 350.0), **options).hu is not None) is is_blood


@pytest.mark.parametrize(
    ("right", "left", "is_blood"),
    [
        (((-70, 0), 300.0), ((70, 0), 300.0), True),  # iliac arteries
        (((-70, 0), 300.0), ((70, 17), 300.0), True),
        (((-70, 0), 300.0), ((70, 24), 300.0), False),
        (((-70, 0), 300.0), ((70, 0), 420.0), False),  # bowel beside bowel of another density
        (((-85, 0), 300.0), ((85, 0), 300.0), False),  # both sides of the colon
    ],
)
def test_vessels_of_both_sides_mirror_each_other(right, left, is_blood):
    things = [(beside(*place), hu) for place, hu in (right, left)]
    assert (in_trunk(*things).hu is not None) is is_blood


def test_bowel_far_denser_than_blood_raises_no_limit():
    lumen = in_trunk((beside(0, 10), 200.0), (beside(-60, 10), 330.0), (beside(70, -20, 16.0), 380.0))
    assert lumen.hu == pytest.approx(200, abs=20)
    assert not lumen.mask[:, 106:108, 59:61].any(), "330 HU, beyond noise and mixing"


@pytest.mark.parametrize(("bowel_hu", "is_blood"), [(215.0, True), (245.0, False)])
def test_another_tube_of_a_trunk_is_blood_if_hardly_brighter_than_the_great_vessels(bowel_hu, is_blood):
    lumen = in_trunk((beside(0, 10), 200.0), (beside(-60, 10), bowel_hu))
    assert lumen.mask[:, 106:108, 59:61].any() == is_blood
    assert lumen.hu < 235


def test_a_broad_loop_apart_from_the_vessels_is_no_chamber_of_the_heart():
    """Within noise of single blocks of the blood; only beside lung is a chamber brighter than its vessels."""
    loop = tube(22.0, 60, -30, (0, 40))
    assert in_trunk((beside(0, 10), 200.0), (loop, 245.0)).hu < 225
    assert in_trunk((beside(0, 10), 200.0), (loop, 205.0)).mask[:5, 80, 140].all()


def test_a_colon_as_dense_as_the_blood_is_listed_with_it():
    assert in_trunk((beside(0, 10), 300.0), (beside(-60, 10), 320.0)).hu == pytest.approx(312, abs=20)


@pytest.mark.parametrize(("lung_mm", "is_chamber"), [(0.0, False), (70.0, True)])
def test_a_chamber_brighter_than_the_aorta_lies_beside_lung(lung_mm, is_chamber):
    """The right heart while contrast arrives; below the lungs it would be bowel."""
    lung = (lambda x, y, _z: (np.abs(x) > 130 - lung_mm) & (np.abs(x) < 130) & (np.abs(y + 20) < 60), -850.0)
    heart = (beside(0, -40, 30.0), 380.0)
    found = in_trunk(lung, (beside(10, 20), 220.0), heart)
    assert found.mask[12, 73, 100] == is_chamber
    assert (found.hu > 300) is is_chamber


@pytest.mark.parametrize(("cortex_hu", "is_blood"), [(330.0, False), (280.0, True)])
def test_a_vertebra_with_a_thin_cortex_is_no_chamber_of_the_aorta_before_it(cortex_hu, is_blood):
    """In noise its cortex is hardly denser than its inside; an enhanced chamber has none."""
    bone = ((beside(0, 34, 20.0), cortex_hu), (beside(0, 34, 17.5), 280.0))
    grid = painted((tube(10.0), 320.0), *bone, size_mm=TRUNK_MM, noise_hu=14.0)
    mask = find_lumen(grid, everywhere(grid), 14.0).mask
    assert mask[:, 98:102, 98:102].mean() > 0.9
    assert (mask[:, 118:128, 96:104].mean() > 0.5) == is_blood
