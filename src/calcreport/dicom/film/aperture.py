"""The exposed field of a radiograph, as collimator and shutter draw it (PS3.3 C.8.7.3, C.7.6.11).

Rows and columns are counted from 1 in these attributes; an edge given belongs to the field. An aperture that cannot be
true (edges outside the matrix or crossed, hardly anything left inside) is not used: hiding half of a film would hide
lesions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.polygons import fill_polygon
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.film_header import FilmHeader

_SMALLEST_SHARE: Final = 0.02
"""An aperture that leaves less than this part of the film is not true: nobody stores 50 times the exposed field."""
_MUCH_HIDDEN: Final = 0.5  # A note is given when less than this part of the film is left
# Vertices of a polygon: more are damage, fewer enclose nothing.
_MOST_VERTICES: Final = 1024
_FEWEST_VERTICES: Final = 3
# Tag of a shape and the first word of its keywords.
_NAMES: Final = ((tags.COLLIMATOR, "Collimator"), (tags.SHUTTER, "Shutter"))


def aperture_of(
    film: FilmHeader, shape: tuple[int, int], aspect: float
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """Exposed field of shape `shape`, true inside every aperture, or ``None`` when the header draws none; notes.

    `aspect` is the distance between rows over the distance between columns.
    """
    field: NDArray[np.bool_] | None = None
    notes: list[str] = []
    for base, name in _NAMES:
        kinds = dict.fromkeys(kind for kind in values.keywords(film.raw(base)) if kind)
        for kind in kinds:
            if kind == "BITMAP":
                notes.append(f"{name}: a bitmap is not read; what it hides counts as exposed.")
                continue
            part = _part(film, base, kind, shape, aspect)
            if part is None or float(part.mean()) < _SMALLEST_SHARE:
                notes.append(f"{name} ({kind.lower()}) cannot be true for this image and was not used.")
                continue
            field = part if field is None else field & part
    if field is not None and float(field.mean()) < _SMALLEST_SHARE:
        return None, (*notes, "Collimator and shutter exclude each other and were not used.")
    if field is not None and float(field.mean()) < _MUCH_HIDDEN:
        notes.append("Collimator and shutter hide more than half of the image; nothing is searched there.")
    return field, tuple(notes)


def _part(film: FilmHeader, base: int, kind: str, shape: tuple[int, int], aspect: float) -> NDArray[np.bool_] | None:
    if kind == "RECTANGULAR":
        return _rectangle(film, base, shape)
    if kind == "CIRCULAR":
        return _circle(film, base, shape, aspect)
    return _polygon(film, base, shape) if kind == "POLYGONAL" else None


def _rectangle(film: FilmHeader, base: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    edges = [values.integer(film.raw(base + part)) for part in (tags.UPPER, tags.LOWER, tags.LEFT, tags.RIGHT)]
    if None in edges:
        return None
    upper, lower, left, right = (edge or 0 for edge in edges)
    rows, columns = shape
    if not (0 <= upper < lower <= rows + 1 and 0 <= left < right <= columns + 1):
        return None
    field = np.zeros(shape, dtype=np.bool_)
    field[max(upper - 1, 0) : lower, max(left - 1, 0) : right] = True
    return field


def _circle(film: FilmHeader, base: int, shape: tuple[int, int], aspect: float) -> NDArray[np.bool_] | None:
    centre = values.decimals(film.raw(base + tags.CENTRE), 2)
    radius = values.integer(film.raw(base + tags.RADIUS))
    rows, columns = shape
    if centre is None or radius is None or not 0 < radius <= 2 * max(shape):
        return None
    if not (1 <= centre[0] <= rows and 1 <= centre[1] <= columns):
        return None
    down = (np.arange(rows, dtype=np.float32) - np.float32(centre[0] - 1)) * np.float32(aspect)
    along = np.arange(columns, dtype=np.float32) - np.float32(centre[1] - 1)
    return np.asarray(down[:, None] ** 2 + along[None, :] ** 2 <= np.float32(radius) ** 2)


def _polygon(film: FilmHeader, base: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    raw = film.raw(base + tags.VERTICES) or b""
    count = raw.count(b"\\") + 1
    points = values.decimals(raw, count)
    if points is None or count % 2 or not _FEWEST_VERTICES <= count // 2 <= _MOST_VERTICES:
        return None
    vertices = np.array(points, dtype=np.float64).reshape(-1, 2)
    if (vertices < 0).any() or (vertices > np.array(shape) + 1).any():
        return None
    return fill_polygon(vertices - 1, shape)
