"""Chest and abdomen in one frame: body wall, cavity, and what is put together from skeleton, chest and belly.

Heights of the anatomy are those of the frame: 0 is the eighth thoracic vertebra, the shoulders lie near +120, the
iliac crests near -215 mm. A scan is a window onto it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from calcphantom import skeleton
from calcphantom.belly import abdominal_contents
from calcphantom.chest import chest_contents
from calcphantom.frame import Blood, Frame, draw_blood, scan_level_mm
from calcphantom.limb import FAT_HU, MUSCLE_HU, SEPTUM_HU, SKIN_HU
from calcphantom.recipe import Extra, PhantomRecipe, Region
from calcphantom.scene import Body, Paint, Place, Surface, Tube, wrapped
from calcphantom.shapes import Floats, Shape, half_space, intersection, outside, shrunk
from calcphantom.solids import chain, egg, joined, sampled

_Z: Final = (-330.0, -260.0, -200.0, -120.0, -60.0, 0.0, 60.0, 100.0, 130.0, 155.0, 180.0, 220.0)
_OUTLINES: Final = MappingProxyType(
    {
        "fascia": (
            (152, 148, 136, 138, 145, 149, 153, 155, 148, 112, 66, 60),
            (106, 103, 97, 98, 107, 113, 113, 108, 98, 82, 64, 60),
            (4, 2, 0, 2, 5, 6, 8, 10, 12, 11, 8, 6),
        ),
        "cavity": (
            (110, 114, 114, 121, 125, 127, 118, 101, 80, 52, 34, 30),
            (68, 68, 70, 82, 90, 93, 87, 76, 62, 46, 34, 30),
            (-22, -22, -22, -12, -8, -6, -2, 3, 8, 6, 0, -4),
        ),
    }
)
"""Half width, half depth and middle (y) at the heights `_Z`, mm."""
POWER: Final = 2.35
"""Exponent of the superellipse: a trunk is squarer than an ellipse."""
WINDOWS: Final = MappingProxyType(
    {Region.THORAX: (-95.0, 165.0), Region.ABDOMEN: (-300.0, -40.0), Region.SHOULDER: (10.0, 168.0)}
)
"""Lowest and highest height that a scan of the region may cover, mm in the frame."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """Closed outline of a trunk, squarer than an ellipse, whose size changes along z; tables in frame heights."""

    frame: Frame
    wide: PchipInterpolator
    deep: PchipInterpolator
    middle: PchipInterpolator

    def centre(self, z: Floats) -> tuple[Floats, Floats]:
        """Return the middle's x and y at heights, mm."""
        y = self.middle(self.frame.height(z)) * self.frame.size
        return np.zeros_like(y), y

    def radius(self, angle: Floats, z: Floats) -> Floats:
        """Return the radius at angles (radians) and heights, mm."""
        height = self.frame.height(z)
        a, b = self.wide(height) * self.frame.size, self.deep(height) * self.frame.size * self.frame.depth
        p = np.abs(np.cos(angle) / a) ** POWER + np.abs(np.sin(angle) / b) ** POWER
        return np.asarray(p ** (-1.0 / POWER))


def outline(frame: Frame, name: str) -> Outline:
    """Return one of the outlines in `_OUTLINES` for an individual."""
    wide, deep, middle = (PchipInterpolator(_Z, v) for v in _OUTLINES[name])
    return Outline(frame=frame, wide=wide, deep=deep, middle=middle)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wall:
    """Layers of the body wall of an individual."""

    skin: Tube
    fascia: Tube
    fat_shape: Shape
    fascia_shape: Shape
    cavity: Shape

    def deeper(self, by_mm: float) -> Shape:
        """Return what lies deeper than `by_mm` beneath the fascia."""
        return shrunk(self.fascia_shape, by_mm * STEEPNESS)


STEEPNESS: Final = 0.85
"""Radial distances times this are distances to the surface, or less."""


