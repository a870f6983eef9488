"""Pictures of CT: the slice that shows a lesion best with all that was measured, and the projection of a series."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calcreport.formats.pictures import drawing
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.model.lengths import Lengths
from calcreport.model.lesion import CtFindings, MeasuredLesion, Segment, VoxelMask
from calcreport.model.overlay import EarlierSlice
from calcreport.model.report import Lesion, Report
from calcreport.text.film import refer
from calcreport.text.review import is_by_reader
from calcreport.text.statements import Statements
from calcreport.text.wording import Presenter, present, spell_distance

SCALE_BARS_MM: Final = (10.0, 20.0, 50.0, 100.0, 200.0)  # Lengths a scale bar may have, mm
_CONTEXT_PX: Final = 268  # largest width and height of the whole slice, small
_SMALLEST_VIEW_MM: Final = 70.0  # A small deposit is shown with at least this much of the patient around it
_ROOM: Final = 2.2  # the view is this many times as wide as the lesion
_SKIN_REACH_MM: Final = 60.0  # a skin line up to this long is taken into the view


def slice_as_png(hu: NDArray[np.int16]) -> bytes:
    """Every HU of a slice, shape ``(rows, columns)``, as 16 bits of grey: HU less the least a volume holds."""
    sink = io.BytesIO()
    Image.fromarray((hu.astype(np.int32) - LOWEST_HU).astype(np.uint16)).save(sink, "PNG")
    return sink.getvalue()


def slice_from_png(content: bytes | None, shape: tuple[int, ...]) -> NDArray[np.int16] | None:
    """HU of what `slice_as_png` wrote; ``None`` for anything else, and for a slice of another shape."""
    try:
        with Image.open(io.BytesIO(content or b""), formats=["PNG"]) as image:
            is_slice = image.mode.startswith("I") and (image.height, image.width) == shape
            return (np.array(image, dtype=np.int32) + LOWEST_HU).astype(np.int16) if is_slice else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is drawn on a slice: masks of shape ``(rows, columns)``; lines of shape ``(2, 2)``, (row, column) index."""

    mineral: NDArray[np.bool_] | None
    contour: NDArray[np.bool_] | None
    calliper: NDArray[np.float64] | None
    skin: NDArray[np.float64] | None
    fascia: NDArray[np.float64] | None


_Drawn = tuple[str, NDArray[np.float64] | None, drawing.Colour, str, drawing.Place]
"""Name of a measured line, its ends on the slice, its colour, its length as it is spelled, and where that stands."""


def render_key_image(  # noqa: PLR0913 - everything that is drawn
    volume: CtVolume,
    measured: MeasuredLesion,
    lesion: Lesion,
    report: Report,
    statements: Statements,
    *,
    others: Sequence[tuple[str, MeasuredLesion]] = (),
    earlier: EarlierSlice | None = None,
) -> bytes:
    """Draw the key image of a lesion: soft-tissue window with the drawing, bone window without it, the whole slice.

    Only the key slice of the volume is touched. `others` are the other lesions of the series by name: those that the
    slice shows are outlined too. `earlier` is the same place on an earlier study, drawn beside. No patient name.
    """
    hu = volume.hu[measured.key_slice]
    words = present(report, statements)
    marks = find_marks(volume, measured)
    view = choose_view(volume, measured, marks)
    soft = view.show(hu, drawing.SOFT_TISSUE).convert("RGB")
    beside = _draw_others(soft, view, volume, measured.key_slice, others)
    _draw_marks(soft, view, marks, _list_lines(marks, measured, words.lengths))
    bone = view.show(hu, drawing.BONE).convert("RGB")
    panels = [(soft, statements.say("picture.soft_tissue")), (bone, statements.say("picture.bone"))]
    if earlier is not None:
        date = earlier.date or statements.say("comparison.undated")
        text = statements.say("picture.earlier", date=date)
        panels.insert(1, (view.show(earlier.hu, drawing.SOFT_TISSUE).convert("RGB"), text))
    right, down = (name_direction(volume.geometry.affine[:3, axis]) for axis in (2, 1))
    for panel, text in panels:
        drawing.write_directions(panel, right, down)
        draw_scale_bar(panel, view.px_per_mm)
        drawing.write_text(panel, (10, 18), text)
    whole = drawing.whole_view(hu.shape, *volume.geometry.spacing_mm[1:], (_CONTEXT_PX, _CONTEXT_PX))
    context = whole.show(hu, drawing.SOFT_TISSUE).convert("RGB")
    whole.frame(context, view)
    reference = refer(lesion, words, whole_extent=False).strip("()")
    header = statements.say(
        "picture.key_header", id=lesion.id, reference=reference or statements.say("picture.unnumbered")
    )
    rows = _explain(marks, measured, lesion, words)
    rows += [(drawing.OTHER, statements.say("picture.others", ids=", ".join(beside)))] if beside else []
    sheet = [panel for panel, _ in panels]
    return drawing.write_sheet(sheet, context, context_px=_CONTEXT_PX, header=header, rows=rows)


