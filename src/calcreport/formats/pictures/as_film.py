"""Pictures of radiographs: the part that shows a lesion, plain and with all that was measured, and the whole film."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from calcreport.formats.pictures import drawing
from calcreport.model.film import FilmImage, FilmScale, FilmSegment, FilmView, ScaleKind, Shadow
from calcreport.model.lengths import Lengths
from calcreport.model.report import Lesion
from calcreport.text.film import known_view, name_view
from calcreport.text.review import is_by_reader
from calcreport.text.statements import Statements
from calcreport.text.wording import name_body_part, spell_distance

# Lengths a bar may have, with a scale and without, and the words that name the plane in which a length holds.
_BARS_MM: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_BARS_PX: Final = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_WORDS: Final = {
    ScaleKind.DETECTOR: "picture.film_at_detector",
    ScaleKind.CALIBRATED: "picture.film_calibrated",
    ScaleKind.NONE: "picture.film_pixels",
}
_DIRECTIONS: Final = frozenset("LRAPHF")  # letters of Patient Orientation


def choose_bar(scale: FilmScale, *, at_most_px: float, statements: Statements) -> tuple[float, str]:
    """Choose a bar along the columns, at most `at_most_px` film pixels long if one is: length in pixels, and label.

    Without a scale the bar is a number of pixels; the label names the plane in which a length holds.
    """
    spacing_mm = scale.spacing_mm
    bars, unit, px = (_BARS_PX, "", 1.0) if spacing_mm is None else (_BARS_MM, " mm", 1.0 / spacing_mm[1])
    length = drawing.choose_bar_length(bars, at_most_px / px)
    return length * px, statements.say(_WORDS[scale.kind], length=f"{length:.0f}{unit}")


def write_title(view: FilmView, body_part: str | None, statements: Statements) -> str:
    """Side, region and view, as the header says; what it does not say is left out."""
    side = statements.say(f"side.{view.laterality}") if view.laterality in {"left", "right"} else ""
    region = name_body_part(view.body_part, statements) or name_body_part(body_part, statements)
    place = " ".join(filter(None, (side, region)))
    identifier = "picture.film_title" if place else "picture.film_title_unplaced"
    return statements.say(identifier, film=name_view(view.position, statements), place=place)


def _mark_directions(panel: Image.Image, view: FilmView, *, size: int) -> None:
    """Write the letters of Patient Orientation at the edges of a panel; nothing where the header does not tell."""
    if view.patient_orientation is not None:
        right, down = (
            "".join(letter for letter in word if letter in _DIRECTIONS)[:2] for word in view.patient_orientation
        )
        drawing.write_directions(panel, right, down, size=size)


PREVIEW_PX: Final = 1100  # Longest edge of the film on the page
_GREYS: Final = 240  # Greys of the picture file; the other places of its palette hold the colours that are drawn
_PALETTE: Final[tuple[drawing.Colour, ...]] = (
    *((grey, grey, grey) for grey in (round(255 * place / (_GREYS - 1)) for place in range(_GREYS))),
    drawing.MINERAL,
    drawing.BACKGROUND,
    drawing.TEXT,
)
"""Greys, then what is drawn: lines, and type without soft edges, which would need shades of every colour."""
_PALETTE_BYTES: Final = [channel for colour in _PALETTE for channel in colour]  # as Pillow takes it
_SMALLEST_TEXT_PX: Final = 16  # of the large picture
_PREVIEW_TEXT_PX: Final = 27  # Readable where the page shows the preview at under half its size
_NARROWEST_PX: Final = 420  # a picture, for its title
_LINES_PER_FILM: Final = 55
"""Text is this many times smaller than the film is long, so that it can be read when the whole film fills a screen."""


class FilmMark(NamedTuple):
    """A lesion on a film: its name and its shadow."""

    lesion_id: str
    shadow: Shadow


def render_film(
    film: FilmImage, marks: Sequence[FilmMark], statements: Statements, *, body_part: str | None = None
) -> bytes:
    """Draw a radiograph with its lesions, one picture pixel a film pixel; no patient name.

    A strip above says what the header says of the film; one below has a bar, in mm only where there is a scale.
    `body_part` is that of the study, for a film that does not name its own.
    """
    longest = max(film.picture.shape)
    size = max(_SMALLEST_TEXT_PX, round(longest / _LINES_PER_FILM))
    codes = np.array(Image.fromarray(film.picture).point([round(grey * (_GREYS - 1) / 255) for grey in range(256)]))
    for mark in marks:
        _outline_shadow(codes, mark.shadow, width_px=max(1, round(longest / 1500)))
    panel = Image.fromarray(codes)
    panel.putpalette(_PALETTE_BYTES)
    drawing.name_boxes(
        panel, [(mark.lesion_id, _box(mark, 1.0, size / 2), drawing.MINERAL) for mark in marks], size=size, width=0
    )
    buffer = io.BytesIO()
    picture = _mount(panel, film, body_part, statements, size)
    picture.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def render_film_preview(
    film: FilmImage, marks: Sequence[FilmMark], statements: Statements, *, body_part: str | None = None
) -> bytes:
    """Draw a radiograph for the page, at most `PREVIEW_PX` long: as `render_film`, with frames instead of outlines."""
    rows, columns = film.picture.shape
    shrink = min(1.0, PREVIEW_PX / max(rows, columns))
    small = (max(round(columns * shrink), 1), max(round(rows * shrink), 1))
    panel = Image.fromarray(film.picture).resize(small, Image.Resampling.BOX).convert("RGB")
    size = _PREVIEW_TEXT_PX
    drawing.name_boxes(panel, [(mark.lesion_id, _box(mark, shrink, 5.0), drawing.MINERAL) for mark in marks], size=size)
    _mark_directions(panel, film.view, size=size)
    return drawing.encode_png(_mount(panel, film, body_part, statements, size))


def _box(mark: FilmMark, shrink: float, room_px: float) -> drawing.Box:
    """Box around a lesion, `room_px` clear of it, on a film that is drawn `shrink` times as large."""
    rows, columns = mark.shadow.mineral.box
    left, top, right, bottom = (edge * shrink for edge in (columns.start, rows.start, columns.stop, rows.stop))
    return left - room_px, top - room_px, right + room_px, bottom + room_px


def _mount(
    panel: Image.Image, film: FilmImage, body_part: str | None, statements: Statements, size: int
) -> Image.Image:
    """Put a film between a strip with its title and one with a bar, `size` being that of the type."""
    title = write_title(film.view, body_part, statements)
    width, below = max(panel.width, _NARROWEST_PX), panel.height + 2 * size
    paper = drawing.BACKGROUND if panel.mode == "RGB" else _PALETTE.index(drawing.BACKGROUND)
    canvas = Image.new(panel.mode, (width, below + 2 * size), paper)
    if panel.mode == "P":
        canvas.putpalette(_PALETTE_BYTES)
    canvas.paste(panel, (0, 2 * size))
    drawing.write_text(canvas, (size / 2, size), title, size=size)
    shrink = panel.width / film.picture.shape[1]
    length_px, label = choose_bar(film.scale, at_most_px=film.picture.shape[1] / 4, statements=statements)
    left, right = size // 2, size // 2 + max(round(length_px * shrink), 1) - 1
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left, below + size - 1, right, below + size + max(1, size // 12)), fill=drawing.TEXT)
    for end in (left, right):
        draw.line((end, below + size / 2, end, below + 3 * size / 2), fill=drawing.TEXT, width=max(1, size // 12))
    drawing.write_text(canvas, (right + size, below + size), label, size=size)
    return canvas


def _outline_shadow(shown: NDArray[np.uint8], shadow: Shadow, *, width_px: int) -> None:
    """Draw a line of `width_px` around a shadow, one line's width away from it; only its box is touched."""
    room = 2 * width_px
    rows, columns = shadow.mineral.padded_box(room, shown.shape)
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    i, j = shadow.mineral.offset[0] - rows.start, shadow.mineral.offset[1] - columns.start
    mask[i : i + shadow.mineral.pixels.shape[0], j : j + shadow.mineral.pixels.shape[1]] = shadow.mineral.pixels
    outer = ndimage.maximum_filter(mask, 2 * room + 1, mode="constant")
    inner = ndimage.maximum_filter(mask, 2 * width_px + 1, mode="constant")
    shown[rows, columns][outer > inner] = _PALETTE.index(drawing.MINERAL)


