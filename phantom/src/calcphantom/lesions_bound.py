"""Lesions that follow the anatomy: on arteries, along the fascia, in the net of skin vessels, fused with bone."""

from __future__ import annotations

import numpy as np

from calcphantom.piece import Piece, mineral, soft
from calcphantom.recipe import LesionRecipe, RoughLesionRecipe
from calcphantom.scene import Body, Paint, Vessel, wrapped
from calcphantom.shapes import (
    Floats,
    Shape,
    capsule,
    ellipsoid,
    half_space,
    intersection,
    lump,
    moved,
    outside,
    random_bumps,
)

LIMIT = np.array([0.0, 0.0, 1.0])
"""Direction along the limb."""


POSTERIOR_VESSELS = "posterior vessels"
"""Named site of a calcified artery: behind the bones, where a film shows it beside them."""


def _artery(lesion: LesionRecipe, body: Body, rng: np.random.Generator) -> Vessel:
    if lesion.site == POSTERIOR_VESSELS:
        return _posterior_artery(body, rng)
    every = [v for v in body.vessels if v.is_artery]
    # Where all of them run along bone, the one farthest from it has to do.
    arteries = [v for v in every if _bone_gap_mm(v, body) > 2.0] or [max(every, key=lambda v: _bone_gap_mm(v, body))]
    return arteries[int(rng.integers(min(2, len(arteries))))]


def _posterior_artery(body: Body, rng: np.random.Generator) -> Vessel:
    """Return an artery in the muscle behind the bones, where the most room is beside them from the front."""
    share, z = float(rng.uniform(0.6, 0.75)), np.array(0.0)
    shafts = [(float(s.centre(z)[0]), float(s.radius(z, z))) for s in body.shafts]
    middle, reach = float(body.fascia.centre(z)[0]), share * float(body.fascia.radius(np.array(np.pi / 2), z))

    def room_mm(angle: float) -> float:
        return min(abs(middle + reach * float(np.cos(angle)) - x) - r for x, r in shafts)

    angle = max(np.pi / 2 + rng.uniform(-0.9, 0.9, 8), key=room_mm)

    def path(z: Floats) -> tuple[Floats, Floats]:
        x, y = body.fascia.centre(z)
        away = share * body.fascia.radius(np.full(np.shape(z), angle), np.asarray(z))
        return np.asarray(x + away * np.cos(angle)), np.asarray(y + away * np.sin(angle))

    return Vessel(path=path, radius_mm=float(rng.uniform(1.6, 2.4)), is_artery=True)


def _bone_gap_mm(vessel: Vessel, body: Body) -> float:
    z = np.linspace(-30.0, 30.0, 31)
    x, y = vessel.path(z)
    x, y = np.broadcast_to(x, z.shape), np.broadcast_to(y, z.shape)
    return float(min(bone.distance(x, y, z).min() for bone in body.bones)) - vessel.radius_mm


def _ring(vessel: Vessel, radius_mm: float, low_mm: float, high_mm: float) -> Shape:
    """Piece of a tube around a vessel between two heights (mm), with points on its outer surface."""
    tube = vessel.tube(radius_mm)
    points = tube.points(low_mm, high_mm - 1e-3, 0.3)
    points = points[points[:, 2] <= high_mm]
    x, y = vessel.path(np.array([low_mm, high_mm]))
    box = np.array(
        [[x.min() - radius_mm, y.min() - radius_mm, low_mm], [x.max() + radius_mm, y.max() + radius_mm, high_mm]]
    )
    box[:, :2] += [[-1.0], [1.0]]
    slabs = (half_space(LIMIT, high_mm), half_space(-LIMIT, -low_mm))
    cut = intersection(tube.shape(), *slabs)
    return Shape(distance=cut.distance, box=box, points=points)


def tram_track(lesion: LesionRecipe, body: Body, rng: np.random.Generator, blood: float) -> Piece:
    """P02: calcified wall of an artery in stretches less than 7 mm apart."""
    vessel = _artery(lesion, body, rng)
    low = -lesion.diameter_mm / 2
    paints: list[Paint] = []
    count = 0
    while low < lesion.diameter_mm / 2 - 4:
        high = min(low + float(rng.uniform(8, 30)), lesion.diameter_mm / 2)
        paints.append(mineral(_ring(vessel, vessel.radius_mm + 0.4, low, high), lesion.hu))
        low = high + float(rng.uniform(1.5, 6))
        count += 1
    paints.append(soft(vessel.tube(max(0.7, vessel.radius_mm - 0.7)).shape(), blood))
    return Piece(paints=tuple(paints), foci=count, features=("vessel",), finest_mm=1.1)


