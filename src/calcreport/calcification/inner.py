"""Mineral inside a cavity of the body or in what masks of another program name: what of it is incidental."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from calcreport.anatomy.arrays import Ints
from calcreport.anatomy.body_map import Cavity
from calcreport.anatomy.components import box_of
from calcreport.anatomy.morphology import ALL_AXES, dilate
from calcreport.anatomy.structures import INSIDES, SKELETON, structure_of
from calcreport.calcification.detect import Detection
from calcreport.calcification.foci import Focus
from calcreport.calcification.reject import Rejected
from calcreport.calcification.scene import HALF, Scene
from calcreport.calcification.size import as_point, farthest_pair
from calcreport.model.anatomy_labels import AnatomyLabels, Structure
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.incidental import MANY_IN_CAVITY, Doubt, IncidentalFinding, IncidentalKind
from calcreport.model.terms import ExclusionReason, Laterality

MOST_IN_CAVITY: Final = 24
"""More separate deposits in one cavity than a reader would list: calcified aortas and livers of granulomas stay below;
enhanced organs and sharp kernels that the limit does not clear reach hundreds."""
MAX_GAS_SHARE: Final = 0.1  # More enclosed gas than this around mineral is lung
MIN_BOWEL_GAS: Final = 0.02  # in the belly what has this share of gas around it is content of the bowel ...
MAX_STONE_MM3: Final = 10_000.0  # ... and so is what is larger than a stone of 27 mm
WALL_MM: Final = 3.0  # A plaque lies in the wall, this close to the lumen
MIN_ON_LUMEN: Final = 0.3  # share of a plaque that lies on or in the lumen
_CORNERS: Final = np.array(list(np.ndindex(2, 2, 2))) - 0.5  # From the centre of a voxel to its corners, in voxels
# Name of each cavity in a report.
_NAMES: Final = {
    Cavity.THORAX: "chest",
    Cavity.ABDOMEN: "abdomen",
    Cavity.PELVIS: "pelvis",
    Cavity.SKULL: "head",
    Cavity.AIRWAY: "larynx, trachea or thyroid",
}
PHLEBOLITH: Final = "pelvis, probable phlebolith"  # A stone at the end of a ureter looks the same
MAX_PHLEBOLITH_MM: Final = 10.0  # Stones of the pelvic veins are no larger (proposal) ...
ROUND: Final = 2.0  # ... and no longer than so many times their width, slices of 5 mm included (proposal)
# Note on mineral that may belong to a mass that was felt.
WHICH_IS_FELT: Final = (
    "Mineral in the body cavity at the site of the mass lies too far apart to be one mass and is listed as incidental; "
    "a contour of the mass tells what belongs to it."
)
# Detail of an exclusion.
AT_WALL: Final = "at the inner side of the ribs, rib or calcified pleura; check the source images"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeltMass:
    """A mass at a site that the clinician names: mineral of a cavity that may be part of it is a lesion."""

    is_at: Callable[[str], bool]
    """Whether a region of the image may be the site."""
    laterality: Laterality
    size_mm: float
    reach_mm: float
    """Its longest dimension, and from the skin to its far side at most."""


def list_incidental(
    scene: Scene, detection: Detection, is_claimed: Callable[[Focus], bool], *, is_sharp: bool
) -> tuple[tuple[IncidentalFinding, ...], tuple[Doubt, ...]]:
    """Incidental mineral, and a doubt where one cavity holds more than can be judged: that cavity is not listed.

    What a reader's contour claims belongs to the contour. With a sharp kernel for lung (`is_sharp`) vessels among air
    look as dense as mineral: nothing is listed there.
    """
    inner = [f for f in detection.inner if not is_claimed(f) and not (is_sharp and f.gas_fraction > MAX_GAS_SHARE)]
    cavities = {focus.component: _cavity(scene, focus) for focus in inner}
    count = {cavity: sum(other is cavity for other in cavities.values()) for cavity in set(cavities.values())}
    listed = [f for f in inner if count[cavities[f.component]] <= MOST_IN_CAVITY]
    doubts = () if len(listed) == len(inner) else (MANY_IN_CAVITY,)
    geometry, index = scene.volume.geometry, scene.components.indices
    found = ((index(f.component), *_name(scene, f, cavities[f.component])) for f in listed)
    return tuple(incidental_of(at, geometry, kind, name) for at, kind, name in found), doubts


def sort_inner(
    scene: Scene, detection: Detection, is_claimed: Callable[[Focus], bool], mass: FeltMass | None
) -> tuple[Detection, tuple[str, ...]]:
    """Sort out of the mineral of the cavities what is part of a mass that was felt, and what lies at the ribs.

    Deposits that lie farther apart than the mass is large stay where they are, and a note for the reader says so.
    """
    felt = [f for f in detection.inner if mass and not is_claimed(f) and _is_felt(scene, f, mass)]
    notes: tuple[str, ...] = ()
    if mass and felt:
        box = scene.components.box[[f.component for f in felt]]
        span_mm = float(np.linalg.norm((box[:, :, 1].max(0) - box[:, :, 0].min(0)) * np.array(scene.spacing_mm)))
        felt, notes = (felt, ()) if span_mm <= mass.size_mm else ([], (WHICH_IS_FELT,))
    inner, at_wall = [f for f in detection.inner if f not in felt], []
    for focus in [f for f in inner if not is_claimed(f)]:
        if scene.share_in(scene.inner_wall, focus.component) >= HALF:
            inner.remove(focus)
            at_wall.append(Rejected(component=focus.component, reason=ExclusionReason.SKELETON, detail=AT_WALL))
    foci, rejected = (*detection.foci, *felt), (*detection.rejected, *at_wall)
    return replace(detection, inner=tuple(inner), foci=foci, rejected=rejected), notes


def _is_felt(scene: Scene, focus: Focus, mass: FeltMass) -> bool:
    """Whether a deposit lies where a mass was felt, and nothing tells what else it belongs to."""
    middle = (scene.components.box[focus.component].sum(axis=1) - 1) / 2
    place = scene.places.place(scene.volume.geometry.lps_mm(middle))
    if (cavity := _cavity(scene, focus)) is Cavity.SKULL or not mass.is_at(place.region or ""):
        return False
    is_other_side = {place.laterality, mass.laterality} == {Laterality.LEFT, Laterality.RIGHT}
    is_near_skin = scene.is_near(focus.component, scene.body.outside, mass.reach_mm)
    return is_near_skin and not is_other_side and _kind(scene, focus, cavity) is IncidentalKind.OTHER


def _cavity(scene: Scene, focus: Focus) -> Cavity:
    """Cavity that holds most of a focus."""
    blocks = scene.coarse.of_fine(scene.components.indices(focus.component))
    counts = np.bincount(scene.places.cavity[tuple(blocks.T)], minlength=len(Cavity))
    return Cavity(int(counts[1:].argmax()) + 1)


def incidental_of(
    voxel_index: Ints, geometry: VolumeGeometry, kind: IncidentalKind, structure: str | None
) -> IncidentalFinding:
    """A component, shape ``(n, 3)`` of (slice, row, column), as incidental mineral."""
    # Between the first and the last voxel of a row there is no corner of the hull; components are in ascending order.
    is_first = np.append(True, (np.diff(voxel_index[:, :2], axis=0) != 0).any(axis=1))
    ends = voxel_index[is_first | np.roll(is_first, -1)]
    corners_mm = geometry.lps_mm((ends[:, None] + _CORNERS).reshape(-1, 3))
    start, end = farthest_pair(corners_mm)
    return IncidentalFinding(
        kind=kind, structure=structure,
        bbox_lps_mm=(as_point(corners_mm.min(axis=0)), as_point(corners_mm.max(axis=0))),
        largest_mm=float(np.linalg.norm(end - start)),
        first_slice=int(voxel_index[:, 0].min()), last_slice=int(voxel_index[:, 0].max()),
    )  # fmt: skip


def _kind(scene: Scene, focus: Focus, cavity: Cavity) -> IncidentalKind:
    """What the image tells of what a deposit belongs to; `OTHER` where it tells nothing."""
    if cavity is Cavity.AIRWAY:
        return IncidentalKind.AIRWAY
    if _lies_on_lumen(scene, focus):
        return IncidentalKind.VASCULAR
    is_belly = cavity in {Cavity.ABDOMEN, Cavity.PELVIS}
    if is_belly and (focus.gas_fraction > MIN_BOWEL_GAS or focus.volume_mm3 > MAX_STONE_MM3):
        return IncidentalKind.ENTERIC
    return IncidentalKind.OTHER


def _name(scene: Scene, focus: Focus, cavity: Cavity) -> tuple[IncidentalKind, str]:
    """Kind and place of a deposit; what is small and round beside the middle of the pelvis lies in its veins."""
    kind, box = _kind(scene, focus, cavity), scene.components.box[focus.component]
    sides_mm, middle = np.ptp(box, axis=1) * scene.spacing_mm, (box.sum(axis=1) - 1) / 2
    is_round = sides_mm.max() <= min(MAX_PHLEBOLITH_MM, ROUND * sides_mm.min())
    if kind is not IncidentalKind.OTHER or cavity is not Cavity.PELVIS or not is_round:
        return kind, _NAMES[cavity]
    side = scene.places.place(scene.volume.geometry.lps_mm(middle)).laterality
    is_beside = side in {Laterality.LEFT, Laterality.RIGHT}
    return (IncidentalKind.VASCULAR, PHLEBOLITH) if is_beside else (kind, _NAMES[cavity])


def _lies_on_lumen(scene: Scene, focus: Focus) -> bool:
    """Whether a deposit lies in or on enhanced blood."""
    grid = scene.bones.grid
    block = grid.of_fine(scene.components.indices(focus.component))
    margin = np.array([1, grid.steps(WALL_MM), grid.steps(WALL_MM)])
    low = np.maximum(block.min(axis=0) - margin, 0)
    near = scene.bones.lumen[box_of(low, block.max(axis=0) + margin + 1)]
    lumen = dilate(near, "cross", axes=ALL_AXES, steps=grid.steps(WALL_MM))
    return float(lumen[tuple((block - low).T)].mean()) >= MIN_ON_LUMEN


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
