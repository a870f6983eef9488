"""Why a dense component is not soft-tissue calcification, each reason a rule of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Hu, Ints, Mask
from calcreport.anatomy.bone_map import BONE_HU, MIN_SMALL_BONE_MM3, MUSCLE_HU
from calcreport.anatomy.morphology import ALL_AXES, dilate
from calcreport.calcification.enteric import is_contrast_pool
from calcreport.calcification.foci import MIN_EVIDENCE, Focus, evidence_of, is_mineral, reference_tissue, spread_of
from calcreport.calcification.scene import HALF, Scene
from calcreport.calcification.spongiosa import is_around_spongiosa
from calcreport.model.image import LOWEST_HU
from calcreport.model.report import ExclusionReason

MIN_IMPLANT_MM3: Final = 20.0  # less metal in a bone is no implant
INNER_SHARE: Final = 0.6  # of the greatest depth; deeper lies the inner part of mineral laid on a bone ...
MIN_INNER_RATIO: Final = 0.85  # ... which is about as dense as its outer part, or denser
MIN_CORTEX: Final = 0.75
"""Among the bones of hand or foot a piece smaller than a phalanx has the cortex of the larger bones of the scan: in
phantoms a peak of 0.79 of theirs and more; lumps of mineral have 0.7 and less."""
METAL_HU: Final = 2_400  # Denser than any cortex or mineral on a clinical scanner; cut-offs of 2500-3000 HU are common
SMALL_METAL_HU: Final = 1_800  # metal of this size and less
SMALL_METAL_MM3: Final = 100.0
"""Partial volume dims what is this small: no deposit of that size stays so dense, a fragment of metal does."""


def is_metal(focus: Focus) -> bool:
    """Whether a component is denser than any cortex or mineral of its size."""
    limit = METAL_HU if focus.volume_mm3 > SMALL_METAL_MM3 else SMALL_METAL_HU
    return focus.peak_hu >= limit


def is_lump(scene: Scene, component: int) -> bool:
    """Whether a component is smaller than a phalanx and fainter than the cortex of the bones of the scan."""
    volume_mm3 = float(scene.components.voxels[component]) * scene.volume.geometry.voxel_volume_mm3
    return volume_mm3 < MIN_SMALL_BONE_MM3 and float(scene.components.peak_hu[component]) < MIN_CORTEX * scene.cortex_hu


def metal_in_bone(scene: Scene, skeleton: Mask) -> list[Ints]:
    """Voxels of implants that dense voxels join to a bone, one array of shape ``(n, 3)`` a bone."""
    found = [scene.dense_voxels(int(i), METAL_HU) for i in np.flatnonzero(skeleton)]
    return [metal for metal in found if len(metal) * scene.volume.geometry.voxel_volume_mm3 >= MIN_IMPLANT_MM3]


def is_solid(hu: Hu, index: Ints) -> bool:
    """Whether an outgrowth is mineral through and through: a bony process has marrow under a shell."""
    low = index.min(0)
    mask = np.zeros(tuple(index.max(0) - low + 1), dtype=np.bool_)
    mask[tuple((index - low).T)] = True
    depth = np.stack([ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1] for plane in mask])
    own = depth[tuple((index - low).T)]
    values = hu[tuple(index.T)]
    inner = own > INNER_SHARE * own.max()
    return bool(inner.all() or np.median(values[inner]) >= MIN_INNER_RATIO * np.median(values[~inner]))


INJECTED_HU: Final = 800.0  # undiluted contrast or a catheter in a vein of the arm
MAX_VEIN_MM: Final = 8.0  # breadth of its column ...
MIN_COLUMN_MM: Final = 15.0  # ... length ...
COLUMN_RATIO: Final = 3.0  # ... and length over breadth
# regions without hand or foot
OF_TRUNK: Final = frozenset({
    "head", "neck", "shoulder", "chest wall", "thorax", "back", "abdominal wall", "abdomen", "pelvis", "hip", "buttock",
})  # fmt: skip
# where it may lie; a calcified artery beside an enhanced trunk is listed with it
ARMS: Final = frozenset({"upper arm", "elbow", "forearm", "arm"})
MIN_BLOOD_HU: Final = 110.0  # Surroundings this dense are enhanced blood or an enhanced organ
BLOOD_DEVIATIONS: Final = 5.0  # A voxel of a lumen lies so many noise deviations above it once in three million
BORDER_GAPS: Final = ((8.0, 300.0), (4.5, 800.0))  # cut by the scan this close to bone (mm) and this small (mm3)
PAIR_MM: Final = 10.0  # Paired bones mirror each other so well: 1 mm in phantoms, 10 mm in a body turned by 3 degrees
WALL_HU: Final = 70.0  # Around ribs' cartilage it is denser, around mineral in muscle or fat fainter
MAX_WALL_GAS: Final = 0.05  # share of lung around what lies in the muscles outside the ribs; pieces of ribs touch it
RIB_GAP_MM: Final = 6.0  # pieces of a rib lie nearer to the rest of it
MIN_AIR_SHARE: Final = 0.2  # Air around what stands on the skin (leads, staples), outside the body's smooth outline
MIN_SKIN_AIR: Final = 0.3  # share of the surroundings of what is half in the air
CLASP_MM: Final = 30.0  # Hooks, clasps and wires come in rows: what is half in air this near to metal is one
MIN_PATELLA_MM3: Final = 2_000.0  # volume of a patella ...
MAX_PATELLA_CORE: Final = 0.6  # ... its marrow over its cortex ...
PATELLA_GAP_MM: Final = 12.0  # ... and thickness of the cartilage behind it
MAX_FABELLA_MM3: Final = 1_500.0  # volume of a fabella ...
FABELLA_GAP_MM: Final = 5.5  # ... its distance to the condyle ...
CARTILAGE_MM: Final = (3.0, 2.5)  # ... what is thinner and nearer to bone may be mineral of cartilage or meniscus ...
MIN_BEHIND_MM: Final = 8.0  # ... behind the middle of the bones (posterior, patient axes)
SESAMOID_MM3: Final = (60.0, 400.0)  # volume of a sesamoid of thumb or great toe; smaller specks are not claimed for it
SESAMOID_GAP_MM: Final = 3.2  # how close it rides on one of the many bones of hand or foot
PLAIN_EVIDENCE: Final = 60.0  # In hand and foot all is near bone, and what stands out so far is no noise for that
MAX_EDGE_MM3: Final = 30.0  # A speck of fewer than four blocks of the map of bones may be the bone it lies on
PATCH_PIXELS: Final = 9  # Half side of the patch in which a small component is held against the noise at first sight
MAX_NOISE_MM3: Final = 150.0  # Larger components are never noise at first sight
PLAIN_NOISE_CNR: Final = 4.5  # A small component below this is noise at first sight; there may be thousands
STREAK_REACH_MM: Final = 45.0  # this near metal a focus must stand out more ...
MIN_STREAK_CNR: Final = 9.0  # ... by this ...
SURE_CNR: Final = 13.0  # ... and unless it stands out as clearly as this ...
MIN_STREAK_THICKNESS_MM: Final = 3.0  # ... be thicker than a streak
BRIGHT_RIM: Final = "bright rim where the field of view cuts the body; check the source images"  # noted in the report


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A dense component that is not a focus of soft-tissue calcification."""

    component: int
    reason: ExclusionReason
    detail: str


