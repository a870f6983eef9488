"""Which end of the grey is dense: told by the background, never turned where that does not prove it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calcreport.dicom import discover, read_film
from calcreport.film.exposure import TURNED, settle_polarity
from calcreport.settings import Settings

sys.path.append(str(Path(__file__).parent))

from painted_films import disc, film, leg, noisy, paint, shaft, with_grey

SAMPLES = Path(__file__).parents[3] / "sample_dicoms"


def turned(made):
    return replace(made, intensity=made.intensity.max() + made.intensity.min() - made.intensity, picture=~made.picture)


def sample_films():
    with discover(
        (SAMPLES / "phleboliths_leg_films", SAMPLES / "rim_mass_thigh_films"), settings=Settings().reading
    ) as found:
        for study in found.studies:
            for series in study.series:
                yield from (read_film(one, settings=Settings().reading) for one in series.films)


FILMS = {
    **{f"sample {number}": made for number, made in enumerate(sample_films())},
    "leg": leg(),
    "leg with a deposit": leg(disc((50.0, 70.0), 12.0, 80.0)),
}


@pytest.mark.parametrize("name", FILMS)
def test_a_right_film_stays_as_it_is(name):
    assert settle_polarity(FILMS[name]) is FILMS[name]


@pytest.mark.parametrize("has_conflict", [False, True])
@pytest.mark.parametrize("name", FILMS)
def test_a_film_of_the_wrong_polarity_is_turned_and_said_to_be(name, has_conflict):
    right = FILMS[name]
    settled = settle_polarity(replace(turned(right), has_polarity_conflict=has_conflict))
    assert settled is not None
    assert np.allclose(settled.intensity, right.intensity, atol=0.01)
    assert (settled.picture == right.picture).all()
    assert settled.notes == (TURNED, *right.notes)


def closeup():
    """Soft tissue and a bone that fill the film: no air."""
    grey = paint([shaft(35.0)], size_mm=(90.0, 70.0)) + 500.0
    return film(noisy(grey))


def framed():
    """A film without air whose collimator left a bright margin on every side."""
    grey = np.array(closeup().intensity)
    rim = np.ones(grey.shape, dtype=bool)
    rim[30:-30, 30:-30] = False
    return with_grey(closeup(), np.where(rim, grey.max() + 400.0, grey))


@pytest.mark.parametrize("make", [closeup, framed], ids=["close-up", "framed"])
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_film_without_air_is_read_by_its_header_or_refused(make, is_turned):
    made = turned(make()) if is_turned else make()
    assert settle_polarity(made) is made
    assert settle_polarity(replace(made, has_polarity_conflict=True)) is None


def test_values_in_proportion_to_exposure_are_judged_as_attenuation():
    right = leg()
    exposure = np.exp(-right.intensity / np.float32(right.intensity.max()) * 4.0) * 4000.0
    linear = replace(right, intensity=np.float32(4000.0) - exposure.astype(np.float32), is_logarithmic=False)
    assert settle_polarity(linear) is linear
    settled = settle_polarity(turned(linear))
    assert settled is not None
    assert settled.notes[:1] == (TURNED,)
