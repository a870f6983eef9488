"""Which part of a film shows the patient: exposed field, air, body; and which end of its grey is dense.

A header may state the wrong Photometric Interpretation; then bone would be searched as air and mineral as a gap. Air
beside a limb proves which end is dark: it is even, reaches the end of the field, and grey rises from it over
centimetres as the limb grows thicker. A collimator's margin is even as well, but ends in a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.film.reduced import (
    Floats,
    Mask,
    ReducedFilm,
    Value,
    additive,
    chosen,
    gradient_size,
    grown,
    parts_reaching,
    reduce_film,
    reduce_mask,
    shrunk,
)
from calcreport.model.film import FilmImage

_PENUMBRA_MM: Final = 3.0  # Collimator edges are blurred over this width, mm
_EDGE_SHARE: Final = 0.7  # Share of the rows (or columns) on whose straight line an edge must lie to be a collimator's
_STRAIGHT_MM: Final = 1.2  # Points of a collimator edge lie within this of a straight line, mm
_STRAIGHT_SHARE: Final = 0.75
"""Share of the columns in which a masked margin is at least as deep as it typically is: text may lie in the rest."""
_EDGE_STEP: Final = 0.12
"""An unexposed margin is brighter than the field by this share of the film's range, and among its brightest parts."""
_DARK: Final = 0.3
"""Air lies below this share of the way from the darkest grey to that of the body; it brightens towards a film's end."""
_FLAT_PER_MM: Final = 0.02  # In air grey changes by less than this share of that way in a millimetre ..
_SKIN_STEP: Final = 0.06  # ... and skin begins where it has risen by this share above the air beside it
_LEAST_AIR: Final = 0.005  # Less air than this share of the field shows no skin line
_STEEP: Final = 1.5  # At a skin line grey rises this many times as steeply as within the body (medians)
_GAP_MM: Final = 1.0  # specks and gaps in air that are ignored


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Parts of a plate."""

    is_exposed: Mask
    """Shape of the plate; within collimators."""
    is_air: Mask
    """Beside the patient, reached by the beam."""
    is_body: Mask
    """The patient; small things in air (markers) left out."""
    darkest: float
    brightest: float
    """Range of grey in the exposed field (0.5 and 99.5 percentile)."""
    has_skin_line: bool
    """Whether air was found."""

    @property
    def span(self) -> float:
        """Range of grey in the exposed field."""
        return max(self.brightest - self.darkest, 1e-6)

    def reduced(self, factor: int) -> Exposure:
        """The same parts on a plate with `factor` times as large pixels."""
        exposed, air, body = (reduce_mask(mask, factor) for mask in (self.is_exposed, self.is_air, self.is_body))
        return replace(self, is_exposed=exposed, is_air=air, is_body=body)


def continued(grey: Floats, exposed: Mask) -> Floats:
    """Grey that goes on beyond the exposed field as it ends there, so that no filter sees the unexposed margin."""
    if exposed.all() or not exposed.any():
        return grey
    rows, columns = ndimage.distance_transform_edt(~exposed, return_distances=False, return_indices=True)
    return np.asarray(grey[rows, columns], dtype=np.float32)


def find_exposure(reduced: ReducedFilm) -> Exposure:
    """Part a plate into unexposed margins, air and body."""
    smooth = reduced.smoothed(0.5)
    closed = ~reduced.is_imaged | _masked_margins(reduced) | _collimated(reduced, smooth)
    exposed = ~grown(closed, reduced.pixels(_PENUMBRA_MM / 2))
    if exposed.sum() < 0.02 * exposed.size:
        exposed = reduced.is_imaged
    smooth = replace(reduced, grey=continued(reduced.grey, exposed)).smoothed(0.5)
    inside = smooth[exposed]
    darkest, brightest = (float(v) for v in np.percentile(inside[:: max(1, inside.size // 200_000)], (0.5, 99.5)))
    air = _find_air(reduced, smooth, exposed, darkest, brightest)
    body = _largest_parts(exposed & ~air, reduced)
    return Exposure(
        is_exposed=exposed,
        is_air=air,
        is_body=body,
        darkest=darkest,
        brightest=brightest,
        has_skin_line=bool(air.any()),
    )


def _masked_margins(reduced: ReducedFilm) -> Mask:
    """Margins that were overwritten with one value, as black borders are: constant to the last bit, straight-edged."""
    masked = np.zeros(reduced.grey.shape, dtype=bool)
    for grey, view in zip(_from_sides(reduced.grey), _from_sides(masked), strict=True):
        same = np.logical_and.accumulate(grey == grey[0, grey.shape[1] // 2], axis=0)
        depth = same.sum(axis=0)
        typical = int(np.median(depth))
        is_straight = (depth >= typical - 1).mean() > _STRAIGHT_SHARE and (np.abs(depth - typical) <= 1).mean() > 0.5
        if 2 <= typical <= 0.45 * grey.shape[0] and is_straight:
            view[: typical + 1] = True
    return masked


def _from_sides(image: NDArray[Value]) -> tuple[NDArray[Value], ...]:
    """Views of an image in which each of its four sides is the first row."""
    return image, image[::-1], image.T, image.T[::-1]


def _collimated(reduced: ReducedFilm, smooth: Floats) -> Mask:
    """Margins the beam did not reach: bright, and bounded by a straight edge along a side of the film."""
    outside = np.zeros(smooth.shape, dtype=bool)
    low, high = (float(v) for v in np.percentile(smooth[::4, ::4], (1, 99)))
    bright = high - _EDGE_STEP * (high - low)
    step = max(2, reduced.pixels(_PENUMBRA_MM))
    for grey, view in zip(_from_sides(smooth), _from_sides(outside), strict=True):
        line = _bright_margin(grey, reduced, step, least=_EDGE_STEP * (high - low), bright=bright)
        if line is not None:
            depth = np.clip(line + reduced.pixels(_PENUMBRA_MM), 0, grey.shape[0])
            view[np.arange(grey.shape[0])[:, None] < depth] = True
    return outside


def _bright_margin(grey: Floats, reduced: ReducedFilm, step: int, *, least: float, bright: float) -> Floats | None:
    """Depth of a bright margin at the first rows, for each column, shape ``(columns,)``; ``None`` without one."""
    half = grey[: max(2 * step + 1, int(0.45 * grey.shape[0]))]
    fall = half[:-step] - half[step:]
    where = fall.argmax(axis=0)
    columns = np.arange(grey.shape[1])
    strong = fall[where, columns] > least
    if strong.mean() < _EDGE_SHARE:
        return None
    slope, level = _straight_line(columns[strong], where[strong].astype(np.float64))
    line = slope * columns + level
    near = strong & (np.abs(where - line) <= max(1.0, _STRAIGHT_MM / reduced.pixel_mm))
    if near.mean() < _EDGE_SHARE or abs(slope) > 0.2:
        return None
    outer = [float(np.median(half[: max(1, int(line[c])), c])) for c in columns[near][:: max(1, near.sum() // 64)]]
    inner = np.median(half[np.minimum(where[near] + step, len(half) - 1), columns[near]])
    if np.median(outer) - inner < least or np.median(outer) < bright:
        return None
    return np.asarray(line + step, dtype=np.float32)


def _straight_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and level of a line through most points (median of slopes between distant points)."""
    half = len(x) // 2
    slope = float(np.median((y[half : 2 * half] - y[:half]) / np.maximum(x[half : 2 * half] - x[:half], 1)))
    return slope, float(np.median(y - slope * x))


