"""Where a focus ends, at the level at which grey changes fastest; outlines that repeat, and that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.film.foci import FilmFocus
from calcreport.film.reduced import EIGHT, Floats, Mask, ReducedFilm, around, grown, parts_reaching, shrunk, within
from calcreport.model.film import PixelMask

Points = NDArray[np.float64]  # Points on a film, shape ``(n, 2)``: row and column, whole numbers are pixel centres

_LARGE_MM: Final = 90.0  # Anything longer is outlined on the reduced film: half a millimetre does not matter any more
_SMOOTH_MM: Final = 0.15  # Gaussian before the edge is sought; at least 0.7 pixels
_LEVELS: Final = np.arange(0.15, 0.66, 0.05)
"""Shares of the contrast at which an edge may lie: a ball's shadow ends low, that of a plate half way."""
_ROOM_MM: Final = 6.0  # margin of film around a focus
_RING_MM: Final = (2.0, 5.0)  # The surroundings are judged between these distances from the focus, mm
_LEAST_NOISE: Final = 0.5
"""No outline is drawn lower than this share of a film pixel's noise, unless the whole focus is as faint."""
_TOP: Final = 80  # percent; full contrast of a focus, see `_MIDDLE`
_MIDDLE: Final = 50
"""Percentile of the contrast within a focus that counts as its full contrast; the middle one for a focus found by its
edges, which may hold denser things."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A focus at the resolution of the film.

    `mask`: pixels within the outline; `points`: shape ``(n, 2)``; where rows and columns cross the outline, between
    pixels; `contrast`: mean contrast within the outline, in grey; `sharpness`: fall of the mean height from just within
    to just outside the outline, over the mean contrast: about 1 for mineral, well below for tissue that fades out.
    """

    mask: PixelMask
    points: Points
    contrast: float
    sharpness: float


def outline_focus(intensity: Floats, reduced: ReducedFilm, focus: FilmFocus, obstacles: Mask, noise: float) -> Outline:
    """Find the outline of a focus on the film.

    `intensity` has the shape ``(rows, columns)`` of the film; `obstacles`, of the shape of the reduced film, are bone,
    air and other foci, which are no surroundings; `noise` is the standard deviation of one film pixel, in grey.
    """
    if reduced.factor > 1 and max(s.stop - s.start for s in focus.box) * reduced.pixel_mm > _LARGE_MM:
        coarse = outline_focus(reduced.grey, replace(reduced, factor=1), focus, obstacles, noise / reduced.factor)
        return _enlarged(coarse, reduced.factor)
    factor, pixel_mm = reduced.factor, reduced.pixel_mm / reduced.factor
    box = around(focus.box, reduced.pixels(_ROOM_MM))
    grey = reduced.grey[box]
    inner = np.zeros(grey.shape, dtype=bool)
    inner[within(focus.box, box)] = focus.mask
    distance = np.asarray(ndimage.distance_transform_edt(~inner)) * reduced.pixel_mm
    ring = (distance > _RING_MM[0]) & (distance < _RING_MM[1]) & ~obstacles[box]
    corner = (box[0].start * factor, box[1].start * factor)
    patch = intensity[corner[0] : corner[0] + grey.shape[0] * factor, corner[1] : corner[1] + grey.shape[1] * factor]
    smooth = ndimage.gaussian_filter(patch, max(0.7, _SMOOTH_MM / pixel_mm), mode="nearest")
    height = smooth - _surroundings(grey, ring, factor)
    near = np.kron(distance < _RING_MM[0], np.ones((factor, factor), dtype=bool))
    core = np.kron(inner, np.ones((factor, factor), dtype=bool))
    level = _edge_level(height, near, core, noise, top=_MIDDLE if focus.has_edges else _TOP)
    mask = _connected(near & (height > level), core)
    contrast = float(height[mask].mean())
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    low = (int(rows[0]), int(columns[0]))
    cut = mask[low[0] : int(rows[-1]) + 1, low[1] : int(columns[-1]) + 1]
    return Outline(
        mask=PixelMask(offset=(corner[0] + low[0], corner[1] + low[1]), pixels=np.ascontiguousarray(cut)),
        points=_crossings(height, mask, level) + corner,
        contrast=contrast,
        sharpness=_fall(height, mask, pixel_mm) / max(contrast, 1e-6),
    )


def _enlarged(outline: Outline, factor: int) -> Outline:
    """An outline drawn on the plate, in pixels of the film."""
    row, column = outline.mask.offset
    pixels = np.repeat(np.repeat(outline.mask.pixels, factor, axis=0), factor, axis=1)
    return replace(
        outline,
        mask=PixelMask(offset=(row * factor, column * factor), pixels=pixels),
        points=outline.points * factor + (factor - 1) / 2,
    )


