"""Legend of a picture: colour and words for everything that is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from calcreport.formats.pictures.picture import FAINT_TEXT, Colour, write_text

LegendRow = tuple[Colour | None, str]
"""Colour of a line and its words; words alone for what is not drawn."""


def write_legend(canvas: Image.Image, corner: tuple[int, int], rows: Sequence[LegendRow]) -> None:
    """Write a legend from `corner` (x, y in picture pixels) downwards, long rows folded."""
    draw = ImageDraw.Draw(canvas)
    x, y = corner
    for colour, text in rows:
        for number, line in enumerate(_fold(text, 27 if colour else 31)):
            if colour and number == 0:
                draw.rectangle((x, y - 2, x + 22, y + 1), fill=colour)
            write_text(canvas, (x + (32 if colour else 0), y), line, size=16, colour=FAINT_TEXT)
            y += 21
        y += 6


def _fold(text: str, columns: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > columns:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
