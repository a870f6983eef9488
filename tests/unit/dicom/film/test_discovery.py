"""Which radiographs of a study are read, and what becomes of everything else."""

from __future__ import annotations

import contextlib
import zipfile

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from calcreport.dicom import discover, rank_ct_series, rank_films, read_film
from calcreport.errors import InputError

ARC = "1.2.840.10008.5.1.4.1.1."
FOR_PROCESSING = {"SOPClassUID": ARC + "1.1.1", "PresentationIntentType": "FOR PROCESSING"}


def codes(ranking):
    return [(entry.code, entry.status, entry.image_count) for entry in ranking.entries]


@pytest.mark.parametrize(("storage_class", "modality"), [("1", "CR"), ("1.1", "DX"), ("1.1.1", "DX")])
def test_radiographs_are_candidates(write_film, film_reader, film_scene, storage_class, modality):
    film = film_reader.read(write_film(SOPClassUID=ARC + storage_class, Modality=modality))
    assert (film.intensity == film_scene()).all()


@pytest.mark.parametrize(
    ("storage_class", "modality", "code"),
    [
        ("1.2", "MG", "series.mammogram"),
        ("1.2.1", "MG", "series.mammogram"),
        ("1.2.1", "DX", "series.mammogram"),
        ("1.1", "MG", "series.mammogram"),
        ("1", "MG", "series.mammogram"),
        ("13.1.3", "MG", "series.mammogram"),
        ("13.1.4", "MG", "series.mammogram"),
        ("1.3", "IO", "series.dental"),
        ("1.3.1", "IO", "series.dental"),
        ("1.1", "IO", "series.dental"),
        ("1.1", "PX", "series.dental"),
        ("12.1", "XA", "series.fluoroscopy"),
        ("12.1.1", "XA", "series.fluoroscopy"),
        ("12.2", "RF", "series.fluoroscopy"),
        ("12.2.1", "RF", "series.fluoroscopy"),
        ("13.1.1", "XA", "series.not_ct_scanner"),
        ("7", "DX", "series.secondary_capture"),
        ("7.2", "CR", "series.secondary_capture"),
        ("66.4", "DX", "series.segmentation"),
    ],
)
def test_other_kinds_are_refused_by_name(write_film, film_reader, storage_class, modality, code):
    ranking = film_reader.rank(write_film(SOPClassUID=ARC + storage_class, Modality=modality))
    assert ranking.candidates == ()
    assert codes(ranking) == [(code, "skipped", 1)]


def test_the_storage_class_decides_over_the_modality(write_film, film_reader):
    film = film_reader.read(write_film(SOPClassUID=ARC + "1", Modality="CT"))
    assert any("storage class" in note for note in film.notes)
    assert film_reader.read(write_film(SOPClassUID=ARC + "1", Modality="CR")).notes == ()


def test_a_header_without_pixels_is_no_film(write_film, film_reader):
    ranking = film_reader.rank(write_film(PixelData=None))
    assert codes(ranking) == [("series.no_image", "skipped", 1)]


def test_films_come_in_the_order_of_their_numbers(write_film, film_reader, film_scene):
    numbers = [(2, 1), (1, 2), (1, 1), (None, 1), (2, None)]
    series = {number: generate_uid() for number, _instance in numbers}
    for i, (number, instance) in enumerate(numbers):
        write_film(
            film_scene() // (i + 1),
            name=f"f{i}",
            SeriesInstanceUID=series[number],
            SeriesNumber=number or "",
            InstanceNumber=instance or "",
        )
    films = film_reader.rank(write_film.root).candidates
    found = [(film.image.series.number, film.image.instance_number) for film in films]
    assert found == [(1, 1), (1, 2), (2, 1), (2, None), (None, 1)]


def test_films_beside_a_ct_are_named(write_film, write_ct, recipe_type, film_reader):
    recipe = recipe_type()
    recipe.uids["study"] = write_film.uids["study"]
    write_film()
    write_ct(recipe)
    with discover([write_film.root], settings=film_reader.settings) as found:
        (study,) = found.studies
        ct, films = rank_ct_series(study), rank_films(study)
    assert len(ct.candidates) == 1
    assert codes(ct) == [("series.radiograph_beside_ct", "skipped", 1)]
    assert len(films.candidates) == 1
    assert codes(films) == []
    assert study.study.modality == "CT"


