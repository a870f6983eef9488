"""Compare what was found on films with what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.film.truth import FilmStudyTruth, FilmTruth, FocusTruth, ShadowTruth
from calcreport.model.film import FilmFindings, ProjectedLesion, Shadow
from calcreport.model.report import BoneRelation, Confidence, Pattern
from calcreport.model.terms import INDETERMINATE_PATTERN

COVERED: Final = 0.3
"""Share of a focus that a reported shadow, its holes filled, has to cover."""
ON_MINERAL: Final = 0.1
"""Share of a reported shadow that has to lie on true mineral or within the margin of it; less is a false mark."""
MARGIN_PIXELS: Final = 4
JUDGED_OVER_BONE: Final = 0.1
"""A lesion that overlaps bone by less than this share, but does, is left out of the judgement of that label."""


@unique
class Naming(StrEnum):
    """What came of a pattern; "indeterminate" is an answer, and no right one."""

    RIGHT = "right"
    INDETERMINATE = "indeterminate"
    WRONG = "wrong"
    CONFIDENT = "wrong and confident"
    """Wrong with moderate confidence, the highest there is on a film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusScore:
    """One true focus; whether a reported shadow covers it."""

    truth: FocusTruth
    is_found: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowScore:
    """A true lesion on one film; errors are measured minus true, ``None`` when not measured or not meaningful.

    Parameters
    ----------
    truth : ShadowTruth
        What is true.
    foci : tuple[FocusScore, ...]
        Its separate shadows.
    parts : int
        Reported shadows on it.
    size_error_mm, size_excess : float | None
        Error of the longest projected diameter of a compact lesion off bone, mm at the detector; its absolute value
        over the larger of 0.5 mm and 3 % of the truth.
    skin_error_mm : float | None
        Error of the distance to the skin line, mm at the detector.
    pattern : str
        As reported; empty when not found.
    naming : Naming | None
        Right is the true pattern or one a film cannot tell from it.
    is_said_separate : bool | None
        Whether a lesion joined to a bone was said to be separate from it.
    is_over_bone_right : bool | None
        Whether "projected over bone" was said where it is true of the lesion, and only there.
    is_mark_over_bone_right : bool | None
        The same, of those of its foci that the mark lies on: what the label says.
    """

    truth: ShadowTruth
    foci: tuple[FocusScore, ...]
    parts: int = 0
    size_error_mm: float | None = None
    size_excess: float | None = None
    skin_error_mm: float | None = None
    pattern: str = ""
    naming: Naming | None = None
    is_said_separate: bool | None = None
    is_over_bone_right: bool | None = None
    is_mark_over_bone_right: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmScore:
    """Scores of one film, and one sentence for each false mark on it."""

    view: str
    shadows: tuple[ShadowScore, ...]
    false: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmStudyScore:
    """Scores of the films of a study; `region` as in its recipe."""

    seed: int
    region: str
    films: tuple[FilmScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Mark:
    """A reported shadow laid over a film: its lesion, and its pixels with and without holes."""

    shadow: Shadow
    lesion: ProjectedLesion
    pixels: NDArray[np.bool_]
    filled: NDArray[np.bool_]


def score_films(findings: FilmFindings, truth: FilmStudyTruth) -> FilmStudyScore:
    """Match the reported shadows of a study with the true ones, film by film, and measure the errors.

    Parameters
    ----------
    findings : FilmFindings
        What was found; its films in the order of the truth.
    truth : FilmStudyTruth
        What is true.

    Returns
    -------
    FilmStudyScore
        One score a true lesion and film.

    Raises
    ------
    ValueError
        The films are not those of the truth.
    """
    if tuple(f.intensity.shape for f in findings.films) != tuple(f.shape for f in truth.films):
        msg = "the films that were searched are not those the truth is known of"
        raise ValueError(msg)
    films = tuple(_score_film(findings, film, number) for number, film in enumerate(truth.films))
    phantom = truth.recipe.phantom
    return FilmStudyScore(seed=phantom.seed, region=phantom.region.value, films=films)


def _score_film(findings: FilmFindings, film: FilmTruth, number: int) -> FilmScore:
    marks = [
        _mark(shadow, lesion, film.shape)
        for lesion in findings.lesions
        for shadow in lesion.shadows
        if shadow.film == number
    ]
    near = np.asarray(ndimage.binary_dilation(film.mineral >= 0, iterations=MARGIN_PIXELS))
    false = tuple(_sentence(m, film) for m in marks if near[m.pixels].mean() < ON_MINERAL)
    true_marks = [m for m in marks if near[m.pixels].mean() >= ON_MINERAL]
    return FilmScore(
        view=film.view,
        shadows=tuple(_score_shadow(shadow, true_marks, film) for shadow in film.shadows),
        false=false,
    )


def _mark(shadow: Shadow, lesion: ProjectedLesion, shape: tuple[int, int]) -> _Mark:
    pixels = np.zeros(shape, dtype=np.bool_)
    pixels[shadow.mineral.box] = shadow.mineral.pixels
    filled = np.zeros(shape, dtype=np.bool_)
    filled[shadow.mineral.box] = ndimage.binary_fill_holes(shadow.mineral.pixels)
    return _Mark(shadow=shadow, lesion=lesion, pixels=pixels, filled=filled)


def _sentence(mark: _Mark, film: FilmTruth) -> str:
    i, j = np.nonzero(mark.pixels)
    where = "over bone" if film.bone[mark.pixels].any() else "in air" if not film.skin[mark.pixels].any() else "soft"
    return (
        f"{film.view} ({i.mean():.0f}, {j.mean():.0f}) {mark.shadow.longest.length_px * film.pixel_mm:.1f} mm "
        f"{mark.lesion.pattern.id} cnr {mark.shadow.contrast_to_noise:.1f} {where}"
    )


def _score_shadow(truth: ShadowTruth, marks: list[_Mark], film: FilmTruth) -> ShadowScore:
    box = tuple(
        slice(max(0, low), min(high, n)) for low, high, n in zip(truth.box[:2], truth.box[2:], film.shape, strict=True)
    )
    own = np.zeros(film.shape, dtype=np.bool_)
    own[box] = film.mineral[box] == truth.lesion
    covered = np.zeros(film.shape, dtype=np.bool_)
    for mark in marks:
        covered |= mark.filled
    foci = tuple(FocusScore(truth=focus, is_found=_covers(covered, own, focus)) for focus in truth.foci)
    touching = [m for m in marks if (m.pixels & own).any()]
    if not touching:
        return ShadowScore(truth=truth, foci=foci)
    best = max(touching, key=lambda m: int((m.pixels & own).sum()))
    shadow = best.shadow
    pixel_mm = film.pixel_mm
    is_sharp = not truth.is_scattered and not truth.is_cut and truth.over_bone_share == 0
    size = shadow.longest.length_px * pixel_mm - truth.longest_mm if is_sharp else None
    line = shadow.to_skin_line
    marked = [f.over_bone_share for f in truth.foci if _meets(best.pixels & own, f)]
    return ShadowScore(
        truth=truth,
        foci=foci,
        parts=len(touching),
        size_error_mm=size,
        size_excess=None if size is None else abs(size) / max(0.5, 0.03 * truth.longest_mm),
        skin_error_mm=None if line is None or truth.is_cut else line.length_px * pixel_mm - truth.to_skin_line_mm,
        pattern=best.lesion.pattern.id,
        naming=_naming(best.lesion.pattern, truth),
        is_said_separate=best.lesion.bone_relation is BoneRelation.SEPARATE if truth.is_joined else None,
        is_over_bone_right=_is_label_right(shadow, truth.over_bone_share),
        is_mark_over_bone_right=_is_label_right(shadow, max(marked, default=truth.over_bone_share)),
    )


def _meets(pixels: NDArray[np.bool_], focus: FocusTruth) -> bool:
    top, left, bottom, right = focus.box
    return bool(pixels[top:bottom, left:right].any())


def _is_label_right(shadow: Shadow, over_bone_share: float) -> bool | None:
    is_judged = over_bone_share == 0 or over_bone_share > JUDGED_OVER_BONE
    return shadow.is_over_bone == (over_bone_share > 0) if is_judged else None


def _naming(pattern: Pattern, truth: ShadowTruth) -> Naming:
    if pattern.id in (truth.pattern, *truth.accepted_patterns):
        return Naming.RIGHT
    if pattern.id == INDETERMINATE_PATTERN:
        return Naming.INDETERMINATE
    return Naming.WRONG if pattern.confidence is Confidence.LOW else Naming.CONFIDENT


def _covers(covered: NDArray[np.bool_], own: NDArray[np.bool_], focus: FocusTruth) -> bool:
    top, left, bottom, right = focus.box
    mineral = own[top:bottom, left:right]
    return bool(mineral.any()) and float(covered[top:bottom, left:right][mineral].mean()) >= COVERED