def body_wall(frame: Frame, rng: np.random.Generator, fat_mm: float, *, half_length_mm: float) -> Wall:
    """Draw fascia, fat with breasts in a woman, skin, and the cavity."""
    muscle, cavity = outline(frame, "fascia"), outline(frame, "cavity")
    share, phase = float(rng.uniform(0.1, 0.4)), float(rng.uniform(0.8, 2.3))
    breast = float(rng.uniform(18, 45)) if frame.sex == "F" else float(rng.uniform(0, 4))

    def with_fat(angle: Floats, z: Floats) -> Floats:
        height = frame.height(z)
        belly = 1.0 + 0.5 * np.clip(-height / 150.0, -0.4, 1.0)
        layer = fat_mm * belly * (1 + share * np.cos(angle - phase))
        away = np.abs(np.abs(wrapped(angle + np.pi / 2)) - 0.72) / 0.36
        bulge = breast * np.exp(-((away**2 + ((height - 15.0) / 42.0) ** 2) ** 1.4))
        return np.asarray(muscle.radius(angle, z) + layer + bulge)

    fascia = Tube(centre=muscle.centre, radius=muscle.radius, slack=1.5)
    fat = Tube(centre=muscle.centre, radius=with_fat, slack=1.8)
    skin = Tube(centre=muscle.centre, radius=lambda a, z: with_fat(a, z) + frame.skin_mm, slack=1.8)
    inner = Tube(centre=cavity.centre, radius=cavity.radius, slack=1.5)
    corner = np.array([235.0, 235.0, half_length_mm + 60.0])
    tables = [sampled(t.shape(), -corner, corner, gain=STEEPNESS * t.slack) for t in (fat, fascia, inner)]
    return Wall(skin=skin, fascia=fascia, fat_shape=tables[0], fascia_shape=tables[1], cavity=tables[2])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limbs:
    """Arms beside or above the trunk: outer, fat and muscle surfaces, and the bones."""

    skin: tuple[Shape, ...] = ()
    fat: tuple[Shape, ...] = ()
    muscle: tuple[Shape, ...] = ()
    inside: tuple[Paint, ...] = ()


def arms(frame: Frame, recipe: PhantomRecipe, fat_mm: float, *, gap_mm: float, blood: Blood) -> Limbs:
    """Shoulders, and upper arms that hang beside the trunk or are raised past the head; `fat_mm` is their fat."""
    layers: list[list[Shape]] = [[], [], []]
    inside: list[Paint] = []
    for s in (-1.0, 1.0):
        ways = [frame.at(s * 140, 12, 112), frame.at(s * 168, 12, 108)]
        if Extra.ARMS_DOWN in recipe.extras:
            ways += [frame.at(s * (186 + gap_mm), 14, 40), frame.at(s * (208 + gap_mm), 18, -60)]
            ways += [frame.at(s * (212 + gap_mm), 2, -170), frame.at(s * (196 + gap_mm), -22, -310)]
            radii = [44.0, 46.0, 38.0, 36.0, 32.0, 24.0]
        else:
            ways += [frame.at(s * 176, 2, 160), frame.at(s * 172, -12, 260)]
            radii = [42.0, 44.0, 40.0, 34.0]
        for n, more in enumerate((fat_mm + frame.skin_mm, fat_mm, 0.0)):
            layers[n].append(chain(ways, [r * frame.size + more for r in radii]))
        deep = chain(ways[1:], [r * frame.size * 0.62 for r in radii[1:]])
        bundle = chain([w + (-s * 17, -4, 0) for w in ways[1:]], 5.5)
        inside += [Paint(shape=deep, hu=SEPTUM_HU), Paint(shape=shrunk(deep, 1.2), hu=MUSCLE_HU)]
        inside.append(Paint(shape=bundle, hu=FAT_HU))
        for dx, radius, hu in ((-16.0, 2.2, blood.artery), (-19.5, 2.6, blood.vein)):
            inside.append(Paint(shape=chain([w + (s * dx, -4 - dx - 17, 0) for w in ways[1:]], radius), hu=hu))
    return Limbs(skin=tuple(layers[0]), fat=tuple(layers[1]), muscle=tuple(layers[2]), inside=tuple(inside))


