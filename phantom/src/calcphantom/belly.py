"""Abdominal organs, bowel, abdominal vessels, and what calcifies or lies in them."""

from __future__ import annotations

import numpy as np

from calcphantom.chest import aorta_line, on_wall, points
from calcphantom.frame import Blood, Contents, Frame
from calcphantom.recipe import Extra, PhantomRecipe
from calcphantom.scene import Incidental, Paint
from calcphantom.shapes import Floats, Shape, half_space, intersection, shrunk
from calcphantom.solids import chain, curve, egg, joined, kept_in, rod


def abdominal_contents(
    frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator, *, cavity: Shape, blood: Blood
) -> Contents:
    """Organs in the order of painting; the chest is painted after them."""
    inside = shrunk(cavity, 2.5)
    kidneys, kidney_mineral = _kidneys(frame, recipe, rng, blood)
    bowel, bowel_mineral = _bowel(frame, recipe, rng, inside)
    vessels, plaques = _vessels(frame, recipe, rng, blood)
    return Contents(
        paints=(*_psoas(frame, blood), *_solid_organs(frame, rng, inside, blood), *kidneys, *bowel, *vessels),
        incidentals=(*kidney_mineral, *bowel_mineral, *plaques, *_organ_mineral(frame, recipe, rng)),
        names=("kidneys", "bowel", *(("excreted contrast",) if Extra.EXCRETED_CONTRAST in recipe.extras else ())),
    )


def _psoas(frame: Frame, blood: Blood) -> list[Paint]:
    hu = 54.0 + 0.2 * blood.organ
    shapes = []
    for s in (-1.0, 1.0):
        way = [
            frame.at(s * x, frame.spine_y(z) + dy, z)
            for x, dy, z in ((26, 6, -110), (38, 4, -170), (48, 2, -240), (60, -26, -300))
        ]
        shapes.append(chain(curve(way, 9), list(np.linspace(8, 22, 9) * frame.bulk)))
    return [Paint(shape=joined(shapes), hu=hu)]


def _solid_organs(frame: Frame, rng: np.random.Generator, inside: Shape, blood: Blood) -> list[Paint]:
    """Liver with vessels, gall bladder, spleen, pancreas, stomach with fluid level."""
    size = frame.size
    liver = [
        egg(frame.at(-62, -6, -88), (62 * size, 74 * size, 66 * size)),
        egg(frame.at(-14, -44, -74), (66 * size, 34 * size, 34 * size)),
    ]
    tissue = float(rng.uniform(48, 66))
    veins = [
        rod(frame.at(-24, 2, -62), frame.at(-24 - dx, dy, -62 + dz), 4.5, 2.0)
        for dx, dy, dz in ((55, 20, 12), (40, -40, 14), (-6, -46, 4))
    ]
    veins += [
        rod(frame.at(-20, -14, -112), frame.at(-20 - dx, -14 + dy, -112 + dz), 6.0, 2.5)
        for dx, dy, dz in ((60, 20, 10), (40, -26, 24))
    ]
    gall = egg(frame.at(-48, -58, -128), (14, 17, 28))
    stomach = egg(frame.at(58, -36, -92), (36 * size, 30, 48))
    level = half_space(np.array([0.0, 1.0, 0.0]), float(frame.at(0, -46, 0)[1]))
    parts = (
        (joined([kept_in(p, inside) for p in liver]), blood.enhanced(tissue)),
        (joined(veins), blood.enhanced(42.0, blood.vein / 60.0 if blood.organ > 40 else 0.0)),
        (gall, 8.0),
        (
            intersection(egg(frame.at(92, 34, -92), (30 * size, 42 * size, 50 * size)), inside),
            blood.enhanced(50.0, 1.3),
        ),
        (
            chain(
                curve(
                    [frame.at(-34, -14, -140), frame.at(0, -32, -130), frame.at(40, -10, -118), frame.at(70, 10, -104)],
                    9,
                ),
                9.0,
            ),
            blood.enhanced(40.0, 1.1),
        ),
        (intersection(stomach, inside), blood.enhanced(42.0, 0.4)),
        (intersection(shrunk(stomach, 4.0), inside), float(rng.uniform(5, 40))),
        (intersection(shrunk(stomach, 4.0), inside, level), -930.0),
    )
    return [Paint(shape=shape, hu=hu) for shape, hu in parts]


