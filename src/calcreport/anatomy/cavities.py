"""Body cavities on the turned coarse grid: chest by lungs, abdomen by wall, pelvis by ring, skull, airway."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from calcreport.anatomy.arrays import Floats, Mask
from calcreport.anatomy.axial import Axial, along, find_sections
from calcreport.anatomy.body import CLOSING_BLOCKS, MUSCLE_HU
from calcreport.anatomy.labelling import label
from calcreport.anatomy.morphology import ALL_AXES, close_planes, dilate, erode, open_planes, outside_planes
from calcreport.anatomy.trunk import (
    FACE_MM,
    FAT_HU,
    GAS_HU,
    LUNG_HU,
    ONE_SIDED,
    RING_WIDTH_MM,
    Trunk,
    behind_middle,
    centres,
    closed_along,
    cut_side,
    enclosed,
)

PARASPINAL_MM: Final = (20.0, 75.0)
"""Half the breadth of vertebra and of the muscles behind the transverse processes; their front falls back to the sides
by 45 degrees, where kidneys lie before them."""
PSOAS_HU: Final = (15, 90)  # muscle beside a vertebral body
PSOAS_MM: Final = (60.0, 30.0)  # how far from the midline, and before the back of the body, it is taken for psoas
WALL_MM: Final = 15.0  # Muscles of the abdominal wall and ribs with their muscles, where no better border is seen
THICK_WALL_MM: Final = 28.0  # ... and where fat behind them shows it, at most
MIN_MUSCLE_MM2: Final = 150.0  # Smaller sections in the fat are vessels and septa, not muscles of the wall
LOW_LUNG_SHARE: Final = 0.4  # Below the domes lung fills less than this share of its hull
CAGE_MM: Final = 13.0  # From the pleura to the outer side of a rib or costal cartilage
RECTUS_MM: Final = (75.0, 6.0)  # Breadth to each side of the midline, and thickness, of the straight muscles in front
GROIN_MM: Final = 40.0  # Muscle before the pelvis reaches to the first fat behind it, if that lies this deep at most
RIB_HU: Final = 160  # block means of ribs in the wall lie above this, muscle does not
MIN_RIB_MM2: Final = 150.0  # so much of them a level cuts at least
COSTAL_MARGIN_MM: Final = 130.0  # Ribs and cartilages reach this far below the lowest lung
FLARE_MM: Final = (30.0, 75.0)  # Above the hip joints no bone lies so far aside in front: before the wings is belly
ILIACUS_MM: Final = (12.0, 36.0)  # Muscle inside the hip bone: at least, and where it goes on towards the psoas
SINUS_MM: Final = 9.0  # Bony walls and septa around air of nose and sinuses
AIRWAY_MM2: Final = (20.0, 900.0)  # section of larynx and trachea ...
MIN_AIRWAY_MM: Final = 24.0  # ... length ...
AIRWAY_MIDLINE_MM: Final = 30.0  # ... and distance from the midline of the neck
LARYNX_MM: Final = (60.0, 30.0, 12.0, 28.0)
"""From the last gas of the airway up to the hyoid; and from the middle of the airway to the front of the thyroid
cartilage, to the back of the cricoid and of the horns, and to the side of the thyroid."""
PREVERTEBRAL_MM: Final = 8.0  # Thickness of the longus colli before the vertebrae
MAX_NECK_MM2: Final = 32_000.0  # A neck of 20 cm across


@unique
class Cavity(IntEnum):
    """What a block of the body lies in."""

    NONE = 0
    """Limb, body wall, surroundings of the spine, soft tissue of the neck."""
    THORAX = 1
    ABDOMEN = 2
    PELVIS = 3
    SKULL = 4
    AIRWAY = 5


def fill_cavities(axial: Axial, lungs: Mask, trunk: Trunk) -> tuple[NDArray[np.uint8], Mask]:
    """Cavities and cage on the turned grid."""
    cavity = np.zeros(axial.hu.shape, dtype=np.uint8)
    behind, psoas = _behind_spine(axial, trunk), _psoas(axial, trunk)
    chest = _chest(axial, lungs, trunk) & (~behind | lungs)
    inner = _inside_wall(axial, trunk) & ~behind & ~psoas & axial.body
    # Below the domes most of what the lungs surround is abdomen. Above the first level full of lung nothing is abdomen
    # again: apices are narrow beside a goitre.
    whole = chest.sum(axis=(1, 2))
    is_full = (whole > 0) & (lungs.sum(axis=(1, 2)) >= LOW_LUNG_SHARE * whole)
    is_low = ((whole > 0) & ~np.logical_or.accumulate(is_full))[:, None, None]
    cavity[inner & (trunk.shows("abdomen") | is_low)] = Cavity.ABDOMEN
    cavity[inner & _within_ring(axial, trunk)] = Cavity.PELVIS
    cavity[chest] = np.where(is_low, Cavity.ABDOMEN, Cavity.THORAX)[np.nonzero(chest)[0], 0, 0]
    # A lobe without air leaves a dent in the hull; the levels above and below it show the chest whole.
    dent = closed_along(axial, cavity > 0) & (cavity == 0) & ~behind & trunk.shows("thorax")
    cavity[lungs | (dent & trunk.main)] = Cavity.THORAX
    cage = _cage(axial, cavity, trunk, behind) & ~psoas
    cavity[_skull(axial, trunk)] = Cavity.SKULL
    cavity[find_airway(axial, lungs, trunk)] = Cavity.AIRWAY
    return cavity, cage & (cavity == Cavity.NONE)


def _aside_mm(axial: Axial, middle: Floats) -> Floats:
    """How far each column of each level lies to the left of the midline, shape ``(levels, 1, columns)``."""
    return ((np.arange(axial.hu.shape[2]) - middle[:, None]) * axial.spacing_mm[2])[:, None]


def _inside_wall(axial: Axial, trunk: Trunk) -> Mask:
    """What the muscles of the trunk's wall surround; skin and vessels of the fat are no muscles."""
    parts = find_sections((axial.hu > MUSCLE_HU) & erode(trunk.main, "square", steps=2, beyond=1), axial.pixel_mm2)
    muscle = np.append(False, parts.area_mm2 >= MIN_MUSCLE_MM2)[parts.labels]
    wall = closed_along(axial, enclosed(muscle, "cross", CLOSING_BLOCKS) & trunk.main)
    inner = erode(wall, "disc", steps=axial.rows(WALL_MM / 2), beyond=1)
    # A thick wall goes on to the first fat behind it; muscle that organs continue is taken for theirs.
    deep, soft = erode(wall, "disc", steps=axial.rows(THICK_WALL_MM / 2), beyond=1), axial.hu > FAT_HU
    layer = inner & ~deep & soft & trunk.shows("abdomen")
    inner &= ~layer | dilate(deep & soft, "square", steps=axial.rows(THICK_WALL_MM - WALL_MM), within=layer)
    is_rectus = (np.abs(_aside_mm(axial, trunk.middle)) <= RECTUS_MM[0]) & ~behind_middle(wall)
    inner |= erode(wall, "square", steps=axial.rows(RECTUS_MM[1]), beyond=1) & is_rectus
    # In the groin muscle lies between the front and the first fat or gas behind it.
    front = wall & np.logical_and.accumulate(~wall | (axial.hu > FAT_HU), axis=1)
    inner &= ~(front & (front.sum(axis=1, keepdims=True) <= axial.rows(GROIN_MM)) & trunk.shows("pelvis"))
    gas = (axial.hu < GAS_HU) & axial.body & trunk.main & ~trunk.shows("head")
    return np.asarray(find_sections(inner, axial.pixel_mm2).largest() | gas)


