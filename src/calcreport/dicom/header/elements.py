"""Data elements of a DICOM file: a small walker that keeps the few values asked for and never decodes a pixel.

Works on the head of a file and asks for more when the head ends inside the data set. Implicit and explicit value
representations, both byte orders, defined and undefined lengths (PS3.5 section 7).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from calcreport.dicom.codes import problem

# Tags of pixel data (also as floats) and of delimiters; the undefined length.
PIXEL_DATA: Final = 0x7FE00010
UNDEFINED: Final = 0xFFFFFFFF
_OTHER_PIXELS: Final = (0x7FE00008, 0x7FE00009)
_DELIMITERS: Final = 0xFFFE
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_DEEPEST: Final = 32  # deepest nesting walked: the standard's own objects stay below ten
_MOST_ELEMENTS: Final = 4_000_000  # walked in one file: an enhanced CT of 4000 frames has some 200 000
# Value representations with a length of 32 and of 16 bits.
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())


class MoreNeeded(Exception):  # noqa: N818 - a signal to the caller, not a failure
    """The head ends inside the data set; `size` bytes of the file are needed to go on."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


@dataclass(slots=True)
class Item:
    """Values and sequences asked for, by tag; of the data set itself or of an item of a sequence."""

    values: dict[int, bytes] = field(default_factory=dict)
    sequences: dict[int, list[Item]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where the pixel data lie: offset of the first byte, and length in bytes (`UNDEFINED` when encapsulated)."""

    offset: int
    length: int
    is_words: bool = False  # written as 16-bit words (OW): those of 8-bit pixels are swapped in big endian files


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How data elements are written."""

    is_explicit: bool
    is_big_endian: bool = False


def looks_explicit(head: bytes, offset: int) -> bool:
    """Whether the element at `offset` carries a value representation, whatever the transfer syntax claims."""
    vr = head[offset + 4 : offset + 6]
    return vr in _SHORT or vr in _LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is kept of a data set: attributes, items of sequences, and how many bytes of one value."""

    wanted: frozenset[int]
    nested: frozenset[int] = frozenset()
    longest: int = 1024


class Walker:
    """Walks the data set once, and keeps what is asked for.

    `head` holds the first bytes of the file, or all of it; no element may reach beyond its whole `size` in bytes.
    """

    __slots__ = ("_count", "_encoding", "_head", "_kept", "_long", "_short", "_size", "pixels")

    def __init__(self, head: bytes, *, size: int, encoding: Encoding, kept: Selection) -> None:
        order = ">" if encoding.is_big_endian else "<"
        self._head, self._size, self._encoding = head, size, encoding
        self._kept = kept
        self._short: Callable[[bytes, int], tuple[int, int, bytes, int]] = struct.Struct(order + "HH2sH").unpack_from
        self._long: Callable[[bytes, int], tuple[int, int, int]] = struct.Struct(order + "HHI").unpack_from
        self._count = 0
        self.pixels: PixelPlace | None = None

    def walk(self, offset: int) -> Item:
        """Keep what is asked for, from `offset` up to the pixel data or the end of the file.

        Raises `MoreNeeded` when `head` is too short; `NotDicomError` ``file.damaged``, ``file.truncated`` or
        ``file.nested_too_deep``.
        """
        item = Item()
        self._walk(offset, self._size, item, depth=0, is_explicit=self._encoding.is_explicit)
        return item

    def _require(self, end: int) -> None:
        if end > len(self._head):
            if end > self._size:
                raise problem("file.truncated")
            raise MoreNeeded(end)

    def _element(self, offset: int, *, is_explicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, value representation (empty when implicit), length, and offset of the value."""
        group, element, vr, length = self._short(self._head, offset)
        tag = group << 16 | element
        if is_explicit and group != _DELIMITERS:
            if vr in _SHORT:
                return tag, vr, length, offset + 8
            if vr not in _LONG:
                raise problem("file.damaged")
            self._require(offset + 12)
            return tag, vr, self._long(self._head, offset + 4)[2], offset + 12
        return tag, b"", self._long(self._head, offset)[2], offset + 8

    def _walk(self, offset: int, end: int, item: Item, *, depth: int, is_explicit: bool) -> int:  # noqa: C901
        """Walk elements up to `end` or an item delimiter; return the offset behind them. One loop: it is hot."""
        kept, size, values = self._kept, len(self._head), item.values
        while offset < end:
            if offset + 8 > size:
                self._require(offset + 8)
            tag, vr, length, offset = self._element(offset, is_explicit=is_explicit)
            self._count += 1
            if self._count > _MOST_ELEMENTS:
                raise problem("file.damaged", "too many elements")
            if tag == _ITEM_END and depth:
                return offset
            if depth == 0 and tag >= _OTHER_PIXELS[0]:
                if tag == PIXEL_DATA:
                    self.pixels = PixelPlace(offset, length, is_words=vr == b"OW")
                return offset
            if length == UNDEFINED or (tag in kept.nested and vr in {b"SQ", b"UN", b""}):
                is_coded = is_explicit and vr != b"UN"
                offset = self._sequence(tag, offset, length, item, depth=depth + 1, is_explicit=is_coded)
                continue
            if tag in kept.wanted:
                if tag in values:
                    raise problem("file.damaged", "an attribute occurs twice")
                if offset + length > size:
                    self._require(offset + length)
                values[tag] = self._head[offset : offset + min(length, kept.longest)]
            offset += length
        if offset > end:
            raise problem("file.truncated" if depth == 0 else "file.damaged")
        return offset

    def _sequence(  # noqa: C901 - recursion carries its state
        self, tag: int, offset: int, length: int, item: Item, *, depth: int, is_explicit: bool
    ) -> int:
        """Walk the items of a sequence; return the offset behind it."""
        if depth > _DEEPEST:
            raise problem("file.nested_too_deep")
        end = self._size if length == UNDEFINED else offset + length
        is_kept = tag in self._kept.nested
        items: list[Item] = []
        while offset < end:
            self._require(offset + 8)
            group, element, size = self._long(self._head, offset)
            marker = group << 16 | element
            offset += 8
            self._count += 1
            if marker == _SEQUENCE_END:
                break
            if marker != _ITEM:
                raise problem("file.damaged")
            if size != UNDEFINED and not is_kept:
                offset += size
                continue
            child = Item()
            stop = self._size if size == UNDEFINED else offset + size
            offset = self._walk(offset, stop, child, depth=depth, is_explicit=is_explicit)
            if is_kept:
                items.append(child)
        if offset > end:
            raise problem("file.damaged")
        if is_kept:
            item.sequences[tag] = items
        return offset
