"""A film reduced to the size at which it is searched, with lengths in millimetres or in their best guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.model.film import FilmImage

Floats = NDArray[np.float32]  # grey or lengths of an image
Mask = NDArray[np.bool_]  # shape of its image
Box = tuple[slice, slice]  # rows and columns
Value = TypeVar("Value", bound=np.generic)  # element of an array

EIGHT: Final = np.ones((3, 3), dtype=bool)  # Structuring element of the eight neighbours
SEARCH_PIXEL_MM: Final = 0.4
"""Films are searched at pixels of about this size: a deposit of 2 mm still covers some 20 of them."""
_LEAST_EXPOSURE: Final = 0.005  # Share of the beam that passes the densest part of a film
_NOMINAL_SIDE_MM: Final = 400.0
"""A film without a scale is taken to be a large cassette (35 x 43 cm). That guess chooses how wide the filters are; no
length is ever stated in its millimetres."""
_NOMINAL_RANGE_MM: Final = (0.08, 0.2)  # pixel sizes of detectors and of scanned films
_FULL_MATRIX: Final = 1000  # A film with fewer pixels a side was reduced; no detector is as coarse


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReducedFilm:
    """A film as it is searched."""

    grey: Floats
    """Shape ``(rows, columns)``; mean intensity of `factor` x `factor` film pixels; more attenuation is more."""
    factor: int
    """Film pixels per side of a plate pixel."""
    pixel_mm: float
    """Side of a plate pixel, mm (geometric mean of the two directions); a guess where the film has no scale."""
    is_imaged: Mask
    """Shape of `grey`; exposed as far as the header states."""

    def pixels(self, length_mm: float) -> int:
        """Plate pixels, a whole number, that make up a length in mm."""
        return max(1, round(length_mm / self.pixel_mm))

    def reduced(self, factor: int) -> ReducedFilm:
        """The same plate with `factor` times as large pixels; rows and columns that fill no pixel are left out."""
        return ReducedFilm(
            grey=_block_mean(self.grey, factor),
            factor=self.factor * factor,
            pixel_mm=self.pixel_mm * factor,
            is_imaged=_block_all(self.is_imaged, factor),
        )

    def smoothed(self, sigma_mm: float) -> Floats:
        """`grey` under a Gaussian of `sigma_mm` mm."""
        smooth: Floats = ndimage.gaussian_filter(self.grey, sigma_mm / self.pixel_mm, mode="nearest")
        return smooth


def film_pixel_mm(film: FilmImage) -> tuple[float, float]:
    """Distance between rows and between columns of a film in mm: its own scale, or a guess from its matrix."""
    side = max(film.intensity.shape)
    low, high = _NOMINAL_RANGE_MM if side >= _FULL_MATRIX else (_NOMINAL_RANGE_MM[1], 1.0)
    guess = float(np.clip(_NOMINAL_SIDE_MM / side, low, high))
    return film.scale.spacing_mm or (guess, guess)


def additive(film: FilmImage, grey: Floats | None = None) -> Floats:
    """Intensity, or other `grey` of the film, in which what lies one behind the other adds up; same shape.

    On most films that is the intensity as it is. Where the header says that values are proportional to exposure, the
    logarithm is taken, so that a deposit stands out as much behind a thick limb as behind a thin one. What no exposure
    at all is stored as is not known: the densest pixel is taken to have let `_LEAST_EXPOSURE` of the range through.
    """
    grey = film.intensity if grey is None else grey
    if film.is_logarithmic is not False:
        return grey
    exposure = float(grey.max()) - grey
    exposure += np.float32(max(_LEAST_EXPOSURE * float(exposure.max()), 1e-6))
    logarithm: Floats = np.log(exposure, out=exposure)
    return np.negative(logarithm, out=logarithm)


def reduce_film(film: FilmImage) -> ReducedFilm:
    """Reduce a film to the size at which it is searched; odd rows and columns at its end are left out."""
    row_mm, column_mm = film_pixel_mm(film)
    pixel_mm = float(np.sqrt(row_mm * column_mm))
    factor = max(1, round(SEARCH_PIXEL_MM / pixel_mm))
    return ReducedFilm(
        grey=_block_mean(film.intensity, factor),
        factor=factor,
        pixel_mm=pixel_mm * factor,
        is_imaged=_block_all(film.is_imaged, factor),
    )


def _block_mean(values: Floats, factor: int) -> Floats:
    if factor == 1:
        return values
    rows, columns = (n // factor * factor for n in values.shape)
    # rows first: adding whole rows runs along memory, and is four times as fast as a mean over both axes
    summed = values[:rows:factor, :columns].copy()
    for offset in range(1, factor):
        summed += values[offset:rows:factor, :columns]
    blocks: Floats = summed[:, ::factor].copy()
    for offset in range(1, factor):
        blocks += summed[:, offset::factor]
    blocks /= np.float32(factor * factor)
    return blocks


def _block_all(mask: Mask, factor: int) -> Mask:
    if factor == 1:
        return mask
    rows, columns = (n // factor * factor for n in mask.shape)
    if mask.all():
        return np.ones((rows // factor, columns // factor), dtype=bool)
    return np.asarray(mask[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor).all(axis=(1, 3)))


def reduce_mask(mask: Mask, factor: int) -> Mask:
    """Every `factor`-th pixel of a mask, from the middle of each block; blocks that are not full are left out."""
    rows, columns = (n // factor * factor for n in mask.shape)
    return mask[factor // 2 : rows : factor, factor // 2 : columns : factor]


def enlarge_mask(mask: Mask, factor: int, shape: tuple[int, ...]) -> Mask:
    """Mask with `factor` times as many pixels a side; rows and columns beyond it repeat its last ones."""
    wide = np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
    rest = [(0, n - m) for n, m in zip(shape, wide.shape, strict=True)]
    return np.pad(wide, rest, mode="edge") if any(more for _, more in rest) else wide


def open_square(values: Floats, half_side: int) -> Floats:
    """Grey opening by a square of ``2 half_side + 1`` pixels: bright structures narrower than it are taken off.

    Steps stay where they are, so that the edge of the body or of a muscle leaves nothing behind.
    """
    # beyond its end the film goes on as it ends: what brightens towards the end is no ridge
    opened: Floats = np.pad(values, 2 * half_side, mode="edge")
    for combine in (np.minimum, np.maximum):
        opened = _over_squares(opened, 2 * half_side + 1, combine)
    return opened


def grown(mask: Mask, pixels: int) -> Mask:
    """Mask widened by a square of `pixels` on every side."""
    return _over_squares(np.pad(mask, pixels), 2 * pixels + 1, np.logical_or)


def shrunk(mask: Mask, pixels: int, *, is_set_beyond: bool = False) -> Mask:
    """Mask narrowed by a square of `pixels` on every side; beyond the film it is set if `is_set_beyond`."""
    return _over_squares(np.pad(mask, pixels, constant_values=is_set_beyond), 2 * pixels + 1, np.logical_and)


def _over_squares(values: NDArray[Value], size: int, combine: Callable[..., Any]) -> NDArray[Value]:
    """Extreme over every square of `size` pixels that lies within an array, which loses ``size - 1`` rows and columns.

    An extreme over a stretch is that of two shorter ones that overlap: a handful of passes over whole arrays, whatever
    the size, and several times as fast as the running extremes of `scipy.ndimage`.
    """
    for axis in (0, 1):
        length = 1
        while length < size:
            step = min(length, size - length)
            first, second = (values[:-step], values[step:]) if axis == 0 else (values[:, :-step], values[:, step:])
            values = combine(first, second)
            length += step
    return values


def parts_reaching(mask: Mask, seed: Mask, *, structure: Mask | None = None) -> Mask:
    """Connected parts of a mask that share a pixel with `seed`; neighbours as `structure` says, else four."""
    labels, count = ndimage.label(mask, structure=structure)
    is_reaching = np.zeros(count + 1, dtype=bool)
    is_reaching[labels[seed]] = True
    return chosen(labels, is_reaching)


def chosen(labels: NDArray[np.integer], is_chosen: Mask) -> Mask:
    """The parts that are chosen, shape of `labels`; `is_chosen` has a value a label, that of 0 does not count."""
    is_chosen[0] = False
    mask: Mask = is_chosen[labels]
    return mask


def gradient_size(values: Floats) -> Floats:
    """Grey a pixel changes by, from central differences; same shape."""
    rows, columns = np.gradient(values)
    return np.asarray(np.hypot(rows, columns), dtype=np.float32)


def around(box: Box, reach: int, steps: int = 1) -> Box:
    """Box with a margin of `reach` pixels, of a film or plate with `steps` times as many pixels a side."""
    rows, columns = (slice(max(0, s.start - reach) * steps, (s.stop + reach) * steps) for s in box)
    return rows, columns


def within(box: Box, window: Box) -> Box:
    """Slices that cut `box` out of what `window`, which holds it, cut out."""
    rows, columns = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, window, strict=True))
    return rows, columns


_TO_SIGMA: Final = 1.4826  # Median absolute deviation of a normal distribution to its standard deviation
_STEP: Final = 3  # Pixels apart that are compared: detectors and their processing tie direct neighbours together
_BLOCK: Final = 64  # side of a block, plate pixels
_FEWEST: Final = 12  # blocks; with fewer, smaller blocks are used
_LEAST_SIDE: Final = 24  # Film pixels a side that tell a deviation


def film_noise(intensity: Floats, field: Mask, factor: int) -> float:
    """Standard deviation of the noise in soft tissue, in grey.

    `intensity` has the shape ``(rows, columns)`` of the film; `field` is soft tissue on the plate, whose pixels are
    `factor` x `factor` film pixels. It is the median over blocks of the robust deviation of second differences, which
    slow changes of the tissue do not reach.
    """
    found = _deviations(intensity, field, factor, side=_BLOCK, least=0.9)
    if len(found) < _FEWEST:
        found += _deviations(intensity, field, factor, side=_BLOCK // 8, least=1.0)
    return float(np.median(found)) if found else _deviation(intensity[::2, ::2])


def noise_around(intensity: Floats, box: tuple[slice, slice]) -> float:
    """Standard deviation of the noise in a box of the film, in grey; 0 where the box is too small to tell.

    Thick parts let less of the beam through than thin ones, and are noisier on a logarithmic film.
    """
    block = intensity[box]
    if min(block.shape) < _LEAST_SIDE:
        return 0.0
    # a limb curves across its length only
    return min(_deviation(block), _deviation(block.T))


def _deviations(intensity: Floats, field: Mask, factor: int, *, side: int, least: float) -> list[float]:
    """Deviation in each block of `side` plate pixels of which at least the share `least` is soft tissue."""
    found = []
    for i in range(0, intensity.shape[0] - side * factor, side * factor):
        for j in range(0, intensity.shape[1] - side * factor, side * factor):
            inside = field[i // factor : i // factor + side, j // factor : j // factor + side]
            if inside.mean() >= least:
                found.append(_deviation(intensity[i : i + side * factor, j : j + side * factor]))
    return found


def _deviation(block: Floats) -> float:
    second = block[:, 2 * _STEP :] - 2 * block[:, _STEP:-_STEP] + block[:, : -2 * _STEP]
    return float(np.median(np.abs(second))) * _TO_SIGMA / float(np.sqrt(6))
