"""Wide things are told by sharp borders: sheets seen from the front are found, muscle is not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.one_film import search_film

sys.path.append(str(Path(__file__).parent))

from painted_films import NOISE, Thing, bar, bump, film, limb, noisy, paint, shaft

SIZE = (130.0, 150.0)
SPACING = (0.25, 0.25)
AT = (65.0, 98.0)
SHEET = (44.0, 40.0)


def searched(*things: Thing, seed: int = 1):
    body = (limb(75, width=140, depth=110), shaft(40))
    grey = paint((*body, *things), size_mm=SIZE, spacing=SPACING)
    return search_film(film(noisy(grey, seed=seed), spacing=SPACING), 0)


def covered(made, *, top: float, bottom: float, left: float, right: float) -> float:
    """Share of a rectangle, in mm, that findings cover."""
    whole = np.zeros(tuple(round(side / mm) for side, mm in zip(SIZE, SPACING, strict=True)), dtype=bool)
    for finding in made.findings:
        whole[finding.shadow.mineral.box] |= finding.shadow.mineral.pixels
    rows, columns = (slice(round(low / 0.25), round(high / 0.25)) for low, high in ((top, bottom), (left, right)))
    return float(whole[rows, columns].mean())


@pytest.mark.parametrize("seed", range(4))
def test_a_sheet_seen_from_the_front_is_found_whole(seed):
    made = searched(bar(AT, *SHEET, 10 * NOISE), seed=seed)
    (finding,) = made.findings
    assert finding.shadow.longest.length_mm == pytest.approx(np.hypot(*SHEET), abs=1.5)
    assert covered(made, top=43, bottom=87, left=78, right=118) > 0.9


@pytest.mark.parametrize("height", [4, 6])
def test_a_sheet_a_centimetre_wide_is_found_whole_where_the_limb_falls_away(height):
    made = searched(bar((AT[0], 116), 40, 10.5, height * NOISE))
    assert covered(made, top=46, bottom=84, left=111.5, right=120.5) > 0.9


def test_a_sheet_of_which_a_part_is_seen_edge_on_is_found_whole():
    edge = bar((AT[0], AT[1] + SHEET[1] / 2 - 2), SHEET[0], 4, 60 * NOISE)
    made = searched(bar(AT, *SHEET, 10 * NOISE), edge)
    assert covered(made, top=43, bottom=87, left=78, right=118) > 0.9


@pytest.mark.parametrize("peak", [6, 20, 60])
def test_what_is_as_wide_and_fades_out_is_nothing(peak):
    assert not searched(bump(AT, 16.0, peak * NOISE)).findings


def test_a_sheet_too_faint_to_see_is_nothing():
    assert not searched(bar(AT, *SHEET, NOISE)).findings


def test_a_film_without_bone_or_sheet_has_none():
    grey = paint((limb(75, width=140, depth=110),), size_mm=SIZE, spacing=SPACING)
    assert not search_film(film(noisy(grey), spacing=SPACING), 0).findings
