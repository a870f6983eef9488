"""Studies small enough to analyse in a second, and the program run as a user runs it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).parent))

from preloaded import Preloaded

SPACING_MM: Final = 1.0
SHAPE: Final = (30, 128, 128)

Run = Callable[..., "subprocess.CompletedProcess[str]"]
WriteStudy = Callable[..., Path]


def limb_hu(*, deposit_mm: float = 12.0) -> NDArray[np.int16]:
    """HU of a limb in air, shape (slices, rows, columns), 1 mm: skin, fat, muscle, a bone, a deposit in muscle."""
    slices, rows, columns = SHAPE
    i, j, k = np.ogrid[:slices, :rows, :columns]
    radius = np.hypot(j - 64, k - 64) * SPACING_MM
    hu = np.full(SHAPE, -1000.0)
    hu[np.broadcast_to(radius < 52, SHAPE)] = 40.0  # skin
    hu[np.broadcast_to(radius < 50, SHAPE)] = -100.0  # fat
    hu[np.broadcast_to(radius < 40, SHAPE)] = 55.0  # muscle
    bone = np.hypot(j - 52, k - 64) * SPACING_MM
    hu[np.broadcast_to(bone < 10, SHAPE)] = 1200.0
    hu[np.broadcast_to(bone < 6, SHAPE)] = 50.0
    if deposit_mm:
        distance = np.sqrt((i - 15) ** 2 + (j - 84) ** 2 + (k - 64) ** 2) * SPACING_MM
        hu[distance < deposit_mm / 2] = 450.0
    hu += np.random.default_rng(1).normal(0.0, 8.0, SHAPE)
    return hu.round().astype(np.int16)


def write_slices(
    folder: Path,
    hu: NDArray[np.int16],
    *,
    uid: str = "1.2.826.0.1.3680043.10.1",
    tags: Mapping[str, Any] | None = None,
    leave_out: Sequence[int] = (),
) -> Path:
    """Write an axial CT series, one file a slice."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, plane in enumerate(hu):
        if number in leave_out:
            continue
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.2.{number}"
        dataset = Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = f"{uid}.1.{number}"[:64]
        dataset.StudyInstanceUID = uid
        dataset.SeriesInstanceUID = f"{uid}.1"[:64]
        dataset.FrameOfReferenceUID = f"{uid}.9"[:64]
        dataset.Modality = "CT"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.StudyDate = "20260110"
        dataset.PatientName = "Synthetic^Limb"
        dataset.PatientID = "SYN1"
        dataset.PatientPosition = "HFS"
        dataset.SeriesNumber = 2
        dataset.InstanceNumber = number + 1
        dataset.KVP = 120
        dataset.ConvolutionKernel = "B31f"
        dataset.SliceThickness = SPACING_MM
        dataset.ImagePositionPatient = [-64.0, -64.0, number * SPACING_MM]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [SPACING_MM, SPACING_MM]
        dataset.Rows, dataset.Columns = plane.shape
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
        dataset.PixelData = plane.astype("<i2").tobytes()
        for name, value in (tags or {}).items():
            setattr(dataset, name, value)
        dataset.save_as(folder / f"{number:04d}", enforce_file_format=True)
    return folder


@pytest.fixture(scope="session")
def limb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study with one deposit."""
    return write_slices(tmp_path_factory.mktemp("limb") / "study", limb_hu())


@pytest.fixture(scope="session")
def write_study() -> WriteStudy:
    """Write a study into a folder: ``write_study(folder, deposit_mm=12.0, uid=…, tags=…, leave_out=…)``."""

    def write(folder: Path, *, deposit_mm: float = 12.0, **how: Any) -> Path:
        return write_slices(folder, limb_hu(deposit_mm=deposit_mm), **how)

    return write


@pytest.fixture(scope="session")
def command() -> list[str]:
    """How the program is started."""
    return [sys.executable, "-m", "calcreport"]


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded]:
    """The program, loaded once."""
    server = Preloaded()
    yield server
    server.close()


@pytest.fixture(scope="session")
def run(command: list[str], preloaded: Preloaded) -> Run:
    """Run the program to its end: ``run("analyze", …).returncode``.

    It is started anew where the environment or the start itself is given, else forked where it is loaded already.
    """

    def start(*words: object, **how: Any) -> subprocess.CompletedProcess[str]:
        if how.keys() <= {"cwd"}:
            return preloaded.run([*map(str, words)], str(how.get("cwd", Path.cwd())))
        environment = {**os.environ, "PYTHONWARNINGS": "default", **how.pop("env", {})}
        return subprocess.run(
            [*command, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            **how,
        )

    return start


def _drop_root_powers() -> None:
    """Give up root's right to read and write everything, so that permissions count for this process too."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP: takes effect with exec
                os._exit(99)


@pytest.fixture(scope="session")
def as_plain_user() -> dict[str, Any]:
    """Arguments for ``run`` that make permissions count, also for root."""
    return {"preexec_fn": _drop_root_powers}


@pytest.fixture(scope="session")
def write_volume() -> WriteStudy:
    """Write voxels as a series: ``write_volume(folder, hu, leave_out=…)``."""
    return write_slices


@pytest.fixture(scope="session")
def bare_limb() -> NDArray[np.int16]:
    """HU of a limb without a deposit, shape (slices, rows, columns), 1 mm."""
    return limb_hu(deposit_mm=0)
