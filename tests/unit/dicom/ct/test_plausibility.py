"""Whether values are Hounsfield units: scans of bodies that differ, on right scales and wrong ones.

A body is a table of tissues: HU, spread within the tissue, parts of a hundred. Add a row to add a case.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from calcreport.dicom.ct import plausibility
from calcreport.dicom.ct.pixels import Scale, to_hu
from calcreport.errors import CalibrationError

NOTE = "Too little of air, fat and muscle is imaged to check the HU scale."
Tissues = tuple[tuple[float, float, float], ...]

AIR, PARTIAL = (-1000.0, 5.0, 40.0), (-500.0, 250.0, 4.0)
FAT, MUSCLE, BONE = (-100.0, 12.0, 20.0), (55.0, 15.0, 30.0), (700.0, 450.0, 6.0)
LUNG = (-840.0, 60.0, 40.0)

BODIES: dict[str, tuple[Tissues, bool]] = {
    "thigh": ((AIR, PARTIAL, FAT, MUSCLE, BONE), True),
    "air clipped": (((-1000, 0, 40), PARTIAL, FAT, MUSCLE, BONE), True),
    "noisy": (((-1000, 25, 40), PARTIAL, (-100, 35, 20), (55, 38, 30), BONE), True),
    "fat and muscle run into each other, air raised": (
        ((-885, 25, 20), (-960, 30, 2), (-50, 35, 40), (10, 40, 30)),
        True,
    ),
    "air -1024 without noise": (((-1024, 0, 84), PARTIAL, (-90, 12, 4), (50, 14, 8), (300, 200, 1)), True),
    "hardly any fat": ((AIR, PARTIAL, (-70, 20, 1), MUSCLE, BONE), True),
    "hardly any muscle": ((AIR, PARTIAL, (-110, 12, 40), (40, 15, 4), BONE), True),
    "child, fat not yet lipid-rich": ((AIR, PARTIAL, (-75, 14, 10), (60, 14, 25), (350, 200, 8)), True),
    "fat at 80 kV": ((AIR, PARTIAL, (-120, 12, 20), (60, 15, 30), BONE), True),
    "oedema": ((AIR, PARTIAL, (-60, 40, 15), (20, 15, 25), MUSCLE, BONE), True),
    "venous phase": ((AIR, PARTIAL, FAT, (72, 16, 25), (130, 15, 15), (180, 15, 3), BONE), True),
    "heart, arterial": ((LUNG, (-995, 8, 2), FAT, (110, 20, 12), (400, 25, 12), (50, 15, 10), BONE), True),
    "hand": (((-1000, 5, 80), PARTIAL, (-90, 20, 3), (45, 20, 7), (600, 450, 6)), True),
    "head": (((-1000, 2, 60), PARTIAL, (35, 6, 22), (8, 6, 3), (1000, 500, 8)), True),
    "chest": ((AIR, LUNG, (-400, 200, 6), FAT, MUSCLE, BONE), True),
    "metal": ((AIR, PARTIAL, FAT, MUSCLE, (3071, 0, 5), (-400, 300, 5), (900, 700, 5)), True),
    "cast": ((AIR, PARTIAL, FAT, MUSCLE, BONE, (600, 120, 10)), True),
    "on a cushion": ((AIR, (-940, 15, 20), (-875, 20, 20), (-60, 25, 1), (45, 20, 2)), True),
    "hand on foam": (((-1000, 5, 80), (-255, 25, 3), (-80, 25, 6), (50, 25, 7), (500, 350, 4)), True),
    "contrast medium in the bladder": ((AIR, FAT, MUSCLE, BONE, (1200, 30, 6)), True),
    "no air": ((FAT, MUSCLE, BONE), True),
    "muscle alone": ((MUSCLE, (200, 60, 1)), False),
    "fat alone": ((FAT,), False),
    "brain and skull": (((35, 6, 60), (8, 6, 8), (1000, 450, 15), (350, 150, 6)), False),
    "spine": (((55, 18, 45), (230, 60, 35), (600, 250, 10)), False),
    "within the lung": ((LUNG, (-500, 200, 8), (40, 60, 3)), False),
    "within the lung, the windpipe too": ((LUNG, (-995, 8, 3), (-500, 200, 8), (40, 60, 3)), False),
}

SCALES: dict[str, tuple[float, float]] = {
    **{f"{offset:+d}": (1.0, offset) for offset in (1024, 1000, 200, 110, -110, -200, -1000, -1024)},
    **{f"x{factor:g} about air": (factor, 1000 * (factor - 1)) for factor in (0.25, 0.5, 0.8, 1.25, 2.0)},
    **{f"x{factor:g} about zero": (factor, 0.0) for factor in (0.25, 0.5, 2.0, 10.0)},
    "inverted": (-1.0, 2047.0),
}
LIMBS = ("thigh", "air clipped", "noisy", "venous phase", "oedema", "cast", "hand", "hand on foam", "head", "chest")
NOTED = {("hand", "x0.5 about air")}
"""Bone of a hand takes the place of vessels there, and its soft tissue that of lung."""


def sample(tissues: Tissues, count: int = 40_000) -> NDArray[np.float32]:
    """Values of a body."""
    rng = np.random.default_rng(5)
    whole = sum(part for *_, part in tissues)
    values = [rng.normal(hu, spread, round(count * part / whole)) for hu, spread, part in tissues]
    return np.clip(np.concatenate(values), -1024, 3071).astype(np.float32)


def refusal(values: NDArray[np.float32]) -> str:
    with pytest.raises(CalibrationError) as caught:
        plausibility.check(values)
    return str(caught.value.code)


@pytest.mark.parametrize("name", BODIES)
def test_a_right_scale_is_never_refused_and_noted_only_where_it_cannot_be_checked(name):
    tissues, can_be_checked = BODIES[name]
    assert plausibility.check(sample(tissues)) == (() if can_be_checked else (NOTE,))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", LIMBS)
def test_a_wrong_scale_is_refused(name, scale):
    factor, offset = SCALES[scale]
    values = sample(BODIES[name][0]) * factor + offset
    if (name, scale) in NOTED:
        assert plausibility.check(values) == (NOTE,)
    else:
        assert refusal(values).startswith("calibration.")


@pytest.mark.parametrize("scale", ["+1024", "+1000", "+200", "x0.5 about air", "x0.8 about air", "x1.25 about air"])
def test_a_wrong_scale_is_refused_where_no_air_is_imaged(scale):
    factor, offset = SCALES[scale]
    assert refusal(sample(BODIES["no air"][0]) * factor + offset).startswith("calibration.")


@pytest.mark.parametrize("scale", ["-110", "x0.25 about zero", "x0.5 about zero"])
def test_what_cannot_be_told_without_air_is_never_said_to_be_checked(scale):
    factor, offset = SCALES[scale]
    try:
        assert plausibility.check(sample(BODIES["muscle alone"][0]) * factor + offset) == (NOTE,)
    except CalibrationError as error:
        assert error.code == "calibration.tissue"  # noqa: PT017  (either is right)


@pytest.mark.parametrize(
    ("tissues", "offset", "code"),
    [((AIR, MUSCLE), -110, "calibration.air"), ((FAT, MUSCLE, BONE), -80, "calibration.tissue")],
    ids=["air too low, no fat", "fat too low, no air"],
)
def test_what_a_single_sign_gives_away(tissues, offset, code):
    assert refusal(sample(tissues) + offset) == code


@pytest.mark.parametrize("intercept", [0, -1024])
@pytest.mark.parametrize(("low", "width"), [(-160, 400), (-500, 2000), (-1350, 1500), (-1024, 4095)])
@pytest.mark.parametrize("name", ["thigh", "air clipped", "no air"])
def test_a_picture_of_eight_bits_is_refused(name, low, width, intercept):
    values = np.clip((sample(BODIES[name][0]) - low) / width * 255, 0, 255).round() + intercept
    assert refusal(values.astype(np.float32)).startswith("calibration.")


@pytest.mark.parametrize("top", [1.0, 100.0, 1000.0])
def test_a_normalised_copy_is_refused(top):
    values = (sample(BODIES["thigh"][0]) + 1024) / 4095 * top
    assert refusal(values.astype(np.float32)).startswith("calibration.")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([], "calibration.implausible"),
        ([-3000.0] * 1000, "calibration.implausible"),
        ([-1000.0] * 1000, "calibration.tissue"),
        ([0.0] * 1000, "calibration.air"),
        ([1000.0] * 1000, "calibration.tissue"),
    ],
)
def test_values_of_no_image(values, code):
    assert refusal(np.array(values, dtype=np.float32)) == code


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_padding_nobody_declared_is_no_air_and_no_reason_to_refuse(padding):
    scale = Scale(slope=1.0, intercept=0.0, bits_stored=16, high_bit=15, is_signed=True, padding=None)
    body = sample(BODIES["no air"][0], 256 * 256)[: 250 * 250]
    plane = (
        np.random.default_rng(1)
        .permutation(body)
        .reshape(250, 250)
        .repeat(4, axis=0)
        .repeat(4, axis=1)
        .astype(np.int16)
    )
    row, column = np.mgrid[-1 : 1 : plane.shape[0] * 1j, -1 : 1 : plane.shape[1] * 1j]
    plane[row**2 + column**2 > 1] = padding
    assert plausibility.check(to_hu(plane, scale)) == ()


def test_the_check_takes_no_time_on_a_long_series():
    values = sample(BODIES["thigh"][0], 500 * 4096)
    np.random.default_rng(1).shuffle(values)
    plausibility.check(values)
    start = time.perf_counter()
    plausibility.check(values)
    assert time.perf_counter() - start < 0.5, "20 ms on an idle machine"
