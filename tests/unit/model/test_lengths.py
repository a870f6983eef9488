"""One printed form of a length, which never hides on which side of a limit it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcreport.model.lengths import LENGTH_LIMITS, Lengths, bind_lengths, spell_change
from calcreport.settings import PolicySettings

LENGTHS = bind_lengths(PolicySettings().model_dump())


@pytest.mark.parametrize(
    ("length_mm", "text"),
    [
        (0.0, "under 1 mm"),
        (0.2, "under 1 mm"),
        (5.2, "5 mm"),
        (9.4, "9 mm"),
        (9.6, "1.0 cm"),
        (10.0, "1.0 cm"),
        (44.1, "4.4 cm"),
        (119.0, "11.9 cm"),
        (49.9, "4.99 cm"),
        (50.0, "5.0 cm"),
        (50.2, "5.02 cm"),
        (50.04, "5.004 cm"),
        (50.6, "5.1 cm"),
        (45.2, "4.52 cm"),
        (20.1, "2.01 cm"),
        (40.2, "4.02 cm"),
        (14.9, "1.5 cm"),  # limits of phleboliths and of rice grains: no sentence names them
        (23.4, "2.3 cm"),
        (20.04, "2.004 cm"),
    ],
)
def test_a_length_is_dictated_in_mm_below_one_centimetre_and_never_as_a_limit(length_mm: float, text: str) -> None:
    assert LENGTHS.spell(length_mm) == text


def test_the_limits_are_those_of_the_report() -> None:
    assert bind_lengths({"size_limit_mm": 40}).spell(40.2) == "4.02 cm"
    assert bind_lengths({"size_limit_mm": 40}).spell(50.2) == "5.0 cm"
    assert bind_lengths({"size_limit_mm": 8.0}).spell(8.3) == "8.3 mm"
    assert bind_lengths({}).spell(50.2) == "5.02 cm"
    policy = PolicySettings()
    assert set(LENGTHS.limits_mm) == {getattr(policy, name) for name in LENGTH_LIMITS} | {30.0, 40.0}


@given(st.floats(0.5, 400.0), st.lists(st.floats(1.0, 100.0), min_size=1, max_size=4))
def test_no_printed_length_changes_sides(length_mm: float, limits_mm: list[float]) -> None:
    length_mm, limits_mm = round(length_mm, 4), [round(limit, 4) for limit in limits_mm]
    number, unit = Lengths(limits_mm=tuple(limits_mm)).spell(length_mm).split()
    printed_mm = round(float(number) * (10 if unit == "cm" else 1), 6)
    assert printed_mm == pytest.approx(length_mm, abs=0.51)
    for limit in limits_mm:
        assert (printed_mm > limit, printed_mm < limit) == (length_mm > limit, length_mm < limit)


def test_extents_share_one_unit_and_the_digits_of_each_length() -> None:
    assert LENGTHS.spell_extents((5.0, 4.1, 4.9)) == "5 x 4 x 5 mm"
    assert LENGTHS.spell_extents((24.0, 2.0, 43.4)) == "2.4 x 0.2 x 4.3 cm"
    assert LENGTHS.spell_extents((0.2, 3.0, 4.0)) == "1 x 3 x 4 mm"
    assert LENGTHS.spell_extents((50.2, 20.2, 7.0)) == "5.02 x 2.02 x 0.7 cm"


def test_a_change_keeps_the_tenth_of_a_millimetre_it_is_judged_by() -> None:
    assert [spell_change(x) for x in (0.04, 1.5, 9.94, 9.96, 18.0)] == [
        "0.0 mm",
        "1.5 mm",
        "9.9 mm",
        "1.0 cm",
        "1.8 cm",
    ]
