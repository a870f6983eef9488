"""Named features of a lesion's shape, texture and surroundings, from which its pattern is read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Hu, Mask, Spacing
from calcreport.anatomy.morphology import dilate, erode
from calcreport.calcification.parts import find_parts, hull_volume, principal_extents, projected_fill, row_ends
from calcreport.calcification.patterns.sections import (
    Sections,
    count_peaks,
    level_and_ring_share,
    outward_correlation,
    read_sections,
    wall_mm,
)
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import DepthClass

COAT_MM: Final = (1.5, 2.5)
"""Distances from the mineral at which a coat of soft tissue shows; nearer, the mineral's own blur does."""
NEAR_RING_MM: Final = (2.0, 5.0)  # distances at which the tissue right around the mineral is read ...
WIDE_RING_MM: Final = (8.0, 14.0)  # ... and the tissue it lies in
FAT_HU: Final = -35  # fat is less dense
GAS_OR_AIR_HU: Final = -250  # tissue is denser ...
WATER_HU: Final = 0  # ... of it muscle, oedema and masses of soft tissue, and blood, are denser than this ...
DENSE_HU: Final = 130  # ... and mineral begins here
MAX_VOXELS: Final = 400_000  # Larger boxes are thinned out before their surroundings are looked at
FEW_VOXELS: Final = 30  # A median of fewer voxels says nothing
SIDES: Final = 12  # directions within the slice in which fat is looked for ...
MOSTLY: Final = 0.5  # ... and its share that counts
SLEEVE_MM: Final = 3.0
"""Thickness of the layer in which swelling, or the tendon around a deposit, is read; it starts a slice away, where
the mineral's own partial volume has ended."""


def read_vicinity(hu: Hu, inside: Mask, spacing: Spacing) -> dict[str, Any]:
    """Features of the tissue around a lesion, within a box of the volume, HU; `inside` is true in the mineral."""
    stride = max(1, int(np.ceil((inside.size / MAX_VOXELS) ** (1 / 3))))
    if not inside[::stride, ::stride, ::stride].any():
        stride = 1
    mask, local = inside[::stride, ::stride, ::stride], hu[::stride, ::stride, ::stride]
    distance = ndimage.distance_transform_edt(~mask, sampling=np.array(spacing) * stride)
    is_tissue = (local > GAS_OR_AIR_HU) & (local < DENSE_HU)

    def ring(limits_mm: tuple[float, float]) -> Mask:
        return np.asarray((distance > limits_mm[0]) & (distance <= limits_mm[1]), dtype=bool)

    is_near = is_tissue & ring(NEAR_RING_MM)
    near, wide, coat = local[is_near], local[is_tissue & ring(WIDE_RING_MM)], local[ring(COAT_MM)]
    near_fat = float((near < FAT_HU).mean()) if near.size else 0.0
    clear_mm = max(NEAR_RING_MM[0], 1.05 * max(spacing))
    sleeve = local[is_tissue & ring((clear_mm, clear_mm + SLEEVE_MM))]
    soft_near, soft_wide = sleeve[sleeve > WATER_HU], wide[wide > WATER_HU]
    is_known = min(soft_near.size, soft_wide.size) >= FEW_VOXELS
    return {
        "near_hu": float(np.median(near)) if near.size else 0.0,
        "near_fat": near_fat,
        "wide_fat": float((wide < FAT_HU).mean()) if wide.size else near_fat,
        "fat_sides": _fat_sides(local, mask, is_near, spacing),
        "coat_hu": float(np.median(coat)) if coat.size else None,
        "swelling_hu": float(np.median(soft_wide) - np.median(soft_near)) if is_known else None,
    }


def _fat_sides(hu: Hu, inside: Mask, is_near: Mask, spacing: Spacing) -> float:
    """Share of the directions within the slice, from the middle of the mineral, in which mostly fat lies around it."""
    middle = np.argwhere(inside).mean(0)
    holds_mineral = np.asarray(inside.any(axis=(1, 2)))
    index = np.argwhere(is_near & holds_mineral[:, np.newaxis, np.newaxis])
    y, x = ((index[:, i] - middle[i]) * spacing[i] for i in (1, 2))
    side = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * SIDES).astype(int) % SIDES
    seen = np.bincount(side, minlength=SIDES)
    fat = np.bincount(side, weights=hu[tuple(index.T)] < FAT_HU, minlength=SIDES)
    return float((fat[seen > 0] > MOSTLY * seen[seen > 0]).mean()) if len(index) else 0.0


