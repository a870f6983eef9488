"""Compare what was found with what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.recipe import Layer
from calcphantom.shapes import Floats
from calcphantom.truth import IncidentalTruth, LesionTruth, Truth, threshold_hu
from calcreport.model.lesion import CtFindings, MeasuredLesion
from calcreport.model.report import BoneRelation, Concern, Confidence, DepthClass, Lesion, Report

Found = MeasuredLesion | Lesion

SMALLEST_MM: Final = 4.0
"""Lesions below this need not be found."""
DEEP: Final = frozenset({DepthClass.SUBFASCIAL, DepthClass.JUXTACORTICAL, DepthClass.CROSSES_FASCIA})
"""Classes that mean deep."""
JOINING_PIXELS: Final = 1.5
JOINING_SLICES: Final = 0.75
"""A gap to bone below this many pixels, or this share of a slice, is smeared shut: the mineral joins the bone in the
image. Such lesions are counted apart."""

SUPERFICIAL: Final = frozenset({DepthClass.CUTANEOUS, DepthClass.SUBCUTANEOUS})
"""Classes that mean superficial."""
_MATCH_MARGIN_MM: Final = 2.0
_FAR_TOO_LARGE: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionScore:
    """One true lesion and what became of it; errors are measured minus true, mm; ``None`` when not measured.

    Parameters
    ----------
    truth : LesionTruth
        What is true.
    is_fused : bool
        Continuous with bone: judged by its bone relation only.
    is_joined : bool
        Separate from bone, but by less than the voxels can show.
    is_required : bool
        Large enough, detectable, and not joined to bone by the voxels.
    is_found : bool
        Something was reported in its place.
    parts : int
        How many reported lesions lie in its place; 1 is right.
    diameter_error_mm, skin_error_mm : float | None
        Longest diameter, distance to the skin.
    uncertainty_mm : float | None
        Half-width of the 95 % interval stated with the longest diameter; ``None`` where none is stated, and where the
        deposit runs out of the scan.
    is_depth_right : bool | None
        Deep or superficial; touching the fascia passes as deep, and as superficial when true fat is thinner than a
        voxel.
    depth, pattern, confidence : str
        As reported; empty when not found.
    is_pattern_right : bool | None
        The true pattern, or one that cannot be told from it at this voxel size.
    is_wrong_and_confident : bool
        High confidence in another pattern, even one that cannot be told from the true one at this voxel size.
    is_relation_right : bool | None
        Continuous with bone or not.
    voxel_diagonal_mm, spacing_mm : float
        Of the scan.
    """

    truth: LesionTruth
    is_fused: bool
    is_joined: bool
    is_required: bool
    is_found: bool
    parts: int = 0
    diameter_error_mm: float | None = None
    skin_error_mm: float | None = None
    uncertainty_mm: float | None = None
    is_depth_right: bool | None = None
    depth: str = ""
    pattern: str = ""
    confidence: str = ""
    is_pattern_right: bool | None = None
    is_wrong_and_confident: bool = False
    is_relation_right: bool | None = None
    voxel_diagonal_mm: float
    spacing_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyScore:
    """Scores of a study's lesions, and the lesions reported where nothing is.

    Parameters
    ----------
    seed : int
        Seed of the recipe.
    lesions : tuple[LesionScore, ...]
        In the order of the truth.
    false : tuple[str, ...]
        One sentence for each invented lesion: place, size, pattern.
    incidentals : tuple[IncidentalScore, ...]
        Of a report: what it made of calcified vessels, organs, cartilage.
    is_alert : bool
        Of a report: it names a concern, though nothing suspicious was put in.
    """

    seed: int
    lesions: tuple[LesionScore, ...]
    false: tuple[str, ...]
    incidentals: tuple[IncidentalScore, ...] = ()
    is_alert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentalScore:
    """One structure with incidental mineral, and what the report made of it.

    Parameters
    ----------
    truth : IncidentalTruth
        What is true.
    is_required : bool
        Large and dense enough to be asked for.
    is_listed : bool
        Listed among the incidental findings, with the right kind.
    is_lesion : bool
        Reported as a lesion.
    """

    truth: IncidentalTruth
    is_required: bool
    is_listed: bool
    is_lesion: bool


def score_study(findings: CtFindings | Report, truth: Truth, *, voxel_diagonal_mm: float) -> StudyScore:
    """Match the reported lesions of one study with the true ones and measure the errors.

    Parameters
    ----------
    findings : CtFindings | Report
        What was found, LPS mm.
    truth : Truth
        What is true, LPS mm.
    voxel_diagonal_mm : float
        Space diagonal of a voxel, mm: margin of matching and yardstick of errors.

    Returns
    -------
    StudyScore
        One score a true lesion.
    """
    margin = voxel_diagonal_mm + _MATCH_MARGIN_MM
    matched: dict[int, list[Found]] = {n: [] for n in range(len(truth.lesions))}
    false = []
    for found in findings.lesions:
        number = _best_match(found, truth.lesions, margin)
        if number is None:
            false.append(_sentence(found) + _struck(found, truth))
        else:
            matched[number].append(found)
    return StudyScore(
        seed=truth.recipe.seed,
        lesions=tuple(
            _score(lesion, matched[n], truth, n, voxel_diagonal_mm) for n, lesion in enumerate(truth.lesions)
        ),
        false=tuple(false),
        incidentals=_score_incidentals(findings, truth, margin),
        is_alert=isinstance(findings, Report) and findings.concern in _CONCERNS and not truth.lesions,
    )


_CONCERNS: Final = frozenset({Concern.HIGH, Concern.FLAGGED})
_LISTED_MM: Final = 3.0
"""Smaller incidental deposits need not be listed."""


def _struck(found: Found, truth: Truth) -> str:
    """Name the incidental structure that an invented lesion is: the one that most of its box lies in."""
    box = _box(found)
    shares = [] if box is None else [(_share_in(box, np.asarray(t.box_lps_mm)), t) for t in truth.incidentals]
    share, item = max(shares, key=lambda pair: pair[0], default=(0.0, None))
    return f", on {item.kind} {item.structure}" if item is not None and share > 0.5 else ""


def _share_in(box: Floats, other: Floats) -> float:
    """Share of a box that lies in another that is larger by 1 mm all around."""
    overlap = np.minimum(box[1], other[1] + 1.0) - np.maximum(box[0], other[0] - 1.0)
    return float(np.prod(np.clip(overlap / np.maximum(box[1] - box[0], 1e-3), 0.0, 1.0)))


def _touches(box: Floats, other: Floats, margin_mm: float) -> bool:
    return bool((box[0] <= other[1] + margin_mm).all() and (other[0] - margin_mm <= box[1]).all())


def _score_incidentals(findings: CtFindings | Report, truth: Truth, margin_mm: float) -> tuple[IncidentalScore, ...]:
    listed = [
        (str(item.kind), np.asarray(item.bbox_lps_mm, dtype=np.float64))
        for item in getattr(findings, "incidental", ()) or ()
        if item.bbox_lps_mm is not None
    ]
    boxes = [box for box in map(_box, findings.lesions) if box is not None]
    scores = []
    for item in truth.incidentals:
        place = np.asarray(item.box_lps_mm)
        limit = threshold_hu(truth.recipe, is_vascular=item.kind in {"vascular", "valve"})
        smallest = max(_LISTED_MM, 1.5 * truth.recipe.scan.slice_thickness_mm)
        scores.append(
            IncidentalScore(
                truth=item,
                is_required=item.largest_mm >= smallest and item.hu > 1.2 * (limit + truth.noise_hu),
                is_listed=any(kind == item.kind and _touches(box, place, margin_mm) for kind, box in listed),
                is_lesion=any(
                    (place[0] - margin_mm <= box[0]).all() and (box[1] <= place[1] + margin_mm).all() for box in boxes
                ),
            )
        )
    return tuple(scores)


def _box(found: Found) -> Floats | None:
    box = found.location.bbox_lps_mm
    return None if box is None else np.asarray(box, dtype=np.float64)


def _best_match(found: Found, lesions: tuple[LesionTruth, ...], margin_mm: float) -> int | None:
    """Return the true lesion whose box holds most of the reported one's, unless it is far too large to be it."""
    box = _box(found)
    if box is None:
        return None
    best, best_share = None, 0.0
    for number, lesion in enumerate(lesions):
        true = np.asarray(lesion.box_lps_mm) + np.array([[-margin_mm], [margin_mm]])
        overlap = np.minimum(box[1], true[1]) - np.maximum(box[0], true[0])
        if (overlap <= 0).any():
            continue
        share = float(np.prod(overlap / np.maximum(box[1] - box[0], 1e-3)))
        size = found.size.max_diameter_mm or 0.0
        if share > best_share and size <= _FAR_TOO_LARGE * lesion.max_diameter_mm + 2 * margin_mm:
            best, best_share = number, share
    return best if best_share > 0.1 else None


