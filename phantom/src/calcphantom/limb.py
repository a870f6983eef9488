"""Calf and thigh: skin, fat, fascia, compartments, long bones, vessels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.recipe import PhantomRecipe, Region
from calcphantom.scene import Body, Paint, Tube, Vessel
from calcphantom.shapes import Floats, Shape, everywhere, no_points
from calcreport.model.image import Contrast

SKIN_HU: Final = 48.0
FAT_HU: Final = -102.0
MUSCLE_HU: Final = 56.0
SEPTUM_HU: Final = -85.0
BLOOD_HU: Final = 45.0

Path = Callable[[Floats], tuple[Floats, Floats]]
Radius = Callable[[Floats, Floats], Floats]


def blood_hu(contrast: Contrast, *, is_artery: bool, rng: np.random.Generator) -> float:
    """Density of blood in HU for a contrast phase."""
    if contrast is Contrast.ARTERIAL:
        return float(rng.uniform(280, 360) if is_artery else rng.uniform(45, 90))
    if contrast is Contrast.VENOUS:
        return float(rng.uniform(130, 180))
    return BLOOD_HU


def wavy_radius(rng: np.random.Generator, mean_mm: float, *, depth: float, taper: float = 0.0) -> Radius:
    """Radius with gentle second and third harmonics; `depth` is their share, `taper` mm per mm of z."""
    phase = rng.uniform(-np.pi, np.pi, 2)
    share = depth * rng.uniform(0.4, 1.0, 2) * (1.0, 0.5)

    def radius(angle: Floats, z: Floats) -> Floats:
        relief = share[0] * np.cos(2 * (angle - phase[0])) + share[1] * np.cos(3 * (angle - phase[1]) + 0.004 * z)
        return np.asarray(mean_mm * (1 + relief) + taper * z)

    return radius


def bowed_path(x_mm: float, y_mm: float, *, slope: tuple[float, float] = (0.0, 0.0), bow_mm: float = 0.0) -> Path:
    """Path through ``(x_mm, y_mm)`` at z = 0 with a slope (mm per mm) and a slow bow (mm)."""

    def path(z: Floats) -> tuple[Floats, Floats]:
        return x_mm + slope[0] * z, y_mm + slope[1] * z + bow_mm * np.cos(z / 60.0)

    return path


def long_bone(
    path: Path, radius: Radius, cortex_mm: float, *, cortex_hu: float, marrow_hu: float
) -> tuple[Tube, tuple[Paint, ...]]:
    """Shaft with a cortex and fatty marrow; returns its outer tube and its paints."""
    outer = Tube(centre=path, radius=radius, slack=1.35)
    inner = Tube(centre=path, radius=lambda a, z: np.maximum(radius(a, z) - cortex_mm, 0.5), slack=1.35)
    return outer, (Paint(shape=outer.shape(), hu=cortex_hu), Paint(shape=inner.shape(), hu=marrow_hu))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FatPlane:
    """Thin fat plane from a path outwards in one direction, slightly wavy, along z, ending at an envelope.

    Parameters
    ----------
    path : Callable
        Maps z to x and y of its inner edge, mm.
    angle_rad : float
        Direction outwards, radians from +x = left towards +y = posterior.
    thickness_mm, reach_mm : float
        Thickness, and extent outwards, mm.
    wave_mm, phase_rad : float
        Height and phase of its wave.
    envelope : Tube
        What it stays in.
    """

    path: Path
    angle_rad: float
    thickness_mm: float
    reach_mm: float
    wave_mm: float
    phase_rad: float
    envelope: Tube

    def distance(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Signed distance in mm, negative inside; never an overestimate."""
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        cx, cy = self.path(z)
        along, across = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
        across = across - self.wave_mm * np.sin(along / 12.0 + self.phase_rad)
        plane = np.maximum.reduce([np.abs(across) - self.thickness_mm / 2, -along, along - self.reach_mm]) / 1.2
        return np.asarray(np.maximum(plane, self.envelope.distance(x, y, z)))

    def middle(self, along: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return x and y (mm) of its middle surface at distances outwards (mm) and heights (LPS z, mm)."""
        c, s = np.cos(self.angle_rad), np.sin(self.angle_rad)
        cx, cy = self.path(z)
        across = self.wave_mm * np.sin(along / 12.0 + self.phase_rad)
        return np.asarray(cx + along * c - across * s), np.asarray(cy + along * s + across * c)

    def shape(self) -> Shape:
        """Return the plane as a solid."""
        return Shape(distance=self.distance, box=everywhere(), points=no_points(), z_slope=0.3)


Septum = Callable[[Tube], FatPlane]


def septum(path: Path, angle_rad: float, thickness_mm: float, reach_mm: float, rng: np.random.Generator) -> Septum:
    """Draw a fat plane; the envelope it ends at comes later."""
    wave, phase = rng.uniform(0.5, 2.0), rng.uniform(0, 6)

    def plane(envelope: Tube) -> FatPlane:
        return FatPlane(
            path=path,
            angle_rad=angle_rad,
            thickness_mm=thickness_mm,
            reach_mm=reach_mm,
            wave_mm=wave,
            phase_rad=phase,
            envelope=envelope,
        )

    return plane


def within(shape: Shape, tube: Tube) -> Shape:
    """Return the part of a solid inside a tube along z."""
    return Shape(
        distance=lambda x, y, z: np.maximum(shape.distance(x, y, z), tube.distance(x, y, z)),
        box=shape.box,
        points=no_points(),
        z_slope=shape.z_slope,
    )


def wraps(
    rng: np.random.Generator, path: Path, muscle: Radius, fat_mm: float, *, skin_mm: float
) -> tuple[Tube, Tube, tuple[Paint, ...]]:
    """Skin, subcutaneous fat and muscle envelope around a path; returns skin, fascia and paints."""
    phase, share = rng.uniform(-np.pi, np.pi), rng.uniform(0.1, 0.35)

    def with_fat(angle: Floats, z: Floats) -> Floats:
        return np.asarray(muscle(angle, z) + fat_mm * (1 + share * np.cos(angle - phase)))

    fascia = Tube(centre=path, radius=muscle, slack=1.3)
    fat = Tube(centre=path, radius=with_fat, slack=1.3)
    skin = Tube(centre=path, radius=lambda a, z: with_fat(a, z) + skin_mm, slack=1.3)
    layers = ((skin, SKIN_HU), (fat, FAT_HU), (fascia, MUSCLE_HU))
    return skin, fascia, tuple(Paint(shape=tube.shape(), hu=hu) for tube, hu in layers)


def vessel_paints(vessels: tuple[Vessel, ...], contrast: Contrast, rng: np.random.Generator) -> tuple[Paint, ...]:
    """Fat sheath and blood of each vessel."""
    paints = []
    for vessel in vessels:
        sheath = vessel.tube(vessel.radius_mm + 1.2).shape()
        paints.append(Paint(shape=sheath, hu=SEPTUM_HU))
        hu = blood_hu(contrast, is_artery=vessel.is_artery, rng=rng)
        paints.append(Paint(shape=vessel.tube().shape(), hu=hu))
    return tuple(paints)


def build_limb(
    recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float, x_mm: float = 0.0, sign: float = 1.0
) -> Body:
    """Build a calf or thigh.

    Parameters
    ----------
    recipe : PhantomRecipe
        Region and contrast.
    rng : np.random.Generator
        Draws the individual.
    fat_mm : float
        Mean thickness of the subcutaneous fat, mm.
    x_mm : float
        Position of the limb, LPS mm.
    sign : float
        +1 when lateral is +x (left limb), -1 for a right limb.

    Returns
    -------
    Body
        In LPS mm, axis along z, centred on z = 0.
    """
    is_calf = recipe.region is Region.CALF
    mean = rng.uniform(43, 52) if is_calf else rng.uniform(57, 68)
    path = bowed_path(x_mm, 0.0, slope=(rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04)), bow_mm=rng.uniform(-3, 3))
    muscle = wavy_radius(rng, mean, depth=0.06, taper=rng.uniform(0.0, 0.05))
    skin, fascia, paints = wraps(rng, path, muscle, fat_mm, skin_mm=rng.uniform(1.2, 2.0))
    build = _calf_inside if is_calf else _thigh_inside
    bones, bone_paints, septa, vessels = build(rng, path, mean, sign)
    fat_planes = tuple(Paint(shape=plane(fascia).shape(), hu=SEPTUM_HU) for plane in septa)
    blood = vessel_paints(vessels, recipe.scan.contrast, rng)
    return Body(
        paints=(*paints, *fat_planes, *blood, *bone_paints),
        skin=skin,
        fascia=fascia,
        bones=tuple(bone.shape() for bone in bones),
        vessels=vessels,
        shafts=bones,
        side="left" if sign > 0 else "right",
        region=recipe.region.value,
    )


Inside = tuple[tuple[Tube, ...], tuple[Paint, ...], tuple[Septum, ...], tuple[Vessel, ...]]


def _beside(path: Path, dx: float, dy: float) -> Path:
    def shifted(z: Floats) -> tuple[Floats, Floats]:
        x, y = path(z)
        return x + dx, y + dy

    return shifted


def _calf_inside(rng: np.random.Generator, path: Path, mean: float, sign: float) -> Inside:
    """Tibia under the anteromedial fascia, fibula posterolateral, four compartments."""
    tibia_path = _beside(path, -sign * 0.30 * mean, -0.45 * mean)
    fibula_path = _beside(path, sign * 0.50 * mean, -0.02 * mean)
    tilt = rng.uniform(-0.3, 0.3)

    def tibia_radius(angle: Floats, z: Floats) -> Floats:
        return np.asarray(13.5 + 1.8 * np.cos(3 * (angle + np.pi / 2 + tilt)) + 0.02 * z)

    hu = rng.uniform(1300, 1650)
    marrow = rng.uniform(-90, -40)
    tibia, tibia_paints = long_bone(tibia_path, tibia_radius, rng.uniform(3.5, 5.0), cortex_hu=hu, marrow_hu=marrow)
    fibula_radius = wavy_radius(rng, rng.uniform(5.5, 7.0), depth=0.08)
    fibula, fibula_paints = long_bone(
        fibula_path, fibula_radius, rng.uniform(1.8, 2.6), cortex_hu=hu - 60, marrow_hu=marrow + 10
    )
    toward_fibula = np.arctan2(0.43, sign * 0.80)
    septa = (
        septum(tibia_path, float(toward_fibula), 0.9, 60, rng),
        septum(fibula_path, float(np.arctan2(-0.8, sign * 0.6)), 1.0, 60, rng),
        septum(fibula_path, float(np.arctan2(0.55, sign * 0.8)), 1.0, 60, rng),
        septum(
            _beside(path, -sign * 0.75 * mean, 0.12 * mean), float(np.arctan2(0.12, sign * 1.0)), 1.1, 1.6 * mean, rng
        ),
    )
    spots = ((-0.15, 0.02, 1.7, True), (-0.22, 0.03, 2.2, False), (0.28, -0.06, 1.5, True), (0.05, -0.25, 1.4, True))
    vessels = tuple(
        Vessel(path=_beside(path, sign * u * mean, v * mean), radius_mm=r, is_artery=a) for u, v, r, a in spots
    )
    return (tibia, fibula), (*tibia_paints, *fibula_paints), septa, vessels


def _thigh_inside(rng: np.random.Generator, path: Path, mean: float, sign: float) -> Inside:
    """Femur near the centre, three compartments, femoral vessels medially."""
    femur_path = _beside(path, sign * 0.10 * mean, -0.12 * mean)
    radius = wavy_radius(rng, rng.uniform(13, 15.5), depth=0.05)
    femur, paints = long_bone(
        femur_path, radius, rng.uniform(5.0, 7.0), cortex_hu=rng.uniform(1350, 1700), marrow_hu=rng.uniform(-95, -50)
    )
    turn = rng.uniform(-0.2, 0.2)
    septa = (
        septum(femur_path, float(np.arctan2(0.35, sign)) + turn, 1.1, 90, rng),
        septum(femur_path, float(np.arctan2(-0.55, -sign)) + turn, 1.4, 90, rng),
        septum(femur_path, float(np.arctan2(0.75, -sign)) + turn, 1.3, 90, rng),
        septum(_beside(path, sign * 0.1 * mean, -0.62 * mean), float(np.arctan2(0.25, sign)), 1.0, 50, rng),
        septum(_beside(path, 0.0, 0.45 * mean), np.pi / 2, 1.0, 50, rng),
    )
    spots = ((-0.42, -0.28, 3.4, True), (-0.46, -0.16, 4.2, False), (-0.10, 0.12, 1.6, True), (0.35, 0.30, 1.2, False))
    vessels = tuple(
        Vessel(path=_beside(path, sign * u * mean, v * mean), radius_mm=r, is_artery=a) for u, v, r, a in spots
    )
    return (femur,), paints, septa, vessels
