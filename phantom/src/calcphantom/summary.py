"""Figures of a whole run of phantoms, and the table that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.scoring import LesionScore, StudyScore

SPACING_CLASSES: Final = ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 9.0))
"""Classes of the larger of spacing and thickness: above the first, up to the second, mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of a group of lesions; NaN where the group has none.

    Parameters
    ----------
    count, required, found : int
        True lesions; those large and dense enough to be asked for; those of them found.
    recall : float
        Share found of those required.
    diameter_median_mm, diameter_p95_diagonals, diameter_bias_mm : float
        Absolute error of the longest diameter: median in mm, 95th percentile in voxel diagonals; mean error in mm.
        Compact lesions only.
    skin_median_mm : float
        Median absolute error of the distance to the skin, mm.
    depth_right, pattern_right, wrong_and_confident, relation_right : float
        Shares of the lesions found.
    in_parts : float
        Share reported as several lesions.
    """

    count: int
    required: int
    found: int
    recall: float
    diameter_median_mm: float
    diameter_p95_diagonals: float
    diameter_bias_mm: float
    skin_median_mm: float
    depth_right: float
    pattern_right: float
    wrong_and_confident: float
    relation_right: float
    in_parts: float


def figures(scores: Iterable[LesionScore]) -> Figures:
    """Sum up a group of lesions; undetectable and too small ones count only in `count`.

    Lesions fused with bone have no sharp size, depth or pattern and enter recall and bone relation only.
    """
    listed = list(scores)
    required = [s for s in listed if s.is_required]
    found = [s for s in required if s.is_found]
    free = [s for s in found if not s.is_fused]
    compact = [s for s in free if not s.truth.is_scattered and s.diameter_error_mm is not None]
    errors = np.array([s.diameter_error_mm for s in compact], dtype=float)
    diagonals = np.array([s.voxel_diagonal_mm for s in compact], dtype=float)
    skin = np.array([s.skin_error_mm for s in free if s.skin_error_mm is not None], dtype=float)
    return Figures(
        count=len(listed),
        required=len(required),
        found=len(found),
        recall=len(found) / len(required) if required else float("nan"),
        diameter_median_mm=_quantile(np.abs(errors), 50),
        diameter_p95_diagonals=_quantile(np.abs(errors) / diagonals, 95),
        diameter_bias_mm=float(errors.mean()) if len(errors) else float("nan"),
        skin_median_mm=_quantile(np.abs(skin), 50),
        depth_right=_share(free, lambda s: bool(s.is_depth_right)),
        pattern_right=_share(free, lambda s: bool(s.is_pattern_right)),
        wrong_and_confident=_share(free, lambda s: s.is_wrong_and_confident),
        relation_right=_share(found, lambda s: bool(s.is_relation_right)),
        in_parts=_share(free, lambda s: s.parts > 1),
    )


def _quantile(values: np.ndarray, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _share(scores: list[LesionScore], test: Callable[[LesionScore], bool]) -> float:
    return sum(map(test, scores)) / len(scores) if scores else float("nan")


def tables(studies: list[StudyScore], negatives: list[StudyScore]) -> str:
    """Markdown tables: everything, by spacing class, by pattern, and what was invented."""
    scores = [s for study in studies for s in study.lesions]
    rows = [("all", figures(scores))]
    for low, high in SPACING_CLASSES:
        label = f"{low:g}-{high:g} mm" if high < 9 else f"over {low:g} mm"
        rows.append((label, figures(s for s in scores if low < s.spacing_mm <= high)))
    patterns = sorted({(s.truth.pattern, s.is_fused) for s in scores}, key=lambda p: (p[1], p[0]))
    by_pattern = [
        (
            "fused with bone" if fused else name,
            figures(s for s in scores if (s.truth.pattern, s.is_fused) == (name, fused)),
        )
        for name, fused in patterns
    ]
    invented = sum(len(study.false) for study in studies)
    invented_negative = sum(len(study.false) for study in negatives)
    return "\n".join(
        (
            "### By slice (the larger of spacing and thickness)\n",
            _table(rows),
            "### By pattern\n",
            _table(by_pattern),
            f"Invented lesions: {invented} in {len(studies)} studies with lesions, "
            f"{invented_negative} in {len(negatives)} negative studies.\n",
        )
    )


def region_table(studies: Mapping[str, tuple[list[StudyScore], list[StudyScore]]]) -> str:
    """Markdown table of the regions.

    Parameters
    ----------
    studies : Mapping[str, tuple[list[StudyScore], list[StudyScore]]]
        Region to its studies with and without lesions.

    Returns
    -------
    str
        One row a region: what was found, invented, listed, and alerts in studies without a lesion.
    """
    head = ("region", "studies", "lesions", "asked for", "found", "invented a scan", "on incidental mineral",
            "incidental asked for", "listed", "alerts without lesion")  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for region, (positive, negative) in studies.items():
        every = [*positive, *negative]
        total = figures(s for study in every for s in study.lesions)
        false = [text for study in every for text in study.false]
        incidental = [i for study in every for i in study.incidentals if i.is_required]
        cells = (
            region,
            f"{len(every)}",
            f"{total.count}",
            f"{total.required}",
            f"{total.found}",
            _number(len(false) / len(every) if every else float("nan")),
            f"{sum(', on ' in text for text in false)}",
            f"{len(incidental)}",
            f"{sum(i.is_listed for i in incidental)}",
            f"{sum(study.is_alert for study in negative)} of {len(negative)}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


_HEAD: Final = (
    "group",
    "lesions",
    "asked for",
    "found",
    "diameter: median abs. error mm",
    "95th percentile, voxel diagonals",
    "bias mm",
    "skin: median abs. error mm",
    "deep/superficial right",
    "pattern right",
    "wrong and confident",
    "bone relation right",
    "in parts",
)


def _table(rows: list[tuple[str, Figures]]) -> str:
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    for name, f in rows:
        cells = (
            name,
            f"{f.count}",
            f"{f.required}",
            f"{f.found}",
            _number(f.diameter_median_mm),
            _number(f.diameter_p95_diagonals),
            _number(f.diameter_bias_mm),
            _number(f.skin_median_mm),
            _percent(f.depth_right),
            _percent(f.pattern_right),
            _percent(f.wrong_and_confident),
            _percent(f.relation_right),
            _percent(f.in_parts),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.0f} %"
