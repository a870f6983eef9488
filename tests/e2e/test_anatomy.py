"""Masks of another program as hints, through the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

UID = "1.2.826.0.1.3680043.10.1"
SHAPE = (30, 128, 128)
REAL = Path(os.environ.get("CALCREPORT_REAL_TORSO", "")) / "totalsegmentator_examples"
NAMES = {"femur_left": 1, "iliac_artery_left": 2, "gluteus_maximus_left": 3}


def places() -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Bone, deposit and muscle of the limb of `conftest`."""
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    bone = np.broadcast_to(np.hypot(j - 52, k - 64) < 10, SHAPE)
    deposit = (i - 15) ** 2 + (j - 84) ** 2 + (k - 64) ** 2 < 8**2
    muscle = np.broadcast_to(np.hypot(j - 64, k - 64) < 40, SHAPE)
    return bone, deposit, muscle


def labels(around_deposit: int = 0, *, bone: int = 1, shift: int = 0) -> NDArray[np.uint8]:
    """Label map: the bone, and another label where the deposit lies."""
    inside_bone, deposit, _ = places()
    made = np.zeros(SHAPE, dtype=np.uint8)
    made[inside_bone] = bone
    made[deposit & ~inside_bone] = around_deposit
    return np.roll(made, shift, axis=1)


def save(
    path: Path,
    made: NDArray[np.uint8],
    names: dict[str, int] | None,
    *,
    origin: tuple[float, ...] = (-64.0, -64.0, 0.0),
) -> Path:
    """NIfTI as TotalSegmentator writes it: names in an extension of the header."""
    image = SimpleITK.GetImageFromArray(made)
    image.SetOrigin(origin)
    plain = path.with_suffix(".plain.nii")
    SimpleITK.WriteImage(image, str(plain))
    content = bytearray(plain.read_bytes())
    plain.unlink()
    if names is not None:
        rows = "".join(
            f'<Label Key="{key}" Red="0.1" Alpha="1"><![CDATA[{name}]]></Label>\n' for name, key in names.items()
        )
        text = f"<CaretExtension><LabelTable>\n{rows}</LabelTable></CaretExtension>".encode()
        text += bytes(-(len(text) + 8) % 16)
        size = len(text) + 8
        content[108:112] = np.float32(352 + size).tobytes()
        extension = b"\1\0\0\0" + np.int32(size).tobytes() + np.int32(0).tobytes() + text
        content[348:352] = extension
    path.write_bytes(bytes(content))
    return path


def analyse(run, study: Path, tmp_path: Path, *words: object, **how: object) -> dict:
    done = run("analyze", study, "--out", tmp_path / "out", "--format", "json,text,html,sr", "--quiet", *words, **how)
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "out" / UID / "report.json").read_text())


@pytest.mark.parametrize(
    ("around", "incidental"),
    [
        (0, []),  # no label makes nothing a lesion, and hides nothing
        (NAMES["iliac_artery_left"], [("vascular", "left iliac artery", 1)]),
        (NAMES["gluteus_maximus_left"], []),  # in muscle a deposit is a lesion
    ],
)
def test_a_label_names_what_a_deposit_belongs_to(
    run, limb: Path, tmp_path: Path, around: int, incidental: list[tuple[str, str, int]]
) -> None:
    mask = save(tmp_path / "labels.nii", labels(around), NAMES)
    report = analyse(run, limb, tmp_path, "--anatomy", mask)
    assert len(report["lesions"]) == 1 - len(incidental)
    assert [(row["kind"], row["structure"], row["count"]) for row in report["incidental"]] == incidental
    text = (tmp_path / "out" / UID / "report.txt").read_text()
    page = (tmp_path / "out" / UID / "report.html").read_text()
    sr = (tmp_path / "out" / UID / "sr.dcm").read_bytes()
    for told in (" ".join(text.split()), page, sr.decode("latin-1")):
        assert ("Incidental: vascular calcification (left iliac artery 1; largest 1.3 cm)" in told) == bool(incidental)
    if incidental:
        (row,) = report["incidental"]
        assert row["largest_mm"] == pytest.approx(12.5, abs=1.5)
        assert (row["first_image"], row["last_image"]) == (11, 21)
        assert row["bbox_lps_mm"][0] == pytest.approx([-5.5, 14.5, 9.5], abs=1.1)
        assert report["concern"] == "none"


