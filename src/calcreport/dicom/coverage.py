"""Which part of the patient a CT stack shows, as its headers say, and whether other stacks show the same.

Positions compare within one frame of reference only. Across frames two stacks count as the same part of the body when
their headers name no different side or region and their positions agree nearly to the millimetre, as those of
reconstructions and contrast phases of one examination do; otherwise they count as different parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.ct.stacks import normal_of, positions_along_normal
from calcreport.dicom.series import SeriesFiles
from calcreport.rules.regions import are_apart

Box = tuple[NDArray[np.float64], NDArray[np.float64]]  # lowest and highest corner, LPS mm, each of shape ``(3,)``

SMALL_GAP_MM: Final = (20.0, 20.0, 10.0)
"""Reconstructions of one scan differ this much along left-right, back-front and foot-head: the field of view is set for
each, and thick slices end within their thickness of thin ones."""
WIDE_FIELD_MM: Final = (80.0, 80.0, 10.0)  # where no voxel tells body from air: 500 mm reach 75 mm beyond 350 mm
_SAME_RANGE_MM: Final = (20.0, 20.0, 10.0)  # ends of ranges in different frames of reference this close are one range
_THIN_SLAB_MM: Final = 15.0  # no longer stack (bolus tracking, a test slice) examines a part of the body by itself
# Side words of a description: English, German, French.
_SIDE: Final = re.compile(r"(?<![a-z])(?:(left|lt|links|gauche)|(right|rt|rechts|droite?))(?![a-z])", re.IGNORECASE)
_NEVER_NAMED: Final = frozenset(("series.localizer", "series.dose_report", "series.secondary_capture"))
"""What shows no part of the body that could be measured: overviews and screenshots."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extent:
    """Where a stack lies and what its header calls it."""

    box: Box  # around the voxels
    frame_of_reference_uid: str | None  # what the positions refer to
    side: str | None  # ``"left"`` or ``"right"`` where the header says so
    region: str  # Body Part Examined, otherwise the description; may be empty
    slab_mm: float  # length along the slice normal


def side_of(series: SeriesFiles) -> str | None:
    """``"left"`` or ``"right"`` as Laterality says, otherwise the description; ``None`` where neither does."""
    header = series.instances[0].series
    if header.laterality in {"L", "LEFT", "R", "RIGHT"}:
        return "left" if header.laterality.startswith("L") else "right"
    words = (header.description or "").replace("_", " ")
    found = {"left" if match[1] else "right" for match in _SIDE.finditer(words)}
    return found.pop() if len(found) == 1 else None


def region_of(series: SeriesFiles) -> str:
    """Body Part Examined, otherwise the description; may be empty."""
    return series.instances[0].series.body_part or series.instances[0].series.description or ""


def extent_of(series: SeriesFiles) -> Extent | None:
    """Where a stack lies; ``None`` without sound positions, directions and spacings."""
    planes = series.planes
    if not planes:
        return None
    first, positions = planes[0], positions_along_normal(planes)
    rows, columns = first.image.pixels.rows, first.image.pixels.columns
    if positions is None or first.orientation is None or not (first.spacing_mm and rows and columns):
        return None
    normal = normal_of(first.orientation)
    across, down = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    row_mm, column_mm = first.spacing_mm[:2]
    step_mm = float(np.median(np.diff(np.sort(positions)))) if len(positions) > 1 else (first.thickness_mm or 0.0)
    ends = ((i - 0.5, j - 0.5) for i in (0, rows) for j in (0, columns))
    corners = np.array([i * row_mm * down + j * column_mm * across for i, j in ends])
    # A tilted stack reaches along its slice axis only as far as the middle of its slices: its corners shift with them.
    axis = int(np.argmax(np.abs(normal)))
    corners[:, axis] = corners[:, axis].mean()
    points = np.array([plane.position_mm for plane in planes])[:, None] + corners
    half = np.abs(normal) * step_mm / 2
    return Extent(
        box=(points.min(axis=(0, 1)) - half, points.max(axis=(0, 1)) + half),
        frame_of_reference_uid=first.image.frame_of_reference_uid,
        side=side_of(series),
        region=region_of(series),
        slab_mm=float(np.ptp(positions)) + step_mm,
    )


