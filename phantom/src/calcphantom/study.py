"""Make a phantom: recipe in, volume and truth out. Pure: everything random follows from the seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom import surroundings as around
from calcphantom.canvas import painted_background
from calcphantom.extremity import BUILDERS
from calcphantom.limb import blood_hu, build_limb
from calcphantom.place import BOUND_PATTERNS, Placed, place_lesion
from calcphantom.recipe import CLASSIC_REGIONS, Extra, Layer, LesionRecipe, PhantomRecipe, Region
from calcphantom.render import Rendering, noise_field, render, scan_geometry
from calcphantom.scene import Body, Metal, Paint
from calcphantom.surroundings import streaks
from calcphantom.torso import build_torso
from calcphantom.trunk import build_neck, build_pelvis
from calcphantom.truth import Truth, incidental_truths, lesion_truth
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import LOWEST_HU, CtVolume, SliceReference

UID_ROOT: Final = "2.25."
"""Root of identifiers derived from a number (PS3.5 B.2)."""

STUDY_NUMBER: Final = 99999
"""Number of the study's identifier; slices count from 1."""
SERIES_NUMBER: Final = 99998
"""Number of the series' identifier."""
FRAME_NUMBER: Final = 99997
"""Number of the frame of reference's identifier."""

LARGEST_FIELD_MM: Final = 500.0
"""Scanners reconstruct no wider field; arms beside a trunk are cut."""
CUT_RIM_HU: Final = 260.0
"""What truncated projections add at the edge of the field, HU."""

