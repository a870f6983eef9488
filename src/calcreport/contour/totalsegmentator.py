"""Anatomy masks made by TotalSegmentator where it is installed, with weights that are there: nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from calcreport.contour.anatomy import read_anatomy
from calcreport.contour.stream import refuse
from calcreport.errors import InputError, UsageError
from calcreport.model.anatomy_labels import AnatomyLabels
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.processes import child
from calcreport.settings import ReadingSettings

COMMAND: Final = "TotalSegmentator"  # as installed, on the path

_NO_NETWORK: Final = {
    name: "http://127.0.0.1:9" for word in ("http_proxy", "https_proxy", "all_proxy") for name in (word, word.upper())
}
"""A proxy that answers nothing: TotalSegmentator sends usage statistics, and fetches weights that are missing."""

_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Limited in our own process, for reasons that do not hold for a network."""


def require_totalsegmentator(environment: Mapping[str, str] = os.environ) -> str:
    """Find the command and its weights; raises `UsageError` ``usage.no_totalsegmentator``, ``usage.no_weights``."""
    command = shutil.which(COMMAND, path=environment.get("PATH"))
    if command is None:
        msg = f"--anatomy run needs the command {COMMAND}; install it, or give masks that were made elsewhere"
        raise UsageError(msg, code="usage.no_totalsegmentator")
    home = Path(environment.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator")
    weights = Path(environment.get("TOTALSEG_WEIGHTS_PATH") or home / "nnunet" / "results")
    if not any(True for place in ("", "nnUNet/*/") for _ in weights.glob(f"{place}*TotalSegmentator*")):
        msg = "TotalSegmentator has no weights on this machine; fetch them once: totalseg_download_weights -t total"
        raise UsageError(msg, code="usage.no_weights")
    return command


def label_anatomy(volume: CtVolume, *, seconds: float, limits: ReadingSettings | None = None) -> AnatomyLabels:
    """Let TotalSegmentator label a CT volume; it sees voxels and their place, no header, and is ended after `seconds`.

    Raises `UsageError` as `require_totalsegmentator`, `InputError` ``anatomy.tilted``, ``anatomy.run_failed`` and those
    of `read_anatomy`.
    """
    command = require_totalsegmentator()
    if volume.geometry.is_sheared:
        refuse("anatomy.tilted", "TotalSegmentator takes no slices of a tilted gantry; leave out --anatomy")
    with TemporaryDirectory(prefix="calcreport-") as folder:
        source, made, lock = (Path(folder) / name for name in ("ct.nii.gz", "labels.nii.gz", "lock"))
        _write_nifti(volume, source)
        # By way of `child`, so that it ends with this process; memory and time are its own matter.
        words = [sys.executable, "-I", child.__file__, *[str(sys.maxsize)] * 2, str(lock), str(os.getpid())]
        words += [command, "-i", str(source), "-o", str(made), "--ml"]
        environment = {name: value for name, value in os.environ.items() if name not in _THREADS} | _NO_NETWORK
        try:
            subprocess.run(  # noqa: S603 - a list of our own making
                words, env=environment, timeout=seconds, check=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError) as error:
            msg = f"TotalSegmentator failed ({type(error).__name__}); try it by itself, or leave out --anatomy"
            raise InputError(msg, code="anatomy.run_failed") from error
        if not made.is_file():
            refuse("anatomy.run_failed", "TotalSegmentator wrote no labels; try it by itself, or leave out --anatomy")
        return read_anatomy(made, volume, limits=limits)


def _write_nifti(volume: CtVolume, path: Path) -> None:
    import SimpleITK as sitk  # noqa: N813, PLC0415 - 0.2 s, not needed without masks

    image = sitk.GetImageFromArray(np.maximum(volume.hu, LOWEST_HU))
    steps = volume.geometry.affine[:3, 2::-1]
    lengths = np.linalg.norm(steps, axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    image.SetOrigin(volume.geometry.affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path))
