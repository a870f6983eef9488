"""The second report ties each lesion to its segment."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from calcreport.formats.dicom.segmentation import write_segmentation
from calcreport.formats.dicom.structured_report import write_structured_report, write_volumetric_report
from calcreport.formats.dicom.subject import Subject

NAMES = ["phleboliths_thigh", "dermatomyositis_thighs", "myositis_calf"]


def groups(content: bytes) -> list[hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    return hd.sr.srread(io.BytesIO(content)).content.get_volumetric_roi_measurement_groups()


@pytest.mark.parametrize("name", NAMES)
def test_each_lesion_names_its_segment(sample: Callable[[str], Subject], name: str) -> None:
    subject = sample(name)
    segmentation = write_segmentation(subject)
    stored = pydicom.dcmread(io.BytesIO(segmentation), stop_before_pixels=True)
    tracked = {item.SegmentNumber: (item.TrackingUID, item.TrackingID) for item in stored.SegmentSequence}
    content = write_volumetric_report(subject, segmentation)
    assert content == write_volumetric_report(subject, segmentation)
    found = groups(content)
    assert len(found) == len(subject.report.lesions)
    for group, lesion in zip(found, subject.report.lesions, strict=True):
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == stored.SOPInstanceUID
        (number,) = segment.referenced_segment_numbers
        assert tracked[number] == (group.tracking_uid, group.tracking_identifier) == (lesion.tracking_uid, lesion.id)
        sizes = {item.name.value: item.value for item in group.get_measurements()}
        assert sizes["L0JK"] == lesion.size.max_diameter_mm


def test_it_says_the_same_numbers_as_the_first_report(sample: Callable[[str], Subject]) -> None:
    subject = sample("myositis_calf")
    first = hd.sr.srread(io.BytesIO(write_structured_report(subject)))
    second = hd.sr.srread(io.BytesIO(write_volumetric_report(subject, write_segmentation(subject))))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    one, other = (
        [(item.name, item.value) for item in group.get_measurements()]
        for group in (
            first.content.get_planar_roi_measurement_groups()[0],
            second.content.get_volumetric_roi_measurement_groups()[0],
        )
    )
    assert one == other


def test_a_mass_has_its_own_segment_and_numbers(outlined: Subject) -> None:
    found = groups(write_volumetric_report(outlined, write_segmentation(outlined)))
    (lesion,) = outlined.report.lesions
    assert [group.finding_type.value for group in found] == ["129748009", "4147007"]
    assert found[1].tracking_uid != lesion.tracking_uid
    sizes = {item.name.value: item.value for item in found[1].get_measurements()}
    assert sizes["MASSDIAM"] == lesion.mass.max_diameter_mm
    assert "L0JK" not in sizes


def test_a_segmentation_of_another_study_is_refused(sample: Callable[[str], Subject]) -> None:
    other = write_segmentation(sample("phleboliths_thigh"))
    with pytest.raises(ValueError, match="not one of this report"):
        write_volumetric_report(sample("myositis_calf"), other)


def test_it_lies_in_the_series_of_the_reports(sample: Callable[[str], Subject], tmp_path: Path, dcentvfy) -> None:
    subject = sample("myositis_calf")
    segmentation = write_segmentation(subject)
    files = {"sr": write_structured_report(subject), "seg": segmentation,
             "volumetric": write_volumetric_report(subject, segmentation)}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert dcentvfy(*(tmp_path / name for name in files)).errors == []
