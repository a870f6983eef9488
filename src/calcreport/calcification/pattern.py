"""The pattern a lesion shows, read from named features with graded criteria.

Every pattern is a product of graded criteria between 0 and 1; nothing is learned, and every criterion can be read.
Criteria follow the radiological literature: phlebolith (Traubici, AJR 1999), myositis ossificans (Ital J Pediatr
2020, s13052-020-00874-9), calcific myonecrosis (Eur Radiol 2004), tumoral calcinosis (RadioGraphics 2006),
dermatomyositis calcinosis (Eurorad 8744), cysticercosis, chondroid matrix. "Indeterminate" is an answer.
"""

from __future__ import annotations

from typing import Final

from calcreport.calcification.features import Features
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import Confidence, DepthClass, Pattern, YesNo

LABELS: Final = {
    "P01": "phlebolith",
    "P02": "tram-track arterial calcification",
    "P03": "arterial plaque",
    "P04": "fine net-like subcutaneous calcification",
    "P05": "zonal peripheral rim in muscle",
    "P06": "faint non-zonal mineral in muscle",
    "P07": "mature ossification with cortex and trabeculae",
    "P08": "multifocal bars and plates of bone",
    "P09": "amorphous focal deposit",
    "P10": "plate-like peripheral shell of a whole muscle",
    "P11": "sheet-like calcification along fascia",
    "P12": "nodular subcutaneous deposits",
    "P13": "lobulated deposit with fluid-calcium levels",
    "P14": "fine speckled calcification",
    "P15": "homogeneous ovoid tendon-like deposit",
    "P18": "reticular subcutaneous calcification",
    "P19": "small well-defined subcutaneous nodule",
    "P20": "rice-grain foci along muscle fibres",
    "P21": "nodal calcification",
    "P22": "rings-and-arcs (chondroid) mineral",
    "P23": "centre-dense cloud-like mineral",
    "P24": "stippled eccentric mineral",
    "P25": "mineral inside a fatty mass",
    "P26": "incomplete peripheral shell, subcutaneous",
    "P27": "thin rim around fluid or fat",
    "P30": "indeterminate",
}

MIN_SCORE: Final = 0.35
"""Below this no pattern is claimed."""

HIGH_SCORE: Final = 0.75
HIGH_LEAD: Final = 0.2
MODERATE_SCORE: Final = 0.5
MODERATE_LEAD: Final = 0.08
"""Grade a pattern needs, and how far it must lead the next, to be read with high or moderate confidence."""

RIM_SLICE_MM: Final = 3.0
"""Slices thicker than this blur a rim and a lucent centre away (Traubici 1999: lost in 119 of 120 at 5 mm)."""

BUTTOCK_WORDS: Final = ("PELVIS", "HIP", "BUTTOCK", "GLUT")
"""Where injection granulomas lie."""

TRUNK_WORDS: Final = (*BUTTOCK_WORDS, "ABDOMEN", "CHEST", "THORAX", "NECK", "HEAD")
"""Where deep fat is normal, and so no sign of a fatty mass; nodes lie here too."""

CLEFT_MM: Final = 2.5
"""Mineral farther from the cortex than this has soft tissue in between."""

ALONG_FASCIA_MM: Final = 4.0

FEW_VOXELS: Final = 4.0
"""Below this many voxel diagonals across, shape is read with moderate confidence at most."""

FINE_PATTERNS: Final = frozenset({"P05", "P06", "P07", "P14", "P20", "P22", "P24", "P26", "P27"})
"""Patterns that rest on a rim, a ring, a margin, or on foci of a few millimetres."""

DEEP: Final = frozenset({DepthClass.SUBFASCIAL, DepthClass.JUXTACORTICAL})
SUPERFICIAL: Final = frozenset({DepthClass.SUBCUTANEOUS, DepthClass.CUTANEOUS, DepthClass.ABUTS_FASCIA})


def rising(value: float | None, low: float, high: float) -> float:
    """0 at or below `low`, 1 at or above `high`, straight between; 0 when unknown."""
    if value is None:
        return 0.0
    return min(1.0, max(0.0, (value - low) / (high - low)))


def falling(value: float | None, low: float, high: float) -> float:
    """1 at or below `low`, 0 at or above `high`; 0 when unknown."""
    return 0.0 if value is None else 1.0 - rising(value, low, high)


def _all(*grades: float) -> float:
    """Every criterion must hold: geometric mean, zero when any is zero."""
    product = 1.0
    for grade in grades:
        product *= grade
    return float(product ** (1.0 / len(grades)))


