"""Masks and images of an earlier report, read again without a new measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from calcreport.compose.lesions import measured_facts
from calcreport.dicom import CtStack, FilmHeader, StudyFiles, rank_ct_series, rank_films, read_ct
from calcreport.dicom.series import SeriesFiles
from calcreport.errors import InputError
from calcreport.formats.dicom.subject import damaged_shape, other_images
from calcreport.model.film import FilmFindings, FilmImage, FilmReading, FilmSegment, PixelMask, ProjectedLesion, Shadow
from calcreport.model.image import CtVolume
from calcreport.model.lesion import CtFindings, MeasuredLesion, Segment, VoxelMask
from calcreport.model.report import FilmTechnique, Lesion, Point, Report, SeriesEntry, Thresholds
from calcreport.model.shape import LesionShape, Line, PackedMask, unpack_mask
from calcreport.settings import ReadingSettings
from calcreport.study.ct import ct_evidence
from calcreport.study.films import film_evidence, read_films
from calcreport.study.request import RefusedStudyError, ReportEvidence

_PLACE_TOLERANCE = 1e-6  # of the affine of a series, mm: the report holds it at full precision


def evidence_of_report(report: Report, study: StudyFiles, settings: ReadingSettings) -> ReportEvidence:
    """Read the images of a report again; lesions of the evidence are in the order of the report.

    `study` is the same study, found again. Raises `InputError` when images of the report cannot be read any more;
    `UsageError` ``render.other_images`` when they are not those the report was made from, ``render.damaged_shape`` when
    the report does not hold where its lesions are.
    """
    if report.technique is not None and report.technique.films:
        return _films(report, study, settings, report.technique.films)
    found = [series for _, series in measured_stacks(report, study, settings)]
    volumes = tuple(read_ct(series, settings=settings).volume for series in found)
    lesions = tuple(_measured(lesion, volumes) for lesion in report.lesions)
    projections = [volume.hu.max(axis=1) for volume in volumes]
    limits = report.technique.threshold_hu if report.technique else None
    findings = CtFindings(
        lesions=lesions,
        excluded=report.excluded,
        thresholds=limits or Thresholds(grow=0.0, seed=0.0),
        threshold_reason="",
        noise_hu=0.0,
        notes=(),
        maximum_intensity_hu=projections[0],
    )
    return ct_evidence(findings, volumes, projections, found)


def measured_stacks(report: Report, study: StudyFiles, settings: ReadingSettings) -> list[tuple[CtStack, SeriesFiles]]:
    """Find the measured stack of each measured series: the stack with the geometry in the report; no pixel is read.

    Raises `InputError` when one cannot be read any more; `UsageError` ``render.other_images``.
    """
    entries = [entry for entry in report.series if entry.status == "analysed" and entry.geometry]
    if not entries:
        raise other_images()
    candidates = rank_ct_series(study).candidates
    return [_find_stack(entry, candidates, settings) for entry in entries]


def _find_stack(
    entry: SeriesEntry, candidates: tuple[SeriesFiles, ...], settings: ReadingSettings
) -> tuple[CtStack, SeriesFiles]:
    failure: InputError | None = None
    for series in candidates:
        if series.uid != entry.series_instance_uid:
            continue
        try:
            stack = CtStack(series, settings=settings)
        except InputError as error:
            failure = error
            continue
        recorded, found = entry.geometry, stack.geometry
        if recorded is None or recorded.shape != found.shape:
            continue
        if np.allclose(recorded.affine_lps_mm, found.affine, rtol=0, atol=_PLACE_TOLERANCE):
            return stack, series
    raise failure or other_images()


def _measured(lesion: Lesion, volumes: tuple[CtVolume, ...]) -> MeasuredLesion:
    shape = _shape_of(lesion)
    key_slice, key = shape.key_slice, lesion.location.key_image
    if key_slice is None or not 0 <= key_slice < max(len(volume.slices) for volume in volumes):
        raise damaged_shape()
    shown = [volume.slices[key_slice].sop_instance_uid if key_slice < len(volume.slices) else "" for volume in volumes]
    if key is None or key.sop_instance_uid not in shown:
        raise other_images()
    index = shown.index(key.sop_instance_uid)
    volume = volumes[index]
    if shape.mineral is None and shape.contour is None:
        raise damaged_shape()
    return MeasuredLesion(
        **measured_facts(lesion),
        mineral=_voxels(shape.mineral, volume.hu.shape),
        contour=_voxels(shape.contour, volume.hu.shape),
        key_slice=key_slice,
        longest=_segment(shape.longest),
        axial_longest=_segment(shape.axial_longest),
        to_skin=_segment(shape.to_skin),
        to_fascia=_segment(shape.to_fascia),
        series_index=index,
    )


def films_of_report(report: Report, study: StudyFiles) -> list[FilmHeader]:
    """Films of the report in its order, none for CT; `UsageError` ``render.other_images`` where one is missing."""
    uids = [film.sop_instance_uid for film in report.technique.films] if report.technique else []
    by_uid = {film.image.instance_uid: film for film in rank_films(study).candidates} if uids else {}
    if any(uid not in by_uid for uid in uids):
        raise other_images()
    return [by_uid[uid] for uid in uids]


def read_films_again(films: Sequence[FilmHeader], settings: ReadingSettings) -> tuple[FilmImage, ...]:
    """Read films of a report; raises `InputError` where none can be read."""
    try:
        return read_films(films, (), settings).films
    except RefusedStudyError as refused:
        raise refused.reason from None


def _films(
    report: Report, study: StudyFiles, settings: ReadingSettings, techniques: tuple[FilmTechnique, ...]
) -> ReportEvidence:
    films, uids = (
        read_films_again(films_of_report(report, study), settings),
        [row.sop_instance_uid for row in techniques],
    )
    shapes = [film.intensity.shape for film in films]
    if shapes != [(row.rows, row.columns) for row in techniques]:
        raise other_images()
    findings = FilmFindings(
        films=films,
        readings=tuple(FilmReading(noise=0, searched_share=1, has_skin_line=row.has_skin_line) for row in techniques),
        lesions=tuple(_projected(lesion, films, uids) for lesion in report.lesions),
        excluded=report.excluded,
    )
    return film_evidence(findings, study)


def _projected(lesion: Lesion, films: tuple[FilmImage, ...], uids: list[str]) -> ProjectedLesion:
    shapes, places = _shape_of(lesion).films, lesion.location.films
    if not shapes or len(shapes) != len(places) or any(place.sop_instance_uid not in uids for place in places):
        raise damaged_shape()
    shadows = []
    for shape, place in zip(shapes, places, strict=True):
        number = uids.index(place.sop_instance_uid)
        offset, cells = _cells(shape.mineral, films[number].intensity.shape)
        shadows.append(
            Shadow(
                film=number,
                mineral=PixelMask(offset=cast(tuple[int, int], offset), pixels=cells),
                longest=_film_segment(shape.longest),
                across=_film_segment(shape.across),
                to_skin_line=None if shape.to_skin_line is None else _film_segment(shape.to_skin_line),
                contrast_to_noise=place.contrast_to_noise or 0.0,
                is_over_bone=place.is_over_bone,
                is_cut=lesion.size.is_minimum,
            )
        )
    return ProjectedLesion(**measured_facts(lesion), shadows=tuple(shadows))


def _shape_of(lesion: Lesion) -> LesionShape:
    if lesion.shape is None:
        raise damaged_shape()
    return lesion.shape


def _cells(packed: PackedMask, within: tuple[int, ...]) -> tuple[tuple[int, ...], np.typing.NDArray[np.bool_]]:
    """Offset and cells of a mask that lies within an image of this shape."""
    ends = [first + count for first, count in zip(packed.offset, packed.shape, strict=False)]
    if len(packed.offset) != len(within) or any(end > size for end, size in zip(ends, within, strict=False)):
        raise damaged_shape()
    try:
        cells = unpack_mask(packed)
    except ValueError:
        raise damaged_shape() from None
    if not cells.any():
        raise damaged_shape()
    return packed.offset, cells


def _voxels(packed: PackedMask | None, within: tuple[int, ...]) -> VoxelMask | None:
    if packed is None:
        return None
    offset, cells = _cells(packed, within)
    return VoxelMask(offset=cast(tuple[int, int, int], offset), voxels=cells)


def _segment(line: Line | None) -> Segment | None:
    if line is None:
        return None
    start, end = cast(tuple[Point, Point], _ends(line, 3))
    return Segment(start_lps_mm=start, end_lps_mm=end, length_mm=line.length_mm or 0.0)


def _film_segment(line: Line) -> FilmSegment:
    start, end = cast(tuple[tuple[float, float], tuple[float, float]], _ends(line, 2))
    return FilmSegment(start=start, end=end, length_px=line.length_px or 0.0, length_mm=line.length_mm)


def _ends(line: Line, axes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if len(line.start) != axes or len(line.end) != axes:
        raise damaged_shape()
    return line.start, line.end