PLAQUE_MM: Final = 40.0  # longer deposits are no plaques; no vessel is looked for
OUTSIDE_FASCIA: Final = frozenset({DepthClass.CUTANEOUS, DepthClass.SUBCUTANEOUS})  # nor here
# A focus stands out by as many deviations of the noise and this share of the contrast of the mineral; and a grain.
PEAK_NOISES: Final = (4.0, 2.4)
PEAK_SHARE: Final = (0.25, 0.12)
CORE_VOXELS: Final = 8  # Densities are read one voxel inside the surface when at least this many voxels lie there


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is known of a lesion before its shape is described."""

    longest_mm: float
    layer: DepthClass
    """Depth class."""
    bone_gap_mm: float
    """Distance to bone, infinity when none is near."""
    to_fascia_mm: float | None
    """Median distance of the mineral to the investing fascia."""
    is_vessel_chain: bool
    """Foci string along the scan axis like a vessel."""
    noise_hu: float


@dataclass(frozen=True, kw_only=True)
class Features(Sections, Surroundings):
    """What a pattern is read from. Lengths mm, densities HU; ``None`` where a feature cannot be seen."""

    width_mm: float
    thickness_mm: float
    """Extents along the principal axes of the whole lesion."""
    foci_count: int
    """Separate deposits of three voxels or more."""
    largest_focus_mm: float
    """Longest diameter of the largest one."""
    focus_size_mm: float
    """Median longest diameter of the foci."""
    focus_elongation: float
    """Median ratio of longest to middle extent of the foci."""
    focus_alignment: float
    """Share of elongated foci whose long axis lies within 30 degrees of the scan axis."""
    sphericity: float
    """Volume of the largest focus over that of the ball on its longest diameter."""
    smoothness: float
    """Volume of the largest focus over that of its convex hull."""
    wall_mm: float
    """Typical thickness of the mineral: twice its greatest depth, 90th percentile over the parts."""
    fill: float
    """Mineral volume over the volume of the lesion's convex hull."""
    outward_correlation: float
    """Correlation of density with the distance from the middle: negative where the centre is densest."""
    mean_hu: float
    peak_hu: float
    variation: float
    """Mean, maximum and coefficient of variation (noise taken off) of the mineral one voxel inside the surface."""
    projected_fill: float
    """Share of its outline that the lesion fills when looked at along its smallest extent: a net leaves gaps, a sheet
    does not."""
    near_hu: float
    near_fat: float
    wide_fat: float
    """Median of the tissue right around; share of fat right around and farther off."""
    fat_sides: float
    """Share of the directions within the slice in which mostly fat lies right around."""
    coat_hu: float | None
    """Median of the layer next to the mineral."""
    swelling_hu: float | None
    """Muscle and other watery tissue farther off, less that right around: positive in oedema or a soft mass, negative
    in tendon."""
    vessel_hu: float | None
    plane_hu: float | None
    """Contrast to its fat of the vessel that runs on beyond both ends of a small deep deposit, and of the muscles to
    the fat plane between them there."""
    level_share: float
    """Share of the broader deposits with a flat horizontal top or bottom."""
    contrast_ratio: float
    """Contrast of the densest mineral (98th percentile) over that of its median."""
    peak_count: int
    """Places that stand out of the mineral around them."""
    grain_mm: float
    """Diameter of a ball of the mineral that each place holds, also those that stand out a little."""
    ring_share: float
    """Share of the small cross-sections of foci that close around a gap."""

    def as_row(self) -> dict[str, float | int | bool | str | None]:
        """Plain values for the report; an infinite gap becomes ``None``."""
        row = dataclasses.asdict(self) | {"layer": self.layer.value}
        return {name: None if value == np.inf else value for name, value in row.items()}