def score_patterns(f: Features, region: str | None = None) -> dict[str, float]:
    """Grade of each pattern, 0 to 1.

    Parameters
    ----------
    f : Features
        Of one lesion.
    region : str | None
        Body part, for the few patterns bound to a place.
    """
    part = (region or "").upper()
    is_trunk = any(word in part for word in TRUNK_WORDS)
    at_buttock = 1.0 if not part or any(word in part for word in BUTTOCK_WORDS) else 0.5
    deep = 1.0 if f.layer in DEEP else 0.5 if f.layer in (DepthClass.CROSSES_FASCIA, DepthClass.ABUTS_FASCIA) else 0.0
    superficial = 1.0 if f.layer in SUPERFICIAL else 0.5 if f.layer is DepthClass.CROSSES_FASCIA else 0.0
    single = 1.0 if f.foci_count == 1 else 0.6 if f.foci_count == 2 else 0.3
    hollow = falling(f.core_share, 0.15, 0.5)
    rim = _all(hollow, rising(f.shell_share, 0.2, 0.45))
    solid = rising(f.core_share, 0.55, 0.85) if f.core_share is not None else 1.0
    round_focus = _all(
        rising(f.sphericity, 0.35, 0.6), rising(f.smoothness, 0.6, 0.8), falling(f.focus_elongation, 1.5, 2.2)
    )
    ovoid = _all(
        solid, rising(f.smoothness, 0.72, 0.86), falling(f.variation, 0.12, 0.25), rising(f.focus_elongation, 1.3, 1.6)
    )
    globular = rising(f.thickness_mm / max(f.longest_mm, 1e-6), 0.3, 0.5)
    net = _all(
        falling(f.fill, 0.1, 0.3),
        falling(f.projected_fill, 0.5, 0.75),
        rising(f.longest_mm, 12, 20),
        rising(f.width_mm, 8, 14),
    )
    soft_core = _all(rising(f.core_hu, 35, 55), falling(f.core_hu, 130, 220)) if f.core_hu is not None else 0.0
    tube = _all(
        1.0 if f.is_vessel_chain else 0.0,
        rising(f.longest_mm, 25, 40),
        falling(f.width_mm / max(f.longest_mm, 1e-6), 0.25, 0.45),
    )
    centred = _all(rising(f.centre_gain, 1.05, 1.25), rising(f.core_share, 0.35, 0.6))
    faint = deep * falling(f.mean_hu, 220, 330) * rising(f.longest_mm, 12, 20)
    within = {DepthClass.CROSSES_FASCIA: 0.5, DepthClass.ABUTS_FASCIA: 0.3}.get(f.layer, deep)
    fat_around = max(
        _all(rising(f.wide_fat, 0.45, 0.7), rising(f.near_fat, 0.15, 0.4)),
        _all(rising(f.near_fat, 0.5, 0.8), rising(f.longest_mm, 9, 13)),
    )
    in_fat = within * _all(fat_around, rising(f.longest_mm, 6, 10), single) * (0.6 if is_trunk else 1.0)
    levels = _all(rising(f.level_share, 0.12, 0.3), rising(f.longest_mm, 18, 30))
    scores = {
        "P01": _all(round_focus, falling(f.largest_focus_mm, 10.0, 15.0), falling(f.foci_count, 8, 14), max(deep, 0.75),
                    rising(f.peak_hu, 200, 300)),
        "P02": tube * max(0.75, rising(f.tube_share, 0.1, 0.3), rising(f.ring_share, 0.1, 0.3)),
        "P04": _all(superficial, falling(f.wall_mm, 1.5, 2.1), net),
        "P05": _all(rim, deep, rising(f.coverage, 0.6, 0.9), soft_core, rising(f.longest_mm, 8, 14),
                    falling(f.longest_mm, 75, 110)) * (1 - 0.8 * tube),
        "P06": _all(deep, falling(f.mean_hu, 220, 330), falling(f.wide_fat, 0.3, 0.6), rising(f.longest_mm, 12, 20),
                    rising(f.width_mm, 6, 12), falling(f.centre_gain, 1.15, 1.4)) * (1 - 0.8 * tube),
        "P07": _all(rim, rising(f.coverage, 0.6, 0.9), _marrow(f), rising(f.peak_hu, 500, 800), deep),
        "P09": _all(solid, single, 1 - 0.7 * ovoid, rising(f.fill, 0.3, 0.5), falling(f.longest_mm, 60, 110),
                    falling(f.centre_gain, 1.15, 1.35) if f.centre_gain is not None else 1.0)
               * (1 - 0.6 * round_focus * falling(f.largest_focus_mm, 9,
                   14)) * (1 - 0.4 * faint) * (1 - 0.6 * in_fat) * (1 - 0.8 * tube) * (1 - 0.5 * levels),
        "P10": _all(hollow, rising(f.coverage, 0.4, 0.7), rising(f.longest_mm, 70, 95), deep,
                    _all(rising(f.core_hu, 0, 12), falling(f.core_hu, 60, 110)), falling(f.wall_mm, 5, 8))
               * (1 - 0.6 * falling(f.to_fascia_mm, 2.5, 5.0)),
        "P11": _all(falling(f.wall_mm, 4.0, 6.5), rising(f.longest_mm, 20, 32), rising(f.width_mm, 12, 22),
                    falling(f.fill, 0.3, 0.6), rising(f.focus_size_mm, 12, 24), _sheet_layer(f),
                    rising(f.projected_fill, 0.45, 0.65)) * (1 - 0.6 * rim * rising(f.coverage, 0.5, 0.7)),
        "P12": _all(superficial, rising(f.foci_count, 1, 2), falling(f.focus_size_mm, 8, 13), falling(f.foci_count,
                    12, 20),
                    rising(f.wall_mm, 1.4, 2.4), falling(f.longest_mm, 40, 60)),
        "P13": levels,
        "P14": _all(rising(f.foci_count, 8, 14), falling(f.focus_size_mm, 3.5, 5.5), falling(f.fill, 0.05, 0.15)),
        "P15": _all(deep, single, ovoid, rising(f.longest_mm, 8, 11), falling(f.longest_mm, 35, 50)),
        "P18": _all(superficial, rising(f.wall_mm, 1.5, 2.1), falling(f.wall_mm, 2.8, 4.0), net),
        "P19": _all(superficial, at_buttock, single, falling(f.longest_mm, 12, 20), rising(f.smoothness, 0.6, 0.8),
                    rising(f.sphericity, 0.3, 0.5)),
        "P20": _all(deep, rising(f.foci_count, 3, 4.5), rising(f.focus_elongation, 1.4, 1.9),
                    rising(f.focus_alignment, 0.5, 0.8),
                    falling(f.largest_focus_mm, 12, 23)) * (1 - 0.6 * tube),
        "P21": _all(1.0 if is_trunk else 0.0, deep, single, rising(f.longest_mm, 4, 7), falling(f.longest_mm, 25, 35),
                    rising(f.near_fat, 0.2, 0.5), rising(f.fill, 0.4, 0.6))
               * 0.9 * (1 - 0.6 * round_focus * falling(f.largest_focus_mm, 8, 12)),
        "P22": _all(rising(f.foci_count, 1, 2), falling(f.fill, 0.3, 0.6), rising(f.wall_mm, 0.8, 1.4),
                    falling(f.wall_mm, 3.5, 5.0),
                    rising(f.focus_size_mm, 3.0, 5.0), falling(f.focus_size_mm, 10, 16), falling(f.focus_alignment,
                    0.6, 0.9))
               * (0.6 + 0.4 * rising(f.ring_share, 0.04, 0.15)),
        "P23": _all(centred, falling(f.wide_fat, 0.4, 0.7), rising(f.longest_mm, 10, 18), rising(f.variation, 0.15,
                    0.25)),
        "P24": _all(rising(f.foci_count, 3, 6), falling(f.focus_size_mm, 5, 8), falling(f.foci_count, 20, 30),
                    falling(f.focus_elongation, 1.6, 2.2), falling(f.fill, 0.15, 0.35), deep),
        "P25": in_fat,
        "P26": _all(superficial, rim, rising(f.coverage, 0.4, 0.6), globular,
                    _all(rising(f.core_hu, 20, 40), falling(f.core_hu, 110, 200)), rising(f.longest_mm, 8, 12)),
        "P27": _all(rim, rising(f.coverage, 0.6, 0.9), max(falling(f.core_hu, 28, 42), falling(f.core_hu, -50, -20)),
                    falling(f.core_tail_hu, 50, 120), falling(f.mean_hu, 700, 950), falling(f.wall_mm, 3.5, 5.5),
                    falling(f.longest_mm, 80, 120)),
    }  # fmt: skip
    return {k: round(v, 3) for k, v in sorted(scores.items(), key=lambda item: -item[1])}


