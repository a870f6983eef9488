"""What ``calcreport review`` promises at full size: a long series opens and scrolls, text follows a correction.

usage: run_review.py [--slices N] [--nodules N] [--keep DIR]

A made series of 1,000 slices with 47 deposits in its muscles is analysed, and the server is asked as its page asks:
time to the first slice after the study is opened, the slowest of 400 slices in a row (20 a second need one in 50 ms),
time from a correction to the text, and the largest resident memory of the server.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from made_series import Case, write_series  # noqa: E402


def main() -> None:
    """Make, analyse, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--nodules", type=int, default=47)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    root = options.keep or Path(tempfile.mkdtemp(prefix="review-"))
    if not (root / "out").exists():
        write_series(root / "in", Case(slices=options.slices, nodules=options.nodules))
        words = [sys.executable, "-m", "calcreport", "analyze", root / "in", "--out", root / "out", "--quiet"]
        subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL)
    words = [sys.executable, "-m", "calcreport", "review", root / "out", "--no-browser", "--quiet"]
    server = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
    try:
        sys.stdout.write(measured(server) + "\n")
    finally:
        server.terminate()
        server.wait()
    if options.keep is None:
        shutil.rmtree(root)


def measured(server: subprocess.Popen[str]) -> str:
    """All figures in one line."""
    assert server.stdout is not None
    address, _, token = server.stdout.readline().strip().partition("/?token=")

    def ask(path: str, method: str = "GET", body: object = None, **headers: str) -> tuple[float, bytes]:
        data = None if body is None else json.dumps(body).encode()
        words = {"Authorization": f"Bearer {token}", **headers}
        request = Request(address + path, data, words, method=method)  # noqa: S310 - this machine
        began = time.perf_counter()
        with urlopen(request) as answer:  # noqa: S310
            content = answer.read()
        return time.perf_counter() - began, content

    study = f"/api/studies/{json.loads(ask('/api/studies')[1])[0]['folder']}"
    opened_s, content = ask(study)
    state: dict[str, Any] = json.loads(content)
    images_s, content = ask(f"{study}/images")
    (stack, *_) = json.loads(content)["stacks"]
    middle = stack["shape"][0] // 2
    first_s = opened_s + images_s + ask(f"{study}/stacks/0/{middle}")[0]
    slices_s = [ask(f"{study}/stacks/0/{index}")[0] for index in range(middle - 200, middle + 200)]
    changes_s = []
    decisions: dict[str, object] = {}
    for number, row in enumerate(state["rows"][:20]):
        decisions[row["id"]] = {"pattern": {"id": "P01" if number % 2 else "P09"}}
        took_s, content = ask(f"{study}/review", "PUT", {"lesions": decisions}, **{"If-Match": state["version"]})
        state = json.loads(content)
        changes_s.append(took_s)
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    memory_mb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    slice_ms = [1000 * took for took in (statistics.median(slices_s), max(slices_s))]
    text_ms = [1000 * took for took in (statistics.median(changes_s), max(changes_s))]
    return (
        f"{stack['shape'][0]} slices, {len(state['rows'])} lesions: first slice {first_s:.2f} s after the study is "
        f"opened, slowest of 400 in a row {slice_ms[1]:.0f} ms (median {slice_ms[0]:.0f}); text after a correction "
        f"{text_ms[0]:.0f} ms (slowest {text_ms[1]:.0f}); server {memory_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
