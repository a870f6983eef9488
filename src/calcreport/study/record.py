"""Record of a study in a cohort: what it was made from, and its rows of the tables.

It lies in the study's folder and comes into place with it: a study is finished when its record is there.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from calcreport.formats.tables.columns import Cell
from calcreport.formats.tables.write import lesion_rows, study_row
from calcreport.model.report import Record, Report, Study
from calcreport.study.folder import ResultsFolder
from calcreport.study.result import Kind, Status, StudyOutcome, status_of

RECORD_FILE: Final = "cohort_row.json"  # in a study's folder
THUMBNAIL_FILE: Final = "thumbnail.jpg"  # beside it
_THUMBNAIL_PIXELS: Final = 192  # longest side
_JPEG_QUALITY: Final = 70  # of 100; a thumbnail of 5 kB


class RecordKey(Record):
    """What a record was made from; hexadecimal digests."""

    signature: str = ""
    """Path, size and time of change of every file that was read."""
    images: str = ""
    """Content of these files; empty where reading them failed."""
    request: str = ""
    """Program, rules, settings, formats, layouts and clinical row."""


class StudyRecord(Record):
    """One study of a cohort."""

    schema_version: Literal["1.0"] = "1.0"
    key: RecordKey = RecordKey()
    status: Status
    kind: Kind = ""
    code: str = ""
    message: str = ""
    attempts: int = 1
    """How often it was analysed; a study that failed is tried once more."""
    seconds: float = 0.0
    has_thumbnail: bool = False
    study: dict[str, Cell] = Field(repr=False)
    """Row of ``studies.csv``, with all that identifies the patient."""
    lesions: tuple[dict[str, Cell], ...] = Field(default=(), repr=False)
    """Rows of ``lesions.csv``."""

    def to_bytes(self) -> bytes:
        """Text of the file."""
        return f"{self.model_dump_json()}\n".encode()


def record_of(study: Study, outcome: StudyOutcome, report: Report | None = None, **more: Any) -> StudyRecord:  # noqa: ANN401 - fields
    """Record of a study, with its report where it has one; `more` has the other fields of the record."""
    return StudyRecord(
        status=outcome.status,
        kind=outcome.kind,
        code=outcome.code,
        message=outcome.message,
        seconds=outcome.seconds,
        study=study_row(study, outcome, report),
        lesions=() if report is None else tuple(lesion_rows(report)),
        **more,
    )


def record_files(
    report: Report, files: Mapping[str, bytes], *, key: RecordKey, attempts: int, seconds: float
) -> dict[str, bytes]:
    """Record and thumbnail of a reported study, by file name; `files` are those of its folder."""
    thumbnail = _thumbnail(report, files)
    outcome = StudyOutcome(folder="", status=status_of(report), seconds=seconds)
    record = record_of(report.study, outcome, report, key=key, attempts=attempts, has_thumbnail=thumbnail is not None)
    return {RECORD_FILE: record.to_bytes()} | ({} if thumbnail is None else {THUMBNAIL_FILE: thumbnail})


def parse_record(content: bytes | None) -> StudyRecord | None:
    """Read a record; ``None`` without one, or when it is damaged or of another program."""
    try:
        return None if content is None else StudyRecord.model_validate_json(content)
    except ValidationError:
        return None


def carry_record(results: ResultsFolder, folder: str, report: Report, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Record of a study that is rendered again, with the rows of its report now; nothing where there was none."""
    record = parse_record(results.read_study(folder, RECORD_FILE))
    if record is None:
        return {}
    return record_files(report, files, key=record.key, attempts=record.attempts, seconds=record.seconds)


def _thumbnail(report: Report, files: Mapping[str, bytes]) -> bytes | None:
    """Small picture of the first key image, else of the overview; ``None`` where no pictures are written."""
    named = (*(name for lesion in report.lesions for name in lesion.images), *report.images)
    picture = next((files[name] for name in named if name in files), None)
    if picture is None:
        return None
    from PIL import Image

    sink = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
        small.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
        small.save(sink, "JPEG", quality=_JPEG_QUALITY)
    return sink.getvalue()