_HOLLOWS: Final = (
    ((124, 4, 92), (17, 34, 50)),
    ((98, -40, 118), (40, 8, 24)),
    ((104, 66, 70), (26, 5, 44)),
    ((60, 66, 132), (34, 9, 14)),
    ((70, -30, 140), (50, 20, 9)),
)
"""Fat of the axilla, between the pectoral muscles, beneath the latissimus, above the scapula and the clavicle."""


def wall_muscles(frame: Frame, wall: Wall, rng: np.random.Generator) -> tuple[Paint, ...]:
    """Fat planes between the layers of the wall, erector spinae, axillary fat, groove of the back."""
    paints = []
    outer = float(rng.uniform(8.0, 11.0)) * frame.bulk
    for depth in (outer, outer + float(rng.uniform(5.0, 7.0)) * frame.bulk):
        paints += [
            Paint(shape=wall.deeper(depth), hu=SEPTUM_HU),
            Paint(shape=wall.deeper(depth + float(rng.uniform(0.9, 1.7))), hu=MUSCLE_HU),
        ]
    for s in (-1.0, 1.0):
        for centre, radii in _HOLLOWS:
            hollow = egg(frame.at(s * centre[0], centre[1], centre[2]), radii)
            paints.append(Paint(shape=intersection(hollow, wall.deeper(9.0 * frame.bulk)), hu=FAT_HU))
        for thick, hu in ((1.4, SEPTUM_HU), (0.0, MUSCLE_HU + 2)):
            paints.append(Paint(shape=erector(frame, s, thick), hu=hu))
    return tuple(paints)


def erector(frame: Frame, s: float, more_mm: float = 0.0) -> Shape:
    """Erector spinae of a side, `more_mm` larger all around."""
    knots = []
    radii = []
    for z in range(-320, 200, 40):
        back = frame.spine_y(float(z)) + np.interp(z, (-200, 0, 150), (41, 42, 34))
        knots.append(frame.at(s * 33, float(back), z))
        radii.append(float(np.interp(z, (-320, -200, -90, 0, 150), (17, 23, 22, 16, 15))) * frame.bulk + more_mm)
    return chain(knots, radii)


_WALL_PLACES: Final = (
    ("pectoral", "chest wall", "muscle", (-1.25, -0.45), (40.0, 105.0)),
    ("lateral chest wall", "chest wall", "muscle", (-0.45, 0.55), (-80.0, 60.0)),
    ("abdominal wall", "abdominal wall", "muscle", (-1.1, 0.45), (-280.0, -110.0)),
    ("anterior chest fat", "chest wall", "subcutaneous fat", (-1.5, -0.5), (-60.0, 90.0)),
    ("lateral chest fat", "chest wall", "subcutaneous fat", (-0.5, 0.6), (-80.0, 60.0)),
    ("back fat", "back", "subcutaneous fat", (0.7, 1.5), (-290.0, 90.0)),
    ("abdominal wall fat", "abdominal wall", "subcutaneous fat", (-1.5, 0.5), (-290.0, -110.0)),
)
"""Name, region, tissue, directions in radians from the side (0) forwards (negative) or backwards, heights in mm."""
_MUSCLE_HEIGHTS: Final = MappingProxyType(
    {"paraspinal chest": (-90.0, 110.0), "paraspinal lumbar": (-280.0, -100.0), "gluteal": (-330.0, -245.0)}
)


_SHOULDER_HEIGHTS: Final = {
    "deltoid": (50.0, 130.0),
    "upper arm": (-20.0, 60.0),
    "upper arm fat": (-20.0, 110.0),
    "rotator cuff": (70.0, 160.0),
}


