"""Cross-sections of a lesion: shell and core, rings and tubes, fluid levels, thickness of the mineral."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Hu, Ints, Mask, Spacing
from calcreport.anatomy.labelling import label

SHELL_DEPTH: Final = 0.35  # Outer part of a cross-section, as a share of its greatest depth, that counts as shell
CORE_DEPTH: Final = 0.6  # Inner part that counts as core
MIN_SECTION_MM: Final = 6.0  # A cross-section narrower than this has no core to speak of
NORMAL_P90: Final = 1.282  # 90th percentile of a normal distribution, in deviations
BROAD_SHARE: Final = 0.5
"""Sections smaller than this share of the broadest graze the caps, where shell and core look alike."""
MIDDLE_SHARE: Final = 0.75
"""The content of a shell is read in sections at least this broad: nearer the caps, thick slices mix the rim in."""
SECTIONS: Final = 14  # Cross-sections whose shell and core are looked at
LEVEL_SECTIONS: Final = 30  # cross-sections in which levels are looked for ...
WALL_SECTIONS: Final = 40  # ... and the thickness of the mineral is taken
LEVEL_WIDTH_MM: Final = 7.0  # narrower deposits show no level ...
LEVEL_HEIGHT_MM: Final = 2.0  # ... nor flatter ones
MIN_FLAT: Final = 0.6  # share of the width that is straight in a level ...
MIN_RUN_SHARE: Final = 0.3  # ... in stretches of this share: levels of several loculi may stand side by side
TUBE_DEPTH_MM: Final = (1.0, 6.0)  # radius of a cut vessel ...
TUBE_HOLLOW: Final = 0.15  # ... share of it that is free of mineral ...
TUBE_PARTS: Final = 4  # ... and pieces of its wall
RING_PIXELS: Final = (8, 400)  # Cross-sections of foci among which rings are looked for
DIRECTIONS: Final = 36  # in which the shell is looked at, from the middle of a section
BANDS: Final = 4  # Bands of equal depth, from the outline of a section to its middle, whose mean densities are compared
HEART_DEPTH: Final = 0.8  # innermost part of a cross-section, as a share of its greatest depth
HOLE_SHARE: Final = 0.12  # a hole is darker than the mineral around it by this share of its contrast ...
HOLE_NOISES: Final = 3.0  # ... and by as many deviations of the noise
FEW_VOXELS: Final = 5  # fewer have no middle
AXIS_MM2: Final = 0.5  # variance of the place within a voxel
MAX_PEAK_VOXELS: Final = 500_000  # Larger boxes are thinned out in the plane before peaks are looked for
_SQUARE: Final = np.ones((3, 3), dtype=bool)  # structure of the eight neighbours


@dataclass(frozen=True, kw_only=True)
class Sections:
    """What the cross-sections of a lesion show; ``None`` where it cannot be seen."""

    shell_share: float | None = None
    """Share of the shell that is mineral."""
    coverage: float | None = None
    worst_coverage: float | None = None
    """Share of directions from the middle in which the shell is mineral: on average, and in the broad section that
    shows the largest gap."""
    core_hu: float | None = None
    """Median of the core."""
    heart_hu: float | None = None
    """Mean of the innermost part of the core, in the section where it is darkest."""
    core_tail_hu: float | None = None
    """90th percentile of the core over its median, less what noise alone would give: trabeculae stand out here."""
    hole_count: float = 0.0
    hole_mm: float = 0.0
    """Darker places that denser mineral encloses, their mean number in a section, and the largest's diameter."""
    tube_share: float | None = None
    """Share of sections that show a ring or paired walls of vessel size."""
    section_fill: float | None = None
    """Share of the outlines, without bays, that is mineral."""
    centre_level: float | None = None
    middle_level: float | None = None
    """Density above the tissue around, in the innermost and in the second of four bands of depth, over that of the
    densest band: a rim or ring has a low centre, also where it is too blurred to be free of mineral."""


