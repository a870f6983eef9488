"""The limits of an analysis, on programs that exceed them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from calcreport.processes import child

MEBI = 1 << 20


@pytest.fixture
def start(tmp_path):
    def run(program, *, memory=2048 * MEBI, cpu=60, parent=None):
        words = [sys.executable, "-I", child.__file__, memory, cpu, tmp_path / "lock", parent or os.getpid()]
        return subprocess.Popen(
            [*map(str, words), sys.executable, "-I", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return run


def test_the_program_runs(start):
    process = start("print('hello')")
    assert process.communicate(timeout=20)[0] == b"hello\n"
    assert process.returncode == 0


def test_memory_is_bounded(start):
    process = start("x = bytearray(900 << 20)", memory=512 * MEBI)
    assert b"MemoryError" in process.communicate(timeout=20)[1]


def test_memory_is_bounded_in_processes_it_starts(start):
    program = "import os\nif os.fork() == 0: x = bytearray(900 << 20)\nos.wait()"
    assert b"MemoryError" in start(program, memory=512 * MEBI).communicate(timeout=20)[1]


def test_cpu_time_is_bounded(start):
    process = start("while True: pass", cpu=1)
    process.communicate(timeout=30)
    assert process.returncode in {-signal.SIGXCPU, -signal.SIGKILL}


def test_no_core_is_dumped(start):
    out = start("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))").communicate(timeout=20)[0]
    assert out == b"(0, 0)\n"


def test_it_does_not_begin_without_its_service(start):
    process = start("print('hello')", parent=1)
    assert process.communicate(timeout=20)[0] == b""
    assert process.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends it with its parent")
def test_it_ends_when_its_service_is_killed(tmp_path):
    analysis = "import time; print('up', flush=True); time.sleep(60)"
    words = [sys.executable, "-I", child.__file__, 2048 * MEBI, 60, tmp_path / "lock"]
    service = (
        "import os, subprocess, sys, time\n"
        f"process = subprocess.Popen({[*map(str, words)]!r} + [str(os.getpid()), sys.executable, '-c', {analysis!r}])\n"
        "print(process.pid, flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", service], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.stdout.close()
    assert not _is_alive(pid)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_one_study_is_analysed_by_one_process_at_a_time(start):
    first = start("import time; print('first', flush=True); time.sleep(1.5)")
    assert first.stdout.readline() == b"first\n"
    begun = time.monotonic()
    second = start("print('second')")
    assert second.communicate(timeout=20)[0] == b"second\n"
    assert time.monotonic() - begun > 1.0
    first.communicate()
