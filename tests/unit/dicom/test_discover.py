"""Finding studies: folders, odd names, zip archives, and everything that must not be opened."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import generate_uid

from calcreport.dicom import CODES, discover, rank_ct_series, read_ct
from calcreport.dicom.codes import message, problem
from calcreport.errors import InputError
from calcreport.settings import ReadingSettings

SETTINGS = ReadingSettings()


def codes(found: Any) -> dict[str, int]:
    return {row.code: row.count for row in found.set_aside}


def pack(folder: Path, target: Path, **options: Any) -> Path:
    with zipfile.ZipFile(target, "w", **options) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return target


def test_nested_folders_and_names_without_extension(write_ct, reader, recipe_type):
    recipe = recipe_type()
    folder = write_ct(recipe)
    for number, file in enumerate(sorted(folder.iterdir())):
        deeper = folder / f"a{number % 3}" / f"b{number}"
        deeper.mkdir(parents=True)
        file.rename(deeper / ("IMG" if number % 2 else "x.y.z"))
    assert reader.read(folder).geometry.shape[0] == recipe.count


def test_text_files_are_one_row_with_their_number(write_ct, reader, tmp_path):
    write_ct()
    for number in range(30):
        (tmp_path / f"note{number}.txt").write_text("hello " * 50)
    (tmp_path / "empty").touch()
    with reader.discover(tmp_path) as found:
        assert len(found.studies) == 1
        assert codes(found) == {"file.not_dicom": 30, "file.empty": 1}
        assert found.set_aside[0].name == "empty"


def test_an_empty_folder_and_a_missing_path_find_nothing(reader, tmp_path):
    with reader.discover(tmp_path, tmp_path / "absent") as found:
        assert found.studies == ()
        assert codes(found) == {"path.missing": 1}


def test_links_pipes_and_sockets_are_never_opened(write_ct, reader):
    folder = write_ct()
    (folder / "link").symlink_to(folder / next(iter(folder.iterdir())).name)
    (folder / "up").symlink_to("/")
    os.mkfifo(folder / "pipe")
    with reader.discover(folder) as found:
        assert codes(found) == {"file.symlink": 2, "file.special": 1}
        assert len(found.studies[0].series[0].planes) == 16


def test_a_link_given_by_the_user_is_followed(write_ct, reader, tmp_path):
    folder = write_ct()
    (tmp_path / "link").symlink_to(folder)
    assert reader.read(tmp_path / "link").geometry.shape[0] == 16


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_named(write_ct, reader):
    folder = write_ct()
    next(iter(folder.iterdir())).chmod(0)
    (folder / "closed").mkdir(mode=0)
    with reader.discover(folder) as found:
        assert codes(found) == {"file.unreadable": 1, "path.unreadable": 1}


def test_too_many_files_refuse_the_whole_run(write_ct, tmp_path):
    write_ct()
    with pytest.raises(InputError) as caught:
        discover([tmp_path], settings=ReadingSettings(max_files=10))
    assert caught.value.code == "path.too_many_files"


def test_files_larger_than_allowed_are_set_aside(write_ct, tmp_path):
    write_ct()
    with discover([tmp_path], settings=ReadingSettings(max_file_bytes=1000)) as found:
        assert codes(found) == {"file.too_large": 16}


def test_volumes_larger_than_allowed_are_refused(write_ct, reader):
    reader.settings = ReadingSettings(max_volume_voxels=1000)
    with pytest.raises(InputError) as caught:
        reader.read(write_ct())
    assert caught.value.code == "pixel.too_large"


def test_progress_is_told(write_ct, tmp_path):
    write_ct()
    seen: list[int] = []
    discover([tmp_path], settings=SETTINGS, on_progress=seen.append).close()
    assert seen == [16]


def test_the_same_folder_given_twice_counts_once(write_ct, reader):
    folder = write_ct()
    with reader.discover(folder, folder) as found:
        assert len(found.studies[0].series[0].planes) == 16


# zip archives
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_archive_is_read_without_unpacking(write_ct, reader, recipe_type, tmp_path, compression):
    recipe = recipe_type()
    archive = pack(write_ct(recipe), tmp_path / "study.zip", compression=compression)
    with reader.discover(archive) as found:
        ct = read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=SETTINGS)
    assert (ct.volume.hu == recipe.paint()).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct", "study.zip"]


def test_names_in_an_archive_are_never_paths(write_ct, reader, recipe_type, tmp_path):
    folder = write_ct(recipe_type())
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for number, file in enumerate(sorted(folder.iterdir())):
            archive.write(file, f"../../{'x' * number}/../../../etc/{number}")
        archive.writestr("/etc/evil", b"x" * 300)
    before = sorted(tmp_path.rglob("*"))
    with reader.discover(tmp_path / "evil.zip") as found:
        assert len(found.studies[0].series[0].planes) == 16
        assert codes(found) == {"file.not_dicom": 1}
        assert "etc" not in found.set_aside[0].name
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_archives_have_their_reason(write_ct, reader, tmp_path):
    inner = pack(write_ct(), tmp_path / "inner.zip")
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive:
        archive.write(inner, "inner")
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", compression=zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x" * 500)
    (tmp_path / "cut.zip").write_bytes(inner.read_bytes()[:5000])
    data = bytearray((tmp_path / "nested.zip").read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    paths = [tmp_path / f"{name}.zip" for name in ("nested", "lzma", "cut", "locked")]
    with reader.discover(*paths) as found:
        assert codes(found) == {"zip.nested": 1, "zip.compression": 1, "zip.damaged": 1, "zip.encrypted": 1}


def test_a_zip_bomb_is_not_opened(reader, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 1_000_000)
    data = bytearray((tmp_path / "bomb.zip").read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (4_000_000_000).to_bytes(4, "little")
    (tmp_path / "bomb.zip").write_bytes(data)
    with reader.discover(tmp_path / "bomb.zip") as found:
        assert codes(found) == {"zip.bomb": 1}


def test_a_damaged_member_is_named_and_the_rest_is_read(write_ct, reader, tmp_path):
    archive = pack(write_ct(), tmp_path / "a.zip", compression=zipfile.ZIP_DEFLATED)
    data = bytearray(archive.read_bytes())
    data[60:300] = b"\xff" * 240
    archive.write_bytes(data)
    with reader.discover(archive) as found:
        assert codes(found)["zip.damaged"] == 1
        assert len(found.studies[0].series[0].planes) == 15


# studies
def test_studies_do_not_disturb_each_other(write_ct, reader, recipe_type, tmp_path):
    write_ct(recipe_type(), folder="good", StudyDate="20240301")
    write_ct(recipe_type(), folder="bad", StudyDate="20240201", PixelSpacing=["0", "0"])
    (tmp_path / "bad" / "extra").write_bytes(b"DICM" * 100)
    with reader.discover(tmp_path) as found:
        assert [s.study.study_date for s in found.studies] == ["2024-02-01", "2024-03-01"]
        good = rank_ct_series(found.studies[1]).candidates[0]
        assert read_ct(good, settings=SETTINGS).geometry.shape[0] == 16


def test_a_dicomdir_is_not_followed(write_ct, reader):
    folder = write_ct()
    file = next(iter(folder.iterdir()))
    data = file.read_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0")
    (folder / "DICOMDIR").write_bytes(data)
    with reader.discover(folder) as found:
        assert codes(found) == {"file.dicomdir": 1}
        assert len(found.studies[0].series[0].planes) == 16


def test_study_attributes_are_clean_text(write_ct, reader):
    tags = {"PatientName": "Doe\u202e^Ja\x1b[31mne\x00", "StudyDescription": "a" * 500, "PatientAge": "050Y"}
    with reader.discover(write_ct(SpecificCharacterSet="ISO_IR 192", **tags)) as found:
        study = found.studies[0].study
    assert study.patient.name == "Doe ^Ja [31mne"
    assert len(study.description) == 64
    assert study.patient.age_years == pytest.approx(54.0, abs=0.01)
    assert (study.modality, study.patient.sex, study.patient.birth_date) == ("CT", "F", "1970-01-15")
    assert "Doe" not in repr(found.studies)


def test_age_from_the_header_when_there_is_no_birth_date(write_ct, reader):
    with reader.discover(write_ct(PatientBirthDate="", PatientAge="018M")) as found:
        assert found.studies[0].study.patient.age_years == pytest.approx(1.5)


def test_a_file_that_changes_between_search_and_reading_is_refused(write_ct, reader):
    folder = write_ct()
    with reader.discover(folder) as found:
        victim = sorted(folder.iterdir())[3]
        victim.write_bytes(victim.read_bytes() + b"\0\0")
        with pytest.raises(InputError) as caught:
            read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=SETTINGS)
    assert caught.value.code == "file.changed"


def test_a_file_swapped_for_a_link_is_refused(write_ct, reader, tmp_path):
    folder = write_ct()
    with reader.discover(folder) as found:
        victim = sorted(folder.iterdir())[3]
        victim.rename(tmp_path / "elsewhere")
        victim.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(InputError) as caught:
            read_ct(rank_ct_series(found.studies[0]).candidates[0], settings=SETTINGS)
    assert caught.value.code == "file.unreadable"


# ranking
@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}),
        ({"ConvolutionKernel": "STANDARD"}, {"ConvolutionKernel": "BONEPLUS"}),
        ({"ConvolutionKernel": "FC08"}, {"ConvolutionKernel": "FC51"}),
        ({"ConvolutionKernel": ["Br40d", "3"]}, {"ConvolutionKernel": ["Br64d", "3"]}),
        ({"ConvolutionKernel": "B"}, {"ConvolutionKernel": "YA"}),
        ({"SliceThickness": "2"}, {"SliceThickness": "4"}),
        ({"SeriesDescription": "native"}, {"SeriesDescription": "portal venous"}),
        ({"SeriesDescription": "venous"}, {"SeriesDescription": "arterial"}),
    ],
)
def test_the_series_best_for_measuring_comes_first(write_ct, reader, recipe_type, better, worse):
    base = recipe_type()
    for name, tags in (("a", worse), ("b", better)):
        recipe = recipe_type(uids={**base.uids, "series": generate_uid()})
        write_ct(recipe, folder=name, SeriesNumber=7 if name == "b" else 1, **tags)
    numbers = [series.number for series in reader.rank(write_ct.root).candidates]
    assert numbers == [7, 1]


def test_thinner_slices_come_first_but_not_a_short_detail(write_ct, reader, recipe_type):
    base = recipe_type()
    for number, (step, count) in enumerate([(5.0, 12), (1.0, 60), (0.5, 8)], start=1):
        recipe = recipe_type(uids={**base.uids, "series": generate_uid()}, step=(0, 0, step), count=count)
        write_ct(recipe, folder=str(number), SeriesNumber=number, SliceThickness=str(step))
    assert [series.number for series in reader.rank(write_ct.root).candidates] == [2, 1, 3]


# codes
def test_every_code_raises_its_own_error_with_a_remedy():
    for code, entry in CODES.items():
        error = problem(code, "detail")
        assert isinstance(error, entry.kind)
        assert (error.code, error.message) == (code, message(code, "detail"))
        assert entry.remedy.endswith(".")
        assert not entry.meaning.endswith(".")


def test_no_floats_survive_in_the_volume(write_ct, reader):
    assert reader.read(write_ct()).volume.hu.dtype == np.int16
