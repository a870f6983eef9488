"""Which series is best for measuring, and why the others are not measured."""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from calcreport.dicom.codes import message
from calcreport.dicom.coverage import Extent, extent_of, is_detail
from calcreport.dicom.ct.read import contrast_of
from calcreport.dicom.ct.stacks import normal_of, pixel_hash, steps_of
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.image_header import FilmHeader, ImageHeader
from calcreport.dicom.series import FilmRanking, Ranking, SeriesFiles, SeriesRanking, StudyFiles, refusal_code
from calcreport.errors import InputError
from calcreport.model.image import Contrast
from calcreport.model.report import SeriesEntry

# Cosine between slice normal and body axis; leaning less than 37 degrees counts as axial (gantry tilts reach 30).
_NEAR_AXIAL: Final = 0.8
# A series covering less than this part of another that shows the same is a detail of it and comes later.
_MOSTLY_COVERED: Final = 0.5
# Within a class the contrast phase counts more than the last tenths of a millimetre: enhanced vessels force the
# threshold up, which costs more faint calcification than slices of 1.25 instead of 1 mm.
_THICKNESS_CLASSES_MM: Final = (1.6, 3.1, 5.1)
_BY_CONTRAST: Final = {  # lower is better for thresholds
    Contrast.NONE: 0.0, Contrast.UNKNOWN: 1.0, Contrast.GIVEN: 2.0, Contrast.VENOUS: 2.0, Contrast.ARTERIAL: 3.0,
}  # fmt: skip


def rank_ct_series(study: StudyFiles) -> SeriesRanking:
    """Order the CT stacks of a study for measuring; give every other series its reason.

    Candidates are ordered by: covering the region, original before derived, axial before reformatted, soft before
    unknown before sharp kernel, thin slices (in classes), non-contrast before contrast, thinnest, most images. Coverage
    comes first: a few original control slices are no substitute for a derived volume of the whole region.
    """
    codes = [(series, refusal_code(series)) for series in study.series]
    candidates = [series for series, code in codes if code is None]
    beside = {"series.radiograph": "series.radiograph_beside_ct"} if candidates else {}
    entries = [entry_of(series, beside.get(code, code)) for series, code in codes if code is not None]
    extents = [extent for series in candidates if series.problem is None and (extent := extent_of(series))]
    ranked = sorted(candidates, key=lambda series: _merit(series, extents))
    return Ranking(candidates=tuple(ranked), entries=tuple(entries))


def entry_of(series: SeriesFiles, code: str, count: int | None = None) -> SeriesEntry:
    """Row for a series that is not measured: refused when it claims to be CT slices, else skipped."""
    is_refused = (bool(series.planes) and code != "series.localizer") or (bool(series.films) and code == series.problem)
    stack = f" Stack: {series.stack}." if series.stack else ""
    return SeriesEntry(
        series_instance_uid=series.uid,
        modality=series.modality or "OT",
        status="refused" if is_refused else "skipped",
        code=code,
        message=message(code) + stack,
        series_number=series.number,
        description=series.description,
        image_count=count or len(series.planes) or len(series.instances),
    )


def rank_films(study: StudyFiles) -> FilmRanking:
    """Order the radiographs of a study for reading; give everything else its reason.

    All of them are measured, unlike CT stacks: each shows another view or part; those that `without_doubles` drops are
    not. Where `rank_ct_series` has candidates the CT is measured, and its own entries name the radiographs.
    """
    films: list[FilmHeader] = []
    entries: list[SeriesEntry] = []
    for series in study.series:
        code = refusal_code(series)
        if not series.films or code != "series.radiograph":
            entries += [entry_of(series, code)] if code else []
        elif series.problem:
            entries.append(entry_of(series, series.problem))
        else:
            films += [replace(film, notes=(*series.notes, *film.notes)) for film in series.films]
    kept, doubles = without_doubles(sorted(films, key=_place))
    for code, films_of_code in doubles.items():
        for series in study.series:
            count = sum(film.image.series_uid == series.uid for film in films_of_code) if series.films else 0
            if count:
                entries.append(entry_of(replace(series, problem=code if code == CONFLICT else None), code, count))
    return Ranking(candidates=tuple(kept), entries=tuple(entries))


def _place(film: FilmHeader) -> tuple[float, float, str]:
    """Sort key: series number, instance number; films without come last."""
    number, instance = film.image.series.number, film.image.instance_number
    last = float("inf")
    return (last if number is None else number, last if instance is None else instance, film.image.instance_uid)


