"""What is written on pictures of radiographs: titles, directions, and bars that never claim a scale there is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image

from calcreport.compose import Statements
from calcreport.formats.pictures.picture import write_text
from calcreport.model.film import FilmScale, FilmView, ScaleKind
from calcreport.text.film import name_view
from calcreport.text.wording import name_body_part

_BARS_MM: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_BARS_PX: Final = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_WORDS: Final = {
    ScaleKind.DETECTOR: "picture.film_at_detector",
    ScaleKind.CALIBRATED: "picture.film_calibrated",
    ScaleKind.NONE: "picture.film_pixels",
}
_OPPOSITE: Final = str.maketrans("LRAPHF", "RLPAFH")
_DIRECTIONS: Final = frozenset("LRAPHF")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of `length_px` pixels of the film, and what it stands for."""

    length_px: float
    label: str


def choose_bar(scale: FilmScale, *, at_most_px: float, statements: Statements) -> Bar:
    """Choose a bar along the columns, at most `at_most_px` film pixels long; the shortest of all is taken if none fits.

    Without a scale the bar is a number of pixels; the label names the plane in which a length holds.
    """
    px_per_unit = 1.0 if scale.spacing_mm is None else 1.0 / scale.spacing_mm[1]
    lengths = _BARS_PX if scale.spacing_mm is None else _BARS_MM
    fitting = [length for length in lengths if length * px_per_unit <= at_most_px]
    length = fitting[-1] if fitting else lengths[0]
    told = f"{length:.0f}" if scale.spacing_mm is None else f"{length:.0f} mm"
    return Bar(length_px=length * px_per_unit, label=statements.say(_WORDS[scale.kind], length=told))


def write_title(view: FilmView, body_part: str | None, statements: Statements) -> str:
    """Side, region and view, as the header says; what it does not say is left out."""
    words = []
    if view.laterality in {"left", "right"}:
        words.append(statements.say(f"side.{view.laterality}"))
    words.append(name_body_part(view.body_part, statements) or name_body_part(body_part, statements))
    place = " ".join(filter(None, words))
    shown = name_view(view.position, statements)
    identifier = "picture.film_title" if place else "picture.film_title_unplaced"
    return statements.say(identifier, film=shown, place=place)


def mark_film_directions(panel: Image.Image, view: FilmView, *, size: int) -> None:
    """Write the letters of Patient Orientation at the edges of a panel; nothing where the header does not tell."""
    if view.patient_orientation is None:
        return
    right, down = ("".join(letter for letter in word if letter in _DIRECTIONS)[:2] for word in view.patient_orientation)
    width, height = panel.size
    margin = size * 0.5
    write_text(panel, (margin, height / 2), right.translate(_OPPOSITE), size=size)
    write_text(panel, (width - margin, height / 2), right, size=size, anchor="rm")
    write_text(panel, (width / 2, size), down.translate(_OPPOSITE), size=size, anchor="mm")
    write_text(panel, (width / 2, height - size), down, size=size, anchor="mm")
