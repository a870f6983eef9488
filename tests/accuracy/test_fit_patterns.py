"""The fit of the table of patterns: what it may move, and how it counts."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from calcreport.calcification.patterns.features import Features
from calcreport.calcification.patterns.pattern import pattern_table
from calcreport.model.report import DepthClass

sys.path.append(str(Path(__file__).parent))

import fit_patterns


def sample(pattern: str, host: str, **changes: object) -> fit_patterns.Sample:
    plain = dict.fromkeys((field.name for field in dataclasses.fields(Features)), 1.0)
    features = plain | {"longest_mm": 20.0, "layer": DepthClass.SUBFASCIAL.value, "is_vessel_chain": False} | changes
    return fit_patterns.Sample(
        host=host, definition="first", pattern=pattern, is_whole=True, spacing_mm=(3.3, 1.0, 1.0), thickness_mm=3.3,
        region=None, features=features,
    )  # fmt: skip


SAMPLES = [
    sample(pattern, host, wall_mm=wall_mm, peak_count=peaks)
    for host in ("a", "b", "c", "d")
    for pattern, wall_mm, peaks in (("P09", 6.0, 1.0), ("P24", 1.5, 5.0))
]


def test_patterns_and_signs_that_no_sample_shows_keep_their_rows() -> None:
    start = pattern_table()
    fitted = fit_patterns.Fit(SAMPLES, start).descend(1)
    assert fitted.signs == start.signs
    changed = {name for name in start.patterns if fitted.patterns[name] != start.patterns[name]}
    assert changed <= {"P09", "P24"}
    assert fit_patterns.Fit(SAMPLES, fitted).loss() <= fit_patterns.Fit(SAMPLES, start).loss()


def test_no_lesion_is_named_by_a_table_that_saw_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []

    class Watched(fit_patterns.Fit):
        def __init__(self, samples: list[fit_patterns.Sample], table: fit_patterns.PatternTable) -> None:
            seen.append({s.host for s in samples})
            super().__init__(samples, table)

    monkeypatch.setattr(fit_patterns, "Fit", Watched)
    named = fit_patterns.left_out(SAMPLES, pattern_table(), 4)
    assert len(named) == len(SAMPLES)
    left = [{"a", "b", "c", "d"} - hosts for hosts in seen]
    assert sorted(host for hosts in left for host in hosts) == ["a", "b", "c", "d"]


def test_what_is_indeterminate_or_low_is_counted_apart() -> None:
    named = [
        (SAMPLES[0], *reading) for reading in (("P09", "low"), ("P30", "low"), ("P01", "low"), ("P01", "moderate"))
    ]
    row = next(
        line for line in fit_patterns.figures(named, "others").splitlines() if line.startswith("| 3.3 | all | both")
    )
    assert row.count("1 of 4 (25%)") == 4
    assert "0 of 4 (0%)" in row


def test_fitted_numbers_stand_in_their_rows(tmp_path: Path) -> None:
    table = tmp_path / "ct.toml"
    table.write_text(fit_patterns.TABLE.read_text(encoding="utf-8"), encoding="utf-8")
    start = pattern_table()
    cases = start.patterns["P09"]
    rows = tuple(dataclasses.replace(row, low=row.low + 0.01, high=row.high + 0.01) for row in cases.cases[0])
    moved = dataclasses.replace(start, patterns=start.patterns | {"P09": dataclasses.replace(cases, cases=(rows,))})
    fit_patterns.write(moved, table.read_text(encoding="utf-8"), table)
    again = fit_patterns.read_table(table.read_text(encoding="utf-8"), fit_patterns.pattern.FEATURES).patterns["P09"]
    assert [(r.feature, r.falls, r.unit) for r in again.cases[0]] == [(r.feature, r.falls, r.unit) for r in rows]
    assert np.allclose([r.low for r in again.cases[0]], [r.low for r in rows], rtol=0.02, atol=0.02)


PLAIN = """[pattern.P09]
source = "proposal"
rows = [
  { feature = "longest_mm", low = 1, high = 2, weight = 0.9, unit = "mm" },
]

[pattern.P24]
source = "proposal"
rows = [
  { feature = "longest_mm", low = 1, high = 2, weight = 0.9, unit = "mm" },
]
"""


def test_rows_that_are_added_are_of_shape_and_stand_in_the_table(tmp_path: Path) -> None:
    start = fit_patterns.read_table(PLAIN, fit_patterns.pattern.FEATURES)
    fit = fit_patterns.Fit(SAMPLES, start)
    before = fit.loss()
    fit.grow()
    assert fit.loss() < before
    added = {name: cases.cases[0][1:] for name, cases in fit.patterns.items()}
    assert any(added.values())
    assert all(row.feature in fit_patterns.OF_SHAPE for rows in added.values() for row in rows)
    assert all(len(rows) <= fit_patterns.MOST_ROWS for rows in added.values())
    path = tmp_path / "ct.toml"
    fit_patterns.write(fit_patterns.PatternTable(signs=fit.signs, patterns=fit.patterns), PLAIN, path)
    again = fit_patterns.read_table(path.read_text(encoding="utf-8"), fit_patterns.pattern.FEATURES)
    for name, rows in added.items():
        kept = again.patterns[name].cases[0][1:]
        assert [(r.feature, r.falls, r.needs, r.unit) for r in kept] == [
            (r.feature, r.falls, r.needs, r.unit) for r in rows
        ]