JOINT_BELOW_END_MM: Final = 48.0
"""The knee at the end of a calf lies this far below the upper end of the scan, mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """Bodies and the things around them.

    Parameters
    ----------
    bodies : tuple[Body, ...]
        Limbs or a trunk; lesions are dealt out to them in turn.
    paints : tuple[Paint, ...]
        Everything but the lesions, in the order of painting, LPS mm.
    metals : tuple[Metal, ...]
        What throws streaks.
    centre_mm, half_size_mm : tuple[float, float]
        Centre, and half width and half height, of the field of view, LPS mm.
    """

    bodies: tuple[Body, ...]
    paints: tuple[Paint, ...]
    metals: tuple[Metal, ...]
    centre_mm: tuple[float, float]
    half_size_mm: tuple[float, float]


def make_phantom(recipe: PhantomRecipe) -> tuple[CtVolume, Truth]:
    """Make a synthetic CT with known truth.

    Parameters
    ----------
    recipe : PhantomRecipe
        What to build; the same recipe gives the same voxels.

    Returns
    -------
    tuple[CtVolume, Truth]
        HU with shape ``(slices, rows, columns)``, lowest slice first; and what is true of it, LPS mm.

    Raises
    ------
    NoRoomError
        A lesion does not fit into the region.
    """
    rng = np.random.default_rng(recipe.seed)
    length = scan_length_mm(recipe)
    setting = build_setting(recipe, rng, half_length_mm=length / 2)
    placed = place_all(recipe, setting, rng, half_length_mm=length / 2)
    if Extra.FRAGMENT in recipe.extras:
        setting = with_fragment(setting, placed, rng, half_length_mm=length / 2)
    paints = tuple(replace(p, owner=n) for n, lesion in enumerate(placed) for p in lesion.piece.paints)
    width, height = setting.half_size_mm
    geometry = scan_geometry(
        recipe.scan, half_width_mm=width, half_height_mm=height, length_mm=length, centre_mm=setting.centre_mm
    )
    if recipe.region in CLASSIC_REGIONS:
        rendering = render((*setting.paints, *paints), geometry, recipe.scan, lesions=len(placed))
    else:
        background = painted_background(setting.paints, geometry, recipe.scan)
        rendering = render(paints, geometry, recipe.scan, lesions=len(placed), background=background)
    truth = Truth(
        recipe=recipe,
        lesions=tuple(lesion_truth(lesion, n, rendering, recipe) for n, lesion in enumerate(placed)),
        distractors=tuple(name for body in setting.bodies for name in body.names)
        + tuple(e.value for e in recipe.extras),
        spacing_mm=geometry.spacing_mm,
        tilt_deg=geometry.tilt_deg,
        noise_hu=recipe.scan.noise_hu,
        incidentals=incidental_truths(setting.bodies, geometry),
    )
    hu = _scanned(rendering, geometry, recipe, setting)
    uid = uid_stem(recipe)
    slices = tuple(
        SliceReference(sop_instance_uid=identifier(uid, n + 1), instance_number=n + 1) for n in range(hu.shape[0])
    )
    volume = CtVolume(
        hu=hu,
        geometry=geometry,
        slices=slices,
        ceiling_hu=recipe.scan.ceiling_hu,
        series_instance_uid=identifier(uid, SERIES_NUMBER),
        frame_of_reference_uid=identifier(uid, FRAME_NUMBER),
    )
    return volume, truth


def uid_stem(recipe: PhantomRecipe) -> str:
    """Stem of the identifiers of a study, the same for the same recipe."""
    digest = hashlib.sha256(repr(recipe).encode()).digest()
    return f"{UID_ROOT}{1 + int.from_bytes(digest[:11], 'big')}"


def identifier(stem: str, number: int) -> str:
    """Return identifier `number` (1 … 99999) of a study."""
    return f"{stem}{number:05d}"


def scan_length_mm(recipe: PhantomRecipe) -> float:
    """Length of the scan in mm: as asked for, or long enough for the longest lesion."""
    if recipe.length_mm is not None:
        return recipe.length_mm
    longest = max((max(x.diameter_mm, x.mass_mm or 0.0) for x in recipe.lesions), default=20.0)
    knee = 60.0 if Extra.KNEE_END in recipe.extras else 0.0
    return float(max(56.0, longest * 1.1 + 34.0) + knee)


def fat_thickness_mm(recipe: PhantomRecipe, rng: np.random.Generator) -> float:
    """Mean thickness of the subcutaneous fat in mm, enough for the lesions meant to lie in it."""
    if recipe.fat_mm is not None:
        return recipe.fat_mm
    base = float(rng.uniform(3.5, 8) if recipe.region is Region.NECK else rng.uniform(6, 18))
    fatty = {Layer.SUBCUTANEOUS, Layer.ABUTTING}
    wanted = [x.diameter_mm for x in recipe.lesions if x.layer in fatty and x.pattern not in BOUND_PATTERNS]
    return float(min(34.0, max([base, *(0.55 * d + 6.0 for d in wanted)])))


def build_setting(recipe: PhantomRecipe, rng: np.random.Generator, *, half_length_mm: float) -> Setting:
    """Build the bodies, the table and what else lies around."""
    fat = fat_thickness_mm(recipe, rng)
    bodies = build_bodies(recipe, rng, fat_mm=fat, half_length_mm=half_length_mm)
    inner: list[Paint] = [p for body in bodies for p in body.paints]
    outer: list[Paint] = []
    metals: list[Metal] = [metal for body in bodies for metal in body.streaking]
    if Extra.NAIL in recipe.extras and bodies[0].shafts:
        rod, metal = around.nail(bodies[0].shafts[0], half_length_mm=half_length_mm)
        inner += rod
        metals.append(metal)
    if Extra.CAST in recipe.extras:
        outer += around.cast(bodies[0])
    elif Extra.CLOTHES in recipe.extras:
        outer += around.clothes(bodies[0])
    if Extra.LEAD in recipe.extras:
        outer += around.lead(bodies[0], half_length_mm=half_length_mm)
    centre, half, lowest = _field_of_view(bodies, half_length_mm)
    if Extra.CUT_FIELD in recipe.extras:
        half = (half[0] * float(rng.uniform(0.72, 0.92)), half[1])
    lowest += 10.0 if Extra.CAST in recipe.extras else 0.0
    return Setting(
        bodies=bodies,
        paints=(*around.table(lowest), *outer, *inner),
        metals=tuple(metals),
        centre_mm=centre,
        half_size_mm=half,
    )


def build_bodies(
    recipe: PhantomRecipe, rng: np.random.Generator, *, fat_mm: float, half_length_mm: float
) -> tuple[Body, ...]:
    """One limb, both limbs, or a trunk; the patient's left limb lies at positive x."""
    if recipe.region in {Region.THORAX, Region.ABDOMEN, Region.SHOULDER}:
        return (build_torso(recipe, rng, fat_mm=fat_mm, half_length_mm=half_length_mm),)
    if recipe.region in BUILDERS:
        return (BUILDERS[recipe.region](recipe, rng, fat_mm=fat_mm, half_length_mm=half_length_mm),)
    if recipe.region is Region.PELVIS:
        return (build_pelvis(recipe, rng, fat_mm=fat_mm),)
    if recipe.region is Region.NECK:
        return (build_neck(recipe, rng, fat_mm=fat_mm),)
    sign = 1.0 if recipe.laterality == "left" else -1.0
    apart = (68.0 if recipe.region is Region.CALF else 88.0) + fat_mm
    signs = (sign, -sign) if Extra.SECOND_LEG in recipe.extras else (sign,)
    bodies = tuple(build_limb(recipe, rng, fat_mm=fat_mm, x_mm=s * apart, sign=s) for s in signs)
    if Extra.KNEE_END not in recipe.extras:
        return bodies
    bones, paints = around.knee(bodies[0], joint_z_mm=half_length_mm - JOINT_BELOW_END_MM, sign=sign)
    first = replace(bodies[0], bones=bones, paints=(*bodies[0].paints, *paints), names=("patella", "fabella"))
    return (first, *bodies[1:])


