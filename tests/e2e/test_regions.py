"""A study shows more than one part of the body: each is measured once, and what is not measured is named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

UID = "1.2.826.0.1.3680043.10.1"
FRAME, OTHER_FRAME = "1.2.826.0.1.3680043.10.8", "1.2.826.0.1.3680043.10.9"
CONTROL = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}
DERIVED = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series of a study made for a test.

    Parameters
    ----------
    number : int
        Series Number; its UID follows from it.
    deposits : tuple[int, ...]
        Slices, of the whole limb, at which a deposit of 12 mm lies.
    first, count, every : int
        Which slices of the whole limb it holds.
    x_mm, z_mm : float
        Where it lies.
    """

    number: int
    deposits: tuple[int, ...] = ()
    first: int = 0
    count: int = 30
    every: int = 1
    x_mm: float = 0.0
    z_mm: float = 0.0
    frame: str = FRAME
    leave_out: tuple[int, ...] = ()
    tags: Mapping[str, Any] = field(default_factory=dict)
    tags_of: Callable[[int], Mapping[str, Any]] = lambda _: {}


def _voxels(series: Series, limb: NDArray[np.int16]) -> NDArray[np.int16]:
    """HU of a limb as long as the series asks for, with its deposits; `limb` is a piece of it."""
    length = series.first + series.count * series.every
    hu = np.concatenate([limb] * (length // len(limb) + 1))
    i, j, k = np.ogrid[: len(hu), :128, :128]
    for slice_index in series.deposits:
        hu[np.sqrt((i - slice_index) ** 2 + (j - 84) ** 2 + (k - 64) ** 2) < 6.0] = 450
    return hu[series.first : length : series.every]


def _write(folder: Path, study: tuple[Series, ...], write_volume: Callable[..., Path], limb: NDArray[np.int16]) -> Path:
    for series in study:
        place = write_volume(folder / str(series.number), _voxels(series, limb), leave_out=series.leave_out)
        for path in sorted(place.iterdir()):
            index = int(path.name)
            image = pydicom.dcmread(path)
            image.SeriesInstanceUID = f"{UID}.{series.number}"
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{series.number}.{index + 1}"
            image.SeriesNumber = series.number
            image.FrameOfReferenceUID = series.frame
            image.SliceThickness = series.every
            z_mm = series.z_mm + series.first + index * series.every
            image.ImagePositionPatient = [-64.0 + series.x_mm, -64.0, z_mm]
            for name, value in {**series.tags, **series.tags_of(index)}.items():
                setattr(image, name, value)
            image.save_as(path)
    return folder


@pytest.fixture
def analyse(run, tmp_path: Path, write_volume, bare_limb) -> Callable[..., dict[str, Any]]:
    def report_of(*study: Series, formats: str = "json,text") -> dict[str, Any]:
        folder = _write(tmp_path / "in", study, write_volume, bare_limb)
        result = run("analyze", folder, "--out", tmp_path / "out", "--format", formats)
        assert result.returncode == 0, result.stderr
        return json.loads((tmp_path / "out" / UID / "report.json").read_text(encoding="utf-8"))

    return report_of


def _measured(report: dict[str, Any]) -> list[int]:
    return [entry["series_number"] for entry in report["series"] if entry["status"] == "analysed"]


def _searched(report: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(row["region"], row["status"], row["reason"]) for row in report["searched"]]


THIGH = {"BodyPartExamined": "THIGH"}
LEG = {"BodyPartExamined": "LEG"}
RIGHT, LEFT = LEG | {"Laterality": "R"}, LEG | {"Laterality": "L"}
VENOUS = THIGH | {"SeriesDescription": "venous phase", "ContrastBolusAgent": "iodine"}
ARTERIAL = THIGH | {"SeriesDescription": "arterial phase", "ContrastBolusAgent": "iodine"}


@pytest.mark.parametrize(
    ("study", "measured", "of_lesions"),
    [
        pytest.param(
            (Series(number=3, tags=THIGH), Series(number=4, deposits=(15,), z_mm=400.0, tags=LEG)), [3, 4], [4],
            id="two regions, one frame of reference",
        ),
        pytest.param(
            (Series(number=3, tags=THIGH), Series(number=4, deposits=(15,), frame=OTHER_FRAME, tags=LEG)), [3, 4], [4],
            id="two regions at the same table position, two frames of reference",
        ),
        pytest.param(
            (Series(number=3, x_mm=-100.0, tags=RIGHT), Series(number=4, deposits=(15,), x_mm=100.0, tags=LEFT)),
            [3, 4], [4],
            id="two legs side by side",
        ),
        pytest.param(
            (Series(number=3, tags=RIGHT), Series(number=4, deposits=(15,), frame=OTHER_FRAME, tags=LEFT)), [3, 4], [4],
            id="two legs, each in the middle of its field of view",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15,), tags=THIGH | {"SeriesDescription": "axial left"}),
                Series(number=4, deposits=(15,), frame=OTHER_FRAME, tags=THIGH | {"SeriesDescription": "axial right"}),
            ), [3, 4], [3, 4],
            id="sides named in the description alone",
        ),
        pytest.param(
            (
                Series(number=3, first=20, count=9, tags=THIGH | CONTROL),
                Series(number=4, deposits=(50,), count=60, tags=THIGH | DERIVED),
            ), [4], [4],
            id="nine original control slices beside the derived volume",
        ),
        pytest.param(
            (
                Series(number=3, first=20, count=9, tags=THIGH | CONTROL),
                Series(number=4, deposits=(50,), count=60, tags=THIGH | DERIVED),
                Series(number=5, count=300, z_mm=600.0, tags=LEG),
            ), [5, 4], [4],
            id="control slices of the shorter of two regions",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15, 90), count=110, tags=THIGH),
                Series(number=4, deposits=(90, 150), first=70, count=100, tags=LEG),
            ), [3, 4], [3, 3, 4],
            id="ranges that overlap: a lesion within the overlap once",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15, 110), count=110, tags=THIGH),
                Series(number=4, deposits=(110,), first=70, count=100, tags=LEG),
            ), [3, 4], [3, 4],
            id="ranges that overlap: a lesion cut by the end of one as the other shows it",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15, 120, 141), count=142, tags=THIGH),
                Series(number=4, deposits=(120, 141, 160), first=100, count=100, tags=LEG),
            ), [3, 4], [3, 4],
            id="one lesion of three foci, of which one is cut and one missing on the better series",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15,), tags=THIGH),
                Series(number=4, deposits=(15,), count=6, every=5, tags=THIGH),
            ), [3], [3],
            id="thin and thick reconstruction",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15,), tags=THIGH | {"ConvolutionKernel": "B70f"}),
                Series(number=4, deposits=(15,), tags=THIGH),
            ), [4], [4],
            id="bone and soft kernel",
        ),
        pytest.param(
            (Series(number=3, deposits=(15,), tags=ARTERIAL), Series(number=4, deposits=(15,), tags=VENOUS)), [4], [4],
            id="arterial and venous phase",
        ),
        pytest.param(
            (
                Series(number=3, deposits=(15,), tags=ARTERIAL),
                Series(number=4, deposits=(15,), frame=OTHER_FRAME, tags=VENOUS),
            ), [4], [4],
            id="arterial and venous phase, each with its own frame of reference",
        ),
        pytest.param(
            (
                Series(number=1, count=3, z_mm=500.0, tags={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
                Series(number=3, deposits=(15,), tags=THIGH),
            ), [3], [3],
            id="a localizer is never measured nor missed",
        ),
    ],
)  # fmt: skip
def test_each_part_of_the_body_is_measured_once(
    analyse, study: tuple[Series, ...], measured: list[int], of_lesions: list[int]
) -> None:
    report = analyse(*study)
    assert _measured(report) == measured
    numbers = {entry["series_instance_uid"]: entry["series_number"] for entry in report["series"]}
    assert sorted(numbers[lesion["series_instance_uid"]] for lesion in report["lesions"]) == of_lesions
    assert sorted(lesion["id"] for lesion in report["lesions"]) == [f"L{n}" for n in range(1, len(of_lesions) + 1)]
    assert not any(lesion["size"]["is_minimum"] for lesion in report["lesions"])
    assert {status for _, status, _ in _searched(report)} == {"searched"}
    assert not any("ot searched" in text for text in (*report["impression"], *report["limitations"]))