def _merit(series: SeriesFiles, extents: Sequence[Extent]) -> tuple[float, ...]:
    """Sort key, smaller is better; `extents` are those of all stacks without a problem."""
    extent = extent_of(series)
    first = series.planes[0]
    steps = steps_of(series.planes)
    step = float("inf") if steps is None else float(np.median(steps))
    is_axial = first.orientation is not None and abs(float(normal_of(first.orientation)[2])) > _NEAR_AXIAL
    thickness = max(step, first.thickness_mm or 0.0)
    return (
        0.0 if series.problem is None else 1.0,
        1.0 if extent is None or is_detail(extent, extents, share=_MOSTLY_COVERED) else 0.0,
        0.0 if first.image_type[:2] == ("ORIGINAL", "PRIMARY") else 1.0,
        0.0 if is_axial else 1.0,
        float(kernel_sharpness(first.kernel)),
        float(sum(thickness > limit for limit in _THICKNESS_CLASSES_MM)),
        _BY_CONTRAST[contrast_of(series)],
        thickness,
        -float(len(series.planes)),
        float(series.number or 0),
    )


# Names of kernels of Siemens and Canon; words of other makers.
_SIEMENS: Final = re.compile(r"^[A-Z][A-Z]?\s?([0-9]{2})[A-Z0-9\\_ -]*")
_CANON: Final = re.compile(r"^FC([0-9]{2})")
_SHARP_WORDS: Final = re.compile(r"BONE|LUNG|EDGE|SHARP|ULTRA|CHST|^(D|E|L|YA|YB|YC|YD|YE|BL)$")
_SOFT_WORDS: Final = re.compile(r"SOFT|STAND|SMOOTH|BODY|BRAIN|ABDO|^(A|B|C|UA|UB|UC|I)$")


def kernel_sharpness(kernel: str | None) -> int:
    """0 for a soft kernel, 1 when not known, 2 for a sharp one (sharp kernels overshoot at edges and fake a rim).

    Siemens letters and number (sharp from 50), Canon FC numbers (30-39 and from 50 sharp), GE and Philips names.
    """
    name = (kernel or "").upper().strip()
    if match := _CANON.match(name):
        return 2 if 30 <= int(match[1]) < 40 or int(match[1]) >= 50 else 0
    if match := _SIEMENS.match(name):
        return 2 if int(match[1]) >= 50 else 0
    return 2 if _SHARP_WORDS.search(name) else 0 if _SOFT_WORDS.search(name) else 1


# Codes of films that are set aside.
SAME_EXPOSURE: Final = "series.same_exposure"
SAME_PIXELS: Final = "series.same_pixels"
CONFLICT: Final = "geometry.conflicting_instances"
_LOOK_BYTES: Final = 65_536  # compared before whole films are: different exposures rarely begin alike


def are_equal(first: FilmHeader, second: FilmHeader) -> bool:
    """Whether two films hold the same pixels, with the same scale and tables."""
    if first.item != second.item or first.image.pixels.photometric != second.image.pixels.photometric:
        return False
    one, other = (pixel_hash(film.image, film.image.pixels.transfer_syntax) for film in (first, second))
    return one is not None and one == other


def without_doubles(films: Sequence[FilmHeader]) -> tuple[list[FilmHeader], dict[str, list[FilmHeader]]]:
    """Films of one study to read, and by code those that must not be measured beside them.

    Archives store a film again under other UIDs; the same pixels are measured once, or each lesion would count twice:
    the first in the order given is kept, a processed film before an unprocessed one. An unprocessed film is dropped
    when a processed one names it as its source image, or is of the same exposure: equal time of acquisition, view,
    side, body part and matrix. Where more unprocessed than processed films agree in these, they cannot be paired, and
    all are kept: dropping a view would hide what it shows.
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
    originals = (item.values for film in shown for item in film.item.sequences.get(tags.SOURCE_IMAGES, []))
    sources = {values.uid(raw.get(tags.REFERENCED_INSTANCE)) for raw in originals}
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
    is_alike = replace(one.pixels, place=None) == replace(two.pixels, place=None)
    with contextlib.suppress(InputError):
        return is_alike and _start(one) == _start(two) and pixel_hash(one, None) == pixel_hash(two, None) is not None
    return False


def _start(image: ImageHeader) -> bytes:
    place, source = image.pixels.place, image.source
    return source.read(place.offset, min(_LOOK_BYTES, place.length, source.size - place.offset)) if place else b""


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
