"""A power cut: what the disk holds at the moment of an acknowledgement is what the service goes on from.

The store lies on a file system in a file. The file is copied the instant the last answer arrives: what was only in the
system's cache is not in the copy. Needs root, for the mount.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from listening import Service, associate, data_set_of, wait_for

pytestmark = pytest.mark.interop
QUICK = '[service.study]\nquiet_seconds = 1\n[service.analysis]\nformats = "json"\n'
SAMPLE = Path(__file__).parents[2] / "sample_dicoms" / "negative_calf"


@contextmanager
def _mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    result = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("a file system in a file cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def disk(tmp_path: Path, need_tool: Callable[[str], str]) -> Path:
    """File with an empty file system."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    path = tmp_path / "disk.img"
    subprocess.run(["truncate", "-s", "300M", path], check=True)
    subprocess.run([need_tool("mkfs.ext4"), "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", path], check=True)
    return path


@contextmanager
def _served(folder: Path, store: Path, toml: str) -> Iterator[Service]:
    service = Service([sys.executable, "-m", "calcreport"], folder)
    service.store = store
    service.configure(toml)
    try:
        yield service.start()
    finally:
        service.stop(signal.SIGKILL)


def _send(service: Service) -> list[int]:
    """Send the sample on one association; give the status of each image."""
    datasets = [pydicom.dcmread(path) for path in sorted(SAMPLE.rglob("*.dcm"))]
    context = (str(datasets[0].SOPClassUID), str(datasets[0].file_meta.TransferSyntaxUID))
    with associate(service.port, contexts=[context]) as association:
        return [association.send_c_store(dataset).Status for dataset in datasets]


def test_nothing_acknowledged_is_lost_and_the_study_is_reported(disk: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.img"
    with (
        _mounted(disk, tmp_path / "before") as folder,
        _served(tmp_path, folder / "store", QUICK.replace("quiet_seconds = 1", "quiet_seconds = 600")) as service,
    ):
        statuses = _send(service)
        shutil.copyfile(disk, after)
        kept = {data_set_of(path) for path in service.images()}
    assert set(statuses) == {0}
    assert len(kept) == len(statuses)
    with _mounted(after, tmp_path / "after") as folder, _served(tmp_path, folder / "store", QUICK) as service:
        assert {data_set_of(path) for path in service.images()} == kept
        service.wait_done()


def test_a_power_cut_during_an_analysis_costs_no_report(disk: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.img"
    with _mounted(disk, tmp_path / "before") as folder, _served(tmp_path, folder / "store", QUICK) as service:
        assert set(_send(service)) == {0}
        wait_for(lambda: any(record.get("state") == "analysing" for record in service.records()))
        shutil.copyfile(disk, after)
    with _mounted(after, tmp_path / "after") as folder, _served(tmp_path, folder / "store", QUICK) as service:
        (record,) = service.wait_done()
        assert record["revision"] == 1
