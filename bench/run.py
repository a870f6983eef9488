"""Time and memory of the whole analysis, held against SimpleITK only reading the same series.

usage: run.py [--only TEXT] [--repeats K] [--quick] [--check] [--write] [--keep FOLDER]

Every figure is a median over runs in turn (for each series raw read, SimpleITK, calcreport; then all again), each a
process of its own from start to end, imports included, with the files in the page cache and, as after an installation,
modules compiled. Absolute times drift with the machine; ratios hold. DICOM objects, the steps of one process and peak
memory are measured once a series. On a quiet machine of two cores all of it takes under ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from made_series import Case, write_series
from processes import Run, calcreport_command, machine, run_timed, run_weighed

from calcreport.errors import CalcReportError

PLAIN = ("--format", "text,json,html,png")
"""Report, page and pictures: what the limits are about; DICOM objects stand in a column of their own."""

MAX_RATIO = 2.5
"""Whole analysis to SimpleITK's bare reading, at the slice number `RATIO_AT`."""
RATIO_AT = 500
MAX_VOLUME_RATIO = 1.5
MAX_EXTRA_MB = 250.0
"""Peak memory: at most this many times the int16 volume, and this much more."""
MAX_HELP_S = 0.3
SHELL_SLICES = 40
"""Shorter series hold no whole shell."""
MAX_LESION_MS = 60.0
MAX_LESION_MB = 0.5
"""Processor time and peak memory for each lesion beyond those that have a picture."""
MAX_GROWTH = 1.25
"""Processor seconds for each further slice may grow by this from the middle to the largest series."""

QUICK = (Case(slices=100), Case(slices=100, padding="undeclared"), Case(slices=250))
CASES = (
    Case(slices=20, nodules=5),
    Case(slices=100),
    Case(slices=500),
    Case(slices=1000),
    Case(slices=500, padding="undeclared"),
    Case(slices=500, padding="declared"),
    Case(slices=500, anatomy="trunk"),
    Case(slices=500, nodules=50),
    Case(slices=500, nodules=150),
)
"""Plain ones of three sizes, of which cost for each further slice is taken, and what real scans hold."""

ONCE = ("objects", "steps")
"""Programs that run once for each series: no limit is held against them."""

MARK = "<!-- measured: written by bench/run.py --write, do not edit below -->"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

READ_BYTES = "import sys, pathlib\nfor p in sorted(pathlib.Path(sys.argv[1]).iterdir()): p.read_bytes()"
READ_SIMPLEITK = (
    "import sys, SimpleITK as sitk\n"
    "r = sitk.ImageSeriesReader()\n"
    "r.SetFileNames(r.GetGDCMSeriesFileNames(sys.argv[1]))\n"
    "r.Execute()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Medians for one series: wall and processor seconds, ratio of the former, peak memory, seconds of each step."""

    case: Case
    lesions: int
    raw_s: float
    simpleitk_s: float
    ours_s: float
    objects_s: float
    """With the DICOM objects that are written by default; one run."""
    ratio: float
    processor_s: dict[str, float]
    simpleitk_bytes: int
    ours_bytes: int
    steps_s: dict[str, float]

    @property
    def slices(self) -> int:
        """Of the series."""
        return self.case.slices

    @property
    def processor_ratio(self) -> float:
        """As `ratio`, of processor time: other work on the machine disturbs it less."""
        return self.processor_s["ours"] / self.processor_s["simpleitk"]

    @property
    def volume_bytes(self) -> int:
        """Size of the volume as int16."""
        return self.slices * 512 * 512 * 2

    @property
    def limit_bytes(self) -> float:
        """Most memory allowed."""
        return MAX_VOLUME_RATIO * self.volume_bytes + MAX_EXTRA_MB * 1e6


def main() -> int:
    """Make the series, measure, print, and check or write when asked."""
    options = _options()
    folder = Path(options.keep or tempfile.mkdtemp(prefix="calcreport-bench-"))
    try:
        help_s = median(run_timed([*calcreport_command(), "--help"]).seconds for _ in range(7))
        rows = _measure(folder, options.cases, options.repeats)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    text = _page(rows, help_s, options.repeats)
    sys.stdout.write(text)
    if options.write:
        head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
        PAGE.write_text(f"{head}{MARK}\n\n{text}", encoding="utf-8")
    failures = _failures(rows, help_s) if options.check else []
    for failure in failures:
        sys.stderr.write(f"too slow or too large: {failure}\n")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="series whose size and name hold this text, such as '500 thighs'")
    parser.add_argument("--repeats", type=int, help="runs of each program; default 3")
    parser.add_argument("--quick", action="store_true", help="three small series")
    parser.add_argument("--check", action="store_true", help="fail when a limit is exceeded")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--keep", metavar="FOLDER", help="make the series there, use them again, and leave them")
    options = parser.parse_args()
    cases = QUICK if options.quick else CASES
    options.cases = [case for case in cases if options.only in f"{case.slices} {case.name}"]
    options.repeats = options.repeats or 3
    return options


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """A series to time: its size, its results, the commands by name, and their runs so far."""

    case: Case
    out: Path
    commands: dict[str, list[str]]
    runs: dict[str, list[Run]]


