"""What every stored word of a radiograph means: attenuation in the film's own unit, padding, and its grey in a picture.

A word has at most 16 bits, so everything that concerns single pixels is worked out once for each word there can be and
looked up afterwards. Order of PS3.3 C.11: stored value, Modality LUT or rescale, then for the picture alone VOI LUT or
window. Polarity is settled by Photometric Interpretation (C.7.6.3.1.2): what a viewer shows white is dense. Pixel
Intensity Relationship Sign (C.8.11.3.1.2) says the same in terms of the beam. Where the two contradict each other,
Photometric Interpretation stands with a note for a processed image, made to be looked at, unless the picture shows
otherwise (`calcreport.film.exposure`); for an unprocessed image it is often a mere default, and the film is refused.

Linear data (Pixel Intensity Relationship LIN) are not turned into logarithms: the offset of the detector is unknown,
and near zero exposure the logarithm is mostly noise. Turned, they still rise with attenuation, with less contrast.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codes import problem
from calcreport.dicom.ct.pixels import is_stored_range, padding_range
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.elements import Item
from calcreport.dicom.header.image_header import FilmHeader, PixelDescription

_WORD_BITS: Final = 16  # of a stored value at most
_SLOPES: Final = (1e-6, 1e6)  # plausible rescale slopes
_LARGEST_SHIFT: Final = 4_194_304  # an intercept of more steps would round neighbouring values to one in 32-bit floats
# Pixel Intensity Relationship Sign: 1 where low values mean little of the beam, -1 where high ones do.
_SIGNS: Final = MappingProxyType({1: 1, 0xFFFF: -1})
# End of a note.
_CONTRADICTS: Final = "contradicts Photometric Interpretation; the latter holds unless the picture shows otherwise."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordValues:
    """Meaning of each of the 65 536 words."""

    output: NDArray[np.float64]  # shape ``(65536,)``; output of the Modality LUT or rescale
    intensity: NDArray[np.float32]  # same shape; `output` turned so that more attenuation is more
    is_padding: NDArray[np.bool_] | None  # same shape; ``None`` without Pixel Padding Value
    is_inverted: bool  # whether small outputs are dense (MONOCHROME1)
    is_output_signed: bool  # whether outputs may be negative
    is_logarithmic: bool | None
    has_polarity_conflict: bool  # See `calcreport.model.film.Radiograph`
    notes: tuple[str, ...]


def values_of(film: FilmHeader, tables: Item) -> WordValues:
    """Meaning of the words of a film whose pixel description was checked.

    Raises `CalibrationError` ``calibration.modality_lut``, ``calibration.film_rescale``, ``calibration.polarity``.
    """
    pixels = film.image.pixels
    apply, notes = _modality(film, tables)
    stored = _stored_values(pixels)
    output, possible = apply(stored), apply(_possible_values(pixels))
    low, high = float(possible.min()), float(possible.max())
    is_inverted = pixels.photometric == "MONOCHROME1"
    does_rise = bool(possible[-1] > possible[0])
    intensity = (low + high) - output if is_inverted else output
    has_table = bool(film.item.sequences.get(tags.MODALITY_LUT))
    relationship = film.word(tags.INTENSITY_RELATIONSHIP)
    conflicts = _polarity_notes(film, does_rise=does_rise != is_inverted)
    notes += conflicts
    if relationship == "LIN":
        notes.append(
            "Pixel values are linear in exposure, not logarithmic: contrast is lower where the patient is thick, and "
            "faint deposits there may be missed."
        )
    return WordValues(
        output=output,
        intensity=intensity.astype(np.float32),
        is_padding=_padding(pixels, stored),
        is_inverted=is_inverted,
        is_output_signed=low < 0,
        has_polarity_conflict=bool(conflicts),
        is_logarithmic=None if has_table else {"LOG": True, "LIN": False}.get(relationship or ""),
        notes=tuple(notes),
    )


def _stored_values(pixels: PixelDescription) -> NDArray[np.float64]:
    """Stored value of every word: bits beyond High Bit (old overlays lie there) dropped, sign extended."""
    words = np.arange(1 << _WORD_BITS, dtype=np.uint16) << np.uint16(_WORD_BITS - 1 - (pixels.high_bit or 0))
    signed = words.view(np.int16) if pixels.representation == 1 else words
    return (signed >> signed.dtype.type(_WORD_BITS - (pixels.bits_stored or _WORD_BITS))).astype(np.float64)


def _possible_values(pixels: PixelDescription) -> NDArray[np.float64]:
    """All values that Bits Stored can hold, rising."""
    count = 1 << (pixels.bits_stored or _WORD_BITS)
    return np.arange(count, dtype=np.float64) - (count // 2 if pixels.representation == 1 else 0)


def _modality(film: FilmHeader, tables: Item) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], list[str]]:
    """Give Modality LUT or rescale as a function, and notes."""
    pixels = film.image.pixels
    slope_raw, intercept_raw = (values.strip(film.raw(tag) or b"") for tag in (tags.SLOPE, tags.INTERCEPT))
    if film.item.sequences.get(tags.MODALITY_LUT):
        table = table_of(tables, tags.MODALITY_LUT, pixels, is_signed=pixels.representation == 1)
        steps = np.diff([] if table is None else table.apply(_possible_values(pixels)))
        # An output that turns back, or is always the same, would give two attenuations one value.
        if table is None or not (((steps >= 0).all() or (steps <= 0).all()) and steps.any()):
            raise problem("calibration.modality_lut")
        notes = ["Modality LUT and rescale are both present; the LUT is used."] if slope_raw or intercept_raw else []
        return table.apply, notes
    slope, intercept = values.decimal(slope_raw or b"1"), values.decimal(intercept_raw or b"0")
    if slope is None or intercept is None or not _SLOPES[0] <= abs(slope) <= _SLOPES[1]:
        raise problem("calibration.film_rescale")
    if abs(intercept) > abs(slope) * _LARGEST_SHIFT:
        raise problem("calibration.film_rescale")
    return (lambda stored: stored * slope + intercept), []


def _polarity_notes(film: FilmHeader, *, does_rise: bool) -> list[str]:
    """Notes on contradictions about which end is dense; `does_rise`: stored values rise with attenuation."""
    pixels, notes = film.image.pixels, []
    shape = film.word(tags.PRESENTATION_SHAPE)
    usual = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}[pixels.photometric or "MONOCHROME2"]
    if shape in {"INVERSE", "IDENTITY"} and shape != usual:
        notes.append(f"Presentation LUT Shape {_CONTRADICTS}")
    sign = values.unsigned_16(film.raw(tags.INTENSITY_SIGN), is_big_endian=pixels.is_big_endian)
    if sign is None or sign not in _SIGNS or (_SIGNS[sign] < 0) == does_rise:
        return notes
    if film.is_for_processing:
        raise problem("calibration.polarity")
    notes.append(f"Pixel Intensity Relationship Sign {_CONTRADICTS}")
    return notes


def _padding(pixels: PixelDescription, stored: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """Words that are padding; a padding value too wide for Bits Stored is compared with the whole word."""
    padding = padding_range(pixels)
    if padding is None:
        return None
    is_signed, words = pixels.representation == 1, np.arange(1 << _WORD_BITS, dtype=np.uint16)
    does_fit = is_stored_range(padding, pixels.bits_stored or _WORD_BITS, is_signed=is_signed)
    compared = stored if does_fit else words.view(np.int16) if is_signed else words
    return np.asarray((compared >= padding[0]) & (compared <= padding[1]))


_DESCRIPTOR_BYTES: Final = 6  # three values of 16 bits
_MOST_ENTRIES: Final = 65_536  # of a table, PS3.3 C.11.1.1.1
_BITS: Final = (8, 16)  # fewest and most bits of an entry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """A table of outputs for consecutive inputs."""

    first: int  # input of the first entry; smaller inputs get its output, larger ones than the last get the last output
    outputs: NDArray[np.float64]  # shape ``(n,)``
    bits: int  # bits of an output: the full scale of a VOI LUT

    def apply(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs for inputs of any shape; inputs are rounded to whole numbers."""
        index = np.clip(np.rint(inputs) - self.first, 0, len(self.outputs) - 1).astype(np.int64)
        return np.asarray(self.outputs[index])


