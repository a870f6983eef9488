"""Whatever is wrong: a clear message with its code, the right exit code, no traceback, nothing half-written."""

import json
import os
import re
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import MRImageStorage, PositronEmissionTomographyImageStorage


def _codes(stderr: str) -> list[str]:
    return re.findall(r"\[([a-z_]+(?:\.[a-z0-9_]+)+)\]", stderr)


def _check_clear(result, code: str, exit_code: int) -> None:
    assert result.returncode == exit_code, result.stderr
    assert code in _codes(result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert "Warning" not in result.stderr
    assert result.stdout == ""


def _summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def _left_over(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_an_empty_folder(run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out")
    _check_clear(result, "study.none_found", 3)
    assert _summary(tmp_path / "out")["studies"] == []


def test_a_folder_of_other_files(run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing to see here\n" * 100, encoding="utf-8")
    (folder / "empty").touch()
    result = run("analyze", folder, "--out", tmp_path / "out", "--quiet")
    _check_clear(result, "study.none_found", 3)
    assert {row["code"] for row in _summary(tmp_path / "out")["set_aside"]} == {"file.not_dicom", "file.empty"}


def _unlike_studies(folder: Path, kind: str, images: Path) -> None:
    """A folder of which every file is set aside, or every series skipped, for one reason."""
    folder.mkdir()
    names = sorted(images.iterdir())[:5]
    if kind == "zip":
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for path in names:
                archive.write(path, path.name)
        data = bytearray((folder / "a.zip").read_bytes())
        for found in re.finditer(b"PK\x01\x02", bytes(data)):
            data[found.start() + 8] |= 1  # encrypted
        (folder / "a.zip").write_bytes(data)
        return
    for path in names:
        dataset = pydicom.dcmread(path)
        if kind == "jpeg":
            (folder / path.name).write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
        elif kind == "cut":
            (folder / path.name).write_bytes(path.read_bytes()[:601])
        else:
            if kind in {"MR", "PT"}:
                dataset.SOPClassUID = {"MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}[kind]
                dataset.Modality = kind
            else:
                del dataset.PixelData
            dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
            dataset.save_as(folder / path.name)


@pytest.mark.parametrize(
    ("kind", "code", "reason", "words"),
    [
        ("jpeg", "study.none_found", "all of 5 files [file.not_dicom]", "export images as DICOM, not as pictures"),
        ("cut", "study.none_found", "all of 5 files [file.truncated]", "Send or copy the file again"),
        ("zip", "study.none_found", "all of 5 files [zip.encrypted]", "Unpack it first"),
        ("MR", "study.no_ct", "5 images [series.mr]", "Add the study's CT images or radiographs"),
        ("PT", "study.no_ct", "5 images [series.pet]", "Add the study's CT images or radiographs"),
        ("header", "study.no_ct", "5 images [series.no_image]", "Export the images, not only the headers"),
    ],
)
def test_one_reason_for_all_is_told_once_with_its_remedy(
    run, limb, tmp_path: Path, *, kind: str, code: str, reason: str, words: str
) -> None:
    _unlike_studies(tmp_path / "in", kind, limb)
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out")
    assert result.returncode == 3
    assert f"[{code}]" in result.stderr
    assert result.stderr.count(reason) == 1
    assert words in result.stderr
    assert "name the folder" not in result.stderr


def test_pdf_without_what_makes_it_fails_before_the_first_study(run, limb, tmp_path: Path) -> None:
    """WeasyPrint is an extra: a package of its name that cannot be imported stands for its absence."""
    (tmp_path / "gone" / "weasyprint").mkdir(parents=True)
    (tmp_path / "gone" / "weasyprint" / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "gone")}
    settings = tmp_path / "s.toml"
    settings.write_text('[service.analysis]\nformats = "text,pdf"\n', encoding="utf-8")
    out = tmp_path / "out"
    for words in (
        ("analyze", limb, "--out", out, "--format", "text,pdf"),
        ("hook", limb, out, "--format", "text,pdf"),
        ("listen", "--check", "--store", tmp_path / "store", "--config", settings),
    ):
        result = run(*words, env=env)
        assert result.returncode == 2, result.stderr
        assert result.stderr.count("[output.no_pdf]") == 1
        assert "calcreport[pdf]" in result.stderr
        assert "study 1" not in result.stderr
    assert not list(out.glob("*/report.txt"))


def test_a_text_file(run, tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_text("a report\n" * 50, encoding="utf-8")
    _check_clear(run("analyze", tmp_path / "report.txt", "--out", tmp_path / "out"), "study.none_found", 3)


def test_a_truncated_file_in_the_middle_is_a_missing_slice(run, write_study, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in")
    victim = folder / "0012"
    victim.write_bytes(victim.read_bytes()[:900])
    result = run("analyze", folder, "--out", tmp_path / "out")
    assert result.returncode == 3
    assert result.stdout == ""
    assert any(code.startswith(("geometry.", "pixel.", "file.")) for code in _codes(result.stderr))
    study = _summary(tmp_path / "out")["studies"][0]
    assert study["status"] == "refused"
    assert study["series"], "every series is named with what became of it"
    assert not list((tmp_path / "out").glob("*/report.json"))


def test_a_missing_slice(run, write_study, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", leave_out=[12])
    result = run("analyze", folder, "--out", tmp_path / "out")
    assert result.returncode == 3
    assert [code for code in _codes(result.stderr) if code.startswith("geometry.")]


def test_a_truncated_zip_archive(run, limb: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in limb.iterdir():
            stream.write(path, path.name)
    archive.write_bytes(archive.read_bytes()[:-2000])
    _check_clear(run("analyze", archive, "--out", tmp_path / "out"), "study.none_found", 3)


def test_files_that_may_not_be_read(run, write_study, as_plain_user, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in")
    for path in folder.iterdir():
        path.chmod(0)
    result = run("analyze", folder, "--out", tmp_path / "out", **as_plain_user)
    _check_clear(result, "study.none_found", 3)
    assert "file.unreadable" in result.stderr


def test_a_folder_that_may_not_be_read(run, write_study, as_plain_user, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in/deep")
    folder.chmod(0)
    try:
        result = run("analyze", tmp_path / "in", "--out", tmp_path / "out", **as_plain_user)
    finally:
        folder.chmod(0o700)
    _check_clear(result, "study.none_found", 3)
    assert "path.unreadable" in result.stderr


def test_links_in_a_circle(run, write_study, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in")
    (folder / "again").symlink_to(folder)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert len(_summary(tmp_path / "out")["studies"]) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["{in}/nowhere", "--out", "{out}"], "usage.no_such_path"),
        (["{in}", "--out", "{out}", "--clinical", "{in}/nowhere"], "usage.no_such_file"),
        (["{in}", "--out", "{out}", "--clinical", "{in}"], "usage.no_such_file"),
        (["{in}", "--out", "{out}", "--lesion-mask", "{in}/nowhere"], "usage.no_such_file"),
        (["{in}", "--out", "{out}", "--threshold-hu", "much"], "usage.threshold"),
        (["{in}", "--out", "{out}", "--threshold-hu", "130,200,300"], "usage.threshold"),
        (["{in}", "--out", "{out}", "--threshold-hu", "nan"], "usage.threshold"),
        (["{in}", "--out", "{out}", "--threshold-hu=-100"], "usage.threshold"),
        (["{in}", "--out", "{out}", "--threshold-hu", "200,130"], "settings.invalid_value"),
        (["{in}", "--out", "{out}", "--format", "jsn"], "usage.unknown_format"),
        (["{in}", "--out", "{out}", "--format", ","], "usage.unknown_format"),
        (["{in}", "--out", "{out}", "--templates", "{in}/nowhere"], "template.folder_missing"),
    ],
)
def test_wrong_usage(run, words: list[str], code: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    result = run("analyze", *(word.format(**{"in": tmp_path / "in", "out": tmp_path / "out"}) for word in words))
    _check_clear(result, code, 2)
    assert not (tmp_path / "out").exists(), "nothing is written before the command line is known to be right"


@pytest.mark.parametrize(
    ("option", "content", "code", "word"),
    [
        ("--clinical", b"symptoms: {pian: yes}\n", "clinical.unknown_key", "pain"),
        ("--clinical", b"symptoms: {pain: perhaps}\n", "clinical.value", "pain"),
        ("--clinical", b"- a\n- b\n", "clinical.not_mapping", "mapping"),
        ("--clinical", b"{[", "clinical.not_yaml", ""),
        ("--clinical", b"\xff\xfe\x00", "usage.unreadable_file", "UTF-8"),
        ("--clinical", b"#" * 1_100_000, "usage.unreadable_file", "larger"),
        ("--clinical", b"labs: {calcium: {value: 2.4}}\n", "clinical.lab_unit", "calcium"),
        ("--config", b"[detection]\nseed_hu_none = 200\n", "settings.unknown_key", "seed_none_hu"),
        ("--config", b"[policy]\nsize_limit_mm = -1\n", "settings.invalid_value", "size_limit_mm"),
        ("--config", b"[policy\n", "settings.syntax", "TOML"),
    ],
)
def test_a_wrong_file(run, option: str, content: bytes, code: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "typed").write_bytes(content)
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out", option, tmp_path / "typed")
    _check_clear(result, code, 2)
    assert word in result.stderr


@pytest.mark.parametrize(
    "words", [[], ["analyse"], ["analyze"], ["analyze", "."], ["analyze", ".", "--jobs", "0"], ["schema", "reports"]]
)
def test_what_argparse_refuses(run, words: list[str]) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert "usage:" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_mask_that_cannot_be_read_refuses_the_study(run, limb: Path, tmp_path: Path) -> None:
    (tmp_path / "mask").write_bytes(b"no mask" * 100)
    result = run("analyze", limb, "--out", tmp_path / "out", "--lesion-mask", tmp_path / "mask")
    assert result.returncode == 3
    assert [code for code in _codes(result.stderr) if code.startswith("mask.")]


def test_a_mask_does_not_fit_several_studies(run, write_study, tmp_path: Path) -> None:
    for number in (1, 2):
        write_study(tmp_path / f"in/{number}", uid=f"1.2.{number}")
    (tmp_path / "mask").write_bytes(b"no mask" * 100)
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out", "--lesion-mask", tmp_path / "mask")
    _check_clear(result, "usage.mask_for_many", 2)
    assert not _left_over(tmp_path / "out")
