"""The pattern a finding shows in projection, with the low confidence that a shadow allows; criteria: film.toml."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Final

from calcreport.film.shape import FilmShape
from calcreport.model.pattern_table import PatternTable, read_table, score_patterns
from calcreport.model.report import Confidence, Pattern, YesNo
from calcreport.model.terms import INDETERMINATE_PATTERN, PATTERN_LABELS
from calcreport.resources import packaged_text

TRACK_MM: Final = 40.0
"""Parallel walls of this length are certain."""
COMPLETE: Final = 0.95
"""Share of the circumference below which a gap in the rim is seen."""
SPECK_MM: Final = 3.0
"""Median length of foci that are specks."""
MIN_SCORE: Final = 0.5
"""Lowest score of a pattern that is named."""

MORPHOLOGY: Final = {
    "P01": "phlebolith-like", "P02": "tram-track", "P05": "rim", "P09": "amorphous", "P10": "plate",
    "P11": "sheet-like", "P14": "punctate",
}  # fmt: skip
"""Plain shape of each pattern."""
LABELS: Final = {name: PATTERN_LABELS[name] for name in (*MORPHOLOGY, INDETERMINATE_PATTERN)}
"""Patterns that a film may show."""


@lru_cache(maxsize=1)
def film_table() -> PatternTable:
    """Table of the patterns that a film may show."""
    fields = {field.name for field in dataclasses.fields(FilmShape)}
    return read_table(packaged_text("calcification/patterns/film.toml"), frozenset(fields | {"slimness"}))


def read_film_pattern(shape: FilmShape) -> Pattern:
    """Pattern of a finding; P30 when nothing fits. Confidence is low, for the clearest shapes moderate."""
    values = dataclasses.asdict(shape) | {"slimness": shape.longest_mm / max(shape.across_mm, 1e-6)}
    graded = {name: float(grade) for name, (grade, _) in score_patterns(values, film_table()).items() if grade > 0}
    ranked = sorted(graded.items(), key=lambda item: -item[1])
    best = ranked[0][0] if ranked and ranked[0][1] >= MIN_SCORE else INDETERMINATE_PATTERN
    return Pattern(
        id=best, label=LABELS[best], confidence=_confidence(best, shape), scores=dict(ranked[:5]),
        features=_features(shape, best),
    )  # fmt: skip


def _confidence(best: str, shape: FilmShape) -> Confidence:
    is_clear = (best == "P01" and (shape.lucent_share >= 0.5 or shape.count >= 3)) or (
        best == "P02" and shape.parallel_mm >= TRACK_MM
    )
    return Confidence.MODERATE if is_clear else Confidence.LOW


def _features(shape: FilmShape, best: str) -> dict[str, float | int | bool | str | None]:
    """Named features the rules know, and the numbers they rest on; what a film cannot show stays unknown."""
    # a gap that is seen is a gap; but one view never shows that a shell is closed in front and behind as well
    part = YesNo.YES if best == "P05" and shape.rim_share < COMPLETE else YesNo.UNKNOWN
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
    is_specks = shape.median_focus_mm <= SPECK_MM and shape.count > 1
    return MORPHOLOGY.get(best, "punctate" if is_specks else "amorphous")
