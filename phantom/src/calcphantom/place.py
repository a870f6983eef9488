"""Put lesions into a body: choose the place by the anatomy, never by the voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom import lesions_bound as bound
from calcphantom import lesions_rim as rim
from calcphantom import lesions_solid as solid
from calcphantom.limb import FAT_HU
from calcphantom.piece import Piece, Posture, soft
from calcphantom.recipe import Layer, LesionRecipe, RoughLesionRecipe
from calcphantom.scene import Body, Place, Surface, Vessel
from calcphantom.shapes import (
    Floats,
    Shape,
    about_z,
    intersection,
    moved,
    no_points,
    outside,
    random_rotation,
    shrunk,
)

Builder = Callable[[LesionRecipe, np.random.Generator, float], Piece]

PATTERNS: Final = MappingProxyType[str, Builder](
    {
        "P01": solid.phlebolith,
        "P05": rim.zonal_rim,
        "P06": solid.faint_cloud,
        "P07": rim.mature_bone,
        "P08": rim.bar,
        "P09": solid.amorphous,
        "P10": rim.muscle_shell,
        "P12": solid.nodules,
        "P13": rim.levels,
        "P14": solid.speckles,
        "P15": solid.tendon_deposit,
        "P17": solid.tophus,
        "P19": solid.nodule,
        "P20": solid.rice_grains,
        "P21": rim.node,
        "P22": solid.chondroid,
        "P23": solid.central_cloud,
        "P24": solid.eccentric_stipples,
        "P25": solid.fatty_mass,
        "P26": rim.open_shell,
        "P27": rim.rim_around,
        "P28": solid.fragment,
    }
)
"""Builders of lesions that may lie anywhere; those bound to vessels, fascia, skin or bone are in `lesions_bound`."""

BOUND_PATTERNS: Final = frozenset({"P02", "P03", "P04", "P11", "P16", "P18"})
"""Patterns that follow the anatomy."""

_ROUNDS: Final = 40
_TRIES: Final = 48
_CHECKED_POINTS: Final = 260


class NoRoomError(ValueError):
    """The body has no place for a lesion of this kind and size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """A lesion in its place.

    Parameters
    ----------
    recipe : LesionRecipe
        What was asked for.
    piece : Piece
        In LPS mm.
    body : Body
        The limb or trunk that holds it.
    region : str
        Part of the body.
    """

    recipe: LesionRecipe
    piece: Piece
    body: Body
    region: str = ""


def shift_piece(piece: Piece, rotation: Floats, shift_mm: Floats) -> Piece:
    """Move every part of a piece: rotation of shape ``(3, 3)`` (no unit), then shift of shape ``(3,)`` in mm."""
    paints = tuple(replace(p, shape=moved(p.shape, rotation, shift_mm)) for p in piece.paints)
    mass, bed = (None if s is None else moved(s, rotation, shift_mm) for s in (piece.mass, piece.bed))
    return replace(piece, paints=paints, mass=mass, bed=bed)


def _bedded(piece: Piece, body: Body) -> Piece:
    """Paint the fat a lesion lies in: beneath the fascia, around vessels, bones and organs."""
    if piece.bed is None:
        return piece
    solids = (*body.bones, *body.keep_out, *(v.tube().shape() for v in body.vessels))
    fat = intersection(piece.bed, shrunk(body.fascia.shape(), 1.0), *(outside(s) for s in solids))
    return replace(piece, paints=(soft(replace(fat, points=no_points()), FAT_HU), *piece.paints))


