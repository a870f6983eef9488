"""Dense, sharp foci in soft tissue, found by contrast against surroundings, noise and structure around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.projection.bone import Bones
from calcreport.projection.exposure import Exposure
from calcreport.projection.plate import Floats, Mask, Plate, open_square, square

_SMOOTH_MM: Final = 0.4
"""Noise is smoothed over this before anything is sought (Gaussian sigma, mm)."""
_WIDTHS_MM: Final = (4.5, 14.0)
"""Half the width of what is sought: deposits and rims, then whole masses."""
_AROUND_MM: Final = 40.0
"""Structure that a focus has to stand out of is judged in squares of this side, mm."""
_NOISE_SHARE: Final = 0.2
"""Structure counts as at least this share of the noise of a film pixel: a seed then stands 1.2 deviations out of it."""
_SLOPE_MM: Final = 6.0
_SLOPE_SHARE_MM: Final = 0.1
"""Where grey falls away steadily, as towards the skin, a bump has to be higher than the fall over 0.6 mm."""
_SEED: Final = 6.0
"""A focus stands out somewhere by this many times the structure around (robust standard deviation) ..."""
_GROW: Final = 2.5
"""... and is followed down to this, or to `_PEAK_SHARE` of its peak, whichever is more."""
_PEAK_SHARE: Final = 0.15
_BONE_MARGIN_MM: Final = 1.6
_SKIN_MARGIN_MM: Final = 1.5
_END_MARGIN_MM: Final = 2.5
_LEAST_MM2: Final = 1.2
"""Area of a deposit 1.2 mm across; smaller specks cannot be told from noise or dust."""
_WIDEST_EDGE_MM: Final = 2.2
"""Mineral ends within this; muscle, skin folds and vessels fade over more."""
_CONTACT: Final = 0.35
"""With more than this share of its outline at bone, a focus is part of the bone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlateFocus:
    """One dense focus on the plate.

    Parameters
    ----------
    box : tuple[slice, slice]
        Rows and columns on the plate.
    mask : NDArray[np.bool_]
        Shape of `box`.
    contrast : float
        Peak against the surroundings, in grey.
    significance : float
        Peak over the structure around.
    edge_mm : float
        Width over which the focus fades out, mm.
    bone_contact : float
        Share of the outline that lies at bone.
    is_over_bone : bool
        Whether any of it lies on bone.
    is_cut : bool
        Whether it reaches the end of the field.
    """

    box: tuple[slice, slice]
    mask: Mask
    contrast: float
    significance: float
    edge_mm: float
    bone_contact: float
    is_over_bone: bool
    is_cut: bool


def search_field(plate: Plate, exposure: Exposure, bones: Bones) -> Mask:
    """Soft tissue off bone, a little away from skin, bone and the end of the field; shape of the plate."""
    body = exposure.is_body & exposure.is_exposed
    inner = ndimage.binary_erosion(body, square(plate.pixels(_SKIN_MARGIN_MM)), border_value=1)
    inner &= ndimage.binary_erosion(exposure.is_exposed, square(plate.pixels(_END_MARGIN_MM)), border_value=0)
    return np.asarray(inner & ~ndimage.binary_dilation(bones.is_bone, square(plate.pixels(_BONE_MARGIN_MM))))


def find_foci(plate: Plate, exposure: Exposure, bones: Bones, field: Mask, noise: float) -> list[PlateFocus]:
    """Find foci that stand out of soft tissue."""
    smooth = plate.smoothed(_SMOOTH_MM)
    gradient = [np.asarray(g, dtype=np.float32) / np.float32(plate.pixel_mm) for g in np.gradient(smooth)]
    steepness = np.hypot(*gradient)
    slope = ndimage.uniform_filter(steepness, plate.pixels(_SLOPE_MM))
    floor = np.maximum(np.float32(noise * _NOISE_SHARE), slope * np.float32(_SLOPE_SHARE_MM))
    at_end = ~ndimage.binary_erosion(exposure.is_exposed, square(plate.pixels(_END_MARGIN_MM) + 1), border_value=0)
    found: list[PlateFocus] = []
    taken = np.zeros(field.shape, dtype=bool)
    for width_mm in _WIDTHS_MM:
        lifted = smooth - open_square(smooth, plate.pixels(width_mm))
        scale = np.maximum(structure_around(plate, lifted, field), floor)
        for focus in _foci_at(plate, lifted, scale, field, bones, steepness, at_end):
            part = taken[focus.box]
            if (part & focus.mask).any():
                continue
            part |= focus.mask
            found.append(focus)
    return found