def _window(frame: Frame, low: float, high: float) -> tuple[Shape, Shape]:
    up = np.array([0.0, 0.0, 1.0])
    return (
        half_space(up, float(frame.at(0, 0, high)[2])),
        half_space(-up, -float(frame.at(0, 0, low)[2])),
    )


def _sector(low_rad: float, high_rad: float, sign: float) -> Shape:
    """Directions between two angles on one side of the body; `sign` is +1 on the left."""
    low = half_space(np.array([sign * np.sin(low_rad), -np.cos(low_rad), 0.0]), 0.0)
    high = half_space(np.array([-sign * np.sin(high_rad), np.cos(high_rad), 0.0]), 0.0)
    return intersection(low, high)


def _box(shape: Shape, low: Floats, high: Floats) -> Shape:
    return Shape(distance=shape.distance, box=np.sort(np.array([low, high]), axis=0), points=shape.points)


def places(frame: Frame, wall: Wall, bones: Shape) -> tuple[Place, ...]:
    """Soft tissue of the wall by name; angles run from the side (0) forwards (negative) and backwards (positive)."""
    found = []
    fat = intersection(shrunk(wall.fat_shape, 1.0), outside(shrunk(wall.fascia_shape, -1.7)))
    muscle = intersection(wall.deeper(2.2), outside(wall.cavity))
    for s, side in ((-1.0, "right"), (1.0, "left")):
        for name, region, tissue, (a, b), (low, high) in _WALL_PLACES:
            shape = intersection(muscle if tissue == "muscle" else fat, _sector(a, b, s), *_window(frame, low, high))
            corners = [frame.at(s * q, y, z) for q, y, z in ((0, -175, low), (205, 190, high))]
            found.append(Place(name=f"{side} {name}", region=region, tissue=tissue, shape=_box(shape, *corners)))
        back = without_bone(intersection(erector(frame, s), wall.deeper(2.2)), bones)
        for name in ("paraspinal chest", "paraspinal lumbar"):
            low, high = _MUSCLE_HEIGHTS[name]
            shape = intersection(back, *_window(frame, low, high))
            corners = [frame.at(s * q, y, z) for q, y, z in ((4, 30, low), (70, 130, high))]
            found.append(Place(name=f"{side} {name}", region="back", tissue="muscle", shape=_box(shape, *corners)))
        buttock = intersection(egg(frame.at(s * 84, 66, -290), (44, 26, 60)), wall.deeper(2.2))
        found.append(Place(name=f"{side} gluteal", region="buttock", tissue="muscle", shape=buttock))
    return tuple(found)


def without_bone(shape: Shape, bones: Shape, clear_mm: float = 3.0) -> Shape:
    """Return the part of a soft tissue that is clear of bone by some mm."""
    return intersection(shape, outside(shrunk(bones, -clear_mm)))


def window_height_mm(recipe: PhantomRecipe, rng: np.random.Generator, half_length_mm: float) -> float:
    """Height in the frame of the middle of the scan: anywhere the region allows, and where the lesions are to lie."""
    heights = {row[0]: row[4] for row in _WALL_PLACES} | dict(_MUSCLE_HEIGHTS) | _SHOULDER_HEIGHTS
    return scan_level_mm(recipe, rng, WINDOWS[recipe.region], heights, half_length_mm=half_length_mm)


