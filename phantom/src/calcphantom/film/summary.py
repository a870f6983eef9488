"""Figures of a whole run of phantom films, and the tables that show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.film.scoring import FilmStudyScore, FocusScore, Naming, ShadowScore

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
    names : Mapping[Naming, float]
        Shares of the lesions found with a focus that a search must find, by what came of their pattern.
    over_bone_right, mark_over_bone_right, in_parts : float
        Shares of the lesions found: the label judged by the whole lesion, and by the foci that the mark lies on.
    joined, joined_listed, joined_separate : int
        Lesions joined to a bone; those of them that are listed; and those said to be separate from it.
    """

    shadows: int
    required: int
    found: int
    foci_found: float
    size_median_mm: float
    size_median_excess: float
    size_bias_mm: float
    skin_median_mm: float
    names: Mapping[Naming, float]
    over_bone_right: float
    mark_over_bone_right: float
    in_parts: float
    joined: int
    joined_listed: int
    joined_separate: int


def film_figures(scores: Iterable[ShadowScore]) -> FilmFigures:
    """Sum up a group of lesions on films."""
    listed = list(scores)
    required = [f for s in listed for f in s.foci if f.truth.is_required]
    found = sum(f.is_found for f in required)
    matched = [s for s in listed if s.parts and any(f.truth.is_required for f in s.foci)]
    sizes = _values(matched, lambda s: s.size_error_mm)
    joined = [s for s in listed if s.truth.is_joined]
    return FilmFigures(
        shadows=len(listed),
        required=len(required),
        found=found,
        foci_found=found / len(required) if required else float("nan"),
        size_median_mm=_median(np.abs(sizes)),
        size_median_excess=_median(_values(matched, lambda s: s.size_excess)),
        size_bias_mm=float(sizes.mean()) if len(sizes) else float("nan"),
        skin_median_mm=_median(np.abs(_values(matched, lambda s: s.skin_error_mm))),
        names={naming: _share([s.naming is naming for s in matched]) for naming in Naming},
        over_bone_right=_share([s.is_over_bone_right for s in listed if s.parts]),
        mark_over_bone_right=_share([s.is_mark_over_bone_right for s in listed if s.parts]),
        in_parts=_share([s.parts > 1 for s in matched if not s.truth.is_scattered]),
        joined=len(joined),
        joined_listed=sum(s.parts > 0 for s in joined),
        joined_separate=sum(s.is_said_separate is True for s in joined),
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
    """Markdown tables: everything, by pattern and region, what came of the patterns, contrast to noise, false marks."""
    shadows = _shadows(studies)
    everything = (("all", film_figures(shadows)),)
    patterns = [(p, film_figures(s for s in shadows if s.truth.pattern == p)) for p in _patterns(shadows)]
    regions = sorted({study.region for study in studies})
    places = [(r, film_figures(_shadows([s for s in studies if s.region == r]))) for r in regions]
    marks = [
        f"| {region} | "
        + " | ".join(
            f"{sum(len(f.false) for study in own for f in study.films)} on {sum(len(study.films) for study in own)}"
            for own in ([s for s in group if region in {s.region, "all"}] for group in (studies, negatives))
        )
        + " |"
        for region in ("all", *regions)
    ]
    return "\n".join(
        (
            _table([*everything, *patterns]),
            "### What came of the patterns\n",
            _naming_table([*everything, *patterns]),
            "### By region\n",
            _table(places),
            _naming_table(places),
            "| false marks on films | of studies with lesions | without |\n|---|---|---|",
            "\n".join(marks) + "\n",
            "### Foci of 3 mm and more off bone, by contrast to noise\n",
            _contrast_table(shadows),
            _joined_sentence(everything[0][1]),
        )
    )


def _shadows(studies: list[FilmStudyScore]) -> list[ShadowScore]:
    return [s for study in studies for film in study.films for s in film.shadows]


def _joined_sentence(f: FilmFigures) -> str:
    return (
        f"Joined to a bone: {f.joined} shadows; {f.joined_listed} are listed, {f.joined_separate} of them as separate "
        "from the bone.\n"
    )


def _naming_table(rows: list[tuple[str, FilmFigures]]) -> str:
    """Shares of the lesions found; the rows of a group without any are left out."""
    lines = ["| lesions found | " + " | ".join(Naming) + " |", "|" + "---|" * (len(Naming) + 1)]
    lines += [
        f"| {name} | " + " | ".join(_percent(f.names[naming]) for naming in Naming) + " |"
        for name, f in rows
        if not np.isnan(f.names[Naming.RIGHT])
    ]
    return "\n".join(lines) + "\n"


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
    "over bone right: whole lesion",
    "over bone right: foci marked",
    "in parts",
)


def _table(rows: list[tuple[str, FilmFigures]]) -> str:
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for name, f in rows:
        numbers = (f.size_median_mm, f.size_median_excess, f.size_bias_mm, f.skin_median_mm)
        shares = (f.over_bone_right, f.mark_over_bone_right, f.in_parts)
        cells = (name, str(f.shadows), str(f.required), str(f.found), *map(_number, numbers), *map(_percent, shares))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.0f} %"
