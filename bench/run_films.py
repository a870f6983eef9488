"""Time and memory of the analysis of one large radiograph, beside SimpleITK reading it and setting a threshold.

usage: run_films.py [--repeats K] [--check] [--write]

One film of 3000 x 3000, made first and not timed. Every figure is a median over runs in turn, each a process of its
own from start to end, imports included, with the file in the page cache and modules compiled.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from made_film import PIXEL_MM, SIDE, write_film
from processes import Run, calcreport_command, machine, run_timed, run_weighed

from calcreport.errors import CalcReportError

MAX_SECONDS = 2.0
"""A film of 3000 x 3000 analysed, report, page and pictures, by the fastest run: other work only ever adds to it."""
MAX_WITH_OBJECTS_SECONDS = 3.0
"""The same with the DICOM objects that are written by default; what writes them takes half a second to load."""
MAX_ERROR_MM = 1.0
"""An analysis that measures the largest lesion less well did not do its work."""

MARK = "<!-- films: written by bench/run_films.py --write -->"
END = "<!-- end of films -->"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

PLAIN = ("--format", "text,json,html,png")
"""Report, page and pictures alone."""

SIMPLEITK = (
    "import sys, SimpleITK as sitk\n"
    "film = sitk.ReadImage(sys.argv[1])\n"
    "sitk.ConnectedComponent(sitk.OtsuThreshold(film))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Wall and processor seconds of one program: medians, and wall seconds of the fastest run."""

    wall_s: float
    processor_s: float
    fastest_s: float


def main() -> int:
    """Make the film, measure, print, and check or write when asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each program; default 7")
    parser.add_argument("--check", action="store_true", help="fail when the limit is exceeded")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calcreport-bench-") as folder:
        text, measured = _measure(Path(folder), options.repeats)
    sys.stdout.write(text)
    if options.write:
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
        PAGE.write_text(f"{head}{MARK}\n\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    limits = (MAX_SECONDS, MAX_WITH_OBJECTS_SECONDS)
    slow = [times for times, limit in zip(measured, limits, strict=True) if times.fastest_s > limit]
    if options.check and slow:
        sys.stderr.write(f"too slow: a film takes {slow[0].fastest_s:.2f} s at best\n")
        return 1
    return 0


def _measure(folder: Path, repeats: int) -> tuple[str, tuple[Times, Times]]:
    """Time every program on the film in turn; return the text for the page, and the times without and with objects."""
    study, out = folder / "film", folder / "out"
    true_mm = write_film(study)
    here = Path(__file__).parent
    commands = {
        "simpleitk": [sys.executable, "-c", SIMPLEITK, str(study / "film.dcm")],
        "ours": [*calcreport_command(), "analyze", str(study), "--out", str(out), "--quiet"],
        "plain": [*calcreport_command(), "analyze", str(study), "--out", f"{out}-plain", "--quiet", *PLAIN],
        "steps": [sys.executable, str(here / "stages.py"), str(study), str(out)],
        "search": [sys.executable, str(here / "film_search.py"), str(study)],
    }
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for repeat in range(-1, repeats):
        for name, command in commands.items():
            run = run_timed(command)
            if repeat >= 0:  # the one before warms the page cache
                runs[name].append(run)
    _check_results(out, true_mm)
    peak = {name: run_weighed(commands[name]).peak_bytes / 1e6 for name in ("simpleitk", "ours")}
    times = {name: _times([(run.seconds, run.processor_s) for run in listed]) for name, listed in runs.items()}
    search = _times([json.loads(run.stdout) for run in runs["search"]])
    steps = [json.loads(run.stdout) for run in runs["steps"]]
    named = ", ".join(f"{name} {median(step.get(name, 0.0) for step in steps):.2f}" for name in steps[0])
    load = os.getloadavg()[0]
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d}: {machine()}; medians of {repeats} runs in turn, warm page cache, load "
        f"{load:.1f} at the end. One DX film of {SIDE} x {SIDE} at {PIXEL_MM:g} mm, 16 bits a pixel, uncompressed.",
        "",
        "| program | wall, s | fastest run, s | processor, s | peak memory, MB |",
        "|---|---|---|---|---|",
        _row("SimpleITK reads the film, Otsu threshold, connected parts", times["simpleitk"], peak["simpleitk"]),
        _row("`calcreport analyze`, start of the process to written results", times["ours"], peak["ours"]),
        _row(f"the same without DICOM objects (`{' '.join(PLAIN)}`)", times["plain"], None),
        _row("of it, the search of the film", search, None),
        "",
        f"Steps, wall s, in one process: {named}.",
        "",
        f"Limits, by the fastest run: {MAX_SECONDS:g} s without and {MAX_WITH_OBJECTS_SECONDS:g} s with DICOM objects.",
    ]
    return "\n".join(lines) + "\n", (times["plain"], times["ours"])


def _times(runs: Sequence[Sequence[float]]) -> Times:
    """Sum up runs of wall and processor seconds."""
    wall, processor = zip(*runs, strict=True)
    return Times(wall_s=median(wall), processor_s=median(processor), fastest_s=min(wall))


def _row(name: str, times: Times, peak_mb: float | None) -> str:
    memory = "" if peak_mb is None else f"{peak_mb:.0f}"
    return f"| {name} | {times.wall_s:.2f} | {times.fastest_s:.2f} | {times.processor_s:.2f} | {memory} |"


def _check_results(out: Path, true_mm: float) -> None:
    """Refuse to time an analysis that did not find and measure the largest lesion of the film."""
    reports = list(out.glob("*/report.json"))
    names = {path.suffix for path in out.glob("*/report.*")} | {path.suffix for path in out.glob("*/images/*")}
    if len(reports) != 1 or not {".json", ".txt", ".html", ".png"} <= names:
        msg = "the analysis did not write its results"
        raise RuntimeError(msg)
    sizes = [row["size"]["max_diameter_mm"] or 0.0 for row in json.loads(reports[0].read_text())["lesions"]]
    if not any(abs(size - true_mm) <= MAX_ERROR_MM for size in sizes):
        msg = f"the analysis missed the lesion of {true_mm:.1f} mm (found {[round(size, 1) for size in sizes]})"
        raise RuntimeError(msg)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, CalcReportError) as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
