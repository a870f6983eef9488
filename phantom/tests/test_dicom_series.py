"""What is written can be read back: same voxels, same geometry, in every transfer syntax."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from calcphantom import (
    KINDS,
    TRANSFER_SYNTAXES,
    LesionRecipe,
    PhantomRecipe,
    Region,
    ScanRecipe,
    Truth,
    add_arguments,
    make_phantom,
    run,
    write_study,
)
from calcphantom.film.samples import FILM_SAMPLES
from calcphantom.samples import SAMPLES, Sample, folder_hash

from calcreport.dicom import discover, rank_ct_series, read_ct
from calcreport.errors import UsageError
from calcreport.model.clinical import parse_clinical
from calcreport.model.image import Contrast, CtVolume
from calcreport.settings import ReadingSettings

SAMPLE_FOLDER = Path(__file__).parents[2] / "sample_dicoms"
RECIPE = PhantomRecipe(
    kind="round-trip",
    region=Region.CALF,
    seed=9,
    lesions=(LesionRecipe(pattern="P09", diameter_mm=10),),
    scan=ScanRecipe(pixel_mm=1.5, spacing_mm=6.0, tilt_deg=10.0, contrast=Contrast.VENOUS),
    length_mm=40.0,
)
REQUIRED = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("PatientName", "PatientID", "ImageType", "KVP", "ImageOrientationPatient", "ImagePositionPatient"),
    *("PixelSpacing", "RescaleType", "Rows", "Columns"),
)


@pytest.fixture(scope="module")
def study() -> tuple[CtVolume, Truth]:
    return make_phantom(RECIPE)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_voxels_survive_every_transfer_syntax(syntax: str, study: tuple[CtVolume, Truth], tmp_path: Path) -> None:
    volume, truth = study
    write_study(volume, truth, RECIPE, tmp_path / "study", transfer_syntax=syntax)
    settings = ReadingSettings()
    with discover([tmp_path / "study"], settings=settings) as found:
        series = rank_ct_series(found.studies[0]).candidates[0]
        read = read_ct(series, settings=settings)
    assert np.array_equal(read.volume.hu, volume.hu)
    assert np.allclose(read.volume.geometry.affine, volume.geometry.affine, atol=1e-5)
    assert read.volume.geometry.tilt_deg == pytest.approx(10.0, abs=0.01)
    assert read.acquisition.contrast is Contrast.VENOUS


def test_the_header_states_what_a_ct_image_must(study: tuple[CtVolume, Truth], tmp_path: Path) -> None:
    paths = write_study(*study, RECIPE, tmp_path)
    first = pydicom.dcmread(paths[0])
    for name in REQUIRED:
        assert first.get(name) not in (None, ""), name
    assert str(first.PatientName).startswith("PHANTOM^")
    assert first.PatientIdentityRemoved == "YES"
    uids = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in paths[:-1]}
    assert len(uids) == len(paths) - 1


def test_writing_twice_gives_the_same_bytes(study: tuple[CtVolume, Truth], tmp_path: Path) -> None:
    first = write_study(*study, RECIPE, tmp_path / "a", transfer_syntax="rle")
    again = write_study(*study, RECIPE, tmp_path / "b", transfer_syntax="rle")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]


def test_truth_is_written_with_units_and_recipe(study: tuple[CtVolume, Truth], tmp_path: Path) -> None:
    truth = json.loads(write_study(*study, RECIPE, tmp_path)[-1].read_text())
    assert truth["recipe"]["seed"] == 9
    assert truth["lesions"][0]["max_diameter_mm"] == pytest.approx(study[1].lesions[0].max_diameter_mm)


def _options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_writes_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "dystrophic",
        "--out",
        str(tmp_path / "x"),
        "--spacing",
        "6",
        "--pixel",
        "1.6",
        "--size",
        "9",
        "--dose",
        "2",
    )
    assert run(_options(*words)) == 0
    assert "1 lesion" in capsys.readouterr().out
    truth = json.loads((tmp_path / "x" / "truth.json").read_text())
    assert truth["recipe"]["scan"]["noise_hu"] == pytest.approx(12 / 2**0.5)
    assert truth["lesions"][0]["max_diameter_mm"] == pytest.approx(9, rel=0.2)


@pytest.mark.parametrize("words", [("unicorn",), ("negative", "--spacing", "0"), ("negative", "--tilt", "80")])
def test_a_senseless_option_is_a_usage_error(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(_options(*words, "--out", str(tmp_path / "x")))
    assert not (tmp_path / "x").exists()


def test_every_kind_says_what_it_is() -> None:
    assert all(kind.summary for kind in KINDS.values())
    assert len(KINDS) >= 25


def test_samples_are_those_of_the_manifest() -> None:
    manifest = tomllib.loads((SAMPLE_FOLDER / "MANIFEST.toml").read_text(encoding="utf-8"))
    assert [entry["folder"] for entry in manifest["study"]] == [sample.name for sample in (*SAMPLES, *FILM_SAMPLES)]
    for entry in manifest["study"]:
        assert folder_hash(SAMPLE_FOLDER / entry["folder"]) == entry["sha256"], entry["folder"]
    assert sum(entry["bytes"] for entry in manifest["study"]) < 25_000_000


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_clinical_data_of_the_samples_are_valid(sample: Sample) -> None:
    text = sample.clinical
    path = SAMPLE_FOLDER / f"{sample.name}.clinical.yaml"
    assert path.exists() == bool(text)
    if text:
        assert path.read_text(encoding="utf-8") == text
        parse_clinical(yaml.safe_load(text))


def test_a_sample_can_be_made_again() -> None:
    sample = next(s for s in SAMPLES if s.name == "sternocleidomastoid_neck")
    manifest = tomllib.loads((SAMPLE_FOLDER / "MANIFEST.toml").read_text(encoding="utf-8"))
    entry = next(e for e in manifest["study"] if e["folder"] == sample.name)
    _, truth = make_phantom(sample.recipe())
    for written, lesion in zip(entry["lesion"], truth.lesions, strict=True):
        assert lesion.max_diameter_mm == pytest.approx(written["max_diameter_mm"], abs=0.05)
        assert lesion.skin_distance_mm == pytest.approx(written["skin_distance_mm"], abs=0.05)
