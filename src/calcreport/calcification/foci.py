"""One dense component at a time: how far it stands out, what it lies beside, and whether it is noise.

A logistic regression distinguishes mineral from noise. ``tests/accuracy/fit_detection.py`` fits it on real scans, with
whole studies left out to measure its error; the head of the table says on what and how well.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Hu, Mask, Spacing
from calcreport.anatomy.components import Components, box_of, paint
from calcreport.anatomy.morphology import dilate
from calcreport.anatomy.trunk import GAS_HU
from calcreport.calcification.scene import Scene
from calcreport.model.image import NOT_IMAGED_HU
from calcreport.model.lesion import LesionContour, VoxelMask
from calcreport.resources import packaged_text

MARGIN_MM: Final = 9.0  # How far around a focus its surroundings are looked at
RING_MM: Final = (1.6, 5.0)  # From the focus to a ring of the tissue around it, past partial volume
AIR_HU: Final = -250  # Voxels below this do not count as surrounding tissue
SOFT_HU: Final = -40  # see `SOFT_SHARE`
SOFT_SHARE: Final = 0.25  # Where so much of the surroundings is denser than `SOFT_HU`, noise is read in that part alone
MIN_NOISE_SHARE: Final = 0.75  # of the noise of the series; a ring of few voxels may look quieter than the scan is
MIN_NOISE_HU: Final = 2.0  # No scan is quieter than this; images made quieter by smoothing are not trusted to be
MIN_EVIDENCE: Final = 16.0  # Clusters of noise have few voxels hardly above the limit: 10 is common, 14 seen
TEXTURE_LAG: Final = 4  # Noise of voxels so far apart is independent with common kernels, and streaks still differ
MIN_TEXTURE_PAIRS: Final = 60  # fewer pairs of voxels do not show the noise of a texture
MAX_BOX_VOXELS: Final = 1_500_000  # Larger surroundings are looked at on a coarser grid: statistics need no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """A dense component and its surroundings."""

    component: int
    """Index in the components."""
    volume_mm3: float
    """Voxel volume at the growth limit."""
    peak_hu: float
    mean_hu: float
    """Greatest and mean density, HU."""
    spread_hu: float
    """Median and robust standard deviation of the voxels deep inside, away from partial volume, HU; of all when there
    are none."""
    core_hu: float
    background_hu: float
    """Median of the tissue around, HU."""
    reference_hu: float
    background_sd_hu: float
    """Median and robust standard deviation of its denser kind where fat and muscle meet, HU: the step between them is
    not noise."""
    bone_gap_mm: float
    """Distance between the nearest voxel centres of focus and skeleton, mm; infinity when none is near."""
    gas_fraction: float
    """Share of the surroundings that is enclosed gas."""
    air_fraction: float
    """Share of the surroundings that is air outside the body."""
    touches_border: bool
    """Whether it runs out of the scan."""
    evidence: float
    """How far all its voxels together stand out of the series' noise (`evidence_of`)."""
    thickness_mm: float
    """Twice the greatest depth within its slices: diameter of the largest disc that fits, mm."""

    @property
    def contrast_to_noise(self) -> float:
        """How many noise deviations the peak stands above the surroundings."""
        return (self.peak_hu - self.reference_hu) / self.background_sd_hu


