"""Columns of ``studies.csv`` and ``lesions.csv``: they follow from the fields of the report.

A scalar field of `Lesion`, and of the records in it, is a column of lesions; one of `Technique` is a column of studies.
A few more are counted or joined. Text written for readers stays in the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from calcreport.model.report import Flags, Lesion, Record, Report, Study, Technique

Cell = str | float | int | bool | None  # A cell; ``None`` is an empty one: not measurable, not known
Row = Mapping[str, Cell]  # by column
Kind = Literal["text", "number", "integer", "boolean"]  # of a column

_TEXT_FOR_READERS: Final = frozenset({"reason", "evidence", "threshold_reason", "review", "shape", "flags"})
"""Fields that are sentences, or too large for a cell."""
_PLAIN: Final = frozenset({"size", "density", "location", "patient", "threshold_hu"})  # left out of names of columns
_RENAMED: Final = {"id": "lesion_id", "grow": "grow_hu", "seed": "seed_hu"}
"""Columns whose field needs the record around it to be understood."""
_DATES: Final = ("_date", "_since")  # ends of names of columns with dates of a patient's life
_DIRECTIONS: Final = ("row", "column", "slice")  # of spacing
_AXES: Final = ("x", "y", "z")  # patient LPS
_STATUSES: Final = ("reported", "no_calcification", "refused")  # outcomes of the analysis
_OLDEST: Final = 90  # Years: from here an age may identify, and all are one group


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind
    path: str
    """Where the value stands in ``report.json``, or how it follows from it."""
    read: Callable[[Any], Cell]
    """Value from the report, the study or the lesion."""
    words: tuple[str, ...] = ()
    """Every word a cell may hold, where there are few."""
    is_identifying: bool = False
    """Left out unless identifiers are asked for."""


def _fields(model: type[Record], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and type of every scalar field, and of the coordinates of every point."""
    for name, info in model.model_fields.items():
        kind, place = _bare(info.annotation), (*path, info.alias or name)
        if name in _TEXT_FOR_READERS:
            continue
        if isinstance(kind, type) and issubclass(kind, Record):
            yield from _fields(kind, place)
        elif get_origin(kind) is tuple and get_args(kind) == (float, float, float):
            yield from (((*place, axis), float) for axis in _AXES)
        elif get_origin(kind) is Literal or (get_origin(kind) is None and kind is not dict):
            yield place, kind


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - a type
    """Type without what marks it as optional or checks it."""
    while get_origin(annotation) in {Union, UnionType, Annotated}:
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    return annotation


def _reader(path: Sequence[str]) -> Callable[[Any], Cell]:
    def read(value: Any) -> Cell:  # noqa: ANN401 - a record, then what it holds
        for name in path:
            if value is None:
                return None
            field = "class_" if name == "class" else name
            value = value[_AXES.index(name)] if isinstance(value, tuple) else getattr(value, field)
        cell: Cell = value.value if isinstance(value, Enum) else value
        return cell

    return read


def _column(path: tuple[str, ...], kind: Any, prefix: str) -> Column:  # noqa: ANN401 - a type
    *folders, leaf = path
    if leaf in _AXES and (vector := folders.pop()) == "spacing_mm":
        leaf = f"{_DIRECTIONS[_AXES.index(leaf)]}_spacing_mm"
    elif leaf in _AXES:
        leaf = f"{vector.removesuffix('_lps_mm')}_{leaf}_lps_mm"
    name = "_".join([*(folder for folder in folders if folder not in _PLAIN), leaf])
    words = get_args(kind) if get_origin(kind) is Literal else [*kind] if issubclass(kind, Enum) else ()
    return Column(
        _RENAMED.get(name, name),
        {float: "number", int: "integer", bool: "boolean"}.get(kind, "text"),  # type: ignore[arg-type]
        prefix + ".".join(path),
        _reader(path),
        words=tuple(map(str, words)),
        is_identifying=name.endswith(_DATES),
    )


def _of_study(name: str, path: str, *, is_identifying: bool = False) -> Column:
    return Column(name, "text", f"study.{path}", _reader(path.split(".")), is_identifying=is_identifying)


def _joined(values: Iterable[str]) -> str | None:
    return "|".join(values) or None


def _advice(owner: Any) -> Cell:  # noqa: ANN401 - a report or a lesion
    return _joined(one.id for one in owner.recommendations)


def _regions(status: str) -> Callable[[Report], Cell]:
    return lambda report: _joined(row.region for row in report.searched if row.status == status)