def test_mineral_in_a_bone_label_is_skeleton(run, limb: Path, tmp_path: Path) -> None:
    report = analyse(
        run, limb, tmp_path, "--anatomy", save(tmp_path / "labels.nii", labels(NAMES["femur_left"]), NAMES)
    )
    assert report["lesions"] == []
    assert "left femur by the anatomy masks" in [row["detail"] for row in report["excluded"]]


def test_a_contour_stands_above_a_label(run, limb: Path, tmp_path: Path) -> None:
    anatomy = save(tmp_path / "labels.nii", labels(NAMES["iliac_artery_left"]), NAMES)
    drawn = save(tmp_path / "lesion.nii", places()[1].astype(np.uint8), None)
    report = analyse(run, limb, tmp_path, "--anatomy", anatomy, "--lesion-mask", drawn)
    assert [lesion["mass"]["source"] for lesion in report["lesions"]] == ["contour"]
    assert report["lesions"][0]["size"]["max_diameter_mm"] > 10
    assert report["incidental"] == []


def test_a_folder_of_masks_is_named_by_its_files(run, limb: Path, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    bone, deposit, _ = places()
    save(folder / "femur_left.nii", bone.astype(np.uint8), None)
    save(folder / "urinary_bladder.nii", (deposit & ~bone).astype(np.uint8), None)
    (folder / "ct.nii.gz").write_bytes(b"not read")
    report = analyse(run, limb, tmp_path, "--anatomy", folder)
    assert [(row["kind"], row["structure"]) for row in report["incidental"]] == [("stone", "urinary bladder")]


@pytest.mark.parametrize(
    ("bone", "muscle", "around", "version"),
    [(75, 80, 65, "v2"), (88, 94, 51, "v1")],  # femur, gluteus maximus and iliac artery, left, of either version
)
def test_labels_without_names_are_of_the_version_whose_bones_fit(  # noqa: PLR0917 - fixtures and a table
    run, limb: Path, tmp_path: Path, bone: int, muscle: int, around: int, version: str
) -> None:
    made = labels(around, bone=bone)
    made[places()[2] & (made == 0)] = muscle
    report = analyse(run, limb, tmp_path, "--anatomy", save(tmp_path / "l.nii", made, None))
    assert [row["structure"] for row in report["incidental"]] == ["left iliac artery"]
    assert f"read as those of TotalSegmentator {version}" in " ".join(report["limitations"])


@pytest.mark.parametrize(
    ("made", "names", "code"),
    [
        (labels(2, shift=25), NAMES, "anatomy.other_scan"),
        (labels(2), {"a": 1, "b": 2}, "anatomy.no_names"),
        (labels(2, bone=200), None, "anatomy.no_names"),
        (labels(0, bone=75), None, "anatomy.no_names"),  # a femur or a rib
        (labels(0, bone=0), NAMES, "anatomy.empty"),
        (labels(3, bone=0, shift=44), NAMES, "anatomy.other_scan"),  # a muscle in air
    ],
)
def test_masks_that_do_not_fit_are_refused(
    run, limb: Path, tmp_path: Path, made: NDArray[np.uint8], names: dict[str, int] | None, code: str
) -> None:
    mask = save(tmp_path / "labels.nii", made, names)
    done = run("analyze", limb, "--out", tmp_path / "out", "--anatomy", mask)
    assert done.returncode == 3
    assert f"[{code}]" in done.stderr
    assert "lesion mask" not in done.stderr


def test_masks_of_another_place_are_refused(run, limb: Path, tmp_path: Path) -> None:
    mask = save(tmp_path / "labels.nii", labels(2), NAMES, origin=(-64.0, -64.0, 900.0))
    done = run("analyze", limb, "--out", tmp_path / "out", "--anatomy", mask)
    assert done.returncode == 3
    assert "[anatomy.outside_volume]" in done.stderr


@pytest.mark.parametrize("option", ["--anatomy", "--lesion-mask"])
def test_masks_fit_one_study(run, write_study, tmp_path: Path, option: str) -> None:
    for number in (1, 2):
        write_study(tmp_path / "in" / str(number), uid=f"{UID}{number}")
    mask = save(tmp_path / "labels.nii", labels(2), NAMES)
    done = run("analyze", tmp_path / "in", "--out", tmp_path / "out", option, mask)
    assert done.returncode == 2
    assert "usage.mask_for_many" in done.stderr
    assert option in done.stderr


FAKE = """#!{python}
import os, shutil, sys
source, made = sys.argv[sys.argv.index("-i") + 1], sys.argv[sys.argv.index("-o") + 1]
assert "--ml" in sys.argv and source.endswith(".nii.gz") and os.environ["HTTPS_PROXY"] == "http://127.0.0.1:9"
assert os.stat(os.path.dirname(source)).st_mode & 0o077 == 0
{act}
"""


@pytest.fixture
def segmentator(tmp_path: Path):
    """Put a program of that name on the path, with a folder of weights."""

    def make(act: str, *, weights: bool = True) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "TotalSegmentator"
        program.write_text(FAKE.format(python=sys.executable, act=act))
        program.chmod(0o755)
        if weights:
            (tmp_path / "weights" / "Dataset291_TotalSegmentator_part1_organs_1559subj").mkdir(parents=True)
        (tmp_path / "temp").mkdir()
        return {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "TOTALSEG_WEIGHTS_PATH": str(tmp_path / "weights"),
            "TMPDIR": str(tmp_path / "temp"),
        }

    return make


def test_totalsegmentator_is_run_where_it_is_installed(run, limb: Path, tmp_path: Path, segmentator) -> None:
    mask = save(tmp_path / "labels.nii", labels(NAMES["iliac_artery_left"]), NAMES)
    environment = segmentator(f"shutil.copy({str(mask)!r}, made)")
    report = analyse(run, limb, tmp_path, "--anatomy", "run", env=environment)
    assert [row["structure"] for row in report["incidental"]] == ["left iliac artery"]
    assert list((tmp_path / "temp").iterdir()) == []


@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        (None, 2, "usage.no_totalsegmentator"),
        ("no weights", 2, "usage.no_weights"),
        ("sys.exit(3)", 3, "anatomy.run_failed"),
        ("sys.exit(0)", 3, "anatomy.run_failed"),
    ],
)
def test_what_totalsegmentator_lacks_is_named(  # noqa: PLR0917 - fixtures and a table
    run, limb: Path, tmp_path: Path, segmentator, act: str | None, status: int, code: str
) -> None:
    environment = segmentator(act or "", weights=act != "no weights") | ({} if act else {"PATH": "/nowhere"})
    done = run("analyze", limb, "--out", tmp_path / "out", "--anatomy", "run", env=environment)
    assert done.returncode == status
    assert code in done.stderr