def _kidneys(
    frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator, blood: Blood
) -> tuple[list[Paint], list[Incidental]]:
    """Cortex, pyramids, collecting system and upper ureter; stones."""
    paints: list[Paint] = []
    found: list[Incidental] = []
    excreted = Extra.EXCRETED_CONTRAST in recipe.extras
    urine = float(rng.uniform(350, 1400)) if excreted else 6.0
    medulla = blood.cortex if excreted else 32.0 + 0.6 * blood.organ
    for s, side in ((-1.0, "right"), (1.0, "left")):
        lower = -12.0 if s < 0 else 0.0
        centre = frame.at(s * 64, 27, -138 + lower)
        lean = np.array([[np.cos(0.2 * s), 0, np.sin(0.2 * s)], [0, 1, 0], [-np.sin(0.2 * s), 0, np.cos(0.2 * s)]])
        kidney = egg(centre, (27 * frame.size, 25 * frame.size, 52 * frame.size), lean)
        sinus = egg(centre + (-s * 14, -4, 0), (14, 11, 26), lean)
        calyces = [
            rod(centre + (-s * 16, -4, 0), centre + (-s * dx, dy, dz), 4.0, 3.0)
            for dx, dy, dz in ((2, 4, 24), (-4, 0, 2), (2, -2, -24))
        ]
        pelvis = [rod(centre + (-s * 16, -4, 0), centre + (-s * 26, -8, -8), 6.0, 4.0)]
        way = [
            centre + (-s * 26, -8, -8),
            frame.at(s * 36, 6, -190),
            frame.at(s * 40, 4, -240),
            frame.at(s * 44, 4, -310),
        ]
        ureter = chain(curve(way, 9), 1.9)
        pyramids = [
            egg(centre + (s * 6 * np.cos(a) * 1.2, 10 * np.sin(a), dz), (8, 8, 8))
            for a in (0.3, 2.6, 4.6)
            for dz in (-28, -10, 10, 28)
        ]
        paints += [Paint(shape=kidney, hu=blood.cortex), Paint(shape=joined(pyramids), hu=medulla)]
        paints += [Paint(shape=sinus, hu=-80.0), Paint(shape=joined([*calyces, *pelvis, ureter]), hu=urine)]
        if Extra.STONES in recipe.extras and rng.uniform() < 0.7:
            places = [centre + (-s * 2, 4, 24), centre + (-s * 2, -2, -24), centre + (-s * 18, -4, 0)]
            sizes = rng.uniform(1.4, 4.5, 2)
            stones = [egg(places[int(rng.integers(3))], (r, r * 0.8, r)) for r in sizes]
            found.append(_incidental("stone", f"{side} kidney", stones, float(rng.uniform(500, 1300))))
        if Extra.STONES in recipe.extras and rng.uniform() < 0.35:
            stone = egg(frame.at(s * 38, 5, -215), (2.4, 2.2, 3.6))
            found.append(_incidental("stone", f"{side} ureter", [stone], float(rng.uniform(500, 1200))))
    return paints, found


def _incidental(kind: str, structure: str, parts: list[Shape], hu: float) -> Incidental:
    return Incidental(kind=kind, structure=structure, paint=Paint(shape=joined(parts), hu=hu))


def _loop(rng: np.random.Generator, centre: Floats, length: float) -> list[Floats]:
    way = rng.normal(size=3) * (1.0, 0.5, 0.8)
    way /= np.linalg.norm(way)
    bend = np.cross(way, rng.normal(size=3))
    return curve([centre - way * length, centre + bend * length * 0.4, centre + way * length], 6)


def _bowel(
    frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator, inside: Shape
) -> tuple[list[Paint], list[Incidental]]:
    """Small bowel loops and the colon with gas, stool, fluid or positive contrast; pills."""
    opaque = Extra.BOWEL_CONTRAST in recipe.extras
    loops: list[tuple[Shape, Floats, float]] = []
    for _ in range(22):
        place = frame.at(float(rng.uniform(-72, 76)), float(rng.uniform(-72, -30)), float(rng.uniform(-300, -150)))
        radius = float(rng.uniform(8, 12.5))
        loops.append((chain(_loop(rng, place, 24.0), radius), place, radius))
    colon = (
        ((-88, 8, -262), (-92, 6, -220), (-92, -4, -170), (-84, -20, -140)),
        ((-84, -30, -140), (-40, -76, -168), (20, -80, -176), (74, -52, -128)),
        ((88, 16, -118), (98, 22, -170), (98, 16, -220), (92, 0, -280)),
    )
    for way in colon:
        line = curve(points(frame, way), 10)
        loops.append((chain(line, [float(r) for r in rng.uniform(14, 21, 10)]), line[5], 17.0))
    paints = []
    up = np.array([0.0, 1.0, 0.0])
    for shape, place, radius in loops:
        kept = kept_in(shape, inside)
        filling = float(rng.uniform(200, 700)) if opaque and rng.uniform() < 0.6 else float(rng.uniform(5, 45))
        gas = joined(
            [
                intersection(p, half_space(up, float(place[1]) - radius * float(rng.uniform(-0.6, 0.9))))
                for p in shrunk(kept, 2.2).parts
            ]
        )
        paints += [Paint(shape=kept, hu=42.0), Paint(shape=shrunk(kept, 2.2), hu=filling)]
        if rng.uniform() < 0.6:
            paints.append(Paint(shape=gas, hu=-940.0))
    found = []
    if Extra.PILLS in recipe.extras:
        pills = [egg(loops[int(rng.integers(len(loops)))][1], (3.0, 5.5, 3.0)) for _ in range(int(rng.integers(1, 4)))]
        found.append(_incidental("enteric", "bowel", pills, float(rng.uniform(350, 1800))))
    return paints, found


