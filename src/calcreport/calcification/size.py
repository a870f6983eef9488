"""Lengths and volumes of a deposit, outer edge to outer edge, in patient millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from calcreport.anatomy.arrays import Floats
from calcreport.calcification.edges import Surface, deblurred_width_mm
from calcreport.model.drawn import DrawnOutline
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.lesion import Segment
from calcreport.model.report import Point, Size

IN_PLANE_BLUR_PIXELS: Final = 1.3  # Point spread within the slice, FWHM in pixels, where nothing better is known …
MIN_IN_PLANE_BLUR_MM: Final = 0.8  # … but no scanner resolves less than this, FWHM in mm
MAX_HULL_POINTS: Final = 3_000  # Diameters are searched among at most this many hull vertices
MAX_DIRECTIONS: Final = 400  # Corners of a drawn outline between which directions are weighed against the longest one
THIN_SHARE: Final = 0.1
"""A deposit that fills less than this of the ball on its longest diameter (sheet, track, scattered foci) ends in an
edge, a corner or one small focus …"""
THIN_END: Final = 0.8
"""… which blur across the diameter draws in by its variance over the radius of the end. That radius is below the
voxels: 95 % of the shortening, of both ends together, is less than this share of the blur's FWHM (docs/accuracy.md)."""
END_ERROR: Final = 0.8  # half-width of the 95 % interval of a drawn length, in steps from plane to plane ...
# ... where the course of the sections shows part of where it ends, and in steps within the planes; see docs/accuracy.md
VOXEL_ERROR: Final = 0.85
BETWEEN_PLANES: Final = 0.45
"""Of the square of the step from plane to plane over the height drawn: how much shorter than the lesion its largest
section may be. A round end loses twice the square of the offset over the height; 95 % are less than 0.475 steps off."""
IMAGED_REACH: Final = 0.51  # How far a point of the volume lies outside the outermost voxel centres at most, in voxels


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """Point spread of a series, full width at half maximum in mm, within and across slices."""

    in_plane_mm: float
    across_mm: float

    def true_length(self, length_mm: float, direction: Floats, normal: Floats) -> float:
        """Length without the effect of blur, for a half-maximum length along a unit vector."""
        slanted_mm = self.slanted(direction, normal)
        return deblurred_width_mm(length_mm, self.along(direction, normal), (self.in_plane_mm, slanted_mm))

    def along(self, direction: Floats, normal: Floats) -> float:
        """Blur along a unit vector, given the unit normal of the slices."""
        cosine = float(abs(direction @ normal))
        return float(np.hypot(self.across_mm * cosine, self.in_plane_mm * np.sqrt(max(0.0, 1 - cosine**2))))

    def slanted(self, direction: Floats, normal: Floats) -> float:
        """Blur across a unit vector, in the one of the two directions across that does not lie in the slice."""
        cosine = float(abs(direction @ normal))
        # It is as far from the slice as the vector itself is near.
        return float(np.hypot(self.in_plane_mm * cosine, self.across_mm * np.sqrt(max(0.0, 1 - cosine**2))))


NO_BLUR: Final = Blur(in_plane_mm=0.0, across_mm=0.0)  # of what was drawn to the edge as seen


def series_blur(geometry: VolumeGeometry, slice_thickness_mm: float | None) -> Blur:
    """Blur assumed for a series: pixels within the slice, the larger of thickness and spacing across it."""
    across, row, column = geometry.spacing_mm
    in_plane = max(MIN_IN_PLANE_BLUR_MM, IN_PLANE_BLUR_PIXELS * max(row, column))
    return Blur(in_plane_mm=in_plane, across_mm=max(across, slice_thickness_mm or 0.0))


