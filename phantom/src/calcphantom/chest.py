"""Lungs, airways, heart and great vessels, and what calcifies in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from calcphantom.frame import Blood, Contents, Frame
from calcphantom.recipe import Extra, PhantomRecipe
from calcphantom.scene import Incidental, Metal, Paint
from calcphantom.shapes import Floats, Shape, intersection, shrunk
from calcphantom.solids import chain, curve, egg, joined, rod, without

AORTA: Final = (
    (4, -22, 22), (-4, -28, 52), (-4, -26, 76), (6, -12, 93), (17, 12, 95), (24, 36, 82), (25, 42, 50), (22, 38, 0),
    (16, 27, -60), (8, 15, -92), (6, 2, -120), (5, -2, -160), (4, 0, -212),
)  # fmt: skip
"""Middle line of the aorta from the valve to the bifurcation, mm in the frame."""
_BRANCHES: Final = (
    ("brachiocephalic trunk", ((0, -18, 94), (-10, -12, 118), (-22, -6, 150), (-26, -2, 220)), 6.2, True),
    ("left carotid artery", ((9, -6, 96), (12, -2, 122), (22, 0, 160), (27, 0, 220)), 3.8, True),
    ("left subclavian artery", ((19, 8, 98), (24, 10, 128), (42, 4, 150), (80, -10, 146), (130, -4, 128)), 4.4, True),
    ("right subclavian artery", ((-20, -6, 142), (-44, 0, 152), (-80, -10, 146), (-130, -4, 128)), 4.4, True),
    ("superior vena cava", ((-22, -12, 24), (-24, -18, 60), (-25, -22, 100)), 9.0, False),
    ("right brachiocephalic vein", ((-25, -22, 100), (-30, -26, 124), (-46, -30, 140)), 7.0, False),
    ("left brachiocephalic vein", ((-24, -22, 101), (0, -36, 110), (30, -34, 126), (46, -30, 140)), 6.5, False),
    ("right subclavian vein", ((-46, -30, 140), (-90, -32, 140), (-135, -14, 122)), 5.2, False),
    ("left subclavian vein", ((46, -30, 140), (90, -32, 140), (135, -14, 122)), 5.2, False),
    ("azygos vein", ((-8, 28, -90), (-8, 40, 0), (-8, 40, 60)), 3.6, False),
    ("inferior vena cava", ((-22, 4, -20), (-24, 4, -60), (-24, 2, -120), (-22, 6, -212)), 10.5, False),
)
"""Name, middle line in the frame, radius mm, whether it is an artery."""
_INLET: Final = frozenset({"brachiocephalic", "subclavian", "carotid"})
"""Vessels that the tissue of the thoracic inlet surrounds, so that none runs through a lung."""
_PULMONARY: Final = (
    (((14, -34, 26), (22, -30, 52), (14, -14, 62)), 13.0),
    (((14, -14, 62), (-12, -6, 56), (-40, 4, 50)), 10.5),
    (((14, -16, 62), (34, 6, 64), (46, 18, 48)), 10.5),
)
_CORONARIES: Final = (
    ((10, -30, 32), (26, -52, 22), (34, -66, -4), (40, -70, -34)),
    ((10, -28, 30), (34, -30, 24), (54, -22, 6), (60, -18, -20)),
    ((-2, -34, 26), (-24, -48, 12), (-30, -46, -20), (-14, -34, -44)),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tree:
    """Branches of a lung: start, end, radius at either end, mm."""

    rods: list[Shape]
    walls: list[Shape]


def points(frame: Frame, way: tuple[tuple[float, float, float], ...]) -> list[Floats]:
    """Positions of the points of a middle line, LPS mm."""
    return [frame.at(*p) for p in way]


def chest_contents(
    frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator, *, cavity: Shape, blood: Blood
) -> Contents:
    """Lungs with vessels and airways, mediastinum, heart, great vessels, in the order of painting."""
    lungs, middle = _lungs(frame, cavity)
    vessels = [_tree(frame, rng, s, lungs, first_mm=5.6, depth=9) for s in (-1.0, 1.0)]
    bronchi = [_tree(frame, rng, s, lungs, first_mm=6.0, depth=3) for s in (-1.0, 1.0)]
    paints = [
        Paint(shape=middle, hu=-92.0),
        Paint(shape=lungs, hu=float(rng.uniform(-880, -800))),
        Paint(shape=joined([r for t in bronchi for r in t.walls]), hu=-250.0),
        Paint(shape=joined([r for t in bronchi for r in t.rods]), hu=-960.0),
        Paint(shape=joined([r for t in vessels for r in t.rods]), hu=blood.pulmonary),
        *_heart(frame, blood, rng),
        *_great_vessels(frame, blood),
        *_airway(frame),
    ]
    injected, streaking = _injected(frame, recipe, rng)
    return Contents(
        paints=(*paints, *injected),
        incidentals=(*_plaques(frame, recipe, rng), *_airway_mineral(frame, recipe, rng), *_nodes(frame, recipe, rng)),
        names=("lungs", "heart and great vessels"),
        streaking=streaking,
    )


def _lungs(frame: Frame, cavity: Shape) -> tuple[Shape, Shape]:
    """Both lungs as one solid, and the mediastinum between them."""
    size = frame.size
    spine = chain([frame.at(0, frame.spine_y(z) - 2, z) for z in range(-120, 190, 30)], 21.0 * size)
    inlet = [chain(points(frame, way), r + 5.0) for name, way, r, _ in _BRANCHES if name.split()[1] in _INLET]
    middle = joined(
        [
            *inlet,
            egg(frame.at(1, 0, 66), (32 * size, 62 * size, 88)),
            egg(frame.at(0, -62, 40), (10 * size, 42, 130)),
            egg(frame.at(22, -24, -16), (60 * size, 54 * size, 62 * size)),
            spine,
            chain([frame.at(0, frame.spine_y(z) + 20, z) for z in range(-150, 190, 30)], 24.0 * size),
            egg(frame.at(20, 38, 0), (19, 18, 120)),
        ]
    )
    pleura = shrunk(cavity, 2.2)
    top = float(frame.at(0, 0, 152)[2])

    def dome(x: Floats, y: Floats, z: Floats) -> Floats:
        best = np.full(1, -1e3)
        for cx, cy, peak in ((-64.0, -8.0, -30.0), (66.0, -4.0, -42.0), (0.0, -30.0, -52.0)):
            centre = frame.at(cx, cy, peak)
            fall = ((x - centre[0]) / 88.0) ** 2 + ((y - centre[1]) / 78.0) ** 2
            best = np.maximum(best, centre[2] - 58.0 * fall)
        return np.asarray(np.maximum((best - z) * 0.45, z - top))

    low, high = frame.at(-150, -120, -150), frame.at(150, 120, 155)
    above = Shape(distance=dome, box=np.array([low, high]), points=spine.points)
    return without(intersection(pleura, above), middle), intersection(middle, pleura)


_HILAR_DIRECTIONS: Final = (
    (0.5, -0.5, 0.8), (0.7, 0.5, 0.4), (0.8, -0.4, -0.2), (0.4, 0.2, -1.0), (0.6, 0.7, -0.6), (0.1, -0.1, 1.0),
)  # fmt: skip
"""Outwards, backwards, upwards: where the first branches go."""


def _tree(frame: Frame, rng: np.random.Generator, s: float, lungs: Shape, *, first_mm: float, depth: int) -> _Tree:
    """Branch outwards from the hilum of a side (-1 is right) until the branches are thin or leave the lung."""
    hilum = frame.at(s * 42, 8, 46)
    rods: list[Shape] = []
    walls: list[Shape] = []
    todo: list[tuple[Floats, Floats, float, int]] = []
    for across, back, up in _HILAR_DIRECTIONS:
        turn = np.array([s * across, back, up]) + rng.normal(scale=0.12, size=3)
        todo.append((hilum, turn / np.linalg.norm(turn), first_mm * float(rng.uniform(0.6, 1.0)), 0))
    while todo:
        start, way, radius, level = todo.pop()
        end = start + way * float(rng.uniform(13, 24)) * (1.0 - 0.06 * level) * frame.size
        if level > 0 and float(lungs.distance(*end[:, None])[0]) > -1.5:
            continue
        thin = radius * float(rng.uniform(0.82, 0.92))
        rods.append(rod(start, end, radius, thin))
        walls.append(rod(start, end, radius + 1.0, thin + 0.8))
        if level + 1 >= depth or thin < 0.45:
            continue
        for _ in range(2):
            turn = way + rng.normal(scale=0.42, size=3)
            todo.append((end, turn / np.linalg.norm(turn), thin * float(rng.uniform(0.7, 1.0)), level + 1))
    return _Tree(rods=rods, walls=walls)


def _heart(frame: Frame, blood: Blood, rng: np.random.Generator) -> list[Paint]:
    """Pericardial fat, muscle, and the four chambers."""
    size = frame.size
    muscle = blood.enhanced(46.0, 1.1)
    chambers = (
        ((34, -30, -26), (21, 24, 34), blood.artery),
        ((4, -52, -20), (25, 19, 32), blood.pulmonary),
        ((4, 10, 10), (30, 17, 24), blood.artery),
        ((-32, -24, -8), (20, 25, 30), 0.5 * (blood.vein + blood.pulmonary)),
    )
    walls = (((34, -30, -26), (31, 34, 43)), ((4, -52, -20), (28, 22, 35)), ((4, 10, 10), (32, 19, 26)),
             ((-32, -24, -8), (22, 27, 32)))  # fmt: skip
    turn = _turned(float(rng.uniform(-0.7, -0.4)))
    paints = [
        Paint(shape=joined([egg(frame.at(*c), [r * size for r in radii], turn) for c, radii in walls]), hu=muscle)
    ]
    paints += [Paint(shape=egg(frame.at(*c), [r * size for r in radii], turn), hu=hu) for c, radii, hu in chambers]
    for way in _CORONARIES:
        line = curve(points(frame, way), 9)
        paints += [Paint(shape=chain(line, 4.2), hu=-88.0), Paint(shape=chain(line, 1.7), hu=blood.artery)]
    return paints


def _turned(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def aorta_line(frame: Frame) -> tuple[list[Floats], list[float]]:
    """Middle line of the aorta and its radii, mm."""
    line = curve(points(frame, AORTA), 40)
    return line, [float(r) * frame.size for r in np.interp(np.arange(40), (0, 14, 24, 39), (16.5, 13.5, 11.5, 8.5))]


def _great_vessels(frame: Frame, blood: Blood) -> list[Paint]:
    line, radii = aorta_line(frame)
    walls, fills = [chain(line, radii)], [(chain(line, [r - 1.6 for r in radii]), blood.artery)]
    for _, way, radius, is_artery in _BRANCHES:
        bent = curve(points(frame, way), 3 * len(way))
        walls.append(chain(bent, radius))
        fills.append((chain(bent, radius - (1.0 if is_artery else 0.6)), blood.artery if is_artery else blood.vein))
    for way, radius in _PULMONARY:
        bent = curve(points(frame, way), 8)
        walls.append(chain(bent, radius))
        fills.append((chain(bent, radius - 0.8), blood.pulmonary))
    wall_hu = blood.enhanced(44.0, 0.5)
    return [Paint(shape=joined(walls), hu=wall_hu), *(Paint(shape=shape, hu=hu) for shape, hu in fills)]


_TRACHEA: Final = ((0, -16, 225), (0, -10, 180), (-1, 0, 140), (-3, 8, 100), (-2, 10, 68))
_MAIN_BRONCHI: Final = (((-3, 10, 70), (-22, 10, 58), (-44, 8, 46)), ((-1, 10, 70), (20, 14, 58), (44, 12, 46)))


def _airway(frame: Frame) -> list[Paint]:
    """Oesophagus, trachea and main bronchi with their walls."""
    gullet = chain(curve([frame.at(4, frame.spine_y(z) - 22, z) for z in (200, 120, 60, 0, -50)], 14), 6.5)
    trachea, bronchi = curve(points(frame, _TRACHEA), 12), [curve(points(frame, w), 6) for w in _MAIN_BRONCHI]
    inner = joined([chain(trachea, 8.2 * frame.size), *(chain(b, 5.6 * frame.size) for b in bronchi)])
    outer = joined([chain(trachea, 10.0 * frame.size), *(chain(b, 7.0 * frame.size) for b in bronchi)])
    return [Paint(shape=gullet, hu=38.0), Paint(shape=outer, hu=62.0), Paint(shape=inner, hu=-985.0)]


def _airway_mineral(frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator) -> tuple[Incidental, ...]:
    """Calcified rings of trachea and main bronchi, open behind."""
    if Extra.AIRWAY_MINERAL not in recipe.extras:
        return ()
    found = []
    ways = [("trachea", _TRACHEA, 9.1, 40)] + [("bronchi", w, 6.3, 12) for w in _MAIN_BRONCHI]
    for name, way, radius, count in ways:
        arcs = []
        for place in curve(points(frame, way), count):
            if rng.uniform() < 0.3:
                continue
            turns = np.radians(np.arange(-210, 31, 20)) if rng.uniform() < 0.6 else np.radians(np.arange(-150, -20, 20))
            r = radius * frame.size
            ring = [place + np.array([r * np.cos(a), r * np.sin(a), 0.0]) for a in turns]
            arcs.append(chain(ring, 0.75))
        paint = Paint(shape=joined(arcs), hu=float(rng.uniform(220, 480)))
        found.append(Incidental(kind="airway", structure=name, paint=paint))
    return tuple(found)


def _spot(place: Floats, rng: np.random.Generator, size_mm: float) -> Shape:
    u, v, w = (float(q) for q in rng.uniform(0.45, 1.0, 3) * size_mm / 2)
    return egg(place, (u, v, w))


def on_wall(line: list[Floats], radii: list[float], rng: np.random.Generator) -> Shape:
    """Return a plaque in the wall of a vessel: a curved plate of one to three pieces."""
    n = int(rng.integers(1, len(line) - 1))
    along = line[n + 1] - line[n - 1]
    along /= np.linalg.norm(along)
    side = np.cross(along, rng.normal(size=3))
    side /= np.linalg.norm(side)
    other = np.cross(along, side)
    turns = np.arange(int(rng.integers(2, 5))) * 0.35
    arc = [line[n] + (np.cos(t) * side + np.sin(t) * other) * (radii[n] - 0.9) for t in turns]
    return chain(arc, float(rng.uniform(0.7, 1.6)))


def _plaques(frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator) -> tuple[Incidental, ...]:
    """Plaques of the thoracic aorta, its branches and the coronary arteries; mitral and aortic valve."""
    if Extra.PLAQUES not in recipe.extras:
        return ()
    line, radii = aorta_line(frame)
    found: list[tuple[str, str, list[Shape]]] = [
        ("vascular", "thoracic aorta", [on_wall(line[2:26], radii[2:26], rng) for _ in range(rng.integers(4, 14))]),
        ("vascular", "coronary arteries", []),
        ("valve", "mitral annulus", []),
    ]
    for course in _CORONARIES:
        bent = curve(points(frame, course), 24)
        starts = rng.integers(0, 20, int(rng.integers(1, 4)))
        found[1][2].extend(chain(bent[n : n + int(rng.integers(2, 4))], float(rng.uniform(0.9, 1.6))) for n in starts)
    for name, way, radius, is_artery in _BRANCHES:
        if is_artery and rng.uniform() < 0.5:
            bent = curve(points(frame, way), 12)
            found.append(("vascular", name, [on_wall(bent, [radius] * 12, rng)]))
    arc = [frame.at(26 + 15 * np.cos(a), -8 + 9 * np.sin(a), 2) for a in np.linspace(0.2, 2.4, 7)]
    if rng.uniform() < 0.5:
        found[2][2].append(chain(arc, float(rng.uniform(1.2, 2.6))))
    if rng.uniform() < 0.4:
        valve = [_spot(frame.at(3, -21, 20) + rng.normal(scale=5, size=3), rng, 5.0) for _ in range(4)]
        found.append(("valve", "aortic valve", valve))
    hu = float(rng.uniform(500, 1100))
    return tuple(
        Incidental(kind=kind, structure=name, paint=Paint(shape=joined(parts), hu=hu))
        for kind, name, parts in found
        if parts
    )


def _nodes(frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator) -> tuple[Incidental, ...]:
    """Calcified hilar and mediastinal nodes, and granulomas of the lung."""
    if Extra.ORGAN_MINERAL not in recipe.extras:
        return ()
    found = []
    for kind, name, centres, sizes in (
        ("node", "hilar nodes", ((-40, 12, 52), (42, 16, 44)), (4, 11)),
        ("node", "mediastinal nodes", ((-10, 16, 60), (-14, -4, 84)), (4, 12)),
        ("organ", "lung", ((-90, 20, 60), (85, 35, 10), (-80, -30, 20)), (2.5, 7)),
    ):
        spots = [_spot(frame.at(*c), rng, float(rng.uniform(*sizes))) for c in centres if rng.uniform() < 0.7]
        if spots:
            paint = Paint(shape=joined(spots), hu=float(rng.uniform(350, 900)))
            found.append(Incidental(kind=kind, structure=name, paint=paint))
    return tuple(found)


def _injected(frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator) -> tuple[list[Paint], tuple[Metal, ...]]:
    """Undiluted contrast in the vein of one arm, down to the superior vena cava."""
    if Extra.INJECTED_VEIN not in recipe.extras:
        return [], ()
    side = "left" if rng.uniform() < 0.5 else "right"
    hu = float(rng.uniform(900, 2800))
    names = (f"{side} subclavian vein", f"{side} brachiocephalic vein")
    paints = [
        Paint(
            shape=chain(curve(points(frame, way), 3 * len(way)), radius - 0.6), hu=hu * (1.0 if n == names[0] else 0.8)
        )
        for n, way, radius, _ in _BRANCHES
        if n in names
    ]
    cava = next(chain(curve(points(frame, w), 9), r - 3.5) for n, w, r, _ in _BRANCHES if n == "superior vena cava")
    knots = [p for n, way, _, _ in _BRANCHES if n in names for p in curve(points(frame, way), 3)]
    return [*paints, Paint(shape=cava, hu=hu * 0.4)], tuple(
        Metal(x_mm=float(p[0]), y_mm=float(p[1]), low_mm=float(p[2]) - 7, high_mm=float(p[2]) + 7, radius_mm=hu / 350)
        for p in knots
    )