def is_plain_noise(scene: Scene, component: int) -> bool:
    """First sight of a small component: its peak against a patch of its slice."""
    components, hu = scene.components, scene.volume.hu
    index = components.indices(component)
    values = hu[tuple(index.T)]
    i, j, k = index[int(values.argmax())]
    patch = hu[i, max(0, j - PATCH_PIXELS) : j + PATCH_PIXELS + 1, max(0, k - PATCH_PIXELS) : k + PATCH_PIXELS + 1]
    tissue = patch[(patch > -250) & (patch < scene.limits.grow)].astype(np.float64)
    if tissue.size < 30 or float(values.max() - np.median(tissue)) >= PLAIN_NOISE_CNR * max(spread_of(tissue), 5.0):
        return False
    # Planes of fat between muscles widen that deviation; many voxels above the scan's own noise get a second look.
    return evidence_of(values.astype(np.float64), reference_tissue(tissue)[0], scene.noise_hu) < MIN_EVIDENCE


def beside_externals(scene: Scene, externals: list[int]) -> Mask:
    """Coarse mask of the body's rim against table, cast or clothes: dense voxels there are the same thing."""
    if not externals:
        return np.zeros(scene.coarse.hu.shape, dtype=np.bool_)
    rim = scene.body.mask & dilate(scene.body.outside, "square")
    return rim & dilate(scene.mark(externals), "square", axes=ALL_AXES, steps=2)


