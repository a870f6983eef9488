"""Pelvis and neck: simplified, with the dense normal things that a detector may mistake for a lesion."""

from __future__ import annotations

from typing import Final

import numpy as np

from calcphantom.limb import (
    FAT_HU,
    MUSCLE_HU,
    SEPTUM_HU,
    SKIN_HU,
    Radius,
    bowed_path,
    septum,
    vessel_paints,
    within,
)
from calcphantom.recipe import Extra, PhantomRecipe
from calcphantom.scene import Body, Paint, Tube, Vessel
from calcphantom.shapes import (
    Floats,
    Shape,
    about_z,
    ball,
    capsule,
    ellipsoid,
    half_space,
    intersection,
    moved,
    outside,
    shrunk,
)
from calcreport.model.image import Contrast

VERTEBRA_MM: Final = 18.0
"""Height of a cervical segment."""


def oval(wide_mm: float, deep_mm: float, rng: np.random.Generator | None = None) -> Radius:
    """Radius of an ellipse with half axes along x and y in mm, with a slight random relief when given a generator."""
    phase, share = (0.0, 0.0) if rng is None else (float(rng.uniform(-3, 3)), float(rng.uniform(0.01, 0.03)))

    def radius(angle: Floats, _z: Floats) -> Floats:
        r = wide_mm * deep_mm / np.hypot(deep_mm * np.cos(angle), wide_mm * np.sin(angle))
        return np.asarray(r * (1 + share * np.cos(3 * (angle - phase))))

    return radius


def _bone(shape: Shape, *, cortex_mm: float, cortex_hu: float, inside_hu: float) -> tuple[Paint, Paint]:
    return (Paint(shape=shape, hu=cortex_hu), Paint(shape=shrunk(shape, cortex_mm), hu=inside_hu))


def _wrap(
    muscle: Radius, fat_mm: float, *, posterior_share: float, skin_mm: float
) -> tuple[Tube, Tube, tuple[Paint, ...]]:
    path = bowed_path(0.0, 0.0)

    def with_fat(angle: Floats, z: Floats) -> Floats:
        return np.asarray(muscle(angle, z) + fat_mm * (1 + posterior_share * np.sin(angle)))

    skin = Tube(centre=path, radius=lambda a, z: with_fat(a, z) + skin_mm, slack=1.35)
    fat = Tube(centre=path, radius=with_fat, slack=1.35)
    fascia = Tube(centre=path, radius=muscle, slack=1.35)
    layers = ((skin, SKIN_HU), (fat, FAT_HU), (fascia, MUSCLE_HU))
    return skin, fascia, tuple(Paint(shape=tube.shape(), hu=hu) for tube, hu in layers)


def build_pelvis(recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float) -> Body:
    """Pelvis at the level of the hip joints, LPS mm, centred on z = 0; `fat_mm` is the mean subcutaneous fat."""
    size = float(rng.uniform(0.92, 1.06))
    skin, fascia, paints = _wrap(oval(138 * size, 88 * size, rng), fat_mm, posterior_share=0.3, skin_mm=1.6)
    bones = _pelvic_bones(size, rng)
    if Extra.OSTEOPHYTES in recipe.extras:
        bones = (*bones, *_hip_spurs(bones, np.random.default_rng([recipe.seed, 22])))
    hu = {"cortex_mm": 2.2, "cortex_hu": float(rng.uniform(850, 1150)), "inside_hu": float(rng.uniform(180, 290))}
    pairs = [_bone(bone, **hu) for bone in bones]
    bone_paints = (*(outer for outer, _ in pairs), *(inner for _, inner in pairs))  # no cortex inside a joined bone
    centre = bowed_path(0.0, -14 * size)
    cavity = Tube(centre=centre, radius=oval(62 * size, 44 * size), slack=1.2)
    organs, organ_paints, names = _pelvic_organs(recipe, rng, size)
    sides = (-1.0, 1.0)
    vessels = tuple(
        Vessel(path=bowed_path(s * x * size, y * size), radius_mm=r, is_artery=a)
        for s in sides
        for x, y, r, a in ((55, -44, 4.2, True), (48, -38, 5.0, False), (44, 16, 2.4, True), (48, 12, 2.8, False))
    )
    planes = tuple(
        Paint(shape=septum(bowed_path(s * 70 * size, y), s_angle, 1.6, 90, rng)(fascia).shape(), hu=SEPTUM_HU)
        for s in sides
        for y, s_angle in ((45.0, float(np.arctan2(0.35, s))), (-45.0, float(np.arctan2(-0.25, s))))
    )
    return Body(
        paints=(
            *paints,
            *planes,
            Paint(shape=cavity.shape(), hu=FAT_HU),
            *organ_paints,
            *vessel_paints(vessels, recipe.scan.contrast, rng),
            *bone_paints,
        ),
        skin=skin,
        fascia=fascia,
        bones=bones,
        vessels=vessels,
        keep_out=organs,
        fat_sites=((0.55, 1.15), (np.pi - 1.15, np.pi - 0.55)),
        sites=tuple(
            (f"{name} hip", Tube(centre=bowed_path(s * 80 * size, 47 * size), radius=oval(45, 28), slack=1.3))
            for name, s in (("right", -1.0), ("left", 1.0))
        ),
        names=("pelvic bones", "hip joints", *names),
        is_trunk=True,
        region="pelvis",
    )


