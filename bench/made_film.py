"""A large radiograph to time: both lower legs on one film of 42 cm, as a flat-panel detector takes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from calcphantom.film.dicom import film_dataset
from calcphantom.film.kinds import exposure_of
from calcphantom.film.recipe import FilmRecipe, View
from calcphantom.film.study import expose
from calcphantom.recipe import Layer, LesionRecipe, PhantomRecipe, Region
from numpy.typing import NDArray
from pydicom.filewriter import dcmwrite

SIDE: Final = 3000
"""Rows and columns."""
PIXEL_MM: Final = 0.14
_LENGTH_MM: Final = 375.0
"""Of the legs; enlarged, a little more than the film."""
_SEED: Final = 11
_LEGS: Final = (
    (LesionRecipe(pattern="P26", diameter_mm=28, hu=900, layer=Layer.SUBCUTANEOUS),),
    (
        LesionRecipe(pattern="P01", diameter_mm=30, hu=1100, layer=Layer.SUBCUTANEOUS),
        LesionRecipe(pattern="P09", diameter_mm=12, hu=700, layer=Layer.SUBFASCIAL),
    ),
)
"""Right leg, then left leg."""


def write_film(folder: Path) -> float:
    """Write one uncompressed DX file of 3000 x 3000 into a new folder.

    Returns
    -------
    float
        Longest projected diameter of the largest lesion at the detector, mm.
    """
    recipes = [_recipe(side, _LEGS[n], _SEED + n) for n, side in enumerate(("right", "left"))]
    exposed = [expose(recipe) for recipe in recipes]
    pixels = np.hstack([_middle(films[0].stored, SIDE, SIDE // 2) for films, _ in exposed])
    dataset = film_dataset(exposed[0][0][0], recipes[0], 0, transfer_syntax="explicit")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.ImageLaterality = "B"
    folder.mkdir(parents=True)
    dcmwrite(folder / "film.dcm", dataset, enforce_file_format=True)
    return max(shadow.longest_mm for _, truth in exposed for shadow in truth.films[0].shadows)


def _recipe(side: str, lesions: tuple[LesionRecipe, ...], seed: int) -> FilmRecipe:
    phantom = PhantomRecipe(
        kind="bench", region=Region.CALF, seed=seed, lesions=lesions, length_mm=_LENGTH_MM, laterality=side,
        description="XR both lower legs",
    )  # fmt: skip
    exposure = replace(exposure_of(Region.CALF), pixel_mm=PIXEL_MM)
    return FilmRecipe(phantom=phantom, views=(View.AP,), exposure=exposure)


def _middle(pixels: NDArray[np.uint16], rows: int, columns: int) -> NDArray[np.uint16]:
    """Cut out the middle; raises ValueError where there is too little."""
    low = [(have - want) // 2 for have, want in zip(pixels.shape, (rows, columns), strict=True)]
    if min(low) < 0:
        msg = f"a film of {pixels.shape} is too small for {rows} x {columns}"
        raise ValueError(msg)
    return pixels[low[0] : low[0] + rows, low[1] : low[1] + columns]
