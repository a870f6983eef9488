"""A study of films: its lesions in order, each with its place and only what a projection can tell."""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from calcreport.film.analysis import analyse_films
from calcreport.model.film import FilmScale, ScaleKind
from calcreport.model.report import BoneRelation, DepthClass, Laterality

sys.path.append(str(Path(__file__).parent))

from painted_films import SOFT_AT, ball, disc, film, leg

TALL = (200.0, 120.0)


@cache
def films():
    first = leg(disc((40, 80), 6, 200), ball((150, 80), 14, 250), size_mm=TALL, number=1)
    second = leg(ball((100, 80), 10, 250), disc((40, 75), 9, 3000), size_mm=TALL, position="RAO", seed=2, number=2)
    return first, second


@cache
def findings():
    return analyse_films(films())


def test_lesions_come_largest_first_whatever_film_shows_them():
    lengths = [lesion.size.max_diameter_mm for lesion in findings().lesions]
    assert lengths == pytest.approx([14.0, 10.0, 6.0], abs=0.4)
    assert [lesion.shadows[0].film for lesion in findings().lesions] == [0, 1, 0]


def test_each_lesion_names_its_film_and_its_place_on_it():
    for lesion, (row, column) in zip(findings().lesions, ((150, 80), (100, 80), (40, 80)), strict=True):
        (place,) = lesion.location.films
        made = films()[lesion.shadows[0].film]
        assert place.sop_instance_uid == made.reference.sop_instance_uid
        assert place.view == made.view.position
        assert lesion.location.key_image.sop_instance_uid == made.reference.sop_instance_uid
        assert lesion.location.first_image == lesion.location.last_image == made.reference.instance_number
        assert (lesion.location.laterality, lesion.location.laterality_source) == (Laterality.LEFT, "header")
        assert place.centroid_px == pytest.approx((row / 0.2 - 0.5, column / 0.2 - 0.5), abs=1.5)
        (top, left), (bottom, right) = place.bbox_px
        assert bottom - top == pytest.approx(lesion.size.max_diameter_px, abs=3)
        assert top < place.centroid_px[0] < bottom
        assert left < place.centroid_px[1] < right
        assert place.max_diameter_mm == lesion.size.max_diameter_mm
        assert place.projected_skin_line_mm == lesion.depth.projected_skin_line_mm


def test_sizes_are_projected_ones_in_the_plane_of_the_film():
    for lesion in findings().lesions:
        size = lesion.size
        assert size.projected
        assert size.plane == "detector"
        assert size.max_diameter_px == pytest.approx(size.max_diameter_mm / 0.2)
        assert size.perpendicular_px == pytest.approx(size.perpendicular_mm / 0.2)
        assert 0.9 * size.max_diameter_mm < size.perpendicular_mm <= size.max_diameter_mm
        assert size.uncertainty_mm == pytest.approx(np.hypot(0.2, 0.2))
        assert not size.is_minimum
        assert lesion.foci.largest_max_diameter_mm == pytest.approx(size.max_diameter_mm, abs=0.01)


def test_a_film_tells_no_depth_volume_or_density():
    for lesion in findings().lesions:
        assert lesion.depth.class_ is DepthClass.CANNOT_DETERMINE
        assert lesion.depth.projected_skin_line_mm > 0
        assert lesion.bone_relation is BoneRelation.SEPARATE
        assert lesion.size.volume_mm3 is None
        assert (lesion.density.mean_hu, lesion.density.max_hu, lesion.density.p95_hu) == (None, None, None)


def test_excluded_things_name_their_film():
    uids = [film.reference.sop_instance_uid for film in films()]
    rows = {(row.sop_instance_uid, row.detail.split()[0]) for row in findings().excluded}
    assert rows == {(uids[0], "bone"), (uids[1], "bone"), (uids[1], "denser")}
    (metal,) = (row for row in findings().excluded if row.detail.startswith("denser"))
    assert metal.centroid_px == pytest.approx((199.5, 374.5), abs=2)
    assert metal.max_diameter_mm == pytest.approx(9.0, abs=0.4)


def test_each_film_has_its_reading_in_order():
    one, two = findings().readings
    assert findings().films == films()
    assert one.noise == pytest.approx(8.0, rel=0.1)
    assert two.noise == pytest.approx(8.0, rel=0.1)
    alone = [analyse_films((made,)).readings[0].noise for made in films()]
    assert [one.noise, two.noise] == alone


@pytest.mark.parametrize("kind", [ScaleKind.NONE, ScaleKind.CALIBRATED])
def test_lengths_are_told_as_the_scale_allows(kind):
    made = leg(ball((100, 80), 10, 250), size_mm=TALL)
    spacing = (0.2, 0.2) if kind is not ScaleKind.NONE else None
    scaled = film(made.intensity, spacing=spacing)
    if spacing:
        scale = FilmScale(kind=kind, spacing_mm=spacing, calibration="FIDUCIAL")
        scaled = type(made)(
            intensity=made.intensity, picture=made.picture, is_imaged=made.is_imaged, scale=scale, view=made.view,
            reference=made.reference,
        )  # fmt: skip
    (lesion,) = analyse_films((scaled,)).lesions
    assert lesion.size.plane == (None if spacing is None else "calibrated")
    assert lesion.size.max_diameter_px == pytest.approx(50, abs=2)
    in_mm = [
        lesion.size.max_diameter_mm,
        lesion.size.perpendicular_mm,
        lesion.size.uncertainty_mm,
        lesion.foci.largest_max_diameter_mm,
        lesion.depth.projected_skin_line_mm,
        lesion.location.films[0].max_diameter_mm,
        lesion.location.films[0].perpendicular_mm,
        lesion.location.films[0].projected_skin_line_mm,
    ]
    assert [value is None for value in in_mm] == [spacing is None] * len(in_mm)


def test_a_lesion_that_is_cut_has_a_minimum_of_a_size():
    (lesion,) = analyse_films((leg(disc((3, 78), 12, 200)),)).lesions
    assert lesion.size.is_minimum


def test_no_films_no_findings():
    nothing = analyse_films(())
    assert (nothing.lesions, nothing.readings, nothing.excluded) == ((), (), ())


def test_the_steps_are_told():
    told = []
    analyse_films((leg(ball(SOFT_AT, 8, 200)),), on_progress=told.append)
    assert told == ["searching films"]


def test_a_large_film_is_searched_in_two_seconds():
    """A film of 3000 x 3000, as a flat-panel detector of 42 cm takes it; seconds of the processor."""
    values = leg(
        *(ball((20 + 30 * n, 70 + 5 * (n % 3)), 4 + 3 * n, 250) for n in range(6)), size_mm=(210.0, 210.0)
    ).intensity
    values = np.repeat(np.repeat(values[:1000, :1000], 3, axis=0), 3, axis=1)
    made = film(values + np.random.default_rng(1).normal(0, 8, values.shape), spacing=(0.14, 0.14))
    start = time.process_time()
    assert analyse_films((made,)).lesions
    assert time.process_time() - start < 2.0