def are_comparable(one: Extent, other: Extent) -> bool:
    """Whether positions of two stacks may be compared: one frame of reference, and no contradiction in the names."""
    if one.frame_of_reference_uid != other.frame_of_reference_uid or _are_sides(one.side, other.side):
        return False
    return one.frame_of_reference_uid is not None or not are_apart(one.region, other.region)


def not_covered(
    extent: Extent, measured: Iterable[Extent], margin_mm: tuple[float, float, float] = SMALL_GAP_MM
) -> list[Box]:
    """Boxes of a stack, not overlapping, that no `measured` one shows; `margin_mm` a side (LPS) may be missing."""
    rest = [extent.box]
    for other in measured:
        if are_comparable(extent, other):
            grown = (other.box[0] - margin_mm, other.box[1] + margin_mm)
            rest = [part for box in rest for part in _minus(box, grown)]
        elif _is_same_range(extent, other):
            return []
    return rest


def is_detail(extent: Extent, others: Iterable[Extent], *, share: float) -> bool:
    """Whether another stack shows most of what this one shows, and this one shows less than `share` of its length."""
    longer = (other for other in others if extent.slab_mm < share * other.slab_mm and are_comparable(extent, other))
    return any(_shared_mm3(extent.box, other.box) >= share * _mm3(extent.box) for other in longer)


def is_elsewhere(series: SeriesFiles, code: str, measured: Iterable[Extent]) -> bool:
    """Whether a series that was not measured, for the reason `code`, shows body that no measured one shows.

    Without positions only a different side or region in its header says so; a film has none.
    """
    extent, known = extent_of(series), tuple(measured)
    if code in _NEVER_NAMED:
        return False
    if extent is None:
        side, region = side_of(series), region_of(series)
        return all(_names_differ(side, region, other) for other in known) and bool(series.planes or series.films)
    if extent.slab_mm < _THIN_SLAB_MM:
        return False
    is_view = code == "series.projection" and any(
        are_comparable(extent, other) and _shared_mm3(extent.box, other.box) > 0 for other in known
    )  # a rendering is a view of the volume that it overlaps
    return not is_view and bool(not_covered(extent, known, WIDE_FIELD_MM))


def _names_differ(side: str | None, region: str, other: Extent) -> bool:
    """Whether the headers name another side, or regions known to be different places."""
    return _are_sides(side, other.side) or are_apart(region, other.region)


def _are_sides(one: str | None, other: str | None) -> bool:
    return None not in {one, other} and one != other


def _is_same_range(one: Extent, other: Extent) -> bool:
    """Whether stacks in different frames of reference show the same, as far as anybody can tell."""
    if _names_differ(one.side, one.region, other):
        return False
    middles = [np.add(*extent.box) / 2 for extent in (one, other)]
    ends = [abs(one.box[end][2] - other.box[end][2]) for end in (0, 1)]
    near = np.abs(middles[0] - middles[1])[:2] <= _SAME_RANGE_MM[:2]
    return max(ends) <= _SAME_RANGE_MM[2] and bool(near.all())


def _minus(box: Box, other: Box) -> list[Box]:
    """Cut one box out of another: up to six boxes."""
    low, high = box[0].copy(), box[1].copy()
    if (np.maximum(low, other[0]) >= np.minimum(high, other[1])).any():
        return [box]
    parts: list[Box] = []
    for axis in range(3):
        for below, above, cut in ((0, 1, other[0][axis]), (1, 0, other[1][axis])):
            if low[axis] < cut < high[axis]:
                parts.append((low.copy(), high.copy()))
                parts[-1][above][axis] = cut
                (low, high)[below][axis] = cut
    return parts


def _mm3(box: Box) -> float:
    return float(np.prod(np.maximum(box[1] - box[0], 0.0)))


def _shared_mm3(one: Box, other: Box) -> float:
    return _mm3((np.maximum(one[0], other[0]), np.minimum(one[1], other[1])))
