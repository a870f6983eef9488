"""Lesions made of solid, faint, speckled or clouded mineral."""

from __future__ import annotations

import numpy as np

from calcphantom.piece import Piece, Posture, cap, half_axes, mineral, soft
from calcphantom.recipe import LesionRecipe
from calcphantom.scene import Paint
from calcphantom.shapes import (
    Floats,
    ball,
    capsule,
    directions,
    ellipsoid,
    intersection,
    lump,
    moved,
    random_bumps,
    random_rotation,
    shrunk,
)


def _triple(point: Floats) -> tuple[float, float, float]:
    return (float(point[0]), float(point[1]), float(point[2]))


def _spread(rng: np.random.Generator, count: int, radii: tuple[float, float, float], reach: float = 1.0) -> Floats:
    """Random points in an ellipsoid, shape ``(count, 3)``, mm."""
    unit = rng.normal(size=(count, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return np.asarray(unit * (rng.uniform(0, 1, count) ** (1 / 3) * reach)[:, None] * np.asarray(radii))


def chain(rng: np.random.Generator, radii: Floats, *, gap_mm: tuple[float, float], flatness: float) -> Floats:
    """Centres of balls, each a gap (mm) away from an earlier one and touching none; shape ``(n, 3)``, mm."""
    centres = [np.zeros(3)]
    for radius in radii[1:]:
        place = centres[-1]
        for _ in range(200):
            step = rng.normal(size=3) * (1.0, flatness, 1.0)
            step /= np.linalg.norm(step)
            base = int(rng.integers(len(centres)))
            place = centres[base] + step * (radii[base] + radius + rng.uniform(*gap_mm))
            gaps = np.linalg.norm(np.array(centres) - place, axis=1) - radii[: len(centres)] - radius
            if gaps.min() >= gap_mm[0] * 0.99:
                break
        centres.append(place)
    points = np.array(centres)
    return np.asarray(points - (points.max(axis=0) + points.min(axis=0)) / 2)


def phlebolith(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P01: one smooth round stone, or a short chain of them when the extent is above 12 mm."""
    if lesion.diameter_mm > 12:
        count = max(2, round(lesion.diameter_mm / 9))
        radii = rng.uniform(1.9, 3.4, count)
        centres = chain(rng, radii, gap_mm=(2.5, 6.0), flatness=0.5 * squeeze)
        stones = [(r, c) for r, c in zip(radii, centres, strict=True)]
    else:
        stones = [(lesion.diameter_mm / 2, np.zeros(3))]
    paints: list[Paint] = []
    lucent = bool(rng.uniform() < 0.4)
    for radius, centre in stones:
        u, v = rng.uniform(0.82, 1.0, 2)
        paints.append(mineral(ellipsoid((radius * u, radius * v, radius), _triple(centre)), lesion.hu))
        if lucent and radius > 2.2:
            paints.append(mineral(ball(radius * 0.35, _triple(centre)), lesion.hu * 0.45))
    return Piece(paints=tuple(paints), foci=len(stones), features=("lucent_centre",) if lucent else (), finest_mm=3.0)


def faint_cloud(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P06: ill-defined faint lumps in swollen muscle."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze)
    paints = [soft(ellipsoid((radii[0] * 1.3, radii[1] * 1.3, radii[2] * 1.25)), 44.0)]
    size = min(radii) * 0.42
    count = int(rng.integers(9, 15))
    centres = _spread(rng, count, radii, reach=0.72)
    centres[:2] = [[0, 0, radii[2] - size], [0, 0, size - radii[2]]]
    for centre in centres:
        each = size * float(rng.uniform(0.8, 1.25))
        shape = lump((each, each, each * 1.2), random_bumps(rng, height=0.2, frequency=4), _triple(centre))
        paints.append(mineral(shape, lesion.hu * float(rng.uniform(0.85, 1.15))))
    return Piece(paints=tuple(paints), foci=1, posture=Posture.ALONG, finest_mm=size)


def amorphous(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P09: irregular lump of uneven density without cortex or trabeculae."""
    radii = half_axes(rng, lesion.diameter_mm / 1.1, squeeze, 0.5, 0.85)
    body = lump(radii, random_bumps(rng, height=0.16, frequency=5))
    paints = [mineral(body, lesion.hu)]
    for centre in _spread(rng, 6, radii, reach=0.7):
        size = min(radii) * float(rng.uniform(0.25, 0.5))
        inside = intersection(ball(size, _triple(centre)), body)
        paints.append(mineral(inside, lesion.hu * float(rng.uniform(0.7, 1.5))))
    return Piece(paints=tuple(paints), finest_mm=3.0)


def nodules(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P12: several stone-like nodules close together under the skin."""
    count = max(2, round(lesion.diameter_mm / 9))
    radii = rng.uniform(1.5, 3.2, count)
    centres = chain(rng, radii, gap_mm=(1.5, 5.0), flatness=0.4 * squeeze)
    paints = tuple(
        mineral(
            lump((r, r * 0.9, r), random_bumps(rng, height=0.12, frequency=4), _triple(c)),
            lesion.hu * float(rng.uniform(0.8, 1.2)),
        )
        for r, c in zip(radii, centres, strict=True)
    )
    return Piece(paints=paints, foci=count, posture=Posture.ALONG, finest_mm=3.0)


def speckles(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P14: many fine specks in a region."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.5, 0.8)
    count = int(np.clip(np.prod(radii) * 4.19 / 350, 25, 120))
    paints = tuple(
        mineral(ball(float(rng.uniform(0.6, 1.1)), _triple(c)), lesion.hu) for c in _spread(rng, count, radii, 0.97)
    )
    return Piece(paints=paints, foci=count, posture=Posture.ALONG, finest_mm=1.2)


def tendon_deposit(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P15: homogeneous sharp ovoid in a tendon."""
    half = lesion.diameter_mm / 2
    a, b = half * float(rng.uniform(0.42, 0.6)) * squeeze, half * float(rng.uniform(0.38, 0.5)) * squeeze
    tendon = soft(ellipsoid((a + 2.0, b + 2.0, half * 1.3 + 6.0)), 82.0)
    return Piece(paints=(tendon, mineral(ellipsoid((a, b, half)), lesion.hu)), posture=Posture.ALONG, finest_mm=2 * b)


def tophus(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P17: lobulated deposit of urate, hardly denser than the limit of mineral, with a few denser flecks."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.55, 0.9)
    body = lump(radii, random_bumps(rng, height=0.12, frequency=4))
    paints = [mineral(body, lesion.hu)]
    for centre in _spread(rng, int(np.clip(lesion.diameter_mm / 2, 3, 9)), radii, reach=0.6):
        size = min(radii) * float(rng.uniform(0.2, 0.4))
        paints.append(
            mineral(intersection(ball(size, _triple(centre)), body), lesion.hu * float(rng.uniform(1.3, 1.9)))
        )
    return Piece(paints=tuple(paints), finest_mm=3.0)


def nodule(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P19: one small well-defined nodule in the fat, with a thin fibrous coat."""
    half = lesion.diameter_mm / 2
    bumps = random_bumps(rng, height=0.06, frequency=3)
    radii = (half * 0.9 * squeeze, half * 0.85 * squeeze, half)
    coat = ellipsoid((radii[0] + 1.2, radii[1] + 1.2, radii[2] + 1.2))
    return Piece(paints=(soft(coat, 35.0), mineral(lump(radii, bumps), lesion.hu)), finest_mm=half)


def rice_grains(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P20: grains along the muscle fibres, none farther than 8 mm from its neighbour."""
    count = int(np.clip(lesion.diameter_mm / 8, 4, 14))
    reach = rng.uniform(3.2, 4.6, count)
    centres = chain(rng, reach, gap_mm=(0.5, 3.0), flatness=0.6 * squeeze)
    paints = []
    for centre, half in zip(centres, reach, strict=True):
        lean = rng.normal(scale=0.12, size=2)
        along = np.array([lean[0], lean[1], 1.0])
        along /= np.linalg.norm(along)
        radius = float(rng.uniform(1.2, 1.9))
        ends = along * (half - radius)
        paints.append(mineral(capsule(centre - ends, centre + ends, radius), lesion.hu))
    return Piece(paints=tuple(paints), foci=count, posture=Posture.ALONG, finest_mm=2.4)


def chondroid(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P22: rings and arcs in a lobulated soft mass."""
    radii = half_axes(rng, lesion.diameter_mm, squeeze, 0.65, 0.9)
    outer = (radii[0] + 5, radii[1] + 5, radii[2] + 6) if lesion.mass_mm is None else _scaled(radii, lesion.mass_mm)
    mass = lump(outer, random_bumps(rng, height=0.08, frequency=4))
    paints = [soft(mass, 28.0)]
    count = int(np.clip(lesion.diameter_mm / 3, 6, 16))
    centres = _spread(rng, count, radii, reach=0.8)
    centres[:2] = [[0, 0, radii[2] - 3], [0, 0, 3 - radii[2]]]
    for i, centre in enumerate(centres):
        size = float(rng.uniform(2.2, 3.6))
        ring = ball(size, _triple(centre))
        paints += [mineral(ring, lesion.hu), soft(shrunk(ring, 1.1), 32.0)]
        if i > 1 and rng.uniform() < 0.5:
            normal = directions(50)[int(rng.integers(50))]
            paints.append(soft(cap(ring, normal, float(centre @ normal)), 30.0))
    return Piece(paints=tuple(paints), mass=mass, features=("rings",), foci=count, finest_mm=1.1)


def _scaled(radii: tuple[float, float, float], longest_mm: float) -> tuple[float, float, float]:
    factor = longest_mm / 2 / max(radii)
    flat = min(1.0, factor)
    wide = max(1.0, 0.75 * factor) if factor > 1 else flat
    return (radii[0] * wide, radii[1] * wide, radii[2] * factor)


def central_cloud(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P23: cloud, densest in its centre, inside a large soft mass."""
    longest = lesion.mass_mm or max(56.0, lesion.diameter_mm * 2.0)
    outer = half_axes(rng, longest, squeeze, 0.5, 0.7)
    mass = lump(outer, random_bumps(rng, height=0.06, frequency=3))
    share = lesion.diameter_mm / longest
    radii = (max(3.0, outer[0] * share), max(3.0, outer[1] * share), lesion.diameter_mm / 2)
    paints = [soft(mass, 40.0)]
    count = int(np.clip(lesion.diameter_mm / 2, 10, 24))
    size = min(radii) * 0.45
    centres = _spread(rng, count, (radii[0], radii[1], radii[2]), reach=0.75)
    centres[:2] = [[0, 0, radii[2] - size], [0, 0, size - radii[2]]]
    for centre in centres[np.argsort(-np.linalg.norm(centres / radii, axis=1))]:
        depth = 1.0 - 0.55 * float(np.linalg.norm(centre / radii))
        each = size * float(rng.uniform(0.8, 1.2))
        shape = lump((each, each, each), random_bumps(rng, height=0.2, frequency=4), _triple(centre))
        paints.append(mineral(shape, lesion.hu * depth))
    core = lump((size * 1.1, size * 1.1, size * 1.3), random_bumps(rng, height=0.15, frequency=4))
    paints.append(mineral(core, lesion.hu * 1.15))
    return Piece(paints=tuple(paints), mass=mass, posture=Posture.ALONG, features=("centre_dense",), finest_mm=4.0)


def eccentric_stipples(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P24: stipples gathered at one side of a soft mass."""
    longest = lesion.mass_mm or max(25.0, lesion.diameter_mm * 1.7)
    outer = half_axes(rng, longest, squeeze, 0.6, 0.8)
    mass = lump(outer, random_bumps(rng, height=0.06, frequency=3))
    half = lesion.diameter_mm / 2
    offset = np.array([0.0, 0.0, max(0.0, outer[2] - half - 2)])
    radii = (min(half, outer[0] * 0.8), min(half, outer[1] * 0.8), half)
    count = int(np.clip(half * 1.2, 7, 20))
    centres = _spread(rng, count, radii, reach=0.85) + offset
    paints = [soft(mass, 42.0)]
    for centre in centres:
        size = float(rng.uniform(0.9, 1.9))
        paints.append(
            mineral(lump((size, size, size), random_bumps(rng, height=0.2, frequency=4), _triple(centre)), lesion.hu)
        )
    return Piece(paints=tuple(paints), mass=mass, posture=Posture.ALONG, foci=count, finest_mm=2.0)


def fatty_mass(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P25: amorphous mineral inside a fatty mass with thick septa."""
    longest = lesion.mass_mm or max(45.0, lesion.diameter_mm * 2.2)
    outer = half_axes(rng, longest, squeeze, 0.5, 0.75)
    mass = lump(outer, random_bumps(rng, height=0.06, frequency=3))
    half = lesion.diameter_mm / 2
    radii = (min(half * 0.8, outer[0] * 0.6), min(half * 0.8, outer[1] * 0.6), half)
    focus = lump(radii, random_bumps(rng, height=0.15, frequency=5))
    around = ellipsoid((radii[0] + 1.5, radii[1] + 1.5, radii[2] + 2))
    septum_turn = random_rotation(rng)
    sheet = intersection(moved(ellipsoid((longest, longest, 0.9)), septum_turn, np.zeros(3)), mass)
    paints = (soft(mass, -86.0), soft(sheet, 20.0), soft(around, 15.0), mineral(focus, lesion.hu))
    return Piece(paints=paints, mass=mass, posture=Posture.ALONG, features=("fatty_mass",), finest_mm=5.0)


def fragment(lesion: LesionRecipe, rng: np.random.Generator, squeeze: float) -> Piece:
    """P28: a jagged piece of metal; not a lesion."""
    half = lesion.diameter_mm / 2
    shape = lump((half * 0.4 * squeeze, half * 0.6, half), random_bumps(rng, height=0.2, frequency=5))
    return Piece(paints=(soft(shape, lesion.hu),), finest_mm=half)
