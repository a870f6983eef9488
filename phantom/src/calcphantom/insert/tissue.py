"""Where in a host a lesion may be put: fat under the skin, and muscle clear of bone, cavities and dense things.

The map is made from the image alone, on a coarse grid, with means of blocks of about 2 mm, and does not use the
analysis that is to be judged on the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from calcreport.model.geometry import VolumeGeometry

Mask = NDArray[np.bool_]

GRID_MM: Final = 2.0
BODY_HU: Final = -250.0
FAT_HU: Final = (-160.0, -30.0)
MUSCLE_HU: Final = (10.0, 115.0)
"""Means of blocks: muscle with contrast reaches 80 HU, partial volume the rest."""
DENSE_HU: Final = 150.0
DENSE_PEAK_HU: Final = 300.0
"""A block is dense by its mean, or by its highest value after a blur of one pixel."""
AIR_HU: Final = -500.0
SKIN_MM: Final = 4.0
FAT_PLANE_MM: Final = 8.0
"""Gaps in the muscles narrower than twice this are fat planes, not fat under the skin."""
LIMB_MM2: Final = 36000.0
"""A section above is of the trunk, or of both thighs."""
BONE_MM2: Final = (150.0, 2200.0)
"""Bones counted in a section of a limb, and the largest shaft: more than two, or a larger one, is pelvis or joint."""
LIMB_BONES: Final = 2
AIR_MM2: Final = 1500.0
"""A section with so much air inside is of the trunk."""
LUNG_MM2: Final = 8000.0
"""So much air is lung; buttocks lie below the lowest of it."""
ILIUM_MM2: Final = 600.0
"""Section of a hip bone; ribs are smaller."""
BELOW_SPINE_MM: Final = 8.0
"""Muscles beside the spine begin so far behind the middle of its section: kidneys lie before."""
WALL_MM: Final = 12.0
"""The muscles of the body wall lie within this of the fat under the skin; what is deeper may be an organ."""
HULL_MM: Final = 22.0
"""And within this of the convex hull of all that lies beneath the fat, outside that of the ribs."""
PARASPINAL_MM: Final = (12.0, 48.0)
"""Sideways distance from the middle of the spine, lowest and highest."""
GLUTEAL_MM: Final = (35.0, 130.0)
GLUTEAL_DEPTH_MM: Final = 45.0
SMALLEST_SHARE: Final = 0.05
"""Parts smaller than this share of the largest are no part of the body."""


@unique
class Tissue(StrEnum):
    """Where a lesion is put."""

    SUBCUTANEOUS = "subcutaneous fat"
    LIMB = "limb muscle"
    WALL = "body wall muscle"
    PARASPINAL = "paraspinal muscle"
    GLUTEAL = "gluteal muscle"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissueMap:
    """Tissues on a coarse grid; every array has shape ``(slices, rows, columns)`` of that grid.

    Parameters
    ----------
    geometry : VolumeGeometry
        Of the coarse grid, LPS mm.
    hu : NDArray[np.float32]
        Means of blocks, HU.
    sites : dict[Tissue, NDArray[np.bool_]]
        Where all of a lesion must lie.
    muscle : NDArray[np.bool_]
        Blocks as dense as muscle.
    skin_mm, dense_mm : NDArray[np.float32]
        Distance to the surface of the body, and to the nearest bone or other dense thing, mm.
    fascia_mm : NDArray[np.float32]
        Distance to the boundary between muscles and fat under the skin, mm.
    """

    geometry: VolumeGeometry
    hu: NDArray[np.float32]
    sites: dict[Tissue, Mask]
    muscle: Mask
    skin_mm: NDArray[np.float32]
    dense_mm: NDArray[np.float32]
    fascia_mm: NDArray[np.float32]

    def at(self, points_mm: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        """Index of the blocks that hold points (shape ``(n, 3)``, LPS mm), clipped to the grid; for array indexing."""
        index = np.rint(self.geometry.index(points_mm)).astype(np.int64)
        return tuple(np.clip(index[:, i], 0, self.geometry.shape[i] - 1) for i in range(3))


def map_tissues(hu: NDArray[np.float32], geometry: VolumeGeometry) -> TissueMap:
    """Map the tissues of a host.

    Parameters
    ----------
    hu : NDArray[np.float32]
        Shape ``(slices, rows, columns)``; HU.
    geometry : VolumeGeometry
        LPS mm; axial slices.

    Returns
    -------
    TissueMap
        On blocks of about 2 mm.
    """
    factors = [max(1, round(GRID_MM / step)) for step in geometry.spacing_mm]
    coarse, peak, grid = _blocks(hu, geometry, factors)
    step = grid.spacing_mm
    body, (coarse, peak), grid = _cropped(_body(coarse), (coarse, peak), grid)
    skin = _distance_mm(body, step)
    fat, muscle = _between(coarse, FAT_HU) & body, _between(coarse, MUSCLE_HU) & body
    dense = ((coarse > DENSE_HU) | (peak > DENSE_PEAK_HU)) & (coarse > 0)
    inner = _inner(body & ~fat & (skin > SKIN_MM), step)
    fascia = np.where(inner, _distance_mm(inner, step), _distance_mm(~inner, step)).astype(np.float32)
    outside = body & ~inner & fat & (skin > SKIN_MM - 1)
    deep = inner & muscle & ~_enclosed(dense, step)
    return TissueMap(
        geometry=grid,
        hu=coarse,
        sites=_sites(outside, deep, _Images(hu=coarse, body=body, inner=inner, dense=dense, fascia_mm=fascia), grid),
        muscle=muscle,
        skin_mm=skin,
        dense_mm=_distance_mm(~dense, step),
        fascia_mm=fascia,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Images:
    """What the sites are chosen by, all of the shape of the coarse grid."""

    hu: NDArray[np.float32]
    body: Mask
    inner: Mask
    dense: Mask
    fascia_mm: NDArray[np.float32]


def _cropped(
    body: Mask, images: tuple[NDArray[np.float32], NDArray[np.float32]], grid: VolumeGeometry
) -> tuple[Mask, tuple[NDArray[np.float32], NDArray[np.float32]], VolumeGeometry]:
    """Rows and columns around the body, with two blocks of air where the image has them."""
    if not body.any():
        return body, images, grid
    lines = [np.flatnonzero(body.any(axis=axes)) for axes in ((0, 2), (0, 1))]
    first = [max(0, int(line[0]) - 2) for line in lines]
    window = (slice(None), *(slice(f, int(line[-1]) + 3) for f, line in zip(first, lines, strict=True)))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.lps_mm(np.array([0, *first]))
    kept = body[window]
    shape = (kept.shape[0], kept.shape[1], kept.shape[2])
    return kept, (images[0][window], images[1][window]), VolumeGeometry(affine=affine, shape=shape)


def _blocks(
    hu: NDArray[np.float32], geometry: VolumeGeometry, factors: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], VolumeGeometry]:
    shape = [n // f for n, f in zip(hu.shape, factors, strict=True)]
    parts = [v for n, f in zip(shape, factors, strict=True) for v in (n, f)]
    cut = hu[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
    mean = cut.reshape(parts).mean(axis=(1, 3, 5), dtype=np.float32)
    smooth = np.stack([ndimage.gaussian_filter(plane, 1.0) for plane in cut])
    peak = smooth.reshape(parts).max(axis=(1, 3, 5))
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.lps_mm((np.array(factors) - 1) / 2)
    affine[:3, :3] *= np.array(factors)
    return mean, peak, VolumeGeometry(affine=affine, shape=(shape[0], shape[1], shape[2]))


def _between(hu: NDArray[np.float32], limits: tuple[float, float]) -> Mask:
    return (hu > limits[0]) & (hu < limits[1])


def _distance_mm(mask: Mask, step: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance in mm from every voxel of a mask to the nearest voxel outside it; far away where there is none."""
    if mask.all():
        return np.full(mask.shape, 1e3, dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=step), dtype=np.float32)


