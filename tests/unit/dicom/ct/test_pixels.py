"""Stored bits to Hounsfield units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from calcreport.dicom.ct.pixels import Scale, _without_air
from calcreport.errors import InputError


def refused(reader: Any, path: Any) -> str:
    with pytest.raises(InputError) as caught:
        reader.read(path)
    return caught.value.code


def restore(change: Any, **tags: Any) -> Any:
    """Edit that stores HU another way."""

    def edit(_number, ds):
        hu = np.frombuffer(ds.PixelData, dtype="<u2").astype(np.int32) - 1024
        ds.PixelData = change(hu).astype("<u2").tobytes()
        for keyword, value in tags.items():
            setattr(ds, keyword, value)

    return edit


RUBBISH = np.random.default_rng(3).integers(0, 16, 48 * 40)


@pytest.mark.parametrize(
    ("change", "tags"),
    [
        (lambda hu: hu & 0xFFFF, {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15, "RescaleIntercept": "0"}),
        (lambda hu: hu & 0xFFF, {"PixelRepresentation": 1, "RescaleIntercept": "0"}),
        (lambda hu: (hu & 0xFFF) | RUBBISH << 12, {"PixelRepresentation": 1, "RescaleIntercept": "0"}),
        (lambda hu: (hu + 1024) | RUBBISH << 12, {}),
        (lambda hu: (hu + 1024) << 4 | RUBBISH, {"HighBit": 15}),
        (lambda hu: (hu + 1024) << 2 | (RUBBISH & 3), {"HighBit": 13}),
        (lambda hu: (hu & 0xFFF) << 4 | RUBBISH, {"HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": "0"}),
        (lambda hu: hu + 1000, {"BitsStored": 13, "HighBit": 12, "RescaleIntercept": "-1000"}),
        (lambda hu: hu + 32768, {"BitsStored": 16, "HighBit": 15, "RescaleIntercept": "-32768"}),
        (lambda hu: (hu + 1024) * 4, {"BitsStored": 16, "HighBit": 15, "RescaleSlope": "0.25"}),
        (lambda hu: hu + 1024, {"PhotometricInterpretation": "MONOCHROME1"}),
        (lambda hu: hu + 1024, {"RescaleIntercept": "-1.024e3", "RescaleSlope": "1.0000000000000"}),
    ],
)
def test_every_way_to_store_gives_the_same_hu(write_ct, reader, recipe_type, change, tags):
    recipe = recipe_type()
    assert (reader.read(write_ct(recipe, edit=restore(change, **tags))).volume.hu == recipe.paint()).all()


def test_values_beyond_the_scale_do_not_wrap(write_ct, reader):
    def change(hu):
        stored = hu + 1024
        stored[900:905] = 65535
        stored[905:910] = 0
        return stored

    ct = reader.read(write_ct(edit=restore(change, BitsStored=16, HighBit=15)))
    flat = ct.volume.hu.reshape(16, -1)
    assert (flat[:, 900:905] == 32767).all()
    assert (flat[:, 905:910] == -1024).all()


def test_hu_below_air_is_lifted_to_the_floor(write_ct, reader):
    def change(hu):
        stored = hu.copy()
        stored[1000:1010] = -1500
        return stored & 0xFFFF

    tags = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15, "RescaleIntercept": "0"}
    ct = reader.read(write_ct(edit=restore(change, **tags)))
    assert (ct.volume.hu.reshape(16, -1)[:, 1000:1010] == -1024).all()


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "pixel.bits_allocated"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "pixel.bits_allocated"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "pixel.colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "pixel.colour"),
        ({"BitsStored": 17}, "pixel.description"),
        ({"BitsStored": 0}, "pixel.description"),
        ({"HighBit": 3}, "pixel.description"),
        ({"HighBit": 16}, "pixel.description"),
        ({"PixelRepresentation": 7}, "pixel.description"),
        ({"Rows": 0}, "pixel.description"),
        ({"Rows": 24}, "pixel.length"),
        ({"Rows": 65535}, "pixel.length"),
        ({"Columns": 41}, "pixel.length"),
        ({"Rows": None}, "pixel.description"),
        ({"Columns": None}, "pixel.description"),
        ({"BitsAllocated": None}, "pixel.bits_allocated"),
        ({"BitsStored": None, "HighBit": None}, "pixel.description"),
        ({"PixelRepresentation": None}, "pixel.description"),
        ({"PhotometricInterpretation": None}, "pixel.description"),
        ({"SamplesPerPixel": None, "PhotometricInterpretation": None}, "pixel.description"),
    ],
)
def test_a_doubtful_pixel_description_is_refused(write_ct, reader, tags, code):
    assert refused(reader, write_ct(**tags)) == code


def test_rows_as_a_32_bit_number_are_refused(write_ct, reader):
    def edit(_number, ds):
        del ds.Rows
        ds.add_new(0x00280010, "UL", 48)

    assert refused(reader, write_ct(edit=edit)) == "pixel.description"


def test_several_frames_in_a_single_frame_class_are_set_aside(write_ct, reader):
    with reader.discover(write_ct(NumberOfFrames="2000000000")) as found:
        assert {row.code: row.count for row in found.set_aside} == {"pixel.frames": 16}


def test_a_truncated_slice_refuses_the_series(write_ct, reader):
    folder = write_ct()
    last = sorted(folder.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-100])
    assert refused(reader, folder) == "pixel.length"


def test_slices_of_two_sizes_become_two_stacks(write_ct, reader, recipe_type):
    recipe = recipe_type()
    write_ct(recipe, folder="a")
    write_ct(recipe_type(rows=30, uids=recipe.uids), folder="b", InstanceNumber=300)
    assert len(reader.rank(write_ct.root).candidates) == 2


def not_imaged_by_filters(air, values, tissue):
    """What `_without_air` stands for, with filters and labels over the whole slice."""
    hard = ndimage.binary_dilation(air) & (values > tissue)
    crowd = ndimage.convolve(hard.astype(int), np.ones((9, 9), int), mode="constant")
    edge = ndimage.binary_dilation(hard & (crowd >= 6), structure=np.ones((9, 9)))
    labels, _ = ndimage.label(air)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return edge & air & np.isin(labels, rim)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(64, 64), (45, 83)])
def test_sharp_edges_are_found_as_by_filters_over_the_whole_slice(seed, shape):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0 + seed)
    values = np.where(field > np.quantile(field, 0.5), 40, -500).astype(np.int16)
    values[(field > np.quantile(field, 0.7)) | (rng.random(shape) < 0.1)] = -1024  # blocks that meet tissue, and specks
    values[0, 0] = -1024
    scale = Scale(slope=1.0, intercept=0.0, bits_stored=16, high_bit=15, is_signed=True, padding=None)
    air = values == -1024

    found = _without_air(air, values, scale)

    expected = not_imaged_by_filters(air, values, -300)
    assert expected.any()
    assert not expected[air].all()
    assert np.array_equal(found, expected)
