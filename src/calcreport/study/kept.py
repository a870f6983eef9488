"""What a study's folder keeps through new analyses: a reader's review, and the record of the study in a cohort.

A review names lesions by their ids, and a new analysis may give an id to another lesion. Beside the review lies a note
of which lesion each id stood for; where that no longer holds, the review is refused instead of applied. A record comes
into place with the folder: a study of a cohort is finished when its record is there.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from calcreport.errors import UsageError
from calcreport.files.findings import review_from_text
from calcreport.files.named_file import FilePath, read_text
from calcreport.files.report import report_from_text
from calcreport.formats import FILE_NAMES
from calcreport.formats.tables.columns import Cell
from calcreport.formats.tables.write import lesion_rows, study_row
from calcreport.model.report import Record, Report, Study
from calcreport.model.typed_review import Review
from calcreport.study.folder import ResultsFolder, read_bytes
from calcreport.study.result import Kind, Status, StudyOutcome, status_of

ReviewInput = FilePath | Mapping[str, Any] | None  # A reader's review: a file or what such a file holds
REVIEW_FILE: Final = "review.yaml"  # a reader's decisions
NOTE_FILE: Final = "review.lesions.json"  # which lesion each id stood for when the review was written
KEPT_FILES: Final = (REVIEW_FILE, NOTE_FILE)  # never lost with the folder they lie in
RECORD_FILE: Final = "cohort_row.json"  # in a study's folder
THUMBNAIL_FILE: Final = "thumbnail.jpg"  # beside it
_THUMBNAIL_PIXELS: Final = 192  # longest side
_JPEG_QUALITY: Final = 70  # of 100; a thumbnail of 5 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReview:
    """A review as a reader wrote it."""

    review: Review
    text: bytes
    """Content of its file: one that was changed since the note was taken was written about the present draft."""
    note: bytes | None


def carry_review(results: ResultsFolder, folder: str) -> dict[str, bytes]:
    """Files of a review in a study's folder, with the note of what it was written about; empty without a review."""
    review = results.read_study(folder, REVIEW_FILE)
    if review is None:
        return {}
    note = results.read_study(folder, NOTE_FILE)
    if _noted_lesions(note, review) is None:
        last = results.read_study(folder, FILE_NAMES["json"])
        try:
            note = None if last is None else note_lesions(report_from_text(last.decode("utf-8")), review)
        except (UsageError, UnicodeDecodeError):
            note = None
    return {REVIEW_FILE: review} | ({} if note is None else {NOTE_FILE: note})


def note_lesions(drafted: Report, review: bytes) -> bytes:
    """Note which lesion each id of a draft stands for while a review is written; rejected ones may stand apart."""
    lesions = (*drafted.lesions, *(entry.lesion for entry in drafted.rejected))
    note = {
        "review_sha256": hashlib.sha256(review).hexdigest(),
        "lesions": {lesion.id: lesion.tracking_uid for lesion in lesions},
    }
    return f"{json.dumps(note, indent=2)}\n".encode()


def refuse_other_lesions(drafted: Report, written: WrittenReview) -> None:
    """Refuse a review about other lesions than have these ids in the draft: `UsageError` ``review.other_lesion``."""
    before = _noted_lesions(written.note, written.text) or {}
    now = {lesion.id: lesion.tracking_uid for lesion in drafted.lesions}
    changed = [name for name in written.review.lesions if name in before and before[name] != now.get(name)]
    if changed:
        msg = (
            f"the review was written about another draft: {', '.join(changed)} is another lesion now, or none. Look at "
            f"the present draft, write review.yaml anew (any change of its text will do where it still holds), and "
            f"render again"
        )
        raise UsageError(msg, code="review.other_lesion")


def _noted_lesions(note: bytes | None, review: bytes) -> dict[str, Any] | None:
    """Lesions by id in a note about this text of a review; ``None`` where it is about another text, or is none."""
    try:
        content = json.loads(note or b"{}")
    except ValueError:
        return None
    is_about = isinstance(content, dict) and content.get("review_sha256") == hashlib.sha256(review).hexdigest()
    lesions = content.get("lesions", {}) if is_about else None
    return lesions if isinstance(lesions, dict) else None


def review_of(given: ReviewInput, folder: Path | None) -> WrittenReview | None:
    """Read a reader's review; without one the review that lies in `folder`, where there is one."""
    note = read_bytes(folder / NOTE_FILE) if folder is not None else None
    if isinstance(given, Mapping):
        text = json.dumps(given)
    else:
        beside = folder / REVIEW_FILE if folder is not None else None
        path = given or (beside if beside is not None and beside.is_file() else None)
        if path is None:
            return None
        text = read_text(path, "--review")
    return WrittenReview(review=review_from_text(text), text=text.encode(), note=note)


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
