"""What is true of a phantom, from its analytic geometry and never from its voxels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.spatial import cKDTree

from calcreport.model.image import Contrast
from calcreport.model.report import BoneRelation, DepthClass
from calcreport.phantom.piece import mineral_content, mineral_points
from calcreport.phantom.place import Placed
from calcreport.phantom.recipe import SCATTERED, Layer, PhantomRecipe, ScanRecipe
from calcreport.phantom.render import Rendering
from calcreport.phantom.scene import Body, Tube, wrapped
from calcreport.phantom.shapes import Floats, Shape, max_diameter_mm

Vector = tuple[float, float, float]

THRESHOLD_HU: Final = {Contrast.NONE: 200.0, Contrast.VENOUS: 300.0, Contrast.ARTERIAL: 800.0, Contrast.UNKNOWN: 300.0}
"""Density a deposit must reach somewhere to be called calcification: Agatston's 130 HU with a safe seed without
contrast; 300 HU in the venous and 800 HU in the arterial phase, above enhanced vessels."""
DETECTABLE_CONTRAST_TO_NOISE: Final = 5.0
"""Rose's criterion: a small object is seen reliably when it stands five standard deviations above the noise."""
JUXTACORTICAL_MM: Final = 3.0
"""A deposit in muscle closer than this to a cortex is juxtacortical: "a few millimetres"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTruth:
    """One lesion. Lengths in mm, LPS; distances run from surface to surface.

    Parameters
    ----------
    pattern : str
        Pattern id.
    accepted_patterns : tuple[str, ...]
        Other ids that are right at this voxel size, because what separates them is finer than the voxels; a confident
        one of them is still overconfident.
    equivalent_patterns : tuple[str, ...]
        Other ids that no CT can tell from the true one: only the place in the body or the history does.
    centre_lps_mm : tuple[float, float, float]
        Centre of volume of the mineral.
    box_lps_mm : tuple
        Lowest and highest corner around the mineral.
    max_diameter_mm, ap_mm, tr_mm, cc_mm : float
        Longest dimension in any direction, and extents along y, x, z.
    volume_mm3, mean_hu : float
        Of the mineral alone, without fluid, marrow or core.
    foci_count : int
        Separate deposits.
    is_scattered : bool
        Speckles, nets, sheets, tracks: the longest diameter is an extent, not a sharp measure.
    skin_distance_mm, fascia_distance_mm : float
        From the nearest mineral to the outer surface of the skin and to the investing fascia (0 where it crosses).
    depth_class : DepthClass
        From the anatomy.
    bone_relation : BoneRelation
        Separate from the skeleton or continuous with it.
    bone_distance_mm : float
        To the nearest bone; 0 when continuous.
    mass_max_diameter_mm : float | None
        Longest diameter of the soft-tissue mass; ``None`` without one.
    side : str
        ``"left"``, ``"right"`` or ``"midline"``.
    features : tuple[str, ...]
        What it was built with.
    peak_hu : float
        Highest value of its voxels after partial volume and blur, before noise.
    contrast_to_noise : float
        Peak above the surrounding tissue over the standard deviation of the noise.
    is_detectable : bool
        Whether any detector could be asked to find it: peak at or above the threshold of the contrast phase and
        `contrast_to_noise` at least `DETECTABLE_CONTRAST_TO_NOISE`.
    """

    pattern: str
    accepted_patterns: tuple[str, ...]
    equivalent_patterns: tuple[str, ...]
    centre_lps_mm: Vector
    box_lps_mm: tuple[Vector, Vector]
    max_diameter_mm: float
    ap_mm: float
    tr_mm: float
    cc_mm: float
    volume_mm3: float
    mean_hu: float
    foci_count: int
    is_scattered: bool
    skin_distance_mm: float
    fascia_distance_mm: float
    depth_class: DepthClass
    bone_relation: BoneRelation
    bone_distance_mm: float
    mass_max_diameter_mm: float | None
    side: str
    features: tuple[str, ...]
    peak_hu: float
    contrast_to_noise: float
    is_detectable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Everything known about a phantom.

    Parameters
    ----------
    recipe : PhantomRecipe
        How it was made, seed included.
    lesions : tuple[LesionTruth, ...]
        In the order of the recipe.
    distractors : tuple[str, ...]
        Dense things that are no lesions and must not be reported as such.
    spacing_mm : tuple[float, float, float]
        Perpendicular distance between slices, rows, columns, mm.
    tilt_deg, noise_hu : float
        As rendered.
    """

    recipe: PhantomRecipe
    lesions: tuple[LesionTruth, ...]
    distractors: tuple[str, ...]
    spacing_mm: Vector
    tilt_deg: float
    noise_hu: float

    def as_json(self) -> dict[str, Any]:
        """Plain mapping for ``truth.json``; lengths mm, densities HU, positions LPS mm."""
        return dataclasses.asdict(self)


