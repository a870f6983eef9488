"""Collimator and shutter: what lies outside was not exposed, unless the attributes cannot be true."""

from __future__ import annotations

import numpy as np
import pytest

EDGES = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")


def rectangle(name, *edges, shape="RECTANGULAR"):
    return {f"{name}Shape": shape} | {f"{name}{edge}": value for edge, value in zip(EDGES, edges, strict=True)}


@pytest.mark.parametrize("name", ["Collimator", "Shutter"])
def test_a_rectangle(write_film, film_reader, name):
    film = film_reader.read(write_film(**rectangle(name, 11, 110, 21, 80)))
    expected = np.zeros((120, 96), bool)
    expected[10:110, 20:80] = True
    assert (film.is_imaged == expected).all()
    assert film.notes == ()


def test_a_reader_is_told_when_much_is_hidden(write_film, film_reader):
    film = film_reader.read(write_film(**rectangle("Collimator", 1, 59, 1, 96)))
    assert any("more than half" in note for note in film.notes)
    assert film_reader.read(write_film(**rectangle("Collimator", 1, 61, 1, 96))).notes == ()


def test_edges_of_the_whole_matrix_hide_nothing(write_film, film_reader):
    assert film_reader.read(write_film(**rectangle("Collimator", 0, 121, 1, 96))).is_imaged.all()


@pytest.mark.parametrize(
    "edges",
    [
        (907, 1299, -184, 184),  # in millimetres, or of another matrix
        (100, 11, 21, 80),
        (11, 100, 80, 21),
        (11, 100, 21, 200),
        (-5, 100, 21, 80),
        (60, 62, 40, 42),  # hardly anything left
        (11, 100, 21, "8O"),
    ],
)
@pytest.mark.parametrize("name", ["Collimator", "Shutter"])
def test_edges_that_cannot_be_true_are_not_used(write_film, film_reader, name, edges):
    tags = rectangle(name, *edges)
    base = 0x00181700 if name == "Collimator" else 0x00181600
    raw = {base + 4: tags.pop(f"{name}RightVerticalEdge")} if isinstance(edges[3], str) else None
    film = film_reader.read(write_film(raw=raw, **tags))
    assert film.is_imaged.all()
    assert any(note.startswith(name) and "not used" in note for note in film.notes)


@pytest.mark.parametrize("name", ["Collimator", "Shutter"])
def test_a_circle(write_film, film_reader, name):
    film = film_reader.read(
        write_film(**{f"{name}Shape": "CIRCULAR", f"CenterOfCircular{name}": [61, 49], f"RadiusOfCircular{name}": 40})
    )
    i, j = np.mgrid[:120, :96]
    assert (film.is_imaged == ((i - 60) ** 2 + (j - 48) ** 2 <= 1600)).all()


def test_a_circle_on_pixels_that_are_not_square(write_film, film_reader):
    film = film_reader.read(
        write_film(
            PixelSpacing=["0.2", "0.1"],
            CollimatorShape="CIRCULAR",
            CenterOfCircularCollimator=[61, 49],
            RadiusOfCircularCollimator=40,
        )
    )
    rows, columns = np.nonzero(film.is_imaged)
    assert (np.ptp(rows), np.ptp(columns)) == (40, 80)


def test_a_polygon(write_film, film_reader):
    corners = [11, 11, 11, 81, 101, 81, 101, 11]
    film = film_reader.read(write_film(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=corners))
    rows, columns = np.nonzero(film.is_imaged)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 99, 10, 79)
    assert film.is_imaged.sum() == 90 * 70


@pytest.mark.parametrize("corners", [[1, 1, 50, 50], [1, 1, 1, 90, 900, 90], [1, 1, 1, 90, 90], [5, 5, 5, 5, 5, 5]])
def test_a_polygon_that_cannot_be_true_is_not_used(write_film, film_reader, corners):
    film = film_reader.read(write_film(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=corners))
    assert film.is_imaged.all()
    assert any("polygonal" in note for note in film.notes)


def test_shapes_are_combined(write_film, film_reader):
    tags = rectangle("Shutter", 1, 120, 1, 48)
    tags["ShutterShape"] = ["RECTANGULAR", "CIRCULAR", "BITMAP"]
    film = film_reader.read(
        write_film(**tags, CenterOfCircularShutter=[61, 49], RadiusOfCircularShutter=40, CollimatorShape="OVAL")
    )
    i, j = np.mgrid[:120, :96]
    assert (film.is_imaged == (((i - 60) ** 2 + (j - 48) ** 2 <= 1600) & (j < 48))).all()
    assert any("bitmap" in note for note in film.notes)
    assert any("oval" in note for note in film.notes)


def test_apertures_that_exclude_each_other_are_not_used(write_film, film_reader):
    film = film_reader.read(write_film(**rectangle("Shutter", 1, 50, 1, 96), **rectangle("Collimator", 60, 120, 1, 96)))
    assert film.is_imaged.all()
    assert any("exclude each other" in note for note in film.notes)


def test_padding_beside_the_shutter_is_outside_too(write_film, film_reader, film_scene):
    pixels = np.maximum(film_scene(), 1)
    pixels[20:25] = 0
    tags = rectangle("Shutter", 21, 120, 1, 96)
    film = film_reader.read(write_film(pixels, PixelPaddingValue=0, **tags))
    assert (film.is_imaged == (np.arange(120) >= 25)[:, None]).all()
