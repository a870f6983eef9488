"""Wide foci bounded by sharp edges: sheets seen from the front, and masses wider than the other search looks for.

A sheet seen from the front is faint, even and wider than any filter that tells deposits from muscle. What tells it from
soft tissue is its border: along the contour of some height grey falls at once by a good share of that height, on nearly
all sides. Contours of soft tissue do that on one side at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.film.bone import Bones
from calcreport.film.exposure import Exposure
from calcreport.film.foci import NOISE_SHARE, FilmFocus, bone_contact
from calcreport.film.reduced import (
    EIGHT,
    Floats,
    Mask,
    ReducedFilm,
    enlarge_mask,
    grown,
    open_square,
    reduce_mask,
    shrunk,
)

_PIXEL_MM: Final = 0.8
"""Wide things are sought at pixels of about this size."""
_SMOOTH_MM: Final = 0.6  # Gaussian before contours are drawn
_HALF_WIDTH_MM: Final = 32.0
"""Half the width of what is sought."""
_LEVEL_STEP: Final = 1.3
"""Contours are drawn at heights that differ by this factor ..."""
_LEAST_NOISE: Final = 0.4
"""... down to this share of the noise of a film pixel."""
_LEAST_MM2: Final = 150.0  # area of a wide focus
_LEAST_MM: Final = 12.0  # width of a wide focus
_NARROW_MM: Final = 8.0  # width of a narrower one; see `_MOST_MM`
_MOST_MM: Final = 120.0
"""Least width and greatest length of a focus here; the narrow search sees what is smaller. Narrower ones, down to
`_NARROW_MM`, count where `_NARROW_SIDES` are sharp and nothing wider is: less is tissue between two edges."""
_NARROW_SIDES: Final = 0.9  # share of sharp sides a narrower one needs
_ROOM_MM: Final = 6.0  # margin around a contour for its surroundings
_RING_MM: Final = (1.6, 5.0)
"""Surroundings, as distances from the contour."""
_FALL: Final = 0.25
"""A contour is sharp where grey falls within two pixels by this share of what it bounds ..."""
_SHARP_SIDES: Final = 0.75
"""... and bounds a focus where that holds on this share of its whole length."""
_MEAN_FALL: Final = 0.4
"""... and where it falls by this share on the average; the top of something round does so by less."""
_FREE: Final = 0.5
"""At least so much of it lies off bone and off the end of the field."""
_MOST_CONTACT: Final = 0.3
"""No more of it lies at bone: then one side of it runs on behind the bone, and the others are seen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """A part of the plate above a contour: its box, pixels, height, share of sharp sides, and whether it is wide."""

    box: tuple[slice, slice]
    mask: Mask
    height: float
    sides: float
    is_wide: bool


def find_sheets(reduced: ReducedFilm, exposure: Exposure, bones: Bones, field: Mask, noise: float) -> list[FilmFocus]:
    """Find wide foci in the `field` that sharp edges bound; none of them overlap."""
    factor = max(1, round(_PIXEL_MM / reduced.pixel_mm))
    coarse = reduced.reduced(factor)
    inside, bone = reduce_mask(field, factor), reduce_mask(bones.is_bone, factor)
    smooth = coarse.smoothed(_SMOOTH_MM)
    lifted = np.where(inside, smooth - open_square(smooth, coarse.pixels(_HALF_WIDTH_MM)), np.float32(0))
    ends = ~exposure.is_exposed
    covered = np.zeros(inside.shape, dtype=bool)
    found = []
    for part in sorted(_parts(coarse, lifted, inside, bone, noise), key=lambda p: (not p.is_wide, -p.sides * p.height)):
        if (covered[part.box] & part.mask).any():
            continue
        covered[part.box] |= part.mask
        rows, columns = part.box
        box = (slice(rows.start * factor, rows.stop * factor), slice(columns.start * factor, columns.stop * factor))
        mask = enlarge_mask(part.mask, factor, tuple(s.stop - s.start for s in box))
        found.append(
            FilmFocus(
                box=box,
                mask=mask,
                contrast=part.height,
                significance=part.height / max(NOISE_SHARE * noise, 1e-6),
                bone_contact=bone_contact(reduced, bones, box, mask),
                is_cut=bool(ends[box][mask].any()),
                has_edges=True,
            )
        )
    return found


def _parts(reduced: ReducedFilm, lifted: Floats, inside: Mask, bone: Mask, noise: float) -> list[_Part]:
    """Parts above contours of all heights that have sharp sides."""
    found = []
    level = float(lifted.max()) / _LEVEL_STEP
    while level > max(_LEAST_NOISE * noise, 1e-6):
        labels, _count = ndimage.label(lifted > level, structure=EIGHT)
        areas = np.bincount(labels.ravel()) * reduced.pixel_mm**2
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            box = (rows, columns)
            sides_mm = [(s.stop - s.start) * reduced.pixel_mm for s in box]
            if areas[number] < _LEAST_MM2 or min(sides_mm) < _NARROW_MM or max(sides_mm) > _MOST_MM:
                continue
            part = _judged(reduced, lifted, inside, bone, box, labels[box] == number)
            if part is not None:
                found.append(part)
        level /= _LEVEL_STEP
    return found


def _judged(
    reduced: ReducedFilm, lifted: Floats, inside: Mask, bone: Mask, box: tuple[slice, slice], mask: Mask
) -> _Part | None:
    """The part with its height and sides; ``None`` where it is too narrow, at bone, or not bounded by sharp sides."""
    room = reduced.pixels(_ROOM_MM)
    window = tuple(slice(max(0, s.start - room), s.stop + room) for s in box)
    height, searched = lifted[window], inside[window]
    whole = np.zeros(height.shape, dtype=bool)
    rows, columns = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, window, strict=True))
    whole[rows, columns] = ndimage.binary_fill_holes(mask)
    if not shrunk(whole, reduced.pixels(_NARROW_MM / 2)).any():
        return None
    is_wide = bool(shrunk(whole, reduced.pixels(_LEAST_MM / 2)).any())
    border = whole & ~shrunk(whole, 1)
    free = border & shrunk(searched, 2)
    at_bone = border & grown(bone[window], reduced.pixels(_RING_MM[0]) + 2)
    ring = grown(whole, reduced.pixels(_RING_MM[1])) & ~grown(whole, reduced.pixels(_RING_MM[0])) & searched
    length = max(1, int(border.sum()))
    if free.sum() < _FREE * length or at_bone.sum() > _MOST_CONTACT * length or not ring.any():
        return None
    lowest = ndimage.minimum_filter(np.where(whole | ~searched, np.float32(np.inf), height), size=5)
    fall = height[free] - lowest[free]
    rise = float(np.median(height[whole]) - np.median(height[ring]))
    sides = float((fall > _FALL * rise).sum() / length)
    if (
        rise <= 0
        or sides < (_SHARP_SIDES if is_wide else _NARROW_SIDES)
        or np.minimum(fall, rise).mean() < _MEAN_FALL * rise
    ):
        return None
    return _Part(box=box, mask=whole[rows, columns], height=rise, sides=sides, is_wide=is_wide)
