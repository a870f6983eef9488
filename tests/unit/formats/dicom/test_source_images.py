"""Headers of the images a report speaks of, fit to be copied."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from calcreport.dicom import discover
from calcreport.dicom.source_images import SourceImages
from calcreport.errors import NotDicomError
from calcreport.settings import Settings

FILM = next((Path(__file__).parents[4] / "sample_dicoms" / "phleboliths_leg_films").rglob("*.dcm"))

Source = Callable[..., tuple[SourceImages, str, Path]]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """``source(PatientID="x", StudyID=None)`` gives the header of a film with other values, its UID and its file."""
    with contextlib.ExitStack() as opened:

        def make(**values: object) -> tuple[SourceImages, str, Path]:
            path = tmp_path / "film.dcm"
            with warnings.catch_warnings(), pydicom.config.disable_value_validation():
                warnings.simplefilter("ignore")
                film = pydicom.dcmread(FILM)
                for keyword, value in values.items():
                    film.pop(keyword, None)
                    if value is not None:
                        setattr(film, keyword, value)
                film.save_as(path)
            found = opened.enter_context(discover((tmp_path,), settings=Settings().reading))
            images = [film.image for study in found.studies for series in study.series for film in series.films]
            return SourceImages(images), images[0].instance_uid, path

        yield make


def test_the_header_passes_for_a_file_that_was_read(source: Source) -> None:
    images, uid, _ = source()
    header = images.header(uid)
    assert header.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert header.SOPInstanceUID == uid == pydicom.dcmread(FILM).SOPInstanceUID
    assert "PixelData" not in header
    assert images.header(uid) is header


def test_class_and_series_are_known_without_reading(source: Source) -> None:
    images, uid, path = source()
    film = pydicom.dcmread(path)
    path.unlink()
    assert (images.sop_class_uid(uid), images.series_uid(uid)) == (film.SOPClassUID, film.SeriesInstanceUID)
    assert uid in images
    assert "1.2.3" not in images


def test_an_unknown_image_is_a_mistake(source: Source) -> None:
    images, *_ = source()
    for ask in (images.header, images.sop_class_uid, images.series_uid):
        with pytest.raises(KeyError):
            ask("1.2.3")


def test_a_file_damaged_meanwhile_is_named(source: Source) -> None:
    images, uid, path = source()
    path.write_bytes(b"")
    with pytest.raises(NotDicomError) as caught:
        images.header(uid)
    assert caught.value.code == "file.damaged"
    assert str(path) not in str(caught.value)


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "StudyDate", "StudyID", "ReferringPhysicianName"])
def test_what_the_standard_wants_present_is_there_and_empty(source: Source, keyword: str) -> None:
    images, uid, _ = source(**{keyword: None})
    header = images.header(uid)
    assert keyword in header
    assert not header[keyword].value


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "last summer"),
        ("StudyTime", "99:99"),
        ("PatientAge", "old"),
        ("BodyPartExamined", "no code string"),
    ],
)
def test_a_value_that_breaks_the_rules_of_its_type_is_left_empty(source: Source, keyword: str, value: str) -> None:
    images, uid, _ = source(**{keyword: value})
    assert not images.header(uid).get(keyword)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "X" * 100),
        ("AccessionNumber", "1\x1b[31m"),
        ("StudyDescription", "{{7*7}}\t../.."),
        ("OtherPatientIDs", ["A", "B"]),
        ("PatientID", ["A", "B"]),  # an archive has to read it as it read the images
        ("AccessionNumber", ["1", "2"]),
        ("StudyInstanceUID", "1.2.0003.04"),
    ],
)
def test_an_identity_is_kept_word_for_word(source: Source, keyword: str, value: str) -> None:
    images, uid, _ = source(**{keyword: value})
    assert images.header(uid)[keyword].value == value


def test_text_is_written_in_utf_8(source: Source, tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    images, uid, _ = source(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    copy = Dataset()
    copy.SpecificCharacterSet = images.header(uid).SpecificCharacterSet
    copy["PatientName"] = images.header(uid)["PatientName"]
    copy.file_meta = images.header(uid).file_meta
    copy.SOPClassUID, copy.SOPInstanceUID = "1.2", "1.3"
    copy.save_as(tmp_path / "copy.bin", enforce_file_format=True)
    assert name.encode() in (tmp_path / "copy.bin").read_bytes()


def test_how_a_name_was_removed_comes_along(source: Source) -> None:
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator, method.CodeMeaning = "113100", "DCM", "Basic Profile"
    images, uid, _ = source(DeidentificationMethod=None, DeidentificationMethodCodeSequence=[method])
    assert images.header(uid).DeidentificationMethodCodeSequence[0].CodeValue == "113100"
