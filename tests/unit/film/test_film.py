"""One film as a whole: what it says may not hang on grey, scale or pixels, and nothing brings the search down."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.one_film import search_film

sys.path.append(str(Path(__file__).parent))

from painted_films import NOISE, SOFT_AT, ball, bar, disc, film, leg, limb, noisy, paint, with_grey

TALL = (200.0, 120.0)
"""A film of 1000 rows of 0.2 mm, which is what is guessed for one without a scale."""
THINGS = (ball((40, 80), 9, 250), disc((90, 75), 6, 200), bar((150, 80), 30, 3, 250))


@cache
def example():
    return leg(*THINGS, size_mm=TALL)


@cache
def found():
    return search_film(example(), 0)


def masks(made):
    whole = np.zeros((1000, 600), dtype=bool)
    for finding in search_film(made, 0).findings:
        whole[finding.shadow.mineral.box] |= finding.shadow.mineral.pixels
    return whole


def test_the_example_shows_three_findings():
    assert sorted(round(finding.shadow.longest.length_mm) for finding in found().findings) == [6, 9, 30]
    assert found().reading.has_skin_line
    assert found().reading.notes == ()
    assert found().reading.noise == pytest.approx(NOISE, rel=0.1)


@pytest.mark.parametrize(("factor", "shift"), [(4.0, 0.0), (0.25, 0.0), (1.0, -5000.0), (0.013, 2.0), (37.0, 900.0)])
def test_no_fixed_grey_means_anything(factor, shift):
    made = with_grey(example(), example().intensity.astype(float) * factor + shift)
    assert (masks(made) != masks(example())).sum() <= 0.005 * masks(example()).sum()
    assert search_film(made, 0).reading.noise == pytest.approx(found().reading.noise * factor, rel=0.01)


def test_without_a_scale_nothing_is_told_in_millimetres():
    skin, metal = ball((70, 103), 4, 200), disc((120, 75), 9, 3000)
    made = leg(*THINGS, skin, metal, size_mm=TALL)
    with_scale = search_film(made, 0)
    without = search_film(film(made.intensity, spacing=None), 0)
    assert len(without.findings) == len(with_scale.findings) == 3
    for finding, same in zip(without.findings, with_scale.findings, strict=True):
        lines = (finding.shadow.longest, finding.shadow.across, finding.shadow.to_skin_line)
        assert [line.length_mm for line in lines] == [None, None, None]
        assert finding.shadow.longest.length_px == same.shadow.longest.length_px
        assert same.shadow.longest.length_mm == pytest.approx(0.2 * finding.shadow.longest.length_px)
    assert len(without.excluded) == len(with_scale.excluded) == 3
    assert {row.max_diameter_mm for row in without.excluded} == {None}
    assert [row.max_diameter_px for row in without.excluded] == [row.max_diameter_px for row in with_scale.excluded]
    assert len([row for row in with_scale.excluded if row.max_diameter_mm is not None]) == 2


@pytest.mark.parametrize("spacing", [(0.1, 0.2), (0.2, 0.1), (0.15, 0.25)])
def test_lengths_are_right_on_pixels_that_are_not_square(spacing):
    findings = search_film(leg(*THINGS, size_mm=TALL, spacing=spacing), 0).findings
    lengths = sorted(finding.shadow.longest.length_mm for finding in findings)
    assert lengths == pytest.approx([6.0, 9.0, np.hypot(30, 3)], abs=0.4)


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.1, 0.2)])
def test_the_distance_to_the_skin_line_is_that_in_the_image_plane(spacing):
    made = leg(disc((50, 85), 10, 150), spacing=spacing)
    (finding,) = search_film(made, 0).findings
    line = finding.shadow.to_skin_line
    assert line.length_mm == pytest.approx(105 - 90, abs=0.8)
    assert np.linalg.norm((np.array(line.end) - line.start) * spacing) == pytest.approx(line.length_mm)
    assert abs(line.end[0] - line.start[0]) * spacing[0] < 2


@pytest.mark.parametrize("part", ["CHEST", "ABDOMEN", "T_SPINE CHEST", "SHOULDER", "CLAVICLE"])
def test_chest_shoulder_and_abdomen_are_not_searched(part):
    searched = search_film(replace(example(), view=replace(example().view, body_part=part)), 0)
    assert searched.findings == ()
    assert searched.reading.searched_share == 0
    assert "chest, shoulder and abdomen are not searched" in searched.reading.notes[0]


@pytest.mark.parametrize("part", ["LEG", None, "CHESTNUT"])
def test_other_parts_are(part):
    assert search_film(replace(example(), view=replace(example().view, body_part=part)), 0).findings


def blank(value, *, noise=NOISE, shape=(500, 600)):
    return noisy(np.full(shape, float(value)), noise=noise)


NOTHING = {
    "noise": blank(0),
    "constant": blank(7, noise=0),
    "zero": blank(0, noise=0),
    "air": blank(100),
    "bone": blank(3000),
    "bone and no air": paint([limb(60, width=200, depth=400)]),
    "ramp": np.add.outer(np.arange(500.0), np.arange(600.0)),
    "small": leg().intensity[200:264, 300:364],
    "small limb": noisy(paint([limb(6.4, width=10, depth=8)], size_mm=(12.8, 12.8))),
    "tiny": blank(5, shape=(3, 3)),
    "one pixel": blank(5, shape=(1, 1)),
    "one row": blank(5, shape=(1, 500)),
    "a column": blank(5, shape=(700, 2)),
    "steps": np.repeat(np.arange(5.0) * 100, 100)[:, None] * np.ones((1, 600)),
}


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("name", sorted(NOTHING))
def test_a_film_that_shows_nothing_brings_nothing_up(name, scaled):
    searched = search_film(film(NOTHING[name], spacing=(0.2, 0.2) if scaled else None), 0)
    assert searched.findings == ()
    assert np.isfinite(searched.reading.noise)
    assert 0 <= searched.reading.searched_share <= 1


@pytest.mark.parametrize("logarithmic", [True, False, None])
def test_a_film_that_shows_nothing_may_be_linear(logarithmic):
    assert search_film(film(blank(100), is_logarithmic=logarithmic), 0).findings == ()


@pytest.mark.parametrize("imaged_px", [0, 1, 9, 60])
def test_a_film_that_is_masked_nearly_all_over_brings_nothing_up(imaged_px):
    imaged = np.zeros((1000, 600), dtype=bool)
    imaged[500 : 500 + imaged_px, 300 : 300 + imaged_px] = True
    assert search_film(replace(example(), is_imaged=imaged), 0).findings == ()


def test_a_film_that_cannot_be_searched_says_so():
    searched = search_film(film(NOTHING["tiny"]), 0)
    assert searched.reading.searched_share == 0
    assert "nothing" in searched.reading.notes[0].lower()


@pytest.mark.parametrize("spacing", [(0.05, 0.05), (0.01, 0.01), (1.0, 1.0), (5.0, 5.0), (0.05, 2.0)])
def test_pixels_of_any_size_bring_nothing_down(spacing):
    for values in (NOTHING["small"], NOTHING["noise"]):
        assert search_film(film(values, spacing=spacing), 0).findings == ()


def test_what_the_header_masks_is_not_searched():
    imaged = np.ones((1000, 600), dtype=bool)
    imaged[:350] = False
    assert len(search_film(replace(example(), is_imaged=imaged), 0).findings) == 2


def test_a_film_linear_in_exposure_is_searched_in_its_logarithm():
    exposure = np.exp(-example().intensity.astype(float) / 1000)
    made = with_grey(example(), 4000 * (1 - exposure))
    assert len(search_film(replace(made, is_logarithmic=False), 0).findings) == 3


def test_a_limit_of_the_search_is_told():
    inside = film(leg(bone=False).intensity[:, 150:450])
    assert "The skin line is not on the film" in search_film(inside, 0).reading.notes
    assert all(f.shadow.to_skin_line is None for f in search_film(inside, 0).findings)
    bony = leg().intensity[:, 170:230]
    notes = search_film(film(bony), 0).reading.notes
    assert any("soft tissue off bone" in note for note in notes)


def test_the_film_itself_is_not_changed():
    before = example().intensity.copy()
    search_film(example(), 0)
    assert (example().intensity == before).all()
    assert not example().intensity.flags.writeable


def test_bone_is_listed_without_a_length():
    (row,) = search_film(leg(ball(SOFT_AT, 8, 200)), 0).excluded
    assert (row.detail, row.max_diameter_mm, row.max_diameter_px) == ("bone in projection", None, None)
    assert row.centroid_px == pytest.approx((249.5, 199.5), abs=3)


@pytest.mark.parametrize(
    ("gap_mm", "size_mm", "is_over_bone"),
    [
        (2.5, (40, 8), True),
        (5.0, (40, 8), False),
        (2.5, (34, 22), False),  # as wide as long: no sheet on edge
        (2.5, (20, 6), False),  # short
        (2.0, (12, 12), False),  # closes before the bone
        (-1.5, (12, 12), True),
    ],
)
def test_what_comes_to_bone_projects_over_it_and_a_sheet_that_ends_beside_it_goes_on(gap_mm, size_mm, is_over_bone):
    """The shaft of `leg` ends at 52 mm; the blur of its edge hides the last millimetres of what goes on behind it."""
    length, width = size_mm
    (finding,) = search_film(leg(bar((50, 52 + gap_mm + width / 2), length, width, 200)), 0).findings
    assert finding.shadow.is_over_bone == is_over_bone
