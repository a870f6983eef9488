"""The pattern a lesion shows, and how sure that is; "indeterminate" is an answer, and still says what is seen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import lru_cache
from operator import ge
from typing import Any, Final

import numpy as np

from calcreport.anatomy.arrays import Spacing
from calcreport.calcification.patterns.features import Features
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.pattern_table import PatternTable, read_table, rise, score_patterns
from calcreport.model.report import Confidence, DepthClass, Pattern, YesNo
from calcreport.model.terms import INDETERMINATE_PATTERN, PATTERN_LABELS
from calcreport.resources import packaged_text

REGIONS: Final = {
    "trunk": ("PELVIS", "HIP", "BUTTOCK", "GLUT", "ABDOMEN", "CHEST", "THORAX", "NECK", "HEAD", "GROIN"),
    "buttock": ("PELVIS", "HIP", "BUTTOCK", "GLUT"), "pelvic": ("PELVIS", "HIP"),
    "by_joint": ("HAND", "FINGER", "THUMB", "WRIST", "ELBOW", "KNEE", "ANKLE", "HEEL", "FOOT", "FEET", "TOE"),
}  # fmt: skip
"""Words of regions where deep fat is normal and nodes lie, injection granulomas, veins of the pelvic plexus, and little
but joints, in which urate and pyrophosphate settle."""
# How far a deposit lies beneath, and over, the fascia, by its depth class.
BENEATH: Final = {DepthClass.SUBFASCIAL: 1.0, DepthClass.JUXTACORTICAL: 1.0, DepthClass.CROSSES_FASCIA: 0.7,
                  DepthClass.ABUTS_FASCIA: 0.7}  # fmt: skip
OVER: Final = {DepthClass.SUBCUTANEOUS: 1.0, DepthClass.CUTANEOUS: 1.0, DepthClass.ABUTS_FASCIA: 1.0,
               DepthClass.CROSSES_FASCIA: 0.7}  # fmt: skip
# pixels across a lesion: unresolved at or below the first, resolved from the second on, as the next (proposal)
LESION_PIXELS: Final = (4.0, 8.0)
CENTRE_PIXELS: Final = (1.0, 3.0)  # pixels across the space within its wall
WALL_PIXELS: Final = (0.8, 2.0)  # pixels across its wall
SLICES: Final = (1.0, 3.0)  # slices through it


def pattern_values(f: Features, spacing: Spacing, region: str | None = None) -> dict[str, float]:
    """Values the table names, of one lesion: its features, what follows from them, and how well it is resolved."""
    row = {name: np.nan if value is None else value for name, value in f.as_row().items() if name != "layer"}
    part, longest = (region or "").upper(), max(f.longest_mm, 1e-6)
    beneath, over = BENEATH.get(f.layer, 0.0), OVER.get(f.layer, 0.0)
    pixel, largest = float(np.mean(spacing[1:])), f.largest_focus_mm
    slices = rise(largest / spacing[0] + 0.5, *SLICES)
    lesion = rise(largest / pixel, *LESION_PIXELS) * slices
    return {name: float(value) for name, value in row.items()} | {
        "bone_gap_mm": f.bone_gap_mm,
        "slenderness": f.width_mm / longest,
        "bulk": f.thickness_mm / longest,
        "plate": f.thickness_mm / max(f.width_mm, 1e-6),
        "fat_gain": f.near_fat - f.wide_fat,
        "deep_fat": f.near_fat * beneath,
        "beneath_fascia": beneath,
        "over_fascia": over,
        "by_fascia": float(f.layer in {DepthClass.CROSSES_FASCIA, DepthClass.ABUTS_FASCIA}),
        "superficial_foci": f.foci_count if over == 1.0 else 1.0,
        "resolved_lesion": lesion,
        "resolved_centre": lesion * rise((f.width_mm - 2 * f.wall_mm) / pixel, *CENTRE_PIXELS),
        "resolved_wall": rise(f.wall_mm / pixel, *WALL_PIXELS),
    } | {name: float(any(word in part for word in words) or (name == "buttock" and not part))
         for name, words in REGIONS.items()}  # fmt: skip


DERIVED: Final = frozenset({
    "slenderness", "bulk", "plate", "fat_gain", "deep_fat", "beneath_fascia", "over_fascia", "by_fascia",
    "superficial_foci", *REGIONS,
})  # fmt: skip
"""Values beside those of `Features` that a row may name."""
FEATURES: Final = DERIVED | {field.name for field in dataclasses.fields(Features)} - {"layer"}  # Values a row may name


def pattern_table(site: Mapping[str, Any] | None = None) -> PatternTable:
    """The table that travels with the software, and a site's own ``sign`` and ``pattern`` tables.

    Raises `RuleFileError` ``rules.invalid_patterns``.
    """
    return _table(json.dumps(site or {}, default=str))


@lru_cache(maxsize=4)
def _table(site: str) -> PatternTable:
    return read_table(packaged_text("calcification/patterns/ct.toml"), FEATURES, json.loads(site))


MIN_SCORE: Final = 0.1  # below this grade no pattern is claimed ...
MIN_JOINED: Final = 0.25  # ... nor of mineral joined to bone, which hides part of its shape, below this (proposal) ...
MIN_SEEN: Final = 0.45  # ... nor one of which less than this share of what it rests on is resolved
SURE: Final = ((Confidence.HIGH, (0.75, 0.4, 0.85)), (Confidence.MODERATE, (0.5, 0.4, 0.5)))
"""Grade, lead over the next pattern, and share of what it rests on that is resolved, which each confidence needs."""
RIM_SLICE_MM: Final = 3.0  # From this spacing of slices on the ends of a rim are blurred: no high confidence (proposal)
ALONG_FASCIA_MM: Final = 4.0  # Sheets this close to the investing fascia lie along it
FAR_FROM_FASCIA_MM: Final = 15.0
"""Farther from it than this a sheet is a shape without the place that would make it characteristic (proposal)."""
VESSEL_HU: Final = 5.0  # A plaque on a vessel that stands out less than this has a course, and is no more than possible
CLEFT_MM: Final = 2.5  # Mineral farther from the cortex than this has soft tissue in between
FEW_VOXELS: Final = 4.0
"""Below this many voxel diagonals across, shape is read with moderate confidence at most: low below half of them, and
where the table says that the pattern is never sure (proposal)."""
# Feature that a pattern read with at least moderate confidence stands for.
DEFINING: Final = {"P07": "trabeculated", "P13": "fluid_calcium_level", "P22": "chondroid", "P23": "centre_dense",
                   "P25": "fatty_mass"}  # fmt: skip
RIM_LEVEL: Final = 0.6  # A rim's centre stands out of the tissue around by less than this share of the rim (proposal)
COMPLETE: Final = 0.97
"""A rim is complete when every broad section shows it in this share of directions: gaps of 10 degrees at most."""


def read_pattern(
    features: Features,
    *,
    geometry: VolumeGeometry,
    slice_thickness_mm: float | None,
    region: str | None,
    table: PatternTable,
) -> Pattern:
    """Pattern of a lesion with its confidence; P30 when nothing fits, scores of the runners-up beside it.

    The larger of slice thickness and spacing counts; `region` is for the few patterns bound to a place.
    """
    thickest = max(geometry.spacing_mm[0], slice_thickness_mm or 0.0)
    values = pattern_values(features, (thickest, *geometry.spacing_mm[1:]), region)
    graded = score_patterns(values, table)
    seen = {name: float(share) for name, (_, share) in graded.items()}
    ranked = sorted(
        ((name, float(grade) * (seen[name] >= MIN_SEEN)) for name, (grade, _) in graded.items()),
        key=lambda item: -item[1],
    )
    best, score = ranked[0]
    found = (score, score - ranked[1][1], seen[best])
    confidence = next((level for level, least in SURE if all(map(ge, found, least))), Confidence.LOW)
    diagonals = features.largest_focus_mm / geometry.voxel_diagonal_mm
    to_fascia_mm, is_weak, is_sheet = features.to_fascia_mm, table.patterns[best].never_sure, best == "P11"
    is_along = to_fascia_mm is not None and to_fascia_mm <= ALONG_FASCIA_MM
    is_limited = diagonals < FEW_VOXELS or thickest > RIM_SLICE_MM or (is_sheet and not is_along) or is_weak
    if confidence is Confidence.HIGH and is_limited:
        confidence = Confidence.MODERATE
    caveats = []
    if diagonals < FEW_VOXELS / 2:
        caveats.append("Only a few voxels wide: the shape is not resolved.")
    elif seen[best] < SURE[0][1][2]:
        caveats.append("The voxels do not resolve all that the pattern rests on.")
    is_far = is_sheet and (to_fascia_mm or 0.0) > FAR_FROM_FASCIA_MM
    is_apart = features.is_vessel_chain and best != "P02"  # foci in a row that are no vessel may be several lesions
    is_unseen = best == "P03" and (features.vessel_hu or 0.0) < VESSEL_HU
    if diagonals < FEW_VOXELS / (1 if is_weak else 2) or is_far or is_apart or is_unseen:
        confidence = Confidence.LOW
    if score < (MIN_JOINED if features.bone_gap_mm == 0 else MIN_SCORE):
        best, confidence = INDETERMINATE_PATTERN, Confidence.LOW
    return Pattern(
        id=best,
        label=PATTERN_LABELS[best],
        confidence=confidence,
        scores={name: round(grade, 3) for name, grade in ranked[:5] if grade > 0},
        features=features.as_row() | _named_features(features, values, best, confidence),
        caveats=tuple(caveats),
    )


def _named_features(
    f: Features, values: dict[str, float], best: str, confidence: Confidence
) -> dict[str, float | int | bool | str | None]:
    """Features by the names a reader uses, each yes, no or unknown; unknown where the voxels cannot show them."""
    unknown, yes, no = YesNo.UNKNOWN.value, YesNo.YES.value, YesNo.NO.value
    names: dict[str, float | int | bool | str | None] = dict.fromkeys(
        ("rim_complete", "rim_incomplete", *DEFINING.values()), unknown
    )
    is_rim = False
    if f.centre_level is not None and f.shell_share is not None and values["resolved_centre"] == 1.0:
        is_rim = f.centre_level < RIM_LEVEL and f.shell_share > 0.3
        is_complete = (f.worst_coverage or 0.0) >= COMPLETE
        names["rim_complete"] = yes if is_rim and is_complete else no
        names["rim_incomplete"] = yes if is_rim and not is_complete else no
        names["centre_dense"] = no if is_rim else unknown
    if confidence is not Confidence.LOW and best in DEFINING:
        names[DEFINING[best]] = yes
    cleft = yes if f.bone_gap_mm > CLEFT_MM else no
    return names | {"cleft_to_cortex": cleft, "morphology": _morphology(f, values, is_rim=is_rim)}


SMALL_MM: Final = 10.0  # longest diameter of a small focus (proposal, as the next)
SLENDER: Final = 0.4  # width over length of a line
FLAT: Final = 0.4  # thickness over width of a sheet
LINE_MM: Final = 10.0  # length from which either is called so


def _morphology(f: Features, values: dict[str, float], *, is_rim: bool) -> str:
    """Plain shape, in the words of films: what is said when no pattern is characteristic."""
    if f.peak_count >= 3 or f.foci_count >= 3:
        return "clustered"
    if is_rim:
        return "rim"
    if f.longest_mm >= LINE_MM and values["slenderness"] <= SLENDER:
        return "linear"
    if f.longest_mm >= LINE_MM and values["plate"] <= FLAT:
        return "sheet-like"
    return "punctate" if f.longest_mm <= SMALL_MM else "amorphous"
