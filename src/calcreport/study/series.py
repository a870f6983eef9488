"""Choice of the CT series to measure: the best one of each part of the body that the study covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from calcreport.dicom import CtSeries, SeriesFiles, SeriesRanking, StudyFiles, read_ct
from calcreport.dicom.coverage import Extent, extent_of, is_elsewhere, not_covered, side_of
from calcreport.dicom.series import refusal_code
from calcreport.errors import InputError
from calcreport.model.anatomy_labels import AnatomyLabels
from calcreport.model.image import CtVolume
from calcreport.model.lesion import LesionContour
from calcreport.model.report import Searched, SeriesEntry
from calcreport.study.request import RefusedStudyError, Request, entry_of_series
from calcreport.text.statements import Statements
from calcreport.text.technique import merge_searched, name_region

_LEAST_BODY_MM3: Final = 5_000.0
"""Less body than this in what a further series adds is skin at the rim of a field of view; a finger has more."""
_SHARE_OF_TIME: Final = 0.8  # of a study's time, for TotalSegmentator
_NOT_BEST: Final = "Another series of the study is better for measuring."  # message of series.not_best


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtPart:
    """A CT series to measure, with the contours that fit it."""

    ct: CtSeries
    source: SeriesFiles
    extent: Extent | None
    """Where it lies, as its headers say."""
    region: str
    """What its headers call it."""
    contours: tuple[LesionContour, ...] = ()
    """Contours of whole lesions, in its grid."""
    labels: AnatomyLabels | None = None
    """Anatomy masks of another program, in its grid."""
    notes: tuple[str, ...] = ()
    """Sentences on these masks."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtReading:
    """The CT series to measure, best first, and the outcome of every series and part of the body."""

    parts: tuple[CtPart, ...]
    entries: tuple[SeriesEntry, ...]
    searched: tuple[Searched, ...]


def read_ct_series(study: StudyFiles, ranking: SeriesRanking, request: Request) -> CtReading:
    """Read the best CT series that can be read, then each that shows body which none before it shows.

    Contours have to fit the first series; on further ones those are measured that fit. Raises `RefusedStudyError` when
    no series can be read: the reason of the best one, and the rows of the refused ones alone.
    """
    parts: list[CtPart] = []
    skipped: list[SeriesFiles] = []
    refused: list[tuple[SeriesFiles, InputError]] = []
    without_contours: list[CtPart] = []  # refused only because no contour fits them
    statements = request.templates.statements
    for candidate in ranking.candidates:
        extent, part = extent_of(candidate), None
        if parts and (extent is None or not not_covered(extent, _extents(parts))):
            skipped.append(candidate)
            continue
        try:
            ct = read_ct(candidate, settings=request.settings.reading)
            part = CtPart(ct=ct, source=candidate, extent=extent, region=_name(candidate, statements))
            if _adds_body(part, parts):
                parts.append(_with_contours(part, request))
            else:
                skipped.append(candidate)
        except InputError as error:
            refused.append((candidate, error))
            without_contours += [] if part is None else [part]
    if not parts:
        raise RefusedStudyError(refused[0][1], tuple(_refuse(*pair) for pair in refused))
    for part in without_contours:  # they may still show another part of the body
        if _adds_body(part, parts):
            parts.append(part)
            refused = [pair for pair in refused if pair[0] is not part.source]
    parts = _with_anatomy(parts, request)
    rows = [_refuse(*pair) for pair in refused]
    rows += [
        entry_of_series(part.source, "analysed", "series.analysed", " ".join(("Measured.", *part.ct.notes))).model_copy(
            update={"geometry": part.ct.geometry}
        )
        for part in parts
    ]
    rows += [entry_of_series(series, "skipped", "series.not_best", _NOT_BEST) for series in skipped]
    missing = [(series, error.code) for series, error in refused]
    missing += [(series, "series.not_best") for series in skipped if extent_of(series) is None]
    searched = _list_searched(study, parts, missing, statements)
    return CtReading(parts=tuple(parts), entries=(*ranking.entries, *rows), searched=searched)