def _vessels(
    frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator, blood: Blood
) -> tuple[list[Paint], list[Incidental]]:
    """Iliac, visceral and renal vessels, and plaques; aorta and vena cava are painted with the chest."""
    named = (
        ("right iliac arteries", ((4, 0, -212), (-20, 8, -245), (-40, 16, -280), (-52, -6, -320)), 5.2),
        ("left iliac arteries", ((4, 0, -212), (26, 8, -245), (44, 16, -280), (54, -6, -320)), 5.2),
        ("coeliac trunk", ((6, -8, -104), (4, -26, -104), (36, -14, -104), (70, 14, -98)), 3.4),
        ("superior mesenteric artery", ((5, -10, -116), (2, -24, -126), (0, -30, -190)), 3.6),
        ("right renal artery", ((0, -2, -132), (-22, 14, -136), (-46, 22, -148)), 2.8),
        ("left renal artery", ((8, -2, -130), (26, 14, -134), (46, 22, -138)), 2.8),
    )
    paints: list[Paint] = []
    found: list[Incidental] = []
    has_plaques = Extra.PLAQUES in recipe.extras
    for s in (-1.0, 1.0):
        vein = curve(points(frame, ((-22, 6, -212), (s * 26 - 4, 16, -250), (s * 50, 8, -310))), 8)
        paints += [Paint(shape=chain(vein, 6.5), hu=44.0), Paint(shape=chain(vein, 5.8), hu=blood.vein)]
    for name, way, radius in named:
        line = curve(points(frame, way), 14)
        paints += [Paint(shape=chain(line, radius), hu=45.0), Paint(shape=chain(line, radius - 0.9), hu=blood.artery)]
        if has_plaques and rng.uniform() < (0.9 if "iliac" in name else 0.4):
            parts = [on_wall(line, [radius] * 14, rng) for _ in range(int(rng.integers(1, 5)))]
            found.append(_incidental("vascular", name, parts, float(rng.uniform(500, 1100))))
    if has_plaques:
        line, radii = aorta_line(frame)
        parts = [on_wall(line[28:], radii[28:], rng) for _ in range(int(rng.integers(4, 16)))]
        found.append(_incidental("vascular", "abdominal aorta", parts, float(rng.uniform(500, 1100))))
    return paints, found


def _organ_mineral(frame: Frame, recipe: PhantomRecipe, rng: np.random.Generator) -> list[Incidental]:
    """Granulomas of spleen and liver, pancreatic flecks, a mesenteric node, gall stones, clips instead of them."""
    found = []
    if Extra.ORGAN_MINERAL in recipe.extras:
        for kind, name, centre, spread, sizes, count in (
            ("organ", "spleen", (92, 34, -92), 14, (1.5, 4), 5),
            ("organ", "liver", (-70, 0, -90), 25, (2, 7), 2),
            ("organ", "pancreas", (20, -22, -124), 9, (0.8, 2.2), 8),
            ("node", "mesenteric node", (14, -40, -190), 10, (4, 11), 1),
        ):
            if rng.uniform() < 0.6:
                spots = [
                    egg(
                        frame.at(*centre) + rng.normal(scale=spread / 1.7, size=3),
                        tuple(rng.uniform(*sizes) / 2 * rng.uniform(0.7, 1, 3)),
                    )
                    for _ in range(count)
                ]
                found.append(_incidental(kind, name, spots, float(rng.uniform(350, 900))))
    if Extra.STONES in recipe.extras and Extra.CLIPS not in recipe.extras:
        spots = [egg(frame.at(-48, -52, -138) + rng.normal(scale=(5, 3, 9)), (r, r, r)) for r in rng.uniform(2, 6, 4)]
        found.append(_incidental("stone", "gall bladder", spots, float(rng.uniform(150, 600))))
    if Extra.CLIPS in recipe.extras:
        clips = [
            rod(p, p + rng.normal(scale=2.5, size=3), 0.8)
            for p in frame.at(-40, -44, -118) + rng.normal(scale=7, size=(4, 3))
        ]
        found.append(_incidental("foreign", "clips", clips, 3000.0))
    return found
