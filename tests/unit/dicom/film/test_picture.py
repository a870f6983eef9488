"""The picture is what a viewer shows; the intensity never hears of it."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.dicom.film.values import LookupTable


def white(share):
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("tags", "share"),
    [
        ({}, lambda x: (x - 999.5) / 799 + 0.5),
        ({"VOILUTFunction": "LINEAR"}, lambda x: (x - 999.5) / 799 + 0.5),
        ({"VOILUTFunction": "LINEAR_EXACT"}, lambda x: (x - 1000) / 800 + 0.5),
        ({"VOILUTFunction": "SIGMOID"}, lambda x: 1 / (1 + np.exp(-4 * (x - 1000) / 800))),
        ({"WindowCenter": ["1000", "50"], "WindowWidth": ["800", "20"]}, lambda x: (x - 999.5) / 799 + 0.5),
        ({"WindowWidth": "1"}, lambda x: x > 999.5),
        ({"RescaleSlope": "0.5", "RescaleIntercept": "10"}, lambda x: (x / 2 + 10 - 999.5) / 799 + 0.5),
    ],
)
def test_windows(write_film, film_reader, film_scene, tags, share):
    film = film_reader.read(write_film(**{"WindowCenter": "1000", "WindowWidth": "800"} | tags))
    assert (film.picture == white(share(film_scene().astype(float)))).all()
    assert film.notes == ()


def test_the_window_of_an_inverted_film_is_turned(write_film, film_reader, film_scene):
    film = film_reader.read(
        write_film(4095 - film_scene(), PhotometricInterpretation="MONOCHROME1", WindowCenter="3000", WindowWidth="800")
    )
    assert (film.picture == 255 - white((4095.0 - film_scene() - 2999.5) / 799 + 0.5)).all()


def test_the_voi_lut_goes_before_the_window(write_film, film_reader, film_scene, lut):
    outputs = np.minimum(np.arange(4096) // 8, 255).astype("<u2")
    film = film_reader.read(write_film(VOILUTSequence=lut(0, outputs, bits=8), WindowCenter="1", WindowWidth="2"))
    assert (film.picture == np.minimum(film_scene() // 8, 255)).all()
    assert (film.intensity == film_scene()).all()


def test_a_damaged_voi_lut_falls_back_to_the_window(write_film, film_reader, film_scene, lut):
    path = write_film(
        VOILUTSequence=lut(0, np.arange(9, dtype="<u2"), count=4096), WindowCenter="1000", WindowWidth="800"
    )
    film = film_reader.read(path)
    assert (film.picture == white((film_scene() - 999.5) / 799 + 0.5)).all()
    assert any("VOI LUT" in note for note in film.notes)


@pytest.mark.parametrize("window", [("1000", "0"), ("1000", "-5"), ("1,0", "800"), ("", "800"), ("1000", "nan")])
def test_a_window_that_cannot_be_leaves_the_values_range(write_film, film_reader, film_scene, window):
    film = film_reader.read(write_film(raw={0x00281050: window[0], 0x00281051: window[1]}))
    assert (film.intensity == film_scene()).all()
    assert film.picture.min() == 0
    assert film.picture.max() == 255
    assert 20 < film.picture.mean() < 200
    assert any("window" in note for note in film.notes)


def test_without_a_window_the_exposed_field_is_stretched(write_film, film_reader, film_scene):
    pixels = film_scene() // 16 + 2000
    pixels[:, :30] = 0
    film = film_reader.read(write_film(pixels, PixelPaddingValue=0))
    shown = film.picture[film.is_imaged]
    assert shown.min() == 0
    assert shown.max() == 255
    assert film.notes == ()


def test_packed_eight_bit_tables(write_film, film_reader, film_scene, lut):
    outputs = np.minimum(np.arange(4096) // 8, 255).astype(np.uint8)
    film = film_reader.read(write_film(VOILUTSequence=lut(0, outputs, bits=8)))
    assert (film.picture == outputs[film_scene()]).all()


def test_a_table_rounds_its_input():
    table = LookupTable(first=-1, outputs=np.array([5.0, 6.0, 7.0]), bits=8)
    assert table.apply(np.array([-9.0, -1.2, 0.4, 0.6, 99.0])).tolist() == [5, 5, 6, 7, 7]
