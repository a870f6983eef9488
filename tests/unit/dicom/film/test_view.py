"""How a film was taken: from its header alone, and not known where that contradicts itself."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items


def code(value, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "x"
    return Items([item])


@pytest.mark.parametrize(
    ("position", "view_code", "expected"),
    [
        ("AP", None, "AP"),
        ("PA", None, "PA"),
        ("LATERAL", None, "LAT"),
        (None, code("399348003"), "AP"),
        (None, code("R-10206", "SRT"), "AP"),
        (None, code("272479007"), "PA"),
        (None, code("399067008"), "LAT"),
        (None, code("399173006"), "LL"),
        (None, code("399182000"), "OBL"),
        (None, code("399348003", "99LOCAL"), None),
        (None, code("1234"), None),
        ("LL", code("399067008"), "LL"),
        ("AP", code("399033003"), "AP"),
        ("AP", code("272479007"), None),
        ("AP", code("399067008"), None),
        ("LL", code("399198007"), None),
        (None, None, None),
    ],
)
def test_the_view(write_film, film_reader, position, view_code, expected):
    film = film_reader.read(write_film(ViewPosition=position or "", ViewCodeSequence=view_code or Items([])))
    assert film.view.position == expected
    is_contradictory = expected is None and position is not None
    assert any("View Position" in note for note in film.notes) == is_contradictory


@pytest.mark.parametrize(
    ("image", "series", "expected"),
    [
        ("L", None, "left"),
        (None, "R", "right"),
        ("R", "R", "right"),
        ("B", None, "both"),
        ("U", "L", "left"),
        ("L", "R", None),
        ("B", "L", None),
        ("X", None, None),
        (None, None, None),
    ],
)
def test_the_side(write_film, film_reader, image, series, expected):
    film = film_reader.read(write_film(ImageLaterality=image or "", Laterality=series or ""))
    assert film.view.laterality == expected
    assert any("side is not known" in note for note in film.notes) == (expected is None and bool(series))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["L", "F"], ("L", "F")),
        (["LA", "FP"], ("LA", "FP")),
        (["L"], None),
        (["L", "F", "A"], None),
        (["L", "Q"], None),
        (["L", ""], None),
    ],
)
def test_patient_orientation(write_film, film_reader, value, expected):
    assert film_reader.read(write_film(PatientOrientation=value)).view.patient_orientation == expected


def test_orientation_never_becomes_a_side(write_film, film_reader):
    assert film_reader.read(write_film(PatientOrientation=["L", "F"])).view.laterality is None


def test_turned_fields_of_view_are_noted(write_film, film_reader):
    film = film_reader.read(write_film(FieldOfViewRotation="90", FieldOfViewHorizontalFlip="YES"))
    assert any("rotated by 90" in note for note in film.notes)
    assert any("flipped" in note for note in film.notes)
    plain = film_reader.read(write_film(FieldOfViewRotation="0", FieldOfViewHorizontalFlip="NO"))
    assert plain.notes == ()


def test_hostile_strings_are_short_and_harmless(write_film, film_reader):
    hostile = "<b>\u202e" + "A" * 5000
    film = film_reader.read(
        write_film(raw={0x00185101: hostile, 0x00180015: hostile}, SpecificCharacterSet="ISO_IR 192")
    )
    for text in (film.view.position, film.view.body_part):
        assert len(text) <= 32
        assert text.isprintable()


def test_the_rest_of_the_header(write_film, film_reader):
    film = film_reader.read(write_film(BurnedInAnnotation="YES", LossyImageCompression="01", InstanceNumber=7))
    assert (film.view.body_part, film.kvp, film.reference.instance_number) == ("THIGH", 60.0, 7)
    assert any("burned-in" in note for note in film.notes)
    assert any("lossily" in note for note in film.notes)
    assert "Doe" not in repr(film.notes) + repr(film.scale.notes)
