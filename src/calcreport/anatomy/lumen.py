"""Enhanced blood: homogeneous sections without a dense rim that follow each other through the scan.

The edge of a vessel or a heart falls off to what lies around it; the edge of a bone or of mineral is as dense as its
inside or denser, and trabeculae vary more than noise does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Hu, Labels, Mask
from calcreport.anatomy.cavities import RIB_HU
from calcreport.anatomy.coarse import Grid
from calcreport.anatomy.labelling import label, label_planes
from calcreport.anatomy.morphology import ALL_AXES, IN_PLANE, chosen, dilate, erode, join_neighbours
from calcreport.anatomy.trunk import GAS_HU

UNENHANCED_HU: Final = 110  # blood without contrast has at most 70 HU, costal cartilage seldom more than 110
MAX_LUMEN_HU: Final = 1_000  # blood with contrast stays below, at 70 kVp too; an injected vein and metal do not
FLAT_DEVIATIONS: Final = 4.0  # neighbouring blocks of a lumen differ by so much noise, the span of five values ...
FLAT_HU: Final = 20.0  # ... and by this slow change
MAX_SPREAD_HU: Final = 3.0  # mixing of contrast; trabeculae, cartilage and contrast in bowel vary by 20 HU and more
MAX_SPREAD: Final = 0.85  # standard deviation over a lumen's section beside it, in deviations of the noise
SECTION_MM2: Final = (20.0, 1_000.0)  # flat part of an artery of 8 mm to an aorta of 36 mm; a bladder is broader
SMALL_MM2: Final = (9.0, 160.0)  # section above `UNENHANCED_HU` of a vessel of 4-10 mm, which has no flat inside
MAX_OBLIQUE: Final = 2.0  # longest side of it over the diameter of a disc of its area: an oblique vessel is an ellipse
SMALL_CHANGE: Final = 0.06  # its peak stays the same along the vessel but for noise and this share
SHARPNESS: Final = 1.35  # its voxels over its block means at most; calcified walls and slim bones have 2 to 3
RIM_MM: Final = 4.5  # around a section this far ...
DENSER_HU: Final = 50.0  # ... blocks denser than its middle by this and noise are bone ...
MAX_DENSER: Final = 0.35  # ... which lies on one side of a vessel at most (an aorta on the spine) ...
MIN_FAINTER: Final = 0.25  # ... while its other sides fall off
MIN_FALL: Final = 0.4
"""The outermost blocks of a section and those next to it are fainter than its inside, together by so many noise
deviations: blood mixes with what is around it (1.2 and more on the mean), a vertebra has its cortex (-0.4) ..."""
MAX_SHELL: Final = 0.25  # ... or both are as dense as the inside but for this, where a sharp edge mixes nothing ...
MIN_INNER: Final = 12  # ... if it has so many blocks: fewer give no mean, and are no section of a vertebra
MIN_TUBE_MM: Final = 50.0  # vessels are followed this far; loops of bowel turn away sooner ...
MIN_TUBE_SHARE: Final = 0.8  # ... or through this much of a shorter scan
MIN_SLIMNESS: Final = 2.0  # length over breadth of a vessel that ends inside the scan; a full bladder has less
MIN_ROUND: Final = 0.5  # less a block all round, a section keeps this share of what a disc keeps; a blade nothing
MIN_TRUNK_MM2: Final = 30_000.0  # section of a trunk; the sole of a foot of 28 x 11 cm is smaller
MIN_GAS_MM3: Final = 1_000.0  # gas at the level of a tube; without it there is no bowel, as in legs side by side
GREAT_VESSELS_MM: Final = 52.0  # aorta and cava lie this close to the spine's middle (31 mm), bowel 60 mm aside ...
MIN_DEPTH: Final = 0.4  # ... or before this share of the depth of the trunk (0.34 at most; aortas behind it, 0.46)
PAIR_MM: Final = (20.0, 80.0)  # vessels of both sides mirror each other so well, nearer to the middle than the colon
MIN_LUNG_SHARE: Final = 0.2  # Levels of the heart show gas of this share of the trunk's section; bowel has less ...
MAX_CHAMBER_RATIO: Final = 2.0  # ... and there blood is up to so much brighter than in vessels: contrast that arrives
MIN_CHAMBER_MM3: Final = 5_000.0  # volume of blood apart from the vessels that run through the scan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lumen:
    """Enhanced blood on the grid."""

    mask: Mask
    """Grid shape; vessels and heart, their blurred edge included."""
    hu: float | None
    """95th percentile of the inside, HU; ``None`` where no enhanced vessel runs through the scan."""
    pools: Mask
    """Grid shape; tubes as even that lie where bowel does."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """Where the grid shows the body, and `main`, the trunk or the largest limb without arms beside it.

    The patient's front lies at the first row (-1), the last (1) or neither (0).
    """

    body: Mask
    main: Mask
    front: int


def find_lumen(grid: Grid, outline: Outline, noise_hu: float) -> Lumen:
    """Enhanced heart and vessels broad enough to have an even inside; noise in HU."""
    hu = grid.hu
    nothing = np.zeros(hu.shape, dtype=np.bool_)
    flat = _flat(hu, noise_hu) & outline.body
    labels, count = label_planes(flat)
    sections = _describe(grid, labels, count, noise_hu)
    is_tube = sections.falls_off & sections.is_even & (sections.mean_hu <= MAX_LUMEN_HU)
    is_tube &= (sections.area_mm2 >= SECTION_MM2[0]) & (sections.area_mm2 <= SECTION_MM2[1]) & sections.is_round
    # Neighbouring blocks of blood differ by this at most.
    reach = FLAT_DEVIATIONS * noise_hu + FLAT_HU
    tubes = _long_parts(is_tube[labels], grid) if is_tube.any() else nothing
    others, tubes = tubes, _proven(tubes, grid, outline, reach)
    pools = dilate(others & ~tubes, "disc", steps=grid.steps(RIM_MM / 2), within=hu > UNENHANCED_HU)
    if not tubes.any():
        return Lumen(mask=nothing, hu=None, pools=pools)
    # A wall full of plaques hides one section or two between others.
    tubes |= dilate(tubes, "cross", axes=(0,)) & flat
    blood = hu[tubes]
    low, high = (float(np.percentile(blood, p)) for p in (5, 95))
    # Chambers and branches: as bright as the vessels or brighter, however broad or short.
    is_chamber = sections.falls_off & (sections.is_even | (sections.area_mm2 > SECTION_MM2[1]))
    core = tubes | (is_chamber & (sections.mean_hu >= low - reach))[labels] & flat
    gas, trunk = (np.count_nonzero(of, axis=(1, 2)) for of in ((hu < GAS_HU) & outline.body, outline.main))
    # Loops of bowel are chambers as well, seldom as bright as blood: where no heart is, chambers hardly are brighter.
    most_hu = np.where(gas >= MIN_LUNG_SHARE * trunk, MAX_CHAMBER_RATIO * high, high + FLAT_HU)
    core = _joined(core & ~pools & (sections.mean_hu[labels] <= most_hu[:, None, None]), tubes, grid)
    top = float(np.percentile(hu[core], 95))
    mask = dilate(core, "disc", steps=grid.steps(RIM_MM / 2), within=(hu > UNENHANCED_HU // 2) & (hu <= top + reach))
    return Lumen(mask=mask, hu=top, pools=pools)


def _flat(hu: Hu, noise_hu: float) -> Mask:
    """Blocks above unenhanced blood that differ from their four neighbours no more than noise makes them."""
    high, low = (join_neighbours(hu, "cross", IN_PLANE, join) for join in (np.maximum, np.minimum))
    limit = round(FLAT_DEVIATIONS * noise_hu + FLAT_HU)
    return np.asarray((low > UNENHANCED_HU) & (high - low <= limit))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sections:
    """Flat sections, one value a label (0: none)."""

    area_mm2: Floats
    mean_hu: Floats
    is_even: Mask
    is_round: Mask
    falls_off: Mask


def _describe(grid: Grid, labels: Labels, count: int, noise_hu: float) -> _Sections:
    inside = labels > 0
    number, value = labels[inside], grid.hu[inside].astype(np.float64)
    size = np.maximum(np.bincount(number, minlength=count + 1), 1).astype(np.float64)
    mean = np.bincount(number, value, count + 1) / size
    spread = np.sqrt(np.maximum(np.bincount(number, value**2, count + 1) / size - mean**2, 0))
    inner = erode(inside, "cross")
    kept = np.bincount(labels[inner], minlength=count + 1)
    deep = np.where(kept > 0, np.bincount(labels[inner], grid.hu[inner], count + 1) / np.maximum(kept, 1), mean)
    edge = np.where(size > kept, (mean * size - deep * kept) / np.maximum(size - kept, 1), mean)
    # The nearest blocks around mix lumen and edge: they are skipped.
    near = far = join_neighbours(labels, "cross", IN_PLANE, np.maximum)
    beside = (near > 0) & ~inside
    blocks = np.maximum(np.bincount(near[beside], minlength=count + 1), 1)
    next_to = np.bincount(near[beside], grid.hu[beside], count + 1) / blocks
    for _ in range(grid.steps(RIM_MM) - 1):
        far = join_neighbours(far, "cross", IN_PLANE, np.maximum)
    ring = (far > 0) & (near == 0)
    owner, around = far[ring], grid.hu[ring]
    rim = np.maximum(np.bincount(owner, minlength=count + 1), 1)
    beyond = around - mean[owner]
    denser = np.bincount(owner[beyond > DENSER_HU + 2 * noise_hu], minlength=count + 1) / rim
    fainter = np.bincount(owner[beyond < -FLAT_HU - 2 * noise_hu], minlength=count + 1) / rim
    has_no_shell = np.maximum(edge, next_to) <= deep + MAX_SHELL * noise_hu
    has_no_shell |= (edge + next_to <= 2 * deep - MIN_FALL * noise_hu) | (kept < MIN_INNER)
    return _Sections(
        area_mm2=size * grid.spacing_mm[1] * grid.spacing_mm[2], mean_hu=mean,
        is_even=spread <= MAX_SPREAD * noise_hu + MAX_SPREAD_HU,
        is_round=kept >= MIN_ROUND * np.pi * np.maximum(np.sqrt(size / np.pi) - 1, 0) ** 2,
        falls_off=(denser <= MAX_DENSER) & (fainter >= MIN_FAINTER) & has_no_shell & (np.arange(count + 1) > 0),
    )  # fmt: skip


def find_small_vessels(
    grid: Grid, fine_hu: Hu, outline: Outline, bone: Mask, *, noise_hu: float, fine_noise_hu: float
) -> Lumen:
    """Enhanced vessels too narrow for an even inside, where no broader ones are found.

    `fine_hu` is the volume of the grid, HU; `bone` has the grid's shape: what touches bone is no vessel;
    the noise is that of soft tissue in the grid and in the volume, HU.
    """
    found = np.zeros(grid.hu.shape, dtype=np.bool_)
    labels, count = label_planes((grid.hu > UNENHANCED_HU) & outline.body)
    inside = labels > 0
    peak = np.zeros(count + 1, dtype=np.int16)
    np.maximum.at(peak, labels[inside], grid.hu[inside])
    area = np.bincount(labels[inside], minlength=count + 1) * grid.spacing_mm[1] * grid.spacing_mm[2]
    apart = (area >= SMALL_MM2[0]) & (area <= SMALL_MM2[1]) & (peak <= MAX_LUMEN_HU)
    apart[labels[dilate(bone, "square")]] = False
    # A calcified sheet of a fascia is as even along the scan.
    sides = [(b[1].stop - b[1].start, b[2].stop - b[2].start) for b in ndimage.find_objects(labels)]
    longest_mm = (np.array([(0, 0), *sides]) * np.array(grid.spacing_mm[1:])).max(axis=1)
    apart &= longest_mm <= MAX_OBLIQUE * 2 * np.sqrt(area / np.pi)
    if not apart.any():
        return Lumen(mask=found, hu=None, pools=found)
    chains, _ = label(_long_parts(apart[labels], grid, is_bridged=False))
    for n, box in enumerate(ndimage.find_objects(chains), start=1):
        own = chains[box] == n
        peaks = np.where(own, grid.hu[box], 0).max(axis=(1, 2))
        mean = float(peaks.mean())
        if float(np.std(peaks)) > MAX_SPREAD * noise_hu + SMALL_CHANGE * mean:
            continue
        if _sharpest(grid, fine_hu, own, box) <= SHARPNESS * mean + 3 * fine_noise_hu:
            found[box] |= own & (grid.hu[box] >= 0.9 * peaks[:, None, None])
    if not (found := _proven(found, grid, outline, FLAT_DEVIATIONS * noise_hu + FLAT_HU)).any():
        return Lumen(mask=found, hu=None, pools=found)
    hu = float(np.percentile(grid.hu[found], 95))
    return Lumen(mask=dilate(found, "square", within=grid.hu > UNENHANCED_HU), hu=hu, pools=found)


def _sharpest(grid: Grid, fine_hu: Hu, own: Mask, box: tuple[slice, ...]) -> float:
    """Greatest HU of the voxels of a chain's section, the middle one of all its slices."""
    greatest = []
    for plane, mask in enumerate(own, start=box[0].start):
        rows, columns = np.nonzero(mask)
        top, left = ((box[axis].start * grid.step[axis] + grid.first[axis]) for axis in (1, 2))
        high, wide = grid.step[1:]
        lines = slice(top + int(rows.min()) * high, top + (int(rows.max()) + 1) * high)
        across = slice(left + int(columns.min()) * wide, left + (int(columns.max()) + 1) * wide)
        greatest.append(int(fine_hu[plane * grid.step[0], lines, across].max(initial=0)))
    return float(np.median(greatest))


