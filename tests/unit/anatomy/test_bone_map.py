"""Bones by marrow and continuity in painted scans; mineral that looks like them is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.body import find_body
from calcreport.anatomy.bone_map import _filled, costal_cartilage, find_bone_map
from calcreport.anatomy.coarse import Grid, coarsen
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference

PIXEL_MM, NOISE_HU = 1.0, 10.0
CORTEX, SPONGIOSA, FAT_MARROW, FLUID = 1100.0, 220.0, -60.0, 30.0


def scan(*things, length_mm=120.0, thick_mm=3.0, half_mm=(70.0, 70.0)):
    """CT of an oval of muscle; each thing paints HU where its mask of x, y, z (mm from the middle) holds."""
    rng = np.random.default_rng(1)
    z = (np.arange(round(length_mm / thick_mm)) + 0.5) * thick_mm - length_mm / 2
    y, x = ((np.arange(2 * n + 30) - n - 15) * PIXEL_MM for n in (int(half_mm[0]), int(half_mm[1])))
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    hu = np.where((x / half_mm[1]) ** 2 + (y / half_mm[0]) ** 2 < 1, 55.0, -1000.0)
    for where, value in things:
        hu[where(x, y, z)] = value
    for axis in (1, 2):
        hu = (np.roll(hu, 1, axis) + 2 * hu + np.roll(hu, -1, axis)) / 4
    hu += rng.normal(0, NOISE_HU, hu.shape)
    affine = np.array([[0, 0, PIXEL_MM, 0], [0, PIXEL_MM, 0, 0], [thick_mm, 0, 0, 0], [0, 0, 0, 1.0]])
    slices = tuple(SliceReference(sop_instance_uid=f"1.{i}", instance_number=i) for i in range(len(hu)))
    geometry = VolumeGeometry(affine=affine, shape=hu.shape)
    return CtVolume(hu=hu.astype(np.int16), geometry=geometry, slices=slices), (x, y, z)


def share(made, where):
    """Share of what is denser than 250 HU in a place that the map calls bone."""
    volume, at = made
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    index = np.argwhere(where(*at) & (volume.hu > 250))
    return found.bone[tuple(found.grid.of_fine(index).T)].mean()


def tube(radius, x0=0.0, y0=0.0, z=(-999.0, 999.0)):
    return lambda x, y, w: (np.hypot(x - x0, y - y0) < radius) & (w >= z[0]) & (w < z[1])


def ball(radius, x0=0.0, y0=0.0, z0=0.0):
    return lambda x, y, z: (x - x0) ** 2 + (y - y0) ** 2 + (z - z0) ** 2 < radius**2


@pytest.mark.parametrize("thick_mm", [1.0, 3.0, 5.0])
@pytest.mark.parametrize(("radius", "cortex"), [(5.0, 1.5), (8.0, 2.5), (14.0, 5.0)])
def test_a_shaft_runs_through_the_scan(radius, cortex, thick_mm):
    made = scan((tube(radius, 20), CORTEX), (tube(radius - cortex, 20), FAT_MARROW), thick_mm=thick_mm)
    assert share(made, tube(radius, 20)) > 0.95


def test_a_nail_fills_the_shaft():
    made = scan((tube(14, 20), CORTEX), (tube(9, 20), 2900.0))
    assert share(made, tube(14, 20)) > 0.95


@pytest.mark.parametrize(("marrow", "expected"), [(SPONGIOSA, 1), (FAT_MARROW, 1), (FLUID, 0)])
def test_a_bone_that_ends_in_the_scan_shows_marrow_and_not_fluid(marrow, expected):
    where = tube(12, 20, 0, (-45, 45))
    made = scan((where, CORTEX), (tube(9.5, 20, 0, (-42, 42)), marrow))
    assert (share(made, where) > 0.9) == expected


@pytest.mark.parametrize(("length_mm", "expected"), [(60.0, 0), (84.0, 1)])
def test_marrow_makes_a_bone_inside_the_scan_only_of_what_is_long(length_mm, expected):
    ends = (-length_mm / 2, length_mm / 2)
    made = scan((tube(12, 20, 0, ends), CORTEX), (tube(9.5, 20, 0, ends), SPONGIOSA))
    assert (share(made, tube(12, 20)) > 0.9) == expected


def test_red_marrow_counts_where_the_bone_runs_through():
    made = scan((tube(12, 20), CORTEX), (tube(9.5, 20), FLUID))
    assert share(made, tube(12, 20)) > 0.9


@pytest.mark.parametrize("z0", [0.0, 60.0, -75.0])
@pytest.mark.parametrize("hu", [400.0, 900.0])
def test_a_solid_lump_of_60_mm_is_no_bone_inside_or_at_the_end_of_the_scan(z0, hu):
    lump = ball(30, 20, 0, z0)
    assert share(scan((lump, hu)), lump) == 0


@pytest.mark.parametrize(("borders", "expected"), [(4, 1), (1, 0)])
def test_a_head_with_red_marrow_does_not_hide_the_marrow_of_its_scapula(borders, expected):
    """Apart in most slices: of a rim around fluid with one slim bone too little tells marrow from fluid."""
    head = tube(18, -30, 0, (-10, 999))
    parts = [(head, CORTEX), (tube(15, -30, 0, (-7, 999)), FLUID)]
    for y in (-30, -10, 10, 30)[:borders]:
        parts += toe(20, y, (-30, 50), 7.0)
    bars = lambda x, y, z: (np.hypot(x + 5, y) < 25) & (np.abs(y) < 3) | (np.abs(x - 20) < 3) & (np.abs(y) < 30)  # noqa: E731, ARG005
    bridge = lambda x, y, z: bars(x, y, z) & (z < -4) & (z >= -10)  # noqa: E731
    assert round(share(scan((bridge, CORTEX), *parts), head)) == expected


def test_a_spindle_with_fluid_is_no_bone_however_long():
    spindle = lambda x, y, z, less: (x - 20) ** 2 + y**2 < (15 * (1 - (z / 50) ** 2) - less).clip(0) ** 2  # noqa: E731
    rim, core = (lambda x, y, z, less=less: spindle(x, y, z, less) for less in (0, 3))
    assert share(scan((rim, 700.0), (core, FLUID)), rim) == 0


def test_a_rim_of_40_mm_is_no_bone_even_where_the_scan_cuts_it():
    for z0 in (0.0, 55.0):
        rim = ball(20, 20, 0, z0)
        assert share(scan((rim, 700.0), (ball(17, 20, 0, z0), 45.0)), rim) == 0


def test_ossified_muscle_with_marrow_inside_the_scan_is_no_bone():
    mass = ball(20, 20)
    assert share(scan((mass, 800.0), (ball(17, 20), 200.0)), mass) == 0


def toe(x0, y0, z, radius=6.0):
    """A bone of a foot: thin cortex, marrow, ends inside the scan or not."""
    low, high = max(z[0], -99.0) + 2, min(z[1], 99.0) - 2
    return (tube(radius, x0, y0, z), 900.0), (tube(radius - 2, x0, y0, (low, high)), 200.0)


@pytest.mark.parametrize(("neighbours", "expected"), [(((-20, 0), (0, 20), (20, 0)), 1), (((-20, 0),), 0), ((), 0)])
def test_a_small_bone_inside_the_scan_is_told_by_the_many_bones_it_has_joints_with(neighbours, expected):
    """Three bones beside it and one across its joint make a foot; a shaft beside a lump with marrow is a limb."""
    rays = [thing for x, y in neighbours for thing in toe(x, y, (-99.0, 99.0))]
    joint = toe(0, 0, (-99.0, -16.0)) if neighbours else ()
    assert round(share(scan(*rays, *joint, *toe(0, 0, (-11.0, 19.0))), tube(6, 0, 0, (-9.0, 17.0)))) == expected


FAR, NEAR = ((-45, 0), (0, 45), (45, 0)), ((-20, 0), (0, 20), (20, 0))
CORNERS = ((-60, -60), (60, -60), (-60, 60), (60, 60))


@pytest.mark.parametrize(
    ("neighbours", "joint", "half_mm", "expected"),
    [
        (FAR, (-99.0, -16.0), (70.0, 70.0), 1),  # in line beyond a bone: fingers spread wide
        (FAR, (-99.0, 99.0), (70.0, 70.0), 0),  # beside it
        (NEAR, (-99.0, 99.0), (70.0, 70.0), 1),
        (NEAR, (-99.0, 99.0), (95.0, 95.0), 1),
        (NEAR, (-99.0, 99.0), (90.0, 120.0), 0),  # beside a spine with its processes
        (NEAR + CORNERS, (-99.0, 99.0), (95.0, 95.0), 0),  # beside ribs and a scapula: these outline a trunk
    ],
)
def test_in_line_beyond_a_bone_the_whole_slice_counts_and_a_trunk_has_no_small_bones(
    neighbours, joint, half_mm, expected
):
    rays = [thing for x, y in neighbours for thing in toe(x, y, (-99.0, 99.0))]
    aside = -17.0 if joint[1] > 0 else 0.0
    made = scan(*rays, *toe(0, 0, joint), *toe(0, aside, (-11.0, 19.0)), half_mm=half_mm)
    assert round(share(made, tube(6, 0, aside, (-9.0, 17.0)))) == expected


@pytest.mark.parametrize(
    ("radius", "gap_mm", "expected"),
    [(17.0, 4.0, 1), (17.0, 12.0, 0), (7.0, 4.0, 0)],  # an epiphysis; too far for one; too small: an ossified tendon
)
def test_what_is_large_and_follows_a_bone_in_line_is_its_epiphysis(radius, gap_mm, expected):
    low = gap_mm - 10.0
    where = tube(radius, 0, 0, (low, low + 30.0))
    made = scan(
        *toe(0, 0, (-99.0, -10.0), 17.0), (where, 900.0), (tube(radius - 3, 0, 0, (low + 3, low + 27.0)), 200.0)
    )
    assert round(share(made, where)) == expected


@pytest.mark.parametrize(("z0", "expected"), [(37.0, 0), (48.0, 1)])
def test_of_ossified_muscle_at_the_end_of_the_scan_a_cap_is_told_from_a_section(z0, expected):
    """What the end of the scan cuts through its middle is not told from a bone, and is taken for one."""
    mass = ball(25, 20, 0, z0)
    assert (share(scan((mass, 800.0), (ball(22, 20, 0, z0), 200.0)), mass) > 0.9) == expected


def test_a_sheet_of_mineral_through_the_scan_is_no_bone():
    sheet = lambda x, y, z: (np.abs(x - 30) < 1.6) & (np.abs(y) < 30)  # noqa: E731, ARG005
    assert share(scan((sheet, 600.0)), sheet) == 0


def test_in_a_short_scan_fluid_in_a_rim_is_no_marrow_and_in_a_longer_one_it_may_be():
    parts = ((tube(16, 20), 700.0), (tube(13, 20), FLUID))
    other = ((tube(8, -20), CORTEX), (tube(5, -20), FAT_MARROW))
    assert share(scan(*parts, *other, length_mm=24.0), tube(16, 20)) == 0
    assert share(scan(*parts, length_mm=24.0), tube(16, 20)) > 0.9, "no part of the body is without bone"
    assert share(scan(*parts, length_mm=36.0), tube(16, 20)) > 0.9


def test_marrow_belongs_to_the_bone_and_a_wide_cavity_does_not():
    for radius, expected in ((25.0, True), (45.0, False)):
        volume, at = scan((tube(radius), CORTEX), (tube(radius - 4), SPONGIOSA - 110))
        coarse = coarsen(volume)
        found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
        middle = np.argwhere(tube(4)(*at))
        assert bool(found.bone[tuple(found.grid.of_fine(middle).T)].all()) is expected


def test_nothing_but_air_has_no_bone():
    volume, _ = scan(half_mm=(70, 70))
    empty = CtVolume(hu=np.full(volume.hu.shape, -1000, np.int16), geometry=volume.geometry, slices=volume.slices)
    coarse = coarsen(empty)
    found = find_bone_map(empty, coarse, find_body(coarse), NOISE_HU)
    assert not found.bone.any()
    assert found.lumen_hu is None


@pytest.mark.parametrize(("radius", "is_doubtful"), [(0.0, True), (5.0, True), (10.0, False)])
def test_a_large_part_of_the_body_nearly_without_bone_is_doubted(radius, is_doubtful):
    volume, _ = scan((tube(radius, 20), CORTEX), (tube(radius / 2, 20), FAT_MARROW))
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    assert (found.doubt is not None) is is_doubtful


def test_a_finger_is_too_small_to_doubt():
    volume, _ = scan(half_mm=(40, 40))
    coarse = coarsen(volume)
    assert find_bone_map(volume, coarse, find_body(coarse), NOISE_HU).doubt is None


def chest(*more, slices_mm=96.0, half_mm=(105, 160)):
    """Trunk of 300 x 200 mm: spine, ribs as rings of 10 mm every 24 mm, lungs, a cartilage in front of the ribs."""
    oval = lambda x, y, a, b: (x / a) ** 2 + (y / b) ** 2  # noqa: E731
    lungs = lambda x, y, z: (oval(x, y, 125, 75) < 1) & (np.abs(x) > 25)  # noqa: E731, ARG005
    wall = lambda x, y, a, b: (oval(x, y, a + 10, b + 10) >= 1) & (oval(x, y, a + 18, b + 18) < 1)  # noqa: E731
    level = lambda z: np.abs((z % 24) - 12) < 5  # noqa: E731
    ribs = lambda x, y, z: wall(x, y, 118, 68) & level(z) & (y > -60)  # noqa: E731
    marrow = lambda x, y, z: (  # noqa: E731
        (oval(x, y, 130.5, 80.5) >= 1) & (oval(x, y, 133.5, 83.5) < 1) & (np.abs((z % 24) - 12) < 3) & (y > -60)
    )
    cartilage = lambda x, y, z: wall(x, y, 118, 68) & level(z) & (y <= -60) & (np.abs(x) > 12)  # noqa: E731
    spine, core = tube(18, 0, 62), tube(15, 0, 62)
    things = [
        (lungs, -850.0), (spine, 700.0), (core, 200.0), (ribs, 900.0), (marrow, 150.0), (cartilage, 120.0), *more,
    ]  # fmt: skip
    return scan(*things, length_mm=slices_mm, half_mm=half_mm), ribs, cartilage


def test_ribs_are_bone_and_the_bands_before_them_are_cartilage():
    (volume, at), ribs, cartilage = chest()
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    inside = lambda mask, where: mask[tuple(found.grid.of_fine(np.argwhere(where(*at))).T)].mean()  # noqa: E731
    assert inside(found.bone, ribs) > 0.8
    assert inside(found.cartilage, cartilage) > 0.6
    assert inside(found.cartilage, ribs) < 0.1
    assert found.lumen_hu is None


def test_mineral_inside_the_chest_and_on_its_skin_is_neither_bone_nor_cartilage():
    node, nodule = ball(8, 0, 10), ball(8, 0, -97)
    (volume, at), _, _ = chest((node, 600.0), (nodule, 600.0))
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    for where in (node, nodule):
        index = tuple(found.grid.of_fine(np.argwhere(where(*at))).T)
        assert found.bone[index].mean() == 0
        assert found.cartilage[index].mean() == 0


@pytest.mark.parametrize(("hu", "is_cartilage"), [(120, True), (179, True), (180, False), (500, False)])
def test_a_lump_beside_a_rib_that_is_mostly_as_dense_as_bone_is_no_cartilage(hu, is_cartilage):
    bone = np.zeros((16, 100, 120), dtype=bool)
    bone[:, 10:91, 10:111] = True
    bone[:, 12:89, 12:109] = False
    density = np.where(bone, 600, 50).astype(np.int16)
    density[4:12, 2:10, 40:48] = hu
    grid = Grid(hu=density, step=(1, 1, 1), spacing_mm=(1.5, 1.5, 1.5))
    everywhere = np.ones(bone.shape, dtype=bool)
    found = costal_cartilage(grid, everywhere, bone, everywhere, noise_hu=8.0, front=-1)
    assert found[4:12, 2:10, 40:48].any() == is_cartilage


def test_what_goes_on_into_the_chest_is_no_cartilage_of_its_wall():
    """A septum as dense as cartilage that meets the ribs and runs inwards between the lungs."""
    septum = lambda x, y, z: (np.abs(x - 60) < 6) & (y > -75) & (y < -15) & (np.abs(z) < 40)  # noqa: E731
    (volume, at), _, _ = chest((septum, 120.0))
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    deep = lambda x, y, z: septum(x, y, z) & (y > -38)  # noqa: E731
    assert found.cartilage[tuple(found.grid.of_fine(np.argwhere(deep(*at))).T)].mean() == 0


def test_arms_beside_the_trunk_are_no_part_of_its_outline():
    """Their bones lie far before and beside the ribs; the cartilage stays in the wall that the ribs outline."""
    oval = lambda x, y, a, b: (x / a) ** 2 + (y / b) ** 2  # noqa: E731
    arms = lambda x, y: np.hypot(np.abs(x) - 205, y + 60) < 36  # noqa: E731
    bones, core = (lambda x, y, z, r=r: np.hypot(np.abs(x) - 205, y + 60) < r for r in (12, 9))  # noqa: ARG005
    room = lambda x, y, z: (oval(x, y, 160, 105) >= 1) & ~arms(x, y)  # noqa: E731, ARG005
    flesh = lambda x, y, z: arms(x, y)  # noqa: E731, ARG005
    (volume, at), ribs, cartilage = chest(
        (room, -1000.0), (flesh, 55.0), (bones, CORTEX), (core, SPONGIOSA), half_mm=(105, 250)
    )
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    inside = lambda mask, where: mask[tuple(found.grid.of_fine(np.argwhere(where(*at))).T)].mean()  # noqa: E731
    assert inside(found.bone, ribs) > 0.8
    assert inside(found.cartilage, cartilage) > 0.6


@pytest.mark.parametrize(("cortex", "expected"), [(620.0, 1), (420.0, 0)])
def test_a_bone_fainter_than_blood_in_its_blocks_is_seen_by_its_cortex(cortex, expected):
    """A shell of one voxel: the means of blocks stay below blood of 460 HU, the voxels of cortex do not."""
    shell = lambda x, y, z: (np.hypot(x - 30, y) < 9) & (np.hypot(x - 30, y) >= 8)  # noqa: E731, ARG005
    made = scan((tube(9, -30), 460.0), (tube(8, 30), 240.0), (shell, 2 * cortex - 240.0))
    where = tube(9, 30)
    volume, at = made
    coarse = coarsen(volume)
    found = find_bone_map(volume, coarse, find_body(coarse), NOISE_HU)
    assert found.lumen_hu == pytest.approx(460, abs=25)
    assert (found.bone[tuple(found.grid.of_fine(np.argwhere(where(*at))).T)].mean() > 0.7) == expected


@pytest.mark.parametrize(("side", "is_marrow"), [(54, True), (55, False)])
def test_enclosed_gaps_of_3000_mm2_at_most_are_marrow(side, is_marrow):
    shell = np.zeros((2, 70, 70), dtype=bool)
    shell[0, 5 : side + 7, 5 : side + 7] = True
    shell[0, 6 : side + 6, 6 : side + 6] = False
    filled = _filled(shell, Grid(hu=np.zeros(shell.shape, dtype=np.int16), step=(1, 1, 1), spacing_mm=(3.0, 1.0, 1.0)))
    assert filled[0, 30, 30] == is_marrow
    assert not filled[0, 0, 0]
    assert not filled[1].any()
    assert filled[shell].all()