def _large_parts(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= SMALLEST_SHARE * sizes.max())[labels])


def _body(hu: NDArray[np.float32]) -> Mask:
    """Body without table and blankets: what is left of the tissue after an opening in the plane, holes filled."""
    solid = hu > BODY_HU
    plane = np.ones((1, 5, 5), dtype=bool)
    filled = np.stack([ndimage.binary_fill_holes(p) for p in _large_parts(ndimage.binary_opening(solid, plane))])
    return np.asarray(filled)


def _inner(core: Mask, step: tuple[float, float, float]) -> Mask:
    """Muscles, bones and organs as one solid: narrow fat planes closed, holes filled, in every slice."""
    result = np.zeros_like(core)
    thin, wide = (max(1, round(mm / step[1])) for mm in (3.0, FAT_PLANE_MM))
    for plane, out in zip(_large_parts(core), result, strict=True):
        padded = np.pad(ndimage.binary_opening(plane, _disc(thin)), wide)
        closed = ndimage.binary_closing(padded, _disc(wide))
        out[...] = ndimage.binary_fill_holes(closed)[wide:-wide, wide:-wide]
    return result


def _disc(radius: int) -> Mask:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius)


def _enclosed(dense: Mask, step: tuple[float, float, float]) -> Mask:
    """Skull, spinal canal, marrow: what bone encloses in a slice once gaps of 12 mm are closed."""
    reach = max(1, round(6.0 / step[1]))
    return np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(p, _disc(reach))) for p in dense])


