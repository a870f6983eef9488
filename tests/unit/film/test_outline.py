"""Outlines, lengths and places are those of the thing, whatever its shape, its size and the pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.one_film import search_film
from calcreport.film.outline import diameters

sys.path.append(str(Path(__file__).parent))

from painted_films import ball, bar, disc, ellipse, film, leg, limb, noisy, paint, shaft

SHORT = (60.0, 120.0)
PLACE = (30.0, 78.0)
PIXELS = [(0.1, 0.1), (0.15, 0.15), (0.2, 0.2), (0.1, 0.2), (0.2, 0.1)]


def the_finding(*things, spacing=(0.2, 0.2), **how):
    (finding,) = search_film(leg(*things, spacing=spacing, size_mm=SHORT, **how), 0).findings
    return finding


@pytest.mark.parametrize("spacing", PIXELS)
@pytest.mark.parametrize(
    ("thing", "longest", "across"),
    [
        (disc(PLACE, 8, 150), 8.0, 8.0),
        (disc((29.93, 78.11), 5, 150), 5.0, 5.0),
        (ellipse(PLACE, (16, 8), 150), 16.0, 8.0),
        (ellipse(PLACE, (16, 8), 150, turn_deg=35), 16.0, 8.0),
        (bar(PLACE, 12, 3, 150), np.hypot(12, 3), 24 * 3 / np.hypot(12, 3)),
    ],
    ids=["disc", "small disc", "ellipse", "turned ellipse", "bar"],
)
def test_lengths_are_right_within_three_tenths_of_a_millimetre(thing, longest, across, spacing):
    shadow = the_finding(thing, spacing=spacing).shadow
    assert shadow.longest.length_mm == pytest.approx(longest, abs=0.3)
    # a bar's diagonal has a flat maximum: what lies square to it is known less well
    assert shadow.across.length_mm == pytest.approx(across, abs=0.3 if thing.reach != 6 else 0.6)


@pytest.mark.parametrize("spacing", PIXELS)
@pytest.mark.parametrize("diameter", [5.0, 8.0, 12.0])
def test_a_ball_is_outlined_within_four_tenths_of_a_millimetre(diameter, spacing):
    """Its shadow fades to nothing at its edge, and so it is drawn a little too small, never too large."""
    shadow = the_finding(ball(PLACE, diameter, 250), spacing=spacing).shadow
    assert -0.4 < shadow.longest.length_mm - diameter < 0.1
    assert -0.4 < shadow.across.length_mm - diameter < 0.1


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.1, 0.2)])
def test_places_are_unbiased(spacing):
    errors = []
    rng = np.random.default_rng(4)
    for seed in range(8):
        place = tuple(np.array(PLACE) + rng.uniform(-1, 1, 2))
        mineral = the_finding(ball(place, 6, 250), spacing=spacing, seed=seed).shadow.mineral
        middle = np.argwhere(mineral.pixels).mean(axis=0) + mineral.offset + 0.5
        errors.append(middle * spacing - place)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.05
    assert np.abs(errors).max() < 0.2


def test_lengths_are_unbiased_over_noise():
    lengths = [the_finding(disc(PLACE, 8, 150), seed=seed).shadow.longest.length_mm for seed in range(6)]
    assert np.mean(lengths) == pytest.approx(8.0, abs=0.15)


def test_ends_of_the_lines_lie_on_the_outline():
    shadow = the_finding(ellipse((30, 78), (16, 8), 150)).shadow
    ends = np.array([shadow.longest.start, shadow.longest.end])
    true = np.array([(22, 78), (38, 78)]) / 0.2 - 0.5
    ends = ends[np.argsort(ends[:, 0])]
    assert np.abs(ends[:, 0] - true[:, 0]).max() < 1.5
    sides = np.sort([shadow.across.start[1], shadow.across.end[1]])
    assert np.abs(sides - np.array([74, 82]) / 0.2 + 0.5).max() < 1.5


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.1, 0.2), (0.2, 0.1)])
def test_the_line_across_is_square_to_the_longest_in_millimetres(spacing):
    shadow = the_finding(ellipse(PLACE, (16, 8), 150, turn_deg=35), spacing=spacing).shadow
    along, across = ((np.array(line.end) - line.start) * spacing for line in (shadow.longest, shadow.across))
    assert abs(along @ across) < 1e-6
    assert shadow.longest.length_mm == pytest.approx(np.linalg.norm(along))
    assert shadow.across.length_mm == pytest.approx(np.linalg.norm(across))
    assert shadow.longest.length_px == pytest.approx(np.hypot(*(np.array(shadow.longest.end) - shadow.longest.start)))


def test_the_mask_covers_the_thing():
    mineral = the_finding(disc((30, 78), 8, 150)).shadow.mineral
    assert mineral.pixels.sum() * 0.04 == pytest.approx(np.pi * 16, rel=0.05)
    on_film = np.zeros((300, 600), dtype=bool)
    on_film[mineral.box] = mineral.pixels
    i, j = (np.indices(on_film.shape) + 0.5) * 0.2
    assert on_film[np.hypot(i - 30, j - 78) < 3.6].all()
    assert not on_film[np.hypot(i - 30, j - 78) > 4.4].any()


def test_a_slope_beneath_does_not_move_the_outline():
    made = leg(disc(PLACE, 8, 150))
    slope = np.arange(made.intensity.shape[0])[:, None] * 0.2 * 10
    (finding,) = search_film(film(made.intensity + slope), 0).findings
    assert finding.shadow.longest.length_mm == pytest.approx(8.0, abs=0.3)


def test_contrast_is_told_over_the_noise():
    finding = the_finding(disc(PLACE, 10, 200), noise=8.0)
    assert finding.shadow.contrast_to_noise == pytest.approx(200 / 8, rel=0.15)


def test_a_very_long_thing_is_outlined_on_the_reduced_film():
    """Longer than 90 mm: the outline is drawn on the plate, and placed on the film to a pixel of it."""
    size = (200.0, 120.0)
    thing = bar((98, 78), 110, 5, 200)
    grey = paint((limb(60), shaft(40), thing), size_mm=size)
    (finding,) = search_film(film(noisy(grey)), 0).findings
    shadow = finding.shadow
    assert shadow.longest.length_mm == pytest.approx(110.0, abs=1.0)
    assert shadow.mineral.offset[0] * 0.2 == pytest.approx(98 - 55, abs=0.8)
    assert shadow.mineral.offset[1] * 0.2 == pytest.approx(78 - 2.5, abs=0.8)
    assert shadow.mineral.pixels.shape[1] * 0.2 == pytest.approx(5.0, abs=1.2)


@pytest.mark.parametrize("turn_deg", [0.0, 17.3, 45.0, 90.0, 133.0])
def test_diameters_of_a_rectangle(turn_deg):
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    corners = np.array([(0, 0), (30, 0), (30, 4), (0, 4)]) @ np.array([[cos, sin], [-sin, cos]]) + 7
    longest, across, i, j = diameters(corners)
    assert longest == pytest.approx(np.hypot(30, 4), rel=1e-4)
    assert np.linalg.norm(corners[i] - corners[j]) == pytest.approx(np.hypot(30, 4), rel=1e-4)
    assert across == pytest.approx(2 * 30 * 4 / np.hypot(30, 4), abs=0.3)
