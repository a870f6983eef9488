"""How a radiograph was taken: view, side, body part, directions. Never inferred from the picture."""

from __future__ import annotations

import tomllib
from types import MappingProxyType
from typing import Final

from calcreport.dicom.header import film_tags, tags, values
from calcreport.dicom.header.film_header import FilmHeader
from calcreport.model.film import FilmView
from calcreport.resources import packaged_text

_VIEW_CODES: Final = {
    code: view
    for view, codes in tomllib.loads(packaged_text("dicom/film/views.toml")).items()
    for code in codes.split()
}
"""View by its code of SNOMED CT or the older SNOMED-RT."""
_SCHEMES: Final = frozenset(("SCT", "SRT", "SNM3", "99SDM"))  # coding schemes of SNOMED
# Other spellings of View Position.
_SPELLINGS: Final = MappingProxyType({"LATERAL": "LAT", "OBLIQUE": "OBL", "A.P.": "AP", "P.A.": "PA"})
_FAMILIES: Final = tuple(
    frozenset(names.split())
    for names in ("LAT LL RL ML LM", "OBL LO RO LAO LPO RAO RPO RLO LLO", "FRONTAL AP PA DP PD LLD RLD")
)
"""Names that one view may go by at different precision. AP and PA are separated by `_OPPOSITE`."""
# Views of which one contradicts the other.
_OPPOSITE: Final = tuple(frozenset(names.split()) for names in ("AP PA", "LL RL", "ML LM", "DP PD"))
_SIDES: Final = MappingProxyType({"L": "left", "R": "right", "B": "both"})  # Image Laterality to a side
_DIRECTIONS: Final = frozenset("LRAPHF")  # letters of Patient Orientation
_NO_FLIP: Final = frozenset(("NO", ""))  # values of Field of View Horizontal Flip


def view_of(film: FilmHeader) -> tuple[FilmView, tuple[str, ...]]:
    """View of a film, and notes on contradictions and on turned fields of view."""
    position, notes = _position(film)
    side, side_notes = _side(film)
    view = FilmView(
        position=position,
        laterality=side,
        body_part=film.image.series.body_part,
        patient_orientation=_orientation(film),
    )
    return view, (*notes, *side_notes, *_turned(film))


def _position(film: FilmHeader) -> tuple[str | None, tuple[str, ...]]:
    stated = film.word(film_tags.VIEW_POSITION)
    stated = _SPELLINGS.get(stated or "", stated)
    items = film.item.sequences.get(film_tags.VIEW_CODES, [])
    raw = items[0].values if items else {}
    is_known = values.keyword(raw.get(film_tags.CODE_SCHEME)) in _SCHEMES
    coded = _VIEW_CODES.get(values.keyword(raw.get(film_tags.CODE_VALUE)) or "") if is_known else None
    if stated is None or coded is None or stated == coded:
        return stated or coded, ()
    pair = {stated, coded}
    if pair not in _OPPOSITE and any(pair <= family for family in _FAMILIES):
        return stated, ()
    return None, ("View Position and View Code contradict each other; the view is not known.",)


def _side(film: FilmHeader) -> tuple[str | None, tuple[str, ...]]:
    """Image Laterality before Laterality: the latter is of the series and may be of another image."""
    of_image, of_series = (_SIDES.get(film.word(tag) or "") for tag in (tags.IMAGE_LATERALITY, tags.LATERALITY))
    if of_image and of_series and of_image != of_series:
        return None, ("Image Laterality and Laterality contradict each other; the side is not known.",)
    return of_image or of_series, ()


def _orientation(film: FilmHeader) -> tuple[str, str] | None:
    """Patient Orientation where both directions are made of the letters L, R, A, P, H and F (PS3.3 C.7.6.1.1.1)."""
    words = values.keywords(film.raw(film_tags.PATIENT_ORIENTATION))
    if len(words) != 2 or not all(word and set(word) <= _DIRECTIONS for word in words):
        return None
    return words[0], words[1]


def _turned(film: FilmHeader) -> tuple[str, ...]:
    rotation = values.decimal(film.raw(film_tags.FIELD_ROTATION))
    is_flipped = (film.word(film_tags.FIELD_FLIP) or "") not in _NO_FLIP
    notes = []
    if rotation:
        notes.append(f"The field of view was rotated by {rotation:g} degrees after exposure.")
    if is_flipped:
        notes.append("The field of view was flipped left to right after exposure.")
    return tuple(notes)
