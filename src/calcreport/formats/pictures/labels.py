"""Lengths written beside the lines they belong to, none over another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from PIL import Image, ImageDraw

from calcreport.formats.pictures.picture import Colour, draw_lines, write_text

Point = tuple[float, float]
"""Position (x, y) in picture pixels."""

_SIZE: Final = 18
_HALF_LETTER_PX: Final = 5.0
_HALF_LINE_PX: Final = 11.0
_MARGIN_PX: Final = 40
"""Kept free at the edge, where window, directions and scale bar stand."""
_SHIFTS: Final = tuple((dx, dy) for dx in (0, 70, -70) for dy in (0, 22, -22, 44, -44, 66, -66))
"""Tried in order, in pixels, until a label covers no other."""

Place = Literal["calliper", "beyond", "beside"]
"""Where a length stands: by its calliper, beyond the outer end of a distance, beside the middle of one."""

LabelledLine = tuple[Point, Point, Colour, str, Place]
"""Ends, colour and length of a line, and the place of the length."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom in picture pixels."""


def name_boxes(panel: Image.Image, named: Sequence[tuple[str, Box, Colour]], *, size: int, width: int = 2) -> None:
    """Frame places of a picture and write a name at each: beside, above or below, free of all frames and names.

    Where nothing is free the name stands as far right of its frame as it has to. `size` of the type and `width` of the
    frame are in picture pixels.
    """
    frames = [box for _, box, _ in named]
    draw = ImageDraw.Draw(panel)
    for _, box, colour in named:
        draw.rectangle(box, outline=colour, width=width)
    taken: list[Box] = []
    for name, frame, colour in named:
        place = free_place(frame, (0.62 * size * len(name) + 4, 1.1 * size), panel.size, [*frames, *taken])
        taken.append(place)
        centre = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
        write_text(panel, centre, name, colour=colour, size=size, anchor="mm")


def free_place(frame: Box, text: tuple[float, float], panel: tuple[int, int], taken: Sequence[Box]) -> Box:
    """Box of `text` (width, height) nearest to a frame that covers nothing taken and lies within the panel."""
    left, top, right, bottom = frame
    width, height = text
    middle, upper = (left + right - width) / 2, (top + bottom - height) / 2
    tried = [
        place
        for far in range(0, 8)
        for place in (
            (right + 3, upper + far * height), (right + 3, upper - far * height),
            (left - width - 3, upper + far * height), (left - width - 3, upper - far * height),
            (middle, top - (far + 1) * height - 2), (middle, bottom + far * height + 2),
            (right + 3 + far * width, upper), (left - 3 - (far + 1) * width, upper),
        )
    ]  # fmt: skip
    inside = [(min(max(x, 0.0), panel[0] - width), min(max(y, 0.0), panel[1] - height)) for x, y in tried]
    places = [(x, y, x + width, y + height) for x, y in inside]
    return next((place for place in places if not any(_meet(place, other) for other in taken)), places[0])


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def draw_labelled(panel: Image.Image, lines: Sequence[LabelledLine]) -> None:
    """Draw measured lines with their lengths."""
    draw_lines(panel, [(start, end, colour) for start, end, colour, _, _ in lines])
    labels = Labels(panel)
    for start, end, colour, text, place in lines:
        if place == "calliper":
            labels.calliper(start, end, text, colour)
        else:
            labels.distance(start, end, text, colour, beyond=place == "beyond")


class Labels:
    """Writes the labels of one picture and remembers where they stand."""

    def __init__(self, panel: Image.Image) -> None:
        self._panel = panel
        self._taken: list[tuple[float, float, float]] = []

    def calliper(self, start: Point, end: Point, text: str, colour: Colour) -> None:
        """Label a calliper beyond its lower or right end, so that the mineral stays free."""
        upper, lower = sorted((start, end), key=lambda point: point[1])
        x, y = lower[0], lower[1] + 18
        if abs(lower[0] - upper[0]) > 2 * (lower[1] - upper[1]):
            right = max(start, end)
            x, y = right[0] + 34, right[1] + 12
        self._write(x, y, text, colour)

    def distance(self, start: Point, end: Point, text: str, colour: Colour, *, beyond: bool) -> None:
        """Label a distance beyond its outer end, or to the right of its middle."""
        if beyond:
            length = math.hypot(end[0] - start[0], end[1] - start[1]) or 1.0
            x, y = (tip + (tip - root) / length * 30 for root, tip in zip(start, end, strict=True))
        else:
            x, y = (start[0] + end[0]) / 2 + 34, (start[1] + end[1]) / 2 + 12
        self._write(x, y, text, colour)

    def _write(self, x: float, y: float, text: str, colour: Colour) -> None:
        half = _HALF_LETTER_PX * len(text)
        tried = [self._inside(x + dx, y + dy) for dx, dy in _SHIFTS]
        x, y = next((place for place in tried if self._is_free(*place, half)), tried[0])
        self._taken.append((x, y, half))
        write_text(self._panel, (x, y), text, colour=colour, size=_SIZE, anchor="mm")

    def _inside(self, x: float, y: float) -> Point:
        width, height = self._panel.size
        return min(max(x, _MARGIN_PX), width - _MARGIN_PX), min(max(y, _MARGIN_PX), height - _MARGIN_PX)

    def _is_free(self, x: float, y: float, half: float) -> bool:
        return all(
            abs(x - other_x) >= half + other_half or abs(y - other_y) >= 2 * _HALF_LINE_PX
            for other_x, other_y, other_half in self._taken
        )
