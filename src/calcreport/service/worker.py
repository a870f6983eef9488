"""One analysis of the service: ``calcreport analyze`` in a disposable process, on the last good settings."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import IO, Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from calcreport.exit_codes import EXIT_DONE, EXIT_NOTHING, EXIT_SOME, EXIT_UNDELIVERED, EXIT_USAGE
from calcreport.processes import child
from calcreport.service.durable import make_folder, store_errors, write_file
from calcreport.service.queue import LOST, Failure
from calcreport.service.service_settings import AnalysisSettings, ServiceSettings
from calcreport.service.store import IMAGES, RESULTS
from calcreport.study.result import SUMMARY_FILE, StudyOutcome

Result = StudyOutcome | Failure  # of an analysis
ANSWER: Final = TypeAdapter[Result](Annotated[Result, Field(union_mode="left_to_right")])  # a result as JSON
_NAME: Final = "settings-"  # of a snapshot begins so
_KEPT: Final = 3  # Snapshots kept: an analysis that has just begun may still read the one before the last reload


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """A settings file that was found right as a whole: of the service, and what every analysis is going to read."""

    service: ServiceSettings
    text: str = ""
    """TOML text of the file; empty without one."""
    rules: Mapping[str, str] | None = None
    """The site's own rules, file name to TOML text."""
    warnings: tuple[str, ...] = ()
    """What these rules do to safety rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Files to analyse with; ``None`` where the site has none."""

    config: Path | None = None
    rules: Path | None = None


