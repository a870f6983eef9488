"""Clinical input: three answers, named mistakes all at once, laboratory values by unit and possibility."""

from __future__ import annotations

from typing import Any

import pytest

from calcreport.errors import ClinicalError
from calcreport.model.clinical import Clinical, as_given, parse_clinical
from calcreport.model.laboratory import ANALYTES, adjust_calcium, calcium_phosphate_product, convert


def _refusal(data: dict[str, Any]) -> ClinicalError:
    with pytest.raises(ClinicalError) as caught:
        parse_clinical(data)
    return caught.value


def test_nothing_given_means_everything_unknown() -> None:
    given = as_given(parse_clinical({}))
    for section in ("symptoms", "history", "conditions", "labs", "growth"):
        assert set(given[section].values()) == {"unknown"}
    assert given["patient"] == {"age_years": "unknown", "sex": "unknown"}


@pytest.mark.parametrize(
    ("typed", "answer"),
    [(True, "yes"), (False, "no"), (None, "unknown"), ("Yes", "yes"), (" no ", "no"), ("unknown", "unknown")],
)
def test_yes_no_and_unknown_survive_yaml(typed: object, answer: str) -> None:
    assert parse_clinical({"symptoms": {"pain": typed}}).symptoms.pain == answer


def test_values_given_are_kept_as_given() -> None:
    clinical = parse_clinical({"labs": {"calcium": {"value": 9.4, "unit": "mg/dL", "date": "2026-10-01"}}})
    calcium = as_given(clinical)["labs"]["calcium"]
    assert (calcium["value"], calcium["unit"], calcium["date"]) == (9.4, "mg/dL", "2026-10-01")


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"symptom": {}}, "did you mean symptoms"),
        ({"history": {"truama": "yes"}}, "did you mean history.trauma"),
        ({"history": {"pain": "yes"}}, "did you mean symptoms.pain"),
        ({"labs": {"calcum": {"value": 2.4, "unit": "mmol/L"}}}, "did you mean labs.calcium"),
        ({"labs": {"calcium": {"value": 2.4, "units": "mmol/L"}}}, "did you mean labs.calcium.unit"),
        ({"xyzzy": 1}, "known here: patient"),
    ],
)
def test_unknown_keys_name_their_nearest_match(data: dict[str, Any], hint: str) -> None:
    assert hint in str(_refusal(data))


@pytest.mark.parametrize("typed", [["calf", "thigh"], {"name": "calf"}, 3])
@pytest.mark.parametrize(
    "field",
    ["site.region", "site.laterality", "symptoms.pain", "symptoms.pain_explained_by", "growth.rate", "mass.mobility",
     "patient.sex", "patient.age_years", "conditions.ckd_stage", "imaging.contrast", "labs.calcium",
     "request.question"],
)  # fmt: skip
def test_what_is_no_single_answer_is_a_named_mistake(field: str, typed: object) -> None:
    section, _, name = field.partition(".")
    if typed == 3 and field in {"patient.age_years", "conditions.ckd_stage"}:
        parse_clinical({section: {name: typed}})
    else:
        assert field in str(_refusal({section: {name: typed}}))


def test_a_key_that_is_no_key_is_not_repeated() -> None:
    assert "Doe" not in str(_refusal({"Doe, Jane (1970-01-01)": "x"}))


def test_all_mistakes_come_at_once_and_hold_no_value() -> None:
    error = _refusal(
        {
            "patient": {"age_years": 4711},
            "history": {"truama": "yes"},
            "labs": {
                "calcium": {"value": 48.15, "unit": "mmol/L"},
                "phosphate": {"value": 1.1},
                "pth": {"value": 40, "unit": "mg/dL"},
            },
        }
    )
    text = str(error)
    assert error.code == "clinical.invalid"
    for name in ("patient.age_years", "history.truama", "labs.calcium.value", "labs.phosphate", "labs.pth.unit"):
        assert name in text
    assert "4711" not in text
    assert "48.15" not in text
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("lab", "code"),
    [
        ({"value": 2.4}, "clinical.lab_unit"),
        (2.4, "clinical.lab_unit"),
        ({"value": 2.4, "unit": "mg/dL"}, "clinical.lab_impossible"),
        ({"value": 9.5, "unit": "mmol/L"}, "clinical.lab_impossible"),
        ({"value": 2.4, "unit": "mol"}, "clinical.lab_unit"),
        ({"value": "high", "unit": "mmol/L"}, "clinical.value"),
        ({"value": float("nan"), "unit": "mmol/L"}, "clinical.value"),
        ({"value": True, "unit": "mmol/L"}, "clinical.value"),
        ({"value": 2.4, "unit": "mmol/L", "low": 2.6, "high": 2.2}, "clinical.value"),
    ],
)
def test_unusable_laboratory_values_are_refused_by_name(lab: object, code: str) -> None:
    error = _refusal({"labs": {"calcium": lab}})
    assert error.code == code
    assert "labs.calcium" in str(error)


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("calcium", 10.0, "mg/dL", 2.495),
        ("phosphate", 4.5, "mg/dl", 1.453),
        ("pth", 65.0, "pg/mL", 6.89),
        ("albumin", 4.0, "g / dL", 40.0),
        ("creatinine", 1.0, "mg/dL", 88.42),
        ("vitamin_d", 20.0, "ng/mL", 49.92),
        ("alp", 2.0, "\u00b5kat/L", 120.0),
        ("alp", 100.0, "IU/L", 100.0),
        ("egfr", 60.0, "mL/min/1.73 m\u00b2", 60.0),
        ("urate", 6.0, "mg/dL", 356.9),
    ],
)
def test_units_convert(name: str, value: float, unit: str, expected: float) -> None:
    assert convert(ANALYTES[name], value, unit) == pytest.approx(expected, rel=2e-3)


