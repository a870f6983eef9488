"""Analytic solids: their distances never overestimate, and truth taken from them is exact."""

from __future__ import annotations

import numpy as np
import pytest
from calcphantom.distances import near_distance_mm, surface_distance_mm
from calcphantom.scene import Tube
from calcphantom.shapes import (
    Shape,
    about_z,
    ball,
    capsule,
    ellipsoid,
    half_space,
    intersection,
    lump,
    max_diameter_mm,
    moved,
    outside,
    random_bumps,
    shrunk,
)

SOLIDS = {
    "ball": ball(6.0, (1, 2, 3)),
    "ellipsoid": ellipsoid((12.0, 4.0, 7.0)),
    "rod": capsule(np.array([0.0, 0, -8]), np.array([3.0, 2, 9]), 2.5),
    "lump": lump((8.0, 6.0, 9.0), random_bumps(np.random.default_rng(3), height=0.15, frequency=5)),
    "moved": moved(ellipsoid((10.0, 3.0, 5.0)), about_z(0.7, 0.4), np.array([5.0, -3, 2])),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_distance_is_never_more_than_the_way_to_the_surface(name: str) -> None:
    shape = SOLIDS[name]
    rng = np.random.default_rng(1)
    low, high = shape.box
    asked = rng.uniform(low - 4, high + 4, size=(400, 3))
    to_surface = np.linalg.norm(shape.points[None, :, :] - asked[:, None, :], axis=2).min(axis=1)
    assert (np.abs(shape.distance(*asked.T)) <= to_surface + 0.04).all()


@pytest.mark.parametrize("name", SOLIDS)
def test_surface_points_lie_on_the_surface_and_in_the_box(name: str) -> None:
    shape = SOLIDS[name]
    assert np.abs(shape.distance(*shape.points.T)).max() < 0.04
    assert (shape.points >= shape.box[0] - 1e-6).all()
    assert (shape.points <= shape.box[1] + 1e-6).all()


@pytest.mark.parametrize(
    ("shape", "longest"),
    [
        (ball(5.0), 10.0),
        (ellipsoid((3.0, 4.0, 20.0)), 40.0),
        (capsule(np.zeros(3), np.array([0.0, 30.0, 0]), 2.0), 34.0),
    ],
)
def test_longest_diameter_is_that_of_the_formula(shape: Shape, longest: float) -> None:
    turned = moved(shape, about_z(0.3, 0.9), np.array([7.0, 7, 7]))
    assert max_diameter_mm(turned.points) == pytest.approx(longest, rel=1e-3)


def test_longest_diameter_of_a_box_is_its_space_diagonal() -> None:
    corners = np.array([[x, y, z] for x in (0.0, 3.0) for y in (0.0, 4.0) for z in (0.0, 12.0)])
    assert max_diameter_mm(corners) == pytest.approx(13.0)


def test_a_shell_is_a_solid_without_its_core() -> None:
    body = ball(10.0)
    shell = intersection(body, outside(shrunk(body, 2.0)))
    x = np.array([0.0, 7.9, 8.1, 9.9, 10.1])
    assert (shell.distance(x, 0 * x, 0 * x) < 0).tolist() == [False, False, True, True, False]


def test_cutting_by_a_plane_drops_the_points_beyond() -> None:
    half = intersection(ball(5.0), half_space(np.array([0.0, 0, 1]), 0.0))
    assert half.points[:, 2].max() <= 1e-6


def _cylinder(radius_mm: float) -> Tube:
    return Tube(centre=lambda z: (0 * z, 0 * z), radius=lambda a, z: radius_mm + 0 * a + 0 * z, slack=1.3)


def test_distance_to_the_skin_runs_from_surface_to_surface() -> None:
    stone = ball(3.0, (20.0, 5.0, 1.0))
    expected = 40.0 - np.hypot(20.0, 5.0) - 3.0
    assert surface_distance_mm(stone.points, _cylinder(40.0)) == pytest.approx(expected, abs=0.03)


def test_distance_to_an_oval_skin_is_the_shortest_and_not_the_radial_one() -> None:
    wide, deep = 60.0, 30.0
    tube = Tube(
        centre=lambda z: (0 * z, 0 * z),
        radius=lambda a, _z: wide * deep / np.hypot(deep * np.cos(a), wide * np.sin(a)),
        slack=1.4,
    )
    place = np.array([[35.0, 12.0, 0.0]])
    turn = np.linspace(0, np.pi / 2, 200001)
    expected = np.hypot(wide * np.cos(turn) - 35.0, deep * np.sin(turn) - 12.0).min()
    assert surface_distance_mm(place, tube) == pytest.approx(expected, abs=0.01)


def test_distance_to_bone_corrects_the_cautious_bound() -> None:
    bone = ellipsoid((20.0, 5.0, 20.0))
    place = np.array([[0.0, 0.0, 22.0]])
    assert float(bone.distance(*place.T)[0]) < 1.0  # the bound
    assert near_distance_mm(bone, place) == pytest.approx(2.0, abs=0.05)