def describe(hu: Hu, inside: Mask, geometry: VolumeGeometry, known: Surroundings) -> Features:
    """Features of a lesion in a box of the volume, HU; `inside` is true within its surface."""
    spacing, voxel_mm3 = geometry.spacing_mm, geometry.voxel_volume_mm3
    levels, rows, columns = (
        np.flatnonzero(inside.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))
    )  # fmt: skip
    tight = tuple(slice(int(at[0]), int(at[-1]) + 1) for at in (levels, rows, columns))
    solid, dense = inside[tight], hu[tight]
    voxels_mm = np.argwhere(solid) * np.array(spacing)
    parts = find_parts(solid, spacing)
    substantial = parts.substantial
    # The measured diameter knows where in the voxels the edge runs; extents count whole voxels.
    largest_mm = float(parts.extents_mm[parts.largest, 0]) if len(parts.counts) > 1 else known.longest_mm
    core = erode(solid, "cross")
    values = dense[core if core.sum() >= CORE_VOXELS else solid].astype(np.float64)
    extents = principal_extents(voxels_mm, spacing)
    outline_mm3 = hull_volume(row_ends(solid) * np.array(spacing))
    level_share, ring_share = level_and_ring_share(solid, spacing)
    around = read_vicinity(hu, inside, spacing)
    section = read_sections(dense, solid, spacing, known.noise_hu, around["near_hu"])
    middle, high, top = np.percentile(dense[solid], (50, 95, 98)) - around["near_hu"]
    noise_hu, content = known.noise_hu, np.clip(hu - around["near_hu"], 0.0, None)[dilate(inside, "cross")].sum()
    peaks, grains = (
        count_peaks(dense, solid, max(noises * noise_hu, share * contrast))
        for noises, share, contrast in ((PEAK_NOISES[0], PEAK_SHARE[0], high), (PEAK_NOISES[1], PEAK_SHARE[1], top))
    )
    may_be_plaque = known.longest_mm <= PLAQUE_MM and known.layer not in OUTSIDE_FASCIA
    course = course_contrasts(hu, inside, spacing, noise_hu) if may_be_plaque else (None, None)
    return Features(
        width_mm=float(extents[1]),
        thickness_mm=float(extents[2]),
        foci_count=int(substantial.sum()),
        largest_focus_mm=largest_mm,
        focus_size_mm=float(np.median(parts.extents_mm[substantial, 0])),
        focus_elongation=float(np.median(parts.elongations[substantial])),
        focus_alignment=parts.alignment,
        sphericity=parts.sphericity(voxel_mm3, largest_mm),
        smoothness=parts.smoothness(voxel_mm3),
        wall_mm=wall_mm(solid, spacing),
        fill=float(min(1.0, len(voxels_mm) * voxel_mm3 / max(outline_mm3, voxel_mm3))),
        mean_hu=float(values.mean()),
        peak_hu=float(dense[solid].max()),
        variation=float(np.sqrt(max(0.0, values.var() - known.noise_hu**2)) / max(values.mean(), 1.0)),
        projected_fill=projected_fill(voxels_mm, spacing),
        level_share=level_share,
        contrast_ratio=float(top / max(middle, 1.0)),
        peak_count=peaks,
        grain_mm=float(np.cbrt(6 / np.pi * content * voxel_mm3 / max(top, 1.0) / grains)),
        outward_correlation=outward_correlation(dense, solid, spacing),
        ring_share=ring_share,
        vessel_hu=course[0],
        plane_hu=course[1],
        **dataclasses.asdict(known),
        **dataclasses.asdict(section),
        **around,
    )


CLEAR_MM: Final = 1.0  # Slices this close to the end of the mineral still hold its blur
STRETCH_MM: Final = 7.0
"""Stretch of vessel beyond the mineral over which slices are averaged: noise falls, the vessel stays."""
CENTRE_REACH_MM: Final = 5.0
"""The middle of the vessel lies this close to the mineral's middle: plaque sits on the wall."""
RADII_MM: Final = (1.4, 5.6)  # Radii of limb arteries, from the small muscular ones to the common femoral
STEP_MM: Final = 0.7  # distance between the points that are tried, and radii
DIRECTIONS: Final = 16  # rays of a circle
BAND_MM: Final = (0.4, 1.8)  # Where fat must show, outside the wall
CLOSED_SHARE: Final = 0.75  # Share of directions in which fat shows; the vein beside the artery takes the others
PLANE_HU: Final = 30.0  # The fat plane around a vessel, thinned by its blur, stays below muscle …
BONE_HU: Final = 450.0  # … and blood, enhanced or not, above water and below bone
NOISE_GAIN: Final = 1.3
"""Contrast the best of many circles finds in noise alone, in standard deviations of the averaged slices."""
MUSCLE_REACH_MM: Final = 14.0  # Muscle is read this far around the course ...
MUSCLE_HU: Final = -20  # ... in what is denser than fat ...
PLANE_REACH_MM: Final = 6.0  # ... and the plane this far ...
PLANE_BLUR_MM: Final = 0.9  # ... after a blur ...
PLANE_PERCENT: Final = 4  # ... where the image is darkest (percentile)
PLANE_NOISE_GAIN: Final = 0.6  # Contrast of a plane in noise alone, in standard deviations
NOTHING_HU: Final = -1000.0  # contrast where no circle is a vessel


