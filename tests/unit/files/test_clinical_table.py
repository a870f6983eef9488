"""Clinical tables as CSV and YAML, and which study gets which row: nobody's data reach somebody else's study."""

from __future__ import annotations

import json

import pytest

from calcreport.dicom import StudyFiles
from calcreport.errors import ClinicalError
from calcreport.files.clinical_table import ClinicalData, data_from_csv, data_from_text, is_csv, is_other_age
from calcreport.model.clinical import Clinical, ClinicalRow
from calcreport.model.report import Patient, Study
from calcreport.model.typed_mistakes import field_paths

TRAUMA = "{history: {trauma: yes}, %s}"


def study(
    uid: str = "1.2.3", *, accession: str | None = None, issuer: str | None = None, **patient: object
) -> StudyFiles:
    about = Study(
        study_instance_uid=uid,
        study_date="2026-01-10",
        modality="CT",
        description=None,
        patient=Patient.model_validate(patient),
        accession_number=accession,
    )
    return StudyFiles(study=about, series=(), patient_id_issuer=issuer)


def given(data: ClinicalData, *studies: StudyFiles) -> list[str]:
    """``"yes"`` and ``"no"`` as the trauma each study got, ``"-"`` without a row, or the code of the refusal."""
    return [
        its.refusal.code if its.refusal else "-" if its.is_not_in_table else str(its.clinical.history.trauma.value)
        for its in data.assign(studies)
    ]


A, B = study("1.2.1", id="A1"), study("1.2.2", id="B1")


# --- one patient's file ---


@pytest.mark.parametrize(
    ("keys", "studies", "expected"),
    [
        ("", [A], ["yes"]),
        ("", [A, B], "clinical.which_study"),
        ("", [A, study("1.2.4", id="A1")], "clinical.which_study"),  # of one patient, but for which day?
        ("patient_id: A1", [A], ["yes"]),
        ("patient_id: A1", [A, study("1.2.4", id="A1")], ["yes", "yes"]),
        ("patient_id: A1", [A, B], "clinical.which_study"),
        ("patient_id: A1", [B], ["clinical.other_patient"]),
        ("patient_id: A1", [study()], ["yes"]),  # the header says nothing
        ("patient_id: A1", [study("1.2.4"), A], "clinical.which_study"),
        ("patient_id: A1, accession_number: C7", [A, study("1.2.4", id="A1")], "clinical.which_study"),
        ("accession_number: C7", [study(accession="C8")], ["clinical.other_patient"]),
        ("study_instance_uid: 1.2.1", [A], ["yes"]),
        ("study_instance_uid: 1.2.1", [B], ["clinical.other_patient"]),
    ],
)
def test_one_patients_data_are_for_one_study_or_one_named_patient(
    keys: str, studies: list[StudyFiles], expected: list[str] | str
) -> None:
    data = data_from_text(TRAUMA % keys)
    if isinstance(expected, str):
        with pytest.raises(ClinicalError) as refusal:
            data.assign(studies)
        assert refusal.value.code == expected
    else:
        assert given(data, *studies) == expected


@pytest.mark.parametrize(
    "other",
    [{"birth_date": "1951-01-01"}, {"sex": "M"}, {"issuer": "SECOND HOSPITAL"}],
)
def test_one_id_of_two_people_is_not_one_patient(other: dict[str, str]) -> None:
    one = study("1.2.1", id="A1", issuer="FIRST HOSPITAL", birth_date="1950-01-01", sex="F")
    two = study("1.2.2", **{"id": "A1", "issuer": "FIRST HOSPITAL", "birth_date": "1950-01-01", "sex": "F"} | other)
    with pytest.raises(ClinicalError, match="2 studies"):
        data_from_text(TRAUMA % "patient_id: A1").assign([one, two])
    table = data_from_text(f"- {TRAUMA % 'patient_id: A1'}")
    assert given(table, one, two) == ["clinical.which_study"] * 2


