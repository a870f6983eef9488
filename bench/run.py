"""Time and memory of the whole analysis, held against SimpleITK only reading the same series.

usage: run.py [--slices N,N…] [--repeats K] [--quick] [--check] [--write] [--keep FOLDER]

Every figure is a median over runs in turn (for each series raw read, SimpleITK, calcreport; then all again), each a
process of its own from start to end, imports included, with the files in the page cache and, as after an installation,
modules compiled. Absolute times drift with the machine; ratios hold.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from made_series import write_series
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
MAX_GROWTH = 1.25
"""Processor seconds for each further slice may grow by this from the middle to the largest series."""

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

    slices: int
    raw_s: float
    simpleitk_s: float
    ours_s: float
    objects_s: float
    """With the DICOM objects that are written by default."""
    ratio: float
    processor_s: dict[str, float]
    simpleitk_bytes: int
    ours_bytes: int
    steps_s: dict[str, float]

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
        rows = _measure(folder, options.slices, options.repeats)
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
    parser.add_argument("--slices", type=_numbers, help="comma list; default 100,250,500,1000")
    parser.add_argument("--repeats", type=int, help="runs of each program; default 5")
    parser.add_argument("--quick", action="store_true", help="100 and 250 slices, 3 repeats")
    parser.add_argument("--check", action="store_true", help="fail when a limit is exceeded")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--keep", metavar="FOLDER", help="make the series there, use them again, and leave them")
    options = parser.parse_args()
    options.slices = options.slices or ([100, 250] if options.quick else [100, 250, 500, 1000])
    options.repeats = options.repeats or (3 if options.quick else 5)
    return options


def _numbers(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """A series to time: its size, its results, the commands by name, and their runs so far."""

    slices: int
    out: Path
    commands: dict[str, list[str]]
    runs: dict[str, list[Run]]


def _measure(folder: Path, sizes: Sequence[int], repeats: int) -> list[Measured]:
    """Run every program on every series in turn: what else the machine does then falls on all of them alike."""
    every = [_prepare(folder, slices) for slices in sizes]
    for repeat in range(-1, repeats):
        sys.stderr.write(f"run {repeat + 1} of {repeats}\n")
        for series in every:
            for name, command in series.commands.items():
                run = run_timed(command)
                if repeat >= 0:  # the one before warms the page cache
                    series.runs[name].append(run)
    return [_measured(series) for series in every]


def _prepare(folder: Path, slices: int) -> _Series:
    series, out = folder / f"series{slices}", folder / f"out{slices}"
    if not series.is_dir():
        sys.stderr.write(f"making {slices} slices\n")
        write_series(series, slices)
    commands = {
        "raw": [sys.executable, "-S", "-c", READ_BYTES, str(series)],
        "simpleitk": [sys.executable, "-c", READ_SIMPLEITK, str(series)],
        "ours": [*calcreport_command(), "analyze", str(series), "--out", str(out), "--quiet", *PLAIN],
        "objects": [*calcreport_command(), "analyze", str(series), "--out", f"{out}-objects", "--quiet"],
        "steps": [sys.executable, str(Path(__file__).with_name("stages.py")), str(series), str(out)],
    }
    return _Series(slices=slices, out=out, commands=commands, runs={name: [] for name in commands})


def _measured(series: _Series) -> Measured:
    _check_results(series.out)
    weighed = {name: run_weighed(series.commands[name]).peak_bytes for name in ("simpleitk", "ours")}
    for out in (series.out, Path(f"{series.out}-objects")):
        shutil.rmtree(out, ignore_errors=True)
    seconds = {name: [run.seconds for run in runs] for name, runs in series.runs.items()}
    steps_s: list[dict[str, float]] = [json.loads(run.stdout) for run in series.runs["steps"]]
    return Measured(
        slices=series.slices,
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


def _check_results(out: Path) -> None:
    """Refuse to time an analysis that did not do its work: text, page, data and pictures, and the lesion found."""
    reports = list(out.glob("*/report.json"))
    names = {path.suffix for path in out.glob("*/report.*")} | {path.suffix for path in out.glob("*/images/*")}
    if len(reports) != 1 or not {".json", ".txt", ".html", ".png"} <= names:
        msg = "the analysis did not write its results"
        raise RuntimeError(msg)
    sizes = [row["size"]["max_diameter_mm"] or 0.0 for row in json.loads(reports[0].read_text())["lesions"]]
    if not any(abs(size - 32.0) < 2.0 for size in sizes):
        msg = f"the analysis missed the lesion of 32 mm (found {[round(size, 1) for size in sizes]})"
        raise RuntimeError(msg)


def _failures(rows: Sequence[Measured], help_s: float) -> list[str]:
    failures = [
        f"{row.slices} slices take {row.ratio:.2f} times SimpleITK's bare reading, more than {MAX_RATIO}"
        for row in rows
        if row.slices >= min(RATIO_AT, rows[-1].slices) and row.ratio > MAX_RATIO
    ]
    failures += [
        f"{row.slices} slices take {row.ours_bytes / 1e6:.0f} MB, more than {row.limit_bytes / 1e6:.0f} MB"
        for row in rows
        if row.ours_bytes > row.limit_bytes
    ]
    if help_s > MAX_HELP_S:
        failures.append(f"--help takes {help_s:.2f} s, more than {MAX_HELP_S} s")
    if len(rows) > 2:
        middle, largest = rows[len(rows) // 2], rows[-1]
        growth = _marginal_s(rows[0], largest) / _marginal_s(rows[0], middle)
        if growth > MAX_GROWTH:
            failures.append(f"cost grows faster than the number of slices (x {growth:.2f} a slice)")
    return failures


def _marginal_s(small: Measured, large: Measured) -> float:
    """Processor seconds for each further slice."""
    return (large.processor_s["ours"] - small.processor_s["ours"]) / (large.slices - small.slices)


def _page(rows: Sequence[Measured], help_s: float, repeats: int) -> str:
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d}: {machine()}; medians of {repeats} runs in turn, warm page cache.",
        "",
        "| slices | bytes read, s | SimpleITK reads, s | calcreport, s | ratio | with DICOM objects, s "
        "| SimpleITK, MB | calcreport, MB | volume, MB | allowed, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {row.slices} | {row.raw_s:.2f} | {row.simpleitk_s:.2f} | {row.ours_s:.2f} | {row.ratio:.2f} "
            f"| {row.objects_s:.2f} "
            f"| {row.simpleitk_bytes / 1e6:.0f} | {row.ours_bytes / 1e6:.0f} | {row.volume_bytes / 1e6:.0f} "
            f"| {row.limit_bytes / 1e6:.0f} |"
            for row in rows
        ),
        "",
        "Processor seconds, which other work on the machine disturbs less (SimpleITK, calcreport): "
        + "; ".join(
            f"{row.slices} slices {row.processor_s['simpleitk']:.2f}, {row.processor_s['ours']:.2f}" for row in rows
        )
        + ".",
        "",
        f"`calcreport --help`: {help_s:.2f} s.",
    ]
    if len(rows) > 1:
        pairs = pairwise(rows)
        growth = ", ".join(f"{1000 * _marginal_s(a, b):.1f} ({a.slices} to {b.slices})" for a, b in pairs)
        lines += ["", f"Processor milliseconds for each further slice: {growth}."]
    names = list(dict.fromkeys(name for row in rows for name in row.steps_s))
    lines += [
        "",
        "| step, s (in one process) | " + " | ".join(f"{row.slices} slices" for row in rows) + " |",
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