def vector(point: Floats) -> Vector:
    """Three numbers as a tuple, mm."""
    return (float(point[0]), float(point[1]), float(point[2]))


def lesion_truth(placed: Placed, number: int, rendering: Rendering, scan: ScanRecipe) -> LesionTruth:
    """Measure one lesion on its analytic shape.

    Parameters
    ----------
    placed : Placed
        The lesion, LPS mm.
    number : int
        Its owner number in the rendering.
    rendering : Rendering
        Noise-free scan, for the peak only.
    scan : ScanRecipe
        Noise and contrast, for detectability; voxel size, for what can be told apart.

    Returns
    -------
    LesionTruth
        Lengths mm.
    """
    piece, body = placed.piece, placed.body
    points = mineral_points(piece.paints)
    volume, mean_hu, centre = mineral_content(piece.paints)
    low, high = points.min(axis=0), points.max(axis=0)
    skin = surface_distance_mm(points, body.skin)
    fascia = body.fascia.distance(*points.T)
    bone = 0.0 if placed.recipe.layer is Layer.FUSED else min(near_distance_mm(b, points) for b in body.bones)
    fascia_mm = 0.0 if fascia.min() < 0 < fascia.max() else surface_distance_mm(points, body.fascia)
    peak = _peak_hu(rendering, number)
    around = -100.0 if fascia.min() > 0 else 55.0
    ratio = (peak - around) / max(scan.noise_hu, 0.1)
    return LesionTruth(
        pattern=placed.recipe.pattern,
        accepted_patterns=accepted_patterns(placed, scan),
        equivalent_patterns=equivalent_patterns(placed),
        centre_lps_mm=vector(centre),
        box_lps_mm=(vector(low), vector(high)),
        max_diameter_mm=max_diameter_mm(points),
        ap_mm=float(high[1] - low[1]),
        tr_mm=float(high[0] - low[0]),
        cc_mm=float(high[2] - low[2]),
        volume_mm3=volume,
        mean_hu=mean_hu,
        foci_count=piece.foci,
        is_scattered=placed.recipe.pattern in SCATTERED,
        skin_distance_mm=skin,
        fascia_distance_mm=fascia_mm,
        depth_class=depth_class(fascia, fascia_mm, bone),
        bone_relation=BoneRelation.CONTIGUOUS if bone <= 0 else BoneRelation.SEPARATE,
        bone_distance_mm=max(0.0, bone),
        mass_max_diameter_mm=None if piece.mass is None else max_diameter_mm(piece.mass.points),
        side=_side(float(centre[0]), body),
        features=piece.features,
        peak_hu=peak,
        contrast_to_noise=ratio,
        is_detectable=peak >= THRESHOLD_HU[scan.contrast] and ratio >= DETECTABLE_CONTRAST_TO_NOISE,
    )