def place_lesion(
    lesion: LesionRecipe,
    body: Body,
    rng: np.random.Generator,
    *,
    others: tuple[Placed, ...],
    half_length_mm: float,
    blood_hu: float,
) -> Placed:
    """Build a lesion and find a place for it.

    Parameters
    ----------
    lesion : LesionRecipe
        Pattern, size, layer, density.
    body : Body
        Where it goes.
    rng : np.random.Generator
        Draws shape and place.
    others : tuple[Placed, ...]
        Lesions already placed; at least 16 mm are kept to each.
    half_length_mm : float
        Half the length of the scan, mm; the lesion stays within.
    blood_hu : float
        Density of arterial blood, HU.

    Returns
    -------
    Placed
        In LPS mm. The lesion may have been narrowed, or as a last resort shortened, to fit.

    Raises
    ------
    NoRoomError
        Nothing fits.
    """
    named = _place_of(lesion, body)
    done = partial(Placed, recipe=lesion, body=body, region=body.region if named is None else named.region)
    if lesion.layer is Layer.FUSED:
        return done(piece=bound.fused_with_bone(lesion, body, rng))
    build = _builder(lesion)
    if build is None:
        return done(piece=_bound_piece(lesion, body, rng, blood_hu, half_length_mm))
    squeeze, size = 1.0, 1.0
    for round_number in range(_ROUNDS):
        if round_number > 0:
            squeeze *= 0.94
        if round_number > 0 and round_number % 8 == 0:
            squeeze, size = 1.0, size * 0.88
        mass = None if lesion.mass_mm is None else lesion.mass_mm * size
        piece = build(replace(lesion, diameter_mm=lesion.diameter_mm * size, mass_mm=mass), rng, squeeze)
        placed = _find_place(piece, lesion, body, rng, others=others, half_length_mm=half_length_mm)
        if placed is not None:
            return done(piece=_bedded(placed, body))
    msg = f"no room for {lesion.pattern} of {lesion.diameter_mm:.0f} mm ({lesion.layer})"
    raise NoRoomError(msg)


def _builder(lesion: LesionRecipe) -> Builder | None:
    """Builder of a lesion that may lie anywhere, in either definition; ``None`` for one bound to the anatomy."""
    if isinstance(lesion, RoughLesionRecipe) and lesion.pattern != "P16":
        from calcphantom.insert.rough import BY_PATTERN  # noqa: PLC0415 - that package needs this one

        rough = BY_PATTERN[lesion.pattern]
        return lambda wish, rng, _squeeze: rough(wish, rng)
    return None if lesion.pattern in BOUND_PATTERNS else PATTERNS[lesion.pattern]


def _bound_piece(
    lesion: LesionRecipe, body: Body, rng: np.random.Generator, blood_hu: float, half_length_mm: float
) -> Piece:
    if lesion.pattern == "P16":
        found = bound.cartilage(lesion, body, rng, half_length_mm=half_length_mm)
        if found is None:
            msg = f"no joint has room for {lesion.pattern} of {lesion.diameter_mm:.0f} mm"
            raise NoRoomError(msg)
        return found
    if lesion.pattern == "P02":
        return bound.tram_track(lesion, body, rng, blood_hu)
    if lesion.pattern == "P03":
        return bound.plaque(lesion, body, rng, blood_hu)
    if lesion.pattern == "P11":
        return bound.fascial_sheets(lesion, body, rng)
    return bound.skin_net(lesion, body, rng)


def _outline(piece: Piece, rng: np.random.Generator) -> Floats:
    """Points on everything solid in the piece, shape ``(n, 3)``, mm."""
    points = np.concatenate([p.shape.points for p in piece.paints if len(p.shape.points)])
    return points[rng.permutation(len(points))[:_CHECKED_POINTS]] if len(points) > _CHECKED_POINTS else points


def _turn(posture: Posture, rng: np.random.Generator) -> Floats:
    if posture is Posture.UPRIGHT:
        return np.eye(3)
    if posture is Posture.ALONG:
        return about_z(float(rng.uniform(-np.pi, np.pi)), float(rng.normal(scale=0.12)))
    return random_rotation(rng)


