"""Figures of a whole run of phantom films, and the tables that show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.film.scoring import FilmStudyScore, FocusScore, ShadowScore

CONTRAST_CLASSES: Final = ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 5.0), (5.0, float("inf")))
"""Classes of contrast to noise: from the first, below the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFigures:
    """Figures of a group of lesions on films; NaN where the group has none.

    Parameters
    ----------
    shadows : int
        Lesions on films.
    required, found : int
        Foci that a search must find; those of them found.
    foci_found : float
        Share found of those required.
    size_median_mm, size_median_excess : float
        Median absolute error of the longest projected diameter, mm; and over the larger of 0.5 mm and 3 %.
    size_bias_mm : float
        Mean error, mm.
    skin_median_mm : float
        Median absolute error of the distance to the skin line, mm.
    pattern_right, over_bone_right, in_parts : float
        Shares of the lesions found.
    """

    shadows: int
    required: int
    found: int
    foci_found: float
    size_median_mm: float
    size_median_excess: float
    size_bias_mm: float
    skin_median_mm: float
    pattern_right: float
    over_bone_right: float
    in_parts: float


def film_figures(scores: Iterable[ShadowScore]) -> FilmFigures:
    """Sum up a group of lesions on films."""
    listed = list(scores)
    required = [f for s in listed for f in s.foci if f.truth.is_required]
    found = sum(f.is_found for f in required)
    matched = [s for s in listed if s.parts and any(f.truth.is_required for f in s.foci)]
    sizes = _values(matched, lambda s: s.size_error_mm)
    return FilmFigures(
        shadows=len(listed),
        required=len(required),
        found=found,
        foci_found=found / len(required) if required else float("nan"),
        size_median_mm=_median(np.abs(sizes)),
        size_median_excess=_median(_values(matched, lambda s: s.size_excess)),
        size_bias_mm=float(sizes.mean()) if len(sizes) else float("nan"),
        skin_median_mm=_median(np.abs(_values(matched, lambda s: s.skin_error_mm))),
        pattern_right=_share([s.is_pattern_right for s in matched]),
        over_bone_right=_share([s.is_over_bone_right for s in listed if s.parts]),
        in_parts=_share([s.parts > 1 for s in matched if not s.truth.is_scattered]),
    )


def false_per_film(studies: Iterable[FilmStudyScore]) -> float:
    """False marks a film; NaN without films."""
    films = [film for study in studies for film in study.films]
    return sum(len(f.false) for f in films) / len(films) if films else float("nan")


def _values(scores: list[ShadowScore], value: Callable[[ShadowScore], float | None]) -> np.ndarray:
    return np.array([v for v in map(value, scores) if v is not None], dtype=float)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _share(values: list[bool | None]) -> float:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else float("nan")


def film_tables(studies: list[FilmStudyScore], negatives: list[FilmStudyScore]) -> str:
    """Markdown tables: everything, by pattern, foci by contrast to noise, and false marks."""
    shadows = [s for study in studies for film in study.films for s in film.shadows]
    rows = [("all", film_figures(shadows))]
    rows += [(p, film_figures(s for s in shadows if s.truth.pattern == p)) for p in _patterns(shadows)]
    lines = [_table(rows), "### Foci of 3 mm and more off bone, by contrast to noise\n", _contrast_table(shadows)]
    marks = [
        f"{sum(len(f.false) for study in group for f in study.films)} on {sum(len(study.films) for study in group)} "
        f"films of {len(group)} studies {name}"
        for name, group in (("with lesions", studies), ("without", negatives))
    ]
    return "\n".join((*lines, f"False marks: {'; '.join(marks)}.\n"))


def _patterns(shadows: list[ShadowScore]) -> list[str]:
    return sorted({s.truth.pattern for s in shadows})


def _contrast_table(shadows: list[ShadowScore]) -> str:
    foci = [f for s in shadows for f in s.foci if f.truth.longest_mm >= 3.0 and f.truth.over_bone_share == 0]
    lines = ["| contrast to noise | foci | found |", "|---|---|---|"]
    for low, high in CONTRAST_CLASSES:
        group: list[FocusScore] = [f for f in foci if low <= f.truth.contrast_to_noise < high]
        name = f"{low:g}-{high:g}" if np.isfinite(high) else f"{low:g} and more"
        lines.append(f"| {name} | {len(group)} | {_percent(_share([f.is_found for f in group]))} |")
    return "\n".join(lines) + "\n"


_HEAD: Final = (
    "pattern",
    "lesions on films",
    "foci asked for",
    "found",
    "size: median abs. error mm",
    "over 0.5 mm or 3 %",
    "bias mm",
    "skin line: median abs. error mm",
    "pattern right",
    "over bone right",
    "in parts",
)


def _table(rows: list[tuple[str, FilmFigures]]) -> str:
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for name, f in rows:
        numbers = (f.size_median_mm, f.size_median_excess, f.size_bias_mm, f.skin_median_mm)
        shares = (f.pattern_right, f.over_bone_right, f.in_parts)
        cells = (name, str(f.shadows), str(f.required), str(f.found), *map(_number, numbers), *map(_percent, shares))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.0f} %"