def _surroundings(grey: Floats, ring: Mask, factor: int) -> Floats:
    """Plane through the surroundings, at the film's pixels; level where the ring is too small for a slope."""
    rows, columns = np.nonzero(ring)
    if ring.sum() < 12:
        values = grey[ring] if ring.any() else grey
        flat: Floats = np.full(tuple(n * factor for n in grey.shape), np.median(values), dtype=np.float32)
        return flat
    design = np.stack((np.ones(len(rows)), rows, columns), axis=1)
    values = grey[ring].astype(np.float64)
    keep = np.ones(len(values), dtype=bool)
    solution = np.zeros(3)
    for _ in range(3):
        solution = np.asarray(np.linalg.lstsq(design[keep], values[keep], rcond=None)[0], dtype=np.float64)
        residual = values - design @ solution
        spread = 1.4826 * float(np.median(np.abs(residual[keep]))) + 1e-9
        keep = np.abs(residual) < 2.5 * spread
        if keep.sum() < 12:
            break
    fine = [(np.arange(n * factor) - (factor - 1) / 2) / factor for n in grey.shape]
    return np.asarray(solution[0] + solution[1] * fine[0][:, None] + solution[2] * fine[1][None, :], dtype=np.float32)


def _edge_level(height: Floats, near: Mask, core: Mask, noise: float, *, top: int) -> float:
    """Height along whose contour the film falls off most."""
    full = float(np.percentile(height[core], top)) if core.any() else float(height.max())
    best, best_level = -np.inf, 0.5 * full
    for share in _LEVELS:
        level = float(share) * full
        if level < _LEAST_NOISE * noise and share < 0.5:
            continue
        fall = _step(height, _connected(near & (height > level), core))
        if fall > best:
            best, best_level = fall, level
    return best_level


def _step(height: Floats, mask: Mask) -> float:
    """Mean height of the pixels along the inside of an outline less that of those along its outside."""
    inner, outer = mask & ~shrunk(mask, 1), grown(mask, 1) & ~mask
    return float(height[inner].mean() - height[outer].mean()) if inner.any() and outer.any() else 0.0


def _fall(height: Floats, mask: Mask, pixel_mm: float) -> float:
    """Mean height within half a millimetre inside the outline less that between 0.3 and 0.9 mm outside."""
    near, middle, far = (max(least, round(mm / pixel_mm)) for mm, least in ((0.5, 1), (0.3, 1), (0.9, 2)))
    inner = mask & ~shrunk(mask, near)
    outer = grown(mask, far) & ~grown(mask, middle)
    return float(height[inner].mean() - height[outer].mean()) if inner.any() and outer.any() else 0.0


def _connected(mask: Mask, core: Mask) -> Mask:
    """Parts of a mask that touch the core; the core itself where none does."""
    found = parts_reaching(mask, core, structure=EIGHT)
    return found if found.any() else core


def _crossings(height: Floats, mask: Mask, level: float) -> Points:
    """Points between an inner and an outer neighbour where the height equals the level, by linear interpolation."""
    found = []
    for axis in (0, 1):
        for step in (1, -1):
            outer = np.roll(mask, -step, axis=axis)
            outer_height = np.roll(height, -step, axis=axis)
            edge = mask & ~outer
            last = -1 if step > 0 else 0
            (edge if axis == 0 else edge.T)[last] = False
            inside, outside = height[edge], outer_height[edge]
            share = np.clip((inside - level) / np.maximum(inside - outside, 1e-6), 0, 1)
            points = np.argwhere(edge).astype(np.float64)
            points[:, axis] += step * np.where(outside < level, share, 0.5)
            found.append(points)
    points = np.concatenate(found)
    return points if len(points) else np.argwhere(mask).astype(np.float64)


def diameters(points_mm: Points) -> tuple[float, float, int, int]:
    """Longest diameter and the extent perpendicular to it, and the indices of the longest diameter's ends.

    `points_mm`, shape ``(n, 2)``, are of the outline, in mm or in pixels. Steps of half a degree shorten a diameter by
    less than 1 in 100 000.
    """
    angles = np.radians(np.arange(0.0, 180.0, 0.5))
    along = points_mm @ np.stack((np.cos(angles), np.sin(angles)))
    widths = along.max(axis=0) - along.min(axis=0)
    best = int(widths.argmax())
    across = float(widths[(best + 180) % 360])
    return float(widths[best]), across, int(along[:, best].argmin()), int(along[:, best].argmax())


SAME: Final = 0.3  # Foci that share this much of the smaller are seen twice; with less they touch each other


