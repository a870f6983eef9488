"""What rules and image analysis wrote, in a site's own words; how they decide does not depend on words."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel

from calcreport.text.statements import Statements

_WORDED: Final = frozenset({
    "text", "label", "evidence", "notes", "measured_notes", "because", "reason", "remarks", "limitations",
    "measured_limitations", "bans", "contacts",
})  # fmt: skip
"""Fields that hold sentences."""
_Record = TypeVar("_Record", bound=BaseModel)


def in_own_words(record: _Record, statements: Statements) -> _Record:
    """Record with every sentence of the core in the words of the site; as it is where the site replaces none."""
    if not statements.of_core:
        return record
    changed = {
        name: _reworded(value, statements, is_worded=name in _WORDED)
        for name in type(record).model_fields
        if isinstance(value := getattr(record, name), str | tuple | dict | BaseModel)
    }
    return record.model_copy(update=changed)


def _reworded(value: Any, statements: Statements, *, is_worded: bool) -> Any:  # noqa: ANN401 - values of any field
    if isinstance(value, str):
        return statements.reword(value) if is_worded and type(value) is str else value
    if isinstance(value, tuple):
        return tuple(_reworded(item, statements, is_worded=is_worded) for item in value)
    if isinstance(value, dict):
        return {key: _reworded(item, statements, is_worded=is_worded) for key, item in value.items()}
    return in_own_words(value, statements) if isinstance(value, BaseModel) else value