def plaque(lesion: LesionRecipe, body: Body, rng: np.random.Generator, blood: float) -> Piece:
    """P03: short eccentric plaque on one side of an arterial wall."""
    vessel = _artery(lesion, body, rng)
    z = float(rng.uniform(-8, 8))
    x, y = (float(v) for v in vessel.path(np.array(z)))
    turn = rng.uniform(0, 2 * np.pi)
    away = vessel.radius_mm * 0.8
    half = lesion.diameter_mm / 2
    wide = min(half * 0.7, vessel.radius_mm * 0.8)
    spot = ellipsoid((wide, wide, half), (x + away * float(np.cos(turn)), y + away * float(np.sin(turn)), z))
    lumen = vessel.tube(vessel.radius_mm * 0.55).shape()
    return Piece(paints=(mineral(spot, lesion.hu), soft(lumen, blood)), features=("vessel",), finest_mm=2 * wide)


def fascial_sheets(lesion: LesionRecipe, body: Body, rng: np.random.Generator) -> Piece:
    """P11: sheets along the investing fascia, a few millimetres apart."""
    count = int(rng.integers(2, 4))
    start = float(rng.uniform(-np.pi, np.pi))
    thickness = float(rng.uniform(1.8, 3.2))
    width = min(0.8 * lesion.diameter_mm, 60.0)
    radius = float(np.mean(body.fascia.radius(np.linspace(-3, 3, 40), np.zeros(40))))
    paints = []
    for i in range(count):
        middle = start + i * (width / radius + 4.0 / radius)
        half_height = lesion.diameter_mm / 2 * (1.0 if i == 0 else float(rng.uniform(0.6, 0.95)))
        paints.append(mineral(_sheet(body, middle, width / radius / 2, half_height, thickness), lesion.hu))
    return Piece(paints=tuple(paints), foci=count, features=("fascia",), finest_mm=thickness)


def _sheet(body: Body, middle_rad: float, half_rad: float, half_height_mm: float, thickness_mm: float) -> Shape:
    fascia = body.fascia

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        cx, cy = fascia.centre(z)
        angle = wrapped(np.arctan2(y - cy, x - cx) - middle_rad)
        edge = (np.abs(angle) - half_rad) * np.hypot(x - cx, y - cy) * 0.6
        return np.asarray(
            np.maximum.reduce(
                [np.abs(fascia.distance(x, y, z)) - thickness_mm / 2 / fascia.slack, edge, np.abs(z) - half_height_mm]
            )
        )

    angle = middle_rad + np.linspace(-half_rad, half_rad, 110)
    height = np.linspace(-half_height_mm, half_height_mm, 110)
    aa, zz = np.meshgrid(angle, height, indexing="ij")
    cx, cy = fascia.centre(zz)
    faces = []
    for side in (-1, 1):
        r = fascia.radius(wrapped(aa), zz) + side * thickness_mm / 2
        faces.append(np.stack((cx + r * np.cos(aa), cy + r * np.sin(aa), zz), axis=-1).reshape(-1, 3))
    points = np.concatenate(faces)
    return Shape(distance=distance, box=np.array([points.min(axis=0) - 1, points.max(axis=0) + 1]), points=points)


_FEWEST_POINTS = 8
_GAP_MM = (0.7, 4.5)
"""How far from two bones cartilage is looked for, mm."""


def cartilage(lesion: LesionRecipe, body: Body, rng: np.random.Generator, *, half_length_mm: float) -> Piece | None:
    """P16: thin mineral in the cartilage between two bones: lines along one of them, or the islands of a field.

    The islands are the second definition; see `calcphantom.insert.rough`. ``None`` where no joint has room.
    """
    from calcphantom.insert.rough import field, solid  # noqa: PLC0415 - that package needs this one

    joint = _joint(body, rng, half_length_mm)
    if joint is None:
        return None
    centre, near, others = joint
    reach, off = lesion.diameter_mm / 2, float(near.distance(*centre[:, None])[0])
    is_rough = isinstance(lesion, RoughLesionRecipe)
    thick, gaps = float(rng.uniform(0.7, 1.3)), field(rng, 1.6 if is_rough else 4.0)
    level = 0.6 if is_rough else -0.9

    def inside(x: Floats, y: Floats, z: Floats) -> Floats:
        layer = np.abs(near.distance(x, y, z) - off) - thick * (0.8 if is_rough else 0.5)
        apart = np.hypot(np.hypot(x - centre[0], y - centre[1]), z - centre[2]) - reach
        free = 0.5 - np.min([bone.distance(x, y, z) for bone in others], axis=0)
        return np.asarray(np.maximum.reduce([layer, apart, free, level - gaps(x, y, z)]))

    shape = solid(inside, (reach, reach, reach), centre)
    if len(shape.points) < _FEWEST_POINTS:
        return None
    return Piece(paints=(mineral(shape, lesion.hu),), features=("cartilage",), finest_mm=thick)


