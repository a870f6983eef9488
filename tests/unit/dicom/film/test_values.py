"""Stored words to attenuation: polarity once, Modality LUT, rescale, bits, padding."""

from __future__ import annotations

import numpy as np
import pytest

FOR_PROCESSING = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1", "PresentationIntentType": "FOR PROCESSING"}


def turned(pixels, bits=12):
    return (((1 << bits) - 1) - pixels).astype(pixels.dtype)


def test_an_identity_film_keeps_its_values(write_film, film_reader, film_scene):
    film = film_reader.read(write_film())
    assert (film.intensity == film_scene()).all()
    assert film.is_imaged.all()
    assert not film.intensity.flags.writeable
    assert film.notes == ()


@pytest.mark.parametrize("tags", [{}, {"RescaleSlope": "2.5", "RescaleIntercept": "-100"}, {"RescaleSlope": "-0.5"}])
def test_both_polarities_give_the_same_intensity(write_film, film_reader, film_scene, tags):
    pixels = film_scene()
    plain = film_reader.read(write_film(pixels, name="a", **tags))
    inverted = film_reader.read(write_film(turned(pixels), name="b", PhotometricInterpretation="MONOCHROME1", **tags))
    assert np.abs(plain.intensity - inverted.intensity).max() < 1e-3
    assert (plain.picture == inverted.picture).all()


def test_dense_is_more_in_either_polarity(write_film, film_reader, film_scene):
    """In MONOCHROME1 the lowest stored value is white, which is dense."""
    film = film_reader.read(write_film(turned(film_scene()), PhotometricInterpretation="MONOCHROME1"))
    assert film.intensity[60, 48] == film.intensity.max()
    assert film.picture[60, 48] == 255


def test_rescale_is_applied(write_film, film_reader, film_scene):
    film = film_reader.read(write_film(RescaleSlope="0.25", RescaleIntercept="7"))
    assert film.intensity == pytest.approx(film_scene() * 0.25 + 7)


@pytest.mark.parametrize("slope", ["0", "1,5", "nan", "1e9", "inf"])
def test_a_rescale_that_cannot_be_is_refused(write_film, film_reader, slope):
    assert film_reader.refusal(write_film(raw={0x00281053: slope})) == "calibration.film_rescale"


@pytest.mark.parametrize("intercept", ["1e308", "-1e9", "0x10", "1\\2"])
def test_an_intercept_that_cannot_be_is_refused(write_film, film_reader, intercept):
    assert film_reader.refusal(write_film(raw={0x00281052: intercept})) == "calibration.film_rescale"


def test_the_modality_lut_comes_before_measuring(write_film, film_reader, film_scene, lut):
    outputs = (np.arange(4096) ** 2 / 300).astype("<u2")
    film = film_reader.read(write_film(ModalityLUTSequence=lut(0, outputs)))
    assert (film.intensity == outputs[film_scene()]).all()


