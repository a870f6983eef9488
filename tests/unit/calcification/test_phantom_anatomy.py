"""Whole phantoms whose own anatomy was once called a lesion, or whose lesion was once called anatomy."""

from __future__ import annotations

import pytest
from calcphantom import Region, make_phantom, random_recipe

from calcreport.calcification.analysis import analyse_ct
from calcreport.model.image import Acquisition
from calcreport.settings import DetectionSettings

pytestmark = [pytest.mark.accuracy, pytest.mark.slow]


def analysed(seed, region=None, *, has_lesions):
    recipe = random_recipe(seed, has_lesions=has_lesions, region=Region(region) if region else None)
    volume, truth = make_phantom(recipe)
    scan = recipe.scan
    header = Acquisition(
        kvp=scan.kvp, slice_thickness_mm=scan.slice_thickness_mm, kernel=scan.kernel.value, contrast=scan.contrast,
    )  # fmt: skip
    return analyse_ct(volume, header, settings=DetectionSettings()), truth


@pytest.mark.parametrize(
    ("region", "seed"),
    [("hand", 20002), ("hand", 20003), ("foot", 20002)],
    ids=["sesamoids of the thumb", "a metacarpal cut at its base", "cuneiform and metatarsals"],
)
def test_small_bones_are_no_lesions(region, seed):
    assert analysed(seed, region, has_lesions=False)[0].lesions == ()


@pytest.mark.parametrize(
    ("region", "seed"),
    [(None, 314), (None, 511), ("hand", 20006), ("abdomen", 63001)],
    ids=["beside the airway", "in the muscle before the pelvis", "close to a phalanx", "in a belly with oral contrast"],
)
def test_a_lesion_beside_cavity_or_bone_is_found(region, seed):
    found, truth = analysed(seed, region, has_lesions=True)
    assert len(found.lesions) == len(truth.lesions)


@pytest.mark.parametrize(
    ("region", "seed"),
    [("thorax", 61001), ("abdomen", 61000), ("abdomen", 61001)],
    ids=["scapula and humerus", "ribs cut at their tips", "cortex of a sacrum thinner than the map of bones shows"],
)
def test_bones_of_the_trunk_are_no_lesions(region, seed):
    """Neither are opacified bowel and the cartilage of ribs there."""
    assert analysed(seed, region, has_lesions=False)[0].lesions == ()


def test_a_slim_section_is_not_called_a_thigh():
    assert analysed(20001, "foot", has_lesions=False)[0].regions == ()
