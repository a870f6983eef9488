"""Body cavities on the turned coarse grid: chest by lungs, abdomen by wall, pelvis by ring, skull, airway."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from calcreport.anatomy.axial import IN_PLANE, Axial, Sections, along, find_sections
from calcreport.anatomy.fascia import CLOSING_BLOCKS, MUSCLE_HU
from calcreport.anatomy.morphology import ALL_AXES, Element, close_planes, dilate, erode, open_planes, outside_planes


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

MIN_ENCLOSED: Final = 0.6
"""Share of a lung's surroundings that is body; foam and blankets lie in air."""

GAS_HU: Final = -400
"""Below this a block is mostly gas."""

MIN_LUNG_MM2: Final = 1_500.0
"""A level shows the chest from this area of lung on: a recess of 15 x 100 mm."""

SPINE_WIDTH_MM: Final = 40.0
"""A vertebral body's width."""

BODY_MM: Final = 15.0
CANAL_MM: Final = (9.0, 27.0)
"""Shortest vertebral body, and spinal canal, front to back, as they show between blocks."""

SMOOTH_MM: Final = (60.0, 90.0)
"""Column and row of the spine are medians over two and three vertebrae."""

TIP_TO_BODY_MM: Final = (32.0, 55.0, 80.0)
"""From the tip of a spinous process to the back of its vertebral body: least, taken where no canal is seen, most."""

PARASPINAL_MM: Final = (20.0, 75.0)
PARASPINAL_SLOPE: Final = 1.0
"""Half the breadth of vertebra and of the muscles behind the transverse processes; how fast their front falls back to
the sides, where kidneys lie before them."""

WALL_MM: Final = 15.0
"""Muscles of the abdominal wall and ribs with their muscles, where no better border is seen."""

MIN_MUSCLE_MM2: Final = 150.0
"""Smaller sections in the fat are vessels and septa, not muscles of the wall."""

NECK_MM: Final = 150.0
ABDOMEN_MM: Final = 400.0
LOW_ABDOMEN_MM: Final = 250.0
"""Most that lies between head and chest, below the lungs, and above the pelvis."""

BROAD_MM: Final = 220.0
MIN_BOWEL_GAS_MM2: Final = 300.0
"""Without lungs or pelvis a belly is told by its breadth and this section of gas (20 mm across)."""

LOW_LUNG_SHARE: Final = 0.4
"""Below the domes lung fills less than this share of its hull."""

ONE_SIDED: Final = 0.1
"""Less than this share of lung beyond the spine: one lung alone is in the picture."""

CAGE_MM: Final = 13.0
"""From the pleura to the outer side of a rib or costal cartilage."""

RECTUS_MM: Final = (75.0, 6.0)
"""Breadth to each side of the midline, and thickness, of the straight muscles in front."""

FAT_HU: Final = -30
GROIN_MM: Final = 40.0
"""Muscle in front of the pelvis reaches to the first fat behind it, where that lies this deep at most."""

RIB_HU: Final = 160
MIN_RIB_MM2: Final = 150.0
"""Block means of ribs in the wall lie above this, muscle does not; a level cuts this much of them at least."""

COSTAL_MARGIN_MM: Final = 130.0
"""Ribs and cartilages reach this far below the lowest lung."""

MIN_RING_MM2: Final = 500.0
MIN_RING_EXTENT_MM: Final = 42.0
RING_WIDTH_MM: Final = (110.0, 330.0)
WHOLE_RING_MM: Final = 170.0
MIN_RING_RATIO: Final = 0.4
"""Hip bones of a level: area and length of each section (ribs are smaller, shafts shorter), distance of their centres,
breadth where sacrum and hip bones are one, and the smaller over the larger."""

MIN_MIRRORED: Final = 0.7
"""Share of the bones of a level that has bone within 15 mm of its mirror image."""

FLARE_MM: Final = 75.0
"""Wings flare this far from the midline above the hip joints: what lies before them is belly, not groin."""

MIN_WING_MM2: Final = 60.0
CREST_MM: Final = 110.0
"""Section of a wing near its crest, and how far the crests reach above the levels whose wings stand clear."""

ILIACUS_MM: Final = 12.0
"""Muscle on the inner side of the hip bone."""

MIN_CRANIUM_MM2: Final = 2_500.0
MIN_CRANIUM_MM: Final = 20.0
MAX_CRANIUM_MM: Final = 190.0
MIN_SHELL_MM2: Final = 900.0
MAX_CRANIUM_FAT: Final = 0.06
"""Section, length and breadth of a cranial cavity (a ring of ribs is broader), section of the bone around it (180 mm of
5 mm), share of fat in it (brain has none)."""

