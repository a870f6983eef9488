"""A part of the damaged and hostile inputs (``tests/e2e/hostile.py`` runs them all), and hostile ways of running."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import hostile
import hostile_inputs

STEP = 53
"""Every so many cases; a prime, so that the classes' own cycles are not followed."""


@pytest.fixture(scope="session")
def cases() -> list[hostile_inputs.Case]:
    return list(hostile.every_case())


@pytest.mark.parametrize("number", range(7, 1050, STEP))
def test_a_hostile_input_ends_as_it_should(number: int, cases: list[hostile_inputs.Case], tmp_path: Path) -> None:
    case = cases[number]
    faults, ending = hostile.judge(case, tmp_path)
    assert not faults, f"{case.kind}: {case.name}: {ending}"


def test_the_cases_are_many_and_told_apart(cases: list[hostile_inputs.Case]) -> None:
    names = [(case.kind, case.name) for case in cases]
    assert len(names) == len(set(names)) > 1050


@pytest.fixture
def study(tmp_path: Path) -> Path:
    hostile_inputs.write_good(tmp_path / "in")
    return tmp_path / "in"


def _start(command: list[str], *words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*command, "analyze", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        # A parent that ignores Ctrl-C, such as nohup, hands that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread at work
    )


def _check_whole(out: Path, reports: tuple[int, ...]) -> None:
    assert not [path.name for path in out.rglob(".*")]
    found = list(out.glob("*/report.json"))
    assert len(found) in reports
    for path in found:
        json.loads(path.read_text(encoding="utf-8"))
        assert (path.parent / "report.txt").stat().st_size
        assert path.with_suffix(".html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_two_runs_into_one_folder(command: list[str], study: Path, tmp_path: Path) -> None:
    runs = [_start(command, study, "--out", tmp_path / "out") for _ in range(2)]
    for run in runs:
        _stdout, stderr = run.communicate(timeout=60)
        assert run.returncode == 0, stderr
    _check_whole(tmp_path / "out", (1,))


@pytest.mark.parametrize("inside", ["out", "."])
def test_results_among_the_images_are_never_taken_for_images(command: list[str], study: Path, inside: str) -> None:
    before = {path.name: path.read_bytes() for path in study.iterdir()}
    for _ in range(2):
        run = _start(command, study, "--out", study / inside)
        _stdout, stderr = run.communicate(timeout=60)
        assert run.returncode == 0, stderr
        summary = json.loads((study / inside / "summary.json").read_text(encoding="utf-8"))
        assert [row["status"] for row in summary["studies"]] == ["reported"]
    assert {name: (study / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("kind", "part"),
    [(signal.SIGINT, 0.3), (signal.SIGTERM, 0.5), (signal.SIGINT, 0.7), (signal.SIGTERM, 0.85), (signal.SIGINT, 1.0)],
)
def test_an_interrupt_at_any_moment(
    command: list[str], study: Path, kind: signal.Signals, part: float, tmp_path: Path
) -> None:
    begun = time.monotonic()
    _start(command, study, "--out", tmp_path / "out").communicate(timeout=60)
    seconds = time.monotonic() - begun
    run = _start(command, study, "--out", tmp_path / "out")
    time.sleep(part * seconds)
    run.send_signal(kind)
    _stdout, stderr = run.communicate(timeout=30)
    assert run.returncode in {0, 130}, stderr
    assert "Traceback" not in stderr
    _check_whole(tmp_path / "out", (1,))