def write_snapshot(root: Path, loaded: LoadedSettings) -> Snapshot:
    """Keep settings below the store's folder; raises `StoreError` ``store.full`` or ``store.failed``."""
    files = {"site.toml": loaded.text, **{f"rules/{name}": text for name, text in (loaded.rules or {}).items()}}
    digest = hashlib.sha256(repr(sorted(files.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    folder = root / f"{_NAME}{digest}"
    with store_errors():
        for path in (folder, folder / "rules"):
            make_folder(path)
        for name, text in files.items():
            write_file(folder / name, text.encode(), is_flushed=False)
        others = sorted((p for p in root.glob(f"{_NAME}*") if p != folder), key=lambda p: p.stat().st_mtime)
        for path in others[: -(_KEPT - 1)]:
            shutil.rmtree(path, ignore_errors=True)
    return Snapshot(
        config=folder / "site.toml" if loaded.text else None, rules=folder / "rules" if loaded.rules else None
    )


_STUDY_CRASHED: Final = frozenset(("study.crashed", "study.out_of_memory", "study.time_limit", "internal.error"))
"""Refusals that are no answer: another attempt may succeed."""
_TAKEN: Final = ("status", "code", "message", "concern")  # of an entry of the summary
_STATED: Final = re.compile(r"\[([a-z][a-z_]{0,39}(?:\.[a-z0-9_]{1,40}){1,3})\]: (.{0,400})")
"""An error as the command line names it: code and message."""
_LAST_WORDS_BYTES: Final = 8192  # of standard error


class Analysis:
    """A running analysis of the study in a folder of the store, with a snapshot of the site's settings and rules.

    It runs under limits, in a process group of its own, and is ended with all that it started; its output is not kept.
    """

    def __init__(self, folder: Path, settings: AnalysisSettings, snapshot: Snapshot) -> None:
        self._results = folder / RESULTS
        self._wall_seconds = settings.wall_seconds
        self._begun_s = monotonic()
        self._is_overdue = False
        with suppress(OSError):
            (self._results / SUMMARY_FILE).unlink()  # an older one must not be taken for this one's
        words = ["-P", "-m", "calcreport", "analyze", folder / IMAGES, "--out", self._results, "--quiet"]
        options = {
            "--config": snapshot.config,
            "--rules": snapshot.rules,
            "--format": settings.formats,
            "--clinical": settings.clinical,
            "--templates": settings.templates,
            "--priors": folder.parent if settings.compares_with_earlier else None,
        }
        words += [word for name, value in options.items() if value is not None for word in (name, value)]
        limits = (settings.memory_bytes, settings.cpu_seconds, folder / "lock", os.getpid())
        self._last_words: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed when it ended
        self._process = subprocess.Popen(  # noqa: S603 - a list of our own making
            [str(word) for word in (sys.executable, "-I", child.__file__, *limits, sys.executable, *words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._last_words,
            start_new_session=True,
            close_fds=True,
        )

    def result(self) -> StudyOutcome | Failure | None:
        """The answer of it, a refusal included; ``None`` while it runs. One that takes too long is ended."""
        seconds = monotonic() - self._begun_s
        if not self._is_overdue and seconds > self._wall_seconds:
            self._is_overdue = True
            self._kill(signal.SIGKILL)
        exit_code = self._process.poll()
        if exit_code is None:
            return None
        self._kill(signal.SIGKILL)  # what it started and did not end
        with self._last_words as words:
            words.seek(max(0, words.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
            stated = _STATED.findall(words.read().decode("utf-8", "replace"))
        crash = name_crash(exit_code, is_overdue=self._is_overdue)
        if crash is not None:
            return Failure(code=crash[0], message=crash[1], seconds=seconds)
        code, message = stated[-1] if stated else ("analysis.failed", f"the analysis ended with exit code {exit_code}")
        return _result(exit_code, _studies(self._results), Failure(code=code, message=message, seconds=seconds))

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


class Lent:
    """A study that was lent, as the service sees it; `names` are its lease, its folder and the settings' snapshot."""

    def __init__(self, file: Path, snapshot: Snapshot, seconds: float) -> None:
        self.names = f"{file.stem} {file.parent.name} {snapshot.config and snapshot.config.parent.name}"
        self.file, self._seconds, self.is_over = file, seconds, False
        self.sign, self._sign_s = 0, 0.0  # last sign of life, 0 when nobody has taken it; when it was seen first

    def result(self) -> Result | None:
        """Answer of the worker, or that it is lost; ``None`` while neither is known."""
        sign, result = 0, None
        with suppress(FileNotFoundError, ValidationError), self.file.open("rb") as stream:
            sign = os.fstat(stream.fileno()).st_mtime_ns  # of the open file: network file systems look anew
            result = ANSWER.validate_json(stream.read())
        if sign != self.sign:
            self.sign, self._sign_s = sign, monotonic()
        if sign and result is None and monotonic() - self._sign_s > self._seconds:
            result = Failure(code=LOST, message="its worker gave no sign of life for lease_seconds", seconds=0.0)
        self.is_over = result is not None
        return result


class Executor:
    """Where analyses run: here in child processes of the service, which end with it."""

    workers: int | None = None  # on other machines, which go on when the service ends

    def begin(self, folder: Path, _lease: str, settings: AnalysisSettings, snapshot: Snapshot, /) -> Analysis | Lent:
        """Have the study in a folder of the store analysed; only an answer of this lease, in its record, counts."""
        return Analysis(folder, settings, snapshot)


def name_crash(exit_code: int, *, is_overdue: bool) -> tuple[str, str] | None:
    """Code and message for the end of an analysis; ``None`` when it ended by itself."""
    if is_overdue:
        return "analysis.wall_limit", "the analysis took longer than service.analysis.wall_seconds and was ended"
    if exit_code >= 0:
        return None
    if exit_code == -signal.SIGXCPU:
        return "analysis.cpu_limit", "the analysis used more than service.analysis.cpu_seconds"
    if exit_code == -signal.SIGKILL:
        return "analysis.killed", "the analysis was killed, most likely for want of memory"
    return "analysis.crashed", f"the analysis crashed (signal {-exit_code})"


def _studies(results: Path) -> list[StudyOutcome] | None:
    """Entries of the summary, as far as a record needs them: an upgrade under a running service may add others."""
    try:
        rows = json.loads((results / SUMMARY_FILE).read_bytes())["studies"]
        return [StudyOutcome(folder="", **{name: row[name] for name in _TAKEN}) for row in rows]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _result(exit_code: int, studies: list[StudyOutcome] | None, failure: Failure) -> StudyOutcome | Failure:
    """Distinguish an answer from a failure by the exit code of ``analyze`` and its summary."""
    if exit_code in {EXIT_USAGE, EXIT_UNDELIVERED}:  # no study is to blame
        return replace(failure, is_environment=True)
    if studies is None or exit_code not in {EXIT_DONE, EXIT_NOTHING, EXIT_SOME}:
        return failure
    none_found = StudyOutcome(folder="", status="refused", code="study.none_found", message=failure.message)
    study = studies[0] if studies else none_found
    if study.code in _STUDY_CRASHED:
        return replace(failure, code=study.code, message=study.message)
    return study.model_copy(update={"seconds": failure.seconds})
