"""Classification of dense foci: mineral, metal, skeleton, or uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.film.bone import Bones
from calcreport.film.foci import FilmFocus
from calcreport.film.outline import Outline, diameters
from calcreport.film.reduced import ReducedFilm, around, grown, within

_LEAST_CONTRAST: Final = 2.6
"""Mean contrast over the noise of one film pixel; a reader needs about this for a spot of a few millimetres."""
_CUT_CONTRAST: Final = 3.0  # ... and at the end of the field more, where the blur of collimators adds to the structure
_OF_A_BALL: Final = 0.55  # The outline is at least this share as sharp as that of a ball as wide; tissue fades more
_CUT_OF_A_BALL: Final = 0.75
"""At the end of the field, where the blur of collimators looks like a band, it is sharper than that."""
_SHARPEST: Final = 0.6  # highest sharpness required, however narrow a focus is
_LEAST_MM: Final = 1.6  # length; shorter foci are not reported
_CLEAR: Final = 7.0  # A focus has to stand out of the structure around by this many of its deviations
_AT_SKIN_MM: Final = 1.8  # What reaches the skin line may lie on the skin: buttons, dressings, dirt
_METAL: Final = 2.0  # times the contrast of bone
_METAL_SHARPNESS: Final = 0.8
"""Metal stands out by this many times as much as bone, and as much at its edge as in its middle: a deposit as dense as
that is thick, and swells towards its middle."""
_CONTACT: Final = 0.15  # With more of its outline at bone than this, a focus is part of the bone
_JOINT_CONTACT: Final = 0.03  # At a knee, where edges of bones overlap, even this much
_THROUGH_MM: Final = 80.0  # longer bands run through the field
_TRACK_MM: Final = 4.0
"""A band longer than `_THROUGH_MM` that leaves the field is a fold, a dressing or bone, unless as thin as a wall."""
_BAND_RATIO: Final = 2.2  # least length over width of a band
_BAND_MM: Final = 5.0  # least length of a band
_NEAR_BONE_MM: Final = 5.0  # beside a bone
_BAND_CONTACT: Final = 0.6  # share of a band near bone from which it is its margin
_LINE_RATIO: Final = 4.0  # length over width from which a band is a line
_LINE_SHARE: Final = 0.2  # A line of this share of the contrast of bone that starts from bone is a cortex
_LINE_AT_BONE: Final = 0.06  # share of the outline of a line at bone from which it starts there
_LINE_CONTACT: Final = 0.35
"""A band of which so much lies within `_NEAR_BONE_MM` of bone, all along it, is the bone's own margin."""
_SESAMOID_REACH_MM: Final = 15.0  # Patella and fabella lie no farther from the femur, mm
_CONDYLE_MM: Final = 18.0
"""Half the width of condyles from the side, even where not all of them is found as bone; few shafts are as wide."""
_PATELLA_CONTRAST: Final = 0.45
"""A patella from the side is looked through along its width: within its outline it stands out nearly half as much as
other bone, or more."""
_FABELLA_CONTRAST: Final = (0.15, 0.7)  # Shares of the contrast of bone; a deposit may be denser than any fabella
_FABELLA_MM: Final = (4.0, 15.0)  # least and greatest length
_PATELLA_MM: Final = (30.0, 65.0)  # least and greatest length
_PATELLA_ACROSS_MM: Final = 30.0
"""Length of a patella, enlarged as it is, from that of a school child on; none is thicker than `_PATELLA_ACROSS_MM`."""
_KNEE_PARTS: Final = frozenset(("KNEE", "KNEES", "PATELLA"))
"""Patella and fabella are looked for on films of these parts only: elsewhere an oval beside bone is a finding."""


