"""A second definition of each kind of lesion, sharing no shape with the first.

The first is made of smooth solids whose relief is a function of direction. Here a random field over space decides what
is mineral: surfaces are noisy, walls uneven, rims open, mineral mixed, and foci touch. A reader of patterns that was
fitted to one definition is tested on the other.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom.piece import Piece, Posture, mineral, soft
from calcphantom.recipe import LesionRecipe
from calcphantom.scene import Paint
from calcphantom.shapes import Distance, Floats, Shape, no_points

Builder = Callable[[LesionRecipe, np.random.Generator], Piece]
Radii = tuple[float, float, float]

STEP_MM: Final = 0.5
"""Grid on which surface points are looked for, and its coarsest for large shapes: the size is good to half of it."""
MOST_CELLS: Final = 400_000
WAVES: Final = 12


def field(rng: np.random.Generator, grain_mm: float) -> Distance:
    """Random smooth function of place with mean 0 and deviation 1; its lumps are about `grain_mm` wide."""
    waves = rng.normal(size=(WAVES, 3)) * (np.pi / 2 / grain_mm)
    phases = rng.uniform(0, 2 * np.pi, WAVES)

    def value(x: Floats, y: Floats, z: Floats) -> Floats:
        point = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
        return np.asarray(np.cos(point @ waves.T + phases).sum(axis=-1) * np.sqrt(2 / WAVES))

    return value


def solid(inside: Distance, radii: Radii, centre: Floats | None = None, *, has_points: bool = True) -> Shape:
    """Solid where a function is negative (mm), within a box of half sides `radii` (mm)."""
    middle = np.zeros(3) if centre is None else centre
    box = np.array([middle - radii, middle + radii])
    points = no_points()
    if has_points:
        step = max(STEP_MM, float((8 * np.prod(radii) / MOST_CELLS) ** (1 / 3)))
        axes = [np.arange(low, high + step, step) for low, high in box.T]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        value = inside(grid[..., 0], grid[..., 1], grid[..., 2])
        is_in = value < 0
        buried = np.pad(is_in, 1)
        deep = is_in.copy()
        for axis in range(3):
            for shift in (0, 2):
                deep &= buried[tuple(slice(shift, shift + n) if a == axis else slice(1, n + 1)
                                     for a, n in enumerate(is_in.shape))]  # fmt: skip
        points = grid[is_in & ~deep]
    return Shape(distance=inside, box=box, points=points)


def _egg(radii: Radii, rng: np.random.Generator, rough_mm: float, grain_mm: float) -> Distance:
    """Ellipsoid whose surface is pushed in and out by a field with a deviation of `rough_mm`."""
    noise, least = field(rng, grain_mm), min(radii)
    a, b, c = radii

    def inside(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(
            (np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) - 1) * least + rough_mm * np.tanh(noise(x, y, z))
        )

    return inside


def _radii(lesion: LesionRecipe, rng: np.random.Generator, low: float, high: float) -> Radii:
    half = lesion.diameter_mm / 2
    return (half * float(rng.uniform(low, high)), half * float(rng.uniform(low, high)), half)


def _grown(radii: Radii, by_mm: float) -> Radii:
    return (radii[0] + by_mm, radii[1] + by_mm, radii[2] + by_mm)


def _shifted(inside: Distance, centre: Floats) -> Distance:
    return lambda x, y, z: inside(x - centre[0], y - centre[1], z - centre[2])


def _both(*parts: Distance) -> Distance:
    return lambda x, y, z: np.asarray(np.maximum.reduce([part(x, y, z) for part in parts]))


def _hull(
    lesion: LesionRecipe, rng: np.random.Generator, *, wall_mm: tuple[float, float], core_hu: float, open_share: float
) -> Piece:
    """Shell with an uneven wall, and with a share of cases open on one side."""
    radii = _radii(lesion, rng, 0.6, 0.95)
    body, thick = _egg(radii, rng, 0.06 * min(radii), 0.8 * min(radii)), field(rng, 6.0)
    middle, spread = sum(wall_mm) / 2, (wall_mm[1] - wall_mm[0]) / 2

    def core(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(body(x, y, z) + middle + spread * np.tanh(thick(x, y, z)))

    paints = [
        mineral(solid(body, _grown(radii, 0.1 * min(radii))), lesion.hu),
        soft(solid(core, radii, has_points=False), core_hu),
    ]
    if rng.uniform() < open_share:
        turn, wide = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.15, 0.4))

        def gap(x: Floats, y: Floats, z: Floats) -> Floats:
            off = np.abs((np.arctan2(y, x) - turn + np.pi) % (2 * np.pi) - np.pi)
            return np.asarray(np.maximum((off - wide) * np.hypot(x, y), np.abs(z) - 0.6 * radii[2]))

        paints.append(soft(solid(_both(body, gap), radii, has_points=False), core_hu))
    return Piece(paints=tuple(paints), posture=Posture.ALONG, features=("rim",), finest_mm=wall_mm[0])


def rim(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P05: uneven wall around muscle-like tissue."""
    thick = float(np.clip(0.12 * lesion.diameter_mm, 2.0, 4.5))
    return _hull(lesion, rng, wall_mm=(0.6 * thick, 1.3 * thick), core_hu=float(rng.uniform(55, 100)), open_share=0.4)


