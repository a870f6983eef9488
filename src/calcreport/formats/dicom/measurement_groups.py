"""Measurement groups of the structured report: each ties what was measured of a lesion to where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from calcreport.formats.dicom import codes
from calcreport.formats.dicom.damage import damaged_shape
from calcreport.formats.dicom.measured_items import (
    algorithm,
    evaluate,
    measure,
    measure_mass,
    measure_on_film,
    sites,
)
from calcreport.formats.dicom.outline import outline
from calcreport.formats.dicom.segments import Segment, list_segments, tracking_uid
from calcreport.formats.dicom.subject import Subject
from calcreport.formats.ris.items import has_mineral
from calcreport.model.film import FilmFindings, ProjectedLesion
from calcreport.model.image import SliceReference
from calcreport.model.lesion import MeasuredLesion, VoxelMask
from calcreport.model.report import Lesion
from calcreport.text.wording import lengths_of

if TYPE_CHECKING:
    from highdicom.sr import (
        ImageRegion,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )


def planar_groups(subject: Subject) -> list[PlanarROIMeasurementsAndQualitativeEvaluations]:
    """Outline (TID 1410) of every lesion on its key image; on radiographs on each film that shows it.

    Raises `UsageError` ``render.damaged_shape`` when a lesion has no voxel or pixel.
    """
    return [group for lesion, measured in subject.lesions for group in _outlined(subject, lesion, measured)]


def volumetric_groups(
    subject: Subject, stored: Sequence[Dataset]
) -> list[VolumetricROIMeasurementsAndQualitativeEvaluations]:
    """Tie every lesion of a CT study, and every mass drawn around one, to its segment (TID 1411).

    `stored` are headers of its segmentations; raises `ValueError` when they are not those of this report.
    """
    places = {
        str(item.TrackingUID): (header, int(item.SegmentNumber))
        for header in stored
        for item in header.get("SegmentSequence") or ()
    }
    segments = [segment for index in range(len(subject.volumes)) for segment in list_segments(subject, index)]
    lesions = {lesion.id: lesion for lesion in subject.report.lesions}
    if {segment.tracking_uid for segment in segments} != set(places):
        msg = "the segmentation is not one of this report"
        raise ValueError(msg)
    return [
        _volumetric(subject, lesions[segment.lesion_id], segment, *places[segment.tracking_uid]) for segment in segments
    ]


def _outlined(
    subject: Subject, lesion: Lesion, measured: MeasuredLesion | ProjectedLesion
) -> list[PlanarROIMeasurementsAndQualitativeEvaluations]:
    if isinstance(measured, MeasuredLesion):
        mask = _drawn(measured)
        index = _best_slice(mask, measured.key_slice)
        if not subject.volumes:
            msg = "a CT report without its series cannot be written"
            raise ValueError(msg)
        plane = mask.voxels[index - mask.offset[0]]
        region = _region(subject, subject.volumes[measured.series_index].slices[index], plane, mask.offset[1:])
        return [_planar(subject, lesion, region, measure(lesion, lengths_of(subject.report)), evaluate(lesion))]
    if not isinstance(subject.findings, FilmFindings):
        msg = "a lesion on radiographs without its radiographs cannot be written"
        raise TypeError(msg)
    groups: list[PlanarROIMeasurementsAndQualitativeEvaluations] = []
    for place, shadow in zip(lesion.location.films, measured.shadows, strict=True):
        film = subject.findings.films[shadow.film]
        region = _region(subject, film.reference, shadow.mineral.pixels, shadow.mineral.offset)
        told = measure_on_film(lesion, place, shadow, film.scale, lengths_of(subject.report))
        groups.append(_planar(subject, lesion, region, told, [] if groups else evaluate(lesion)))
    return groups


def _drawn(measured: MeasuredLesion) -> VoxelMask:
    """Mask whose outline is drawn: the mineral, and the contour where there is none."""
    for mask in (measured.mineral, measured.contour):
        if mask is not None and mask.voxels.any():
            return mask
    raise damaged_shape()


def _best_slice(mask: VoxelMask, key_slice: int) -> int:
    """Index of the key slice, or of the slice with most of the mask where the key slice shows none of it."""
    areas = mask.voxels.sum(axis=(1, 2))
    place = key_slice - mask.offset[0]
    if 0 <= place < len(areas) and areas[place]:
        return key_slice
    return mask.offset[0] + int(np.argmax(areas))


def _region(
    subject: Subject, reference: SliceReference, mask: NDArray[np.bool_], offset: tuple[int, ...]
) -> ImageRegion:
    """Outline of a mask on a stored image; `offset` is row and column of the mask's first pixel."""
    from highdicom.sr import ImageRegion, SourceImageForRegion  # noqa: PLC0415 - slow to import

    if not mask.any():
        raise damaged_shape()
    row, column = offset
    return ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=outline(mask) + np.array((column, row), dtype=np.float32),
        source_image=SourceImageForRegion(
            subject.source.sop_class_uid(reference.sop_instance_uid),
            reference.sop_instance_uid,
            None if reference.frame is None else [reference.frame],
        ),
    )


def _planar(
    subject: Subject, lesion: Lesion, region: ImageRegion, measurements: Sequence[Any], evaluations: Sequence[Any]
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations, TrackingIdentifier  # noqa: PLC0415

    study = subject.report.study.study_instance_uid
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid(lesion, study), identifier=lesion.id),
        referenced_region=region,
        finding_type=_finding(lesion),
        algorithm_id=algorithm(subject.report, lesion),
        finding_sites=sites(lesion),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _finding(lesion: Lesion) -> Code:
    """Calcification, or a mass where a reader's contour holds none that was found."""
    return codes.CALCIFICATION if has_mineral(lesion) else codes.MASS


def _volumetric(
    subject: Subject, lesion: Lesion, segment: Segment[VoxelMask], stored: Dataset, number: int
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import (  # noqa: PLC0415
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    is_lesion = segment.tracking_id == lesion.id
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=segment.tracking_uid, identifier=segment.tracking_id),
        referenced_segment=ReferencedSegment(
            sop_class_uid=stored.SOPClassUID,
            sop_instance_uid=stored.SOPInstanceUID,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(lesion.series_instance_uid),
        ),
        finding_type=codes.MASS if segment.is_mass else codes.CALCIFICATION,
        algorithm_id=algorithm(subject.report, lesion),
        finding_sites=sites(lesion),
        measurements=(measure if is_lesion else measure_mass)(lesion, lengths_of(subject.report)),
        qualitative_evaluations=evaluate(lesion) if is_lesion else [],
    )