def test_an_empty_file_is_about_nobody() -> None:
    assert given(data_from_text(""), A, B) == ["unknown", "unknown"]
    assert given(ClinicalData(), A, B) == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("typed", "header", "is_refused"),
    [
        ("age_years: 22", {"age_years": 60.0}, True),
        ("age_years: 22", {"age_years": None}, False),
        ("age_years: 46", {"age_years": 47.9}, False),  # completed years: one birthday apart
        ("age_years: 46", {"age_years": 48.0}, True),
        ("age_years: 46", {"age_years": 45.0}, False),
        ("age_years: 46", {"age_years": 44.9}, True),
        ("age_years: 0.5", {"age_years": 1.5}, False),
        ("sex: M", {"sex": "F"}, True),
        ("sex: F", {"sex": "F"}, False),
        ("sex: F", {"sex": "O"}, False),  # "other", and what some systems write for "not recorded"
        ("sex: F", {"sex": None}, False),
    ],
)
def test_age_and_sex_may_not_contradict_the_header(typed: str, header: dict[str, object], is_refused: bool) -> None:
    data = data_from_text(TRAUMA % f"patient: {{{typed}}}")
    assert given(data, study(**header)) == (["clinical.other_patient"] if is_refused else ["yes"])


def test_age_is_compared_in_completed_years() -> None:
    assert not is_other_age(46, 47 - 1e-9)
    assert is_other_age(46, 48 - 1e-9)  # 47.999999999 is a rounded 48


def test_a_refusal_names_fields_and_no_values() -> None:
    (its,) = data_from_text("{patient_id: SECRET1, patient: {sex: M}}").assign([study(id="SECRET2", sex="F")])
    assert its.refusal is not None
    assert "(patient_id, patient.sex)" in its.refusal.message
    assert "SECRET" not in its.refusal.message
    assert "SECRET" not in repr(its) + repr(data_from_text("{patient_id: SECRET1}").rows)


# --- tables ---

TABLE = """
- {patient_id: A1, history: {trauma: yes}}
- {accession_number: C7, history: {trauma: no}}
- {study_instance_uid: 1.2.9, patient_id: D1, history: {trauma: yes}}
- {patient_id: E1, accession_number: E7, history: {trauma: yes}}
- {patient_id: E1, accession_number: E8, history: {trauma: no}}
- {patient_id: G1, accession_number: SHARED, history: {trauma: yes}}
- {patient_id: H1, accession_number: SHARED, history: {trauma: no}}
"""


@pytest.mark.parametrize(
    ("its", "expected"),
    [
        (A, "yes"),
        (B, "-"),
        (study(), "-"),
        (study(id="a1"), "-"),  # ids are compared as they stand
        (study(id="A1 "), "-"),
        (study(id="B1", accession="C7"), "no"),
        (study(id="A1", accession="C7"), "clinical.which_study"),  # two rows
        (study("1.2.9", id="D1"), "yes"),
        (study("1.2.9"), "yes"),
        (study("1.2.9", id="D2"), "clinical.other_patient"),
        (study(id="D1"), "-"),  # another study of the patient: the row is about one study
        (study(id="E1", accession="E7"), "yes"),
        (study(id="E1", accession="E8"), "no"),
        (study(id="E1", accession="E9"), "-"),
        (study(id="E1"), "-"),
        (study(id="E2", accession="E8"), "clinical.other_patient"),
        (study(id="G1", accession="SHARED"), "yes"),  # two hospitals with one accession number
        (study(id="H1", accession="SHARED"), "no"),
        (study(id="I1", accession="SHARED"), "clinical.other_patient"),
        (study(accession="SHARED"), "clinical.which_study"),
    ],
)
def test_a_study_gets_the_row_with_its_key_or_none(its: StudyFiles, expected: str) -> None:
    assert given(data_from_text(TABLE), its) == [expected]


