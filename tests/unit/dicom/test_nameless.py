"""Slices as real archives hold them: UIDs blank or the same everywhere, a frame of reference or a series an image."""

import re
import shutil
import zipfile

import numpy as np
import pytest

from calcreport.dicom import rank_ct_series, read_ct
from calcreport.errors import InputError
from calcreport.study.folder import folder_name

BLANK = {"StudyInstanceUID": "", "SeriesInstanceUID": ""}
ALL_BLANK = {**BLANK, "SOPInstanceUID": "", "PatientID": "", "PatientName": "", "PatientBirthDate": ""}
NAME = re.compile(r"no-uid-[0-9a-f]{24}")


def found_in(reader, *paths):
    """Studies and codes of what was set aside."""
    with reader.discover(*paths) as found:
        return found.studies, {row.code: row.count for row in found.set_aside}


def refused(reader, path):
    with pytest.raises(InputError) as caught:
        reader.read(path)
    return caught.value.code


@pytest.mark.parametrize(
    "blank",
    [BLANK, ALL_BLANK, {"StudyInstanceUID": None}, {"SeriesInstanceUID": None}, {"SOPInstanceUID": " "},
     {"StudyInstanceUID": "", "SOPInstanceUID": ""}, {"SOPInstanceUID": "1.2.3"}],
)  # fmt: skip
def test_slices_without_uids_are_measured_by_folder(write_ct, reader, recipe_type, check_true_size, blank):
    recipe = recipe_type()
    folder = write_ct(recipe, **blank)
    check_true_size(reader.read(folder), recipe)
    (study,), aside = found_in(reader, folder)
    assert not aside
    assert [len(series.planes) for series in study.series] == [recipe.count]
    assert all(image.lacks_identity for image in study.series[0].instances)
    (note,) = study.notes
    assert note.startswith("Identity missing")
    uid = study.study.study_instance_uid
    assert folder_name(uid) == uid
    if blank.get("StudyInstanceUID", "1"):
        assert uid == recipe.uids["study"]
    else:
        assert NAME.fullmatch(uid)


def test_the_name_of_a_study_is_that_of_its_content(write_ct, reader, tmp_path_factory):
    folder = write_ct(**ALL_BLANK)
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("elsewhere") / "ct")
    names = [found_in(reader, path)[0][0].study.study_instance_uid for path in (folder, copy, folder)]
    assert len(set(names)) == 1
    (copy / "00001").unlink()
    assert found_in(reader, copy)[0][0].study.study_instance_uid != names[0]


def test_each_folder_is_a_study_also_within_an_archive(write_ct, reader, recipe_type, tmp_path_factory):
    write_ct(recipe_type(), folder="a", **BLANK)
    write_ct(recipe_type(radius=7.0), folder="b", **BLANK)
    studies, _ = found_in(reader, write_ct.root)
    assert len(studies) == 2
    both = tmp_path_factory.mktemp("archive") / "both.zip"
    slices = sorted(write_ct.root.rglob("*"))
    with zipfile.ZipFile(both, "w") as archive:
        for path in slices:
            archive.write(path, path.relative_to(write_ct.root))
    with reader.discover(both) as found:
        assert {s.study.study_instance_uid for s in found.studies} == {s.study.study_instance_uid for s in studies}


@pytest.mark.parametrize(
    "other",
    [{"SeriesNumber": 3}, {"SeriesDescription": "Bone"}, {"ConvolutionKernel": "B70f"},
     {"FrameOfReferenceUID": "1.2.840.9"}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}],
)  # fmt: skip
def test_two_series_of_one_folder_are_kept_apart(write_ct, reader, recipe_type, other):
    recipe = recipe_type()
    write_ct(recipe, **ALL_BLANK)
    write_ct(recipe, **ALL_BLANK, InstanceNumber=500, **other)
    (study,), _ = found_in(reader, write_ct.root)
    assert [len(series.planes) for series in study.series] == [recipe.count] * 2
    for series in rank_ct_series(study).candidates:
        read_ct(series, settings=reader.settings)


def test_what_cannot_be_told_apart_is_refused(write_ct, reader, recipe_type):
    recipe = recipe_type()
    write_ct(recipe, **ALL_BLANK)
    brighter = recipe_type(radius=7.0, uids=recipe.uids)
    write_ct(brighter, **ALL_BLANK, InstanceNumber=500, edit=lambda n, ds: setattr(ds, "AcquisitionNumber", n % 2))
    assert refused(reader, write_ct.root) in {"geometry.duplicate_positions", "geometry.conflicting_instances"}


