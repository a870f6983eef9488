"""The individual of a trunk phantom: size, heights, blood; and what each part of the anatomy contributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calcphantom.recipe import Extra, PhantomRecipe
from calcphantom.scene import Incidental, Metal, Paint
from calcphantom.shapes import Floats, Shape
from calcreport.model.image import Contrast

SPINE_Y = (
    (-330.0, -275.0, -214.0, -150.0, -92.0, 0.0, 80.0, 161.0, 190.0, 240.0),
    (70.0, 46.0, 31.0, 29.0, 42.0, 57.0, 54.0, 34.0, 28.0, 24.0),
)
"""Middle of the vertebral bodies (y) at heights, mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where an individual's anatomy lies in the scan.

    Parameters
    ----------
    size, depth, bulk : float
        Scale of everything, of the front-to-back extent, of the muscles.
    level_mm : float
        Height of the anatomy at the middle of the scan, mm.
    skin_mm : float
        Thickness of the skin, mm.
    sex : str
        ``"F"`` or ``"M"``.
    is_old : bool
        Thin cortex, fatty marrow, calcified cartilage.
    """

    size: float
    depth: float
    bulk: float
    level_mm: float
    skin_mm: float
    sex: str
    is_old: bool

    @classmethod
    def drawn(cls, recipe: PhantomRecipe, rng: np.random.Generator, *, level_mm: float) -> Frame:
        """Draw an individual."""
        old = Extra.OLD_CARTILAGE in recipe.extras or Extra.PLAQUES in recipe.extras
        return cls(
            size=float(rng.uniform(0.92, 1.08)),
            depth=float(rng.uniform(0.95, 1.12)),
            bulk=float(rng.uniform(0.85, 1.2)),
            level_mm=level_mm,
            skin_mm=float(rng.uniform(1.3, 2.2)),
            sex=recipe.sex or ("F" if rng.uniform() < 0.5 else "M"),
            is_old=old or (recipe.age_years or 0) > 60,
        )

    def at(self, x: float, y: float, z: float) -> Floats:
        """LPS position of a point of the anatomy, mm."""
        return np.array([x * self.size, y * self.size * self.depth, z * self.size - self.level_mm])

    def height(self, z: Floats) -> Floats:
        """Height in the anatomy of an LPS z, mm."""
        return np.asarray((z + self.level_mm) / self.size)

    def spine_y(self, height: float) -> float:
        """Middle of the vertebral bodies (y) at a height, mm in the frame."""
        return float(np.interp(height, *SPINE_Y))


def scan_level_mm(
    recipe: PhantomRecipe,
    rng: np.random.Generator,
    window_mm: tuple[float, float],
    heights_mm: Mapping[str, tuple[float, float]],
    *,
    half_length_mm: float,
) -> float:
    """Height of the middle of a scan: anywhere in the window, so that it holds the places of the lesions.

    Parameters
    ----------
    recipe : PhantomRecipe
        Lesions with the names of their places.
    rng : np.random.Generator
        Draws the height.
    window_mm : tuple[float, float]
        Lowest and highest height that a scan of the region covers, mm in the frame.
    heights_mm : Mapping[str, tuple[float, float]]
        Lowest and highest height of each place, mm in the frame.
    half_length_mm : float
        Half the length of the scan, mm.

    Returns
    -------
    float
        mm in the frame.
    """
    low, high = window_mm
    room = max(0.0, (high - low) / 2 - half_length_mm)
    wanted = [
        (x.diameter_mm, heights_mm[name])
        for x in recipe.lesions
        for name in heights_mm
        if x.site == name or (x.site or "").endswith(f" {name}")
    ]

    def shortage(middle: float) -> float:
        shared = [min(middle + half_length_mm, b) - max(middle - half_length_mm, a) - d for d, (a, b) in wanted]
        return sum(max(0.0, 24.0 - s) for s in shared)

    return min((float(m) for m in (low + high) / 2 + rng.uniform(-room, room, 40)), key=shortage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blood:
    """Density of blood, HU."""

    artery: float
    vein: float
    pulmonary: float
    cortex: float
    organ: float

    def enhanced(self, plain_hu: float, share: float = 1.0) -> float:
        """Density of a tissue whose enhancement is a share of the parenchymal one, HU."""
        return plain_hu + share * self.organ


def draw_blood(contrast: Contrast, rng: np.random.Generator) -> Blood:
    """Draw the densities of a contrast phase: vessels, renal cortex, and what organs gain."""
    if contrast is Contrast.ARTERIAL:
        return Blood(
            artery=float(rng.uniform(250, 530)),
            vein=float(rng.uniform(45, 110)),
            pulmonary=float(rng.uniform(90, 450)),
            cortex=float(rng.uniform(150, 230)),
            organ=float(rng.uniform(10, 30)),
        )
    if contrast is Contrast.VENOUS:
        level = float(rng.uniform(130, 200))
        return Blood(artery=level + 8, vein=level - 4, pulmonary=level + 4, cortex=level + 20, organ=50.0)
    return Blood(artery=44.0, vein=42.0, pulmonary=43.0, cortex=34.0, organ=0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contents:
    """Part of the anatomy: paints in order, incidental mineral, dense things by name, what streaks, all its bone."""

    paints: tuple[Paint, ...]
    incidentals: tuple[Incidental, ...] = ()
    names: tuple[str, ...] = ()
    bone: Shape | None = None
    streaking: tuple[Metal, ...] = ()

    @property
    def whole(self) -> Shape:
        """Outer surface of the bones."""
        if self.bone is None:
            msg = "these contents hold no bone"
            raise ValueError(msg)
        return self.bone
