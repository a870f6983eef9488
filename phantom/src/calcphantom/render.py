"""Scan a scene: partial volume from supersampling, blur, noise, clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.recipe import Kernel, ScanRecipe
from calcphantom.scene import NOT_A_LESION, Paint
from calcphantom.shapes import Floats
from calcreport.model.geometry import VolumeGeometry

AIR_HU: Final = -1000.0
PSF_SIGMA_MM: Final = {Kernel.SOFT: 0.50, Kernel.STANDARD: 0.40, Kernel.SHARP: 0.33, Kernel.LUNG: 0.33}
"""In-plane blur, standard deviation in mm: full widths at half maximum of 1.2, 0.95 and 0.8 mm."""
OVERSHOOT: Final = {Kernel.SHARP: 0.2, Kernel.LUNG: 0.7}
"""Share of an unsharp mask (1 mm) that a sharp kernel adds: mild overshoot at edges, strong with a lung kernel."""
NOISE_GRAIN_PIXELS: Final = {Kernel.SOFT: 0.75, Kernel.STANDARD: 0.55, Kernel.SHARP: 0.35, Kernel.LUNG: 0.3}
"""Correlation length of the noise, standard deviation in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendering:
    """A noise-free scan and where each lesion's mineral lies in it.

    Parameters
    ----------
    hu : NDArray[np.float32]
        Shape ``(slices, rows, columns)``; HU after partial volume and blur, before noise.
    mineral_share : tuple[NDArray[np.float32], ...]
        One array of shape ``(n, 4)`` a lesion: slice, row, column and the share of the voxel that is its mineral.
    voxel_volume_mm3 : float
        Volume of one voxel, mm3.
    """

    hu: NDArray[np.float32]
    mineral_share: tuple[NDArray[np.float32], ...]
    voxel_volume_mm3: float


def scan_geometry(
    scan: ScanRecipe,
    *,
    half_width_mm: float,
    half_height_mm: float,
    length_mm: float,
    centre_mm: tuple[float, float] = (0.0, 0.0),
) -> VolumeGeometry:
    """Grid of axial slices, the lowest first, covering a box around ``(centre, z = 0)``; a tilted gantry shears it."""
    tilt = np.radians(scan.tilt_deg)
    columns = int(np.ceil(2 * half_width_mm / scan.pixel_mm))
    rows = int(np.ceil(2 * half_height_mm / scan.pixel_mm / np.cos(tilt)))
    slices = max(3, int(np.ceil(length_mm / scan.spacing_mm)))
    steps = np.zeros((4, 4))
    steps[:3, 0] = (0.0, 0.0, scan.spacing_mm)
    steps[:3, 1] = np.array([0.0, np.cos(tilt), np.sin(tilt)]) * scan.pixel_mm
    steps[:3, 2] = (scan.pixel_mm, 0.0, 0.0)
    middle = (np.array([slices, rows, columns]) - 1) / 2
    steps[:3, 3] = np.array([*centre_mm, 0.0]) - steps[:3, :3] @ middle
    steps[3, 3] = 1.0
    return VolumeGeometry(affine=steps, shape=(slices, rows, columns))


def sample_offsets(geometry: VolumeGeometry, thickness_mm: float) -> Floats:
    """Points spread evenly over one voxel, shape ``(n, 3)``, LPS mm from its centre.

    A lattice by powers of the generalised golden ratio: its projection on every axis has n different values, so a
    flat face parallel to a voxel's side is not quantised coarsely.
    """
    count = int(np.clip(round(24 + 8 * thickness_mm), 32, 64))
    g = 1.2207440846057596
    unit = (0.5 + np.arange(1, count + 1)[:, None] / np.array([g, g**2, g**3])) % 1.0 - 0.5
    unit -= unit.mean(axis=0)
    normal = geometry.slice_normal * thickness_mm
    return np.asarray(unit @ np.stack((normal, geometry.affine[:3, 1], geometry.affine[:3, 2])))


