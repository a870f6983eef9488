"""Hand and foot: many small bones with thin cortex in little soft tissue."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.frame import scan_level_mm
from calcphantom.limb import FAT_HU, MUSCLE_HU, SKIN_HU
from calcphantom.recipe import Extra, PhantomRecipe, Region
from calcphantom.scene import Body, Paint, Place, Surface
from calcphantom.shapes import Floats, Shape, half_space, intersection, outside, shrunk
from calcphantom.solids import chain, egg, joined, plate, rod

_METACARPALS: Final = (
    ((-16.0, -62.0), (-27.0, 0.0)), ((-5.0, -63.0), (-8.0, 3.0)),
    ((6.0, -62.0), (11.0, 0.0)), ((17.5, -59.0), (28.0, -6.0)),
)  # fmt: skip
"""Base and head of metacarpals II to V: across (towards the little finger) and along the hand, mm."""
_PHALANGES: Final = ((40.0, 24.0, 18.0), (44.0, 28.0, 19.0), (41.0, 26.0, 19.0), (33.0, 19.0, 17.0))
"""Lengths of the phalanges of fingers II to V, mm."""
_PHALANX_RADII: Final = ((6.4, 4.0, 5.0), (5.4, 3.4, 4.4), (4.6, 2.5, 3.0))
_THUMB: Final = ((-27.0, 8.0, -64.0), (-50.0, 13.0, -28.0), (-62.0, 12.0, 4.0), (-68.0, 11.0, 28.0))
_CARPALS: Final = (
    (-15, 1, -86, 7.0), (-2, 0, -87, 7.5), (10, 0, -86, 6.0), (12, 11.5, -85, 4.2), (-22, 3, -72, 6.2),
    (-11.5, -1, -71, 5.6), (0, 0, -74.5, 7.4), (13, 1, -71, 6.6),
)  # fmt: skip
"""Middle (across, palmar, along) and radius of the eight carpal bones, mm."""

_TARSALS: Final = (
    ((0, 4, -16), (17, 21, 12)), ((-6, -21, -21), (11, 11, 10)), ((-14, -40, -26), (14, 6, 10)),
    ((15, -44, -46), (11, 15, 10)), ((-17, -58, -34), (7, 11, 9)), ((-5, -58, -30), (5.5, 10, 8)),
    ((6, -57, -33), (5.5, 10, 8)),
)  # fmt: skip
"""Middle (lateral, y, z) and half axes of talus with head, navicular, cuboid and cuneiforms, mm."""
_METATARSALS: Final = (
    ((-22, -72, -40), (-28, -124, -60), 7.0), ((-8, -73, -34), (-11, -132, -60), 5.2),
    ((3, -71, -36), (3, -128, -61), 4.9), ((13, -66, -42), (16, -121, -62), 4.7),
    ((24, -62, -50), (28, -112, -63), 5.0),
)  # fmt: skip
"""Base, head and radius of the metatarsals, mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where a hand or foot lies: `sign` is +1 when lateral, or the little finger, is at +x; sizes are scaled; mm."""

    sign: float
    size: float
    level_mm: float

    def at(self, across: float, y: float, z: float) -> Floats:
        """LPS position of a point, mm."""
        return np.asarray(np.array([self.sign * across, y, z]) * self.size - np.array([0.0, 0.0, self.level_mm]))


def _bone(start: Floats, end: Floats, radii: tuple[float, float, float], gap_mm: float = 0.9) -> Shape:
    """Long bone between two joints: broad base, narrow shaft, head."""
    unit = (end - start) / np.linalg.norm(end - start)
    a, b = start + unit * (radii[0] + gap_mm), end - unit * (radii[2] + gap_mm)
    base, head = a + (b - a) * 0.22, a + (b - a) * 0.8
    return chain([a, base, head, b], [radii[0], radii[1], radii[1] * 0.95, radii[2]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layers:
    """What a hand or foot is put together from."""

    skin: Shape
    deep: Shape
    bones: Shape
    tendons: Shape
    places: tuple[Place, ...]
    plates: Shape | None = None


def _body(recipe: PhantomRecipe, rng: np.random.Generator, layers: _Layers, skin_mm: float) -> Body:
    cortex, marrow = float(rng.uniform(0.7, 1.3)), float(rng.uniform(60, 220))
    low, high = layers.skin.box[:, :2]
    middle, half = (low + high) / 2, (high - low) / 2 + 10.0
    return Body(
        paints=(
            Paint(shape=layers.skin, hu=SKIN_HU),
            Paint(shape=shrunk(layers.skin, skin_mm), hu=FAT_HU),
            Paint(shape=layers.deep, hu=MUSCLE_HU),
            Paint(shape=layers.tendons, hu=float(rng.uniform(75, 100))),
            Paint(shape=layers.bones, hu=float(rng.uniform(900, 1400))),
            Paint(shape=shrunk(layers.bones, cortex), hu=marrow),
            *(() if layers.plates is None else (Paint(shape=layers.plates, hu=90.0),)),
        ),
        skin=Surface(solid=layers.skin),
        fascia=Surface(solid=layers.deep),
        bones=(layers.bones,),
        vessels=(),
        names=("sesamoids", "small bones"),
        side=recipe.laterality,
        places=layers.places,
        region=recipe.region.value,
        field_mm=((float(middle[0]), float(middle[1])), (float(half[0]), float(half[1]))),
    )


_PLATE_MM: Final = (1.2, 2.2)
_SPUR_MM: Final = (1.4, 2.8)


def _growth_plates(recipe: PhantomRecipe, bones: list[Shape], axis: int, sign: float) -> Shape | None:
    """Cartilage across the base of every long bone of a child: slabs square to an axis, from its end on; mm."""
    if Extra.GROWTH_PLATES not in recipe.extras:
        return None
    rng = np.random.default_rng([recipe.seed, 21])
    unit = np.zeros(3)
    unit[axis] = 1.0
    plates = []
    for bone in bones:
        low, high = bone.box[:, axis]
        if high - low < 14.0:
            continue
        off, half = float(rng.uniform(4.0, 6.5)), float(rng.uniform(*_PLATE_MM)) / 2
        middle = low + off if sign > 0 else high - off
        plates.append(intersection(bone, half_space(unit, middle + half), half_space(-unit, half - middle)))
    return joined(plates)


def _spurs(recipe: PhantomRecipe, bones: list[Shape], axis: int) -> list[Shape]:
    """Osteophytes at the margins of joints."""
    if Extra.OSTEOPHYTES not in recipe.extras:
        return []
    rng = np.random.default_rng([recipe.seed, 22])
    spurs = []
    for bone in bones:
        for end in (0, 1):
            place = bone.box.mean(axis=0)
            place[axis] = bone.box[end, axis] + (1 - 2 * end) * 3.0
            place[0] = bone.box[int(rng.integers(2)), 0]
            if rng.uniform() < 0.35 and float(bone.distance(*place[:, None])[0]) < 1.2:
                spurs.append(egg(place, [float(v) for v in rng.uniform(*_SPUR_MM, 3)]))
    return spurs


def _free(shape: Shape, bones: Shape, mm: float) -> Shape:
    return intersection(shape, outside(shrunk(bones, -mm)))


_HAND_HEIGHTS: Final = {"finger": (6.0, 112.0), "palm": (-66.0, 0.0)}
_FOOT_HEIGHTS: Final = {"sole": (-82.0, -52.0), "foot muscle": (-72.0, -44.0), "ankle fat": (0.0, 70.0)}
"""Lowest and highest height of each place, mm."""


def build_hand(recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float, half_length_mm: float) -> Body:
    """Hand with the palm on the table (posterior) and the fingers towards +z, apart or together."""
    size = float(rng.uniform(0.92, 1.1))
    part = Part(
        sign=1.0 if recipe.laterality == "left" else -1.0,
        size=size,
        level_mm=scan_level_mm(recipe, rng, (-125.0, 108.0), _HAND_HEIGHTS, half_length_mm=half_length_mm),
    )
    bones: list[Shape] = [egg(part.at(x, y, z), (r * 0.82, r * 0.85, r * 0.8)) for x, y, z, r in _CARPALS]
    skins: list[Shape] = []
    deeps: list[Shape] = []
    tendons: list[Shape] = []
    spread = Extra.SPREAD_FINGERS in recipe.extras
    for n, ((bx, bz), (hx, hz)) in enumerate(_METACARPALS):
        joints = _finger_joints(part, n, rng, spread=spread)
        bones.append(_bone(part.at(bx, 0, bz), part.at(hx, 0, hz), (4.9, 4.0, 6.6)))
        bones += [_bone(joints[k], joints[k + 1], _PHALANX_RADII[k]) for k in range(3)]
        line = [joints[0] - (0, 0, 16), *joints[:-1], joints[-1] + (0, 0, 0.5)]
        skins.append(chain([p + (0, 2.5, 0) for p in line], [11.5, 11.0, 10.0, 9.0, 7.6]))
        deeps.append(chain([p + (0, 0.3, 0) for p in line[1:]], [7.6, 7.0, 6.2, 4.6]))
        tendons += [
            chain([part.at(0, 12, -110), part.at(hx * 0.6, 9, -40), *[j + (0, 6.6, 0) for j in joints[:3]]], 2.0)
        ]
        tendons.append(chain([part.at(hx * 0.3, -10, -110), *[j - (0, 6.6, 0) for j in joints[:2]]], 1.2))
    thumb = [part.at(*p) for p in _THUMB]
    for k, radii in enumerate(((7.0, 4.6, 7.0), (6.6, 4.4, 5.4), (5.6, 3.2, 3.6))):
        bones.append(_bone(thumb[k], thumb[k + 1], radii))
    bones += [egg(thumb[1] + (part.sign * dx, 8.6, 2.0), (2.0, 1.7, 2.4)) for dx in (-3.5, 3.5)]
    skins.append(chain([thumb[0], thumb[1], thumb[2], thumb[3]], [18.0, 15.0, 11.5, 8.5]))
    deeps.append(chain([thumb[0], thumb[1], thumb[2], thumb[3]], [15.0, 11.0, 7.2, 5.0]))
    bones += _forearm(part, skins, deeps, fat_mm)
    palm = plate(part.at(0, 1, -32), part.at(26, 0, 0) - part.at(0, 0, 0), np.array([0, 0, 30.0 * size]), 14.5)
    pad = egg(part.at(24, 6, -46), (14, 14, 30))
    skins += [palm, pad]
    deeps += [shrunk(palm, fat_mm + 1.2), shrunk(pad, fat_mm + 1.2)]
    plates = _growth_plates(recipe, bones, 2, 1.0)
    skin, deep, bone = joined(skins), joined(deeps), joined([*bones, *_spurs(recipe, bones, 2)])
    fingers = _free(intersection(shrunk(skin, 1.6), outside(shrunk(deep, -0.6)), half_space(np.array([0.0, 0.0, -1.0]),
                    -float(part.at(0, 0, 6)[2]))), bone, 1.6)  # fmt: skip
    flesh = _free(shrunk(deep, 1.4), bone, 1.8)
    places = (
        _place(part, "finger", "hand", "subcutaneous fat", fingers, ((-75, -14, 6), (62, 18, 112))),
        _place(part, "palm", "hand", "muscle", flesh, ((-56, 2, -66), (42, 22, 0))),
    )
    layers = _Layers(skin=skin, deep=deep, bones=bone, tendons=joined(tendons), places=places, plates=plates)
    return _body(recipe, rng, layers, 1.2)


def _place(
    part: Part, name: str, region: str, tissue: str, shape: Shape, corners: tuple[tuple[float, ...], ...]
) -> Place:
    box = np.sort(np.array([part.at(*corner) for corner in corners]), axis=0)
    return Place(
        name=name, region=region, tissue=tissue, shape=Shape(distance=shape.distance, box=box, points=shape.points)
    )


def _finger_joints(part: Part, number: int, rng: np.random.Generator, *, spread: bool) -> list[Floats]:
    """Knuckle, two joints and tip of finger II to V."""
    head = _METACARPALS[number][1]
    turn = np.radians(((-13, -3, 6, 17) if spread else (1.5, 0.5, -0.5, -2.5))[number] + float(rng.uniform(-1.5, 1.5)))
    bend = float(rng.uniform(-2.0, 3.0))
    joints = [np.array([head[0], 0.0, head[1]])]
    for k, length in enumerate(_PHALANGES[number]):
        step = np.array([np.sin(turn) * length, bend * (k + 1) / 3, np.cos(turn) * length])
        joints.append(joints[-1] + step)
    return [part.at(*(float(v) for v in j)) for j in joints]


def _forearm(part: Part, skins: list[Shape], deeps: list[Shape], fat_mm: float) -> list[Shape]:
    """Wrist and end of the forearm: adds its surfaces, returns radius and ulna."""
    wide = part.at(12, 0, 0) - part.at(0, 0, 0)
    wrist = plate(part.at(-1, 1, -130), wide, np.array([0, 0, 60.0 * part.size]), 19.0)
    skins.append(wrist)
    deeps.append(shrunk(wrist, fat_mm + 1.2))
    radius = chain([part.at(-8, 0, -104), part.at(-9, 0, -122), part.at(-9, 0, -200)], [10.5, 8.0, 6.5])
    ulna = chain([part.at(14, 0, -107), part.at(13, 0, -118), part.at(12, 0, -200)], [6.0, 5.2, 6.2])
    return [radius, ulna]


def build_foot(recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float, half_length_mm: float) -> Body:
    """Foot at a right angle to the leg, toes anterior, sole towards the lower end of the scan."""
    part = Part(
        sign=1.0 if recipe.laterality == "left" else -1.0,
        size=float(rng.uniform(0.92, 1.1)),
        level_mm=scan_level_mm(recipe, rng, (-84.0, 86.0), _FOOT_HEIGHTS, half_length_mm=half_length_mm),
    )
    bones: list[Shape] = [egg(part.at(*c), [0.92 * q * part.size for q in r]) for c, r in _TARSALS]
    bones.append(chain([part.at(2, 45, -41), part.at(6, 14, -39), part.at(12, -16, -42)], [14.0, 11.5, 9.5]))
    bones.append(chain([part.at(-3, 5, 14.5), part.at(-3, 6, 40), part.at(-3, 8, 200)], [17.0, 13.0, 12.0]))
    bones += [
        rod(part.at(-19, 2, 4), part.at(-20, 2, -8), 6.0),
        chain([part.at(22, 13, -16), part.at(20, 14, 200)], 6.4),
    ]
    skins: list[Shape] = []
    deeps: list[Shape] = []
    tendons = [chain([part.at(2, 40, -26), part.at(2, 35, 20), part.at(2, 35, 200)], 4.6)]
    for n, (base, head, radius) in enumerate(_METATARSALS):
        start, end = part.at(*base), part.at(*head)
        bones.append(_bone(start, end, (radius, radius * 0.62, radius * 0.95)))
        _toe(part, n, end, (bones, skins, deeps))
        tendons.append(chain([part.at(0, -20, -8), start + (0, 0, 11), end + (0, 0, 9)], 1.6))
    first = part.at(*_METATARSALS[0][1])
    bones += [egg(first + (dx, 0, -9.5), (3.6, 4.6, 3.0)) for dx in (-5.0, 5.0)]
    skins += _foot_outline(part)
    deeps += [shrunk(s, fat_mm + 1.5) for s in _foot_outline(part)]
    plates = _growth_plates(recipe, bones[8:], 1, -1.0)
    skin, deep, bone = joined(skins), joined(deeps), joined([*bones, *_spurs(recipe, bones[8:], 1)])
    fat = _free(intersection(shrunk(skin, 1.7), outside(shrunk(deep, -0.6))), bone, 2.0)
    flesh = _free(shrunk(deep, 1.5), bone, 2.0)
    heel = _free(intersection(shrunk(egg(part.at(3, 38, -62), (22, 26, 13)), 0.5), shrunk(skin, 1.7)), bone, 2.0)
    places = (
        _place(part, "sole", "foot", "subcutaneous fat", heel, ((-20, 12, -82), (26, 66, -52))),
        _place(part, "foot muscle", "foot", "muscle", flesh, ((-26, -112, -72), (28, -40, -44))),
        _place(part, "ankle fat", "ankle", "subcutaneous fat", fat, ((-46, -30, 0), (46, 60, 70))),
    )
    tendon = joined(tendons)
    layers = _Layers(skin=skin, deep=without_pad(deep, part), bones=bone, tendons=tendon, places=places, plates=plates)
    return _body(recipe, rng, layers, 1.4)


def without_pad(deep: Shape, part: Part) -> Shape:
    """Cut the fat pad of the heel, and the fat in front of the Achilles tendon, out of the muscles."""
    pads = (egg(part.at(3, 38, -62), (24, 28, 14)), egg(part.at(2, 28, 2), (13, 9, 26)))
    return joined([intersection(p, *(outside(pad) for pad in pads)) for p in deep.parts])


def _toe(part: Part, number: int, start: Floats, groups: tuple[list[Shape], list[Shape], list[Shape]]) -> None:
    """Add the phalanges of a toe, its skin and what lies beneath."""
    bones, skins, deeps = groups
    lengths = (30.0, 25.0) if number == 0 else tuple(v * (1.0 - 0.07 * number) for v in (24.0, 12.0, 10.0))
    thick = 7.0 if number == 0 else 4.2
    joints = [start]
    for length in lengths:
        joints.append(joints[-1] + np.array([part.sign * (number - 1.5) * 0.6, -length, -1.5]) * part.size)
    for a, b in itertools.pairwise(joints):
        bones.append(_bone(a, b, (thick, thick * 0.6, thick * 0.8), gap_mm=0.7))
        thick *= 0.86
    wide = 12.5 if number == 0 else 8.6
    skins.append(chain([j - (0, 0, 1.5) for j in joints], list(np.linspace(wide + 1, wide - 1, len(joints)))))
    deeps.append(chain(joints, list(np.linspace(wide - 2.5, wide - 4.4, len(joints)))))


def _foot_outline(part: Part) -> list[Shape]:
    """Surfaces of ankle, heel, midfoot and ball."""

    def step(across: float, y: float, z: float) -> Floats:
        return part.at(across, y, z) - part.at(0, 0, 0)

    return [
        chain([part.at(2, 14, 200), part.at(2, 14, 40), part.at(2, 10, -10)], [39.0, 34.0, 34.0]),
        chain([part.at(3, 40, -42), part.at(4, 12, -42)], [31.0, 31.0]),
        plate(part.at(0, -36, -44), step(18, 0, 0), step(0, -36, -7), 24.0),
        plate(part.at(0, -100, -58), step(27, 0, 0), step(0, -30, -3), 17.5),
        egg(part.at(-4, -30, -22), (28, 40, 24)),
    ]


BUILDERS: Final = {Region.HAND: build_hand, Region.FOOT: build_foot}
