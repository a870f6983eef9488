"""Measurement groups of the structured report: each ties what was measured of a lesion to where it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from calcreport.formats.dicom import codes
from calcreport.formats.dicom.outline import outline
from calcreport.formats.dicom.segmentation import Segment, list_segments, tracking_uid
from calcreport.formats.dicom.subject import Subject, damaged_shape
from calcreport.formats.ris.items import has_mineral
from calcreport.model.film import FilmFindings, FilmScale, ProjectedLesion, ScaleKind, Shadow
from calcreport.model.image import SliceReference
from calcreport.model.lengths import Lengths
from calcreport.model.lesion import MeasuredLesion, VoxelMask
from calcreport.model.report import FilmPlace, Laterality, Lesion
from calcreport.text.narrative import find_limits
from calcreport.text.review import is_by_reader, longest_film
from calcreport.text.wording import lengths_of

_UNITS: Final = {
    "mm": codes.MILLIMETRE, "mm3": codes.CUBIC_MILLIMETRE, "hu": codes.HOUNSFIELD, "count": codes.COUNT
}  # fmt: skip
"""By the end of a field's name."""

_Row = tuple[Code, float | None, Code, Code | None]  # name, value, unit and method of a number
_COUNT: Final = "foci.count"  # number that is left out where it is none
# How a number came about, where that is worth a word: by field, source of the mass, and scale of the film.
_METHODS: Final = {"size.volume_mm3": codes.SUM_OF_VOXELS}
_MASS_METHODS: Final = {"contour": codes.ON_CONTOUR, "clinician": codes.BY_READER}
_PLANES: Final = {
    ScaleKind.CALIBRATED: codes.IN_CALIBRATED_PLANE,
    ScaleKind.DETECTOR: codes.IN_DETECTOR_PLANE,
    ScaleKind.NONE: codes.IN_PIXELS,
}


class Rounding(NamedTuple):
    """How numbers are written for readers: no rounded length lies on another side of a limit."""

    lengths: Lengths
    uncertainty_mm: float | None = None
    """Of the lengths, plus or minus."""

    def spell(self, value: float, unit: Code) -> str:
        """Digits of a number: lengths in whole mm where they are uncertain by 1 mm or more, else to 0.1 mm."""
        if unit != codes.MILLIMETRE:
            return f"{value:.0f}"
        return self.lengths.digits(value, 1, 0 if (self.uncertainty_mm or 0) >= 1 else 1)


def measure(lesion: Lesion, lengths: Lengths) -> list[sr.Measurement]:
    """Numbers of a lesion on CT."""
    rounding = Rounding(lengths, lesion.size.uncertainty_mm)
    mineral = _measured(lesion, codes.OF_MINERAL, rounding)
    return [*mineral, *measure_mass(lesion, lengths), *_held_against_limit(lesion, rounding)]


def measure_mass(lesion: Lesion, lengths: Lengths) -> list[sr.Measurement]:
    """Numbers of the mass around or instead of the mineral."""
    rounding = Rounding(lengths, lesion.mass.uncertainty_mm)
    return list(_measured(lesion, codes.OF_MASS, rounding, method=_MASS_METHODS.get(lesion.mass.source)))


