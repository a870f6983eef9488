"""At which height of one film a height of an orthogonal one lies.

The rows of two exposures have nothing to do with each other: limb and detector were moved in between, and what lies
nearer to the tube is enlarged more. But whatever its direction, the beam passes the same matter at the same height:
what a film shows along one row, less the air beside the limb, adds up to nearly the same from the front and from the
side (the zeroth moment of a projection does not depend on its direction; Helgason and Ludwig). So the sums along the
rows rise and fall alike, at a joint above all, and where they match at one place only, that place is known. Slow
changes are left out: scatter and the distance from the tube change slowly about the middle of every film, and would
match the middles of any two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.film.exposure import Exposure, continued, find_exposure
from calcreport.film.reduced import ReducedFilm, additive, film_pixel_mm, reduce_film
from calcreport.model.film import FilmImage

Curve = NDArray[np.float64]  # one value a step along a film; NaN where unknown

STEP_MM: Final = 1.0  # Distance between the values of a curve
_PLATE_MM: Final = 0.8  # pixel of the film on which rows are summed
_LEAST_WIDTH_MM: Final = 10.0  # of a limb; narrower rows are left out
_LEAST_AIR: Final = 3  # Pixels of air on each side of the limb that tell what a row shows without it
_END_MM: Final = 15.0
"""So near to the first and the last row that shows the limb, the edge of the field or a slanting beam cuts it."""
_SLOW_MM: Final = 50.0  # What is no quicker than a parabola over this length tells nothing
_SMOOTH_MM: Final = 1.0  # Gaussian along the curve
_LEAST_VARIATION: Final = 0.0015  # Standard deviation over mean below which a curve is noise and marbling only
_LEAST_OVERLAP_MM: Final = 80.0  # of two curves; a shorter match is chance
_LEAST_OVERLAP: Final = 0.6  # Curves have to overlap by this share of the shorter one
_SCALES: Final = (0.9, 0.925, 0.95, 0.975, 1.0, 1.025, 1.05, 1.075, 1.1)
"""Enlargement of the one film over that of the other."""
_LIKE_AMPLITUDE: Final = (0.7, 1.4)  # The same matter makes both curves rise by the same share
_LEAST_FIT: Final = 0.9  # Correlation from which curves are said to match ..
_NEARLY: Final = 0.05  # ... within this of the best, a place may be the true one; ...
_MOST_SPREAD_MM: Final = 8.0  # ... such places lie near the best, ...
_CLEAR: Final = 0.15  # ... and any others match less well by this


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What a film shows along its rows."""

    curve: Curve
    """Shape ``(n,)``, one value every `STEP_MM` of the film's plane: sum along the row of what is brighter than air,
    over its mean, less its slow part; NaN where a row does not show the whole width of the limb."""
    length_mm: float
    """Extent of the film along its rows, mm."""
    body_mm: float
    """Median width of the patient on it, mm; infinite where there is none."""
    matter: float
    """Mean over the rows of that sum, grey times mm; NaN where no row shows the whole width of the limb. On two views
    it differs by what the films make of exposure only, and so tells one film's grey in terms of the other's."""

    def turned(self) -> Profile:
        """The same film upside down."""
        return replace(self, curve=self.curve[::-1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """Places of one film on another that their curves allow."""

    scales: Curve
    shifts_mm: Curve
    """Shape ``(n,)``, the best first; height x on the first film lies at ``scale * x + shift`` on the second, mm."""
    fit: float
    """Correlation of the best."""

    def place(self, height_mm: float) -> tuple[float, float]:
        """Height on the second film of a height on the first one, and how far off it may be; mm."""
        heights = self.scales * height_mm + self.shifts_mm
        return float(heights[0]), float(np.abs(heights - heights[0]).max())


def film_profile(film: FilmImage) -> Profile:
    """Sum up what a film shows along each of its rows."""
    film = replace(film, intensity=additive(film))
    reduced = reduce_film(film)
    reduced = reduced.reduced(max(1, round(_PLATE_MM / reduced.pixel_mm)))
    exposure = find_exposure(reduced)
    reduced = replace(reduced, grey=continued(reduced.grey, exposure.is_exposed))
    row_mm, column_mm = (value * reduced.factor for value in film_pixel_mm(film))
    widths = (exposure.is_body & exposure.is_exposed).sum(axis=1) * column_mm
    shown = widths[widths > _LEAST_WIDTH_MM]
    sums = _row_sums(reduced, exposure)
    sums[widths < _LEAST_WIDTH_MM] = np.nan
    return Profile(
        curve=_quick_part(_evenly(sums, row_mm)),
        length_mm=film.intensity.shape[0] * film_pixel_mm(film)[0],
        body_mm=float(np.median(shown)) if shown.size else float("inf"),
        matter=float(np.nanmean(sums)) * column_mm if np.isfinite(sums).any() else float("nan"),
    )


def _row_sums(reduced: ReducedFilm, exposure: Exposure) -> Curve:
    """Sum of grey above that of air, for each row; NaN where air does not lie on both sides of the body."""
    body = exposure.is_body & exposure.is_exposed
    air = exposure.is_air & exposure.is_exposed
    sums = np.full(len(body), np.nan)
    for row in np.flatnonzero(body.any(axis=1)):
        inside = np.flatnonzero(body[row])
        left = reduced.grey[row, : inside[0]][air[row, : inside[0]]]
        right = reduced.grey[row, inside[-1] + 1 :][air[row, inside[-1] + 1 :]]
        if min(left.size, right.size) >= _LEAST_AIR:
            base = (float(np.median(left)) + float(np.median(right))) / 2
            sums[row] = float(reduced.grey[row, inside].sum(dtype=np.float64)) - base * inside.size
    return sums


def _evenly(values: Curve, row_mm: float) -> Curve:
    """Values of the rows brought to one every `STEP_MM`; NaN where the nearest row is NaN."""
    count = max(2, int(len(values) * row_mm / STEP_MM))
    rows = (np.arange(count) + 0.5) * STEP_MM / row_mm - 0.5
    known = np.isfinite(values)
    if known.sum() < 2:
        return np.full(count, np.nan)
    even = np.interp(rows, np.flatnonzero(known), values[known])
    nearest = np.clip(np.round(rows).astype(int), 0, len(values) - 1)
    return np.where(known[nearest], even, np.nan)


def _quick_part(curve: Curve) -> Curve:
    """Curve over its mean, without what a parabola follows over the length of `_SLOW_MM`."""
    rest = np.full(len(curve), np.nan)
    where = np.flatnonzero(np.isfinite(curve))
    end = round(_END_MM / STEP_MM)
    where = where[end : where.size - end]
    if where.size < _LEAST_OVERLAP_MM / STEP_MM:
        return rest
    whole = np.interp(np.arange(where[0], where[-1] + 1), where, curve[where])
    slow = _parabolas(whole, round(_SLOW_MM / STEP_MM) // 2)
    quick = ndimage.gaussian_filter1d(whole, _SMOOTH_MM / STEP_MM, mode="nearest") - slow
    rest[where] = quick[where - where[0]] / max(abs(float(whole.mean())), 1e-9)
    return rest


def _parabolas(values: Curve, half: int) -> Curve:
    """Parabola through `half` values on either side of each one, at its place; at the ends through the last of them.

    The filter of Savitzky and Golay: that of `scipy.signal` is the same, but loading it takes 0.4 s of every analysis.
    """
    powers = np.vander(np.arange(-half, half + 1), 3)
    weights = powers @ np.linalg.pinv(powers)
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1)
    return np.concatenate((weights[:half] @ windows[0], windows @ weights[half], weights[half + 1 :] @ windows[-1]))


def register(first: Profile, second: Profile) -> Registration | None:
    """Find where the first film lies on the second along the rows; ``None`` where at no place or at several."""
    tried = np.array([place for scale in _SCALES for place in _fits(first.curve, second.curve, scale)])
    if not len(tried):
        return None
    tried = tried[np.argsort(-tried[:, 2], kind="stable")]
    scales, shifts, fits = tried.T
    # judged where the curve tells most: about a joint at one end of a film, any enlargement turns the other end
    weight = np.nan_to_num(first.curve) ** 2
    pivot_mm = STEP_MM * (float(weight @ np.arange(len(weight))) / float(weight.sum()) + 0.5)
    at = scales * pivot_mm + shifts
    apart = np.abs(at - at[0])
    others = fits[apart > _MOST_SPREAD_MM]
    if fits[0] < _LEAST_FIT or (others.size and others[0] > fits[0] - _CLEAR):
        return None
    likely = fits >= fits[0] - _NEARLY
    return Registration(scales=scales[likely], shifts_mm=shifts[likely], fit=float(fits[0]))


def _fits(first: Curve, second: Curve, scale: float) -> list[tuple[float, float, float]]:
    """Scale, shift in mm and correlation at every shift that leaves enough of an overlap."""
    count = max(2, round(len(first) * scale))
    stretched = np.interp((np.arange(count) + 0.5) / scale - 0.5, np.arange(len(first)), first)
    least = max(round(_LEAST_OVERLAP_MM / STEP_MM), round(_LEAST_OVERLAP * min(count, len(second))))
    found = []
    for shift in range(least - count, len(second) - least + 1):
        low, high = max(0, shift), min(len(second), count + shift)
        a, b = stretched[low - shift : high - shift], second[low:high]
        known = np.isfinite(a) & np.isfinite(b)
        if known.sum() < least:
            continue
        a, b = a[known] - a[known].mean(), b[known] - b[known].mean()
        sizes = np.sqrt(a @ a / a.size), np.sqrt(b @ b / b.size)
        is_alike = _LIKE_AMPLITUDE[0] <= sizes[0] / max(sizes[1], 1e-9) <= _LIKE_AMPLITUDE[1]
        if min(sizes) >= _LEAST_VARIATION and is_alike:
            found.append((scale, shift * STEP_MM, float(a @ b / (a.size * sizes[0] * sizes[1]))))
    return found
