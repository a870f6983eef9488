"""Studies of radiographs end to end: all views in one report, films beside CT, films that are refused, no scale."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from calcreport.model.report import Report

STUDY = "1.2.826.0.1.3680043.10.44"
FOCUS = (260.0, 130.0)
FOCUS_PX = 34.0
SPACING_MM = 0.2
SHAPE = (600, 480)


def limb_film(*, focus: bool = True, seed: int = 3) -> NDArray[np.uint16]:
    """A limb with one bone seen from the front, logarithm of exposure, dense is high; a dense ball in soft tissue."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    across = (columns - SHAPE[1] / 2) * SPACING_MM
    path_mm = 2 * np.sqrt(np.maximum(0.0, 40.0**2 - across**2)) + 0 * rows
    bone_mm = 2 * np.sqrt(np.maximum(0.0, 11.0**2 - (across - 8.0) ** 2)) + 0 * rows
    grey = 18.0 * path_mm + 45.0 * bone_mm
    if focus:
        apart = np.hypot(rows - FOCUS[0], columns - FOCUS[1])
        grey += 45.0 * 2 * SPACING_MM * np.sqrt(np.maximum(0.0, (FOCUS_PX / 2) ** 2 - apart**2))
    grey += np.random.default_rng(seed).normal(0.0, 8.0, SHAPE)
    return np.clip(grey + 100.0, 0, 4095).astype(np.uint16)


