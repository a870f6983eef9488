"""Locks between runs on one folder of results; where a file system has none, the user keeps the runs apart."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from calcreport.errors import UsageError

_PATIENCE_SECONDS: Final = 10.0
"""Workers of a run that was killed die within a second, and hold its lock until then."""


@contextmanager
def hold(path: Path, *, is_shared: bool = False, waits: bool = False) -> Iterator[None]:
    """Hold the lock of a file, alone or with others that share it.

    Raises `UsageError` ``cohort.running`` when another run holds it and this one does not wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end_s = time.monotonic() + _PATIENCE_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if not waits and time.monotonic() > end_s:
                    msg = "another run is at work on this part of the cohort; wait for it, or end it"
                    raise UsageError(msg, code="cohort.running") from error
                time.sleep(0.1)
                continue
            except OSError:  # no locks here
                pass
            break
        yield
    finally:
        os.close(descriptor)