_CONTEXT_PX: Final = (268, 330)  # largest width and height of the small whole film
_SMALLEST_VIEW_PX: Final = 130.0
"""A small focus is shown with at least this many film pixels across, which enlarges it about four times."""
_ROOM: Final = 2.0  # the view is this many times as wide as the lesion
_FARTHEST: Final = 1.35  # The skin line is taken into the view where that widens it no more than this many times

_SKIN_ROOM: Final = 0.15  # Part of the view kept free beyond the skin line, where the distance is written

_LEAST_RANGE: Final = 80.0
"""Contrast is stretched to no fewer greys of the film: noise would look like a finding, and bone be lost."""


def render_film_lesion(
    film: FilmImage, shadow: Shadow, lesion: Lesion, statements: Statements, *, lengths: Lengths
) -> bytes:
    """Draw a lesion on the film that shows it best; no patient name.

    The plain part with its contrast stretched, the same with outline, calliper and distance to the skin line, and the
    whole film, small. A bar is in mm only where the film has a scale.
    """
    view, shows_skin = choose_film_view(film, shadow)
    black, white = choose_greys(film, shadow)
    plain = view.show_grey(film.picture, black=black, white=white).convert("RGB")
    marked = plain.copy()
    _draw_marks(marked, view, film, shadow, lengths=lengths, shows_skin=shows_skin)
    per_pixel = view.column_px
    length_px, label = choose_bar(film.scale, at_most_px=drawing.PANEL_PX / 3 / per_pixel, statements=statements)
    for panel, name in ((plain, "film_plain"), (marked, "film_marked")):
        _mark_directions(panel, film.view, size=19)
        drawing.draw_bar(panel, length_px * per_pixel, label)
        drawing.write_text(panel, (10, 18), statements.say(f"picture.{name}"))
    row, column = map(float, _aspect(film))
    whole = drawing.whole_view(film.picture.shape, row, column, _CONTEXT_PX)
    context = whole.show_grey(film.picture).convert("RGB")
    whole.frame(context, view)
    number = film.reference.instance_number
    named = (
        statements.say("picture.unnumbered") if number is None else f"Im {number}",
        known_view(film.view.position, statements),
    )
    header = statements.say("picture.key_header", id=lesion.id, reference=", ".join(filter(None, named)))
    rows = _explain(shadow, lesion, statements, lengths, shows_skin=shows_skin)
    return drawing.write_sheet((plain, marked), context, context_px=_CONTEXT_PX[0], header=header, rows=rows)