def _behind_spine(axial: Axial, trunk: Trunk) -> Mask:
    """Behind the vertebral bodies, as far as the muscles of the back reach to the sides."""
    aside_mm = np.abs(_aside_mm(axial, trunk.middle))
    lower = np.maximum(0.0, aside_mm - PARASPINAL_MM[0]) / axial.spacing_mm[1]
    rows = np.arange(axial.hu.shape[1])[:, None]
    return (aside_mm <= PARASPINAL_MM[1]) & (rows > trunk.spine_back[:, None, None] + lower)


def _psoas(axial: Axial, trunk: Trunk) -> Mask:
    """Muscle that goes on from the sides of the lumbar spine and the wings of the hip bones, with what lies in it."""
    aside_mm = np.abs(_aside_mm(axial, trunk.middle))
    before = trunk.spine_back[:, None, None] - np.arange(axial.hu.shape[1])[:, None]
    is_beside = (aside_mm > PARASPINAL_MM[0]) & (aside_mm <= PSOAS_MM[0]) & (before <= axial.rows(PSOAS_MM[1]))
    is_beside &= trunk.shows("abdomen")
    is_beside |= _is_flared(axial, trunk) & (aside_mm > ILIACUS_MM[1])
    muscle = (axial.hu > PSOAS_HU[0]) & (axial.hu < PSOAS_HU[1]) & trunk.main
    muscle = open_planes(muscle, "square") & is_beside
    seed = axial.bone | ((axial.hu >= PSOAS_HU[1]) & (aside_mm <= PSOAS_MM[1]))
    # Between bone and muscle lies a block of both, or of fat.
    near = dilate(seed, "square", steps=2)
    found = dilate(near, "cross", steps=axial.rows(ILIACUS_MM[1]), within=muscle) & muscle
    return ~outside_planes(found)


