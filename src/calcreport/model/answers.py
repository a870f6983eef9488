"""Types of what people type: three-valued answers, finite numbers, lengths, words."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from calcreport.model.report import Laterality, YesNo

LARGEST_LENGTH_MM: Final = 2500.0
"""Nothing in a patient is longer; a larger number is a mistyped unit."""

_DECIMAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
"""Decimal numbers of the core schema of YAML 1.2."""

_DECIMAL_COMMA: Final = re.compile(r"^([-+]?[0-9]+),([0-9]+)$")  # 1,5 as typed in most of Europe

_AMBIGUOUS: Final = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}")  # 1,250 is 1250 to one reader and 1.25 to another
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # a date as YYYY-MM-DD


def reads(words: Mapping[str | None, str]) -> BeforeValidator:
    """Read a word in any case as what it stands for, true and false (a bare ``yes`` in YAML) as yes and no."""

    def read(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was typed
        word = as_word(value) if not isinstance(value, bool) else "yes" if value else "no"
        return words.get(word, word) if word is None or isinstance(word, str) else word

    return BeforeValidator(read)


def read_number(value: Any) -> Any:  # noqa: ANN401
    """Read a number as typed in a file or in a cell of a table: decimal digits, and nothing that means two things.

    Leading zeros are decimal, a comma with one, two or more than three digits behind it is a decimal comma; numbers
    pass. Raises `ValueError` for true and false, which Python would take for 1 and 0, and for text that is not one
    plain number: base 60, other bases, units, ranges, signs such as ~ and >, separators of thousands. The text is not
    repeated.
    """
    if isinstance(value, bool):
        msg = "must be a number, not yes or no"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _AMBIGUOUS.fullmatch(text):
        msg = "the comma may be a decimal comma or a separator of thousands; write a decimal point, or no separator"
        raise ValueError(msg)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    msg = "must be one plain number, such as 12 or 2.5: without unit, range, other signs or separators"
    raise ValueError(msg)


def _as_day(value: Any) -> Any:  # noqa: ANN401
    """Read year-month-day alone: 01.10.2026 and 10/01/2026 are different days in different countries."""
    if isinstance(value, datetime.date):
        return value
    text = value.strip() if isinstance(value, str) else ""
    try:
        return datetime.date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        msg = "must be a date written year-month-day with two digits each, as in 2026-10-01"
        raise ValueError(msg) from None


def _as_text(value: Any) -> Any:  # noqa: ANN401
    """Read a word; an answer where a word belongs is a mistake."""
    word = as_word(value)
    if isinstance(value, bool) or (isinstance(word, str) and word in {"yes", "no", "true", "false"}):
        msg = "must be text, not yes or no"
        raise ValueError(msg)
    return word


def as_word(value: Any) -> Any:  # noqa: ANN401
    """Compare words without regard to case and outer blanks."""
    return value.strip().lower() if isinstance(value, str) else value


Answer = Annotated[YesNo, reads({None: "unknown", "true": "yes", "false": "no"})]
"""``yes``, ``no`` or ``unknown``; true, false and null are read as such."""

# A finite number, also typed with a decimal comma
Number = Annotated[float, BeforeValidator(read_number), Field(allow_inf_nan=False)]
Length = Annotated[float, BeforeValidator(read_number), Field(ge=0, le=LARGEST_LENGTH_MM, allow_inf_nan=False)]  # mm
Count = Annotated[int, BeforeValidator(read_number)]  # a whole number
Day = Annotated[datetime.date, BeforeValidator(_as_day)]  # a calendar day

Word = Annotated[str, BeforeValidator(_as_text), Field(max_length=200)]
"""Free text of a line, lower case."""

Side = Annotated[
    Laterality, reads({"l": "left", "r": "right", "m": "midline", "middle": "midline", "centre": "midline"})
]
"""``left``, ``right``, ``midline`` or ``unknown``; ``L`` and ``R`` are read as such."""

ContrastPhase = Annotated[Literal["none", "venous", "arterial", "unknown"], reads({"no": "none"})]
"""Phase of the contrast agent; a bare ``no`` is none, ``yes`` does not say which phase."""
