"""Segmentations read back voxel by voxel, by highdicom and without it, on stacks of every kind."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from calcreport.errors import UsageError
from calcreport.formats.dicom.instance import untroubled
from calcreport.formats.dicom.measurement_groups import planar_groups
from calcreport.formats.dicom.segmentation import list_segments, write_film_segmentations, write_segmentation
from calcreport.formats.dicom.subject import Subject
from calcreport.model.film import FilmScale, PixelMask, ScaleKind
from calcreport.model.lesion import VoxelMask
from calcreport.model.report import Mass
from calcreport.model.uids import derive_uid

sys.path.append(str(Path(__file__).parent))

import made_subjects as made
from made_subjects import Headers

_COS, _SIN = np.cos(0.3), np.sin(0.3)
AFFINES = {
    # columns: one slice, one row, one column, origin
    "axial": [[0, 0, 0.7, -10], [0, 0.8, 0, 5], [2.5, 0, 0, 100], [0, 0, 0, 1]],
    "feet first": [[0, 0, 0.7, -10], [0, 0.8, 0, 5], [-2.5, 0, 0, 100], [0, 0, 0, 1]],
    "oblique": [[2.5 * _SIN, 0, 0.7 * _COS, 1], [0, 0.8, 0, 2], [2.5 * _COS, 0, -0.7 * _SIN, 3], [0, 0, 0, 1]],
    "tilted gantry": [[0, 0, 0.7, -10], [0.9, 0.8, 0, 5], [2.5, 0, 0, 100], [0, 0, 0, 1]],
    "sagittal": [[3.0, 0, 0, -4], [0, 0, 0.7, 5], [0, -0.8, 0, 90], [0, 0, 0, 1]],
}


def frames_of(content: bytes) -> list[tuple[int, str, tuple[str, ...], NDArray[np.bool_]]]:
    """Segment number, source image, position as written and pixels of each frame, unpacked without highdicom."""
    file = pydicom.dcmread(io.BytesIO(content))
    size = file.Rows * file.Columns
    stored = np.frombuffer(file.PixelData, np.uint8)
    assert (file.BitsAllocated == 1) == (file.SegmentationType == "BINARY") == (file.Columns % 8 == 0)
    if file.BitsAllocated == 8:
        assert set(np.unique(stored)) <= {0, file.MaximumFractionalValue}
    bits = np.unpackbits(stored, bitorder="little") if file.BitsAllocated == 1 else stored // 255
    frames = []
    for number, group in enumerate(file.PerFrameFunctionalGroupsSequence):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        plane = group.get("PlanePositionSequence")
        frames.append(
            (
                int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
                str(source.ReferencedSOPInstanceUID),
                tuple(str(part) for part in plane[0].ImagePositionPatient) if plane else (),
                bits[number * size : (number + 1) * size].reshape(file.Rows, file.Columns).astype(bool),
            )
        )
    return frames


def rebuild(content: bytes, subject: Subject) -> dict[int, NDArray[np.bool_]]:
    """Whole-volume mask of each segment."""
    places = {reference.sop_instance_uid: index for index, reference in enumerate(subject.volume.slices)}
    masks: dict[int, NDArray[np.bool_]] = {}
    for segment, uid, _, pixels in frames_of(content):
        mask = masks.setdefault(segment, np.zeros(subject.volume.hu.shape, bool))
        assert not mask[places[uid]].any(), "two frames of one segment on one slice"
        mask[places[uid]] = pixels
    return masks


def blobs(shape: tuple[int, int, int], *boxes: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
    cells = np.zeros(shape, bool)
    generator = np.random.default_rng(3)
    for box in boxes:
        part = generator.random(cells[box].shape) > 0.4
        part[:, 0, 0] = True
        cells[box] = part
    return cells


SHAPE = (12, 13, 11)  # 143 pixels a frame: frames do not begin at a byte
APART = blobs(SHAPE, np.s_[2:4, 3:9, 2:7], np.s_[8:10, 1:4, 1:4])
BESIDE = blobs(SHAPE, np.s_[3:7, 9:12, 7:10])


@pytest.fixture(params=sorted(AFFINES))
def stack(request: pytest.FixtureRequest) -> Subject:
    """Two lesions on a stack whose stored positions are a little off the straight line that was fitted."""
    volume = made.volume_of(SHAPE, AFFINES[request.param])
    generator = np.random.default_rng(11)
    headers = {}
    for index in range(SHAPE[0]):
        place = volume.geometry.lps_mm(np.array((index, 0, 0))) + generator.uniform(-0.004, 0.004, 3)
        uid = made.slice_uid(index)
        headers[uid] = made.header(uid, ImagePositionPatient=[f"{part:.5f}" for part in place])
    return made.ct_subject(volume, [(APART, None), (BESIDE, None)], headers=headers)


def test_every_voxel_comes_back_at_its_slice(stack: Subject) -> None:
    content = write_segmentation(stack)
    masks = rebuild(content, stack)
    assert sorted(masks) == [1, 2]
    assert (masks[1] == APART).all()
    assert (masks[2] == BESIDE).all()
    segmentation = hd.seg.segread(io.BytesIO(content))
    uids = [made.slice_uid(index) for index in range(SHAPE[0])]
    read = segmentation.get_pixels_by_source_instance(
        uids, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    assert (read[..., 0].astype(bool) == APART).all()
    assert (read[..., 1].astype(bool) == BESIDE).all()


def test_positions_are_those_of_the_source_images_to_the_digit(stack: Subject) -> None:
    headers = stack.source.headers
    frames = frames_of(write_segmentation(stack))
    assert len(frames) == 4 + 4
    for _, uid, position, _ in frames:
        assert [float(part) for part in position] == [float(part) for part in headers[uid].ImagePositionPatient]
    shared = pydicom.dcmread(io.BytesIO(write_segmentation(stack))).SharedFunctionalGroupsSequence[0]
    affine = stack.volume.geometry.affine
    directions = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    measures = shared.PixelMeasuresSequence[0]
    spacing = np.array(measures.PixelSpacing, dtype=float)
    assert np.allclose(directions[0] * spacing[1], affine[:3, 2], atol=1e-6)
    assert np.allclose(directions[1] * spacing[0], affine[:3, 1], atol=1e-6)
    assert float(measures.SpacingBetweenSlices) == pytest.approx(stack.volume.geometry.spacing_mm[0])


def test_a_gap_between_foci_is_no_slice_spacing() -> None:
    cells = np.zeros(SHAPE, bool)
    cells[[2, 9], 4, 4] = True
    subject = made.ct_subject(made.volume_of(SHAPE), [(cells, None)])
    file = pydicom.dcmread(io.BytesIO(write_segmentation(subject)))
    assert float(file.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices) == 2.5
    assert "DimensionOrganizationType" not in file


def test_stacks_in_any_order_of_files_and_directions() -> None:
    volume = made.volume_of(SHAPE)
    order = np.random.default_rng(5).permutation(SHAPE[0])
    volume = type(volume)(
        hu=volume.hu, geometry=volume.geometry, series_instance_uid=made.SERIES, frame_of_reference_uid=made.FRAME,
        slices=tuple(volume.slices[index] for index in order),
    )  # fmt: skip
    headers = {
        reference.sop_instance_uid: made.header(
            reference.sop_instance_uid, ImagePositionPatient=[-10, 5, 100 + 2.5 * index]
        )
        for index, reference in enumerate(volume.slices)
    }
    subject = made.ct_subject(volume, [(APART, None)], headers=headers)
    assert (rebuild(write_segmentation(subject), subject)[1] == APART).all()


def test_only_headers_of_slices_that_hold_mask_are_read() -> None:
    shape = (1000, 16, 16)
    cells = np.zeros(shape, bool)
    cells[700:703, 4:6, 4:6] = True
    subject = made.ct_subject(made.volume_of(shape), [(cells, None)])
    write_segmentation(subject)
    source = subject.source
    assert isinstance(source, Headers)
    middle = made.slice_uid(500)  # for patient and study
    assert set(source.asked) == {made.slice_uid(index) for index in (700, 701, 702)} | {middle}


def test_a_mass_is_a_segment_of_its_own_around_its_mineral() -> None:
    mass = np.zeros(SHAPE, bool)
    mass[1:11, 0:13, 0:9] = True
    subject = made.ct_subject(made.volume_of(SHAPE), [(APART, mass), (BESIDE, None)])
    content = write_segmentation(subject)
    masks = rebuild(content, subject)
    assert (masks[1] == APART).all()
    assert (masks[2] == BESIDE).all()
    assert (masks[3] == mass).all()
    file = pydicom.dcmread(io.BytesIO(content))
    first, second = subject.report.lesions
    told = [(item.TrackingID, item.TrackingUID, item.SegmentAlgorithmType) for item in file.SegmentSequence]
    assert told == [
        ("L1", first.tracking_uid, "AUTOMATIC"),
        ("L2", second.tracking_uid, "AUTOMATIC"),
        ("L1 mass", derive_uid("mass", first.tracking_uid), "MANUAL"),
    ]
    assert len({uid for _, uid, _ in told}) == 3
    assert file.SegmentsOverlap == "YES"
    kinds = [item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in file.SegmentSequence]
    assert kinds == ["18115005", "18115005", "4147007"]


def test_only_masks_that_share_a_voxel_overlap() -> None:
    corner, ring = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    ring[2:6, 2:9, 2:9] = True
    ring[3:5, 4:7, 4:7] = False
    corner[3, 5, 5] = True  # inside the box of the ring, in its hole
    for cells, told in ((corner, "NO"), (corner | np.roll(corner, 2, axis=1), "YES")):
        subject = made.ct_subject(made.volume_of(SHAPE), [(ring, None), (cells, None)])
        content = write_segmentation(subject)
        assert pydicom.dcmread(io.BytesIO(content)).SegmentsOverlap == told
        assert (rebuild(content, subject)[2] == cells).all()


def test_a_contour_without_mineral_is_the_lesion_itself() -> None:
    subject = made.ct_subject(made.volume_of(SHAPE), [(None, APART)])
    (item,) = pydicom.dcmread(io.BytesIO(write_segmentation(subject))).SegmentSequence
    assert (item.TrackingID, item.TrackingUID) == ("L1", subject.report.lesions[0].tracking_uid)


def test_a_mass_that_a_reader_denied_is_no_segment() -> None:
    denied = made.lesion_of(1, mass=Mass(present="no", source="clinician"))
    other = made.lesion_of(2, mass=Mass(present="unknown"))
    subject = made.ct_subject(made.volume_of(SHAPE), [(APART, BESIDE), (APART, BESIDE)], lesions=(denied, other))
    items = pydicom.dcmread(io.BytesIO(write_segmentation(subject))).SegmentSequence
    assert [item.TrackingID for item in items] == ["L1", "L2", "L2 mass"]
    alone = made.ct_subject(made.volume_of(SHAPE), [(None, APART)], lesions=(denied,))
    assert write_segmentation(alone) is None


@pytest.mark.parametrize("is_film", [False, True])
def test_a_lesion_without_any_voxel_is_refused_by_name(*, is_film: bool) -> None:
    if is_film:
        full = made.film_subject([[np.ones((30, 21), bool)]])
        (lesion,) = full.findings.lesions
        empty = PixelMask(offset=(0, 0), pixels=np.zeros((2, 2), bool))
        bare = replace(lesion, shadows=(replace(lesion.shadows[0], mineral=empty),))
    else:
        full = made.ct_subject(made.volume_of(SHAPE), [(APART, None)])
        bare = replace(full.findings.lesions[0], mineral=VoxelMask(offset=(0, 0, 0), voxels=np.zeros((1, 2, 2), bool)))
    subject = replace(full, findings=replace(full.findings, lesions=(bare,)))
    with pytest.raises(UsageError) as caught:
        planar_groups(subject)
    assert caught.value.code == "render.damaged_shape"
    assert write_segmentation(subject) is None
    assert write_film_segmentations(subject) == {}


def test_a_segment_knows_its_lesion_whatever_its_name() -> None:
    lesions = (made.lesion_of(1, id="L1 mass"), made.lesion_of(2, id="L1"))
    subject = made.ct_subject(made.volume_of(SHAPE), [(APART, BESIDE), (BESIDE, None)], lesions=lesions)
    segments = list_segments(subject)
    assert [(one.lesion.id, one.is_mass) for one in segments] == [("L1 mass", False), ("L1", False), ("L1 mass", True)]


def test_a_rejected_lesion_is_no_segment_and_nothing_left_is_no_object() -> None:
    subject = made.rejecting(made.ct_subject(made.volume_of(SHAPE), [(APART, None), (BESIDE, None)]), 1)
    content = write_segmentation(subject)
    (item,) = pydicom.dcmread(io.BytesIO(content)).SegmentSequence
    assert item.TrackingID == "L2"
    assert (rebuild(content, subject)[1] == BESIDE).all()
    assert write_segmentation(made.rejecting(subject, 1)) is None
    assert write_segmentation(made.ct_subject(made.volume_of(SHAPE), [])) is None


def test_more_lesions_than_a_byte_counts() -> None:
    shape = (4, 20, 20)
    masks = []
    for number in range(300):
        cells = np.zeros(shape, bool)
        cells[number % 3, number // 20, number % 20] = True
        masks.append((cells, None))
    subject = made.ct_subject(made.volume_of(shape), masks)
    read = rebuild(write_segmentation(subject), subject)
    assert all((read[number + 1] == cells).all() for number, (cells, _) in enumerate(masks))


def test_colours_of_neighbours_differ() -> None:
    subject = made.ct_subject(made.volume_of((1, 8, 8)), [(_one(number), None) for number in range(8)])
    file = pydicom.dcmread(io.BytesIO(write_segmentation(subject)))
    colours = np.array([item.RecommendedDisplayCIELabValue for item in file.SegmentSequence]) / 65535 * (100, 255, 255)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 1000 * np.eye(8)
    assert distances.min() > 20  # just noticeable is 2.3


def _one(number: int) -> NDArray[np.bool_]:
    cells = np.zeros((1, 8, 8), bool)
    cells[0, number, number] = True
    return cells


def test_written_again_it_is_the_same_file() -> None:
    subject = made.ct_subject(made.volume_of(SHAPE), [(APART, None), (BESIDE, None)])
    first = write_segmentation(subject)
    assert write_segmentation(subject) == first
    file = pydicom.dcmread(io.BytesIO(first))
    assert (file.ContentDate, file.ContentTime, file.SeriesDate) == ("20261002", "100000", "20261002")
    assert str(file.SOPInstanceUID) == subject.revision.instance_uid("seg")
    assert str(file.SeriesInstanceUID) == subject.revision.series_uid("seg")


@pytest.mark.parametrize(
    "values",
    [
        {"PatientName": "Ж^Анна=山田^花子", "PatientID": "x" * 200, "PatientSex": "X"},
        {"PatientName": "no carets; <b>&amp;|", "StudyID": "y" * 40, "AccessionNumber": "\\\\.."},
        {"FrameOfReferenceUID": None, "SliceThickness": None},
        {"ImagePositionPatient": None},
        {"StudyInstanceUID": "1." + "2" * 62, "PatientBirthDate": "", "StudyTime": ""},
    ],
)
def test_hostile_and_missing_values_survive(values: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    volume = made.volume_of(SHAPE)
    headers = {
        made.slice_uid(i): made.header(made.slice_uid(i), **{"ImagePositionPatient": [-10, 5, 100 + 2.5 * i], **values})
        for i in range(SHAPE[0])
    }
    subject = made.ct_subject(volume, [(APART, None)], headers=headers)
    content = write_segmentation(subject)
    assert (rebuild(content, subject)[1] == APART).all()
    with untroubled():
        file = pydicom.dcmread(io.BytesIO(content))
        for keyword in ("PatientName", "PatientID", "StudyID", "StudyInstanceUID", "AccessionNumber"):
            assert str(file[keyword].value) == str(headers[made.slice_uid(6)][keyword].value)
    assert file.PatientSex in {"F", ""}
    heights = {float(position[2]) for _, _, position, _ in frames_of(content)}
    assert heights == {100 + 2.5 * index for index in np.flatnonzero(APART.any(axis=(1, 2)))}
    assert not [record for record in caplog.records if "Анна" in record.getMessage() or "carets" in record.getMessage()]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (FilmScale(kind=ScaleKind.DETECTOR, spacing_mm=(0.143, 0.15)), {"PixelSpacing": [0.143, 0.15]}),
        (FilmScale(kind=ScaleKind.NONE), {"PixelSpacingCalibrationDescription": "No pixel spacing"}),
    ],
)
def test_a_film_says_its_pixels_in_an_item_that_is_never_empty(scale: FilmScale, expected: dict[str, object]) -> None:
    """Orthanc drops an empty item of a sequence, and OHIF loses the whole page without this one."""
    subject = made.film_subject([[np.ones((30, 21), bool)]], scale=scale)
    (content,) = write_film_segmentations(subject).values()
    (measures,) = pydicom.dcmread(io.BytesIO(content)).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert {element.keyword: element.value for element in measures} == expected


def test_each_radiograph_that_shows_a_lesion_has_its_own_segmentation() -> None:
    one, two, three = (np.zeros((30, 21), bool) for _ in range(3))
    one[3:9, 2:7] = two[20:25, 5:9] = three[1:29:2, 20] = True
    subject = made.film_subject([[one, two], [], [three]])
    written = write_film_segmentations(subject)
    assert list(written) == ["seg.dcm", "seg_2.dcm"]
    assert write_segmentation(subject) is None
    films = [film.reference.sop_instance_uid for film in subject.findings.films]
    first, second = written.values()
    frames = frames_of(first)
    assert [(segment, uid) for segment, uid, _, _ in frames] == [(1, films[0]), (2, films[0])]
    assert (frames[0][3] == one).all()
    assert (frames[1][3] == two).all()
    ((segment, uid, _, pixels),) = frames_of(second)
    assert (segment, uid) == (1, films[2])
    assert (pixels == three).all()
    files = [pydicom.dcmread(io.BytesIO(content)) for content in (first, second)]
    assert [item.TrackingID for file in files for item in file.SegmentSequence] == ["L1", "L2", "L3"]
    assert all("FrameOfReferenceUID" not in file and _source(file).endswith("1.1.1") for file in files)
    assert len({str(file.SOPInstanceUID) for file in files}) == 2
    assert len({str(file.SeriesInstanceUID) for file in files}) == 2  # OHIF offers the first of a series
    assert write_film_segmentations(made.ct_subject(made.volume_of(SHAPE), [(APART, None)])) == {}


def _source(file: Dataset) -> str:
    return str(file.SourceImageSequence[0].ReferencedSOPClassUID)
