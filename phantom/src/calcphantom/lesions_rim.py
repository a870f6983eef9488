"""Lesions with a shell: rims, cortex, plates, fluid-calcium levels."""

from __future__ import annotations

import numpy as np

from calcphantom.piece import Piece, Posture, cap, half_axes, mineral, soft
from calcphantom.recipe import LesionRecipe
from calcphantom.scene import Paint
from calcphantom.shapes import (
    Floats,
    Shape,
    ball,
    capsule,
    directions,
    ellipsoid,
    half_space,
    intersection,
    lump,
    random_bumps,
    shrunk,
)


def _axis(rng: np.random.Generator) -> Floats:
    unit = rng.normal(size=3)
    return np.asarray(unit / np.linalg.norm(unit))


def zonal_rim(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P05: rim of mature mineral around a less dense centre; complete, or open at one small place."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze)
    rim = float(np.clip(0.3 * min(radii), 1.4, 4.0))
    body = lump(radii, random_bumps(rng, height=0.04, frequency=3))
    core = float(rng.uniform(65, 100))
    paints = [mineral(body, lesion.hu), soft(shrunk(body, rim * 0.75), core + 60), soft(shrunk(body, rim), core)]
    if rng.uniform() < 0.3:
        paints.append(soft(cap(body, np.array([1.0, 0.0, 0.0]), 0.8 * radii[0]), core))
    return Piece(paints=tuple(paints), posture=Posture.ALONG, mass=body, features=("rim",), finest_mm=rim)


def mature_bone(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P07: cortex, trabeculae and marrow fat."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.4, 0.7)
    body = lump(radii, random_bumps(rng, height=0.1, frequency=3))
    cortex = float(np.clip(0.22 * min(radii), 1.2, 2.5))
    marrow = shrunk(body, cortex)
    paints = [mineral(body, max(lesion.hu, 800.0)), soft(marrow, float(rng.uniform(-60, 0)))]
    for _ in range(int(np.clip(np.prod(radii) / 60, 6, 40))):
        middle = rng.uniform(-0.8, 0.8, 3) * radii
        reach = _axis(rng) * max(radii) * 0.5
        rod = capsule(middle - reach, middle + reach, float(rng.uniform(0.4, 0.7)))
        paints.append(mineral(_bare(intersection(rod, marrow)), 550.0))
    return Piece(paints=tuple(paints), posture=Posture.ALONG, features=("cortex", "trabeculae"), finest_mm=cortex)


def _bare(shape: Shape) -> Shape:
    return Shape(distance=shape.distance, box=shape.box, points=np.empty((0, 3)), z_slope=shape.z_slope)


def bar(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P08: a bar or plate of bone along the muscle."""
    half = lesion.diameter_mm / 2
    body = lump(
        (max(2.5, half * 0.25 * squeeze), max(2.0, half * 0.14 * squeeze), half),
        random_bumps(rng, height=0.06, frequency=2),
    )
    paints = (mineral(body, max(lesion.hu, 700.0)), mineral(_bare(shrunk(body, 1.4)), 320.0))
    return Piece(paints=paints, posture=Posture.ALONG, features=("cortex",), finest_mm=2.5)


def muscle_shell(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P10: plates around the periphery of a liquefied muscle."""
    half = lesion.diameter_mm / 2
    radii = (float(np.clip(half * 0.24, 7, 17)) * squeeze, float(np.clip(half * 0.2, 6, 13)) * squeeze, half)
    body = lump(radii, random_bumps(rng, height=0.03, frequency=3))
    plate = float(rng.uniform(1.6, 2.8))
    content = float(rng.uniform(15, 32))
    paints = [mineral(body, lesion.hu), soft(shrunk(body, plate), content)]
    for unit in rng.permutation(directions(40))[: int(rng.integers(8, 15))]:
        if abs(unit[2]) < 0.9:
            where = unit * radii
            hole = ball(float(rng.uniform(4, 9)), (where[0], where[1], where[2]))
            paints.append(soft(intersection(hole, body), content + 15))
    return Piece(paints=tuple(paints), posture=Posture.ALONG, mass=body, features=("rim", "liquefied"), finest_mm=plate)


def levels(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P13: lobules with calcium settled at the back of each (the patient lies supine), and some solid ones."""
    half = lesion.diameter_mm / 2
    size = half * 0.42 * float(np.clip(squeeze + 0.25, 0.5, 1.0))
    flat = np.array([0.9 * squeeze, 0.75 * squeeze, 1.0])
    count = int(rng.integers(5, 9))
    centres = directions(count) * flat * (half - size)
    sizes = size * rng.uniform(0.75, 1.1, count)
    paints: list[Paint] = []
    for i, (centre, radius) in enumerate(zip(centres, sizes, strict=True)):
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        wall, lumen = ball(float(radius), place), ball(float(radius) - 0.9, place)
        paints += [soft(wall, 62.0), soft(lumen, float(rng.uniform(20, 55)))]
        if i % 4 == 3:
            paints.append(mineral(lumen, lesion.hu * 0.9))
            continue
        level = centre[1] + radius * float(rng.uniform(-0.45, 0.25))
        paints.append(mineral(_settled(lumen, level), lesion.hu))
    return Piece(paints=tuple(paints), posture=Posture.UPRIGHT, foci=count, features=("level",), finest_mm=5.0)


def _settled(lumen: Shape, level_y_mm: float) -> Shape:
    """Return what lies behind a horizontal fluid level; its points include the level's rim, which may set the size."""
    settled = intersection(lumen, half_space(np.array([0.0, -1.0, 0.0]), -level_y_mm))
    middle = lumen.box.mean(axis=0)
    radius = float(lumen.box[1, 0] - middle[0])
    rim = np.sqrt(max(0.0, radius**2 - (level_y_mm - middle[1]) ** 2))
    turn = np.linspace(0, 2 * np.pi, 120)
    circle = np.column_stack((middle[0] + rim * np.cos(turn), np.full(120, level_y_mm), middle[2] + rim * np.sin(turn)))
    return Shape(distance=settled.distance, box=lumen.box, points=np.concatenate((settled.points, circle)))


NODAL_FAT_MM = 4.0
"""Nodes lie in fat along the vessels, never bare in muscle."""

CORTEX_MM = 2.0
"""Clumps of mineral lie inside the gland."""


def node(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P21: lymph node in its fat, with an eggshell or with dense clumps."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.6, 0.8)
    inside = ellipsoid(radii)
    if rng.uniform() < 0.5 and lesion.diameter_mm > 8:
        shell, coat = 1.5, 1.0
        features: tuple[str, ...] = ("eggshell",)
        clumps: tuple[Paint, ...] = (mineral(inside, lesion.hu), soft(shrunk(inside, shell), 58.0))
        finest = shell
    else:
        coat, features, finest = CORTEX_MM, (), 3.0
        clumps = (mineral(lump(radii, random_bumps(rng, height=0.1, frequency=5)), lesion.hu),)
    gland, bed = (
        ellipsoid((radii[0] + more, radii[1] + more, radii[2] + more)) for more in (coat, coat + NODAL_FAT_MM)
    )
    return Piece(
        paints=(soft(gland, 58.0), *clumps), bed=bed, features=features, finest_mm=finest, posture=Posture.ALONG
    )


def open_shell(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P26: incomplete shell around a soft nodule in the deep subcutis."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.75, 0.95)
    body = lump(radii, random_bumps(rng, height=0.05, frequency=3))
    paints = [mineral(body, lesion.hu), soft(shrunk(body, float(rng.uniform(1.6, 2.4))), 52.0)]
    side = _axis(rng) * (1, 1, 0.3)
    side /= np.linalg.norm(side)
    paints.append(soft(cap(body, side, float(rng.uniform(0.05, 0.35)) * min(radii)), 52.0))
    return Piece(paints=tuple(paints), posture=Posture.ALONG, mass=body, features=("rim_incomplete",), finest_mm=1.8)


def rim_around(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P27: thin complete rim around old blood or fat."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.6, 0.9)
    body = ellipsoid(radii)
    rim = float(rng.uniform(1.1, 1.9))
    content, name = ((14.0, "fluid"), (-95.0, "fat"))[int(rng.uniform() < 0.4)]
    paints = (mineral(body, lesion.hu), soft(shrunk(body, rim), content))
    return Piece(paints=paints, posture=Posture.ALONG, mass=body, features=("rim", name), finest_mm=rim)
