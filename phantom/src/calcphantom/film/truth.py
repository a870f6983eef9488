"""What is known about synthetic radiographs; see `calcphantom.film.measure` for where it comes from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calcphantom.film.recipe import FilmRecipe

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusTruth:
    """One separate shadow of a lesion's mineral.

    Parameters
    ----------
    centroid : tuple[float, float]
        Row and column of its centre.
    box : tuple[int, int, int, int]
        First row and column, and those after the last.
    longest_mm : float
        Longest projected diameter on the detector, mm.
    contrast_to_noise : float
        Mean noise-free contrast over the standard deviation of the noise around.
    over_bone_share : float
        Part of it projected over bone.
    is_required : bool
        Large, dense, off bone and inside the exposed field: a search must find it.
    """

    centroid: Point
    box: tuple[int, int, int, int]
    longest_mm: float
    contrast_to_noise: float
    over_bone_share: float
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTruth:
    """A lesion on one film; lengths in mm at the detector and in pixels.

    Parameters
    ----------
    lesion : int
        Number in the recipe.
    pattern : str
        Pattern id.
    accepted_patterns : tuple[str, ...]
        Other ids that a film cannot tell from it; "indeterminate" is none of them.
    longest_mm, across_mm, longest_px, across_px : float
        Longest projected diameter between outer edges, and the extent perpendicular to it.
    centroid : tuple[float, float]
        Row and column of the centre of its mineral.
    box : tuple[int, int, int, int]
        First row and column, and those after the last.
    foci : tuple[FocusTruth, ...]
        Separate shadows.
    is_scattered : bool
        Its extent has no sharp meaning.
    is_cut : bool
        Reaches beyond the film or the exposed field.
    over_bone_share : float
        Part of it projected over bone.
    is_joined : bool
        Its mineral is one with that of a bone.
    to_skin_line_mm, to_skin_line_px : float
        Shortest distance to the skin line in the image plane.
    """

    lesion: int
    pattern: str
    accepted_patterns: tuple[str, ...]
    longest_mm: float
    across_mm: float
    longest_px: float
    across_px: float
    centroid: Point
    box: tuple[int, int, int, int]
    foci: tuple[FocusTruth, ...]
    is_scattered: bool
    is_cut: bool
    over_bone_share: float
    is_joined: bool
    to_skin_line_mm: float
    to_skin_line_px: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmTruth:
    """What is true of one film.

    Parameters
    ----------
    view : str
        ``"AP"`` or ``"LAT"``.
    shape : tuple[int, int]
        Rows and columns.
    pixel_mm, magnification : float
        Detector pixel; of the middle of the patient.
    shadows : tuple[ShadowTruth, ...]
        Lesions on it.
    mineral : NDArray[np.int16]
        Shape ``(rows, columns)``: number of the lesion whose mineral a ray meets, -1 for none.
    bone, skin, field : NDArray[np.bool_]
        Rays through bone; through the patient; the exposed field.
    noise : float
        Standard deviation of the noise in soft tissue, stored units.
    """

    view: str
    shape: tuple[int, int]
    pixel_mm: float
    magnification: float
    shadows: tuple[ShadowTruth, ...]
    mineral: NDArray[np.int16]
    bone: NDArray[np.bool_]
    skin: NDArray[np.bool_]
    field: NDArray[np.bool_]
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmStudyTruth:
    """Everything known about a study of radiographs.

    Parameters
    ----------
    recipe : FilmRecipe
        How it was made, seed included.
    films : tuple[FilmTruth, ...]
        In the order of the recipe.
    distractors : tuple[str, ...]
        Dense things that are no lesions.
    """

    recipe: FilmRecipe
    films: tuple[FilmTruth, ...]
    distractors: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain mapping for ``truth.json``, without the masks; pixels as row and column, lengths in mm."""
        masks = {"mineral", "bone", "skin", "field"}
        films = [
            {f.name: _plain(getattr(film, f.name)) for f in dataclasses.fields(film) if f.name not in masks}
            for film in self.films
        ]
        return {"recipe": dataclasses.asdict(self.recipe), "films": films, "distractors": list(self.distractors)}


def _plain(value: object) -> object:
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return [dataclasses.asdict(v) for v in value]
    return value
