"""Measure what is true of a synthetic film: on the analytic shapes and the rays, never on noisy pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.film.beam import Beam
from calcphantom.film.path_lengths import Map
from calcphantom.film.recipe import View
from calcphantom.film.scene import LocalShadow, Rays
from calcphantom.film.truth import FilmTruth, FocusTruth, ShadowTruth
from calcphantom.piece import mineral_points
from calcphantom.place import Placed
from calcphantom.recipe import SCATTERED, Layer
from calcphantom.shapes import Floats

SMALLEST_FOCUS_MM: Final = 3.0
"""Foci whose longest projected diameter is smaller need not be found."""
LEAST_CONTRAST_TO_NOISE: Final = 5.0
"""Fainter foci need not be found."""
THINNEST_MINERAL_MM: Final = 0.15
"""A ray meets mineral when it runs at least this far in it."""
BONE_MARGIN_PIXELS: Final = 2
_RING_PIXELS: Final = 12
_DIRECTIONS: Final = 720


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmImages:
    """Images of one film, turned so that more attenuation is more.

    Parameters
    ----------
    noisy, clean, bare : NDArray[np.float32]
        As stored; without noise; without noise and lesions.
    field : NDArray[np.bool_]
        Exposed field.
    shadows : tuple[LocalShadow | None, ...]
        One a lesion; ``None`` when it is not on the film.
    """

    noisy: Map
    clean: Map
    bare: Map
    field: NDArray[np.bool_]
    shadows: tuple[LocalShadow | None, ...]


def film_truth(
    beam: Beam,
    view: View,
    images: FilmImages,
    rays: Rays,
    placed: tuple[Placed, ...],
    magnification: float,
) -> FilmTruth:
    """Measure every lesion on one film; see `FilmTruth`."""
    noise = images.noisy - images.clean
    bone = ndimage.binary_dilation(rays.bone_mm > 0, iterations=BONE_MARGIN_PIXELS)
    skin = rays.skin_mm > 0
    tissue = skin & ~bone & images.field & (rays.skin_mm > min(10.0, 0.5 * float(rays.skin_mm.max())))
    to_air = ndimage.distance_transform_edt(skin)
    mineral = np.full(beam.shape, -1, dtype=np.int16)
    shadows = []
    for number, (lesion, shadow) in enumerate(zip(placed, images.shadows, strict=True)):
        if shadow is None or not (shadow.mineral_mm > THINNEST_MINERAL_MM).any():
            continue
        is_mineral = shadow.mineral_mm > THINNEST_MINERAL_MM
        mineral[shadow.box][is_mineral] = number
        shadows.append(
            _shadow_truth(beam, number, lesion, shadow, is_mineral, (images, noise, bone, np.asarray(to_air)))
        )
    return FilmTruth(
        view=view.value,
        shape=beam.shape,
        pixel_mm=beam.pixel_mm,
        magnification=magnification,
        shadows=tuple(shadows),
        mineral=mineral,
        bone=bone,
        skin=skin,
        field=images.field,
        noise=float(noise[tissue].std()) if tissue.any() else float("nan"),
    )


_Maps = tuple[FilmImages, Map, NDArray[np.bool_], NDArray[np.float64]]


def _shadow_truth(
    beam: Beam, number: int, lesion: Placed, shadow: LocalShadow, is_mineral: NDArray[np.bool_], maps: _Maps
) -> ShadowTruth:
    images, _, bone, to_air = maps
    places = beam.project(mineral_points(lesion.piece.paints))
    longest, across = extents(places)
    low, high = np.floor(places.min(axis=0)).astype(int), np.ceil(places.max(axis=0)).astype(int) + 1
    outside = (low < 0).any() or (high > beam.shape).any()
    labels, count = ndimage.label(is_mineral, structure=np.ones((3, 3)))
    foci = tuple(_focus_truth(beam, labels == k + 1, shadow, places, maps) for k in range(count))
    i, j = np.nonzero(is_mineral)
    skin_px = max(0.0, float(to_air[shadow.box][is_mineral].min()) - 0.5)
    return ShadowTruth(
        lesion=number,
        pattern=lesion.recipe.pattern,
        accepted_patterns=accepted_patterns(lesion),
        longest_mm=longest * beam.pixel_mm,
        across_mm=across * beam.pixel_mm,
        longest_px=longest,
        across_px=across,
        centroid=(float(i.mean()) + shadow.box[0].start, float(j.mean()) + shadow.box[1].start),
        box=(int(low[0]), int(low[1]), int(high[0]), int(high[1])),
        foci=foci,
        is_scattered=lesion.recipe.pattern in SCATTERED or len(foci) > 1,
        is_cut=bool(outside) or not bool(images.field[shadow.box][is_mineral].all()),
        over_bone_share=float(bone[shadow.box][is_mineral].mean()),
        is_joined=lesion.recipe.layer is Layer.FUSED,
        to_skin_line_mm=skin_px * beam.pixel_mm,
        to_skin_line_px=skin_px,
    )


def _focus_truth(beam: Beam, inside: NDArray[np.bool_], shadow: LocalShadow, places: Floats, maps: _Maps) -> FocusTruth:
    images, noise, bone, _ = maps
    top, left = shadow.box[0].start, shadow.box[1].start
    i, j = np.nonzero(inside)
    box = (int(i.min()) + top, int(j.min()) + left, int(i.max()) + top + 1, int(j.max()) + left + 1)
    # The analytic points that fall on this shadow; a margin takes in those on its edge.
    grown = ndimage.binary_dilation(np.pad(inside, 3), iterations=2)
    index = np.clip(np.rint(places).astype(int) - (top - 3, left - 3), 0, np.array(grown.shape) - 1)
    own = places[grown[index[:, 0], index[:, 1]]]
    longest = extents(own)[0] if len(own) > 2 else 0.0
    around = tuple(slice(max(0, a - _RING_PIXELS), b + _RING_PIXELS) for a, b in ((box[0], box[2]), (box[1], box[3])))
    spread = float(noise[around[0], around[1]].std())
    contrast = float((images.clean - images.bare)[shadow.box][inside].mean())
    share = float(bone[shadow.box][inside].mean())
    is_inside = (
        bool(images.field[shadow.box][inside].all())
        and min(box[:2]) > 0
        and all(b < n for b, n in zip(box[2:], beam.shape, strict=True))
    )
    ratio = contrast / max(spread, 1e-6)
    size = longest * beam.pixel_mm
    return FocusTruth(
        centroid=(float(i.mean()) + top, float(j.mean()) + left),
        box=box,
        longest_mm=size,
        contrast_to_noise=ratio,
        over_bone_share=share,
        is_required=is_inside and share == 0 and size >= SMALLEST_FOCUS_MM and ratio >= LEAST_CONTRAST_TO_NOISE,
    )


def extents(places: Floats) -> tuple[float, float]:
    """Longest diameter of points in a plane, shape ``(n, 2)``, and their extent perpendicular to it; same unit."""
    angle = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    unit = np.column_stack((np.cos(angle), np.sin(angle)))
    along = places @ unit.T
    widths = along.max(axis=0) - along.min(axis=0)
    best = int(widths.argmax())
    return float(widths[best]), float(widths[(best + _DIRECTIONS // 2) % _DIRECTIONS])


def accepted_patterns(lesion: Placed) -> tuple[str, ...]:
    """Other ids that are right on a film: superposition hides what tells them apart."""
    same: dict[str, tuple[str, ...]] = {
        "P01": ("P09", "P12", "P19"),
        "P02": ("P03",),
        "P05": ("P07", "P27", "P26"),
        "P07": ("P05", "P08", "P09"),
        "P08": ("P07",),
        "P09": ("P06", "P19", "P21", "P15"),
        "P12": ("P19", "P01", "P20"),
        "P13": ("P09",),
        "P15": ("P09", "P19"),
        "P19": ("P12", "P01", "P09"),
        "P20": ("P12",),
        "P26": ("P27", "P05"),
        "P27": ("P05", "P26"),
    }
    return same.get(lesion.recipe.pattern, ())
