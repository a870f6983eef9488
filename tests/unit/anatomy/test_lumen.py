"""Enhanced blood in painted trunks: seen at any density, set apart from bone, cartilage and mineral."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.coarse import Grid
from calcreport.anatomy.lumen import find_lumen, find_small_vessels

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
    body = np.ones(grid.hu.shape, dtype=bool)
    lumen = find_lumen(grid, body, NOISE_HU)
    if lumen.hu is not None:
        return lumen
    fine_hu = grid.hu if fine_hu is None else fine_hu
    return find_small_vessels(
        grid, fine_hu, body, ~body if bone is None else bone, noise_hu=NOISE_HU, fine_noise_hu=NOISE_HU
    )


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
    assert find_lumen(grid, np.ones(grid.hu.shape, dtype=bool), IN_NOISE_HU).hu is None


@pytest.mark.parametrize(("rim_hu", "is_blood"), [(300.0, True), (340.0, False)])
def test_a_denser_shell_tells_a_bone_from_a_chamber_in_noise(rim_hu, is_blood):
    """Both are flat beside a vessel that runs through the scan; one like the vessel all through is its chamber."""
    bone = ((tube(20.0, 40, 20, (15, 57)), rim_hu), (tube(16.0, 40, 20, (15, 57)), 300.0))
    grid = painted((tube(8.0, -30, 0), 320.0), *bone, noise_hu=IN_NOISE_HU)
    mask = find_lumen(grid, np.ones(grid.hu.shape, dtype=bool), IN_NOISE_HU).mask
    assert mask[12, 50, 30]
    assert mask[12, 63, 77] == is_blood
