"""A radiograph's picture: VOI LUT or window as a viewer applies it, dense white (PS3.3 C.11.2). Never measured on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.film.values import WordValues, table_of
from calcreport.dicom.header import film_tags, values
from calcreport.dicom.header.elements import Item
from calcreport.dicom.header.film_header import FilmHeader

_WHITE: Final = 255  # of 8 bits
_TAILS: Final = (0.5, 99.5)
"""Percentiles of the exposed field that become black and white where the header brings no usable window."""


def picture_of_words(
    film: FilmHeader, tables: Item, meaning: WordValues, sample: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Grey of each word, shape ``(65536,)``, 0 black to 255 white; notes.

    `sample`, shape ``(n,)``: outputs of the Modality LUT in the exposed field, for films without a usable window.
    """
    share, notes = _by_table(film, tables, meaning)
    if share is None:
        share, window_notes = _by_window(film, meaning)
        notes = (*notes, *window_notes)
    if share is None:
        low, high = (float(value) for value in np.percentile(sample, _TAILS))
        share = (meaning.output - low) / max(high - low, 1e-9)
    share = np.clip(share, 0.0, 1.0)
    dense_white = 1.0 - share if meaning.is_inverted else share
    return np.rint(dense_white * _WHITE).astype(np.uint8), notes


def _by_table(
    film: FilmHeader, tables: Item, meaning: WordValues
) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    if not film.item.sequences.get(film_tags.VOI_LUT):
        return None, ()
    table = table_of(
        tables.sequences.get(film_tags.VOI_LUT, []),
        is_signed=meaning.is_output_signed,
        is_big_endian=film.image.pixels.is_big_endian,
    )
    if table is None:
        return None, ("The VOI LUT is damaged and was not used for the picture.",)
    return table.apply(meaning.output) / ((1 << table.bits) - 1), ()


def _by_window(film: FilmHeader, meaning: WordValues) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    """First window; LINEAR unless VOI LUT Function says otherwise (C.11.2.1.2, C.11.2.1.3)."""
    raw = [film.raw(tag) for tag in (film_tags.WINDOW_CENTRE, film_tags.WINDOW_WIDTH)]
    if not any(values.strip(value or b"") for value in raw):
        return None, ()
    centre, width = (values.decimal((value or b"").split(b"\\")[0]) for value in raw)
    function = film.word(film_tags.VOI_FUNCTION) or "LINEAR"
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