def measure_on_film(
    lesion: Lesion, place: FilmPlace, shadow: Shadow, scale: FilmScale, lengths: Lengths
) -> list[sr.Measurement]:
    """Numbers of a lesion on one radiograph; those of the lesion as a whole stand with its first film.

    A length by a reader stands with the film on which the lesion is longest, for it is the longest one that he or she
    replaced; lengths that were measured are then left out, as they are on CT. Without a scale lengths are pixels.
    """
    plane, rounding = _PLANES[scale.kind], Rounding(lengths, lesion.size.uncertainty_mm)
    unit, length, width = codes.MILLIMETRE, place.max_diameter_mm, place.perpendicular_mm
    to_skin = place.projected_skin_line_mm
    if scale.kind is ScaleKind.NONE:
        unit, length, width = codes.PIXELS, place.max_diameter_px, place.perpendicular_px
        to_skin = shadow.to_skin_line.length_px if shadow.to_skin_line else None
    rows: list[_Row] = [(codes.PROJECTED_LENGTH, length, unit, plane), (codes.PROJECTED_WIDTH, width, unit, plane)]
    if is_by_reader(lesion, "size.max_diameter_mm"):
        by_reader = lesion.size.max_diameter_mm if place is longest_film(lesion) else None
        rows = [(codes.PROJECTED_LENGTH, by_reader, codes.MILLIMETRE, codes.BY_READER)]
    numbers = _numbers([*rows, (codes.PROJECTED_SKIN_LINE, to_skin, unit, plane)], rounding)
    if place is not lesion.location.films[0]:
        return numbers
    count = _measured(lesion, {_COUNT: codes.OF_MINERAL[_COUNT]}, rounding)
    return [*numbers, *count, *measure_mass(lesion, lengths), *_held_against_limit(lesion, rounding)]


def _held_against_limit(lesion: Lesion, rounding: Rounding) -> list[sr.Measurement]:
    """Length by which the size criterion was judged, of whatever it is, and the limit."""
    flag = lesion.flags.size
    held = ((codes.JUDGED_LENGTH, flag.value), (codes.SIZE_LIMIT, flag.limit)) if flag.unit == "mm" else ()
    return _numbers([(name, value, codes.MILLIMETRE, None) for name, value in held], rounding)


def evaluate(lesion: Lesion) -> list[sr.QualitativeEvaluation]:
    """Pattern, depth, flags, concern and what limits them; what has no code is left out."""
    pattern = lesion.pattern.id if has_mineral(lesion) else None
    # beside bone in a projection is not apart from bone
    is_apart_seen = has_mineral(lesion) and not lesion.size.projected
    holds = {True: codes.YES}
    rows: tuple[tuple[Code, Mapping[Any, Code], Any], ...] = (
        (codes.PATTERN, codes.PATTERNS, pattern),
        (codes.PATTERN_CONFIDENCE, codes.CONFIDENCES, lesion.pattern.confidence if pattern in codes.PATTERNS else None),
        (codes.CALCIFICATION_TYPE, codes.TYPES, pattern),
        (codes.CALCIFICATION_DISTRIBUTION, codes.DISTRIBUTIONS, pattern),
        (codes.DEPTH_CLASS, codes.DEPTHS, lesion.depth.class_),
        (codes.MASS_DEPTH_CLASS, codes.DEPTHS, lesion.mass.depth_class),
        (codes.BONE_RELATION, codes.BONE_RELATIONS, lesion.bone_relation if is_apart_seen else None),
        *((name, codes.FLAG_STATES, getattr(lesion.flags, flag).state) for flag, name in codes.FLAGS.items()),
        (codes.CONCERN, codes.CONCERNS, lesion.concern),
        (codes.IS_MINIMUM, holds, lesion.size.is_minimum),
        (codes.MASS_IS_MINIMUM, holds, lesion.mass.is_minimum),
        (codes.IS_CLIPPED, holds, lesion.density.is_clipped),
        (codes.IS_FAINT, holds, not lesion.density.is_certain),
        (codes.REVIEW, codes.REVIEWS, lesion.review.status if lesion.review else None),
    )
    return [sr.QualitativeEvaluation(name=name, value=table[key]) for name, table, key in rows if key in table]


