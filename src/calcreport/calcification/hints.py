"""Masks of another program as hints on what a focus is; a reader's contour stands above them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from calcreport.anatomy.structures import INSIDES, SKELETON, structure_of
from calcreport.calcification.detect import Detection
from calcreport.calcification.foci import Focus
from calcreport.calcification.inner import incidental_of
from calcreport.calcification.reject import Rejected
from calcreport.model.anatomy_labels import AnatomyLabels, Structure
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.incidental import IncidentalFinding
from calcreport.model.report import ExclusionReason


def sort_by_labels(
    detection: Detection, labels: AnatomyLabels, geometry: VolumeGeometry, is_claimed: Callable[[Focus], bool]
) -> tuple[Detection, tuple[IncidentalFinding, ...]]:
    """Take out of the foci what the masks place in bone, cartilage, vessel, organ, gut, airway or lung.

    What they place in muscle or nowhere stays a focus, and so does what a reader's contour claims.
    """
    hinted: dict[int, Structure] = {}
    for focus in (*detection.foci, *detection.weak, *detection.inner):
        structure = structure_of(labels, detection.components.indices(focus.component))
        if structure is not None and structure.kind in SKELETON | INSIDES and not is_claimed(focus):
            hinted[focus.component] = structure
    sure = {focus.component for focus in (*detection.foci, *detection.inner)}
    found = [(component, structure) for component, structure in hinted.items() if component in sure]
    rejected = tuple(
        Rejected(component=component, reason=ExclusionReason.SKELETON, detail=f"{one.full_name} by the anatomy masks")
        for component, one in found
        if one.kind in SKELETON
    )
    incidental = tuple(
        incidental_of(detection.components.indices(component), geometry, one.incidental, one.full_name)
        for component, one in found
        if one.kind in INSIDES
    )
    foci, weak, inner = (
        tuple(f for f in group if f.component not in hinted)
        for group in (detection.foci, detection.weak, detection.inner)
    )
    return replace(detection, foci=foci, weak=weak, inner=inner, rejected=(*detection.rejected, *rejected)), incidental
