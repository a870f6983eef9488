"""Hold `calcreport analyze` against damaged and hostile inputs: ``python tests/e2e/hostile.py [--kind K] [--name N]``.

For each: no signal, no traceback, no hang, bounded memory, the exit code the contract names, inputs unchanged, nothing
written outside the results folder, no patient data on the streams, injected text harmless, the right answer or the
right refusal with its code.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import hostile_geometry
import hostile_inputs
from hostile_inputs import CANARY, Case

MOST_BYTES: Final = 1_500_000_000
_CODE: Final = re.compile(r"\[([a-z_]+(?:\.[a-z0-9_]+)+)\]")
_ESCAPES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def every_case() -> Iterator[Case]:
    """All cases, in classes."""
    yield from hostile_geometry.geometry()
    yield from hostile_inputs.identities()
    yield from hostile_inputs.texts()
    yield from hostile_geometry.options()
    yield from hostile_inputs.foreign()
    yield from hostile_inputs.file_system()
    yield from hostile_inputs.transfer_syntaxes()
    yield from hostile_inputs.bombs()
    yield from hostile_inputs.shapes()
    yield from hostile_inputs.damage()
    yield from hostile_inputs.attributes()


class _Page(HTMLParser):
    """What could act on a page: scripts, handlers, addresses outside."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._own_scripts = 1  # the button that copies the text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and not attrs and self._own_scripts:
            self._own_scripts -= 1
        elif tag in {"script", "iframe", "object", "embed", "link", "base", "form"}:
            self.faults.append(f"<{tag}> on the page")
        for name, value in attrs:
            if name.startswith("on") or (name == "src" and not (value or "").startswith(("data:image/", "images/"))):
                self.faults.append(f"{name} of <{tag}> on the page")


def _print_of(folder: Path) -> dict[str, str]:
    """Kind, size and content of everything below a folder."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            status = path.lstat()
            is_small = stat.S_ISREG(status.st_mode) and status.st_size < 100_000_000
            content = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else ""
            found[str(path)] = f"{status.st_mode} {status.st_size} {status.st_mtime_ns * is_small} {content}"
    return found


def _as_plain_user() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        for capability in (1, 2):
            libc.prctl(24, capability, 0, 0, 0)


def judge(case: Case, top: Path) -> tuple[list[str], str]:
    """Run one case in an empty folder; what was wrong, and what it came to."""
    case.build(top)
    before = _print_of(top)
    words = [sys.executable, "-m", "calcreport", "analyze", *case.paths, "--out", "out", *case.words]
    if "--format" not in case.words:
        words += ["--format", "text,json,html"]
    begun = time.monotonic()
    with (top / ".out").open("wb") as out, (top / ".err").open("wb") as err:
        process = subprocess.Popen(
            words, cwd=top, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            preexec_fn=_as_plain_user if case.is_plain_user else None,  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        status, usage = _wait(process, case.max_seconds + 20)
    seconds = time.monotonic() - begun
    stdout, stderr = ((top / name).read_bytes() for name in (".out", ".err"))
    (top / ".out").unlink()
    (top / ".err").unlink()
    after = {path: state for path, state in _print_of(top).items() if not Path(path).is_relative_to(top / "out")}
    faults = []
    if after != before:
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        faults.append(f"inputs or surroundings changed: {sorted(changed)[:3]}")
    if status is None or seconds > case.max_seconds:
        faults.append(f"took {seconds:.0f} s")
    if usage > MOST_BYTES:
        faults.append(f"took {usage / 1e9:.1f} GB")
    if status is not None:
        faults += _streams(case, status, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        faults += _results(case, status, top / "out")
    codes = sorted(set(_CODE.findall(stderr.decode(errors="replace"))))
    return faults, f"exit {status} {seconds:.1f} s {usage / 1e6:.0f} MB {' '.join(codes)}"


def _wait(process: subprocess.Popen[bytes], seconds: float) -> tuple[int | None, int]:
    """Exit code (negative for a signal, ``None`` for a hang) and the largest process's memory in bytes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss * 1024
        time.sleep(0.02)
    os.killpg(process.pid, 9)
    process.wait()
    return None, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 0


def _streams(case: Case, status: int, stdout: str, stderr: str) -> list[str]:
    faults = []
    if status not in case.ends:
        faults.append(f"exit {status} instead of {sorted(case.ends)}")
    if status and not _CODE.search(stderr):
        faults.append(f"no code on standard error: {stderr[:200]!r}")
    if status == 3 and case.code not in stderr:
        faults.append(f"no {case.code} on standard error")
    for word in ("Traceback", "internal.error", "study.crashed", "Warning:", CANARY, "1234321"):
        faults += [f"{word!r} on the streams"] if word in stdout + stderr else []
    if _ESCAPES.search(stdout) or _ESCAPES.search(re.sub(r"\r|\x1b\[K", "", stderr)):
        faults.append("control characters on the streams")
    if status and status != 4 and stdout.startswith("CLINICAL"):
        faults.append("a report on standard output beside a failure")
    return faults


