"""Tables of a cohort: columns follow from the report, cells are what it says, and nothing in them is a formula."""

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import calcreport
from calcreport.formats.tables.columns import TABLES, Row
from calcreport.formats.tables.write import lesion_rows, study_row, table_files
from calcreport.model.report import Report
from calcreport.study.result import StudyOutcome

ROOT = Path(__file__).parents[3]


@dataclass
class Rows:
    study: Row
    lesions: list[Row] = field(default_factory=list)


@pytest.fixture(scope="module")
def report() -> Report:
    return calcreport.decide(
        {
            "modality": "CT",
            "lesions": [
                {"size": {"max_diameter_mm": 62.25}, "depth": {"class": "subfascial"}, "pattern": {"id": "P05"}},
                {"size": {"max_diameter_mm": 8}, "location": {"region": "=calf"}},
            ],
        }
    )


@pytest.fixture(scope="module")
def rows(report: Report) -> list[Rows]:
    outcome = StudyOutcome(folder="", status="reported")
    return [Rows(study_row(report.study, outcome, report), lesion_rows(report))]


def _csv(rows: list[Rows], name: str, **how: object) -> list[dict[str, str]]:
    made = table_files(lambda: rows, **{"salt": b"s", "with_identifiers": False, **how})  # type: ignore[arg-type]
    files = {file: b"".join(content) for file, content in made}
    return list(csv.DictReader(io.StringIO(files[name].decode(), newline="")))


def test_names_are_unique_and_lengths_have_a_unit() -> None:
    for columns in TABLES.values():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        numbers = [column.name for column in columns if column.kind == "number"]
        bare = [name for name in numbers if not re.search(r"_(mm|mm3|hu|px|percent|per_month|fraction)$", name)]
        assert bare == [name for name in ("kvp",) if name in numbers]


def test_a_lesion_is_a_row_with_what_the_report_says(rows: list[Rows], report: Report) -> None:
    first, second = _csv(rows, "lesions.csv")
    assert first["max_diameter_mm"] == "62.25"
    assert (first["lesion_id"], first["depth_class"], first["pattern_id"]) == ("L1", "subfascial", "P05")
    assert first["flag_size"] == "present"
    assert first["volume_mm3"] == ""
    assert first["is_minimum"] == "false"
    assert first["recommendation_ids"] == "|".join(one.id for one in report.lesions[0].recommendations)
    assert second["region"] == "'=calf"


def test_a_study_is_a_row(rows: list[Rows]) -> None:
    (study,) = _csv(rows, "studies.csv")
    assert (study["status"], study["lesion_count"], study["largest_max_diameter_mm"]) == ("reported", "2", "62.25")
    assert study["flag_size"] == "present"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"),
        ("\r=1", "' =1"),
        ("  =1", "'  =1"),
        ("a\nb", "a b"),
        ('say "a", b', 'say "a", b'),
        ("\u202eabc", "[U+202E]abc"),
        ("P=1", "P=1"),
    ],
)
def test_no_text_is_a_formula(rows: list[Rows], text: str, cell: str) -> None:
    hostile = [Rows({**rows[0].study, "body_part": text, "largest_max_diameter_mm": -1.5})]
    (study,) = _csv(hostile, "studies.csv")
    assert study["body_part"] == cell
    assert study["largest_max_diameter_mm"] == "-1.5"


def test_a_patient_is_known_by_a_salted_hash(rows: list[Rows]) -> None:
    known = [Rows({**rows[0].study, "patient_key": key, "patient_id": key}) for key in ("A", "B", "A", None)]
    keys = [row["patient_key"] for row in _csv(known, "studies.csv")]
    assert keys[0] == keys[2] != keys[1]
    assert keys[3] == ""
    assert all(re.fullmatch("[0-9a-f]{16}", key) for key in keys[:3])
    assert [row["patient_key"] for row in _csv(known, "studies.csv", salt=b"t")] != keys
    assert "patient_id" not in _csv(known, "studies.csv")[0]
    assert [row["patient_id"] for row in _csv(known, "studies.csv", with_identifiers=True)] == ["A", "B", "A", ""]


@pytest.mark.parametrize(("years", "cell"), [(0.5, "0"), (46.0, "46"), (89.9, "89"), (90.0, "90"), (101.0, "90")])
def test_high_ages_are_one_group(report: Report, years: float, cell: str) -> None:
    patient = report.study.patient.model_copy(update={"age_years": years})
    study = report.study.model_copy(update={"patient": patient})
    row = study_row(study, StudyOutcome(folder="", status="refused", code="a.b", message="why"), None)
    (told,) = _csv([Rows(row)], "studies.csv")
    assert (told["age_years"], told["code"], told["message"], told["concern"]) == (cell, "a.b", "why", "")


def test_parquet_holds_the_same_with_types_and_the_same_bytes_each_time(rows: list[Rows]) -> None:
    def made() -> dict[str, bytes]:
        files = table_files(lambda: rows * 3, salt=b"s", with_identifiers=False)
        return {name: b"".join(content) for name, content in files}

    files = made()
    assert files == made()
    table = pq.read_table(io.BytesIO(files["lesions.parquet"]))
    assert table.num_rows == 6
    assert table.column_names == _header(files["lesions.csv"])
    first = table.to_pylist()[0]
    assert first["max_diameter_mm"] == 62.25
    assert first["is_minimum"] is False
    assert first["volume_mm3"] is None


def _header(content: bytes) -> list[str]:
    return content.decode().split("\n", 1)[0].split(",")
