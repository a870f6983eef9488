"""One analysis of the service: ``calcreport analyze`` in a disposable process, on the last good settings."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calcreport.exit_codes import EXIT_DONE, EXIT_NOTHING, EXIT_SOME, EXIT_UNDELIVERED, EXIT_USAGE
from calcreport.processes.crash import name_program_crash
from calcreport.processes.program import End, Limits, Program
from calcreport.service.durable import make_folder, store_errors, write_file
from calcreport.service.queue import Failure
from calcreport.service.service_settings import AnalysisSettings, ServiceSettings
from calcreport.service.store import IMAGES, RESULTS
from calcreport.study.result import SUMMARY_FILE, StudyOutcome

_NAME: Final = "settings-"
_KEPT: Final = 3
"""Snapshots kept: an analysis that has just begun may still read the one before the last reload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """A settings file that was found right as a whole: of the service, and what every analysis is going to read."""

    service: ServiceSettings
    text: str = ""
    """TOML text of the file; empty without one."""
    rules: Mapping[str, str] | None = None
    """The site's own rules, file name to TOML text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Files to analyse with; ``None`` where the site has none."""

    config: Path | None = None
    rules: Path | None = None


def write_snapshot(root: Path, loaded: LoadedSettings) -> Snapshot:
    """Keep settings below the store's folder.

    Raises `StoreError` ``store.full`` or ``store.failed``.
    """
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
_TAKEN: Final = ("status", "code", "message", "concern")
_STATED: Final = re.compile(r"\[([a-z][a-z_]{0,39}(?:\.[a-z0-9_]{1,40}){1,3})\]: (.{0,400})")
"""An error as the command line names it: code and message."""


class Analysis(Program):
    """A running analysis of the study in a folder of the store, with a snapshot of the site's settings and rules."""

    def __init__(self, folder: Path, settings: AnalysisSettings, snapshot: Snapshot) -> None:
        self._results = folder / RESULTS
        with suppress(OSError):
            (self._results / SUMMARY_FILE).unlink()  # an older one must not be taken for this one's
        words = ["-P", "-m", "calcreport", "analyze", str(folder / IMAGES), "--out", str(self._results), "--quiet"]
        options = {
            "--config": snapshot.config,
            "--rules": snapshot.rules,
            "--format": settings.formats,
            "--clinical": settings.clinical,
            "--templates": settings.templates,
        }
        words += [word for name, value in options.items() if value is not None for word in (name, str(value))]
        limits = Limits(
            memory_bytes=settings.memory_bytes, cpu_seconds=settings.cpu_seconds, wall_seconds=settings.wall_seconds
        )
        super().__init__(words, limits=limits, lock=folder / "lock")

    def result(self) -> StudyOutcome | Failure | None:
        """What came of it, a refusal included; ``None`` while it is running."""
        end = self.poll()
        return None if end is None else _result(end, _studies(self._results))


def _studies(results: Path) -> list[StudyOutcome] | None:
    """Entries of the summary, as far as a record needs them: an upgrade under a running service may add others."""
    try:
        rows = json.loads((results / SUMMARY_FILE).read_bytes())["studies"]
        return [StudyOutcome(folder="", **{name: row[name] for name in _TAKEN}) for row in rows]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _result(end: End, studies: list[StudyOutcome] | None) -> StudyOutcome | Failure:
    """Tell an answer from a failure by the exit code of ``analyze`` and its summary."""
    crash = name_program_crash(end.exit_code, is_overdue=end.is_overdue)
    if crash is not None:
        return Failure(code=crash.code, message=crash.message, seconds=end.seconds)
    stated = _STATED.findall(end.last_words)
    code, message = stated[-1] if stated else ("analysis.failed", f"the analysis ended with exit code {end.exit_code}")
    if end.exit_code in {EXIT_USAGE, EXIT_UNDELIVERED}:  # no study is to blame
        return Failure(code=code, message=message, is_environment=True, seconds=end.seconds)
    if studies is None or end.exit_code not in {EXIT_DONE, EXIT_NOTHING, EXIT_SOME}:
        return Failure(code=code, message=message, seconds=end.seconds)
    if not studies:
        return StudyOutcome(folder="", status="refused", code="study.none_found", message=message, seconds=end.seconds)
    study = studies[0]
    if study.code in _STUDY_CRASHED:
        return Failure(code=study.code, message=study.message, seconds=end.seconds)
    return study.model_copy(update={"seconds": end.seconds})