def _sentence(found: Found) -> str:
    centre = found.location.centroid_lps_mm or (float("nan"),) * 3
    place = ", ".join(f"{v:.0f}" for v in centre)
    return f"({place}) mm, {found.size.max_diameter_mm or 0:.1f} mm, {found.pattern.id}, {found.depth.class_.value}"


def _score(lesion: LesionTruth, parts: list[Found], truth: Truth, number: int, diagonal_mm: float) -> LesionScore:
    fused = truth.recipe.lesions[number].layer is Layer.FUSED
    spacing = max(truth.spacing_mm[0], truth.recipe.scan.slice_thickness_mm)
    joined = not fused and lesion.bone_distance_mm < max(JOINING_SLICES * spacing, JOINING_PIXELS * truth.spacing_mm[1])
    required = lesion.is_detectable and lesion.max_diameter_mm >= SMALLEST_MM and not joined
    if not parts:
        return LesionScore(
            truth=lesion,
            is_fused=fused,
            is_joined=joined,
            is_required=required,
            is_found=False,
            voxel_diagonal_mm=diagonal_mm,
            spacing_mm=spacing,
        )
    found = max(parts, key=lambda part: part.size.max_diameter_mm or 0.0)
    same = found.pattern.id in (lesion.pattern, *lesion.equivalent_patterns)
    right = same or found.pattern.id in lesion.accepted_patterns
    contiguous = found.bone_relation is BoneRelation.CONTIGUOUS
    return LesionScore(
        truth=lesion,
        is_fused=fused,
        is_joined=joined,
        is_required=required,
        is_found=True,
        parts=len(parts),
        diameter_error_mm=_difference(found.size.max_diameter_mm, lesion.max_diameter_mm),
        uncertainty_mm=None if found.size.is_minimum else found.size.uncertainty_mm,
        skin_error_mm=_difference(found.depth.skin_distance_mm, lesion.skin_distance_mm),
        is_depth_right=depth_is_right(found.depth.class_, lesion, diagonal_mm),
        depth=found.depth.class_.value,
        pattern=found.pattern.id,
        confidence=found.pattern.confidence.value,
        is_pattern_right=right,
        is_wrong_and_confident=not same and found.pattern.confidence is Confidence.HIGH,
        is_relation_right=contiguous == (lesion.bone_relation is BoneRelation.CONTIGUOUS),
        voxel_diagonal_mm=diagonal_mm,
        spacing_mm=spacing,
    )


def _difference(measured: float | None, true: float) -> float | None:
    return None if measured is None else measured - true


def depth_is_right(found: DepthClass, lesion: LesionTruth, diagonal_mm: float) -> bool:
    """Whether deep was called deep, superficial superficial, and touching neither (see `LesionScore`).

    `diagonal_mm` is the voxel diagonal, mm: fat or muscle thinner than that between lesion and fascia cannot be seen.
    """
    close = lesion.fascia_distance_mm < diagonal_mm
    if found is DepthClass.ABUTS_FASCIA:
        return close or lesion.depth_class is DepthClass.ABUTS_FASCIA
    if lesion.depth_class is DepthClass.ABUTS_FASCIA:
        return found in DEEP
    return found in (DEEP if lesion.depth_class in DEEP else SUPERFICIAL)
