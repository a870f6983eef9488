"""What the header of a radiograph says reaches the report, and what cannot be measured is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

DX = "1.2.840.10008.5.1.4.1.1.1.1"
STUDY = "1.2.826.0.1.3680043.10.1"


def limb_values() -> np.ndarray:
    """12-bit values of a limb with a bone and a deposit, dense is high, shape (400, 300)."""
    i, j = np.mgrid[:400, :300].astype(float)
    soft = 900 * np.sqrt(np.clip(1 - ((j - 150) / 110) ** 2, 0, None))
    bone = 1200 * np.sqrt(np.clip(1 - ((j - 110) / 25) ** 2, 0, None))
    deposit = 500 * np.sqrt(np.clip(1 - ((i - 200) / 20) ** 2 - ((j - 205) / 20) ** 2, 0, None))
    noise = np.random.default_rng(1).normal(0, 8, i.shape)
    return np.clip(300 + soft + bone + deposit + noise, 0, 4095).astype(np.uint16)


def write_film(path: Path, **tags: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = DX, f"1.2.3.{path.name}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.77"
    ds.StudyDate, ds.Modality, ds.PresentationIntentType = "20260110", "DX", "FOR PRESENTATION"
    ds.PatientName, ds.PatientID = "Synthetic^Limb", "SYN1"
    ds.SeriesNumber, ds.InstanceNumber, ds.BodyPartExamined = 1, 1, "LEG"
    ds.ViewPosition, ds.ImageLaterality, ds.ImagerPixelSpacing = "AP", "L", ["0.3", "0.3"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = 400, 300
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = limb_values().tobytes()
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)
    return path


def reported(out: Path) -> dict[str, Any]:
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_the_header_of_a_film_reaches_the_report(run, tmp_path):
    write_film(tmp_path / "s" / "1", ViewPosition="AP")
    write_film(tmp_path / "s" / "2", ViewPosition="LL", InstanceNumber=2, PixelData=(limb_values() // 2).tobytes())
    assert run("analyze", tmp_path / "s", "--out", tmp_path / "r").returncode == 0
    report = reported(tmp_path / "r")
    films = report["technique"]["films"]
    assert [(film["view"], film["laterality"], film["body_part"]) for film in films] == [
        ("AP", "left", "LEG"),
        ("LL", "left", "LEG"),
    ]
    assert [(film["scale"], film["spacing_mm"]) for film in films] == [("detector", [0.3, 0.3])] * 2
    assert [(entry["code"], entry["image_count"]) for entry in report["series"]] == [("series.analysed", 2)]


def test_one_exposure_in_either_polarity_gives_the_same_lesions(run, tmp_path):
    write_film(tmp_path / "a" / "1")
    write_film(
        tmp_path / "b" / "1", PhotometricInterpretation="MONOCHROME1", PixelData=(4095 - limb_values()).tobytes()
    )
    lesions = []
    for name in ("a", "b"):
        assert run("analyze", tmp_path / name, "--out", tmp_path / f"r{name}").returncode == 0
        lesions.append(reported(tmp_path / f"r{name}")["lesions"])
    assert lesions[0]
    assert lesions[0] == lesions[1]


def test_films_beside_a_ct_are_listed_and_not_measured(run, write_study, tmp_path):
    folder = write_study(tmp_path / "s")
    write_film(folder / "9999")
    assert run("analyze", folder, "--out", tmp_path / "r").returncode == 0
    report = reported(tmp_path / "r")
    found = {(entry["modality"], entry["status"], entry["code"]) for entry in report["series"]}
    assert ("DX", "skipped", "series.radiograph_beside_ct") in found
    assert ("CT", "analysed", "series.analysed") in found
    assert report["technique"]["threshold_hu"] is not None


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"Modality": "MG"}, "series.mammogram"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "series.secondary_capture"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422"}, "pixel.colour"),
        ({"NumberOfFrames": 2}, "pixel.frames"),
        ({"RescaleSlope": "0"}, "calibration.film_rescale"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(run, tmp_path, tags, code):
    write_film(tmp_path / "s" / "1", **tags)
    done = run("analyze", tmp_path / "s", "--out", tmp_path / "r")
    assert done.returncode == 3
    assert code in done.stderr
    assert "Traceback" not in done.stderr