def _is_flared(axial: Axial, trunk: Trunk) -> Mask:
    """Levels of the pelvis whose bones leave the front open: above the hip joints; shape ``(levels, 1, 1)``."""
    aside_mm = np.abs(_aside_mm(axial, trunk.middle))
    near = (aside_mm > FLARE_MM[0]) & (aside_mm < FLARE_MM[1])
    is_closed = along(axial.bone & ~behind_middle(trunk.main) & near, 1, 2)
    return trunk.shows("pelvis") & ~is_closed[:, None, None]


def _chest(axial: Axial, lungs: Mask, trunk: Trunk) -> Mask:
    """Lungs and what lies between them, or between one lung and the cut side of the picture."""
    # Pieces of lung between effusion and tumour count too, and so does gas of the bowel below the domes.
    chest = lungs | (open_planes(axial.hu < LUNG_HU[1], "square") & axial.body & trunk.main)
    chest[trunk.part != "thorax"] = False
    outer = cut_side(axial)
    for level in np.flatnonzero(trunk.part == "thorax"):
        own = np.nonzero(chest[level])[1]
        area = convex_hull_image(chest[level], offset_coordinates=False)
        right = float((own < trunk.middle[level]).mean())
        is_seen = np.isfinite(trunk.middle[level])
        if trunk.is_cut[level] and (not is_seen or min(right, 1 - right) < ONE_SIDED):
            # A single lung: its mediastinal side is that of the spine; to the picture's edge it is all chest.
            side = right - 0.5 if is_seen else outer
            inner = (np.arange(area.shape[1]) - own.mean()) * side > 0
            area |= along(area, 1)[:, None] & inner & axial.body[level]
        chest[level] |= area
    return chest


