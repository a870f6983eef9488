"""Whom and what a header names: whole or not at all, for what was cut or mended names somebody else."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from calcreport.dicom import discover
from calcreport.dicom.header import values
from calcreport.settings import Settings

FILM = next((Path(__file__).parents[3] / "sample_dicoms" / "phleboliths_leg_films").rglob("*.dcm"))


@pytest.mark.parametrize(
    ("raw", "charset", "told"),
    [
        (b"4711 ", None, "4711"),
        (b" 4711\0", None, "4711"),
        (b"A  B", None, "A  B"),
        (b"A\\B", None, "A\\B"),
        (b"7" * 300, None, "7" * 300),
        (b"7" * 1024, None, "7" * 1024),
        (b"7" * 1025, None, None),
        (b"7" * 9000, None, None),
        (b"47\x1b11", None, None),
        (b"47\x0011", None, None),
        ("47\u202e11".encode(), b"ISO_IR 192", None),
        (b"M\xfcller", None, None),
        (b"M\xfcller", b"ISO_IR 100", "Müller"),
        (b"   ", None, None),
        (b"", None, None),
        (None, None, None),
    ],
)
def test_an_identifier_is_whole_or_there_is_none(raw: bytes | None, charset: bytes | None, told: str | None) -> None:
    assert values.identifier(raw, charset) == told


def test_a_name_of_three_full_groups_is_not_cut() -> None:
    name = "=".join(letter * 64 for letter in "abc")
    assert values.person_name(name.encode()) == name
    assert values.person_name(b"a" * 1025) is None


def test_long_identifiers_reach_the_report_whole(tmp_path: Path) -> None:
    film = pydicom.dcmread(FILM)
    with pydicom.config.disable_value_validation():
        film.PatientID, film.AccessionNumber = "P" * 300, "A" * 300
        film.save_as(tmp_path / "film.dcm")
    with discover((tmp_path,), settings=Settings().reading) as found:
        (study,) = found.studies
        assert study.study.patient.id == "P" * 300
        assert study.study.accession_number == "A" * 300
