"""What the millimetres of a radiograph mean: never calibrated unless the header says so and nothing contradicts it."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.model.film import ScaleKind

SPACING, IMAGER, NOMINAL, TYPE = 0x00280030, 0x00181164, 0x00182010, 0x00280A02
ERMF, SID, SOD = 0x00181114, 0x00181110, 0x00181111


@pytest.fixture
def scale(write_film, film_reader):
    def read(raw=None, **tags):
        return film_reader.read(write_film(raw=raw, **tags)).scale

    return read


def said(scale, *words):
    """Whether one note holds all the words."""
    return any(all(word in note for word in words) for note in scale.notes)


@pytest.mark.parametrize("kind", ["GEOMETRY", "FIDUCIAL"])
def test_a_stated_calibration(scale, kind):
    found = scale({SPACING: "0.125\\0.125", IMAGER: "0.15\\0.15", TYPE: kind, ERMF: "1.2"})
    assert (found.kind, found.calibration, found.spacing_mm) == (ScaleKind.CALIBRATED, kind, (0.125, 0.125))
    assert found.magnification == 1.2
    assert found.notes == ()


@pytest.mark.parametrize("kind", ["GEOMETRY", "FIDUCIAL"])
def test_a_stated_calibration_that_corrected_nothing(scale, kind):
    found = scale({SPACING: "0.15\\0.15", IMAGER: "0.150\\0.15", TYPE: kind, ERMF: "1.2"})
    assert (found.kind, found.calibration, found.magnification) == (ScaleKind.DETECTOR, None, 1.2)
    assert said(found, "nothing was corrected")


def test_a_stated_calibration_without_the_detector_spacing(scale):
    found = scale({SPACING: "0.125\\0.125", TYPE: "FIDUCIAL"})
    assert (found.kind, found.spacing_mm, found.magnification) == (ScaleKind.CALIBRATED, (0.125, 0.125), None)


@pytest.mark.parametrize("raw", [{SPACING: "0.15\\0.15", IMAGER: "0.1500\\0.15"}, {IMAGER: "0.15\\0.15"}])
def test_the_detector_plane(scale, raw):
    found = scale(raw)
    assert (found.kind, found.calibration, found.spacing_mm) == (ScaleKind.DETECTOR, None, (0.15, 0.15))
    assert found.notes == ()


def test_pixel_spacing_alone_is_never_calibrated(scale):
    found = scale({SPACING: "0.15\\0.15"})
    assert (found.kind, found.spacing_mm) == (ScaleKind.DETECTOR, (0.15, 0.15))
    assert said(found, "plane", "not stated")


@pytest.mark.parametrize(("pixel", "imager", "used"), [(0.12, 0.15, 0.15), (0.3, 0.15, 0.3)])
def test_differing_spacings_without_a_type_never_understate(scale, pixel, imager, used):
    found = scale({SPACING: f"{pixel}\\{pixel}", IMAGER: f"{imager}\\{imager}"})
    assert (found.kind, found.calibration, found.spacing_mm) == (ScaleKind.DETECTOR, None, (used, used))
    assert said(found, "differ", "not stated")


def test_an_unknown_calibration_type_is_none(scale):
    found = scale({SPACING: "0.12\\0.12", IMAGER: "0.15\\0.15", TYPE: "GUESSED"})
    assert (found.kind, found.spacing_mm) == (ScaleKind.DETECTOR, (0.15, 0.15))
    assert said(found, "Calibration Type")


def test_no_spacing_is_pixels_only(scale):
    found = scale()
    assert (found.kind, found.spacing_mm) == (ScaleKind.NONE, None)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0\\0", "zero"),
        ("0.000\\0.000", "zero"),
        ("0.15\\0", "zero"),
        ("-0.15\\0.15", "negative"),
        ("nan\\nan", "plain decimal"),
        ("inf\\inf", "plain decimal"),
        ("0,15\\0,15", "plain decimal"),
        ("0_1\\0_1", "plain decimal"),
        ("\\", "plain decimal"),
        ("0.15", "two numbers"),
        ("0.15\\0.15\\0.15", "two numbers"),
        ("0.009\\0.009", "outside"),
        ("2.1\\2.1", "outside"),
        ("0.15\\1e300", "outside"),
        ("0." + "1" * 80 + "\\0.15", "plain decimal"),
    ],
)
@pytest.mark.parametrize("tag", [SPACING, IMAGER])
def test_spacings_that_cannot_be(scale, tag, text, wrong):
    found = scale({tag: text})
    assert found.kind is ScaleKind.NONE
    assert said(found, "Imager Pixel Spacing" if tag == IMAGER else "Pixel Spacing", wrong)


def test_full_width_digits_are_no_number(write_film, film_reader):
    path = write_film(raw={SPACING: "\uff10.15\\0.15"}, SpecificCharacterSet="ISO_IR 192")
    assert film_reader.read(path).scale.kind is ScaleKind.NONE


def test_an_impossible_spacing_beside_a_sound_one(scale):
    found = scale({SPACING: "0\\0", IMAGER: "0.15\\0.15", TYPE: "GEOMETRY"})
    assert (found.kind, found.spacing_mm) == (ScaleKind.DETECTOR, (0.15, 0.15))
    assert said(found, "Pixel Spacing is zero")


@pytest.mark.parametrize("kind", [None, "FIDUCIAL"])
def test_rows_and_columns_keep_their_own_spacing(scale, kind):
    found = scale({SPACING: "0.2\\0.1"} | ({TYPE: kind} if kind else {}))
    assert found.spacing_mm == (0.2, 0.1)
    assert said(found, "not square")


def test_nominal_scanned_spacing_is_only_mentioned(scale):
    found = scale({NOMINAL: "0.1\\0.1"})
    assert found.kind is ScaleKind.NONE
    assert said(found, "Nominal Scanned Pixel Spacing")


def test_pixel_aspect_ratio_without_spacing_is_noted(scale):
    assert said(scale({0x00280034: "2\\1"}), "Aspect")
    assert not said(scale({0x00280034: "1\\1"}), "Aspect")


@pytest.mark.parametrize(
    ("raw", "expected", "words"),
    [
        ({ERMF: "1.1"}, 1.1, ()),
        ({SID: "1100", SOD: "1000"}, 1.1, ()),
        ({SID: "1100", SOD: "1000", ERMF: "1.11"}, 1.11, ()),
        ({SID: "1100", SOD: "1000", ERMF: "1.15"}, None, ("contradicts",)),
        ({ERMF: "0.9"}, None, ("cannot be true",)),
        ({ERMF: "2.6"}, None, ("cannot be true",)),
        ({ERMF: "0"}, None, ("zero",)),
        ({ERMF: "1,1"}, None, ("malformed",)),
        ({SID: "1000", SOD: "1100"}, None, ("distances", "cannot be true")),
        ({SID: "0", SOD: "1000"}, None, ("Detector", "zero")),
        ({SID: "1000", SOD: "0"}, None, ("Patient", "zero")),
        ({SID: "1000"}, None, ()),
    ],
)
def test_magnification_is_shown_when_it_can_be_true(scale, raw, expected, words):
    found = scale({IMAGER: "0.15\\0.15"} | raw)
    assert found.magnification == (None if expected is None else pytest.approx(expected))
    assert found.spacing_mm == (0.15, 0.15)  # never applied
    assert said(found, *words) if words else found.notes == ()


@pytest.mark.parametrize(("ermf", "holds"), [("1.25", True), ("1.27", True), ("1.29", False), ("1.1", False)])
def test_a_geometric_calibration_must_fit_the_magnification(scale, ermf, holds):
    found = scale({SPACING: "0.12\\0.12", IMAGER: "0.15\\0.15", TYPE: "GEOMETRY", ERMF: ermf})
    assert found.kind is (ScaleKind.CALIBRATED if holds else ScaleKind.DETECTOR)
    assert found.spacing_mm == ((0.12, 0.12) if holds else (0.15, 0.15))
    assert said(found, "contradicts the stated magnification") != holds


def test_a_fiducial_may_lie_in_another_plane_than_the_magnification(scale):
    found = scale({SPACING: "0.12\\0.12", IMAGER: "0.15\\0.15", TYPE: "FIDUCIAL", ERMF: "1.1"})
    assert (found.kind, found.magnification) == (ScaleKind.CALIBRATED, None)


@pytest.mark.parametrize(
    ("pixel", "words"),
    [("0.2\\0.2", "cannot be true"), ("0.05\\0.05", "cannot be true"), ("0.12\\0.14", "differently")],
)
def test_a_calibration_that_cannot_be_true_is_not_used(scale, pixel, words):
    found = scale({SPACING: pixel, IMAGER: "0.15\\0.15", TYPE: "FIDUCIAL"})
    assert found.kind is ScaleKind.DETECTOR
    assert found.spacing_mm[0] >= 0.15
    assert said(found, words)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "STITCHED"]},
        {"ImageType": ["DERIVED", "SECONDARY", "", "COMPOSED"]},
        {"DerivationDescription": "Stitched from 3 exposures"},
    ],
)
def test_stitched_images_are_never_calibrated(scale, tags):
    raw = {SPACING: "0.12\\0.12", IMAGER: "0.15\\0.15", TYPE: "GEOMETRY", ERMF: "1.25"}
    found = scale(raw, **tags)
    assert (found.kind, found.spacing_mm, found.magnification) == (ScaleKind.DETECTOR, (0.15, 0.15), None)
    assert said(found, "several exposures", "not constant")
    del raw[IMAGER]
    assert scale(raw, **tags).kind is ScaleKind.NONE


def test_an_image_longer_than_a_detector_was_stitched(write_film, film_reader, film_scene):
    pixels = np.vstack([film_scene()] * 3)[:301]
    raw = {SPACING: "1.9\\1.9", IMAGER: "2\\2", TYPE: "FIDUCIAL"}
    found = film_reader.read(write_film(pixels, raw=raw)).scale
    assert found.kind is ScaleKind.DETECTOR
    assert said(found, "longer than any detector")
    assert film_reader.read(write_film(pixels[:300], raw=raw)).scale.kind is ScaleKind.CALIBRATED