SINUS_MM: Final = 9.0
"""Bony walls and septa around air of nose and sinuses."""

OPEN_LEVELS_MM: Final = 48.0
"""Longest stretch along the patient over which a wall may be open: an orbit, a thin wall at the navel."""

FACE_MM: Final = 75.0
"""Nose and sinuses reach this far below the lowest closed section of the cranium."""

AIRWAY_MM2: Final = (40.0, 900.0)
MIN_AIRWAY_MM: Final = 24.0
AIRWAY_REACH_MM: Final = 10.0
AIRWAY_MIDLINE_MM: Final = 30.0
"""Section, length, cartilage around it, and distance from the midline of the neck."""

LARYNX_MM: Final = (60.0, 30.0, 8.0, 28.0)
"""From the last gas of the airway up to the hyoid; and from the middle of the airway to the front of the thyroid
cartilage, to the back of the cricoid (what lies behind is the prevertebral space), and to the side of the thyroid."""

MAX_NECK_MM2: Final = 32_000.0
"""A neck of 20 cm across."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """What is known of each level."""

    main: NDArray[np.bool_]
    """Shape ``(levels, rows, columns)``; the largest part of the body in each level."""
    is_cut: NDArray[np.bool_]
    """Shape ``(levels,)``; the field of view cuts the body."""
    cranium: NDArray[np.bool_]
    """Shape of `main`; what closed sections of the cranium enclose."""
    middle: NDArray[np.float64]
    """Column of the midline per level; not a number where it is not told."""
    centre: NDArray[np.float64]
    """Centre of the largest part of the body per level, column; not a number where it is cut."""
    spine_back: NDArray[np.float64]
    """Row of the back of the vertebral body per level; not a number without a spine."""
    has_lung: NDArray[np.bool_]
    is_abdomen: NDArray[np.bool_]
    is_pelvis: NDArray[np.bool_]
    is_head: NDArray[np.bool_]
    is_neck: NDArray[np.bool_]
    """Which part of the trunk or head each level shows; shape ``(levels,)``."""


def find_lungs(axial: Axial) -> NDArray[np.bool_]:
    """Aerated lung with its vessels."""
    hu = axial.hu
    light = open_planes((hu > LUNG_HU[0]) & (hu < LUNG_HU[1]), "square")
    labels, count = ndimage.label(light)
    if not count:
        return light
    size = np.bincount(labels.ravel(), minlength=count + 1)
    size[0] = 0
    volume_mm3 = size * float(np.prod(axial.spacing_mm))
    is_at_top = np.bincount(labels[-1].ravel(), minlength=count + 1) > 0
    keep = (volume_mm3 >= MIN_LUNG_MM3[1]) | (is_at_top & (volume_mm3 >= MIN_LUNG_MM3[0]))
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if keep[i]:
            keep[i] = _is_enclosed(axial, labels[box] == i, box)
    lungs: NDArray[np.bool_] = keep[labels]
    if not lungs.any():
        return lungs
    closed = close_planes(dilate(lungs, "cross") & (hu < GAS_HU), "cross", steps=2)
    return ~outside_planes(closed)


def _is_enclosed(axial: Axial, part: NDArray[np.bool_], box: tuple[slice, ...]) -> bool:
    """Whether body lies before and behind a light part, and most of the way around it within its levels."""
    reach = 3
    part = np.pad(part, ((0, 0), (reach, reach), (reach, reach)))
    solid = np.zeros(part.shape, dtype=np.bool_)
    low = [b.start - reach for b in box[1:]]
    rows, columns = (slice(max(0, a), b.stop + reach) for a, b in zip(low, box[1:], strict=True))
    seen = axial.body[box[0], rows, columns] & (axial.hu[box[0], rows, columns] > LUNG_HU[1])
    to = [max(0, -a) for a in low]
    solid[:, to[0] : to[0] + seen.shape[1], to[1] : to[1] + seen.shape[2]] = seen
    inner = dilate(part, "square", steps=reach - 1)
    around = dilate(part, "square", steps=reach) & ~inner
    behind = np.zeros_like(part)
    behind[:, reach:] = part[:, :-reach]
    behind &= ~inner
    return all(bool(rim.any()) and float(solid[rim].mean()) >= MIN_ENCLOSED for rim in (around, behind))


def find_trunk(axial: Axial, lungs: NDArray[np.bool_], sections: Sections) -> Trunk:
    """What each level shows."""
    levels = axial.hu.shape[0]
    main = _main(sections, levels)
    at_side = np.zeros_like(main)
    at_side[:, [0, -1]] = at_side[:, :, [0, -1]] = True
    is_cut = along(axial.body & (at_side | dilate(~axial.is_imaged, "square")), 1, 2)
    has_lung = lungs.sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_LUNG_MM2
    bones = find_sections(axial.bone & main, axial.pixel_mm2)
    cranium = find_cranium(axial, has_lung)
    is_head = along(cranium, 1, 2)
    # Shoulders lie apart as hip bones do; no pelvis lies above a lung or beside a head.
    is_above = np.logical_or.accumulate(has_lung | is_head)
    pairs = find_ring(axial, bones, is_above)
    is_pelvis = np.isfinite(pairs)
    is_abdomen = _abdominal_levels(axial, main, has_lung, is_pelvis, is_head)
    spine, back = find_spine(axial, main, lungs, has_lung | is_abdomen)
    middle = np.where(is_pelvis, pairs, spine)
    if np.isfinite(spine).any():
        high = np.flatnonzero(np.isfinite(spine))[-1]
        middle[high + 1 :] = spine[high]
    if is_head.any():
        low = int(np.argmax(is_head))
        is_head[max(0, low - axial.levels(FACE_MM)) : low] = True
        is_head &= ~has_lung
        middle = np.where(is_head | ~np.isfinite(middle), _centres(main, is_cut), middle)
    area = main.sum(axis=(1, 2)) * axial.pixel_mm2
    is_trunk = has_lung | is_abdomen | is_pelvis | is_head
    above = np.flatnonzero(has_lung)
    is_neck = ~is_trunk & (np.arange(levels) > (above[-1] if above.size else levels))
    if is_head.any():
        low = int(np.argmax(is_head))
        is_neck |= ~is_trunk & (np.arange(levels) < low) & (np.arange(levels) >= low - axial.levels(NECK_MM))
    is_neck &= area > 0
    return Trunk(
        main=main, is_cut=is_cut, cranium=cranium, middle=middle, centre=_centres(main, is_cut), spine_back=back,
        has_lung=has_lung, is_abdomen=is_abdomen, is_pelvis=is_pelvis, is_head=is_head, is_neck=is_neck,
    )  # fmt: skip


def _main(sections: Sections, levels: int) -> NDArray[np.bool_]:
    keep = np.zeros(sections.area_mm2.size + 1, dtype=np.bool_)
    for level in range(levels):
        keep[1 + sections.of_level(level)[:1]] = True
    return np.asarray(keep[sections.labels])


def _centres(main: NDArray[np.bool_], is_cut: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Middle column of sections that are seen whole."""
    across = along(main, 1)
    first, last = across.argmax(axis=1), across.shape[1] - 1 - across[:, ::-1].argmax(axis=1)
    return np.where(is_cut | ~along(across, 1), np.nan, (first + last) / 2)


