"""What a finding looks like, and the pattern that is read from it with a film's low confidence."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.one_film import search_film
from calcreport.film.shape import LABELS, MORPHOLOGY, FilmShape, film_table, read_film_pattern
from calcreport.model.pattern_table import grade_cases
from calcreport.model.report import Confidence

sys.path.append(str(Path(__file__).parent))

from painted_films import Thing, ball, bar, ellipse, leg, ring

TALL = (160.0, 120.0)
LUMP = (
    ellipse((50, 78), (14, 7), 180, turn_deg=20),
    ellipse((54, 81), (9, 6), 150, turn_deg=70),
    ellipse((46, 76), (4, 8), 200, turn_deg=-30),
)
SPECKS = tuple(
    ball((30 + 9 * row + 2 * (column % 2), 66 + 7 * column), 2.4, 130) for row in range(5) for column in range(3)
)
TRACKS = (bar((80, 73), 60, 1.5, 200), bar((80, 79), 60, 1.5, 200))


def shape_of(*things: Thing, **how):
    (finding,) = search_film(leg(*things, **how), 0).findings
    return finding.shape


def read(*things: Thing, **how):
    return read_film_pattern(shape_of(*things, **how))


@pytest.mark.parametrize(
    ("things", "patterns"),
    [
        ((ring((50, 78), 22, 2, 250),), {"P05"}),
        (TRACKS, {"P02"}),
        ((ball((50, 78), 6, 250),), {"P01"}),
        ((ball((45, 78), 5, 250), ball((54, 78), 6, 250), ball((50, 87), 5, 250)), {"P01"}),
        (SPECKS, {"P14"}),
        (LUMP, {"P09", "P30"}),
    ],
    ids=["ring", "tracks", "ball", "balls", "specks", "lump"],
)
def test_patterns_of_made_shadows(things, patterns):
    pattern = read(*things, size_mm=TALL)
    assert pattern.id in patterns
    assert pattern.label == LABELS[pattern.id]


def test_a_gap_that_is_seen_is_a_gap_but_no_view_shows_a_closed_shell():
    whole = read(ring((50, 78), 22, 2, 250))
    broken = read(ring((50, 78), 22, 2, 250, gap_deg=70))
    assert whole.id == broken.id == "P05"
    assert (whole.features["rim_complete"], broken.features["rim_complete"]) == ("unknown", "unknown")
    assert (whole.features["rim_incomplete"], broken.features["rim_incomplete"]) == ("unknown", "yes")


def test_a_ring_of_phleboliths_has_a_lucent_centre():
    rings = [ring(middle, 7, 1, 250) for middle in ((40, 70), (40, 84), (52, 77))]
    pattern = read(*rings)
    assert pattern.id == "P01"
    assert pattern.features["lucent_centre"] == "yes"
    assert read(ball((50, 78), 7, 250)).features["lucent_centre"] == "unknown"


def test_a_shape_is_told_in_millimetres_whatever_the_pixels():
    shapes = [shape_of(*TRACKS, size_mm=TALL, spacing=spacing) for spacing in ((0.2, 0.2), (0.15, 0.15), (0.1, 0.2))]
    for shape in shapes:
        assert shape.count == 2
        assert shape.largest_focus_mm == pytest.approx(60, abs=0.6)
        assert shape.parallel_mm == pytest.approx(60, abs=6)
        assert shape.linear_share == 1
        # the longest line runs from the end of one wall to the other end of the other
        assert shape.across_mm == pytest.approx(2 * 60 * 7.5 / np.hypot(60, 7.5), abs=1.2)
        assert shape.elongation > 15


def test_roundness_and_elongation():
    disc, long = shape_of(ball((50, 78), 8, 250)), shape_of(ellipse((50, 78), (16, 6), 200))
    assert disc.roundness > 0.9
    assert disc.elongation == pytest.approx(1.0, abs=0.1)
    assert long.roundness == pytest.approx(6 / 16, abs=0.06)
    assert long.elongation == pytest.approx(16 / 6, abs=0.3)
    assert disc.rim_share < 0.3
    assert disc.parallel_mm == long.parallel_mm == 0


def any_shape(rng):
    lengths = sorted(rng.choice([0.5, 2, 4, 8, 12, 25, 50, 120], 4))
    return FilmShape(
        count=int(rng.choice([1, 2, 5, 9, 15, 40])),
        longest_mm=lengths[3],
        across_mm=lengths[1],
        largest_focus_mm=lengths[2],
        median_focus_mm=lengths[0],
        roundness=rng.uniform(),
        elongation=1 + 10 * rng.uniform() ** 2,
        linear_share=rng.uniform(),
        rim_share=rng.uniform(),
        lucent_share=rng.uniform(),
        parallel_mm=rng.choice([0.0, 10.0, 30.0, 100.0]),
    )


def test_no_shadow_is_read_with_more_than_moderate_confidence_or_told_in_millimetres():
    rng = np.random.default_rng(6)
    seen = set()
    for _ in range(3000):
        pattern = read_film_pattern(any_shape(rng))
        seen.add((pattern.id, pattern.confidence))
        assert pattern.confidence in {Confidence.LOW, Confidence.MODERATE}
        assert pattern.features["rim_complete"] == "unknown"
        assert pattern.features["rim_incomplete"] in {"unknown", "yes"}
        assert pattern.features["lucent_centre"] in {"unknown", "yes"}
        assert not any("mm" in name for name in pattern.features)
        assert 0 <= pattern.features["parallel_share"] <= 1
    assert {name for name, _ in seen} == set(LABELS)
    assert {name for name, confidence in seen if confidence is Confidence.MODERATE} == {"P01", "P02"}


def test_what_fits_nothing_is_indeterminate():
    plain = FilmShape(
        count=2, longest_mm=12.0, across_mm=8.0, largest_focus_mm=6.0, median_focus_mm=5.0, roundness=0.2,
        elongation=1.2, linear_share=0.0, rim_share=0.0, lucent_share=0.0, parallel_mm=0.0,
    )  # fmt: skip
    pattern = read_film_pattern(plain)
    assert (pattern.id, pattern.confidence) == ("P30", Confidence.LOW)


def test_each_row_of_the_film_table_speaks_for_its_pattern():
    """A shape that all rows of a case hold for has the highest grade; without any one of them the grade falls."""
    table = film_table()
    assert set(table.patterns) == set(MORPHOLOGY)
    for cases in table.patterns.values():
        for rows in cases.cases:
            held = {row.feature: row.low - 1 if row.falls else row.high + 1 for row in rows}
            alone = replace(cases, cases=(rows,))
            assert grade_cases(alone, held)[0] == cases.highest
            for row in rows:
                other = held | {row.feature: row.high + 1 if row.falls else row.low - 1}
                assert grade_cases(alone, other)[0] == pytest.approx(cases.highest * (1 - row.weight))


PLAIN = FilmShape(
    count=2, longest_mm=12.0, across_mm=8.0, largest_focus_mm=6.0, median_focus_mm=5.0, roundness=0.2,
    elongation=1.2, linear_share=0.0, rim_share=0.0, lucent_share=0.0, parallel_mm=0.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "amorphous"),
        ({"longest_mm": 10.0}, "punctate"),
        ({"longest_mm": 10.1}, "amorphous"),
        ({"longest_mm": 9.0, "linear_share": 1.0}, "punctate"),
        ({"longest_mm": 9.0, "count": 3}, "clustered"),
        ({"count": 3, "linear_share": 1.0}, "clustered"),
        ({"linear_share": 0.6}, "linear"),
        ({"linear_share": 0.5}, "amorphous"),
        ({"rim_share": 0.95, "largest_focus_mm": 5.0}, "rim"),
        ({"longest_mm": 26.0, "across_mm": 15.0}, "sheet-like"),
        ({"longest_mm": 25.0, "across_mm": 15.0}, "amorphous"),
    ],
)
def test_what_is_seen_is_said_where_no_pattern_is_characteristic(changes, word):
    pattern = read_film_pattern(replace(PLAIN, **changes))
    assert pattern.id == "P30"
    assert pattern.features["morphology"] == word
    assert not [name for name in pattern.features if name.startswith("shape_")]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("P11", {"largest_focus_mm": 45, "longest_mm": 60, "across_mm": 40, "roundness": 0.4, "elongation": 1.5}),
        ("P11", {"largest_focus_mm": 45, "longest_mm": 45, "across_mm": 12, "roundness": 0.3, "elongation": 3.5}),
        ("P02", {"largest_focus_mm": 28, "longest_mm": 46, "across_mm": 9, "roundness": 0.3, "rim_share": 1.0}),
        ("P05", {"largest_focus_mm": 28, "longest_mm": 28, "across_mm": 20, "roundness": 0.7, "rim_share": 1.0}),
        ("P20", {"count": 5, "longest_mm": 40, "across_mm": 25, "largest_focus_mm": 9, "median_focus_mm": 8,
                 "elongation": 2.6, "roundness": 0.4}),
        # two long edges that run side by side, but far apart: a sheet, no vessel
        ("P11", {"count": 2, "largest_focus_mm": 60, "longest_mm": 81, "across_mm": 60, "roundness": 0.3,
                 "elongation": 3.5, "linear_share": 0.9, "parallel_mm": 0.0}),
    ],
)  # fmt: skip
def test_sheets_pipes_rims_and_grains_are_told_apart(name, shape):
    assert read_film_pattern(replace(PLAIN, **{"count": 1, **shape})).id == name


def test_parallel_edges_of_something_wide_are_no_vessel():
    wide = replace(PLAIN, count=3, longest_mm=81.0, across_mm=44.0, linear_share=0.87, parallel_mm=82.0)
    slim = replace(wide, across_mm=12.0)
    assert (read_film_pattern(wide).id == "P02", read_film_pattern(slim).id == "P02") == (False, True)
