"""A radiograph to an image in which more attenuation is more, with what its millimetres mean, or a refusal."""

from __future__ import annotations

import tomllib
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.codecs import decode_frame, frames_of
from calcreport.dicom.codes import problem
from calcreport.dicom.ct.pixels import check_grey, check_length, fill_raw, reaching_border
from calcreport.dicom.film.scale import aperture_of, scale_of
from calcreport.dicom.film.values import picture_of_words, values_of
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.image_header import FilmHeader, ImageHeader, PixelDescription
from calcreport.dicom.header.parsing import FILM_TABLES, walk_again
from calcreport.model.film import FilmImage, FilmView
from calcreport.model.image import SliceReference
from calcreport.resources import packaged_text
from calcreport.settings import ReadingSettings

# Twice that of CT: films are sampled finer than they are sharp, and a projection is measured in outline, not voxel by
# voxel; beyond it fine stippling is gone.
_WORST_LOSSY_RATIO: Final = 30.0
_KVP_RANGE: Final = (20.0, 200.0)  # plausible tube voltage, kV
_SAMPLE_STEP: Final = 8  # every eighth row and column is sampled
_BAND: Final = 64  # rows looked up at a time: indices have eight bytes a word, and those of a film fit no cache

Value = TypeVar("Value", bound=np.generic)  # stored or looked-up value


def read_film(film: FilmHeader, *, settings: ReadingSettings) -> FilmImage:
    """Read one candidate of `rank_films`; intensity is in its own unit, turned so that more attenuation is more.

    Raises `InputError` with a code of `calcreport.dicom.codes.CODES`.
    """
    code = tags.OUT_OF_SCOPE.get(film.image.series.modality)
    if code:
        raise problem(code)
    header = film.image.series
    if header.is_lossy and (header.lossy_ratio or 0.0) > _WORST_LOSSY_RATIO:
        raise problem("pixel.film_lossy_ratio", f"{header.lossy_ratio:.0f}:1")
    shape = check_description(film.image.pixels, settings)
    tables = walk_again(film.image, FILM_TABLES)
    meaning = values_of(film, tables)
    scale = scale_of(film)
    view, view_notes = view_of(film)
    rows_mm, columns_mm = scale.spacing_mm or (1.0, 1.0)
    field, field_notes = aperture_of(film, shape, rows_mm / columns_mm)
    words = stored_words(film.image)
    is_imaged = _is_imaged(words, field, meaning.is_padding)
    if not is_imaged.any():
        raise problem("pixel.film_flat", "nothing but padding")
    sample = words[::_SAMPLE_STEP, ::_SAMPLE_STEP][is_imaged[::_SAMPLE_STEP, ::_SAMPLE_STEP]]
    sample = sample if sample.size else words[is_imaged]  # the field may slip through that grid
    if sample.min() == sample.max() and np.ptp(words[is_imaged]) == 0:
        raise problem("pixel.film_flat")
    picture, picture_notes = picture_of_words(film, tables, meaning, meaning.output[sample])
    notes = (*film.notes, *_origin_notes(film), *meaning.notes, *view_notes, *field_notes, *picture_notes)
    return FilmImage(
        intensity=_look_up(meaning.intensity, words),
        picture=_look_up(picture, words),
        is_imaged=is_imaged,
        scale=scale,
        view=view,
        reference=SliceReference(
            sop_instance_uid=film.image.instance_uid, instance_number=film.image.instance_number, frame=None
        ),
        series_instance_uid=film.image.series_uid,
        frame_of_reference_uid=film.image.frame_of_reference_uid,
        is_logarithmic=meaning.is_logarithmic,
        has_polarity_conflict=meaning.has_polarity_conflict,
        kvp=header.kvp if header.kvp is not None and _KVP_RANGE[0] <= header.kvp <= _KVP_RANGE[1] else None,
        notes=notes,
    )


