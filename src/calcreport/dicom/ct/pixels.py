"""Stored pixels to Hounsfield units: padding, sign and scale of each slice on its own (PS3.3 C.7.6.3, C.11.1)."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Final

import cc3d
import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codecs import Frame, decode_frame
from calcreport.dicom.codes import problem
from calcreport.dicom.header import tags
from calcreport.dicom.header.elements import UNDEFINED
from calcreport.dicom.header.image_header import ImageHeader, PixelDescription, Plane
from calcreport.model.image import LOWEST_HU, NOT_IMAGED_HU

Words = NDArray[np.int16] | NDArray[np.uint16]  # stored values, the sign applied
Mask = NDArray[np.bool_]  # of the same shape

BITS: Final = 16  # allocated for each pixel of CT
_FEWEST_BITS: Final = 8  # stored; fewer hold no CT
_SLOPE_RANGE: Final = (1e-4, 1e4)  # plausible rescale slopes
_INT16: Final = np.iinfo(np.int16)  # limits of the stored HU
_AIR_LIKE_HU: Final = (LOWEST_HU, -900)  # padding may be air as well: scanners clip air to the value they pad with
_TISSUE_HU: Final = -300.0  # no voxel beside imaged air is as dense as this: the blur of every scanner lies between
# So many voxels of tissue against padding are an edge of the field of view, not noise, where they lie in a square of
# this side, in which padding is then not imaged.
_HARD_EDGE_VOXELS, _HARD_EDGE_REACH = 6, 9
_LOOK: Final = 4  # every fourth row and column shows padding beside tissue: a shorter edge is too short to matter
# Every eighth row and column is looked at for plausibility, and more in small images: this many at least. Looked at are
# means of squares of this side, in voxels: noise of low-dose scans blurs fat and muscle into one.
_WIDEST_STEP, _FEWEST_STEPS, _BLOCK = 8, 32, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How stored bits of one slice become HU."""

    slope: float
    intercept: float  # HU = slope x stored + intercept
    bits_stored: int
    high_bit: int  # where the value lies within 16 bits
    is_signed: bool  # Two's complement
    padding: tuple[int, int] | None  # lowest and highest stored value (sign applied) that marks voxels not imaged

    @property
    def ceiling_hu(self) -> float:
        """HU of the largest value that can be stored."""
        top = (1 << (self.bits_stored - int(self.is_signed))) - 1
        return self.slope * top + self.intercept


def scale_of(plane: Plane) -> Scale:
    """Check a slice's pixel description and calibration.

    Raises `UnsupportedImageError` ``pixel.*`` when it is not 16-bit grey; `CalibrationError`
    ``calibration.no_rescale``, ``calibration.slope``, ``calibration.rescale_type``.
    """
    pixels = plane.image.pixels
    stored, high, is_signed = check_grey(pixels, (BITS,))
    if plane.slope is None or plane.intercept is None:
        raise problem("calibration.no_rescale")
    if not _SLOPE_RANGE[0] <= plane.slope <= _SLOPE_RANGE[1]:
        raise problem("calibration.slope", f"{plane.slope:g}")
    # PS3.3 C.8.2.1: the type may be left out only where it is HU. Modified HU (``HU_MOD``, C.11.1.1.2) are those of
    # images in which a material is suppressed or stressed, and that can be the calcium searched for.
    if plane.rescale_type not in {None, "HU"}:
        raise problem("calibration.rescale_type", f"found {plane.rescale_type}")
    return Scale(
        slope=plane.slope,
        intercept=plane.intercept,
        bits_stored=stored,
        high_bit=high,
        is_signed=is_signed,
        padding=padding_range(pixels),
    )


def check_grey(pixels: PixelDescription, allocated: tuple[int, ...]) -> tuple[int, int, bool]:
    """Bits Stored, High Bit, and whether values are signed, of a grey image with one of the `allocated` bit depths.

    Raises `UnsupportedImageError` ``pixel.description``, ``pixel.colour``, ``pixel.bits_allocated``.
    """
    if pixels.samples is None or pixels.photometric is None:
        raise problem("pixel.description", "Samples per Pixel or Photometric Interpretation")
    if pixels.samples != 1 or pixels.photometric not in tags.GREY:
        raise problem("pixel.colour", f"{pixels.samples} samples a pixel, {pixels.photometric}")
    if pixels.bits_allocated not in allocated:
        raise problem("pixel.bits_allocated", f"{pixels.bits_allocated} found")
    stored, high = pixels.bits_stored, pixels.high_bit
    if stored is None or high is None or pixels.representation not in {0, 1}:
        raise problem("pixel.description", "Bits Stored, High Bit or Pixel Representation")
    if not _FEWEST_BITS <= stored <= pixels.bits_allocated or not stored - 1 <= high < pixels.bits_allocated:
        raise problem("pixel.description", f"Bits Stored {stored}, High Bit {high}")
    return stored, high, pixels.representation == 1


