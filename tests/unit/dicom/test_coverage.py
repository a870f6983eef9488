"""Whether one CT stack shows body that another does not, told by positions and names in their headers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calcreport.dicom.coverage import SMALL_GAP_MM, WIDE_FIELD_MM, Extent, is_detail, not_covered

SIZE_MM = (300.0, 300.0, 400.0)


def _extent(at: tuple[float, float, float] = (0, 0, 0), size: tuple[float, ...] = SIZE_MM, **how: Any) -> Extent:
    """Box of a size around a centre, mm."""
    middle, half = np.array(at, dtype=float), np.array(size) / 2
    given = {"frame_of_reference_uid": "1.2", "side": None, "region": "THIGH"} | how
    return Extent(box=(middle - half, middle + half), slab_mm=size[2], **given)


@pytest.mark.parametrize(
    ("at", "size", "how", "is_covered"),
    [
        pytest.param((0, 0, 0), SIZE_MM, {}, True, id="the same"),
        pytest.param((0, 0, 0), (330.0, 330.0, 400.0), {}, True, id="a field of view 15 mm wider on each side"),
        pytest.param((0, 0, 0), (500.0, 500.0, 400.0), {}, False, id="a field of view 100 mm wider on each side"),
        pytest.param((0, 0, 4), (300.0, 300.0, 410.0), {}, True, id="ends 9 mm further"),
        pytest.param((0, 0, 20), SIZE_MM, {}, False, id="ends 20 mm further"),
        pytest.param((200, 0, 0), SIZE_MM, {}, False, id="the leg beside it"),
        pytest.param((0, 0, 700), SIZE_MM, {}, False, id="another region"),
        pytest.param((0, 0, 0), (100.0, 100.0, 50.0), {"region": "HEAD"}, True, id="a name does not move a box"),
        pytest.param((0, 0, 0), SIZE_MM, {"side": "right"}, False, id="the other side at the same place"),
        pytest.param((0, 0, 0), SIZE_MM, {"frame_of_reference_uid": "1.3"}, True, id="the same range scanned again"),
        pytest.param((0, 0, 60), SIZE_MM, {"frame_of_reference_uid": "1.3"}, False, id="another range, another frame"),
        pytest.param((0, 0, 0), SIZE_MM, {"frame_of_reference_uid": "1.3", "region": "CHEST"}, False,
                     id="another region, another frame"),
        pytest.param((0, 0, 0), SIZE_MM, {"frame_of_reference_uid": "1.3", "region": ""}, True, id="no name"),
    ],
)  # fmt: skip
def test_what_no_measured_stack_shows(
    at: tuple[float, float, float], size: tuple[float, ...], how: dict[str, Any], is_covered: bool
) -> None:
    rest = not_covered(_extent(at, size, **how), [_extent(side="left")], SMALL_GAP_MM)
    assert (not rest) is is_covered


def test_without_frames_of_reference_names_decide_whether_positions_compare() -> None:
    nowhere = {"frame_of_reference_uid": None}
    assert not not_covered(_extent((0, 0, 0), (200.0, 200.0, 100.0), **nowhere), [_extent(**nowhere)])
    assert not_covered(_extent((0, 0, 0), (200.0, 200.0, 100.0), **nowhere, region="CHEST"), [_extent(**nowhere)])


def test_boxes_left_over_do_not_overlap_and_add_up() -> None:
    rest = not_covered(_extent(size=(100.0, 100.0, 100.0)), [_extent(size=(40.0, 40.0, 40.0))], (0.0, 0.0, 0.0))
    assert sum(float(np.prod(high - low)) for low, high in rest) == pytest.approx(100.0**3 - 40.0**3)


def test_where_no_voxel_tells_a_wide_field_of_view_is_taken_for_air() -> None:
    wide = _extent(size=(450.0, 450.0, 400.0))
    assert not not_covered(wide, [_extent()], WIDE_FIELD_MM)
    assert not_covered(_extent((350, 0, 0)), [_extent()], WIDE_FIELD_MM), "a leg beside it is none"


@pytest.mark.parametrize(
    ("length_mm", "at", "expected"),
    [(190.0, (0, 0, 0), True), (210.0, (0, 0, 0), False), (100.0, (0, 0, 600), False), (100.0, (0, 0, 195), True)],
)
def test_a_stack_is_a_detail_of_one_that_shows_the_same_and_much_more(
    length_mm: float, at: tuple[float, float, float], expected: bool
) -> None:
    assert is_detail(_extent(at, (300.0, 300.0, length_mm)), [_extent()], share=0.5) is expected