def _find_place(
    piece: Piece,
    lesion: LesionRecipe,
    body: Body,
    rng: np.random.Generator,
    *,
    others: tuple[Placed, ...],
    half_length_mm: float,
) -> Piece | None:
    outline = _outline(piece, rng)
    is_free = isinstance(body.skin, Surface) and piece.posture is Posture.ALONG  # muscles run any way there
    for _ in range(_TRIES):
        turn = random_rotation(rng) if is_free else _turn(piece.posture, rng)
        turned = outline @ turn.T
        reach = float(np.abs(turned[:, 2]).max())
        room = max(0.0, half_length_mm - reach - 4.0)
        shift = _draw_centre(lesion, body, rng, z=float(rng.uniform(*_heights(lesion, body, room))))
        shift = _settle(shift, turned, lesion, body)
        if abs(float(shift[2])) > room + 1e-6:
            continue
        if _fits(turned + shift, lesion, body, others):
            return shift_piece(piece, turn, shift)
    return None


def _heights(lesion: LesionRecipe, body: Body, room_mm: float) -> tuple[float, float]:
    """Heights that the middle of a lesion may have: in the scan, and within its place."""
    named = _place_of(lesion, body)
    if named is None:
        return -room_mm, room_mm
    low, high = (float(np.clip(v, -room_mm, room_mm)) for v in named.shape.box[:, 2])
    return low, high


def _draw_centre(lesion: LesionRecipe, body: Body, rng: np.random.Generator, *, z: float) -> Floats:
    layer = lesion.layer
    named = _place_of(lesion, body)
    if named is not None:
        return _draw_in(named.shape, rng, z=z)
    for name, muscle in body.sites:
        if name == lesion.site:
            x, y = (float(v) for v in muscle.centre(np.array(z * 0.3)))
            wide, deep = (float(muscle.radius(np.array(turn), np.array(z))) for turn in (0.0, np.pi / 2))
            return np.array([x + rng.normal(scale=wide / 9), y + rng.normal(scale=deep / 6.5), z * 0.3])
    is_venous = lesion.pattern == "P01" and body.is_trunk
    if layer is Layer.SUBFASCIAL and (lesion.pattern == "P21" or is_venous):
        vessels = tuple(v for v in body.vessels if not v.is_artery)
        return _beside_vessel(vessels[int(rng.integers(len(vessels)))], rng, z=z, off_mm=lesion.diameter_mm / 2)
    angle = float(rng.uniform(-np.pi, np.pi))
    if body.fat_sites and layer in {Layer.SUBCUTANEOUS, Layer.ABUTTING}:
        angle = float(rng.uniform(*body.fat_sites[int(rng.integers(len(body.fat_sites)))]))
    height = np.array(z)
    inner, outer = (float(t.radius(np.array(angle), height)) for t in (body.fascia, body.skin))
    if layer in {Layer.SUBCUTANEOUS, Layer.ABUTTING}:
        radius = float(rng.uniform(inner, outer))
    else:
        radius = inner * float(np.sqrt(rng.uniform(0.0, 1.0)))
    middle_x, middle_y = (float(v) for v in body.skin.centre(height))
    return np.array([middle_x + radius * np.cos(angle), middle_y + radius * np.sin(angle), z])


def _place_of(lesion: LesionRecipe, body: Body) -> Place | None:
    return next((place for place in body.places if place.name == lesion.site), None)


def _draw_in(shape: Shape, rng: np.random.Generator, *, z: float) -> Floats:
    """Return a point of a solid, at height z (mm) or as near as the solid comes to it."""
    low, high = shape.box
    points = rng.uniform(low, high, (600, 3))
    points[:, 2] = np.clip(z, low[2], high[2])
    depth = -shape.distance(*points.T)
    inner = points[depth > min(3.0, 0.4 * float(depth.max()))]
    return np.asarray(inner[int(rng.integers(len(inner)))] if len(inner) else points[depth.argmax()])


