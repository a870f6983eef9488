"""``images/film_1.png``: a radiograph at full resolution with every lesion outlined and named; smaller for the page."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from calcreport.compose import Statements
from calcreport.formats.pictures.film_marks import choose_bar, mark_film_directions, write_title
from calcreport.formats.pictures.labels import Box, name_boxes
from calcreport.formats.pictures.picture import BACKGROUND, MINERAL, TEXT, Colour, encode_png, write_text
from calcreport.formats.rendered import Rendered
from calcreport.model.film import FilmImage, Shadow

PREVIEW_PX: Final = 1100
"""Longest edge of the film on the page."""
_GREYS: Final = 240
"""Greys of the picture file; the other places of its palette hold the colours that are drawn."""
_SMALLEST_TEXT_PX: Final = 16
_PREVIEW_TEXT_PX: Final = 27
"""Readable where the page shows the preview at under half its size."""
_NARROWEST_PX: Final = 420
_LINES_PER_FILM: Final = 55
"""Text is this many times smaller than the film is long, so that it can be read when the whole film fills a screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmMark:
    """A lesion on a film: its name and its shadow."""

    lesion_id: str
    shadow: Shadow


def render_film(
    film: FilmImage, marks: Sequence[FilmMark], statements: Statements, *, body_part: str | None = None
) -> Rendered:
    """Draw a radiograph with its lesions, one picture pixel a film pixel; no patient name.

    A strip above says what the header says of the film; one below has a bar, in mm only where there is a scale.
    `body_part` is that of the study, for a film that does not name its own.
    """
    longest = max(film.picture.shape)
    size = max(_SMALLEST_TEXT_PX, round(longest / _LINES_PER_FILM))
    codes = np.array(Image.fromarray(film.picture).point(_grey_codes()))
    for mark in marks:
        _outline(codes, mark.shadow, width_px=max(1, round(longest / 1500)))
    panel = Image.fromarray(codes)
    panel.putpalette(_palette_bytes())
    name_boxes(panel, [(mark.lesion_id, _box(mark, 1.0, size / 2), MINERAL) for mark in marks], size=size, width=0)
    buffer = io.BytesIO()
    picture = _mount(panel, film, write_title(film.view, body_part, statements), statements, size)
    picture.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return Rendered(content=buffer.getvalue(), media_type="image/png", suffix=".png")


def render_film_preview(
    film: FilmImage, marks: Sequence[FilmMark], statements: Statements, *, body_part: str | None = None
) -> Rendered:
    """Draw a radiograph for the page, at most `PREVIEW_PX` long: as `render_film`, with frames instead of outlines."""
    rows, columns = film.picture.shape
    shrink = min(1.0, PREVIEW_PX / max(rows, columns))
    small = (max(round(columns * shrink), 1), max(round(rows * shrink), 1))
    panel = Image.fromarray(film.picture).resize(small, Image.Resampling.BOX).convert("RGB")
    size = _PREVIEW_TEXT_PX
    name_boxes(panel, [(mark.lesion_id, _box(mark, shrink, 5.0), MINERAL) for mark in marks], size=size)
    mark_film_directions(panel, film.view, size=size)
    return encode_png(_mount(panel, film, write_title(film.view, body_part, statements), statements, size))


def _box(mark: FilmMark, shrink: float, room_px: float) -> Box:
    """Box around a lesion, `room_px` clear of it, on a film that is drawn `shrink` times as large."""
    rows, columns = mark.shadow.mineral.box
    left, top, right, bottom = (edge * shrink for edge in (columns.start, rows.start, columns.stop, rows.stop))
    return left - room_px, top - room_px, right + room_px, bottom + room_px


def _mount(panel: Image.Image, film: FilmImage, title: str, statements: Statements, size: int) -> Image.Image:
    """Put a film between a strip with its title and one with a bar, `size` being that of the type."""
    width, below = max(panel.width, _NARROWEST_PX), panel.height + 2 * size
    paper = BACKGROUND if panel.mode == "RGB" else _palette().index(BACKGROUND)
    canvas = Image.new(panel.mode, (width, below + 2 * size), paper)
    if panel.mode == "P":
        canvas.putpalette(_palette_bytes())
    canvas.paste(panel, (0, 2 * size))
    write_text(canvas, (size / 2, size), title, size=size)
    shrink = panel.width / film.picture.shape[1]
    bar = choose_bar(film.scale, at_most_px=film.picture.shape[1] / 4, statements=statements)
    left, right = size // 2, size // 2 + max(round(bar.length_px * shrink), 1) - 1
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left, below + size - 1, right, below + size + max(1, size // 12)), fill=TEXT)
    for end in (left, right):
        draw.line((end, below + size / 2, end, below + 3 * size / 2), fill=TEXT, width=max(1, size // 12))
    write_text(canvas, (right + size, below + size), bar.label, size=size)
    return canvas


def _outline(shown: NDArray[np.uint8], shadow: Shadow, *, width_px: int) -> None:
    """Draw a line of `width_px` around a shadow, one line's width away from it; only its box is touched."""
    room = 2 * width_px
    rows, columns = shadow.mineral.padded_box(room, shown.shape)
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    i, j = shadow.mineral.offset[0] - rows.start, shadow.mineral.offset[1] - columns.start
    mask[i : i + shadow.mineral.pixels.shape[0], j : j + shadow.mineral.pixels.shape[1]] = shadow.mineral.pixels
    outer = ndimage.maximum_filter(mask, 2 * room + 1, mode="constant")
    inner = ndimage.maximum_filter(mask, 2 * width_px + 1, mode="constant")
    shown[rows, columns][outer > inner] = _palette().index(MINERAL)


@lru_cache(maxsize=1)
def _palette() -> tuple[Colour, ...]:
    """Greys, then what is drawn: lines, and type without soft edges, which would need shades of every colour."""
    greys = (round(255 * grey / (_GREYS - 1)) for grey in range(_GREYS))
    return (*((grey, grey, grey) for grey in greys), MINERAL, BACKGROUND, TEXT)


def _palette_bytes() -> list[int]:
    return [channel for colour in _palette() for channel in colour]


@lru_cache(maxsize=1)
def _grey_codes() -> list[int]:
    """Place in the palette of each of the 256 greys of a film."""
    return [round(grey * (_GREYS - 1) / 255) for grey in range(256)]
