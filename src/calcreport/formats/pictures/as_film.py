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
from calcreport.formats.pictures.labels import name_boxes
from calcreport.formats.pictures.picture import BACKGROUND, MINERAL, TEXT, Colour, encode_png, write_text
from calcreport.formats.rendered import Rendered
from calcreport.model.film import FilmImage, Shadow

PREVIEW_PX: Final = 1100
"""Longest edge of the film on the page."""
_GREYS: Final = 240
"""Greys of the picture file; the other places of its palette hold the colours that are drawn."""
_SHADES: Final = 8
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
    rows, columns = film.picture.shape
    size = _text_px(film.picture.shape)
    strip = 2 * size
    width = max(columns, _NARROWEST_PX)
    canvas = np.full((rows + 2 * strip, width), _code(BACKGROUND), dtype=np.uint8)
    shown = canvas[strip : strip + rows, :columns]
    shown[...] = Image.fromarray(film.picture).point(_grey_codes())
    for mark in marks:
        _outline(shown, mark.shadow, width_px=max(1, round(max(rows, columns) / 1500)))
        _name(shown, mark, size)
    _lay(canvas[:strip], _draw_head(width, film, statements, size, body_part))
    _lay(canvas[strip + rows :], _draw_foot(width, film, statements, size))
    picture = Image.fromarray(canvas)
    picture.putpalette(_palette_bytes())
    buffer = io.BytesIO()
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
    name_boxes(panel, [(mark.lesion_id, _frame_of(mark, shrink), MINERAL) for mark in marks], size=size)
    mark_film_directions(panel, film.view, size=size)
    width = max(panel.width, _NARROWEST_PX)
    head = _draw_head(width, film, statements, size, body_part)
    foot = _draw_foot(width, film, statements, size, shrink=shrink)
    canvas = Image.new("RGB", (width, head.height + panel.height + foot.height), BACKGROUND)
    for part, top in ((head, 0), (panel, head.height), (foot, head.height + panel.height)):
        canvas.paste(part, (0, top))
    return encode_png(canvas)


def _text_px(shape: tuple[int, ...]) -> int:
    return max(_SMALLEST_TEXT_PX, round(max(shape) / _LINES_PER_FILM))


def _draw_head(width: int, film: FilmImage, statements: Statements, size: int, body_part: str | None) -> Image.Image:
    strip = Image.new("RGB", (width, 2 * size), BACKGROUND)
    write_text(strip, (size / 2, size), write_title(film.view, body_part, statements), size=size)
    return strip


def _draw_foot(width: int, film: FilmImage, statements: Statements, size: int, *, shrink: float = 1.0) -> Image.Image:
    strip = Image.new("RGB", (width, 2 * size), BACKGROUND)
    bar = choose_bar(film.scale, at_most_px=film.picture.shape[1] / 4, statements=statements)
    left, right = size // 2, size // 2 + max(round(bar.length_px * shrink), 1) - 1
    draw = ImageDraw.Draw(strip)
    draw.rectangle((left, size - 1, right, size + max(1, size // 12)), fill=TEXT)
    for end in (left, right):
        draw.line((end, size / 2, end, 3 * size / 2), fill=TEXT, width=max(1, size // 12))
    write_text(strip, (right + size, size), bar.label, size=size)
    return strip


def _outline(shown: NDArray[np.uint8], shadow: Shadow, *, width_px: int) -> None:
    """Draw a line of `width_px` around a shadow, one line's width away from it; only its box is touched."""
    room = 2 * width_px
    rows, columns = shadow.mineral.padded_box(room, shown.shape)
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    i, j = shadow.mineral.offset[0] - rows.start, shadow.mineral.offset[1] - columns.start
    mask[i : i + shadow.mineral.pixels.shape[0], j : j + shadow.mineral.pixels.shape[1]] = shadow.mineral.pixels
    outer = ndimage.maximum_filter(mask, 2 * room + 1, mode="constant")
    inner = ndimage.maximum_filter(mask, 2 * width_px + 1, mode="constant")
    shown[rows, columns][outer > inner] = _code(MINERAL)


def _name(shown: NDArray[np.uint8], mark: FilmMark, size: int) -> None:
    """Write the name of a lesion beside its outline, to the right if there is room."""
    rows, columns = mark.shadow.mineral.padded_box(size // 2, shown.shape)
    width, height = round(0.75 * size * (len(mark.lesion_id) + 0.5)), round(1.5 * size)
    left = columns.stop if columns.stop + width <= shown.shape[1] else columns.start - width
    top = (rows.start + rows.stop - height) // 2
    left, top = max(min(left, shown.shape[1] - width), 0), max(min(top, shown.shape[0] - height), 0)
    patch = shown[top : top + height, left : left + width]
    label = Image.fromarray(_greys_of(patch)).convert("RGB")
    write_text(label, (label.width / 2, label.height / 2), mark.lesion_id, colour=MINERAL, size=size, anchor="mm")
    _lay(patch, label)


def _frame_of(mark: FilmMark, shrink: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a frame clear of a lesion, in pixels of the preview."""
    rows, columns = mark.shadow.mineral.box
    left, top, right, bottom = (edge * shrink for edge in (columns.start, rows.start, columns.stop, rows.stop))
    return left - 5, top - 5, right + 4, bottom + 4


@lru_cache(maxsize=1)
def _palette() -> tuple[Colour, ...]:
    """Greys, then shades of the colours drawn, then what the strips are made of."""
    greys = [round(255 * grey / (_GREYS - 1)) for grey in range(_GREYS)]
    shades = [
        (round(MINERAL[0] * part / _SHADES), round(MINERAL[1] * part / _SHADES), round(MINERAL[2] * part / _SHADES))
        for part in range(1, _SHADES + 1)
    ]
    return (*((grey, grey, grey) for grey in greys), *shades, BACKGROUND, TEXT)


def _code(colour: Colour) -> int:
    return _palette().index(colour)


def _palette_bytes() -> list[int]:
    return [channel for colour in _palette() for channel in colour]


@lru_cache(maxsize=1)
def _grey_codes() -> list[int]:
    """Place in the palette of each of the 256 greys of a film."""
    return [round(grey * (_GREYS - 1) / 255) for grey in range(256)]


def _greys_of(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey of each place in the palette, same shape; a colour becomes its green."""
    table = np.zeros(256, dtype=np.uint8)
    table[: len(_palette())] = [colour[1] for colour in _palette()]
    return np.take(table, codes)


@lru_cache(maxsize=1)
def _palette_picture() -> Image.Image:
    picture = Image.new("P", (1, 1))
    picture.putpalette(_palette_bytes())
    return picture


def _lay(target: NDArray[np.uint8], drawn: Image.Image) -> None:
    """Put a small coloured picture into its place, in the colours of the palette."""
    target[...] = np.asarray(drawn.quantize(palette=_palette_picture(), dither=Image.Dither.NONE))
