"""Copies of a study as another scanner, another protocol or a careless export would have made it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from calcphantom.dicom_series import decimal_text
from calcphantom.insert import Host
from calcphantom.insert.blur import measure_noise_hu
from numpy.typing import NDArray
from scipy import ndimage
from unseen_studies import Box

from calcreport.model.geometry import VolumeGeometry

NOISE_HU = 20.0
NOISE_GRAIN_PIXELS = 0.6
SMOOTH_PIXELS = 0.9
SHARPEN = (1.0, 0.8)
"""Blur in pixels, and the share of what it takes away that is added: edges overshoot as with a lung kernel."""
SHIFT_HU = 15
END_SHARE = 0.25
"""Slices lost at one end."""
SIDE_SHARE = 0.15
"""Rows in front and columns on the right that are lost."""
IMAGED_HU = -1024
THIN_MM = (1.0, 0.7, 0.7)
THIN_GRAIN_PIXELS = (0.3, 0.7, 0.7)
AIR_HU = -900.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Perturbed:
    """A changed copy, and where places of the original lie in it."""

    host: Host
    moved: Callable[[Box], Box | None]
    """Box of the copy for a box of the original, LPS mm; ``None`` where it is cut or gone."""


def _same(box: Box) -> Box | None:
    return box


def _with_hu(host: Host, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Perturbed:
    hu = host.hu()
    changed = np.where(hu >= IMAGED_HU, np.maximum(change(hu), IMAGED_HU) - hu, 0).astype(np.float32)
    return Perturbed(host=host.with_change(changed), moved=_same)


def noise(host: Host) -> Perturbed:
    """Add noise of a low dose."""
    grain = np.random.default_rng(1).standard_normal(host.stored.shape, dtype=np.float32)
    ndimage.gaussian_filter(grain, (0, NOISE_GRAIN_PIXELS, NOISE_GRAIN_PIXELS), output=grain)
    grain *= NOISE_HU / grain.std()
    return _with_hu(host, lambda hu: hu + grain)


def smooth(host: Host) -> Perturbed:
    """Blur in the plane, as a soft kernel."""
    return _with_hu(host, lambda hu: ndimage.gaussian_filter(hu, (0, SMOOTH_PIXELS, SMOOTH_PIXELS)))


def sharpen(host: Host) -> Perturbed:
    """Overshoot at edges and coarser noise, as a sharp kernel."""
    blur, share = SHARPEN
    return _with_hu(host, lambda hu: hu + share * (hu - ndimage.gaussian_filter(hu, (0, blur, blur))))


def shifted(by_hu: int) -> Callable[[Host], Perturbed]:
    """Shift all values, as a scanner out of calibration."""
    return lambda host: _with_hu(host, lambda hu: hu + np.float32(by_hu))


def averaged(count: int) -> Callable[[Host], Perturbed]:
    """Average so many neighbouring slices into one."""

    def perturb(host: Host) -> Perturbed:
        kept = len(host.stored) // count
        slope, intercept = (host.scale[:, i, None, None] for i in (0, 1))
        hu = (host.stored * slope + intercept)[: kept * count].reshape(kept, count, *host.stored.shape[1:]).mean(axis=1)
        scale = host.scale[: kept * count : count]
        affine = host.geometry.affine.copy()
        affine[:3, 3] += affine[:3, 0] * (count - 1) / 2
        affine[:3, 0] *= count
        geometry = VolumeGeometry(affine=affine, shape=(kept, *host.geometry.shape[1:]))
        new = Host(
            headers=host.headers[: kept * count : count],
            stored=np.rint((hu - scale[:, 1, None, None]) / scale[:, 0, None, None]).astype(np.int32),
            scale=scale,
            geometry=geometry,
            thickness_mm=max(host.thickness_mm, count * host.geometry.spacing_mm[0]),
        )
        return Perturbed(host=new, moved=_within(geometry))

    return perturb


def padded(value_hu: int) -> Callable[[Host], Perturbed]:
    """Fill what lies outside the circle of the field of view with a value that no attribute declares."""

    def perturb(host: Host) -> Perturbed:
        rows, columns = host.geometry.shape[1:]
        y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        outside = x * x + y * y > 1
        stored = host.stored.copy()
        for plane, (slope, intercept) in zip(stored, host.scale, strict=True):
            plane[outside] = round((value_hu - intercept) / slope)

        def moved(box: Box) -> Box | None:
            index = np.clip(np.rint(host.geometry.index(_corners(box))).astype(int), 0, np.array(host.stored.shape) - 1)
            return None if outside[index[:, 1], index[:, 2]].any() else box

        return Perturbed(host=dataclasses.replace(host, stored=stored), moved=moved)

    return perturb


def cropped(*, low: float = 0, high: float = 0, sides: float = 0) -> Callable[[Host], Perturbed]:
    """Lose shares of the slices at the ends, of the rows in front and of the columns on one side."""

    def perturb(host: Host) -> Perturbed:
        count, rows, columns = host.geometry.shape
        first, last = round(count * low), count - round(count * high)
        row, column = round(rows * sides), round(columns * sides)
        affine = host.geometry.affine.copy()
        affine[:3, 3] = host.geometry.lps_mm(np.array([first, row, column]))
        geometry = VolumeGeometry(affine=affine, shape=(last - first, rows - row, columns - column))
        new = dataclasses.replace(
            host,
            headers=host.headers[first:last],
            stored=host.stored[first:last, row:, column:],
            scale=host.scale[first:last],
            geometry=geometry,
        )
        return Perturbed(host=new, moved=_within(geometry))

    return perturb


def mirrored(axis: int) -> Callable[[Host], Perturbed]:
    """Flip the voxels along slices, rows or columns (0, 1, 2), as a wrong orientation in the header does."""

    def perturb(host: Host) -> Perturbed:
        geometry = host.geometry

        def moved(box: Box) -> Box | None:
            index = geometry.index(_corners(box))
            index[:, axis] = geometry.shape[axis] - 1 - index[:, axis]
            corners = geometry.lps_mm(index)
            return corners.min(axis=0), corners.max(axis=0)

        return Perturbed(host=dataclasses.replace(host, stored=np.flip(host.stored, axis).copy()), moved=moved)

    return perturb


def thin_slices(host: Host, seed: int) -> Host:
    """Draw a host anew on thin slices and small pixels, with noise added as it has itself.

    The anatomy stays as blurred along the body as it was; what is put in afterwards is not.
    """
    spacing = np.array(host.geometry.spacing_mm)
    shape = [
        int((count - 1) * old / new) + 1 for count, old, new in zip(host.stored.shape, spacing, THIN_MM, strict=True)
    ]
    slope, intercept = host.scale[0]
    hu = host.stored * host.scale[:, 0, None, None] + host.scale[:, 1, None, None]
    drawn = ndimage.affine_transform(hu, np.array(THIN_MM) / spacing, output_shape=shape, order=1)
    grain = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), THIN_GRAIN_PIXELS)
    drawn += np.where(drawn > AIR_HU, measure_noise_hu(hu.astype(np.float32)) / grain.std() * grain, 0.0)
    affine = host.geometry.affine.copy()
    affine[:3, :3] = affine[:3, :3] / spacing * THIN_MM
    geometry = VolumeGeometry(affine=affine, shape=(int(shape[0]), int(shape[1]), int(shape[2])))
    headers = []
    for number in range(geometry.shape[0]):
        header = copy.deepcopy(host.headers[min(round(number * THIN_MM[0] / spacing[0]), len(host.headers) - 1)])
        header.ImagePositionPatient = [decimal_text(float(v)) for v in affine[:3, 3] + number * affine[:3, 0]]
        header.PixelSpacing, header.SliceThickness = [str(v) for v in THIN_MM[1:]], str(THIN_MM[0])
        header.InstanceNumber, header.Rows, header.Columns = number + 1, *geometry.shape[1:]
        headers.append(header)
    return dataclasses.replace(
        host, headers=tuple(headers), stored=np.rint((drawn - intercept) / slope).astype(np.int32),
        scale=np.tile(host.scale[0], (len(headers), 1)), geometry=geometry, thickness_mm=THIN_MM[0],
    )  # fmt: skip


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array([[box[i][0], box[j][1], box[k][2]] for i, j, k in np.ndindex(2, 2, 2)])


def _within(geometry: VolumeGeometry) -> Callable[[Box], Box | None]:
    def moved(box: Box) -> Box | None:
        index = geometry.index(_corners(box))
        return box if (index >= -0.5).all() and (index <= np.array(geometry.shape) - 0.5).all() else None

    return moved


PERTURBATIONS = MappingProxyType[str, Callable[[Host], Perturbed]](
    {
        "noise +20 HU": noise,
        "slices 2:1": averaged(2),
        "slices 3:1": averaged(3),
        "smoothed": smooth,
        "sharpened": sharpen,
        "padding -1024": padded(-1024),
        "padding -2000": padded(-2000),
        "shift +15 HU": shifted(SHIFT_HU),
        "shift -15 HU": shifted(-SHIFT_HU),
        "first slices lost": cropped(low=END_SHARE),
        "last slices lost": cropped(high=END_SHARE),
        "sides lost": cropped(sides=SIDE_SHARE),
        "mirrored left-right": mirrored(2),
        "mirrored head-foot": mirrored(0),
    }
)
