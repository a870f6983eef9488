"""Region names as readers and headers write them."""

from __future__ import annotations

import pytest

from calcreport.rules.regions import are_apart, name_areas


@pytest.mark.parametrize(
    ("region", "area"),
    [
        ("right calf", "lower_leg"),
        ("LEG", "lower_leg"),
        ("lower leg", "lower_leg"),
        ("left thigh, back of the thigh", "thigh"),
        ("femoral head", "hip"),
        ("fibular head", "knee"),
        ("radial head", "elbow"),
        ("medial head of gastrocnemius", "lower_leg"),
        ("chest wall", "chest_wall"),
        ("sternocleidomastoid", "neck"),
        ("fingers", "hand"),
        ("PELVIS", "pelvis"),
        ("aortic valve", "organ"),
    ],
)
def test_names_mean_one_area(region: str, area: str) -> None:
    areas = name_areas(region)
    assert areas is not None
    assert areas[0] == area


@pytest.mark.parametrize("region", ["femoral head", "fibular head", "medial head of gastrocnemius", "back of the knee"])
def test_heads_of_bones_and_muscles_are_not_the_head(region: str) -> None:
    assert not {"head", "head_or_neck", "back"} & set(name_areas(region) or ())


@pytest.mark.parametrize("region", [None, "", "somewhere", "forearmed"])
def test_what_is_not_understood_is_unknown(region: str | None) -> None:
    assert name_areas(region) is None


def test_places_are_apart_only_when_both_are_understood() -> None:
    assert are_apart("calf", "neck")
    assert not are_apart("calf", "leg")
    assert not are_apart("hip", "PELVIS")
    assert are_apart("hip", "knee")
    assert not are_apart("calf", "somewhere")
    assert not are_apart(None, "neck")