def read_sections(hu: Hu, inside: Mask, spacing: Spacing, noise_hu: float, near_hu: float) -> Sections:
    """Shell and core of the cross-sections, weighted by area; HU; `near_hu` is the median of the tissue around."""
    chosen = np.flatnonzero(inside.any(axis=(1, 2)))
    chosen = chosen[np.unique(np.linspace(0, chosen.size - 1, min(SECTIONS, chosen.size)).round().astype(int))]
    hulls = {int(i): hull for i in chosen if (hull := section_hull(inside[i])) is not None}
    broadest = max((int(hull.sum()) for hull in hulls.values()), default=0)
    tubes, shells = 0, np.zeros(2)
    covered: list[tuple[float, int]] = []
    cores: list[tuple[int, Hu]] = []
    bands, hearts = [], []
    least_hu = max(HOLE_NOISES * noise_hu, HOLE_SHARE * (float(np.percentile(hu[inside], 98)) - near_hu))
    holes = [_hole_sizes(np.where(hull, hu[i], hu[i].min()), least_hu) for i, hull in hulls.items()]
    filled = sum(int(inside[i].sum()) for i in hulls) / max(sum(int(h.sum()) for h in hulls.values()), 1)
    for i, hull in hulls.items():
        plane = inside[i]
        depth = ndimage.distance_transform_edt(np.pad(hull, 1), sampling=spacing[1:])[1:-1, 1:-1]
        deepest = float(depth.max())
        tubes += _is_tube(plane, hull, deepest)
        if 2 * deepest < MIN_SECTION_MM or int(hull.sum()) < BROAD_SHARE * broadest:
            continue
        shell, core = hull & (depth <= max(SHELL_DEPTH * deepest, 1.5)), hull & (depth >= CORE_DEPTH * deepest)
        shells += [(plane & shell).sum(), shell.sum()]
        covered.append((_coverage(plane, shell, hull), int(hull.sum())))
        cores.append((int(hull.sum()), hu[i][core]))
        hearts.append(float(hu[i][depth >= HEART_DEPTH * deepest].mean()))
        band = np.minimum(depth[hull] / deepest * BANDS, BANDS - 1).astype(int)
        bands.append((np.bincount(band, hu[i][hull], BANDS), np.bincount(band, minlength=BANDS)))
    pixels = max((size for sizes in holes for size in sizes), default=0)
    in_all = Sections(
        tube_share=tubes / len(hulls) if hulls else None, section_fill=filled if hulls else None,
        hole_count=sum(map(len, holes)) / max(len(hulls), 1),
        hole_mm=float(2 * np.sqrt(pixels * spacing[1] * spacing[2] / np.pi)),
    )  # fmt: skip
    if not covered:
        return in_all
    sums, counts = np.sum(bands, axis=0)
    levels = sums / np.maximum(counts, 1) - near_hu
    least = MIDDLE_SHARE * max(area for area, _ in cores)
    middle, top = np.percentile(np.concatenate([c for area, c in cores if area >= least]), (50, 90))
    return replace(
        in_all,
        shell_share=float(shells[0] / max(shells[1], 1)),
        coverage=float(np.average([c for c, _ in covered], weights=[w for _, w in covered])),
        worst_coverage=min(c for c, _ in covered),
        core_hu=float(middle),
        core_tail_hu=float(top - middle - NORMAL_P90 * noise_hu),
        heart_hu=min(heart for heart, (area, _) in zip(hearts, cores, strict=True) if area >= least),
        centre_level=float(levels[-1] / max(levels.max(), 1.0)),
        middle_level=float(levels[1] / max(levels.max(), 1.0)),
    )


def _hole_sizes(plane: Hu, least_hu: float) -> Ints:
    """Pixels of each place that denser pixels of a plane enclose, darker than the lowest way out by `least_hu`."""
    from skimage.morphology import reconstruction  # noqa: PLC0415 - not needed without a lesion

    ground, flood = (np.pad(v, 1, constant_values=plane.min()) for v in (plane, np.full_like(plane, plane.max())))
    labels, _ = label(reconstruction(flood, ground, method="erosion") - ground > least_hu)
    return np.asarray(np.bincount(labels.ravel())[1:])


def count_peaks(hu: Hu, inside: Mask, height_hu: float) -> int:
    """Number of places that stand out of the mineral around them: foci that touch count apart."""
    from skimage.morphology import h_maxima  # noqa: PLC0415 - not needed without a lesion

    stride = max(1, int(np.ceil((inside.size / MAX_PEAK_VOXELS) ** (1 / 3))))
    values = np.where(inside, hu, -1024)[:, ::stride, ::stride].astype(np.int32)
    return max(1, int(label(h_maxima(values, max(1, int(height_hu))), corners=True)[1]))


