"""Whether a dense component is mineral or image noise, from a fitted table.

The table holds a logistic regression fitted by ``tests/accuracy/fit_detection.py`` on real scans, with whole studies
left out to measure its error; its head says on what and how well.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from math import log
from typing import Final

from calcreport.calcification.foci import Focus
from calcreport.resources import packaged_text

FEATURES: Final[dict[str, Callable[[Focus], float]]] = {
    "log_contrast_to_noise": lambda f: log(max(f.contrast_to_noise, 0.1)),
    "log_evidence": lambda f: log(max(f.evidence, 1.0)),
    "nearness_to_bone": lambda f: 1.0 / max(f.bone_gap_mm, 1.0),
    "has_gas": lambda f: float(f.gas_fraction > 0.01),
}
"""What the table weighs. Natural logarithms; nearness to bone is 1/mm, 0 where no bone is near; gas is 1 where
more than a trace of it is enclosed around the component, else 0."""


@cache
def _table() -> tuple[float, float, tuple[tuple[str, float, float, float], ...]]:
    """Limit, intercept, and name, mean, deviation and weight of each feature."""
    table = tomllib.loads(packaged_text("calcification/tables/mineral_or_noise.toml"))
    rows = table["features"].items()
    return (
        float(table["accept"]),
        float(table["intercept"]),
        tuple((name, float(row["mean"]), float(row["deviation"]), float(row["weight"])) for name, row in rows),
    )


def log_odds_of_mineral(focus: Focus) -> float:
    """Log-odds that a component is mineral rather than noise, from the fitted table."""
    _, intercept, rows = _table()
    return intercept + sum(w * (FEATURES[name](focus) - mean) / deviation for name, mean, deviation, w in rows)


def is_mineral(focus: Focus) -> bool:
    """Whether a component is told from noise."""
    return log_odds_of_mineral(focus) >= _table()[0]
