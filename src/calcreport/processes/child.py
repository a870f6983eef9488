"""First lines of a process that analyses a study: limits on itself, then the program itself.

Run by path, so that nothing is imported before the limits stand. Limits are inherited by every process it starts.

usage: child.py MEMORY_BYTES CPU_SECONDS LOCK_FILE PARENT PROGRAM [WORD ...]
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(words: list[str]) -> None:
    """Set the limits, take the study, become the program; never returns."""
    memory, cpu, lock_file, parent, *program = words
    _limit(resource.RLIMIT_AS, int(memory))
    _limit(resource.RLIMIT_CPU, int(cpu))
    _limit(resource.RLIMIT_CORE, 0)  # a core dump would be patient data on disk
    with suppress(OSError, AttributeError):  # Linux: end with the service, also when it is killed
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit(1)  # the service died in between
    with suppress(OSError):
        os.nice(10)  # receiving comes first
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.fcntl(descriptor, fcntl.F_SETFD, 0)  # the program and its workers hold it too
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # a worker that outlived a killed service may still be at this study
    os.execv(program[0], program)  # noqa: S606 - no shell is what is wanted


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    main(sys.argv[1:])
