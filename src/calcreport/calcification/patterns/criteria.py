"""How well each pattern's criteria hold: graded, from named features and a table, each row of which can be read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from calcreport.calcification.patterns.features import Features
from calcreport.model.pattern_table import PatternTable, read_table, rise
from calcreport.model.report import DepthClass
from calcreport.resources import packaged_text

TRUNK_WORDS: Final = ("PELVIS", "HIP", "BUTTOCK", "GLUT", "ABDOMEN", "CHEST", "THORAX", "NECK", "HEAD", "GROIN")
"""Where deep fat is normal, and so no sign of a fatty mass; nodes lie here too."""

BUTTOCK_WORDS: Final = TRUNK_WORDS[:4]
"""Where injection granulomas lie."""

BENEATH: Final = {DepthClass.SUBFASCIAL: 1.0, DepthClass.JUXTACORTICAL: 1.0, DepthClass.CROSSES_FASCIA: 0.7,
                  DepthClass.ABUTS_FASCIA: 0.7}  # fmt: skip
OVER: Final = {DepthClass.SUBCUTANEOUS: 1.0, DepthClass.CUTANEOUS: 1.0, DepthClass.ABUTS_FASCIA: 1.0,
               DepthClass.CROSSES_FASCIA: 0.7}  # fmt: skip
"""How far a deposit lies beneath, and over, the fascia, by its depth class."""

LESION_PIXELS: Final = (4.0, 8.0)
CENTRE_PIXELS: Final = (1.0, 3.0)
WALL_PIXELS: Final = (0.8, 2.0)
SLICES: Final = (1.0, 3.0)
"""Pixels across a lesion, the space within its wall and its wall, and slices through it: unresolved at or below the
first, resolved from the second on (proposal)."""


def pattern_values(f: Features, spacing: tuple[float, float, float], region: str | None = None) -> dict[str, float]:
    """Values the table names, of one lesion: its features, what follows from them, and how well it is resolved.

    `f`: of one lesion; `spacing`: of voxels along slice, row, column, mm; `region`: body part, for the few patterns
    bound to a place.
    """
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
        "trunk": float(any(word in part for word in TRUNK_WORDS)),
        "buttock": float(not part or any(word in part for word in BUTTOCK_WORDS)),
        "resolved_lesion": lesion,
        "resolved_centre": lesion * rise((f.width_mm - 2 * f.wall_mm) / pixel, *CENTRE_PIXELS),
        "resolved_wall": rise(f.wall_mm / pixel, *WALL_PIXELS),
    }


DERIVED: Final = frozenset({
    "slenderness", "bulk", "plate", "fat_gain", "deep_fat", "beneath_fascia", "over_fascia", "by_fascia",
    "superficial_foci", "trunk", "buttock",
})  # fmt: skip
"""Values beside those of `Features` that a row may name."""


FEATURES: Final = DERIVED | {field.name for field in dataclasses.fields(Features)} - {"layer"}
"""Values a row may name."""


def pattern_table(site: Mapping[str, Any] | None = None) -> PatternTable:
    """The table that travels with the software, with a site's own ``sign`` and ``pattern`` tables laid over it.

    Raises `RuleFileError` ``rules.invalid_patterns``.
    """
    return _table(json.dumps(site or {}, default=str))


@lru_cache(maxsize=4)
def _table(site: str) -> PatternTable:
    return read_table(packaged_text("calcification/patterns/ct.toml"), FEATURES, json.loads(site))
