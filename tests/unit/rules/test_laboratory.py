"""Laboratory facts: range, age of the value, adjusted calcium, product and its band, renal function."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from calcreport.model.clinical import parse_clinical
from calcreport.rules.laboratory import LabFacts, weigh_labs


def _weigh(labs: dict[str, Any], *, age_years: float | None = 50, conditions: dict[str, Any] | None = None) -> LabFacts:
    clinical = parse_clinical({"labs": labs, "conditions": conditions or {}})
    return weigh_labs(clinical, age_years=age_years, study_date=date(2026, 6, 30), max_age_days=183)


def _lab(value: float, unit: str, **more: object) -> dict[str, object]:
    return {"value": value, "unit": unit, **more}


NORMAL = {
    "calcium": _lab(2.4, "mmol/L"),
    "phosphate": _lab(1.1, "mmol/L"),
    "pth": _lab(4.0, "pmol/L"),
    "alp": _lab(80, "U/L"),
}


def test_all_four_normal_is_normal() -> None:
    facts = _weigh(NORMAL).facts
    assert (facts["labs.core_normal"], facts["labs.core_complete"]) == ("yes", "yes")


@pytest.mark.parametrize("name", NORMAL)
def test_one_missing_value_leaves_it_unknown(name: str) -> None:
    facts = _weigh({key: lab for key, lab in NORMAL.items() if key != name}).facts
    assert (facts["labs.core_normal"], facts["labs.core_complete"]) == (None, "no")


def test_one_abnormal_value_is_enough_for_no() -> None:
    assert _weigh({"phosphate": _lab(2.0, "mmol/L")}).facts["labs.core_normal"] == "no"


@pytest.mark.parametrize(("value", "state"), [(2.19, "low"), (2.20, "normal"), (2.60, "normal"), (2.61, "high")])
def test_calcium_at_its_limits(value: float, state: str) -> None:
    assert _weigh({"calcium": _lab(value, "mmol/L")}).facts["labs.calcium"] == state


def test_the_range_of_the_laboratory_wins() -> None:
    assert _weigh({"calcium": _lab(2.55, "mmol/L", low=2.1, high=2.5)}).facts["labs.calcium"] == "high"


def test_albumin_adjusts_calcium_unless_it_is_adjusted_already() -> None:
    labs = {"calcium": _lab(2.50, "mmol/L"), "albumin": _lab(30, "g/L")}
    assert _weigh(labs).facts["labs.calcium"] == "high"
    labs["calcium"] = _lab(2.50, "mmol/L", adjusted="yes")
    assert _weigh(labs).facts["labs.calcium"] == "normal"


def test_adjusted_calcium_is_doubted_in_renal_failure() -> None:
    labs = {"calcium": _lab(2.50, "mmol/L"), "albumin": _lab(30, "g/L")}
    assert any("unreliable" in text for text in _weigh(labs, conditions={"dialysis": "yes"}).limitations)
    assert not _weigh(labs).limitations


@pytest.mark.parametrize(
    ("phosphate_mg_dl", "band"), [(5.4, None), (5.5, "(raised)"), (6.99, "(raised)"), (7.0, "(markedly raised)")]
)
def test_product_bands(phosphate_mg_dl: float, band: str | None) -> None:
    notes = _weigh({"calcium": _lab(10, "mg/dL"), "phosphate": _lab(phosphate_mg_dl, "mg/dL")}).notes
    assert (band is None and not notes) or (band is not None and band in notes[0])


@pytest.mark.parametrize(("age", "limit"), [(None, 55.0), (12, 65.0), (13, 55.0), (70, 55.0)])
def test_product_limit_by_age(age: float | None, limit: float) -> None:
    assert _weigh({}, age_years=age).facts["labs.product_limit"] == limit


def test_values_of_children_need_the_range_of_the_laboratory() -> None:
    assert _weigh({"alp": _lab(300, "U/L")}, age_years=11).facts["labs.alp"] is None
    assert _weigh({"alp": _lab(300, "U/L", high=500)}, age_years=11).facts["labs.alp"] == "normal"
    assert _weigh({"alp": _lab(300, "U/L")}, age_years=40).facts["labs.alp"] == "high"


@pytest.mark.parametrize(("day", "is_used"), [("2025-12-29", True), ("2025-12-28", False), ("2026-12-30", True)])
def test_old_values_are_not_used_and_that_is_said(day: str, is_used: bool) -> None:
    weighed = _weigh({"phosphate": _lab(2.0, "mmol/L", date=day)})
    assert (weighed.facts["labs.phosphate"] == "high") is is_used
    assert any("phosphate" in text for text in weighed.limitations) is not is_used


@pytest.mark.parametrize(
    ("labs", "conditions", "state"),
    [
        ({}, {}, None),
        ({"egfr": _lab(59, "mL/min")}, {}, "reduced"),
        ({"egfr": _lab(60, "mL/min")}, {}, "normal"),
        ({"creatinine": _lab(300, "umol/L")}, {}, "reduced"),
        ({}, {"ckd_stage": 2}, "normal"),
        ({}, {"ckd_stage": 3}, "reduced"),
        ({"egfr": _lab(90, "mL/min")}, {"dialysis": "yes"}, "reduced"),
    ],
)
def test_renal_function(labs: dict[str, Any], conditions: dict[str, Any], state: str | None) -> None:
    assert _weigh(labs, conditions=conditions).facts["labs.renal"] == state


def test_the_report_has_the_product_and_its_limit_only_where_both_values_are_known() -> None:
    both = _weigh(NORMAL).laboratory
    assert both is not None
    assert both.product_limit_mg2_dl2 == 55.0
    assert both.product_mmol2_l2 == pytest.approx(2.4 * 1.1)
    assert both.product_mg2_dl2 == pytest.approx(2.4 * 4.008 * 1.1 * 3.097, rel=1e-3)
    for missing in ("calcium", "phosphate"):
        one = _weigh({name: lab for name, lab in NORMAL.items() if name != missing}).laboratory
        assert one is not None
        assert (one.product_limit_mg2_dl2, one.product_mmol2_l2, one.product_mg2_dl2) == (None, None, None)
    assert _weigh({}).laboratory is None


@pytest.mark.parametrize(("value", "is_urgent"), [(2.99, False), (3.0, True), (3.3, True)])
def test_severe_hypercalcaemia_is_the_first_note(value: float, is_urgent: bool) -> None:
    clinical = parse_clinical({"labs": {"calcium": {"value": value, "unit": "mmol/L"}}})
    weighed = weigh_labs(clinical, age_years=50.0, study_date=None, max_age_days=183)
    assert any(note.startswith("URGENT") for note in weighed.notes[:1]) is is_urgent