def course_contrasts(hu: Hu, inside: Mask, spacing: Spacing, noise_hu: float) -> tuple[float | None, float | None]:
    """How clearly a vessel, and a fat plane between muscles, run on beyond both ends of a deposit in a box.

    Blood above the fat around it, HU, at the end where it is less clear, and muscle above the plane, mean of both ends,
    each less what noise alone would give; ``None`` when the box does not reach beyond an end.
    """
    levels = np.flatnonzero(inside.any(axis=(1, 2)))
    clear, stretch = (max(1, round(x / spacing[0])) for x in (CLEAR_MM, STRETCH_MM))
    vessel, plane = [], []
    for end, step in ((int(levels[0]), -1), (int(levels[-1]), 1)):
        first, last = end + step * (clear + 1), end + step * (clear + stretch)
        low, high = max(0, min(first, last)), min(len(hu), max(first, last) + 1)
        if high - low < max(1, stretch // 2):
            return None, None
        tip = inside[max(0, end - clear) : end + clear + 1].any(axis=0)
        middle_mm, mean = np.argwhere(tip).mean(0) * np.array(spacing[1:]), hu[low:high].mean(axis=0)
        clearest = _clearest_circle(mean, middle_mm, spacing[1:])
        vessel.append(clearest - NOISE_GAIN * noise_hu / float(np.sqrt(high - low)))
        away = np.hypot(*(np.indices(mean.shape).T * spacing[1:] - middle_mm).T)
        muscle = mean[(away <= MUSCLE_REACH_MM) & (mean > MUSCLE_HU)]
        darkest = ndimage.gaussian_filter(mean, PLANE_BLUR_MM / spacing[1])[away <= PLANE_REACH_MM]
        contrast = float(np.median(muscle) - np.percentile(darkest, PLANE_PERCENT)) if muscle.size else 0.0
        plane.append(contrast - PLANE_NOISE_GAIN * noise_hu)
    return min(vessel), float(np.mean(plane))


def _clearest_circle(plane: Floats, middle_mm: Floats, pixel_mm: tuple[float, float]) -> float:
    """Contrast, HU, of the circle near a point that stands out most from fat around it."""
    reach = np.arange(-CENTRE_REACH_MM, CENTRE_REACH_MM + 1e-6, STEP_MM)
    offset = np.stack(np.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
    offset = offset[np.linalg.norm(offset, axis=1) <= CENTRE_REACH_MM]
    radius = np.arange(STEP_MM / 2, RADII_MM[1] + BAND_MM[1] + STEP_MM, STEP_MM / 2)
    turn = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    ray = radius[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    points = (middle_mm + offset)[:, None, None, :] + ray
    values = ndimage.map_coordinates(
        plane, np.moveaxis(points / np.array(pixel_mm), -1, 0), order=1, mode="nearest", output=np.float64
    )
    # Discs: mean over directions, weighted by the area of each ring.
    within = np.cumsum(values.mean(2) * radius, axis=1) / np.cumsum(radius)
    clearest, closed = NOTHING_HU, round(CLOSED_SHARE * DIRECTIONS) - 1
    for size in np.arange(RADII_MM[0], RADII_MM[1] + 1e-6, STEP_MM):
        blood = within[:, int(np.searchsorted(radius, 0.8 * size)) - 1]
        band = (radius >= size + BAND_MM[0]) & (radius <= size + BAND_MM[1])
        around = np.partition(values[:, band].mean(1), closed, axis=1)[:, closed]
        is_vessel = (around < PLANE_HU) & (blood > WATER_HU) & (blood < BONE_HU)
        clearest = max(clearest, float((blood - around)[is_vessel].max(initial=NOTHING_HU)))
    return clearest
