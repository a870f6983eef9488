r"""HL7 version 2 text: segments, fields and components that no value can break.

Values are escaped (``\F\`` and so on), characters that hide or end something become visible first, and a value that
reads ``""``, the order to delete what the receiver holds, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from calcreport.formats.characters import make_visible

CHARACTERS: Final = "^~\\&"
"""Encoding characters after the field separator: component, repetition, escape, subcomponent."""

LONGEST_TEXT: Final = 199
"""Characters of a string (ST); longer texts for readers end in dots, identifiers are never cut."""

LINE_BREAK: Final = "\\.br\\"
"""Line end within formatted text (FT)."""

_ESCAPES: Final = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_DELETE: Final = '""'


def escape(text: str | None) -> str:
    """Write a value so that it holds no delimiter and no line break; ``None`` as an empty one."""
    if text is None:
        return ""
    visible = make_visible(text).strip()
    return "" if visible == _DELETE else visible.translate(_ESCAPES)


def shorten(text: str, longest: int = LONGEST_TEXT) -> str:
    """Cut a text that is only read, never compared, to what a string may hold; dots show that it was."""
    visible = make_visible(text).strip()
    return visible if len(visible) <= longest else f"{visible[: longest - 3]}..."


def components(*values: str | None) -> str:
    """Join values, escaped, as the components of a field; empty ones at the end are left out."""
    return "^".join(map(escape, values)).rstrip("^")


def escape_line(line: str) -> str:
    """Escape a line of a layout; blanks at its start are kept."""
    return make_visible(line).translate(_ESCAPES)


def segment(name: str, fields: Sequence[str]) -> str:
    """Join finished fields; empty ones at the end are left out."""
    return "|".join((name, *fields)).rstrip("|")


def timestamp(text: str | None) -> str:
    """Time of the report, ISO 8601, as ``YYYYMMDDHHMMSS`` with its zone where it has one; empty when it is no time."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return ""
    return f"{moment:%Y%m%d%H%M%S%z}"[:19]


def day(text: str | None) -> str:
    """Day, with or without hyphens, as ``YYYYMMDD``; empty when it is no day of the calendar."""
    try:
        return date.fromisoformat((text or "").strip()).isoformat().replace("-", "")
    except ValueError:
        return ""


def number(value: float) -> str:
    """Number as NM: at most three decimals, never an exponent."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def person_name(name: str | None) -> str:
    """Write a DICOM person name as repetitions of XPN: alphabetic, ideographic, phonetic, those that say something.

    What stands beyond the fifth component stays with it; name type U (unspecified) when there is no name.
    """
    written = []
    for group, kind in zip((name or "").split("=", 2), "AIP", strict=False):
        family, given, middle, prefix, suffix = [*group.split("^", 4), "", "", "", ""][:5]
        parts = components(family, given, middle, suffix, prefix)
        if parts:
            written.append(parts + "^" * (7 - parts.count("^")) + kind)
    return "~".join(written) or "^^^^^^U"