def _field_of_view(
    bodies: tuple[Body, ...], half_length_mm: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Centre and half size (x, y) of the field, and the lowest point of the skin (LPS y), mm."""
    if bodies[0].field_mm is not None:
        centre, half_size = bodies[0].field_mm
        return centre, half_size, centre[1] + half_size[1] - 12.0
    points = np.concatenate([b.skin.points(-half_length_mm, half_length_mm, 8.0) for b in bodies])
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 + np.array([14.0, 16.0])
    beside = max(body.beside_mm for body in bodies)
    wide = min(float(half[0]) + beside, max(float(half[0]), LARGEST_FIELD_MM / 2))
    return (float(middle[0]), float(middle[1]) + 4.0), (wide, float(half[1])), float(high[1])


def place_all(
    recipe: PhantomRecipe, setting: Setting, rng: np.random.Generator, *, half_length_mm: float
) -> tuple[Placed, ...]:
    """Place every lesion of the recipe, one after the other."""
    blood = blood_hu(recipe.scan.contrast, is_artery=True, rng=rng)
    placed: list[Placed] = []
    for n, lesion in enumerate(recipe.lesions):
        body = setting.bodies[n % len(setting.bodies)]
        placed.append(
            place_lesion(lesion, body, rng, others=tuple(placed), half_length_mm=half_length_mm, blood_hu=blood)
        )
    return tuple(placed)


def with_fragment(
    setting: Setting, placed: tuple[Placed, ...], rng: np.random.Generator, *, half_length_mm: float
) -> Setting:
    """Add a small piece of metal to the muscle of the first body."""
    recipe = LesionRecipe(pattern="P28", diameter_mm=float(rng.uniform(3, 7)), hu=around.METAL_HU)
    found = place_lesion(
        recipe, setting.bodies[0], rng, others=placed, half_length_mm=half_length_mm, blood_hu=0.0
    ).piece.paints
    low, high = found[0].shape.box
    x, y, z = (low + high) / 2
    half = recipe.diameter_mm / 2
    metal = Metal(x_mm=float(x), y_mm=float(y), low_mm=float(z) - half, high_mm=float(z) + half, radius_mm=half * 0.6)
    return replace(setting, paints=(*setting.paints, *found), metals=(*setting.metals, metal))


def _scanned(
    rendering: Rendering, geometry: VolumeGeometry, recipe: PhantomRecipe, setting: Setting
) -> NDArray[np.int16]:
    """Add texture, streaks and noise, clip and round: shape ``(slices, rows, columns)``, HU."""
    rng = np.random.default_rng([recipe.seed, 1])
    hu = rendering.hu
    muscle = np.clip(1 - np.abs(hu - 56) / 40, 0, 1)
    bone_mm = None
    if recipe.region not in {Region.CALF, Region.THIGH, Region.NECK, Region.HAND, Region.FOOT}:
        bone_mm = (hu > 400).sum(axis=2).astype(np.float32) * np.float32(recipe.scan.pixel_mm)
    texture = _texture if recipe.region in CLASSIC_REGIONS else _layered_texture
    hu += muscle * texture(geometry.shape, rng)
    if setting.metals:
        hu += streaks(geometry, setting.metals, rng)
    hu += noise_field(geometry.shape, recipe.scan, rng, dense=bone_mm)
    if Extra.CUT_FIELD in recipe.extras:
        cut_field(hu, recipe.scan.pixel_mm)
    return np.clip(np.rint(hu), LOWEST_HU, recipe.scan.ceiling_hu).astype(np.int16)


def _layered_texture(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the same for large volumes: between smooth planes 12 slices apart."""
    planes = []
    for _ in range(shape[0] // 12 + 2):
        coarse = rng.standard_normal(tuple(n // 12 + 2 for n in shape[1:])).astype(np.float32)
        planes.append(ndimage.zoom(coarse, 12.0, order=1)[: shape[1], : shape[2]] * np.float32(5.0))
    share = np.float32(1 / 12) * np.arange(12, dtype=np.float32)
    out = np.empty(shape, dtype=np.float32)
    for k in range(shape[0]):
        out[k] = planes[k // 12] * (1 - share[k % 12]) + planes[k // 12 + 1] * share[k % 12]
    return out


def cut_field(hu: NDArray[np.float32], pixel_mm: float) -> None:
    """Cut slices to a circle as wide as they are: what it cuts through is bright at the rim, the outside is padding."""
    rows, columns = hu.shape[1:]
    row, column = np.arange(rows)[:, None] - (rows - 1) / 2, np.arange(columns)[None, :] - (columns - 1) / 2
    inward = (columns / 2 - np.hypot(row, column)) * pixel_mm
    rim = (CUT_RIM_HU * np.exp(-np.clip(inward, 0, None) / 4.0)).astype(np.float32)
    for k in range(len(hu)):
        hu[k] += rim * np.clip((ndimage.uniform_filter(hu[k], 5) + 700) / 600, 0, 1)
    hu[:, inward < 0] = LOWEST_HU


def _texture(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Slow variation of muscle, standard deviation about 3 HU."""
    coarse = rng.standard_normal(tuple(max(4, n // 12) for n in shape)).astype(np.float32)
    zoom = [n / m for n, m in zip(shape, coarse.shape, strict=True)]
    smooth: NDArray[np.float32] = ndimage.zoom(coarse, zoom, order=1)
    return smooth * np.float32(5.0)