def test_lesions_are_named_by_side_and_region_of_their_series(analyse) -> None:
    report = analyse(
        Series(number=3, deposits=(15,), x_mm=-100.0, tags=THIGH | {"Laterality": "R"}),
        Series(number=4, deposits=(15,), x_mm=100.0, z_mm=50.0, tags=LEFT),
    )
    places = {(lesion["location"]["laterality"], lesion["location"]["region"]) for lesion in report["lesions"]}
    # Both limbs have one shaft: the image names the thigh, whatever the header calls a leg.
    assert places == {("right", "thigh"), ("left", "thigh")}
    assert [row["region"] for row in report["searched"]] == ["right thigh", "left leg"]


def test_a_refused_region_is_named_and_none_detected_is_said_of_the_searched_one_only(analyse) -> None:
    report = analyse(
        Series(number=3, tags=THIGH | {"Laterality": "R"}),
        Series(number=4, deposits=(15,), z_mm=400.0, leave_out=(10, 11), tags=LEFT),
    )
    assert _searched(report) == [
        ("right thigh", "searched", None),
        ("left leg", "not_searched", "geometry.missing_slice"),
    ]
    negative, missing = report["impression"]
    assert "130 HU in right thigh;" in negative
    assert missing == "Not searched for calcification: left leg (series 4, geometry.missing_slice)."
    assert any("left leg (series 4, geometry.missing_slice)" in text for text in report["limitations"])