def table_of(tables: Item, tag: int, pixels: PixelDescription, *, is_signed: bool) -> LookupTable | None:
    """First table of a Modality or VOI LUT Sequence, `tag`, or ``None`` when it is damaged.

    The descriptor's second value is two's complement where inputs may be negative (`is_signed`).
    """
    item = next(iter(tables.sequences.get(tag, [])), Item())
    descriptor, data = (item.values.get(part, b"") for part in (tags.LUT_DESCRIPTOR, tags.LUT_DATA))
    if len(descriptor) != _DESCRIPTOR_BYTES:
        return None
    order = ">" if pixels.is_big_endian else "<"
    count, first, bits = struct.unpack(f"{order}H{'h' if is_signed else 'H'}H", descriptor)
    count, outputs = count or _MOST_ENTRIES, None
    if len(data) == 2 * count:
        outputs = np.frombuffer(data, dtype=f"{order}u2")
    elif bits == _BITS[0] and len(data) == count + count % 2 and not pixels.is_big_endian:
        outputs = np.frombuffer(data, dtype=np.uint8, count=count)
    if outputs is None or not _BITS[0] <= bits <= _BITS[1] or count < 2 or int(outputs.max()) >= 1 << bits:
        return None
    return LookupTable(first=first, outputs=outputs.astype(np.float64), bits=bits)


