"""Rays of a phantom film: what projects where and how large, against formulas and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from calcphantom.attenuation import attenuation_per_mm, material_per_mm
from calcphantom.film.beam import Beam, make_beam, patient_orientation
from calcphantom.film.measure import extents
from calcphantom.film.path_lengths import sheet_length_mm, tube_length_mm
from calcphantom.film.recipe import ExposureRecipe, View
from calcphantom.film.scene import project_solids
from calcphantom.limb import FatPlane
from calcphantom.scene import Paint, Tube
from calcphantom.shapes import Floats, Shape, about_z, ball, ellipsoid, moved

PIXEL_MM = 0.2
SID_MM = 1000.0
SHAPE = (300, 320)


def beam(
    view: View = View.AP, *, sign: float = -1.0, distance_mm: float = 200.0, shape: tuple[int, int] = SHAPE
) -> Beam:
    return make_beam(
        view,
        ExposureRecipe(pixel_mm=PIXEL_MM, sid_mm=SID_MM),
        shape,
        sign=sign,
        centre_mm=np.zeros(3),
        object_detector_mm=distance_mm,
    )


def nothing(x: Floats, _y: Floats, _z: Floats) -> Floats:
    return np.zeros_like(x)


def shadow_mm(view: Beam, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Mineral on each ray of the whole film, and where a ray meets it."""
    found = project_solids(view, (Paint(shape=shape, hu=1000.0, is_mineral=True),), nothing, energy_kev=50.0)
    assert found is not None
    full = np.zeros(view.shape)
    full[found.box] = found.mineral_mm
    return full, np.argwhere(full > 0)


@pytest.mark.parametrize("distance_mm", [30.0, 200.0, 285.0])
def test_a_ball_is_projected_enlarged_by_the_distances(distance_mm: float) -> None:
    view = beam(distance_mm=distance_mm)
    radius = 6.0
    full, places = shadow_mm(view, ball(radius))
    # the cone around a ball touches it before its equator: slightly more than SID / SOD
    expected_px = 2 * radius * SID_MM / np.sqrt((SID_MM - distance_mm) ** 2 - radius**2) / PIXEL_MM
    assert extents(places.astype(float))[0] == pytest.approx(expected_px, abs=1.0)
    assert view.magnification(np.zeros(3)) == pytest.approx(SID_MM / (SID_MM - distance_mm))
    assert full.max() == pytest.approx(2 * radius, rel=0.003)


def test_a_point_off_the_axis_lands_where_the_intercept_theorem_says() -> None:
    view = beam(distance_mm=200.0)
    row, column = view.project(np.array([[10.0, 50.0, -12.0]]))[0]
    scale = SID_MM / (800.0 + 50.0) / PIXEL_MM
    assert (row, column) == (pytest.approx(149.5 + 12.0 * scale), pytest.approx(159.5 + 10.0 * scale))


def test_the_shadow_of_a_tilted_ellipsoid_is_that_of_its_surface_points() -> None:
    turn = about_z(0.7, 0.9)
    shape = moved(ellipsoid((3.0, 5.0, 11.0)), turn, np.array([4.0, -5.0, 3.0]))
    for view in (beam(), beam(View.LATERAL)):
        _, places = shadow_mm(view, shape)
        measured, truth = extents(places.astype(float)), extents(view.project(shape.points))
        assert measured == pytest.approx(truth, abs=1.2)
        assert places.mean(axis=0) == pytest.approx(view.project(shape.points).mean(axis=0), abs=1.0)


def test_two_views_are_orthogonal_and_share_the_long_axis() -> None:
    for sign in (1.0, -1.0):
        front, side = beam(sign=sign), beam(View.LATERAL, sign=sign)
        assert front.forward @ side.forward == pytest.approx(0.0)
        assert np.array_equal(front.along_rows, side.along_rows)
        assert front.along_rows @ np.array([0.0, 0.0, 1.0]) == -1.0
        points = np.array([[0.0, 0.0, 25.0], [0.0, 0.0, -25.0]])
        assert front.project(points)[:, 0] == pytest.approx(side.project(points)[:, 0])


@pytest.mark.parametrize(
    ("view", "sign", "letters"),
    [(View.AP, 1.0, ("L", "F")), (View.LATERAL, 1.0, ("A", "F")), (View.LATERAL, -1.0, ("P", "F"))],
)
def test_the_patient_orientation_is_that_of_the_rays(view: View, sign: float, letters: tuple[str, str]) -> None:
    rays = beam(view, sign=sign)
    assert patient_orientation(rays) == letters
    directions = {"L": [10, 0, 0], "A": [0, -10, 0], "P": [0, 10, 0]}
    point = np.array([directions[letters[0]]], dtype=float)
    assert rays.project(point)[0, 1] > (SHAPE[1] - 1) / 2


def test_a_tube_is_crossed_as_far_as_its_samples_say() -> None:
    tube = Tube(
        centre=lambda z: (3.0 + 0.05 * z, -4.0 + 0.03 * z),
        radius=lambda a, z: 12.0 + 1.2 * np.cos(3 * a) + 0.03 * z,
        slack=1.4,
    )
    view = beam(shape=(120, 320))
    length = tube_length_mm(view, tube)
    depth = np.arange(740.0, 860.0, 0.05)
    for row, column in ((10, 100), (60, 160), (60, 205), (110, 190), (60, 112)):
        b, a = view.slopes(np.array(row), np.array(column))
        ray = view.forward + b * view.along_rows + a * view.along_columns
        x, y, z = (view.source_mm[:, None] + ray[:, None] * depth).tolist()
        inside = tube.distance(np.array(x), np.array(y), np.array(z)) < 0
        assert length[row, column] == pytest.approx(inside.sum() * 0.05 * np.linalg.norm(ray), abs=0.25)


def test_a_fat_plane_keeps_its_cross_section() -> None:
    envelope = Tube(centre=lambda z: (0 * z, 0 * z), radius=lambda a, _z: np.full(np.shape(a), 25.0), slack=1.1)
    plane = FatPlane(
        path=lambda z: (0 * z, 0 * z),
        angle_rad=0.4,
        thickness_mm=1.2,
        reach_mm=60.0,
        wave_mm=1.0,
        phase_rad=0.3,
        envelope=envelope,
    )
    view = beam()
    length = sheet_length_mm(view, plane)
    # cross-section in mm2, at the plane of the limb's axis: columns there are smaller by the magnification
    area = length.sum(axis=1) * PIXEL_MM * 0.8
    assert np.median(area) == pytest.approx(1.2 * 25.0, rel=0.03)


def test_attenuation_follows_the_published_tables() -> None:
    assert material_per_mm("water", 50.0) == pytest.approx(0.02269)
    assert material_per_mm("bone", 60.0) == pytest.approx(0.1 * 1.92 * 0.3148)
    assert attenuation_per_mm(-1000.0, 50.0).item() == 0.0
    water = attenuation_per_mm(0.0, 50.0).item()
    assert water == pytest.approx(0.02269, rel=0.02)
    rising = attenuation_per_mm(np.linspace(-1000.0, 6000.0, 300), 45.0)
    assert (np.diff(rising) >= 0).all()