def _proven(tubes: Mask, grid: Grid, outline: Outline, reach_hu: float) -> Mask:
    """Tubes that lie where vessels do, and those hardly brighter: bowel with contrast is a tube as well.

    In a trunk with gas a tube near the spine's middle, not in front, proves enhancement, or two that mirror each other;
    elsewhere there is no bowel, or its place is not known.
    """
    labels, count = label(dilate(tubes, "cross", axes=(0,)))
    places = [_place((labels == n) & tubes, grid, outline) for n in range(1, count + 1)]
    aside_mm, row_mm, depth, mean_hu = np.array(places).reshape(-1, 4).T
    found = np.isnan(aside_mm) | ((np.abs(aside_mm) <= GREAT_VESSELS_MM) & (depth >= MIN_DEPTH))
    if not found.any():
        differ_mm = np.maximum(np.abs(aside_mm + aside_mm[:, None]), np.abs(row_mm - row_mm[:, None]))
        is_alike = (differ_mm <= PAIR_MM[0]) & (np.abs(mean_hu - mean_hu[:, None]) <= reach_hu)
        found = (is_alike & ~np.eye(count, dtype=np.bool_)).any(axis=1) & (np.abs(aside_mm) <= PAIR_MM[1])
    if found.any():
        found |= (mean_hu <= mean_hu[found].max() + FLAT_HU) & (mean_hu >= mean_hu[found].min() - reach_hu)
    return chosen(labels, np.append(False, found)) & tubes