def _pelvic_bones(size: float, rng: np.random.Generator) -> tuple[Shape, ...]:
    bones: list[Shape] = []
    level = float(rng.uniform(-8, 8))
    for s in (-1.0, 1.0):
        hip = np.array([s * 82.0 * size, -2.0, level])
        head = ball(22.0, (hip[0], hip[1], hip[2]))
        neck = capsule(hip, hip + np.array([s * 30, 6, -18]), 12.0)
        shaft = capsule(hip + np.array([s * 32, 8, -22]), hip + np.array([s * 34, 8, -160]), 14.0)
        socket = intersection(
            ball(32.0, (hip[0], hip[1], hip[2])),
            outside(ball(25.5, (hip[0], hip[1], hip[2]))),
            half_space(np.array([s, 0.0, 0.0]), s * float(hip[0]) + 4.0),
        )
        wing = moved(ellipsoid((6.5, 34, 62)), about_z(s * 0.35), hip + np.array([-s * 2, 4, 82]))
        pubis = capsule(hip + np.array([-s * 24, -30, -14]), np.array([s * 9.0, -58.0 * size, level - 26]), 7.5)
        ischium = capsule(hip + np.array([-s * 14, 28, -12]), hip + np.array([-s * 22, 40, -60]), 12.5)
        bones += [head, neck, shaft, socket, wing, pubis, ischium]
    bones.append(moved(ellipsoid((36 * size, 12, 55)), np.eye(3), np.array([0.0, 58.0 * size, level + 42])))
    return tuple(bones)


def _hip_spurs(bones: tuple[Shape, ...], rng: np.random.Generator) -> tuple[Shape, ...]:
    """Osteophytes at the rim of the sockets and beneath the heads."""
    spurs = []
    for s, head in zip((-1.0, 1.0), bones[::7], strict=False):
        x, y, z = (float(v) for v in head.box.mean(axis=0))
        for dx, dz in ((5.0, 30.0), (12.0, -20.0)):
            a, b, c = (float(v) for v in rng.uniform(2.5, 5.0, 3))
            spurs.append(ellipsoid((a, b, c), (x + s * dx, y - 2.0, z + dz)))
    return tuple(spurs)