def _beside_vessel(vessel: Vessel, rng: np.random.Generator, *, z: float, off_mm: float) -> Floats:
    """Return a place next to a vein: where nodes, and the tributaries with their stones, lie."""
    x, y = (float(v) for v in vessel.path(np.array(z)))
    turn, away = rng.uniform(-np.pi, np.pi), vessel.radius_mm + off_mm + rng.uniform(1.0, 8)
    return np.array([x + away * np.cos(turn), y + away * np.sin(turn), z])


def _settle(shift: Floats, turned: Floats, lesion: LesionRecipe, body: Body) -> Floats:
    """Slide a lesion in the axial plane until it touches what it is meant to touch."""
    if lesion.layer is Layer.ABUTTING:
        return _slide(shift, turned, body.fascia.distance, target_mm=0.0)
    if lesion.layer is Layer.JUXTACORTICAL:
        nearest = min(body.bones, key=lambda b: float(b.distance(*shift[:, None])[0]))
        return _slide(shift, turned, nearest.distance, target_mm=1.6)
    if lesion.pattern == "P15":
        nearest = min(body.bones, key=lambda b: float(b.distance(*shift[:, None])[0]))
        return _slide(shift, turned, nearest.distance, target_mm=3.6)
    return shift


def _slide(shift: Floats, turned: Floats, distance: Callable[..., Floats], *, target_mm: float) -> Floats:
    place = shift.copy()
    for _ in range(6):
        gap = float(distance(*(turned + place).T).min()) - target_mm
        around = np.array([float(distance(*(place + step)[:, None])[0]) for step in np.vstack((np.eye(3), -np.eye(3)))])
        slope = np.array([around[0] - around[3], around[1] - around[4], 0.0])
        place = place - gap * slope / max(float(np.linalg.norm(slope)), 1e-6)
    return place


def _fits(points: Floats, lesion: LesionRecipe, body: Body, others: tuple[Placed, ...]) -> bool:
    x, y, z = points.T
    bone = float(np.min([b.distance(x, y, z).min() for b in body.bones]))
    fascia = body.fascia.distance(x, y, z)
    named = _place_of(lesion, body)
    if named is not None:
        if float(named.shape.distance(x, y, z).max()) > 0 or bone < 2.2:
            return False
        return all(_box_gap(points, other) > 16.0 for other in others)
    if not _layer_fits(lesion, skin_mm=float(body.skin.distance(x, y, z).max()), fascia_mm=fascia, bone_mm=bone):
        return False
    if any(float(shape.distance(x, y, z).min()) < 1.0 for shape in body.keep_out):
        return False
    vessels = (v.tube(v.radius_mm + 1.0) for v in body.vessels)
    if any(float(v.distance(x, y, z).min()) < 0 for v in vessels):
        return False
    return all(_box_gap(points, other) > 16.0 for other in others)


def _layer_fits(lesion: LesionRecipe, *, skin_mm: float, fascia_mm: Floats, bone_mm: float) -> bool:
    low, high = float(fascia_mm.min()), float(fascia_mm.max())
    match lesion.layer:
        case Layer.SUBCUTANEOUS:
            return skin_mm < -2.6 and low > 1.6
        case Layer.ABUTTING:
            return skin_mm < -2.6 and -0.25 < low < 0.25
        case Layer.JUXTACORTICAL:
            return high < -1.0 and 1.0 < bone_mm < 2.4
        case _ if lesion.pattern == "P13":
            return high < -1.8 and bone_mm > 3.4
        case _ if lesion.pattern == "P15":
            return high < -1.0 and 2.6 < bone_mm < 5.5
        case _:
            return high < -1.8 and bone_mm > 5.0


def _box_gap(points: Floats, other: Placed) -> float:
    boxes = [p.shape.box for p in other.piece.paints if p.is_mineral]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    gaps = np.maximum(np.maximum(low - points, points - high), 0.0)
    return float(np.linalg.norm(gaps, axis=1).min())
