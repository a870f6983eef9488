"""Bones of the trunk and shoulders: thin cortex, spongy marrow, cartilage that calcifies with age."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from calcphantom.frame import Contents, Frame
from calcphantom.recipe import Extra, PhantomRecipe
from calcphantom.scene import Incidental, Paint
from calcphantom.shapes import Floats, Shape, shrunk
from calcphantom.solids import band, chain, curve, drum, egg, joined, plate, rod

if TYPE_CHECKING:
    from collections.abc import Sequence


class Cage(Protocol):
    """Outline of the thoracic cavity."""

    def centre(self, z: Floats) -> tuple[Floats, Floats]:
        """Middle at heights, mm."""
        ...

    def radius(self, angle: Floats, z: Floats) -> Floats:
        """Radius at angles and heights, mm."""
        ...


_DISC_Z: Final = (184, 161, 138, 115, 92, 69, 46, 23, 0, -23, -46, -69, -92, -118, -149, -181, -214, -247)
"""Heights of the middles of C7, T1 to T12 and L1 to L5, mm in the frame."""
_RIB_ENDS_DEG: Final = (-52, -58, -62, -63, -62, -58, -50, -38, -24, -4, 28, 44)
"""Where each bony rib ends, degrees from the side (0) forwards (negative)."""
_RIB_DROPS_MM: Final = (26, 42, 54, 62, 68, 74, 78, 78, 72, 60, 40, 26)
"""How far each rib runs down to its end, mm."""
STERNUM_Y: Final = -101.0


def torso_bones(frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator, *, cage: Cage) -> Contents:
    """Spine, ribs with cartilage, sternum, clavicles, scapulae, upper arms and iliac wings of an individual."""
    cortex = float(rng.uniform(0.7, 1.1) if frame.is_old else rng.uniform(0.9, 1.5))
    marrow = float(rng.uniform(90, 170) if frame.is_old else rng.uniform(150, 250))
    dense = float(rng.uniform(650, 950))
    ribs, cartilages, front = _ribs(frame, rng, cage)
    groups: list[tuple[Shape, float, float, float]] = [
        (joined(ribs), cortex, dense, marrow),
        (_bodies(frame), 0.8 * cortex, dense * 0.75, marrow + 20),
        (_arches(frame, rng), cortex, dense, marrow + 60),
        (front, cortex, dense * 0.9, marrow),
        (_girdle(frame, recipe, cage), cortex, dense, marrow),
        (_humeral_heads(frame), 1.1 * cortex, dense, marrow),
        (_shafts(frame, recipe), 3.2, 1350.0, -40.0),
        (_pelvis(frame), 1.2 * cortex, dense, marrow),
    ]
    mineral = _cartilage_mineral(recipe, rng, cartilages)
    canal = _canal(frame)
    return Contents(
        paints=(
            *(Paint(shape=c, hu=float(rng.uniform(80, 160))) for c in (joined(cartilages),)),
            *(Paint(shape=shape, hu=hu) for shape, _, hu, _ in groups),
            *(Paint(shape=shrunk(shape, thick), hu=inside) for shape, thick, _, inside in groups),
            Paint(shape=_discs(frame), hu=float(rng.uniform(75, 110))),
            Paint(shape=canal, hu=24.0),
        ),
        incidentals=mineral,
        names=("costal cartilage",),
        bone=joined([*(g[0] for g in groups), *cartilages]),
    )


def _on_cage(cage: Cage, frame: Frame, angle: float, height: float, out_mm: float) -> Floats:
    z = float(frame.at(0, 0, height)[2])
    x, y = (float(v) for v in cage.centre(np.array(z)))
    r = float(cage.radius(np.array(angle), np.array(z))) + out_mm
    return np.array([x + r * np.cos(angle), y + r * np.sin(angle), z])


def _mirrored(point: Floats, sign: float) -> Floats:
    return np.asarray(point * np.array([sign, 1.0, 1.0]))


def _ribs(frame: Frame, rng: np.random.Generator, cage: Cage) -> tuple[list[Shape], list[Shape], Shape]:
    """Bony ribs, their cartilages, and the sternum with the xiphoid."""
    ribs: list[Shape] = []
    cartilages: list[Shape] = []
    up = np.array([0.0, 0.0, 1.0])
    for number in range(12):
        top, end, drop = _DISC_Z[number + 1], np.radians(_RIB_ENDS_DEG[number]), float(_RIB_DROPS_MM[number])
        drop = drop * float(rng.uniform(0.93, 1.07))
        half, thick = float(rng.uniform(3.2, 4.6)), float(rng.uniform(3.0, 3.8)) * frame.size
        back = frame.spine_y(top)
        for s in (-1.0, 1.0):
            way = [frame.at(19.5, back + 9, top + 9), frame.at(36.0, back + 27, top + 5)]
            for share in np.linspace(0.0, 1.0, 12):
                angle = np.radians(66.0) + (end - np.radians(66.0)) * share
                way.append(_on_cage(cage, frame, float(angle), top - drop * share**1.15, thick + 1.0))
            ribs.append(band([_mirrored(p, s) for p in curve(way, 22)], up, half, thick))
            if number < 10:
                ends = _cartilage_way(frame, cage, number, way[-1])
                cartilages.append(band([_mirrored(p, s) for p in curve(ends, 8)], up, half * 0.9, thick * 0.95))
    return ribs, cartilages, _sternum(frame, cage)


def _cartilage_way(frame: Frame, cage: Cage, number: int, start: Floats) -> list[Floats]:
    """From the end of a rib to the sternum, or for ribs 8 to 10 to the arch above."""
    height = float(frame.height(start[2]))
    if number < 7:
        target = 118.0 - number * 24.0 if number < 6 else -14.0
        angle = np.radians(-74.0)
        middle = _on_cage(cage, frame, float(np.radians(-69.0)), (height + target) / 2 - 4, 5.0)
        return [start, middle, _on_cage(cage, frame, float(angle), target, 5.0)]
    angle = np.radians(_RIB_ENDS_DEG[number] - 14.0)
    middle = _on_cage(cage, frame, float(angle), height - 2, 5.0)
    return [start, middle, _on_cage(cage, frame, float(angle - np.radians(12)), height + 22, 5.0)]


def _sternum(frame: Frame, cage: Cage) -> Shape:
    def front(height: float) -> Floats:
        return _on_cage(cage, frame, -np.pi / 2, height, 6.5)

    wide = np.array([1.0, 0.0, 0.0])
    upper, angle, lower, tip = front(126), front(82), front(-18), front(-46)
    return joined(
        [
            plate((upper + angle) / 2, wide * 21 * frame.size, (upper - angle) / 2, 5.0),
            plate((angle + lower) / 2, wide * 12 * frame.size, (angle - lower) / 2 - (0, 0, 2), 4.6),
            plate((lower + tip) / 2, wide * 5, (lower - tip) / 2, 3.0),
        ]
    )


def _sizes(height: float) -> tuple[float, float, float]:
    """Half width, half depth and half height of a vertebral body at a height, mm."""
    knots = (-247, -149, -92, 0, 161, 184)
    return tuple(  # type: ignore[return-value]
        float(np.interp(height, knots, values))
        for values in ((25, 23, 19, 15.5, 14, 13), (17.5, 16.5, 15, 13.5, 10, 9), (13, 13, 11.2, 9.6, 8.6, 8))
    )


def _bodies(frame: Frame) -> Shape:
    parts = []
    for height in _DISC_Z:
        wide, deep, half = _sizes(height)
        place = frame.at(0, frame.spine_y(height), height)
        parts.append(drum(place, (wide * frame.size, deep * frame.size), half * frame.size, waist_mm=1.8))
    sacrum = plate(frame.at(0, 62, -300), frame.at(26, 0, 0) - frame.at(0, 0, 0), np.array([0, 14.0, -26.0]), 15.0)
    return joined([*parts, sacrum])


def _discs(frame: Frame) -> Shape:
    parts = []
    for above, below in itertools.pairwise(_DISC_Z):
        middle = (above + below) / 2
        wide, deep, half = _sizes(middle)
        gap = (above - below) / 2 - half
        place = frame.at(0, frame.spine_y(middle), middle)
        parts.append(drum(place, (wide * frame.size, deep * frame.size), max(1.2, gap * frame.size - 0.4)))
    return joined(parts)


def _arches(frame: Frame, rng: np.random.Generator) -> Shape:
    """Pedicles, articular and transverse processes, laminae, spinous processes."""
    parts: list[Shape] = []
    for number, height in enumerate(_DISC_Z):
        wide, deep, _ = _sizes(height)
        y = frame.spine_y(height) + deep
        is_lumbar = number >= 13
        reach, drop = (50.0, 0.0) if is_lumbar else (34.0, 0.0)
        for s in (-1.0, 1.0):
            inner = frame.at(s * wide * 0.62, y - 3, height + 4)
            joint = frame.at(s * wide * 0.85, y + 14, height + 1)
            tip = frame.at(s * (reach - 2.5 * max(0, number - 15)), y + (12 if is_lumbar else 22), height + 2 - drop)
            top, low = (frame.at(s * wide * 0.95, y + 15, height + dz) for dz in (12, -15))
            back = frame.at(s * 3.0, y + 24, height - 7)
            parts += [
                rod(inner, joint, 4.6 * frame.size),
                rod(joint, tip, 4.0 if not is_lumbar else 3.4, 3.0),
                rod(top, low, 4.2),
                band([joint, back], np.array([0.0, 0.0, 1.0]), 7.0, 2.2),
            ]
        root = frame.at(0, y + 24, height - 6)
        slope = (-26.0, 15.0) if not is_lumbar else (-7.0, 30.0)
        lean = float(rng.uniform(-1.5, 1.5))
        tip = frame.at(lean, y + 24 + slope[1], height - 6 + slope[0])
        parts.append(band([root, tip], np.array([0.0, 0.0, 1.0]), 7.0 if is_lumbar else 3.0, 2.6))
    return joined(parts)


def _canal(frame: Frame) -> Shape:
    way = [frame.at(0, frame.spine_y(z) + _sizes(z)[1] + 9.5, z) for z in range(-290, 230, 26)]
    return chain(way, 7.6 * frame.size)


def _girdle(frame: Frame, recipe: PhantomRecipe, cage: Cage) -> Shape:
    """Clavicles and scapulae: a blade thinner than 3 mm with thicker borders, spine, acromion, coracoid, glenoid."""
    parts: list[Shape] = []
    raised = 12.0 if Extra.ARMS_DOWN not in recipe.extras else 0.0
    for s in (-1.0, 1.0):

        def at(x: float, y: float, z: float, s: float = s) -> Floats:
            return frame.at(s * x, y, z + raised * np.clip((x - 70) / 70, 0, 1))

        front = _mirrored(_on_cage(cage, frame, float(np.radians(-76)), 128, 8.0), s)
        ends = [front, at(62, -62, 134), at(105, -28, 142), at(148, 4, 140)]
        clavicle = chain(curve(ends, 10), [6.6, 6.2, 5.6, 5.2, 5.0, 5.0, 5.2, 5.6, 6.2, 6.6])
        low, top, corner, glenoid = at(84, 98, -22), at(62, 84, 112), at(72, 92, 62), at(137, 34, 106)
        lateral = at(112, 84, 30)
        blade = [
            plate((low + corner) / 2 + (s * 8, -1, 4), (corner - low) / 2, (lateral - corner) / 3.2, 1.0),
            plate((corner + glenoid) / 2 + (0, 0, -14), (glenoid - corner) / 2.3, (top - low) / 6.5, 1.1),
            plate((corner + glenoid) / 2 + (0, -2, 14), (glenoid - corner) / 2.3, (top - corner) / 3.6, 0.9),
        ]
        borders = [rod(low, lateral, 4.6, 4.4), rod(lateral, glenoid, 4.4, 7.0), chain([low, corner, top], 2.2)]
        spine = [band([at(70, 98, 66), at(105, 88, 96), at(146, 44, 127)], np.array([0, 0.7, 0.7]), 5.0, 2.3)]
        acromion = plate(at(156, 26, 134), at(0, 11, 0) - at(0, 0, 0), at(8, 0, 0) - at(0, 0, 0), 3.6)
        coracoid = chain([at(128, 18, 122), at(130, -10, 130), at(140, -22, 120)], 5.0)
        parts += [clavicle, *blade, *borders, *spine, acromion, coracoid, egg(glenoid, (7.5, 14.0, 18.0))]
    return joined(parts)


def _humeral_heads(frame: Frame) -> Shape:
    """Heads of the humeri with their tubercles."""
    parts = []
    for s in (-1.0, 1.0):
        head = frame.at(s * 164, 18, 108)
        parts += [egg(head, (21.5, 22.0, 22.5)), egg(head + (s * 9, -12, -4), (11, 11, 17))]
        parts.append(rod(head + (s * 2, -2, -14), head + (s * 9, -4, -38), 15.5, 12.0))
    return joined(parts)


def _shafts(frame: Frame, recipe: PhantomRecipe) -> Shape:
    """Humeri in the pose of the arms, and forearms where they hang."""
    parts: list[Shape] = []
    for s in (-1.0, 1.0):
        head = frame.at(s * 164, 18, 108)
        if Extra.ARMS_DOWN in recipe.extras:
            way = [head + (s * 9, -4, -38), frame.at(s * 196, 16, 10), frame.at(s * 214, 20, -150)]
            for dx, dy in ((-9, -6), (9, 8)):
                end = frame.at(s * (200 + dx), -20 + dy, -330)
                parts.append(rod(frame.at(s * (216 + dx), 12 + dy, -165), end, 6.6))
        else:
            way = [head + (s * 6, -4, 22), frame.at(s * 174, 0, 180), frame.at(s * 170, -12, 280)]
        parts.append(chain(way, [12.0, 11.3, 10.5]))
    return joined(parts)


def _pelvis(frame: Frame) -> Shape:
    """Iliac crests and wings down to the sacroiliac joints."""
    parts: list[Shape] = []
    for s in (-1.0, 1.0):
        crest = [
            frame.at(s * x, y, z) for x, y, z in ((46, 84, -252), (78, 72, -224), (112, 24, -218), (122, -34, -252))
        ]
        way = curve(crest, 8)
        parts.append(chain(way, 5.5))
        for a, b in itertools.pairwise(way):
            middle = (a + b) / 2
            inward = frame.at(s * 60, 30, -330) - middle
            parts.append(plate(middle + inward * 0.45, (b - a) / 2, inward * 0.45, 3.0))
    return joined(parts)


def _cartilage_mineral(
    recipe: PhantomRecipe, rng: np.random.Generator, cartilages: Sequence[Shape]
) -> tuple[Incidental, ...]:
    """Shell and flecks of calcified costal cartilage."""
    if Extra.OLD_CARTILAGE not in recipe.extras:
        return ()
    found = []
    for cartilage in cartilages:
        if rng.uniform() < 0.25:
            continue
        parts = [p for p in cartilage.parts if rng.uniform() < 0.7]
        shells = [_shell(part, float(rng.uniform(0.7, 1.3))) for part in parts]
        spots = []
        for part in cartilage.parts:
            middle = part.box.mean(axis=0)
            spots += [middle + rng.normal(scale=(2.5, 1.5, 2.5)) for _ in range(int(rng.integers(0, 3)))]
        solids = [
            *shells,
            *(egg(p, (r, r, r * 1.6)) for p, r in zip(spots, rng.uniform(0.7, 2.0, len(spots)), strict=True)),
        ]
        if solids:
            paint = Paint(shape=joined(solids), hu=float(rng.uniform(250, 500)))
            found.append(Incidental(kind="cartilage", structure="costal cartilage", paint=paint))
    return tuple(found)


def _shell(shape: Shape, thick_mm: float) -> Shape:
    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        d = shape.distance(x, y, z)
        return np.asarray(np.maximum(d, -d - thick_mm))

    return Shape(distance=distance, box=shape.box, points=shape.points)
