"""``images/overview.png``: a maximum-intensity projection with every lesion marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calcreport.compose import Statements
from calcreport.formats.pictures import drawing
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings, MeasuredLesion

_WINDOW: Final = drawing.Window(width_hu=1400.0, level_hu=600.0)
"""Soft tissue nearly black, calcification and bone in grey."""
_LARGEST_PX: Final = (1000, 900)
"""Largest width and height of the projection."""
_NAME_PX: Final = 30
"""Readable where a page shows the picture at half its size."""
_HEAD_PX: Final = 44
_GAP_PX: Final = 10


def render_overview(
    volume: CtVolume, findings: CtFindings, numbered: Sequence[tuple[str, int]], statements: Statements
) -> bytes:
    """Draw the projection, head up and the patient's right on the left where the slices are axial, in true proportions.

    Of the volume only the geometry is used. `numbered` are lesion ids with the index of the lesion in `findings`.
    """
    affine = volume.geometry.affine
    is_upside_down = _points_down(affine[:3, 0])
    is_mirrored = _points_left_first(affine[:3, 2])
    projection = findings.maximum_intensity_hu[:: 1 if is_upside_down else -1, :: -1 if is_mirrored else 1]
    slice_mm, _, column_mm = volume.geometry.spacing_mm
    view = drawing.whole_view(projection.shape, slice_mm, column_mm, _LARGEST_PX)
    panel = view.show(np.ascontiguousarray(projection), _WINDOW).convert("RGB")
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
        drawing.mark_directions(panel, right, down)
        drawing.draw_scale_bar(panel, view.px_per_mm)
    size = (max(panel.width, 420) + 2 * _GAP_PX, panel.height + _HEAD_PX + _GAP_PX)
    canvas = Image.new("RGB", size, drawing.BACKGROUND)
    canvas.paste(panel, (_GAP_PX, _HEAD_PX))
    drawing.write_text(canvas, (_GAP_PX + 4, _HEAD_PX / 2), statements.say("picture.overview_header"), size=20)
    return drawing.encode_png(canvas)


def _points_down(step_lps: NDArray[np.float64]) -> bool:
    """Whether the first slice belongs at the top: slices run towards the feet, or towards the back."""
    axis = int(np.argmax(np.abs(step_lps)))
    return bool(step_lps[2] < 0) if axis == 2 else bool(step_lps[axis] > 0)


def _points_left_first(step_lps: NDArray[np.float64]) -> bool:
    """Whether columns must be mirrored to show the patient's right (or front) on the left of the picture."""
    axis = int(np.argmax(np.abs(step_lps)))
    return bool(step_lps[axis] < 0)


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
