from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calcreport.formats import Templates
from calcreport.formats.pictures.as_png import (
    SCALE_BARS_MM,
    choose_view,
    draw_scale_bar,
    find_marks,
    name_direction,
    render_key_image,
    render_overview,
)
from calcreport.formats.pictures.drawing import (
    CALLIPER,
    MINERAL,
    OTHER,
    PANEL_PX,
    TEXT,
    View,
    choose_bar_length,
    free_place,
    trace_outline,
    write_text,
)
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference
from calcreport.model.lesion import CtFindings, MeasuredLesion, Segment, VoxelMask
from calcreport.model.report import Density, Depth, Foci, Location, Mass, Pattern, Report, Size, Thresholds

LPS_AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


def make_volume(
    shape: tuple[int, int, int] = (9, 100, 120),
    spacing_mm: tuple[float, float, float] = (3.0, 0.8, 0.8),
    axes: tuple[str, str, str] = ("H", "P", "L"),
) -> CtVolume:
    """Noise-free muscle; `axes` name where slice, row and column indices grow to."""
    affine = np.eye(4)
    for column, (axis, step) in enumerate(zip(axes, spacing_mm, strict=True)):
        affine[:3, column] = np.array(LPS_AXES[axis]) * step
    slices = tuple(SliceReference(sop_instance_uid=f"1.2.{i}", instance_number=i + 1) for i in range(shape[0]))
    return CtVolume(hu=np.full(shape, 50, np.int16), geometry=VolumeGeometry(affine=affine, shape=shape), slices=slices)


def segment(volume: CtVolume, start: tuple[float, ...], end: tuple[float, ...]) -> Segment:
    ends = volume.geometry.lps_mm(np.array((start, end)))
    first, last = (tuple(float(x) for x in point) for point in ends)
    return Segment(start_lps_mm=first, end_lps_mm=last, length_mm=float(np.linalg.norm(ends[1] - ends[0])))


def make_lesion(volume: CtVolume, box: tuple[slice, slice, slice], **lines: Segment | None) -> MeasuredLesion:
    room = [min(2, part.start) for part in box]  # a cut-out may have room before the lesion
    offset = [part.start - before for part, before in zip(box, room, strict=True)]
    voxels = np.ones([part.stop - part.start + before for part, before in zip(box, room, strict=True)], dtype=bool)
    voxels[: room[0]] = voxels[:, : room[1]] = voxels[:, :, : room[2]] = False
    key_slice = (box[0].start + box[0].stop) // 2
    middle = [(part.start + part.stop - 1) / 2 for part in box]
    calliper = segment(volume, (key_slice, middle[1], box[2].start), (key_slice, middle[1], box[2].stop - 1))
    return MeasuredLesion(
        size=Size(max_diameter_mm=calliper.length_mm), foci=Foci(), mass=Mass(), density=Density(),
        depth=Depth.model_validate({"class": "subfascial"}),
        pattern=Pattern(id="P09", label="x", confidence="low", scores={}, features={}), bone_relation="separate",
        location=Location(), mineral=VoxelMask(offset=tuple(offset), voxels=voxels),
        key_slice=key_slice, axial_longest=lines.pop("calliper", calliper), **lines,
    )  # fmt: skip


def plane_of(volume: CtVolume, lesion: MeasuredLesion) -> NDArray[np.bool_]:
    mask = find_marks(volume, lesion).mineral
    assert mask is not None
    return mask


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize(
    "box", [(slice(3, 6), slice(40, 60), slice(50, 80)), (slice(4, 5), slice(50, 51), slice(60, 61))]
)
def test_the_outline_encloses_every_pixel_of_the_mask(box: tuple[slice, slice, slice]) -> None:
    volume = make_volume()
    lesion = make_lesion(volume, box)
    view = choose_view(volume, lesion, find_marks(volume, lesion))
    plane = plane_of(volume, lesion)
    line = trace_outline(view.cover(plane))
    assert line is not None
    rows, columns = np.nonzero(line > 100)
    left, top = view.place(box[1].start - 0.5, box[2].start - 0.5)
    right, bottom = view.place(box[1].stop - 0.5, box[2].stop - 0.5)
    assert columns.min() < left
    assert columns.max() > right
    assert rows.min() < top
    assert rows.max() > bottom
    # and it stays outside: within the mask there is no line to hide mineral
    inner = line[int(np.ceil(top)) + 1 : int(bottom) - 1, int(np.ceil(left)) + 1 : int(right) - 1]
    assert (inner < 60).mean() > 0.97


