"""Rows of studies and lesions, and their files: CSV for everybody, Parquet where its library is installed."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Protocol

from calcreport.formats.characters import make_visible
from calcreport.formats.tables import columns as of
from calcreport.formats.tables.columns import TABLES, Cell, Column, Kind, Row
from calcreport.model.report import Report, Study

if TYPE_CHECKING:
    import pyarrow

_FORMULA: Final = ("=", "+", "-", "@")  # what a spreadsheet takes for the beginning of a formula
_KEY_CHARACTERS: Final = 16
"""Of the hash of a patient id: two of a million patients share it once in 37 million cohorts."""
_ROW_GROUP: Final = 10_000  # rows of Parquet written at once


class Outcome(Protocol):
    """What came of the analysis of a study."""

    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def code(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


class StudyRows(Protocol):
    """Rows of one study: its own, and those of its lesions."""

    @property
    def study(self) -> Row: ...  # noqa: D102
    @property
    def lesions(self) -> Sequence[Row]: ...  # noqa: D102


def study_row(study: Study, outcome: Outcome, report: Report | None) -> dict[str, Cell]:
    """Row of a study, with all that identifies it; without a report what one says is empty."""
    return (
        {column.name: column.read(study) for column in of.STUDY_IDENTITY}
        | {column.name: column.read(outcome) for column in of.OUTCOME}
        | {column.name: None if report is None else column.read(report) for column in of.STUDY_RESULTS}
    )


def lesion_rows(report: Report) -> list[dict[str, Cell]]:
    """Row of each lesion, with all that identifies its study."""
    whose = {column.name: column.read(report.study) for column in TABLES["lesions"][: -len(of.LESION_RESULTS)]}
    return [whose | {column.name: column.read(lesion) for column in of.LESION_RESULTS} for lesion in report.lesions]


def table_files(
    rows: Callable[[], Iterable[StudyRows]], *, salt: bytes, with_identifiers: bool
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Name and content of the file of each table; `rows` gives the studies anew, in their order, for each of them.

    Without identifiers a patient is known by a hash of the id, salted with `salt`: the same in all tables made with it.
    """
    for table, every in TABLES.items():
        columns = [column for column in every if with_identifiers or not column.is_identifying]
        yield f"{table}.csv", _csv(columns, _cells(columns, rows(), table, salt))
        if find_spec("pyarrow") is not None:
            yield f"{table}.parquet", [_parquet(columns, _cells(columns, rows(), table, salt))]


def _cells(columns: Sequence[Column], studies: Iterable[StudyRows], table: str, salt: bytes) -> Iterator[list[Cell]]:
    for study in studies:
        for row in [study.study] if table == "studies" else study.lesions:
            shown = {name: make_visible(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
            shown["patient_key"] = _key(row["patient_key"], salt)
            yield [shown[column.name] for column in columns]


def _key(patient_id: Cell, salt: bytes) -> str | None:
    if not patient_id:
        return None
    return hmac.new(salt, str(patient_id).encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_KEY_CHARACTERS]


def _csv(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for row in chain([[column.name for column in columns]], rows):
        writer.writerow([_spell(cell) for cell in row])
        yield line.getvalue().encode()
        line.seek(0)
        line.truncate()


def _spell(cell: Cell) -> str:
    """Write a cell; text that a spreadsheet would run as a formula has an apostrophe before it."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str):
        return f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell
    return "" if cell is None else repr(cell)


def _parquet(columns: Sequence[Column], rows: Iterator[Sequence[Cell]]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    kinds: dict[Kind, pyarrow.DataType] = {
        "text": pa.string(), "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()
    }  # fmt: skip
    schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
    sink = io.BytesIO()
    with parquet.ParquetWriter(sink, schema) as writer:
        while group := list(islice(rows, _ROW_GROUP)):
            arrays = [pa.array(cells, kind) for cells, kind in zip(zip(*group, strict=True), schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return sink.getvalue()
