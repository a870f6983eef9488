"""Canvas of the pictures: windows, true proportions, scale bars, orientation letters, text with an outline."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]  # red, green and blue, 0 to 255
Point = tuple[float, float]  # position (x, y) in picture pixels
Box = tuple[float, float, float, float]  # left, top, right and bottom in picture pixels
Place = Literal["calliper", "beyond", "beside"]
"""Where a length stands: by its calliper, beyond the outer end of a distance, beside the middle of one."""
LabelledLine = tuple[Point, Point, Colour, str, Place]  # ends, colour and length of a line, place of the length
LegendRow = tuple[Colour | None, str]  # colour of a line and its words; words alone for what is not drawn
Grey = TypeVar("Grey", np.int16, np.uint8, np.bool_)  # cells of a grid

# Colours of what is drawn; the mineral of another lesion has the same hue, darker.
BACKGROUND: Final[Colour] = (14, 17, 22)
TEXT: Final[Colour] = (236, 239, 244)
FAINT_TEXT: Final[Colour] = (165, 174, 187)
MINERAL: Final[Colour] = (0, 214, 255)
OTHER: Final[Colour] = (0, 143, 170)
CONTOUR: Final[Colour] = (255, 176, 0)
CALLIPER: Final[Colour] = (255, 255, 255)
SKIN: Final[Colour] = (255, 122, 217)
FASCIA: Final[Colour] = (124, 240, 120)
CROP: Final[Colour] = (255, 221, 87)

# Layout in picture pixels: edge of the large panels of a key image, gaps, strip of the header, edge of a thumbnail,
# type of a length, half of its letter and line, and what is kept free at the edge for directions and scale bar.
PANEL_PX: Final = 540
_GAP_PX: Final = 10
_HEAD_PX: Final = 44
_THUMBNAIL_PX: Final = 128
_SIZE: Final = 18
_HALF_LETTER_PX: Final = 5.0
_HALF_LINE_PX: Final = 11.0
_MARGIN_PX: Final = 40
_SHIFTS: Final = tuple((dx, dy) for dx in (0, 70, -70) for dy in (0, 22, -22, 44, -44, 66, -66))
"""Tried in order, in pixels, until a label covers no other."""

_AIR_HU: Final = -1024  # outside the grid of CT
_OPPOSITE: Final = str.maketrans("LRAPHF", "RLPAFH")  # directions in the patient

_PEN: Final = Lock()  # pictures are drawn in several threads, and a font serves one at a time


class Window(NamedTuple):
    """Grey-scale window: `width_hu` Hounsfield units around `level_hu` spread from black to white."""

    width_hu: float
    level_hu: float


SOFT_TISSUE: Final = Window(width_hu=400.0, level_hu=40.0)  # of the panel that is drawn on
BONE: Final = Window(width_hu=2000.0, level_hu=500.0)  # of the plain panel


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A rectangle of a pixel grid shown at a given size, true to scale."""

    left: float
    top: float
    """First column and row shown, in grid coordinates where pixel ``(r, c)`` covers ``[r, r + 1) x [c, c + 1)``."""
    column_px: float
    row_px: float
    """Picture pixels per grid column and per grid row."""
    width: int
    height: int
    """Size in picture pixels."""
    px_per_mm: float
    """Picture pixels per millimetre, the same in both directions."""

    def place(self, row: float, column: float) -> Point:
        """Picture position ``(x, y)`` of a grid index whose whole numbers are pixel centres."""
        return ((column + 0.5 - self.left) * self.column_px, (row + 0.5 - self.top) * self.row_px)

    @property
    def box(self) -> Box:
        """Left, top, right and bottom edge in grid coordinates."""
        right = self.left + self.width / self.column_px
        return (self.left, self.top, right, self.top + self.height / self.row_px)

    def frame(self, picture: Image.Image, part: View) -> None:
        """Frame what another view shows, on the picture of this one."""
        left, top, right, bottom = part.box
        corners = (*self.place(top - 0.5, left - 0.5), *self.place(bottom - 0.5, right - 0.5))
        ImageDraw.Draw(picture).rectangle(corners, outline=CROP, width=2)

    def show(self, grid: NDArray[np.int16], window: Window) -> Image.Image:
        """Draw part of a slice, shape ``(rows, columns)`` in HU, in grey; outside it is air."""
        patch, box = self._cut(grid, _AIR_HU)
        scaled = (patch.astype(np.float32) - (window.level_hu - window.width_hu / 2)) * (255.0 / window.width_hu)
        grey = Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
        return grey.resize((self.width, self.height), Image.Resampling.BICUBIC, box=box)

    def show_grey(self, picture: NDArray[np.uint8], *, black: float = 0.0, white: float = 255.0) -> Image.Image:
        """Draw a part in grey, shape ``(rows, columns)``, from `black` to `white` stretched; outside it is black."""
        drawn = np.asarray(self._resize(picture, Image.Resampling.BICUBIC))
        stretched = (drawn - black) * (255.0 / (white - black))
        return Image.fromarray(np.clip(stretched, 0, 255).astype(np.uint8))

    def cover(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Interpolate a mask, ``(rows, columns)``, to picture pixels, ``(height, width)``: 1 inside, 0 outside."""
        return np.asarray(self._resize(mask, Image.Resampling.BILINEAR), dtype=np.float32)

    def _resize(self, grid: NDArray[Grey], method: Image.Resampling) -> Image.Image:
        patch, box = self._cut(grid, 0)
        return Image.fromarray(patch.astype(np.float32)).resize((self.width, self.height), method, box=box)

    def _cut(self, grid: NDArray[Grey], outside: int) -> tuple[NDArray[Grey], Box]:
        """Pixels around the box with one pixel to spare, filled up outside the grid; and the box within them."""
        left, top, right, bottom = self.box
        wanted = np.array((np.floor(top), np.floor(left))), np.array((np.ceil(bottom), np.ceil(right)))
        # where the box ends with the grid, so does the patch: a fill would bleed in as a dark border
        first = np.where(wanted[0] >= 0, np.maximum(wanted[0] - 2, 0), wanted[0] - 2).astype(int)
        last = np.where(wanted[1] <= grid.shape, np.minimum(wanted[1] + 2, grid.shape), wanted[1] + 2).astype(int)
        low, high = np.maximum(first, 0), np.minimum(last, grid.shape)
        patch = np.full(tuple(last - first), outside, dtype=grid.dtype)
        if (high > low).all():
            (i, j), (m, n) = low - first, high - first
            patch[i:m, j:n] = grid[low[0] : high[0], low[1] : high[1]]
        return patch, (left - first[1], top - first[0], right - first[1], bottom - first[0])


def widen(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    line: NDArray[np.float64] | None,
    *,
    side: float,
    spare: float,
    widest: float = math.inf,
) -> tuple[NDArray[np.float64], float, bool]:
    """Centre and side of a square around a box, and whether the line fits in where that is no wider than `widest`.

    `low` and `high`, shape ``(2,)``, are corners of the box, `line`, ``(2, 2)``, the ends; `spare` stays free beyond.
    """
    centre = (low + high) / 2
    if line is None:
        return centre, side, False
    low, high = np.minimum(low, line.min(axis=0)) - spare, np.maximum(high, line.max(axis=0)) + spare
    wide = max(side, float((high - low).max()))
    if wide > widest:
        return centre, side, False
    return np.clip(centre, high - wide / 2, low + wide / 2), wide, True


def square_view(centre: NDArray[np.float64], side: float, shape: tuple[int, ...], scale: NDArray[np.float64]) -> View:
    """Show a square of a grid in a panel, as far as possible within the grid and no wider than it.

    `scale`, shape ``(2,)``, is height and width of a pixel in any unit, that of `centre`, ``(2,)``, and `side` too.
    """
    extent = np.array(shape) * scale
    side = min(side, float(extent.max()))
    half = np.minimum(side, extent) / 2
    top, left = (np.clip(centre, half, extent - half) - side / 2) / scale
    row_px, column_px = (PANEL_PX / side * float(unit) for unit in scale)
    return View(
        left=float(left), top=float(top), column_px=column_px, row_px=row_px,
        width=PANEL_PX, height=PANEL_PX, px_per_mm=PANEL_PX / side,
    )  # fmt: skip


def whole_view(shape: tuple[int, ...], row_mm: float, column_mm: float, largest_px: tuple[int, int]) -> View:
    """Show a whole grid as large as its width and height, `largest_px`, allow."""
    height_mm, width_mm = shape[0] * row_mm, shape[1] * column_mm
    px_per_mm = min(largest_px[0] / width_mm, largest_px[1] / height_mm)
    width, height = max(round(width_mm * px_per_mm), 1), max(round(height_mm * px_per_mm), 1)
    return View(
        left=0.0, top=0.0, column_px=px_per_mm * column_mm, row_px=px_per_mm * row_mm,
        width=width, height=height, px_per_mm=px_per_mm,
    )  # fmt: skip


@lru_cache(maxsize=8)
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load the font that comes with Pillow, `size` in picture pixels."""
    return ImageFont.load_default(size)


def write_text(
    picture: Image.Image, position: Point, text: str, *, colour: Colour = TEXT, size: int = 17, anchor: str = "lm"
) -> None:
    """Write text that stays readable on any grey; `position` in picture pixels, `anchor` as Pillow names it."""
    font = load_font(size)
    known = anchor if isinstance(font, ImageFont.FreeTypeFont) else None
    draw = ImageDraw.Draw(picture)
    with _PEN:
        draw.text(position, text, fill=colour, font=font, anchor=known, stroke_width=2, stroke_fill=BACKGROUND)


def write_directions(picture: Image.Image, right: str, down: str, *, size: int = 19) -> None:
    """Write the letters of where the right and the lower edge lie in the patient, and opposite ones, at all edges."""
    (width, height), margin = picture.size, size * 0.5
    write_text(picture, (margin, height / 2), right.translate(_OPPOSITE), size=size)
    write_text(picture, (width - margin, height / 2), right, size=size, anchor="rm")
    write_text(picture, (width / 2, size), down.translate(_OPPOSITE), size=size, anchor="mm")
    write_text(picture, (width / 2, height - size), down, size=size, anchor="mm")


def choose_bar_length(lengths: Sequence[float], at_most: float) -> float:
    """Longest of some ascending lengths that is at most so long, the shortest if none is."""
    return max((length for length in lengths if length <= at_most), default=lengths[0])


def draw_bar(picture: Image.Image, length_px: float, label: str) -> None:
    """Draw a bar of a length in picture pixels at the lower left, from x = 14, with a label above it."""
    first, last, base = 14, 14 + round(length_px) - 1, picture.height - 16
    draw = ImageDraw.Draw(picture)
    draw.rectangle((first - 1, base - 2, last + 1, base + 3), fill=BACKGROUND)
    for left, top, right in ((first, base - 1, last), (first, base - 7, first + 1), (last - 1, base - 7, last)):
        draw.rectangle((left, top, right, base + 2), fill=TEXT)
    write_text(picture, (first + 4, base - 14), label, size=16)


def draw_outline(picture: Image.Image, cover: NDArray[np.float32], colour: Colour) -> None:
    """Draw a thin smooth line just outside a mask, given by its `View.cover` of the picture's shape.

    The line follows the level 0.2: the corner of a single pixel has 0.25, so that every pixel lies inside the line.
    """
    alpha = trace_outline(cover)
    if alpha is not None:
        picture.paste(colour, (0, 0), Image.fromarray(alpha))


def trace_outline(cover: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """Opacity of the outline, shape as `cover`, 0-255; ``None`` when there is nothing to outline."""
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    if rows.size == 0:
        return None
    box = (slice(max(rows[0] - 2, 0), rows[-1] + 3), slice(max(columns[0] - 2, 0), columns[-1] + 3))
    part = cover[box]
    if min(part.shape) < 2:
        return None
    down, right = np.gradient(part)
    slope = np.hypot(down, right)
    distance_px = (0.2 - part) / np.maximum(slope, 1e-4)  # positive outside
    line = np.clip(1.6 - np.abs(distance_px - 0.8), 0.0, 1.0)
    alpha = np.zeros(cover.shape, np.uint8)
    alpha[box] = (line * 255 * (slope > 1e-4)).astype(np.uint8)
    return alpha


def encode_png(picture: Image.Image) -> bytes:
    """Encode quickly and small: 192 greys and shades of the drawing colours are all that a picture holds."""
    buffer = io.BytesIO()
    picture.quantize(palette=_palette(), dither=Image.Dither.NONE).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _palette() -> Image.Image:
    shades = [(grey, grey, grey) for grey in (round(255 * i / 191) for i in range(192))]
    for colour in (MINERAL, CONTOUR, SKIN, FASCIA, CROP):
        shades += [tuple(round(channel * i / 12) for channel in colour) for i in range(1, 13)]  # type: ignore[misc]
    shades += [BACKGROUND, TEXT, FAINT_TEXT]
    picture = Image.new("P", (1, 1))
    picture.putpalette([channel for shade in shades for channel in shade])
    return picture


def name_boxes(panel: Image.Image, named: Sequence[tuple[str, Box, Colour]], *, size: int, width: int = 2) -> None:
    """Frame places of a picture and write a name at each: beside, above or below, free of all frames and names.

    `size` of the type and `width` of the frame are in picture pixels.
    """
    draw = ImageDraw.Draw(panel)
    for _, box, colour in named:
        draw.rectangle(box, outline=colour, width=width)
    covered = [box for _, box, _ in named]
    for name, frame, colour in named:
        left, top, right, bottom = free_place(frame, (0.62 * size * len(name) + 4, 1.1 * size), panel.size, covered)
        covered.append((left, top, right, bottom))
        write_text(panel, ((left + right) / 2, (top + bottom) / 2), name, colour=colour, size=size, anchor="mm")


def free_place(frame: Box, text: tuple[float, float], panel: tuple[int, int], covered: Sequence[Box]) -> Box:
    """Box of `text` (width, height) nearest to a frame that meets none of `covered` and lies within the panel."""
    left, top, right, bottom = frame
    width, height = text
    middle, upper = (left + right - width) / 2, (top + bottom - height) / 2
    tried = [
        place
        for far in range(0, 8)
        for place in (
            (right + 3, upper + far * height), (right + 3, upper - far * height),
            (left - width - 3, upper + far * height), (left - width - 3, upper - far * height),
            (middle, top - (far + 1) * height - 2), (middle, bottom + far * height + 2),
            (right + 3 + far * width, upper), (left - 3 - (far + 1) * width, upper),
        )
    ]  # fmt: skip
    inside = [(min(max(x, 0.0), panel[0] - width), min(max(y, 0.0), panel[1] - height)) for x, y in tried]
    free = (
        (x, y)
        for x, y in inside
        if not any(x < end and start < x + width and y < low and high < y + height for start, high, end, low in covered)
    )
    x, y = next(free, inside[0])
    return x, y, x + width, y + height


def draw_labelled(panel: Image.Image, lines: Sequence[LabelledLine]) -> None:
    """Draw measured lines, smooth and with end ticks, and their lengths, each clear of those before it."""
    if not lines:
        return
    width, height = panel.size
    layer = Image.new("RGBA", (width * 2, height * 2), (0, 0, 0, 0))
    for dark in (True, False):
        for start, end, colour, _, _ in lines:
            _draw_calliper(layer, start, end, *(((*BACKGROUND, 200), 7) if dark else ((*colour, 255), 3)))
    layer = layer.reduce(2)
    panel.paste(layer, (0, 0), layer)
    written: list[tuple[float, float, float]] = []
    for start, end, colour, text, place in lines:
        half = _HALF_LETTER_PX * len(text)
        x, y = _place_length(start, end, place)
        tried = [
            (min(max(x + dx, _MARGIN_PX), width - _MARGIN_PX), min(max(y + dy, _MARGIN_PX), height - _MARGIN_PX))
            for dx, dy in _SHIFTS
        ]
        free = (
            (x, y)
            for x, y in tried
            if all(abs(x - a) >= half + other or abs(y - b) >= 2 * _HALF_LINE_PX for a, b, other in written)
        )
        x, y = next(free, tried[0])
        written.append((x, y, half))
        write_text(panel, (x, y), text, colour=colour, size=_SIZE, anchor="mm")


def _draw_calliper(layer: Image.Image, start: Point, end: Point, shade: tuple[int, ...], width: int) -> None:
    draw, ends = ImageDraw.Draw(layer), np.array((start, end)) * 2 - 0.5
    along = ends[1] - ends[0]
    length = float(np.hypot(*along))
    across = np.array((-along[1], along[0])) / length * 10 if length > 0 else np.array((0.0, 10.0))
    draw.line([tuple(ends[0]), tuple(ends[1])], fill=shade, width=width)
    for point in ends:
        draw.line([tuple(point - across), tuple(point + across)], fill=shade, width=width)


def _place_length(start: Point, end: Point, place: Place) -> Point:
    """Beyond the lower or right end of a calliper or the outer end of a distance, or right of the middle of one."""
    if place == "calliper":
        upper, lower = sorted((start, end), key=lambda point: point[1])
        if abs(lower[0] - upper[0]) <= 2 * (lower[1] - upper[1]):
            return lower[0], lower[1] + 18
        right = max(start, end)
        return right[0] + 34, right[1] + 12
    if place == "beyond":
        length = math.hypot(end[0] - start[0], end[1] - start[1]) or 1.0
        return end[0] + (end[0] - start[0]) / length * 30, end[1] + (end[1] - start[1]) / length * 30
    return (start[0] + end[0]) / 2 + 34, (start[1] + end[1]) / 2 + 12


def write_sheet(
    panels: Sequence[Image.Image], context: Image.Image, *, context_px: int, header: str, rows: Sequence[LegendRow]
) -> bytes:
    """Lay out a key image: header, panels side by side, right of them, `context_px` wide, the whole and the legend."""
    lefts = [_GAP_PX + number * (_GAP_PX + PANEL_PX) for number in range(len(panels) + 1)]
    side = lefts[-1]
    canvas = Image.new("RGB", (side + context_px + _GAP_PX, _HEAD_PX + PANEL_PX + _GAP_PX), BACKGROUND)
    for picture, left in zip((*panels, context), lefts, strict=True):
        canvas.paste(picture, (left, _HEAD_PX))
    write_text(canvas, (_GAP_PX + 4, _HEAD_PX / 2), header, size=22)
    draw, y = ImageDraw.Draw(canvas), _HEAD_PX + context.height + 22
    for colour, text in rows:
        words = " ".join(text.split())
        folded = textwrap.wrap(words, 27 if colour else 31, break_long_words=False, break_on_hyphens=False)
        if colour and folded:
            draw.rectangle((side, y - 2, side + 22, y + 1), fill=colour)
        for line in folded:
            write_text(canvas, (side + (32 if colour else 0), y), line, size=16, colour=FAINT_TEXT)
            y += 21
        y += 6
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
