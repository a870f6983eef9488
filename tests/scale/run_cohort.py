"""What ``calcreport cohort`` promises at full size: killed again and again, thousands of studies, throughput.

usage: run_cohort.py [killed] [scheduler] [made] [reported] [throughput] [--studies N] [--seconds S] [--jobs N]
                     [--keep DIR]

killed      phantom studies (300), the run killed by SIGKILL every S seconds (20) until it is done: tables byte for byte
            those of an undisturbed run, and no finished study analysed twice
scheduler   the same studies on two workers of a Dask scheduler, one of which is killed in the middle
made        tiny studies (5,000), all refused: memory of the parent, and how long a finished cohort takes to be
            recognised
reported    the same of 5,000 phantom studies, each with a lesion and a report
throughput  phantom studies (60): studies a second against the median time of one study and the number of processes
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import conftest as LIMBS  # noqa: E402, N812 - a folder of tests, with the small studies of the others

UID = "1.2.826.0.1.3680043.10.55"
ALL = ["killed", "scheduler", "made", "reported", "throughput"]


def write_phantoms(folder: Path, count: int) -> None:
    """Limbs with a deposit of 6 to 20 mm, each its own patient."""
    for number in range(count):
        hu = LIMBS.limb_hu(deposit_mm=6.0 + number % 15)
        write(folder, number, hu)


def write_made(folder: Path, count: int) -> None:
    """Tiny studies that are refused: what a cohort costs beside the analysis; one is made, and renamed byte by byte."""
    first = 10_000
    with tempfile.TemporaryDirectory() as made_once:
        write(Path(made_once), first, np.full((20, 8, 8), 40, dtype=np.int16), RescaleType="US")
        files = {path.name: path.read_bytes() for path in Path(made_once).rglob("*") if path.is_file()}
    for number in range(first, first + count):
        place = folder / f"{number % 50:02d}" / str(number)
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / name).write_bytes(content.replace(str(first).encode(), str(number).encode()))


def write(folder: Path, number: int, hu: np.ndarray, **tags: str) -> None:
    """Write one study, fifty folders deep at most."""
    place = folder / f"{number % 50:02d}" / str(number)
    LIMBS.write_slices(place, hu, uid=f"{UID}.{number}", tags={"PatientID": f"P{number}", **tags})


def start(paths: Path, out: Path, jobs: int, *further: object) -> subprocess.Popen[bytes]:
    """Start a run; its progress is shown."""
    words = [sys.executable, "-m", "calcreport", "cohort", paths, "--out", out, "--jobs", jobs, "--format", "json,png"]
    salt = out.parent / "salt"
    salt.write_text("salt")
    return subprocess.Popen([*map(str, words), "--salt", str(salt), *map(str, further)])


def start_dask(*words: object) -> subprocess.Popen[bytes]:
    """Start a scheduler or a worker."""
    return subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_" + str(words[0]), *map(str, words[1:])])


def most_memory_mb(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a run; its own largest resident memory, in MB, without its workers."""
    most = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            break
        most = max([most, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.2)
    assert process.wait() in {0, 3, 4}
    return most / 1024


def stamps(out: Path) -> dict[str, int]:
    """When each finished study came into place."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*/cohort_row.json")}


def tables(out: Path) -> dict[str, bytes]:
    """Content of every table."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in {".csv", ".parquet"}}


def killed(folder: Path, count: int, jobs: int, seconds: float) -> None:
    """Kill the run until it is done."""
    write_phantoms(folder / "in", count)
    assert start(folder / "in", folder / "whole", jobs).wait() == 0
    finished: dict[str, int] = {}
    kills = 0
    while True:
        process = start(folder / "in", folder / "killed", jobs)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            now = stamps(folder / "killed")
            assert {name: now.get(name) for name in finished} == finished, "a finished study was analysed twice"
            finished = now
            continue
        assert code == 0
        break
    now = stamps(folder / "killed")
    assert {name: now.get(name) for name in finished} == finished, "a finished study was analysed twice"
    assert tables(folder / "killed") == tables(folder / "whole"), "the tables differ"
    sys.stdout.write(
        f"killed: {count} studies, killed {kills} times; tables identical, no finished study analysed twice\n"
    )


def scheduled(folder: Path, count: int, jobs: int) -> None:
    """Kill one of two workers when a third of the studies is finished."""
    write_phantoms(folder / "in", count)
    assert start(folder / "in", folder / "whole", jobs).wait() == 0
    file, out = folder / "scheduler.json", folder / "out"
    helpers = [start_dask("scheduler", "--scheduler-file", file, "--port", 0, "--no-dashboard")]
    try:
        while not file.exists():
            time.sleep(0.1)
        alone = ("--scheduler-file", file, "--nthreads", 1, "--no-nanny", "--local-directory", folder / "dask")
        helpers += [start_dask("worker", *alone, "--no-dashboard") for _ in range(2)]
        process = start(folder / "in", out, jobs, "--scheduler", file)
        while process.poll() is None and len(stamps(out)) < count // 3:
            time.sleep(0.05)
        finished = stamps(out)
        helpers[1].kill()
        assert process.wait() == 0
        now = stamps(out)
        assert {name: now.get(name) for name in finished} == finished, "a finished study was analysed twice"
        assert tables(out) == tables(folder / "whole"), "the tables differ"
    finally:
        for helper in reversed(helpers):
            helper.kill()
            helper.wait()
    sys.stdout.write(f"scheduler: {count} studies, a worker lost after {len(finished)}; tables identical, none twice\n")


def finished_twice(folder: Path, count: int, jobs: int) -> None:
    """Run the cohort in ``in``; measure the parent, and how fast the finished cohort is recognised."""
    began = time.monotonic()
    most = most_memory_mb(start(folder / "in", folder / "out", jobs))
    first = time.monotonic() - began
    before = tables(folder / "out")
    began = time.monotonic()
    again = most_memory_mb(start(folder / "in", folder / "out", jobs))
    second = time.monotonic() - began
    assert tables(folder / "out") == before
    page = (folder / "out/qc.html").stat().st_size / 1e6
    sys.stdout.write(
        f"{folder.name}: {count} studies of 20 files: {first:.0f} s, parent {most:.0f} MB; "
        f"finished cohort recognised in {second:.1f} s, parent {again:.0f} MB; qc.html {page:.1f} MB\n"
    )


def throughput(folder: Path, count: int, jobs: int) -> None:
    """Compare with the median time of one study: alone, and beside others, with which it shares the memory."""
    write_phantoms(folder / "in", count)
    assert start(folder / "in", folder / "one", 1).wait() == 0
    began = time.monotonic()
    assert start(folder / "in", folder / "all", jobs).wait() == 0
    seconds = time.monotonic() - began
    sys.stdout.write(f"throughput: {count} studies in {seconds:.1f} s on {jobs} processes\n")
    for out, what in (("one", "one at a time"), ("all", "side by side")):
        rows = (folder / out).glob("[0-9]*/cohort_row.json")
        median = statistics.median(json.loads(row.read_text(encoding="utf-8"))["seconds"] for row in rows)
        sys.stdout.write(f"  {count * median / seconds / jobs:.0%} of {jobs} / {median:.3f} s, the median {what}\n")


def main() -> None:
    """Run what was asked for, everything by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*ALL, []], default=[])
    parser.add_argument("--studies", type=int)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    root = options.keep or Path(tempfile.mkdtemp(prefix="cohort-"))
    for what in options.what or ALL:
        folder = root / what
        folder.mkdir(parents=True)
        if what == "killed":
            killed(folder, options.studies or 300, options.jobs, options.seconds)
        elif what == "scheduler":
            scheduled(folder, options.studies or 300, options.jobs)
        elif what in {"made", "reported"}:
            {"made": write_made, "reported": write_phantoms}[what](folder / "in", options.studies or 5000)
            finished_twice(folder, options.studies or 5000, options.jobs)
        else:
            throughput(folder, options.studies or 60, options.jobs)
    if options.keep is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
