"""What is said of the other views of a finding seen on one: never that it is absent there, and nothing by guess."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from calcreport.formats import Templates, load_templates
from calcreport.formats.text.as_text import render_full as render
from calcreport.model.film import FilmFindings, FilmImage
from calcreport.model.report import Report
from calcreport.resources import template_texts
from calcreport.text.film import say_other_views
from calcreport.text.wording import present

sys.path.append(str(Path(__file__).parents[2] / "films"))

import made_films
from made_films import SEARCHED, make_film, make_lesion, make_shadow

FOCUS = ((300.0, 120.0, 40.0),)
SMALLER = ((600.0, 120.0, 30.0),)
NONE = "No second view of this part"


@pytest.fixture(scope="module")
def templates() -> Templates:
    return load_templates(template_texts())


def report_on(
    films: tuple[FilmImage, ...], seen: tuple[int, ...], templates: Templates, *, unsearched: int | None = None
) -> Report:
    """Report of one lesion on each of the films `seen`, none of them tied to another."""
    foci = [FOCUS if number == 0 else SMALLER for number in range(len(seen))]
    lesions = tuple(make_lesion(films, (make_shadow(films, n, f),)) for n, f in zip(seen, foci, strict=True))
    readings = tuple(replace(SEARCHED, noise=0.0) if n == unsearched else SEARCHED for n in range(len(films)))
    findings = FilmFindings(films=films, readings=readings, lesions=lesions, excluded=())
    return made_films.FilmCase(findings).report(templates)


def told(films: tuple[FilmImage, ...], seen: tuple[int, ...], templates: Templates, **options: int) -> list[str]:
    report = report_on(films, seen, templates, **options)
    return [say_other_views(lesion, present(report, templates.statements)) for lesion in report.lesions]


def test_a_view_without_the_finding_is_named_and_absence_is_not_claimed(templates: Templates) -> None:
    (text,) = told((make_film(1), make_film(2, view="LAT")), (0,), templates)
    assert text == "Not identified on the lateral view, where it may be hidden or too faint"


def test_a_view_of_the_same_limb_is_named_without_its_side(templates: Templates) -> None:
    films = (make_film(1), make_film(2, view="LAT"), make_film(3, view="LAT", side="left"))
    assert "on the lateral view" in told(films, (0,), templates)[0]


def test_findings_apart_on_two_views_may_be_one(templates: Templates) -> None:
    first, second = told((make_film(1), make_film(2, view="LAT")), (0, 1), templates)
    assert first == "It may be the same as a finding on the lateral view"
    assert second == "It may be the same as a finding on the AP view"


def test_each_of_several_other_views_is_named_for_what_it_shows(templates: Templates) -> None:
    films = (make_film(1), make_film(2, view="LAT"), make_film(3, view="OBL"))
    assert told(films, (0,), templates) == [
        "Not identified on the lateral and oblique views, where it may be hidden or too faint"
    ]
    assert told(films, (0, 2), templates)[0] == (
        "Not identified on the lateral view, where it may be hidden or too faint. "
        "It may be the same as a finding on the oblique view"
    )


@pytest.mark.parametrize(
    "others",
    [
        (),
        (make_film(2),),
        (make_film(2, view="LAT", side="left"),),
        (make_film(2, view="LAT", part="HAND"),),
    ],
    ids=["one film", "the same view again", "the other side", "another part"],
)
def test_where_there_is_no_second_view_that_is_said_once(others: tuple[FilmImage, ...], templates: Templates) -> None:
    films = (make_film(1), *others)
    assert told(films, (0, 0), templates) == [NONE, ""]
    text = render(report_on(films, (0, 0), templates), templates, {}).decode()
    assert " ".join(text.split()).count(f"{NONE}.") == 1


@pytest.mark.parametrize(
    "other",
    [
        make_film(2, view=None),
        make_film(2, view="LAT", side=None),
        make_film(2, view="LAT", side="both"),
        make_film(2, view="LAT", side=None, part=None),
    ],
    ids=["no view", "no side", "both sides", "nothing known"],
)
def test_nothing_is_said_of_a_film_that_may_or_may_not_show_the_part(other: FilmImage, templates: Templates) -> None:
    assert told((make_film(1), other), (0,), templates) == [""]


def test_without_a_side_only_two_films_of_a_part_are_taken_for_one_limb(templates: Templates) -> None:
    pair = (make_film(1, side=None), make_film(2, side=None, view="LAT"))
    assert "lateral view" in told(pair, (0,), templates)[0]
    assert told((*pair, make_film(3, side=None)), (0,), templates) == [""]


def test_two_films_of_both_sides_are_not_taken_for_views_of_one_limb(templates: Templates) -> None:
    assert told((make_film(1, side="both"), make_film(2, side="both", view="LAT")), (0,), templates) == [""]


def test_nothing_is_said_of_a_film_that_was_not_searched(templates: Templates) -> None:
    assert told((make_film(1), make_film(2, view="LAT")), (0,), templates, unsearched=1) == [""]


def test_a_lesion_tied_on_two_views_needs_no_word(templates: Templates) -> None:
    report = made_films.cluster().report(templates)
    assert say_other_views(report.lesions[0], present(report, templates.statements)) == ""