def outward_correlation(hu: Hu, inside: Mask, spacing: Spacing) -> float:
    """Correlation of density with the distance from the middle, in lengths of the axes; 0 for too few voxels."""
    values, place = hu[inside].astype(np.float64), np.argwhere(inside) * np.array(spacing)
    if len(values) < FEW_VOXELS or not np.ptp(values):
        return 0.0
    axes = np.linalg.cholesky(np.cov(place.T) + AXIS_MM2 * np.eye(3))
    outwards = np.linalg.norm(np.linalg.solve(axes, (place - place.mean(axis=0)).T), axis=0)
    return float(np.corrcoef(outwards, values)[0, 1]) if np.ptp(outwards) > 0 else 0.0


def section_hull(plane: Mask) -> Mask | None:
    """Convex hull of a cross-section of shape ``(rows, columns)``, as a mask; ``None`` for a point or a line."""
    from skimage.morphology import convex_hull_image  # noqa: PLC0415 - not needed without a lesion

    points = np.argwhere(plane)
    if np.linalg.matrix_rank(points - points[:1]) < 2:
        return None
    return np.asarray(convex_hull_image(plane, offset_coordinates=False))


def _coverage(plane: Mask, shell: Mask, hull: Mask) -> float:
    """Share of the directions from the hull's middle in which the shell holds mineral.

    Small sections have fewer pixels on their rim than there are directions: those without a pixel do not count.
    """
    middle = np.argwhere(hull).mean(0)

    def directions(mask: Mask) -> int:
        offset = np.argwhere(mask) - middle
        turn = (np.arctan2(offset[:, 0], offset[:, 1]) + np.pi) / (2 * np.pi)
        return int(np.unique((turn * DIRECTIONS).astype(int) % DIRECTIONS).size)

    return directions(plane & shell) / max(directions(shell), 1)


def _is_tube(plane: Mask, hull: Mask, deepest_mm: float) -> bool:
    """Whether a cross-section shows a wall around a lumen, or two walls facing each other, of vessel size."""
    if not TUBE_DEPTH_MM[0] <= deepest_mm <= TUBE_DEPTH_MM[1] or plane.sum() >= (1 - TUBE_HOLLOW) * hull.sum():
        return False
    return bool(ndimage.label(plane, structure=_SQUARE)[1] <= TUBE_PARTS)


def wall_mm(inside: Mask, spacing: Spacing) -> float:
    """Typical thickness of the mineral within slices, mm."""
    depths = []
    for plane in inside[:: max(1, inside.shape[0] // WALL_SECTIONS)]:
        if plane.any():
            depth = ndimage.distance_transform_edt(np.pad(plane, 1), sampling=spacing[1:])
            depths.append(depth[(depth == ndimage.maximum_filter(depth, size=3)) & (depth > 0)])
    pixel = float(np.mean(spacing[1:]))
    return float(2 * np.percentile(np.concatenate(depths), 75) - pixel) if depths else pixel


def level_and_ring_share(inside: Mask, spacing: Spacing) -> tuple[float, float]:
    """Shares of the cross-sections of deposits that show a fluid level, and that close around a gap.

    Calcium settles: the upper edge of a fluid-calcium level is horizontal, the lower one follows the wall. Levels are
    looked for in the broader deposits, rings in the smaller ones; rows run from front to back.
    """
    flat = broad = rings = small = 0
    stride = max(1, inside.shape[0] // LEVEL_SECTIONS)
    for number, plane in enumerate(inside):
        labels, _ = ndimage.label(plane, structure=_SQUARE)
        for i, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == i
            height, width = part.shape
            if number % stride == 0 and width * spacing[2] >= LEVEL_WIDTH_MM and height * spacing[1] >= LEVEL_HEIGHT_MM:
                broad += 1
                flat += _has_level(part)
            if RING_PIXELS[0] <= int(part.sum()) <= RING_PIXELS[1]:
                small += 1
                rings += int(ndimage.binary_fill_holes(part).sum() > part.sum())
    return flat / broad if broad else 0.0, rings / small if small else 0.0


def _has_level(part: Mask) -> bool:
    """Whether the upper or lower edge of a part is made of horizontal stretches and the other is not."""
    top = part.argmax(0)
    bottom = part.shape[0] - 1 - part[::-1].argmax(0)
    flat = [_level_length(edge) / edge.size for edge in (top, bottom)]
    return bool(max(flat) >= MIN_FLAT and max(flat) - min(flat) >= MIN_FLAT / 2)


def _level_length(edge: Ints) -> int:
    """Columns of an edge that belong to long stretches at one height."""
    runs = np.diff(np.flatnonzero(np.diff(edge, prepend=-1, append=-1)))
    return int(runs[runs >= max(4, MIN_RUN_SHARE * edge.size)].sum())