def _place(part: Mask, grid: Grid, outline: Outline) -> tuple[float, float, float, float]:
    """Place of a tube: mm aside of the spine of a trunk, row in mm, share of the depth from the front; mean HU.

    The first is not a number where no trunk with gas and with bone behind the tube is seen.
    """
    index = np.argwhere(part)
    main, planes = outline.main[int(np.median(index[:, 0]))], slice(index[0, 0], index[-1, 0] + 1)
    held = np.flatnonzero(main.any(axis=1))
    top, bottom = (held[0], held[-1]) if held.size else (0, 0)
    row, column = index[:, 1:].mean(axis=0)
    behind = (np.arange(main.shape[0]) - row)[:, None] * -outline.front >= 0
    # Arms beside a trunk, and a picture that cuts one side of it, move the middle of its outline, not its spine.
    dense = (grid.hu[planes] > RIB_HU) & outline.main[planes] & ~dilate(part[planes], "square")
    bones = np.nonzero(dense & behind)[2]
    gas_mm3 = np.count_nonzero((grid.hu[planes] < GAS_HU) & outline.body[planes]) * np.prod(grid.spacing_mm)
    is_trunk = np.count_nonzero(main) * grid.spacing_mm[1] * grid.spacing_mm[2] >= MIN_TRUNK_MM2
    is_known = is_trunk and gas_mm3 >= MIN_GAS_MM3 and bones.size > 0
    aside_mm = (column - float(np.median(bones))) * grid.spacing_mm[2] if is_known else float("nan")
    share = (row - top) / max(bottom - top, 1)
    depth = {-1: share, 0: 1.0, 1: 1 - share}[outline.front]
    return aside_mm, row * grid.spacing_mm[1], depth, float(grid.hu[part].mean())


