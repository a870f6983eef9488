"""Make a phantom: recipe in, volume and truth out. Pure: everything random follows from the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calcreport.model.image import LOWEST_HU, Contrast, CtVolume, SliceReference
from calcreport.phantom.limb import blood_hu, build_limb
from calcreport.phantom.place import Placed, place_lesion
from calcreport.phantom.recipe import Extra, Layer, PhantomRecipe, Region
from calcreport.phantom.render import Rendering, noise_field, render, scan_geometry
from calcreport.phantom.scene import Body, Paint
from calcreport.phantom.truth import Truth, lesion_truth

UID_ROOT = "2.25."
"""Root of identifiers derived from a number (PS3.5 B.2)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """Bodies and the things around them.

    Parameters
    ----------
    bodies : tuple[Body, ...]
        Lesions go to the first; bilateral ones to both.
    paints : tuple[Paint, ...]
        Everything but the lesions, in the order of painting, LPS mm.
    half_size_mm : tuple[float, float]
        Half width and half height of the field of view, mm.
    """

    bodies: tuple[Body, ...]
    paints: tuple[Paint, ...]
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
    setting = build_setting(recipe, rng)
    placed = place_all(recipe, setting, rng, half_length_mm=length / 2)
    paints = (*setting.paints, *(replace(p, owner=n) for n, lesion in enumerate(placed) for p in lesion.piece.paints))
    width, height = setting.half_size_mm
    geometry = scan_geometry(recipe.scan, half_width_mm=width, half_height_mm=height, length_mm=length)
    rendering = render(paints, geometry, recipe.scan, lesions=len(placed))
    truth = Truth(
        recipe=recipe,
        lesions=tuple(lesion_truth(lesion, n, rendering, recipe.scan) for n, lesion in enumerate(placed)),
        distractors=tuple(name for body in setting.bodies for name in body.names) + tuple(e.value for e in recipe.extras),
        spacing_mm=geometry.spacing_mm,
        tilt_deg=geometry.tilt_deg,
        noise_hu=recipe.scan.noise_hu,
    )
    hu = _scanned(rendering, recipe, np.random.default_rng([recipe.seed, 1]))
    uid = series_uid(recipe)
    slices = tuple(SliceReference(sop_instance_uid=f"{uid}{n + 1:04d}", instance_number=n + 1) for n in range(hu.shape[0]))
    volume = CtVolume(
        hu=hu, geometry=geometry, slices=slices, ceiling_hu=recipe.scan.ceiling_hu, series_instance_uid=f"{uid}0000"
    )
    return volume, truth


def series_uid(recipe: PhantomRecipe) -> str:
    """Stem of the identifiers of a study, the same for the same recipe."""
    import hashlib

    digest = hashlib.sha256(repr(recipe).encode()).digest()
    return f"{UID_ROOT}{1 + int.from_bytes(digest[:11], 'big')}"


def scan_length_mm(recipe: PhantomRecipe) -> float:
    """Length of the scan in mm: as asked for, or long enough for the longest lesion."""
    if recipe.length_mm is not None:
        return recipe.length_mm
    longest = max((max(x.diameter_mm, x.mass_mm or 0.0) for x in recipe.lesions), default=20.0)
    return float(max(56.0, longest * 1.1 + 34.0))


def fat_thickness_mm(recipe: PhantomRecipe, rng: np.random.Generator) -> float:
    """Mean thickness of the subcutaneous fat in mm, enough for the lesions meant to lie in it."""
    if recipe.fat_mm is not None:
        return recipe.fat_mm
    base = float(rng.uniform(6, 18))
    wanted = [x.diameter_mm for x in recipe.lesions if x.layer in {Layer.SUBCUTANEOUS, Layer.ABUTTING}]
    return float(min(34.0, max([base, *(0.55 * d + 6.0 for d in wanted)])))


def build_setting(recipe: PhantomRecipe, rng: np.random.Generator) -> Setting:
    """Build the bodies, the table and what else lies around."""
    fat = fat_thickness_mm(recipe, rng)
    if recipe.region in {Region.CALF, Region.THIGH}:
        sign = 1.0 if recipe.laterality == "left" else -1.0
        bodies = (build_limb(recipe, rng, fat_mm=fat, sign=sign),)
    else:
        raise NotImplementedError(recipe.region)
    angles = np.linspace(-np.pi, np.pi, 90)
    reach = max(float(body.skin.radius(angles, np.zeros(90)).max()) for body in bodies) + 12
    return Setting(bodies=bodies, paints=tuple(p for body in bodies for p in body.paints), half_size_mm=(reach, reach))


def place_all(recipe: PhantomRecipe, setting: Setting, rng: np.random.Generator, *, half_length_mm: float) -> tuple[Placed, ...]:
    """Place every lesion of the recipe, one after the other."""
    blood = blood_hu(recipe.scan.contrast, is_artery=True, rng=rng)
    placed: list[Placed] = []
    for n, lesion in enumerate(recipe.lesions):
        body = setting.bodies[n % len(setting.bodies)]
        placed.append(
            place_lesion(lesion, body, rng, others=tuple(placed), half_length_mm=half_length_mm, blood_hu=blood)
        )
    return tuple(placed)


def _scanned(rendering: Rendering, recipe: PhantomRecipe, rng: np.random.Generator) -> np.ndarray:
    hu = rendering.hu
    muscle = np.clip(1 - np.abs(hu - 56) / 40, 0, 1)
    hu += muscle * _texture(hu.shape, rng)
    hu += noise_field(hu.shape, recipe.scan, rng)
    return np.clip(np.rint(hu), LOWEST_HU, recipe.scan.ceiling_hu).astype(np.int16)


def _texture(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    coarse = rng.standard_normal(tuple(max(4, n // 12) for n in shape)).astype(np.float32)
    zoom = [n / m for n, m in zip(shape, coarse.shape, strict=True)]
    return ndimage.zoom(coarse, zoom, order=1)[tuple(slice(0, n) for n in shape)] * 5.0


__all__ = ["Contrast", "Extra", "Setting", "make_phantom"]
