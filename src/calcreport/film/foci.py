"""Dense, sharp foci in soft tissue, found by contrast against surroundings, noise and structure around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.film.bone import Bones
from calcreport.film.exposure import Exposure
from calcreport.film.reduced import EIGHT, Floats, Mask, ReducedFilm, gradient_size, grown, open_square, shrunk, within
from calcreport.processes.threads import map_in_threads

_SMOOTH_MM: Final = 0.4
"""Noise is smoothed over this before anything is sought (Gaussian sigma, mm)."""
_WIDTHS_MM: Final = (4.5, 14.0)
"""Half the width of what is sought: deposits and rims, then whole masses."""
_AROUND_MM: Final = 40.0
"""Structure that a focus has to stand out of is judged in squares of this side, mm."""
NOISE_SHARE: Final = 0.2
"""Structure counts as at least this share of the noise of a film pixel: a seed then stands 1.2 deviations out of it."""
_SLOPE_MM: Final = 6.0  # side of the square over which the fall of grey is averaged
_SLOPE_SHARE_MM: Final = 0.1
"""Where grey falls away steadily, as towards the skin, a bump has to be higher than the fall over 0.6 mm."""
_SEED: Final = 6.0
"""A focus stands out somewhere by this many times the structure around (robust standard deviation) ..."""
_GROW: Final = 2.5
"""... and is followed down to this, or to `_PEAK_SHARE` of its peak, whichever is more."""
_PEAK_SHARE: Final = 0.15  # of the peak; a focus ends no lower
_BONE_MARGIN_MM: Final = 1.6  # not searched: blur of the edge of bone
_SKIN_MARGIN_MM: Final = 1.5  # not searched: the skin itself
_END_MARGIN_MM: Final = 2.5  # not searched: blur of the collimators
_LEAST_MM2: Final = 1.2
"""Area of a deposit 1.2 mm across; smaller specks cannot be distinguished from noise or dust."""
_LONG_MM: Final = 25.0  # parts longer than this may hold compact cores
_CORE_EXCESS: Final = 2.5  # peak of a core over the median of its part
_CORE_SHARE: Final = 0.5  # of the peak; cores are the parts above it
_CORE_EDGE: Final = 0.3  # of its peak; a core ends there
_ROUND_CORE_MM: Final = 2.0
"""A part longer than `_LONG_MM` whose half height is reached by compact cores only is those cores, each followed down
to `_CORE_EDGE` of its peak: a deposit on a band of muscle or beside a bone."""
_CONTACT_MM: Final = 2.4
"""The outline is at bone where bone lies within this."""


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
            yield self._focus(box, mask)

    def _focus(self, box: tuple[slice, slice], mask: Mask) -> FilmFocus:
        return FilmFocus(
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
    window = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    bone = bones.is_bone[window]
    around = np.zeros(bone.shape, dtype=bool)
    around[within(box, window)] = mask
    ring = grown(around, reach) & ~around
    return float(bone[ring].mean()) if ring.any() else 0.0


def _length(mask: Mask) -> int:
    """Longer side of the box around a mask, pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(max(np.ptp(rows), np.ptp(columns))) + 1
