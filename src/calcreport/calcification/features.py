"""Named features of a lesion's shape and texture, from which its pattern is read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from calcreport.anatomy.morphology import erode
from calcreport.calcification.size import farthest_pair
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import DepthClass

SHELL_DEPTH: Final = 0.35
"""Outer part of a cross-section, as a share of its greatest depth, that counts as shell."""

CORE_DEPTH: Final = 0.6
"""Inner part that counts as core."""

MIN_SECTION_MM: Final = 6.0
"""A cross-section narrower than this has no core to speak of."""

NORMAL_P90: Final = 1.282
"""90th percentile of a normal distribution, in deviations."""

BROAD_SHARE: Final = 0.5
"""Sections smaller than this share of the broadest graze the caps, where shell and core cannot be told apart."""

SECTIONS: Final = 14
"""Cross-sections looked at."""

NEAR_RING_MM: Final = (2.0, 5.0)
WIDE_RING_MM: Final = (8.0, 14.0)
"""Distances at which the tissue right around the mineral, and the tissue it lies in, are read."""

FAT_HU: Final = -35
GAS_OR_AIR_HU: Final = -250

MAX_VOXELS: Final = 2_000_000
"""Larger boxes are thinned out before their surroundings are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a pattern is read from. Lengths mm, densities HU; ``None`` where a feature cannot be seen.

    Parameters
    ----------
    longest_mm, width_mm, thickness_mm : float
        Extents along the principal axes of the whole lesion.
    foci_count : int
        Separate deposits of three voxels or more.
    largest_focus_mm : float
        Longest diameter of the largest one.
    focus_size_mm : float
        Median longest diameter of the foci.
    focus_elongation : float
        Median ratio of longest to middle extent of the foci.
    focus_alignment : float
        Share of elongated foci whose long axis lies within 30 degrees of the scan axis.
    sphericity : float
        Volume of the largest focus over that of the ball on its longest diameter.
    smoothness : float
        Volume of the largest focus over that of its convex hull.
    wall_mm : float
        Typical thickness of the mineral: twice its greatest depth, 90th percentile over the parts.
    fill : float
        Mineral volume over the volume of the lesion's convex hull.
    shell_share, core_share : float | None
        Share of shell and core of the cross-sections that is mineral.
    coverage, worst_coverage : float | None
        Share of directions from the middle of a cross-section in which the shell is mineral: on average, and in the
        broad section that shows the largest gap.
    core_hu : float | None
        Median of the core.
    core_tail_hu : float | None
        90th percentile of the core over its median, less what noise alone would give: trabeculae stand out here.
    core_spread_hu : float | None
        Half its 16th-84th percentile range, noise taken off.
    centre_gain : float | None
        Density of the mineral in the core over that in the shell.
    mean_hu, peak_hu, variation : float
        Mean, maximum and coefficient of variation (noise taken off) of the mineral one voxel inside the surface.
    projected_fill : float
        Share of its outline that the lesion fills when looked at along its smallest extent: a net leaves gaps, a
        sheet does not.
    near_hu, near_fat, wide_fat : float
        Median of the tissue right around; share of fat right around and farther off.
    level_share : float
        Share of the broader deposits with a flat horizontal top or bottom.
    is_vessel_chain : bool
        Foci string along the scan axis like a vessel.
    tube_share : float | None
        Share of cross-sections that show a ring or paired walls of vessel size.
    layer : DepthClass
        Depth class.
    bone_gap_mm : float
        Distance to bone, infinity when none is near.
    to_fascia_mm : float | None
        Median distance of the mineral to the investing fascia.
    ring_share : float
        Share of the small cross-sections of foci that close around a gap.
    """

    longest_mm: float
    width_mm: float
    thickness_mm: float
    foci_count: int
    largest_focus_mm: float
    focus_size_mm: float
    focus_elongation: float
    focus_alignment: float
    sphericity: float
    smoothness: float
    wall_mm: float
    fill: float
    shell_share: float | None
    core_share: float | None
    coverage: float | None
    worst_coverage: float | None
    core_hu: float | None
    core_spread_hu: float | None
    core_tail_hu: float | None
    centre_gain: float | None
    mean_hu: float
    peak_hu: float
    variation: float
    projected_fill: float
    near_hu: float
    near_fat: float
    wide_fat: float
    level_share: float
    is_vessel_chain: bool
    tube_share: float | None
    layer: DepthClass
    bone_gap_mm: float
    to_fascia_mm: float | None
    ring_share: float

    def as_row(self) -> dict[str, float | int | bool | str | None]:
        """Plain values for the report; an infinite gap becomes ``None``."""
        row: dict[str, float | int | bool | str | None] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, DepthClass):
                value = value.value
            elif isinstance(value, float) and not np.isfinite(value):
                value = None
            row[field.name] = value
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Separate deposits: longest, middle and smallest extent (mm), voxel count and axis of each."""

    extents_mm: NDArray[np.float64]
    counts: NDArray[np.int64]
    along_axis: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known of a lesion before its shape is described.

    Parameters
    ----------
    longest_mm : float
        Longest diameter as measured.
    layer : DepthClass
        Depth class.
    bone_gap_mm : float
        Distance to bone, mm; infinity when none is near.
    to_fascia_mm : float | None
        Median distance to the fascia, mm.
    is_vessel_chain : bool
        Whether its foci string along a vessel.
    noise_hu : float
        Noise, HU.
    """

    longest_mm: float
    layer: DepthClass
    bone_gap_mm: float
    to_fascia_mm: float | None
    is_vessel_chain: bool
    noise_hu: float


def describe(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], geometry: VolumeGeometry, known: Surroundings
) -> Features:
    """Features of a lesion.

    Parameters
    ----------
    hu : NDArray[np.int16]
        Shape ``(slices, rows, columns)`` of a box around the lesion, HU.
    inside : NDArray[np.bool_]
        Same shape; voxels inside the lesion's surface, at least one.
    geometry : VolumeGeometry
        Of the volume the box was cut from.
    known : Surroundings
        What was measured before.
    """
    noise_hu = known.noise_hu
    spacing = geometry.spacing_mm
    parts = _parts(inside, spacing)
    everything = np.argwhere(inside) * np.array(spacing)
    extents = _principal_extents(everything, spacing)
    largest = int(parts.extents_mm[:, 0].argmax())
    ball_mm3 = np.pi / 6 * max(parts.extents_mm[largest, 0], 1e-6) ** 3
    voxel_mm3 = geometry.voxel_volume_mm3
    section = _sections(hu, inside, spacing, noise_hu)
    near_hu, near_fat, wide_fat = _surroundings(hu, inside, spacing)
    core = erode(inside, "cross")
    values = hu[core if core.sum() >= 8 else inside].astype(np.float64)
    elongated = parts.extents_mm[:, 0] > 1.6 * np.maximum(parts.extents_mm[:, 1], 1e-6)
    substantial = parts.counts >= max(3, 0.02 * parts.counts.max())
    return Features(
        longest_mm=known.longest_mm,
        width_mm=float(extents[1]),
        thickness_mm=float(extents[2]),
        foci_count=int(substantial.sum()),
        largest_focus_mm=float(parts.extents_mm[largest, 0]) if len(parts.counts) > 1 else known.longest_mm,
        focus_size_mm=float(np.median(parts.extents_mm[substantial, 0])),
        focus_elongation=float(
            np.median(parts.extents_mm[substantial, 0] / np.maximum(parts.extents_mm[substantial, 1], 1e-6))
        ),
        focus_alignment=float((parts.along_axis[elongated] > np.cos(np.radians(30))).mean())
        if elongated.any()
        else 0.0,
        sphericity=float(min(1.0, parts.counts[largest] * voxel_mm3 / ball_mm3)),
        smoothness=_hull_share(inside, spacing, voxel_mm3),
        wall_mm=_wall(inside, spacing),
        fill=float(min(1.0, inside.sum() * voxel_mm3 / max(_hull_volume(everything), voxel_mm3))),
        mean_hu=float(values.mean()),
        peak_hu=float(hu[inside].max()),
        variation=float(np.sqrt(max(0.0, values.var() - noise_hu**2)) / max(values.mean(), 1.0)),
        projected_fill=_projected_fill(everything, spacing),
        near_hu=near_hu,
        near_fat=near_fat,
        wide_fat=wide_fat,
        level_share=_level_share(inside, spacing),
        is_vessel_chain=known.is_vessel_chain,
        layer=known.layer,
        bone_gap_mm=known.bone_gap_mm,
        to_fascia_mm=known.to_fascia_mm,
        ring_share=_ring_share(inside),
        **section,
    )


def _principal_extents(points_mm: NDArray[np.float64], spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Extents along the principal axes, longest first, mm; one voxel wide at least."""
    if len(points_mm) < 4:
        return np.sort(np.ptp(points_mm, axis=0) + np.array(spacing))[::-1]
    centred = points_mm - points_mm.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    projected = centred @ axes[:, ::-1]
    edge = np.abs(axes[:, ::-1]).T @ np.array(spacing)
    return np.asarray(np.sort(np.ptp(projected, axis=0) + edge)[::-1])


