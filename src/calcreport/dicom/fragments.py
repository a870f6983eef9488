"""Encapsulated pixel data: which fragments belong to which frame (PS3.5 annex A.4)."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from calcreport.dicom.codes import problem
from calcreport.dicom.header.elements import UNDEFINED
from calcreport.dicom.header.image_header import ImageHeader
from calcreport.dicom.source import ByteSource

# Tags of an item and of the end of the sequence, little-endian; most items read; bytes of tag and length.
_ITEM: Final = b"\xfe\xff\x00\xe0"
_END: Final = b"\xfe\xff\xdd\xe0"
_MOST_FRAGMENTS: Final = 1_000_000
_HEADER: Final = 8

Frame = tuple[tuple[int, int], ...]
"""Fragments of one frame: offset in the file and length in bytes."""


def frames_of(image: ImageHeader) -> tuple[Frame, ...]:
    """Fragments of every frame of a file with encapsulated pixel data.

    Raises `UnsupportedImageError` ``pixel.length`` when fragments cannot be given to frames with certainty.
    """
    place, count = image.pixels.place, image.pixels.frames
    if place is None or place.length != UNDEFINED or not count:
        raise problem("pixel.length", "compressed pixel data must be encapsulated")
    table, *fragments = _items(image.source, place.offset)
    if count == 1:
        return (tuple(fragments),)
    if len(fragments) == count:
        return tuple((fragment,) for fragment in fragments)
    return _by_offset_table(image.source, table, fragments, count)


def _items(source: ByteSource, offset: int) -> list[tuple[int, int]]:
    """Offset and length of every item: the offset table, then the fragments."""
    items: list[tuple[int, int]] = []
    while len(items) <= _MOST_FRAGMENTS:
        head = source.read(offset, _HEADER)
        length = struct.unpack_from("<I", head, 4)[0]
        offset += _HEADER
        if head[:4] == _END:
            break
        if head[:4] != _ITEM or offset + length > source.size:
            raise problem("pixel.length", "a fragment is cut")
        items.append((offset, length))
        offset += length
    if len(items) < 2:
        raise problem("pixel.length", "no fragment")
    return items


def _by_offset_table(
    source: ByteSource, table: tuple[int, int], fragments: list[tuple[int, int]], count: int
) -> tuple[Frame, ...]:
    offset, length = table
    if length != 4 * count:
        raise problem("pixel.length", "fragments and frames do not match")
    starts = struct.unpack(f"<{count}I", source.read(offset, length))
    base = fragments[0][0] - _HEADER
    by_start = {fragment[0] - _HEADER - base: number for number, fragment in enumerate(fragments)}
    known = [by_start[start] for start in starts if start in by_start]
    if len(known) != count or known[0] != 0 or any(b <= a for a, b in pairwise(known)):
        raise problem("pixel.length", "the offset table does not match the fragments")
    return tuple(tuple(fragments[a:b]) for a, b in pairwise([*known, len(fragments)]))
