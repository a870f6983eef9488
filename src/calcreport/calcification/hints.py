"""Masks of another program as hints on what a focus is; a reader's contour stands above them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.structures import INSIDES, SKELETON, structure_of
from calcreport.calcification.detect import Detection
from calcreport.calcification.foci import Focus
from calcreport.calcification.reject import Rejected
from calcreport.calcification.size import as_point, farthest_pair
from calcreport.model.anatomy_labels import AnatomyLabels, Structure
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.incidental import IncidentalFinding
from calcreport.model.report import ExclusionReason

_CORNERS: Final = np.array(list(np.ndindex(2, 2, 2))) - 0.5
"""From the centre of a voxel to its corners, in voxels."""


def sort_by_labels(
    detection: Detection, labels: AnatomyLabels, geometry: VolumeGeometry, is_claimed: Callable[[Focus], bool]
) -> tuple[Detection, tuple[IncidentalFinding, ...]]:
    """Take out of the foci what the masks place in bone, cartilage, vessel, organ, gut, airway or lung.

    What they place in muscle or nowhere stays a focus, and so does what a reader's contour claims.
    """
    hinted: dict[int, Structure] = {}
    for focus in (*detection.foci, *detection.weak):
        structure = structure_of(labels, detection.components.indices(focus.component))
        if structure is not None and structure.kind in SKELETON | INSIDES and not is_claimed(focus):
            hinted[focus.component] = structure
    found = [(focus.component, hinted[focus.component]) for focus in detection.foci if focus.component in hinted]
    rejected = tuple(
        Rejected(component=component, reason=ExclusionReason.SKELETON, detail=f"{one.full_name} by the anatomy masks")
        for component, one in found
        if one.kind in SKELETON
    )
    incidental = tuple(
        incidental_in(one, detection.components.indices(component), geometry)
        for component, one in found
        if one.kind in INSIDES
    )
    foci, weak = (tuple(f for f in group if f.component not in hinted) for group in (detection.foci, detection.weak))
    return replace(detection, foci=foci, weak=weak, rejected=(*detection.rejected, *rejected)), incidental


def incidental_in(structure: Structure, voxel_index: NDArray[np.int64], geometry: VolumeGeometry) -> IncidentalFinding:
    """A component, shape ``(n, 3)`` of (slice, row, column) in ascending order, as incidental mineral; mm."""
    # Between the first and the last voxel of a row there is no corner of the hull.
    is_first = np.append(True, (np.diff(voxel_index[:, :2], axis=0) != 0).any(axis=1))
    ends = voxel_index[is_first | np.roll(is_first, -1)]
    corners_mm = geometry.lps_mm((ends[:, None] + _CORNERS).reshape(-1, 3))
    start, end = farthest_pair(corners_mm)
    return IncidentalFinding(
        kind=structure.incidental,
        structure=structure.full_name,
        bbox_lps_mm=(as_point(corners_mm.min(axis=0)), as_point(corners_mm.max(axis=0))),
        largest_mm=float(np.linalg.norm(end - start)),
        first_slice=int(voxel_index[:, 0].min()),
        last_slice=int(voxel_index[:, 0].max()),
    )
