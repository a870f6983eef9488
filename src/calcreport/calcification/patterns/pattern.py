"""The pattern a lesion shows, read from named features with graded criteria.

Every pattern is a product of graded criteria between 0 and 1; nothing is learned, and every criterion can be read.
Criteria follow the radiological literature: phlebolith (Traubici, AJR 1999), myositis ossificans (Ital J Pediatr
2020, s13052-020-00874-9), calcific myonecrosis (Eur Radiol 2004), tumoral calcinosis (RadioGraphics 2006),
dermatomyositis calcinosis (Eurorad 8744), cysticercosis, chondroid matrix. "Indeterminate" is an answer.
"""

from __future__ import annotations

from typing import Final

from calcreport.calcification.patterns.criteria import is_along_fascia, score_patterns
from calcreport.calcification.patterns.features import Features
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import Confidence, Pattern, YesNo
from calcreport.model.terms import PATTERN_LABELS

LABELS: Final = PATTERN_LABELS

MIN_SCORE: Final = 0.35
"""Below this no pattern is claimed."""

HIGH_SCORE: Final = 0.75
HIGH_LEAD: Final = 0.2
MODERATE_SCORE: Final = 0.5
MODERATE_LEAD: Final = 0.08
"""Grade a pattern needs, and how far it must lead the next, to be read with high or moderate confidence."""

RIM_SLICE_MM: Final = 3.0
"""Slices thicker than this blur a rim and a lucent centre away (Traubici 1999: lost in 119 of 120 at 5 mm)."""

NEVER_SURE: Final = frozenset({"P03", "P06", "P09", "P21", "P25"})
"""Patterns never read with more than moderate confidence: what is left when nothing specific is seen (P09), and what
rests on the tissue around (a vein's stone looks like plaque, a small tumour like a node, some sarcomas like P06)."""

FINE_SLICE_MM: Final = 2.0
"""Slices thicker than this show a rim or a ring too coarsely for high confidence."""

CLEFT_MM: Final = 2.5
"""Mineral farther from the cortex than this has soft tissue in between."""

FEW_VOXELS: Final = 4.0
"""Below this many voxel diagonals across, shape is read with moderate confidence at most."""

FINE_PATTERNS: Final = frozenset({"P05", "P06", "P07", "P14", "P20", "P22", "P24", "P26", "P27"})
"""Patterns that rest on a rim, a ring, a margin, or on foci of a few millimetres."""


def read_pattern(
    features: Features, *, geometry: VolumeGeometry, slice_thickness_mm: float | None, region: str | None
) -> Pattern:
    """Pattern of a lesion with its confidence.

    Parameters
    ----------
    features : Features
        Of the lesion.
    geometry : VolumeGeometry
        For what the slices can resolve.
    slice_thickness_mm : float | None
        From the header; the larger of it and the spacing counts.
    region : str | None
        Body part, for the few patterns bound to a place.

    Returns
    -------
    Pattern
        P30 when nothing fits; scores of the runners-up beside it.
    """
    scores = score_patterns(features, region)
    ranked = [(k, v) for k, v in scores.items() if v > 0]
    best, confidence = _first_reading(ranked)
    if best == "P11" and confidence is Confidence.HIGH and not is_along_fascia(features):
        confidence = Confidence.MODERATE
    thickest = max(geometry.spacing_mm[0], slice_thickness_mm or 0.0)
    best, confidence, caveats = _within_resolution(
        best, confidence, features.largest_focus_mm / geometry.voxel_diagonal_mm, thickest
    )
    thick = thickest > RIM_SLICE_MM
    return Pattern(
        id=best,
        label=LABELS[best],
        confidence=confidence,
        scores=dict(ranked[:5]),
        features=features.as_row() | _named_features(features, best, confidence, thick=thick),
        caveats=caveats,
    )


def _first_reading(ranked: list[tuple[str, float]]) -> tuple[str, Confidence]:
    """Best pattern and how clearly it leads, from the grades alone."""
    best, score = ranked[0] if ranked else ("P30", 0.0)
    lead = score - (ranked[1][1] if len(ranked) > 1 else 0.0)
    if score < MIN_SCORE:
        return "P30", Confidence.LOW
    if score >= HIGH_SCORE and lead >= HIGH_LEAD:
        return best, Confidence.MODERATE if best in NEVER_SURE else Confidence.HIGH
    return best, Confidence.MODERATE if score >= MODERATE_SCORE and lead >= MODERATE_LEAD else Confidence.LOW


def _within_resolution(
    best: str, confidence: Confidence, diagonals: float, thickest_mm: float
) -> tuple[str, Confidence, tuple[str, ...]]:
    """What of a reading the voxels can bear: pattern, confidence, caveats.

    `diagonals` is the size of the largest focus in voxel diagonals, `thickest_mm` the slice.
    """
    caveats: list[str] = []
    is_coarse = diagonals < FEW_VOXELS or (best in FINE_PATTERNS and thickest_mm > FINE_SLICE_MM)
    if is_coarse and confidence is Confidence.HIGH:
        confidence = Confidence.MODERATE
    if diagonals < FEW_VOXELS / 2:
        confidence = Confidence.LOW
        caveats.append("Only a few voxels wide: the shape is not resolved.")
    if thickest_mm > RIM_SLICE_MM:
        caveats.insert(0, "Slices thicker than 3 mm: a rim or a lucent centre cannot be judged.")
        if best in FINE_PATTERNS:
            # What these patterns rest on is finer than the slices: naming one would be a guess.
            best, confidence = "P30", Confidence.LOW
        elif best not in ("P02", "P10", "P11") and confidence is Confidence.HIGH:
            confidence = Confidence.MODERATE
    if thickest_mm >= RIM_SLICE_MM and confidence is Confidence.LOW:
        best = "P30"
    return best, confidence, tuple(caveats)


COMPLETE: Final = 0.97
"""A rim is complete when every broad section shows it in this share of directions: gaps of 10 degrees at most."""


def _named_features(
    f: Features, best: str, confidence: Confidence, *, thick: bool
) -> dict[str, float | int | bool | str | None]:
    """Features by the names a reader uses, each yes, no or unknown; unknown where the slices cannot show them."""
    unknown, yes, no = YesNo.UNKNOWN.value, YesNo.YES.value, YesNo.NO.value
    is_sure = confidence is not Confidence.LOW
    names = dict.fromkeys(
        ("rim_complete", "rim_incomplete", "cleft_to_cortex", "trabeculated", "fluid_calcium_level", "centre_dense",
         "chondroid", "fatty_mass"), unknown,
    )  # fmt: skip
    if f.core_share is not None and f.coverage is not None and f.shell_share is not None and not thick:
        is_rim = f.core_share < 0.3 and f.shell_share > 0.3
        names["rim_complete"] = yes if is_rim and (f.worst_coverage or 0.0) >= COMPLETE else no
        names["rim_incomplete"] = yes if is_rim and (f.worst_coverage or 0.0) < COMPLETE else no
        if is_rim:
            names["centre_dense"] = no
    if best == "P23" and is_sure:
        names["centre_dense"] = yes
    if f.bone_gap_mm > CLEFT_MM:
        names["cleft_to_cortex"] = yes
    else:
        names["cleft_to_cortex"] = no
    for name, pattern in (
        ("trabeculated", "P07"), ("fluid_calcium_level", "P13"), ("chondroid", "P22"), ("fatty_mass", "P25")
    ):  # fmt: skip
        if best == pattern and is_sure:
            names[name] = yes
    return dict(names)
