"""Kinds of lesions that can be put into a host: the builders of the phantoms, and sheets and lines of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom.insert.rough import ROUGH
from calcphantom.piece import Piece, Posture, mineral, soft
from calcphantom.place import PATTERNS
from calcphantom.recipe import LesionRecipe
from calcphantom.shapes import Floats, ball, capsule, ellipsoid, intersection, outside

Builder = Callable[[LesionRecipe, np.random.Generator], Piece]
MUSCLE_HU: Final = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of lesion.

    Parameters
    ----------
    pattern : str
        Pattern id.
    build : Builder
        Makes it in its own frame.
    hu : tuple[float, float]
        Usual density of its mineral, HU, lowest and highest.
    diameters_mm : tuple[float, ...]
        Usual longest diameters, mm.
    mass_ratio : float | None
        Longest diameter of the soft mass around it, in diameters of the mineral; ``None`` without one.
    """

    pattern: str
    build: Builder
    hu: tuple[float, float]
    diameters_mm: tuple[float, ...]
    mass_ratio: float | None = None


def _as_phantom(pattern: str) -> Builder:
    def build(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
        return PATTERNS[pattern](lesion, rng, 1.0)

    return build


def sheet(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P11: a bent plate; thin along x, which is turned away from the middle of the body."""
    half, bend = lesion.diameter_mm / 2, float(rng.uniform(1.2, 2.5)) * lesion.diameter_mm
    thick = float(rng.uniform(1.8, 3.0))
    centre = (-bend, 0.0, 0.0)
    outline = ellipsoid((half, half * float(rng.uniform(0.6, 0.9)), half))
    plate = intersection(ball(bend, centre), outside(ball(bend - thick, centre)), outline)
    return Piece(paints=(mineral(plate, lesion.hu),), posture=Posture.ALONG, finest_mm=thick)


def line(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P02: calcified wall of a vessel along the limb."""
    radius = float(rng.uniform(1.8, 2.6))
    end: Floats = np.array([0.0, 0.0, lesion.diameter_mm / 2 - radius])
    paints = (
        mineral(capsule(-end, end, radius), lesion.hu),
        soft(capsule(-end, end, radius - float(rng.uniform(0.7, 1.1))), MUSCLE_HU),
    )
    return Piece(paints=paints, posture=Posture.ALONG, features=("vessel",), finest_mm=0.9)


KINDS: Final = MappingProxyType[str, Kind](
    {
        "punctate": Kind(pattern="P01", build=_as_phantom("P01"), hu=(350, 900), diameters_mm=(4, 6, 9)),
        "solid": Kind(pattern="P09", build=_as_phantom("P09"), hu=(300, 700), diameters_mm=(8, 15, 25)),
        "rim": Kind(pattern="P05", build=_as_phantom("P05"), hu=(350, 700), diameters_mm=(15, 25, 35)),
        "cloud": Kind(pattern="P23", build=_as_phantom("P23"), hu=(300, 500), diameters_mm=(15, 25), mass_ratio=1.4),
        "stippled": Kind(pattern="P24", build=_as_phantom("P24"), hu=(400, 800), diameters_mm=(12, 20), mass_ratio=1.5),
        "rings": Kind(pattern="P22", build=_as_phantom("P22"), hu=(400, 700), diameters_mm=(15, 25), mass_ratio=1.3),
        "sheet": Kind(pattern="P11", build=sheet, hu=(400, 800), diameters_mm=(20, 35)),
        "linear": Kind(pattern="P02", build=line, hu=(600, 1000), diameters_mm=(20, 35)),
        "bone": Kind(pattern="P07", build=_as_phantom("P07"), hu=(800, 1100), diameters_mm=(15, 30)),
        "nodules": Kind(pattern="P12", build=_as_phantom("P12"), hu=(350, 700), diameters_mm=(15, 25)),
        "grains": Kind(pattern="P20", build=_as_phantom("P20"), hu=(500, 900), diameters_mm=(32, 48)),
        "shell": Kind(pattern="P27", build=_as_phantom("P27"), hu=(400, 800), diameters_mm=(12, 20)),
    }
)
"""Densities and sizes are those of the random phantoms (`calcphantom.kinds`), the sizes such as a muscle can hold."""


ROUGH_KINDS: Final = MappingProxyType[str, Kind](
    {f"rough {name}": replace(kind, build=ROUGH[name]) for name, kind in KINDS.items()}
)
"""The same kinds in their second definition."""


def build_piece(name: str, diameter_mm: float, hu: float, rng: np.random.Generator) -> tuple[LesionRecipe, Piece]:
    """Build a lesion of a kind, of either definition, in its own frame; `diameter_mm` in mm, density in HU."""
    kind = (KINDS | ROUGH_KINDS)[name]
    mass = None if kind.mass_ratio is None else kind.mass_ratio * diameter_mm
    recipe = LesionRecipe(pattern=kind.pattern, diameter_mm=diameter_mm, hu=hu, mass_mm=mass)
    return recipe, kind.build(recipe, rng)