def _in_common(subject: Subject, lesion: Lesion) -> dict[str, Any]:
    """What every group of a lesion has: the software with what its results depend on, and where the lesion is."""
    report, side = subject.report, lesion.location.laterality
    software, limits = report.software, find_limits(report, lesion)
    parameters = [f"rules version: {software.rules_version}"]
    if report.rules is not None:
        parameters.append(f"rules: {report.rules.name} {report.rules.version}, SHA-256 {report.rules.sha256}")
    if limits is not None:
        parameters += [f"threshold grow: {limits.grow!r} HU", f"threshold seed: {limits.seed!r} HU"]
    else:
        parameters.append("no threshold in HU: mineral denser than the soft tissue around it")
    site = sr.FindingSite(
        anatomic_location=codes.code_site(lesion.location.region),
        laterality=codes.LATERALITIES.get(side),
        topographical_modifier=codes.MIDLINE if side is Laterality.MIDLINE else None,
    )
    return {
        "algorithm_id": sr.AlgorithmIdentification(software.name, software.version, parameters),
        "finding_sites": [site],
    }


def _measured(
    lesion: Lesion, names: Mapping[str, Code], rounding: Rounding, *, method: Code | None = None
) -> Iterator[sr.Measurement]:
    for field, name in names.items():
        if field == _COUNT and lesion.foci.count == 0:
            continue  # none above the threshold is not none
        how = codes.BY_READER if is_by_reader(lesion, field) else method or _METHODS.get(field)
        # a distance is held against no limit of a length
        chosen = rounding._replace(lengths=Lengths(limits_mm=())) if field.startswith("depth.") else rounding
        yield from _numbers([(name, attrgetter(field)(lesion), _UNITS[re.split("[._]", field)[-1]], how)], chosen)


def _numbers(rows: Iterable[_Row], rounding: Rounding) -> list[sr.Measurement]:
    """Write what was measured; the rest is left out."""
    numbers = []
    for name, value, unit, method in rows:
        if value is not None and math.isfinite(value):
            numbers.append(sr.Measurement(name=name, value=value, unit=unit, method=method))
            numbers[-1][0].MeasuredValueSequence[0].NumericValue = rounding.spell(value, unit)
    return numbers


def planar_groups(subject: Subject) -> list[sr.ContentSequence]:
    """Outline (TID 1410) of every lesion on its key image; on radiographs on each film that shows it.

    Raises `UsageError` ``render.damaged_shape`` when a lesion has no voxel or pixel.
    """
    groups = [group for lesion, measured in subject.lesions for group in _outlined(subject, lesion, measured)]
    return [*groups, *_earlier_groups(subject)]


def _earlier_groups(subject: Subject) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    """What a lesion measured on the earlier study (TID 1501), by its tracking UID, at the time point of that study."""
    for lesion, _ in subject.lesions:
        growth = lesion.growth
        if growth is None or growth.change_mm is None or growth.basis is None:
            continue
        is_mass, uid = growth.basis == "mass", tracking_uid(lesion, subject.report.study.study_instance_uid)
        part, names = ("mass", codes.OF_MASS) if is_mass else ("size", codes.OF_MINERAL)
        length = names[f"{part}.max_diameter_mm"] if is_mass or not lesion.size.projected else codes.PROJECTED_LENGTH
        before: list[_Row] = [(length, growth.before_mm, codes.MILLIMETRE, None)]
        before += [(names[f"{part}.volume_mm3"], growth.volume_before_mm3, codes.CUBIC_MILLIMETRE, None)]
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=lesion.id),
            time_point_context=sr.TimePointContext(growth.prior_date or "earlier"),
            finding_type=codes.MASS if is_mass else codes.CALCIFICATION,
            measurements=_numbers(before, Rounding(lengths_of(subject.report), growth.error_mm)),
        )


def volumetric_groups(subject: Subject, stored: Sequence[Dataset]) -> list[sr.ContentSequence]:
    """Tie every lesion of a CT study, and every mass drawn around one, to its segment (TID 1411).

    `stored` are headers of its segmentations; raises `ValueError` when they are not those of this report.
    """
    places = {
        str(item.TrackingUID): (header, int(item.SegmentNumber))
        for header in stored
        for item in header.get("SegmentSequence") or ()
    }
    segments = [segment for index in range(len(subject.volumes)) for segment in list_segments(subject, index)]
    if {segment.tracking_uid for segment in segments} != set(places):
        msg = "the segmentation is not one of this report"
        raise ValueError(msg)
    groups = [_volumetric(subject, segment, *places[segment.tracking_uid]) for segment in segments]
    return [*groups, *_earlier_groups(subject)]


