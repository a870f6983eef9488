"""Body cavities on the turned coarse grid: chest by lungs, abdomen by wall, pelvis by ring, skull, airway."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from itertools import combinations_with_replacement
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from calcreport.anatomy.arrays import Floats, Mask
from calcreport.anatomy.axial import Axial, Sections, along, find_sections, lasting
from calcreport.anatomy.body import CLOSING_BLOCKS, MUSCLE_HU
from calcreport.anatomy.morphology import ALL_AXES, chosen, close_planes, dilate, erode, open_planes, outside_planes


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


LUNG_HU: Final = (-970, -450)
"""Block means of aerated lung: bowel gas and the room are lighter, a block of lung and chest wall is denser."""
MIN_LUNG_MM3: Final = (30_000.0, 60_000.0)
"""Smaller pieces of this density are froth in the bowel; the first holds at the upper end, where a base is cut."""
MIN_ENCLOSED: Final = 0.6  # Share of a lung's surroundings that is body; foam and blankets lie in air
GAS_HU: Final = -400  # Below this a block is mostly gas, and a voxel gas, never fat
MIN_LUNG_MM2: Final = 1_500.0  # A level shows the chest from this area of lung on: a recess of 15 x 100 mm
SPINE_MM: Final = (40.0, 15.0, 9.0)
"""Breadth of a vertebral body, its least depth as it shows between blocks, and that of the spinal canal."""
SMOOTH_MM: Final = (60.0, 90.0)  # Column and row of the spine are medians over two and three vertebrae
TIP_TO_BODY_MM: Final = (32.0, 55.0, 80.0)
"""From the tip of a spinous process to the back of its vertebral body: least, taken where no canal is seen, most."""
PARASPINAL_MM: Final = (20.0, 75.0)
"""Half the breadth of vertebra and of the muscles behind the transverse processes; their front falls back to the sides
by 45 degrees, where kidneys lie before them."""
PSOAS_HU: Final = (15, 90)  # muscle beside a vertebral body
PSOAS_MM: Final = (60.0, 30.0)  # how far from the midline, and before the back of the body, it is taken for psoas
WALL_MM: Final = 15.0  # Muscles of the abdominal wall and ribs with their muscles, where no better border is seen
MIN_MUSCLE_MM2: Final = 150.0  # Smaller sections in the fat are vessels and septa, not muscles of the wall
NECK_MM: Final = 150.0  # most that lies between head and chest, where only one of the two is seen
ABDOMEN_MM: Final = 300.0  # most that lies between lungs and pelvis, where only one of the two is seen
BROAD_MM: Final = 220.0  # breadth of a belly without lungs or pelvis ...
MIN_BOWEL_GAS_MM2: Final = 300.0  # ... and section of gas in it (20 mm across)
LOW_LUNG_SHARE: Final = 0.4  # Below the domes lung fills less than this share of its hull
ONE_SIDED: Final = 0.1  # Less than this share of lung beyond the spine: one lung alone is in the picture
CAGE_MM: Final = 13.0  # From the pleura to the outer side of a rib or costal cartilage
RECTUS_MM: Final = (75.0, 6.0)  # Breadth to each side of the midline, and thickness, of the straight muscles in front
FAT_HU: Final = -30  # Halfway between fat and muscle
GROIN_MM: Final = 40.0
"""Muscle in front of the pelvis reaches to the first fat behind it, where that lies this deep at most."""
RIB_HU: Final = 160  # block means of ribs in the wall lie above this, muscle does not
MIN_RIB_MM2: Final = 150.0  # so much of them a level cuts at least
COSTAL_MARGIN_MM: Final = 130.0  # Ribs and cartilages reach this far below the lowest lung
MIN_RING_MM2: Final = 500.0  # area of the section of a hip bone; ribs are smaller
MIN_RING_EXTENT_MM: Final = 42.0  # its length; shafts are shorter
RING_WIDTH_MM: Final = (110.0, 330.0)  # distance of the centres of both
WHOLE_RING_MM: Final = 170.0  # breadth where sacrum and hip bones are one
PAIR_RATIO: Final = 0.4
"""Two sections are a pair of hip bones or limbs when the smaller has at least this share of the larger."""
MIN_MIRRORED: Final = 0.7  # Share of the bones of a level that has bone within 15 mm of its mirror image
FLARE_MM: Final = (30.0, 75.0)
"""Above the hip joints no bone lies so far from the midline in front: before the wings lies belly, not groin."""
MIN_WING_MM2: Final = 60.0  # section of a wing near its crest
CREST_MM: Final = 110.0  # how far the crests reach above the levels whose wings stand clear
ILIACUS_MM: Final = (12.0, 36.0)
"""Muscle on the inner side of the hip bone: at least, and where it is seen to go on towards the psoas."""
MIN_CRANIUM_MM2: Final = 2_500.0  # section of a cranial cavity ...
MIN_CRANIUM_MM: Final = 20.0  # ... its length ...
MAX_CRANIUM_MM: Final = 190.0  # ... its breadth (a ring of ribs is broader) ...
MAX_CRANIUM_FAT: Final = 0.06  # ... and share of fat in it (brain has none)
SINUS_MM: Final = 9.0  # Bony walls and septa around air of nose and sinuses
OPEN_LEVELS_MM: Final = 48.0
"""Longest stretch along the patient over which a wall may be open: an orbit, a thin wall at the navel."""
FACE_MM: Final = 75.0  # Nose and sinuses reach this far below the lowest closed section of the cranium
AIRWAY_MM2: Final = (20.0, 900.0)  # section of larynx and trachea ...
MIN_AIRWAY_MM: Final = 24.0  # ... length ...
AIRWAY_MIDLINE_MM: Final = 30.0  # ... and distance from the midline of the neck
LARYNX_MM: Final = (60.0, 30.0, 12.0, 28.0)
"""From the last gas of the airway up to the hyoid; and from the middle of the airway to the front of the thyroid
cartilage, to the back of the cricoid and of the horns, and to the side of the thyroid."""
PREVERTEBRAL_MM: Final = 8.0  # Thickness of the longus colli before the vertebrae
MAX_NECK_MM2: Final = 32_000.0  # A neck of 20 cm across


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """What is known of each level."""

    main: Mask
    """Shape ``(levels, rows, columns)``; the largest part of the body in each level."""
    cranium: Mask
    """Shape of `main`; what closed sections of the cranium enclose."""
    is_cut: Mask
    """Shape ``(levels,)``; the field of view cuts the body."""
    part: NDArray[np.str_]
    """Part of trunk or head the level shows: ``"thorax"``, ``"abdomen"``, ``"pelvis"``, ``"head"``, ``"neck"`` or
    nothing."""
    middle: Floats
    """Column of the midline; not a number where it is not seen."""
    centre: Floats
    """Column of the centre of the largest part of the body; not a number where it is cut."""
    spine_back: Floats
    """Row of the back of the vertebral body; not a number without a spine."""

    def shows(self, part: str) -> Mask:
        """Levels of a part, shape ``(levels, 1, 1)``."""
        return np.array(self.part == part)[:, None, None]


def find_lungs(axial: Axial) -> Mask:
    """Aerated lung with its vessels."""
    hu = axial.hu
    light = open_planes((hu > LUNG_HU[0]) & (hu < LUNG_HU[1]), "square")
    labels, count = ndimage.label(light)
    volume_mm3 = np.bincount(labels.ravel()) * float(np.prod(axial.spacing_mm))
    keep = volume_mm3 >= np.where(np.isin(np.arange(count + 1), labels[-1]), *MIN_LUNG_MM3)
    aside = ((0, 0), (3, 3), (3, 3))
    solid = np.pad(axial.body & (hu > LUNG_HU[1]), aside)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if keep[i]:
            own = dilate(np.pad(labels[box] == i, aside), "square", steps=2)
            near = solid[box[0], box[1].start : box[1].stop + 6, box[2].start : box[2].stop + 6]
            behind = np.roll(own, 3, axis=1) & ~own
            keep[i] = min(near[rim].mean() for rim in (dilate(own, "square") & ~own, behind)) >= MIN_ENCLOSED
    lungs = chosen(labels, keep)
    closed = close_planes(dilate(lungs, "cross") & (hu < GAS_HU), "cross", steps=2)
    return ~outside_planes(closed) if lungs.any() else lungs


def find_trunk(axial: Axial, lungs: Mask, sections: Sections) -> Trunk:
    """What each level shows."""
    main = sections.largest()
    at, area_mm2 = np.arange(len(main)), main.sum(axis=(1, 2)) * axial.pixel_mm2
    unseen = np.pad(~axial.is_imaged, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    is_cut = along(axial.body & dilate(unseen, "square")[:, 1:-1, 1:-1], 1, 2)
    centre = np.where(is_cut, np.nan, _centres(main))
    has_lung = lungs.sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_LUNG_MM2
    cranium = find_cranium(axial, has_lung)
    is_head = along(cranium, 1, 2)
    # Shoulders lie apart as hip bones do; no pelvis lies above a lung or beside a head.
    pairs = find_ring(axial, find_sections(axial.bone & main, axial.pixel_mm2), main, has_lung | is_head)
    part = np.where(has_lung, "thorax", np.where(np.isfinite(pairs), "pelvis", "")).astype("<U7")
    part[_abdominal_levels(axial, main, part, has_head=bool(is_head.any()))] = "abdomen"
    spine, back = find_spine(axial, main, lungs, (part == "thorax") | (part == "abdomen"))
    middle = np.where(np.isfinite(pairs), pairs, spine)
    known, lung = np.flatnonzero(np.isfinite(spine)), np.flatnonzero(has_lung)
    if known.size:
        middle[known[-1] + 1 :] = spine[known[-1]]
    top = lung[-1] if lung.size else len(at)
    is_neck = at > top
    if is_head.any():
        low = int(np.argmax(is_head))
        is_face = is_head | ((at < low) & (at >= low - axial.levels(FACE_MM)))
        part[is_face & ~has_lung] = "head"
        is_neck |= (at < low) & (at >= low - axial.levels(FACE_MM + NECK_MM))
        middle = np.where((part == "head") | np.isnan(middle), centre, middle)
    part[is_neck & (part == "") & (area_mm2 > 0)] = "neck"
    return Trunk(main=main, cranium=cranium, is_cut=is_cut, part=part, middle=middle, centre=centre, spine_back=back)


def _centres(main: Mask) -> Floats:
    """Middle column of each section."""
    across = along(main, 1)
    ends = across.argmax(axis=1) + across.shape[1] - 1 - across[:, ::-1].argmax(axis=1)
    return np.where(along(across, 1), ends / 2, np.nan)


def _behind_middle(main: Mask) -> Mask:
    """Rows of each level behind the middle of the body, shape ``(levels, rows, 1)``."""
    middle = _centres(main.transpose(0, 2, 1))
    return (np.arange(main.shape[1]) >= middle[:, None])[:, :, None]


def find_spine(axial: Axial, main: Mask, lungs: Mask, is_trunk: Mask) -> tuple[Floats, Floats]:
    """Column of the spine and row of the back of its vertebral bodies per level; not a number outside the trunk."""
    back, tip = np.full((2, len(main)), np.nan)
    mass = (axial.bone & _behind_middle(main) & main).sum(axis=1).astype(np.float64)
    mass = ndimage.uniform_filter(mass, (axial.levels(30.0), axial.columns(SPINE_MM[0])), mode="nearest")
    column = ndimage.median_filter(mass.argmax(axis=1).astype(np.float64), axial.levels(SMOOTH_MM[0]), mode="nearest")
    half = axial.columns(6.0)
    for level in np.flatnonzero(is_trunk):
        middle = int(column[level])
        profile = axial.bone[level, :, max(0, middle - half) : middle + half + 1].mean(axis=1) >= 0.3
        back[level], tip[level] = _read_spine(profile, axial)
    if np.isfinite(back).sum() < max(3, 0.1 * is_trunk.sum()):
        levels, _, columns = np.nonzero(lungs)
        if levels.size and not ONE_SIDED <= (columns > column[levels]).mean() <= 1 - ONE_SIDED:
            # Bones beside a lung seen alone, without a canal, may be a scapula.
            return np.full_like(back, np.nan), np.full_like(back, np.nan)
        back = tip - axial.rows(TIP_TO_BODY_MM[1])
    known = np.flatnonzero(np.isfinite(back))
    if known.size:
        back = np.interp(np.arange(len(back)), known, back[known])
        back = ndimage.median_filter(back, axial.levels(SMOOTH_MM[1]), mode="nearest")
    return np.where(is_trunk, column, np.nan), np.where(is_trunk, back, np.nan)


def _read_spine(profile: Mask, axial: Axial) -> tuple[float, float]:
    """Back of the vertebral body and tip of the spinous process along the midline, rows."""
    hits = np.flatnonzero(profile)
    if not hits.size:
        return np.nan, np.nan
    runs = np.split(hits, np.flatnonzero(np.diff(hits) > 3) + 1)
    for before, after in zip(runs[-2::-1], runs[:0:-1], strict=True):
        depth_mm = (hits[-1] - before[-1]) * axial.spacing_mm[1]
        is_body = np.ptp(before) + 1 >= axial.rows(SPINE_MM[1]) and after[0] - before[-1] > axial.rows(SPINE_MM[2])
        if is_body and TIP_TO_BODY_MM[0] <= depth_mm <= TIP_TO_BODY_MM[2]:
            return float(before[-1]), float(hits[-1])
    return np.nan, float(hits[-1])


def find_cranium(axial: Axial, has_lung: Mask) -> Mask:
    """What closed sections of the cranium enclose."""
    lung = np.flatnonzero(has_lung)
    is_possible = np.arange(len(has_lung)) > (lung[-1] if lung.size else -1)
    air = dilate(axial.hu < GAS_HU, "square")
    inside = _enclosed(axial.bone, "square", 2) & ~axial.bone & ~air & is_possible[:, None, None]
    parts = find_sections(open_planes(inside, "disc"), axial.pixel_mm2)
    fat = np.bincount(parts.labels.ravel(), (axial.hu < FAT_HU).ravel(), len(parts.level) + 1)[1:] * axial.pixel_mm2
    keep = (parts.area_mm2 >= MIN_CRANIUM_MM2) & (fat <= MAX_CRANIUM_FAT * parts.area_mm2)
    keep &= np.ptp(parts.box[:, 1], axis=1) * axial.spacing_mm[2] <= MAX_CRANIUM_MM
    kept = np.append(False, keep)[parts.labels]
    is_long = along(kept, 1, 2).sum() >= axial.levels(MIN_CRANIUM_MM)
    return _closed_along(axial, kept) if is_long else np.zeros_like(kept)


def _enclosed(wall: Mask, element: Literal["cross", "square"], steps: int) -> Mask:
    """A wall and what it encloses in each level, gaps of twice as many steps closed, slanting ones too."""
    return ~dilate(outside_planes(dilate(wall, element, steps=steps)), element, steps=steps)


def _closed_along(axial: Axial, mask: Mask) -> Mask:
    """Close gaps along the patient, where a wall is open in some levels (orbit, navel)."""
    steps = axial.levels(OPEN_LEVELS_MM / 2)
    return mask | erode(dilate(mask, "cross", axes=(0,), steps=steps), "cross", axes=(0,), steps=steps, beyond=1)


def find_ring(axial: Axial, bones: Sections, main: Mask, is_above: Mask) -> Floats:
    """Column midway between the hip bones, for levels of the pelvic ring below others; not a number elsewhere."""
    middle = np.full(len(main), np.nan)
    size_mm = np.ptp(bones.box, axis=2) * np.array(axial.spacing_mm[1:])
    is_large = (bones.area_mm2 >= MIN_RING_MM2) & (np.hypot(*size_mm.T) >= MIN_RING_EXTENT_MM)
    rim = axial.columns(10.0)
    is_large &= (bones.box[:, 1, 0] > rim) & (bones.box[:, 1, 1] < main.shape[2] - rim)
    for level in np.flatnonzero(~np.logical_or.accumulate(is_above)):
        best = 0.0
        for i, j in combinations_with_replacement([i for i in bones.of_level(level) if is_large[i]], 2):
            if i == j:
                # Hip bones and sacrum in one piece, open in front; ribs with their cartilage are closed.
                row, column = bones.box[i].mean(axis=1)
                front = axial.bone[level, : int(row), int(column - rim) : int(column + rim)]
                is_ring = size_mm[i, 1] >= WHOLE_RING_MM and not front.any()
            else:
                column = (bones.column[i] + bones.column[j]) / 2
                apart = abs(bones.column[i] - bones.column[j]) * axial.spacing_mm[2]
                lower = abs(bones.row[i] - bones.row[j]) * axial.spacing_mm[1]
                is_ring = RING_WIDTH_MM[0] <= apart <= RING_WIDTH_MM[1] and lower <= apart / 3
                is_ring = is_ring and bones.area_mm2[j] >= PAIR_RATIO * bones.area_mm2[i]
            if is_ring and bones.area_mm2[j] > best and _is_mirrored(axial, level, column):
                best, middle[level] = bones.area_mm2[j], column
    return _one_run(axial, main, middle)


def _is_mirrored(axial: Axial, level: int | np.integer, centre: float) -> bool:
    """Whether the bones of a level lie on both sides of a column alike."""
    bone = axial.bone[level]
    row, column = np.nonzero(bone)
    image = np.rint(2 * centre - column).astype(np.int64)
    near = dilate(bone[None], "square", steps=axial.columns(15.0))[0]
    seen = (image >= 0) & (image < bone.shape[1])
    return float((seen & near[row, np.clip(image, 0, bone.shape[1] - 1)]).mean()) >= MIN_MIRRORED


def _one_run(axial: Axial, main: Mask, middle: Floats) -> Floats:
    """The longest run of levels with a ring, gaps filled, from the lower edge of the symphysis up to the crests."""
    at, run_mm = np.arange(middle.size), axial.levels(12.0)
    labels, count = ndimage.label(lasting(np.isfinite(middle), run_mm, gap=run_mm))
    if not count:
        return np.full(middle.size, np.nan)
    run = labels == np.bincount(labels)[1:].argmax() + 1
    seen = run & np.isfinite(middle)
    smooth = ndimage.median_filter(np.interp(at, at[seen], middle[seen]), axial.levels(30.0), mode="nearest")
    aside_mm = (np.arange(main.shape[2]) - smooth[:, None]) * axial.spacing_mm[2]
    bridge = run & along(axial.bone & ~_behind_middle(main) & (np.abs(aside_mm) <= 15.0)[:, None], 1, 2)
    if bridge.any():
        run &= at >= int(np.argmax(bridge))
    top = int(np.flatnonzero(run)[-1])
    bone = (axial.bone & main).sum(axis=1) * axial.pixel_mm2  # without arms beside the wings
    wings = [(bone * (sign * aside_mm > RING_WIDTH_MM[0] / 2)).sum(axis=1) >= MIN_WING_MM2 for sign in (-1, 1)]
    above = np.append((wings[0] & wings[1])[top + 1 : top + axial.levels(CREST_MM)], False)
    run[top + 1 : top + 1 + int(np.argmin(above))] = True
    return np.where(run, smooth, np.nan)


def _abdominal_levels(axial: Axial, main: Mask, part: NDArray[np.str_], *, has_head: bool) -> Mask:
    """Levels between chest and pelvis; without either those of a broad section with bowel gas."""
    at, reach = np.arange(len(main)), axial.levels(ABDOMEN_MM)
    lung, pelvis = np.flatnonzero(part == "thorax"), np.flatnonzero(part == "pelvis")
    if lung.size or pelvis.size:
        bottom = pelvis[-1] if pelvis.size else lung[0] - reach - 1
        top = lung[0] if lung.size else bottom + reach
        return np.asarray((at > bottom) & (at < top))
    is_broad = along(main, 1).sum(axis=1) * axial.spacing_mm[2] >= BROAD_MM
    gas = open_planes((axial.hu < GAS_HU) & axial.body & main, "square")
    has_gas = (gas.sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_BOWEL_GAS_MM2) & is_broad
    return np.asarray(is_broad & along(axial.bone, 1, 2) & (not has_head and has_gas.sum() >= axial.levels(12.0)))


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
    dent = _closed_along(axial, cavity > 0) & (cavity == 0) & ~behind & trunk.shows("thorax")
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
    wall = _closed_along(axial, _enclosed(muscle, "cross", CLOSING_BLOCKS) & trunk.main)
    inner = erode(wall, "disc", steps=axial.rows(WALL_MM / 2), beyond=1)
    is_rectus = (np.abs(_aside_mm(axial, trunk.middle)) <= RECTUS_MM[0]) & ~_behind_middle(wall)
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
    is_closed = along(axial.bone & ~_behind_middle(trunk.main) & near, 1, 2)
    return trunk.shows("pelvis") & ~is_closed[:, None, None]


def _chest(axial: Axial, lungs: Mask, trunk: Trunk) -> Mask:
    """Lungs and what lies between them, or between one lung and the cut side of the picture."""
    # Pieces of lung between effusion and tumour count too, and so does gas of the bowel below the domes.
    chest = lungs | (open_planes(axial.hu < LUNG_HU[1], "square") & axial.body & trunk.main)
    chest[trunk.part != "thorax"] = False
    for level in np.flatnonzero(trunk.part == "thorax"):
        own = np.nonzero(chest[level])[1]
        area = convex_hull_image(chest[level], offset_coordinates=False)
        right = float((own < trunk.middle[level]).mean())
        if np.isfinite(trunk.middle[level]) and trunk.is_cut[level] and min(right, 1 - right) < ONE_SIDED:
            # A single lung: its mediastinal side is that of the spine; to the picture's edge it is all chest.
            inner = (np.arange(area.shape[1]) - own.mean()) * (right - 0.5) > 0
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
    middle = np.where(np.isfinite(trunk.middle), trunk.middle, _centres(trunk.main))
    is_tube = (parts.area_mm2 >= AIRWAY_MM2[0]) & (parts.area_mm2 <= AIRWAY_MM2[1])
    is_tube &= np.abs(parts.column - middle[parts.level]) <= axial.columns(AIRWAY_MIDLINE_MM)
    labels, _ = ndimage.label(np.append(False, is_tube)[parts.labels], structure=np.ones((3, 3, 3)))
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