def choose_greys(film: FilmImage, shadow: Shadow) -> tuple[float, float]:
    """Choose the greys drawn black and white, so that a faint lesion stands out from what lies around it.

    Those of the lesion and a border of less than half its width, with room on either side; at least `_LEAST_RANGE`
    apart.
    """
    room = max(round(0.4 * min(shadow.mineral.pixels.shape)), 12)
    box = shadow.mineral.padded_box(room, film.picture.shape)
    low, high = (float(grey) for grey in np.percentile(film.picture[box], (2.0, 99.5)))
    spare = max((_LEAST_RANGE - (high - low)) / 2, 0.15 * (high - low))
    return max(low - spare, 0.0), min(high + spare, 255.0)


def choose_film_view(film: FilmImage, shadow: Shadow) -> tuple[drawing.View, bool]:
    """Choose a square around a lesion, within the film if possible, and whether the line to the skin fits into it."""
    aspect = _aspect(film)
    low = np.array(shadow.mineral.offset, dtype=np.float64) * aspect
    high = low + np.array(shadow.mineral.pixels.shape) * aspect
    smallest = _SMALLEST_VIEW_PX * float(aspect.max())
    side = max(smallest, _ROOM * float((high - low).max()))
    line = shadow.to_skin_line
    ends = None if line is None else (np.array((line.start, line.end)) + 0.5) * aspect
    centre, side, shows_skin = drawing.widen(
        low, high, ends, side=side, spare=_SKIN_ROOM * side, widest=_FARTHEST * side
    )
    return drawing.square_view(centre, side, film.picture.shape, aspect), shows_skin


def _aspect(film: FilmImage) -> NDArray[np.float64]:
    """Height and width of a pixel in the unit of the drawing: mm, or pixels without a scale; shape ``(2,)``."""
    return np.array(film.scale.spacing_mm or (1.0, 1.0), dtype=np.float64)


def _draw_marks(
    panel: Image.Image, view: drawing.View, film: FilmImage, shadow: Shadow, *, lengths: Lengths, shows_skin: bool
) -> None:
    drawing.draw_outline(panel, view.cover(shadow.mineral.on_film(film.picture.shape)), drawing.MINERAL)
    line, longest = shadow.to_skin_line, shadow.longest
    lines: list[drawing.LabelledLine] = []
    if line is not None and shows_skin:
        distance = _spell(line, lengths, is_distance=True)
        lines.append((view.place(*line.start), view.place(*line.end), drawing.SKIN, distance, "beyond"))
    ends = view.place(*longest.start), view.place(*longest.end)
    drawing.draw_labelled(panel, [*lines, (*ends, drawing.CALLIPER, _spell(longest, lengths), "calliper")])


def _spell(segment: FilmSegment, lengths: Lengths, *, is_distance: bool = False) -> str:
    """Length in mm or cm where there is a scale, else in pixels."""
    if segment.length_mm is None:
        return f"{segment.length_px:.0f} px"
    return spell_distance(segment.length_mm) if is_distance else lengths.spell(segment.length_mm)


def _explain(
    shadow: Shadow, lesion: Lesion, statements: Statements, lengths: Lengths, *, shows_skin: bool
) -> list[drawing.LegendRow]:
    """Legend: colour and words for all that is drawn, for what lies beyond the view, and for a reader's length."""
    rows: list[drawing.LegendRow] = [
        (drawing.MINERAL, statements.say("picture.mineral")),
        (drawing.CALLIPER, statements.say("picture.film_longest", length=_spell(shadow.longest, lengths))),
        (None, statements.say("picture.film_across", length=_spell(shadow.across, lengths))),
    ]
    if shadow.to_skin_line is not None:
        identifier = "picture.film_skin" if shows_skin else "picture.film_skin_outside"
        text = statements.say(identifier, length=_spell(shadow.to_skin_line, lengths, is_distance=True))
        rows.append((drawing.SKIN if shows_skin else None, text))
    longest_mm = lesion.size.max_diameter_mm
    if longest_mm is not None and is_by_reader(lesion, "size.max_diameter_mm"):
        rows.append((None, statements.say("picture.film_longest_reader", length=lengths.spell(longest_mm))))
    return rows
