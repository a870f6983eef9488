"""Raw bytes of a data element to a clean value, or ``None``: strict numbers, harmless text.

Every string is hostile: numbers are ASCII digits only (Python's ``float`` also takes ``0_8`` and full-width digits),
text loses control and direction characters, character sets come from the list of defined terms.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from calcreport.dicom.header.charsets import decode

# Texts of DS, IS, UI, AS and DA.
_DECIMAL: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,12}\Z")
_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*\Z")
_AGE: Final = re.compile(rb"([0-9]{1,3})([DWMY])\Z")
_DATE: Final = re.compile(rb"[0-9]{8}\Z")
_LONGEST: Final = 64  # characters of a number or UID
_LONGEST_IDENTITY: Final = 1024  # characters of a name or an identifier; what is longer is none
_DAYS: Final = MappingProxyType({b"D": 1.0, b"W": 7.0, b"M": 365.25 / 12, b"Y": 365.25})  # days of the units of an age
_OLDEST_YEARS: Final = 122  # nobody is known to have lived longer; what says so is a placeholder
_NO_BIRTH: Final = "1900-01-01"  # written where a birth date is not known or was removed
# Defined terms of Patient's Sex (PS3.3 C.7.1.1), by what people and systems write for them.
_SEXES: Final = MappingProxyType(
    dict.fromkeys(("F", "FEMALE", "W", "WEIBLICH"), "F") | {"M": "M", "MALE": "M", "O": "O", "OTHER": "O"}
)


def strip(raw: bytes) -> bytes:
    """Raw value without the padding DICOM allows (spaces, NULs)."""
    return raw.strip(b" \0")


@lru_cache(maxsize=4096)
def decimals(raw: bytes | None, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite decimal strings, or ``None`` when anything else stands there."""
    if not raw:
        return None
    parts = [strip(part) for part in raw.split(b"\\")]
    if len(parts) != count or not all(len(part) <= _LONGEST and _DECIMAL.match(part) for part in parts):
        return None
    numbers = tuple(map(float, parts))
    return numbers if all(map(math.isfinite, numbers)) else None


def decimal(raw: bytes | None) -> float | None:
    """One finite decimal string, or ``None``."""
    numbers = decimals(raw, 1)
    return numbers[0] if numbers else None


@lru_cache(maxsize=4096)
def integer(raw: bytes | None) -> int | None:
    """One integer string, or ``None``."""
    text = strip(raw or b"")
    return int(text) if _INTEGER.match(text) else None


def unsigned_16(raw: bytes | None, *, is_big_endian: bool = False) -> int | None:
    """One unsigned 16-bit number, or ``None`` when the value is not exactly two bytes long."""
    return int.from_bytes(raw, "big" if is_big_endian else "little") if raw is not None and len(raw) == 2 else None


@lru_cache(maxsize=1024)
def uid(raw: bytes | None) -> str | None:
    """Give a UID made of digits and single dots, at most 64 characters, or ``None``."""
    text = strip(raw or b"")
    return text.decode("ascii") if len(text) <= _LONGEST and _UID.match(text) else None


@lru_cache(maxsize=1024)
def keyword(raw: bytes | None) -> str | None:
    """One coded string in capitals, harmless characters only, or ``None`` when empty."""
    return clean((raw or b"").decode("ascii", "replace"), longest=32).upper() or None


@lru_cache(maxsize=1024)
def keywords(raw: bytes | None) -> tuple[str, ...]:
    """Coded strings in capitals; an empty value is kept as an empty string so that places keep their meaning."""
    return tuple(keyword(part) or "" for part in raw.split(b"\\")) if raw else ()


def clean(text: str, *, longest: int = 64) -> str:
    """Text without control, format, direction, surrogate and private characters, on one line, cut at `longest`."""
    spaced = "".join(" " if _is_hidden(c) else c for c in text[: 4 * longest])
    joined = " ".join(spaced.replace("\ufffd", "?").split())
    return joined if len(joined) <= longest else joined[: longest - 1] + "\u2026"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" or character in "\u2028\u2029"


@lru_cache(maxsize=1024)
def text(raw: bytes | None, charset: bytes | None = None, *, longest: int = 64) -> str | None:
    """Display text, decoded and cleaned, or ``None`` when empty."""
    return clean(decode(raw, charset).text, longest=longest) or None if raw else None