def test_a_finding_does_not_hide_that_another_region_was_not_searched(analyse) -> None:
    report = analyse(
        Series(number=3, deposits=(15,), tags=THIGH),
        Series(number=4, z_mm=400.0, leave_out=(10, 11), tags=LEG),
    )
    assert report["impression"][-1] == "Not searched for calcification: leg (series 4, geometry.missing_slice)."


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}, id="renderings"),
        pytest.param({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "VMI"]}, id="spectral results"),
    ],
)
def test_a_refused_series_of_what_another_shows_is_not_missed(analyse, tags: Mapping[str, Any]) -> None:
    report = analyse(Series(number=3, tags=THIGH), Series(number=4, tags=THIGH | tags))
    assert (_measured(report), len(report["impression"])) == ([3], 1)
    assert _searched(report) == [("thigh", "searched", None)]


def test_a_series_of_which_only_a_part_is_read_says_so(analyse) -> None:
    def two_stacks(index: int) -> Mapping[str, Any]:
        return {"ConvolutionKernel": "B31f"} if index < 11 else {"ConvolutionKernel": "B30f"}

    report = analyse(Series(number=3, count=101, tags=THIGH, tags_of=two_stacks))
    assert _searched(report) == [("thigh", "searched", None)], "both stacks are measured"


def test_eleven_of_101_images_read_are_called_a_part(analyse) -> None:
    def damaged(index: int) -> Mapping[str, Any]:
        return {} if index < 11 else {"ConvolutionKernel": "B30f", "RescaleType": "US"}

    report = analyse(Series(number=3, count=101, tags=THIGH, tags_of=damaged))
    ((region, status, reason),) = _searched(report)
    assert (region, status) == ("thigh", "partly")
    assert reason is not None
    negative, missing = report["impression"]
    assert "in the searched part of thigh;" in negative
    told = f"part of thigh (only 11 of 101 images were read: series 3, {reason})"
    assert told in missing
    assert any(told in text for text in report["limitations"])


def test_objects_of_several_series_are_one_segmentation_a_series(run, analyse, tmp_path: Path) -> None:
    report = analyse(
        Series(number=3, deposits=(15,), x_mm=-100.0, tags=RIGHT),
        Series(number=4, deposits=(15,), x_mm=100.0, frame=OTHER_FRAME, tags=LEFT),
        formats="json,text,html,png,sr,seg,sc,sr-volumetric",
    )
    folder = tmp_path / "out" / UID
    frames = {pydicom.dcmread(folder / name).FrameOfReferenceUID for name in ("seg.dcm", "seg_2.dcm")}
    assert frames == {FRAME, OTHER_FRAME}
    assert report["images"] == ["images/overview.png", "images/overview_2.png"]
    assert (folder / "report.html").read_text(encoding="utf-8").count('<figure class="overview">') == 2
    volumetric = str(pydicom.dcmread(folder / "sr_seg.dcm"))
    uids = [pydicom.dcmread(folder / name).SOPInstanceUID for name in ("seg.dcm", "seg_2.dcm")]
    assert len(set(uids)) == 2
    assert all(uid in volumetric for uid in uids)
    before = {path.name: path.read_bytes() for path in folder.glob("*.dcm")}
    rendered = run("render", folder / "report.json")
    assert rendered.returncode == 0, rendered.stderr
    assert {path.name: path.read_bytes() for path in folder.glob("*.dcm")} == before


def test_objects_of_several_series_are_valid(analyse, need_tool, tmp_path: Path) -> None:
    dciodvfy = need_tool("dciodvfy")
    analyse(
        Series(number=3, deposits=(15,), x_mm=-100.0, tags=RIGHT),
        Series(number=4, deposits=(15,), x_mm=100.0, frame=OTHER_FRAME, tags=LEFT),
        formats="json,sr,seg,sc,sr-volumetric",
    )
    for path in sorted((tmp_path / "out" / UID).glob("*.dcm")):
        told = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False).stderr
        assert not [line for line in told.splitlines() if line.startswith("Error")], (path.name, told)
