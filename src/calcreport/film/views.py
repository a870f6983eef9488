"""Views of one study, as the headers state them: which are lateral, and which two are orthogonal views of one part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from calcreport.model.film import FilmImage, ScaleKind

_LATERAL: Final = frozenset(("LAT", "LL", "RL", "ML", "LM", "LLAT", "RLAT"))  # values of View Position
_FRONTAL: Final = frozenset(("AP", "PA", "FRONTAL", "DP", "PD"))  # values of View Position
_UP: Final = {"F": 1, "H": -1}  # direction of rows by Patient Orientation: foot, head


def is_lateral(position: str | None) -> bool | None:
    """Whether a View Position is a lateral one; ``None`` for oblique, special or unstated views."""
    if position in _LATERAL:
        return True
    return False if position in _FRONTAL else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPair:
    """A frontal and a lateral film of one part."""

    frontal: int
    lateral: int
    """Index of each film in the study."""
    obstacle: str = ""
    """Why a finding on the one cannot be found again on the other, in words; empty where nothing stands against it."""


def pair_views(films: Sequence[FilmImage]) -> tuple[ViewPair, ...]:
    """Pairs of a frontal and a lateral film of the same side and part, as far as the headers state."""
    frontal = [number for number, film in enumerate(films) if is_lateral(film.view.position) is False]
    lateral = [number for number, film in enumerate(films) if is_lateral(film.view.position) is True]
    pairs = [(i, j) for i, j in product(frontal, lateral) if _show_one_part(films, i, j)]
    return tuple(
        ViewPair(
            frontal=i,
            lateral=j,
            obstacle="several frontal or lateral films show the same part"
            if sum(i == a or j == b for a, b in pairs) > 1
            else _obstacle(films[i], films[j]),
        )
        for i, j in pairs
    )


def _show_one_part(films: Sequence[FilmImage], i: int, j: int) -> bool:
    """Whether two films show the same limb; an unstated side is the same only where no other film shows the part."""
    first, second = films[i].view, films[j].view
    if first.laterality != second.laterality or first.laterality == "both":
        return False
    if first.laterality is not None:
        return first.body_part == second.body_part or None in {first.body_part, second.body_part}
    others = [film.view.body_part for number, film in enumerate(films) if number not in {i, j}]
    is_same = first.body_part is not None and first.body_part == second.body_part
    return is_same and not {first.body_part, None}.intersection(others)


def _obstacle(first: FilmImage, second: FilmImage) -> str:
    kinds = {first.scale.kind, second.scale.kind}
    if ScaleKind.NONE in kinds:
        return "a film has no scale"
    if len(kinds) > 1:
        return "their lengths hold in different planes"
    if any(film.view.patient_orientation is not None and rows_direction(film) is None for film in (first, second)):
        return "the long axis does not run along the rows of both films"
    return ""


def rows_direction(film: FilmImage) -> int | None:
    """1 where rising rows lead towards the feet, -1 towards the head, ``None`` where the header does not state it."""
    orientation = film.view.patient_orientation
    return None if orientation is None else _UP.get(orientation[1][:1])


def columns_axis(film: FilmImage) -> str | None:
    """Axis of the patient that the columns follow: ``"tr"``, ``"ap"``, or ``None`` if the header is silent."""
    orientation = film.view.patient_orientation
    if orientation is None:
        return None
    return {"L": "tr", "R": "tr", "A": "ap", "P": "ap"}.get(orientation[0][:1])
