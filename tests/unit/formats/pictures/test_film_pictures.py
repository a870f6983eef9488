"""Pictures of radiographs: the finding stays visible with nothing drawn into it, and no bar claims a scale."""

from __future__ import annotations

import io
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from calcreport.formats import Templates
from calcreport.formats.page import as_html
from calcreport.formats.pictures.as_film import (
    PREVIEW_PX,
    FilmMark,
    choose_bar,
    choose_film_view,
    choose_greys,
    render_film,
    render_film_lesion,
    render_film_preview,
    write_title,
)
from calcreport.formats.pictures.drawing import MINERAL, PANEL_PX
from calcreport.text.wording import lengths_of

sys.path.append(str(Path(__file__).parents[3] / "films"))

import made_films


def pixels(content: bytes) -> NDArray[np.int64]:
    """Picture as an array of shape (rows, columns, 3)."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.int64)


def film_part(content: bytes, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Film without the strips above and below."""
    whole = pixels(content)
    strip = (whole.shape[0] - shape[0]) // 2
    return whole[strip : strip + shape[0], : shape[1]]


def is_line(picture: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (picture == MINERAL).all(axis=-1)


@pytest.fixture(scope="module")
def case() -> made_films.FilmCase:
    return made_films.cluster()


def test_the_film_is_drawn_at_full_resolution_and_nothing_on_the_finding(
    case: made_films.FilmCase, templates: Templates
) -> None:
    film, shadow = case.findings.films[0], case.findings.lesions[0].shadows[0]
    drawn = film_part(
        render_film(film, [FilmMark(lesion_id="L1", shadow=shadow)], templates.statements), film.picture.shape
    )
    mask = made_films.masked(film, shadow)
    assert np.abs(drawn[mask] - film.picture[mask][:, None]).max() <= 2
    line = is_line(drawn)
    around = ndimage.binary_dilation(mask, iterations=4) & ~mask
    assert line[around].any()
    labels, count = ndimage.label(mask)
    for number in range(1, count + 1):  # a line around each focus
        ring = ndimage.binary_dilation(labels == number, iterations=4)
        assert (line & ring).sum() > 0.8 * np.pi * 20


def test_a_film_without_lesions_is_drawn_as_it_is(case: made_films.FilmCase, templates: Templates) -> None:
    film = case.findings.films[0]
    drawn = film_part(render_film(film, [], templates.statements), film.picture.shape)
    assert np.abs(drawn - film.picture[..., None]).max() <= 1


def test_lesions_at_the_corners_are_marked_too(templates: Templates) -> None:
    corners = (((0.0, 0.0, 12.0),), ((899.0, 499.0, 12.0),), ((0.0, 499.0, 1.0),))
    films = (made_films.make_film(),)
    marks = [
        FilmMark(lesion_id=f"L{n}", shadow=made_films.make_shadow(films, 0, foci)) for n, foci in enumerate(corners)
    ]
    drawn = film_part(render_film(films[0], marks, templates.statements), films[0].picture.shape)
    for (foci,) in corners:
        i, j = int(foci[0]), int(foci[1])
        assert is_line(drawn)[max(i - 15, 0) : i + 15, max(j - 15, 0) : j + 15].any()
    render_film_preview(films[0], marks, templates.statements)


def test_a_large_film_is_drawn_quickly(templates: Templates) -> None:
    films = (made_films.make_film(shape=(3000, 3000)),)
    shadow = made_films.make_shadow(films, 0, tuple((200.0 + 4 * n, 900.0, 9.0) for n in range(600)))
    marks = [FilmMark(lesion_id="L1", shadow=shadow)]
    began = time.process_time()
    render_film(films[0], marks, templates.statements)
    render_film_preview(films[0], marks, templates.statements)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("scale", "at_most_px", "label", "length_px"),
    [
        (made_films.DETECTOR, 100.0, "10 mm at the detector", 10 / 0.15),
        (made_films.CALIBRATED, 100.0, "10 mm in the calibrated plane", 10 / 0.14),
        (made_films.UNSCALED, 260.0, "200 px", 200.0),
        (made_films.DETECTOR, 1.0, "1 mm at the detector", 1 / 0.15),
    ],
)
def test_a_bar_names_its_plane_and_is_in_pixels_without_a_scale(
    scale: made_films.FilmScale, at_most_px: float, label: str, length_px: float, templates: Templates
) -> None:
    drawn_px, written = choose_bar(scale, at_most_px=at_most_px, statements=templates.statements)
    assert written == label
    assert drawn_px == pytest.approx(length_px)


