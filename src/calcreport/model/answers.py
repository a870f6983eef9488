"""Types of what people type: three-valued answers, finite numbers, lengths, words."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from calcreport.model.report import Laterality, YesNo

LARGEST_LENGTH_MM: Final = 2500.0
"""Nothing in a patient is longer; a larger number is a mistyped unit."""


def _as_answer(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was typed
    """Read true, false and nothing as yes, no and unknown: YAML turns a bare ``yes`` into true."""
    if value is None:
        return YesNo.UNKNOWN
    if isinstance(value, bool):
        return YesNo.YES if value else YesNo.NO
    return value.strip().lower() if isinstance(value, str) else value


def refuse_booleans(value: Any) -> Any:  # noqa: ANN401
    """Refuse true and false where a number belongs: Python would take them for 1 and 0."""
    if isinstance(value, bool):
        msg = "must be a number, not yes or no"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
    return value


def as_word(value: Any) -> Any:  # noqa: ANN401
    """Compare words without regard to case and outer blanks."""
    return value.strip().lower() if isinstance(value, str) else value


def _as_side(value: Any) -> Any:  # noqa: ANN401
    """Read the letters and words of a side in any case."""
    word = as_word(value)
    return {"l": "left", "r": "right", "m": "midline", "middle": "midline", "centre": "midline"}.get(word, word)


def _as_contrast(value: Any) -> Any:  # noqa: ANN401
    """Read ``no`` (YAML: false) as none; ``yes`` does not say which phase."""
    return "none" if value is False or as_word(value) == "no" else as_word(value)


Answer = Annotated[YesNo, BeforeValidator(_as_answer)]
"""``yes``, ``no`` or ``unknown``; true, false and null are read as such."""

Number = Annotated[float, BeforeValidator(refuse_booleans), Field(allow_inf_nan=False)]
"""A finite number."""

Length = Annotated[float, BeforeValidator(refuse_booleans), Field(ge=0, le=LARGEST_LENGTH_MM, allow_inf_nan=False)]
"""A length in mm."""

Word = Annotated[str, BeforeValidator(as_word), Field(max_length=200)]
"""Free text of a line, lower case."""

Side = Annotated[Laterality, BeforeValidator(_as_side)]
"""``left``, ``right``, ``midline`` or ``unknown``; ``L`` and ``R`` are read as such."""

ContrastPhase = Annotated[Literal["none", "venous", "arterial", "unknown"], BeforeValidator(_as_contrast)]
"""Phase of the contrast agent; a bare ``no`` is none."""