def test_films_beside_a_scout_alone_are_read(write_film, write_ct, recipe_type, film_reader):
    recipe = recipe_type()
    recipe.uids["study"] = write_film.uids["study"]
    write_film()
    write_ct(recipe, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with discover([write_film.root], settings=film_reader.settings) as found:
        (study,) = found.studies
        ct, films = rank_ct_series(study), rank_films(study)
    assert ct.candidates == ()
    assert {entry.code for entry in ct.entries} == {"series.radiograph", "series.localizer"}
    assert len(films.candidates) == 1
    assert codes(films) == [("series.localizer", "skipped", 16)]


@pytest.mark.parametrize(
    "other", [{"PatientID": "4712"}, {"PatientBirthDate": "19700116"}, {"PatientName": "Roe^Jane"}]
)
def test_two_patients_in_one_series_are_refused(write_film, film_reader, other):
    write_film(name="a")
    write_film(name="b", **other)
    ranking = film_reader.rank(write_film.root)
    assert ranking.candidates == ()
    assert codes(ranking) == [("series.mixed_patients", "refused", 2)]


def test_two_patients_in_one_study_are_refused(write_film, film_reader):
    write_film(name="a")
    write_film(name="b", SeriesInstanceUID=generate_uid(), PatientID="4712")
    ranking = film_reader.rank(write_film.root)
    assert codes(ranking) == [("study.mixed_patients", "refused", 1)] * 2


def test_one_series_uid_in_two_studies_is_refused(write_film, film_reader):
    write_film(name="a")
    write_film(name="b", StudyInstanceUID=generate_uid())
    with discover([write_film.root], settings=film_reader.settings) as found:
        rankings = [rank_films(study) for study in found.studies]
    assert [codes(ranking) for ranking in rankings] == [[("series.mixed_studies", "refused", 1)]] * 2


def test_identical_copies_are_dropped(write_film, film_reader):
    write_film(name="a", SOPInstanceUID="1.2.3")
    write_film(name="b", SOPInstanceUID="1.2.3")
    film = film_reader.read(write_film.root)
    assert any("identical copies" in note for note in film.notes)


@pytest.mark.parametrize(
    "other",
    [
        {"ImagerPixelSpacing": ["0.1", "0.1"]},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"pixels": np.arange(120 * 96, dtype=np.uint16).reshape(120, 96) % 4000},
    ],
)
def test_one_instance_uid_for_different_films_is_refused(write_film, film_reader, other):
    write_film(name="a", SOPInstanceUID="1.2.3")
    write_film(name="b", SOPInstanceUID="1.2.3", **other)
    assert codes(film_reader.rank(write_film.root)) == [("geometry.conflicting_instances", "refused", 2)]


def test_one_instance_in_two_series_is_read_once(write_film, film_reader):
    write_film(name="a", SOPInstanceUID="1.2.3")
    write_film(name="b", SOPInstanceUID="1.2.3", SeriesInstanceUID=generate_uid(), SeriesNumber=2)
    ranking = film_reader.rank(write_film.root)
    assert [film.image.series.number for film in ranking.candidates] == [1]
    assert codes(ranking) == [("geometry.conflicting_instances", "refused", 1)]


def test_a_film_stored_again_under_other_uids_is_read_once(write_film, film_reader):
    write_film(name="a", SeriesInstanceUID=generate_uid(), SeriesNumber=2)
    write_film(name="b", SeriesNumber=1)
    ranking = film_reader.rank(write_film.root)
    assert [film.image.series.number for film in ranking.candidates] == [1]
    assert codes(ranking) == [("series.same_pixels", "skipped", 1)]


def test_of_equal_pixels_the_film_for_presentation_is_kept(write_film, film_reader):
    write_film(name="a", **FOR_PROCESSING)
    write_film(name="b", SeriesInstanceUID=generate_uid(), SeriesNumber=2)
    ranking = film_reader.rank(write_film.root)
    assert [film.is_for_processing for film in ranking.candidates] == [False]
    assert codes(ranking) == [("series.same_pixels", "skipped", 1)]


def test_films_that_differ_in_one_pixel_are_both_read(write_film, film_reader, film_scene):
    pixels = film_scene()
    write_film(pixels, name="a")
    pixels[-1, -1] += 1
    write_film(pixels, name="b")
    assert len(film_reader.rank(write_film.root).candidates) == 2