def test_two_patients_in_a_folder_without_uids_are_refused(write_ct, reader, recipe_type):
    recipe = recipe_type()

    def edit(number, ds):
        ds.PatientID = "1" if number < 8 else "2"

    assert refused(reader, write_ct(recipe, **BLANK, edit=edit)) == "series.mixed_patients"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_slice_without_uid_beside_others_with_one_is_damaged(write_ct, reader, keyword):
    def edit(number, ds):
        if number == 15:
            setattr(ds, keyword, "")

    folder = write_ct(edit=edit)
    (study,), aside = found_in(reader, folder)
    assert aside == {"file.no_uid": 1}
    assert not study.notes
    assert "1 damaged DICOM files lie beside this series" in " ".join(reader.read(folder).notes)


def test_a_malformed_uid_is_refused_not_taken_for_a_missing_one(write_ct, reader):
    _, aside = found_in(reader, write_ct(StudyInstanceUID="anonymous"))
    assert aside == {"file.no_uid": 16}


def own_frames(number, ds):
    ds.FrameOfReferenceUID = f"1.2.840.9.{number + 1}"


def test_a_frame_of_reference_for_each_image_is_one_volume_with_a_note(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    ct = reader.read(write_ct(recipe, edit=own_frames))
    check_true_size(ct, recipe)
    assert ct.volume.frame_of_reference_uid is None
    assert any("Frame of Reference UID of its own" in note for note in ct.notes)


def test_a_frame_of_reference_for_each_image_does_not_excuse_anything_else(write_ct, reader, recipe_type):
    assert refused(reader, write_ct(edit=own_frames, skip=(5,), folder="gap")) == "geometry.missing_slice"
    bent = recipe_type()
    bent.positions[9] += (0.0, 5.0, 0.0)
    assert refused(reader, write_ct(bent, edit=own_frames, folder="bent")) == "geometry.shifted_slices"


@pytest.mark.parametrize("pattern", [lambda n: n // 2, lambda n: 0 if n < 15 else 1, lambda n: max(n, 1)])
def test_shared_frames_of_reference_stay_refused(write_ct, reader, pattern):
    def edit(number, ds):
        ds.FrameOfReferenceUID = f"1.2.840.9.{pattern(number) + 1}"

    assert refused(reader, write_ct(edit=edit)) == "geometry.frames_of_reference"


def test_neither_series_nor_frame_of_reference_in_common_is_refused(write_ct, reader):
    assert refused(reader, write_ct(**BLANK, edit=own_frames)) == "geometry.frames_of_reference"


def own_series(number, ds):
    ds.SeriesInstanceUID = f"1.2.840.7.{number + 1}"


def test_a_scan_split_into_series_of_one_image_is_named_once(write_ct, reader):
    folder = write_ct(edit=own_series)
    (study,), aside = found_in(reader, folder)
    assert not aside
    assert [(len(series.planes), series.problem) for series in study.series] == [(16, "series.one_image_each")]
    with pytest.raises(InputError, match="16 series of one image") as caught:
        reader.read(folder)
    assert caught.value.code == "series.one_image_each"


def test_a_whole_series_beside_a_split_one_is_measured(write_ct, reader, recipe_type, check_true_size):
    recipe = recipe_type()
    write_ct(recipe, folder="whole")
    write_ct(recipe_type(uids=recipe.uids, origin=(-25.0, -24.0, 400.0)), folder="split", edit=own_series)
    check_true_size(reader.read(write_ct.root), recipe)


def test_two_series_of_one_image_are_no_split_scan(write_ct, reader):
    (study,), _ = found_in(reader, write_ct(edit=own_series, skip=range(2, 16)))
    assert [series.problem for series in study.series] == [None, None]


def test_pixels_of_nameless_slices_follow_their_positions(write_ct, reader, recipe_type):
    recipe = recipe_type()
    named = reader.read(write_ct(recipe, folder="named"))
    nameless = reader.read(write_ct(recipe, folder="nameless", **ALL_BLANK))
    assert np.array_equal(named.volume.hu, nameless.volume.hu)