def metal_blocks(scene: Scene, candidates: list[int], limit_hu: int) -> Mask:
    """Coarse mask of blocks with a voxel at or above `limit_hu` in some components."""
    metal = np.zeros(scene.coarse.hu.shape, dtype=bool)
    for i in candidates:
        metal[tuple(scene.coarse.of_fine(scene.dense_voxels(i, limit_hu)).T)] = True
    return metal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One component before its judge."""

    scene: Scene
    focus: Focus
    metal: Mask
    hooks: Mask
    """Coarse shape; true at metal, and at what is as dense as small metal."""


# Whether it holds, reason and detail.
_Rule = tuple[Callable[[_Case], bool], ExclusionReason, str]

RULES: Final[tuple[_Rule, ...]] = (
    (lambda c: is_metal(c.focus),
     ExclusionReason.METAL, "high-attenuation material, probably metal"),
    (lambda c: _share(c, c.scene.bones.cartilage) >= HALF,
     ExclusionReason.ORGAN, "cartilage of a rib"),
    (lambda c: (c.scene.share_in(c.scene.places.cage, c.focus.component) >= HALF
     # A limit raised above `BONE_HU` shows chips of what lies in the cage as a whole.
     or (c.scene.limits.grow > BONE_HU and _share(c, c.scene.caged) >= HALF)) and not _is_in_soft_wall(c),
     ExclusionReason.SKELETON, "rib or costal cartilage"),
    (lambda c: _is_blood(c.scene, c.focus),
     ExclusionReason.CONTRAST, "enhanced blood"),
    (lambda c: _is_injected_vein(c.scene, c.focus),
     ExclusionReason.CONTRAST, "dense column along an arm, probably an injected vein or its catheter"),
    (lambda c: is_contrast_pool(c.scene, c.focus) or _share(c, c.scene.bones.pools) >= HALF,
     ExclusionReason.CONTRAST, "homogeneous fluid density, probably enteric or urinary contrast"),
    (lambda c: _is_cut_beside_bone(c.scene, c.focus),
     ExclusionReason.SKELETON, "part of a bone at the edge of the scan"),
    (lambda c: _is_patella(c.scene, c.focus) or _is_fabella(c.scene, c.focus),
     ExclusionReason.SKELETON, "separate bone of the knee (patella or fabella)"),
    (lambda c: SESAMOID_MM3[0] <= c.focus.volume_mm3 <= SESAMOID_MM3[1]
     and c.focus.bone_gap_mm <= SESAMOID_GAP_MM and not is_lump(c.scene, c.focus.component) and _is_small_part(c),
     ExclusionReason.SKELETON, "small bone beside those of hand or foot (sesamoid); check the source images"),
    (lambda c: c.focus.air_fraction > MIN_SKIN_AIR
     and c.scene.is_near(c.focus.component, c.hooks, CLASP_MM, along_mm=CLASP_MM),
     ExclusionReason.EXTERNAL, "beside metal on the skin"),
    (lambda c: c.focus.air_fraction > MIN_AIR_SHARE and c.scene.share_in(c.scene.body.firm, c.focus.component) <= HALF,
     ExclusionReason.EXTERNAL, "on the skin"),
    (lambda c: c.focus.peak_hu - c.focus.reference_hu < SURE_CNR * c.scene.noise_hu and _meets_padding(c),
     ExclusionReason.EXTERNAL, BRIGHT_RIM),
    (lambda c: c.scene.border(c.focus.component)[1],
     ExclusionReason.SKELETON, "cut by the side of the picture, taken as bone; check the source images"),
    (lambda c: not is_mineral(c.focus) and not _is_plain(c),
     ExclusionReason.NOISE, "not told from noise"),
    (lambda c: c.focus.volume_mm3 < MAX_EDGE_MM3 and _share(c, c.scene.bone_edge) >= HALF and not _is_plain(c),
     ExclusionReason.NOISE, "edge of bone"),
    (lambda c: _is_streak(c.focus) and c.scene.is_near(c.focus.component, c.metal, STREAK_REACH_MM),
     ExclusionReason.NOISE, "metal streak"),
    (lambda c: _is_streak(c.focus) and c.focus.air_fraction > MIN_SKIN_AIR,
     ExclusionReason.NOISE, "edge of the skin"),
    (lambda c: is_around_spongiosa(c.scene, c.focus),
     ExclusionReason.SKELETON, "cortex of a vertebra or the sacrum; check the source images"),
)  # fmt: skip
"""Tried in order; the first that holds says why a component is not soft-tissue calcification."""


def judge(scene: Scene, focus: Focus, metal: Mask, hooks: Mask) -> Rejected | None:
    """Why a component is no focus of mineral, or ``None``; `metal` and `hooks`: as in `_Case`."""
    case = _Case(scene=scene, focus=focus, metal=metal, hooks=hooks)
    for holds, reason, detail in RULES:
        if holds(case):
            return Rejected(component=focus.component, reason=reason, detail=detail)
    return None


def _share(case: _Case, mask: Mask) -> float:
    return case.scene.share_on_grid(mask, case.focus.component)


def _is_in_soft_wall(case: _Case) -> bool:
    """Whether a component of the cage lies plainly in muscle or fat, apart from lung, cartilage and every bone seen."""
    focus = case.focus
    is_soft = focus.reference_hu < WALL_HU and focus.gas_fraction < MAX_WALL_GAS
    is_apart = focus.bone_gap_mm > RIB_GAP_MM and not focus.touches_border
    return is_soft and is_apart and focus.contrast_to_noise >= SURE_CNR


def _is_blood(scene: Scene, focus: Focus) -> bool:
    """Whether a component is no denser than noise makes the enhanced blood it lies in, here or in the whole scan."""
    if scene.bones.lumen_hu is None:
        return False
    above = BLOOD_DEVIATIONS * scene.noise_hu
    if focus.reference_hu >= MIN_BLOOD_HU and focus.mean_hu < focus.reference_hu + above:
        return True
    is_inside = scene.share_on_grid(scene.bones.lumen, focus.component) >= HALF
    return is_inside and is_in_reach_of_blood(scene, focus)


def is_in_reach_of_blood(scene: Scene, focus: Focus) -> bool:
    """Whether noise may make enhanced blood as dense as the peak of a component."""
    lumen_hu = scene.bones.lumen_hu
    return lumen_hu is not None and focus.peak_hu < lumen_hu + BLOOD_DEVIATIONS * scene.noise_hu


def _is_injected_vein(scene: Scene, focus: Focus) -> bool:
    """Whether a slim dense column runs along an arm while blood is enhanced."""
    if scene.bones.lumen_hu is None or focus.peak_hu < INJECTED_HU or focus.thickness_mm > MAX_VEIN_MM:
        return False
    sides_mm = (scene.components.box[focus.component] @ [-1, 1]) * np.array(scene.spacing_mm)
    is_column = float(sides_mm.max()) >= max(MIN_COLUMN_MM, COLUMN_RATIO * focus.thickness_mm)
    return is_column and scene.region(focus.component) in ARMS


def _is_small_part(case: _Case) -> bool:
    """Whether a component lies among the many bones of a hand or foot."""
    # Vertebrae with their processes, and ribs with the sternum, are many bones as well.
    if case.scene.region(case.focus.component) in OF_TRUNK:
        return False
    return case.scene.bones.is_crowded(*case.scene.components.box[case.focus.component].T)


def _is_plain(case: _Case) -> bool:
    """Whether a speck among the bones of a hand or foot stands out too far for noise or the edge of a bone."""
    focus = case.focus
    # A tendon in fat is as dense as muscle, and noise of it stands out of the fat.
    share = min(1.0, (focus.mean_hu - MUSCLE_HU) / max(focus.mean_hu - focus.reference_hu, 1.0))
    return focus.evidence * share >= PLAIN_EVIDENCE and _is_small_part(case)


def _meets_padding(case: _Case) -> bool:
    """Whether a component lies against what the scanner did not image.

    Truncated projections brighten tissue there; at the skin, blur leaves no mineral beside a voxel of the lowest HU.
    """
    scene = case.scene
    index, last = scene.components.indices(case.focus.component), np.array(scene.volume.hu.shape) - 1
    steps = np.array([(0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
    beside = np.clip(index[:, None] + steps, 0, last).reshape(-1, 3)
    # Gas and streaks inside the body reach the lowest HU as well.
    is_padding = (scene.volume.hu[tuple(beside.T)] <= LOWEST_HU) & scene.body.outside[
        tuple(scene.coarse.of_fine(beside).T)
    ]
    return bool(is_padding.any())


def _is_cut_beside_bone(scene: Scene, focus: Focus) -> bool:
    """Whether the scan cuts a small piece close to the skeleton, or on a bone that only its map shows."""
    gap_mm = 0.0 if scene.share_on_grid(scene.bones.bone, focus.component) > 0 else focus.bone_gap_mm
    return focus.touches_border and any(gap_mm < gap and focus.volume_mm3 < most for gap, most in BORDER_GAPS)


def mirrored_at_ends(scene: Scene, foci: list[Focus]) -> list[Focus]:
    """Small foci cut by an end of the scan that mirror each other across the middle of the bones there: paired bones.

    Ribs, trochanters and ischia come in pairs; a lesion is on one side.
    """
    found: list[Focus] = []
    grid, geometry, box = scene.bones.grid, scene.volume.geometry, scene.components.box
    for plane, side, end in ((0, 0, 0), (-1, 1, len(scene.volume.hu))):
        cut = [f for f in foci if box[f.component, 0, side] == end and f.volume_mm3 < BORDER_GAPS[1][1]]
        bones = np.argwhere(scene.bones.bone[plane])
        # In limbs arteries come in pairs as well.
        if len(cut) < 2 or not len(bones) or not scene.places.trunk.part[plane]:
            continue
        middle = np.append(end, (bones.mean(axis=0) + 0.5) * grid.step[1:] + grid.first[1:] - 0.5)
        away = geometry.lps_mm((box[[f.component for f in cut]].sum(axis=2) - 1) / 2) - geometry.lps_mm(middle)
        off = np.abs(away[:, None] * (-1, 1, 1) - away).max(axis=2)
        # On the middle line a focus is its own mirror image.
        found += [cut[i] for i in np.flatnonzero((off <= PAIR_MM).any(axis=1) & (np.abs(away[:, 0]) > PAIR_MM))]
    return found


def _behind_knee_mm(scene: Scene, focus: Focus) -> float:
    """How far behind the bones of a knee a component lies, mm; not a number elsewhere."""
    return scene.behind_bones_mm(focus.component) if scene.region(focus.component) == "knee" else float("nan")


def _is_patella(scene: Scene, focus: Focus) -> bool:
    """Whether a large piece with a core fainter than its rim lies before the bones of a knee."""
    if focus.volume_mm3 < MIN_PATELLA_MM3 or focus.bone_gap_mm > PATELLA_GAP_MM:
        return False
    # A limit raised above enhanced blood leaves the cortex alone; the map of bones sees the marrow.
    is_faint = focus.core_hu < MAX_PATELLA_CORE * focus.peak_hu
    has_marrow = is_faint or scene.share_on_grid(scene.bones.free, focus.component) >= HALF
    return has_marrow and _behind_knee_mm(scene, focus) < -MIN_BEHIND_MM


def _is_fabella(scene: Scene, focus: Focus) -> bool:
    """Whether a small piece, no line of mineral, lies close behind the bones of a knee."""
    is_near = focus.volume_mm3 <= MAX_FABELLA_MM3 and focus.bone_gap_mm <= FABELLA_GAP_MM
    is_line = focus.thickness_mm < CARTILAGE_MM[0] and focus.bone_gap_mm < CARTILAGE_MM[1]
    return is_near and not is_line and _behind_knee_mm(scene, focus) > MIN_BEHIND_MM


def _is_streak(focus: Focus) -> bool:
    least = SURE_CNR if focus.thickness_mm < MIN_STREAK_THICKNESS_MM else MIN_STREAK_CNR
    return focus.contrast_to_noise < least