def _volumetric(
    subject: Subject, segment: Segment[VoxelMask], stored: Dataset, number: int
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    lesion, lengths = segment.lesion, lengths_of(subject.report)
    is_lesion = segment.tracking_id == lesion.id
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=stored.SOPClassUID,
            sop_instance_uid=stored.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(lesion.series_instance_uid),
        ),
        finding_type=codes.MASS if segment.is_mass else codes.CALCIFICATION,
        measurements=measure(lesion, lengths) if is_lesion else measure_mass(lesion, lengths),
        qualitative_evaluations=evaluate(lesion) if is_lesion else [],
        **_in_common(subject, lesion),
    )


def _outlined(
    subject: Subject, lesion: Lesion, measured: MeasuredLesion | ProjectedLesion
) -> list[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    lengths = lengths_of(subject.report)
    if isinstance(measured, MeasuredLesion):
        # the outline is that of the mineral, and of the contour where there is none
        masks = (mask for mask in (measured.mineral, measured.contour) if mask is not None and mask.voxels.any())
        mask = next(masks, None)
        if mask is None:
            raise damaged_shape()
        index = _best_slice(mask, measured.key_slice)
        if not subject.volumes:
            msg = "a CT report without its series cannot be written"
            raise ValueError(msg)
        plane = mask.voxels[index - mask.offset[0]]
        region = _region(subject, subject.volumes[measured.series_index].slices[index], plane, mask.offset[1:])
        return [_planar(subject, lesion, region, measure(lesion, lengths), evaluate(lesion))]
    if not isinstance(subject.findings, FilmFindings):
        msg = "a lesion on radiographs without its radiographs cannot be written"
        raise TypeError(msg)
    groups: list[sr.PlanarROIMeasurementsAndQualitativeEvaluations] = []
    for place, shadow in zip(lesion.location.films, measured.shadows, strict=True):
        film = subject.findings.films[shadow.film]
        region = _region(subject, film.reference, shadow.mineral.pixels, shadow.mineral.offset)
        numbers = measure_on_film(lesion, place, shadow, film.scale, lengths)
        groups.append(_planar(subject, lesion, region, numbers, [] if groups else evaluate(lesion)))
    return groups


def _best_slice(mask: VoxelMask, key_slice: int) -> int:
    """Index of the key slice, or of the slice with most of the mask where the key slice shows none of it."""
    areas = mask.voxels.sum(axis=(1, 2))
    place = key_slice - mask.offset[0]
    if 0 <= place < len(areas) and areas[place]:
        return key_slice
    return mask.offset[0] + int(np.argmax(areas))


def _region(
    subject: Subject, reference: SliceReference, mask: NDArray[np.bool_], offset: tuple[int, ...]
) -> sr.ImageRegion:
    """Outline of a mask on a stored image; `offset` is row and column of the mask's first pixel."""
    if not mask.any():
        raise damaged_shape()
    row, column = offset
    uid, frames = reference.sop_instance_uid, None if reference.frame is None else [reference.frame]
    return sr.ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=outline(mask) + np.array((column, row), dtype=np.float32),
        source_image=sr.SourceImageForRegion(subject.source.sop_class_uid(uid), uid, frames),
    )


def _planar(
    subject: Subject, lesion: Lesion, region: sr.ImageRegion, measurements: Sequence[Any], evaluations: Sequence[Any]
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Group of calcification, or of a mass where a reader's contour holds none that was found."""
    uid = tracking_uid(lesion, subject.report.study.study_instance_uid)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=lesion.id),
        referenced_region=region,
        finding_type=codes.CALCIFICATION if has_mineral(lesion) else codes.MASS,
        measurements=measurements,
        qualitative_evaluations=evaluations,
        **_in_common(subject, lesion),
    )