MOMENT = {"AcquisitionDate": "20240115", "AcquisitionTime": "101500.12", "ViewPosition": "AP", "ImageLaterality": "L"}


def test_the_unprocessed_form_of_an_exposure_is_skipped(write_film, film_reader, film_scene):
    write_film(film_scene() // 2, name="a", **MOMENT, **FOR_PROCESSING)
    write_film(name="b", **MOMENT, SeriesInstanceUID=generate_uid(), SeriesNumber=2)
    ranking = film_reader.rank(write_film.root)
    assert [film.is_for_processing for film in ranking.candidates] == [False]
    assert codes(ranking) == [("series.same_exposure", "skipped", 1)]


def test_the_unprocessed_source_of_a_film_is_skipped(write_film, film_reader, film_scene):
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = ARC + "1.1.1", "1.2.3.4"
    write_film(film_scene() // 2, name="a", SOPInstanceUID="1.2.3.4", **FOR_PROCESSING)
    write_film(name="b", SourceImageSequence=Items([source]))
    ranking = film_reader.rank(write_film.root)
    assert [film.is_for_processing for film in ranking.candidates] == [False]
    assert codes(ranking) == [("series.same_exposure", "skipped", 1)]


@pytest.mark.parametrize(
    "other",
    [
        {"AcquisitionTime": "101501"},
        {"ViewPosition": "LL"},
        {"ImageLaterality": "R"},
        {"BodyPartExamined": "KNEE"},
        {"pixels": np.arange(100 * 100, dtype=np.uint16).reshape(100, 100) % 4000},
        {"AcquisitionTime": "", "AcquisitionDate": ""},
    ],
)
def test_another_exposure_is_read_although_unprocessed(write_film, film_reader, film_scene, other):
    write_film(film_scene() // 2, name="a", **MOMENT)
    write_film(name="b", **(MOMENT | FOR_PROCESSING | other))
    ranking = film_reader.rank(write_film.root)
    assert len(ranking.candidates) == 2
    assert codes(ranking) == []


def test_more_unprocessed_films_than_processed_ones_cannot_be_paired(write_film, film_reader, film_scene):
    write_film(film_scene() // 3, name="a", **MOMENT)
    write_film(film_scene() // 2, name="b", **MOMENT, **FOR_PROCESSING)
    write_film(name="c", **MOMENT, **FOR_PROCESSING)
    assert len(film_reader.rank(write_film.root).candidates) == 3


def test_an_unprocessed_film_alone_is_read_with_a_note(write_film, film_reader):
    assert any("FOR PROCESSING" in note for note in film_reader.read(write_film(**FOR_PROCESSING)).notes)


def test_a_film_in_a_zip_archive(write_film, film_reader, film_scene, tmp_path):
    path = write_film()
    archive = tmp_path / "films.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.write(path, "a/b")
    with discover([archive], settings=film_reader.settings) as found:
        (candidate,) = rank_films(found.studies[0]).candidates
        film = read_film(candidate, settings=film_reader.settings)
    assert (film.intensity == film_scene()).all()


def test_damaged_films_are_set_aside_and_noted(write_film, film_reader):
    path = write_film()
    (path.parent / "cut").write_bytes(path.read_bytes()[:700])
    assert any("damaged" in note for note in film_reader.read(path.parent).notes)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_bytes_are_refused_or_read_but_never_crash(write_film, film_reader, lut, seed):
    path = write_film(
        ModalityLUTSequence=lut(0, np.arange(4096, dtype="<u2")),
        CollimatorShape="POLYGONAL",
        VerticesOfThePolygonalCollimator=[1, 1, 1, 90, 100, 90],
        PixelSpacing=["0.1", "0.1"],
        PixelPaddingValue=0,
    )
    random = np.random.default_rng(seed)
    intact = path.read_bytes()
    for _ in range(25):
        data = bytearray(intact)
        for _ in range(6):
            data[int(random.integers(132, 1500))] = int(random.integers(0, 256))
        path.write_bytes(data)
        with discover([path], settings=film_reader.settings) as found:
            for study in found.studies:
                for film in rank_films(study).candidates:
                    with contextlib.suppress(InputError):
                        read_film(film, settings=film_reader.settings)
