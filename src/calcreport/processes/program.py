"""A program in a process group of its own: started under limits, watched, and ended with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Final

from calcreport.processes import child

_LAST_WORDS_BYTES: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Address space and processor time of each process, and seconds until the whole is ended."""

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a program ended: its exit code (below 0 a signal), and the end of what it wrote on standard error."""

    exit_code: int
    is_overdue: bool
    seconds: float
    last_words: str = field(repr=False)


class Program:
    """A running ``python …``; of those with the same `lock` one runs at a time. Its output is not kept."""

    def __init__(self, words: Sequence[str], *, limits: Limits, lock: Path) -> None:
        self._limits = limits
        self._begun_s = monotonic()
        self._is_overdue = False
        self._last_words: IO[bytes] = tempfile.TemporaryFile(dir=lock.parent)  # noqa: SIM115 - closed when it ended
        self._process = subprocess.Popen(  # noqa: S603 - a list of our own making
            [
                *(sys.executable, "-I", child.__file__, str(limits.memory_bytes), str(limits.cpu_seconds)),
                *(str(lock), str(os.getpid()), sys.executable, *words),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._last_words,
            start_new_session=True,
            close_fds=True,
        )

    def poll(self) -> End | None:
        """How it ended; ``None`` while it runs. One that takes too long is ended."""
        if not self._is_overdue and monotonic() - self._begun_s > self._limits.wall_seconds:
            self._is_overdue = True
            self._kill(signal.SIGKILL)
        code = self._process.poll()
        if code is None:
            return None
        self._kill(signal.SIGKILL)  # what it started and did not end
        seconds = monotonic() - self._begun_s
        with self._last_words as words:
            words.seek(max(0, words.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
            told = words.read().decode("utf-8", "replace")
        return End(exit_code=code, is_overdue=self._is_overdue, seconds=seconds, last_words=told)

    def ask_to_stop(self) -> None:
        """Let it end by itself."""
        self._kill(signal.SIGTERM)

    def stop(self, seconds: float) -> None:
        """End it, after so many seconds by force."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))
        self._kill(signal.SIGKILL)
        self._process.wait()
        self._last_words.close()

    def _kill(self, kind: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, kind)
