"""The vessel a small deposit may belong to: a round outline in fat that runs on above and below it."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Hu, Mask, Spacing

CLEAR_MM: Final = 1.0
"""Slices this close to the end of the mineral still hold its blur."""

STRETCH_MM: Final = 7.0
"""Stretch of vessel beyond the mineral over which slices are averaged: noise falls, the vessel stays."""

CENTRE_REACH_MM: Final = 5.0
"""The middle of the vessel lies this close to the mineral's middle: plaque sits on the wall."""

RADII_MM: Final = (1.4, 5.6)
"""Radii of limb arteries, from the small muscular ones to the common femoral."""

STEP_MM: Final = 0.7
DIRECTIONS: Final = 16

BAND_MM: Final = (0.4, 1.8)
"""Where fat must show, outside the wall."""

CLOSED_SHARE: Final = 0.75
"""Share of directions in which fat shows; the vein beside the artery takes the others."""

PLANE_HU: Final = 30.0
"""The fat plane around a vessel, thinned by its blur, stays below muscle …"""

WATER_HU: Final = 0.0
BONE_HU: Final = 450.0
"""… and blood, enhanced or not, above water and below bone."""

NOISE_GAIN: Final = 1.3
"""Contrast the best of many circles finds in noise alone, in standard deviations of the averaged slices."""

NOTHING_HU: Final = -1000.0


def vessel_contrast(hu: Hu, inside: Mask, spacing: Spacing, noise_hu: float) -> float | None:
    """How clearly a vessel runs on beyond both ends of a deposit in a box of the volume.

    Blood above the fat around it, HU, less what noise alone would give, at the end where it is less clear; ``None``
    when the box does not reach beyond an end.
    """
    levels = np.flatnonzero(inside.any(axis=(1, 2)))
    clear, stretch = (max(1, round(x / spacing[0])) for x in (CLEAR_MM, STRETCH_MM))
    contrasts = []
    for end, step in ((int(levels[0]), -1), (int(levels[-1]), 1)):
        first, last = end + step * (clear + 1), end + step * (clear + stretch)
        low, high = max(0, min(first, last)), min(len(hu), max(first, last) + 1)
        if high - low < max(1, stretch // 2):
            return None
        tip = inside[max(0, end - clear) : end + clear + 1].any(axis=0)
        middle_mm = np.argwhere(tip).mean(0) * np.array(spacing[1:])
        clearest = _clearest_circle(hu[low:high].mean(axis=0), middle_mm, spacing[1:])
        contrasts.append(clearest - NOISE_GAIN * noise_hu / float(np.sqrt(high - low)))
    return min(contrasts)


def _clearest_circle(plane: Floats, middle_mm: Floats, pixel_mm: tuple[float, float]) -> float:
    """Contrast, HU, of the circle near a point that stands out most from fat around it."""
    reach = np.arange(-CENTRE_REACH_MM, CENTRE_REACH_MM + 1e-6, STEP_MM)
    offset = np.stack(np.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
    offset = offset[np.linalg.norm(offset, axis=1) <= CENTRE_REACH_MM]
    radius = np.arange(STEP_MM / 2, RADII_MM[1] + BAND_MM[1] + STEP_MM, STEP_MM / 2)
    turn = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    ray = radius[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    points = (middle_mm + offset)[:, None, None, :] + ray
    values = ndimage.map_coordinates(
        plane, np.moveaxis(points / np.array(pixel_mm), -1, 0), order=1, mode="nearest", output=np.float64
    )
    # Discs: mean over directions, weighted by the area of each ring.
    within = np.cumsum(values.mean(2) * radius, axis=1) / np.cumsum(radius)
    clearest, closed = NOTHING_HU, round(CLOSED_SHARE * DIRECTIONS) - 1
    for size in np.arange(RADII_MM[0], RADII_MM[1] + 1e-6, STEP_MM):
        blood = within[:, int(np.searchsorted(radius, 0.8 * size)) - 1]
        band = (radius >= size + BAND_MM[0]) & (radius <= size + BAND_MM[1])
        around = np.partition(values[:, band].mean(1), closed, axis=1)[:, closed]
        is_vessel = (around < PLANE_HU) & (blood > WATER_HU) & (blood < BONE_HU)
        clearest = max(clearest, float((blood - around)[is_vessel].max(initial=NOTHING_HU)))
    return clearest
