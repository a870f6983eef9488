"""A reader's review in a study's folder: kept through new analyses, and applied to the lesions it was written about.

A review names lesions by their ids, and a new analysis may give an id to another lesion. Beside the review lies a note
of which lesion each id stood for; where that no longer holds, the review is refused instead of applied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calcreport.errors import UsageError
from calcreport.files.findings import review_from_text
from calcreport.files.named_file import FilePath, read_text
from calcreport.files.report import report_from_text
from calcreport.formats import FILE_NAMES
from calcreport.model.report import Report
from calcreport.model.typed_review import Review
from calcreport.study.folder import ResultsFolder, read_bytes

ReviewInput = FilePath | Mapping[str, Any] | None
"""A reader's review: a file or what such a file holds."""
REVIEW_FILE: Final = "review.yaml"  # a reader's decisions
NOTE_FILE: Final = "review.lesions.json"  # which lesion each id stood for when the review was written
KEPT_FILES: Final = (REVIEW_FILE, NOTE_FILE)  # never lost with the folder they lie in


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReview:
    """A review as a reader wrote it."""

    review: Review
    """As typed."""
    text: bytes
    """Content of its file: one that was changed since the note was taken was written about the present draft."""
    note: bytes | None
    """From `note_lesions`, where there is one."""


def carry_review(results: ResultsFolder, folder: str) -> dict[str, bytes]:
    """Files of a review in a study's folder, with the note of what it was written about; empty without a review."""
    review = results.read_study(folder, REVIEW_FILE)
    if review is None:
        return {}
    note = results.read_study(folder, NOTE_FILE)
    if not _is_about(note, review):
        last = results.read_study(folder, FILE_NAMES["json"])
        try:
            note = None if last is None else note_lesions(report_from_text(last.decode("utf-8")), review)
        except (UsageError, UnicodeDecodeError):
            note = None
    return {REVIEW_FILE: review} | ({} if note is None else {NOTE_FILE: note})


def note_lesions(drafted: Report, review: bytes) -> bytes:
    """Note which lesion each id of a draft stands for while a review is written about it.

    `drafted` has every lesion of the draft, or the rejected ones apart.
    """
    lesions = (*drafted.lesions, *(entry.lesion for entry in drafted.rejected))
    note = {
        "review_sha256": hashlib.sha256(review).hexdigest(),
        "lesions": {lesion.id: lesion.tracking_uid for lesion in lesions},
    }
    return f"{json.dumps(note, indent=2)}\n".encode()


def refuse_other_lesions(drafted: Report, written: WrittenReview) -> None:
    """Refuse a review that was written about other lesions than those which have these ids now.

    `drafted` has every lesion of the draft. Raises `UsageError` ``review.other_lesion``.
    """
    if not _is_about(written.note, written.text):
        return
    before = _read(written.note).get("lesions", {})
    now = {lesion.id: lesion.tracking_uid for lesion in drafted.lesions}
    changed = [name for name in written.review.lesions if name in before and before[name] != now.get(name)]
    if changed:
        msg = (
            f"the review was written about another draft: {', '.join(changed)} is another lesion now, or none. Look at "
            f"the present draft, write review.yaml anew (any change of its text will do where it still holds), and "
            f"render again"
        )
        raise UsageError(msg, code="review.other_lesion")


def _is_about(note: bytes | None, review: bytes) -> bool:
    return _read(note).get("review_sha256") == hashlib.sha256(review).hexdigest()


def _read(note: bytes | None) -> dict[str, Any]:
    try:
        content = json.loads(note or b"{}")
    except ValueError:
        return {}
    is_note = isinstance(content, dict) and isinstance(content.get("lesions", {}), dict)
    return content if is_note else {}


def review_of(given: ReviewInput, folder: Path | None) -> WrittenReview | None:
    """Read a reader's review; without one the review that lies in `folder`, where there is one.

    Raises `UsageError` as `read_text`, `ClinicalError` ``review.…``.
    """
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
