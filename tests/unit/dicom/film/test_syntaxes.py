"""Every transfer syntax gives the same film; a stream that contradicts its header is refused."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.pixels.encoders import RLELosslessEncoder

JPEG = "1.2.840.10008.1.2.4."
RLE = "1.2.840.10008.1.2.5"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def rle(pixels):
    bits = 8 * pixels.dtype.itemsize
    return RLELosslessEncoder.encode(
        pixels.tobytes(), rows=pixels.shape[0], columns=pixels.shape[1], samples_per_pixel=1, bits_allocated=bits,
        bits_stored=bits, pixel_representation=0, number_of_frames=1, photometric_interpretation="MONOCHROME2",
    )  # fmt: skip


def lossless_jpeg(pixels):
    bits = 8 if pixels.dtype == np.uint8 else 16
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits)


LOSSLESS: dict[str, Any] = {
    RLE: rle,
    JPEG + "57": lossless_jpeg,
    JPEG + "70": lossless_jpeg,
    JPEG + "80": imagecodecs.jpegls_encode,
    JPEG + "90": lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    JPEG + "201": imagecodecs.htj2k_encode,
    JPEG + "202": imagecodecs.htj2k_encode,
}


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_lossless_compression_gives_the_same_film(write_film, film_reader, film_scene, syntax, bits):
    pixels = film_scene(bits).astype(np.uint8 if bits == 8 else np.uint16)
    film = film_reader.read(write_film(pixels, bits=bits, codec=(syntax, LOSSLESS[syntax])))
    assert (film.intensity == pixels).all()


@pytest.mark.parametrize(
    ("codec", "bits", "error"),
    [
        ((JPEG + "50", lambda a: imagecodecs.jpeg8_encode(a, level=95)), 8, 2),
        ((JPEG + "51", lambda a: imagecodecs.jpeg8_encode(a, level=99, bitspersample=12)), 12, 8),
        ((JPEG + "51", lambda a: imagecodecs.jpeg8_encode(a, level=99, bitspersample=12)), 10, 8),
        ((JPEG + "81", lambda a: imagecodecs.jpegls_encode(a, level=3)), 12, 3),
        ((JPEG + "91", lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=False, level=60)), 16, 200),
        ((JPEG + "203", imagecodecs.htj2k_encode), 16, 0),
    ],
)
def test_lossy_compression_stays_near(write_film, film_reader, film_scene, codec, bits, error):
    pixels = film_scene(bits).astype(np.uint8 if bits == 8 else np.uint16)
    film = film_reader.read(write_film(pixels, bits=bits, codec=codec, LossyImageCompression="01"))
    assert np.abs(film.intensity - pixels).mean() <= error
    assert film.intensity.max() < 1 << bits
    assert any("lossily" in note for note in film.notes)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", BIG_ENDIAN])
def test_uncompressed_encodings_give_the_same_film(write_film, film_reader, film_scene, syntax, bits):
    pixels = film_scene(bits).astype(np.uint8 if bits == 8 else np.uint16)[:119, :95].copy()

    def edit(ds):
        ds.file_meta.TransferSyntaxUID = syntax
        ds["PixelData"].VR = "OW"
        if syntax == BIG_ENDIAN:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()

    film = film_reader.read(write_film(pixels, bits=bits, edit=edit))
    assert (film.intensity == pixels).all()


def test_bytes_of_big_endian_files_are_not_swapped(write_film, film_reader, film_scene):
    pixels = film_scene(8).astype(np.uint8)

    def edit(ds):
        ds.file_meta.TransferSyntaxUID = BIG_ENDIAN
        ds["PixelData"].VR = "OB"

    assert (film_reader.read(write_film(pixels, bits=8, edit=edit)).intensity == pixels).all()


def test_tables_of_big_endian_files(write_film, film_reader, film_scene, lut):
    outputs = (np.arange(4096) * 3).astype(">u2")

    def edit(ds):
        ds.file_meta.TransferSyntaxUID = BIG_ENDIAN
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()

    film = film_reader.read(
        write_film(edit=edit, ModalityLUTSequence=lut(0, outputs), PixelIntensityRelationshipSign=1)
    )
    assert (film.intensity == film_scene() * 3.0).all()
    assert any("Relationship Sign" in note for note in film.notes)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_stream_of_another_size_is_refused(write_film, film_reader, syntax):
    def larger(pixels):
        return LOSSLESS[syntax](np.pad(pixels, ((0, 9), (0, 7))))

    assert film_reader.refusal(write_film(codec=(syntax, larger))) in {"pixel.description", "pixel.damaged"}


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_cut_stream_is_refused(write_film, film_reader, film_scene, syntax):
    noise = np.random.default_rng(1).integers(0, 60, film_scene().shape, dtype=np.uint16)

    def cut(pixels):
        data = bytes(LOSSLESS[syntax](pixels // 2 + noise))
        return data[: len(data) // 3]

    assert film_reader.refusal(write_film(codec=(syntax, cut))) in {"pixel.description", "pixel.damaged"}


@pytest.mark.parametrize("syntax", [JPEG + "80", JPEG + "90"])
def test_a_stream_with_more_bits_than_stated_is_refused(write_film, film_reader, film_scene, syntax):
    path = write_film(film_scene(14), bits=12, codec=(syntax, LOSSLESS[syntax]))
    assert film_reader.refusal(path) == "pixel.description"


def test_lossy_signed_values_are_clipped_not_wrapped(write_film, film_reader):
    pixels = np.where(np.arange(96) < 48, -2048, 2047).astype(np.int16) * np.ones((120, 1), np.int16)

    def overshot(values):
        return LOSSLESS[JPEG + "90"]((values.astype(int) * 1.02).astype(np.int16))

    film = film_reader.read(write_film(pixels, codec=(JPEG + "91", overshot), LossyImageCompression="01"))
    assert (film.intensity == pixels).all()


def test_rle_of_another_depth_is_refused(write_film, film_reader):
    path = write_film(codec=(RLE, lambda a: rle((a >> 4).astype(np.uint8))))
    assert film_reader.refusal(path) == "pixel.description"


@pytest.mark.parametrize("syntax", [JPEG + "100", JPEG + "102", "1.2.840.10008.1.2.4.94"])
def test_other_syntaxes_are_refused_by_name(write_film, film_reader, syntax):
    assert film_reader.refusal(write_film(codec=(syntax, lambda a: a.tobytes()))) in {
        "pixel.transfer_syntax",
        "pixel.damaged",
    }
