"""One analysis in a disposable process: started, watched, ended, and what came of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from calcreport.processes import child
from calcreport.service.adapters import Outcome
from calcreport.service.service_settings import AnalysisSettings
from calcreport.service.store import IMAGES, RESULTS

_STUDY_CRASHED: Final = frozenset(("study.crashed", "study.out_of_memory", "study.time_limit", "internal.error"))
"""Refusals that are no answer: another attempt may succeed."""
_ENVIRONMENT: Final = (2, 5)
"""Exit codes that no study is to blame for: configuration, and results that could not be written."""
_STATED: Final = re.compile(r"\[([a-z][a-z_]{0,39}(?:\.[a-z0-9_]{1,40}){1,3})\]: (.{0,400})")
_LAST_WORDS_BYTES: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """An analysis that ended with an answer, a refusal included."""

    outcome: Outcome
    code: str = ""
    message: str = ""
    concern: str | None = None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An analysis that ended without one.

    Parameters
    ----------
    code, message : str
        Why; no patient data.
    is_environment : bool
        Whether the study is not to blame.
    """

    code: str
    message: str
    is_environment: bool
    seconds: float


class _SummaryStudy(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Outcome
    code: str = ""
    message: str = ""
    concern: str | None = None


class _Summary(BaseModel):
    model_config = ConfigDict(extra="ignore")

    studies: tuple[_SummaryStudy, ...]


class Analysis:
    """A running analysis.

    Parameters
    ----------
    folder : Path
        Of the study in the store.
    settings : AnalysisSettings
        Limits and options.
    config : Path | None
        Settings file of the analysis.
    """

    def __init__(self, folder: Path, settings: AnalysisSettings, *, config: Path | None) -> None:
        self._results = folder / RESULTS
        self._settings = settings
        self._begun_s = monotonic()
        self._is_overdue = False
        with suppress(OSError):
            (self._results / "summary.json").unlink()  # an older one must not be taken for this one's
        self._last_words: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed when it ended
        self._process = subprocess.Popen(  # noqa: S603 - a list of our own making
            [
                *(sys.executable, "-I", child.__file__, str(settings.memory_bytes), str(settings.cpu_seconds)),
                *(str(folder / "lock"), str(os.getpid()), sys.executable, "-P", "-m", "calcreport"),
                *("analyze", str(folder / IMAGES), "--out", str(self._results), "--quiet"),
                *_options(settings, config),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the report
            stderr=self._last_words,
            start_new_session=True,
            close_fds=True,
        )

    def poll(self) -> Analysed | Failure | None:
        """What came of it; ``None`` while it is running. One that takes too long is ended."""
        if not self._is_overdue and monotonic() - self._begun_s > self._settings.wall_seconds:
            self._is_overdue = True
            self._kill(signal.SIGKILL)
        code = self._process.poll()
        if code is None:
            return None
        self._kill(signal.SIGKILL)  # what it started and did not end
        seconds = monotonic() - self._begun_s
        stated = self._stated()
        if self._is_overdue:
            msg = "the analysis took longer than service.analysis.wall_seconds and was ended"
            return Failure(code="analysis.wall_limit", message=msg, is_environment=False, seconds=seconds)
        if code < 0:
            return _killed(-code, seconds)
        return _answer(code, stated, self._summary(), seconds)

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

    def _stated(self) -> tuple[str, str] | None:
        """Code and message of the last error it named."""
        with self._last_words as words:
            size = words.seek(0, os.SEEK_END)
            words.seek(max(0, size - _LAST_WORDS_BYTES))
            found = _STATED.findall(words.read().decode("utf-8", "replace"))
        return found[-1] if found else None

    def _summary(self) -> _Summary | None:
        try:
            return _Summary.model_validate_json((self._results / "summary.json").read_bytes())
        except (OSError, ValidationError):
            return None


def _options(settings: AnalysisSettings, config: Path | None) -> list[str]:
    options: Sequence[tuple[str, str | Path | None]] = (
        ("--config", config),
        ("--format", settings.formats),
        ("--clinical", settings.clinical),
        ("--templates", settings.templates),
    )
    return [word for name, value in options if value is not None for word in (name, str(value))]


def _killed(number: int, seconds: float) -> Failure:
    if number == signal.SIGXCPU:
        code, msg = "analysis.cpu_limit", "the analysis used more than service.analysis.cpu_seconds"
    elif number == signal.SIGKILL:
        code, msg = "analysis.killed", "the analysis was killed, most likely for want of memory"
    else:
        code, msg = "analysis.crashed", f"the analysis crashed (signal {number})"
    return Failure(code=code, message=msg, is_environment=False, seconds=seconds)


def _answer(code: int, stated: tuple[str, str] | None, summary: _Summary | None, seconds: float) -> Analysed | Failure:
    """Tell an answer from a failure by the exit code of ``analyze`` and its summary."""
    named, message = stated or ("analysis.failed", f"the analysis ended with exit code {code}")
    if code in _ENVIRONMENT:
        return Failure(code=named, message=message, is_environment=True, seconds=seconds)
    if summary is None or code not in (0, 3, 4):
        return Failure(code=named, message=message, is_environment=False, seconds=seconds)
    if not summary.studies:
        return Analysed(outcome="refused", code="study.none_found", message=message, seconds=seconds)
    study = summary.studies[0]
    if study.code in _STUDY_CRASHED:
        return Failure(code=study.code, message=study.message, is_environment=False, seconds=seconds)
    return Analysed(
        outcome=study.status, code=study.code, message=study.message, concern=study.concern, seconds=seconds
    )
