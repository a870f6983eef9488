from __future__ import annotations

import pytest

from calcreport.errors import TemplateError
from calcreport.model.report import KeyImage, Location, Pattern, SeriesEntry
from calcreport.resources import template_texts
from calcreport.text.statements import parse_statements
from calcreport.text.wording import (
    name_body_part,
    name_finding,
    name_place,
    refer_to_images,
    spell_distance,
    spell_number,
    spell_volume,
)

STATEMENTS = parse_statements(template_texts()["statements.toml"])
SERIES = SeriesEntry(
    series_instance_uid="1.2", modality="CT", status="analysed", code="series.analysed", message="", series_number=4
)


@pytest.mark.parametrize(
    ("volume_mm3", "text"), [(48.3, "48 mm3"), (999.4, "999 mm3"), (999.6, "1.0 cm3"), (3110.0, "3.1 cm3")]
)
def test_volumes_are_mm3_below_one_cm3(volume_mm3: float, text: str) -> None:
    assert spell_volume(volume_mm3) == text


def test_distances_are_whole_millimetres() -> None:
    assert [spell_distance(x) for x in (0.2, 21.3, 61.0)] == ["under 1 mm", "21 mm", "61 mm"]
    assert [spell_number(x) for x in (1.0, 0.8, 0.488281, 3.996, 4.0, 0.996, 10.04)] == [
        "1.0", "0.8", "0.49", "4.0", "4.0", "1.0", "10.04",
    ]  # fmt: skip


def test_side_comes_first_and_what_is_unknown_is_left_for_the_reader() -> None:
    assert name_place(Location(laterality="right", region="calf"), STATEMENTS) == "right calf"
    assert name_place(Location(laterality="left"), STATEMENTS) == "left side, [region]"
    assert name_place(Location(region="calf"), STATEMENTS) == "[side] calf"
    assert name_place(Location(), STATEMENTS) == "[side and region]"


def test_images_are_referred_to_as_a_viewer_shows_them() -> None:
    key = KeyImage(sop_instance_uid="1.2.3", instance_number=112)
    assert refer_to_images(Location(first_image=98, last_image=131, key_image=key), SERIES) == "(S 4, Im 98-131)"
    assert refer_to_images(Location(first_image=131, last_image=98), SERIES) == "(S 4, Im 98-131)"
    assert refer_to_images(Location(first_image=98, last_image=131, key_image=key), SERIES, whole_extent=False) == (
        "(S 4, Im 112)"
    )
    assert refer_to_images(Location(key_image=key), None) == "(Im 112)"
    assert refer_to_images(Location(), SERIES) == ""


@pytest.mark.parametrize(
    ("header", "words"),
    [("LEG", "leg"), ("LOWER_LEG", "lower leg"), ("Lower Leg", "lower leg"), ("NOPE", ""), (None, "")],
)
def test_only_known_body_parts_are_repeated(header: str | None, words: str) -> None:
    assert name_body_part(header, STATEMENTS) == words


def test_a_value_is_never_scanned_for_fields() -> None:
    statements = parse_statements('a = "{x} and {y}"')
    assert statements.say("a", x="{y}", y="z") == "{y} and z"


@pytest.mark.parametrize(
    ("bundled", "site"),
    [("a = ", None), ("a = 5", None), ('a = "x"', 'b = "y"'), ('a = "x"', "[a]\nb = 'y'")],
)
def test_faulty_wording_is_named(bundled: str, site: str | None) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_statements(bundled, site)
    assert caught.value.code == "template.statements"


def test_a_missing_field_or_id_is_named() -> None:
    statements = parse_statements('a = "{x}"')
    for identifier in ("a", "b"):
        with pytest.raises(TemplateError, match=identifier):
            statements.say(identifier)


def test_the_shipped_wording_is_plain_ascii() -> None:
    for identifier, text in STATEMENTS.texts.items():
        assert text.isascii(), identifier


@pytest.mark.parametrize(
    ("identifier", "features", "start"),
    [
        ("P05", {"rim_complete": "yes"}, "complete or near-complete peripheral rim"),
        ("P05", {"rim_complete": "no", "rim_incomplete": "yes"}, "incomplete peripheral rim"),
        ("P05", {"rim_complete": "unknown"}, "peripheral rim"),
        ("P09", {"rim_complete": "yes"}, "amorphous deposit"),
        ("P13", {"fluid_calcium_level": "unknown"}, "lobulated cloud-like periarticular calcification"),
    ],
)
def test_a_finding_is_named_with_what_makes_it_telling(identifier: str, features: dict[str, str], start: str) -> None:
    pattern = Pattern(id=identifier, label="x", confidence="high", scores={}, features=features)
    assert name_finding(pattern, STATEMENTS).startswith(start)
    assert "levels" not in name_finding(pattern, STATEMENTS)