def _is_imaged(
    words: Words, field: NDArray[np.bool_] | None, is_padding: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Exposed field less the padding that reaches the border of the film or of the field.

    Padding lies outside the image. A clipped metal implant in the middle may hold the padding value as well, and was
    imaged; so was clipped air.
    """
    imaged = np.ones(words.shape, dtype=np.bool_) if field is None else field.copy()
    if is_padding is None:
        return imaged
    padding = np.take(is_padding, words, mode="clip")
    return imaged & ~(padding & reaching_border(padding | ~imaged)) if padding.any() else imaged


def _look_up(table: NDArray[Value], words: Words) -> NDArray[Value]:
    """Value of each word, shape of `words`; words beyond the table have that of its last entry."""
    values = np.empty(words.shape, dtype=table.dtype)
    for first in range(0, len(words), _BAND):
        band = slice(first, first + _BAND)
        np.take(table, words[band], mode="clip", out=values[band])
    return values


def _origin_notes(film: FilmHeader) -> tuple[str, ...]:
    header = film.image.series
    ratio = f" (ratio {header.lossy_ratio:g}:1)" if header.lossy_ratio else ""
    found = (
        (
            header.modality not in tags.FILM_MODALITIES,
            "Modality is not that of a radiograph; the storage class is, and decides.",
        ),
        (film.is_for_processing, "The image is unprocessed (FOR PROCESSING), not what a radiologist reads."),
        (header.is_lossy, f"The image was compressed lossily{ratio}; fine deposits may be lost."),
        (header.is_burned_in, "The image may contain burned-in text, which looks dense."),
    )
    return tuple(note for is_met, note in found if is_met)


Words = NDArray[np.uint8] | NDArray[np.uint16]  # stored values

_ALLOCATED: Final = (8, 16)  # bits of a pixel that are read
_SHORTEST_SIDE: Final = 64  # a film of fewer pixels a side is an icon: a deposit of 5 mm would be a pixel or two
_OVERSHOOT: Final = 16  # lossy compression passes the range by less than this part of it
# A film of 43 x 43 cm at 0.05 mm has 74 million, a stitched leg at 0.15 mm 20 million; it takes 8 bytes a pixel.
_MOST_PIXELS: Final = 120_000_000


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
        words = decode_frame(image, frame)
        return words if pixels.transfer_syntax == tags.RLE else _within_range(words, image)
    place = pixels.place
    if pixels.bits_allocated == _ALLOCATED[0] and place is not None:
        count = rows * columns
        data = np.empty(count + count % 2 if place.is_words else count, dtype=np.uint8)
        image.source.read_into(place.offset, data.data)
        if pixels.is_big_endian and place.is_words:
            data.view(np.uint16).byteswap(inplace=True)
        return data[:count].reshape(rows, columns)
    words = np.empty((rows, columns), dtype=np.uint16)
    fill_raw(image, None, 1, words)
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


# View by its code of SNOMED CT or the older SNOMED-RT.
_VIEWS: Final[dict[str, str]] = tomllib.loads(packaged_text("dicom/film/views.toml"))
_VIEW_CODES: Final = {code: view for view, codes in _VIEWS.items() for code in codes.split()}
_SCHEMES: Final = frozenset(("SCT", "SRT", "SNM3", "99SDM"))  # coding schemes of SNOMED
# Other spellings of View Position.
_SPELLINGS: Final = MappingProxyType({"LATERAL": "LAT", "OBLIQUE": "OBL", "A.P.": "AP", "P.A.": "PA"})
# Names that one view may go by at different precision. AP and PA are separated by `_OPPOSITE`.
_NAMES: Final = ("LAT LL RL ML LM", "OBL LO RO LAO LPO RAO RPO RLO LLO", "FRONTAL AP PA DP PD LLD RLD")
_FAMILIES: Final = tuple(frozenset(names.split()) for names in _NAMES)
# Views of which one contradicts the other.
_OPPOSITE: Final = tuple(frozenset(names.split()) for names in ("AP PA", "LL RL", "ML LM", "DP PD"))
_SIDES: Final = MappingProxyType({"L": "left", "R": "right", "B": "both"})  # Image Laterality to a side
_DIRECTIONS: Final = frozenset("LRAPHF")  # letters of Patient Orientation


def view_of(film: FilmHeader) -> tuple[FilmView, tuple[str, ...]]:
    """View of a film, and notes on contradictions and on turned fields of view."""
    position, notes = _position(film)
    side, side_notes = _side(film)
    words, body_part = values.keywords(film.raw(tags.PATIENT_ORIENTATION)), film.image.series.body_part
    is_sound = len(words) == 2 and all(word and set(word) <= _DIRECTIONS for word in words)  # PS3.3 C.7.6.1.1.1
    orientation = (words[0], words[1]) if is_sound else None
    view = FilmView(position=position, laterality=side, body_part=body_part, patient_orientation=orientation)
    rotation, is_flipped = values.decimal(film.raw(tags.FIELD_ROTATION)), film.word(tags.FIELD_FLIP) not in {None, "NO"}
    turned = (f"The field of view was rotated by {rotation:g} degrees after exposure.",) if rotation else ()
    flipped = ("The field of view was flipped left to right after exposure.",) * is_flipped
    return view, (*notes, *side_notes, *turned, *flipped)


def _position(film: FilmHeader) -> tuple[str | None, tuple[str, ...]]:
    stated = film.word(tags.VIEW_POSITION)
    stated = _SPELLINGS.get(stated or "", stated)
    items = film.item.sequences.get(tags.VIEW_CODES, [])
    raw = items[0].values if items else {}
    is_known = values.keyword(raw.get(tags.CODE_SCHEME)) in _SCHEMES
    coded = _VIEW_CODES.get(values.keyword(raw.get(tags.CODE_VALUE)) or "") if is_known else None
    if stated is None or coded is None or stated == coded:
        return stated or coded, ()
    pair = {stated, coded}
    if pair not in _OPPOSITE and any(pair <= family for family in _FAMILIES):
        return stated, ()
    return None, ("View Position and View Code contradict each other; the view is not known.",)


def _side(film: FilmHeader) -> tuple[str | None, tuple[str, ...]]:
    """Image Laterality before Laterality: the latter is of the series and may be of another image."""
    of_image, of_series = (_SIDES.get(film.word(tag) or "") for tag in (tags.IMAGE_LATERALITY, tags.LATERALITY))
    if of_image and of_series and of_image != of_series:
        return None, ("Image Laterality and Laterality contradict each other; the side is not known.",)
    return of_image or of_series, ()
