"""Label maps and outlines hold the voxels of the report, in the place the report says."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

import calcreport
from calcreport.formats.masks import coco, nifti_files
from calcreport.model.report import Report
from calcreport.model.shape import unpack_mask

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def report() -> Report:
    (study,) = calcreport.analyze(ROOT / "sample_dicoms/myositis_calf")
    assert study.report is not None
    return study.report


def test_a_label_map_has_size_and_place_of_the_lesion(report: Report, tmp_path: Path) -> None:
    files = nifti_files(report)
    assert list(files) == ["lesions_1.nii.gz"]
    (tmp_path / "lesions.nii.gz").write_bytes(files["lesions_1.nii.gz"])
    image = sitk.ReadImage(str(tmp_path / "lesions.nii.gz"))
    lesion = report.lesions[0]
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(image)
    assert statistics.GetLabels() == (1,)
    assert statistics.GetCentroid(1) == pytest.approx(lesion.location.centroid_lps_mm, abs=1e-3)
    assert statistics.GetPhysicalSize(1) == pytest.approx(lesion.size.volume_mm3, rel=1e-4)
    assert files == nifti_files(report)


def test_labels_are_the_order_of_the_report_and_masses_are_apart(report: Report, tmp_path: Path) -> None:
    lesion = report.lesions[0]
    assert lesion.shape is not None
    drawn = lesion.model_copy(
        update={"id": "L2", "shape": lesion.shape.model_copy(update={"mineral": None, "contour": lesion.shape.mineral})}
    )
    files = nifti_files(report.model_copy(update={"lesions": (lesion, drawn)}))
    assert list(files) == ["lesions_1.nii.gz", "masses_1.nii.gz"]
    (tmp_path / "masses.nii.gz").write_bytes(files["masses_1.nii.gz"])
    assert np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "masses.nii.gz")))).tolist() == [0, 2]


def _decode(segmentation: dict) -> np.ndarray:
    rows, columns = segmentation["size"]
    values = np.arange(len(segmentation["counts"])) % 2
    return np.repeat(values, segmentation["counts"]).reshape((rows, columns), order="F").astype(bool)


def test_outlines_are_the_mask_slice_by_slice(report: Report) -> None:
    content = json.loads(coco(report))
    (lesion,) = report.lesions
    assert lesion.shape is not None
    assert lesion.shape.mineral is not None
    cells = unpack_mask(lesion.shape.mineral)
    assert sum(one["area"] for one in content["annotations"]) == cells.sum()
    images = {image["id"]: image for image in content["images"]}
    for one in content["annotations"]:
        plane = _decode(one["segmentation"])
        x, y, width, height = one["bbox"]
        assert plane.shape == (images[one["image_id"]]["height"], images[one["image_id"]]["width"])
        assert plane.sum() == plane[y : y + height, x : x + width].sum() == one["area"]
        assert plane[y].any()
        assert plane[:, x + width - 1].any()
        slice_index = images[one["image_id"]]["slice_index"]
        assert one["area"] == cells[slice_index - lesion.shape.mineral.offset[0]].sum()
    assert content["categories"] == [{"id": 1, "name": lesion.pattern.id, "label": lesion.pattern.label}]


def test_a_report_without_lesions_has_an_empty_map_and_no_outlines(report: Report) -> None:
    empty = report.model_copy(update={"lesions": ()})
    assert list(nifti_files(empty)) == ["lesions_1.nii.gz"]
    assert json.loads(coco(empty))["annotations"] == []
