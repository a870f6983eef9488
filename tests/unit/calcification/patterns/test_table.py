"""The table of patterns: every mistake is named, a site's tables replace those of their name."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.calcification.patterns.pattern import FEATURES, pattern_table
from calcreport.errors import RuleFileError
from calcreport.files.settings import settings_from_text
from calcreport.model.pattern_table import NEEDS, Cases, Row, grade_cases, read_table, score_patterns
from calcreport.model.terms import PATTERN_LABELS

SIGN = '[sign.flat]\nsource = "proposal"\nrows = [{ feature = "plate", low = 0.2, high = 0.4, falls = true }]\n'
PATTERN = '[pattern.P11]\nsource = "proposal"\nrows = [{ feature = "flat", low = 0, high = 1 }]\n'
OWN = {"pattern": {"P11": {"source": "own series", "rows": [{"feature": "longest_mm", "low": 10, "high": 20}]}}}


def grade_row(row, values):
    return grade_cases(Cases(source="proposal", cases=((row,),)), values)


def test_every_row_of_the_built_in_table_has_a_source_and_a_known_feature():
    table = pattern_table()
    assert set(table.patterns) <= set(PATTERN_LABELS)
    for cases in (*table.signs.values(), *table.patterns.values()):
        assert cases.source
        assert all(row.feature in FEATURES | set(table.signs) for rows in cases.cases for row in rows)


def test_a_sign_is_a_feature_of_the_tables_after_it():
    table = read_table(SIGN + PATTERN, FEATURES)
    assert table.patterns["P11"].cases[0][0].feature == "flat"


def test_a_sites_table_replaces_the_one_of_its_name_and_no_other():
    own, built_in = pattern_table(OWN), pattern_table()
    assert own.patterns["P11"].source == "own series"
    assert own.patterns["P01"] == built_in.patterns["P01"]


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("P11", "P99", "pattern.P99: no such pattern"),
        ('"flat"', '"flatt"', "pattern.P11.rows row 1: feature is not known"),
        ('"plate"', '"flat"', "sign.flat.rows row 1: feature is not known"),
        ("low = 0.2", "low = 0.4", "low lies below high"),
        ("low = 0.2", 'low = "a"', "low, high, weight and unknown are numbers"),
        ("low = 0.2", "low = true", "low, high, weight and unknown are numbers"),
        ("low = 0.2", "low = nan", "low lies below high"),
        ("low = 0.2", "low = 0.2, weight = 0", "weight and unknown lie between 0 and 1"),
        ("low = 0.2", "low = 0.2, weight = 1.1", "weight and unknown lie between 0 and 1"),
        ("low = 0.2", "low = 0.2, unknown = -1", "weight and unknown lie between 0 and 1"),
        ("low = 0.2", 'low = 0.2, needs = "eyes"', "needs is one of lesion, centre, wall"),
        ("low = 0.2", "low = 0.2, lower = 1", "needs feature, low and high"),
        ("low = 0.2, ", "", "needs feature, low and high"),
        ("falls = true", "falls = 1", "falls is true or false"),
        ('source = "proposal"', 'source = " "', "needs a source"),
        ('[{ feature = "flat", low = 0, high = 1 }]', "[]", "pattern.P11.rows: needs at least one row"),
        ('rows = [{ feature = "flat", low = 0, high = 1 }]', "", "pattern.P11: needs rows"),
    ],
)
def test_a_mistake_is_named_with_its_place(before, after, problem):
    text = SIGN + PATTERN
    assert before in text
    with pytest.raises(RuleFileError) as error:
        read_table(text.replace(before, after, 1), FEATURES)
    assert error.value.code == "rules.invalid_patterns"
    assert problem in str(error.value)


@pytest.mark.parametrize(
    "own", [{"patern": {}}, {"pattern": {"P11": []}}, {"pattern": {"P11": {"source": "x", "rows": 3}}}]
)
def test_a_mistake_of_a_site_is_named(own):
    with pytest.raises(RuleFileError):
        pattern_table(own)


@pytest.mark.parametrize(
    ("value", "falls", "weight", "factor"),
    [
        (1.0, False, 1.0, 0.0), (2.0, False, 1.0, 0.5), (3.0, False, 1.0, 1.0), (9.0, False, 1.0, 1.0),
        (1.0, True, 1.0, 1.0), (3.0, True, 1.0, 0.0), (1.0, False, 0.3, 0.7), (2.0, False, 0.3, 0.85),
    ],
)  # fmt: skip
def test_a_row_grades_from_low_to_high_and_takes_off_its_weight(value, falls, weight, factor):
    row = Row(feature="x", low=1, high=3, falls=falls, weight=weight)
    assert grade_row(row, {"x": value})[0] == pytest.approx(factor)


@pytest.mark.parametrize("needs", NEEDS)
@pytest.mark.parametrize(("seen", "factor"), [(1.0, 1.0), (0.5, 0.8), (0.0, 0.6)])
def test_what_is_not_resolved_speaks_neither_way(needs, seen, factor):
    grade, resolved = grade_row(Row(feature="x", low=1, high=3, needs=needs), {"x": 5.0, f"resolved_{needs}": seen})
    assert (grade, resolved) == (pytest.approx(factor), seen)


def test_an_unknown_feature_counts_as_its_row_says():
    assert grade_row(Row(feature="x", low=1, high=3, unknown=0.2), {"x": np.nan}) == (pytest.approx(0.2), 0.0)


def test_the_best_case_of_a_pattern_counts():
    text = SIGN + (
        '[pattern.P11]\nsource = "proposal"\nthin = [{ feature = "wall_mm", low = 1, high = 3, falls = true }]\n'
        'long = [{ feature = "longest_mm", low = 10, high = 20 }, { feature = "bulk", low = 0, high = 1 }]\n'
    )
    values = {"plate": 0.1, "wall_mm": 2.0, "longest_mm": 20.0, "bulk": 0.8}
    assert score_patterns(values, read_table(text, FEATURES))["P11"][0] == pytest.approx(0.8)
    assert score_patterns(values | {"bulk": 0.1}, read_table(text, FEATURES))["P11"][0] == pytest.approx(0.5)


def test_a_mistaken_table_in_the_settings_is_refused_where_they_are_read():
    with pytest.raises(RuleFileError, match="feature is not known"):
        settings_from_text(
            '[detection.patterns.pattern.P19]\nsource = "own"\nrows = [{ feature = "longst_mm", low = 1, high = 2 }]\n'
        )
