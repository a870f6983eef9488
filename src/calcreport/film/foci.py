"""Dense, sharp foci in soft tissue: found by contrast against what lies around them, or by sharp edges all round.

A sheet seen from the front is faint, even and wider than any filter that tells deposits from muscle. What tells it from
soft tissue is its border: along the contour of some height grey falls at once by a good share of that height, on nearly
all sides. Contours of soft tissue do that on one side at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.film.bone import Bones
from calcreport.film.exposure import Exposure
from calcreport.film.reduced import (
    EIGHT,
    Floats,
    Mask,
    ReducedFilm,
    around,
    enlarge_mask,
    gradient_size,
    grown,
    open_square,
    reduce_mask,
    shrunk,
    within,
)
from calcreport.processes.threads import map_in_threads

_SMOOTH_MM: Final = 0.4  # Noise is smoothed over this before anything is sought (Gaussian sigma, mm)
_WIDTHS_MM: Final = (4.5, 14.0)  # Half the width of what is sought: deposits and rims, then whole masses
_AROUND_MM: Final = 40.0  # Structure that a focus has to stand out of is judged in squares of this side, mm
NOISE_SHARE: Final = 0.2
"""Structure counts as at least this share of the noise of a film pixel: a seed then stands 1.2 deviations out of it."""
_SLOPE_MM: Final = 6.0  # side of the square over which the fall of grey is averaged
_SLOPE_SHARE_MM: Final = 0.1
"""Where grey falls away steadily, as towards the skin, a bump has to be higher than the fall over 0.6 mm."""
_SEED: Final = 6.0  # A focus stands out somewhere by this many times the structure around (robust standard deviation)
_GROW: Final = 2.5  # ... and is followed down to this, or to `_PEAK_SHARE` of its peak, whichever is more
_PEAK_SHARE: Final = 0.15  # of the peak; a focus ends no lower
_BONE_MARGIN_MM: Final = 1.6  # not searched: blur of the edge of bone
_SKIN_MARGIN_MM: Final = 1.5  # not searched: the skin itself
_END_MARGIN_MM: Final = 2.5  # not searched: blur of the collimators
_LEAST_MM2: Final = 1.2  # Area of a deposit 1.2 mm across; smaller specks cannot be distinguished from noise or dust
_LONG_MM: Final = 25.0  # parts longer than this may hold compact cores
_CORE_EXCESS: Final = 2.5  # peak of a core over the median of its part
_CORE_SHARE: Final = 0.5  # of the peak; cores are the parts above it
_CORE_EDGE: Final = 0.3  # of its peak; a core ends there
_ROUND_CORE_MM: Final = 2.0
"""A part longer than `_LONG_MM` whose half height is reached by compact cores only is those cores, each followed down
to `_CORE_EDGE` of its peak: a deposit on a band of muscle or beside a bone."""
_CONTACT_MM: Final = 2.4  # The outline is at bone where bone lies within this


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmFocus:
    """One dense focus on the plate."""

    box: tuple[slice, slice]
    """Rows and columns on the plate."""
    mask: Mask
    """Shape of `box`."""
    contrast: float
    """Peak against the surroundings, in grey."""
    significance: float
    """Peak over the structure around."""
    bone_contact: float
    """Share of the outline that lies at bone."""
    is_cut: bool
    """Whether it reaches the end of the field."""
    has_edges: bool = False
    """Whether it was found by its edges, sharp on nearly all sides."""


def search_field(reduced: ReducedFilm, exposure: Exposure, bones: Bones) -> Mask:
    """Soft tissue off bone, a little away from skin, bone and the end of the field; shape of the plate."""
    body = exposure.is_body & exposure.is_exposed
    inner = shrunk(body, reduced.pixels(_SKIN_MARGIN_MM), is_set_beyond=True)
    inner &= shrunk(exposure.is_exposed, reduced.pixels(_END_MARGIN_MM))
    return np.asarray(inner & ~grown(bones.is_bone, reduced.pixels(_BONE_MARGIN_MM)))


def find_foci(reduced: ReducedFilm, exposure: Exposure, bones: Bones, field: Mask, noise: float) -> list[FilmFocus]:
    """Find foci that stand out of soft tissue in the `field`; at more than one width they are found as often."""
    smooth = reduced.smoothed(_SMOOTH_MM)
    slope = ndimage.uniform_filter(gradient_size(smooth) / np.float32(reduced.pixel_mm), reduced.pixels(_SLOPE_MM))
    floor = np.maximum(np.float32(noise * NOISE_SHARE), slope * np.float32(_SLOPE_SHARE_MM))
    at_end = ~shrunk(exposure.is_exposed, reduced.pixels(_END_MARGIN_MM) + 1)

    def of_width(width_mm: float) -> list[FilmFocus]:
        lifted = smooth - open_square(smooth, reduced.pixels(width_mm))
        scale = np.maximum(structure_around(reduced, lifted, field), floor)
        height = np.where(field, lifted / scale, np.float32(0))
        return list(_Relief(reduced=reduced, lifted=lifted, height=height, bones=bones, at_end=at_end).foci())

    return [focus for found in map_in_threads(of_width, _WIDTHS_MM) for focus in found]


def structure_around(reduced: ReducedFilm, lifted: Floats, field: Mask) -> Floats:
    """Robust standard deviation of what stands out around every pixel, shape of the plate."""
    block = reduced.pixels(_AROUND_MM / 2)
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Relief:
    """What stands out at one width: in grey (`lifted`) and over the structure around (`height`); plate's shape."""

    reduced: ReducedFilm
    lifted: Floats
    height: Floats
    bones: Bones
    at_end: Mask

    def foci(self) -> Iterator[FilmFocus]:
        """Yield every part that stands out enough; long ones with a denser part as that part."""
        labels, count = ndimage.label(self.height > _GROW, structure=EIGHT)
        if not count:
            return
        peaks = np.zeros(count + 1, dtype=np.float32)
        is_part = labels > 0
        np.maximum.at(peaks, labels[is_part], self.height[is_part])
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            if peaks[number] < _SEED:
                continue
            rows, columns = box
            here = labels[box] == number
            mask = here & (self.lifted[box] > _PEAK_SHARE * float((self.lifted[box] * here).max()))
            for part in self._parts((rows, columns), mask):
                yield from self._denser((rows, columns), part)

    def _parts(self, box: tuple[slice, slice], mask: Mask) -> Iterator[Mask]:
        """Separate parts of a mask that reach the height of a seed."""
        labels, count = ndimage.label(mask, structure=EIGHT)
        for number in range(1, count + 1):
            part = labels == number
            if float((self.height[box] * part).max()) >= _SEED and part.sum() * self.reduced.pixel_mm**2 >= _LEAST_MM2:
                yield part

    def _denser(self, box: tuple[slice, slice], part: Mask) -> Iterator[FilmFocus]:
        """Yield the compact cores of a long part each by itself, where it has any, else the part."""
        cores = []
        top = float((self.lifted[box] * part).max())
        has_core = top > _CORE_EXCESS * float(np.median(self.lifted[box][part]))
        if has_core and _length(part) > self.reduced.pixels(_LONG_MM):
            for core in self._parts(box, part & (self.lifted[box] > _CORE_SHARE * top)):
                if _length(core) < _length(part) / 3:
                    peak = float((self.lifted[box] * core).max())
                    near = grown(core, self.reduced.pixels(_ROUND_CORE_MM))
                    cores.append(part & near & (self.lifted[box] > _CORE_EDGE * peak))
        for mask in cores or [part]:
            yield FilmFocus(
                box=box,
                mask=mask,
                contrast=float((self.lifted[box] * mask).max()),
                significance=float((self.height[box] * mask).max()),
                bone_contact=bone_contact(self.reduced, self.bones, box, mask),
                is_cut=bool(self.at_end[box][mask].any()),
            )