def test_a_row_serves_every_study_of_its_patient_and_no_other() -> None:
    data = data_from_text(TABLE)
    assert given(data, A, B, study("1.2.4", id="A1")) == ["yes", "-", "yes"]
    assert data.count_unmatched([A, B]) == 6
    one, two = study("1", id="X", accession="C7"), study("2", id="Y", accession="C7")
    assert given(data, A, one, two) == ["yes", "clinical.which_study", "clinical.which_study"]
    assert given(data, study("1", accession="C7"), study("2", accession="C7")) == ["clinical.which_study"] * 2


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("- patient_id: 00123", "00123"),
        ("- patient_id: '00123'", "00123"),
        ("- patient_id: 1_000", "1_000"),
        ("- patient_id: 0x1F", "0x1F"),
        ("- patient_id: 1e3", "1e3"),
        ("- patient_id: 12.50", "12.50"),
        ("- patient_id: 2026-01-10", "2026-01-10"),
        ("- patient_id: ' A 1 '", "A 1"),
        ('[\t{"patient_id": 12345678901234567890}]', "12345678901234567890"),
    ],
)
def test_an_id_stays_as_it_was_typed(text: str, key: str) -> None:
    assert data_from_text(text).rows[0].keys == {"patient_id": key}


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("- {history: {trauma: yes}}", "clinical.no_key", "entry 1"),
        ("- {patient_id: unknown}", "clinical.no_key", "entry 1"),
        ("- {patient_id: A}\n- {patient_id: B}\n- {patient_id: A}", "clinical.repeated_key", "entry 3"),
        (
            "- {patientid: A}",
            "clinical.unknown_key",
            "entry 1: line 1: patientid: unknown key; did you mean patient_id",
        ),
        ("- {patient_id: A, history: {truama: yes}}", "clinical.unknown_key", "history.trauma"),
        ("- {patient_id: A, symptoms: {pain: perhaps}}", "clinical.value", "entry 1: line 1: symptoms.pain"),
        ("- {patient_id: yes}", "clinical.value", "quotes"),
        ("- {patient_id: [A]}", "clinical.value", "patient_id"),
        ("- a\n- b", "clinical.not_mapping", "list"),
        ("- {patient_id: A}\n- b", "clinical.not_mapping", "list"),
        ("word", "clinical.not_mapping", "mapping"),
    ],
)
def test_a_wrong_list_is_refused_by_place(text: str, code: str, hint: str) -> None:
    with pytest.raises(ClinicalError) as refusal:
        data_from_text(text)
    assert refusal.value.code == code
    assert hint in refusal.value.message


# --- CSV ---