def _measure(folder: Path, cases: Sequence[Case], repeats: int) -> list[Measured]:
    """Run every program on every series in turn: what else the machine does then falls on all of them alike."""
    every = [_prepare(folder, case) for case in cases]
    for series in every:
        run_timed(series.commands["raw"])  # into the page cache
    for series in every[:1]:
        run_timed(series.commands["ours"])  # modules compiled
    for repeat in range(repeats):
        for series in every:
            for name in ("raw", "simpleitk", "ours", *(ONCE if not repeat else ())):
                run = run_timed(series.commands[name])
                series.runs[name].append(run)
                sys.stderr.write(
                    f"run {repeat + 1} of {repeats}: {series.case.slices} {series.case.name}, {name}: "
                    f"{run.seconds:.2f} s, {run.processor_s:.2f} s of a processor\n"
                )
    return [_measured(series) for series in every]


def _prepare(folder: Path, case: Case) -> _Series:
    name = f"{case.slices}{case.name.replace(', ', '-').replace(' ', '-')}"
    series, out = folder / name, folder / f"{name}-out"
    if not series.is_dir():
        sys.stderr.write(f"making {case.slices} slices: {case.name}\n")
        write_series(series, case)
    commands = {
        "raw": [sys.executable, "-S", "-c", READ_BYTES, str(series)],
        "simpleitk": [sys.executable, "-c", READ_SIMPLEITK, str(series)],
        "ours": [*calcreport_command(), "analyze", str(series), "--out", str(out), "--quiet", *PLAIN],
        "objects": [*calcreport_command(), "analyze", str(series), "--out", f"{out}-objects", "--quiet"],
        "steps": [sys.executable, str(Path(__file__).with_name("stages.py")), str(series), str(out)],
    }
    return _Series(case=case, out=out, commands=commands, runs={name: [] for name in commands})


def _measured(series: _Series) -> Measured:
    lesions = _check_results(series)
    weighed = {name: run_weighed(series.commands[name]).peak_bytes for name in ("simpleitk", "ours")}
    for out in (series.out, Path(f"{series.out}-objects")):
        shutil.rmtree(out, ignore_errors=True)
    seconds = {name: [run.seconds for run in runs] for name, runs in series.runs.items()}
    steps_s: list[dict[str, float]] = [json.loads(run.stdout) for run in series.runs["steps"]]
    return Measured(
        case=series.case,
        lesions=lesions,
        raw_s=median(seconds["raw"]),
        simpleitk_s=median(seconds["simpleitk"]),
        ours_s=median(seconds["ours"]),
        objects_s=median(seconds["objects"]),
        ratio=median(a / b for a, b in zip(seconds["ours"], seconds["simpleitk"], strict=True)),
        processor_s={name: median(run.processor_s for run in runs) for name, runs in series.runs.items()},
        simpleitk_bytes=weighed["simpleitk"],
        ours_bytes=weighed["ours"],
        steps_s={name: median(run.get(name, 0.0) for run in steps_s) for name in steps_s[0]},
    )


def _check_results(series: _Series) -> int:
    """Refuse to time an analysis that did not do its work: text, page, data and pictures, and the lesions found."""
    out = series.out
    reports = list(out.glob("*/report.json"))
    names = {path.suffix for path in out.glob("*/report.*")} | {path.suffix for path in out.glob("*/images/*")}
    if len(reports) != 1 or not {".json", ".txt", ".html", ".png"} <= names:
        msg = "the analysis did not write its results"
        raise RuntimeError(msg)
    sizes = [row["size"]["max_diameter_mm"] or 0.0 for row in json.loads(reports[0].read_text())["lesions"]]
    is_whole = series.case.anatomy == "thighs" and series.case.slices >= SHELL_SLICES
    if is_whole and not any(abs(size - 32.0) < 2.0 for size in sizes):
        msg = f"the analysis missed the lesion of 32 mm (found {[round(size, 1) for size in sizes]})"
        raise RuntimeError(msg)
    if len(sizes) < 0.9 * series.case.nodules:
        msg = f"the analysis found {len(sizes)} lesions of {series.case.nodules}"
        raise RuntimeError(msg)
    return len(sizes)