def bone_contact(reduced: ReducedFilm, bones: Bones, box: tuple[slice, slice], mask: Mask) -> float:
    """Share of the outline of a part of the plate that lies at bone."""
    reach = reduced.pixels(_CONTACT_MM)
    window = around(box, reach)
    bone = bones.is_bone[window]
    own = np.zeros(bone.shape, dtype=bool)
    own[within(box, window)] = mask
    ring = grown(own, reach) & ~own
    return float(bone[ring].mean()) if ring.any() else 0.0


def _length(mask: Mask) -> int:
    """Longer side of the box around a mask, pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


_SHEET_PIXEL_MM: Final = 0.8  # Wide things are sought at pixels of about this size
_SHEET_SMOOTH_MM: Final = 0.6  # Gaussian before contours are drawn
_HALF_WIDTH_MM: Final = 32.0  # Half the width of what is sought
_LEVEL_STEP: Final = 1.3  # Contours are drawn at heights that differ by this factor ..
_LEAST_NOISE: Final = 0.4  # ... down to this share of the noise of a film pixel
_LEAST_SHEET_MM2: Final = 150.0  # area of a wide focus
_LEAST_SHEET_MM: Final = 12.0  # width of a wide focus
_NARROW_MM: Final = 8.0  # width of a narrower one; see `_MOST_MM`
_MOST_MM: Final = 120.0
"""Least width and greatest length of a focus here; the narrow search sees what is smaller. Narrower ones, down to
`_NARROW_MM`, count where `_NARROW_SIDES` are sharp and nothing wider is: less is tissue between two edges."""
_NARROW_SIDES: Final = 0.9  # share of sharp sides a narrower one needs
_ROOM_MM: Final = 6.0  # margin around a contour for its surroundings
_RING_MM: Final = (1.6, 5.0)  # Surroundings, as distances from the contour
_FALL: Final = 0.25  # A contour is sharp where grey falls within two pixels by this share of what it bounds ..
_SHARP_SIDES: Final = 0.75  # ... and bounds a focus where that holds on this share of its whole length
_MEAN_FALL: Final = 0.4
"""... and where it falls by this share on the average; the top of something round does so by less."""
_FREE: Final = 0.5  # At least so much of it lies off bone and off the end of the field
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
    factor = max(1, round(_SHEET_PIXEL_MM / reduced.pixel_mm))
    coarse = reduced.reduced(factor)
    inside, bone = reduce_mask(field, factor), reduce_mask(bones.is_bone, factor)
    smooth = coarse.smoothed(_SHEET_SMOOTH_MM)
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
            if areas[number] < _LEAST_SHEET_MM2 or min(sides_mm) < _NARROW_MM or max(sides_mm) > _MOST_MM:
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
    window = around(box, room)
    height, searched = lifted[window], inside[window]
    whole = np.zeros(height.shape, dtype=bool)
    whole[within(box, window)] = ndimage.binary_fill_holes(mask)
    if not shrunk(whole, reduced.pixels(_NARROW_MM / 2)).any():
        return None
    is_wide = bool(shrunk(whole, reduced.pixels(_LEAST_SHEET_MM / 2)).any())
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
    is_sharp = sides >= (_SHARP_SIDES if is_wide else _NARROW_SIDES)
    if rise <= 0 or not is_sharp or np.minimum(fall, rise).mean() < _MEAN_FALL * rise:
        return None
    return _Part(box=box, mask=whole[within(box, window)], height=rise, sides=sides, is_wide=is_wide)
