"""Masks and measured lines of a lesion as `report.json` keeps them.

With them everything can be drawn and written again from the report and its images, without measuring anew.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calcreport.model.terms import Record

_MOST_CELLS: Final = 2_000_000_000  # voxels of the largest box a mask may be cut out of; more is damage

_Index = Annotated[int, Field(ge=0)]  # place of the first voxel of a run
_Count = Annotated[int, Field(ge=1)]  # voxels of a run


class PackedMask(Record):
    """A mask cut out of a series, or out of a film."""

    offset: tuple[_Index, ...]
    """(slice, row, column) of the first voxel of the box in the measured series; (row, column) on a film."""
    shape: tuple[_Count, ...]
    """Size of the box along the same axes."""
    bits: str
    """Base64 of the zlib-compressed bits of the box, last axis fastest, most significant bit first."""


class Line(Record):
    """A measured line: ends in LPS mm in a series, in (row, column) pixel centres on a film."""

    start: tuple[float, ...]
    end: tuple[float, ...]
    length_mm: float | None
    """``None`` on a film without a scale."""
    length_px: float | None = None
    """On a film only."""


class FilmShape(Record):
    """A lesion on one radiograph, in the order of `Location.films`."""

    mineral: PackedMask
    longest: Line
    across: Line
    to_skin_line: Line | None = None


class LesionShape(Record):
    """Where a lesion is, voxel by voxel."""

    key_slice: int | None = None
    mineral: PackedMask | None = None
    contour: PackedMask | None = None
    longest: Line | None = None
    axial_longest: Line | None = None
    to_skin: Line | None = None
    to_fascia: Line | None = None
    films: tuple[FilmShape, ...] = ()
    """Radiographs; empty for CT."""


def pack_mask(offset: tuple[int, ...], cells: NDArray[np.bool_]) -> PackedMask:
    """Pack a mask: a box of any shape, true inside, and the index of its first cell in the series or film."""
    bits = base64.b64encode(zlib.compress(np.packbits(cells).tobytes(), 6)).decode("ascii")
    return PackedMask(offset=offset, shape=cells.shape, bits=bits)


def unpack_mask(packed: PackedMask) -> NDArray[np.bool_]:
    """Unpack a mask to ``packed.shape``; raises `ValueError` when its bits are damaged or do not fill the box."""
    count = math.prod(packed.shape)
    if count > _MOST_CELLS or len(packed.offset) != len(packed.shape):
        msg = "the box of a mask is impossible"
        raise ValueError(msg)
    size = -(-count // 8)
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(base64.b64decode(packed.bits, validate=True), size + 1)
    except (zlib.error, ValueError) as error:
        msg = "the bits of a mask are damaged"
        raise ValueError(msg) from error
    if len(content) != size:
        msg = "the bits of a mask do not fill its box"
        raise ValueError(msg)
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=count)
    return bits.view(np.bool_).reshape(packed.shape)