def structure_around(plate: Plate, lifted: Floats, field: Mask) -> Floats:
    """Robust standard deviation of what stands out around every pixel, shape of the plate."""
    block = plate.pixels(_AROUND_MM / 2)
    rows, columns = (-(-n // block) for n in field.shape)
    padding = [(0, rows * block - field.shape[0]), (0, columns * block - field.shape[1])]
    values = np.pad(np.where(field, lifted, np.nan), padding, constant_values=np.nan)
    blocks = values.reshape(rows, block, columns, block).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    # a square of twice the block is judged, in steps of a block
    spread = np.full((rows, columns), np.nan)
    for i in range(rows):
        for j in range(columns):
            near = blocks[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2, ::3]
            near = near[np.isfinite(near)]
            if near.size >= 50:
                low, middle = np.percentile(near, (16, 50))
                spread[i, j] = max(middle - low, 0.5 * middle)
    known = spread[np.isfinite(spread)]
    typical = float(np.median(known)) if known.size else 1.0
    spread = np.where(np.isfinite(spread), np.maximum(spread, 0.5 * typical), typical)
    wide = ndimage.zoom(spread, block, order=1, mode="nearest", grid_mode=True)[: field.shape[0], : field.shape[1]]
    return np.asarray(np.maximum(wide, 1e-6), dtype=np.float32)


def _foci_at(
    plate: Plate, lifted: Floats, scale: Floats, field: Mask, bones: Bones, steepness: Floats, at_end: Mask
) -> list[PlateFocus]:
    height = np.where(field, lifted / scale, 0)
    labels, count = ndimage.label(height > _GROW, structure=square(1))
    if not count:
        return []
    peaks = np.asarray(ndimage.maximum(height, labels, np.arange(1, count + 1)))
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or peaks[number - 1] < _SEED:
            continue
        here = labels[box] == number
        rows, columns = (slice(s.start, s.stop) for s in box)
        contrast = float((lifted[box] * here).max())
        mask = here & (lifted[box] > _PEAK_SHARE * contrast)
        parts, n = ndimage.label(mask, structure=square(1))
        for part in range(1, n + 1):
            one = parts == part
            if (height[box] * one).max() < _SEED:
                continue
            focus = _judge(plate, (rows, columns), one, lifted, height, bones, steepness, at_end)
            if focus is not None:
                found.append(focus)
    return found


def _judge(
    plate: Plate,
    box: tuple[slice, slice],
    mask: Mask,
    lifted: Floats,
    height: Floats,
    bones: Bones,
    steepness: Floats,
    at_end: Mask,
) -> PlateFocus | None:
    if mask.sum() * plate.pixel_mm**2 < _LEAST_MM2:
        return None
    padded = np.pad(mask, 2)
    ring = ndimage.binary_dilation(padded, square(1)) & ~ndimage.binary_erosion(padded, square(1))
    grown = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in box)
    cut = tuple(
        slice(2 - (s.start - g.start), 2 - (s.start - g.start) + (min(g.stop, n) - g.start))
        for s, g, n in zip(box, grown, steepness.shape, strict=True)
    )
    ring = ring[cut]
    contrast = float((lifted[box] * mask).max())
    steep = float(np.median(steepness[grown][ring])) if ring.any() else 0.0
    typical = float(np.median(lifted[box][mask]))
    outside = ndimage.binary_dilation(padded, square(plate.pixels(1.6)))[cut] & ~padded[cut]
    contact = float(bones.is_bone[grown][outside].mean()) if outside.any() else 0.0
    return PlateFocus(
        box=box,
        mask=mask,
        contrast=contrast,
        significance=float((height[box] * mask).max()),
        edge_mm=typical / max(steep, 1e-6),
        bone_contact=contact,
        is_over_bone=False,
        is_cut=bool(at_end[box][mask].any()),
    )
