"""Small images for registration: block means of a part of a volume, in the patient's axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its name everywhere
from numpy.typing import NDArray

from calcreport.anatomy.arrays import Floats, Mask
from calcreport.anatomy.body import find_body
from calcreport.anatomy.coarse import block_means, coarsen
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume

WINDOW_HU = (-200.0, 450.0)
"""Air is as dark as fat, so that gas and clothes pull little; cortex stands out without ruling everything."""

AIR_HU = WINDOW_HU[0]  # what lies outside


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """A volume with its body on a grid of about 3 mm."""

    volume: CtVolume
    body: Mask
    """Coarse shape."""
    coarse: VolumeGeometry
    """Of the body."""

    @property
    def points(self) -> Floats:
        """Middles of the coarse blocks of the body, LPS mm, shape ``(n, 3)``."""
        return self.coarse.lps_mm(np.argwhere(self.body))


def scan_of(volume: CtVolume) -> Scan:
    """Find the body: table, clothes and the other sheet of the bed do not move with it."""
    coarse = coarsen(volume)
    body = find_body(coarse).mask
    # Means lie in the middle of the rows and columns of a block, and in its first slice.
    step, shift = np.array(coarse.step), np.array([0.0, (coarse.step[1] - 1) / 2, (coarse.step[2] - 1) / 2])
    return Scan(volume=volume, body=body, coarse=_stepped(volume.geometry, step, shift, body.shape))


def _stepped(
    geometry: VolumeGeometry, step: NDArray[np.integer], first: Floats, shape: tuple[int, ...]
) -> VolumeGeometry:
    affine = geometry.affine.copy()
    affine[:3, :3] *= step
    affine[:3, 3] = geometry.lps_mm(first)
    i, j, k = shape
    return VolumeGeometry(affine=affine, shape=(i, j, k))


def image_of(array: NDArray[np.generic], geometry: VolumeGeometry) -> sitk.Image:
    """Make an image that lies where `geometry` says; axes of a sheared stack need not be perpendicular."""
    image = sitk.GetImageFromArray(array)
    steps = geometry.affine[:3, [2, 1, 0]]
    lengths = np.linalg.norm(steps, axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    image.SetOrigin(geometry.affine[:3, 3].tolist())
    return image


def part_of(volume: CtVolume, low: Floats, high: Floats, step_mm: float) -> sitk.Image | None:
    """Block means of about `step_mm` of the part of a volume in a box of LPS mm, within `WINDOW_HU`.

    ``None`` where the box meets no slice. Only voxels of the box are read.
    """
    corners = np.array(list(product(*zip(low, high, strict=True))))
    index = volume.geometry.index(corners)
    first = np.maximum(np.floor(index.min(axis=0)), 0).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0)) + 1, volume.hu.shape).astype(int)
    step = np.maximum(1, np.round(step_mm / np.array(volume.geometry.spacing_mm))).astype(int)
    step = np.minimum(step, np.maximum(1, last - first))
    last = first + (last - first) // step * step
    if np.any(last - first < 2 * step):
        return None
    cut = volume.hu[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    planes = block_means(np.maximum(cut, np.int16(-1024)), (int(step[1]), int(step[2])))
    if step[0] > 1:
        planes = planes.reshape(-1, step[0], *planes.shape[1:]).mean(axis=1)
    geometry = _stepped(volume.geometry, step, first + (step - 1) / 2, planes.shape)
    return image_of(np.clip(planes, *WINDOW_HU).astype(np.float32), geometry)


def mask_on(scan: Scan, like: sitk.Image) -> sitk.Image:
    """Body on the grid of another image."""
    mask = image_of(scan.body.astype(np.uint8), scan.coarse)
    return sitk.Resample(mask, like, sitk.Transform(), sitk.sitkNearestNeighbor, 0)


def canonical(image: sitk.Image, step_mm: float) -> sitk.Image:
    """Resample into axes of the patient, voxels of `step_mm`; a mask stays one."""
    ends = [(-0.5, n - 0.5) for n in image.GetSize()]
    corners = [image.TransformContinuousIndexToPhysicalPoint(corner) for corner in product(*ends)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    size = np.maximum(1, np.ceil((high - low) / step_mm)).astype(int).tolist()
    how = (sitk.sitkLinear, AIR_HU) if image.GetPixelID() == sitk.sitkFloat32 else (sitk.sitkNearestNeighbor, 0)
    origin, axes = (low + step_mm / 2).tolist(), np.eye(3).ravel().tolist()
    return sitk.Resample(image, size, sitk.Transform(), how[0], origin, [step_mm] * 3, axes, how[1])