def _failures(rows: Sequence[Measured], help_s: float) -> list[str]:
    failures = [
        f"{row.slices} slices ({row.case.name}): {row.ratio:.2f} times SimpleITK's bare reading, more than {MAX_RATIO}"
        for row in rows
        if row.slices >= min(RATIO_AT, max(row.slices for row in rows)) and row.ratio > MAX_RATIO
    ]
    failures += [
        f"{row.slices} slices ({row.case.name}): {row.ours_bytes / 1e6:.0f} MB, more than {row.limit_bytes / 1e6:.0f}"
        for row in rows
        if row.ours_bytes > row.limit_bytes
    ]
    if help_s > MAX_HELP_S:
        failures.append(f"--help takes {help_s:.2f} s, more than {MAX_HELP_S} s")
    plain = _plain(rows)
    if len(plain) > 2:
        middle, largest = plain[len(plain) // 2], plain[-1]
        growth = _marginal_s(plain[0], largest) / _marginal_s(plain[0], middle)
        if growth > MAX_GROWTH:
            failures.append(f"cost grows faster than the number of slices (x {growth:.2f} a slice)")
    for milliseconds, megabytes in _lesion_costs(rows):
        if milliseconds > MAX_LESION_MS or megabytes > MAX_LESION_MB:
            failures.append(f"each further lesion costs {milliseconds:.0f} ms and {megabytes:.2f} MB")
    return failures


def _plain(rows: Sequence[Measured]) -> list[Measured]:
    """Series that differ in nothing but the number of slices."""
    return [row for row in rows if row.case == Case(slices=row.slices)]


def _lesion_costs(rows: Sequence[Measured]) -> list[tuple[float, float]]:
    """Processor milliseconds and peak megabytes for each further lesion, of two series with more than have pictures."""
    many = sorted((row for row in rows if row.case.nodules > 12), key=lambda row: row.lesions)
    return [
        (
            1000 * (b.processor_s["ours"] - a.processor_s["ours"]) / (b.lesions - a.lesions),
            (b.ours_bytes - a.ours_bytes) / 1e6 / (b.lesions - a.lesions),
        )
        for a, b in pairwise(many)
    ]


def _marginal_s(small: Measured, large: Measured) -> float:
    """Processor seconds for each further slice."""
    return (large.processor_s["ours"] - small.processor_s["ours"]) / (large.slices - small.slices)


def _page(rows: Sequence[Measured], help_s: float, repeats: int) -> str:
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d}: {machine()}; medians of {repeats} runs in turn, warm page cache; "
        f"load of the machine at the end {os.getloadavg()[0]:.1f}.",
        "",
        "Ratios pair by pair, of wall time and of processor time (user and system, all threads and processes), which "
        "other work on the machine disturbs less. Objects, steps and memory by one run each.",
        "",
        "| slices | series | lesions | bytes read, s | SimpleITK reads, s | calcreport, s | ratio "
        "| SimpleITK, processor s | calcreport, processor s | ratio, processor "
        "| with DICOM objects, s | SimpleITK, MB | calcreport, MB | volume, MB | allowed, MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {row.slices} | {row.case.name} | {row.lesions} | {row.raw_s:.2f} | {row.simpleitk_s:.2f} "
            f"| {row.ours_s:.2f} | {row.ratio:.2f} | {row.processor_s['simpleitk']:.2f} "
            f"| {row.processor_s['ours']:.2f} | {row.processor_ratio:.2f} | {row.objects_s:.2f} "
            f"| {row.simpleitk_bytes / 1e6:.0f} | {row.ours_bytes / 1e6:.0f} | {row.volume_bytes / 1e6:.0f} "
            f"| {row.limit_bytes / 1e6:.0f} |"
            for row in rows
        ),
        "",
        f"`calcreport --help`: {help_s:.2f} s.",
    ]
    for milliseconds, megabytes in _lesion_costs(rows):
        lines += ["", f"Each further lesion: {milliseconds:.0f} processor ms, {megabytes:.2f} MB of memory."]
    plain = _plain(rows)
    if len(plain) > 1:
        growth = ", ".join(f"{1000 * _marginal_s(a, b):.1f} ({a.slices} to {b.slices})" for a, b in pairwise(plain))
        lines += ["", f"Processor milliseconds for each further slice: {growth}."]
    names = list(dict.fromkeys(name for row in rows for name in row.steps_s))
    lines += [
        "",
        "| step, s (in one process) | " + " | ".join(f"{row.slices} {row.case.name}" for row in rows) + " |",
        "|---|" + "---|" * len(rows),
        *(f"| {name} | " + " | ".join(f"{row.steps_s.get(name, 0.0):.2f}" for row in rows) + " |" for name in names),
        "| sum | " + " | ".join(f"{sum(row.steps_s.values()):.2f}" for row in rows) + " |",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, CalcReportError) as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
