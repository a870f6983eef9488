"""Make synthetic radiographs: recipe in, films and truth out. Pure: everything random follows from the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.film.beam import Beam, make_beam, patient_orientation, ray_direction
from calcphantom.film.exposure import (
    amplifier_for,
    detected_quanta,
    open_field,
    with_noise,
)
from calcphantom.film.joint import Knee
from calcphantom.film.marks import collimator_border, empty_place, letters
from calcphantom.film.measure import FilmImages, film_truth
from calcphantom.film.path_lengths import Map, enlarged
from calcphantom.film.recipe import (
    Collimation,
    ExposureRecipe,
    FilmRecipe,
    Photometric,
    Spacing,
    View,
)
from calcphantom.film.scene import LocalShadow, Rays, project_lesion, project_scene, surroundings_per_mm
from calcphantom.film.solid_scene import project_painted
from calcphantom.film.truth import FilmStudyTruth
from calcphantom.place import Placed
from calcphantom.recipe import Extra, Region
from calcphantom.scene import Body
from calcphantom.shapes import Floats
from calcphantom.study import (
    JOINT_BELOW_END_MM,
    Setting,
    build_setting,
    identifier,
    place_all,
    scan_length_mm,
    uid_stem,
)
from calcreport.model.film import FilmImage, FilmScale, FilmView, ScaleKind
from calcreport.model.image import SliceReference

LIMBS: Final = frozenset({Region.CALF, Region.THIGH})
SOLIDS: Final = frozenset({Region.HAND, Region.FOOT, Region.SHOULDER})
"""Regions whose films are painted sample by sample."""
FILMED: Final = LIMBS | SOLIDS | {Region.PELVIS}
"""Regions that films can be made of; of a pelvis, one hip."""
FIRST_SERIES: Final = 90001
"""Number of the identifier of the first film's series; the next ones follow."""
_SIDE_MARGIN_MM: Final = 26.0
_LEAD: Final = 4.5
_PARTS: Final = {
    Region.CALF: "LEG", Region.THIGH: "THIGH", Region.HAND: "HAND", Region.FOOT: "FOOT", Region.SHOULDER: "SHOULDER",
    Region.PELVIS: "HIP",
}  # fmt: skip
_HIP_MM: Final = (18.0, 176.0)
"""What a film of a hip shows, from the middle of the patient outwards, mm."""
_FOREFOOT_MM: Final = (-165.0, -22.0)
"""What a film of a foot from above shows, LPS y: in front of the leg, mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmHeader:
    """One exposure before it is called a radiograph.

    Parameters
    ----------
    view : View
        Projection.
    beam : Beam
        Its geometry.
    stored : NDArray[np.uint16]
        Values as a file holds them.
    border : tuple[int, int, int, int] | None
        Unexposed pixels at the top, bottom, left and right.
    magnification : float
        Of the middle of the patient.
    """

    view: View
    beam: Beam
    stored: NDArray[np.uint16]
    border: tuple[int, int, int, int] | None
    magnification: float


def make_films(recipe: FilmRecipe) -> tuple[tuple[FilmImage, ...], FilmStudyTruth]:
    """Make the films of a study with known truth.

    Parameters
    ----------
    recipe : FilmRecipe
        What to build; the same recipe gives the same pixels.

    Returns
    -------
    tuple[tuple[FilmImage, ...], FilmStudyTruth]
        One film a view, holding what its file holds; and what is true of them, in pixels and detector-plane mm.

    Raises
    ------
    NoRoomError
        A lesion does not fit into the region.
    ValueError
        The region is no limb.
    """
    films, truth = expose(recipe)
    return tuple(as_film_image(film, recipe, n) for n, film in enumerate(films)), truth


def expose(recipe: FilmRecipe) -> tuple[tuple[FilmHeader, ...], FilmStudyTruth]:
    """Expose every film of a study; see `make_films`."""
    phantom = recipe.phantom
    if phantom.region not in FILMED:
        msg = "radiographs are made of limbs: choose a calf, thigh, hand, foot, shoulder or pelvis"
        raise ValueError(msg)
    rng = np.random.default_rng(phantom.seed)
    half = scan_length_mm(phantom) / 2
    setting = build_setting(phantom, rng, half_length_mm=half)
    placed = place_all(phantom, setting, rng, half_length_mm=half)
    films, truths = [], []
    for n, view in enumerate(recipe.views):
        film, images, rays = _expose_one(recipe, setting, placed, view, half, n)
        films.append(film)
        truths.append(film_truth(film.beam, view, images, rays, placed, film.magnification))
    names = tuple(name for body in setting.bodies for name in body.names)
    truth = FilmStudyTruth(
        recipe=recipe, films=tuple(truths), distractors=names + tuple(e.value for e in phantom.extras)
    )
    return tuple(films), truth


def _bodies_on(view: View, setting: Setting) -> tuple[Body, ...]:
    """Both legs from the front; from the side only the first, the other is kept out of the beam."""
    return setting.bodies[:1] if view is View.LATERAL else setting.bodies


def _aim(recipe: FilmRecipe, bodies: tuple[Body, ...], view: View, half_mm: float) -> Beam:
    exposure = recipe.exposure
    sign = 1.0 if recipe.phantom.laterality == "left" else -1.0
    low, high = _extent(recipe, bodies, view, half_mm)
    middle = (low + high) / 2
    forward = ray_direction(view, sign=sign)
    reach = float((np.abs(forward) * (high - low)).sum() / 2) + exposure.gap_mm
    enlarged_by = exposure.sid_mm / (exposure.sid_mm - reach)
    margin = 4.0 if recipe.phantom.region in {Region.PELVIS, Region.SHOULDER} else _SIDE_MARGIN_MM
    width = float((high - low)[1 if view is View.LATERAL else 0]) * enlarged_by * 1.06 + 2 * margin
    height = (float((high - low)[1 if view is View.DORSOPLANTAR else 2]) + 16.0) * enlarged_by
    shape = (int(np.ceil(height / exposure.pixel_mm)), int(np.ceil(width / exposure.pixel_mm)))
    return make_beam(view, exposure, shape, sign=sign, centre_mm=middle, object_detector_mm=reach)


def _extent(recipe: FilmRecipe, bodies: tuple[Body, ...], view: View, half_mm: float) -> tuple[Floats, Floats]:
    """Lowest and highest corner of what a film is meant to show, LPS mm."""
    region, body = recipe.phantom.region, bodies[0]
    if region not in SOLIDS:
        points = np.concatenate([b.skin.points(-half_mm, half_mm, 6.0) for b in bodies])
        low, high = points.min(axis=0), points.max(axis=0)
    else:
        low, high = body.skin.shape().box.copy()
    low[2], high[2] = np.clip((low[2], high[2]), -half_mm, half_mm) if region in SOLIDS else (-half_mm, half_mm)
    sign = 1.0 if recipe.phantom.laterality == "left" else -1.0
    if region is Region.PELVIS:
        low[0], high[0] = sorted((sign * _HIP_MM[0], min(_HIP_MM[1], max(abs(low[0]), abs(high[0]))) * sign))
    if region is Region.SHOULDER and body.field_mm is not None:
        (x, _y), (wide, _deep) = body.field_mm
        low[0], high[0] = x - 0.8 * wide, x + 0.8 * wide
    if view is View.DORSOPLANTAR:
        low[1], high[1] = max(low[1], _FOREFOOT_MM[0]), _FOREFOOT_MM[1]
        low[2], high[2] = body.skin.shape().box[0, 2], 0.0
    return low, high


def _expose_one(
    recipe: FilmRecipe,
    setting: Setting,
    placed: tuple[Placed, ...],
    view: View,
    half_mm: float,
    number: int,
) -> tuple[FilmHeader, FilmImages, Rays]:
    phantom, exposure = recipe.phantom, recipe.exposure
    rng = np.random.default_rng([phantom.seed, 2, number])
    bodies = _bodies_on(view, setting)
    beam = _aim(recipe, bodies, view, half_mm)
    paints = tuple(p for p in setting.paints if _is_on_film(p, setting, bodies))
    knee = None
    if Extra.KNEE_END in phantom.extras:
        knee = Knee(body=setting.bodies[0], joint_z_mm=half_mm - JOINT_BELOW_END_MM)
    if phantom.region in SOLIDS:
        rays = project_painted(beam, bodies[0].paints, bodies[0], energy_kev=exposure.energy_kev)
    else:
        rays = project_scene(beam, paints, bodies, energy_kev=exposure.energy_kev, knee=knee)
    background = rays.attenuation + _texture(rays, exposure, rng)
    border = collimator_border(exposure.collimation, beam.shape, rng, pixel_mm=exposure.pixel_mm)
    field = open_field(beam.shape, border)
    base = surroundings_per_mm(bodies, exposure.energy_kev)
    shadows: list[LocalShadow | None] = [
        project_lesion(beam, lesion, base, energy_kev=exposure.energy_kev) if lesion.body in bodies else None
        for lesion in placed
    ]
    marks = _marker(rays, field, recipe, rng)
    background += marks
    full = background.copy()
    for shadow in shadows:
        if shadow is not None:
            full[shadow.box] += shadow.change
    tissue = (rays.skin_mm > (6.0 if phantom.region in SOLIDS else 20.0)) & (rays.bone_mm <= 0)
    quanta, open_quanta = detected_quanta(full, field, tissue, exposure)
    without, _ = detected_quanta(background, field, tissue, exposure)
    amplifier = amplifier_for(quanta, field, open_quanta, exposure)
    clean, noisy, bare = (amplifier.stored(q) for q in (quanta, with_noise(quanta, exposure, rng), without))
    if border is not None and exposure.collimation is Collimation.MASKED:
        noisy[~field] = 0 if exposure.photometric is Photometric.MONOCHROME2 else 2**exposure.bits - 1
    _burn_in(noisy, rays, recipe, view, rng)
    images = FilmImages(
        noisy=turned(noisy, exposure), clean=turned(clean, exposure), bare=turned(bare, exposure), field=field,
        shadows=tuple(shadows),
    )  # fmt: skip
    x, y = bodies[0].skin.centre(np.array(0.0))
    centre = np.array([float(x), float(y), 0.0])
    film = FilmHeader(view=view, beam=beam, stored=noisy, border=border, magnification=beam.magnification(centre))
    return film, images, rays


def _is_on_film(paint: object, setting: Setting, bodies: tuple[Body, ...]) -> bool:
    """Whether a paint belongs to no other body than those on the film."""
    return not any(paint in body.paints for body in setting.bodies if body not in bodies)


def _texture(rays: Rays, exposure: ExposureRecipe, rng: np.random.Generator) -> Map:
    """Trabeculae where there is marrow, and the marbling of muscle along the limb; no unit."""
    pixel = exposure.pixel_mm
    step = max(1, round(0.3 / pixel))
    shape = tuple(n // step + 2 for n in rays.skin_mm.shape)
    noise = rng.standard_normal(shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, (1.6 / 0.6, 0.8 / 0.6)) - ndimage.gaussian_filter(noise, (6.0, 4.0))
    fine *= np.float32(0.022 / fine.std())
    slow = ndimage.gaussian_filter(rng.standard_normal(tuple(n // 12 + 3 for n in shape), dtype=np.float32), (4.0, 1.2))
    slow *= np.float32(0.006 / slow.std())
    n_rows, n_columns = rays.skin_mm.shape
    box = (slice(0, n_rows), slice(0, n_columns))
    out = enlarged(fine, box, step) * np.sqrt(rays.marrow_mm / 20.0, dtype=np.float32)
    smooth = ndimage.zoom(slow, 12, order=3, mode="nearest", grid_mode=True)
    out += enlarged(smooth, box, step) * np.minimum(rays.skin_mm / 40.0, 1.0)
    return np.asarray(out, dtype=np.float32)


def _marker(rays: Rays, field: NDArray[np.bool_], recipe: FilmRecipe, rng: np.random.Generator) -> Map:
    """Attenuation of a lead letter in the air of the exposed field; no unit."""
    out = np.zeros(field.shape, dtype=np.float32)
    if not recipe.exposure.has_marker:
        return out
    glyph = letters(recipe.phantom.laterality[0].upper(), dot=max(1, round(1.6 / recipe.exposure.pixel_mm)))
    margin = round(2.0 / recipe.exposure.pixel_mm)
    blocked = (rays.skin_mm > 0) | ~field | (rays.attenuation > 0.01)
    place = empty_place(blocked, (glyph.shape[0], glyph.shape[1]), rng, margin=margin)
    if place is not None:
        out[place[0] : place[0] + glyph.shape[0], place[1] : place[1] + glyph.shape[1]] = glyph * np.float32(_LEAD)
    return out


def _burn_in(stored: NDArray[np.uint16], rays: Rays, recipe: FilmRecipe, view: View, rng: np.random.Generator) -> None:
    """Write text over pixels beside the patient, in place, as white as the film gets."""
    exposure = recipe.exposure
    if not exposure.has_text:
        return
    text = letters("LAT 60 KV" if view is View.LATERAL else "AP 60 KV", dot=max(1, round(0.35 / exposure.pixel_mm)))
    place = empty_place(rays.skin_mm > 0, (text.shape[0], text.shape[1]), rng, margin=2)
    if place is not None:
        part = stored[place[0] : place[0] + text.shape[0], place[1] : place[1] + text.shape[1]]
        part[text] = 2**exposure.bits - 1 if exposure.photometric is Photometric.MONOCHROME2 else 0


def turned(stored: NDArray[np.uint16], exposure: ExposureRecipe) -> NDArray[np.float32]:
    """Stored values turned so that more attenuation is more, whatever their polarity."""
    values = stored.astype(np.float32)
    return values if exposure.photometric is Photometric.MONOCHROME2 else np.float32(2**exposure.bits - 1) - values


def view_position(view: View, laterality: str) -> str:
    """View Position: from the front, or with the outer side of the limb towards the detector."""
    if view is not View.LATERAL:
        return "AP"
    return "LL" if laterality == "left" else "RL"


def film_scale(film: FilmHeader, exposure: ExposureRecipe) -> FilmScale:
    """Return what the header of a film says about millimetres."""
    if exposure.spacing is Spacing.NONE:
        return FilmScale(kind=ScaleKind.NONE)
    if exposure.spacing is Spacing.DETECTOR:
        return FilmScale(kind=ScaleKind.DETECTOR, spacing_mm=(exposure.pixel_mm, exposure.pixel_mm))
    calibrated = exposure.pixel_mm / film.magnification
    return FilmScale(
        kind=ScaleKind.CALIBRATED,
        spacing_mm=(calibrated, calibrated),
        calibration="GEOMETRY",
        magnification=film.magnification,
    )


def as_film_image(film: FilmHeader, recipe: FilmRecipe, number: int) -> FilmImage:
    """Return film `number` of a study as a reader of its file would."""
    exposure, phantom = recipe.exposure, recipe.phantom
    intensity = turned(film.stored, exposure)
    imaged = np.ones(intensity.shape, dtype=np.bool_)
    if exposure.collimation is Collimation.HEADER:
        imaged = open_field(film.beam.shape, film.border)
    low, high = 0.0, float(2**exposure.bits - 1)
    picture = np.clip((intensity - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)
    stem = film_uid_stem(recipe)
    both = Extra.SECOND_LEG in phantom.extras and film.view is View.AP
    return FilmImage(
        intensity=intensity,
        picture=picture,
        is_imaged=imaged,
        scale=film_scale(film, exposure),
        view=FilmView(
            position=view_position(film.view, phantom.laterality),
            laterality="both" if both else phantom.laterality,
            body_part="KNEE" if Extra.KNEE_END in phantom.extras else _PARTS[phantom.region],
            patient_orientation=patient_orientation(film.beam),
        ),
        reference=SliceReference(sop_instance_uid=identifier(stem, number + 1), instance_number=number + 1),
        series_instance_uid=identifier(stem, FIRST_SERIES + number),
        is_logarithmic=None if exposure.modality == "CR" else not exposure.is_linear,
        kvp=exposure.kvp,
    )


def film_uid_stem(recipe: FilmRecipe) -> str:
    """Stem of the identifiers of a study of radiographs, the same for the same recipe."""
    return uid_stem(replace(recipe.phantom, kind=f"{recipe.phantom.kind} {recipe.exposure!r} {recipe.views!r}"))