def _joint(body: Body, rng: np.random.Generator, half_length_mm: float) -> tuple[Floats, Shape, list[Shape]] | None:
    """Point between two bones that face each other, the nearer of them, and the others around; LPS mm."""
    bones = [part for bone in body.bones for part in (bone.parts or (bone,)) if np.abs(part.box).max() < 900]
    for _ in range(400 if len(bones) > 1 else 0):
        low, high = bones[int(rng.integers(len(bones)))].box
        point = rng.uniform(low - 3.0, high + 3.0)
        if abs(point[2]) > half_length_mm - 6.0 or float(body.skin.distance(*point[:, None])[0]) > -3.5:
            continue
        gaps = np.array([float(bone.distance(*point[:, None])[0]) for bone in bones])
        first, second = np.argsort(gaps)[:2]
        if not _GAP_MM[0] < gaps[first] <= gaps[second] < _GAP_MM[1]:
            continue
        ways = []
        for n in (first, second):
            steps = point + 0.2 * np.vstack((np.eye(3), -np.eye(3)))
            d = bones[n].distance(*steps.T)
            ways.append((d[:3] - d[3:]) / max(float(np.linalg.norm(d[:3] - d[3:])), 1e-9))
        if float(ways[0] @ ways[1]) < -0.6:
            return point, bones[first], [b for n, b in enumerate(bones) if n != first and gaps[n] < 30.0]
    return None


def skin_net(lesion: LesionRecipe, body: Body, rng: np.random.Generator) -> Piece:
    """P04 and P18: a net of thin rods in the middle of the subcutaneous fat."""
    middle = float(rng.uniform(-np.pi, np.pi))
    radius = float(np.mean(body.fascia.radius(np.linspace(-3, 3, 40), np.zeros(40))))
    half = lesion.diameter_mm / 2.4
    mesh = float(rng.uniform(6, 9))
    count = max(3, int(2 * half / mesh) + 1)
    grid = np.linspace(-half, half, count)
    aa, zz = np.meshgrid(middle + grid / radius * 0.8, grid, indexing="ij")
    aa = aa + rng.normal(scale=0.18 * mesh / radius, size=aa.shape)
    zz = zz + rng.normal(scale=0.18 * mesh, size=zz.shape)
    inner = body.fascia.radius(wrapped(aa), zz)
    outer = body.skin.radius(wrapped(aa), zz)
    r = inner + (outer - inner) * np.clip(0.5 + rng.normal(scale=0.06, size=aa.shape), 0.35, 0.65)
    cx, cy = body.fascia.centre(zz)
    knots = np.stack((cx + r * np.cos(aa), cy + r * np.sin(aa), zz), axis=-1)
    thick = 0.6 if lesion.pattern == "P04" else 0.9
    paints = []
    for i in range(count):
        for j in range(count):
            for di, dj in ((1, 0), (0, 1)):
                if i + di < count and j + dj < count and rng.uniform() < 0.75:
                    rod = capsule(knots[i, j], knots[i + di, j + dj], thick * float(rng.uniform(0.7, 1.2)))
                    paints.append(mineral(rod, lesion.hu))
    return Piece(paints=tuple(paints), foci=1, features=("net",), finest_mm=2 * thick)


def fused_with_bone(lesion: LesionRecipe, body: Body, rng: np.random.Generator) -> Piece:
    """Build mineral continuous with a cortex: a lump whose base is the bone."""
    bone = body.bones[0]
    half = lesion.diameter_mm / 2
    shape = lump((half * 0.7, half * 0.7, half), random_bumps(rng, height=0.08, frequency=3))
    z = float(rng.uniform(-6, 6))
    ray = np.linspace(0, 60, 601)
    middle = (float(v) for v in body.skin.centre(np.array(z)))
    x, y = (np.linspace(m - 60, m + 60, 121) for m in middle)
    probe = np.stack(np.meshgrid(x, y, [z]), axis=-1).reshape(-1, 3)
    inside = probe[bone.distance(*probe.T).argmin()]
    centre = inside
    for _ in range(80):
        turn = rng.uniform(-np.pi, np.pi)
        way = np.array([np.cos(turn), np.sin(turn), 0.0])
        line = inside + ray[:, None] * way
        foot = line[np.flatnonzero(bone.distance(*line.T) > 0)[0]]
        centre = foot + way * half * 0.35
        if float(body.fascia.distance(*(foot + way * half * 1.05)[:, None])[0]) < -1.0:
            break
    placed = moved(shape, np.eye(3), centre)
    return Piece(paints=(mineral(intersection(placed, outside(bone)), lesion.hu),), features=("fused",), finest_mm=half)
