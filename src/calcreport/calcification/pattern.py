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
from calcreport.model.report import Confidence, DepthClass, Pattern

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

RIM_SLICE_MM: Final = 3.0
"""Slices thicker than this blur a rim and a lucent centre away (Traubici 1999: lost in 119 of 120 at 5 mm)."""

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


def score_patterns(f: Features) -> dict[str, float]:
    """Grade of each pattern, 0 to 1.

    Parameters
    ----------
    f : Features
        Of one lesion.
    """
    deep = 1.0 if f.layer in DEEP else 0.5 if f.layer in (DepthClass.CROSSES_FASCIA, DepthClass.ABUTS_FASCIA) else 0.0
    superficial = 1.0 if f.layer in SUPERFICIAL else 0.5 if f.layer is DepthClass.CROSSES_FASCIA else 0.0
    single = 1.0 if f.foci_count == 1 else 0.7 if f.foci_count == 2 else 0.3
    few_or_many = rising(f.foci_count, 1, 3)
    hollow = falling(f.core_share, 0.15, 0.5)
    rim = _all(hollow, rising(f.shell_share, 0.2, 0.45))
    solid = rising(f.core_share, 0.55, 0.85) if f.core_share is not None else 1.0
    small_round = _all(rising(f.sphericity, 0.35, 0.6), rising(f.smoothness, 0.6, 0.8), falling(f.focus_elongation, 1.5, 2.2))
    soft_core = _all(rising(f.core_hu, 35, 55), falling(f.core_hu, 130, 220)) if f.core_hu is not None else 0.0
    scores = {
        "P01": _all(small_round, falling(f.largest_focus_mm, 10.0, 15.0), falling(f.foci_count, 8, 14), deep,
                    rising(f.peak_hu, 200, 300)),
        "P02": _all(1.0 if f.is_vessel_chain else 0.0, rising(f.longest_mm, 25, 40),
                    max(0.45, rising(f.tube_share, 0.2, 0.5))),
        "P04": _all(superficial, falling(f.wall_mm, 1.6, 2.6), rising(f.longest_mm, 12, 20), falling(f.fill, 0.08, 0.25),
                    rising(f.width_mm, 8, 14)),
        "P05": _all(rim, deep, rising(f.coverage, 0.6, 0.9), soft_core, rising(f.longest_mm, 8, 14),
                    falling(f.longest_mm, 90, 130)),
        "P06": _all(deep, falling(f.mean_hu, 220, 330), falling(f.wide_fat, 0.3, 0.6), rising(f.longest_mm, 12, 20),
                    max(rising(f.core_share, 0.2, 0.4), 0.3), falling(f.centre_gain, 1.15, 1.4)),
        "P07": _all(rim, rising(f.coverage, 0.6, 0.9), _marrow(f), rising(f.peak_hu, 500, 800), deep),
        "P09": _all(solid, single, falling(small_round, 0.75, 1.0) if f.largest_focus_mm < 10 else 1.0,
                    falling(f.smoothness, 0.8, 0.95), rising(f.variation, 0.1, 0.2), falling(f.longest_mm, 60, 110)),
        "P10": _all(hollow, rising(f.coverage, 0.4, 0.7), rising(f.longest_mm, 70, 100), deep,
                    _all(rising(f.core_hu, 0, 12), falling(f.core_hu, 60, 110)), falling(f.wall_mm, 5, 8)),
        "P11": _all(falling(f.wall_mm, 4.0, 6.5), rising(f.longest_mm, 20, 32), rising(f.width_mm, 12, 22),
                    falling(f.fill, 0.3, 0.6), rising(f.focus_size_mm, 12, 24), _sheet_layer(f)),
        "P12": _all(superficial, few_or_many, falling(f.focus_size_mm, 8, 13), falling(f.foci_count, 12, 20),
                    rising(f.wall_mm, 1.4, 2.4)),
        "P13": _all(rising(f.level_share, 0.12, 0.3), rising(f.longest_mm, 18, 30)),
        "P14": _all(rising(f.foci_count, 8, 14), falling(f.focus_size_mm, 3.5, 5.5), falling(f.fill, 0.05, 0.15)),
        "P15": _all(deep, single, solid, rising(f.smoothness, 0.8, 0.92), falling(f.variation, 0.14, 0.25),
                    rising(f.focus_elongation, 1.4, 1.7), rising(f.longest_mm, 8, 11), falling(f.longest_mm, 35, 50)),
        "P18": 0.0,
        "P19": _all(superficial, single, falling(f.longest_mm, 12, 20), rising(f.smoothness, 0.6, 0.8),
                    rising(f.sphericity, 0.3, 0.5)),
        "P20": _all(deep, rising(f.foci_count, 3, 4.5), rising(f.focus_elongation, 1.4, 1.9), rising(f.focus_alignment, 0.5, 0.8),
                    falling(f.largest_focus_mm, 12, 23), 0.4 if f.is_vessel_chain else 1.0),
        "P22": _all(rising(f.foci_count, 1, 2), falling(f.fill, 0.3, 0.6), _all(hollow, 1.0) if f.core_share is None else 1.0,
                    rising(f.wall_mm, 0.8, 1.4), falling(f.wall_mm, 3.5, 5.0), rising(f.focus_size_mm, 3.0, 5.0),
                    falling(f.focus_alignment, 0.6, 0.9)),
        "P23": _all(rising(f.centre_gain, 1.05, 1.3), rising(f.core_share, 0.35, 0.6), falling(f.wide_fat, 0.4, 0.7),
                    rising(f.longest_mm, 10, 18), rising(f.variation, 0.18, 0.3)),
        "P24": _all(rising(f.foci_count, 3, 6), falling(f.focus_size_mm, 5, 8), falling(f.foci_count, 20, 30),
                    falling(f.focus_elongation, 1.6, 2.2), falling(f.fill, 0.15, 0.35)),
        "P25": _all(deep, rising(f.wide_fat, 0.5, 0.75), rising(f.near_fat, 0.2, 0.5), rising(f.longest_mm, 6, 10), single),
        "P26": _all(superficial, rim, rising(f.coverage, 0.4, 0.6), falling(f.coverage, 0.88, 1.0),
                    _all(rising(f.core_hu, 20, 40), falling(f.core_hu, 110, 200)), rising(f.longest_mm, 8, 12)),
        "P27": _all(rim, rising(f.coverage, 0.6, 0.9), max(falling(f.core_hu, 28, 42), falling(f.core_hu, -50, -20)),
                    falling(f.core_spread_hu, 60, 110), falling(f.wall_mm, 3.5, 5.5), falling(f.longest_mm, 80, 120)),
    }  # fmt: skip
    return {k: round(v, 3) for k, v in sorted(scores.items(), key=lambda item: -item[1])}


