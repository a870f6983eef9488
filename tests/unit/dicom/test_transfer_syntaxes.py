"""Every transfer syntax in use gives the same pixels; a stream that contradicts its header is refused."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import ExplicitVRLittleEndian

from calcreport.errors import InputError

JPEG = "1.2.840.10008.1.2.4."


def rle(pixels):
    return RLELosslessEncoder.encode(
        pixels.tobytes(), rows=pixels.shape[0], columns=pixels.shape[1], samples_per_pixel=1, bits_allocated=16,
        bits_stored=16, pixel_representation=0, number_of_frames=1, photometric_interpretation="MONOCHROME2",
    )  # fmt: skip


ENCODERS: dict[str, Any] = {
    "1.2.840.10008.1.2.5": rle,
    JPEG + "57": lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=4, bitspersample=12),
    JPEG + "70": lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=1, bitspersample=16),
    JPEG + "80": imagecodecs.jpegls_encode,
    JPEG + "81": imagecodecs.jpegls_encode,
    JPEG + "90": lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    JPEG + "91": lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    JPEG + "201": imagecodecs.htj2k_encode,
    JPEG + "202": imagecodecs.htj2k_encode,
    JPEG + "203": imagecodecs.htj2k_encode,
}


def compressed(syntax, encode, **tags):
    def edit(_number, ds):
        pixels = np.frombuffer(ds.PixelData, dtype="<u2").reshape(ds.Rows, ds.Columns)
        ds.PixelData = encapsulate([bytes(encode(pixels))])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        for keyword, value in tags.items():
            setattr(ds, keyword, value)

    return edit


@pytest.mark.parametrize("syntax", ENCODERS)
def test_lossless_compression_gives_the_same_hu(write_ct, reader, recipe_type, syntax):
    recipe = recipe_type()
    ct = reader.read(write_ct(recipe, edit=compressed(syntax, ENCODERS[syntax])))
    assert (ct.volume.hu == recipe.paint()).all()


@pytest.mark.parametrize("syntax", [JPEG + "90", JPEG + "201"])
def test_signed_streams(write_ct, reader, recipe_type, syntax):
    recipe = recipe_type()

    def signed(pixels):
        return ENCODERS[syntax]((pixels.astype(np.int16) - 1024).astype(np.int16))

    edit = compressed(syntax, signed, PixelRepresentation=1, BitsStored=16, HighBit=15, RescaleIntercept="0")
    assert (reader.read(write_ct(recipe, edit=edit)).volume.hu == recipe.paint()).all()


def test_signed_pixels_in_an_unsigned_stream(write_ct, reader, recipe_type):
    recipe = recipe_type()

    def bits(pixels):
        return imagecodecs.jpegls_encode((pixels.astype(np.int16) - 1024).view(np.uint16))

    edit = compressed(JPEG + "80", bits, PixelRepresentation=1, BitsStored=16, HighBit=15, RescaleIntercept="0")
    assert (reader.read(write_ct(recipe, edit=edit)).volume.hu == recipe.paint()).all()


def test_twelve_bit_jpeg_is_read_and_flagged_lossy(write_ct, reader, recipe_type):
    recipe = recipe_type()
    edit = compressed(JPEG + "51", lambda a: imagecodecs.jpeg8_encode(a, level=99, bitspersample=12))
    ct = reader.read(write_ct(recipe, edit=edit))
    assert any("compressed lossily" in note for note in ct.notes)
    assert np.abs(ct.volume.hu - recipe.paint()).mean() < 10


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_uncompressed_encodings_give_the_same_hu(write_ct, reader, recipe_type, syntax):
    recipe = recipe_type()

    def edit(_number, ds):
        ds.file_meta.TransferSyntaxUID = syntax
        ds["PixelData"].VR = "OW"
        if syntax.endswith("1.2.2"):
            ds.PixelData = np.frombuffer(ds.PixelData, dtype="<u2").astype(">u2").tobytes()

    assert (reader.read(write_ct(recipe, edit=edit)).volume.hu == recipe.paint()).all()


def test_a_file_without_preamble_and_meta_information(write_ct, reader, recipe_type):
    recipe = recipe_type()
    folder = write_ct(recipe)
    for file in folder.iterdir():
        data = file.read_bytes()
        length = int.from_bytes(data[140:144], "little")
        file.write_bytes(data[144 + length :])
    assert (reader.read(folder).volume.hu == recipe.paint()).all()


def test_implicit_data_under_an_explicit_label(write_ct, reader, recipe_type):
    recipe = recipe_type()
    folder = write_ct(recipe, edit=lambda _n, ds: setattr(ds.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2"))
    for file in folder.iterdir():
        file.write_bytes(
            file.read_bytes().replace(b"UI\x12\x001.2.840.10008.1.2\0", b"UI\x14\x001.2.840.10008.1.2.1\0", 1)
        )
        data = bytearray(file.read_bytes())
        data[140:144] = (int.from_bytes(data[140:144], "little") + 2).to_bytes(4, "little")
        file.write_bytes(data)
    assert (reader.read(folder).volume.hu == recipe.paint()).all()


def refused(reader: Any, path: Any) -> str:
    with pytest.raises(InputError) as caught:
        reader.read(path)
    return caught.value.code


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_stream_of_another_size_is_refused_before_decoding(write_ct, reader, syntax):
    def larger(pixels):
        return ENCODERS[syntax](np.pad(pixels, ((0, 9), (0, 7))))

    code = refused(reader, write_ct(edit=compressed(syntax, larger)))
    assert code in {"pixel.description", "pixel.damaged"}


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_cut_stream_is_refused(write_ct, reader, syntax):
    def cut(pixels):
        data = bytes(ENCODERS[syntax](pixels + np.random.default_rng(1).integers(0, 60, pixels.shape, dtype=np.uint16)))
        return data[: len(data) // 3]

    assert refused(reader, write_ct(edit=compressed(syntax, cut))) in {"pixel.damaged", "pixel.description"}


@pytest.mark.parametrize("syntax", [JPEG + "100", JPEG + "102", JPEG + "50", "1.2.840.10008.1.2.4.94"])
def test_other_syntaxes_are_refused_by_name(write_ct, reader, syntax):
    code = refused(reader, write_ct(edit=compressed(syntax, lambda a: a.tobytes())))
    assert code in {"pixel.transfer_syntax", "pixel.damaged"}


def test_native_pixels_under_a_compressed_label_are_refused(write_ct, reader):
    def edit(_number, ds):
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian

    folder = write_ct(edit=edit)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1))
    assert refused(reader, folder) == "pixel.length"
