"""An earlier copy of a CT series: turned and shifted, in a frame of reference of its own, with fresh noise."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its name everywhere
from calcphantom.insert import Host, write_host
from numpy.typing import NDArray

from calcreport.model.geometry import VolumeGeometry
from calcreport.registration.reduce import image_of

AIR_HU = -1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How the earlier study differs."""

    turn_deg: float = 8.0
    shift_mm: float = 20.0
    noise_hu: float = 15.0
    keep: tuple[float, float] = (0.0, 1.0)
    """Shares of the slices between which it was taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turned:
    """The copy, and where positions of the original lie in it."""

    host: Host
    matrix: NDArray[np.float64]
    """Shape ``(3, 3)`` ..."""
    offset: NDArray[np.float64]
    """... and ``(3,)``: position in the copy = matrix @ position + offset, LPS mm."""

    def moved(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions in the copy, shape ``(n, 3)``."""
        return lps_mm @ self.matrix.T + self.offset


def turned(host: Host, pose: Pose, seed: int) -> Turned:
    """Turn about a random axis through the middle, shift in a random direction, move the frame of reference."""
    rng = np.random.default_rng(seed)
    geometry = host.geometry
    axis, way = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
    move = sitk.VersorRigid3DTransform()
    move.SetCenter(geometry.lps_mm((np.array(geometry.shape) - 1) / 2).tolist())
    move.SetRotation(axis.tolist(), float(np.radians(pose.turn_deg)))
    move.SetTranslation((pose.shift_mm * way).tolist())
    image = image_of(np.clip(host.hu(), AIR_HU, 3071).astype(np.int16), geometry)
    hu = sitk.GetArrayFromImage(sitk.Resample(image, image, move, sitk.sitkLinear, AIR_HU)).astype(np.float32)
    hu += pose.noise_hu * rng.standard_normal(hu.shape, dtype=np.float32)
    first, last = (round(share * len(hu)) for share in pose.keep)
    frame = rng.uniform(-300, 300, 3)
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.lps_mm(np.array([first, 0, 0])) + frame
    place = VolumeGeometry(affine=affine, shape=(last - first, *geometry.shape[1:]))
    slope, intercept = (host.scale[first:last, i, None, None] for i in (0, 1))
    stored = np.clip(np.rint((np.maximum(hu[first:last], AIR_HU) - intercept) / slope), *host.limits())
    inverse = move.GetInverse()
    origin = np.array(inverse.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.stack([np.array(inverse.TransformPoint(e)) - origin for e in np.eye(3).tolist()], axis=1)
    new = dataclasses.replace(
        host, headers=host.headers[first:last], stored=stored.astype(np.int32), scale=host.scale[first:last],
        geometry=place,
    )  # fmt: skip
    return Turned(host=new, matrix=matrix, offset=origin + frame)


def write_study(host: Host, folder: Path, *, salt: str, day: str) -> Path:
    """Write a series as a study of its own of that day (YYYYMMDD)."""
    headers = tuple(copy.deepcopy(header) for header in host.headers)
    for header in headers:
        header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = day
        header.PatientID = header.get("PatientID") or "TURNED"
    write_host(dataclasses.replace(host, headers=headers), folder, salt=salt)
    return folder