def test_adjusted_calcium_and_product() -> None:
    assert adjust_calcium(2.10, 30.0) == pytest.approx(2.30)
    assert calcium_phosphate_product(2.60, 2.35) == pytest.approx(75.8, abs=0.05)
    calcium, phosphate = 10.0 / 4.008, 5.5 / 3.097
    assert calcium_phosphate_product(calcium, phosphate) == 55.0


def test_request_text_stays_out_of_representations() -> None:
    clinical = parse_clinical({"request": {"question": "secret question"}})
    assert "secret" not in repr(clinical)


@pytest.mark.parametrize(
    ("typed", "stage"), [(5, 5), ("3b", 3), ("5D", 5), ("none", 0), ("unknown", None), (None, None)]
)
def test_kidney_stages_as_written(typed: object, stage: int | None) -> None:
    assert parse_clinical({"conditions": {"ckd_stage": typed}}).conditions.ckd_stage == stage


@pytest.mark.parametrize(
    ("typed", "limits"),
    [
        (["dysphagia"], ("dysphagia",)),
        ("no", ()),
        (False, ()),
        (True, ("not specified",)),
        (None, None),
        ("gait", ("gait",)),
    ],
)
def test_functional_limitation_as_list_or_answer(typed: object, limits: tuple[str, ...] | None) -> None:
    assert parse_clinical({"symptoms": {"functional_limitation": typed}}).symptoms.functional_limitation == limits


def test_clinical_input_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Clinical().symptoms.pain = "yes"  # type: ignore[misc, assignment]


@pytest.mark.parametrize(
    ("section", "key", "typed", "read"),
    [
        ("site", "laterality", "R", "right"),
        ("site", "laterality", " Left ", "left"),
        ("imaging", "contrast", False, "none"),
        ("imaging", "contrast", "Venous", "venous"),
        ("mass", "mobility", "Fixed", "fixed"),
        ("growth", "rate", "Rapid", "rapid"),
    ],
)
def test_case_and_common_spellings_make_no_difference(section: str, key: str, typed: object, read: str) -> None:
    assert parse_clinical({section: {key: typed}}) == parse_clinical({section: {key: read}})
    assert getattr(getattr(parse_clinical({section: {key: typed}}), section), key) == read


def test_contrast_without_its_phase_is_a_mistake() -> None:
    assert "imaging.contrast" in str(_refusal({"imaging": {"contrast": True}}))


@pytest.mark.parametrize("section", list(Clinical.model_fields))
def test_unknown_may_be_typed_for_anything(section: str) -> None:
    fields = Clinical.model_fields[section].annotation.model_fields  # type: ignore[union-attr]
    assert parse_clinical({section: dict.fromkeys(fields, "unknown")}) == Clinical()
    assert parse_clinical({section: "unknown"}) == Clinical()


def test_what_is_given_in_a_report_can_be_read_again() -> None:
    typed = {
        "patient": {"age_years": 46},
        "symptoms": {"functional_limitation": ["gait"], "pain_explained_by": "none"},
        "labs": {"calcium": {"value": 9.4, "unit": "mg/dL"}},
        "conditions": {"ckd_stage": 0},
    }
    clinical = parse_clinical(typed)
    assert parse_clinical(as_given(clinical)) == clinical


@pytest.mark.parametrize(
    ("section", "name", "taken", "refused"),
    [
        ("patient", "age_years", (0, 0.5, 130), (-0.1, -46, 130.5)),
        ("mass", "size_cm", (0.1, 100), (0, -3, 101)),
    ],
)
def test_a_number_no_patient_has_is_refused(
    section: str, name: str, taken: tuple[float, ...], refused: tuple[float, ...]
) -> None:
    for value in taken:
        assert getattr(getattr(parse_clinical({section: {name: value}}), section), name) == value
    for value in refused:
        assert f"{section}.{name}" in str(_refusal({section: {name: value}}))
