"""How long ``calcreport listen`` takes to start on a store with many kept studies, and ``calcreport status`` to answer.

usage: run_kept.py [--studies N] [--images N] [--runs N] [--keep DIR]

Studies (20,000) are done and delivered, each with so many images (50) and results. Images are links to empty files:
their names are all that a start reads. Wall time is what an operator waits for, so run it on a quiet machine: the load
average is printed beside it, and the processor time, which depends less on it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from listening import Service  # noqa: E402

from calcreport.service.identity import content_of, uid_digest  # noqa: E402
from calcreport.service.queue import Record  # noqa: E402

UID = "1.2.826.0.1.3680043.10.99"
MOST_LINKS = 60_000  # to one file
START_S, STATUS_S = 10.0, 2.0  # that issue asks for


def make(store: Path, studies: int, images: int) -> None:
    """Studies as the service leaves them."""
    made = 0
    for number in range(studies):
        uid = f"{UID}.{number}"
        folder = store / "studies" / uid_digest(uid)
        results = folder / "results" / uid
        (folder / "images").mkdir(parents=True)
        results.mkdir(parents=True)
        (results / "report.json").touch()
        names = []
        for image in range(images):
            if made % MOST_LINKS == 0:
                base = store / f"base-{made}"
                base.touch()
            name = f"{uid_digest(f'{uid}.{image}')}.{hashlib.sha256(f'{made}'.encode()).hexdigest()[:32]}.dcm"
            os.link(base, folder / "images" / name)
            names.append(name)
            made += 1
        content = content_of(sorted(names))
        record = Record(
            study_instance_uid=uid, state="done", content=content, reported=content, revision=1, outcome="reported",
            images=images, changed=time.time() - number, done_running_s=1.0, seconds=30.0,
        )  # fmt: skip
        (folder / "record.json").write_bytes(record.to_bytes())


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds by the wall and of the processor that a command takes."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, used


def started(service: Service) -> tuple[float, float]:
    """Seconds until the service answers."""
    begun = time.monotonic()
    service.start()
    assert service.process is not None
    stat = Path(f"/proc/{service.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return time.monotonic() - begun, (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure; exit code 1 when something takes longer than is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder that the store is left in, and taken from the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        if not (folder / "store").exists():
            (folder / "store").mkdir(parents=True)
            make(folder / "store", options.studies, options.images)
        service = Service([sys.executable, "-m", "calcreport"], folder)
        starts, answers = [], []
        for _run in range(options.runs):
            starts.append(started(service))
            time.sleep(3)
            words = [*service.command, "status", "--config", str(folder / "service.toml")]
            answers.append(timed(words))
            service.stop(signal.SIGTERM, seconds=60)
    rows = [("start", starts, START_S), ("status", answers, STATUS_S)]
    made = {
        name: {
            "wall_s": round(statistics.median(wall for wall, _used in runs), 2),
            "processor_s": round(statistics.median(used for _wall, used in runs), 2),
            "asked_for_s": most,
        }
        for name, runs, most in rows
    }
    row = {"studies": options.studies, "images": options.images, **made, "load": os.getloadavg()[0]}
    sys.stdout.write(json.dumps(row) + "\n")
    return int(any(row["wall_s"] > row["asked_for_s"] for row in made.values()))


if __name__ == "__main__":
    sys.exit(main())
