"""``images/L1.png`` of a radiograph: the part that shows a lesion, plain and with all that was measured on it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calcreport.compose import Statements
from calcreport.formats.pictures.film_marks import choose_bar, mark_film_directions
from calcreport.formats.pictures.labels import LabelledLine, Point, draw_labelled
from calcreport.formats.pictures.legend import LegendRow, write_sheet
from calcreport.formats.pictures.picture import (
    CALLIPER,
    MINERAL,
    PANEL_PX,
    SKIN,
    View,
    draw_bar,
    draw_outline,
    square_view,
    whole_view,
    write_text,
)
from calcreport.formats.rendered import Rendered
from calcreport.model.film import FilmImage, FilmSegment, Shadow
from calcreport.model.lengths import Lengths
from calcreport.model.report import Lesion
from calcreport.text.film import is_known_view, name_view
from calcreport.text.review import is_by_reader
from calcreport.text.wording import spell_distance

_CONTEXT_PX: Final = (268, 330)
"""Largest width and height of the small whole film."""
_SMALLEST_VIEW_PX: Final = 130.0
"""A small focus is shown with at least this many film pixels across, which enlarges it about four times."""
_ROOM: Final = 2.0
"""The view is this many times as wide as the lesion."""
_FARTHEST: Final = 1.35
"""The skin line is taken into the view where that widens it no more than this many times."""

_SKIN_ROOM: Final = 0.15
"""Part of the view kept free beyond the skin line, where the distance is written."""

_LEAST_RANGE: Final = 80.0
"""Contrast is stretched to no fewer greys of the film: noise would look like a finding, and bone be lost."""


def render_film_lesion(
    film: FilmImage, shadow: Shadow, lesion: Lesion, statements: Statements, *, lengths: Lengths
) -> Rendered:
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
    bar = choose_bar(film.scale, at_most_px=PANEL_PX / 3 / per_pixel, statements=statements)
    for panel, name in ((plain, "film_plain"), (marked, "film_marked")):
        mark_film_directions(panel, film.view, size=19)
        draw_bar(panel, bar.length_px * per_pixel, bar.label)
        write_text(panel, (10, 18), statements.say(f"picture.{name}"))
    context = _draw_whole(film, view)
    rows = [
        *_explain(shadow, statements, lengths, shows_skin=shows_skin),
        *_explain_longest(lesion, statements, lengths),
    ]
    header = _write_header(film, lesion, statements)
    return write_sheet((plain, marked), context, context_px=_CONTEXT_PX[0], header=header, rows=rows)


def _write_header(film: FilmImage, lesion: Lesion, statements: Statements) -> str:
    number = film.reference.instance_number
    told = [statements.say("picture.unnumbered") if number is None else f"Im {number}"]
    told += [name_view(film.view.position, statements)] if is_known_view(film.view.position, statements) else []
    return statements.say("picture.key_header", id=lesion.id, reference=", ".join(told))


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


def choose_film_view(film: FilmImage, shadow: Shadow) -> tuple[View, bool]:
    """Choose a square around a lesion, and whether the line to the skin fits into it.

    True to the proportions of the pixels; within the film as far as possible.
    """
    aspect = _aspect(film)
    low = np.array(shadow.mineral.offset, dtype=np.float64) * aspect
    high = low + np.array(shadow.mineral.pixels.shape) * aspect
    smallest = _SMALLEST_VIEW_PX * float(aspect.max())
    side = max(smallest, _ROOM * float((high - low).max()))
    centre, shows_skin = (low + high) / 2, False
    if shadow.to_skin_line is not None:
        ends = (np.array((shadow.to_skin_line.start, shadow.to_skin_line.end)) + 0.5) * aspect
        room = _SKIN_ROOM * side
        first, last = np.minimum(low, ends.min(axis=0)) - room, np.maximum(high, ends.max(axis=0)) + room
        wide = max(side, float((last - first).max()))
        shows_skin = wide <= _FARTHEST * side
        if shows_skin:
            side = wide
            centre = np.clip(centre, last - side / 2, first + side / 2)
    return square_view(centre, side, film.picture.shape, aspect), shows_skin


def _aspect(film: FilmImage) -> NDArray[np.float64]:
    """Height and width of a pixel in the unit of the drawing: mm, or pixels without a scale; shape ``(2,)``."""
    return np.array(film.scale.spacing_mm or (1.0, 1.0), dtype=np.float64)


def _draw_marks(
    panel: Image.Image, view: View, film: FilmImage, shadow: Shadow, *, lengths: Lengths, shows_skin: bool
) -> None:
    draw_outline(panel, view.cover(shadow.mineral.on_film(film.picture.shape)), MINERAL)
    lines: list[LabelledLine] = []
    if shadow.to_skin_line is not None and shows_skin:
        distance = _spell(shadow.to_skin_line, lengths, is_distance=True)
        lines.append((*_ends(view, shadow.to_skin_line), SKIN, distance, "beyond"))
    lines.append((*_ends(view, shadow.longest), CALLIPER, _spell(shadow.longest, lengths), "calliper"))
    draw_labelled(panel, lines)


def _ends(view: View, segment: FilmSegment) -> tuple[Point, Point]:
    return view.place(*segment.start), view.place(*segment.end)


def _spell(segment: FilmSegment, lengths: Lengths, *, is_distance: bool = False) -> str:
    """Length in mm or cm where there is a scale, else in pixels."""
    if segment.length_mm is None:
        return f"{segment.length_px:.0f} px"
    return spell_distance(segment.length_mm) if is_distance else lengths.spell(segment.length_mm)


def _draw_whole(film: FilmImage, view: View) -> Image.Image:
    """Draw the whole film, small, with the part that is shown large."""
    row, column = _aspect(film)
    whole = whole_view(film.picture.shape, float(row), float(column), _CONTEXT_PX)
    picture = whole.show_grey(film.picture).convert("RGB")
    whole.frame(picture, view)
    return picture


def _explain(shadow: Shadow, statements: Statements, lengths: Lengths, *, shows_skin: bool) -> list[LegendRow]:
    """Legend: colour and words for all that is drawn, and for what lies beyond the view."""
    rows: list[LegendRow] = [
        (MINERAL, statements.say("picture.mineral")),
        (CALLIPER, statements.say("picture.film_longest", length=_spell(shadow.longest, lengths))),
        (None, statements.say("picture.film_across", length=_spell(shadow.across, lengths))),
    ]
    if shadow.to_skin_line is not None:
        identifier = "picture.film_skin" if shows_skin else "picture.film_skin_outside"
        text = statements.say(identifier, length=_spell(shadow.to_skin_line, lengths, is_distance=True))
        rows.append((SKIN if shows_skin else None, text))
    return rows


def _explain_longest(lesion: Lesion, statements: Statements, lengths: Lengths) -> list[LegendRow]:
    """Say that a reader gave the longest diameter: then another one is drawn."""
    longest_mm = lesion.size.max_diameter_mm
    if longest_mm is None or not is_by_reader(lesion, "size.max_diameter_mm"):
        return []
    return [(None, statements.say("picture.film_longest_reader", length=lengths.spell(longest_mm)))]
