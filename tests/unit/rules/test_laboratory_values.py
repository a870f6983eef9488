"""Laboratory values one by one: units both ways, the right range, age of the value, and what a reader must know."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcreport.errors import ClinicalError
from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.laboratory import ANALYTES
from calcreport.model.report import Laboratory, LabResult
from calcreport.rules import Ruleset, decide
from calcreport.rules.laboratory import weigh_labs
from calcreport.settings import PolicySettings

DAY = date(2026, 6, 30)


def _lab(value: float, unit: str, **more: object) -> dict[str, object]:
    return {"value": value, "unit": unit, **more}


def _clinical(**labs: Any) -> Clinical:
    return parse_clinical({"labs": labs})


def _laboratory(clinical: Clinical, **how: Any) -> Laboratory:
    given = {"age_years": 50, "study_date": DAY, "max_age_days": 183} | how
    laboratory = weigh_labs(clinical, **given).laboratory
    assert laboratory is not None
    return laboratory


def _one(name: str, lab: dict[str, object], **how: Any) -> LabResult:
    return _laboratory(_clinical(**{name: lab}), **how).results[0]


def test_no_value_means_no_laboratory() -> None:
    assert weigh_labs(Clinical(), age_years=50, study_date=DAY, max_age_days=183).laboratory is None


@pytest.mark.parametrize(
    ("name", "value", "unit", "si", "conventional"),
    [
        ("calcium", 10.0, "mg/dL", 2.495, 10.0),
        ("calcium", 5.0, "mEq/L", 2.5, 10.02),
        ("calcium", 2.495, "mmol/L", 2.495, 10.0),
        ("ionised_calcium", 1.2, "mmol/L", 1.2, 4.81),
        ("phosphate", 4.5, "mg/dL", 1.453, 4.5),
        ("albumin", 4.0, "g/dL", 40.0, 4.0),
        ("pth", 65.0, "pg/mL", 6.89, 65.0),
        ("pth", 6.89, "pmol/L", 6.89, 65.0),
        ("vitamin_d", 20.0, "ng/mL", 49.9, 20.0),
        ("creatinine", 1.0, "mg/dL", 88.4, 1.0),
        ("alp", 100.0, "IU/L", 100.0, 100.0),
        ("egfr", 60.0, "mL/min/1.73 m\u00b2", 60.0, 60.0),
        ("urate", 6.0, "mg/dL", 356.9, 6.0),
        ("ck", 100.0, "U/L", 100.0, 100.0),
    ],
)
def test_a_value_stands_in_both_systems_of_units(
    name: str, value: float, unit: str, si: float, conventional: float
) -> None:
    result = _one(name, _lab(value, unit))
    assert (result.value, result.unit) == (value, unit), "as given"
    assert result.si_value == pytest.approx(si, rel=2e-3)
    assert result.conventional_value == pytest.approx(conventional, rel=2e-3)


@given(st.sampled_from(sorted(ANALYTES)), st.floats(0, 1), st.data())
def test_the_unit_makes_no_difference(name: str, share: float, data: st.DataObject) -> None:
    analyte = ANALYTES[name]
    low, high = analyte.possible
    value = low + share * (high - low)
    unit = data.draw(st.sampled_from(sorted(analyte.factors)))
    in_unit = value / analyte.factors[unit]
    if not low <= in_unit * analyte.factors[unit] <= high:
        return  # a rounding error outside the possible range
    result = _one(name, _lab(in_unit, unit))
    assert result.si_value == pytest.approx(value, rel=1e-9)
    assert result.conventional_value == pytest.approx(value * analyte.conventional[1], rel=1e-9)


@pytest.mark.parametrize("name", sorted(ANALYTES))
def test_the_possible_range_is_the_limit_and_no_less(name: str) -> None:
    analyte = ANALYTES[name]
    for edge, beyond in zip(analyte.possible, (0.999, 1.001), strict=True):
        assert _one(name, _lab(edge, analyte.unit)).si_value == edge
        with pytest.raises(ClinicalError) as caught:
            _clinical(**{name: _lab(edge * beyond, analyte.unit)})
        assert caught.value.code == "clinical.lab_impossible"
        assert f"labs.{name}.value" in caught.value.message


@pytest.mark.parametrize(
    "lab",
    [
        _lab(2.35, "mmol/L", low=8.8, high=10.4),  # the range in mg/dL
        _lab(9.4, "mg/dL", low=2.2, high=2.6),  # the range in mmol/L
    ],
)
def test_a_range_in_another_unit_than_the_value_is_refused(lab: dict[str, object]) -> None:
    with pytest.raises(ClinicalError) as caught:
        _clinical(calcium=lab)
    assert caught.value.code == "clinical.lab_impossible"
    assert "unit" in caught.value.message


@pytest.mark.parametrize(
    ("sex", "value", "state"),
    [("F", 90, "normal"), ("F", 91, "high"), ("M", 91, "normal"), ("M", 59, "low"), (None, 91, "normal")],
)
def test_creatinine_has_a_range_for_each_sex(sex: str | None, value: float, state: str) -> None:
    assert _one("creatinine", _lab(value, "umol/L"), sex=sex).state == state


def test_each_limit_of_the_laboratory_wins_by_itself() -> None:
    result = _one("calcium", _lab(10.6, "mg/dL", high=10.7))
    assert (result.state, result.range_source) == ("normal", "laboratory")
    assert result.high == pytest.approx(10.7 / 4.008)
    assert result.low == 2.2


def test_a_child_has_no_adult_range() -> None:
    result = _one("alp", _lab(300, "U/L"), age_years=11)
    assert (result.state, result.range_source) == ("unknown", "none")
    assert "laboratory's own" in result.reason


@pytest.mark.parametrize(
    ("day", "age_days", "is_used"),
    [
        (date(2025, 12, 29), 183, True),
        (date(2025, 12, 28), 184, False),
        (date(2026, 12, 30), -183, True),
        (date(2026, 12, 31), -184, False),
        (DAY, 0, True),
    ],
)
def test_a_value_has_an_age_and_an_outdated_one_is_stated_and_not_used(day: date, age_days: int, is_used: bool) -> None:
    weighed = weigh_labs(
        _clinical(phosphate=_lab(2.0, "mmol/L", date=day)), age_years=50, study_date=DAY, max_age_days=183
    )
    assert weighed.laboratory is not None
    (result,) = weighed.laboratory.results
    assert (result.age_days, result.is_used) == (age_days, is_used)
    assert (result.state == "high") is is_used
    assert any("not used: serum phosphate" in text for text in weighed.limitations) is not is_used


def test_an_outdated_value_has_the_effect_of_none(ruleset: Ruleset) -> None:
    findings = Findings.model_validate(
        {"modality": "CT", "study_date": DAY, "lesions": [{"pattern": {"id": "P13"}, "size": {"max_diameter_mm": 20}}]}
    )
    fresh, old, none = (
        decide(findings, _clinical(**labs), PolicySettings(), ruleset)
        for labs in (
            {"phosphate": _lab(2.4, "mmol/L", date=DAY)},
            {"phosphate": _lab(2.4, "mmol/L", date="2020-01-01")},
            {},
        )
    )
    assert old.lesions[0].differential == none.lesions[0].differential
    assert fresh.lesions[0].differential != none.lesions[0].differential
    assert "R10" in {entry.id for entry in old.recommendations}


def test_the_policy_sets_the_oldest_value() -> None:
    old = _clinical(phosphate=_lab(2.0, "mmol/L", date="2026-06-01"))
    assert _laboratory(old, max_age_days=29).results[0].is_used
    assert not _laboratory(old, max_age_days=28).results[0].is_used


def test_a_value_whose_age_cannot_be_checked_is_used_and_that_is_said() -> None:
    dated = _clinical(phosphate=_lab(2.0, "mmol/L", date="1990-01-01"))
    for laboratory in (_laboratory(_clinical(phosphate=_lab(2.0, "mmol/L"))), _laboratory(dated, study_date=None)):
        assert laboratory.results[0].is_used
        assert any("age of these values could not be checked: serum phosphate" in text for text in laboratory.remarks)


def test_both_calcium_values_are_kept() -> None:
    laboratory = _laboratory(_clinical(calcium=_lab(2.10, "mmol/L"), albumin=_lab(30, "g/L")))
    assert laboratory.results[0].si_value == 2.10
    assert laboratory.results[0].state == "low"
    assert laboratory.adjusted_calcium_mmol_l == pytest.approx(2.30)
    assert laboratory.adjusted_calcium_mg_dl == pytest.approx(2.30 * 4.008)
    assert laboratory.calcium_state == "normal"


def test_calcium_without_albumin_is_said_to_be_unadjusted() -> None:
    laboratory = _laboratory(_clinical(calcium=_lab(2.4, "mmol/L"), phosphate=_lab(1.0, "mmol/L")))
    assert laboratory.adjusted_calcium_mmol_l is None
    assert any("not adjusted" in text for text in laboratory.remarks)
    assert laboratory.product_mg2_dl2 == pytest.approx(2.4 * 4.008 * 3.097)
    assert laboratory.product_mmol2_l2 == pytest.approx(2.4)


@pytest.mark.parametrize(("ionised", "state"), [(1.09, "low"), (1.10, "normal"), (1.30, "normal"), (1.31, "high")])
def test_ionised_calcium_decides_where_it_is_known(ionised: float, state: str) -> None:
    clinical = _clinical(calcium=_lab(2.9, "mmol/L"), ionised_calcium=_lab(ionised, "mmol/L"))
    weighed = weigh_labs(clinical, age_years=50, study_date=DAY, max_age_days=183)
    assert weighed.facts["labs.calcium"] == state
    assert weighed.laboratory is not None
    assert any("ionised value decides" in text for text in weighed.laboratory.remarks) is (state != "high")


@pytest.mark.parametrize(
    ("phosphate_mg_dl", "age", "band"),
    [
        (5.49, 50, "normal"),
        (5.5, 50, "raised"),
        (6.99, 50, "raised"),
        (7.0, 50, "markedly raised"),
        (6.49, 12, "normal"),
        (6.5, 12, "raised"),
        (6.5, 13, "raised"),
        (5.5, 13, "raised"),
    ],
)
def test_the_product_has_a_band(phosphate_mg_dl: float, age: float, band: str) -> None:
    clinical = _clinical(calcium=_lab(10, "mg/dL"), phosphate=_lab(phosphate_mg_dl, "mg/dL"))
    laboratory = _laboratory(clinical, age_years=age)
    assert laboratory.product_mg2_dl2 == pytest.approx(10 * phosphate_mg_dl)
    assert laboratory.product_band == band


@pytest.mark.parametrize(("times", "where"), [(1.9, "outside"), (2.0, "within"), (9.0, "within"), (9.1, "outside")])
def test_pth_on_dialysis_is_held_against_its_own_band(times: float, where: str) -> None:
    clinical = parse_clinical({"conditions": {"dialysis": "yes"}, "labs": {"pth": _lab(times * 6.9, "pmol/L")}})
    assert any(f"{where} the band" in text for text in _laboratory(clinical).remarks)
    assert not any("band" in text for text in _laboratory(_clinical(pth=_lab(20, "pmol/L"))).remarks)
