"""The pattern a finding shows in projection, with the lower confidence that a shadow allows.

Criteria follow the radiographic literature as on CT: phleboliths (Traubici, AJR 1999: two thirds with a lucent centre
on radiographs), tram-track medial calcification, rims of myositis ossificans, sheets of dermatomyositis, plates of
calcific myonecrosis. Depth, tissue and density are not on a film, and so no pattern that rests on them is read.
"""

from __future__ import annotations

from typing import Final

from calcreport.film.shape import FilmShape
from calcreport.model.report import Confidence, Pattern, YesNo
from calcreport.model.terms import PATTERN_LABELS

LABELS: Final = {name: PATTERN_LABELS[name] for name in ("P01", "P02", "P05", "P09", "P10", "P11", "P14", "P30")}
"""Patterns that a film may show."""

_PHLEBOLITH_MM: Final = 10.0  # greatest diameter of a certain phlebolith
_FEWEST_SPECKS: Final = 10  # foci of a certain speckled deposit
_SPECK_MM: Final = 3.0  # greatest diameter of a speck
_TRACK_MM: Final = 20.0  # length of parallel walls of a certain vessel
_RIM_SHARE: Final = 0.95  # of the circumference; below it a gap in the rim is seen
_RIM_PART: Final = 0.45  # least share of the circumference of a rim
_RIM_LEAST_MM: Final = 10.0  # diameter of a certain rim
_MIN_SCORE: Final = 0.5  # lowest score of a pattern that is named


def _rising(value: float, low: float, high: float) -> float:
    """Grade from 0 at `low` to 1 at `high`, straight in between; falls where `low` is above `high`."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def read_film_pattern(shape: FilmShape) -> Pattern:
    """Pattern of a finding; P30 when nothing fits. Confidence is low, for the clearest shapes moderate."""
    scores = {
        "P01": _phlebolith(shape),
        "P02": max(
            _rising(shape.parallel_mm, 8, _TRACK_MM) * _rising(shape.linear_share, 0.3, 0.6), _broken_track(shape)
        ),
        "P05": _rising(shape.rim_share, _RIM_PART, 0.75)
        * _rising(shape.largest_focus_mm, 0.7 * _RIM_LEAST_MM, _RIM_LEAST_MM)
        * _rising(shape.roundness, 0.25, 0.45),
        "P09": _rising(shape.largest_focus_mm, 3, 6)
        * _rising(shape.roundness, 0.25, 0.4)
        * _rising(shape.rim_share, 0.7, 0.4)
        * _rising(shape.count, 8, 4)
        * 0.7,
        "P10": _rising(shape.longest_mm, 60, 90)
        * _rising(shape.linear_share, 0.3, 0.6)
        * _rising(shape.across_mm, 12, 20),
        "P11": _rising(shape.longest_mm, 25, 40)
        * _rising(shape.elongation, 2.5, 4)
        * _rising(shape.parallel_mm, _TRACK_MM, 8)
        * 0.9,
        "P14": _rising(shape.count, _FEWEST_SPECKS - 4, _FEWEST_SPECKS) * _rising(shape.largest_focus_mm, 5, _SPECK_MM),
    }
    ranked = sorted(((name, score) for name, score in scores.items() if score > 0), key=lambda row: -row[1])
    best = ranked[0][0] if ranked and ranked[0][1] >= _MIN_SCORE else "P30"
    return Pattern(
        id=best,
        label=LABELS[best],
        confidence=_confidence(best, shape),
        scores=dict(ranked[:5]),
        features=_features(shape, best),
    )


def _phlebolith(shape: FilmShape) -> float:
    """Round, smooth and small, with or without a lucent centre."""
    return (
        _rising(shape.roundness, 0.55, 0.75)
        * _rising(shape.largest_focus_mm, 1.5 * _PHLEBOLITH_MM, _PHLEBOLITH_MM)
        * _rising(shape.count, 14, 8)
        * (0.85 + 0.15 * shape.lucent_share)
    )


def _broken_track(shape: FilmShape) -> float:
    """Elongated plaques one behind the other, as along an artery whose walls are not separable."""
    return (
        _rising(shape.count, 1, 3)
        * _rising(shape.longest_mm, 25, 45)
        * _rising(shape.longest_mm / max(shape.across_mm, 1e-6), 3.5, 5.5)
        * _rising(shape.elongation, 1.4, 2.2)
    )


def _confidence(best: str, shape: FilmShape) -> Confidence:
    is_clear = (best == "P01" and (shape.lucent_share >= 0.5 or shape.count >= 3)) or (
        best == "P02" and shape.parallel_mm >= 2 * _TRACK_MM
    )
    return Confidence.MODERATE if is_clear else Confidence.LOW


def _features(shape: FilmShape, best: str) -> dict[str, float | int | bool | str | None]:
    """Named features the rules know, and the numbers they rest on; what a film cannot show stays unknown."""
    # a gap that is seen is a gap; but one view never shows that a shell is closed in front and behind as well
    part = YesNo.YES if best == "P05" and shape.rim_share < _RIM_SHARE else YesNo.UNKNOWN
    lucent = YesNo.YES if best == "P01" and shape.lucent_share >= 0.5 else YesNo.UNKNOWN
    return {
        "rim_complete": YesNo.UNKNOWN.value,
        "rim_incomplete": part.value,
        "lucent_centre": lucent.value,
        "morphology": _morphology(shape, best),
        "count": shape.count,
        "roundness": round(shape.roundness, 3),
        "elongation": round(shape.elongation, 3),
        "linear_share": round(shape.linear_share, 3),
        "rim_share": round(shape.rim_share, 3),
        "lucent_share": round(shape.lucent_share, 3),
        "parallel_share": round(min(1.0, shape.parallel_mm / max(shape.longest_mm, 1e-6)), 3),
    }


def _morphology(shape: FilmShape, best: str) -> str:
    named = {
        "P01": "phlebolith-like",
        "P02": "tram-track",
        "P05": "rim",
        "P09": "amorphous",
        "P10": "plate",
        "P11": "sheet-like",
        "P14": "punctate",
    }
    if best in named:
        return named[best]
    return "punctate" if shape.median_focus_mm <= _SPECK_MM and shape.count > 1 else "amorphous"