def _joined(core: Mask, tubes: Mask, grid: Grid) -> Mask:
    """The vessels, and of the rest what has a chamber's size or goes on from them, slice by slice or along the scan."""
    labels, count = label(core & ~tubes)
    keep = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(grid.spacing_mm)) >= MIN_CHAMBER_MM3
    keep[labels[dilate(tubes, "cross", axes=ALL_AXES)]] = True
    # An injected vein too dense for the core has no label, like all that is around the vessels.
    return chosen(labels, keep) | (tubes & core)


def _long_parts(mask: Mask, grid: Grid, *, is_bridged: bool = True) -> Mask:
    """Parts that run far enough along the scan, over gaps of two slices where bridged."""
    labels, count = label(dilate(mask, "cross", axes=(0,)) if is_bridged else mask)
    is_long = np.zeros(count + 1, dtype=np.bool_)
    needed = min(MIN_TUBE_MM, MIN_TUBE_SHARE * len(mask) * grid.spacing_mm[0])
    for n, box in enumerate(ndimage.find_objects(labels), start=1):
        length_mm = (box[0].stop - box[0].start) * grid.spacing_mm[0]
        is_long[n] = length_mm >= needed
        if is_long[n] and (box[0].start > 0 or box[0].stop < len(mask)):
            blocks = ((labels[box] == n) & mask[box]).sum(axis=(1, 2))
            broad_mm = 2 * np.sqrt(blocks.max() * grid.spacing_mm[1] * grid.spacing_mm[2] / np.pi)
            is_long[n] = np.count_nonzero(blocks) * grid.spacing_mm[0] >= MIN_SLIMNESS * broad_mm
    return chosen(labels, is_long) & mask