def examine(scene: Scene, component: int, skeleton: Mask) -> Focus:
    """Look at one component in its surroundings; `skeleton`, shape ``(components.count,)``, is true for bones."""
    components, coarse, spacing_mm = scene.components, scene.coarse, scene.spacing_mm
    own = np.array([component])
    low, high = components.around(own, np.ceil(MARGIN_MM / np.array(spacing_mm)).astype(int))
    box = box_of(low, high)
    stride = max(1, int(np.ceil((np.prod(high - low) / MAX_BOX_VOXELS) ** (1 / 3))))
    thin = (slice(None, None, stride),) * 3
    mask, local = paint(components, own, box), scene.volume.hu[box]
    bone = (paint(components, np.flatnonzero(skeleton), box) & ~mask)[thin]
    values = local[mask].astype(np.float64)
    thickness, core = _core(mask, local, spacing_mm)
    mask, local = mask[thin], local[thin]
    distance = ndimage.distance_transform_edt(~mask, sampling=np.array(spacing_mm) * stride)
    # Bone and what blurs from it is left out. Other dense voxels stay: leaving them out would cut the noise short,
    # and a robust deviation bears them.
    dense = dilate(bone, "cross", steps=2)
    near = (distance > 0) & (distance <= MARGIN_MM) & (local > NOT_IMAGED_HU)
    fine = (np.arange(a, b, stride) for a, b in zip(low, high, strict=True))
    blocks = (np.minimum(n // k, m - 1) for n, k, m in zip(fine, coarse.step, coarse.hu.shape, strict=True))
    is_outside = scene.body.outside[np.ix_(*blocks)]
    air = near & (local < GAS_HU)
    # Partial volume blurs the focus by about a voxel; the ring starts beyond it on coarse grids too.
    inner = max(RING_MM[0], 1.1 * max(spacing_mm[1:]) * stride)
    ring = near & (distance > inner) & (distance <= max(RING_MM[1], 3 * inner)) & ~dense & (local > AIR_HU)
    tissue = local[ring].astype(np.float64)
    middle = float(np.median(tissue)) if tissue.size >= 10 else 0.0
    reference, deviation = reference_tissue(tissue)
    # Planes of fat between muscles widen the deviation; where many voxels stand out, the texture's own noise holds.
    texture = max(_texture_hu(local, ring & (local > SOFT_HU)), scene.noise_hu)
    if texture < deviation and evidence_of(values, reference, texture) >= MIN_EVIDENCE:
        deviation = texture
    total = max(int(near.sum()), 1)
    return Focus(
        component=component, volume_mm3=float(components.voxels[component]) * float(np.prod(spacing_mm)),
        peak_hu=float(values.max()), mean_hu=float(values.mean()), core_hu=float(np.median(core)),
        spread_hu=spread_of(core), background_hu=middle,
        reference_hu=reference, background_sd_hu=max(deviation, MIN_NOISE_SHARE * scene.noise_hu, MIN_NOISE_HU),
        bone_gap_mm=float(distance[bone].min()) if bone.any() else float("inf"),
        gas_fraction=float((air & ~is_outside).sum()) / total, air_fraction=float((air & is_outside).sum()) / total,
        evidence=evidence_of(values, reference, max(scene.noise_hu, MIN_NOISE_HU)), thickness_mm=thickness,
        touches_border=scene.border(component)[0],
    )  # fmt: skip


def lies_in_contour(components: Components, contours: Sequence[LesionContour], focus: Focus) -> bool:
    """Whether most of a focus lies inside one of a reader's contours: it belongs to that lesion."""
    index = components.indices(focus.component)

    def held(mask: VoxelMask) -> int:
        within = ((index >= mask.offset) & (index - mask.offset < mask.voxels.shape)).all(axis=1)
        return int(mask.voxels[tuple((index[within] - mask.offset).T)].sum())

    return any(2 * held(contour.mask) > len(index) for contour in contours)


def evidence_of(values: Floats, reference_hu: float, deviation_hu: float) -> float:
    """How far all voxels (HU, 1-D) together stand out: their mean in noise deviations, times the root of their number.

    A yardstick, not a significance: the noise of neighbouring voxels is not independent.
    """
    return float((values.mean() - reference_hu) / deviation_hu * np.sqrt(values.size))


def reference_tissue(tissue: Floats) -> tuple[float, float]:
    """Median and robust deviation of surroundings (HU, 1-D), of their soft-tissue part where that is substantial."""
    if tissue.size < 10:
        return 0.0, 0.0
    soft = tissue[tissue > SOFT_HU]
    chosen = soft if soft.size >= max(10, SOFT_SHARE * tissue.size) else tissue
    return float(np.median(chosen)), spread_of(chosen)


def spread_of(values: Floats) -> float:
    """Robust standard deviation, from the median absolute one."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _texture_hu(local: Hu, tissue: Mask) -> float:
    """Noise of tissue from voxels `TEXTURE_LAG` columns apart, HU: edges within the tissue do not count as noise.

    Infinity where too few pairs of voxels lie so.
    """
    pairs = tissue[:, :, TEXTURE_LAG:] & tissue[:, :, :-TEXTURE_LAG]
    if int(pairs.sum()) < MIN_TEXTURE_PAIRS:
        return float("inf")
    difference = local[:, :, TEXTURE_LAG:][pairs].astype(np.int32) - local[:, :, :-TEXTURE_LAG][pairs]
    return 1.4826 * float(np.median(np.abs(difference))) / float(np.sqrt(2.0))


def _core(mask: Mask, local: Hu, spacing_mm: Spacing) -> tuple[float, Floats]:
    """Diameter (mm) of the largest disc that fits the broadest cross-sections, and the values in their inner half."""
    areas = mask.sum(axis=(1, 2))
    thickness, inner = 0.0, []
    for i in np.argsort(-areas)[: min(5, np.count_nonzero(areas))]:
        depth = ndimage.distance_transform_edt(np.pad(mask[i], 1), sampling=spacing_mm[1:])[1:-1, 1:-1]
        deepest = float(depth.max())
        thickness = max(thickness, 2 * deepest)
        inner.append(local[i][depth > 0.5 * deepest])
    return thickness, np.concatenate(inner).astype(np.float64)


FEATURES: Final[dict[str, Callable[[Focus], float]]] = {
    "log_contrast_to_noise": lambda f: log(max(f.contrast_to_noise, 0.1)),
    "log_evidence": lambda f: log(max(f.evidence, 1.0)),
    "nearness_to_bone": lambda f: 1.0 / max(f.bone_gap_mm, 1.0),
    "has_gas": lambda f: float(f.gas_fraction > 0.01),
}
"""What the table weighs. Natural logarithms; nearness to bone is 1/mm, 0 where no bone is near; gas is 1 where
more than a trace of it is enclosed around the component, else 0."""


@cache
def _table() -> tuple[float, float, tuple[tuple[str, float, float, float], ...]]:
    """Limit, intercept, and name, mean, deviation and weight of each feature."""
    table = tomllib.loads(packaged_text("calcification/tables/mineral_or_noise.toml"))
    rows = table["features"].items()
    weighed = tuple((name, float(row["mean"]), float(row["deviation"]), float(row["weight"])) for name, row in rows)
    return float(table["accept"]), float(table["intercept"]), weighed


def log_odds_of_mineral(focus: Focus) -> float:
    """Log-odds that a component is mineral rather than noise, from the fitted table."""
    _, intercept, rows = _table()
    return intercept + sum(w * (FEATURES[name](focus) - mean) / deviation for name, mean, deviation, w in rows)


def is_mineral(focus: Focus) -> bool:
    """Whether a component is mineral and no noise."""
    return log_odds_of_mineral(focus) >= _table()[0]