def test_the_outline_hugs_the_mask() -> None:
    volume = make_volume()
    box = (slice(3, 6), slice(40, 60), slice(50, 80))
    lesion = make_lesion(volume, box)
    view = choose_view(volume, lesion, find_marks(volume, lesion))
    line = trace_outline(view.cover(plane_of(volume, lesion)))
    assert line is not None
    left, top = view.place(39.5 - 1.0, 49.5 - 1.0)  # one pixel outside
    rows, columns = np.nonzero(line > 100)
    assert columns.min() >= left
    assert rows.min() >= top


@pytest.mark.parametrize("spacing_mm", [(3.0, 0.8, 0.8), (1.0, 1.0, 0.5), (5.0, 0.4, 1.2)])
def test_calliper_ends_land_on_the_mask(spacing_mm: tuple[float, float, float]) -> None:
    volume = make_volume(spacing_mm=spacing_mm)
    lesion = make_lesion(volume, (slice(3, 6), slice(40, 60), slice(50, 80)))
    marks = find_marks(volume, lesion)
    view = choose_view(volume, lesion, marks)
    assert marks.calliper is not None
    cover = view.cover(plane_of(volume, lesion))
    for row, column in marks.calliper:
        x, y = view.place(row, column)
        assert cover[round(y - 0.5), round(x - 0.5)] > 0.9


@pytest.mark.parametrize("spacing_mm", [(3.0, 0.8, 0.8), (1.0, 1.0, 0.5), (5.0, 0.4, 1.2)])
def test_pictures_are_true_to_scale_in_both_directions(spacing_mm: tuple[float, float, float]) -> None:
    volume = make_volume(spacing_mm=spacing_mm)
    lesion = make_lesion(volume, (slice(3, 6), slice(40, 60), slice(50, 80)))
    view = choose_view(volume, lesion, find_marks(volume, lesion))
    (x0, y0), (x1, y1) = view.place(10, 10), view.place(20, 30)
    assert (x1 - x0) / view.px_per_mm == pytest.approx(20 * spacing_mm[2])
    assert (y1 - y0) / view.px_per_mm == pytest.approx(10 * spacing_mm[1])
    wide = np.ptp(np.nonzero(view.cover(plane_of(volume, lesion)) > 0.5)[1]) + 1
    assert wide / view.px_per_mm == pytest.approx(30 * spacing_mm[2], abs=1.5 / view.px_per_mm)


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    for px_per_mm in (1.7, 2.9, 6.1, 11.3):
        picture = Image.new("RGB", (540, 540))
        length_mm = draw_scale_bar(picture, px_per_mm)
        drawn = np.asarray(picture)[540 - 16, :] == TEXT
        columns = np.flatnonzero(drawn.all(axis=1))
        assert columns.size == pytest.approx(length_mm * px_per_mm, abs=1)
        assert length_mm == choose_bar_length(SCALE_BARS_MM, 180 / px_per_mm)


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, 0, -1), "F"),
        ((0, 0.7, 0.7), "PH"),
        ((0.98, 0.2, 0), "L"),
    ],
)
def test_directions_are_named_after_the_patient(direction: tuple[float, ...], letters: str) -> None:
    assert name_direction(np.array(direction, dtype=float)) == letters


