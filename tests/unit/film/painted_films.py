"""Films painted pixel by pixel: a limb in air, bones, and things of known size in it. Places and lengths in mm.

Grey of things that lie one behind the other adds up, as the logarithm of exposure does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calcreport.model.film import FilmImage, FilmScale, FilmView, ScaleKind
from calcreport.model.image import SliceReference

Grey = NDArray[np.float64]
Profile = Callable[[Grey, Grey], Grey]
"""Grey at distances from the middle of a thing: along rows, along columns, mm."""

SUB: Final = 4
"""Points a side at which a pixel is sampled."""
PIXEL_MM: Final = 0.2
SIZE_MM: Final = (100.0, 120.0)
"""Height and width of most films."""
NOISE: Final = 8.0
SOFT: Final = 8.0
"""Grey of a millimetre of soft tissue."""
BONE: Final = 45.0
"""Grey by which a millimetre of bone exceeds soft tissue."""
AIR: Final = 100.0
ENDLESS: Final = 1000.0
"""Longer than any film."""


@dataclass(frozen=True)
class Thing:
    """Something on a film: row and column of its middle, how far it reaches at most, and its grey."""

    middle: tuple[float, float]
    reach: float
    profile: Profile


def chord(radius: float, distance: Grey) -> Grey:
    """Way through a ball or a cylinder at a distance from its middle."""
    return 2 * np.sqrt(np.maximum(0.0, radius**2 - distance**2))


def ball(middle: tuple[float, float], diameter: float, peak: float) -> Thing:
    """A ball whose shadow is `peak` grey high in the middle."""
    radius = diameter / 2
    return Thing(middle, radius, lambda y, x: peak * chord(radius, np.hypot(y, x)) / diameter)


def ellipse(
    middle: tuple[float, float], axes: tuple[float, float], height: float, *, turn_deg: float = 0.0, solid: bool = False
) -> Thing:
    """A flat elliptic plate of diameters `axes` (rows, columns), or an ellipsoid where `solid`; turned by an angle."""
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))

    def profile(y: Grey, x: Grey) -> Grey:
        distance = np.hypot((y * cos + x * sin) / (axes[0] / 2), (x * cos - y * sin) / (axes[1] / 2))
        return height * (np.sqrt(np.maximum(0, 1 - distance**2)) if solid else (distance < 1).astype(float))

    return Thing(middle, max(axes) / 2, profile)


def disc(middle: tuple[float, float], diameter: float, height: float) -> Thing:
    return ellipse(middle, (diameter, diameter), height)


def ring(middle: tuple[float, float], diameter: float, wall: float, peak: float, *, gap_deg: float = 0.0) -> Thing:
    """The shadow of a shell, brightest at its rim; a sector may be missing."""
    outer, inner = diameter / 2, diameter / 2 - wall

    def profile(y: Grey, x: Grey) -> Grey:
        distance = np.hypot(y, x)
        way = chord(outer, distance) - chord(inner, distance)
        open_ = np.abs(np.degrees(np.arctan2(y, x))) < gap_deg / 2
        return peak * np.where(open_, 0.0, way) / chord(outer, np.array(inner))

    return Thing(middle, outer, profile)


def bar(middle: tuple[float, float], length: float, width: float, height: float) -> Thing:
    """A flat bar along the rows."""
    return Thing(
        middle, max(length, width) / 2, lambda y, x: height * ((np.abs(y) < length / 2) & (np.abs(x) < width / 2))
    )


def bump(middle: tuple[float, float], sigma: float, peak: float) -> Thing:
    """Something that fades out to all sides."""
    return Thing(middle, 4 * sigma, lambda y, x: peak * np.exp(-(y**2 + x**2) / (2 * sigma**2)))


def shaft(column: float, *, width: float = 24.0, row: float = 0.0, length: float = np.inf) -> Thing:
    """A long bone along the rows: a tube with a marrow cavity half as wide."""
    outer, inner = width / 2, width / 4

    def profile(y: Grey, x: Grey) -> Grey:
        way = BONE * (chord(outer, x) - chord(inner, x))
        return way if np.isinf(length) else way * (np.abs(y) < length / 2)

    return Thing((row, column), min(length, ENDLESS), profile)


def limb(column: float, *, width: float = 90.0, depth: float = 70.0) -> Thing:
    """Soft tissue of an elliptic limb along the rows."""
    return Thing((0.0, column), ENDLESS, lambda _y, x: SOFT * depth * chord(1.0, x / (width / 2)) / 2)


def paint(
    things: Sequence[Thing],
    *,
    size_mm: tuple[float, float] = SIZE_MM,
    spacing: tuple[float, float] = (PIXEL_MM, PIXEL_MM),
    ground: float = AIR,
) -> Grey:
    """Grey of every pixel, the mean over the pixel; the film's corner is at 0, 0 mm."""
    shape = tuple(round(size / mm) for size, mm in zip(size_mm, spacing, strict=True))
    grey = np.full(shape, ground)
    for thing in things:
        box = [
            slice(max(0, int((m - thing.reach) / mm) - 1), max(0, min(n, int((m + thing.reach) / mm) + 2)))
            for m, mm, n in zip(thing.middle, spacing, shape, strict=True)
        ]
        fine = [
            (np.arange(s.start * SUB, s.stop * SUB) + 0.5) * mm / SUB - m
            for s, mm, m in zip(box, spacing, thing.middle, strict=True)
        ]
        if min(map(len, fine)) == 0:
            continue
        values = thing.profile(fine[0][:, None], fine[1][None, :])
        # what runs along the rows all over the film is sampled in one of them
        sub_rows = min(SUB, len(values))
        grey[tuple(box)] += values.reshape(-1, sub_rows, len(fine[1]) // SUB, SUB).mean(axis=(1, 3))
    return grey


def noisy(grey: Grey, *, noise: float = NOISE, seed: int = 1) -> Grey:
    return grey + np.random.default_rng(seed).normal(0, noise, grey.shape) if noise else grey


def film(
    grey: NDArray[Any],
    *,
    spacing: tuple[float, float] | None = (PIXEL_MM, PIXEL_MM),
    part: str | None = "LEG",
    position: str | None = "AP",
    imaged: NDArray[np.bool_] | None = None,
    number: int = 1,
    **fields: Any,
) -> FilmImage:
    """A radiograph of an array; without a scale where `spacing` is ``None``."""
    values = np.array(grey, dtype=np.float32)
    kind = ScaleKind.NONE if spacing is None else ScaleKind.DETECTOR
    return FilmImage(
        intensity=values,
        picture=np.zeros(values.shape, dtype=np.uint8),
        is_imaged=np.ones(values.shape, dtype=bool) if imaged is None else imaged,
        scale=FilmScale(kind=kind, spacing_mm=spacing),
        view=FilmView(position=position, laterality="left", body_part=part),
        reference=SliceReference(sop_instance_uid=f"1.2.3.{number}", instance_number=number),
        **fields,
    )


def with_grey(made: FilmImage, grey: NDArray[Any]) -> FilmImage:
    """The same film with other values."""
    return replace(made, intensity=np.array(grey, dtype=np.float32))


BONE_AT: Final = 40.0
LIMB_AT: Final = 60.0
SOFT_AT: Final = (50.0, 78.0)
"""A place in soft tissue of `leg`, off bone and skin."""


@cache
def _bare_leg(size_mm: tuple[float, float], spacing: tuple[float, float], *, bone: bool) -> Grey:
    return paint((limb(LIMB_AT), shaft(BONE_AT)) if bone else (limb(LIMB_AT),), size_mm=size_mm, spacing=spacing)


def leg(
    *things: Thing,
    size_mm: tuple[float, float] = SIZE_MM,
    spacing: tuple[float, float] = (PIXEL_MM, PIXEL_MM),
    noise: float = NOISE,
    seed: int = 1,
    bone: bool = True,
    **fields: Any,
) -> FilmImage:
    """A leg along the rows in air, a shaft at column 40 mm, soft tissue from 55 to 100 mm, and things in it."""
    grey = _bare_leg(size_mm, spacing, bone=bone) + paint(things, size_mm=size_mm, spacing=spacing, ground=0.0)
    return film(noisy(grey, noise=noise, seed=seed), spacing=spacing, **fields)
