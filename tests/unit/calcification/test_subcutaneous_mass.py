"""A lump in the fat close to the muscles is told from a muscle by the plane of fat beneath it, and only by that."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from calcphantom import make_phantom, random_recipe

from calcreport.calcification.analysis import analyse_ct
from calcreport.model.image import Acquisition, Contrast
from calcreport.model.report import DepthClass
from calcreport.settings import DetectionSettings

PLAIN = Acquisition(kvp=120, slice_thickness_mm=3.0, contrast=Contrast.NONE)
SUPERFICIAL = {DepthClass.SUBCUTANEOUS, DepthClass.ABUTS_FASCIA}


def thigh_with_lump(plane_mm):
    """Skin 76 mm out, fascia 50 mm out, a mass with a mineral centre laid on it, `plane_mm` of fat between."""

    def paint(x, y, z):
        r, turn = np.hypot(x, y), np.arctan2(y, x)
        hu = np.where(r < 76, -105.0, -1000.0)
        hu[(r < 76) & (r > 74)] = 40.0
        hu[r < 50] = 55.0
        hu[np.hypot(x + 5, y) < 13] = 1300.0
        hu[np.hypot(x + 5, y) < 8] = -60.0
        hu[(r > 50 + plane_mm) & (r < 67) & (np.abs(turn - 0.7) < 0.3) & (np.abs(z) < 16)] = 50.0
        hu[(r > 54) & (r < 63) & (np.abs(turn - 0.7) < 0.15) & (np.abs(z) < 8)] = 550.0
        return hu

    return paint


@pytest.mark.accuracy
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1055, 1101])
def test_a_mass_close_to_the_fascia_stays_in_the_fat(seed):
    # Masses with an open shell in the subcutaneous fat, 2-3 mm above the fascia, that blocks of 3 mm join to it.
    recipe = random_recipe(seed)
    volume, truth = make_phantom(recipe)
    acquisition = dataclasses.replace(PLAIN, contrast=recipe.scan.contrast, kvp=recipe.scan.kvp)
    (lesion,) = analyse_ct(volume, acquisition, settings=DetectionSettings()).lesions
    assert truth.lesions[0].depth_class is DepthClass.SUBCUTANEOUS
    assert lesion.depth.class_ in SUPERFICIAL


@pytest.mark.parametrize("noise_hu", [8.0, 25.0])
def test_fat_beneath_a_lump_makes_it_superficial(make_volume, noise_hu):
    volume = make_volume(thigh_with_lump(2.2), size_mm=160.0, spacing_mm=(3.0, 0.9, 0.9), noise_hu=noise_hu)
    (lesion,) = analyse_ct(volume, PLAIN, settings=DetectionSettings()).lesions
    assert lesion.depth.class_ in SUPERFICIAL


def test_a_bulge_of_the_muscles_stays_deep(make_volume):
    # Without a plane of fat nothing tells a lump from muscle: deep, the more careful reading.
    volume = make_volume(thigh_with_lump(0.0), size_mm=160.0, spacing_mm=(3.0, 0.9, 0.9), noise_hu=8.0)
    (lesion,) = analyse_ct(volume, PLAIN, settings=DetectionSettings()).lesions
    assert lesion.depth.class_ not in SUPERFICIAL


def test_fat_around_a_deep_lump_does_not_bring_it_out(make_volume):
    def paint(x, y, z):
        hu = thigh_with_lump(17.0)(x, y, z)
        hu[hu == 550.0] = -105.0
        deep = np.sqrt((x - 30) ** 2 + y**2 + z**2)
        hu[deep < 14] = -100.0
        hu[deep < 10] = 50.0
        hu[deep < 6] = 550.0
        return hu

    volume = make_volume(paint, size_mm=160.0, spacing_mm=(3.0, 0.9, 0.9), noise_hu=8.0)
    lesions = analyse_ct(volume, PLAIN, settings=DetectionSettings()).lesions
    assert lesions
    assert all(lesion.depth.class_ not in SUPERFICIAL for lesion in lesions)