def test_a_line_that_leaves_the_slice_is_not_drawn() -> None:
    volume = make_volume()
    box = (slice(3, 6), slice(40, 60), slice(50, 80))
    near = make_lesion(volume, box, to_skin=segment(volume, (4, 40, 60), (5, 10, 60)))
    far = make_lesion(volume, box, to_skin=segment(volume, (4, 40, 60), (8, 10, 60)))
    assert find_marks(volume, near).skin is not None
    assert find_marks(volume, far).skin is None


def test_the_view_takes_in_lesion_and_near_skin() -> None:
    volume = make_volume((9, 256, 256), (3.0, 0.8, 0.8))
    lesion = make_lesion(
        volume, (slice(3, 6), slice(100, 110), slice(120, 130)), to_skin=segment(volume, (4, 100, 125), (4, 40, 125))
    )
    marks = find_marks(volume, lesion)
    view = choose_view(volume, lesion, marks)
    for row, column in ((39.5, 125), (110, 119.5), (100, 130)):
        x, y = view.place(row, column)
        assert 0 <= x <= PANEL_PX
        assert 0 <= y <= PANEL_PX


def test_a_key_image_shows_what_was_measured(reports: dict[str, Report], templates: Templates) -> None:
    volume = make_volume((9, 200, 240), (3.0, 0.8, 0.8))
    lesion = make_lesion(volume, (slice(3, 6), slice(90, 110), slice(100, 140)))
    named = reports["myositis_ossificans"]
    near = make_lesion(volume, (slice(4, 7), slice(95, 105), slice(150, 158)))
    far = make_lesion(volume, (slice(7, 9), slice(95, 105), slice(150, 158)))
    first, plain = (
        render_key_image(volume, lesion, named.lesions[0], named, templates.statements, others=others)
        for others in ([("L2", near), ("L3", far)], [("L3", far)])
    )
    of_others = [(np.abs(pixels(one)[:, :550].astype(int) - OTHER).max(axis=2) <= 12).sum() for one in (first, plain)]
    assert of_others[0] > 60 > of_others[1]  # what the slice does not show is not drawn
    rendered = first
    picture = pixels(rendered)
    assert 1000 <= picture.shape[1] <= 1400
    for colour in (MINERAL, CALLIPER):
        assert (np.abs(picture.astype(int) - colour).max(axis=2) <= 24).sum() > 100
    assert b"Doe" not in rendered


@pytest.mark.parametrize("corner", [0, 1])
def test_a_lesion_in_the_corner_of_the_slice_is_drawn(
    corner: int, reports: dict[str, Report], templates: Templates
) -> None:
    volume = make_volume()
    rows, columns = (slice(0, 3), slice(0, 2)) if corner == 0 else (slice(98, 100), slice(118, 120))
    lesion = make_lesion(volume, (slice(0, 1), rows, columns))
    assert pixels(
        render_key_image(volume, lesion, reports["phlebolith"].lesions[0], reports["phlebolith"], templates.statements)
    ).any()


def test_a_lesion_without_masks_or_lines_is_drawn(reports: dict[str, Report], templates: Templates) -> None:
    volume = make_volume((1, 8, 8))
    lesion = make_lesion(volume, (slice(0, 1), slice(2, 4), slice(2, 4)), calliper=None)
    object.__setattr__(lesion, "mineral", None)
    assert pixels(
        render_key_image(volume, lesion, reports["phlebolith"].lesions[0], reports["phlebolith"], templates.statements)
    ).any()