def _results(case: Case, status: int, out: Path) -> list[str]:
    paths = sorted(out.rglob("*")) if out.exists() else []
    faults = [f"left over: {path.name}" for path in paths if path.is_symlink() or path.name.startswith(".")]
    for path in paths:
        faults += _file(path)
    reports = [path for path in paths if path.name == "report.json"]
    if status == 0 and not reports and "--templates" not in case.words:
        faults.append("no report beside success")
    if status == 3:
        faults += ["a report beside a refusal"] if reports else []
        if (out / "summary.json").exists():
            faults += _refusal(json.loads((out / "summary.json").read_text()))
    if case.is_measured:
        for path in reports:
            faults += _measured(case, json.loads(path.read_text("utf-8")))
    return faults


def _file(path: Path) -> list[str]:
    if path.suffix not in {".html", ".txt", ".json"}:
        return []
    text = path.read_text("utf-8")
    faults = [f"template text was run in {path.name}"] if "1234321" in text else []
    if path.suffix == ".html":
        page = _Page()
        page.feed(text)
        faults += page.faults
    if _ESCAPES.search(text) and path.suffix != ".json":  # what was typed stands in the JSON as it is
        faults.append(f"control characters in {path.name}")
    return faults


def _refusal(summary: dict[str, Any]) -> list[str]:
    rows = [*summary["studies"], *summary["set_aside"]]
    return ["a refusal without code or remedy"] if any(not r.get("code") or not r.get("message") for r in rows) else []


def _measured(case: Case, report: dict[str, Any]) -> list[str]:
    sizes = [lesion["size"] for lesion in report["lesions"]]
    longest = max((size["max_diameter_mm"] or 0.0 for size in sizes), default=0.0)
    if abs(longest - case.true_mm) > case.tolerance_mm:
        return [f"{len(sizes)} lesions, longest {longest:.2f} mm instead of {case.true_mm:g} mm"]
    volume = max(size["volume_mm3"] or 0.0 for size in sizes)
    share = 0.12 + 3 * max(0.0, case.tolerance_mm - 1.0) / case.true_mm
    if abs(volume / hostile_inputs.TRUE_MM3 - 1) > share:
        return [f"volume {volume:.0f} mm3 instead of {hostile_inputs.TRUE_MM3:.0f}"]
    depth = report["lesions"][0]["depth"]
    if case.skin_mm is None:
        return []
    if abs((depth["skin_distance_mm"] or 0.0) - case.skin_mm) > 1.0 + case.tolerance_mm / 2:
        return [f"skin at {depth['skin_distance_mm']} mm instead of {case.skin_mm:g}"]
    return [] if depth["class"] == "subfascial" else [f"depth {depth['class']}"]


def _say(*lines: str) -> None:
    sys.stdout.write("\n      ".join(lines) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the cases asked for, one after the other; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="", help="only classes whose name begins so")
    parser.add_argument("--name", default="", help="only cases whose name holds this")
    parser.add_argument("--every", type=int, default=1, help="only every n-th case")
    parser.add_argument("--quiet", action="store_true", help="only what is wrong")
    options = parser.parse_args()
    chosen = [case for case in every_case() if case.kind.startswith(options.kind) and options.name in case.name]
    tried: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for case in chosen[:: options.every]:
        top = Path(tempfile.mkdtemp(prefix="hostile-"))
        try:
            faults, ending = judge(case, top)
        except Exception as error:  # noqa: BLE001 - a case that cannot be made is reported like any other fault
            faults, ending = [f"the case itself failed: {type(error).__name__}: {error}"], ""
        finally:
            for folder in top.rglob("closed"):
                folder.chmod(0o700)
            shutil.rmtree(top)
        tried[case.kind] += 1
        wrong[case.kind] += bool(faults)
        if faults or not options.quiet:
            verdict = "FAULT" if faults else "ok"
            _say(f"{verdict} {case.kind} | {case.name!r} | {ending}", *faults)
    _say(f"{tried.total()} tried, {wrong.total()} wrong", *(f"{k}: {tried[k]} tried, {wrong[k]} wrong" for k in tried))
    return int(bool(wrong.total()))


if __name__ == "__main__":
    sys.exit(main())