def padding_range(pixels: PixelDescription) -> tuple[int, int] | None:
    """Lowest and highest value, sign applied, that marks pixels as not imaged; ``None`` where nothing does."""
    if pixels.padding is None:
        return None
    ends = [pixels.padding, pixels.padding if pixels.padding_limit is None else pixels.padding_limit]
    if pixels.representation == 1:
        ends = [value - (1 << BITS) if value >> (BITS - 1) else value for value in ends]
    return min(ends), max(ends)


def is_stored_range(padding: tuple[int, int], bits_stored: int, *, is_signed: bool) -> bool:
    """Whether the stored bits can hold padding; a wider one is compared with the raw words."""
    half = 1 << (bits_stored - 1)
    return (-half <= padding[0] and padding[1] < half) if is_signed else padding[1] < 2 * half


def fill_raw(image: ImageHeader, frame: Frame | None, number: int, out: Words) -> None:
    """Read the stored 16-bit words of frame `number`, from 1, machine byte order, into `out`, contiguous.

    `frame` are its fragments where pixels are compressed; `out` has the shape ``(rows, columns)``.
    """
    if frame is not None:
        out[...] = decode_frame(image, frame).view(out.dtype)
        return
    if image.pixels.place is None:
        raise problem("pixel.missing")
    offset = image.pixels.place.offset + (number - 1) * out.nbytes
    image.source.read_into(offset, out.reshape(-1).view(np.uint8).data)
    if image.pixels.is_big_endian == np.little_endian:
        out.byteswap(inplace=True)


