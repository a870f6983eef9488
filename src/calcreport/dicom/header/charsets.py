"""Bytes of a text value to characters: the one decoder of headers, whatever output repeats them (PS3.5 section 6.1.2).

Code extensions (ISO 2022) are followed wherever an escape sequence stands, declared or not. Only the defined terms name
a codec: a term that Python happens to know as one (``idna``, ``hex``) is no character set. Where the declared sets
cannot hold the bytes, they are read as UTF-8 if they are that, else as Windows Latin 1, which loses nothing; the caller
is stated. What no set explains is U+FFFD.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

# Codecs of the default repertoire and of Japanese with escape sequences.
_ASCII: Final = "ascii"
_JIS: Final = "iso2022_jp_2"
_SETS: Final = MappingProxyType(  # codec of each defined term by its number or name (PS3.3 C.12.1.1.2)
    {
        "6": _ASCII, "13": "shift_jis", "58": "gb2312", "87": _JIS, "100": "latin_1", "101": "iso8859_2",
        "109": "iso8859_3", "110": "iso8859_4", "126": "iso8859_7", "127": "iso8859_6", "138": "iso8859_8",
        "144": "iso8859_5", "148": "iso8859_9", "149": "euc_kr", "159": _JIS, "166": "iso8859_11", "192": "utf_8",
        "203": "iso8859_15", "GB18030": "gb18030", "GBK": "gbk",
    }
)  # fmt: skip
_TERM: Final = re.compile(r"(?:ISO[ _-]*(?:2022)?[ _-]*(?:IR)?[ _-]*)?([0-9]+|GBK|GB18030)\Z")
"""A defined term, also with the misspellings that occur: ``ISO-IR 100``, ``ISO IR 192``, ``ISO 2022 GBK``."""
# Codec of the bytes from 0xA0 on, by the escape sequence that brings it in.
_RIGHT_HALF: Final = MappingProxyType(
    {
        b")I": "shift_jis", b"-A": "latin_1", b"-B": "iso8859_2", b"-C": "iso8859_3", b"-D": "iso8859_4",
        b"-F": "iso8859_7", b"-G": "iso8859_6", b"-H": "iso8859_8", b"-L": "iso8859_5", b"-M": "iso8859_9",
        b"-T": "iso8859_11", b"-b": "iso8859_15", b"$)A": "gb2312", b"$)C": "euc_kr",
    }
)  # fmt: skip
# Escape sequences of ISO 2022 that DICOM knows.
_ESCAPE: Final = re.compile(rb"\x1b(\([BJ]|\$[@B]|\$\(D|\)I|-[ABCDFGHLMTb]|\$\)[AC])")
_DELIMITER: Final = re.compile(rb"[\\^=\r\n\f\t]")  # ends what an escape sequence began (PS3.5 6.1.2.5.3)
_CONTROL: Final = re.compile("[\x80-\x9f]")  # printable in no character set of DICOM, but in Windows code pages


class Decoded(NamedTuple):
    """Characters of a value, and whether they were read as declared."""

    text: str
    is_as_declared: bool


@lru_cache(maxsize=1024)
def decode(raw: bytes, charset: bytes | None) -> Decoded:
    """Characters of a text value; it and Specific Character Set are given as they stand in the file."""
    if raw.isascii() and b"\x1b" not in raw:
        return Decoded(raw.decode(_ASCII), is_as_declared=True)
    # The first one first; empty and unknown terms count as ASCII.
    terms = (charset or b"").decode(_ASCII, "replace").upper().split("\\")
    matches = (_TERM.match(term.strip(" \0")) for term in terms)
    declared = [_SETS.get(match[1], _ASCII) if match else _ASCII for match in matches]
    pieces = _ESCAPE.split(raw)
    return _whole(raw, declared) if len(pieces) == 1 else _extended(pieces, declared)


def _whole(raw: bytes, declared: list[str]) -> Decoded:
    """Text without escape sequences; some writers leave them out where several sets are declared."""
    for codec in (*declared, "utf_8", "cp1252"):
        text = _read(raw, codec)
        if text is not None:
            return Decoded(text, is_as_declared=codec in declared)
    return Decoded(raw.decode("latin_1"), is_as_declared=False)


def _read(raw: bytes, codec: str) -> str | None:
    try:
        text = raw.decode(codec)
    except UnicodeError:
        return None
    return None if _CONTROL.search(text) else text


def _extended(pieces: list[bytes], declared: list[str]) -> Decoded:
    """Text with escape sequences: pieces of text and, between them, what each sequence designates."""
    double, right = b"", declared[0]
    first = _whole(pieces[0], declared)
    parts, is_as_declared = [first.text], first.is_as_declared
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if escape in _RIGHT_HALF:
            right = _RIGHT_HALF[escape]
        else:
            double = b"" if escape in {b"(B", b"(J"} else b"\x1b" + escape
        text = _read(double + piece, _JIS) if double else _right_half(piece, right, declared)
        parts.append("\ufffd" if text is None else text)
        is_as_declared &= text is not None
    return Decoded("".join(parts), is_as_declared)


def _right_half(piece: bytes, codec: str, declared: list[str]) -> str | None:
    """Text after a sequence that holds up to the next delimiter, or further where the first set has no such bytes."""
    delimiter = _DELIMITER.search(piece)
    end = delimiter.start() if delimiter else len(piece)
    rest = _read(piece[end:], declared[0])
    if rest is None:
        return _read(piece, codec)
    start = _read(piece[:end], codec)
    return None if start is None else start + rest