def render(
    paints: tuple[Paint, ...],
    geometry: VolumeGeometry,
    scan: ScanRecipe,
    *,
    lesions: int,
    background: NDArray[np.float32] | None = None,
) -> Rendering:
    """Scan a scene without noise.

    Parameters
    ----------
    paints : tuple[Paint, ...]
        In the order of painting, LPS mm.
    geometry : VolumeGeometry
        Grid of voxel centres.
    scan : ScanRecipe
        Thickness and kernel.
    lesions : int
        Number of lesions; owners run from 0.
    background : NDArray[np.float32] | None
        HU that is painted over, of the geometry's shape; ``None`` for air.

    Returns
    -------
    Rendering
        HU and mineral shares.
    """
    hu = np.full(geometry.shape, AIR_HU, dtype=np.float32) if background is None else background
    offsets = sample_offsets(geometry, scan.slice_thickness_mm)
    boxes = [_index_box(paint, geometry, scan.slice_thickness_mm) for paint in paints]
    shares: list[list[NDArray[np.float32]]] = [[] for _ in range(lesions)]
    for k in range(geometry.shape[0]):
        active = [(paint, box) for paint, box in zip(paints, boxes, strict=True) if box[0, 0] <= k <= box[1, 0]]
        owners = _render_slice(k, active, geometry, offsets, hu[k])
        for number, rows in owners:
            shares[number].append(rows)
    _blur(hu, scan, geometry.spacing_mm[1])
    empty = np.empty((0, 4), dtype=np.float32)
    listed = tuple(np.concatenate(part) if part else empty for part in shares)
    return Rendering(hu=hu, mineral_share=listed, voxel_volume_mm3=geometry.voxel_volume_mm3)


