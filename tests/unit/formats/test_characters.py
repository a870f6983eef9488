from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcreport.formats.characters import COLUMNS, lay_out, make_visible, to_ascii


@pytest.mark.parametrize(
    ("text", "ascii_text"),
    [
        ("Müller-Lüdenscheidt", "Muller-Ludenscheidt"),
        ("Straße ≥ 5 µm × 3 mm²", "Strasse >= 5 um x 3 mm2"),
        ("Ærøskøbing, Łódź", "Aeroskobing, Lodz"),
        ("山田", "[U+5C71][U+7530]"),
        ("a\r\nb\tc", "a  b c"),
        ("x\u202ey", "x[U+202E]y"),
        ("ﬁbrous", "fibrous"),
    ],
)
def test_text_becomes_readable_ascii(text: str, ascii_text: str) -> None:
    assert to_ascii(text) == ascii_text


@given(st.text())
def test_ascii_is_printable_and_one_line(text: str) -> None:
    assert all(32 <= ord(character) < 127 for character in to_ascii(text))


@given(st.text())
def test_visible_text_can_be_encoded_and_hides_nothing(text: str) -> None:
    shown = make_visible(text)
    shown.encode()
    assert not any(character in shown for character in "\n\r\x00\u202e\u200b\ufeff")


def test_long_lines_continue_under_their_own_text() -> None:
    folded = lay_out("1. " + "word " * 30 + "\n\n\n  " + "deep " * 30)
    lines = folded.split("\n")
    assert lines[0].startswith("1. word")
    assert lines[1].startswith("   word")
    assert "" in lines
    assert "\n\n\n" not in folded
    assert lines[-2].startswith("    deep")


def test_an_image_reference_and_a_unit_stay_on_one_line() -> None:
    for filler in range(60, 80):
        folded = lay_out("x" * filler + " 4.4 cm (S 4, Im 140-166)")
        assert "(S 4, Im 140-166)" in folded
        assert "4.4 cm" in folded


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=400))
def test_no_line_is_longer_than_the_section_allows(text: str) -> None:
    assert max(map(len, lay_out(text).split("\n"))) <= COLUMNS


def test_pasted_text_opens_no_section_where_it_is_folded() -> None:
    for filler in range(60, 80):
        lines = lay_out("x" * filler + " IMPRESSION: " + "y" * 70 + " IMPRESSION:").split("\n")
        assert "IMPRESSION:" not in lines
    assert "IMPRESSION:" in lay_out("x\n\nIMPRESSION:\n1. y").split("\n")
