"""What a process that gave no result died of."""

import signal

import pytest

from calcreport.processes.crash import name_task_crash


@pytest.mark.parametrize(
    ("exit_code", "code", "word"),
    [
        (-signal.SIGKILL, "study.out_of_memory", "--jobs"),
        (-signal.SIGSEGV, "study.crashed", "signal 11"),
        (7, "study.crashed", "exit 7"),
        (None, "study.crashed", "exit None"),
    ],
)
def test_the_end_of_a_worker_has_a_code(exit_code, code, word) -> None:
    crash = name_task_crash(exit_code)
    assert (crash.code, word in crash.message) == (code, True)