def test_the_title_says_what_the_header_says_and_no_more(templates: Templates) -> None:
    def title(**view: str | None) -> str:
        return write_title(made_films.make_film(**view).view, None, templates.statements)

    assert title() == "AP radiograph, right lower leg"
    assert title(side=None) == "AP radiograph, lower leg"
    assert title(side=None, part=None, view=None) == "[view] radiograph"
    assert "<" not in title(view="<script>", part="<b>")


@pytest.mark.parametrize("diameter", [1.0, 10.0, 400.0])
def test_the_enlarged_view_holds_the_lesion_and_enlarges_small_ones(diameter: float) -> None:
    films = (made_films.make_film(shape=(1400, 1200)),)
    shadow = made_films.make_shadow(films, 0, ((700.0, 300.0, diameter),))
    view, _ = choose_film_view(films[0], shadow)
    for row, column in (shadow.longest.start, shadow.longest.end, shadow.across.start, shadow.across.end):
        x, y = view.place(row, column)
        assert 0 <= x <= PANEL_PX
        assert 0 <= y <= PANEL_PX
    assert view.column_px * diameter >= min(3 * diameter, 0.3 * PANEL_PX)


@pytest.mark.parametrize("excess", [4, 30, 120])
def test_a_faint_lesion_is_drawn_with_more_contrast_and_a_plain_one_not_clipped(excess: int) -> None:
    film = made_films.make_film(foci=((450.0, 120.0, 30.0),))
    faint = np.full(film.picture.shape, 90, dtype=np.uint8)
    shadow = made_films.make_shadow((film,), 0, ((450.0, 120.0, 30.0),))
    faint[made_films.masked(film, shadow)] += np.uint8(excess)
    black, white = choose_greys(replace(film, picture=faint), shadow)
    assert black < 90
    assert white > 90 + excess
    assert white - black >= 80
    assert excess / (white - black) >= min(3 * excess / 255, 0.5)


def test_pixels_that_are_not_square_are_drawn_true() -> None:
    scale = replace(made_films.DETECTOR, spacing_mm=(0.3, 0.15))
    films = (made_films.make_film(scale=scale),)
    shadow = made_films.make_shadow(films, 0, ((450.0, 200.0, 20.0),))
    view, _ = choose_film_view(films[0], shadow)
    assert view.row_px == pytest.approx(2 * view.column_px)


def test_the_unmarked_half_has_no_mark_and_the_other_has(case: made_films.FilmCase, templates: Templates) -> None:
    report = case.report(templates)
    film, shadow = case.findings.films[0], case.findings.lesions[0].shadows[0]
    drawn = pixels(
        render_film_lesion(film, shadow, report.lesions[0], templates.statements, lengths=lengths_of(report))
    )
    coloured = np.ptp(drawn, axis=-1) > 100
    assert not coloured[44 : 44 + PANEL_PX, 10 : 10 + PANEL_PX].any()
    assert coloured[44 : 44 + PANEL_PX, 20 + PANEL_PX : 20 + 2 * PANEL_PX].any()


def test_the_page_places_what_was_excluded_on_its_film_in_pixels(templates: Templates) -> None:
    page = as_html.render(made_films.unscaled().report(templates), templates, {}).decode()
    (row,) = re.findall(r"<tr><td>metal: staple</td>.*?</tr>", page)
    assert "12 pixels (no scale)" in row
    assert "row 40, column 60" in row
    assert "LPS" not in page


def test_the_page_lists_the_projected_size_of_each_view(case: made_films.FilmCase, templates: Templates) -> None:
    page = as_html.render(case.report(templates), templates, {}).decode()
    for view, extent in (("AP", "3.5 x 1.0 cm"), ("lateral", "3.4 x 0.8 cm")):
        assert f"Projected size ({view})</th><td>{extent} (at the detector)</td>" in page
        assert f"To the skin line in the image plane ({view})" in page


def test_the_page_shows_a_small_copy_of_each_film(case: made_films.FilmCase, templates: Templates) -> None:
    report = case.report(templates, has_pictures=True)
    assert report.images == ("images/film_1.png", "images/film_2.png")
    assert report.lesions[0].images == ("images/L1.png", "images/L1_2.png")
    film = made_films.make_film(shape=(3000, 2400))
    whole = render_film(film, [], templates.statements)
    small = render_film_preview(film, [], templates.statements)
    assert max(Image.open(io.BytesIO(small)).size) <= 1.1 * PREVIEW_PX
    files = {"images/film_1.png": whole, f"{as_html.PREVIEW}images/film_1.png": small}
    page = as_html.render(report, templates, files).decode()
    assert len(page) < 1.4 * len(small) + 100_000
    assert len(re.findall("data:image/png", page)) == 1
    assert "images/film_1.png" in page