def name_direction(direction_lps: NDArray[np.float64]) -> str:
    """Letters of a direction in the patient, such as ``"L"`` or ``"PL"``; shape ``(3,)``, LPS."""
    unit = direction_lps / max(float(np.linalg.norm(direction_lps)), 1e-12)
    letters = (("L", "R"), ("P", "A"), ("H", "F"))
    order = sorted(range(3), key=lambda axis: -abs(float(unit[axis])))
    return "".join(letters[axis][int(unit[axis] < 0)] for axis in order[:2] if abs(float(unit[axis])) > 0.35)


def draw_scale_bar(picture: Image.Image, px_per_mm: float) -> float:
    """Draw a scale bar, at most a third of the picture, at the lower left and return its length in mm.

    The bar runs from x = 14 and is exactly its length times `px_per_mm` long, rounded to whole pixels.
    """
    length_mm = drawing.choose_bar_length(SCALE_BARS_MM, picture.width / 3 / px_per_mm)
    drawing.draw_bar(picture, length_mm * px_per_mm, f"{length_mm:.0f} mm")
    return length_mm


def find_marks(volume: CtVolume, measured: MeasuredLesion) -> Marks:
    """Bring masks and lines into the key slice; a line that leaves the slice is left out."""
    key = measured.key_slice
    return Marks(
        mineral=_lay_on_slice(measured.mineral, volume, key),
        contour=_lay_on_slice(measured.contour, volume, key),
        calliper=_lay_line(measured.axial_longest, volume, key),
        skin=_lay_line(measured.to_skin, volume, key),
        fascia=_lay_line(measured.to_fascia, volume, key),
    )


def _lay_on_slice(mask: VoxelMask | None, volume: CtVolume, key_slice: int) -> NDArray[np.bool_] | None:
    plane = None if mask is None else mask.on_slice(key_slice, volume.hu.shape[1:])
    return plane if plane is not None and plane.any() else None


def _lay_line(segment: Segment | None, volume: CtVolume, key_slice: int) -> NDArray[np.float64] | None:
    """Find the ends ``(row, column)`` of a line, shape ``(2, 2)``, if both lie within one and a half slices."""
    if segment is None:
        return None
    ends = volume.geometry.index(np.array((segment.start_lps_mm, segment.end_lps_mm)))
    return ends[:, 1:] if (np.abs(ends[:, 0] - key_slice) <= 1.5).all() else None


def choose_view(volume: CtVolume, measured: MeasuredLesion, marks: Marks) -> drawing.View:
    """Choose a square around the lesion, with the skin when it is near, inside the slice as far as possible."""
    scale = np.array(volume.geometry.spacing_mm[1:])
    low, high = (edge * scale for edge in _box_on_slice(measured, marks, volume))
    side_mm = max(_SMALLEST_VIEW_MM, _ROOM * float((high - low).max()))
    is_near = measured.to_skin is not None and measured.to_skin.length_mm <= _SKIN_REACH_MM
    ends = (marks.skin + 0.5) * scale if marks.skin is not None and is_near else None
    centre, side_mm, _ = drawing.widen(low, high, ends, side=side_mm, spare=10.0)
    return drawing.square_view(centre, side_mm, volume.hu.shape[1:], scale)


