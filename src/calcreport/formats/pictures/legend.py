"""Sheet of a key image, and its legend: colour and words for everything that is drawn."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from calcreport.formats.pictures.picture import BACKGROUND, FAINT_TEXT, PANEL_PX, Colour, encode_png, write_text
from calcreport.formats.rendered import Rendered

LegendRow = tuple[Colour | None, str]
"""Colour of a line and its words; words alone for what is not drawn."""

_GAP_PX: Final = 10
_HEAD_PX: Final = 44
_THUMBNAIL_PX: Final = 128


def write_sheet(
    panels: Sequence[Image.Image], context: Image.Image, *, context_px: int, header: str, rows: Sequence[LegendRow]
) -> Rendered:
    """Lay out a key image: a header, panels side by side, right of them the whole, small, above the legend.

    `context_px` is the width kept free for the whole image.
    """
    lefts = [_GAP_PX + number * (_GAP_PX + PANEL_PX) for number in range(len(panels) + 1)]
    side = lefts[-1]
    canvas = Image.new("RGB", (side + context_px + _GAP_PX, _HEAD_PX + PANEL_PX + _GAP_PX), BACKGROUND)
    for picture, left in zip((*panels, context), lefts, strict=True):
        canvas.paste(picture, (left, _HEAD_PX))
    write_text(canvas, (_GAP_PX + 4, _HEAD_PX / 2), header, size=22)
    write_legend(canvas, (side, _HEAD_PX + context.height + 22), rows)
    return encode_png(canvas)


def cut_thumbnail(sheet: bytes, *, panel: int) -> bytes:
    """Cut one of the two panels out of a key image, PNG, and make it small; another picture is taken whole."""
    picture = Image.open(io.BytesIO(sheet)).convert("RGB")
    left = _GAP_PX + panel * (_GAP_PX + PANEL_PX)
    if picture.width > 2 * PANEL_PX:
        picture = picture.crop((left, _HEAD_PX, left + PANEL_PX, _HEAD_PX + PANEL_PX))
    picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(48, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def write_legend(canvas: Image.Image, corner: tuple[int, int], rows: Sequence[LegendRow]) -> None:
    """Write a legend from `corner` (x, y in picture pixels) downwards, long rows folded."""
    draw = ImageDraw.Draw(canvas)
    x, y = corner
    for colour, text in rows:
        words = " ".join(text.split())
        folded = textwrap.wrap(words, 27 if colour else 31, break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(folded):
            if colour and number == 0:
                draw.rectangle((x, y - 2, x + 22, y + 1), fill=colour)
            write_text(canvas, (x + (32 if colour else 0), y), line, size=16, colour=FAINT_TEXT)
            y += 21
        y += 6