@pytest.mark.parametrize(
    ("axes", "brightest"),
    [
        (("H", "P", "L"), "upper left"),
        (("F", "P", "L"), "lower left"),
        (("H", "A", "R"), "upper right"),
        (("F", "A", "R"), "lower right"),
    ],
)
def test_the_overview_is_head_up_with_the_right_side_on_the_left(
    axes: tuple[str, str, str], brightest: str, templates: Templates
) -> None:
    volume = make_volume((60, 100, 120), (2.0, 0.8, 0.8), axes)
    projection = np.zeros((60, 120), np.int16)
    projection[45:55, 10:25] = 1300  # high slice index, low column index
    findings = CtFindings(
        lesions=(), excluded=(), thresholds=Thresholds(grow=130, seed=200), threshold_reason="", noise_hu=10, notes=(),
        maximum_intensity_hu=projection,
    )  # fmt: skip
    picture = pixels(render_overview(volume, findings, (), templates.statements))[44:, 10:-10].astype(int)
    rows, columns = np.nonzero(picture.sum(axis=2) > 700)
    vertical = "upper" if np.median(rows) < picture.shape[0] / 2 else "lower"
    horizontal = "left" if np.median(columns) < picture.shape[1] / 2 else "right"
    assert f"{vertical} {horizontal}" == brightest
    assert picture.shape[0] / picture.shape[1] == pytest.approx(60 * 2.0 / (120 * 0.8), rel=0.03)


def test_the_overview_marks_the_lesion_where_it_is(templates: Templates) -> None:
    volume = make_volume((60, 100, 120), (2.0, 0.8, 0.8))
    lesion = make_lesion(volume, (slice(40, 50), slice(40, 60), slice(20, 40)))
    findings = CtFindings(
        lesions=(lesion,), excluded=(), thresholds=Thresholds(grow=130, seed=200), threshold_reason="", noise_hu=10,
        notes=(), maximum_intensity_hu=volume.hu.max(axis=1),
    )  # fmt: skip
    picture = pixels(render_overview(volume, findings, (("L1", 0),), templates.statements))[44:, 10:-10]
    close = np.abs(picture.astype(int) - MINERAL).max(axis=2) <= 24
    rows, columns = np.flatnonzero(close.sum(axis=1) > 100), np.flatnonzero(close.sum(axis=0) > 50)
    px_per_mm = picture.shape[1] / (120 * 0.8)
    assert rows.min() == pytest.approx(20 * px_per_mm - 4, abs=6)
    assert rows.max() == pytest.approx(40 * px_per_mm + 4, abs=6)
    assert columns.min() == pytest.approx(16 * px_per_mm - 4, abs=6)
    assert columns.max() == pytest.approx(32 * px_per_mm + 4, abs=6)


def test_names_on_the_overview_stay_apart_and_off_the_frames() -> None:
    panel = Image.new("RGB", (400, 300))
    boxes = [(x, y, x + 30.0, y + 20.0) for x, y in ((100.0, 100.0), (134.0, 100.0), (100.0, 124.0), (375.0, 290.0))]
    boxes += [(0.0, 0.0, 12.0, 12.0), (130.0, 124.0, 150.0, 150.0)]
    taken = list(boxes)
    for box in boxes:
        place = free_place(box, (40.0, 20.0), panel.size, taken)
        assert not any(
            place[0] < other[2] and other[0] < place[2] and place[1] < other[3] and other[1] < place[3]
            for other in taken
        )
        assert min(place) >= 0
        assert place[2] <= 400
        assert place[3] <= 300
        taken.append(place)


def test_a_view_beyond_the_slice_shows_air() -> None:
    view = View(left=-5.0, top=-5.0, column_px=10.0, row_px=10.0, width=100, height=100, px_per_mm=10.0)
    cover = view.cover(np.ones((5, 5), dtype=bool))
    assert cover[:40].max() == 0
    assert cover[55:95, 55:95].min() == 1


def test_text_written_in_two_threads_at_once_is_what_one_writes() -> None:
    def write(number: int) -> bytes:
        picture = Image.new("RGB", (160, 60))
        for line in range(3):
            write_text(picture, (8, 12 + 18 * line), f"Longest {number}.{line} mm", size=15 + line)
        return picture.tobytes()

    alone = [write(number) for number in range(40)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, range(40))) == alone