@lru_cache(maxsize=1024)
def identifier(raw: bytes | None, charset: bytes | None = None) -> str | None:
    """Identifier, whole and as it stands but for the padding, or ``None``.

    One that was cut or mended would be another one: ``None`` too when it is longer than any identifier, holds
    characters that cannot be shown, or is not in the declared character set.
    """
    decoded = decode(raw or b"", charset)
    content = decoded.text.strip(" \0")
    is_whole = decoded.is_as_declared and len(content) <= _LONGEST_IDENTITY and not any(map(_is_hidden, content))
    return content if content and is_whole else None


def person_name(raw: bytes | None, charset: bytes | None = None) -> str | None:
    """Person name for display, never cut; component carets are kept, trailing ones dropped.

    A group (alphabetic, ideographic, phonetic) that cannot be read is left empty: half a name is somebody else's.
    """
    content = decode(raw, charset).text if raw else ""
    groups = ("" if "\ufffd" in group else clean(group, longest=len(group) + 1) for group in content.split("="))
    name = "=".join(group.rstrip("^ ") for group in groups).rstrip("= ")
    return name if name and len(name) <= _LONGEST_IDENTITY else None


def name_note(raw: bytes | None, charset: bytes | None) -> str | None:
    """Sentence on a name that is not written as Specific Character Set declares, or ``None``."""
    content = decode(raw, charset) if raw else None
    if content is None or content.is_as_declared:
        return None
    if "\ufffd" in content.text:
        return "Patient's Name cannot be read in full: its bytes do not fit its character set."
    return "Patient's Name is not in the declared character set; it was read as UTF-8 or Latin 1 and may be misspelt."


@lru_cache(maxsize=256)
def day(raw: bytes | None) -> str | None:
    """Give a date as ``YYYY-MM-DD``, or ``None`` when it is no day of the calendar."""
    value = strip(raw or b"").replace(b".", b"")
    if not _DATE.match(value):
        return None
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:])).isoformat()
    except ValueError:
        return None


def age_at_study(age: bytes | None, birth: str | None, study: str | None) -> tuple[float | None, str | None, str]:
    """Age in years at the study, birth date (``YYYY-MM-DD``), and a sentence on a contradiction, or empty text.

    The age is that of the birth date where there is a real one, else Patient's Age; ``None`` where nothing states it.
    What software that hides identities fills in is no age: ``000Y``, a birth on 1900-01-01, a birth on the day of the
    study unless the age is given in days, weeks or months.
    """
    stated = _stated_years(age)
    is_infant = stated is not None and not strip(age or b"").upper().endswith(b"Y")
    if birth == _NO_BIRTH or (birth is not None and birth == study and not is_infant):
        birth = None
    if birth is None or study is None:
        return stated, birth, ""
    born = _years_between(date.fromisoformat(birth), date.fromisoformat(study))
    if born < 0:
        return stated, birth, "The birth date in the image header lies after the study date and was not used."
    if born > _OLDEST_YEARS:
        return stated, birth, ""
    note = ""
    if stated is not None and abs(math.floor(born) - math.floor(stated)) > 1:
        note = (
            f"The image header contradicts itself on age: {math.floor(stated)} years stated, {math.floor(born)} years "
            "by the birth date, which was used."
        )
    return born, birth, note


def _years_between(birth: date, study: date) -> float:
    """Completed years by the calendar, and the part of a year since; negative when the birth comes after."""
    completed = study.year - birth.year - ((study.month, study.day) < (birth.month, birth.day))
    days = (study - birth).days
    return days / 365.25 if completed < 1 else completed + min(max(days - round(completed * 365.25), 0), 365) / 365.25


def _stated_years(age: bytes | None) -> float | None:
    """Patient's Age in years; ``None`` without a unit, for ``000Y`` and beyond any human age."""
    match = _AGE.match(strip(age or b"").upper())
    if match is None or (int(match[1]) == 0 and match[2] == b"Y"):
        return None
    years = int(match[1]) * _DAYS[match[2]] / 365.25
    return years if years <= _OLDEST_YEARS else None


def sex(raw: bytes | None) -> str | None:
    """Patient's Sex as ``"F"``, ``"M"`` or ``"O"``; ``None`` for anything that does not say so plainly."""
    return _SEXES.get(keyword(raw) or "")
