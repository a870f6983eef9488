import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calcreport.processes.crash import Crash
from calcreport.processes.pool import Report, WorkerLimits, run_tasks


def _work(task: str, report: Report) -> tuple[str, int]:
    report("thinking")
    match task:
        case "bug":
            raise LookupError(task)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            raise MemoryError
        case "slow":
            time.sleep(60)
    return task, os.getpid()


def _work_numbered(task: tuple[int, str], report: Report) -> tuple[str, int]:
    return _work(task[1], report)


def _run(tasks: list[str], *, jobs: int, max_seconds: float = 60.0) -> dict[int, tuple[str, int] | Crash]:
    steps: list[tuple[int, str]] = []
    run = run_tasks(
        _work_numbered,
        enumerate(tasks),
        jobs=jobs,
        limits=WorkerLimits(seconds=max_seconds),
        on_step=lambda task, step: steps.append((task[0], step)),
    )
    outcomes = {number: outcome for (number, _), outcome in run}
    assert sorted(steps) == [(number, "thinking") for number in range(len(tasks))]
    return outcomes


def test_every_task_gives_its_result() -> None:
    outcomes = _run([f"task {number}" for number in range(20)], jobs=3)
    assert [outcomes[number][0] for number in range(20)] == [f"task {number}" for number in range(20)]  # type: ignore[index]


def test_workers_are_kept_and_never_more_than_asked_for() -> None:
    outcomes = _run(["a"] * 12, jobs=2)
    processes = {outcome[1] for outcome in outcomes.values()}  # type: ignore[index]
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes


def test_a_crash_costs_its_own_task_only() -> None:
    tasks = ["ok", "segfault", "ok", "bug", "ok", "killed", "ok", "memory", "ok"]
    for jobs in (1, 2):
        outcomes = _run(tasks, jobs=jobs)
        codes = [outcome.code if isinstance(outcome, Crash) else "ok" for _, outcome in sorted(outcomes.items())]
        assert codes == [
            "ok", "study.crashed", "ok", "internal.error", "ok",
            "study.out_of_memory", "ok", "study.out_of_memory", "ok",
        ]  # fmt: skip


def test_a_task_that_takes_too_long_is_stopped_and_the_others_go_on() -> None:
    began = time.monotonic()
    outcomes = _run(["slow", "ok"], jobs=2, max_seconds=1.0)
    assert isinstance(outcomes[0], Crash)
    assert outcomes[0].code == "study.time_limit"
    assert outcomes[1][0] == "ok"  # type: ignore[index]
    assert time.monotonic() - began < 20


def _take(count: int, _report: Report) -> int:
    return len(bytearray(count))


@pytest.mark.parametrize("is_forked", [True, False])
def test_memory_has_a_limit_and_a_worker_need_not_be_forked(is_forked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # where a started worker finds the task
    limits = WorkerLimits(seconds=60.0, memory_bytes=1 << 30)
    outcomes = dict(run_tasks(_take, [1000, 2 << 30, 2000], jobs=1, limits=limits, is_forked=is_forked))
    assert (outcomes[1000], outcomes[2000]) == (1000, 2000)
    assert isinstance(outcomes[2 << 30], Crash)
    assert outcomes[2 << 30].code == "study.out_of_memory"


def test_tasks_are_drawn_when_a_worker_is_free() -> None:
    drawn: list[str] = []
    run = run_tasks(_work, (drawn.append(task) or task for task in "abcdef"), jobs=2, limits=WorkerLimits(seconds=60.0))
    next(run)
    assert drawn == ["a", "b"]
    assert len(list(run)) == 5


def test_a_worker_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from calcreport.processes.pool import WorkerLimits, run_tasks\n"
        "def work(task, report):\n"
        "    Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)\n"
        "list(run_tasks(work, [1], jobs=1, limits=WorkerLimits(seconds=60.0)))\n"
    )
    note = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", code, str(note)])
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        state = Path(f"/proc/{note.read_text()}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    raise AssertionError


def test_the_message_of_a_bug_does_not_quote_its_text() -> None:
    crash = _run(["bug"], jobs=1)[0]
    assert isinstance(crash, Crash)
    assert "LookupError" in crash.message
    assert "bug'" not in crash.message
    assert "Traceback" in crash.detail
    assert "Traceback" not in repr(crash)


def test_workers_end_with_the_run_that_is_left_early() -> None:
    run = run_tasks(_work, ["a", "slow"], jobs=2, limits=WorkerLimits(seconds=60.0))
    _, outcome = next(run)
    assert isinstance(outcome, tuple)
    run.close()
    try:
        os.kill(outcome[1], 0)
    except ProcessLookupError:
        return
    raise AssertionError
