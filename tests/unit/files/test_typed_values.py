"""What people type, value by value: a row of a table is a case, and every table may be extended by a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from calcreport.errors import CalcReportError, ClinicalError
from calcreport.files.clinical_table import data_from_text
from calcreport.files.findings import findings_from_text, parse_findings, review_from_text
from calcreport.files.settings import settings_from_text
from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.findings import LesionFinding
from calcreport.model.typed_review import LesionVerdict, parse_review
from calcreport.rules import load_rules


def one_patient(text):
    """Clinical data of a file about one patient."""
    rows = data_from_text(text).rows
    return rows[0].clinical if rows else Clinical()


READERS: dict[str, Callable[[str], Any]] = {
    "clinical": one_patient,
    "findings": findings_from_text,
    "review": review_from_text,
    "settings": settings_from_text,
}

NUMBERS: list[tuple[str, float | None]] = [
    # as typed, as read; None: refused by name
    ("12", 12.0),
    ("12.5", 12.5),
    ("12,5", 12.5),
    ("2,85", 2.85),
    ("0,125", 0.125),
    ("2,8543", 2.8543),
    ("046", 46.0),
    ("007.5", 7.5),
    ("08", 8.0),
    ("+5", 5.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("5.4e1", 54.0),
    ("12E0", 12.0),
    ("-5", -5.0),
    ("1,250", None),
    ("12,500", None),
    ("1.250,5", None),
    ("1,250.5", None),
    ("1 250", None),
    ("1'250", None),
    ("1_000", None),
    ("1:30", None),
    ("0:30", None),
    ("0x1F", None),
    ("0o17", None),
    ("0b11", None),
    ("12 mm", None),
    ("12mm", None),
    ("5,4 cm", None),
    ("12 %", None),
    ("~50", None),
    ("ca. 50", None),
    ("<5", None),
    ("50-60", None),
    ("5/6", None),
    ("5..6", None),
    ("--5", None),
    ("e5", None),
    ("inf", None),
    (".inf", None),
    ("-.INF", None),
    ("nan", None),
    (".nan", None),
    ("1e999", None),
    ("\uff15\uff10", None),
    ("\u0665", None),
    ("5\u00b2", None),
    ("yes", None),
    ("on", None),
    ("", None),
]

ANSWERS: list[tuple[str, str | None]] = [
    ("yes", "yes"), ("Yes", "yes"), ("YES", "yes"), ("true", "yes"), ("True", "yes"), ("TRUE", "yes"), ('"yes"', "yes"),
    ('"true"', "yes"), ("no", "no"), ("NO", "no"), ("false", "no"), ("False", "no"), ("'no'", "no"), (" no ", "no"),
    ("unknown", "unknown"), ("Unknown", "unknown"), ("", "unknown"), ("~", "unknown"), ("null", "unknown"),
    ("on", None), ("off", None), ("y", None), ("n", None), ("1", None), ("0", None), ("ja", None), ("maybe", None),
    ("[yes]", None), ("{yes: no}", None), ("no sarcoma", None),
]  # fmt: skip

DATES: list[tuple[str, str | None]] = [
    ("2026-10-01", "2026-10-01"), ("'2026-10-01'", "2026-10-01"), ("2028-02-29", "2028-02-29"),
    ("01.10.2026", None), ("10/01/2026", None), ("2026/10/01", None), ("2026-1-5", None), ("20261001", None),
    ("2026", None),
    ("2026-10", None), ("2026-13-45", None), ("2026-02-30", None), ("2026-W40-4", None), ("2026-10-01T10:00", None),
    ("1 Oct 2026", None), ("26-10-01", None), ("yes", None), ("1790812800", None),
    ("\uff12\uff10\uff12\uff16-10-01", None),
]  # fmt: skip

MISTAKES = [
    # file, text, code, line, what the message says
    ("clinical", "labs: {calcium: {value: 2,85, unit: mmol/L}}", "value", 1, "labs.calcium.value: a comma cuts"),
    ("clinical", "labs: {calcium: {value: 2,85 unit: mmol/L}}", "value", 1, "labs.calcium.value: a comma cuts"),
    ("clinical", "labs:\n  calcium: {unit: mmol/L, value: 2,85}", "value", 2, "write a decimal point"),
    ("clinical", "mass: {size_cm: 5,4}", "value", 1, "mass.size_cm: a comma cuts the number"),
    ("clinical", "mass: {size_cm: 5, 4, palpable: yes}", "value", 1, "mass.size_cm: a comma cuts the number"),
    ("clinical", "mass: {size_cm: 5,4 cm, palpable: yes}", "value", 1, "mass.size_cm: a comma cuts the number"),
    ("findings", "lesions:\n- mass: {max_diameter_mm: 50,4}", "value", 2, "lesion 1: mass.max_diameter_mm: a comma"),
    ("findings", "lesions: [{size.ap_mm: 50,4 mm}]", "value", 1, "lesion 1: size.ap_mm: a comma cuts"),
    ("review", "lesions:\n  L1: {max_diameter_mm: 50,4}", "value", 2, "lesions.L1.max_diameter_mm: a comma cuts"),
    ("settings", "[policy]\nsize_limit_mm = 50,4", "syntax", 2, "size_limit_mm: write a decimal point"),
    ("settings", "policy = {size_limit_mm = 50,4}", "syntax", 1, "size_limit_mm: write a decimal point"),
    ("settings", "[policy]\nsize_limit_mm = 050", "syntax", 2, "without leading zeros"),
    ("settings", "[policy]\nstrict_s1 = yes", "syntax", 2, "strict_s1: write true or false"),
    ("settings", "[policy]\nsize_limit_mm = 60\nsize_limit_mm = 50\n", "syntax", 3, "given twice"),
    ("settings", "[policy]\n\nsize_limit_mm = '50'", "invalid_value", 3, "policy.size_limit_mm: must be a number"),
    ("settings", "[policy]\nstrict_s1 = 'no'", "invalid_value", 2, "policy.strict_s1: must be true or false"),
    ("settings", "[policy]\nsize_limit = 50", "unknown_key", 2, "did you mean size_limit_mm"),
    # keys without a value, known and unknown
    ("clinical", "history: {sarcoma yes, trauma: no}", "unknown_key", 1, "did you mean 'sarcoma: yes'?"),
    ("clinical", "history: {trauma: no, sarcoma yes}", "unknown_key", 1, "history.sarcoma yes: unknown key"),
    ("clinical", "history: {sarcoma, trauma: no}", "value", 1, "history: the first entry has no colon"),
    ("clinical", "history:\n  {trauma: no,\n   sarcoma}", "value", 2, "history.trauma: the entry after it has no"),
    ("clinical", "{sarcoma}", "value", None, "file: the first entry has no colon"),
    ("clinical", "history: {trauma:no}", "value", 1, "no space after its colon"),
    ("clinical", "history:\n  ? sarcoma\n", "value", 1, "no colon"),
    ("clinical", "history: {sarkoma: , trauma: no}", "unknown_key", 1, "did you mean history.sarcoma?"),
    ("clinical", "history:\n  trauma: no\n  sarkoma:\n", "unknown_key", 3, "did you mean history.sarcoma?"),
    ("clinical", "history:\n  sarkoma: unknown\n", "unknown_key", 2, "did you mean history.sarcoma?"),
    ("clinical", "histori:\n", "unknown_key", 1, "did you mean history?"),
    ("clinical", "labs:\n  calcium:\n    vaule:\n    unit: mmol/L", "invalid", 3, "labs.calcium.vaule: unknown key"),
    ("findings", "lesions:\n- {}\n- features:\n    rim_compleet:\n", "unknown_key", 4, "features.rim_complete"),
    ("findings", "lesions:\n- size.max_mm: unknown\n", "unknown_key", 2, "lesion 1: size.max_mm: unknown key"),
    ("findings", "lesions:\n- size: {ap_mm: 3}\n  size.ap_mm: 4", "unknown_key", 2, "given as a path and in its"),
    ("findings", "lesions:\n- size.ap_mm: 4\n  size: {ap_mm: 3}", "unknown_key", 2, "given as a path and in its"),
    ("review", "lesions:\n  L1: {patern: }", "unknown_key", 2, "lesions.L1.patern: unknown key"),
    # text cut by a comma is not repeated: it may be a name
    ("clinical", "request: {referrer: Miller, Jane}", "value", 1, "text that holds a comma in quotes"),
    ("clinical", "site: {region: calf, upper third, laterality: left}", "value", 1, "site.region: the entry after it"),
    # what cannot be taken apart
    ("clinical", "history:\n\ttrauma: no", "not_yaml", 2, "a tab stands before the text; indent with spaces"),
    ("clinical", "history:\n  sarcoma yes\n  trauma: no", "not_yaml", 2, "a colon is missing"),
    ("clinical", "history:\n  trauma:no\n  sarcoma: yes", "not_yaml", 2, "a space is missing after the colon"),
    ("clinical", "history:\n  sarcoma yes\n", "value", 1, "is a colon, or the space after it, missing?"),
    ("clinical", "history:\n  trauma: no\n   fever: no", "not_yaml", 3, "indented further than the line above"),
    ("clinical", "history:\n    trauma: no\n  burns: no", "not_yaml", 3, "indented unlike"),
    ("clinical", "request:\n  question: Sarcoma: yes?", "not_yaml", 2, "text that holds a colon in quotes"),
    ("clinical", "labs: {calcium: {value: 2.4 unit: mmol/L}}", "not_yaml", 1, "a comma between two entries"),
    ("clinical", "history:\n  {trauma: no\n", "not_yaml", 2, "the bracket opened here is never closed"),
    ("clinical", "history:\n  {trauma: no,\n", "not_yaml", 2, "a bracket opened above is never closed"),
    ("clinical", "site:\n  region: >5\n", "not_yaml", 2, "begins with > or |"),
    ("clinical", "site:\n  region: 'calf\n", "not_yaml", 2, "a quotation mark is opened here and never closed"),
    ("clinical", "mass:\n  size_cm: >5\n", "not_yaml", 2, "begins with > or |"),
    ("clinical", "site: {region: @calf}", "not_yaml", 1, "must stand in quotes"),
    ("clinical", "site:\n  region: &calf\n", "not_yaml", 2, "references"),
    ("clinical", "site:\n  region: &calf upper\n", "not_yaml", 2, "references"),
    ("clinical", "site:\n  region: *calf\n", "not_yaml", 2, "references"),
    ("clinical", "patient: {age_years: !!int 046}", "not_yaml", 1, "types: ! is not used"),
    ("clinical", "symptoms: {pain: yes}\n---\nsymptoms: {pain: no}", "not_yaml", 2, "a second document"),
    ("clinical", "? [a]\n: 1", "not_yaml", 1, "must be a word"),
    ("clinical", "history:\n  trauma: no\n  burns: no\n  trauma: yes", "not_yaml", 2, "repeated key, also on line 4"),
    ("clinical", '{"history":\n {"burns": "no",\n "burns": "yes"}}', "not_yaml", 2, "repeated key, also on line 3"),
    ("clinical", "a: " + "[" * 21, "not_yaml", 1, "nested too deeply"),
    ("clinical", "a: b\n\x01", "not_yaml", 2, "no text"),
    # JSON keeps its lines and its mistakes
    ("clinical", '{\n\t"patient": {"age_years": NaN}\n}', "value", 2, "patient.age_years: must be one plain number"),
    ("clinical", '{"patient":\n {"age_years": -Infinity}}', "value", 2, "patient.age_years"),
    ("clinical", '{"patient":\n {"age_years": "46 y"}}', "value", 2, "patient.age_years"),
    ("findings", '{"lesions": [{},\n{"foci": {"count": 2.5}}]}', "value", 2, "lesion 2: foci.count: must be a whole"),
    # words of a person, not of a parser
    ("clinical", "site:\n  region: no", "value", 2, "site.region: must be text, not yes or no"),
    ("clinical", "symptoms:\n  pain: on", "value", 2, "symptoms.pain: must be 'yes', 'no' or 'unknown'"),
    ("clinical", "labs: 5", "value", 1, "labs: must be a section"),
    ("clinical", "labs:\n  calcium: {unit: mmol/L}", "value", 2, "labs.calcium.value: is missing"),
    ("findings", "lesions: {size: 3}", "value", 1, "lesions: must be a list"),
    ("review", "date: 2026-11-21\nlesions:\n  L1: reject", "value", 3, "lesions.L1: a rejection needs its reason"),
    ("review", "lesions:\n  2.25.77: reject", "value", 2, "lesions.2.25.77: a rejection needs its reason"),
]  # fmt: skip

READ_AS_MEANT = [
    # clinical text, section, field, as read
    ("symptoms:\n  pain:\tyes\t\n", "symptoms", "pain", "yes"),
    ("symptoms:\n  pain:\u00a0yes\n", "symptoms", "pain", "yes"),
    ("symptoms:\r\n  pain: YES\r\n", "symptoms", "pain", "yes"),
    ("\ufeffsymptoms: {pain: yes}", "symptoms", "pain", "yes"),
    ("symptoms:{pain: yes}", "symptoms", "pain", "yes"),
    ("---\nsymptoms: {pain: yes}\n...\n", "symptoms", "pain", "yes"),
    ("symptoms: {fever: , pain: yes,}", "symptoms", "pain", "yes"),
    ("symptoms:\n  fever:\n  pain: yes", "symptoms", "pain", "yes"),
    ("history:\nsymptoms: {pain: yes}", "symptoms", "pain", "yes"),
    ("request: {referrer: 0123}", "request", "referrer", "0123"),
    ("request: {referrer: 2026-10-01}", "request", "referrer", "2026-10-01"),
    ("request: {question: 1:30}", "request", "question", "1:30"),
    ("request: {question: 'Sarcoma: yes, or no?'}", "request", "question", "Sarcoma: yes, or no?"),
    ("request:\n  question: |\n    a: b\n    c", "request", "question", "a: b\nc"),
    ('{"request": {"question": "a\u2028b\x85c\x7f"}}', "request", "question", "a\u2028b\x85c\x7f"),
    ('{"request": {"question": "x: {y, z} # \\/ \\ud83d\\ude00"}}', "request", "question", "x: {y, z} # / \U0001f600"),
    ('{"patient": {"age_years": 4.6E1}}', "patient", "age_years", 46.0),
    ("conditions: {ckd_stage: 05}", "conditions", "ckd_stage", 5),
    ("conditions: {ckd_stage: no}", "conditions", "ckd_stage", 0),
    ("growth: {rate: 'no'}", "growth", "rate", "none"),
]


def _numeric(model: type[BaseModel], *prefix: str) -> Iterator[tuple[str, ...]]:
    """Paths of all fields of a record that hold one number."""
    for name, field in model.model_fields.items():
        kinds = list(_kinds(field.annotation))
        records = [kind for kind in kinds if issubclass(kind, BaseModel)]
        if records:
            yield from _numeric(records[0], *prefix, field.alias or name)
        elif {int, float} & set(kinds) and tuple not in kinds:
            yield (*prefix, field.alias or name)


def _kinds(annotation: Any) -> Iterator[type]:
    origin = getattr(annotation, "__origin__", None)
    if isinstance(annotation, type) and origin is None:
        yield annotation
    elif origin is tuple:
        yield tuple
    for inner in get_args(annotation):
        yield from _kinds(inner)


def _wrapped(area: str, path: tuple[str, ...], value: object) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    if area == "clinical":
        if "labs" in value and path[-1] != "value":
            value["labs"][path[1]] |= {"value": 1}
        if "labs" in value:
            value["labs"][path[1]] |= {"unit": "mmol/L"}
        return value
    return {"lesions": [value]} if area == "findings" else {"lesions": {"L1": value}}


FIELDS = [
    *(("clinical", path) for path in _numeric(Clinical)),
    *(("findings", path) for path in _numeric(LesionFinding)),
    *(("review", path) for path in _numeric(LesionVerdict)),
]
PARSERS = {"clinical": parse_clinical, "findings": parse_findings, "review": parse_review}


def _outcome(read: Callable[[], Any]) -> tuple[object, str]:
    try:
        return read(), ""
    except ClinicalError as error:
        return None, error.message


def test_all_numeric_fields_are_found() -> None:
    assert {("clinical", ("patient", "age_years")), ("clinical", ("labs", "urate", "low"))} < set(FIELDS)
    assert {("findings", ("mass", "max_diameter_mm")), ("findings", ("foci", "count"))} < set(FIELDS)
    assert ("review", ("mass", "max_diameter_mm")) in FIELDS
    assert len(FIELDS) > 70


@pytest.mark.parametrize(("typed", "number"), NUMBERS)
def test_a_typed_number_is_read_as_meant_or_refused_by_name_in_every_field(typed: str, number: float | None) -> None:
    for area, path in FIELDS:
        name = ".".join(path)
        quoted = json.dumps(_wrapped(area, path, typed))  # text in quotes, as a cell of a table is text too
        bare = quoted.replace(json.dumps(typed), typed, 1).replace("{", "\n{")
        texts = [quoted] if typed == "" or typed[0] in "<~" or "," in typed else [quoted, bare]
        for text in texts:
            read, message = _outcome(lambda text=text, area=area: READERS[area](text))
            if number is None:
                assert f"{name}: " in message, (typed, text)
            else:
                meant, expected = _outcome(
                    lambda area=area, path=path: PARSERS[area](_wrapped(area, path, number))  # type: ignore[operator]
                )
                assert read == meant, (typed, text)
                assert message.partition(name)[2] == expected.partition(name)[2], (typed, text)


@pytest.mark.parametrize(("typed", "number"), [row for row in NUMBERS if row[0] and row[0][0] not in "<"])
def test_a_typed_number_in_a_line_of_its_own(typed: str, number: float | None) -> None:
    read, message = _outcome(lambda: findings_from_text(f"lesions:\n- density:\n    mean_hu: {typed}\n"))
    if number is None:
        assert "line 3: lesion 1: density.mean_hu: " in message
    else:
        assert read.lesions[0].density.mean_hu == number


@pytest.mark.parametrize(("typed", "answer"), ANSWERS)
def test_an_answer_is_read_as_meant_or_refused_by_name(typed: str, answer: str | None) -> None:
    read, message = _outcome(lambda: one_patient(f"history:\n  sarcoma: {typed}\n"))
    if answer is None:
        assert "line 2: history.sarcoma: must be" in message
    else:
        assert read.history.sarcoma == answer


@pytest.mark.parametrize(("typed", "day"), DATES)
@pytest.mark.parametrize(
    ("area", "text", "name"),
    [
        ("clinical", "labs: {calcium: {value: 2.4, unit: mmol/L, date: %s}}", "labs.calcium.date"),
        ("findings", "lesions: []\nstudy_date: %s", "study_date"),
        ("findings", "lesions: [{prior: {study_date: %s}}]", "lesion 1: prior.study_date"),
        ("review", "lesions: {}\ndate: %s", "date"),
    ],
)
def test_a_date_is_year_month_day(area: str, text: str, name: str, typed: str, day: str | None) -> None:
    read, message = _outcome(lambda: READERS[area](text % typed))
    if day is None:
        assert f"{name}: must be a date written year-month-day" in message
    else:
        assert day in read.model_dump_json()


@pytest.mark.parametrize(("area", "text", "code", "line", "words"), MISTAKES)
def test_a_mistake_names_place_line_and_remedy(area: str, text: str, code: str, line: int | None, words: str) -> None:
    with pytest.raises(CalcReportError) as caught:
        READERS[area](text)
    assert caught.value.code == f"{area}.{code}"
    (told,) = [part for part in caught.value.message.splitlines() if words in part]
    assert line is None or f"line {line}" in told
    for private in ("2,85", "85", "50,4", "Jane", "upper third"):
        assert private not in caught.value.message


@pytest.mark.parametrize(("text", "section", "field", "value"), READ_AS_MEANT)
def test_what_is_plain_is_read_as_meant(text: str, section: str, field: str, value: object) -> None:
    assert getattr(getattr(one_patient(text), section), field) == value


def test_all_mistakes_come_at_once_with_their_lines() -> None:
    _, message = _outcome(lambda: one_patient("patient:\n  age_years: 1:30\nhistory:\n  sarkoma:\nlabs:\n  pth: 4\n"))
    for start in ("line 2: patient.age_years: ", "line 4: history.sarkoma: ", "line 6: labs.pth: "):
        assert f"\n  {start}" in message


def test_a_file_full_of_mistakes_names_some_and_says_so() -> None:
    _, message = _outcome(lambda: one_patient("\n".join(f"k{number}: 1" for number in range(20_000))))
    assert len(message.splitlines()) == 52
    assert message.endswith("and more")


def test_rule_files_name_the_remedy_too() -> None:
    with pytest.raises(CalcReportError) as caught:
        load_rules({"site.toml": "schema = 1\nlimit_mm = 50,4\n"})
    assert "line 2" in str(caught.value)
    assert "limit_mm: write a decimal point" in str(caught.value)