def surface_distance_mm(points: Floats, tube: Tube) -> float:
    """Shortest distance (mm) from points to the surface of a tube.

    `points` has shape ``(n, 3)``, LPS mm. Coarse search over the surface, then a local search around the foot of each
    of the nearest points until the step is 0.02 mm.
    """
    bound = np.abs(tube.distance(*points.T))
    close = points[bound <= bound.min() * tube.slack + 0.5]
    close = close[:: max(1, len(close) // 600)]
    reach = float(bound.min()) * tube.slack + 4.0
    coarse = tube.points(float(close[:, 2].min()) - reach, float(close[:, 2].max()) + reach, 2.0)
    answer = cKDTree(coarse).query(close)
    gap, foot = np.asarray(answer[0]), np.asarray(answer[1])
    nearest = np.argsort(gap)[:120]
    return _refined_distance_mm(close[nearest], coarse[foot[nearest]], tube)


def _refined_distance_mm(points: Floats, feet: Floats, tube: Tube) -> float:
    """Smallest distance (mm) after walking each foot (shape ``(n, 3)``, LPS mm) along the surface of the tube."""
    cx, cy = tube.centre(feet[:, 2])
    angle, z = np.arctan2(feet[:, 1] - cy, feet[:, 0] - cx), feet[:, 2].copy()
    radius = np.hypot(feet[:, 0] - cx, feet[:, 1] - cy)
    steps = np.stack(np.meshgrid(np.arange(-3, 4), np.arange(-3, 4), indexing="ij"), axis=-1).reshape(-1, 2)
    best = np.inf
    for step_mm in (0.8, 0.3, 0.1, 0.05, 0.02):
        aa = angle[:, None] + steps[:, 0] * step_mm / radius[:, None]
        zz = z[:, None] + steps[:, 1] * step_mm
        mx, my = tube.centre(zz)
        r = tube.radius(wrapped(aa), zz)
        surface = np.stack((mx + r * np.cos(aa), my + r * np.sin(aa), zz), axis=-1)
        gap = np.linalg.norm(surface - points[:, None, :], axis=2)
        pick = gap.argmin(axis=1)
        rows = np.arange(len(points))
        angle, z = aa[rows, pick], zz[rows, pick]
        best = min(best, float(gap.min()))
    return best


def depth_class(fascia: Floats, fascia_mm: float, bone_mm: float) -> DepthClass:
    """Layer from signed distances to the fascia (shape ``(n,)``, mm, negative inside) and the distance to bone (mm)."""
    if fascia.min() < -0.5 and fascia.max() > 0.5:
        return DepthClass.CROSSES_FASCIA
    if fascia.min() <= 0 <= fascia.max() or fascia_mm < 0.5:
        return DepthClass.ABUTS_FASCIA
    if fascia.min() > 0:
        return DepthClass.SUBCUTANEOUS
    return DepthClass.JUXTACORTICAL if bone_mm < JUXTACORTICAL_MM else DepthClass.SUBFASCIAL


def accepted_patterns(placed: Placed, scan: ScanRecipe) -> tuple[str, ...]:
    """Other patterns that are right because the structure that tells them apart is finer than the voxels."""
    voxel = max(scan.pixel_mm, scan.spacing_mm, scan.slice_thickness_mm)
    pattern = placed.recipe.pattern
    if placed.recipe.layer is Layer.FUSED:
        return ("P07", "P09", "P30")
    if voxel <= 3.0 and placed.piece.finest_mm >= 1.5 * min(voxel, 1.5):
        return ("P30",) if pattern in {"P03", "P21"} else ()
    return ("P01", "P30") if pattern == "P09" else ("P09", "P30")


def equivalent_patterns(placed: Placed) -> tuple[str, ...]:
    """Other patterns that look the same on CT.

    Fine nets in the fat (P04, P18) differ by the patient; small nodules under the skin (P12, P19) by the part of the
    body; a clump in a node (P21) from a dystrophic focus (P09) by the station; a focus of 8 mm or less has too little
    surface to be told from a phlebolith (P01).
    """
    pattern, piece = placed.recipe.pattern, placed.piece
    same: dict[str, tuple[str, ...]] = {"P04": ("P18",), "P18": ("P04",), "P19": ("P12", "P01"), "P12": ("P19",)}
    if pattern == "P21" and "eggshell" not in piece.features:
        return ("P09",)
    if pattern == "P09":
        small = ("P01",) if placed.recipe.diameter_mm <= 8.0 else ()
        return (*small, "P19") if placed.recipe.layer is Layer.SUBCUTANEOUS else small
    return same.get(pattern, ())


def near_distance_mm(shape: Shape, points: Floats) -> float:
    """Shortest distance from points (shape ``(n, 3)``, LPS mm) to a solid, mm; its own bound divided by its slope."""
    bound = shape.distance(*points.T)
    if bound.min() <= 0:
        return 0.0
    close = points[np.argsort(bound)[:400]]
    step = 0.02
    slopes = [
        (shape.distance(*(close + step * axis).T) - shape.distance(*(close - step * axis).T)) / (2 * step)
        for axis in np.eye(3)
    ]
    slope = np.maximum(np.linalg.norm(slopes, axis=0), 0.2)
    return float((shape.distance(*close.T) / slope).min())


def _peak_hu(rendering: Rendering, number: int) -> float:
    listed = rendering.mineral_share[number]
    if not len(listed):
        return -1000.0
    i, j, k = listed[:, :3].astype(int).T
    return float(rendering.hu[i, j, k].max())


def _side(x_mm: float, body: Body) -> str:
    if body.is_trunk and abs(x_mm) < 10:
        return "midline"
    if body.is_trunk:
        return "left" if x_mm > 0 else "right"
    return body.side
