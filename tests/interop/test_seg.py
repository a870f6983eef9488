"""Segmentations of every sample study: accepted by a validator, and every voxel where it was measured."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from calcreport.formats.dicom.segmentation import write_film_segmentations, write_segmentation
from calcreport.formats.dicom.subject import Subject
from calcreport.model.film import FilmFindings

pytestmark = pytest.mark.interop

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())


def written(subject: Subject) -> dict[str, bytes]:
    whole = write_segmentation(subject)
    return write_film_segmentations(subject) | ({} if whole is None else {"seg.dcm": whole})


def frames_of(content: bytes) -> Iterator[tuple[int, str, int | None, list[float], NDArray[np.bool_]]]:
    """Segment, source image and frame, position and pixels of each frame; read by hand."""
    file = pydicom.dcmread(io.BytesIO(content))
    stored = np.frombuffer(file.PixelData, np.uint8)
    assert (file.BitsAllocated == 1) == (file.SegmentationType == "BINARY") == (file.Columns % 8 == 0)
    if file.BitsAllocated == 8:
        assert set(np.unique(stored)) <= {0, file.MaximumFractionalValue}
    bits = np.unpackbits(stored, bitorder="little") if file.BitsAllocated == 1 else stored // 255
    size = file.Rows * file.Columns
    for number, group in enumerate(file.PerFrameFunctionalGroupsSequence):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        plane = group.get("PlanePositionSequence")
        yield (
            int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            str(source.ReferencedSOPInstanceUID),
            source.get("ReferencedFrameNumber"),
            [float(part) for part in plane[0].ImagePositionPatient] if plane else [],
            bits[number * size : (number + 1) * size].reshape(file.Rows, file.Columns).astype(bool),
        )


def check_voxels(subject: Subject, content: bytes) -> int:
    """Hold every slice of every segment against the masks, and its position against the geometry; count the voxels."""
    volume = subject.volume
    expected = [(lesion.id, measured.mineral) for lesion, measured in subject.lesions if measured.mineral is not None]
    expected += [(f"{lesion.id} mass", measured.contour) for lesion, measured in subject.lesions if measured.contour]
    file = pydicom.dcmread(io.BytesIO(content))
    assert [item.TrackingID for item in file.SegmentSequence] == [name for name, _ in expected]
    slices = {(ref.sop_instance_uid, ref.frame): index for index, ref in enumerate(volume.slices)}
    read = np.zeros((len(expected), *volume.hu.shape), bool)
    for segment, uid, frame, position, pixels in frames_of(content):
        index = slices[uid, frame]
        assert pixels.any()
        assert np.allclose(position, volume.geometry.lps_mm(np.array((index, 0, 0))), atol=0.02)
        read[segment - 1, index] = pixels
    for found, (_, mask) in zip(read, expected, strict=True):
        wanted = np.zeros(volume.hu.shape, bool)
        wanted[mask.box] = mask.voxels
        assert (found == wanted).all()
    return int(read.sum())


@pytest.mark.parametrize("name", NAMES)
def test_dciodvfy_finds_no_error(sample: Callable[[str], Subject], dciodvfy, tmp_path: Path, name: str) -> None:
    for file_name, content in written(sample(name)).items():
        file = tmp_path / file_name
        file.write_bytes(content)
        verdict = dciodvfy(file)
        assert verdict.errors == []
        assert verdict.code == 0
        assert "Segmentation" in verdict.text


@pytest.mark.parametrize("name", NAMES)
def test_every_voxel_comes_back_where_it_was_measured(sample: Callable[[str], Subject], name: str) -> None:
    subject = sample(name)
    if isinstance(subject.findings, FilmFindings):
        _check_films(subject)
        return
    content = write_segmentation(subject)
    if not subject.lesions:
        assert content is None
        return
    count = check_voxels(subject, content)
    segmentation = hd.seg.segread(io.BytesIO(content))
    uids = [reference.sop_instance_uid for reference in subject.volume.slices]
    pixels = segmentation.get_pixels_by_source_instance(
        uids, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    assert int(pixels.sum()) == count


def _check_films(subject: Subject) -> None:
    count = 0
    for content in write_film_segmentations(subject).values():
        names = [item.TrackingID for item in pydicom.dcmread(io.BytesIO(content)).SegmentSequence]
        for segment, uid, _, _, pixels in frames_of(content):
            lesion = next(measured for lesion, measured in subject.lesions if lesion.id == names[segment - 1])
            film = next(i for i, f in enumerate(subject.findings.films) if f.reference.sop_instance_uid == uid)
            mask = next(shadow.mineral for shadow in lesion.shadows if shadow.film == film)
            wanted = np.zeros(subject.findings.films[film].picture.shape, bool)
            wanted[mask.box] = mask.pixels
            assert (pixels == wanted).all()
            count += 1
    assert count == sum(len(measured.shadows) for _, measured in subject.lesions)


@pytest.mark.parametrize("which", ["outlined", "multiframe"])
def test_a_mass_and_a_multiframe_source(request: pytest.FixtureRequest, dciodvfy, tmp_path: Path, which: str) -> None:
    subject = request.getfixturevalue(which)
    content = write_segmentation(subject)
    assert check_voxels(subject, content) > 0
    file = tmp_path / "seg.dcm"
    file.write_bytes(content)
    assert dciodvfy(file).errors == []


def test_of_a_multiframe_source_frames_are_named(multiframe: Subject) -> None:
    file = pydicom.dcmread(io.BytesIO(write_segmentation(multiframe)))
    (image,) = file.SourceImageSequence
    assert image.ReferencedSOPInstanceUID == multiframe.volume.slices[0].sop_instance_uid
    assert image.ReferencedSOPClassUID != "1.2.840.10008.5.1.4.1.1.2"
    (series,) = file.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == multiframe.volume.series_instance_uid
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [
        image.ReferencedSOPInstanceUID
    ]
    numbers = {number for _, _, number, _, _ in frames_of(write_segmentation(multiframe))}
    assert None not in numbers
    assert len(numbers) > 1


@pytest.mark.parametrize(
    "values",
    [
        dict.fromkeys(("StudyID", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "StudyTime")),
        {
            "StudyInstanceUID": "1.2." + "3" * 60,
            "SeriesInstanceUID": "1.2." + "4" * 60,
            "FrameOfReferenceUID": "1.2." + "5" * 60,
        },
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Жук^Анна=山田^花子=やまだ^はなこ"},
        {"PatientName": "</b>|^~&{{7*7}}", "PatientID": "../../etc/passwd"},
    ],
)
def test_headers_of_every_kind_give_valid_objects(analyse, edited, dciodvfy, tmp_path: Path, values: dict) -> None:
    subject = analyse(edited("phleboliths_thigh", **values))
    content = write_segmentation(subject)
    assert check_voxels(subject, content) > 0
    file = tmp_path / "written.dcm"
    file.write_bytes(content)
    assert dciodvfy(file).errors == []
    for keyword in set(values) & {"PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"}:
        assert str(pydicom.dcmread(file)[keyword].value) == values[keyword]
