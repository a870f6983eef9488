"""Mineral fused with the shaft of a long bone: what stands out from the bone's own course.

Deposits that touch a cortex at the growth limit join the skeleton and would vanish with it. The shaft of a long bone
repeats itself from slice to slice, so whatever reaches beyond the outline of the bone both above and below is not the
shaft: juxtacortical mineral, an exostosis, periosteal bone. Which of them is for the reader; none may be dropped
silently. Ends of bones, pelvis and spine have no such course: there nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.components import Components, paint, paint_thinned
from calcreport.anatomy.morphology import outside_planes

GRID_MM: Final = 1.5
"""In-plane pixel of the outlines compared, mm."""

STEP_MM: Final = 3.0
"""Distance between the outlines compared along the scan, mm."""

REFERENCE_MM: Final = (15.0, 24.0, 36.0)
"""Distances above and below at which the bone's own outline is taken: shorter ones follow curved bones, longer ones
see past long deposits."""

SLACK_MM: Final = 2.2
"""An outline may change this much on its own."""

MIN_THICKNESS_MM: Final = 4.0
"""Outgrowths thinner than this are the roughness of the bone."""

MIN_VOLUME_MM3: Final = 80.0

CORTEX_RATIO: Final = 1.3
"""The cortex is at least this much denser than the surface of mineral laid on it."""

MAX_SHAFT_MM: Final = 48.0
"""Equivalent diameter above which a bone's section is an end or a pelvis, not a shaft."""

MIN_SOLIDITY: Final = 0.82
"""Shafts are convex in section."""

MIN_CORTEX_HU: Final = 550.0
"""Shafts have a dense rim."""

MAX_AREA_CHANGE: Final = 1.7