def write_film(
    folder: Path, pixels: NDArray[np.uint16], *, number: int = 1, uid: str = STUDY, tags: dict[str, Any] | None = None
) -> Path:
    """Write one film as DX; a tag that is given as None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = f"{uid}.7.{number}"
    dataset = Dataset()
    dataset.file_meta = meta
    values = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": f"{uid}.7.{number}",
        "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.5.{number}",
        "Modality": "DX",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PresentationIntentType": "FOR PRESENTATION",
        "StudyDate": "20260110",
        "PatientName": "Synthetic^Limb",
        "PatientID": "SYN1",
        "SeriesNumber": number,
        "InstanceNumber": 1,
        "KVP": 55,
        "BodyPartExamined": "LEG",
        "ViewPosition": "AP",
        "ImageLaterality": "R",
        "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": [SPACING_MM, SPACING_MM],
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": -1,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "RescaleType": "US",
        "PresentationLUTShape": "IDENTITY",
        "WindowCenter": 2000,
        "WindowWidth": 3600,
        "PixelData": pixels.astype("<u2").tobytes(),
    } | (tags or {})
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.save_as(folder / f"film{number}", enforce_file_format=True)
    return folder


@pytest.fixture
def analyse(run, tmp_path: Path) -> Callable[..., tuple[Report, Path]]:
    """Analyse a folder: the report, and the folder of the study."""

    def start(study: Path, *more: object) -> tuple[Report, Path]:
        result = run("analyze", study, "--out", tmp_path / "out", *more)
        assert result.returncode == 0, result.stderr
        (path,) = (tmp_path / "out").glob("*/report.json")
        return Report.model_validate_json(path.read_text(encoding="utf-8")), path.parent

    return start


def words_of(folder: Path) -> str:
    return " ".join((folder / "report.txt").read_text(encoding="ascii").split())


def test_every_view_and_side_comes_into_one_report_with_its_picture(analyse, tmp_path: Path) -> None:
    study = write_film(tmp_path / "in", limb_film())
    write_film(study, limb_film(focus=False, seed=4), number=2, tags={"ViewPosition": "LL"})
    write_film(study, limb_film(focus=False, seed=5), number=3, tags={"ImageLaterality": "L"})
    report, folder = analyse(study)
    assert report.study.modality == "DX"
    assert report.technique is not None
    assert [film.view for film in report.technique.films] == ["AP", "LL", "AP"]
    assert [film.laterality for film in report.technique.films] == ["right", "right", "left"]
    assert {entry.code for entry in report.series} == {"series.analysed"}
    words = words_of(folder)
    assert "AP and left lateral radiographs of the right leg; AP radiograph of the left leg" in words
    assert words.count("uncalibrated") == 1
    for number in (1, 2, 3):
        with Image.open(folder / "images" / f"film_{number}.png") as picture:
            assert picture.width == SHAPE[1]
            assert picture.height > SHAPE[0]
    summary = json.loads((folder.parent / "summary.json").read_text(encoding="utf-8"))
    assert summary["studies"][0]["counts"]["images"] == 3


def test_the_focus_is_found_where_it_is_and_nothing_is_claimed_for_certain(analyse, tmp_path: Path) -> None:
    report, folder = analyse(write_film(tmp_path / "in", limb_film()))
    lesion = min(report.lesions, key=lambda one: abs(one.location.films[0].centroid_px[0] - FOCUS[0]))
    (place,) = lesion.location.films
    assert place.centroid_px == pytest.approx(FOCUS, abs=4)
    assert lesion.size.max_diameter_mm == pytest.approx(FOCUS_PX * SPACING_MM, abs=1.2)
    assert lesion.size.projected
    assert lesion.size.plane == "detector"
    assert lesion.size.volume_mm3 is None
    assert lesion.density.mean_hu is None
    assert lesion.depth.class_ == "cannot_determine"
    assert lesion.depth.skin_distance_mm is None
    assert (lesion.flags.size.state, lesion.flags.depth.state) == ("cannot_determine", "cannot_determine")
    assert report.technique is not None
    assert report.technique.threshold_hu is None
    assert not re.search(r"\bHU\b", words_of(folder))
    assert (folder / "images" / f"{lesion.id}.png").is_file()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 1 + 2 * len(report.lesions)  # the film; of each lesion one large, one small


def test_without_spacing_there_is_no_millimetre(analyse, tmp_path: Path) -> None:
    report, folder = analyse(write_film(tmp_path / "in", limb_film(), tags={"ImagerPixelSpacing": None}))
    assert report.lesions
    for lesion in report.lesions:
        lengths = lesion.size.model_dump(
            exclude={"projected", "is_minimum", "max_diameter_px", "perpendicular_px", "plane"}
        )
        assert set(lengths.values()) == {None}
        assert lesion.size.max_diameter_px is not None
        assert lesion.flags.size.state == "cannot_determine"
    assert not re.search(r"\d ?(mm|cm)\b", words_of(folder).replace("ize >5 cm", ""))


def test_beside_ct_the_films_are_counted_and_not_analysed(analyse, write_study, tmp_path: Path) -> None:
    uid = "1.2.826.0.1.3680043.10.45"
    study = write_study(tmp_path / "in", uid=uid)
    for number in (1, 2):
        write_film(study, limb_film(seed=number), number=number, uid=uid)
    report, folder = analyse(study)
    assert report.technique is not None
    assert report.technique.threshold_hu is not None
    assert not report.technique.films
    codes = [entry.code for entry in report.series]
    assert codes.count("series.radiograph_beside_ct") == 2
    assert "2 radiographs of this study were not analysed." in report.limitations
    assert "radiographs of this study were not analysed" in words_of(folder)


def test_films_are_measured_where_the_ct_cannot_be(analyse, write_study, tmp_path: Path) -> None:
    uid = "1.2.826.0.1.3680043.10.46"
    study = write_study(tmp_path / "in", uid=uid, leave_out=(12,))
    write_film(study, limb_film(), uid=uid)
    report, _ = analyse(study)
    assert {entry.status for entry in report.series} == {"analysed", "refused"}
    assert {entry.modality for entry in report.series if entry.status == "refused"} == {"CT"}
    assert report.technique is not None
    assert len(report.technique.films) == 1


def test_a_film_that_is_refused_is_listed_and_the_others_go_on(analyse, tmp_path: Path) -> None:
    study = write_film(tmp_path / "in", limb_film())
    write_film(study, np.full(SHAPE, 700, dtype=np.uint16), number=2, tags={"ViewPosition": "LL"})
    report, folder = analyse(study)
    assert [(entry.status, entry.code) for entry in report.series] == [
        ("analysed", "series.analysed"),
        ("refused", "pixel.film_flat"),
    ]
    assert "AP radiograph of the right leg" in words_of(folder)


def test_a_study_of_refused_films_is_refused_for_the_first_reason(run, tmp_path: Path) -> None:
    study = write_film(tmp_path / "in", np.full(SHAPE, 700, dtype=np.uint16))
    result = run("analyze", study, "--out", tmp_path / "out")
    assert result.returncode == 3
    assert "[pixel.film_flat]" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("tags", [{}, {"PresentationLUTShape": "INVERSE", "PixelIntensityRelationshipSign": 1}])
def test_a_film_of_the_wrong_polarity_is_read_by_its_background(analyse, tmp_path: Path, tags: dict[str, Any]) -> None:
    right, _ = analyse(write_film(tmp_path / "right", limb_film()))
    wrong, folder = analyse(
        write_film(tmp_path / "wrong", limb_film(), tags={"PhotometricInterpretation": "MONOCHROME1"} | tags)
    )
    (is_long,), (was_long,) = ([lesion.size.max_diameter_mm for lesion in one.lesions] for one in (wrong, right))
    assert is_long == pytest.approx(was_long, rel=1e-4)
    assert any("Photometric Interpretation contradicts the picture" in limit for limit in wrong.limitations)
    assert not any("Photometric" in limit for limit in right.limitations)
    with Image.open(folder / "images" / "film_1.png") as picture:  # bone is white, air is black
        grey = np.asarray(picture.convert("L"))
        assert grey[300, 280] > grey[300, 20] + 100


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({}, 0),
        ({"PresentationLUTShape": "INVERSE"}, 3),
        ({"PhotometricInterpretation": "MONOCHROME1"}, 3),
    ],
)
def test_a_contradictory_film_without_background_is_refused(run, tmp_path: Path, tags: dict[str, Any], status) -> None:
    result = run("analyze", write_film(tmp_path / "in", limb_film()[:, 120:360], tags=tags), "--out", tmp_path / "out")
    assert result.returncode == status, result.stderr
    assert ("[calibration.film_polarity]" in result.stderr) == bool(status)


@pytest.mark.parametrize("option", ["--lesion-mask", "--anatomy"])
def test_a_mask_fits_no_radiograph(run, tmp_path: Path, option: str) -> None:
    study = write_film(tmp_path / "in", limb_film())
    mask = tmp_path / "mask.nrrd"
    mask.write_bytes(b"NRRD0004\n")
    result = run("analyze", study, "--out", tmp_path / "out", option, mask)
    assert result.returncode == 2
    assert f"[usage.mask_for_radiographs]: what is given with {option} is laid into CT" in result.stderr


def test_a_negative_film_is_no_normal_film(analyse, tmp_path: Path) -> None:
    report, folder = analyse(write_film(tmp_path / "in", limb_film(focus=False)))
    assert report.lesions == ()
    assert report.concern in {"none", "indeterminate"}
    assert report.impression[0].startswith("No soft-tissue calcification identified on this radiograph")
    assert "without mineral are not detected" in words_of(folder)


@pytest.mark.parametrize("part", ["HAND", "FOOT", "HIP", "SHOULDER"])
def test_beside_many_bones_nothing_is_called_absent(part: str, run, tmp_path: Path) -> None:
    """Most deposits there are not told from bone: a film without findings must not read as a normal one."""
    study = write_film(tmp_path / "in", limb_film(focus=False), tags={"BodyPartExamined": part})
    result = run("analyze", study, "--out", tmp_path / "out")
    assert result.returncode == 3
    assert "[series.not_searchable]" in result.stderr
    assert result.stdout == ""


def test_a_finding_beside_many_bones_stands_and_the_part_counts_as_searched_in_part(analyse, tmp_path: Path) -> None:
    study = write_film(tmp_path / "in", limb_film(), tags={"BodyPartExamined": "HAND"})
    write_film(study, limb_film(focus=False, seed=4), number=2)
    report, _folder = analyse(study)
    assert len(report.lesions) == 1
    rows = {row.region: (row.status, row.reason) for row in report.searched}
    assert rows == {"right hand": ("partly", "series.not_searchable"), "right leg": ("searched", None)}
    assert any("clear of bone and each other" in sentence for sentence in report.limitations)


def test_an_earlier_ct_is_not_compared_with_a_film(run, write_study, tmp_path: Path) -> None:
    same = {"StudyDate": "20250110", "BodyPartExamined": "LEG", "Laterality": "R", "PatientBirthDate": "19700101"}
    write_study(tmp_path / "ct", deposit_mm=4.0, uid="1.2.826.0.1.3680043.10.47", tags=same)
    assert run("analyze", tmp_path / "ct", "--out", tmp_path / "before").returncode == 0
    (prior,) = (tmp_path / "before").glob("*/report.json")
    study = write_film(tmp_path / "in", limb_film(), tags={"PatientBirthDate": "19700101"})
    result = run("analyze", study, "--out", tmp_path / "out", "--prior", prior)
    assert result.returncode == 0, result.stderr
    (path,) = (tmp_path / "out").glob("*/report.json")
    report = Report.model_validate_json(path.read_text(encoding="utf-8"))
    assert report.lesions
    assert all(lesion.flags.growth.state in {"cannot_determine", "not_provided"} for lesion in report.lesions)
    assert all(lesion.growth is None or lesion.growth.change_mm is None for lesion in report.lesions)