@unique
class FocusKind(StrEnum):
    """Kind of a dense focus."""

    MINERAL = "mineral"
    METAL = "metal"
    AT_SKIN = "at the skin line"
    PATELLA = "patella"
    FABELLA = "fabella"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Facts about a film beside its pixels."""

    noise: float
    """Standard deviation of the noise of a film pixel."""
    spacing_mm: tuple[float, float]
    """Distance between rows, between columns, mm."""
    body_part: str
    """Body Part Examined in capitals, empty when not stated."""
    is_lateral: bool | None
    """Whether the view is a lateral one; ``None`` when not stated."""


def may_be_mineral(focus: FilmFocus) -> bool:
    """Whether a focus stands out enough, and off bone, to be worth an outline."""
    if focus.has_edges:
        return focus.significance >= _CLEAR
    return focus.significance >= _CLEAR and focus.bone_contact <= (0 if focus.is_cut else _CONTACT)


def judge_focus(
    reduced: ReducedFilm, bones: Bones, focus: FilmFocus, outline: Outline, film: Circumstances, skin_mm: float | None
) -> FocusKind:
    """Classify a focus; a patella or fabella only where a knee may be on the film.

    `skin_mm` is its distance from the skin line in the image plane, mm; ``None`` when that is not on the film.
    """
    longest, across, _i, _j = diameters(outline.points * film.spacing_mm)
    if focus.contrast > _METAL * bones.contrast > 0 and outline.sharpness > _METAL_SHARPNESS:
        return FocusKind.METAL
    is_doubtful = (
        longest < _LEAST_MM
        or outline.contrast < (_CUT_CONTRAST if focus.is_cut else _LEAST_CONTRAST) * film.noise
        or outline.sharpness < _least_sharpness(across, is_cut=focus.is_cut)
        or (focus.is_cut and longest > _THROUGH_MM and across > _TRACK_MM)
        or _is_bone_margin(reduced, bones, focus, longest, across)
        or (focus.bone_contact > _JOINT_CONTACT and film.body_part in _KNEE_PARTS)
    )
    if is_doubtful:
        return FocusKind.UNCERTAIN
    if skin_mm is not None and skin_mm < _AT_SKIN_MM:
        return FocusKind.AT_SKIN
    return _sesamoid(reduced, bones, focus, outline, film) or FocusKind.MINERAL


def _least_sharpness(across: float, *, is_cut: bool) -> float:
    """Sharpness an outline needs, for a focus `across` mm wide.

    A ball of radius R is ``2 sqrt(R / 2)`` mm thick a quarter of a millimetre inside its outline, and 4/3 R thick on
    the average over its shadow.
    """
    ball = 1.5 * float(np.sqrt(0.5 / max(across / 2, 0.5)))
    return min(_SHARPEST, (_CUT_OF_A_BALL if is_cut else _OF_A_BALL) * ball)


def _is_bone_margin(reduced: ReducedFilm, bones: Bones, focus: FilmFocus, longest: float, across: float) -> bool:
    """Whether a band runs along a bone: what the beam's scatter and the blur of a cortex leave beside it."""
    if longest < _BAND_MM or longest < _BAND_RATIO * across:
        return False
    is_line = longest > _LINE_RATIO * across
    if is_line and focus.bone_contact > _LINE_AT_BONE and focus.contrast > _LINE_SHARE * bones.contrast:
        return True
    share = _LINE_CONTACT if is_line else _BAND_CONTACT
    reach = reduced.pixels(_NEAR_BONE_MM)
    window = around(focus.box, reach)
    near = grown(bones.is_bone[window], reach)[within(focus.box, window)]
    return bool(near[focus.mask].mean() > share)


def _sesamoid(
    reduced: ReducedFilm, bones: Bones, focus: FilmFocus, outline: Outline, film: Circumstances
) -> FocusKind | None:
    """Patella or fabella: a smooth oval, dense as bone, beside a knee; looked for in lateral views only."""
    if film.is_lateral is not True or film.body_part not in _KNEE_PARTS:
        return None
    longest, across, _i, _j = diameters(outline.points * film.spacing_mm)
    share = focus.contrast / max(bones.contrast, 1e-6)
    is_fabella = (
        _FABELLA_CONTRAST[0] < share < _FABELLA_CONTRAST[1]
        and _FABELLA_MM[0] <= longest <= _FABELLA_MM[1]
        and longest < 2 * across
    )
    is_patella = (
        outline.contrast > _PATELLA_CONTRAST * bones.contrast
        and _PATELLA_MM[0] <= longest <= _PATELLA_MM[1]
        and across <= _PATELLA_ACROSS_MM
        and 1.2 < longest / across < 4
    )
    if not (is_fabella or is_patella) or not _is_beside_condyle(reduced, bones, focus):
        return None
    return FocusKind.FABELLA if is_fabella else FocusKind.PATELLA


def _is_beside_condyle(reduced: ReducedFilm, bones: Bones, focus: FilmFocus) -> bool:
    """Whether bone as wide as the condyles of a femur, and no shaft, lies within reach of a sesamoid."""
    reach, half = reduced.pixels(_SESAMOID_REACH_MM), reduced.pixels(_CONDYLE_MM)
    window = around(focus.box, reach + 2 * half)
    bone = bones.is_bone[window]
    depth = ndimage.distance_transform_edt(np.pad(bone, 1))[1:-1, 1:-1]
    if not (depth >= half).any():
        return False
    condyle = ndimage.distance_transform_edt(depth < half) <= half
    return bool((grown(condyle, reach)[within(focus.box, window)] & focus.mask).any())
