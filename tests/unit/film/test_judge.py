"""What stands out of soft tissue, and what it is taken for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.one_film import search_film
from calcreport.model.report import ExclusionReason

sys.path.append(str(Path(__file__).parent))

from painted_films import (
    BONE,
    NOISE,
    SOFT_AT,
    Thing,
    ball,
    bar,
    bump,
    disc,
    ellipse,
    film,
    leg,
    limb,
    noisy,
    paint,
    shaft,
)

SEEDS = range(20)
FEW_SEEDS = range(8)
PATELLA = ellipse((88, 123), (40, 14), 900, solid=True)
FABELLA = ball((95, 30), 8, 500)


def searched(made):
    return search_film(made, 0)


def middle_mm(shadow, pixel_mm):
    return tuple(
        (offset + (n - 1) / 2 + 0.5) * pixel_mm
        for offset, n in zip(shadow.mineral.offset, shadow.mineral.pixels.shape, strict=True)
    )


def listed(made, *, reason=None):
    """Details of what was excluded beside bone, by reason."""
    rows = [row for row in searched(made).excluded if row.detail != "bone in projection"]
    return [row.detail for row in rows if reason in {None, row.reason}]


def knee(*things: Thing, **fields):
    """A bone 30 mm wide that widens to 66 mm at its end, in soft tissue 130 mm wide."""
    end = ellipse((90, 75), (60, 66), 30 * BONE, solid=True)
    body = (limb(75, width=130, depth=110), shaft(75, width=30, length=150), end)
    grey = paint((*body, *things), size_mm=(160.0, 150.0), spacing=(0.4, 0.4))
    return film(noisy(grey), spacing=(0.4, 0.4), **{"part": "KNEE", **fields})


def test_a_ball_of_3_mm_at_five_deviations_of_the_noise_is_found():
    found = 0
    for seed in SEEDS:
        findings = searched(leg(ball(SOFT_AT, 3, 5 * NOISE), seed=seed)).findings
        places = [middle_mm(finding.shadow, 0.2) for finding in findings]
        found += len(places) == 1 and places[0] == pytest.approx(SOFT_AT, abs=0.6)
    assert found >= 19


def test_noise_is_that_of_the_place():
    for seed in range(4):
        made = leg(noise=NOISE / 4, seed=seed)
        grey = made.intensity.copy()
        strip = (slice(100, 400), slice(330, 470))
        grey[strip] += np.random.default_rng(seed).normal(0, NOISE, grey[strip].shape)
        assert not searched(film(grey)).findings
        grey += paint((ball(SOFT_AT, 8, 8 * NOISE),), ground=0.0)
        assert len(searched(film(grey)).findings) == 1


def test_noise_alone_is_nothing():
    assert sum(len(searched(leg(seed=seed)).findings) for seed in FEW_SEEDS) == 0


@pytest.mark.parametrize("sigma", [4.0, 6.0, 8.0])
def test_what_fades_out_is_nothing_however_clear(sigma):
    for seed in range(2):
        for peak in (20 * NOISE, 60 * NOISE):
            assert not searched(leg(bump(SOFT_AT, sigma, peak), seed=seed)).findings


def test_a_ball_too_faint_to_see_is_nothing():
    assert not any(searched(leg(ball(SOFT_AT, 3, NOISE), seed=seed)).findings for seed in FEW_SEEDS)


@pytest.mark.parametrize("diameter", [3.0, 6.0, 12.0, 20.0])
def test_one_ball_is_one_focus(diameter):
    (finding,) = searched(leg(ball((50, 79), diameter, 300))).findings
    assert finding.shape.count == len(finding.focus_lengths) == 1


@pytest.mark.parametrize(
    ("thing", "diameter"),
    [(disc, 16.0), (disc, 26.0), (disc, 34.0), (ball, 16.0), (ball, 26.0), (ball, 34.0), (ball, 50.0)],
)
def test_one_large_deposit_is_one_focus_as_long_as_it_is(thing, diameter):
    body = (limb(75, width=140, depth=110), shaft(40), thing((65, 98), diameter, 500))
    (finding,) = searched(
        film(noisy(paint(body, size_mm=(130.0, 150.0), spacing=(0.25, 0.25))), spacing=(0.25, 0.25))
    ).findings
    assert finding.shape.count == len(finding.focus_lengths) == 1
    assert finding.shadow.longest.length_mm == pytest.approx(diameter, abs=1.0)


def test_what_lies_in_the_skin_is_listed_as_external():
    made = leg(ball((50, 103), 4, 200))
    assert not searched(made).findings
    (detail,) = listed(made, reason=ExclusionReason.EXTERNAL)
    assert "skin line" in detail


def test_what_lies_beneath_the_skin_is_a_finding():
    made = leg(ball((50, 97), 4, 200))
    (finding,) = searched(made).findings
    assert finding.shadow.to_skin_line.length_mm == pytest.approx(105 - 97 - 2, abs=1.0)
    assert not listed(made)


@pytest.mark.parametrize("thing", [disc(SOFT_AT, 12, 3000), bar(SOFT_AT, 40, 4, 3000)])
def test_a_metal_plate_is_listed_as_metal(thing):
    made = leg(thing)
    assert not searched(made).findings
    (detail,) = listed(made, reason=ExclusionReason.METAL)
    assert "metal" in detail


@pytest.mark.parametrize("thing", [disc(SOFT_AT, 12, 400), ball(SOFT_AT, 12, 900), ball(SOFT_AT, 12, 2800)])
def test_a_dense_deposit_is_no_metal(thing):
    made = leg(thing)
    assert len(searched(made).findings) == 1
    assert not listed(made)


@pytest.mark.parametrize(("thing", "name"), [(PATELLA, "patella"), (FABELLA, "fabella")])
def test_patella_and_fabella_are_listed_in_a_lateral_knee(thing, name):
    made = knee(thing, position="LL")
    assert not searched(made).findings
    (detail,) = listed(made, reason=ExclusionReason.SKELETON)
    assert f"taken as {name}; check" in detail


def test_patella_and_fabella_are_listed_beside_each_other():
    made = knee(PATELLA, FABELLA, position="LL")
    assert not searched(made).findings
    assert len(listed(made, reason=ExclusionReason.SKELETON)) == 2


@pytest.mark.parametrize(
    ("thing", "header"),
    [
        (PATELLA, {"position": "AP"}),
        (FABELLA, {"position": "AP"}),
        (FABELLA, {"position": None}),
        (FABELLA, {"position": "LL", "part": "FOREARM"}),
        (ball((12, 28), 8, 500), {"position": "LL"}),
        (ball((25, 50), 8, 500), {"position": "LL"}),
    ],
    ids=["patella frontal", "fabella frontal", "no view", "another part", "far from bone", "beside the shaft"],
)
def test_elsewhere_they_are_findings(thing, header):
    made = knee(thing, **header)
    assert len(searched(made).findings) == 1
    assert not listed(made)


@pytest.mark.parametrize(
    "thing",
    [
        ellipse((88, 123), (24, 14), 900, solid=True),
        ellipse((88, 123), (40, 14), 550, solid=True),
        ellipse((55, 118), (52, 33), 700),
        ellipse((55, 118), (52, 33), 1100, solid=True),
    ],
    ids=["too short", "too faint", "too thick", "too thick in one of two searches"],
)
def test_what_is_no_patella_by_its_size_or_density_is_a_finding(thing):
    made = knee(thing, position="LL")
    assert len(searched(made).findings) == 1
    assert not listed(made)


@pytest.mark.parametrize(
    "things",
    [
        (FABELLA, ball((95, 121), 8, 500), ball((77, 30), 8, 500)),
        (PATELLA, ellipse((88, 27), (40, 14), 900, solid=True)),
    ],
    ids=["fabella", "patella"],
)
def test_more_of_them_than_a_knee_has_are_findings(things):
    made = knee(*things, position="LL")
    assert len(searched(made).findings) == len(things)
    assert not listed(made)


def test_two_deposits_that_touch_are_one_finding():
    (finding,) = searched(leg(ball((50, 78), 12, 400), bar((50, 88.5), 24, 9, 100))).findings
    assert finding.shadow.longest.length_mm > 24


def test_a_deposit_close_to_a_shaft_is_found():
    (finding,) = searched(leg(ball((50, 59), 8, 250))).findings
    assert finding.shadow.longest.length_mm == pytest.approx(8.0, abs=0.4)


@pytest.mark.parametrize("row", [3.0, 97.0])
def test_what_the_end_of_the_film_cuts_is_cut(row):
    (finding,) = searched(leg(disc((row, 78), 12, 200))).findings
    assert finding.shadow.is_cut
    (whole,) = searched(leg(disc((50, 78), 12, 200))).findings
    assert not whole.shadow.is_cut


def test_a_ball_that_the_end_of_the_film_cuts_is_found():
    (finding,) = searched(leg(ball((4, 78), 16, 300))).findings
    assert finding.shadow.is_cut


def test_what_the_collimator_cuts_is_cut():
    imaged = leg().is_imaged.copy()
    imaged[:160] = False
    (finding,) = searched(leg(disc((36, 78), 12, 200), imaged=imaged)).findings
    assert finding.shadow.is_cut