def _marrow(f: Features) -> float:
    """Fat between trabeculae: a core of uneven density whose middle is fatty."""
    if f.core_hu is None:
        return 0.0
    return _all(rising(f.core_tail_hu, 25, 80), falling(f.core_hu, 120, 320))


def is_along_fascia(f: Features) -> bool:
    """Whether the mineral lies along the investing fascia, where sheets are at home."""
    return f.to_fascia_mm is not None and f.to_fascia_mm <= ALONG_FASCIA_MM


def _sheet_layer(f: Features) -> float:
    """Sheets lie along the fascia or in the fat over it."""
    return max(falling(f.to_fascia_mm, 3.0, 7.0), 0.8 if f.layer is DepthClass.SUBCUTANEOUS else 0.4)


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
        # What is left when nothing specific is seen, or rests on the fat around, is never more than moderately sure.
        return best, Confidence.MODERATE if best in ("P09", "P25") else Confidence.HIGH
    return best, Confidence.MODERATE if score >= MODERATE_SCORE and lead >= MODERATE_LEAD else Confidence.LOW


def _within_resolution(
    best: str, confidence: Confidence, diagonals: float, thickest_mm: float
) -> tuple[str, Confidence, tuple[str, ...]]:
    """What of a reading the voxels can bear: pattern, confidence, caveats.

    `diagonals` is the size of the largest focus in voxel diagonals, `thickest_mm` the slice.
    """
    caveats: list[str] = []
    if diagonals < FEW_VOXELS and confidence is Confidence.HIGH:
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
