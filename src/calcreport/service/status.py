"""What an operator sees: the service, its queue, the last studies and every dead letter, without patient data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time
from typing import Any, Final

from calcreport.errors import DeliveryError, UsageError
from calcreport.service.durable import make_folder, store_errors, write_file
from calcreport.service.identity import is_study_name, reference_of
from calcreport.service.queue import record_from
from calcreport.service.store import ASIDE, IMAGES, RETRIES, read_record, reference_key
from calcreport.study.result import align

_STATUS_FILE: Final = "status.json"  # in the store
_FRESH_S: Final = 15.0  # A service that wrote its status so long ago is not running; it writes every two seconds
_UNITS_S: Final = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0))  # Units of an age


def write_status(root: Path, status: Mapping[str, Any]) -> None:
    """Replace ``status.json``; when the disk is full the old one stays."""
    with suppress(OSError):
        write_file(root / _STATUS_FILE, (json.dumps(status, indent=1) + "\n").encode(), is_flushed=False)


def read_status(root: Path) -> dict[str, Any]:
    """Read what the service said last; empty when it said nothing readable."""
    with suppress(OSError, ValueError):
        status = json.loads((root / _STATUS_FILE).read_bytes())
        return status if isinstance(status, dict) else {}
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLine:
    """One study, as an operator may know it."""

    reference: str
    state: str
    revision: int = 0
    images: int = 0
    outcome: str = ""
    code: str = ""
    message: str = ""
    attempts: int = 0
    conflicts: int = 0
    changed: float = 0.0


def studies_of(root: Path) -> list[StudyLine]:
    """Every study of a store, the last changed first; the service may be running."""
    key = reference_key(root)
    lines = [_line(folder, reference_of(folder.name, key)) for folder in _folders(root)]
    return sorted(lines, key=lambda line: line.changed, reverse=True)


def as_json(root: Path, lines: Sequence[StudyLine]) -> str:
    """Service and studies for a program."""
    return json.dumps({"service": _service(root), "studies": [asdict(line) for line in lines]}, indent=2) + "\n"


def as_text(root: Path, lines: Sequence[StudyLine], *, most: int) -> str:
    """Service, the last `most` studies and every dead letter, whatever its age, for a person."""
    shown = [line for number, line in enumerate(lines) if number < most or line.state == "failed"]
    rows = [("study", "state", "rev", "images", "age", "what")]
    rows += [
        (line.reference, line.state, str(line.revision), str(line.images), _age(line.changed), _what(line))
        for line in shown
    ]
    left_out = len(lines) - len(shown)
    return "\n".join([*_head(root), "", align(rows) + (f"… {left_out} older\n" if left_out else "")])


def require_healthy(root: Path) -> None:
    """Do nothing when the service is running and well.

    Raises `DeliveryError` ``service.not_running``, or the first problem the service names.
    """
    service = _service(root)
    if not service["is_running"]:
        msg = "the service is not running: it has not written its status for a while"
        raise DeliveryError(msg, code="service.not_running", is_retryable=True)
    problems = service.get("problems")
    if problems:
        msg = "the service runs, but not as it should until this is mended"
        raise DeliveryError(msg, code=str(problems[0]), is_retryable=True)


def ask_retry(root: Path, wanted: Sequence[str], *, is_all: bool) -> list[str]:
    """Ask the service to try studies again; it does within a second, or when it is started next.

    `wanted` are references as `studies_of` has them; `is_all` adds every dead letter. Gives the references of the
    studies that are tried again. Raises `UsageError` ``usage.no_such_study``; `StoreError` ``store.full`` or
    ``store.failed``.
    """
    key = reference_key(root)
    folders = {reference_of(folder.name, key): folder for folder in _folders(root)}
    if not folders.keys() >= set(wanted):
        msg = "no study of this store has that reference; calcreport status lists them"
        raise UsageError(msg, code="usage.no_such_study")
    dead = [name for name, folder in folders.items() if is_all and read_record(folder).state == "failed"]
    chosen = list(dict.fromkeys([*wanted, *dead]))
    with store_errors():
        make_folder(root / RETRIES)
        for reference in chosen:
            write_file(root / RETRIES / folders[reference].name, b"")
    return chosen


def _folders(root: Path) -> Iterator[Path]:
    with store_errors():
        yield from (path for path in (root / "studies").iterdir() if is_study_name(path.name))


def _line(folder: Path, reference: str) -> StudyLine:
    try:
        return _readable_line(folder, reference)
    except OSError as error:
        msg = f"the study's folder cannot be read by this user ({os.strerror(error.errno or 0)}); mend its rights"
        return StudyLine(reference=reference, state="failed", code="study.unreadable", message=msg)


def _readable_line(folder: Path, reference: str) -> StudyLine:
    try:
        record = record_from((folder / "record.json").read_bytes())
    except FileNotFoundError:
        is_image = (folder / IMAGES).exists()
        count = 0
        with suppress(OSError):
            count = sum(1 for _path in (folder / (IMAGES if is_image else ASIDE)).iterdir())
        state = "receiving" if is_image else "aside"
        return StudyLine(reference=reference, state=state, images=count, changed=folder.stat().st_mtime)
    code = record.code  # of the analysis, else of a sink that has not taken the results
    if not code and record.state == "delivering":
        code = next((item.code for item in record.deliveries.values() if item.code), "")
    return StudyLine(
        reference=reference,
        outcome=record.outcome or "",
        code=code,
        attempts=record.attempts + record.setbacks + record.interruptions,
        changed=record.changed or folder.stat().st_mtime,
        **{name: getattr(record, name) for name in ("state", "revision", "images", "message", "conflicts")},
    )


def _service(root: Path) -> dict[str, Any]:
    status = read_status(root)
    written = status.get("written")
    is_fresh = isinstance(written, int | float) and abs(time() - written) < _FRESH_S
    return {"is_running": is_fresh and status.get("state") == "running", **status}


def _head(root: Path) -> Iterator[str]:
    service = _service(root)
    if not service["is_running"]:
        yield "service: not running"
        return
    yield f"service: running since {_age(float(service.get('begun', 0.0)))}"
    counts = {**service, "analysing": len(service.get("analysing", []))}
    names = ("receiving", "waiting", "delivering", "analysing", "workers")
    yield ", ".join(f"{name} {counts[name]}" for name in names if counts.get(name) is not None)
    if service.get("problems"):
        yield f"problems: {', '.join(map(str, service['problems']))}"
    counters = service.get("counters", {})
    yield "; ".join(f"{name} {count}" for name, count in counters.items()) or "nothing received yet"


def _what(line: StudyLine) -> str:
    parts = [
        line.outcome,
        f"[{line.code}]" if line.code else "",
        f"after {line.attempts} attempts" if line.attempts and line.state != "done" else "",
        f"{line.conflicts} UIDs with two contents" if line.conflicts else "",
        line.message if line.state == "failed" else "",
    ]
    return " ".join(part for part in parts if part)


def _age(since: float) -> str:
    if not since:
        return "-"
    seconds = max(0.0, time() - since)
    for unit, length in _UNITS_S:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
