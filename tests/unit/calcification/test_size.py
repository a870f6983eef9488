"""Sizes of bodies of known size, below the voxel, in any geometry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcreport.calcification.edges import deblurred_width_mm, find_surface
from calcreport.calcification.size import (
    MAX_HULL_POINTS,
    Blur,
    farthest_pair,
    length_uncertainty_mm,
    measure_size,
    outline_lengths,
    series_blur,
)
from calcreport.model.drawn import Section, outline_of_sections
from calcreport.model.lesion import Segment

SHARP = Blur(in_plane_mm=0.0, across_mm=0.0)


def measured(volume, *, blur=SHARP, background=55.0, noise=0.0, threshold=130):
    mask = volume.hu >= threshold
    surface = find_surface(
        volume.hu, mask, background_hu=background, noise_hu=noise, spacing_mm=volume.geometry.spacing_mm
    )
    points = volume.geometry.lps_mm(surface.points)
    size, longest, key, axial = measure_size(surface, points, geometry=volume.geometry, blur=blur, is_minimum=False)
    return size, longest, key, axial


def ball(diameter, hu=500.0):
    return lambda x, y, z: np.where(np.sqrt(x**2 + y**2 + z**2) < diameter / 2, hu, 55.0)


@pytest.mark.parametrize("hu", [220.0, 500.0, 1500.0])
@pytest.mark.parametrize(
    ("spacing", "tilt"),
    [((1.0, 0.7, 0.7), 0.0), ((2.0, 0.8, 0.8), 0.0), ((1.5, 0.6, 0.9), 0.0), ((2.0, 0.8, 0.8), 18.5)],
)
def test_a_ball_keeps_its_diameter_whatever_its_density(make_volume, hu, spacing, tilt):
    volume = make_volume(ball(20.0, hu), size_mm=30.0, spacing_mm=spacing, tilt_deg=tilt)
    size, longest, *_ = measured(volume)
    # Points on a staircase: the farthest pair is out by up to half a voxel diagonal, never more.
    assert size.max_diameter_mm == pytest.approx(20.0, abs=max(0.6, 0.45 * volume.geometry.voxel_diagonal_mm))
    assert np.linalg.norm(np.subtract(longest.end_lps_mm, longest.start_lps_mm)) == pytest.approx(longest.length_mm)
    for extent in (size.ap_mm, size.tr_mm, size.cc_mm, size.axial_long_mm, size.axial_short_mm):
        assert extent == pytest.approx(20.0, abs=0.8)
    assert size.volume_mm3 == pytest.approx(np.pi / 6 * 20**3, rel=0.05)


def test_a_fixed_threshold_would_have_read_a_dense_ball_too_large(make_volume):
    """What the half level is for: at 130 HU a blurred ball of 1500 HU gains more than a millimetre."""
    volume = make_volume(ball(12.0, 1500.0), size_mm=24.0, spacing_mm=(1.0, 0.7, 0.7), blur_mm=1.4)
    naive = np.argwhere(volume.hu >= 130)
    start, end = farthest_pair(volume.geometry.lps_mm(naive.astype(float)))
    assert np.linalg.norm(end - start) > 12.9
    assert measured(volume)[0].max_diameter_mm == pytest.approx(12.0, abs=0.4)


def test_tilt_is_not_a_longer_spacing(make_volume):
    """A rod along the table axis of a stack tilted by 18.5 degrees: the wrong answer is out by 5 %."""

    def rod(x, y, z):
        return np.where((np.hypot(x, y) < 4) & (np.abs(z) < 25), 600.0, 55.0)

    volume = make_volume(rod, size_mm=64.0, spacing_mm=(2.0, 1.0, 1.0), tilt_deg=18.5)
    size, *_ = measured(volume)
    truth = np.hypot(50.0, 8.0)
    assert size.max_diameter_mm == pytest.approx(truth, abs=0.9)
    assert size.cc_mm == pytest.approx(50.0, abs=0.6)
    slant = 2.0 / np.cos(np.radians(18.5))
    assert abs(25 * slant - 50.0) > 2.0, "ignoring the shear would be outside the tolerance"


def test_anisotropic_pixels_are_not_swapped(make_volume):
    def bar(x, y, z):
        return np.where((np.abs(x) < 12) & (np.abs(y) < 4) & (np.abs(z) < 4), 500.0, 55.0)

    size, *_ = measured(make_volume(bar, size_mm=34.0, spacing_mm=(1.0, 0.6, 1.2)))
    assert size.tr_mm == pytest.approx(24.0, abs=0.5)
    assert size.ap_mm == pytest.approx(8.0, abs=0.5)


def test_axial_axes_are_those_of_the_best_slice(make_volume):
    def ellipse(x, y, z):
        return np.where((x / 10) ** 2 + (y / 5) ** 2 + (z / 14) ** 2 < 1, 500.0, 55.0)

    size, _, key, axial = measured(make_volume(ellipse, size_mm=36.0, spacing_mm=(1.5, 0.6, 0.6)))
    assert size.axial_long_mm == pytest.approx(20.0, abs=0.6)
    assert size.axial_short_mm == pytest.approx(10.0, abs=0.6)
    assert size.max_diameter_mm == pytest.approx(28.0, abs=0.8)
    assert abs(axial.start_lps_mm[2]) < 4.0
    assert key == pytest.approx(12, abs=2)


def test_noise_does_not_grow_a_deposit(make_volume):
    volume = make_volume(ball(15.0, 450.0), size_mm=30.0, spacing_mm=(2.0, 0.8, 0.8), noise_hu=20.0, blur_mm=1.0)
    assert measured(volume, noise=20.0, threshold=150)[0].max_diameter_mm == pytest.approx(15.0, abs=1.2)


@pytest.mark.parametrize("diameter", [1.2, 1.6, 2.0, 3.0, 5.0])
def test_the_width_of_a_blurred_ball_is_undone(diameter):
    """Balls blurred numerically by a Gaussian of FWHM 1, measured at half their own peak."""
    step = 0.05
    grid = np.arange(-3.5, 3.5 + step / 2, step) * max(1.0, diameter / 3)
    x, y, z = np.meshgrid(grid, grid, grid, indexing="ij")
    field = ndimage.gaussian_filter(
        (x**2 + y**2 + z**2 < (diameter / 2) ** 2).astype(np.float32), 1 / 2.3548 / (grid[1] - grid[0])
    )
    line = field[:, len(grid) // 2, len(grid) // 2]
    width = np.interp(0.5 * line.max(), line[len(grid) // 2 :][::-1], grid[len(grid) // 2 :][::-1]) * 2
    assert deblurred_width_mm(width, 1.0, (1.0, 1.0)) == pytest.approx(diameter, abs=0.15)


def test_wide_deposits_are_left_alone():
    assert deblurred_width_mm(100.0, 1.0) == 100.0
    assert deblurred_width_mm(3.0, 0.0) == 3.0


def test_blur_takes_the_thicker_of_thickness_and_spacing(make_volume):
    geometry = make_volume(ball(4.0), size_mm=12.0, spacing_mm=(1.0, 0.7, 0.7)).geometry
    assert series_blur(geometry, 2.5).across_mm == 2.5
    assert series_blur(geometry, None).across_mm == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_farthest_pair_is_exact(seed):
    points = np.random.default_rng(seed).normal(size=(300, 3))
    start, end = farthest_pair(points)
    every = np.linalg.norm(points[:, None] - points[None], axis=2).max()
    assert np.linalg.norm(end - start) == pytest.approx(every)


def test_of_many_hull_points_those_all_around_are_kept():
    """The first ones alone would be one end of a long body whose points come slice by slice."""
    turn = np.linspace(0.0, 400.0, 2 * MAX_HULL_POINTS + 500)
    height = np.linspace(-1.0, 1.0, turn.size)
    radius = np.sqrt(1 - height**2)
    points = np.column_stack((10 * radius * np.cos(turn), 10 * radius * np.sin(turn), 40 * height))
    start, end = farthest_pair(points)
    assert np.linalg.norm(end - start) == pytest.approx(80.0, abs=0.1)


@pytest.mark.parametrize(("width_mm", "longest_mm"), [(5.0, 30.0), (2.0, 20.0)])
def test_the_axial_diameter_is_the_longest_in_slices_that_are_not_grazing(make_volume, width_mm, longest_mm):
    """A disc of 314 mm2 beside a bar of 30 mm: the bar counts with half of that area, and not with a fifth."""

    def disc_and_bar(x, y, z):
        disc = (np.hypot(x, y) < 10) & (z < 0) & (z > -8)
        bar = (np.abs(x) < 15) & (np.abs(y) < width_mm / 2) & (z >= 0) & (z < 8)
        return np.where(disc | bar, 500.0, 55.0)

    size, _, _, axial = measured(make_volume(disc_and_bar, size_mm=40.0, spacing_mm=(1.0, 0.5, 0.5)))
    assert size.axial_long_mm == pytest.approx(longest_mm, abs=1.0)
    assert (axial.start_lps_mm[2] > 0) is (longest_mm == 30.0)


@pytest.mark.parametrize(
    ("direction", "blur", "expected"),
    [
        ((0.0, 0.0, 1.0), SHARP, 2.0 / np.sqrt(2)),
        ((1.0, 0.0, 0.0), SHARP, 0.8 / np.sqrt(2)),
        ((0.6, 0.0, 0.8), SHARP, np.hypot(0.6 * 0.8, 0.8 * 2.0) / np.sqrt(2)),
        ((0.0, 0.0, 1.0), Blur(in_plane_mm=1.2, across_mm=3.0), np.hypot(2.0 / np.sqrt(2), 3.0 / 3)),
        ((1.0, 0.0, 0.0), Blur(in_plane_mm=1.2, across_mm=3.0), np.hypot(0.8 / np.sqrt(2), 1.2 / 3)),
    ],
)
def test_the_uncertainty_of_a_length_is_half_a_voxel_at_each_end_and_a_third_of_the_blur(
    make_volume, direction, blur, expected
):
    geometry = make_volume(ball(4.0), size_mm=12.0, spacing_mm=(2.0, 0.8, 0.8)).geometry
    segment = Segment(start_lps_mm=(0.0, 0.0, 0.0), end_lps_mm=tuple(30 * np.array(direction)), length_mm=30.0)
    assert length_uncertainty_mm(segment, geometry, blur) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("direction", "across_mm"),
    [((0.0, 0.0, 1.0), 1.2), ((1.0, 0.0, 0.0), 3.0), ((0.6, 0.0, 0.8), np.hypot(1.2 * 0.8, 3.0 * 0.6))],
)
def test_the_end_of_something_thin_is_known_less_well_by_the_blur_across(make_volume, direction, across_mm):
    geometry = make_volume(ball(4.0), size_mm=12.0, spacing_mm=(2.0, 0.8, 0.8)).geometry
    segment = Segment(start_lps_mm=(0.0, 0.0, 0.0), end_lps_mm=tuple(30 * np.array(direction)), length_mm=30.0)
    blur = Blur(in_plane_mm=1.2, across_mm=3.0)
    expected = np.hypot(length_uncertainty_mm(segment, geometry, blur), 0.8 * across_mm)
    assert length_uncertainty_mm(segment, geometry, blur, is_thin=True) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("step_mm", [1.0, 5.0, 15.0])
def test_the_widest_section_of_a_drawing_may_lie_between_its_planes(make_volume, step_mm):
    geometry = make_volume(ball(4.0), size_mm=60.0).geometry
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.column_stack((18 * np.cos(angles), 9 * np.sin(angles), np.zeros(60)))
    section = Section(position_mm=0.0, outlines_mm=(circle,), area_mm2=float(np.pi * 18 * 9))
    outline = outline_of_sections([section], np.array(((0, 0, step_mm), (0, 0.1, 0), (0.1, 0, 0))))
    longest, _, uncertainty_mm = outline_lengths(outline, geometry)
    assert longest.length_mm == pytest.approx(36.0, abs=0.1)
    assert uncertainty_mm == pytest.approx(0.45 * step_mm, abs=0.1)  # one plane: it is as high as a step


def test_only_what_fills_little_of_its_ball_is_thin(make_volume):
    def rods(width_mm):
        return lambda x, y, z: np.where((np.abs(x) < 15) & (np.abs(y) < width_mm) & (np.abs(z) < width_mm), 600.0, 55.0)

    blur = Blur(in_plane_mm=1.2, across_mm=3.0)
    thin, stout = (
        measured(make_volume(rods(width_mm), size_mm=40.0, spacing_mm=(2.0, 0.8, 0.8)), blur=blur)[0].uncertainty_mm
        for width_mm in (2.0, 6.0)
    )
    # The same length in the slice; the longest diameter of the stout one goes from corner to corner.
    assert thin > 2.0 > stout


def test_no_interval_is_stated_where_fainter_parts_may_lie_beyond(make_volume):
    volume = make_volume(ball(10.0, 180.0), size_mm=20.0, spacing_mm=(1.0, 0.8, 0.8))
    surface = find_surface(
        volume.hu, volume.hu >= 130, background_hu=55.0, noise_hu=0.0, spacing_mm=volume.geometry.spacing_mm
    )
    size, *_ = measure_size(
        surface, volume.geometry.lps_mm(surface.points), geometry=volume.geometry, blur=SHARP, is_minimum=False,
        is_near_limit=True,
    )  # fmt: skip
    assert size.max_diameter_mm == pytest.approx(10.0, abs=0.6)
    assert size.uncertainty_mm is None


@pytest.mark.accuracy
@pytest.mark.slow
def test_95_percent_of_true_lengths_lie_within_the_stated_uncertainty(make_volume):
    """Ellipsoids of any size, direction and place on the grid, blurred as the series says."""
    random = np.random.default_rng(13)
    inside = []
    for seed in range(60):
        spacing = (random.uniform(0.7, 3.0), *([random.uniform(0.5, 0.9)] * 2))
        half_mm = np.sort(random.uniform(3.0, 11.0, 3))[::-1] * (1.2, 1.0, 0.9)
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        shift = random.uniform(-1.0, 1.0, 3)

        def ellipsoid(x, y, z, turn=turn, half_mm=half_mm, shift=shift):
            along = (np.stack((x, y, z), -1) - shift) @ turn
            return np.where((along**2 / half_mm**2).sum(-1) < 1, 600.0, 55.0)

        blur_mm = max(0.8, 1.3 * spacing[1])
        volume = make_volume(ellipsoid, size_mm=34.0, spacing_mm=spacing, blur_mm=blur_mm, noise_hu=8.0, seed=seed)
        size, *_ = measured(volume, blur=series_blur(volume.geometry, None), noise=8.0)
        inside.append(abs(size.max_diameter_mm - 2 * half_mm[0]) <= size.uncertainty_mm)
    assert np.mean(inside) >= 0.95


@pytest.mark.parametrize(
    ("points", "ends"),
    [
        ([[1, 2, 3]], {(1, 2, 3)}),
        ([[n, 2 * n, 0] for n in range(9)], {(0, 0, 0), (8, 16, 0)}),
        ([[n, 0, 0] for n in range(4)], {(0, 0, 0), (3, 0, 0)}),
    ],
    ids=["one point", "points in a line", "few points"],
)
def test_the_farthest_pair_of_flat_sets(points, ends):
    assert {tuple(end) for end in farthest_pair(np.array(points, dtype=float))} == ends
