"""Clinical files as text: YAML, JSON, and what is neither."""

from __future__ import annotations

import pytest

from calcreport.errors import ClinicalError
from calcreport.files.clinical_table import data_from_text
from calcreport.files.typed_text import MAX_CHARACTERS
from calcreport.model.clinical import Clinical


def one_patient(text):
    """Clinical data of a file about one patient."""
    rows = data_from_text(text).rows
    return rows[0].clinical if rows else Clinical()


EXAMPLE = """
patient:   {age_years: 46, sex: F}
site:      {region: calf, laterality: right}
symptoms:  {symptomatic: yes, pain: yes, pain_explained_by: trauma, functional_limitation: [range_of_motion]}
growth:    {rate: none, weeks: 10}
history:
conditions:{ckd_stage: 5, dialysis: no}
labs:      {calcium: {value: 2.35, unit: mmol/L, date: 2026-10-01, low: 2.2, high: 2.6}}
"""


def test_yaml_answers_are_read_as_meant() -> None:
    clinical = one_patient(EXAMPLE)
    assert clinical.symptoms.pain == "yes"
    assert clinical.conditions.dialysis == "no"
    assert clinical.conditions.hyperparathyroidism == "unknown"
    assert clinical.growth.rate == "none"


def test_json_is_read_too() -> None:
    assert one_patient('{"growth": {"rate": "rapid"}, "symptoms": {"pain": true}}').symptoms.pain == "yes"


def test_a_bare_no_is_no_growth() -> None:
    assert one_patient("growth: {rate: no}").growth.rate == "none"


def test_empty_text_means_nothing_is_known() -> None:
    assert one_patient("") == Clinical()
    assert one_patient("# nothing\n") == Clinical()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "clinical.not_yaml"),
        ("a: &x 1\nb: *x", "clinical.not_yaml"),
        ("symptoms: {pain: no}\nsymptoms: {pain: yes}", "clinical.not_yaml"),
        ("symptoms:\n  pain: no\n  pain: yes", "clinical.not_yaml"),
        ("x: !!python/object/apply:os.system ['true']", "clinical.not_yaml"),
        ("[" * 5000, "clinical.not_yaml"),
        ("x" * (MAX_CHARACTERS + 1), "clinical.not_yaml"),
        ("labs: {calcium: {value: 2.35, unit: mmol/L, date: 2026-13-45}}", "clinical.value"),
        ("- 1", "clinical.not_mapping"),
        ("text only", "clinical.not_mapping"),
        ("1: 2", "clinical.unknown_key"),
        ("\x00", "clinical.not_yaml"),
    ],
)
def test_what_is_no_clinical_file_is_refused_by_code(text: str, code: str) -> None:
    with pytest.raises(ClinicalError) as caught:
        one_patient(text)
    assert caught.value.code == code
    assert caught.value.__context__ is None


def test_the_message_does_not_quote_the_file() -> None:
    with pytest.raises(ClinicalError) as caught:
        one_patient("patient: {name: Jane Doe\n  [")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("escaped", "read"),
    [(r"\ud83d\ude00", "\U0001f600"), (r"\ud83d", "\ufffd"), (r"\ude00\ud83d", "\ufffd\ufffd"), (r"\u00e4", "\u00e4")],
)
def test_json_escapes_are_read_as_json_means_them(escaped: str, read: str) -> None:
    assert one_patient(f'{{"request": {{"question": "{escaped}"}}}}').request.question == read


def test_json_may_be_indented_with_tabs() -> None:
    assert one_patient('{\n\t"symptoms": {\n\t\t"pain": "yes"\n\t}\n}').symptoms.pain == "yes"


@pytest.mark.parametrize("text", ['{"symptoms": {"pain": "no", "pain": "yes"}}', "{symptoms: {pain: no, pain: yes}}"])
def test_a_repeated_key_is_refused_in_json_too(text: str) -> None:
    with pytest.raises(ClinicalError) as caught:
        one_patient(text)
    assert caught.value.code == "clinical.not_yaml"
    assert "repeated key" in caught.value.message


def test_braces_of_yaml_are_not_taken_for_json() -> None:
    assert one_patient("{symptoms: {pain: yes}}").symptoms.pain == "yes"