def _pelvic_organs(
    recipe: PhantomRecipe, rng: np.random.Generator, size: float
) -> tuple[tuple[Shape, ...], tuple[Paint, ...], tuple[str, ...]]:
    """Bladder and bowel; filled with contrast when the recipe says so."""
    bladder = ellipsoid((30 * size, 22 * size, 30), (0.0, -30 * size, -5.0))
    urine = float(rng.uniform(260, 700)) if Extra.BLADDER_CONTRAST in recipe.extras else 6.0
    organs, paints = [bladder], [Paint(shape=bladder, hu=42.0), Paint(shape=shrunk(bladder, 3.0), hu=urine)]
    opaque = Extra.BOWEL_CONTRAST in recipe.extras
    for x, y, z in ((-34, -2, 14), (34, 4, 20), (-20, -10, 34), (4, 20, 0)):
        turn = rng.normal(size=3) * (1, 0.4, 0.5)
        turn *= 15 / np.linalg.norm(turn)
        middle = np.array([x, y, z]) * size
        loop = capsule(middle - turn, middle + turn, 11.0)
        filling = float(rng.uniform(220, 420)) if opaque else 38.0
        inner = shrunk(loop, 2.5)
        gas = intersection(inner, half_space(np.array([0.0, 1.0, 0.0]), float(middle[1]) - 4.0))
        organs.append(loop)
        paints += [Paint(shape=loop, hu=45.0), Paint(shape=inner, hu=filling), Paint(shape=gas, hu=-950.0)]
    names = tuple(e.value for e in (Extra.BLADDER_CONTRAST, Extra.BOWEL_CONTRAST) if e in recipe.extras)
    return tuple(organs), tuple(paints), ("bladder", "bowel", *names)


def build_neck(recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float) -> Body:
    """Neck below the hyoid, LPS mm, centred on z = 0; `fat_mm` is the mean subcutaneous fat."""
    size = float(rng.uniform(0.94, 1.08))
    skin, fascia, paints = _wrap(oval(56 * size, 54 * size, rng), fat_mm, posterior_share=0.35, skin_mm=1.5)
    vessels = tuple(
        Vessel(path=bowed_path(s * x * size, y * size), radius_mm=r, is_artery=a)
        for s in (-1.0, 1.0)
        for x, y, r, a in ((25, -10, 3.3, True), (32, -12, 5.2, False), (21, -1, 1.8, True))
    )
    spine, spine_paints = _cervical_spine(rng)
    front, front_paints, airway = _larynx(recipe, rng, size)
    return Body(
        paints=(
            *paints,
            *_neck_planes(rng, size, fascia),
            *vessel_paints(vessels, recipe.scan.contrast, rng),
            *front_paints,
            *spine_paints,
        ),
        skin=skin,
        fascia=fascia,
        bones=(*spine, *front),
        vessels=vessels,
        keep_out=(airway,),
        sites=tuple((f"{name} sternocleidomastoid", _mastoid(s, size)) for name, s in (("right", -1.0), ("left", 1.0))),
        names=("cervical spine", "thyroid cartilage", "hyoid"),
        is_trunk=True,
        region="neck",
    )


def _neck_planes(rng: np.random.Generator, size: float, fascia: Tube) -> tuple[Paint, ...]:
    """Fat around the carotid sheath, sternocleidomastoid muscles, planes between the neck muscles."""
    paints = []
    for s in (-1.0, 1.0):
        space = Tube(centre=bowed_path(s * 28 * size, -8 * size), radius=oval(12, 11), slack=1.2)
        sheath = Tube(
            centre=bowed_path(s * 41 * size, -12 * size, slope=(s * 0.12, 0.25)), radius=oval(8.5, 14.5), slack=1.3
        )
        muscle = _mastoid(s, size)
        paints += [Paint(shape=within(t.shape(), fascia), hu=SEPTUM_HU) for t in (space, sheath)]
        paints.append(Paint(shape=within(muscle.shape(), fascia), hu=MUSCLE_HU + 4))
        for angle in (0.5, 0.95):
            plane = septum(bowed_path(s * 18, 18), float(np.arctan2(np.sin(angle), s * np.cos(angle))), 1.0, 45, rng)
            paints.append(Paint(shape=plane(fascia).shape(), hu=SEPTUM_HU))
    paints.append(Paint(shape=septum(bowed_path(0, 38), np.pi / 2, 1.2, 30, rng)(fascia).shape(), hu=SEPTUM_HU))
    return tuple(paints)


def _mastoid(sign: float, size: float) -> Tube:
    """Sternocleidomastoid muscle; `sign` is +1 on the left."""
    centre = bowed_path(sign * 41 * size, -12 * size, slope=(sign * 0.12, 0.25))
    return Tube(centre=centre, radius=oval(7.3, 13.3), slack=1.3)