def build_torso(recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float, half_length_mm: float) -> Body:
    """Build the chest or abdomen, or a shoulder with what lies beside it, LPS mm; the scan's middle is z = 0."""
    frame = Frame.drawn(recipe, rng, level_mm=window_height_mm(recipe, rng, half_length_mm))
    blood = draw_blood(recipe.scan.contrast, rng)
    wall = body_wall(frame, rng, fat_mm, half_length_mm=half_length_mm)
    limbs = arms(frame, recipe, 0.6 * fat_mm, gap_mm=float(rng.uniform(0.0, 14.0)), blood=blood)
    bones = skeleton.torso_bones(frame, recipe, rng, cage=outline(frame, "cavity"))
    chest = chest_contents(frame, recipe, rng, cavity=wall.cavity, blood=blood)
    belly = abdominal_contents(frame, recipe, rng, cavity=wall.cavity, blood=blood)
    layers = (
        *((s, SKIN_HU) for s in (*limbs.skin, shrunk(wall.fat_shape, -frame.skin_mm * STEEPNESS))),
        *((s, FAT_HU) for s in (*limbs.fat, wall.fat_shape)),
        *((s, MUSCLE_HU) for s in (*limbs.muscle, wall.fascia_shape)),
    )
    incidentals = (*bones.incidentals, *chest.incidentals, *belly.incidentals)
    body = Body(
        paints=(
            *(Paint(shape=s, hu=hu) for s, hu in layers),
            *limbs.inside,
            *wall_muscles(frame, wall, rng),
            Paint(shape=wall.cavity, hu=FAT_HU),
            *belly.paints,
            *chest.paints,
            *bones.paints,
            *(i.paint for i in incidentals),
        ),
        skin=wall.skin,
        fascia=wall.fascia,
        bones=(bones.whole,),
        vessels=(),
        keep_out=(wall.cavity,),
        names=("ribs", "spine", *chest.names, *belly.names),
        is_trunk=True,
        region=recipe.region.value,
        places=places(frame, wall, bones.whole),
        incidentals=incidentals,
        streaking=chest.streaking,
        beside_mm=frame.size * (95.0 if Extra.ARMS_DOWN in recipe.extras else 0.0),
    )
    return body if recipe.region is not Region.SHOULDER else shoulder_of(body, frame, recipe, (wall, limbs))


def shoulder_of(body: Body, frame: Frame, recipe: PhantomRecipe, outside_of: tuple[Wall, Limbs]) -> Body:
    """Return one shoulder of a trunk: its field of view, its surfaces, and the places for lesions."""
    wall, limbs = outside_of
    s = 1.0 if recipe.laterality == "left" else -1.0
    arm = int(s > 0)
    skin, fat, muscle = limbs.skin[arm], limbs.fat[arm], limbs.muscle[arm]
    bones = body.bones[0]
    lateral = half_space(np.array([-s, 0.0, 0.0]), -float(abs(frame.at(176, 0, 0)[0])))
    behind = half_space(np.array([0.0, -1.0, 0.0]), -float(frame.at(0, 16, 0)[1]))
    flesh = without_bone(shrunk(muscle, 2.2), bones)
    layer = intersection(shrunk(fat, 1.0), outside(shrunk(muscle, -1.7)), lateral)
    head = frame.at(s * 164, 18, 108)
    cuff = without_bone(intersection(egg(head + (s * 4, 2, 8), (33, 33, 30)), shrunk(muscle, 6.0)), bones, 2.2)
    table = (
        ("deltoid", "muscle", intersection(flesh, lateral)),
        ("upper arm", "muscle", intersection(flesh, behind)),
        ("upper arm fat", "subcutaneous fat", layer),
        ("rotator cuff", "tendon", cuff),
    )
    found = []
    for name, tissue, solid in table:
        low, high = _SHOULDER_HEIGHTS[name]
        shape = intersection(solid, *_window(frame, low, high))
        corners = [frame.at(s * q, y, z) for q, y, z in ((110, -60, low), (285, 90, high))]
        found.append(Place(name=name, region="shoulder", tissue=tissue, shape=_box(shape, *corners)))
    middle = frame.at(s * 152, 12, 0)
    return replace(
        body,
        skin=Surface(solid=joined([skin, shrunk(wall.fat_shape, -frame.skin_mm * STEEPNESS)])),
        fascia=Surface(solid=joined([muscle, wall.fascia_shape])),
        places=tuple(found),
        field_mm=((float(middle[0]), float(middle[1])), (118.0, 112.0)),
    )
