"""Slices of one stack to one affine, or a refusal that names the place.

Only Image Position, Image Orientation and Pixel Spacing are used (PS3.3 C.7.6.2, 10.7.1.3). Slice Thickness, Spacing
Between Slices, Slice Location and Gantry/Detector Tilt are not: they are optional, vendor specific, and found wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codes import problem
from calcreport.dicom.ct.stacks import MIN_SLICES, SAME_DIRECTION, SAME_POSITION_MM
from calcreport.dicom.header.image_header import NO_UID, Plane
from calcreport.model.geometry import VolumeGeometry

_SPACING_RANGE_MM: Final = (0.01, 20.0)  # plausible distances of pixels and slices
_UNIT_TOLERANCE: Final = 1e-3  # of the length of direction cosines
_MISSING: Final = 1.05  # A step this much longer than the median is a gap
_UNEVEN: Final = 0.05  # longest less shortest step, as a part of the median, that the header's decimals explain
_MULTIPLE: Final = 0.1  # A gap within this of a whole number of steps is a number of missing slices
_MOSTLY_EVEN: Final = 0.25  # more long steps than this part of all are another spacing, not missing slices
_DRIFT: Final = 0.25  # of a step that a slice may lie beside its even place; more is spacing that changes
_SIDEWAYS_MM: Final = 0.05  # at least, or a part of a pixel:
_SIDEWAYS_PIXELS: Final = 0.1  # slices may lie this far beside the line through their corners: rounding of positions
_STEEPEST_DEG: Final = 60.0  # steepest tilt of the gantry or step of slices against their normal
_WHOLE: Final = 1.5  # steps; from here on a gap misses a slice


def order_and_place(planes: Sequence[Plane]) -> tuple[list[Plane], VolumeGeometry]:
    """Sort the slices of one stack along their normal and find the affine.

    The slice index increases along row direction x column direction; the affine leads from (slice, row, column) to LPS
    mm, and is sheared when the gantry was tilted. Raises `GeometryError` ``geometry.*``; a gap names the instance
    numbers beside it.
    """
    if len(planes) < MIN_SLICES:
        raise problem("geometry.too_few_slices", f"{len(planes)} found")
    references = {plane.image.frame_of_reference_uid for plane in planes}
    if len(references) > 1 and not has_frame_per_image(planes):
        raise problem("geometry.frames_of_reference", f"{len(references)} found")
    if any(plane.volumetric not in {None, "VOLUME"} for plane in planes):
        raise problem("geometry.not_a_volume")
    axes = _axes(planes)
    rows, columns, row_mm, column_mm = _grid(planes)
    for plane in planes:
        if plane.position_mm is None:
            raise problem("geometry.no_position", f"image {_number(plane)}")
    points = np.array([plane.position_mm for plane in planes], dtype=np.float64)
    normal = np.cross(axes[0], axes[1])
    along = points @ normal
    order = np.argsort(along, kind="stable")
    ordered = [planes[i] for i in order]
    _check_steps(np.diff(along[order]), ordered)
    origin, step = _line(points[order], float(along[order][-1] - along[order][0]), normal, min(row_mm, column_mm))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = step, axes[1] * row_mm, axes[0] * column_mm, origin
    geometry = VolumeGeometry(affine=affine, shape=(len(planes), rows, columns))
    if geometry.tilt_deg > _STEEPEST_DEG:
        raise problem("geometry.shear", f"{geometry.tilt_deg:.0f} degrees")
    return ordered, geometry


def has_frame_per_image(planes: Sequence[Plane]) -> bool:
    """Whether every image has a frame of reference of its own, under one Series Instance UID.

    Some archives write them so when they hide identities. A series UID then says that the images belong together, and
    everything else that is asked of a stack has to agree.
    """
    references = {plane.image.frame_of_reference_uid for plane in planes}
    is_named = not any(plane.image.series_uid.startswith(NO_UID) for plane in planes)
    return is_named and None not in references and 1 < len(references) == len(planes)


def _axes(planes: Sequence[Plane]) -> NDArray[np.float64]:
    """Find the unit vectors of increasing column and increasing row index, shape ``(2, 3)``, LPS."""
    first = planes[0].orientation
    if first is None or any(plane.orientation is None for plane in planes):
        raise problem("geometry.orientation")
    axes = np.array(first).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(float(axes[0] @ axes[1])) > _UNIT_TOLERANCE:
        raise problem("geometry.orientation")
    if np.abs(np.array([plane.orientation for plane in planes]) - first).max() > SAME_DIRECTION:
        raise problem("geometry.mixed_orientation")
    axes /= lengths[:, None]
    axes[1] -= axes[0] * float(axes[0] @ axes[1])
    axes[1] /= np.linalg.norm(axes[1])
    return axes


def _grid(planes: Sequence[Plane]) -> tuple[int, int, float, float]:
    """Rows, columns, distance between rows and between columns in mm: the same for all slices."""
    spacing, pixels = planes[0].spacing_mm, planes[0].image.pixels
    low, high = _SPACING_RANGE_MM
    if spacing is None or None in {p.spacing_mm for p in planes} or not all(low <= value <= high for value in spacing):
        raise problem("geometry.pixel_spacing")
    if not pixels.rows or not pixels.columns:
        raise problem("pixel.description", "Rows or Columns")
    sizes = {(p.image.pixels.rows, p.image.pixels.columns) for p in planes}
    spacings = np.array([plane.spacing_mm for plane in planes])
    if len(sizes) > 1 or np.ptp(spacings, axis=0).max() > _UNIT_TOLERANCE:
        raise problem("geometry.mixed_size")
    return pixels.rows, pixels.columns, spacing[0], spacing[1]


def _number(plane: Plane) -> str:
    shown = plane.frame if plane.frame is not None else plane.image.instance_number
    return "without number" if shown is None else str(shown)


def _check_steps(steps: NDArray[np.float64], ordered: Sequence[Plane]) -> None:
    """Refuse repeated, missing and unevenly spaced slices; `steps` in mm, one fewer than slices."""
    if steps.min() < SAME_POSITION_MM:
        raise problem("geometry.duplicate_positions", _between(ordered, int(np.argmin(steps))))
    median = float(np.median(steps))
    if not _SPACING_RANGE_MM[0] <= median <= _SPACING_RANGE_MM[1]:
        raise problem("geometry.spacing_range", f"{median:.3g} mm")
    if np.ptp(steps) <= max(_UNEVEN * median, SAME_POSITION_MM):
        return
    ratios = steps / float(np.median(steps[steps <= median * _MISSING]))
    is_whole = np.abs(ratios - np.round(ratios)) <= _MULTIPLE
    gaps = np.flatnonzero(ratios > _WHOLE)
    if is_whole.all() and 0 < len(gaps) <= _MOSTLY_EVEN * len(steps):
        count = int(np.sum(np.round(ratios[gaps]) - 1))
        places = "; ".join(_between(ordered, int(gap)) for gap in gaps[:3])
        raise problem("geometry.missing_slice", f"{count} missing {places}")
    place = int(np.argmax(np.abs(steps - median)))
    detail = f"{steps.min():.2f} to {steps.max():.2f} mm; {_between(ordered, place)}"
    raise problem("geometry.irregular_spacing", detail)


def _between(ordered: Sequence[Plane], place: int) -> str:
    return f"between images {_number(ordered[place])} and {_number(ordered[place + 1])}"


def _line(
    points: NDArray[np.float64], length_mm: float, normal: NDArray[np.float64], pixel_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Origin and step, LPS mm, of the straight line through the corners of all slices, in order."""
    count = len(points)
    step = (points[-1] - points[0]) / (count - 1)
    offsets = points - (points[0] + np.arange(count)[:, None] * step)
    off_along = np.abs(offsets @ normal)
    sideways = np.linalg.norm(offsets - (offsets @ normal)[:, None] * normal, axis=1)
    if off_along.max() > _DRIFT * length_mm / (count - 1):
        raise problem("geometry.irregular_spacing", "the spacing changes along the stack")
    if sideways.max() > max(_SIDEWAYS_MM, _SIDEWAYS_PIXELS * pixel_mm):
        raise problem("geometry.shifted_slices", f"by up to {sideways.max():.2f} mm")
    return points[0], step
