"""What the fitted table weighs, and how."""

from __future__ import annotations

import tomllib
from math import e

import pytest

from calcreport.calcification import foci
from calcreport.calcification.foci import FEATURES, is_mineral, log_odds_of_mineral
from calcreport.resources import packaged_text


@pytest.mark.parametrize(
    ("name", "changes", "value"),
    [
        ("log_contrast_to_noise", {"peak_hu": 55.0 + 10 * e**2}, 2.0),
        ("log_contrast_to_noise", {"peak_hu": 55.0 + 10 * e**-2}, -2.0),
        ("log_contrast_to_noise", {"peak_hu": 40.0}, -2.302585),  # never below a tenth
        ("log_evidence", {"evidence": e**3}, 3.0),
        ("log_evidence", {"evidence": 1.0}, 0.0),
        ("log_evidence", {"evidence": -4.0}, 0.0),
        ("nearness_to_bone", {"bone_gap_mm": 4.0}, 0.25),
        ("nearness_to_bone", {"bone_gap_mm": 0.2}, 1.0),
        ("nearness_to_bone", {"bone_gap_mm": float("inf")}, 0.0),
        ("has_gas", {"gas_fraction": 0.01}, 0.0),
        ("has_gas", {"gas_fraction": 0.011}, 1.0),
    ],
)
def test_features(make_focus, name, changes, value):
    assert FEATURES[name](make_focus(**changes)) == pytest.approx(value, abs=1e-6)


def test_the_table_weighs_every_feature_once():
    table = tomllib.loads(packaged_text("calcification/tables/mineral_or_noise.toml"))
    assert table["features"].keys() == FEATURES.keys()
    assert all(row["deviation"] > 0 for row in table["features"].values())


SMALL_TABLE = 2.0, -1.0, (("log_evidence", 0.5, 2.0, 4.0), ("has_gas", 0.25, 0.5, -1.0))
"""Limit, intercept, and name, mean, deviation and weight of two features."""


@pytest.mark.parametrize(
    ("changes", "log_odds"),
    [
        ({"evidence": 1.0}, -1.5),  # -1 + 4 * (0 - 0.5) / 2 - (0 - 0.25) / 0.5
        ({"evidence": 1.0, "gas_fraction": 0.5}, -3.5),
        ({"evidence": 4.0}, 1.272589),
    ],
)
def test_log_odds_are_the_weighed_sum_of_scaled_features(monkeypatch, make_focus, changes, log_odds):
    monkeypatch.setattr(foci, "_table", lambda: SMALL_TABLE)
    assert log_odds_of_mineral(make_focus(**changes)) == pytest.approx(log_odds, abs=1e-6)


def test_mineral_reaches_the_limit_of_the_table(monkeypatch, make_focus):
    focus = make_focus(evidence=1.0)
    for limit, expected in ((-1.5, True), (-1.4999, False)):
        monkeypatch.setattr(foci, "_table", lambda limit=limit: (limit, *SMALL_TABLE[1:]))
        assert is_mineral(focus) is expected


PLAIN_TABLE = -0.2, 0.0, (
    ("log_contrast_to_noise", 2.0, 1.0, 3.0), ("log_evidence", 4.0, 1.0, 2.0),
    ("nearness_to_bone", 0.0, 1.0, -1.0), ("has_gas", 0.0, 1.0, -1.0),
)  # fmt: skip
"""Weights of the signs of a fit on real scans, in round numbers."""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"peak_hu": 85.0, "evidence": 5.0}, False),
        ({"peak_hu": 205.0, "evidence": 60.0}, True),
        ({"peak_hu": 135.0, "evidence": 50.0}, True),  # 3 * 0.0794 - 2 * 0.0880 = 0.062
        ({"peak_hu": 135.0, "evidence": 50.0, "bone_gap_mm": 4.0}, True),  # -0.188
        ({"peak_hu": 135.0, "evidence": 50.0, "bone_gap_mm": 3.0}, False),  # -0.271
        ({"peak_hu": 135.0, "evidence": 50.0, "gas_fraction": 0.5}, False),
    ],
)
def test_evidence_bone_and_gas_decide_together(monkeypatch, make_focus, changes, expected):
    monkeypatch.setattr(foci, "_table", lambda: PLAIN_TABLE)
    assert is_mineral(make_focus(**changes)) is expected


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"peak_hu": 100.0}, {"peak_hu": 200.0}),
        ({"evidence": 10.0}, {"evidence": 40.0}),
        ({"bone_gap_mm": 1.0}, {"bone_gap_mm": 9.0}),
        ({"gas_fraction": 0.1}, {"gas_fraction": 0.0}),
    ],
)
def test_the_shipped_table_finds_what_stands_out_apart_from_bone_and_gas_likelier_mineral(make_focus, worse, better):
    assert log_odds_of_mineral(make_focus(**worse)) < log_odds_of_mineral(make_focus(**better))


def test_the_shipped_table_tells_the_plain_from_the_hopeless(make_focus):
    assert is_mineral(make_focus())
    assert not is_mineral(make_focus(peak_hu=75.0, evidence=1.0))