def shell(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P27: thin wall around old blood or fat."""
    core = float(rng.uniform(5, 28)) if rng.uniform() < 0.5 else float(rng.uniform(-100, -70))
    return _hull(lesion, rng, wall_mm=(1.0, 2.2), core_hu=core, open_share=0.0)


def bone(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P07: cortex, and a sponge of trabeculae with fat in its pores."""
    piece = _hull(lesion, rng, wall_mm=(1.2, 2.6), core_hu=float(rng.uniform(-60, 0)), open_share=0.0)
    cortex, marrow = piece.paints
    sponge = field(rng, 2.2)

    def beams(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(np.maximum(marrow.shape.distance(x, y, z), np.abs(sponge(x, y, z)) - 0.25))

    radii = tuple(float(v) for v in marrow.shape.box[1])
    inner = mineral(solid(beams, (radii[0], radii[1], radii[2]), has_points=False), 550.0)
    paints = (mineral(cortex.shape, max(lesion.hu, 800.0)), marrow, inner)
    return Piece(paints=paints, posture=Posture.ALONG, features=("cortex", "trabeculae"), finest_mm=1.2)


def punctate(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P01: a stone with a pitted surface."""
    radii = _radii(lesion, rng, 0.85, 1.0)
    body = _egg(radii, rng, 0.08 * min(radii), 1.5)
    return Piece(paints=(mineral(solid(body, _grown(radii, 0.5)), lesion.hu),), finest_mm=3.0)


def amorphous(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P09: lumps that touch, of mixed density."""
    radii = _radii(lesion, rng, 0.5, 0.85)
    body, mix = _egg(radii, rng, 0.22 * min(radii), 0.7 * min(radii)), field(rng, 0.5 * min(radii))
    poor = _both(body, lambda x, y, z: np.asarray(0.4 - mix(x, y, z)))
    rich = _both(body, lambda x, y, z: np.asarray(mix(x, y, z) + 0.6))
    wide = _grown(radii, 0.25 * min(radii))
    paints = (
        mineral(solid(body, wide), lesion.hu),
        mineral(solid(poor, wide, has_points=False), 0.75 * lesion.hu),
        mineral(solid(rich, wide, has_points=False), 1.3 * lesion.hu),
    )
    return Piece(paints=paints, finest_mm=3.0)


def cloud(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P23: mineral that thins out from a dense centre in a soft mass."""
    radii = _radii(lesion, rng, 0.6, 0.95)
    wide = _grown(radii, 0.2 * max(radii))
    paints = [soft(solid(_egg(wide, rng, 1.0, 8.0), _grown(wide, 1.0), has_points=False), 42.0)]
    for share, density in ((1.0, 0.55), (0.72, 0.8), (0.45, 1.15)):
        size = (radii[0] * share, radii[1] * share, radii[2] * share)
        layer = _egg(size, rng, 0.25 * min(size), 3.0)
        paints.append(mineral(solid(layer, _grown(size, 0.3 * min(size))), density * lesion.hu))
    return Piece(paints=tuple(paints), posture=Posture.ALONG, features=("centre_dense",), finest_mm=4.0)


def _bed(radii: Radii, rng: np.random.Generator, shift: Floats, hu: float, grow_mm: float) -> Paint:
    wide = _grown(radii, grow_mm)
    return soft(solid(_shifted(_egg(wide, rng, 1.0, 8.0), shift), _grown(wide, 1.0), shift, has_points=False), hu)


def stippled(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P24: the islands of a field in one half of a soft mass."""
    radii = _radii(lesion, rng, 0.6, 0.9)
    body, grain = _egg(radii, rng, 0.5, 6.0), field(rng, 1.7)
    islands = _both(body, lambda x, y, z: np.asarray((1.25 - grain(x, y, z)) * 1.5))
    paints = (
        _bed(radii, rng, np.array([0.0, 0.0, -0.3 * radii[2]]), 42.0, 0.3 * radii[2]),
        mineral(solid(islands, radii), lesion.hu),
    )
    return Piece(paints=paints, posture=Posture.ALONG, foci=8, finest_mm=1.8)


def rings(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P22: crusts on the lobules of a watery mass, touching and broken."""
    radii = _radii(lesion, rng, 0.65, 0.95)
    count = int(np.clip(lesion.diameter_mm / 2.5, 6, 14))
    centres = rng.normal(size=(count, 3))
    centres *= (0.75 * rng.uniform(0.2, 1, count) / np.linalg.norm(centres, axis=1))[:, None]
    centres, sizes = centres * radii, rng.uniform(2.4, 4.2, count)
    gaps = field(rng, 4.0)
    paints = [_bed(radii, rng, np.zeros(3), 28.0, 4.0)]
    for centre, size in zip(centres, sizes, strict=True):
        noise = field(rng, 3.0)

        def crust(x: Floats, y: Floats, z: Floats, c: Floats = centre, r: float = size, n: Distance = noise) -> Floats:
            away = np.sqrt((x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2) + 0.35 * n(x, y, z)
            return np.asarray(np.maximum(np.abs(away - r) - 0.55, gaps(x, y, z) - 0.9))

        reach = (size + 2.0,) * 3
        paints.append(mineral(solid(crust, reach, centre), lesion.hu))
    return Piece(paints=tuple(paints), features=("rings",), foci=count, finest_mm=1.1)


def sheet(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P11: a wavy plate with holes; thin along x."""
    half, thick = lesion.diameter_mm / 2, float(rng.uniform(1.8, 3.2))
    wide = half * float(rng.uniform(0.5, 0.85))
    wave, height = field(rng, 0.8 * half), float(rng.uniform(0.03, 0.08)) * half
    uneven, edge = field(rng, 5.0), field(rng, 6.0)

    def plate(x: Floats, y: Floats, z: Floats) -> Floats:
        off = np.abs(x - height * wave(0 * x, y, z)) - thick / 2 * (1 + 0.3 * np.tanh(uneven(x, y, z)))
        outline = (np.sqrt((y / wide) ** 2 + (z / half) ** 2) - 1) * wide + np.tanh(edge(x, y, z))
        return np.asarray(np.maximum.reduce([off, outline, uneven(x, y, z) - 1.9]))

    paints = (mineral(solid(plate, (3 * height + thick, wide + 1.0, half + 1.0)), lesion.hu),)
    return Piece(paints=paints, posture=Posture.ALONG, finest_mm=thick)


def linear(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P02: patches in the wall of a bent pipe."""
    half, radius, wall = lesion.diameter_mm / 2, float(rng.uniform(1.8, 2.8)), float(rng.uniform(0.8, 1.2))
    bend, turn = float(rng.uniform(0.0, 0.12)) * half, float(rng.uniform(0, 2 * np.pi))
    bare = field(rng, 3.0)

    def away(x: Floats, y: Floats, z: Floats) -> Floats:
        off = bend * (np.cos(np.pi / 2 * z / half) - 0.5)
        return np.asarray(np.hypot(x - off * np.cos(turn), y - off * np.sin(turn)))

    def pipe(x: Floats, y: Floats, z: Floats) -> Floats:
        return np.asarray(
            np.maximum.reduce([np.abs(away(x, y, z) - radius + wall / 2) - wall / 2, np.abs(z) - half,
                               bare(x, y, z) - 1.2])
        )  # fmt: skip

    side = radius + bend + 0.5
    lumen = _both(lambda x, y, z: away(x, y, z) - radius + wall, lambda _x, _y, z: np.abs(z) - half)
    paints = (
        soft(solid(lumen, (side, side, half), has_points=False), 50.0),
        mineral(solid(pipe, (side, side, half)), lesion.hu),
    )
    return Piece(paints=paints, posture=Posture.ALONG, features=("vessel",), finest_mm=0.9)


def _grain_of(reach: float, radius: float, lean: Floats, noise: Distance) -> Distance:
    """Spindle of half length `reach` mm along z, leaning."""

    def inside(x: Floats, y: Floats, z: Floats) -> Floats:
        taper = np.sqrt(np.clip(1 - (z / reach) ** 2, 0, 1))
        off = np.hypot(x - lean[0] * z, y - lean[1] * z) - radius * taper + 0.15 * noise(x, y, z)
        return np.asarray(np.maximum(off, np.abs(z) - reach))

    return inside


def grains(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P20: spindles side by side along the fibres."""
    half, count = lesion.diameter_mm / 2, int(np.clip(lesion.diameter_mm / 6, 5, 10))
    heights = np.linspace(-half + 4, half - 4, count)
    paints = []
    for number, z in enumerate(heights):
        turn = 2.4 * number + float(rng.uniform(-0.5, 0.5))
        centre = np.array([5.5 * np.cos(turn), 5.5 * np.sin(turn), z])
        shape = _grain_of(float(rng.uniform(3.4, 5.0)), float(rng.uniform(1.3, 2.0)), rng.normal(scale=0.12, size=2),
                          field(rng, 2.0))  # fmt: skip
        paints.append(mineral(solid(_shifted(shape, centre), (3.0, 3.0, 5.0), centre), lesion.hu))
    return Piece(paints=tuple(paints), foci=count, posture=Posture.ALONG, finest_mm=2.4)


def nodules(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P12: pitted nodules in a row, some of which touch."""
    half, count = lesion.diameter_mm / 2, max(2, round(lesion.diameter_mm / 7))
    paints = []
    for z in np.linspace(-half + 2.5, half - 2.5, count):
        size = float(rng.uniform(1.8, 3.0))
        centre = np.array([*rng.uniform(-3.0, 3.0, 2), z])
        body = _shifted(_egg((size, 0.9 * size, size), rng, 0.12 * size, 1.8), centre)
        paints.append(mineral(solid(body, (size + 0.5,) * 3, centre), lesion.hu * float(rng.uniform(0.8, 1.2))))
    return Piece(paints=tuple(paints), foci=count, posture=Posture.ALONG, finest_mm=3.0)


def tophus(lesion: LesionRecipe, rng: np.random.Generator) -> Piece:
    """P17: faint lobules that touch, denser where a field is high."""
    radii = _radii(lesion, rng, 0.6, 0.95)
    body, mix = _egg(radii, rng, 0.18 * min(radii), 0.8 * min(radii)), field(rng, 0.35 * min(radii))
    rich = _both(body, lambda x, y, z: np.asarray(1.0 - mix(x, y, z)))
    wide = _grown(radii, 0.2 * min(radii))
    paints = (mineral(solid(body, wide), lesion.hu), mineral(solid(rich, wide, has_points=False), 1.6 * lesion.hu))
    return Piece(paints=paints, finest_mm=3.0)


ROUGH: Final = MappingProxyType[str, Builder](
    {
        "punctate": punctate, "solid": amorphous, "rim": rim, "cloud": cloud, "stippled": stippled, "rings": rings,
        "sheet": sheet, "linear": linear, "bone": bone, "nodules": nodules, "grains": grains, "shell": shell,
    }
)  # fmt: skip
"""Builders by the names of the kinds they define anew."""

BY_PATTERN: Final = MappingProxyType[str, Builder](
    {
        "P01": punctate, "P02": linear, "P05": rim, "P07": bone, "P09": amorphous, "P11": sheet, "P12": nodules,
        "P17": tophus, "P20": grains, "P22": rings, "P23": cloud, "P24": stippled, "P27": shell,
    }
)  # fmt: skip
"""The same, and those that no host has a place for, by pattern id."""