Shown = tuple[NDArray[np.float64] | None, tuple[str, ...]]  # part of white of each word, where it is known; notes
_TAILS: Final = (0.5, 99.5)  # percentiles of the exposed field that become black and white without a usable window


def picture_of_words(
    film: FilmHeader, tables: Item, meaning: WordValues, sample: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Grey of each word, shape ``(65536,)``, 0 black to 255 white; notes.

    `sample`, shape ``(n,)``: outputs of the Modality LUT in the exposed field, for films without a usable window.
    """
    share, notes = _by_table(film, tables, meaning)
    if share is None:
        share, more = _by_window(film, meaning)
        notes += more
    if share is None:
        low, high = (float(value) for value in np.percentile(sample, _TAILS))
        share = (meaning.output - low) / max(high - low, 1e-9)
    share = np.clip(share, 0.0, 1.0)
    dense_white = 1.0 - share if meaning.is_inverted else share
    return np.rint(dense_white * 255).astype(np.uint8), notes


def _by_table(film: FilmHeader, tables: Item, meaning: WordValues) -> Shown:
    if not film.item.sequences.get(tags.VOI_LUT):
        return None, ()
    table = table_of(tables, tags.VOI_LUT, film.image.pixels, is_signed=meaning.is_output_signed)
    if table is None:
        return None, ("The VOI LUT is damaged and was not used for the picture.",)
    return table.apply(meaning.output) / ((1 << table.bits) - 1), ()


def _by_window(film: FilmHeader, meaning: WordValues) -> Shown:
    """First window; LINEAR unless VOI LUT Function says otherwise (C.11.2.1.2, C.11.2.1.3)."""
    raw = [film.raw(tag) for tag in (tags.WINDOW_CENTRE, tags.WINDOW_WIDTH)]
    if not any(values.strip(value or b"") for value in raw):
        return None, ()
    centre, width = (values.decimal((value or b"").split(b"\\")[0]) for value in raw)
    function = film.word(tags.VOI_FUNCTION) or "LINEAR"
    narrowest = 1.0 if function == "LINEAR" else 0.0
    if centre is None or width is None or width < narrowest or width <= 0:
        return None, ("The window is malformed and was not used for the picture.",)
    x = meaning.output
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - centre) / width, -700.0, 700.0))), ()
    if function == "LINEAR_EXACT":
        return (x - centre) / width + 0.5, ()
    if width == 1.0:
        return (x > centre - 0.5).astype(np.float64), ()
    return (x - (centre - 0.5)) / (width - 1.0) + 0.5, ()
