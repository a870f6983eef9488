"""What came of an analysis, by exit code and summary; the process itself is started in tests/e2e."""

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calcreport.service.queue import Failure
from calcreport.service.service_settings import AnalysisSettings
from calcreport.service.worker import Analysis, Snapshot, name_crash
from calcreport.study.result import StudyOutcome

REPORTED = {"status": "reported", "code": "", "message": "", "concern": "flagged"}
REFUSED = {"status": "refused", "code": "geometry.gap", "message": "a slice is missing", "concern": None}
OUT_OF_MEMORY = {"status": "refused", "code": "study.out_of_memory", "message": "killed", "concern": None}


@pytest.fixture
def analyse(tmp_path, monkeypatch):
    """Run a program in place of the analysis; what `summary` says lies in the results when it ends."""

    def run(program, *, summary=None, **limits):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "results").mkdir(exist_ok=True)
        path = tmp_path / "results" / "summary.json"
        write = f"open({str(path)!r}, 'w').write({json.dumps({'studies': summary})!r})" if summary is not None else ""
        program = f"import os, sys, time, signal\n{write}\n{program}"
        popen = subprocess.Popen

        def start(words, **how):
            position = words.index("analyze")
            return popen([*words[: position - 3], "-c", program], **how)

        monkeypatch.setattr(subprocess, "Popen", start)
        settings = AnalysisSettings.model_construct(**{**AnalysisSettings().__dict__, **limits})
        analysis = Analysis(tmp_path, settings, Snapshot())
        deadline = time.monotonic() + 20
        while (result := analysis.result()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return result

    return run


def test_a_report(analyse):
    result = analyse("", summary=[REPORTED])
    assert isinstance(result, StudyOutcome)
    assert (result.status, result.concern) == ("reported", "flagged")


def test_entries_of_a_newer_version_are_understood(analyse):
    result = analyse("", summary=[{**REPORTED, "folder": "1.2.3", "series": [{"novelty": 1}], "novelty": 1}])
    assert isinstance(result, StudyOutcome)
    assert (result.status, result.concern) == ("reported", "flagged")


def test_a_refusal_is_an_answer(analyse):
    result = analyse("sys.exit(3)", summary=[REFUSED])
    assert isinstance(result, StudyOutcome)
    assert (result.status, result.code) == ("refused", "geometry.gap")


def test_files_that_hold_no_study_are_an_answer(analyse):
    result = analyse("sys.exit(3)", summary=[])
    assert isinstance(result, StudyOutcome)
    assert (result.status, result.code) == ("refused", "study.none_found")


@pytest.mark.parametrize(
    ("program", "summary", "code", "is_environment"),
    [
        ("sys.exit(3)", [OUT_OF_MEMORY], "study.out_of_memory", False),
        ("sys.exit(1)", [REPORTED], "analysis.failed", False),
        ("sys.stderr.write('calcreport: error [internal.error]: X'); sys.exit(1)", None, "internal.error", False),
        ("sys.stderr.write('calcreport: error [settings.syntax]: X'); sys.exit(2)", None, "settings.syntax", True),
        ("sys.stderr.write('calcreport: error [output.disk_full]: X'); sys.exit(5)", None, "output.disk_full", True),
        ("pass", None, "analysis.failed", False),
        ("os.kill(os.getpid(), signal.SIGKILL)", None, "analysis.killed", False),
        ("os.kill(os.getpid(), signal.SIGSEGV)", None, "analysis.crashed", False),
        ("os.kill(os.getpid(), signal.SIGXCPU)", None, "analysis.cpu_limit", False),
    ],
)  # fmt: skip
def test_a_failure_has_a_code(analyse, program, summary, code, is_environment):
    result = analyse(program, summary=summary)
    assert isinstance(result, Failure)
    assert (result.code, result.is_environment) == (code, is_environment)


def test_one_that_takes_too_long_is_ended_with_all_it_started(analyse, tmp_path):
    begun = time.monotonic()
    program = f"pid = os.fork()\nopen({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}} ')\ntime.sleep(60)"
    result = analyse(program, wall_seconds=1.0)
    assert isinstance(result, Failure)
    assert result.code == "analysis.wall_limit"
    assert time.monotonic() - begun < 10
    for pid in (tmp_path / "pids").read_text().split():
        deadline = time.monotonic() + 5
        while _is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _is_alive(pid)


def test_what_an_analysis_leaves_running_is_ended_with_it(analyse, tmp_path):
    program = f"pid = os.fork()\nif pid == 0: time.sleep(60)\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(pid))"
    analyse(program, summary=[REPORTED])
    pid = (tmp_path / "pid").read_text()
    deadline = time.monotonic() + 5
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(pid)


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_older_summary_is_not_taken_for_an_answer(analyse, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "summary.json").write_text(json.dumps({"studies": [REPORTED]}))
    assert isinstance(analyse("sys.exit(3)"), Failure)


def test_last_words_are_bounded(analyse):
    result = analyse("sys.stderr.write('x' * 5_000_000 + '[output.failed]: the end'); sys.exit(5)")
    assert (result.code, result.message) == ("output.failed", "the end")


def test_the_analysis_sees_the_site_s_choices(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **_how: seen.extend(words))
    settings = AnalysisSettings(formats="json,sr", clinical="site.yaml", templates="ours")
    Analysis(tmp_path, settings, Snapshot(config=tmp_path / "settings.toml"))._last_words.close()
    words = seen[seen.index("analyze") :]
    assert words[1] == str(tmp_path / "images")
    pairs = dict(itertools.pairwise(words))
    assert pairs["--config"] == str(tmp_path / "settings.toml")
    assert (pairs["--format"], pairs["--clinical"], pairs["--templates"]) == ("json,sr", "site.yaml", "ours")
    assert seen[0] == sys.executable
    assert "--priors" not in words  # off, unless it is asked for
    settings = settings.model_copy(update={"compares_with_earlier": True})
    Analysis(tmp_path, settings, Snapshot())._last_words.close()
    assert dict(itertools.pairwise(seen))["--priors"] == str(tmp_path.parent)


@pytest.mark.parametrize(
    ("exit_code", "is_overdue", "code"),
    [
        (0, False, None),
        (5, False, None),
        (-signal.SIGKILL, False, "analysis.killed"),
        (-signal.SIGKILL, True, "analysis.wall_limit"),
        (0, True, "analysis.wall_limit"),
        (-signal.SIGXCPU, False, "analysis.cpu_limit"),
        (-signal.SIGBUS, False, "analysis.crashed"),
    ],
)
def test_the_end_of_an_analysis_has_a_code(exit_code, is_overdue, code) -> None:
    crash = name_crash(exit_code, is_overdue=is_overdue)
    assert (crash[0] if crash else None) == code
