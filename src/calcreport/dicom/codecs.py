"""Compressed frames to arrays; the code stream's own size is checked before anything is decoded.

Decoders come from imagecodecs (BSD); they release the interpreter lock. HTJ2K is decoded by OpenJPEG like JPEG 2000:
OpenJPH is a third faster, but was seen to hang on damaged streams and to return unfinished images without an error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codes import problem
from calcreport.dicom.header import tags
from calcreport.dicom.header.elements import UNDEFINED
from calcreport.dicom.header.image_header import ImageHeader, PixelDescription
from calcreport.dicom.source import ByteSource

# Start-of-frame markers of JPEG and JPEG-LS.
_SOF_MARKERS: Final = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_STANDALONE: Final = frozenset((0x01, *range(0xD0, 0xD9)))  # JPEG markers without a length
_J2K_START: Final = b"\xff\x4f\xff\x51"  # SOC and SIZ markers of a JPEG 2000 codestream
_MOST_JP2_BOXES: Final = 4096  # more is damage
_RLE_HEADER: Final = 64  # bytes
_RLE_SIZE: Final = "an RLE segment does not unpack to one byte a pixel"  # part of a message
_Size = tuple[int, int, int, int, bool]  # rows, columns, components, bits and sign of a stream
_SMALLEST_RATIO: Final = 1 / 4096  # no codec here packs 4096 pixels into one byte; a shorter stream is damaged


def decode(data: bytes, pixels: PixelDescription) -> NDArray[np.uint16]:
    """Decode one frame, of one sample of at most 16 bits a pixel, to stored bits of shape ``(rows, columns)``.

    A stream that differs from the header in size or sign is refused; the sign is not yet interpreted. Raises
    `UnsupportedImageError` ``pixel.transfer_syntax``, ``pixel.description``, ``pixel.damaged``.
    """
    syntax, rows, columns = pixels.transfer_syntax, pixels.rows or 0, pixels.columns or 0
    if syntax == tags.RLE:
        return _decode_rle(data, rows, columns, (pixels.bits_allocated or 16) // 8)
    decoder = _decoder(syntax)
    try:
        size = _size_2000(data) if syntax in tags.JPEG_2000 | tags.HTJ2K else _size_jpeg(data)
        _check_stream(size, pixels)
        decoded = decoder(data) if len(data) >= rows * columns * _SMALLEST_RATIO else None
    except (struct.error, IndexError, RuntimeError, ValueError, TypeError, MemoryError, OSError) as error:
        raise problem("pixel.damaged") from error
    if not isinstance(decoded, np.ndarray) or decoded.shape != (rows, columns) or decoded.dtype.kind not in "ui":
        raise problem("pixel.damaged")
    if decoded.dtype.itemsize == 2:
        words: NDArray[np.uint16] = decoded.view(np.uint16)
        return words
    return decoded.astype(np.int16).view(np.uint16) if decoded.dtype.itemsize == 1 else decoded.astype(np.uint16)


def decode_frame(image: ImageHeader, frame: Frame) -> NDArray[np.uint16]:
    """Decode one frame of a file from its fragments, as `decode`."""
    return decode(b"".join(image.source.read(offset, length) for offset, length in frame), image.pixels)


def _check_stream(size: _Size, pixels: PixelDescription) -> None:
    """Refuse a stream of another size than the header says, or one whose sign bit has no certain place."""
    *shape, precision, has_sign = size
    if shape != [pixels.rows, pixels.columns, 1] or not 1 < precision <= 16:
        raise problem("pixel.description", "the compressed image has another size than the header says")
    is_signed = pixels.representation == 1
    if has_sign and not is_signed:
        raise problem("pixel.description", "the compressed image is signed, the header says unsigned")
    if is_signed and not has_sign and precision < (pixels.bits_stored or 0):
        raise problem("pixel.description", "the compressed image has fewer bits than the header says")


def _decoder(syntax: str) -> Callable[[bytes], Any]:
    import imagecodecs  # noqa: PLC0415 - heavy, and most series are not compressed

    if syntax in tags.JPEG_LOSSLESS:
        return imagecodecs.jpegsof3_decode
    if syntax in tags.JPEG_LS:
        return imagecodecs.jpegls_decode
    if syntax in tags.JPEG_2000 | tags.HTJ2K:
        return lambda data: imagecodecs.jpeg2k_decode(data, numthreads=1)
    if syntax in tags.LOSSY_SYNTAXES:
        return imagecodecs.jpeg8_decode
    raise problem("pixel.transfer_syntax", syntax)


def _size_jpeg(data: bytes) -> _Size:
    """Size in the frame header of a JPEG or JPEG-LS stream (T.81 B.2.2, T.87 C.2.2)."""
    if data[:2] != b"\xff\xd8":
        raise problem("pixel.damaged")
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
        elif marker in _STANDALONE:
            offset += 2
        elif marker in _SOF_MARKERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", data, offset + 4)
            return rows, columns, components, precision, False
        else:
            offset += 2 + struct.unpack_from(">H", data, offset + 2)[0]
    raise problem("pixel.damaged")


def _size_2000(data: bytes) -> _Size:
    """Size in the SIZ segment of a JPEG 2000 code stream (T.800 A.5.1), also inside a JP2 wrapper."""
    start = data.find(_J2K_START, 0, _MOST_JP2_BOXES)
    if start < 0:
        raise problem("pixel.damaged")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    components, depth = struct.unpack_from(">HB", data, start + 40)
    return bottom - top, right - left, components, (depth & 0x7F) + 1, depth >= 0x80


def _decode_rle(data: bytes, rows: int, columns: int, planes: int) -> NDArray[np.uint16]:
    """One or two byte planes, high byte first, each packed with PackBits (PS3.5 annex G)."""
    import imagecodecs  # noqa: PLC0415 - heavy, and most series are not compressed

    if len(data) < _RLE_HEADER:
        raise problem("pixel.damaged")
    count, *offsets = struct.unpack_from("<16I", data)
    if count != planes:
        raise problem("pixel.description", "number of RLE segments")
    limits = [*offsets[:count], len(data)]
    if limits[0] < _RLE_HEADER or any(after <= before for before, after in pairwise(limits[:count])):
        raise problem("pixel.damaged")
    if any((end - start) * 64 < rows * columns for start, end in pairwise(limits)):
        raise problem("pixel.damaged", _RLE_SIZE)
    words = np.zeros(rows * columns, dtype=np.uint16)
    for start, end in pairwise(limits):
        try:
            unpacked = imagecodecs.packbits_decode(data[start:end], out=rows * columns)
        except (RuntimeError, ValueError, TypeError) as error:  # among others where it would unpack to more
            raise problem("pixel.damaged", _RLE_SIZE) from error
        if len(unpacked) < rows * columns:
            raise problem("pixel.damaged", _RLE_SIZE)
        words <<= np.uint16(8)
        words |= np.frombuffer(unpacked, dtype=np.uint8, count=rows * columns)
    return words.reshape(rows, columns)


_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # tags of an item and of the end, little-endian
_MOST_FRAGMENTS: Final = 1_000_000  # more is damage
_HEADER: Final = 8  # bytes of tag and length

Frame = tuple[tuple[int, int], ...]  # Fragments of one frame: offset in the file and length in bytes


def frames_of(image: ImageHeader) -> tuple[Frame, ...]:
    """Fragments of every frame of a file with encapsulated pixel data; ``pixel.length`` where they are not certain."""
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