@pytest.mark.skipif(not REAL.is_dir(), reason="CALCREPORT_REAL_TORSO names no folder with totalsegmentator_examples")
def test_real_masks_take_ribs_and_plaques_out_of_the_lesions(run, tmp_path: Path) -> None:
    counts = {}
    for words in ((), ("--anatomy", REAL / "example_seg_dicom.nii.gz")):
        out = tmp_path / str(len(words))
        done = run("analyze", REAL / "example_ct_dicom", "--out", out, "--format", "json", *words)
        assert done.returncode == 0, done.stderr
        (path,) = out.glob("*/report.json")
        counts[bool(words)] = json.loads(path.read_text())
    assert len(counts[True]["lesions"]) < len(counts[False]["lesions"]) / 2
    assert "aorta" in {row["structure"] for row in counts[True]["incidental"]}
    assert any("rib" in row["detail"] for row in counts[True]["excluded"])


BROAD = {"PixelSpacing": [2.0, 2.0]}
"""A bone of 4 cm across, a section the image names no shaft by."""


@pytest.mark.parametrize(
    ("tags", "clinical", "region", "source"),
    [
        (BROAD, None, None, None),
        (BROAD | {"BodyPartExamined": "THIGH"}, None, "thigh", "header"),
        (BROAD | {"BodyPartExamined": "THIGH"}, "site: {region: calf}", "calf", "clinician"),
        (BROAD, "site: {region: calf}", "calf", "clinician"),
        ({}, None, "thigh", "image"),
        ({"BodyPartExamined": "CALF"}, None, "thigh", "image"),
        ({}, "site: {region: calf}", "thigh", "image"),
        ({}, "site: {region: thigh}", "thigh", "clinician"),
    ],
)
def test_the_report_says_who_named_the_region(  # noqa: PLR0917 - fixtures and a table
    run, write_study, tmp_path: Path, tags: dict, clinical: str | None, region: str | None, source: str | None
) -> None:
    words: tuple[object, ...] = ()
    if clinical:
        (tmp_path / "clinical.yaml").write_text(clinical)
        words = ("--clinical", tmp_path / "clinical.yaml")
    report = analyse(run, write_study(tmp_path / "in", tags=tags), tmp_path, *words)
    (lesion,) = report["lesions"]
    assert (lesion["location"]["region"], lesion["location"]["region_source"]) == (region, source)
    assert lesion["location"]["laterality_source"] is None