def farthest_pair(points_mm: Floats) -> tuple[Floats, Floats]:
    """The two points farthest apart, of shape ``(n, d)``, d = 2 or 3: maximum Feret diameter."""
    candidates = _hull(points_mm) if len(points_mm) > 2 * (points_mm.shape[1] + 1) else points_mm
    if len(candidates) > MAX_HULL_POINTS:
        candidates = candidates[:: len(candidates) // MAX_HULL_POINTS + 1]
    distances = squareform(pdist(candidates))
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    return candidates[first], candidates[second]


def _hull(points: Floats) -> Floats:
    """Corners of the convex hull; all the points, few then, where they are flat or collinear."""
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points


def as_point(position: Floats) -> Point:
    """A position as plain numbers."""
    return (float(position[0]), float(position[1]), float(position[2]))


def longest_segment(points_mm: Floats, geometry: VolumeGeometry, blur: Blur) -> Segment:
    """Longest diameter of surface points (LPS mm), corrected for blur, about the same centre."""
    return _segment(*farthest_pair(points_mm), geometry, blur)


def _segment(start: Floats, end: Floats, geometry: VolumeGeometry, blur: Blur) -> Segment:
    length = float(np.linalg.norm(end - start))
    direction = (end - start) / max(length, 1e-9)
    true_length = blur.true_length(length, direction, geometry.slice_normal)
    middle, half = (start + end) / 2, direction * true_length / 2
    return Segment(start_lps_mm=as_point(middle - half), end_lps_mm=as_point(middle + half), length_mm=true_length)


def measure_size(
    surface: Surface,
    points_mm: Floats,
    *,
    geometry: VolumeGeometry,
    blur: Blur,
    is_minimum: bool,
    is_near_limit: bool = False,
) -> tuple[Size, Segment, int, Segment]:
    """Size of a deposit; its longest diameter, LPS mm; its key slice; and the longest diameter within that slice.

    The key slice, in the box, has the longest in-slice diameter among the larger cross-sections. A deposit that hardly
    exceeds the threshold (`is_near_limit`) gets no interval: how far fainter parts reach is unknown. `is_minimum`: it
    runs out of the scan.
    """
    longest = longest_segment(points_mm, geometry, blur)
    lows, highs = points_mm.min(0), points_mm.max(0)
    extents = [
        blur.true_length(float(high - low), axis, geometry.slice_normal)
        for low, high, axis in zip(lows, highs, np.eye(3), strict=True)
    ]
    key_slice, axial_longest, short = axes_in_slice(surface, points_mm, geometry, blur)
    volume_mm3 = float(surface.inside.sum()) * geometry.voxel_volume_mm3
    # A speck reaches farthest along the blur of thick slices, and little remains of that once the blur is taken off.
    longest = max(longest, axial_longest, key=lambda segment: segment.length_mm)
    is_thin = volume_mm3 < THIN_SHARE * np.pi / 6 * longest.length_mm**3
    return (
        Size(
            max_diameter_mm=longest.length_mm,
            ap_mm=extents[1],
            tr_mm=extents[0],
            cc_mm=extents[2],
            axial_long_mm=axial_longest.length_mm,
            axial_short_mm=short,
            volume_mm3=volume_mm3,
            uncertainty_mm=None if is_near_limit else length_uncertainty_mm(longest, geometry, blur, is_thin=is_thin),
            is_minimum=is_minimum,
        ),
        longest,
        key_slice,
        axial_longest,
    )


def outline_lengths(outline: DrawnOutline, geometry: VolumeGeometry) -> tuple[Segment, Floats, float]:
    """Longest diameter, extents along the axes, and 95 % half-width of a drawn lesion; nothing is taken off for blur.

    A contour is drawn to the edge as seen; what lies outside the volume is not measured. The half-width comes from the
    grid of the drawing, also along any other direction that may be the longest in truth.
    """
    points = outline.points_mm
    index = geometry.index(points)
    is_imaged = ((index >= -IMAGED_REACH) & (index <= np.array(geometry.shape) - 1 + IMAGED_REACH)).all(axis=1)
    points = points[is_imaged] if is_imaged.any() else points
    longest = longest_segment(points, geometry, NO_BLUR)
    corners = _hull(points) if len(points) > MAX_DIRECTIONS else points
    corners = corners[:: len(corners) // MAX_DIRECTIONS + 1]
    first, second = np.triu_indices(len(corners), 1)
    across = np.concatenate(
        (np.subtract(longest.end_lps_mm, longest.start_lps_mm)[None], corners[second] - corners[first])
    )
    lengths = np.linalg.norm(across, axis=1)
    along = across / np.maximum(lengths, 1e-9)[:, None]
    ends, steps = np.abs(along @ outline.ends_mm.T).max(axis=1), along @ outline.steps_mm.T
    normal = np.cross(outline.steps_mm[0], outline.steps_mm[1])
    normal /= np.linalg.norm(normal)
    step_mm = float(np.abs(outline.ends_mm @ normal).max())
    between = BETWEEN_PLANES * step_mm**2 / max(float(np.ptp(points @ normal)), step_mm)
    in_plane = np.sqrt(np.clip(1 - (along @ normal) ** 2, 0, 1))
    errors = np.linalg.norm((END_ERROR * ends, VOXEL_ERROR * np.linalg.norm(steps, axis=1), between * in_plane), axis=0)
    uncertainty = max(float(errors[0]), float((lengths + errors).max()) - longest.length_mm)
    return longest, np.ptp(points, axis=0), uncertainty


def length_uncertainty_mm(segment: Segment, geometry: VolumeGeometry, blur: Blur, *, is_thin: bool = False) -> float:
    """Half-width of the 95 % interval of a length, mm: half a voxel at each end, and a third of the blur along it.

    Of a thin deposit blur across the length counts as well. Validated on phantoms; see docs/accuracy.md.
    """
    direction = np.subtract(segment.end_lps_mm, segment.start_lps_mm)
    norm = float(np.linalg.norm(direction))
    direction = direction / norm if norm > 0 else geometry.slice_normal
    steps = np.abs(direction @ (geometry.affine[:3, :3] / np.array(geometry.spacing_mm)))
    voxel = float(np.linalg.norm(steps * np.array(geometry.spacing_mm)))
    drawn_in = THIN_END * blur.slanted(direction, geometry.slice_normal) if is_thin else 0.0
    return float(np.hypot(np.hypot(voxel / np.sqrt(2), blur.along(direction, geometry.slice_normal) / 3), drawn_in))


def axes_in_slice(
    surface: Surface, points_mm: Floats, geometry: VolumeGeometry, blur: Blur
) -> tuple[int, Segment, float]:
    """Slice with the longest in-slice diameter, that diameter, and the extent across it."""
    in_plane = surface.axis != 0
    slices = surface.points[:, 0].round().astype(int)
    areas = surface.inside.sum(axis=(1, 2))
    # Grazing slices at the caps are as noisy as they are small; the diameter is read in substantial ones.
    here = {int(i): points_mm[in_plane & (slices == i)] for i in np.flatnonzero(areas >= 0.3 * areas.max())}
    ends = {i: farthest_pair(points) for i, points in here.items() if len(points) > 1}
    if not ends:
        segment = longest_segment(points_mm, geometry, blur)
        return int(areas.argmax()), segment, segment.length_mm
    lengths = {i: float(np.linalg.norm(end - start)) for i, (start, end) in ends.items()}
    key_slice = max(lengths, key=lengths.__getitem__)
    start, end = ends[key_slice]
    direction = (end - start) / max(lengths[key_slice], 1e-9)
    across = np.cross(geometry.slice_normal, direction)
    offsets = here[key_slice] @ across
    short = blur.true_length(float(offsets.max() - offsets.min()), across, geometry.slice_normal)
    segment = _segment(start, end, geometry, blur)
    return key_slice, segment, min(short, segment.length_mm)
