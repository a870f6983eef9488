"""``calcreport hook`` under the contract of each host: which folders, which files, which JSON, which exit code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pydicom
import pytest

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
FILMS = SAMPLES / "phleboliths_leg_films"
UID = r"[0-9.]{1,64}"
FOREIGN = dict.fromkeys(("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"), "/nowhere")
SECRETS = ("Synthetic^Limb", "Synthetic Limb", "SYN1", "1.2.826.0.1.3680043.10.1")
TASK = {
    "id": "0b1e",
    "info": {"patient_name": "Mueller^Anna", "mrn": "SECRET1", "uid": "1.2.3", "uid_type": "study"},
    "process": {"module_name": "calcreport", "settings": {}, "retain_input_images": True},
    "dispatch": {},
}


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def mercure_in(limb, tmp_path):
    """``mercure_in(settings)`` makes a folder as Mercure gives it to a module."""

    def make(settings: dict | None = None) -> Path:
        folder = tmp_path / "in"
        folder.mkdir()
        for number, path in enumerate(sorted(limb.iterdir())):
            shutil.copy(path, folder / f"1.2.826.0.1.3680043.10.1.1#{number}.dcm")
            (folder / f"1.2.826.0.1.3680043.10.1.1#{number}.tags").write_text('{"Modality": "CT"}')
        task = TASK | {"process": TASK["process"] | {"settings": settings or {}}}
        (folder / "task.json").write_text(json.dumps(task))
        return folder

    return make


@pytest.fixture
def mercure(run, out):
    """``mercure(folder)`` runs the hook as Mercure does: with its own variables, and with those of MONAI too."""

    def start(folder: Path, **how):
        where = {"MERCURE_IN_DIR": str(folder), "MERCURE_OUT_DIR": str(out)}
        return run("hook", env=where | FOREIGN | how)

    return start


def read(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_bytes())


def kinds(files: list[Path]) -> list[str]:
    return sorted(str(pydicom.dcmread(path, stop_before_pixels=True).Modality) for path in files)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_folders_give_the_layout_of_analyze_and_a_result(run, limb, out) -> None:
    before = contents(limb)
    done = run("hook", limb, out)
    assert done.returncode == 0, done.stderr
    (study,) = [path for path in out.iterdir() if path.is_dir()]
    assert {"report.json", "report.txt", "report.html", "sr.dcm", "seg.dcm"} <= {path.name for path in study.iterdir()}
    assert json.loads(done.stdout) == read(out)
    summary = json.loads((out / "summary.json").read_bytes())["studies"][0]
    (told,) = read(out)["studies"]
    assert (told["status"], told["concern"], told["lesions"]) == (
        "reported", summary["concern"], summary["counts"]["lesions"],
    )  # fmt: skip
    assert not [name for name in read(out) if name.startswith("__")]
    assert contents(limb) == before


def test_typed_folders_come_before_those_of_the_environment(run, limb, out) -> None:
    assert run("hook", limb, out, env=FOREIGN).returncode == 0
    assert (out / "result.json").exists()


def test_nothing_about_the_patient_is_printed_or_told(run, limb, out, mercure, mercure_in) -> None:
    for done in (run("hook", limb, out), mercure(mercure_in({"calcreport": {"wrong": 1}})), run("hook", limb)):
        told = done.stdout + done.stderr
        assert not [secret for secret in (*SECRETS, "Mueller", "SECRET1") if secret in told], told
    assert not [secret for secret in SECRETS if secret in (out / "result.json").read_text()]


def test_mercure_gets_objects_it_can_send_and_nothing_else(mercure, mercure_in, out) -> None:
    folder = mercure_in()
    before = contents(folder)
    done = mercure(folder)
    assert done.returncode == 0, done.stderr
    objects = [path for path in out.iterdir() if path.name != "result.json"]
    assert all(re.fullmatch(rf"{UID}#{UID}\.dcm", path.name) for path in objects)
    assert kinds(objects)[-2:] == ["SEG", "SR"]
    assert "OT" in kinds(objects)
    for path in objects:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert path.name == f"{header.SeriesInstanceUID}#{header.SOPInstanceUID}.dcm"
        assert header.StudyInstanceUID == "1.2.826.0.1.3680043.10.1"
    assert contents(folder) == before


def test_mercure_is_told_whom_to_notify_and_where_to_send(mercure, mercure_in, out) -> None:
    ours = {
        "notify": ["high"],
        "routing": {"flagged": {"target": "SARCOMA_WL"}, "modified": {"target": ["A", "B"]},
                    "indeterminate": {"use_alternate_target": True}, "none": {"discard": True},
                    "high": {"target": "URGENT"}},
        "format": "sr",
    }  # fmt: skip
    done = mercure(mercure_in({"calcreport": ours, "another_module": {"x": 1}}))
    assert done.returncode == 0, done.stderr
    result = read(out)
    assert result["__mercure_notification"]["requested"] is (result["grade"] == "high")
    assert result["__mercure_notification"]["text"].endswith("Draft for a radiologist to check.")
    assert result["__mercure_routing"] == ours["routing"][result["grade"]]
    assert kinds(list(out.glob("*.dcm"))) == ["SR"]


def test_without_settings_the_rule_decides_where_results_go(mercure, mercure_in, out) -> None:
    folder = mercure_in()
    (folder / "task.json").unlink()
    assert mercure(folder).returncode == 0
    assert "__mercure_routing" not in read(out)
    assert set(read(out)["__mercure_notification"]) == {"text", "requested"}


@pytest.mark.parametrize(("accepts", "code"), [(False, 3), (True, 0)])
def test_a_study_that_cannot_be_measured_is_told_and_may_be_accepted(
    mercure, tmp_path, out, limb, accepts, code
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in sorted(limb.iterdir())[:2]:
        shutil.copy(path, folder)
    settings = {"calcreport": {"accept_refused": accepts, "routing": {"refused": {"discard": True}}}}
    (folder / "task.json").write_text(json.dumps(TASK | {"process": {"settings": settings}}))
    done = mercure(folder)
    assert done.returncode == code, done.stderr
    result = read(out)
    assert (result["grade"], result["studies"][0]["status"]) == ("refused", "refused")
    assert result["studies"][0]["code"] in done.stderr
    assert result["__mercure_notification"]["requested"] is True
    assert result["__mercure_routing"] == {"discard": True}
    assert [path.name for path in out.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "usage.hook_task"),
        ("[]", "usage.hook_task"),
        ('{"process": [{}]}', "usage.hook_task"),
        ('{"process": {"settings": {"calcreport": 1}}}', "usage.hook_task"),
        ('{"process": {"settings": {"calcreport": {"notfy": []}}}}', "did you mean notify"),
        ('{"process": {"settings": {"calcreport": {"notify": ["worst"]}}}}', "settings.invalid_value"),
        ('{"process": {"settings": {"calcreport": {"routing": {"high": {"targt": "X"}}}}}}', "settings.invalid_value"),
    ],
)
def test_a_task_with_a_mistake_is_refused_before_anything_is_analysed(mercure, mercure_in, out, text, told) -> None:
    folder = mercure_in()
    (folder / "task.json").write_text(text)
    done = mercure(folder)
    assert (done.returncode, told in done.stderr, list(out.iterdir())) == (2, True, []), done.stderr


def test_our_own_objects_among_the_input_change_nothing(mercure, mercure_in, out) -> None:
    folder = mercure_in()
    assert mercure(folder).returncode == 0
    first = {path.name: path.read_bytes() for path in out.glob("*.dcm")}
    for path in out.glob("*.dcm"):
        shutil.move(path, folder / path.name)
    assert mercure(folder).returncode == 0
    assert {path.name for path in out.glob("*.dcm")} == set(first)


@pytest.mark.parametrize(
    "pair", [("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"), ("MONAI_INPUTPATH", "MONAI_OUTPUTPATH")]
)
def test_monai_and_holoscan_name_the_folders(run, out, pair) -> None:
    done = run("hook", env=dict(zip(pair, (str(FILMS), str(out)), strict=True)))
    assert done.returncode == 0, done.stderr
    assert kinds(list(out.glob("*/*.dcm")))[-1] == "SR"
    assert read(out)["studies"][0]["status"] == "reported"


def test_kaapana_gets_results_beside_each_element_of_its_batch(run, limb, tmp_path) -> None:
    root = tmp_path / "data"
    for name, source in (("1.1", limb), ("1.2", FILMS)):
        shutil.copytree(source, root / "batch" / name / "get-input-data")
    (root / "batch/1.3").mkdir()
    where = {
        "WORKFLOW_DIR": str(root).lstrip("/"), "BATCH_NAME": "batch",
        "OPERATOR_IN_DIR": "get-input-data", "OPERATOR_OUT_DIR": "calcreport",
    }  # fmt: skip
    done = run("hook", env=where)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    for name in ("1.1", "1.2"):
        folder = root / "batch" / name / "calcreport"
        assert read(folder)["studies"][0]["status"] == "reported"
        assert len(list(folder.glob("*/sr.dcm"))) == 1
    assert not list((root / "batch/1.3").iterdir())


def test_kaapana_without_elements_has_the_folders_of_the_workflow(run, tmp_path) -> None:
    shutil.copytree(FILMS, tmp_path / "in")
    where = {"WORKFLOW_DIR": str(tmp_path), "BATCH_NAME": "batch", "OPERATOR_IN_DIR": "in", "OPERATOR_OUT_DIR": "out"}
    assert run("hook", env=where).returncode == 0
    assert read(tmp_path / "out")["studies"][0]["status"] == "reported"
    assert run("hook", env=where | {"OPERATOR_IN_DIR": "none-such"}).returncode == 3


def _text(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("no image")


def test_kaapana_goes_on_without_what_is_nothing_and_skips_when_all_is(run, tmp_path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    where = {"CALCREPORT_IN_DIR": str(source), "CALCREPORT_OUT_DIR": str(target)}
    _text(source / "item-2")
    nothing = run("hook", env=where)
    assert nothing.returncode == 126, nothing.stderr
    assert read(target / "item-2")["studies"] == []
    shutil.copytree(FILMS, source / "item-1")
    done = run("hook", env=where)
    assert done.returncode == 0, done.stderr
    assert read(target / "item-1")["studies"][0]["status"] == "reported"
    assert (tmp_path / "out/item-2/result.json").exists()


def test_what_kaapana_could_not_report_for_another_reason_fails_its_task(run, tmp_path) -> None:
    source = tmp_path / "in"
    shutil.copytree(FILMS, source / "one")
    for path in (source / "one").iterdir():
        path.write_bytes(path.read_bytes()[:-1000])  # torn
    where = {"CALCREPORT_IN_DIR": str(source), "CALCREPORT_OUT_DIR": str(tmp_path / "out")}
    assert run("hook", env=where).returncode == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MERCURE_IN_DIR": "/data"},
        {"HOLOSCAN_OUTPUT_PATH": "/data"},
        {"WORKFLOW_DIR": "/data", "BATCH_NAME": "batch", "OPERATOR_IN_DIR": "in", "OPERATOR_OUT_DIR": "None"},
    ],
)
def test_folders_that_are_not_told_are_asked_for(run, environment) -> None:
    done = run("hook", env=environment)
    assert (done.returncode, "usage.hook_folders" in done.stderr) == (2, True)


def test_one_folder_typed_is_one_too_few(run, limb) -> None:
    done = run("hook", limb)
    assert (done.returncode, "usage.hook_folders" in done.stderr) == (2, True)


def test_an_input_folder_that_is_missing_is_wrong_usage(run, out) -> None:
    assert run("hook", "/nowhere/at/all", out).returncode == 2


def test_results_that_cannot_be_written_are_told(run, limb, tmp_path, as_plain_user) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    done = run("hook", limb, locked / "out", **as_plain_user)
    assert (done.returncode, "output.not_permitted" in done.stderr) == (5, True)
