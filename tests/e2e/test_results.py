"""What lies in the results folder, also when the disk, the user or another study interferes."""

import json
import os
import resource
import signal
import subprocess
import time
import warnings
import zipfile
from functools import partial
from pathlib import Path

import pytest

UID = "1.2.826.0.1.3680043.10.1"
WHOLE = {"report.json", "report.txt", "report.html", "images"}


def _summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def _check_whole(out: Path) -> None:
    """Every study folder is whole, and nothing temporary is left."""
    for path in out.iterdir():
        assert not path.name.startswith("."), path.name
        if path.is_dir():
            assert {entry.name for entry in path.iterdir()} >= WHOLE
            json.loads((path / "report.json").read_text(encoding="utf-8"))


def test_one_study_gives_the_promised_layout_and_prints_its_section(run, limb: Path, tmp_path: Path) -> None:
    result = run("analyze", limb, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "out" / UID
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert result.stdout == (folder / "report.txt").read_text(encoding="ascii")
    assert len(report["lesions"]) == 1
    assert report["lesions"][0]["size"]["max_diameter_mm"] == pytest.approx(12.0, abs=1.0)
    assert report["settings"]["detection"]["group_distance_mm"] == 10.0
    for name in (*report["images"], *report["lesions"][0]["images"]):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    study = _summary(tmp_path / "out")["studies"]
    assert [(row["folder"], row["status"], row["counts"]["lesions"]) for row in study] == [(UID, "reported", 1)]
    assert study[0]["concern"] == report["concern"]
    assert study[0]["seconds"] > 0
    _check_whole(tmp_path / "out")


def test_results_are_for_their_owner_only(run, limb: Path, tmp_path: Path) -> None:
    run("analyze", limb, "--out", tmp_path / "out")
    for path in (tmp_path / "out" / UID, tmp_path / "out" / UID / "report.json", tmp_path / "out/summary.json"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_inputs_stay_as_they_were(run, write_study, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    run("analyze", folder, "--out", tmp_path / "out")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_a_study_without_mineral_is_reported_as_such(run, write_study, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in", deposit_mm=0.0)
    result = run("analyze", folder, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert _summary(tmp_path / "out")["studies"][0]["status"] == "no_calcification"


def test_only_the_formats_asked_for_are_written(run, limb: Path, tmp_path: Path) -> None:
    result = run("analyze", limb, "--out", tmp_path / "out", "--format", "json,text", "--quiet")
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (tmp_path / "out" / UID).iterdir()} == {"report.json", "report.txt", "sources.json"}
    assert result.stderr == ""
    report = json.loads((tmp_path / "out" / UID / "report.json").read_text(encoding="utf-8"))
    assert report["images"] == []


def test_the_section_is_printed_also_when_no_text_file_is_wanted(run, limb: Path, tmp_path: Path) -> None:
    result = run("analyze", limb, "--out", tmp_path / "out", "--format", "json")
    assert "FINDINGS" in result.stdout.upper()
    assert sorted(path.name for path in (tmp_path / "out" / UID).iterdir()) == ["report.json", "sources.json"]


def test_typed_thresholds_override_and_are_reported(run, limb: Path, tmp_path: Path) -> None:
    run("analyze", limb, "--out", tmp_path / "out", "--threshold-hu", "300,400")
    report = json.loads((tmp_path / "out" / UID / "report.json").read_text(encoding="utf-8"))
    assert report["technique"]["threshold_hu"] == {"grow": 300.0, "seed": 400.0}


def test_running_again_replaces_the_folder_as_a_whole(run, limb: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("analyze", limb, "--out", out)
    (out / UID / "stale.dcm").write_bytes(b"from an older version")
    (out / "notes of the radiologist.txt").write_bytes(b"kept")
    assert run("analyze", limb, "--out", out).returncode == 0
    assert not (out / UID / "stale.dcm").exists()
    assert (out / "notes of the radiologist.txt").exists()
    _check_whole(out)


def test_a_study_that_is_refused_now_loses_its_older_report(run, write_study, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "in")
    run("analyze", folder, "--out", tmp_path / "out")
    (folder / "0010").unlink()
    assert run("analyze", folder, "--out", tmp_path / "out").returncode == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_study_does_not_stop_the_others(run, write_study, jobs: int, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_study(tmp_path / f"in/{number}", uid=f"1.2.{number}", leave_out=[9] if number == 2 else [])
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out", "--jobs", jobs)
    assert result.returncode == 4, result.stderr
    rows = {row["folder"]: row["status"] for row in _summary(tmp_path / "out")["studies"]}
    assert rows == {"1.2.1": "reported", "1.2.2": "refused", "1.2.3": "reported"}
    lines = result.stdout.splitlines()
    assert len(lines) == 4, "a heading and one line a study"
    assert all(any(folder in line and status in line for line in lines) for folder, status in rows.items())
    _check_whole(tmp_path / "out")
    assert (tmp_path / "out/index.html").exists()


def test_every_study_refused(run, write_study, tmp_path: Path) -> None:
    for number in (1, 2):
        write_study(tmp_path / f"in/{number}", uid=f"1.2.{number}", leave_out=[9])
    result = run("analyze", tmp_path / "in", "--out", tmp_path / "out", "--jobs", 2)
    assert result.returncode == 3
    assert {row["status"] for row in _summary(tmp_path / "out")["studies"]} == {"refused"}


def test_studies_of_one_archive_side_by_side(run, write_study, tmp_path: Path) -> None:
    """Workers inherit the open archive; a shared position in it would mix up their bytes."""
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for number in range(4):
            for path in write_study(tmp_path / f"in/{number}", uid=f"1.2.{number}").iterdir():
                stream.write(path, f"{number}/{path.name}")
    result = run("analyze", archive, "--out", tmp_path / "out", "--jobs", 2)
    assert result.returncode == 0, result.stderr
    sizes = {
        json.loads(path.read_text(encoding="utf-8"))["lesions"][0]["size"]["volume_mm3"]
        for path in (tmp_path / "out").glob("*/report.json")
    }
    assert len(sizes) == 1, "the same images give the same numbers"


@pytest.mark.parametrize("uid", ["../../etc/x", "1.2/../../x", "1." + "2" * 63, "DOE^JANE", "1.2\n3"])
def test_a_hostile_uid_writes_nothing_outside(run, write_study, uid: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the UID we want to be wrong
        folder = write_study(tmp_path / "in", tags={"StudyInstanceUID": uid})
    before = set(tmp_path.rglob("*"))
    result = run("analyze", folder, "--out", tmp_path / "deep/er/out")
    assert result.returncode in {0, 3}, result.stderr
    written = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "deep") for path in written)
    assert uid not in result.stderr
    for path in (tmp_path / "deep/er/out").iterdir():
        assert path.name == "summary.json" or path.name.startswith("study-"), path.name


def test_a_results_folder_without_permission(run, limb: Path, as_plain_user, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    result = run("analyze", limb, "--out", out, **as_plain_user)
    assert result.returncode == 5
    assert "[output.not_permitted]" in result.stderr
    assert not list(out.iterdir())


def test_a_file_in_the_place_of_the_results_folder(run, limb: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    result = run("analyze", limb, "--out", tmp_path / "out")
    assert result.returncode == 5
    assert "[output.not_a_folder]" in result.stderr


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))


def test_a_file_that_does_not_fit_leaves_the_older_results(run, limb: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("analyze", limb, "--out", out)
    before = (out / UID / "report.json").read_bytes()
    result = run("analyze", limb, "--out", out, preexec_fn=_limit_files)
    assert result.returncode == 5
    assert "[output.disk_full]" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert (out / UID / "report.json").read_bytes() == before
    _check_whole(out)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount; RLIMIT_FSIZE above covers the same path")
def test_a_full_disk(run, limb: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here; RLIMIT_FSIZE covers the same path")
    try:
        result = run("analyze", limb, "--out", disk / "out")
        assert result.returncode == 5
        assert "[output.disk_full]" in result.stderr
        assert "Traceback" not in result.stderr
        _check_whole(disk / "out")
        assert not list((disk / "out").glob("*/report.json"))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_half_written(
    command,
    write_study,
    kind: signal.Signals,
    tmp_path: Path,
) -> None:
    count = 12
    for number in range(count):
        write_study(tmp_path / f"in/{number}", uid=f"1.2.{number}")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*command, "analyze", str(tmp_path / "in"), "--out", str(out), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A parent that ignores Ctrl-C, such as nohup, hands that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread at work
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(out.glob("1.2.*")):
        time.sleep(0.01)
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "[run.interrupted]" in stderr
    assert "Traceback" not in stderr
    assert len(list(out.glob("1.2.*"))) < count
    _check_whole(out)


def test_a_reader_that_has_seen_enough_is_no_failure(command, limb: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*command, "analyze", str(limb), "--out", str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()
    assert process.wait(timeout=60) == 0, stderr
    assert b"Traceback" not in stderr
    assert b"Exception ignored" not in stderr
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_named(command, limb: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        result = subprocess.run(
            [*command, "analyze", str(limb), "--out", str(tmp_path / "out")],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert result.returncode == 5
    assert "[output.stdout]" in result.stderr
    assert "Exception ignored" not in result.stderr
