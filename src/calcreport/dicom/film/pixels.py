"""Stored pixels of a radiograph as they lie in the file: 8 or 16 bits allocated, every transfer syntax of CT.

What the bits mean is the matter of `film_values`: here nothing is masked, inverted or scaled.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codecs import decode
from calcreport.dicom.codes import problem
from calcreport.dicom.ct.pixels import check_grey, check_length
from calcreport.dicom.fragments import frames_of
from calcreport.dicom.header import tags
from calcreport.dicom.header.image_header import ImageHeader, PixelDescription
from calcreport.settings import ReadingSettings

Words = NDArray[np.uint8] | NDArray[np.uint16]  # stored values

_ALLOCATED: Final = (8, 16)  # bits of a pixel that are read
_SHORTEST_SIDE: Final = 64
"""A film of fewer pixels a side is an icon: a deposit of 5 mm would be a pixel or two."""
_OVERSHOOT: Final = 16  # lossy compression passes the range by less than this part of it
_MOST_PIXELS: Final = 120_000_000
"""A film of 43 x 43 cm at 0.05 mm has 74 million, a stitched leg at 0.15 mm 20 million; it takes 8 bytes a pixel."""


def check_description(pixels: PixelDescription, settings: ReadingSettings) -> tuple[int, int]:
    """Rows and columns of a film whose pixel description can be read.

    Raises `UnsupportedImageError` ``pixel.missing``, ``pixel.frames``, ``pixel.colour``, ``pixel.bits_allocated``,
    ``pixel.description``, ``pixel.film_too_small``, ``pixel.film_too_large``: before any memory is taken.
    """
    if pixels.place is None:
        raise problem("pixel.missing")
    if pixels.frames != 1:
        raise problem("pixel.frames")
    check_grey(pixels, _ALLOCATED)
    if not pixels.rows or not pixels.columns:
        raise problem("pixel.description", "Rows or Columns")
    if min(pixels.rows, pixels.columns) < _SHORTEST_SIDE:
        raise problem("pixel.film_too_small", f"{pixels.rows} x {pixels.columns}")
    if pixels.rows * pixels.columns > min(_MOST_PIXELS, settings.max_volume_voxels):
        raise problem("pixel.film_too_large", f"{pixels.rows} x {pixels.columns}")
    return pixels.rows, pixels.columns


def stored_words(image: ImageHeader) -> Words:
    """Stored words of a film that passed `check_description`, shape ``(rows, columns)``, machine byte order.

    They have 8 bits in native pixels with 8 bits allocated. Raises `InputError` ``pixel.length``, ``pixel.damaged``,
    ``pixel.description``, ``pixel.transfer_syntax``, and those of reading.
    """
    pixels = image.pixels
    rows, columns = pixels.rows or 0, pixels.columns or 0
    check_length(image, rows=rows, columns=columns)
    if pixels.transfer_syntax not in tags.NATIVE:
        (frame,) = frames_of(image)
        words = decode(b"".join(image.source.read(offset, length) for offset, length in frame), pixels)
        return words if pixels.transfer_syntax == tags.RLE else _within_range(words, image)
    return _native(image, rows, columns)


def _native(image: ImageHeader, rows: int, columns: int) -> Words:
    pixels, place = image.pixels, image.pixels.place
    if place is None:
        raise problem("pixel.missing")
    is_swapped = pixels.is_big_endian == np.little_endian
    if pixels.bits_allocated == _ALLOCATED[0]:
        count = rows * columns
        data = np.empty(count + count % 2 if place.is_words else count, dtype=np.uint8)
        image.source.read_into(place.offset, data.data)
        if pixels.is_big_endian and place.is_words:
            data.view(np.uint16).byteswap(inplace=True)
        return data[:count].reshape(rows, columns)
    words = np.empty((rows, columns), dtype=np.uint16)
    image.source.read_into(place.offset, words.reshape(-1).view(np.uint8).data)
    if is_swapped:
        words.byteswap(inplace=True)
    return words


def _within_range(words: NDArray[np.uint16], image: ImageHeader) -> NDArray[np.uint16]:
    """Decoded words, none beyond Bits Stored: cut off, the densest pixels would turn to the faintest.

    Overlays in spare bits exist in native and RLE pixels only (PS3.5 section 8.2). Lossy compression overshoots
    a little where the code stream has more bits than the values; that is clipped, all else refused.
    """
    pixels = image.pixels
    stored = pixels.bits_stored or 0
    if pixels.high_bit != stored - 1:
        raise problem("pixel.description", f"Bits Stored {stored}, High Bit {pixels.high_bit} in a compressed image")
    is_signed = pixels.representation == 1 and int(words.max()) >= 1 << stored  # else two's complement of `stored` bits
    values: NDArray[np.int16] | NDArray[np.uint16] = words.view(np.int16) if is_signed else words
    low = -(1 << (stored - 1)) if is_signed else 0
    high = low + (1 << stored) - 1
    slack = (1 << stored) // _OVERSHOOT if image.series.is_lossy else 0
    lowest, highest = int(values.min()), int(values.max())
    if lowest < low - slack or highest > high + slack:
        raise problem("pixel.description", f"the compressed image has values beyond {stored} bits")
    if lowest < low or highest > high:
        np.clip(values, low, high, out=values)
    return words
