import os
import signal
import time

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


def _run(tasks: list[str], *, jobs: int, max_seconds: float = 60.0) -> dict[int, tuple[str, int] | Crash]:
    steps: list[tuple[int, str]] = []
    outcomes = dict(
        run_tasks(
            _work, tasks, jobs=jobs, limits=WorkerLimits(seconds=max_seconds), on_step=lambda number, step: steps.append((number, step))
        )
    )
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
    run.close()  # type: ignore[attr-defined]  # a generator
    try:
        os.kill(outcome[1], 0)
    except ProcessLookupError:
        return
    raise AssertionError