def find_outgrowths(
    hu: NDArray[np.int16],
    components: Components,
    skeleton: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> list[NDArray[np.int64]]:
    """Voxels of outgrowths of long-bone shafts: an array of shape ``(n, 3)`` each, indices of slice, row, column.

    `hu` has the shape ``(slices, rows, columns)``, spacing that order; `skeleton`, ``(components.count,)``, is true for
    bones.
    """
    if not skeleton.any():
        return []
    boxes = components.box[skeleton]
    low, high = boxes[:, :, 0].min(0), boxes[:, :, 1].max(0)
    step = np.array([max(1, round(m / s)) for m, s in zip((STEP_MM, GRID_MM, GRID_MM), spacing_mm, strict=True)])
    outlines, density = _outlines(hu, components, skeleton, (low, high), step)
    grid_mm = tuple(float(s * m) for s, m in zip(step, spacing_mm, strict=True))
    residual = _residual(outlines, density, grid_mm)
    found: list[NDArray[np.int64]] = []
    labels, count = ndimage.label(residual, structure=np.ones((3, 3, 3)))
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == i
        if count == 0 or float(part.sum()) * float(np.prod(grid_mm)) < MIN_VOLUME_MM3:
            continue
        planes_of = box[0]
        if not _lies_on_cortex(labels[planes_of] == i, outlines[planes_of], density[planes_of]):
            continue
        start = np.array([s.start for s in box])
        index = _fine_voxels(components, skeleton, part, start * step + low, step, hu.shape)
        if len(index) * float(np.prod(spacing_mm)) >= MIN_VOLUME_MM3:
            found.append(index)
    return found


def _outlines(
    hu: NDArray[np.int16],
    components: Components,
    skeleton: NDArray[np.bool_],
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    step: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """Filled outlines of the bones, thinned out, and the density on the same grid."""
    low, high = bounds
    box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    i, j, k = map(int, step)
    thin = paint_thinned(components, skeleton, box, (i, j, k))
    return ~outside_planes(thin), np.ascontiguousarray(hu[box][::i, ::j, ::k])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Section:
    """A connected region of an outline, within its own box."""

    box: tuple[slice, slice]
    own: NDArray[np.bool_]
    size: int


def _residual(outlines: NDArray[np.bool_], density: NDArray[np.int16], grid_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """What lies outside the bone's own course, on the grid of outlines."""
    grown = [ndimage.binary_dilation(plane, structure=_disc(SLACK_MM, grid_mm)) for plane in outlines]
    kernel = _disc(MIN_THICKNESS_MM / 2, grid_mm)
    fewest = int(kernel.sum())
    sections = cache(lambda plane: _sections(outlines[plane]))
    is_shaft = cache(lambda plane, number: _is_shaft(sections(plane)[number], density[plane], grid_mm))
    residual = np.zeros_like(outlines)
    for k in [max(1, round(distance / grid_mm[0])) for distance in REFERENCE_MM]:
        for i in range(k, len(outlines) - k):
            beyond = outlines[i] & ~grown[i - k] & ~grown[i + k]
            if np.count_nonzero(beyond) < fewest:
                continue
            for section in sections(i):
                part = beyond[section.box] & section.own
                if np.count_nonzero(part) < fewest or not (part := ndimage.binary_opening(part, kernel)).any():
                    continue
                if all(_continues(section, sections(plane), partial(is_shaft, plane)) for plane in (i - k, i + k)):
                    residual[i][section.box] |= part
    return residual


def _disc(radius_mm: float, grid_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Disc of a radius, a pixel at least, as a structuring element."""
    reach = max(1, round(radius_mm / grid_mm[1]))
    return np.asarray(np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.3)


def _sections(plane: NDArray[np.bool_]) -> list[_Section]:
    """Connected regions of a plane."""
    labels, _ = ndimage.label(plane)
    parts = [(box, labels[box] == i) for i, box in enumerate(ndimage.find_objects(labels), start=1)]
    return [_Section(box=(box[0], box[1]), own=own, size=int(np.count_nonzero(own))) for box, own in parts]


def _is_shaft(section: _Section, density: NDArray[np.int16], grid_mm: tuple[float, ...]) -> bool:
    """Whether a region looks like the section of a shaft: compact, of limbs' size, densely rimmed."""
    if not 30.0 < section.size * grid_mm[1] * grid_mm[2] < np.pi / 4 * MAX_SHAFT_MM**2:
        return False
    rim = section.own & ~ndimage.binary_erosion(section.own, iterations=2)
    is_dense = float(np.percentile(density[section.box][rim], 60)) >= MIN_CORTEX_HU
    return is_dense and _solidity(section.own) >= MIN_SOLIDITY


def _solidity(region: NDArray[np.bool_]) -> float:
    """Area over that of the convex hull, estimated from the widths in 12 directions."""
    points = np.argwhere(region).astype(np.float64)
    turns = np.linspace(0, np.pi, 12, endpoint=False)
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    offsets = points @ directions.T
    supports = np.concatenate([offsets.max(0) + 0.5, -offsets.min(0) + 0.5])
    every = np.concatenate([directions, -directions])
    low, high = points.min(0).astype(int), points.max(0).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    hull = (grid @ every.T <= supports + 1e-9).all(-1).sum()
    return float(len(points) / max(int(hull), 1))


def _continues(section: _Section, others: list[_Section], is_shaft: Callable[[int], bool]) -> bool:
    """Whether a section has a shaft of like size under or over it; `is_shaft` tells by number, and costs most."""
    return any(
        section.size <= 2.5 * other.size
        and other.size <= MAX_AREA_CHANGE * section.size
        and _shared(section, other) >= 0.4 * other.size
        and is_shaft(number)
        for number, other in enumerate(others)
    )


def _shared(one: _Section, other: _Section) -> int:
    """Pixels that lie in both."""
    low = [max(a.start, b.start) for a, b in zip(one.box, other.box, strict=True)]
    high = [max(min(a.stop, b.stop), n) for a, b, n in zip(one.box, other.box, low, strict=True)]
    cuts = [
        section.own[tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, section.box, strict=True))]
        for section in (one, other)
    ]
    return int(np.count_nonzero(cuts[0] & cuts[1]))


def _fine_voxels(
    components: Components,
    skeleton: NDArray[np.bool_],
    part: NDArray[np.bool_],
    start: NDArray[np.int64],
    step: NDArray[np.int64],
    shape: tuple[int, ...],
) -> NDArray[np.int64]:
    """Dense voxels of the bones within a part of the coarse grid, shape ``(n, 3)``."""
    region = part.repeat(step[0], 0).repeat(step[1], 1).repeat(step[2], 2)
    stop = np.minimum(start + np.array(region.shape), np.array(shape))
    box = (slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1])), slice(int(start[2]), int(stop[2])))
    region = region[: box[0].stop - box[0].start, : box[1].stop - box[1].start, : box[2].stop - box[2].start]
    return np.argwhere(paint(components, skeleton, box) & region) + start


def _lies_on_cortex(part: NDArray[np.bool_], outlines: NDArray[np.bool_], density: NDArray[np.int16]) -> bool:
    """Whether the way from an outgrowth to the middle of its bone crosses a cortex denser than its own surface.

    The bow of a shaft is cortex itself, and a trochanter has its rim outside and trabeculae towards the marrow; mineral
    laid on a bone has the bone's intact cortex underneath.
    """
    plane = int(part.sum(axis=(1, 2)).argmax())
    labels, _ = ndimage.label(outlines[plane])
    index = np.argwhere(part[plane])
    bone = labels == np.bincount(labels[tuple(index.T)]).argmax()
    middle, outgrowth = np.argwhere(bone & ~part[plane]).mean(0), index.mean(0)
    way = middle - outgrowth
    steps = np.arange(0.0, 1.0, 0.5 / max(1.0, float(np.linalg.norm(way))))
    inward = np.rint(outgrowth + steps[:, None] * way).astype(int)
    outward = np.rint(outgrowth - steps[:, None] * way).astype(int)
    within = ((outward >= 0) & (outward < np.array(bone.shape))).all(axis=1)
    outward = outward[within]
    outward = outward[bone[tuple(outward.T)]]
    surface = float(density[plane][tuple(outward.T)].max()) if len(outward) else 0.0
    cortex = float(density[plane][tuple(inward.T)].max())
    return cortex >= MIN_CORTEX_HU and cortex >= CORTEX_RATIO * surface
