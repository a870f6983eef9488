"""Foci that stand alone: what is told from bone on films of hand, foot and hip."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.alone import standing_alone
from calcreport.film.foci import FilmFocus
from calcreport.film.one_film import search_film
from calcreport.film.reduced import ReducedFilm

sys.path.append(str(Path(__file__).parent))

from painted_films import SOFT_AT, ball, bar, disc, leg

PLATE = ReducedFilm(
    grey=np.zeros((200, 200), dtype=np.float32), factor=2, pixel_mm=0.4, is_imaged=np.ones((200, 200), dtype=bool)
)


def block(row, column, height=10, width=10, *, cut=0):
    """A dense block of pixels of 0.4 mm; `cut` leaves only its first columns in all but the first rows."""
    mask = np.ones((height, width), dtype=bool)
    if cut:
        mask[cut:, cut:] = False
    return FilmFocus(
        box=(slice(row, row + height), slice(column, column + width)), mask=mask, contrast=100.0, significance=20.0,
        bone_contact=0.0, is_cut=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("others", "is_alone"),
    [
        ([], True),
        ([block(50, 50 + 10 + 8)], True),  # 3.2 mm apart
        ([block(50, 50 + 10 + 7)], False),  # 2.8 mm
        ([block(50 - 17, 50)], False),
        ([block(50 + 17, 50 + 17)], False),
        ([block(50 - 18, 50 - 18)], True),
        ([block(51, 51)], True),  # the same at another width
        ([block(49, 49, 12, 12)], True),
        ([block(45, 45, 20, 20)], False),  # larger: it lies in something
        ([block(52, 52, 4, 4)], False),  # smaller: something lies in it
        ([block(120, 120), block(120, 133)], True),  # far away, whatever they do to each other
    ],
)
def test_a_focus_with_another_within_3_mm_may_be_part_of_a_bone(others, is_alone):
    focus = block(50, 50)
    assert any(one is focus for one in standing_alone(PLATE, [focus, *others])) == is_alone


@pytest.mark.parametrize(
    ("focus", "is_alone"),
    [
        (block(50, 50, 17, 17), True),  # its diagonal measures 9.5 mm
        (block(50, 50, 18, 18), False),  # 10.02 mm: a bone of wrist or midfoot may be as small
        (block(50, 50, 20, 11), True),
        (block(50, 50, 40, 6), False),  # the edge of a bone
        (block(50, 50, 17, 17, cut=4), False),  # an angle
        (block(0, 0), True),
        (block(190, 190), True),
    ],
)
def test_long_or_angular_foci_are_parts_of_bones(focus, is_alone):
    assert (len(standing_alone(PLATE, [focus])) == 1) == is_alone


def test_without_foci_none_stands_alone():
    assert standing_alone(PLATE, []) == []


def found(made, part):
    searched = search_film(replace(made, view=replace(made.view, body_part=part)), 0)
    return len(searched.findings), searched.reading.notes


@pytest.mark.parametrize("part", ["HAND", "FOOT", "HIP", "PELVIS", "LEFT_ANKLE", "CALCANEUS"])
@pytest.mark.parametrize(
    ("things", "in_leg", "beside_small_bones"),
    [
        ((ball(SOFT_AT, 9, 250),), 1, 1),
        ((ball((30, 78), 9, 250), ball((70, 78), 6, 250)), 2, 2),
        ((bar(SOFT_AT, 30, 3, 250),), 1, 0),
        ((disc(SOFT_AT, 26, 150),), 1, 0),  # wide: it was found by its edges
        ((ball(SOFT_AT, 6, 250), ball((50, 86.5), 6, 250)), 1, 0),  # 2.5 mm apart, one finding in a leg
    ],
    ids=["one", "two apart", "line", "mass", "cluster"],
)
def test_beside_small_bones_only_what_stands_alone_is_told_from_bone(things, in_leg, beside_small_bones, part):
    made = leg(*things)
    assert found(made, "LEG") == (in_leg, ())
    count, (note,) = found(made, part)
    assert count == beside_small_bones
    assert "clear of bone and each other" in note


@pytest.mark.parametrize("part", ["LEG", "KNEE", "THIGH", "FOREARM", "ARM", "HANDLE", None])
def test_long_limbs_and_unnamed_parts_are_searched_as_before(part):
    assert found(leg(bar(SOFT_AT, 30, 3, 250)), part) == (1, ())
