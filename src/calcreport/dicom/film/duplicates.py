"""Radiographs that show the same exposure twice: copies of a file, and unprocessed images beside processed ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from calcreport.dicom.ct.stacks import copies_of, pixel_hash
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.film_header import FilmHeader
from calcreport.dicom.header.image_header import ImageHeader
from calcreport.errors import InputError

# Codes of films that are set aside.
SAME_EXPOSURE: Final = "series.same_exposure"
SAME_PIXELS: Final = "series.same_pixels"
CONFLICT: Final = "geometry.conflicting_instances"
_LOOK_BYTES: Final = 65_536  # compared before whole films are: different exposures rarely begin alike


def copied(films: Sequence[FilmHeader]) -> set[int] | None:
    """Ids of films that copy an earlier one of the same instance UID; ``None`` when two of one UID differ."""
    return copies_of(films, lambda film: film.image.instance_uid, _are_equal)


def _are_equal(first: FilmHeader, second: FilmHeader) -> bool:
    """Whether two films hold the same pixels, with the same scale and tables."""
    if first.item != second.item or first.image.pixels.photometric != second.image.pixels.photometric:
        return False
    one, other = (pixel_hash(film.image, film.image.pixels.transfer_syntax) for film in (first, second))
    return one is not None and one == other


def without_doubles(films: Sequence[FilmHeader]) -> tuple[list[FilmHeader], dict[str, list[FilmHeader]]]:
    """Films of one study to read, and by code those that must not be measured beside them.

    Archives store a film again under other UIDs; the same pixels are measured once, or each lesion would count twice:
    the first in the order given is kept, a processed film before an unprocessed one. An unprocessed film is dropped when a processed one names it as its source image, or is of the same exposure: equal
    time of acquisition, view, side, body part and matrix. Where more unprocessed than processed films agree in these,
    they cannot be paired, and all are kept: dropping a view would hide what it shows.
    """
    doubles: dict[str, list[FilmHeader]] = defaultdict(list)
    seen: set[str] = set()
    unique: list[FilmHeader] = []
    for film in sorted(films, key=lambda film: film.is_for_processing):
        if film.image.instance_uid in seen:
            doubles[CONFLICT].append(film)
        elif any(_have_equal_pixels(film, other) for other in unique):
            doubles[SAME_PIXELS].append(film)
        else:
            seen.add(film.image.instance_uid)
            unique.append(film)
    shown = [film for film in unique if not film.is_for_processing]
    sources = {uid for film in shown for uid in _sources(film)}
    processed = Counter(map(_exposure, shown))
    unprocessed = Counter(_exposure(film) for film in unique if film.is_for_processing)
    for film in unique:
        exposure = _exposure(film)
        is_paired = exposure is not None and unprocessed[exposure] <= processed[exposure]
        if film.is_for_processing and (is_paired or film.image.instance_uid in sources):
            doubles[SAME_EXPOSURE].append(film)
    dropped = {id(film) for members in doubles.values() for film in members}
    return [film for film in films if id(film) not in dropped], dict(doubles)


def _have_equal_pixels(film: FilmHeader, other: FilmHeader) -> bool:
    """Whether two films of different UIDs store the same bytes; a film that cannot be read is like no other."""
    one, two = film.image, other.image
    if replace(one.pixels, place=None) != replace(two.pixels, place=None):
        return False
    try:
        return _start(one) == _start(two) and pixel_hash(one, None) == pixel_hash(two, None) is not None
    except InputError:
        return False


def _start(image: ImageHeader) -> bytes:
    if image.pixels.place is None:
        return b""
    offset = image.pixels.place.offset
    return image.source.read(offset, min(_LOOK_BYTES, image.pixels.place.length, image.source.size - offset))


def _sources(film: FilmHeader) -> set[str]:
    """Instance UIDs of the images this one was made from."""
    items = film.item.sequences.get(tags.SOURCE_IMAGES, [])
    return {uid for item in items if (uid := values.uid(item.values.get(tags.REFERENCED_INSTANCE)))}


def _exposure(film: FilmHeader) -> tuple[object, ...] | None:
    """What two images of one exposure share; ``None`` without a time."""
    pixels = film.image.pixels
    moments = (
        film.raw(tags.ACQUISITION_DATE_TIME),
        _joined(film.raw(tags.ACQUISITION_DATE), film.raw(tags.ACQUISITION_TIME)),
        _joined(film.raw(tags.CONTENT_DATE), film.raw(tags.CONTENT_TIME)),
    )
    moment = next((values.strip(raw) for raw in moments if raw and values.strip(raw)), None)
    if moment is None:
        return None
    codes = film.item.sequences.get(tags.VIEW_CODES, [])
    view = film.word(tags.VIEW_POSITION) or values.keyword(codes[0].values.get(tags.CODE_VALUE) if codes else None)
    side = film.word(tags.IMAGE_LATERALITY) or film.word(tags.LATERALITY)
    return moment, view, side, film.image.series.body_part, pixels.rows, pixels.columns


def _joined(day: bytes | None, time: bytes | None) -> bytes | None:
    return (day or b"") + b" " + time if time else None
