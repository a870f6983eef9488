"""Hostile text made harmless: control and direction characters become visible, the text section becomes ASCII."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from typing import Final

COLUMNS: Final = 80  # Longest line of the full text

_ASCII_FOR: Final = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d",
        "Đ": "D", "ð": "d", "þ": "th", "ı": "i", "‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"',
        "«": '"', "»": '"',
        "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "…": "...", "·": ".", "•": "-", "×": "x", "÷": "/",
        "≥": ">=", "≤": "<=", "≈": "~", "±": "+/-", "°": " deg", "µ": "u", "μ": "u", "α": "alpha", "β": "beta",
        "→": "->", "←": "<-", "\u00a0": " ",
    }
)  # fmt: skip
"""Characters of Latin texts that do not decompose into ASCII."""

_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that show nothing, or change how their neighbours show."""

_TOGETHER: Final = re.compile(r"\((?:S \d+, )?Im [\d-]+\)|\d (?:mm|cm|mm3|cm3|HU|kVp)\b")
"""Image references and numbers with their unit stay on one line."""

_TIE: Final = "\x1f"  # Stands for a blank that must not be folded at; cannot occur in laid out text otherwise

_PLAIN: Final = re.compile(r"[ -~]*\Z")  # text that is harmless as it is


def make_visible(text: str) -> str:
    """Replace characters that hide, reorder or break text by their code in brackets, such as ``[U+202E]``.

    Line breaks and tabs of a header field become blanks: a field cannot start a line of its own in a report.
    """
    if _PLAIN.match(text):
        return text
    return "".join(_show(character) for character in text)


def _show(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in _UNPRINTABLE:
        return f"[U+{ord(character):04X}]"
    return character


def to_ascii(text: str) -> str:
    """Transliterate to printable 7-bit ASCII; one line stays one line.

    What has no counterpart is written as its code, such as ``[U+5C71]``: a question mark would be another name.
    """
    if _PLAIN.match(text):
        return text
    visible = make_visible(text.translate(_ASCII_FOR))
    decomposed = unicodedata.normalize("NFKD", visible)
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    # NFKD may bring up a few of the characters translated above
    return "".join(c if c.isascii() else f"[U+{ord(c):04X}]" for c in bare.translate(_ASCII_FOR))


_HEADING: Final = re.compile(r"[A-Z][A-Z /-]{0,60}:")
"""What a line that opens a section looks like; text that was pasted in must not open one where it is folded."""


def lay_out(text: str, columns: int | None = COLUMNS) -> str:
    """Fold lines longer than `columns`, where that is a number, each continuing under its own text.

    Blank lines are kept, never doubled. Lines of printable ASCII; a line's leading blanks and its "1. " or "- " set how
    its continuation is indented. The result has no trailing blanks and ends in one line break.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        body = line.strip()
        if not body:
            if lines and lines[-1]:
                lines.append("")
            continue
        if columns is None:
            lines.append(body)
            continue
        indent = min(len(line) - len(line.lstrip(" ")), columns // 2)
        marker = re.match(r"(\d{1,3}\. |- )", body)
        hang = indent + (len(marker[0]) if marker else 2 if indent else 0)
        kept = _TOGETHER.sub(lambda match: match[0].replace(" ", _TIE), body)
        first, *others = textwrap.wrap(
            kept, columns, initial_indent=" " * indent, subsequent_indent=" " * hang, break_on_hyphens=False
        )
        lines += [first, *(f" {other}" if _HEADING.fullmatch(other) else other for other in others)]
    return "\n".join(lines).replace(_TIE, " ").strip("\n") + "\n"