def _find_air(reduced: ReducedFilm, smooth: Floats, exposed: Mask, darkest: float, brightest: float) -> Mask:
    """Air beside the patient: dark, flat, reaching the end of the field, and ending with a steep edge."""
    lifted = smooth[exposed & (smooth > darkest + 0.15 * (brightest - darkest))]
    nothing = np.zeros(exposed.shape, dtype=bool)
    if not lifted.size:
        return nothing
    way = float(np.median(lifted[:: max(1, lifted.size // 100_000)])) - darkest
    steepness = gradient_size(smooth) / reduced.pixel_mm
    flat = exposed & (smooth < darkest + _DARK * way) & (steepness < _FLAT_PER_MM * way)
    flat = grown(shrunk(flat, reduced.pixels(_GAP_MM)), reduced.pixels(_GAP_MM))
    rim = exposed & ~shrunk(exposed, reduced.pixels(2.0))
    air = parts_reaching(flat, rim)
    if air.sum() < _LEAST_AIR * exposed.sum():
        return nothing
    air = _up_to_skin(reduced, smooth, exposed, air, _SKIN_STEP * way)
    return air if _has_steep_edge(reduced, steepness, exposed, air) else nothing


def _up_to_skin(reduced: ReducedFilm, smooth: Floats, exposed: Mask, air: Mask, step: float) -> Mask:
    """Air with the pixels at its end that are hardly brighter than the air beside them."""
    reach = reduced.pixels(4.0)
    near = grown(air, reach) & exposed & ~air
    rows, columns = ndimage.distance_transform_edt(~air, return_distances=False, return_indices=True)
    beside = smooth[rows[near], columns[near]]
    wider = air.copy()
    wider[near] = smooth[near] < beside + step
    return parts_reaching(wider, air)


def _has_steep_edge(reduced: ReducedFilm, steepness: Floats, exposed: Mask, air: Mask) -> bool:
    """Whether grey rises steeply where air ends: the skin, and not the thin end of something smooth."""
    beside = grown(air, reduced.pixels(1.5)) & exposed & ~air
    body = exposed & ~air & ~beside
    is_seen = beside.any() and body.any()
    return bool(is_seen and np.median(steepness[beside]) > _STEEP * np.median(steepness[body][::16]))


def _largest_parts(mask: Mask, reduced: ReducedFilm) -> Mask:
    """Parts of at least a tenth of the largest and 4 cm2: markers and their plates lie apart from the patient."""
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    areas = np.bincount(labels.ravel())
    largest = float(areas[1:].max())
    return chosen(labels, areas >= min(max(0.1 * largest, 400.0 / reduced.pixel_mm**2), largest))


TURNED: Final = (
    "Photometric Interpretation contradicts the picture: the background beside the patient shows which end is dense, "
    "and the film was read by that."
)  # note on a film that was turned
_PIXEL_MM: Final = 1.2  # Coarse enough to be quick, fine enough for the rounding of a finger
_RINGS_MM: Final = ((1.0, 2.5), (2.5, 5.0), (5.0, 10.0), (10.0, 20.0))
"""Grey is compared at these distances from the air."""
_STEP: Final = 0.08
"""Rise of grey at 1-2.5 mm, the skin, as a share of the way from air to the median of the body: 0.11 or more ..."""
_STEP_TO_UNEVENNESS: Final = 1.25
"""... and so many times what the air itself varies by (10 to 90 %): 1.36 and more, against 1.14 and less, or a step
without rounding, on films of the wrong polarity."""
_ROUND: Final = (0.36, 0.8)
"""Rise at 2.5-5 mm over that at 10-20 mm: 0.38 to 0.76 where a limb begins, 0.82 and more at a collimator or a cast."""
_FAR: Final = (0.4, 1.0)  # Rise at 10-20 mm: 0.46 to 0.89 in a limb, which is thicker still in its middle
_TURNING_AIR: Final = 0.05  # A film is turned only by air that fills at least this share of its field ..
_LEAST_RIM: Final = 0.1
"""... and this share of the field's rim: clipped metal may be even and reach the rim, but in one place."""


def settle_polarity(film: FilmImage) -> FilmImage | None:
    """Film as it is, or turned where its background proves the header wrong.

    ``None`` where the header contradicts itself and the background does not decide.
    """
    reduced = reduce_film(film)
    factor = max(1, round(_PIXEL_MM / reduced.pixel_mm))
    reduced = reduced.reduced(factor) if factor > 1 else reduced
    if not reduced.grey.size or not reduced.is_imaged.any():
        return film
    if _has_air(replace(reduced, grey=additive(film, reduced.grey)), least_air=0.0, least_rim=0.0):
        return film
    turned = additive(film, reduced.grey.max() + reduced.grey.min() - reduced.grey)
    if _has_air(replace(reduced, grey=turned), least_air=_TURNING_AIR, least_rim=_LEAST_RIM):
        return replace(
            film,
            intensity=film.intensity.max() + film.intensity.min() - film.intensity,
            picture=~film.picture,
            notes=(TURNED, *film.notes),
        )
    return None if film.has_polarity_conflict else film


def _has_air(reduced: ReducedFilm, *, least_air: float, least_rim: float) -> bool:
    """Whether the dark end of a plate is direct exposure beside a rounded body."""
    exposure = find_exposure(reduced)
    air, field = exposure.is_air, exposure.is_exposed
    rim = field & ~shrunk(field, 1)
    if not air.any() or air.sum() < least_air * field.sum() or air[rim].mean() < least_rim:
        return False
    distance = ndimage.distance_transform_edt(~air) * reduced.pixel_mm
    rings = [field & ~air & (distance > near) & (distance <= far) for near, far in _RINGS_MM]
    low, level, high = np.percentile(reduced.grey[air], (10, 50, 90))
    way = float(np.median(reduced.grey[field & ~air]) - level)
    if way <= 0 or not all(ring.any() for ring in rings):
        return False
    rises = [float(np.median(reduced.grey[ring]) - level) / way for ring in rings]
    return (
        rises[0] > max(_STEP, _STEP_TO_UNEVENNESS * float(high - low) / way)
        and all(a < b for a, b in pairwise(rises))
        and _ROUND[0] <= rises[1] / rises[-1] <= _ROUND[1]
        and _FAR[0] <= rises[-1] <= _FAR[1]
    )