def without_repeats(pairs: list[tuple[FilmFocus, Outline]]) -> list[tuple[FilmFocus, Outline]]:
    """One of the foci that lie on each other: the one its edges bound, else the largest.

    The narrow search sees the border of a mass, the wide one all; either may take it together with what lies beside.
    """
    kept: list[tuple[FilmFocus, Outline]] = []
    for focus, outline in sorted(pairs, key=lambda pair: (not pair[0].has_edges, -float(pair[1].mask.pixels.sum()))):
        if not _is_among(outline, kept):
            kept.append((focus, outline))
    return kept


def not_among(
    pairs: list[tuple[FilmFocus, Outline]], others: list[tuple[FilmFocus, Outline]]
) -> list[tuple[FilmFocus, Outline]]:
    """Those of the foci that lie on none of the others."""
    return [(focus, outline) for focus, outline in pairs if not _is_among(outline, others)]


def _is_among(outline: Outline, others: list[tuple[FilmFocus, Outline]]) -> bool:
    return any(_overlap(outline.mask, other.mask) > SAME for _, other in others)


def _overlap(first: PixelMask, second: PixelMask) -> float:
    """Share of the smaller of two masks that lies on the other."""
    low = np.maximum(first.offset, second.offset)
    high = np.minimum(np.add(first.offset, first.pixels.shape), np.add(second.offset, second.pixels.shape))
    if (high <= low).any():
        return 0.0
    cuts = [
        mask.pixels[tuple(slice(int(a - o), int(b - o)) for a, b, o in zip(low, high, mask.offset, strict=True))]
        for mask in (first, second)
    ]
    return float((cuts[0] & cuts[1]).sum()) / max(1, min(int(first.pixels.sum()), int(second.pixels.sum())))


GROUP_MM: Final = 10.0
"""Foci no farther apart than this are one finding, as on CT: two deposits of one process look like one."""
_STRETCH_RATIO: Final = 3.0  # A stretch of a vessel's wall is this many times as long as wide
_STRETCH_MM: Final = 8.0  # least length of a stretch
_VESSEL_GAP_MM: Final = 30.0  # Stretches of one vessel follow each other within this, mm ..
_VESSEL_WIDTH_MM: Final = 12.0  # ... and lie no farther aside than a calcified artery is wide
_MOST_POINTS: Final = 200  # of an outline for distances; more change them by less than a pixel


def group_outlines(outlines: Sequence[Outline], spacing_mm: tuple[float, float]) -> list[list[int]]:
    """Indices of the outlines of each finding on one film; `spacing_mm` is between rows and between columns."""
    points = [o.points[:: max(1, -(-len(o.points) // _MOST_POINTS))] * spacing_mm for o in outlines]
    axes = [_axis(part) for part in points]
    group_of = list(range(len(outlines)))
    for i in range(len(outlines)):
        for j in range(i):
            own, other = group_of[i], group_of[j]
            if own != other and (_gap_mm(points[i], points[j]) <= GROUP_MM or _are_in_line(axes[i], axes[j])):
                group_of = [other if group == own else group for group in group_of]
    return [[i for i, group in enumerate(group_of) if group == one] for one in dict.fromkeys(group_of)]


def _gap_mm(first: Points, second: Points) -> float:
    """Shortest distance between two sets of points, mm; infinite where their boxes are farther apart than a group."""
    apart = np.maximum(np.maximum(first.min(axis=0) - second.max(axis=0), second.min(axis=0) - first.max(axis=0)), 0)
    is_near = float(np.hypot(*apart)) <= GROUP_MM
    return float(np.sqrt(((first[:, None] - second[None]) ** 2).sum(axis=2).min())) if is_near else float("inf")


_Axis = tuple[NDArray[np.float64], NDArray[np.float64], float]  # centre and direction, mm; length, mm


def _axis(points: Points) -> _Axis | None:
    """Centre, direction and length of an elongated focus, mm; ``None`` for one that is not."""
    centre = points.mean(axis=0)
    _values, vectors = np.linalg.eigh(np.cov((points - centre).T) if len(points) > 2 else np.eye(2))
    along, across = (points - centre) @ vectors[:, 1], (points - centre) @ vectors[:, 0]
    length = float(np.ptp(along))
    is_stretch = length >= max(_STRETCH_MM, _STRETCH_RATIO * float(np.ptp(across)))
    return (centre, vectors[:, 1], length) if is_stretch else None


def _are_in_line(first: _Axis | None, second: _Axis | None) -> bool:
    """Whether two elongated foci may be stretches, or opposite walls, of one vessel."""
    if first is None or second is None:
        return False
    (a, u, m), (b, v, n) = first, second
    apart = b - a
    along = abs(float(apart @ u))
    aside = float(np.sqrt(max(0.0, float(apart @ apart) - along**2)))
    is_parallel = bool(abs(float(u @ v)) >= np.cos(np.radians(25)))
    return is_parallel and along - (m + n) / 2 <= _VESSEL_GAP_MM and aside <= _VESSEL_WIDTH_MM