def _series(status: str) -> Callable[[Report], Cell]:
    return lambda report: sum(one.status == status for one in report.series)


def _state_of(flag: str) -> Callable[[Any], Cell]:
    def read(owner: Any) -> Cell:  # noqa: ANN401 - a report or a lesion
        state = getattr(owner.flags, flag).state if isinstance(owner, Lesion) else owner.flags_summary.get(flag)
        return None if state is None else str(state)

    return read


def _age(study: Study) -> Cell:
    years = study.patient.age_years
    return None if years is None else min(int(years + 1e-6), _OLDEST)


def _largest(report: Report) -> Cell:
    return max((mm for lesion in report.lesions if (mm := lesion.size.max_diameter_mm) is not None), default=None)


STUDY_IDENTITY: Final = (
    _of_study("study_instance_uid", "study_instance_uid"),
    Column("patient_key", "text", "study.patient.id, salted and hashed", lambda study: study.patient.id),
    _of_study("patient_id", "patient.id", is_identifying=True),
    _of_study("patient_name", "patient.name", is_identifying=True),
    _of_study("birth_date", "patient.birth_date", is_identifying=True),
    _of_study("accession_number", "accession_number", is_identifying=True),
    _of_study("study_date", "study_date", is_identifying=True),
    _of_study("study_description", "description", is_identifying=True),
    _of_study("sex", "patient.sex"),
    Column("age_years", "integer", "study.patient.age_years, whole years; 90 is 90 and older", _age),
    _of_study("modality", "modality"),
    _of_study("body_part", "body_part"),
)
"""Columns of studies that a refused study has too; read from a `Study`."""

OUTCOME: Final = (
    Column("status", "text", "outcome of the analysis", lambda outcome: outcome.status, words=_STATUSES),
    Column("code", "text", "why the study was refused: docs/error-codes.md", lambda outcome: outcome.code or None),
    Column("message", "text", "the same in words, with the remedy", lambda outcome: outcome.message or None),
)
"""Columns of studies on what came of the analysis; read from what has `status`, `code` and `message`."""

STUDY_RESULTS: Final = (
    Column("concern", "text", "concern", lambda report: report.concern.value),
    Column("lesion_count", "integer", "number of lesions", lambda report: len(report.lesions)),
    Column("largest_max_diameter_mm", "number", "largest of lesions[].size.max_diameter_mm", _largest),
    Column("excluded_count", "integer", "sum of excluded[].count", lambda r: sum(one.count for one in r.excluded)),
    Column("incidental_count", "integer", "sum of incidental[].count", lambda r: sum(e.count for e in r.incidental)),
    *(Column(f"flag_{name}", "text", f"flags_summary.{name}", _state_of(name)) for name in Flags.model_fields),
    Column("recommendation_ids", "text", "recommendations[].id, joined by |", _advice),
    *(
        Column(f"regions_{status}", "text", f"searched[].region with status {status}, joined by |", _regions(status))
        for status in ("searched", "partly", "not_searched")
    ),
    *(
        replace(made, read=lambda report, read=made.read: read(report.technique))  # type: ignore[misc]
        for made in (_column(path, kind, "technique.") for path, kind in _fields(Technique))
    ),
    *(
        Column(f"series_{status}_count", "integer", f"number of series with status {status}", _series(status))
        for status in ("analysed", "skipped", "refused")
    ),
    Column("software_version", "text", "software.version", lambda report: report.software.version),
    Column("rules_version", "text", "software.rules_version", lambda report: report.software.rules_version),
)
"""Columns of studies that only a report fills in."""

LESION_RESULTS: Final = (
    *(_column(path, kind, "lesions[].") for path, kind in _fields(Lesion)),
    *(Column(f"flag_{name}", "text", f"lesions[].flags.{name}.state", _state_of(name)) for name in Flags.model_fields),
    Column(
        "leading_class", "text", "lesions[].differential[0].id", lambda one: _joined(e.id for e in one.differential[:1])
    ),
    Column(
        "differential",
        "text",
        "lesions[].differential[], id and weight, joined by |",
        lambda one: _joined(entry.id + entry.weight for entry in one.differential),
    ),
    Column("recommendation_ids", "text", "lesions[].recommendations[].id, joined by |", _advice),
)
"""Columns of lesions behind those that name the study."""

TABLES: Final[Mapping[str, tuple[Column, ...]]] = MappingProxyType(
    {"studies": (*STUDY_IDENTITY, *OUTCOME, *STUDY_RESULTS), "lesions": (*STUDY_IDENTITY[:3], *LESION_RESULTS)}
)
"""Columns by name of the table."""