def test_the_modality_lut_of_a_long_table_is_read_whole(write_film, film_reader, film_scene, lut):
    outputs = (np.arange(65536) // 2).astype("<u2")
    pixels = film_scene(16)
    film = film_reader.read(write_film(pixels, bits=16, ModalityLUTSequence=lut(0, outputs)))
    assert (film.intensity == pixels // 2).all()


def test_inputs_beyond_the_table_take_its_ends(write_film, film_reader, film_scene, lut):
    outputs = np.arange(1000, 2000, dtype="<u2")
    film = film_reader.read(write_film(ModalityLUTSequence=lut(500, outputs)))
    assert (film.intensity == np.clip(film_scene().astype(int) - 500, 0, 999) + 1000).all()


def test_a_modality_lut_of_signed_values(write_film, film_reader, film_scene, lut):
    pixels = film_scene().astype(np.int16) - 2048
    film = film_reader.read(write_film(pixels, ModalityLUTSequence=lut(-2048, np.arange(4096, dtype="<u2"))))
    assert (film.intensity == film_scene()).all()


def test_a_falling_modality_lut_is_followed(write_film, film_reader, film_scene, lut):
    outputs = np.arange(4096, dtype="<u2")[::-1].copy()
    film = film_reader.read(write_film(turned(film_scene()), ModalityLUTSequence=lut(0, outputs)))
    assert (film.intensity == film_scene()).all()


def test_lut_beside_rescale_is_noted(write_film, film_reader, film_scene, lut):
    film = film_reader.read(
        write_film(ModalityLUTSequence=lut(0, np.arange(4096, dtype="<u2")), RescaleSlope="3", RescaleIntercept="0")
    )
    assert (film.intensity == film_scene()).all()
    assert any("Modality LUT and rescale" in note for note in film.notes)


@pytest.mark.parametrize(
    ("outputs", "options"),
    [
        (np.arange(100, dtype="<u2"), {"count": 4096}),  # shorter than it says
        (np.arange(4096, dtype="<u2"), {"count": 100}),  # longer than it says
        (np.arange(4096, dtype="<u2"), {"bits": 10}),  # values beyond its bits
        (np.arange(4096, dtype="<u2"), {"bits": 4}),
        (np.arange(4096, dtype="<u2"), {"bits": 17}),
        (np.full(4096, 7, dtype="<u2"), {}),  # one value
        (np.abs(np.arange(-2048, 2048)).astype("<u2"), {}),  # turns back
        (np.zeros(0, dtype="<u2"), {"count": 65536}),
    ],
)
def test_a_damaged_modality_lut_is_refused(write_film, film_reader, lut, outputs, options):
    path = write_film(ModalityLUTSequence=lut(0, outputs, **options))
    assert film_reader.refusal(path) == "calibration.modality_lut"


@pytest.mark.parametrize("bits", range(8, 17))
def test_every_number_of_stored_bits(write_film, film_reader, film_scene, bits):
    film = film_reader.read(write_film(film_scene(bits), bits=bits))
    assert (film.intensity == film_scene(bits)).all()
    inverted = film_reader.read(
        write_film(turned(film_scene(bits), bits), bits=bits, PhotometricInterpretation="MONOCHROME1")
    )
    assert (inverted.intensity == film_scene(bits)).all()


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_signed_values(write_film, film_reader, film_scene, bits):
    pixels = (film_scene(bits).astype(np.int32) - (1 << bits - 1)).astype(np.int16)
    words = (pixels.view(np.uint16) & ((1 << bits) - 1)).view(np.int16)  # nothing beyond the stored bits
    assert (film_reader.read(write_film(words, bits=bits)).intensity == pixels).all()


def test_eight_bits_allocated(write_film, film_reader, film_scene):
    pixels = film_scene(8).astype(np.uint8)[:117, :95].copy()  # an odd number of bytes
    film = film_reader.read(write_film(pixels, bits=8, PhotometricInterpretation="MONOCHROME1"))
    assert (film.intensity == 255 - pixels.astype(int)).all()


def test_overlays_in_spare_bits_never_become_pixels(write_film, film_reader, film_scene):
    pixels = film_scene()
    pixels[10:20, 10:40] |= 0x8000
    assert (film_reader.read(write_film(pixels)).intensity == film_scene()).all()


def test_overlay_groups_never_become_pixels(write_film, film_reader, film_scene):
    def edit(ds):
        ds.add_new(0x60000010, "US", ds.Rows)
        ds.add_new(0x60000011, "US", ds.Columns)
        ds.add_new(0x60003000, "OW", b"\xff" * (ds.Rows * ds.Columns // 8))

    assert (film_reader.read(write_film(edit=edit)).intensity == film_scene()).all()


def test_a_high_bit_above_the_stored_bits(write_film, film_reader, film_scene):
    film = film_reader.read(write_film(film_scene() << 4 | 0xB, HighBit=15))
    assert (film.intensity == film_scene()).all()


@pytest.mark.parametrize(
    "tags",
    [
        {"BitsStored": 7, "HighBit": 6},
        {"BitsStored": 17, "HighBit": 16},
        {"HighBit": 10},
        {"HighBit": 16},
        {"BitsStored": None, "HighBit": None},
        {"PixelRepresentation": 2},
        {"Rows": None},
        {"SamplesPerPixel": None, "PhotometricInterpretation": None},
    ],
)
def test_contradictory_bits_are_refused(write_film, film_reader, tags):
    assert film_reader.refusal(write_film(**tags)) == "pixel.description"


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422"}, "pixel.colour"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "pixel.colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "pixel.colour"),
        ({"NumberOfFrames": 2}, "pixel.frames"),
        ({"BitsAllocated": 32}, "pixel.bits_allocated"),
        ({"BitsAllocated": 1}, "pixel.bits_allocated"),
        ({"Rows": 119}, "pixel.length"),
        ({"Columns": 97}, "pixel.length"),
        ({"Rows": 63}, "pixel.film_too_small"),
        ({"Rows": 65535, "Columns": 65535}, "pixel.film_too_large"),
        ({"LossyImageCompression": "01", "LossyImageCompressionRatio": "31"}, "pixel.film_lossy_ratio"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(write_film, film_reader, tags, code):
    assert film_reader.refusal(write_film(**tags)) == code


def test_the_settings_bound_a_film_too(write_film, film_reader):
    film_reader.settings = film_reader.settings.model_copy(update={"max_volume_voxels": 120 * 96 - 1})
    assert film_reader.refusal(write_film()) == "pixel.film_too_large"


def test_a_film_of_one_grey_value_is_refused(write_film, film_reader):
    assert film_reader.refusal(write_film(np.full((100, 100), 5, np.uint16))) == "pixel.film_flat"


@pytest.mark.parametrize(
    ("photometric", "shape", "is_noted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "LIN OD", False),
    ],
)
def test_presentation_lut_shape_never_inverts_again(write_film, film_reader, film_scene, photometric, shape, is_noted):
    pixels = film_scene() if photometric == "MONOCHROME2" else turned(film_scene())
    film = film_reader.read(write_film(pixels, PhotometricInterpretation=photometric, PresentationLUTShape=shape))
    assert (film.intensity == film_scene()).all()
    assert any("Presentation LUT Shape" in note for note in film.notes) == is_noted


@pytest.mark.parametrize(
    ("photometric", "sign", "agrees"),
    [("MONOCHROME2", -1, True), ("MONOCHROME1", 1, True), ("MONOCHROME2", 1, False), ("MONOCHROME1", -1, False)],
)
def test_the_sign_of_the_beam_is_compared(write_film, film_reader, film_scene, photometric, sign, agrees):
    tags = {"PhotometricInterpretation": photometric, "PixelIntensityRelationshipSign": sign}
    pixels = film_scene() if photometric == "MONOCHROME2" else turned(film_scene())
    film = film_reader.read(write_film(pixels, **tags))
    assert (film.intensity == film_scene()).all()
    assert any("Relationship Sign" in note for note in film.notes) != agrees
    path = write_film(pixels, **tags, **FOR_PROCESSING)
    if agrees:
        assert any("FOR PROCESSING" in note for note in film_reader.read(path).notes)
    else:
        assert film_reader.refusal(path) == "calibration.polarity"


def test_a_falling_rescale_turns_the_sign_as_well(write_film, film_reader, film_scene):
    film = film_reader.read(
        write_film(turned(film_scene()), RescaleSlope="-1", RescaleIntercept="4095", PixelIntensityRelationshipSign=1)
    )
    assert (film.intensity == film_scene()).all()
    assert film.notes == ()


@pytest.mark.parametrize(("relationship", "expected"), [("LOG", True), ("LIN", False), ("DISP", None), ("X", None)])
def test_the_relationship_to_exposure(write_film, film_reader, film_scene, relationship, expected):
    film = film_reader.read(write_film(PixelIntensityRelationship=relationship))
    assert film.is_logarithmic is expected
    assert (film.intensity == film_scene()).all()
    assert any("linear in exposure" in note for note in film.notes) == (relationship == "LIN")


def test_linear_exposure_still_rises_with_attenuation(write_film, film_reader):
    """The detector's own values fall where the patient absorbs: shown with MONOCHROME1, sign 1."""
    thickness_mm = np.linspace(0, 150, 100 * 100).reshape(100, 100)
    exposure = (60000 * np.exp(-0.02 * thickness_mm)).astype(np.uint16)
    film = film_reader.read(
        write_film(
            exposure,
            bits=16,
            PhotometricInterpretation="MONOCHROME1",
            PixelIntensityRelationship="LIN",
            PixelIntensityRelationshipSign=1,
            **FOR_PROCESSING,
        )
    )
    assert (np.diff(film.intensity.ravel()) >= 0).all()
    assert film.is_logarithmic is False


def test_a_modality_lut_leaves_the_relationship_open(write_film, film_reader, lut):
    path = write_film(ModalityLUTSequence=lut(0, np.arange(4096, dtype="<u2")), PixelIntensityRelationship="LOG")
    assert film_reader.read(path).is_logarithmic is None


def test_padding_at_the_border_is_not_imaged(write_film, film_reader, film_scene):
    pixels = np.maximum(film_scene(), 1)
    pixels[:10] = 0
    pixels[50:55, 50:55] = 0  # clipped, inside the image
    film = film_reader.read(write_film(pixels, PixelPaddingValue=0))
    expected = np.ones(pixels.shape, bool)
    expected[:10] = False
    assert (film.is_imaged == expected).all()


@pytest.mark.parametrize("limit", [None, 4000])
def test_padding_beyond_the_stored_bits(write_film, film_reader, film_scene, limit):
    pixels = np.minimum(film_scene(), 3000)
    pixels[:, :7] = 0xF000 if limit is None else 4095
    tags = (
        {"PixelPaddingValue": 0xF000} if limit is None else {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}
    )
    film = film_reader.read(write_film(pixels, **tags))
    assert (film.is_imaged == (np.arange(96) >= 7)).all()


def test_a_film_of_nothing_but_padding_is_refused(write_film, film_reader):
    pixels = np.zeros((100, 100), np.uint16)
    assert film_reader.refusal(write_film(pixels, PixelPaddingValue=0)) == "pixel.film_flat"
