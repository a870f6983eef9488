"""A scene: solids painted one over the other, and the landmarks that truth is measured from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcphantom.shapes import Floats, Shape, everywhere, no_points

NOT_A_LESION = -1
"""Owner of a layer that belongs to no lesion."""

Texture = Callable[[Floats, Floats, Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paint:
    """A solid and what it is made of; later paint covers earlier paint.

    Parameters
    ----------
    shape : Shape
        The solid, LPS mm.
    hu : float
        Density, HU.
    is_mineral : bool
        Whether it counts as lesion mineral.
    owner : int
        Number of the lesion, or `NOT_A_LESION`.
    """

    shape: Shape
    hu: float
    is_mineral: bool = False
    owner: int = NOT_A_LESION


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A tube along z whose cross-section is a closed curve around a moving centre.

    Parameters
    ----------
    centre : Callable
        Maps z to the centre's x and y, mm.
    radius : Callable
        Maps angle (radians, from +x = left towards +y = posterior) and z (mm) to the radius, mm.
    slack : float
        At least the steepest slope of ``r - radius``; keeps the distance from overestimating.
    """

    centre: Callable[[Floats], tuple[Floats, Floats]]
    radius: Callable[[Floats, Floats], Floats]
    slack: float = 1.25

    def distance(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Signed distance to the surface in mm, negative inside; never an overestimate."""
        cx, cy = self.centre(z)
        dx, dy = x - cx, y - cy
        return np.asarray((np.hypot(dx, dy) - self.radius(np.arctan2(dy, dx), z)) / self.slack)

    def shape(self) -> Shape:
        """Return the tube as a solid along z; its box holds it for z within 200 mm of the origin."""
        z = np.linspace(-200.0, 200.0, 81)
        cx, cy = self.centre(z)
        widest = max(float(np.max(self.radius(np.linspace(-np.pi, np.pi, 73), np.full(73, h)))) for h in z[::8]) * 1.03
        box = everywhere()
        box[:, 0] = (float(np.min(cx)) - widest, float(np.max(cx)) + widest)
        box[:, 1] = (float(np.min(cy)) - widest, float(np.max(cy)) + widest)
        return Shape(distance=self.distance, box=box, points=no_points(), z_slope=0.3)

    def points(self, low_mm: float, high_mm: float, step_mm: float = 0.5) -> Floats:
        """Surface points between two heights, shape ``(n, 3)``, LPS mm, about `step_mm` apart."""
        z = np.arange(low_mm, high_mm + step_mm, step_mm)
        typical = float(np.mean(self.radius(np.linspace(-np.pi, np.pi, 60), np.full(60, z.mean()))))
        angle = np.linspace(-np.pi, np.pi, max(60, int(2 * np.pi * typical / step_mm)), endpoint=False)
        zz, aa = np.meshgrid(z, angle, indexing="ij")
        cx, cy = self.centre(zz)
        r = self.radius(aa, zz)
        return np.stack((cx + r * np.cos(aa), cy + r * np.sin(aa), zz), axis=-1).reshape(-1, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vessel:
    """A vessel running along z.

    Parameters
    ----------
    path : Callable
        Maps z to the centre's x and y, mm.
    radius_mm : float
        Outer radius, mm.
    is_artery : bool
        Artery or vein.
    """

    path: Callable[[Floats], tuple[Floats, Floats]]
    radius_mm: float
    is_artery: bool

    def tube(self, radius_mm: float | None = None) -> Tube:
        """Tube around the path; the vessel's own radius (mm) when none is given."""
        r = self.radius_mm if radius_mm is None else radius_mm
        return Tube(centre=self.path, radius=lambda angle, _z: np.full(np.shape(angle), r), slack=1.05)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A named piece of soft tissue that lesions are put into.

    Parameters
    ----------
    name, region, tissue : str
        Name for recipes; part of the body and tissue for the truth.
    shape : Shape
        Where the whole lesion must lie, LPS mm.
    """

    name: str
    region: str
    tissue: str
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Incidental:
    """Mineral or a foreign body that belongs to an organ, vessel, airway or cartilage: listed, and no lesion.

    Parameters
    ----------
    kind, structure : str
        As the report lists it: ``"vascular"`` and ``"abdominal aorta"``.
    paint : Paint
        The solid, one part for each deposit, LPS mm.
    """

    kind: str
    structure: str
    paint: Paint


@dataclass(frozen=True, slots=True, kw_only=True)
class Metal:
    """A piece of metal, or a vein full of contrast, that throws streaks.

    Parameters
    ----------
    x_mm, y_mm : float
        Centre in the axial plane, LPS mm.
    low_mm, high_mm : float
        Heights between which it lies, LPS mm.
    radius_mm : float
        Size in the axial plane, mm.
    """

    x_mm: float
    y_mm: float
    low_mm: float
    high_mm: float
    radius_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """One limb, pelvis or neck with its landmarks.

    Parameters
    ----------
    paints : tuple[Paint, ...]
        From the skin inwards, in the order of painting.
    skin, fascia : Tube
        Outer surface of the skin; investing fascia.
    bones : tuple[Shape, ...]
        Outer surfaces of the bones.
    vessels : tuple[Vessel, ...]
        Named vessels.
    keep_out : tuple[Shape, ...]
        Cavities and organs in which no soft-tissue lesion may be put.
    fat_sites : tuple[tuple[float, float], ...]
        Preferred directions for subcutaneous lesions: lowest and highest angle, radians; empty for any.
    names : tuple[str, ...]
        Things in it that are dense but no lesions.
    shafts : tuple[Tube, ...]
        Outer tubes of the long bones.
    sites : tuple[tuple[str, Tube], ...]
        Named places: muscles, the surroundings of a joint.
    side : str
        ``"left"`` or ``"right"`` for a limb.
    is_trunk : bool
        Pelvis, neck, chest …: the side of a lesion follows from its position.
    places : tuple[Place, ...]
        Where lesions may lie that name none of the layers alone.
    incidentals : tuple[Incidental, ...]
        What else is calcified or foreign.
    region : str
        Part of the body for the truth, where a place says nothing else.
    streaking : tuple[Metal, ...]
        What throws streaks.
    beside_mm : float
        How far arms or neighbours reach beyond the skin on either side, mm.
    """

    paints: tuple[Paint, ...]
    skin: Tube
    fascia: Tube
    bones: tuple[Shape, ...]
    vessels: tuple[Vessel, ...]
    keep_out: tuple[Shape, ...] = ()
    fat_sites: tuple[tuple[float, float], ...] = ()
    names: tuple[str, ...] = ()
    shafts: tuple[Tube, ...] = ()
    sites: tuple[tuple[str, Tube], ...] = ()
    side: str = "right"
    is_trunk: bool = False
    places: tuple[Place, ...] = ()
    incidentals: tuple[Incidental, ...] = ()
    region: str = ""
    streaking: tuple[Metal, ...] = ()
    beside_mm: float = 0.0


def wrapped(angle: Floats) -> Floats:
    """Bring angles in radians to the range from -pi to pi, same shape."""
    return np.asarray(np.mod(angle + np.pi, 2 * np.pi) - np.pi)


def painted_hu(paints: tuple[Paint, ...], points_mm: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Density and mineral state at points.

    Parameters
    ----------
    paints : tuple[Paint, ...]
        In the order of painting.
    points_mm : NDArray[np.float64]
        Shape ``(n, 3)``; LPS mm.

    Returns
    -------
    tuple[NDArray[np.float64], NDArray[np.bool_]]
        Shapes ``(n,)``: HU (NaN where nothing is painted) and whether the last paint is mineral.
    """
    hu = np.full(len(points_mm), np.nan)
    mineral = np.zeros(len(points_mm), dtype=bool)
    x, y, z = points_mm.T
    for paint in paints:
        near = np.all((points_mm >= paint.shape.box[0]) & (points_mm <= paint.shape.box[1]), axis=1)
        index = np.flatnonzero(near)
        index = index[paint.shape.distance(x[index], y[index], z[index]) < 0]
        hu[index] = paint.hu
        mineral[index] = paint.is_mineral
    return hu, mineral