def _sites(fat: Mask, deep: Mask, images: _Images, grid: VolumeGeometry) -> dict[Tissue, Mask]:
    step = grid.spacing_mm
    cell = step[1] * step[2]
    sites = {tissue: np.zeros_like(deep) for tissue in Tissue}
    sites[Tissue.SUBCUTANEOUS] = fat
    inside = images.body & (images.hu < AIR_HU) & (images.fascia_mm > SKIN_MM)
    upwards = np.sign(grid.affine[2, 0])
    lungs = np.flatnonzero(inside.sum(axis=(1, 2)) * cell > LUNG_MM2)
    lowest = (lungs * upwards).min() if len(lungs) else np.inf
    for k in range(len(deep)):
        labels, count = ndimage.label(images.body[k])
        for part in (labels == number for number in range(1, count + 1)):
            has_air = float((inside[k] & part).sum()) * cell >= AIR_MM2
            if not has_air and _is_limb(part, images.dense[k], cell):
                sites[Tissue.LIMB][k] |= deep[k] & part
            elif has_air or float(part.sum()) * cell > LIMB_MM2:
                hull = _hull(images.inner[k] & part)
                fat[k] &= ~hull  # what lies within may be fat of the belly or the armpit
                found = _trunk_sites(part, images.dense[k] & part, images.fascia_mm[k], step)
                edge = _distance_mm(np.pad(hull, 1), step[1:])[1:-1, 1:-1]
                found[Tissue.WALL] &= (edge <= HULL_MM) & ~_hull(images.dense[k] & part)
                if k * upwards >= lowest:
                    found.pop(Tissue.GLUTEAL, None)
                for tissue, mask in found.items():
                    sites[tissue][k] |= mask & deep[k] & part
    return sites


def _hull(mask: Mask) -> Mask:
    return np.asarray(convex_hull_image(mask), dtype=bool) if mask.any() else mask


def _is_limb(part: Mask, dense: Mask, cell_mm2: float) -> bool:
    """Whether a section is one limb's, clear of pelvis and joints: small, with one or two shafts."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(dense & part))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * cell_mm2
    bones = sizes[sizes >= BONE_MM2[0]]
    is_small = float(part.sum()) * cell_mm2 <= LIMB_MM2
    return is_small and 1 <= len(bones) <= LIMB_BONES and float(bones.max()) <= BONE_MM2[1]


def _trunk_sites(
    part: Mask, dense: Mask, fascia: NDArray[np.float32], step: tuple[float, float, float]
) -> dict[Tissue, Mask]:
    """Body wall, muscles beside the spine and buttocks in one section of the trunk, patient lying on the back."""
    rows, columns = np.indices(part.shape)
    y, x = np.asarray(rows * step[1]), np.asarray(columns * step[2])
    found = {Tissue.WALL: np.asarray(fascia <= WALL_MM)}
    middle_x, middle_y = float(x[part].mean()), float(y[part].mean())
    central = dense & (np.abs(x - middle_x) < 30) & (y > middle_y - 20)
    if central.any():
        spine_x, behind = float(np.median(x[central])), float(np.median(y[central])) + BELOW_SPINE_MM
        beside = np.abs(x - spine_x)
        found[Tissue.PARASPINAL] = (beside >= PARASPINAL_MM[0]) & (beside <= PARASPINAL_MM[1]) & (y > behind)
        found[Tissue.WALL] &= ~found[Tissue.PARASPINAL]
    off = np.asarray(x - middle_x)
    sides = [dense & (off * sign > 50) for sign in (-1, 1)]
    if all(_largest_mm2(side, step[1] * step[2]) > ILIUM_MM2 for side in sides):
        hip_y = float(np.median(y[sides[0] | sides[1]]))
        lateral = (np.abs(off) >= GLUTEAL_MM[0]) & (np.abs(off) <= GLUTEAL_MM[1])
        found[Tissue.GLUTEAL] = lateral & (y > hip_y + 10) & (fascia <= GLUTEAL_DEPTH_MM)
        found[Tissue.WALL] &= ~found[Tissue.GLUTEAL]
    return found


def _largest_mm2(mask: Mask, cell_mm2: float) -> float:
    labels, _ = ndimage.label(mask)
    return float(np.bincount(labels.ravel())[1:].max(initial=0)) * cell_mm2
