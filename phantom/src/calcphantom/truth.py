"""What is true of a phantom, from its analytic geometry and never from its voxels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from calcphantom.distances import near_distance_mm, surface_distance_mm
from calcphantom.piece import mineral_content, mineral_points
from calcphantom.place import Placed
from calcphantom.recipe import SCATTERED, Layer, PhantomRecipe, ScanRecipe
from calcphantom.render import Rendering
from calcphantom.scene import Body
from calcphantom.shapes import Floats, Shape, max_diameter_mm
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import Contrast
from calcreport.model.report import BoneRelation, DepthClass

Vector = tuple[float, float, float]

THRESHOLD_HU: Final = {Contrast.NONE: 200.0, Contrast.VENOUS: 300.0, Contrast.ARTERIAL: 800.0, Contrast.UNKNOWN: 300.0}
"""Density a deposit must reach somewhere to be called calcification: Agatston's 130 HU with a safe seed without
contrast; 300 HU in the venous and 800 HU in the arterial phase, above enhanced vessels."""
GROW_HU: Final = {**THRESHOLD_HU, Contrast.NONE: 130.0}
"""Density that voxels of a deposit reach: Agatston's 130 HU without contrast."""
WHOLE_VOXEL: Final = 0.99
SMALLEST_VOXELS: Final = 3
"""Fewer voxels are noise."""
SMALLEST_MM3: Final = 2.0
"""Smaller deposits are not reported."""
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
        Whether any detector could be asked to find it: without noise, its peak reaches the threshold of the contrast
        phase, at least 3 voxels and 2 mm3 of it reach the growth limit, and `contrast_to_noise` is at least 5.
    region, tissue : str
        Part of the body, and what the lesion lies in: ``"muscle"``, ``"subcutaneous fat"``, ``"vessel"`` …
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
    region: str
    tissue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentalTruth:
    """Mineral or foreign bodies of one structure that a report lists and does not call a lesion.

    Parameters
    ----------
    kind, structure : str
        As the report names them: ``"vascular"`` and ``"abdominal aorta"``.
    side : str
        ``"left"``, ``"right"`` or ``"midline"``.
    count : int
        Deposits within the scan.
    hu, largest_mm : float
        Density of the mineral, and the longest side of the largest deposit's box.
    box_lps_mm : tuple
        Lowest and highest corner around all of it, within the scan.
    """

    kind: str
    structure: str
    side: str
    count: int
    hu: float
    largest_mm: float
    box_lps_mm: tuple[Vector, Vector]


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
    incidentals : tuple[IncidentalTruth, ...]
        Calcified vessels, organs, cartilage; stones; what a report lists beside the lesions.
    """

    recipe: PhantomRecipe
    lesions: tuple[LesionTruth, ...]
    distractors: tuple[str, ...]
    spacing_mm: Vector
    tilt_deg: float
    noise_hu: float
    incidentals: tuple[IncidentalTruth, ...] = ()

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
    values = _mineral_hu(rendering, number, is_fused=placed.recipe.layer is Layer.FUSED)
    peak = float(values.max()) if len(values) else -1000.0
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
        is_detectable=is_detectable(values, scan=scan, voxel_mm3=rendering.voxel_volume_mm3, contrast_to_noise=ratio),
        region=placed.region,
        tissue=_tissue(placed, fascia),
    )


_TISSUES: Final = {"P01": "vessel", "P02": "vessel", "P03": "vessel", "P04": "vessel", "P15": "tendon", "P21": "node"}
"""What a pattern lies in wherever it lies."""


def _tissue(placed: Placed, fascia: Floats) -> str:
    """What a lesion lies in: by its pattern, by the place it was put into, or by its signed distances to the fascia."""
    if placed.recipe.pattern in _TISSUES:
        return _TISSUES[placed.recipe.pattern]
    if placed.recipe.layer is Layer.FUSED:
        return "bone surface"
    found = [p.tissue for p in placed.body.places if p.name == placed.recipe.site]
    return found[0] if found else "subcutaneous fat" if fascia.min() > 0 else "muscle"


def incidental_truths(bodies: tuple[Body, ...], geometry: VolumeGeometry) -> tuple[IncidentalTruth, ...]:
    """Sum up the incidental things that lie in the scan, one entry for each structure and side."""
    corners = geometry.lps_mm(np.array([[0, 0, 0], np.array(geometry.shape) - 1]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    listed: dict[tuple[str, str, str], list[tuple[Floats, float]]] = {}
    for body in bodies:
        for item in body.incidentals:
            for solid in _deposits(item.paint.shape):
                box = np.array([np.maximum(solid[0], low), np.minimum(solid[1], high)])
                if (box[1] > box[0]).all():
                    side = _side(float(box[:, 0].mean()), body)
                    listed.setdefault((item.kind, item.structure, side), []).append((box, item.paint.hu))
    return tuple(
        IncidentalTruth(
            kind=kind,
            structure=structure,
            side=side,
            count=len(boxes),
            hu=boxes[0][1],
            largest_mm=max(float((box[1] - box[0]).max()) for box, _ in boxes),
            box_lps_mm=(
                vector(np.min([box[0] for box, _ in boxes], axis=0)),
                vector(np.max([box[1] for box, _ in boxes], axis=0)),
            ),
        )
        for (kind, structure, side), boxes in listed.items()
    )


def _deposits(shape: Shape) -> list[Floats]:
    """Boxes of the separate deposits of a solid: parts whose boxes touch are one."""
    boxes = [part.box.copy() for part in shape.parts or (shape,)]
    done: list[Floats] = []
    while boxes:
        one = boxes.pop()
        touching = [b for b in boxes if ((b[0] <= one[1]) & (one[0] <= b[1])).all()]
        if touching:
            boxes = [b for b in boxes if not any(b is t for t in touching)]
            stack = np.array([one, *touching])
            boxes.append(np.array([stack[:, 0].min(axis=0), stack[:, 1].max(axis=0)]))
        else:
            done.append(one)
    return done


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


def _mineral_hu(rendering: Rendering, number: int, *, is_fused: bool) -> Floats:
    """HU of the voxels that hold mineral of a lesion, without noise, shape ``(n,)``.

    Of mineral fused with a cortex only the voxels it fills: those it shares with the bone are as dense as the bone.
    """
    listed = rendering.mineral_share[number]
    i, j, k = (listed[listed[:, 3] > WHOLE_VOXEL] if is_fused else listed)[:, :3].astype(int).T
    return np.asarray(rendering.hu[i, j, k], dtype=np.float64)


def is_detectable(values: Floats, *, scan: ScanRecipe, voxel_mm3: float, contrast_to_noise: float) -> bool:
    """Whether any detector could be asked to find a lesion of these voxels (HU; see `LesionTruth`)."""
    # A peak at the threshold itself is a coin toss: noise lifts it over or pulls it under.
    if not len(values) or values.max() < THRESHOLD_HU[scan.contrast] + scan.noise_hu:
        return False
    dense = int((values >= GROW_HU[scan.contrast]).sum())
    is_large = dense >= SMALLEST_VOXELS and dense * voxel_mm3 >= SMALLEST_MM3
    return is_large and contrast_to_noise >= DETECTABLE_CONTRAST_TO_NOISE


def _side(x_mm: float, body: Body) -> str:
    if body.is_trunk and abs(x_mm) < 10:
        return "midline"
    if body.is_trunk:
        return "left" if x_mm > 0 else "right"
    return body.side
