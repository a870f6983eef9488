"""The course since an earlier study, laboratory values and sources in the words of a report."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.formats.templates import load_templates
from calcreport.model.lengths import bind_lengths
from calcreport.model.report import Laboratory, LabResult, LesionGrowth, PriorStudy, UsedInput
from calcreport.resources import template_texts
from calcreport.text.clinical import describe_laboratory, describe_sources
from calcreport.text.comparison import describe_comparison, describe_growth
from calcreport.text.statements import Statements


@pytest.fixture(scope="module")
def statements() -> Statements:
    return load_templates(template_texts()).statements


LENGTHS = bind_lengths({})


def _growth(**given: Any) -> LesionGrowth:
    basis = {
        "status": "matched", "comparable": "yes", "prior_date": "2026-01-10", "basis": "mineral", "before_mm": 40.0,
        "now_mm": 50.0, "change_mm": 10.0, "change_percent": 25.0, "interval_days": 91, "change_mm_per_month": 3.345,
    }  # fmt: skip
    return LesionGrowth.model_validate(basis | given)


def test_growth_is_told_with_its_numbers(statements: Statements) -> None:
    text = describe_growth(_growth(), statements, LENGTHS)
    for part in ("Larger by 1.0 cm (25 %)", "since 2026-01-10", "mineral then 4.0 cm", "3.3 mm a month over 91 days"):
        assert part in text


def test_a_lesion_that_shrank_has_no_rate_of_growth(statements: Statements) -> None:
    text = describe_growth(
        _growth(now_mm=30.0, change_mm=-10.0, change_percent=-25.0, change_mm_per_month=-3.3), statements, LENGTHS
    )
    assert text.startswith("Smaller by 1.0 cm (25 %)")
    assert "a month" not in text


def test_stable_names_the_beginning_and_the_length_compared(statements: Statements) -> None:
    text = describe_growth(
        _growth(now_mm=44.0, change_mm=4.0, change_percent=10.0, stable_since="2025-01-10"), statements, LENGTHS
    )
    assert text == "Stable since 2025-01-10 (mineral 4.0 cm on 2026-01-10)"


def test_unchanged_is_only_what_reads_the_same(statements: Statements) -> None:
    same = _growth(before_mm=41.0, now_mm=41.04, change_mm=0.04, change_percent=0.1, stable_since="2026-01-10")
    larger = _growth(now_mm=44.0, change_mm=4.0, change_percent=10.0, stable_since="2026-01-10")
    assert describe_growth(same, statements, LENGTHS).startswith("Unchanged since 2026-01-10")
    assert describe_growth(larger, statements, LENGTHS).startswith("Stable since 2026-01-10")


def test_a_change_within_the_error_without_a_day_is_no_change(statements: Statements) -> None:
    """Typed with an interval alone: nothing to be "stable since", and no growth either."""
    text = describe_growth(
        _growth(now_mm=41.0, change_mm=1.0, change_percent=2.5, course="stable", error_mm=2.0, prior_date=None),
        statements,
        LENGTHS,
    )
    assert text.startswith("No change since the earlier study beyond the measuring error of 2.0 mm")
    assert "a month" not in text


def test_a_volume_that_grew_is_told_beside_the_length(statements: Statements) -> None:
    text = describe_growth(
        _growth(now_mm=40.2, change_mm=0.2, change_percent=0.5, course="larger_in_volume", volume_change_percent=41.2),
        statements,
        LENGTHS,
    )
    assert text.startswith("Larger by 0.2 mm (0 %)")
    assert "volume 41 % larger" in text


def test_what_is_not_comparable_is_said_to_be_so(statements: Statements) -> None:
    doubtful = describe_growth(_growth(comparable="unknown"), statements, LENGTHS)
    assert "not established as comparable" in doubtful
    untold = describe_growth(
        _growth(comparable="no", reason="measured on DX before", change_mm=None), statements, LENGTHS
    )
    assert untold == "No change since the earlier study can be told: measured on DX before"
    assert describe_growth(None, statements, LENGTHS) == ""


def test_the_earlier_study_is_named(statements: Statements) -> None:
    assert describe_comparison(None, (), statements).startswith("None provided")
    report = PriorStudy(source="report", date="2026-01-10", modality="CT")
    assert describe_comparison(report, (), statements) == "CT 2026-01-10, earlier report of this program."
    undated = describe_comparison(PriorStudy(source="reader"), (), statements)
    assert "of unstated date" in undated
    assert undated.endswith(", measurements entered by the reader.")


def _result(test: str, state: str) -> LabResult:
    return LabResult.model_validate(
        {"test": test, "value": 1, "unit": "x", "si_value": 1, "si_unit": "x", "conventional_value": 1}
        | {"conventional_unit": "x", "state": state}
    )


def test_laboratory_values_are_held_against_their_ranges(statements: Statements) -> None:
    laboratory = Laboratory(
        results=(_result("phosphate", "high"), _result("pth", "high"), _result("calcium", "low")),
        calcium_state="normal",
        adjusted_calcium_mmol_l=2.3,
        adjusted_calcium_mg_dl=9.218,
        product_mg2_dl2=75.84,
        product_band="markedly raised",
        remarks=("albumin is old",),
    )
    told = " ".join(describe_laboratory(laboratory, statements))
    for part in (
        "above range: phosphate, PTH",
        "below range: calcium",
        "adjusted for albumin 2.30 mmol/L (9.2 mg/dL): normal",
        "product 75.8 mg2/dL2 (markedly raised)",
        "Albumin is old.",
    ):
        assert part in told
    assert describe_laboratory(None, statements) == ()
    assert describe_laboratory(Laboratory(results=(_result("alp", "normal"),)), statements) == ()


def test_only_what_came_from_the_header_is_said_to(statements: Statements) -> None:
    used = [
        UsedInput(name="patient.age_years", value=46.0, source="header", header_value=46.0),
        UsedInput(name="patient.sex", value="F", source="clinician", header_value="F"),
        UsedInput(name="imaging.contrast", value="none", source="header", header_value="none"),
    ]
    assert describe_sources(tuple(used), statements) == ("Taken from the image header: age.",)
    assert describe_sources((), statements) == ()
