"""Clinical data of one patient or a table for many, each assigned to its own study and to no other patient."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from calcreport.errors import ClinicalError
from calcreport.model.clinical import KEYS, Clinical, ClinicalRow, parse_row
from calcreport.model.report import Study
from calcreport.model.typed_mistakes import Mistake, field_paths, name_unknown_key, refuse

if TYPE_CHECKING:
    from calcreport.dicom import StudyFiles

MAX_TABLE_BYTES: Final = 32_000_000  # Ten thousand patients with every field filled in
# Names, or ends of names, of files with clinical data that come with the images of a study.
STUDY_FILES: Final = ("clinical.yaml", "clinical.yml", "clinical.json")
_DELIMITERS: Final = ",;\t"  # of CSV as programs, European spreadsheets and Excel's "Unicode text" write it
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")  # a number with a decimal comma
_DECIMAL_POINT: Final = re.compile(r"[+-]?[0-9]+\.[0-9]{3}")  # only three digits may stand for a thousand
_SPREADSHEET_ERRORS: Final = ("#N/A", "#NV", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!")
"""Cells with a failed formula."""
_TRUTHS: Final = {"TRUE": True, "FALSE": False}  # what a spreadsheet makes of a yes/no it takes for a logical value
_LISTS: Final = ("symptoms.functional_limitation",)  # columns whose cells may hold words with ``|`` between them
_HEADER_BYTES: Final = 65_536  # the names of all columns take a tenth of it
# A birthday may lie between the day the age was asked and the study; a header may hold whole years.
_AGE_TOLERANCE_YEARS: Final = 1
_KEY_NAMES: Final = f"{', '.join(KEYS[:-1])} or {KEYS[-1]}"
_ROUNDING_YEARS: Final = 1e-6  # tolerance for ages converted from days or months
# Message of clinical.other_patient.
_OTHER: Final = (
    "the clinical data disagree with the image header ({what}); are they of another patient? Give those of this "
    "patient, correct the field, or leave it out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedClinical:
    """Clinical data of one patient, and the study or patient they say they are about."""

    keys: Mapping[str, str] = field(repr=False)  # those of `KEYS` that are given
    clinical: Clinical = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyClinical:
    """Clinical data of one study."""

    clinical: Clinical = field(default=Clinical(), repr=False)  # everything unknown when nothing is
    is_not_in_table: bool = False  # whether there is a table and it has no row of this study
    refusal: ClinicalError | None = None  # why the study must not be reported with what was given


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalData:
    """Content of ``--clinical``."""

    rows: tuple[KeyedClinical, ...] = ()  # One, or those of a table
    is_table: bool = False  # whether each row is about the studies with its keys only

    def assign(self, studies: Sequence[StudyFiles]) -> tuple[StudyClinical, ...]:
        """Assign clinical data to each study that is going to be analysed, in their order.

        Raises `ClinicalError` ``clinical.which_study`` where data of one patient meet several studies, unless the data
        name their patient and all studies are of this patient.
        """
        if self.is_table:
            return _by_key(self.rows, studies)
        if not self.rows:
            return tuple(StudyClinical() for _ in studies)
        (row,) = self.rows
        if len(studies) > 1 and not (set(row.keys) == {"patient_id"} and _is_one_patient(studies)):
            msg = (
                f"clinical data of one patient were given, but {len(studies)} studies were found; name the folder of "
                f"one study, or give a table (CSV, or a YAML list) with a column {_KEY_NAMES}"
            )
            raise ClinicalError(msg, code="clinical.which_study")
        return tuple(_of_patient(study.study, row) for study in studies)

    def count_unmatched(self, studies: Sequence[StudyFiles]) -> int:
        """Count rows of a table that are about none of the studies."""
        present = {(name, _key_of(study.study, name)) for study in studies for name in KEYS}
        return sum(_main_key(row) not in present for row in self.rows) if self.is_table else 0


def _by_key(rows: Sequence[KeyedClinical], studies: Sequence[StudyFiles]) -> tuple[StudyClinical, ...]:
    index: dict[tuple[str, str], list[KeyedClinical]] = {}
    for row in rows:
        index.setdefault(_main_key(row), []).append(row)
    chosen = [_row_of(study.study, index) for study in studies]
    sharing: dict[int, list[StudyFiles]] = {}
    for study, its in zip(studies, chosen, strict=True):
        sharing.setdefault(id(its), []).append(study)
    is_mixed = {key: len(shared) > 1 and not _is_one_patient(shared) for key, shared in sharing.items()}
    msg = "a row of the clinical table fits studies of several patients; key it by study_instance_uid"
    mixed = StudyClinical(refusal=ClinicalError(msg, code="clinical.which_study"))
    return tuple(
        its if isinstance(its, StudyClinical) else mixed if is_mixed[id(its)] else _of_patient(study.study, its)
        for study, its in zip(studies, chosen, strict=True)
    )


def _row_of(study: Study, index: Mapping[tuple[str, str], list[KeyedClinical]]) -> KeyedClinical | StudyClinical:
    """Find the row of a study; an error when several fit, or when its keys are of two patients."""
    found = [row for name in KEYS for row in index.get((name, _key_of(study, name) or ""), ())]
    agreeing = [row for row in found if not _contradicted_keys(row, study)]
    if len(agreeing) > 1:
        msg = "several rows of the clinical table are about this study; leave one, or give each a more specific key"
        return StudyClinical(refusal=ClinicalError(msg, code="clinical.which_study"))
    if found and not agreeing:
        return StudyClinical(refusal=_other_patient(_contradicted_keys(found[0], study)))
    return agreeing[0] if agreeing else StudyClinical(is_not_in_table=True)


def _of_patient(study: Study, row: KeyedClinical) -> StudyClinical:
    """Refuse data whose keys, age or sex are not those of the header; what the header leaves open contradicts nothing.

    A header's sex "O" stands for "other" and for "not recorded" alike: a difference is printed, not refused.
    """
    wrong = _contradicted_keys(row, study)
    typed, header = row.clinical.patient, study.patient
    if typed.age_years is not None and header.age_years is not None and is_other_age(typed.age_years, header.age_years):
        wrong.append("patient.age_years")
    if {typed.sex, header.sex} == {"F", "M"}:
        wrong.append("patient.sex")
    return StudyClinical(refusal=_other_patient(wrong)) if wrong else StudyClinical(clinical=row.clinical)


def is_other_age(typed_years: float, header_years: float) -> bool:
    """Whether two ages, in completed years, are further apart than a birthday explains."""
    typed, header = (int(years + _ROUNDING_YEARS) for years in (typed_years, header_years))
    return abs(typed - header) > _AGE_TOLERANCE_YEARS


def _other_patient(names: Sequence[str]) -> ClinicalError:
    return ClinicalError(_OTHER.format(what=", ".join(names)), code="clinical.other_patient")


def _key_of(study: Study, name: str) -> str | None:
    return study.patient.id if name == "patient_id" else getattr(study, name)


def _main_key(row: KeyedClinical) -> tuple[str, str]:
    name = next(name for name in KEYS if name in row.keys)
    return name, row.keys[name]


def _contradicted_keys(row: KeyedClinical, study: Study) -> list[str]:
    """Name the keys of a row that are not those of a study; one that the header leaves out contradicts nothing."""
    return [name for name, key in row.keys.items() if _key_of(study, name) not in (None, key)]


def _is_one_patient(studies: Sequence[StudyFiles]) -> bool:
    """Whether all studies have the same patient id, and nothing else in their headers distinguishes two people."""
    if any(not study.study.patient.id for study in studies):
        return False
    people = [(study.study.patient, study.patient_id_issuer) for study in studies]
    stated = [(one.id, one.birth_date, issuer, one.sex if one.sex in {"F", "M"} else None) for one, issuer in people]
    return all(len(set(values) - {None, ""}) <= 1 for values in zip(*stated, strict=True))


# --- reading ---


def data_from_text(text: str) -> ClinicalData:
    """Read a YAML or JSON file: a mapping for one patient, a list for many; empty text: nothing is known.

    Raises `ClinicalError` ``clinical.…``, for a list too ``clinical.no_key``, ``clinical.repeated_key``.
    """
    from calcreport.files.typed_text import values_from_text  # noqa: PLC0415 - brings a YAML parser

    return data_from_values(values_from_text(text, area="clinical"))


def data_from_values(values: Any) -> ClinicalData:  # noqa: ANN401 - plain values of any kind
    """Check plain values, as `data_from_text`."""
    if isinstance(values, list) and all(isinstance(entry, Mapping) for entry in values):
        return _table((f"entry {number}", entry) for number, entry in enumerate(values, start=1))
    if values is not None and not isinstance(values, Mapping):
        msg = (
            "The clinical file must be a mapping of sections (patient, symptoms, history, labs, ...) or a list of them."
        )
        raise ClinicalError(msg, code="clinical.not_mapping")
    if not values:
        return ClinicalData()
    keys, clinical = parse_row(values)
    return ClinicalData(rows=(KeyedClinical(keys=keys, clinical=clinical),))


def is_csv(content: bytes, name: str) -> bool:
    """Whether a file is a CSV table: by the end of its name, or by a first line that has a key column."""
    if name.lower().endswith((".csv", ".tsv")):
        return True
    start = _decoded(content[:_HEADER_BYTES])
    return any(set(KEYS) & set(_header(line, _delimiter(line))) for line in _without_hint(start).splitlines()[:1])


def data_from_csv(content: bytes) -> ClinicalData:
    """Read a CSV table: key columns, and columns named by clinical fields such as ``labs.calcium.value``.

    `content` is UTF-8, UTF-16 with a byte order mark, or Windows-1252; commas, semicolons or tabs. An empty cell is
    unknown. Raises `ClinicalError` ``clinical.not_csv``, ``clinical.no_key``, ``clinical.repeated_key``, or as for each
    row of `data_from_text`.
    """
    text = _without_hint(_decoded(content))
    delimiter = _delimiter(text.partition("\n")[0])
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        lines = []
    if not lines or "\0" in text:
        msg = "The clinical table cannot be read as CSV; save it as CSV in UTF-8, cells with commas in quotes."
        raise ClinicalError(msg, code="clinical.not_csv")
    columns = [column.strip().lower() for column in lines[0]]
    _refuse_columns(columns)
    width = len(columns)
    mistakes = _mixed_decimals(lines[1:]) if delimiter == ";" else []
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != width:
            problem = f"row {number}: has {len(cells)} cells, but there are {width} columns; is a comma not in quotes?"
            mistakes.append(("not_csv", problem))
            continue
        rows.append((f"row {number}", _nested(columns, cells, f"row {number}", mistakes)))
    if mistakes:
        raise refuse(mistakes, area="clinical")
    return _table(iter(rows))


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _without_hint(text: str) -> str:
    """Skip the ``sep=`` line that names the delimiter for Excel."""
    first, _, rest = text.partition("\n")
    return rest if first.strip().strip('"').lower() in {f"sep={mark}".strip() for mark in _DELIMITERS} else text


def _delimiter(line: str) -> str:
    """Find the delimiter by which a first line falls into most columns."""
    return max(_DELIMITERS, key=lambda mark: len(_header(line, mark)))


def _header(line: str, delimiter: str) -> list[str]:
    return [cell.strip().lower() for cells in csv.reader([line], delimiter=delimiter) for cell in cells]


def _refuse_columns(columns: Sequence[str]) -> None:
    known = {*field_paths(ClinicalRow)}
    counts = Counter(columns)
    mistakes: list[Mistake] = []
    for number, name in enumerate(columns, start=1):
        inner = sorted(path for path in known if path.startswith(f"{name}."))
        if not name or counts[name] > 1:
            fault = "its name is repeated" if name else "has no name"
            mistakes.append(("not_csv", f"column {number}: {fault}"))
        elif inner:
            mistakes.append(("unknown_key", f"column {number}: is a section; use {', '.join(inner[:3])}, …"))
        elif name not in known:
            mistakes.append(("unknown_key", f"column {name_unknown_key(tuple(name.split('.')), ClinicalRow)}"))
    if mistakes:
        raise refuse(mistakes, area="clinical")
    if not set(KEYS) & set(columns):
        msg = f"The clinical table needs a column {_KEY_NAMES}, by which its rows find their studies."
        raise ClinicalError(msg, code="clinical.no_key")


def _mixed_decimals(lines: Sequence[list[str]]) -> list[Mistake]:
    """Name cells with a decimal point in a table that uses decimal commas: 1.234 may be a thousand there."""
    cells = [(f"row {row}", cell.strip()) for row, line in enumerate(lines, start=2) for cell in line]
    if not any(_DECIMAL_COMMA.fullmatch(cell) for _, cell in cells):
        return []
    fault = "has a decimal point, but other cells have decimal commas; write all numbers alike"
    return [("value", f"{row}: {fault}") for row, cell in cells if _DECIMAL_POINT.fullmatch(cell)]


def _nested(columns: Sequence[str], cells: Sequence[str], place: str, mistakes: list[Mistake]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for path, cell in zip(columns, map(str.strip, cells), strict=True):
        if cell.upper() in _SPREADSHEET_ERRORS:
            mistakes.append(("value", f"{place}: {path}: is an error of the spreadsheet; leave unknown cells empty"))
        elif cell:
            *sections, name = path.split(".")
            inner = row
            for section in sections:
                inner = inner.setdefault(section, {})
            several = [word.strip() for word in cell.split("|")] if path in _LISTS and "|" in cell else None
            inner[name] = several or _TRUTHS.get(cell.upper(), cell)
    # A unit or a range filled in down a whole column is no result.
    labs = {name: lab for name, lab in row.get("labs", {}).items() if "value" in lab}
    return {**row, "labs": labs}


def _table(entries: Iterator[tuple[str, Mapping[str, Any]]]) -> ClinicalData:
    """Check the rows of a table; `entries` are their places and values."""
    rows: dict[tuple[tuple[str, str], ...], KeyedClinical] = {}
    mistakes: list[Mistake] = []
    for place, values in entries:
        try:
            keys, clinical = parse_row(values)
        except ClinicalError as error:
            kind = error.code.rpartition(".")[2]
            mistakes += [(kind, f"{place}: {line.strip()}") for line in error.message.splitlines()[1:]]
            continue
        mark = tuple(sorted(keys.items()))
        if not keys:
            mistakes.append(("no_key", f"{place}: has no {_KEY_NAMES}"))
        elif mark in rows:
            mistakes.append(("repeated_key", f"{place}: has the same key as a row before"))
        rows[mark] = KeyedClinical(keys=keys, clinical=clinical)
    if mistakes:
        raise refuse(mistakes, area="clinical")
    return ClinicalData(rows=tuple(rows.values()), is_table=True)