def _cervical_spine(rng: np.random.Generator) -> tuple[tuple[Shape, ...], tuple[Paint, ...]]:
    cortex, inside = float(rng.uniform(750, 1000)), float(rng.uniform(240, 330))
    vertebra = Tube(centre=bowed_path(0, 5), radius=oval(14, 10), slack=1.2).shape()
    arch = Tube(centre=bowed_path(0, 22), radius=oval(14, 11.5), slack=1.2).shape()
    canal = Tube(centre=bowed_path(0, 21), radius=oval(10, 7.5), slack=1.2).shape()
    paints = [*_bone(arch, cortex_mm=1.6, cortex_hu=cortex, inside_hu=inside + 80)]
    bones = [vertebra, arch]
    for s in (-1.0, 1.0):
        pillar = Tube(
            centre=bowed_path(s * 18, 13), radius=lambda a, z: 6.5 + 1.2 * np.cos(2 * np.pi * z / VERTEBRA_MM) + 0 * a
        ).shape()
        bones.append(pillar)
        paints += _bone(pillar, cortex_mm=1.4, cortex_hu=cortex, inside_hu=inside)
    paints += _bone(vertebra, cortex_mm=1.2, cortex_hu=cortex - 150, inside_hu=inside)
    for level in range(-4, 5):
        z = (level + 0.5) * VERTEBRA_MM
        disc = intersection(
            vertebra, half_space(np.array([0, 0, 1.0]), z + 2.4), half_space(np.array([0, 0, -1.0]), 2.4 - z)
        )
        paints.append(Paint(shape=disc, hu=92.0))
        spine = capsule(np.array([0.0, 32.0, z + 7]), np.array([0.0, 46.0, z + 2]), 4.2)
        bones.append(spine)
        paints += _bone(spine, cortex_mm=1.3, cortex_hu=cortex, inside_hu=inside)
    paints.append(Paint(shape=canal, hu=32.0))
    return tuple(bones), tuple(paints)


def _larynx(
    recipe: PhantomRecipe, rng: np.random.Generator, size: float
) -> tuple[tuple[Shape, ...], tuple[Paint, ...], Shape]:
    """Airway, partly ossified thyroid cartilage, hyoid, thyroid gland."""
    centre = bowed_path(0.0, -27.0 * size)
    airway = Tube(centre=centre, radius=oval(8, 10), slack=1.2).shape()
    enhanced = recipe.scan.contrast is not Contrast.NONE
    paints: list[Paint] = []
    for s in (-1.0, 1.0):
        gland = ellipsoid((8, 9, 19), (s * 17.0, -24.0 * size, -26.0))
        paints.append(Paint(shape=gland, hu=185.0 if enhanced else 105.0))
    front = half_space(np.array([0.0, 1.0, 0.0]), -22.0 * size)
    upper = half_space(np.array([0.0, 0.0, -1.0]), 2.0)
    shell = intersection(
        Tube(centre=centre, radius=oval(17, 17), slack=1.2).shape(),
        outside(Tube(centre=centre, radius=oval(14.4, 14.4), slack=1.2).shape()),
        front,
        upper,
        half_space(np.array([0.0, 0.0, 1.0]), 20.0),
    )
    wall = Tube(centre=centre, radius=oval(12, 14), slack=1.2).shape()
    hyoid = [
        capsule(np.array([0.0, -45.0 * size, 30.0]), np.array([s * 16.0, -32.0 * size, 31.0]), 3.0) for s in (-1.0, 1.0)
    ]
    paints += [Paint(shape=wall, hu=60.0), Paint(shape=shell, hu=float(rng.uniform(180, 320)))]
    paints.append(Paint(shape=shrunk(shell, 0.8), hu=float(rng.uniform(40, 120))))
    for bone in hyoid:
        paints += _bone(bone, cortex_mm=1.1, cortex_hu=800.0, inside_hu=250.0)
    paints.append(Paint(shape=airway, hu=-995.0))
    return (shell, *hyoid), tuple(paints), airway
