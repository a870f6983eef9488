"""What each level of the turned coarse grid shows of trunk and head: lungs, spine, cranium, pelvic ring."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Mask
from calcreport.anatomy.axial import Axial, Sections, along, find_sections, lasting
from calcreport.anatomy.labelling import label
from calcreport.anatomy.morphology import (
    IN_PLANE,
    chosen,
    close_planes,
    dilate,
    erode,
    join_neighbours,
    open_planes,
    outside_planes,
)

LUNG_HU: Final = (-970, -450)  # Aerated lung: gas of bowel and room is lighter, lung with chest wall denser
MIN_LUNG_MM3: Final = (30_000.0, 60_000.0)
"""Smaller pieces of this density are froth in the bowel; the first holds at the upper end, where a base is cut."""
MIN_ENCLOSED: Final = 0.6  # Share of a lung's surroundings that is body; foam and blankets lie in air
GAS_HU: Final = -400  # Below this a block is mostly gas, and a voxel gas, never fat
MIN_LUNG_MM2: Final = 1_500.0  # A level shows the chest from this area of lung on: a recess of 15 x 100 mm
SPINE_MM: Final = (40.0, 15.0, 9.0)  # Breadth of a vertebral body, its least depth, and that of the spinal canal
SMOOTH_MM: Final = (60.0, 90.0)  # Column and row of the spine are medians over two and three vertebrae
TIP_TO_BODY_MM: Final = (32.0, 55.0, 80.0)  # Spinous tip to vertebral body: least, taken without a canal, most
NECK_MM: Final = 150.0  # most that lies between head and chest, where only one of the two is seen
ABDOMEN_MM: Final = 300.0  # most that lies between lungs and pelvis, where only one of the two is seen
BROAD_MM: Final = 220.0  # breadth of a belly without lungs or pelvis ...
MIN_BOWEL_GAS_MM2: Final = 300.0  # ... and section of gas in it (20 mm across)
ONE_SIDED: Final = 0.1  # Less than this share of lung beyond the spine: one lung alone is in the picture
CUT_SIDED: Final = 0.25  # ... and so away from the cut side: a scapula lies behind the outer part of a lung
FAT_HU: Final = -30  # Halfway between fat and muscle
MIN_RING_MM2: Final = 500.0  # area of the section of a hip bone; ribs are smaller
MIN_RING_EXTENT_MM: Final = 42.0  # its length; shafts are shorter
RING_WIDTH_MM: Final = (110.0, 330.0)  # distance of the centres of both
WHOLE_RING_MM: Final = 170.0  # breadth where sacrum and hip bones are one
PAIR_RATIO: Final = 0.4  # Two sections are a pair of hip bones or limbs when the smaller has so much of the larger
MIN_MIRRORED: Final = 0.7  # Share of the bones of a level that has bone within 15 mm of its mirror image
MIN_WING_MM2: Final = 60.0  # section of a wing near its crest
CREST_MM: Final = 110.0  # how far the crests reach above the levels whose wings stand clear
MIN_CRANIUM_MM2: Final = 2_500.0  # section of a cranial cavity ...
MIN_CRANIUM_MM: Final = 20.0  # ... its length ...
MAX_CRANIUM_MM: Final = 190.0  # ... its breadth (a ring of ribs is broader) ...
MAX_CRANIUM_FAT: Final = 0.06  # ... share of fat in it (brain has none) ...
MIN_CRANIUM_WALL: Final = 0.5  # ... and share of its border that is bone, where the picture cuts it
OPEN_LEVELS_MM: Final = 48.0  # Most along the patient over which a wall may be open: an orbit, a thin wall at the navel
FACE_MM: Final = 75.0  # Nose and sinuses reach this far below the lowest closed section of the cranium


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
    labels, count = label(light)
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
    rim = cut_rim(axial)
    is_cut = along(rim, 1, 2)
    centre = np.where(is_cut, np.nan, centres(main))
    has_lung = lungs.sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_LUNG_MM2
    cranium = find_cranium(axial, has_lung, rim)
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


def centres(main: Mask) -> Floats:
    """Middle column of each section."""
    across = along(main, 1)
    ends = across.argmax(axis=1) + across.shape[1] - 1 - across[:, ::-1].argmax(axis=1)
    return np.where(along(across, 1), ends / 2, np.nan)


def behind_middle(main: Mask) -> Mask:
    """Rows of each level behind the middle of the body, shape ``(levels, rows, 1)``."""
    middle = centres(main.transpose(0, 2, 1))
    return (np.arange(main.shape[1]) >= middle[:, None])[:, :, None]


def find_spine(axial: Axial, main: Mask, lungs: Mask, is_trunk: Mask) -> tuple[Floats, Floats]:
    """Column of the spine and row of the back of its vertebral bodies per level; not a number outside the trunk."""
    back, tip = np.full((2, len(main)), np.nan)
    mass = (axial.bone & behind_middle(main) & main).sum(axis=1).astype(np.float64)
    mass = ndimage.uniform_filter(mass, (axial.levels(30.0), axial.columns(SPINE_MM[0])), mode="nearest")
    column = ndimage.median_filter(mass.argmax(axis=1).astype(np.float64), axial.levels(SMOOTH_MM[0]), mode="nearest")
    half = axial.columns(6.0)
    for level in np.flatnonzero(is_trunk):
        middle = int(column[level])
        profile = axial.bone[level, :, max(0, middle - half) : middle + half + 1].mean(axis=1) >= 0.3
        back[level], tip[level] = _read_spine(profile, axial)
    levels, _, columns = np.nonzero(lungs)
    beyond = float((columns > column[levels]).mean()) if levels.size else 0.5
    has_canal = np.isfinite(back).sum() >= max(3, 0.1 * is_trunk.sum())
    # Bones beside a lung seen alone, without a canal or away from the cut side, may be a scapula.
    least = CUT_SIDED if cut_side(axial) * (beyond - 0.5) > 0 else ONE_SIDED * (not has_canal)
    if min(beyond, 1 - beyond) < least:
        return np.full_like(back, np.nan), np.full_like(back, np.nan)
    if not has_canal:
        back = tip - axial.rows(TIP_TO_BODY_MM[1])
    known = np.flatnonzero(np.isfinite(back))
    if known.size:
        back = np.interp(np.arange(len(back)), known, back[known])
        back = ndimage.median_filter(back, axial.levels(SMOOTH_MM[1]), mode="nearest")
    return np.where(is_trunk, column, np.nan), np.where(is_trunk, back, np.nan)


def cut_side(axial: Axial) -> int:
    """Side on which the picture cuts the body and a lung seen alone has its spine: 1 left, -1 right, 0 both or none."""
    unseen = np.pad(~axial.is_imaged, ((0, 0), (0, 0), (1, 1)), constant_values=True)
    right, left = (np.count_nonzero(axial.body & beside) for beside in (unseen[:, :, :-2], unseen[:, :, 2:]))
    return int(right < ONE_SIDED * left) - int(left < ONE_SIDED * right)


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


def cut_rim(axial: Axial) -> Mask:
    """Blocks of the body beside what was not imaged."""
    unseen = np.pad(~axial.is_imaged, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return axial.body & dilate(unseen, "square")[:, 1:-1, 1:-1]


def find_cranium(axial: Axial, has_lung: Mask, rim: Mask) -> Mask:
    """What sections of the cranium enclose, closed by themselves or by the `rim` where the picture cuts them."""
    lung = np.flatnonzero(has_lung)
    is_possible = np.arange(len(has_lung)) > (lung[-1] if lung.size else -1)
    air = dilate(axial.hu < GAS_HU, "square")
    inside = enclosed(axial.bone | rim, "square", 2) & ~axial.bone & ~air & is_possible[:, None, None]
    parts = find_sections(open_planes(inside, "disc"), axial.pixel_mm2)
    count = len(parts.level) + 1
    fat = np.bincount(parts.labels.ravel(), (axial.hu < FAT_HU).ravel(), count)[1:] * axial.pixel_mm2
    border = join_neighbours(parts.labels, "cross", IN_PLANE, np.maximum) * (parts.labels == 0)
    walled = np.bincount(border[dilate(axial.bone, "square")], minlength=count)[1:]
    keep = walled > MIN_CRANIUM_WALL * np.bincount(border.ravel(), minlength=count)[1:]
    keep &= (parts.area_mm2 >= MIN_CRANIUM_MM2) & (fat <= MAX_CRANIUM_FAT * parts.area_mm2)
    keep &= np.ptp(parts.box[:, 1], axis=1) * axial.spacing_mm[2] <= MAX_CRANIUM_MM
    kept = np.append(False, keep)[parts.labels]
    is_long = along(kept, 1, 2).sum() >= axial.levels(MIN_CRANIUM_MM)
    return closed_along(axial, kept) if is_long else np.zeros_like(kept)


def enclosed(wall: Mask, element: Literal["cross", "square"], steps: int) -> Mask:
    """A wall and what it encloses in each level, gaps of twice as many steps closed, slanting ones too."""
    return ~dilate(outside_planes(dilate(wall, element, steps=steps)), element, steps=steps)


def closed_along(axial: Axial, mask: Mask) -> Mask:
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
    behind, near = behind_middle(main), axial.bone & (np.abs(aside_mm) <= 15.0)[:, None]
    # Where a vertebra lies behind it, it is that vertebra in a slim body, or a calcified vessel before it.
    has_spine = along(near & behind, 2).sum(axis=1) >= axial.rows(2 * SPINE_MM[1])
    bridge = run & along(near & ~behind, 1, 2) & ~has_spine
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
