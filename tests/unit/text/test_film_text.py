"""Radiographs in words: never more than a projection shows, never a millimetre without a scale."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from calcreport.formats import Templates, load_templates
from calcreport.formats.text import as_text
from calcreport.model.film import FilmFindings
from calcreport.model.lengths import bind_lengths
from calcreport.model.report import FilmTechnique, FlagState, Report, Size, YesNo
from calcreport.resources import template_texts
from calcreport.text.film import name_films, refer_to_films
from calcreport.text.impression import write_impression
from calcreport.text.wording import present, spell_projected

sys.path.append(str(Path(__file__).parents[2] / "films"))

import made_films

LENGTHS = bind_lengths({})


@pytest.fixture(scope="module")
def templates() -> Templates:
    return load_templates(template_texts())


@pytest.fixture(scope="module", params=made_films.CASES)
def report(request: pytest.FixtureRequest, templates: Templates) -> Report:
    return made_films.CASES[request.param]().report(templates)


def text_of(report: Report, templates: Templates) -> str:
    return as_text.render_full(report, templates, {}).decode("ascii")


def words_of(report: Report, templates: Templates) -> str:
    return " ".join(text_of(report, templates).split())


def test_the_text_fits_any_dictation_system(report: Report, templates: Templates) -> None:
    assert all(len(line) <= 80 for line in text_of(report, templates).splitlines())


def test_a_radiograph_has_no_hounsfield_units_no_volume_and_no_depth(report: Report, templates: Templates) -> None:
    words = words_of(report, templates)
    assert not re.search(r"\bHU\b|Hounsfield|mm3|cm3|threshold segmentation", words)
    assert "contrast" not in words.split("FINDINGS")[0]
    assert not re.search(r"mm (deep|from the skin\b(?! line))", words)
    assert report.technique is not None
    assert report.technique.threshold_hu is None
    assert report.technique.spacing_mm is None


def test_size_and_depth_are_never_told_for_certain(report: Report) -> None:
    for lesion in report.lesions:
        assert lesion.flags.size.state in {FlagState.POSSIBLE, FlagState.CANNOT_DETERMINE}
        assert lesion.flags.depth.state is FlagState.CANNOT_DETERMINE
        longest_mm = lesion.size.max_diameter_mm
        if longest_mm is not None:
            assert (lesion.flags.size.state is FlagState.POSSIBLE) == (longest_mm >= 45.0)


def test_without_a_scale_no_length_is_in_millimetres(templates: Templates) -> None:
    report = made_films.unscaled().report(templates)
    words = words_of(report, templates).replace("size >5 cm", "").replace("Size >5 cm", "")
    assert not re.search(r"\d ?(mm|cm)\b", words)
    assert "41 x 41 pixels (no scale)" in words
    assert "the radiograph has no scale" in words
    assert "size in millimetres" in " ".join(report.limitations)


def test_films_that_differ_in_scale_are_named_and_others_are_not(templates: Templates) -> None:
    alike = words_of(made_films.cluster().report(templates), templates)
    assert alike.count("55 kVp. Uncalibrated; lengths hold at the detector") == 1
    mixed = words_of(made_films.cluster(lateral_scale=made_films.CALIBRATED).report(templates), templates)
    assert "AP: Uncalibrated; lengths hold at the detector" in mixed
    assert "Lateral: Calibrated on an object of known size (FIDUCIAL)" in mixed
    assert "magnification of 1.12, which was not applied" in mixed
    assert "Calibrated lengths hold in one plane" in mixed
    assert mixed.count("true size, volume, depth and attenuation cannot be determined") == 1
    unscaled = words_of(made_films.cluster(lateral_scale=made_films.UNSCALED).report(templates), templates)
    assert unscaled.count("depth and attenuation cannot be determined") == 1
    assert "Without pixel spacing size in millimetres cannot be determined." in unscaled


def test_what_two_calibrated_films_have_in_common_is_said_once(templates: Templates) -> None:
    second = replace(made_films.CALIBRATED, magnification=1.15)
    words = words_of(made_films.cluster(made_films.CALIBRATED, second).report(templates), templates)
    assert words.count("Calibrated on an object of known size") == 1
    assert "AP: Calibrated" not in words
    assert "AP: The header states a magnification of 1.12, which was not applied." in words
    assert "Lateral: The header states a magnification of 1.15, which was not applied." in words


def test_of_three_films_those_of_one_scale_are_named_together(templates: Templates) -> None:
    films = (
        made_films.make_film(1, scale=made_films.CALIBRATED),
        made_films.make_film(2, view="LAT", scale=made_films.CALIBRATED),
        made_films.make_film(3, view="OBL"),
    )
    findings = FilmFindings(films=films, readings=(made_films.SEARCHED,) * 3, lesions=(), excluded=())
    words = words_of(made_films.FilmCase(findings).report(templates), templates)
    assert words.count("magnification of 1.12, which was not applied") == 1
    assert "AP and lateral: Calibrated on an object of known size (FIDUCIAL)" in words
    assert "Oblique: Uncalibrated; lengths hold at the detector" in words


def test_a_limb_that_the_header_does_not_name_more_closely_is_a_limb(templates: Templates) -> None:
    film = made_films.make_film(1, part="EXTREMITY")
    findings = FilmFindings(films=(film,), readings=(made_films.SEARCHED,), lesions=(), excluded=())
    words = words_of(made_films.FilmCase(findings, part="EXTREMITY").report(templates), templates)
    assert "AP radiograph of the right limb, 55 kVp." in words


def test_a_lesion_tied_on_two_views_is_told_once_with_both_sizes(templates: Templates) -> None:
    report = made_films.cluster().report(templates)
    words = words_of(report, templates)
    first, second = report.lesions[0].location.films
    for place, view in ((first, "AP"), (second, "lateral")):
        assert f"Projected size ({view}): {spell_projected(place, templates.statements, LENGTHS)}" in words
    assert "(S 1, Im 1, AP; S 1, Im 2, lateral)" in words


def test_what_lies_over_bone_is_said_to(templates: Templates) -> None:
    case = made_films.cluster()
    lesion = case.findings.lesions[0]
    shadows = (lesion.shadows[0], replace(lesion.shadows[1], is_over_bone=True))
    told = made_films.make_lesion(case.findings.films, shadows)
    findings = replace(case.findings, lesions=(told,))
    words = words_of(made_films.FilmCase(findings).report(templates), templates)
    assert "projected over soft tissue, clear of bone (AP), and over bone (lateral)" in words


def test_a_cut_shadow_is_a_minimum(templates: Templates) -> None:
    case = made_films.cluster()
    shadow = replace(case.findings.lesions[0].shadows[0], is_cut=True)
    findings = replace(case.findings, lesions=(made_films.make_lesion(case.findings.films, (shadow,)),))
    words = words_of(made_films.FilmCase(findings).report(templates), templates)
    assert "Projected size (AP): at least 3.5 x 1.0 cm" in words
    assert "projected longest dimension at least 3.5 cm" in words
    assert "Projected at least 3.5 cm calcification" in words


def test_what_two_views_show_apart_is_not_counted_as_two(templates: Templates) -> None:
    films = made_films.cluster().findings.films
    apart = tuple(
        made_films.make_lesion(films, (made_films.make_shadow(films, film, foci),))
        for film, foci in ((0, made_films.CLUSTER), (1, made_films.CLUSTER_LATERAL))
    )
    readings = (made_films.SEARCHED, made_films.SEARCHED)
    findings = FilmFindings(films=films, readings=readings, lesions=apart, excluded=())
    report = made_films.FilmCase(findings).report(templates)
    assert "right lower leg, AP view (L1)" in report.impression[0]
    assert "right lower leg, lateral view (L2)" in report.impression[1]
    assert any("may be the same as what was seen on another (L1, L2)" in text for text in report.limitations)


@pytest.mark.parametrize("name", ["film_cluster", "film_phlebolith", "film_rim_mass"])
def test_nothing_is_said_of_views_where_no_two_show_something_apart(name: str, templates: Templates) -> None:
    limits = made_films.CASES[name]().report(templates).limitations
    assert not any("may be the same" in text for text in limits)


def test_another_limb_shows_another_lesion(templates: Templates) -> None:
    films = (made_films.make_film(1), made_films.make_film(2, side="left"))
    lesions = tuple(
        made_films.make_lesion(films, (made_films.make_shadow(films, n, made_films.CLUSTER),)) for n in (0, 1)
    )
    readings = (made_films.SEARCHED, made_films.SEARCHED)
    findings = FilmFindings(films=films, readings=readings, lesions=lesions, excluded=())
    limits = made_films.FilmCase(findings).report(templates).limitations
    assert not any("may be the same" in text for text in limits)


def test_each_film_names_its_own_part_of_the_body(templates: Templates) -> None:
    films = (made_films.make_film(1, part="KNEE"), made_films.make_film(2, part="HAND", side="left"))
    lesions = tuple(
        made_films.make_lesion(films, (made_films.make_shadow(films, film, ((300.0, 120.0, size),)),))
        for film, size in ((0, 40.0), (1, 30.0))
    )
    readings = (made_films.SEARCHED, made_films.SEARCHED)
    findings = FilmFindings(films=films, readings=readings, lesions=lesions, excluded=())
    words = words_of(made_films.FilmCase(findings, part="KNEE").report(templates), templates)
    assert "AP radiograph of the right knee; AP radiograph of the left hand" in words
    assert "Lesion 1 (L1): Right knee," in words
    assert "Lesion 2 (L2): Left hand," in words


def test_a_negative_film_says_what_was_searched_and_never_that_all_is_normal(templates: Templates) -> None:
    words = words_of(made_films.negative().report(templates), templates)
    assert "No soft-tissue calcification identified on these radiographs" in words
    assert "calcification projected over bone are not excluded" in words
    assert "bone and mineral joined to it" in words
    assert "without mineral are not detected" in words
    assert not re.search(r"no mass|normal|unremarkable", words, flags=re.IGNORECASE)


def test_a_limit_of_one_film_names_it_and_one_of_all_does_not(templates: Templates) -> None:
    limits = made_films.negative().report(templates).limitations
    assert any(text.startswith("Left lateral: Stored for processing") for text in limits)
    case = made_films.negative()
    both = tuple(replace(reading, notes=("Bone over most of the field.",)) for reading in case.findings.readings)
    alike = made_films.FilmCase(replace(case.findings, readings=both)).report(templates).limitations
    assert "Bone over most of the field." in alike


def test_no_two_films_have_the_same_name(templates: Templates) -> None:
    films = [
        FilmTechnique(
            series_instance_uid="1", sop_instance_uid=str(number), instance_number=image, view=view, laterality=side,
            rows=9, columns=9, scale="none", spacing_mm=None,
        )
        for number, (view, side, image) in enumerate(
            [("AP", "left", 1), ("AP", "right", 1), ("LAT", "left", 1), ("<b>", "left", 1), ("AP", None, None)]
        )
    ]  # fmt: skip
    for count in range(1, len(films) + 1):
        names = name_films(tuple(films[:count]), templates.statements)
        assert len(set(names)) == count
        assert not any("<" in name for name in names)
    twins = (films[0], films[0].model_copy(update={"sop_instance_uid": "9"}))
    assert name_films(twins, templates.statements) == ("left AP (film 1)", "left AP (film 2)")


def test_references_leave_out_what_the_header_does_not_say(templates: Templates) -> None:
    (place,) = made_films.unscaled().report(templates).lesions[0].location.films
    assert refer_to_films((place,), {}, templates.statements) == "(Im 7)"
    nameless = place.model_copy(update={"instance_number": None})
    assert refer_to_films((nameless,), {}, templates.statements) == ""


def test_a_length_just_above_the_limit_is_not_printed_as_the_limit(templates: Templates) -> None:
    size = Size(max_diameter_mm=50.1, perpendicular_mm=20.0, projected=True, plane="detector")
    assert spell_projected(size, templates.statements, LENGTHS) == "5.01 x 2.0 cm"
    assert spell_projected(size, templates.statements, bind_lengths({"size_limit_mm": 60})) == "5.0 x 2.0 cm"


def test_lesions_without_a_scale_are_numbered_by_their_length_in_pixels(templates: Templates) -> None:
    films = (made_films.make_film(scale=made_films.UNSCALED),)
    sizes = (((300.0, 120.0, 20.0),), ((500.0, 120.0, 60.0),))
    lesions = tuple(made_films.make_lesion(films, (made_films.make_shadow(films, 0, foci),)) for foci in sizes)
    findings = FilmFindings(films=films, readings=(made_films.SEARCHED,), lesions=lesions, excluded=())
    report = made_films.FilmCase(findings).report(templates)
    assert [lesion.size.max_diameter_px for lesion in report.lesions] == [61.0, 21.0]


def test_a_mass_beside_mineral_in_pixels_is_not_called_one_without_mineral(templates: Templates) -> None:
    report = made_films.unscaled().report(templates)
    lesion = report.lesions[0]
    assert lesion.size.max_diameter_mm is None
    mass = lesion.mass.model_copy(update={"present": YesNo.YES})
    changed = report.model_copy(update={"lesions": (lesion.model_copy(update={"mass": mass}),)})
    told = write_impression(present(changed, templates.statements), negative="")[0].text
    assert told.startswith("Mass with calcification")
    assert "without mineral" not in told