LINES = (
    "Patient_ID{0}patient.age_years{0}history.trauma{0}labs.calcium.value{0}labs.calcium.unit{0}request.question",
    "00123{0}46{0}yes{0}{1}{0}mmol/L{0}Gr\u00f6\u00dfe?",
    "B1{0}{0}FALSE{0}{0}mmol/L{0}",
    "{0}{0}{0}{0}{0}",
)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("delimiter", "number", "encoding", "hint"),
    [
        (",", "2.85", "utf-8", ""),
        (",", '"2.85"', "utf-8-sig", "sep=,"),
        (";", "2,85", "utf-8-sig", ""),
        (";", "2,85", "cp1252", "sep=;"),
        (";", "2.85", "latin-1", ""),
        ("\t", "2.85", "utf-16", ""),
    ],
)
def test_csv_as_programs_and_spreadsheets_write_it(
    delimiter: str, number: str, encoding: str, hint: str, end: str
) -> None:
    lines = [hint] * bool(hint) + [line.format(delimiter, number) for line in LINES]
    content = end.join([*lines, ""]).encode(encoding)
    assert is_csv(content, "table")
    data = data_from_csv(content)
    assert data.is_table
    one, two = data.rows
    assert (one.keys, two.keys) == ({"patient_id": "00123"}, {"patient_id": "B1"})
    assert one.clinical.patient.age_years == 46
    assert one.clinical.labs.calcium is not None
    assert one.clinical.labs.calcium.value == 2.85
    assert one.clinical.request.question == "Gr\u00f6\u00dfe?"
    assert (one.clinical.history.trauma.value, two.clinical.history.trauma.value) == ("yes", "no")
    assert two.clinical.labs.calcium is None  # a unit alone is no result
    assert two.clinical.patient.age_years is None


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("name,history.trauma\nA,yes\n", "clinical.unknown_key", "column name"),
        ("history.trauma\nyes\n", "clinical.no_key", "patient_id"),
        ("patient_id,history.truama\nA,yes\n", "clinical.unknown_key", "history.trauma"),
        ("patient_id,labs.calcium\nA,2.4\n", "clinical.unknown_key", "section"),
        ("patient_id,history.trauma,history.trauma\nA,yes,no\n", "clinical.not_csv", "repeated"),
        ("patient_id,,history.trauma\nA,x,no\n", "clinical.not_csv", "column 2"),
        ("patient_id,history.trauma\nA,maybe\n", "clinical.value", "row 2: history.trauma"),
        ("patient_id,history.trauma\nA,#N/A\n", "clinical.value", "row 2"),
        ("patient_id,history.trauma\n,yes\n", "clinical.no_key", "row 2"),
        ("patient_id,history.trauma\n\nA,yes\nA,no\n", "clinical.repeated_key", "row 4"),
        ("patient_id,mass.size_cm,history.trauma\nA,4,2,yes\n", "clinical.not_csv", "row 2: has 4 cells"),
        ("patient_id,history.trauma\nA\n", "clinical.not_csv", "row 2"),
        ('patient_id,history.trauma\n"A"B,yes\n', "clinical.not_csv", "CSV"),
        ("patient_id,history.trauma\nA\0,yes\n", "clinical.not_csv", "CSV"),
        ("patient_id;mass.size_cm\nA;4,2\nB;1.234\n", "clinical.value", "row 3: has a decimal point"),  # 1234?
        ("patient_id;labs.calcium.value\nA;2,85\n", "clinical.lab_unit", "labs.calcium"),
        ("", "clinical.not_csv", "CSV"),
    ],
)
def test_a_wrong_csv_is_refused_by_row_and_column(text: str, code: str, hint: str) -> None:
    with pytest.raises(ClinicalError) as refusal:
        data_from_csv(text.encode())
    assert refusal.value.code == code
    assert hint in refusal.value.message


def test_mistakes_of_a_large_table_are_not_all_listed() -> None:
    with pytest.raises(ClinicalError) as refusal:
        data_from_csv(("patient_id,history.trauma\n" + "".join(f"SECRET{n},SECRET\n" for n in range(500))).encode())
    assert "and more" in refusal.value.message
    assert len(refusal.value.message.splitlines()) == 52  # heading, fifty, "and more"
    assert "SECRET" not in refusal.value.message


def test_words_of_a_list_stand_in_one_cell() -> None:
    (row,) = data_from_csv(b"patient_id,symptoms.functional_limitation\nA,range_of_motion | gait\n").rows
    assert row.clinical.symptoms.functional_limitation == ("range_of_motion", "gait")


def test_every_field_of_a_clinical_file_is_a_column() -> None:
    columns = field_paths(ClinicalRow)
    text = f"{','.join(columns)}\n{',' * (len(columns) - 1)}A\n"
    (row,) = data_from_csv(text.encode()).rows
    assert row.clinical == Clinical()
    assert {"labs.urate.value", "conditions.ckd_stage", "patient_id"} <= set(columns)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"patient_id,history.trauma\n", "a.txt", True),
        (b"anything", "a.CSV", True),
        (b"patient_id: A1\nhistory: {trauma: yes}\n", "a.yaml", False),
        (json.dumps([{"patient_id": "A1"}]).encode(), "a.json", False),
        (b"- patient_id: A\n", "a", False),
        (b"\xff\xfe\x00", "a", False),
        (b"", "a", False),
    ],
)
def test_what_is_taken_for_csv(content: bytes, name: str, expected: bool) -> None:
    assert is_csv(content, name) is expected
