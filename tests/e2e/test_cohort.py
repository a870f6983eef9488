"""Many studies: what is finished stays, whatever ends the run; the tables do not depend on the way they came about."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import calcreport
from calcreport.cohort.index import hold

UID = "1.2.826.0.1.3680043.10.7"
COUNT = 6
PRESENT = ("--format", "json")


def _uid(number: int) -> str:
    return f"{UID}.{number}"


@pytest.fixture(scope="module")
def studies(write_study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six limbs, the last without a deposit, and a file that is no image."""
    folder = tmp_path_factory.mktemp("cohort") / "in"
    for number in range(COUNT):
        tags = {"PatientID": f"=P{number // 2}", "PatientName": "Known^Person", "StudyDescription": "secret"}
        write_study(folder / f"s{number}", deposit_mm=12.0 if number < COUNT - 1 else 0.0, uid=_uid(number), tags=tags)
    (folder / "notes.txt").write_text("no image" * 100)
    return folder


@pytest.fixture(scope="module")
def undisturbed(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "out"
    result = _start("cohort", studies, "--out", out, *PRESENT, "--jobs", 2, "--salt", _salt(out))
    _, errors = result.communicate(timeout=300)
    assert result.returncode == 0, errors
    return out


def _salt(out: Path) -> Path:
    path = out.parent / "salt"
    path.write_text("salt")
    return path


def _start(*words: object, **how: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "calcreport", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)  # type: ignore[call-overload, no-any-return]


def _tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in {".csv", ".parquet"}}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _stamps(out: Path) -> dict[str, int]:
    """When each finished study came into place."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*/cohort_row.json")}


def test_the_layout_is_as_promised_and_tables_name_nobody(undisturbed: Path) -> None:
    names = {path.name for path in undisturbed.iterdir() if not path.name.startswith(".")}
    assert names >= {"studies.csv", "lesions.csv", "qc.html", "cohort.json", *map(_uid, range(COUNT))}
    rows = _rows(undisturbed / "studies.csv")
    assert [row["study_instance_uid"] for row in rows] == sorted(map(_uid, range(COUNT)))
    assert [row["status"] for row in rows] == ["reported"] * (COUNT - 1) + ["no_calcification"]
    assert len({row["patient_key"] for row in rows}) == COUNT // 2
    lesions = _rows(undisturbed / "lesions.csv")
    assert [row["study_instance_uid"] for row in lesions] == sorted(map(_uid, range(COUNT - 1)))
    assert float(lesions[0]["max_diameter_mm"]) == pytest.approx(12.0, abs=1.0)
    about = json.loads((undisturbed / "cohort.json").read_text(encoding="utf-8"))
    assert about["counts"]["reported"] == COUNT - 1
    assert about["inputs"]["studies"] == COUNT
    assert [row["code"] for row in about["inputs"]["set_aside"]] == ["file.not_dicom"]
    for name in ("studies.csv", "lesions.csv", "qc.html", "cohort.json"):
        content = (undisturbed / name).read_text(encoding="utf-8")
        assert not any(word in content for word in ("Known", "=P", "secret", "2026-01-10", "20260110")), name


def test_a_finished_cohort_is_not_analysed_again_and_identifiers_are_had_without(
    run: Callable[..., subprocess.CompletedProcess[str]], studies: Path, undisturbed: Path
) -> None:
    before, tables = _stamps(undisturbed), _tables(undisturbed)
    words = ("cohort", studies, "--out", undisturbed, *PRESENT, "--salt", _salt(undisturbed))
    result = run(*words, "--identify")
    assert result.returncode == 0, result.stderr
    assert f"{COUNT} of {COUNT} studies, {COUNT} of them finished before" in result.stderr
    first = _rows(undisturbed / "studies.csv")[0]
    assert (first["patient_id"], first["patient_name"], first["study_date"]) == ("'=P0", "Known^Person", "2026-01-10")
    assert run(*words).returncode == 0
    assert _tables(undisturbed) == tables
    assert _stamps(undisturbed) == before


def test_python_in_a_loop_gives_the_same_rows(studies: Path, undisturbed: Path) -> None:
    lesions = _rows(undisturbed / "lesions.csv")
    row = next(row for row in lesions if row["study_instance_uid"] == _uid(0))
    (study,) = calcreport.analyze(studies / "s0")
    assert study.report is not None
    (lesion,) = study.report.lesions
    assert row["max_diameter_mm"] == repr(lesion.size.max_diameter_mm)
    assert row["volume_mm3"] == repr(lesion.size.volume_mm3)
    assert (row["lesion_id"], row["concern"], row["depth_class"]) == (lesion.id, lesion.concern, lesion.depth.class_)
    assert row["flag_depth"] == lesion.flags.depth.state
    assert row["tracking_uid"] == lesion.tracking_uid


def test_analyze_writes_the_same_tables(
    run: Callable[..., subprocess.CompletedProcess[str]], studies: Path, undisturbed: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/salt.txt").write_text("salt\n")
    result = run("analyze", studies, "--out", tmp_path / "out", "--format", "json,csv", "--jobs", 2)
    assert result.returncode == 0, result.stderr
    assert _tables(tmp_path / "out") == _tables(undisturbed)


def test_killed_at_any_moment_the_same_command_goes_on(studies: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    finished: dict[str, int] = {}
    kills = 0
    while True:
        process = _start("cohort", studies, "--out", out, *PRESENT, "--jobs", 2, "--salt", _salt(undisturbed))
        had = len(finished)
        while process.poll() is None and len(_stamps(out)) < min(had + 2, COUNT):
            time.sleep(0.02)
        if len(_stamps(out)) < COUNT and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
            process.communicate(timeout=60)
            finished |= _stamps(out)
            assert finished == _stamps(out)
            continue
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        break
    assert kills >= 2
    assert {name: stamp for name, stamp in _stamps(out).items() if name in finished} == finished
    assert _tables(out) == _tables(undisturbed)
    assert not list(out.glob(".calcreport-*"))


def test_what_changed_is_analysed_again_and_what_was_only_touched_or_moved_is_not(
    run: Callable[..., subprocess.CompletedProcess[str]], write_study, tmp_path: Path
) -> None:
    for number in range(3):
        write_study(tmp_path / f"in/s{number}", uid=_uid(number), tags={"PatientID": f"P{number}"})
    out = tmp_path / "out"

    def go(*words: object) -> set[str]:
        before = {path.parent.name: path.stat().st_ino for path in out.glob("[0-9]*/report.json")}
        result = run("cohort", tmp_path / "in", "--out", out, *PRESENT, *words)
        assert result.returncode in {0, 4}, result.stderr
        after = {path.parent.name: path.stat().st_ino for path in out.glob("[0-9]*/report.json")}
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

    assert go() == {_uid(0), _uid(1), _uid(2)}
    for path in (tmp_path / "in/s0").iterdir():
        os.utime(path)
    (tmp_path / "in/s1").rename(tmp_path / "in/elsewhere")
    assert go() == set()
    write_study(tmp_path / "in/s2", deposit_mm=16.0, uid=_uid(2), tags={"PatientID": "P2"})
    assert go() == {_uid(2)}
    table = tmp_path / "clinical.csv"
    table.write_text("patient_id,symptoms.pain\nP0,yes\nP9,no\n")
    assert go("--clinical", table) == {_uid(0), _uid(1), _uid(2)}  # from now on the others are not in the table
    table.write_text("patient_id,symptoms.pain\nP0,no\nP9,no\n")
    assert go("--clinical", table) == {_uid(0)}
    table.write_text("patient_id,patient.sex,symptoms.pain\nP0,,no\nP1,,no\n")
    assert go("--clinical", table) == {_uid(1)}
    for path in (tmp_path / "in/s0").iterdir():
        path.unlink()
    go("--clinical", table)
    assert [row["study_instance_uid"] for row in _rows(out / "studies.csv")] == [_uid(1), _uid(2)]


def test_masks_are_those_of_their_study_and_a_new_one_is_read(
    run: Callable[..., subprocess.CompletedProcess[str]], write_study, tmp_path: Path
) -> None:
    for number in range(2):
        write_study(tmp_path / f"in/s{number}", uid=_uid(number))
    lesion, anatomy, out = tmp_path / "lesion", tmp_path / "anatomy", tmp_path / "out"
    lesion.mkdir()

    def go(*words: object) -> list[dict[str, str]]:
        result = run("cohort", tmp_path / "in", "--out", out, *PRESENT, *words)
        assert result.returncode in {0, 4}, result.stderr
        return _rows(out / "studies.csv")

    _write_mask(tmp_path / "in/s1", lesion / f"{_uid(1)}.nrrd", hu=-200)
    assert [row["lesion_count"] for row in go("--lesion-mask", lesion)] == ["1", "1"]
    masses = {row["study_instance_uid"]: row["mass_max_diameter_mm"] for row in _rows(out / "lesions.csv")}
    assert (masses[_uid(0)], masses[_uid(1)] > "") == ("", True)
    before = _stamps(out)
    _write_mask(tmp_path / "in/s0", anatomy / _uid(0) / "femur_left.nii.gz", hu=100)
    assert [row["lesion_count"] for row in go("--lesion-mask", lesion, "--anatomy", anatomy)] == ["0", "1"]
    _write_mask(tmp_path / "in/s0", anatomy / _uid(0) / "femur_left.nii.gz", hu=1000)
    assert [row["lesion_count"] for row in go("--lesion-mask", lesion, "--anatomy", anatomy)] == ["1", "1"]
    assert _stamps(out)[_uid(1)] == before[_uid(1)]


def _write_mask(images: Path, mask: Path, *, hu: int) -> None:
    """Mask of all that is denser."""
    import SimpleITK as sitk  # noqa: N813, PLC0415 - slow to import

    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(images))
    mask.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(names) > hu, sitk.sitkUInt8), str(mask))


def test_parts_of_a_job_array_share_one_folder(studies: Path, undisturbed: Path, tmp_path: Path) -> None:
    words = ("cohort", studies, "--out", tmp_path / "out", *PRESENT, "--jobs", 1, "--salt", _salt(undisturbed))
    parts = [_start(*words, "--shard", f"{part}/2") for part in (1, 2)]
    for process in parts:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert _tables(tmp_path / "out") == _tables(undisturbed)
    with hold(tmp_path / "out/.cohort/index.lock", is_shared=True):  # another part is at work
        for part in (("--shard", "2/2"), ("--tables-only",)):
            process = _start(*words, *part)
            process.communicate(timeout=100)
            assert process.returncode == 0


def test_studies_of_one_patient_are_compared_where_asked(write_study, tmp_path: Path) -> None:
    """Of each the latest earlier one, which was compared itself; never one of somebody else."""
    me = {"PatientID": "P1", "PatientBirthDate": "19700101", "PatientSex": "F", "IssuerOfPatientID": "HERE"}
    days = [("20250110", {}), ("20260110", {}), ("20260710", {}), ("20260801", {"IssuerOfPatientID": "THERE"})]
    for number, (day, other) in enumerate(days):
        tags = {"StudyDate": day} | me | other
        write_study(tmp_path / "in" / str(9 - number), deposit_mm=12.0, uid=_uid(number), tags=tags)
    done = []
    for _ in range(2):
        process = _start("cohort", tmp_path / "in", "--out", tmp_path / "out", *PRESENT, "--compare", "--jobs", 2)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        done.append(_stamps(tmp_path / "out"))
    assert done[0] == done[1]
    reports = [json.loads((tmp_path / "out" / _uid(number) / "report.json").read_text()) for number in range(len(days))]
    dates = [report["comparison"] and report["comparison"]["date"] for report in reports]
    assert dates == [None, "2025-01-10", "2026-01-10", None]
    growth = reports[2]["lesions"][0]["growth"]
    assert (growth["status"], growth["prior_id"]) == ("matched", "L1")


def test_a_poisonous_study_costs_its_own_row_only(studies: Path, tmp_path: Path) -> None:
    """Memory, an endless loop, a crash of native code: three studies of six, each tried twice."""
    poison = tmp_path / "sitecustomize.py"
    poison.write_text(
        "import sys, importlib.abc\n"
        "import calcreport.study.analyse as module\n"
        "real = module.analyse_study\n"
        "def analyse(study, *rest):\n"
        "    import ctypes, time\n"
        "    match study.study.study_instance_uid[-1]:\n"
        "        case '0': ctypes.string_at(0)\n"
        "        case '1': bytearray(8 << 30)\n"
        "        case '2': time.sleep(600)\n"
        "    return real(study, *rest)\n"
        "module.analyse_study = analyse\n"
    )
    config = tmp_path / "settings.toml"
    config.write_text("[run]\nmax_study_seconds = 8\n")
    words = ("cohort", studies, "--out", tmp_path / "out", *PRESENT, "--jobs", 2, "--max-study-gb", 2)
    process = _start(*words, "--config", config, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 4, errors
    codes = {row["study_instance_uid"][-1]: row["code"] for row in _rows(tmp_path / "out/studies.csv")}
    assert [codes[str(number)] for number in range(COUNT)] == [
        *("study.crashed", "study.out_of_memory", "study.time_limit"), "", "", ""
    ]  # fmt: skip
    record = json.loads((tmp_path / f"out/.cohort/refused/{_uid(2)}.json").read_text(encoding="utf-8"))
    assert record["attempts"] == 2
    page = (tmp_path / "out/qc.html").read_text(encoding="utf-8")
    assert "study.out_of_memory: the study does not fit in memory" in page


def _dask(program: str, file: Path, *words: object) -> subprocess.Popen[str]:
    return _start_python("-m", f"distributed.cli.dask_{program}", "--scheduler-file", file, "--no-dashboard", *words)


def _start_python(*words: object) -> subprocess.Popen[str]:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, *map(str, words)], text=True, **silent)


def test_workers_of_a_scheduler_analyse_and_one_may_be_lost(studies: Path, undisturbed: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "scheduler.json", tmp_path / "out"
    helpers = [_dask("scheduler", file, "--port", 0)]
    try:
        while not file.exists():
            assert helpers[0].poll() is None
            time.sleep(0.1)
        alone = ("--nthreads", 1, "--no-nanny", "--local-directory", tmp_path)
        helpers += [_dask("worker", file, *alone) for _ in range(2)]
        process = _start(
            "cohort", studies, "--out", out, *PRESENT, "--salt", _salt(undisturbed), "--scheduler", file, cwd=tmp_path
        )
        while process.poll() is None and not _stamps(out):
            time.sleep(0.02)
        finished = _stamps(out)
        helpers[1].kill()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert finished
        assert {name: stamp for name, stamp in _stamps(out).items() if name in finished} == finished
        assert _tables(out) == _tables(undisturbed)
    finally:
        for helper in reversed(helpers):
            helper.kill()
            helper.wait()
