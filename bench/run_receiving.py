"""Images a second that `calcreport listen` keeps and acknowledges, beside dcmtk's storescp and Orthanc in the same run.

usage: run_receiving.py [--files N] [--repeats K] [--check] [--write]

CT slices of 512 x 512, made first and not timed, sent by dcmtk's storescu on one association and on twenty at a time,
with TCP_NODELAY at both ends (dcmtk and Orthanc wait 40 ms for acknowledgements otherwise). Every figure is a median
over runs in turn, each into a fresh receiver with an empty store. Nothing is analysed meanwhile. storescp does not
flush to the disk what it acknowledges; Orthanc and calcreport do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from processes import machine
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

LEAST = {1: 60.0, 20: 100.0}
"""Files a second that have to be reached, by associations."""
MARK = "<!-- receiving: written by bench/run_receiving.py --write -->"
END = "<!-- end of receiving -->"
PAGE = Path(__file__).parents[1] / "docs" / "listener.md"
TITLE = "BENCH"
Start = Callable[[Path, int], list[str]]


def main() -> int:
    """Make the images, measure, print, and check or write when asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=400, help="images a run; default 400")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each receiver; default 3")
    parser.add_argument("--check", action="store_true", help="fail when too few images a second are kept")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/listener.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images", options.files)
        rates: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for number in range(options.repeats * len(LEAST) * len(RECEIVERS)):
            senders = tuple(LEAST)[number // len(RECEIVERS) % len(LEAST)]
            receiver = tuple(RECEIVERS)[number % len(RECEIVERS)]
            rates.setdefault((receiver, senders), []).append(measure(folder, receiver, senders, options.files))
    text = table(rates, options)
    sys.stdout.write(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        head, rest = page.split(MARK)
        PAGE.write_text(f"{head}{MARK}\n{text}{END}{rest.split(END)[1]}", encoding="utf-8")
    ours = {senders: median(rate for rate, _cpu in rates["calcreport", senders]) for senders in LEAST}
    return 1 if options.check and any(ours[senders] < least for senders, least in LEAST.items()) else 0


def write_images(folder: Path, count: int) -> None:
    """Write CT slices of 512 x 512: noise, so that nothing is gained by their content."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    for number in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.3.{number}"
        image = Dataset()
        image.file_meta = meta
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.826.0.1.3680043.10.3", "1.2.826.0.1.3680043.10.3.0"
        image.Modality, image.PatientID, image.PatientName, image.InstanceNumber = "CT", "BENCH", "Bench", number
        image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.RescaleSlope, image.RescaleIntercept = [1, 1], 1, -1024
        image.Rows = image.Columns = 512
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.PixelData = noise.integers(0, 4096, (512, 512), dtype=np.uint16).tobytes()
        image.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)


def measure(folder: Path, receiver: str, senders: int, count: int) -> tuple[float, float]:
    """Files a second, and processor milliseconds of the receiver a file."""
    store, port = folder / "store", _free_port()
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(RECEIVERS[receiver](store, port), stdout=log, stderr=log, env=_quick())  # noqa: S603
    try:
        _wait(port)
        watched = psutil.Process(process.pid)
        before, begun = watched.cpu_times(), time.perf_counter()
        _send(folder / "images", port, senders)
        seconds, after = time.perf_counter() - begun, watched.cpu_times()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    kept = sum(524_288 < path.stat().st_size < 530_000 for path in store.rglob("*") if path.is_file())
    if kept != count:
        message = f"{receiver} kept {kept} of {count} files"
        raise RuntimeError(message)
    return count / seconds, 1000 * (after.user + after.system - before.user - before.system) / count


def table(rates: dict[tuple[str, int], list[tuple[float, float]]], options: argparse.Namespace) -> str:
    """Figures as they stand in the documentation."""
    rows = [
        f"{options.files} files of 525 kB, median of {options.repeats} (slowest to fastest). {machine()}, "
        f"{datetime.now(UTC).date()}, load average {os.getloadavg()[1]:.1f}.",
        "",
        "| receiver | one association, files/s | twenty, files/s | its processor time a file |",
        "|---|---|---|---|",
    ]
    for receiver in RECEIVERS:
        cells = []
        for senders in LEAST:
            values = sorted(rate for rate, _cpu in rates[receiver, senders])
            cells.append(f"{median(values):.0f} ({values[0]:.0f} to {values[-1]:.0f})")
        processor = median(cpu for senders in LEAST for _rate, cpu in rates[receiver, senders])
        rows.append(f"| {receiver} | {' | '.join(cells)} | {processor:.1f} ms |")
    return "\n".join(rows) + "\n"


def _calcreport(store: Path, port: int) -> list[str]:
    program = [sys.executable, "-m", "calcreport", "listen"]
    return [*program, "--store", str(store), "--port", str(port), "--aet", TITLE]


def _storescp(store: Path, port: int) -> list[str]:
    return [_tool("storescp"), "-aet", TITLE, "-od", str(store), str(port)]


def _orthanc(store: Path, port: int) -> list[str]:
    settings = {
        "StorageDirectory": str(store), "IndexDirectory": str(store), "DicomPort": port, "HttpPort": _free_port(),
        "DicomAet": TITLE, "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
        "SyncStorageArea": True,
    }  # fmt: skip
    path = store.parent / "orthanc.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return [_tool("Orthanc"), str(path)]


RECEIVERS: dict[str, Start] = {"calcreport": _calcreport, "storescp": _storescp, "Orthanc": _orthanc}


def _send(images: Path, port: int, senders: int) -> None:
    files = sorted(map(str, images.iterdir()))
    command = [_tool("storescu"), "-aec", TITLE, "127.0.0.1", str(port)]
    running = [
        subprocess.Popen([*command, *files[number::senders]], env=_quick(), stderr=subprocess.PIPE)  # noqa: S603 - as above
        for number in range(senders)
    ]
    if any(process.wait(600) for process in running):
        message = f"a sender failed: {[process.communicate()[1] for process in running]}"
        raise RuntimeError(message)
    for process in running:
        process.communicate()


def _quick() -> dict[str, str]:
    return {**os.environ, "TCP_NODELAY": "1"}


def _wait(port: int) -> None:
    echo = [_tool("echoscu"), "-aec", TITLE, "127.0.0.1", str(port)]
    for _attempt in range(150):
        if subprocess.run(echo, stderr=subprocess.DEVNULL, check=False).returncode == 0:  # noqa: S603 - as above
            return
        time.sleep(0.2)
    message = "the receiver did not start"
    raise RuntimeError(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tool(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        message = f"{name} is not installed"
        raise RuntimeError(message)
    return path


if __name__ == "__main__":
    sys.exit(main())