def _marrow(f: Features) -> float:
    """Fat between trabeculae: a core of uneven density whose middle is fatty."""
    if f.core_hu is None or f.core_spread_hu is None:
        return 0.0
    return _all(rising(f.core_spread_hu, 45, 110), falling(f.core_hu, 120, 320))


def _sheet_layer(f: Features) -> float:
    """Sheets lie on the fascia or in the fat over it."""
    return 1.0 if f.layer in (DepthClass.CROSSES_FASCIA, DepthClass.ABUTS_FASCIA, DepthClass.SUBCUTANEOUS) else 0.5


def read_pattern(features: Features, *, geometry: VolumeGeometry, region: str | None) -> Pattern:
    """Pattern of a lesion with its confidence.

    Parameters
    ----------
    features : Features
        Of the lesion.
    geometry : VolumeGeometry
        For what the slices can resolve.
    region : str | None
        Body part; not used to decide, only for patterns bound to a place.

    Returns
    -------
    Pattern
        P30 when nothing fits; scores of the runners-up beside it.
    """
    del region
    scores = score_patterns(features)
    ranked = [(k, v) for k, v in scores.items() if v > 0]
    best, score = ranked[0] if ranked else ("P30", 0.0)
    runner_up = ranked[1][1] if len(ranked) > 1 else 0.0
    caveats: list[str] = []
    thick = geometry.spacing_mm[0] > RIM_SLICE_MM
    if thick:
        caveats.append("Slices thicker than 3 mm: a rim or a lucent centre cannot be judged.")
    if score < MIN_SCORE:
        best, confidence = "P30", Confidence.LOW
    elif score >= 0.75 and score - runner_up >= 0.2:
        confidence = Confidence.HIGH
    elif score >= 0.5 and score - runner_up >= 0.08:
        confidence = Confidence.MODERATE
    else:
        confidence = Confidence.LOW
    if thick and best in ("P05", "P07", "P26", "P27", "P22") and confidence is Confidence.HIGH:
        confidence = Confidence.MODERATE
    return Pattern(
        id=best,
        label=LABELS[best],
        confidence=confidence,
        scores={k: v for k, v in ranked[:5]},
        features=features.as_row(),
        caveats=tuple(caveats),
    )