def _index_box(paint: Paint, geometry: VolumeGeometry, thickness_mm: float) -> NDArray[np.int64]:
    """Lowest and highest index (slice, row, column) that a solid may touch, shape ``(2, 3)``, clipped to the grid."""
    low, high = paint.shape.box
    corners = np.array(
        [[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    index = geometry.index(corners)
    pad = np.array([np.ceil(thickness_mm / 2 / geometry.spacing_mm[0]) + 1, 2, 2])
    pad[1] += np.ceil(abs(np.tan(np.radians(geometry.tilt_deg))) * thickness_mm / geometry.spacing_mm[1])
    top = np.array(geometry.shape) - 1
    return np.stack(
        (np.clip(np.floor(index.min(axis=0) - pad), 0, top + 1), np.clip(np.ceil(index.max(axis=0) + pad), -1, top))
    ).astype(np.int64)


_State = tuple[Paint, tuple[slice, slice], NDArray[np.bool_], NDArray[np.bool_]]
"""A paint, its window of rows and columns, the voxels wholly inside it, those its surface may cut."""


def _render_slice(
    k: int,
    active: list[tuple[Paint, NDArray[np.int64]]],
    geometry: VolumeGeometry,
    offsets: Floats,
    out: NDArray[np.float32],
) -> list[tuple[int, NDArray[np.float32]]]:
    """Paint one slice: whole voxels from their centre, voxels at a surface from their sample points."""
    rows, columns = out.shape
    corner = geometry.affine[:3, 3] + k * geometry.affine[:3, 0]
    row, column = geometry.affine[:3, 1], geometry.affine[:3, 2]
    owner = np.full((rows, columns), NOT_A_LESION, dtype=np.int16)
    surface = np.zeros((rows, columns), dtype=bool)
    beneath = out.copy()
    states: list[_State] = []
    for paint, box in active:
        window = (slice(int(box[0, 1]), int(box[1, 1]) + 1), slice(int(box[0, 2]), int(box[1, 2]) + 1))
        i = np.arange(window[0].start, window[0].stop)[:, None]
        j = np.arange(window[1].start, window[1].stop)[None, :]
        if not i.size or not j.size:
            continue
        x, y, z = (corner[n] + row[n] * i + column[n] * j for n in range(3))
        d = paint.shape.distance(x, y, z)
        reach = _reach_mm(paint, offsets)
        full, near = d < -reach, np.abs(d) <= reach
        if not (full.any() or near.any()):
            continue
        out[window][full] = paint.hu
        owner[window][full] = paint.owner if paint.is_mineral else NOT_A_LESION
        surface[window] |= near
        states.append((paint, window, full, near))
    owners = _render_surface(states, np.argwhere(surface), (corner, row, column), offsets, (out, owner, beneath))
    return [(lesion, np.insert(listed, 0, k, axis=1)) for lesion, listed in owners]


def _reach_mm(paint: Paint, offsets: Floats) -> float:
    """How far a surface may be from a voxel's centre and still cut the voxel, mm."""
    in_plane = np.hypot(offsets[:, 0], offsets[:, 1])
    return float((in_plane + paint.shape.z_slope * np.abs(offsets[:, 2])).max()) + 1e-6


def _render_surface(
    states: list[_State],
    where: NDArray[np.int64],
    frame: tuple[Floats, Floats, Floats],
    offsets: Floats,
    planes: tuple[NDArray[np.float32], NDArray[np.int16], NDArray[np.float32]],
) -> list[tuple[int, NDArray[np.float32]]]:
    """Paint the listed voxels (row, column) sample by sample; returns each lesion's row, column and share."""
    out, owner, beneath = planes
    number = np.full(out.shape, -1, dtype=np.int64)
    number[where[:, 0], where[:, 1]] = np.arange(len(where))
    values = np.repeat(beneath[where[:, 0], where[:, 1]][:, None], len(offsets), axis=1)
    owners = np.full((len(where), len(offsets)), NOT_A_LESION, dtype=np.int16)
    corner, row, column = frame
    centres = corner + where[:, :1] * row + where[:, 1:] * column
    for paint, window, full, near in states:
        mark = paint.owner if paint.is_mineral else NOT_A_LESION
        whole = number[window][full]
        whole = whole[whole >= 0]
        values[whole], owners[whole] = paint.hu, mark
        cut = number[window][near]
        if not len(cut):
            continue
        points = centres[cut][:, None, :] + offsets[None, :, :]
        inside = paint.shape.distance(points[..., 0], points[..., 1], points[..., 2]) < 0
        values[cut] = np.where(inside, np.float32(paint.hu), values[cut])
        owners[cut] = np.where(inside, np.int16(mark), owners[cut])
    out[where[:, 0], where[:, 1]] = values.mean(axis=1)
    owner[where[:, 0], where[:, 1]] = NOT_A_LESION
    result = []
    for lesion in sorted({int(v) for v in (*np.unique(owners), *np.unique(owner))} - {NOT_A_LESION}):
        share = (owners == lesion).mean(axis=1)
        part = share > 0
        whole_voxels = np.argwhere(owner == lesion)
        listed = np.concatenate((where[part], whole_voxels))
        amount = np.concatenate((share[part], np.ones(len(whole_voxels))))
        result.append((lesion, np.column_stack((listed, amount)).astype(np.float32)))
    return result


def _blur(hu: NDArray[np.float32], scan: ScanRecipe, pixel_mm: float) -> None:
    """Blur every slice in its plane as the kernel does, in place."""
    sigma = PSF_SIGMA_MM[scan.kernel] / pixel_mm
    for plane in hu:
        smooth = ndimage.gaussian_filter(plane, sigma, mode="nearest")
        if scan.kernel in OVERSHOOT:
            blunt = ndimage.gaussian_filter(smooth, 1.0 / pixel_mm, mode="nearest")
            smooth += OVERSHOOT[scan.kernel] * (smooth - blunt)
        plane[:] = smooth


def noise_field(
    shape: tuple[int, int, int], scan: ScanRecipe, rng: np.random.Generator, *, dense: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Correlated noise of the recipe's standard deviation.

    Parameters
    ----------
    shape : tuple[int, int, int]
        Slices, rows, columns.
    scan : ScanRecipe
        Noise level and grain; overlapping slices share part of their noise.
    rng : np.random.Generator
        Draws the noise.
    dense : NDArray[np.float32] | None
        Shape ``(slices, rows)``; mm of bone crossed by a horizontal ray: adds streaks along it; ``None`` for none.

    Returns
    -------
    NDArray[np.float32]
        Shape `shape`; HU.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    overlap = scan.slice_thickness_mm / scan.spacing_mm
    if overlap > 1.2:
        ndimage.uniform_filter1d(noise, round(overlap) | 1, axis=0, output=noise, mode="wrap")
    ndimage.gaussian_filter(noise, (0, *(NOISE_GRAIN_PIXELS[scan.kernel],) * 2), output=noise, mode="wrap")
    noise *= np.float32(scan.noise_hu) / noise.std()
    noise *= _noise_profile(shape)
    if dense is not None:
        streaks = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0, 0.5, 9.0), mode="wrap")
        streaks *= np.float32(scan.noise_hu) / streaks.std()
        noise += streaks * (0.8 * np.clip(dense / 60.0, 0.0, 1.0))[:, :, None].astype(np.float32)
    return noise


def _noise_profile(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Relative noise, shape ``(rows, columns)``: a quarter more in the middle of a patient than near the skin."""
    row, column = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape[1:])
    return np.asarray(1.1 - 0.25 * np.clip(row[:, None] ** 2 + column[None, :] ** 2, 0, 1.2), dtype=np.float32)
