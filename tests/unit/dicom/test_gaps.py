"""Small gaps of a header: filled where the rest makes the value certain, and never where it would be a guess."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from calcreport.errors import InputError


def without(*keywords: str, only: int | None = 9) -> Any:
    def edit(number: int, ds: Any) -> None:
        for keyword in keywords if only in {None, number} else ():
            delattr(ds, keyword)

    return edit


def refused(reader: Any, path: Any) -> str:
    with pytest.raises(InputError) as caught:
        reader.read(path)
    return caught.value.code


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("HighBit", "worked out from the other pixel attributes: High Bit."),
        ("BitsStored", "worked out from the other pixel attributes: Bits Stored."),
        ("SamplesPerPixel", "worked out from the other pixel attributes: Samples per Pixel."),
        ("ImageType", "Image Type is missing in 1 images; it was taken from the others."),
        ("ConvolutionKernel", "The kernel is missing in 1 images; it was taken from the others."),
        ("PatientName", None),
        ("PatientBirthDate", None),
        ("PatientSex", None),
    ],
)
def test_one_image_without_it_is_read_with_the_others(write_ct, reader, keyword, words):
    whole = reader.read(write_ct(folder="whole")).volume.hu
    ct = reader.read(write_ct(edit=without(keyword), folder="gap"))
    assert np.array_equal(ct.volume.hu, whole)
    assert words is None or any(words in note for note in ct.notes)


@pytest.mark.parametrize("keyword", ["HighBit", "BitsStored", "SamplesPerPixel"])
def test_all_images_without_it_are_read(write_ct, reader, keyword):
    whole = reader.read(write_ct(folder="whole")).volume.hu
    assert np.array_equal(reader.read(write_ct(edit=without(keyword, only=None), folder="gap")).volume.hu, whole)


@pytest.mark.parametrize("raw", [b"", b"\x0b\0\0\0", b"12"])
def test_a_malformed_high_bit_is_no_missing_one(write_ct, reader, raw):
    folder = write_ct()
    stated = struct.pack("<HH2sH", 0x0028, 0x0102, b"US", 2) + b"\x0b\0"
    for file in folder.iterdir():
        data = file.read_bytes()
        file.write_bytes(data.replace(stated, stated[:6] + struct.pack("<H", len(raw)) + raw, 1))
    if raw:
        assert refused(reader, folder) == "pixel.description"
    else:
        assert reader.read(folder)


def test_a_high_bit_that_the_others_contradict_is_not_worked_out(write_ct, reader):
    def edit(number: int, ds: Any) -> None:
        ds.HighBit = 15
        ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") << 4).tobytes()
        if number == 9:
            del ds.HighBit

    assert refused(reader, write_ct(edit=edit)) == "pixel.description"


@pytest.mark.parametrize("keywords", [("PatientID",), ("PatientName", "PatientBirthDate", "PatientID")])
def test_an_image_that_does_not_say_whose_it_is_is_not_taken(write_ct, reader, keywords):
    assert refused(reader, write_ct(edit=without(*keywords))) == "series.mixed_patients"


@pytest.mark.parametrize(
    ("name", "is_same"),
    [
        ("DOE^JANE", True),
        ("Doe^Jane=土井", True),
        ("Ｄｏｅ^Ｊａｎｅ", True),
        ("", True),
        ("Doe^Jan", False),
        ("Roe^Jane", False),
    ],
)
def test_names_are_compared_as_names(write_ct, reader, name, is_same):
    def edit(number: int, ds: Any) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192"
        if number == 9:
            ds.PatientName = name

    folder = write_ct(edit=edit)
    if is_same:
        assert reader.read(folder)
    else:
        assert refused(reader, folder) == "series.mixed_patients"


def test_one_name_in_two_character_sets_is_one_name(write_ct, reader):
    def edit(number: int, ds: Any) -> None:
        ds.SpecificCharacterSet = "ISO_IR 192" if number % 2 else "ISO_IR 100"
        ds.PatientName = "Müller^Jörg"

    assert reader.read(write_ct(edit=edit))


def test_image_type_is_not_taken_over_from_half_of_the_images(write_ct, reader):
    def edit(number: int, ds: Any) -> None:
        if number % 2:
            del ds.ImageType

    assert refused(reader, write_ct(edit=edit)) == "series.interleaved"


@pytest.mark.parametrize(
    ("surplus", "is_padding"),
    [
        (b"\0\0", True),
        (b"\0" * 78, True),
        (b"\0" * 80, False),  # as long as a row: Rows or Columns may be wrong
        (b"\1\0", False),
        (b"\0" * 3840, False),
    ],
)
@pytest.mark.parametrize("only", [None, 9])
def test_zeros_behind_the_pixels_are_padding(write_ct, reader, surplus, is_padding, only):
    def edit(number: int, ds: Any) -> None:
        if only in {None, number}:
            ds.PixelData += surplus

    folder = write_ct(edit=edit)
    if is_padding:
        assert np.array_equal(reader.read(folder).volume.hu, reader.read(write_ct(folder="whole")).volume.hu)
    else:
        assert refused(reader, folder) == "pixel.length"
