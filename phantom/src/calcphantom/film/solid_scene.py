"""Rays through an anatomy of many solids (hand, foot, shoulder): painted sample by sample, in strips of rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from calcphantom.attenuation import attenuation_per_mm
from calcphantom.film.beam import Beam
from calcphantom.film.path_lengths import Map, enlarged
from calcphantom.film.ray_samples import RayGrid, depth_range, sample_places
from calcphantom.film.scene import Rays
from calcphantom.scene import Body, Paint
from calcphantom.shapes import Floats, Shape

_RAY_MM: Final = (0.5, 0.8)
"""Distance between followed rays at the detector of an extremity, and of a shoulder; those between are interpolated."""
_SAMPLES: Final = 100
"""Most samples a ray: a surface between two of them is found where its distance is 0."""
_FINEST_MM: Final = 0.7
_THICK_MM: Final = 150.0
_STRIP_ROWS: Final = 40


def project_painted(beam: Beam, paints: tuple[Paint, ...], body: Body, *, energy_kev: float) -> Rays:
    """Project a body whose skin is a `Surface`.

    Parameters
    ----------
    beam : Beam
        Rays.
    paints : tuple[Paint, ...]
        In the order of painting, LPS mm.
    body : Body
        Its skin and bones.
    energy_kev : float
        Effective energy, keV.

    Returns
    -------
    Rays
        Line integrals.
    """
    n_rows, n_columns = beam.shape
    near, far = depth_range(beam, _on_film(beam, body.skin.shape().box))
    step = max(1, round(_RAY_MM[far - near > _THICK_MM] / beam.pixel_mm))
    whole = (slice(0, n_rows), slice(0, n_columns))
    rows, columns = (sample_places(part, step) for part in whole)
    count = min(_SAMPLES, int(np.ceil((far - near) / _FINEST_MM)))
    coarse = np.zeros((3, len(rows), len(columns)), dtype=np.float32)
    per_mm = [float(attenuation_per_mm(paint.hu, energy_kev)) for paint in paints]
    for first in range(0, len(rows), _STRIP_ROWS):
        strip = slice(first, first + _STRIP_ROWS)
        grid = RayGrid(beam=beam, rows=rows[strip], columns=columns, depths_mm=np.linspace(near, far, count + 1))
        matter = np.zeros(grid.shape, dtype=np.float32)
        known: dict[int, _Shares] = {}  # the skin and the bones are painted, and asked for once more
        for paint, value in zip(paints, per_mm, strict=True):
            known[id(paint.shape)] = _shares(grid, paint.shape)
            for part, share in known[id(paint.shape)]:
                matter[part] += share * (np.float32(value) - matter[part])
        length = grid.segment_mm()
        coarse[0, strip] = matter.sum(axis=0) * length
        for n, shapes in ((1, (body.skin.shape(),)), (2, body.bones)):
            inside = [known.get(id(shape)) or _shares(grid, shape) for shape in shapes]
            coarse[n, strip] = _length(grid, inside) * length
    fine = [enlarged(np.pad(one, ((0, 1), (0, 1)), mode="edge"), whole, step) for one in coarse]
    return Rays(attenuation=fine[0], skin_mm=fine[1], bone_mm=fine[2], marrow_mm=fine[2].copy())


def _on_film(beam: Beam, box_mm: Floats) -> Floats:
    """Part of a box that the film may show: a leg goes on far beyond it."""
    reach = max(beam.shape) * beam.pixel_mm
    along = np.abs(beam.forward) > 0.5
    middle = beam.source_mm + beam.forward * beam.sid_mm
    low, high = (np.where(along, box_mm[n], np.clip(box_mm[n], middle - reach, middle + reach)) for n in (0, 1))
    return np.array([low, high])


_Shares = list[tuple[tuple[slice, slice, slice], Map]]


def _shares(grid: RayGrid, shape: Shape) -> _Shares:
    """Share of each segment inside a solid: by its windows, those of its parts joined where they overlap."""
    windows = [(_window(grid, part), part) for part in shape.parts or (shape,)]
    touched = [(window, part) for window, part in windows if window is not None]
    if len(touched) < 2:
        return [(window, grid.inside_share(part, window)) for window, part in touched]
    k, i, j = (slice(min(w[n].start for w, _ in touched), max(w[n].stop for w, _ in touched)) for n in range(3))
    union = np.zeros((k.stop - k.start, i.stop - i.start, j.stop - j.start), dtype=np.float32)
    for window, part in touched:
        local = tuple(slice(w.start - b.start, w.stop - b.start) for w, b in zip(window, (k, i, j), strict=True))
        share = grid.inside_share(part, window)
        target = union[local]
        np.maximum(target, share, out=target)
    return [((k, i, j), union)]


def _window(grid: RayGrid, shape: Shape) -> tuple[slice, slice, slice] | None:
    """Segments, rows and columns that a solid reaches, within the grid; ``None`` for none."""
    window = grid.window(shape)
    if window is None:
        return None
    k, i, j = (slice(part.start, min(part.stop, n)) for part, n in zip(window, grid.shape, strict=True))
    return None if min(part.stop - part.start for part in (k, i, j)) < 1 else (k, i, j)


def _length(grid: RayGrid, solids: list[_Shares]) -> Map:
    """Segments of each ray inside any of the solids, as one solid."""
    inside = np.zeros(grid.shape, dtype=np.float32)
    for shares in solids:
        for part, share in shares:
            np.maximum(inside[part], share, out=inside[part])
    return np.asarray(inside.sum(axis=0), dtype=np.float32)