def _within_ring(axial: Axial, trunk: Trunk) -> Mask:
    """Between the inner sides of both hip bones and in front of the sacrum."""
    within = np.zeros_like(axial.bone)
    rows, columns = np.arange(within.shape[1]), np.arange(within.shape[2])
    half, sacrum, is_flared = axial.columns(15.0), np.inf, _is_flared(axial, trunk)
    for level in np.flatnonzero(trunk.part == "pelvis")[::-1]:
        bone, at = axial.bone[level] & trunk.main[level], int(trunk.middle[level])
        aside_mm = np.abs(columns - at) * axial.spacing_mm[2]
        # Between the crests lie a vertebra and its processes, which bound nothing.
        gap = (aside_mm >= RING_WIDTH_MM[0] / 2) & (aside_mm < FLARE_MM[1])
        start = half if bone[:, gap].any() else axial.columns(RING_WIDTH_MM[0] / 2)
        edges = []
        for side in (bone[:, : max(1, at - start)][:, ::-1], bone[:, at + start :]):
            has = along(side, 1)
            if has.any():
                edge = np.interp(rows, rows[has], side.argmax(axis=1)[has].astype(float)) - axial.columns(ILIACUS_MM[0])
                edge[: int(np.argmax(has)) * int(is_flared[level, 0, 0])] = np.inf
                edges.append(edge[:, None])
        if len(edges) < 2:
            continue
        held = rows[along(bone, 1)]
        midline = rows[along(bone[:, max(0, at - half // 2) : at + half // 2 + 1], 1)]
        sacrum = [*midline[midline > held.mean()][:1], held.max() if np.isinf(sacrum) else sacrum][0]
        within[level] = (columns > at - start - edges[0]) & (columns < at + start + edges[1]) & (rows < sacrum)[:, None]
    return within


def _cage(axial: Axial, cavity: NDArray[np.uint8], trunk: Trunk, behind: Mask) -> Mask:
    """Band of ribs, costal cartilages and sternum around chest and upper abdomen; `behind` lies behind the spine."""
    inside = (cavity == Cavity.THORAX) | (cavity == Cavity.ABDOMEN)
    is_belly = trunk.shows("abdomen")
    is_ribbed = trunk.shows("thorax")
    lung = np.flatnonzero(is_ribbed)
    if lung.size:
        is_ribbed[max(0, lung[0] - axial.levels(COSTAL_MARGIN_MM)) : lung[0]] = True
        is_ribbed &= ~trunk.shows("pelvis")
    band = dilate(inside & (is_ribbed if lung.size else is_belly), "disc", steps=axial.rows(CAGE_MM / 2))
    band &= ~inside & axial.body & trunk.main & ~(behind & is_belly)
    if not lung.size:
        # Without lungs only bones in the wall tell that ribs are there.
        band &= ((band & (axial.hu > RIB_HU)).sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_RIB_MM2)[:, None, None]
    return band


def _skull(axial: Axial, trunk: Trunk) -> Mask:
    """Cranial cavity, orbits, nose and sinuses with their walls."""
    if not trunk.cranium.any():
        return trunk.cranium
    lowest = np.argmax(along(trunk.cranium, 1, 2)) - axial.levels(FACE_MM)
    face = (np.arange(len(trunk.part)) >= lowest)[:, None, None]
    air = (axial.hu < GAS_HU) & axial.body & face & dilate(axial.bone, "square", steps=2)
    skull = trunk.cranium | dilate(air, "square", axes=ALL_AXES, steps=axial.rows(SINUS_MM)) & axial.body
    return (skull | dilate(skull, "square", steps=3) & axial.bone) & face


def find_airway(axial: Axial, lungs: Mask, trunk: Trunk) -> Mask:
    """Larynx and trachea: a gas-filled tube near the midline above or between the lungs, or in a slim neck."""
    is_slim = (trunk.main.sum(axis=(1, 2)) * axial.pixel_mm2 <= MAX_NECK_MM2) & ~trunk.is_cut
    is_slim &= (trunk.part == "") | (trunk.part == "head")
    is_chest = trunk.part == "thorax"
    may_hold = (is_chest | (trunk.part == "neck") | is_slim) & ~along(trunk.cranium, 1, 2)
    gas = (axial.hu < GAS_HU) & axial.body & trunk.main & may_hold[:, None, None] & ~(lungs & is_chest[:, None, None])
    parts = find_sections(gas, axial.pixel_mm2)
    middle = np.where(np.isfinite(trunk.middle), trunk.middle, centres(trunk.main))
    is_tube = (parts.area_mm2 >= AIRWAY_MM2[0]) & (parts.area_mm2 <= AIRWAY_MM2[1])
    is_tube &= np.abs(parts.column - middle[parts.level]) <= axial.columns(AIRWAY_MIDLINE_MM)
    labels, _ = label(np.append(False, is_tube)[parts.labels], corners=True)
    # The trachea goes on to the top of the lungs; bronchi of a hilum end below it.
    least, top = axial.levels(MIN_AIRWAY_MM), np.max(np.flatnonzero(is_chest), initial=0)
    stops = [box[0].stop * (box[0].stop - box[0].start >= least) for box in ndimage.find_objects(labels)]
    tube = np.append(False, np.array(stops) > max(0, top - least))[labels]
    return (dilate(tube, "disc") & axial.body) | _larynx(axial, tube, may_hold & ~is_chest)


def _larynx(axial: Axial, tube: Mask, is_neck: Mask) -> Mask:
    """What surrounds the airway of the neck without fat between: plates of the larynx, hyoid and thyroid gland."""
    around = np.zeros_like(tube)
    has_tube = np.flatnonzero(along(tube, 1, 2))
    if not has_tube.size:
        return around
    has_tube = has_tube[is_neck[has_tube]] if is_neck[has_tube].any() else has_tube[-1:]
    rows, columns = np.arange(tube.shape[1])[:, None], np.arange(tube.shape[2])
    # The glottis closes the airway: above it the larynx goes on over the last gas seen.
    for level in np.flatnonzero(is_neck[: has_tube[-1] + axial.levels(LARYNX_MM[0]) + 1]):
        row, column = np.argwhere(tube[has_tube[np.abs(has_tube - level).argmin()]]).mean(axis=0)
        down, across = (rows - row) * axial.spacing_mm[1], (columns - column) * axial.spacing_mm[2]
        around[level] = np.hypot(down / np.where(down < 0, *LARYNX_MM[1:3]), across / LARYNX_MM[3]) <= 1
        spine = rows[along(axial.bone[level] & (np.abs(across) <= 10.0) & (down > LARYNX_MM[2] / 2), 1)]
        around[level] &= rows < np.min(spine, initial=len(rows)) - axial.rows(PREVERTEBRAL_MM)
    around &= erode(axial.body, "disc", beyond=1)
    steps = max(axial.rows(LARYNX_MM[1]), axial.levels(LARYNX_MM[0]))
    grown = dilate(tube, "cross", axes=ALL_AXES, steps=steps, within=around & (axial.hu > MUSCLE_HU))
    return close_planes(grown, "cross", steps=2) & around