def check_length(image: ImageHeader, *, rows: int, columns: int) -> None:
    """Refuse pixel data that cannot be what the header says, early: ``pixel.missing``, ``pixel.length``."""
    place = image.pixels.place
    if place is None:
        raise problem("pixel.missing")
    if image.pixels.transfer_syntax not in tags.NATIVE:
        return
    expected = rows * columns * (image.pixels.frames or 0) * ((image.pixels.bits_allocated or BITS) // 8)
    surplus = place.length - expected
    if place.length == UNDEFINED or not (surplus in {0, expected % 2} or _is_padded(image, expected, surplus)):
        raise problem("pixel.length", f"image {image.instance_number}")
    if place.offset + expected > image.source.size:
        raise problem("pixel.length", f"image {image.instance_number} ends too early")


def _is_padded(image: ImageHeader, expected: int, surplus: int) -> bool:
    """Whether what follows the pixels is padding: zeros, and too few to be a row or column that the header denies."""
    pixels, place = image.pixels, image.pixels.place
    row = min(pixels.rows or 0, pixels.columns or 0) * ((pixels.bits_allocated or BITS) // 8)
    if place is None or not 0 < surplus < row or place.offset + place.length > image.source.size:
        return False
    return not any(image.source.read(place.offset + expected, surplus))


def to_hu(stored: NDArray[np.int16], scale: Scale) -> NDArray[np.float32]:
    """Turn one slice of stored words, shape ``(rows, columns)``, into HU, in place.

    Voxels not imaged become `NOT_IMAGED_HU`, all others lie between `LOWEST_HU` and 32767. Returned is the sample for
    `plausibility`, HU before clipping, shape ``(n,)``: means of squares of three by three voxels, all of them imaged,
    at every eighth row and column (closer in small images).
    """
    values, declared = stored if scale.is_signed else stored.view(np.uint16), None
    if scale.padding and not is_stored_range(scale.padding, scale.bits_stored, is_signed=scale.is_signed):
        declared = _padding_mask(values, *scale.padding)  # too wide for the stored bits: compared with the raw words
    if scale.bits_stored != BITS:  # what lies outside the stored bits is removed, the sign extended
        np.left_shift(values, BITS - 1 - scale.high_bit, out=values)
        np.right_shift(values, BITS - scale.bits_stored, out=values)
    if scale.padding and declared is None:
        declared = _padding_mask(values, *scale.padding)
    padding = _corner_mask(values, scale) if declared is None else declared
    outside = None if padding is None else _without_air(padding, values, scale)
    unsampled = outside if declared is None else declared  # declared padding shows nothing about the air
    sample = _block_means(values, unsampled) * np.float32(scale.slope) + np.float32(scale.intercept)
    if scale.slope == 1 and scale.intercept.is_integer() and abs(scale.intercept) < _INT16.max:
        _add(stored, values, int(scale.intercept))
    else:
        scaled = np.rint(values.astype(np.float32) * np.float32(scale.slope) + np.float32(scale.intercept))
        stored[...] = np.clip(scaled, LOWEST_HU, _INT16.max)
    if outside is not None:
        stored[outside] = NOT_IMAGED_HU
    return sample


def _block_means(values: Words, unsampled: Mask | None) -> NDArray[np.float32]:
    """Means of squares that lie wholly in the sample, shape ``(n,)``."""
    height, width = (max(size - _BLOCK + 1, 1) for size in values.shape)
    step = min(_WIDEST_STEP, max(1, min(values.shape) // _FEWEST_STEPS))
    corners = np.ndindex(min(_BLOCK, values.shape[0]), min(_BLOCK, values.shape[1]))
    places = [(slice(i, i + height, step), slice(j, j + width, step)) for i, j in corners]
    total = np.zeros(values[places[0]].shape, dtype=np.int32)
    for place in places:
        total += values[place]
    means = total.astype(np.float32) / np.float32(len(places))
    if unsampled is None:
        return means.ravel()
    return np.asarray(means[~np.logical_or.reduce([unsampled[place] for place in places])])


def _padding_mask(values: Words, low: int, high: int) -> Mask:
    return np.asarray(values == low if low == high else (values >= low) & (values <= high))


def _without_air(padding: Mask, values: Words, scale: Scale) -> Mask:
    """Voxels not imaged: those with the padding value, less the ones that are air of the same value.

    Scanners pad with the value to which they clip air, against PS3.3 C.7.5.1.1.2. Whether such a voxel was imaged
    matters only where the body reaches it: skin is blurred against air, while the edge of the field of view cuts tissue
    off sharply. Only there it counts as not imaged.
    """
    low, high = ((limit - scale.intercept) / scale.slope for limit in _AIR_LIKE_HU)
    tissue = floor((_TISSUE_HU - scale.intercept) / scale.slope)  # whole numbers compare three times as fast
    lowest, highest = scale.padding or (int(values[0, 0]),) * 2
    if highest < low or lowest > high:
        return padding
    air_like = padding if low <= lowest and highest <= high else padding & (values >= low) & (values <= high)
    outside = padding ^ air_like
    if not _meet(air_like, values, tissue):
        return outside
    hard = _beside(air_like) & (values > tissue) & ~outside
    hard &= _count_around(hard) >= _HARD_EDGE_VOXELS
    edge = (_count_around(hard) > 0) & air_like
    if edge.any():
        outside |= edge & reaching_border(air_like)
    return outside


def _beside(mask: Mask) -> Mask:
    """Voxels that share a side with a mask."""
    beside = np.zeros_like(mask)
    beside[1:] = mask[:-1]
    beside[:-1] |= mask[1:]
    beside[:, 1:] |= mask[:, :-1]
    beside[:, :-1] |= mask[:, 1:]
    return beside


def _count_around(mask: Mask) -> NDArray[np.uint8]:
    """Voxels of a mask in the square of `_HARD_EDGE_REACH` around each: sums of sums, faster than any filter."""
    wide = np.pad(mask.view(np.uint8), _HARD_EDGE_REACH // 2)
    count, rim = wide.reshape(-1), _HARD_EDGE_REACH - 1
    for step in (wide.shape[1], 1):  # of the rows as one line; what a row's end adds to the next falls on the rim
        pairs = count[:-step] + count[step:]
        fours = pairs[: -2 * step] + pairs[2 * step :]
        count = fours[: -5 * step] + fours[4 * step : -step] + count[rim * step :]
    return np.pad(count, (0, rim)).reshape(-1, wide.shape[1])[:, :-rim]


def reaching_border(mask: Mask) -> Mask:
    """Connected parts of a mask that reach the border of the image."""
    labels = cc3d.connected_components(mask, connectivity=4)
    is_kept = np.zeros(int(labels.max()) + 1, dtype=np.bool_)
    is_kept[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    is_kept[0] = False
    return np.asarray(is_kept[labels])


def _meet(air_like: Mask, values: Words, tissue: int) -> bool:
    """Whether padding and tissue are neighbours in any fourth row or column: a quick look, for every slice."""
    for mask, sample in ((air_like[::_LOOK], values[::_LOOK]), (air_like[:, ::_LOOK].T, values[:, ::_LOOK].T)):
        dense = sample > tissue
        if (mask[:, 1:] & dense[:, :-1]).any() or (mask[:, :-1] & dense[:, 1:]).any():
            return True
    return False


def _corner_mask(values: Words, scale: Scale) -> Mask | None:
    """Voxels that hold the one value of all four corners where that is no denser than air: padding nobody declared."""
    corner = int(values[0, 0])
    is_air = corner * scale.slope + scale.intercept <= LOWEST_HU and (values[[0, -1, -1], [-1, 0, -1]] == corner).all()
    return np.asarray(values == corner) if is_air else None


def _add(stored: NDArray[np.int16], values: Words, intercept: int) -> None:
    """Clip to what HU may be and add the intercept, in place and without a wider copy."""
    limits = np.iinfo(values.dtype)
    low = min(max(LOWEST_HU - intercept, limits.min), limits.max)
    high = max(min(_INT16.max - intercept, limits.max), limits.min)
    np.clip(values, low, high, out=values)
    np.add(words := stored.view(np.uint16), np.uint16(intercept % (1 << BITS)), out=words)
