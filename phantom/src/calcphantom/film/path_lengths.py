"""How far each ray runs inside a solid: outlines of tubes and planes, followed row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.film.beam import Beam
from calcphantom.limb import FatPlane
from calcphantom.scene import Tube
from calcphantom.shapes import Floats

Map = NDArray[np.float32]
Box = tuple[slice, slice]

_CORNERS: Final = 480
ROW_STEP_MM: Final = 1.5
"""A tube's outline moves by less than 0.1 mm from one computed row to the next."""


def tube_length_mm(
    beam: Beam, tube: Tube, *, weight: Callable[[Floats], Floats] | None = None, row_step_mm: float = ROW_STEP_MM
) -> Map:
    """Length of every ray inside a tube along z.

    Every few rows, the outline of the tube in the plane of the rays of that row is followed point by point and its two
    sides are subtracted; rows between are interpolated. A side that bends back on itself is taken as straight there.

    Parameters
    ----------
    beam : Beam
        Rays.
    tube : Tube
        LPS mm.
    weight : Callable | None
        Maps the height at which a row of rays crosses the tube (LPS z, mm) to the part of it that is there; ``None``
        for an endless tube.
    row_step_mm : float
        Distance between computed rows, mm; a steep outline needs a small one.

    Returns
    -------
    NDArray[np.float32]
        Shape of the detector; mm.
    """
    n_rows, n_columns = beam.shape
    count = max(2, int(np.ceil(n_rows * beam.pixel_mm / row_step_mm)) + 1)
    rows = np.linspace(0.0, n_rows - 1.0, count)
    row_slope, column_slope = beam.slopes(rows, np.arange(n_columns, dtype=np.float64))
    depth, across, z = _outlines(beam, tube, row_slope)
    stretch = np.sqrt(1.0 + row_slope[:, None] ** 2 + column_slope[None, :] ** 2)
    lengths = np.zeros((count, n_columns))
    for n in range(count):
        lengths[n] = _chord(across[n], depth[n], column_slope)
    lengths *= stretch
    if weight is not None:
        lengths *= weight(z.mean(axis=1))[:, None]
    return _between_rows(lengths.astype(np.float32), n_rows)


def _outlines(beam: Beam, tube: Tube, row_slope: Floats) -> tuple[Floats, Floats, Floats]:
    """Depth (mm), column slope and height (mm) around the tube for each row, shape ``(rows, corners)``."""
    angle = np.broadcast_to(np.linspace(-np.pi, np.pi, _CORNERS, endpoint=False), (len(row_slope), _CORNERS))
    depth = np.full(angle.shape, beam.sid_mm * 0.95)
    z = np.zeros(angle.shape)
    x, y = z, z
    for _ in range(3):  # the height of a corner depends on its depth, and little on anything else
        z = beam.source_mm[2] - row_slope[:, None] * depth
        cx, cy = tube.centre(z)
        r = tube.radius(angle, z)
        x, y = cx + r * np.cos(angle) - beam.source_mm[0], cy + r * np.sin(angle) - beam.source_mm[1]
        depth = x * beam.forward[0] + y * beam.forward[1]
    return depth, (x * beam.along_columns[0] + y * beam.along_columns[1]) / depth, z


def _chord(across: Floats, depth: Floats, columns: Floats) -> Floats:
    """Depth between the two sides of a closed outline at column slopes; 0 beside it."""
    start = int(np.argmin(across))
    across, depth = np.roll(across, -start), np.roll(depth, -start)
    end = int(np.argmax(across))
    sides = []
    for a, d in (
        (across[: end + 1], depth[: end + 1]),
        (np.append(across[end:], across[0])[::-1], np.append(depth[end:], depth[0])[::-1]),
    ):
        sides.append(np.interp(columns, np.maximum.accumulate(a), d))
    inside = (columns > across[0]) & (columns < across[end])
    return np.where(inside, np.abs(sides[1] - sides[0]), 0.0)


def _between_rows(coarse: Map, n_rows: int) -> Map:
    """Interpolate linearly between computed rows."""
    place = np.linspace(0.0, len(coarse) - 1.0, n_rows)
    low = np.minimum(place.astype(np.int64), len(coarse) - 2)
    share = (place - low).astype(np.float32)[:, None]
    out: Map = coarse[low] * (1 - share)
    out += coarse[low + 1] * share
    return out


def sheet_length_mm(beam: Beam, plane: FatPlane) -> Map:
    """Length of every ray inside a thin plane, its thickness spread over about a millimetre.

    The plane is cut into strips; each adds its cross-section to the columns it falls on.
    """
    n_rows, n_columns = beam.shape
    count = max(2, int(np.ceil(n_rows * beam.pixel_mm / ROW_STEP_MM)) + 1)
    rows = np.linspace(0.0, n_rows - 1.0, count)
    row_slope, _ = beam.slopes(rows, np.zeros(1))
    step = 0.2
    along = np.broadcast_to(
        np.arange(step / 2, plane.reach_mm, step), (count, int(np.ceil(plane.reach_mm / step - 0.5)))
    )
    depth = np.full(along.shape, beam.sid_mm * 0.95)
    z, x, y = depth, depth, depth
    for _ in range(3):
        z = beam.source_mm[2] - row_slope[:, None] * depth
        x, y = plane.middle(along, z)
        depth = (x - beam.source_mm[0]) * beam.forward[0] + (y - beam.source_mm[1]) * beam.forward[1]
    inside = plane.envelope.distance(x, y, z) < 0
    across = (x - beam.source_mm[0]) * beam.along_columns[0] + (y - beam.source_mm[1]) * beam.along_columns[1]
    bin_pixels = max(1, round(0.5 / beam.pixel_mm))
    n_bins = n_columns // bin_pixels + 2
    place = (across / depth * beam.sid_mm / beam.pixel_mm + (n_columns - 1) / 2) / bin_pixels
    low = np.floor(place).astype(np.int64)
    area = step * plane.thickness_mm * inside * beam.sid_mm / depth / (bin_pixels * beam.pixel_mm)
    coarse = np.zeros((count, n_bins))
    number = np.broadcast_to(np.arange(count)[:, None], low.shape)
    for offset, weight in ((0, 1 - (place - low)), (1, place - low)):
        j = low + offset
        kept = (j >= 0) & (j < n_bins)
        np.add.at(coarse, (number[kept], j[kept]), (area * weight)[kept])
    coarse = ndimage.gaussian_filter1d(coarse, 0.6 * plane.thickness_mm / (bin_pixels * beam.pixel_mm), axis=1)
    fine = _blend(coarse.astype(np.float32).T, np.arange(n_columns) / bin_pixels).T
    return _between_rows(fine, n_rows)


def enlarged(coarse: Map, box: Box, step: int) -> Map:
    """Interpolate a map computed on every `step`-th pixel of a box to all its pixels."""
    if step == 1:
        return coarse[: box[0].stop - box[0].start, : box[1].stop - box[1].start]
    rows, columns = (np.arange(part.stop - part.start) / step for part in box)
    return _blend(_blend(coarse, rows).T, columns).T


def _blend(values: Map, places: Floats) -> Map:
    low = np.minimum(places.astype(np.int64), len(values) - 2)
    share = (places - low).astype(np.float32)[:, None]
    out: Map = values[low] * (1 - share)
    out += values[low + 1] * share
    return out