def _box_on_slice(
    measured: MeasuredLesion, marks: Marks, volume: CtVolume
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest (row, column) edge of what is on the slice; of the whole lesion where the slice misses it."""
    planes = [plane for plane in (marks.mineral, marks.contour) if plane is not None]
    if planes:
        cells = np.argwhere(np.logical_or.reduce(planes)).astype(np.float64)
        return cells.min(axis=0), cells.max(axis=0) + 1
    mask = measured.mineral or measured.contour
    if mask is None:
        middle = np.array(volume.hu.shape[1:]) / 2
        return middle, middle
    first = np.array(mask.offset[1:], dtype=np.float64)
    return first, first + np.array(mask.voxels.shape[1:])


def _draw_marks(panel: Image.Image, view: drawing.View, marks: Marks, lines: Sequence[_Drawn]) -> None:
    for plane, colour in ((marks.contour, drawing.CONTOUR), (marks.mineral, drawing.MINERAL)):
        if plane is not None:
            drawing.draw_outline(panel, view.cover(plane), colour)
    drawn = [
        (view.place(*ends[0]), view.place(*ends[1]), colour, length, place)
        for _, ends, colour, length, place in lines
        if ends is not None
    ]
    drawing.draw_labelled(panel, drawn)


def _list_lines(marks: Marks, measured: MeasuredLesion, lengths: Lengths) -> list[_Drawn]:
    skin, fascia, longest = measured.to_skin, measured.to_fascia, measured.axial_longest
    lines: list[_Drawn] = []
    if skin:
        lines.append(("skin", marks.skin, drawing.SKIN, spell_distance(skin.length_mm), "beyond"))
    if fascia:
        lines.append(("fascia", marks.fascia, drawing.FASCIA, spell_distance(fascia.length_mm), "beside"))
    if longest:
        lines.append(("calliper", marks.calliper, drawing.CALLIPER, lengths.spell(longest.length_mm), "calliper"))
    return lines


def _draw_others(
    panel: Image.Image,
    view: drawing.View,
    volume: CtVolume,
    key_slice: int,
    others: Sequence[tuple[str, MeasuredLesion]],
) -> list[str]:
    """Outline and name the other lesions on a slice, as far as the panel shows them; their names."""
    named: list[tuple[str, drawing.Box, drawing.Colour]] = []
    for name, other in others:
        plane = _lay_on_slice(other.mineral or other.contour, volume, key_slice)
        cover = None if plane is None else view.cover(plane)
        if cover is None or not (cover > 0).any():
            continue
        drawing.draw_outline(panel, cover, drawing.OTHER)
        (top, bottom), (left, right) = (np.flatnonzero((cover > 0).any(axis=axis))[[0, -1]] for axis in (1, 0))
        named.append((name, (float(left), float(top), float(right), float(bottom)), drawing.OTHER))
    drawing.name_boxes(panel, named, size=16, width=0)
    return [name for name, _, _ in named]


def _explain(marks: Marks, measured: MeasuredLesion, lesion: Lesion, words: Presenter) -> list[drawing.LegendRow]:
    """Legend: colour and words for all that is drawn, and for what could not be drawn on this slice."""
    rows: list[drawing.LegendRow] = []
    if marks.mineral is not None:
        rows.append((drawing.MINERAL, words.say("picture.mineral")))
    if marks.contour is not None:
        rows.append((drawing.CONTOUR, words.say("picture.contour")))
    for name, ends, colour, length, _ in _list_lines(marks, measured, words.lengths):
        if ends is not None:
            rows.append((colour, words.say(f"picture.{name}", length=length)))
        elif name != "calliper":  # the longest dimension follows
            rows.append((None, words.say(f"picture.{name}_elsewhere", length=length)))
    part = "size" if measured.mineral is not None else "mass"
    longest_mm = getattr(lesion, part).max_diameter_mm
    if longest_mm is not None:
        in_slice = measured.axial_longest.length_mm if measured.axial_longest else 0.0
        identifier = "longest" if longest_mm - in_slice < 0.5 else "longest_elsewhere"
        if is_by_reader(lesion, f"{part}.max_diameter_mm"):
            identifier = "longest_reader"
        rows.append((None, words.say(f"picture.{identifier}", length=words.lengths.spell(longest_mm))))
    return rows


_OVERVIEW_WINDOW: Final = drawing.Window(width_hu=1400.0, level_hu=600.0)
"""Soft tissue nearly black, calcification and bone in grey."""
_LARGEST_PX: Final = (1000, 900)  # largest width and height of the projection
_NAME_PX: Final = 30  # readable where a page shows the picture at half its size
_HEAD_PX: Final = 44  # strip of the header
_GAP_PX: Final = 10  # around the projection


def render_overview(
    volume: CtVolume, findings: CtFindings, numbered: Sequence[tuple[str, int]], statements: Statements
) -> bytes:
    """Draw the projection, head up and the patient's right on the left where the slices are axial, in true proportions.

    Of the volume only the geometry is used. `numbered` are lesion ids with the index of the lesion in `findings`.
    """
    affine = volume.geometry.affine
    across, along = (int(np.argmax(np.abs(affine[:3, step]))) for step in (2, 0))
    # the first slice belongs at the top where slices run towards the feet, or towards the back
    is_upside_down = bool(affine[2, 0] < 0) if along == 2 else bool(affine[along, 0] > 0)
    is_mirrored = bool(affine[across, 2] < 0)
    projection = findings.maximum_intensity_hu[:: 1 if is_upside_down else -1, :: -1 if is_mirrored else 1]
    slice_mm, _, column_mm = volume.geometry.spacing_mm
    view = drawing.whole_view(projection.shape, slice_mm, column_mm, _LARGEST_PX)
    panel = view.show(np.ascontiguousarray(projection), _OVERVIEW_WINDOW).convert("RGB")
    named = []
    for lesion_id, index in numbered:
        lesion = findings.lesions[index]
        low, high = _box(lesion)
        rows = (low[0], high[0]) if is_upside_down else (projection.shape[0] - high[0], projection.shape[0] - low[0])
        columns = (projection.shape[1] - high[1], projection.shape[1] - low[1]) if is_mirrored else (low[1], high[1])
        first, last = (view.place(rows[end] - 0.5, columns[end] - 0.5) for end in (0, 1))
        box = (first[0] - 4, first[1] - 4, last[0] + 4, last[1] + 4)
        named.append((lesion_id, box, drawing.CONTOUR if lesion.contour is not None else drawing.MINERAL))
    drawing.name_boxes(panel, named, size=_NAME_PX)
    down = affine[:3, 0] if is_upside_down else -affine[:3, 0]
    right = -affine[:3, 2] if is_mirrored else affine[:3, 2]
    if panel.height >= 120:
        drawing.write_directions(panel, name_direction(right), name_direction(down))
        draw_scale_bar(panel, view.px_per_mm)
    size = (max(panel.width, 420) + 2 * _GAP_PX, panel.height + _HEAD_PX + _GAP_PX)
    canvas = Image.new("RGB", size, drawing.BACKGROUND)
    canvas.paste(panel, (_GAP_PX, _HEAD_PX))
    drawing.write_text(canvas, (_GAP_PX + 4, _HEAD_PX / 2), statements.say("picture.overview_header"), size=20)
    return drawing.encode_png(canvas)


def _box(lesion: MeasuredLesion) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest (slice, column) edge of mineral and contour together; a mask may be cut out with room."""
    edges = []
    for mask in (lesion.mineral, lesion.contour):
        if mask is not None and mask.voxels.any():
            index = np.argwhere(mask.voxels.any(axis=1)) + np.array((mask.offset[0], mask.offset[2]))
            edges += [index.min(axis=0), index.max(axis=0) + 1]
    if not edges:
        place = np.array((lesion.key_slice, 0), dtype=np.int64)
        return place, place + 1
    return np.min(edges, axis=0), np.max(edges, axis=0)