def _with_contours(part: CtPart, request: Request) -> CtPart:
    if request.lesion_mask is None:
        return part
    from calcreport.contour.read import read_lesion_masks

    reading = request.settings.reading
    contours = read_lesion_masks(request.lesion_mask, part.ct.volume, roi=request.lesion_roi, limits=reading)
    return replace(part, contours=contours)


def _with_anatomy(parts: Sequence[CtPart], request: Request) -> list[CtPart]:
    """Lay the anatomy masks into the series they fit; a study with none of those is refused."""
    if request.anatomy is None:
        return list(parts)
    placed: list[CtPart] = []
    failed: list[tuple[SeriesFiles, InputError]] = []
    for part in parts:
        try:
            labels = _labels(part.ct.volume, request)
            placed.append(replace(part, labels=labels, notes=labels.notes))
        except InputError as error:
            failed.append((part.source, error))
            placed.append(replace(part, notes=(f"Anatomy masks were not used: {error.message}.",)))
    if len(failed) == len(parts):
        raise RefusedStudyError(failed[0][1], tuple(_refuse(*pair) for pair in failed))
    return placed


def _labels(volume: CtVolume, request: Request) -> AnatomyLabels:
    from calcreport.contour.anatomy import label_anatomy, read_anatomy

    if isinstance(request.anatomy, Path):
        return read_anatomy(request.anatomy, volume, limits=request.settings.reading)
    # Before the study's own time is up, so that its files are removed.
    seconds = _SHARE_OF_TIME * request.settings.run.max_study_seconds
    return label_anatomy(volume, seconds=seconds, limits=request.settings.reading)


def _extents(parts: Sequence[CtPart]) -> list[Extent]:
    return [part.extent for part in parts if part.extent is not None]


def _adds_body(part: CtPart, parts: Sequence[CtPart]) -> bool:
    """Whether a series shows body that no series before it shows: a wider field of view may show air alone."""
    if part.extent is None:
        return not parts
    rest = not_covered(part.extent, _extents(parts))
    if not parts or any(box is part.extent.box for box in rest):
        return True
    if not rest:
        return False
    from calcreport.anatomy.body import find_body
    from calcreport.anatomy.coarse import coarsen

    volume = part.ct.volume
    coarse = coarsen(volume)
    places = volume.geometry.lps_mm(np.argwhere(find_body(coarse).mask) * coarse.step)
    inside = np.zeros(len(places), dtype=bool)
    for low, high in rest:
        inside |= ((places >= low) & (places <= high)).all(axis=1)
    return float(inside.sum()) * float(np.prod(coarse.spacing_mm)) >= _LEAST_BODY_MM3


def _refuse(series: SeriesFiles, error: InputError) -> SeriesEntry:
    return entry_of_series(series, "refused", error.code, error.message)


def _name(series: SeriesFiles, statements: Statements) -> str:
    header = series.instances[0].series
    words = (header.body_part, series.description, header.protocol)
    return name_region(side_of(series), words, series.number, statements)


def _list_searched(
    study: StudyFiles, parts: Sequence[CtPart], missing: Sequence[tuple[SeriesFiles, str]], statements: Statements
) -> tuple[Searched, ...]:
    """Every part of the body that a series of the study shows, and whether it is measured."""
    never = [(series, code) for series in study.series if (code := refusal_code(series)) is not None]
    left_out = [
        _missing(
            series, "series.radiograph_beside_ct" if code == "series.radiograph" else code, study, parts, statements
        )
        for series, code in (*missing, *never)
    ]
    searched = [Searched(region=part.region, status="searched", series_number=part.source.number) for part in parts]
    return merge_searched(searched, [row for row in left_out if row is not None])


def _missing(
    series: SeriesFiles, code: str, study: StudyFiles, parts: Sequence[CtPart], statements: Statements
) -> Searched | None:
    """Row of a series that is not measured; ``None`` where another one shows the same part of the body."""
    if not is_elsewhere(series, code, _extents(parts)):
        return None
    read = sum(len(part.source.planes) for part in parts if part.source.uid == series.uid)
    total = sum(len(stack.planes) for stack in study.series if stack.uid == series.uid)
    return Searched(
        region=_name(series, statements),
        status="not_searched",
        reason=code,
        series_number=series.number,
        image_count=total if read else None,
        searched_count=read or None,
    )