def find_spine(
    axial: Axial, main: NDArray[np.bool_], lungs: NDArray[np.bool_], is_trunk: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column of the spine and row of the back of its vertebral bodies per level; not a number outside the trunk."""
    levels, rows, _ = main.shape
    nothing = np.full(levels, np.nan)
    if not is_trunk.any():
        return nothing, nothing.copy()
    down = along(main, 2)
    first, last = down.argmax(axis=1), rows - down[:, ::-1].argmax(axis=1)
    is_back = np.arange(rows) >= ((first + last) / 2)[:, None]
    mass = (axial.bone & is_back[:, :, None] & main).sum(axis=1).astype(np.float64)
    mass = ndimage.uniform_filter(mass, (axial.levels(30.0), axial.columns(SPINE_WIDTH_MM)), mode="nearest")
    column = ndimage.median_filter(mass.argmax(axis=1).astype(np.float64), axial.levels(SMOOTH_MM[0]), mode="nearest")
    half = axial.columns(6.0)
    back, tip = nothing.copy(), nothing.copy()
    for level in np.flatnonzero(is_trunk):
        middle = int(column[level])
        profile = axial.bone[level, :, max(0, middle - half) : middle + half + 1].mean(axis=1) >= 0.3
        back[level], tip[level] = _read_spine(profile, axial)
    if np.isfinite(back).sum() < max(3, 0.1 * is_trunk.sum()):
        level, _, at = np.nonzero(lungs)
        if level.size and not ONE_SIDED <= (at > column[level]).mean() <= 1 - ONE_SIDED:
            return nothing, nothing.copy()  # bones beside a lung seen alone, without a canal, may be a scapula
        back = tip - axial.rows(TIP_TO_BODY_MM[1])
    known = np.flatnonzero(np.isfinite(back))
    if not known.size:
        return np.where(is_trunk, column, np.nan), nothing
    back = np.interp(np.arange(levels), known, back[known])
    back = ndimage.median_filter(back, axial.levels(SMOOTH_MM[1]), mode="nearest")
    return np.where(is_trunk, column, np.nan), np.where(is_trunk, back, np.nan)


def _read_spine(profile: NDArray[np.bool_], axial: Axial) -> tuple[float, float]:
    """Back of the vertebral body and tip of the spinous process along the midline, rows."""
    hits = np.flatnonzero(profile)
    if not hits.size:
        return np.nan, np.nan
    closed = ndimage.binary_closing(np.pad(profile, 3), iterations=1)[3:-3]
    edges = np.flatnonzero(np.diff(np.pad(closed.astype(np.int8), 1)))
    runs = edges.reshape(-1, 2)
    for before, after in zip(runs[:-1][::-1], runs[1:][::-1], strict=True):
        gap, body = after[0] - before[1], before[1] - before[0]
        is_canal = axial.rows(CANAL_MM[0]) <= gap <= axial.rows(CANAL_MM[1])
        depth = (hits[-1] - before[1]) * axial.spacing_mm[1]
        if is_canal and body >= axial.rows(BODY_MM) and TIP_TO_BODY_MM[0] <= depth <= TIP_TO_BODY_MM[2]:
            return float(before[1] - 1), float(hits[-1])
    return np.nan, float(hits[-1])


def find_cranium(axial: Axial, has_lung: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What closed sections of the cranium enclose."""
    is_possible = axial.bone.sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_SHELL_MM2
    if not (is_possible & ~has_lung).any():
        return np.zeros_like(axial.bone)
    air = dilate(axial.hu < GAS_HU, "square")
    inside = _enclosed(axial.bone, "square", 2) & ~axial.bone & ~air & ~has_lung[:, None, None]
    inside = open_planes(inside, "disc")
    parts = find_sections(inside, axial.pixel_mm2)
    keep = np.zeros(parts.area_mm2.size + 1, dtype=np.bool_)
    width = np.ptp(parts.box[:, 1], axis=1) * axial.spacing_mm[2]
    lung = np.flatnonzero(has_lung)
    is_above = parts.level > (lung[-1] if lung.size else -1)
    keep[1:] = (parts.area_mm2 >= MIN_CRANIUM_MM2) & (width <= MAX_CRANIUM_MM) & is_above
    size = np.maximum(np.bincount(parts.labels.ravel(), minlength=keep.size), 1)
    fat = np.bincount(parts.labels.ravel(), (axial.hu < -30).ravel(), keep.size) / size
    keep &= fat <= MAX_CRANIUM_FAT
    kept: NDArray[np.bool_] = keep[parts.labels]
    is_long = along(kept, 1, 2).sum() >= axial.levels(MIN_CRANIUM_MM)
    return _closed_along(axial, kept) if is_long else np.zeros_like(kept)


def _enclosed(wall: NDArray[np.bool_], element: Element, steps: int) -> NDArray[np.bool_]:
    """A wall and what it encloses in each level, gaps of twice as many steps closed, slanting ones too."""
    return ~dilate(outside_planes(dilate(wall, element, steps=steps)), element, steps=steps)


def _closed_along(axial: Axial, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps along the patient, where a wall is open in some levels (orbit, navel)."""
    steps = axial.levels(OPEN_LEVELS_MM / 2)
    return mask | erode(dilate(mask, "cross", axes=(0,), steps=steps), "cross", axes=(0,), steps=steps, beyond=1)


def find_ring(axial: Axial, bones: Sections, is_elsewhere: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Column midway between the hip bones, for levels of the pelvic ring; not a number elsewhere."""
    middle = np.full(axial.hu.shape[0], np.nan)
    height = np.ptp(bones.box[:, 0], axis=1) * axial.spacing_mm[1]
    width = np.ptp(bones.box[:, 1], axis=1) * axial.spacing_mm[2]
    is_large = (bones.area_mm2 >= MIN_RING_MM2) & (np.hypot(height, width) >= MIN_RING_EXTENT_MM)
    rim, last = axial.columns(10.0), axial.hu.shape[2]
    is_large &= (bones.box[:, 1, 0] > rim) & (bones.box[:, 1, 1] < last - rim)
    for level in np.flatnonzero(~is_elsewhere):
        own = [i for i in bones.of_level(level) if is_large[i]]
        best = 0.0
        for n, i in enumerate(own):
            centre = float(bones.box[i, 1].mean())
            front = axial.bone[level, : int(bones.box[i, 0].mean()), int(centre - rim) : int(centre + rim)]
            if width[i] >= WHOLE_RING_MM and not front.any() and _is_mirrored(axial, level, centre):
                # Hip bones and sacrum in one piece, open in front; ribs with their cartilage are closed.
                best, middle[level] = bones.area_mm2[i], centre
            for j in own[n + 1 :]:
                apart = abs(bones.column[i] - bones.column[j]) * axial.spacing_mm[2]
                lower = abs(bones.row[i] - bones.row[j]) * axial.spacing_mm[1]
                is_pair = RING_WIDTH_MM[0] <= apart <= RING_WIDTH_MM[1] and lower <= apart / 3
                is_alike = bones.area_mm2[j] >= MIN_RING_RATIO * bones.area_mm2[i]
                centre = (bones.column[i] + bones.column[j]) / 2
                if is_pair and is_alike and bones.area_mm2[j] > best and _is_mirrored(axial, level, centre):
                    best, middle[level] = bones.area_mm2[j], centre
    return _one_run(axial, middle)


def _is_mirrored(axial: Axial, level: int | np.integer, centre: float) -> bool:
    """Whether the bones of a level lie on both sides of a column alike."""
    bone = axial.bone[level]
    row, column = np.nonzero(bone)
    image = np.rint(2 * centre - column).astype(np.int64)
    steps = axial.columns(15.0)
    near = dilate(bone[None], "square", steps=steps)[0]
    seen = (image >= 0) & (image < bone.shape[1])
    return float((seen & near[row, np.clip(image, 0, bone.shape[1] - 1)]).mean()) >= MIN_MIRRORED


def _one_run(axial: Axial, middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """The longest run of levels with a ring, gaps filled, down to the lower edge of the symphysis."""
    known = ndimage.binary_closing(np.pad(np.isfinite(middle), 9), iterations=axial.levels(12.0))[9:-9]
    labels, count = ndimage.label(known)
    if not count:
        return middle
    longest = int(np.bincount(labels)[1:].argmax()) + 1
    run = labels == longest
    if run.sum() < axial.levels(12.0):
        return np.full(middle.size, np.nan)
    at = np.arange(middle.size)
    seen = run & np.isfinite(middle)
    smooth = ndimage.median_filter(np.interp(at, at[seen], middle[seen]), axial.levels(30.0), mode="nearest")
    half, bridge = axial.columns(15.0), np.zeros(middle.size, dtype=np.bool_)
    for level in np.flatnonzero(run):
        column = int(smooth[level])
        rows = np.flatnonzero(axial.body[level, :, column])
        front = int(rows.mean()) if rows.size else 0
        bridge[level] = axial.bone[level, :front, max(0, column - half) : column + half + 1].any()
    if bridge.any():
        run &= at >= int(np.argmax(bridge))
    top = int(np.flatnonzero(run)[-1])
    for above in range(top + 1, min(middle.size, top + axial.levels(CREST_MM))):
        at_side = axial.bone[above] & axial.body[above]
        aside = (np.arange(at_side.shape[1]) - smooth[top]) * axial.spacing_mm[2]
        wings = [at_side[:, sign * aside > RING_WIDTH_MM[0] / 2].sum() * axial.pixel_mm2 for sign in (-1, 1)]
        if min(wings) < MIN_WING_MM2:
            break
        run[above] = True
    return np.where(run, smooth, np.nan)


def _abdominal_levels(
    axial: Axial,
    main: NDArray[np.bool_],
    has_lung: NDArray[np.bool_],
    is_pelvis: NDArray[np.bool_],
    is_head: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Levels between chest and pelvis; without either those of a broad section with bowel gas."""
    at = np.arange(main.shape[0])
    is_none = has_lung | is_pelvis | is_head
    if has_lung.any():
        low = int(np.argmax(has_lung))
        top, bottom = low, max(0, low - axial.levels(ABDOMEN_MM))
        if is_pelvis.any():
            bottom = min(top, main.shape[0] - int(np.argmax(is_pelvis[::-1])))
        return np.asarray((at < top) & (at >= bottom) & ~is_none)
    if is_pelvis.any():
        low = main.shape[0] - int(np.argmax(is_pelvis[::-1]))
        return np.asarray((at >= low) & (at < low + axial.levels(LOW_ABDOMEN_MM)) & ~is_none)
    across = along(main, 1)
    wide = across.sum(axis=1) * axial.spacing_mm[2]
    gas = open_planes((axial.hu < GAS_HU) & axial.body & main, "square")
    is_broad = wide >= BROAD_MM
    has_gas = (gas.sum(axis=(1, 2)) * axial.pixel_mm2 >= MIN_BOWEL_GAS_MM2) & is_broad
    has_spine = along(axial.bone, 1, 2)
    if is_head.any() or has_gas.sum() < axial.levels(12.0):
        return np.zeros(main.shape[0], dtype=np.bool_)
    return np.asarray(is_broad & has_spine)


def fill_cavities(axial: Axial, lungs: NDArray[np.bool_], trunk: Trunk) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cavities and cage on the turned grid."""
    cavity = np.zeros(axial.hu.shape, dtype=np.uint8)
    behind = _behind_spine(axial, trunk)
    chest = _chest(axial, lungs, trunk) & (~behind | lungs)
    wall = _wall(axial, trunk)
    inner = erode(wall, "disc", steps=max(1, round(WALL_MM / (2 * axial.spacing_mm[1]))), beyond=1)
    near = np.abs(np.arange(inner.shape[2]) - trunk.middle[:, None]) <= axial.columns(RECTUS_MM[0])
    filled = along(wall, 2)
    centre = (filled.argmax(axis=1) + inner.shape[1] - filled[:, ::-1].argmax(axis=1)) / 2
    front = np.arange(inner.shape[1]) < (centre - axial.rows(20.0))[:, None]
    steps = max(1, round(RECTUS_MM[1] / axial.spacing_mm[1]))
    inner |= erode(wall, "square", steps=steps, beyond=1) & near[:, None, :] & front[:, :, None]
    inner = _main(find_sections(inner, axial.pixel_mm2), len(inner))
    gas = (axial.hu < GAS_HU) & axial.body & trunk.main & ~trunk.is_head[:, None, None]
    inner |= gas
    is_low = _is_low_chest(lungs, chest)
    belly = inner & ~behind & (trunk.is_abdomen | is_low)[:, None, None]
    cavity[belly & axial.body] = Cavity.ABDOMEN
    pelvis = inner & ~behind & ~_front_muscle(axial, wall) & _within_ring(axial, trunk)
    cavity[pelvis & axial.body] = Cavity.PELVIS
    cavity[chest & ~is_low[:, None, None]] = Cavity.THORAX
    cavity[chest & is_low[:, None, None]] = Cavity.ABDOMEN
    # A lobe without air leaves a dent in the hull; the levels above and below it show the chest whole.
    dent = _closed_along(axial, cavity > 0) & (cavity == 0) & ~behind & trunk.has_lung[:, None, None]
    cavity[lungs | (dent & trunk.main)] = Cavity.THORAX
    cage = _cage(axial, cavity, trunk)
    cavity[_skull(axial, trunk)] = Cavity.SKULL
    cavity[find_airway(axial, lungs, trunk)] = Cavity.AIRWAY
    return cavity, cage & (cavity == Cavity.NONE)


def _wall(axial: Axial, trunk: Trunk) -> NDArray[np.bool_]:
    """What the outer surface of the muscles of the trunk encloses; skin and vessels of the fat are left out."""
    firm = (axial.hu > MUSCLE_HU) & erode(trunk.main, "square", steps=2, beyond=1)
    labels, _ = ndimage.label(firm, structure=IN_PLANE)
    keep = np.bincount(labels.ravel()) * axial.pixel_mm2 >= MIN_MUSCLE_MM2
    keep[0] = False
    return _closed_along(axial, _enclosed(keep[labels], "cross", CLOSING_BLOCKS) & trunk.main)


def _front_muscle(axial: Axial, wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What lies between the front of the muscles and the first fat or gas behind it."""
    muscle = wall & np.logical_and.accumulate(~wall | (axial.hu > FAT_HU), axis=1)
    return np.asarray(muscle & (muscle.sum(axis=1, keepdims=True) <= axial.rows(GROIN_MM)))


def _behind_spine(axial: Axial, trunk: Trunk) -> NDArray[np.bool_]:
    """Behind the vertebral bodies, as far as the muscles of the back reach to the sides."""
    rows, columns = np.arange(axial.hu.shape[1]), np.arange(axial.hu.shape[2])
    aside = np.abs(columns - trunk.middle[:, None]) * axial.spacing_mm[2]
    lower = np.maximum(0.0, aside - PARASPINAL_MM[0]) * PARASPINAL_SLOPE / axial.spacing_mm[1]
    near = aside <= PARASPINAL_MM[1]
    return near[:, None, :] & (rows[:, None] > (trunk.spine_back[:, None] + lower)[:, None, :])


def _chest(axial: Axial, lungs: NDArray[np.bool_], trunk: Trunk) -> NDArray[np.bool_]:
    """Lungs and what lies between them, or between one lung and the cut side of the picture."""
    chest = np.zeros_like(lungs)
    columns = lungs.shape[2]
    # Pieces of lung between effusion and tumour count too, and so does gas of the bowel below the domes.
    light = lungs | (open_planes(axial.hu < LUNG_HU[1], "square") & axial.body & trunk.main)
    for level in np.flatnonzero(trunk.has_lung):
        points = np.argwhere(light[level])
        area = _hull(light[level])
        middle = trunk.middle[level]
        right, left = (points[:, 1] < middle).mean(), (points[:, 1] > middle).mean()
        if np.isfinite(middle) and trunk.is_cut[level] and min(right, left) < ONE_SIDED:
            # A single lung: its mediastinal side is that of the spine; to the picture's edge it is all chest.
            rows = np.flatnonzero(along(area, 1))
            inner = (np.arange(columns) - points[:, 1].mean()) * (1 if right > left else -1) > 0
            area[rows[0] : rows[-1] + 1] |= inner & (axial.body[level, rows[0] : rows[-1] + 1])
        chest[level] = area
    return chest


def _hull(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Blocks of a level whose centres lie in the convex hull of some."""
    area, rows = plane.copy(), np.flatnonzero(along(plane, 1))
    first, last = plane[rows].argmax(axis=1), plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    try:
        lines = ConvexHull(np.concatenate([np.stack([rows, first], 1), np.stack([rows, last], 1)])).equations
    except QhullError:
        return area
    row = np.arange(rows[0], rows[-1] + 1)[:, None]
    column = np.arange(first.min(), last.max() + 1)[None]
    inside = np.ones((row.size, column.size), dtype=np.bool_)
    for a, b, c in lines.astype(np.float32):
        inside &= b * column <= 1e-3 - c - a * row
    area[rows[0] : rows[-1] + 1, first.min() : last.max() + 1] |= inside
    return area


def _is_low_chest(lungs: NDArray[np.bool_], chest: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Levels below the domes, where most of what the lungs surround is abdomen."""
    whole = chest.sum(axis=(1, 2))
    share = lungs.sum(axis=(1, 2)) / np.maximum(whole, 1)
    is_low: NDArray[np.bool_] = (whole > 0) & (share < LOW_LUNG_SHARE)
    high = np.flatnonzero((whole > 0) & ~is_low)
    # Above the first level full of lung nothing is abdomen again: apices are narrow beside a goitre.
    if high.size:
        is_low[high[0] :] = False
    return is_low


def _within_ring(axial: Axial, trunk: Trunk) -> NDArray[np.bool_]:
    """Between the inner sides of both hip bones and in front of the sacrum."""
    within = np.zeros_like(axial.bone)
    rows, columns = np.arange(within.shape[1]), np.arange(within.shape[2])
    margin, half = axial.columns(ILIACUS_MM), axial.columns(15.0)
    sacrum = np.nan
    for level in np.flatnonzero(trunk.is_pelvis)[::-1]:
        bone = axial.bone[level] & trunk.main[level]
        at = int(trunk.middle[level])
        aside_mm = np.abs(columns - at) * axial.spacing_mm[2]
        # Between the crests lie a vertebra and its processes, which bound nothing.
        gap = (aside_mm >= RING_WIDTH_MM[0] / 2) & (aside_mm < FLARE_MM)
        start = half if bone[:, gap].any() else axial.columns(RING_WIDTH_MM[0] / 2)
        limits = []
        for side in (bone[:, : max(1, at - start)][:, ::-1], bone[:, at + start :]):
            has = along(side, 1)
            if not has.any():
                break
            edge = np.interp(rows, rows[has], side.argmax(axis=1)[has].astype(float))
            if start + edge[0] >= axial.columns(FLARE_MM):
                edge[: np.argmax(has)] = np.inf
            limits.append(edge)
        if len(limits) < 2:
            continue
        middle_bone = np.flatnonzero(along(bone[:, max(0, at - half // 2) : at + half // 2 + 1], 1))
        pair = rows[along(bone, 1)].mean()
        behind = middle_bone[middle_bone > pair]
        if behind.size:
            sacrum = float(behind[0])
        if not np.isfinite(sacrum):
            sacrum = float(rows[along(bone, 1)].max())
        low, high = at - start - limits[0] + margin, at + start + limits[1] - margin
        within[level] = (columns > low[:, None]) & (columns < high[:, None]) & (rows < sacrum)[:, None]
    return within


def _cage(axial: Axial, cavity: NDArray[np.uint8], trunk: Trunk) -> NDArray[np.bool_]:
    """Band of ribs, costal cartilages and sternum around chest and upper abdomen."""
    inside = (cavity == Cavity.THORAX) | (cavity == Cavity.ABDOMEN)
    lung = np.flatnonzero(trunk.has_lung)
    is_ribbed = trunk.has_lung.copy()
    if lung.size:
        is_ribbed[max(0, lung[0] - axial.levels(COSTAL_MARGIN_MM)) : lung[0]] = True
    else:
        is_ribbed |= trunk.is_abdomen
    is_ribbed &= ~trunk.is_pelvis
    steps = max(1, round(CAGE_MM / (2 * axial.spacing_mm[1])))
    band = dilate(inside & is_ribbed[:, None, None], "disc", steps=steps) & ~inside
    band &= axial.body & trunk.main & ~(_behind_spine(axial, trunk) & trunk.is_abdomen[:, None, None])
    if lung.size:
        return np.asarray(band)
    # Without lungs only bones in the wall tell that ribs are there.
    ribs = (band & (axial.hu > RIB_HU)).sum(axis=(1, 2)) * axial.pixel_mm2
    return np.asarray(band & (ribs >= MIN_RIB_MM2)[:, None, None])


def _skull(axial: Axial, trunk: Trunk) -> NDArray[np.bool_]:
    """Cranial cavity, orbits, nose and sinuses with their walls."""
    skull = trunk.cranium.copy()
    if not skull.any():
        return skull
    low = int(np.argmax(along(skull, 1, 2)))
    face = np.zeros(skull.shape[0], dtype=np.bool_)
    face[max(0, low - axial.levels(FACE_MM)) :] = True
    air = (axial.hu < GAS_HU) & axial.body & face[:, None, None]
    steps = max(1, round(SINUS_MM / axial.spacing_mm[1]))
    skull |= dilate(air & dilate(axial.bone, "square", steps=2), "square", axes=ALL_AXES, steps=steps) & axial.body
    skull |= dilate(skull, "square", steps=3) & axial.bone
    return skull & face[:, None, None]


def find_airway(axial: Axial, lungs: NDArray[np.bool_], trunk: Trunk) -> NDArray[np.bool_]:
    """Larynx and trachea: a gas-filled tube near the midline above or between the lungs, or in a slim neck."""
    area_mm2 = trunk.main.sum(axis=(1, 2)) * axial.pixel_mm2
    is_slim = (area_mm2 <= MAX_NECK_MM2) & ~trunk.is_cut & ~trunk.is_abdomen & ~trunk.is_pelvis
    may_hold = (trunk.has_lung | trunk.is_neck | is_slim) & ~along(trunk.cranium, 1, 2)
    gas = (axial.hu < GAS_HU) & axial.body & trunk.main & may_hold[:, None, None]
    gas &= ~(lungs & trunk.has_lung[:, None, None])
    parts = find_sections(gas, axial.pixel_mm2)
    middle = np.where(np.isfinite(trunk.middle), trunk.middle, _centres(trunk.main, np.zeros_like(trunk.is_cut)))
    keep = np.zeros(parts.area_mm2.size + 1, dtype=np.bool_)
    near = np.abs(parts.column - middle[parts.level]) <= axial.columns(AIRWAY_MIDLINE_MM)
    keep[1:] = (parts.area_mm2 >= AIRWAY_MM2[0] / 2) & (parts.area_mm2 <= AIRWAY_MM2[1]) & near
    tube = keep[parts.labels]
    labels, count = ndimage.label(tube, structure=np.ones((3, 3, 3)))
    long = np.zeros(count + 1, dtype=np.bool_)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        long[i] = (box[0].stop - box[0].start) * axial.spacing_mm[0] >= MIN_AIRWAY_MM
    tube = np.asarray(long[labels])
    steps = max(1, round(AIRWAY_REACH_MM / axial.spacing_mm[1]))
    wall = dilate(tube, "disc", steps=max(1, steps // 2)) & axial.body
    # Skin and the fat beneath it are not larynx.
    return wall | (_larynx(axial, tube, ~trunk.has_lung & may_hold) & erode(trunk.main, "disc", beyond=1))


def _larynx(axial: Axial, tube: NDArray[np.bool_], is_neck: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Box around the airway of the neck that holds plates of the larynx, hyoid and thyroid gland."""
    box = np.zeros_like(tube)
    has_tube = np.flatnonzero(along(tube, 1, 2) & is_neck)
    if not has_tube.size:
        has_tube = np.flatnonzero(along(tube, 1, 2))[-1:]
    if not has_tube.size:
        return box
    centres = np.array([np.argwhere(tube[level]).mean(axis=0) for level in has_tube])
    rows, columns = np.arange(tube.shape[1])[:, None], np.arange(tube.shape[2])
    top = has_tube[-1] + axial.levels(LARYNX_MM[0])
    for level in np.flatnonzero(is_neck[: top + 1]):
        # The glottis closes the airway: above it the larynx goes on over the last gas seen.
        row, column = centres[np.abs(has_tube - level).argmin()]
        ahead, behind, aside = (axial.rows(LARYNX_MM[1]), axial.rows(LARYNX_MM[2]), axial.columns(LARYNX_MM[3]))
        box[level] = (rows >= row - ahead) & (rows <= row + behind) & (np.abs(columns - column) <= aside)
    return box
