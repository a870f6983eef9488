"""SimpleITK's own series reader gives a wrong size in these traps, without an error; calcreport is right or refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.uid import generate_uid

from calcreport.errors import InputError

pytestmark = pytest.mark.interop
sitk = pytest.importorskip("SimpleITK")
Z = (-25.0, -24.0)


def sitk_size(folder: Any) -> tuple[float, float]:
    """Volume in mm3 and length along the stack in mm of everything above 300 HU."""
    sitk.ProcessObject.GlobalWarningDisplayOff()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    mask = sitk.GetArrayFromImage(image) > 300
    spacing = image.GetSpacing()
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    return mask.sum() * float(np.prod(spacing)), (np.ptp(slices) + 1) * spacing[2]


def at(z: Any) -> np.ndarray:
    return np.column_stack([np.full(len(z), Z[0]), np.full(len(z), Z[1]), z])


def tilted(recipe_type, write_ct):
    tilt = np.radians(25)
    recipe = recipe_type(orientation=(1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)), count=24)
    return recipe, write_ct(recipe)


def missing(recipe_type, write_ct):
    recipe = recipe_type()
    return recipe, write_ct(recipe, skip=(3, 4, 11, 12, 13))


def mixed_spacing(recipe_type, write_ct):
    recipe = recipe_type(positions=at([*np.arange(0, 14, 1.0), *np.arange(14, 44, 5.0)]))
    return recipe, write_ct(recipe)


def two_blocks(recipe_type, write_ct):
    recipe = recipe_type(positions=at([*range(0, 20, 2), *range(300, 320, 2)]))
    recipe.centre[2] = 10.0
    return recipe, write_ct(recipe)


def duplicate(recipe_type, write_ct):
    recipe = recipe_type(positions=at(sorted([*range(0, 32, 2), 12, 14, 16, 18])))
    return recipe, write_ct(recipe)


def phases(recipe_type, write_ct):
    recipe = recipe_type()
    write_ct(recipe, folder="ct", AcquisitionNumber=1)
    return recipe, write_ct(recipe, folder="ct", AcquisitionNumber=2, edit=renumber)


def renumber(number, ds):
    ds.InstanceNumber = 500 + number


def drifting(recipe_type, write_ct):
    recipe = recipe_type(positions=at(np.cumsum(np.linspace(1.0, 4.0, 16))))
    return recipe, write_ct(recipe)


def padded_bright(recipe_type, write_ct):
    recipe = recipe_type()

    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(recipe.rows, recipe.columns).copy()
        pixels[:6] = 4095
        ds.PixelData = pixels.tobytes()
        ds.add_new(0x00280120, "US", 4095)

    return recipe, write_ct(recipe, edit=edit)


@pytest.mark.parametrize(
    ("trap", "refusal"),
    [
        (tilted, None),
        (missing, "geometry.missing_slice"),
        (mixed_spacing, "geometry.irregular_spacing"),
        (two_blocks, "geometry.missing_slice"),
        (duplicate, None),
        (phases, None),
        (drifting, "geometry.irregular_spacing"),
        (padded_bright, None),
    ],
)
def test_simpleitk_is_wrong_where_calcreport_is_right_or_refuses(
    trap, refusal, write_ct, reader, recipe_type, check_true_size
):
    recipe, folder = trap(recipe_type, write_ct)
    volume, length = sitk_size(folder)
    wrong_by = max(abs(volume / recipe.volume_mm3 - 1), abs(length / (2 * recipe.radius) - 1))
    if refusal is None:
        check_true_size(reader.read(folder), recipe)
    else:
        with pytest.raises(InputError) as caught:
            reader.read(folder)
        assert caught.value.code == refusal
    assert wrong_by > 0.08


def test_simpleitk_agrees_on_a_sound_series(write_ct, reader, recipe_type, measure_mineral):
    recipe = recipe_type(uids={k: generate_uid() for k in ("study", "series", "frame")})
    folder = write_ct(recipe)
    assert sitk_size(folder)[0] == pytest.approx(measure_mineral(reader.read(folder))[0], rel=1e-6)