def _parts(inside: NDArray[np.bool_], spacing: tuple[float, float, float]) -> _Parts:
    """Separate deposits of three voxels or more (all of them when none is that large)."""
    labels, count = ndimage.label(inside, structure=np.ones((3, 3, 3)))
    counts = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(counts >= 3) if (counts >= 3).any() else np.arange(count)
    boxes = ndimage.find_objects(labels)
    extents, along = np.zeros((kept.size, 3)), np.zeros(kept.size)
    for n, i in enumerate(kept):
        points = np.argwhere(labels[boxes[i]] == i + 1) * np.array(spacing)
        extents[n] = _principal_extents(points, spacing)
        start, end = farthest_pair(points[:: max(1, len(points) // 4000)])
        length = float(np.linalg.norm(end - start))
        along[n] = abs(float((end - start)[0])) / length if length > 0 else 0.0
    return _Parts(extents_mm=extents, counts=counts[kept], along_axis=along)


def _hull_volume(points_mm: NDArray[np.float64], *, thin: bool = True) -> float:
    try:
        return float(ConvexHull(points_mm[:: max(1, len(points_mm) // 20_000)] if thin else points_mm).volume)
    except (QhullError, ValueError):
        return 0.0


def _hull_share(inside: NDArray[np.bool_], spacing: tuple[float, float, float], voxel_mm3: float) -> float:
    """Volume of the largest deposit over that of its hull, voxel corners included."""
    labels, count = ndimage.label(inside, structure=np.ones((3, 3, 3)))
    counts = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    largest = int(counts.argmax())
    box = ndimage.find_objects(labels)[largest]
    part = labels[box] == largest + 1
    # Only ends of rows can be corners of the hull.
    rows = np.argwhere(part.any(axis=2))
    first, last = part.argmax(axis=2), part.shape[2] - 1 - part[:, :, ::-1].argmax(axis=2)
    ends = [np.column_stack([rows, edge[tuple(rows.T)] + side]) for edge, side in ((first, -0.5), (last, 0.5))]
    corners = np.concatenate([e + np.array([a, b, 0.0]) for e in ends for a in (-0.5, 0.5) for b in (-0.5, 0.5)])
    hull = _hull_volume(corners * np.array(spacing), thin=False)
    return float(min(1.0, counts.max() * voxel_mm3 / hull)) if hull > 0 else 1.0


def _wall(inside: NDArray[np.bool_], spacing: tuple[float, float, float]) -> float:
    """Typical thickness of the mineral, mm, within slices."""
    depths = []
    for plane in inside[:: max(1, inside.shape[0] // 40)]:
        if plane.any():
            depth = ndimage.distance_transform_edt(np.pad(plane, 1), sampling=spacing[1:])
            peaks = (depth == ndimage.maximum_filter(depth, size=3)) & (depth > 0)
            depths.append(depth[peaks])
    pixel = float(np.mean(spacing[1:]))
    return float(2 * np.percentile(np.concatenate(depths), 75) - pixel) if depths else pixel


def _surroundings(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Median right around; shares of fat right around and farther off, within the box."""
    stride = max(1, int(np.ceil((inside.size / MAX_VOXELS) ** (1 / 3))))
    thin = (slice(None, None, stride),) * 3
    mask, local = inside[thin], hu[thin]
    distance = ndimage.distance_transform_edt(~mask, sampling=np.array(spacing) * stride)
    tissue = (local > GAS_OR_AIR_HU) & (local < 130)
    near = tissue & (distance > NEAR_RING_MM[0]) & (distance <= NEAR_RING_MM[1])
    wide = tissue & (distance > WIDE_RING_MM[0]) & (distance <= WIDE_RING_MM[1])
    near_hu = float(np.median(local[near])) if near.any() else 0.0
    near_fat = float((local[near] < FAT_HU).mean()) if near.any() else 0.0
    wide_fat = float((local[wide] < FAT_HU).mean()) if wide.any() else near_fat
    return near_hu, near_fat, wide_fat


def _section_hull(plane: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Convex hull of a cross-section as a mask of the same shape; ``None`` for a point or a line."""
    points = np.argwhere(plane)
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return None
    low, high = points.min(0), points.max(0) + 1
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    within = (grid @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-9).all(-1)
    mask = np.zeros_like(plane)
    mask[low[0] : high[0], low[1] : high[1]] = within
    return mask


def _sections(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], spacing: tuple[float, float, float], noise_hu: float
) -> dict[str, float | None]:
    """Shell and core of the cross-sections, weighted by area."""
    areas = inside.sum(axis=(1, 2))
    chosen = np.flatnonzero(areas > 0)
    chosen = chosen[np.unique(np.linspace(0, chosen.size - 1, min(SECTIONS, chosen.size)).round().astype(int))]
    shell_in = shell_all = core_in = core_all = 0
    covered: list[tuple[float, int]] = []
    cores, core_mineral, shell_mineral = [], [], []
    tubes = sections = 0
    hulls = {int(i): hull for i in chosen if (hull := _section_hull(inside[i])) is not None}
    broadest = max((int(hull.sum()) for hull in hulls.values()), default=0)
    for i, hull in hulls.items():
        plane = inside[i]
        sections += 1
        depth = ndimage.distance_transform_edt(np.pad(hull, 1), sampling=spacing[1:])[1:-1, 1:-1]
        deepest = float(depth.max())
        tubes += _is_tube(plane, hull, deepest)
        if 2 * deepest < MIN_SECTION_MM or int(hull.sum()) < BROAD_SHARE * broadest:
            continue
        shell, core = hull & (depth <= max(SHELL_DEPTH * deepest, 1.5)), hull & (depth >= CORE_DEPTH * deepest)
        shell_in += int((plane & shell).sum())
        shell_all += int(shell.sum())
        core_in += int((plane & core).sum())
        core_all += int(core.sum())
        covered.append((_coverage(plane & shell, hull), int(hull.sum())))
        cores.append(hu[i][core])
        core_mineral.append(hu[i][core & plane])
        # The outermost pixels are half background: they would make every deposit look centre-dense.
        shell_mineral.append(hu[i][shell & plane & (depth > 1.6 * max(spacing[1:]))])
    result: dict[str, float | None] = dict.fromkeys(
        (
            "shell_share",
            "core_share",
            "coverage",
            "worst_coverage",
            "core_hu",
            "core_spread_hu",
            "core_tail_hu",
            "centre_gain",
        ),
        None,
    )
    result["tube_share"] = tubes / sections if sections else None
    if core_all:
        core_hu = np.concatenate(cores)
        low, middle, high, top = np.percentile(core_hu, (16, 50, 84, 90))
        inner, outer = np.concatenate(core_mineral), np.concatenate(shell_mineral)
        weights = np.array([w for _, w in covered], dtype=np.float64)
        result |= {
            "shell_share": shell_in / max(shell_all, 1),
            "core_share": core_in / core_all,
            "coverage": float(np.average([c for c, _ in covered], weights=weights)),
            "worst_coverage": min(c for c, _ in covered),
            "core_hu": float(middle),
            "core_spread_hu": float(np.sqrt(max(0.0, ((high - low) / 2) ** 2 - noise_hu**2))),
            "core_tail_hu": float(top - middle - NORMAL_P90 * noise_hu),
            "centre_gain": float(inner.mean() / outer.mean()) if inner.size and outer.size else None,
        }
    return result


def _coverage(shell: NDArray[np.bool_], hull: NDArray[np.bool_]) -> float:
    """Share of 36 directions from the hull's middle in which the shell holds mineral."""
    middle = np.argwhere(hull).mean(0)
    offset = np.argwhere(shell) - middle
    if offset.size == 0:
        return 0.0
    sector = ((np.arctan2(offset[:, 0], offset[:, 1]) + np.pi) / (2 * np.pi) * 36).astype(int) % 36
    return np.unique(sector).size / 36


def _is_tube(plane: NDArray[np.bool_], hull: NDArray[np.bool_], deepest_mm: float) -> bool:
    """Whether a cross-section shows a wall around a lumen, or two walls facing each other, of vessel size."""
    if not 1.0 <= deepest_mm <= 6.0:
        return False
    _, count = ndimage.label(plane, structure=np.ones((3, 3)))
    hollow = 1.0 - plane.sum() / hull.sum()
    return bool(hollow > 0.15 and (count <= 4))


def _level_share(inside: NDArray[np.bool_], spacing: tuple[float, float, float]) -> float:
    """Share of broader cross-sections of deposits with one flat horizontal edge opposite a rounded one.

    Calcium settles: the upper edge of a fluid-calcium level is horizontal, the lower one follows the wall.
    """
    flat = broad = 0
    for plane in inside[:: max(1, inside.shape[0] // 30)]:
        labels, count = ndimage.label(plane)
        for i, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == i
            width_mm, height_mm = part.shape[1] * spacing[2], part.shape[0] * spacing[1]
            if width_mm < 7.0 or height_mm < 2.0 or count == 0:
                continue
            broad += 1
            flat += _has_level(part)
    return flat / broad if broad else 0.0


def _has_level(part: NDArray[np.bool_]) -> bool:
    """Whether the upper or lower edge of a part is made of horizontal stretches and the other is not."""
    top = part.argmax(0)
    bottom = part.shape[0] - 1 - part[::-1].argmax(0)
    flat = [_level_length(edge) / edge.size for edge in (top, bottom)]
    return bool(max(flat) >= MIN_FLAT and max(flat) - min(flat) >= MIN_FLAT / 2)


MIN_FLAT: Final = 0.6
MIN_RUN_SHARE: Final = 0.3
"""A level is a straight stretch over this share of the width; levels of several loculi may stand side by side."""


def _level_length(edge: NDArray[np.int64]) -> int:
    """Columns of an edge that belong to long stretches at one height (a step of one voxel back and forth allowed)."""
    total = 0
    for height in np.unique(edge):
        near = np.abs(edge - height) <= 0
        runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], near.view(np.int8), [0])))))[::2]
        total += int(runs[runs >= max(4, MIN_RUN_SHARE * edge.size)].sum())
    return total


def _projected_fill(points_mm: NDArray[np.float64], spacing: tuple[float, float, float]) -> float:
    """Share of the convex outline filled when the voxels are projected along the smallest principal axis."""
    if len(points_mm) < 8:
        return 1.0
    centred = points_mm - points_mm.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    flat = centred @ axes[:, 1:]
    # Cells as wide as the coarsest voxel: finer ones would show the gaps between slices.
    cell = max(spacing)
    cells = np.unique(np.floor(flat / cell).astype(np.int64), axis=0)
    try:
        outline = float(ConvexHull(np.concatenate([cells + np.array([a, b]) for a in (0, 1) for b in (0, 1)])).volume)
    except (QhullError, ValueError):
        return 1.0
    return float(min(1.0, len(cells) / outline))


def _ring_share(inside: NDArray[np.bool_]) -> float:
    """Share of the cross-sections of small foci (8 to 400 pixels) that enclose a gap."""
    rings = total = 0
    for plane in inside:
        labels, _ = ndimage.label(plane, structure=np.ones((3, 3)))
        for i, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == i
            if 8 <= int(part.sum()) <= 400:
                total += 1
                rings += int(ndimage.binary_fill_holes(part).sum() > part.sum())
    return rings / total if total else 0.0
