"""Thresholds by contrast phase, tube voltage and noise, with the reason a reader sees."""

from __future__ import annotations

import pytest

from calcreport.calcification.analysis import choose_thresholds
from calcreport.model.image import Acquisition, Contrast
from calcreport.settings import DetectionSettings


def choose(header=Contrast.NONE, *, clinician=None, kvp=120.0, lumen=None, noise=10.0, **settings):
    return choose_thresholds(
        Acquisition(kvp=kvp, contrast=header), contrast=clinician, lumen_hu=lumen, noise_hu=noise,
        settings=DetectionSettings(**settings),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "limits"),
    [
        (Contrast.NONE, (130, 200)),
        (Contrast.VENOUS, (300, 300)),
        (Contrast.ARTERIAL, (300, 300)),
        (Contrast.UNKNOWN, (130, 200)),
    ],
)  # fmt: skip
def test_limits_by_phase(header, limits):
    chosen = choose(header)
    assert (chosen.limits.grow, chosen.limits.seed) == limits
    assert bool(chosen.notes) is (header not in {Contrast.NONE, Contrast.UNKNOWN})


@pytest.mark.parametrize(
    ("header", "told", "plain_grow", "plain_notes"),
    [
        (
            Contrast.UNKNOWN,
            "Contrast status unknown",  # in TECHNIQUE, which says enough of it
            130,
            (),
        ),
        # Unlike silence, contrast that was given is there though no vessel shows it.
        (
            Contrast.GIVEN,
            "Contrast given, phase not recorded",
            300,
            ("Contrast study: calcification fainter than the raised threshold may be missed.",),
        ),
    ],
)
def test_without_a_phase_the_lumen_in_the_image_decides_and_the_reader_learns_it(header, told, plain_grow, plain_notes):
    chosen = choose(header, lumen=300.0)
    assert (chosen.limits.grow, chosen.limits.seed) == (328, 328)
    assert chosen.reason == f"{told[0].lower()}{told[1:]}, above enhanced blood measured at 300 HU"
    assert chosen.notes == ("Contrast study: calcification fainter than the raised threshold may be missed.",)
    plain = choose(header)
    assert (plain.limits.grow, plain.limits.seed) == (plain_grow, 200 if plain_grow == 130 else plain_grow)
    assert plain.notes == plain_notes


@pytest.mark.parametrize("header", list(Contrast))
@pytest.mark.parametrize(
    ("lumen", "kvp", "noise", "limits"),
    [
        (90.0, 120.0, 5.0, (130, 200)),  # below the limits of a plain scan
        (160.0, 120.0, 12.0, (193, 200)),
        (430.0, 120.0, 20.0, (485, 485)),
        (900.0, 120.0, 20.0, (955, 955)),
        (160.0, 80.0, 12.0, (193, 260)),  # measured HU are those of the voltage already
    ],
)
def test_measured_blood_sets_the_limit_whatever_the_phase(header, lumen, kvp, noise, limits):
    chosen = choose(header, lumen=lumen, kvp=kvp, noise=noise)
    assert (chosen.limits.grow, chosen.limits.seed) == limits
    assert f"above enhanced blood measured at {round(lumen)} HU" in chosen.reason
    assert "adjusted" not in chosen.reason


def test_the_clinicians_word_on_the_phase_beats_given():
    assert choose(Contrast.GIVEN, clinician=Contrast.ARTERIAL, arterial_hu=600).limits.grow == 600


@pytest.mark.parametrize("clinician", [None, Contrast.UNKNOWN])
def test_silence_of_the_clinician_leaves_the_header(clinician):
    assert choose(Contrast.VENOUS, clinician=clinician).limits.grow == 300


def test_the_clinician_beats_the_header():
    chosen = choose(Contrast.VENOUS, clinician=Contrast.NONE)
    assert chosen.limits.grow == 130
    assert "clinician" in chosen.reason


@pytest.mark.parametrize(("kvp", "grow"), [(80, 169), (100, 147), (120, 130), (140, 120)])
def test_lower_voltage_raises_the_limit(kvp, grow):
    assert choose(kvp=float(kvp)).limits.grow == pytest.approx(grow, abs=1)


def test_a_missing_voltage_is_said():
    assert any("Tube voltage not recorded" in note for note in choose(kvp=None).notes)


def test_noise_raises_the_limit_and_says_so():
    chosen = choose(noise=40.0)
    assert chosen.limits.grow == pytest.approx(165)
    assert any("Noisy" in note for note in chosen.notes)


def test_typed_limits_beat_noise_voltage_and_phase():
    chosen = choose(Contrast.ARTERIAL, kvp=80.0, noise=60.0, grow_hu=110.0)
    assert chosen.limits.grow == 110
    assert chosen.limits.seed >= 110
    assert choose(grow_hu=110.0, seed_hu=150.0).limits.seed == 150


@pytest.mark.parametrize(
    ("noise", "limits", "is_raised"),
    [
        (27.0, (130, 200), False),  # 55 HU and 2.75 times 27 are 129.25 HU
        (28.0, (132, 200), True),
        (60.0, (220, 220), True),
    ],
)
def test_growth_stays_above_the_noise_of_muscle(noise, limits, is_raised):
    chosen = choose(noise=noise)
    assert (chosen.limits.grow, chosen.limits.seed) == limits
    assert chosen.reason == "non-contrast (header)" + ", raised for image noise" * is_raised
    raised = "Noisy images: faint calcification may be missed."
    assert chosen.notes == (raised,) * is_raised


@pytest.mark.parametrize(
    ("header", "clinician", "kvp", "reason"),
    [
        (Contrast.NONE, None, 120.0, "non-contrast (header)"),
        (Contrast.VENOUS, Contrast.NONE, 120.0, "non-contrast (clinician)"),
        (Contrast.VENOUS, None, 120.0, "venous contrast phase (header)"),
        (Contrast.NONE, Contrast.ARTERIAL, 120.0, "arterial contrast phase (clinician)"),
        (Contrast.GIVEN, None, 120.0, "contrast given, phase not recorded"),
        (Contrast.UNKNOWN, None, 120.0, "contrast status unknown, enhanced vessels not seen"),
        (Contrast.NONE, None, 100.0, "non-contrast (header), adjusted for 100 kVp"),
        (Contrast.VENOUS, None, 82.5, "venous contrast phase (header), adjusted for 82.5 kVp"),
    ],
)
def test_the_reason_names_phase_source_and_voltage(header, clinician, kvp, reason):
    assert choose(header, clinician=clinician, kvp=kvp).reason == reason


def test_blood_measured_at_a_low_voltage_still_lies_below_the_adjusted_limits():
    chosen = choose(kvp=80.0, lumen=100.0, noise=10.0)
    assert (chosen.limits.grow, chosen.limits.seed) == (pytest.approx(169), pytest.approx(260))


@pytest.mark.parametrize(
    ("typed", "limits"),
    [
        ({"grow_hu": 110.0}, (110, 200)),
        ({"grow_hu": 250.0}, (250, 250)),
        ({"seed_hu": 180.0}, (130, 180)),
        ({"seed_hu": 100.0}, (130, 130)),
        ({"grow_hu": 110.0, "seed_hu": 90.0}, (110, 110)),
    ],
)
def test_typed_limits_stand_and_a_seed_is_never_below_growth(typed, limits):
    chosen = choose(**typed)
    assert (chosen.limits.grow, chosen.limits.seed) == limits
    assert chosen.reason == "typed by the user"
