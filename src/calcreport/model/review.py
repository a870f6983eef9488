"""What a reader decided about a lesion, as the report keeps it."""

from __future__ import annotations

from typing import Any, Literal

from calcreport.model.terms import Record


class ReviewChange(Record):
    """One value that a reader replaced."""

    field: str
    """Path in the lesion, such as ``"depth.class"``."""
    measured: Any
    """Value before, ``None`` where there was none."""
    reader: Any
    """Value by the reader, which stands in the report now."""
    is_edit: bool = False
    """Typed into the report itself rather than into a review; a later review does not take it back."""


class LesionReview(Record):
    """A reader's decision about one lesion."""

    status: Literal["accepted", "rejected", "corrected"]
    reason: str | None = None
    """Why; a rejection has one."""
    reader: str | None = None
    date: str | None = None
    """Day of the decision, ISO 8601."""
    changes: tuple[ReviewChange, ...] = ()
