"""Mineral fused with the shaft of a long bone: what stands out from the bone's own course.

Deposits that touch a cortex at the growth limit join the skeleton and would vanish with it. The shaft of a long bone
repeats itself from slice to slice, so whatever reaches beyond the outline of the bone both above and below is not the
shaft: juxtacortical mineral, an exostosis, periosteal bone. Which of them is for the reader; none may be dropped
silently. Ends of bones, pelvis and spine have no such course: there nothing is claimed.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from calcreport.anatomy.arrays import Hu, Ints, Mask, Spacing
from calcreport.anatomy.components import Components, box_of, paint
from calcreport.anatomy.labelling import label, label_planes
from calcreport.anatomy.morphology import Element, dilate, enlarged, erode, outside_planes

GRID_MM: Final = 1.5  # In-plane pixel of the outlines compared, mm
STEP_MM: Final = 3.0  # Distance between the outlines compared along the scan, mm
REFERENCE_MM: Final = (15.0, 24.0, 36.0)
"""Distances above and below at which the bone's own outline is taken: shorter ones follow curved bones, longer ones
see past long deposits."""
SLACK_MM: Final = 2.2  # An outline may change this much on its own
MIN_THICKNESS_MM: Final = 4.0  # Outgrowths thinner than this are the roughness of the bone
MIN_VOLUME_MM3: Final = 80.0  # smaller outgrowths are not listed
CORTEX_RATIO: Final = 1.3  # The cortex is at least this much denser than the surface of mineral laid on it
MAX_SHAFT_MM: Final = 48.0  # Equivalent diameter above which a bone's section is an end or a pelvis, not a shaft
MIN_SOLIDITY: Final = 0.82  # Shafts are convex in section
MIN_CORTEX_HU: Final = 550.0  # Shafts have a dense rim
MAX_AREA_CHANGE: Final = 1.7  # of the section of a shaft over that of a bone between


def find_outgrowths(hu: Hu, components: Components, skeleton: Mask, spacing_mm: Spacing) -> list[Ints]:
    """Voxels of outgrowths of long-bone shafts, an array of shape ``(n, 3)`` each; `skeleton` is true for bones."""
    if not skeleton.any():
        return []
    members = np.flatnonzero(skeleton)
    low, high = components.around(members, np.zeros(3, dtype=np.int64))
    box = box_of(low, high)
    step = np.array([max(1, round(m / s)) for m, s in zip((STEP_MM, GRID_MM, GRID_MM), spacing_mm, strict=True)])
    thin = tuple(slice(None, None, int(n)) for n in step)
    outlines, density = ~outside_planes(paint(components, members, box, step)), np.ascontiguousarray(hu[box][thin])
    grid_mm = tuple(float(s * m) for s, m in zip(step, spacing_mm, strict=True))
    found: list[Ints] = []
    labels, _ = label(_residual(outlines, density, grid_mm), corners=True)
    for i, place in enumerate(ndimage.find_objects(labels), start=1):
        part, planes = labels[place] == i, place[0]
        if float(part.sum()) * float(np.prod(grid_mm)) < MIN_VOLUME_MM3:
            continue
        if not _lies_on_cortex(labels[planes] == i, outlines[planes], density[planes]):
            continue
        start = low + np.array([s.start for s in place]) * step
        region = enlarged(part, step)
        inside = paint(components, members, box_of(start, np.minimum(start + region.shape, high)))
        index = np.argwhere(inside & region[tuple(slice(n) for n in inside.shape)]) + start
        if len(index) * float(np.prod(spacing_mm)) >= MIN_VOLUME_MM3:
            found.append(index)
    return found


def _residual(outlines: Mask, density: Hu, grid_mm: tuple[float, ...]) -> Mask:
    """What lies outside the bone's own course, on the grid of outlines."""
    grown, kernel = dilate(outlines, _disc(SLACK_MM, grid_mm)), _disc(MIN_THICKNESS_MM / 2, grid_mm)
    labels, _ = label_planes(outlines)
    boxes, area = ndimage.find_objects(labels), np.bincount(labels.ravel())
    is_shaft = cache(lambda n: _is_shaft(labels[boxes[n - 1]][0] == n, density[boxes[n - 1]][0], grid_mm))

    def continues(section: int, level: int) -> bool:
        """Whether a section has a shaft of like size under or over it."""
        box = boxes[section - 1]
        others, shared = np.unique(labels[level][box[1:]][labels[box][0] == section], return_counts=True)
        return any(
            n > 0
            and area[section] <= 2.5 * area[n]
            and area[n] <= MAX_AREA_CHANGE * area[section]
            and count >= 0.4 * area[n]
            and is_shaft(n)
            for n, count in zip(others.tolist(), shared, strict=True)
        )

    residual = np.zeros_like(outlines)
    for k in [max(1, round(distance / grid_mm[0])) for distance in REFERENCE_MM]:
        if len(outlines) <= 2 * k:
            break
        beyond = outlines[k:-k] & ~grown[: -2 * k] & ~grown[2 * k :]
        thick = dilate(erode(beyond, kernel), kernel)
        own = labels[k:-k]
        kept = np.zeros(len(area), dtype=np.bool_)
        for n in np.unique(own[thick]).tolist():
            plane = boxes[n - 1][0].start
            kept[n] = continues(n, plane - k) and continues(n, plane + k)
        residual[k:-k] |= thick & kept[own]
    return residual


def _disc(radius_mm: float, grid_mm: tuple[float, ...]) -> Element:
    """Disc of a radius, one pixel or two, which is all that pixels of a millimetre or more need."""
    return "disc" if radius_mm / grid_mm[1] >= 1.5 else "cross"


def _is_shaft(section: Mask, density: Hu, grid_mm: tuple[float, ...]) -> bool:
    """Whether a region, in its box, looks like the section of a shaft: compact, of limbs' size, densely rimmed."""
    area = int(np.count_nonzero(section))
    if not 30.0 < area * grid_mm[1] * grid_mm[2] < np.pi / 4 * MAX_SHAFT_MM**2:
        return False
    rim = section & ~ndimage.binary_erosion(section, iterations=2)
    is_dense = float(np.percentile(density[rim], 60)) >= MIN_CORTEX_HU
    return is_dense and area >= MIN_SOLIDITY * int(np.count_nonzero(convex_hull_image(section)))


def _lies_on_cortex(part: Mask, outlines: Mask, density: Hu) -> bool:
    """Whether the way from an outgrowth to the middle of its bone crosses a cortex denser than its own surface.

    The bow of a shaft is cortex itself, and a trochanter has its rim outside and trabeculae towards the marrow; mineral
    laid on a bone has the bone's intact cortex underneath.
    """
    plane = int(part.sum(axis=(1, 2)).argmax())
    labels, _ = label(outlines[plane])
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
