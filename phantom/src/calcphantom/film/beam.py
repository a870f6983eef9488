"""Geometry of one exposure: a point source, a flat detector, and what projects where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcphantom.film.recipe import ExposureRecipe, View
from calcphantom.shapes import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beam:
    """Rays from a point source to the pixels of a detector.

    Parameters
    ----------
    source_mm : NDArray[np.float64]
        Shape ``(3,)``; LPS mm.
    along_columns, along_rows, forward : NDArray[np.float64]
        Shape ``(3,)``; unit vectors in LPS: direction of rising columns, of rising rows, and of the central ray.
    sid_mm : float
        Distance from the source to the detector along `forward`, mm.
    pixel_mm : float
        Distance between pixels, mm.
    shape : tuple[int, int]
        Rows and columns; the central ray meets the middle of the detector.
    """

    source_mm: Floats
    along_columns: Floats
    along_rows: Floats
    forward: Floats
    sid_mm: float
    pixel_mm: float
    shape: tuple[int, int]

    def project(self, points_mm: Floats) -> Floats:
        """Pixel positions (row, column), shape ``(n, 2)``, of points of shape ``(n, 3)`` in LPS mm."""
        ray = np.asarray(points_mm, dtype=np.float64) - self.source_mm
        scale = self.sid_mm / (ray @ self.forward) / self.pixel_mm
        rows, columns = self.shape
        return np.column_stack(
            (ray @ self.along_rows * scale + (rows - 1) / 2, ray @ self.along_columns * scale + (columns - 1) / 2)
        )

    def slopes(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """Offsets on the detector over the source-detector distance for pixel rows and columns; no unit."""
        scale = self.pixel_mm / self.sid_mm
        return (rows - (self.shape[0] - 1) / 2) * scale, (columns - (self.shape[1] - 1) / 2) * scale

    def magnification(self, point_mm: Floats) -> float:
        """Source-detector over source-object distance for a point of shape ``(3,)``, LPS mm; no unit."""
        return self.sid_mm / float((np.asarray(point_mm) - self.source_mm) @ self.forward)


_UP = np.array([0.0, 0.0, 1.0])
_FORWARD = np.array([0.0, -1.0, 0.0])
_LETTERS = {(0, 1): "L", (0, -1): "R", (1, 1): "P", (1, -1): "A", (2, 1): "H", (2, -1): "F"}


def ray_direction(view: View, *, sign: float) -> Floats:
    """Direction of the central ray in LPS: front to back, from the inner to the outer side of a limb, back to sole.

    `sign` is +1 for a left limb and -1 for a right one.
    """
    ways = {View.AP: (0.0, 1.0, 0.0), View.LATERAL: (sign, 0.0, 0.0), View.DORSOPLANTAR: (0.0, 0.0, -1.0)}
    return np.array(ways[view])


def make_beam(
    view: View,
    exposure: ExposureRecipe,
    shape: tuple[int, int],
    *,
    sign: float,
    centre_mm: Floats,
    object_detector_mm: float,
) -> Beam:
    """Aim at a point from a distance.

    Parameters
    ----------
    view : View
        Projection.
    exposure : ExposureRecipe
        Source-detector distance and pixel.
    shape : tuple[int, int]
        Rows and columns.
    sign : float
        +1 for a left limb, -1 for a right one.
    centre_mm : NDArray[np.float64]
        Shape ``(3,)``; point on the central ray, LPS mm.
    object_detector_mm : float
        Distance from that point to the detector, mm.
    """
    forward = ray_direction(view, sign=sign)
    up = _FORWARD if view is View.DORSOPLANTAR else _UP
    return Beam(
        source_mm=np.asarray(centre_mm, dtype=np.float64) - forward * (exposure.sid_mm - object_detector_mm),
        along_columns=np.cross(forward, up),
        along_rows=-up,
        forward=forward,
        sid_mm=exposure.sid_mm,
        pixel_mm=exposure.pixel_mm,
        shape=shape,
    )


def patient_orientation(beam: Beam) -> tuple[str, str]:
    """Patient Orientation letters of rising columns and rising rows."""
    columns, rows = (
        _LETTERS[int(np.argmax(np.abs(way))), int(np.sign(way[np.argmax(np.abs(way))]))]
        for way in (beam.along_columns, beam.along_rows)
    )
    return columns, rows
