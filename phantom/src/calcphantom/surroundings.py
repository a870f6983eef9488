"""What lies around and inside a patient that is no lesion: table, cloth, cast, wire, metal, the knee."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcphantom.scene import Body, Metal, Paint, Tube
from calcphantom.shapes import (
    Floats,
    Shape,
    ball,
    capsule,
    ellipsoid,
    everywhere,
    half_space,
    intersection,
    no_points,
    shrunk,
)
from calcreport.model.geometry import VolumeGeometry

METAL_HU: Final = 7000.0
"""Steel is far above the scale; the scan clips it."""


def table(lowest_y_mm: float) -> tuple[Paint, ...]:
    """Mattress and a hollow table top under a body whose lowest point is at `lowest_y_mm` (LPS y, mm)."""

    def slab(depth_mm: float, thickness_mm: float) -> Shape:
        def distance(x: Floats, y: Floats, _z: Floats) -> Floats:
            top = lowest_y_mm + depth_mm - (x / 400.0) ** 2 * 80.0
            return np.asarray((np.abs(y - top - thickness_mm / 2) - thickness_mm / 2) / 1.1)

        return Shape(distance=distance, box=everywhere(), points=no_points(), z_slope=0.05)

    return (
        Paint(shape=slab(-1.0, 9.0), hu=-935.0),
        Paint(shape=slab(8.0, 22.0), hu=-960.0),
        Paint(shape=slab(8.0, 1.4), hu=140.0),
        Paint(shape=slab(28.6, 1.4), hu=140.0),
    )


def _around(body: Body, off_mm: float, wave_mm: float = 0.0) -> Shape:
    skin = body.skin
    tube = Tube(
        centre=skin.centre,
        radius=lambda a, z: skin.radius(a, z) + off_mm + wave_mm * np.sin(5 * a + z / 15.0),
        slack=1.45,
    )
    return tube.shape()


def clothes(body: Body) -> tuple[Paint, ...]:
    """Return a thin folded cloth with a small air gap, and a button."""
    x, y = (float(v) for v in body.skin.centre(np.array(0.0)))
    r = float(body.skin.radius(np.array(-1.2), np.array(0.0))) + 7.5
    button = ellipsoid((4.5, 1.6, 4.5), (x + r * float(np.cos(-1.2)), y + r * float(np.sin(-1.2)), 0.0))
    return (
        Paint(shape=_around(body, 4.6, 1.2), hu=-720.0),
        Paint(shape=_around(body, 3.7, 1.2), hu=-1000.0),
        Paint(shape=button, hu=420.0),
    )


def cast(body: Body) -> tuple[Paint, ...]:
    """Plaster over padding."""
    return (
        Paint(shape=_around(body, 9.5, 0.5), hu=520.0),
        Paint(shape=_around(body, 4.5, 0.4), hu=-880.0),
    )


def lead(body: Body, *, half_length_mm: float) -> tuple[Paint, ...]:
    """Return a monitoring wire with its electrode, lying on the skin."""
    z = np.linspace(-half_length_mm * 0.9, half_length_mm * 0.9, 25)
    turn = np.linspace(-1.9, -1.2, 25)
    x, y = body.skin.centre(z)
    r = body.skin.radius(turn, z) + 1.8
    knots = np.column_stack((x + r * np.cos(turn), y + r * np.sin(turn), z))
    wires = [Paint(shape=capsule(knots[i], knots[i + 1], 0.8), hu=3000.0) for i in range(24)]
    knob = ball(3.0, (float(knots[12, 0]), float(knots[12, 1]) - 2.0, 0.0))
    return (*wires, Paint(shape=knob, hu=900.0))


def nail(bone_paths: Tube, *, half_length_mm: float) -> tuple[tuple[Paint, ...], Metal]:
    """Return a nail in the marrow of a shaft."""
    rod = Tube(centre=bone_paths.centre, radius=lambda a, _z: np.full(np.shape(a), 5.0), slack=1.05)
    x, y = (float(v) for v in bone_paths.centre(np.array(0.0)))
    metal = Metal(x_mm=x, y_mm=y, low_mm=-half_length_mm, high_mm=half_length_mm, radius_mm=5.0)
    return (Paint(shape=rod.shape(), hu=METAL_HU),), metal


def knee(body: Body, *, joint_z_mm: float, sign: float) -> tuple[tuple[Shape, ...], tuple[Paint, ...]]:
    """Make the upper end of a calf a knee: plateau, condyles, patella, fabella; returns all its bones, and paints.

    The shafts end at the joint: above it, muscle is painted over them.
    """
    up = np.array([0.0, 0.0, 1.0])
    below = half_space(up, joint_z_mm - 6.0)
    above = intersection(body.fascia.shape(), half_space(-up, 6.0 - joint_z_mm))
    shafts = tuple(intersection(bone, below) for bone in body.bones)
    x, y = (float(v) for v in body.skin.centre(np.array(joint_z_mm)))
    solids = [
        ellipsoid((34, 24, 16), (x, y - 4, joint_z_mm - 14)),
        ellipsoid((15, 25, 20), (x - 18, y, joint_z_mm + 24)),
        ellipsoid((15, 25, 20), (x + 18, y, joint_z_mm + 24)),
        ellipsoid((18, 7, 19), (x, y - 36, joint_z_mm + 30)),
        ellipsoid((4.5, 3.5, 5.0), (x + sign * 20, y + 31, joint_z_mm + 22)),
    ]
    envelope = shrunk(body.fascia.shape(), 1.0)
    bones = tuple(intersection(replace(solid, points=no_points()), envelope) for solid in solids)
    paints = [Paint(shape=above, hu=56.0)]
    paints += [p for b in bones for p in (Paint(shape=b, hu=1050.0), Paint(shape=shrunk(b, 1.6), hu=240.0))]
    return (*shafts, *bones), tuple(paints)


def streaks(geometry: VolumeGeometry, metals: tuple[Metal, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Bright and dark rays from metal.

    Parameters
    ----------
    geometry : VolumeGeometry
        Grid of the scan.
    metals : tuple[Metal, ...]
        Where the metal is, LPS mm.
    rng : np.random.Generator
        Draws the rays, slightly different in every slice.

    Returns
    -------
    NDArray[np.float32]
        Shape ``(slices, rows, columns)``; HU to add.
    """
    field = np.zeros(geometry.shape, dtype=np.float32)
    n_rows, n_columns = geometry.shape[1:]
    i, j = np.arange(n_rows)[:, None], np.arange(n_columns)[None, :]
    for metal in metals:
        order = np.arange(2, 16, 2)
        phase, size = rng.uniform(0, 2 * np.pi, len(order)), rng.uniform(0.3, 1.0, len(order))
        for k in range(geometry.shape[0]):
            corner = geometry.affine[:3, 3] + k * geometry.affine[:3, 0]
            x = corner[0] + geometry.affine[0, 2] * j - metal.x_mm
            y = corner[1] + geometry.affine[1, 1] * i - metal.y_mm
            z = corner[2] + geometry.affine[2, 1] * (metal.y_mm - corner[1]) / geometry.affine[1, 1]
            if not metal.low_mm <= z <= metal.high_mm:
                continue
            angle, r = np.arctan2(y, x), np.hypot(x, y)
            phase = phase + rng.normal(scale=0.25, size=len(order))
            rays = sum(s * np.cos(n * angle + p) for n, p, s in zip(order, phase, size, strict=True))
            field[k] += (rays * 34.0 * metal.radius_mm / np.maximum(r, metal.radius_mm * 1.2)).astype(np.float32)
    return field
