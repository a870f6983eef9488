"""``seg.dcm``: segmentation of every lesion that no reader rejected, on the images that were measured.

Frames stand for stored slices that hold mask, nothing else: their positions are those of the source images, so that
oblique, tilted and unevenly ordered stacks need no special case, and only those headers are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice, starmap
from typing import Any, Final, Generic, TypeVar

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage
from pydicom.valuerep import format_number_as_ds

from calcreport.contour.grid import count_shared
from calcreport.dicom.header.image_header import MAKER
from calcreport.formats.characters import to_ascii
from calcreport.formats.dicom import instance
from calcreport.formats.dicom.codes import ABNORMAL_STRUCTURE, MASS, PATHOLOGIC_CALCIFICATION
from calcreport.formats.dicom.instance import finish, refer_to, stand_in, untroubled
from calcreport.formats.dicom.subject import Subject
from calcreport.model.film import FilmFindings, PixelMask, ProjectedLesion
from calcreport.model.image import CtVolume
from calcreport.model.lesion import MeasuredLesion, VoxelMask
from calcreport.model.report import Lesion, YesNo
from calcreport.model.uids import derive_uid
from calcreport.text.narrative import find_limits

MaskT = TypeVar("MaskT", VoxelMask, PixelMask)  # of the measured series, or of a film

_FAMILY: Final = Code("123101", "DCM", "Neighborhood Analysis")  # of the algorithm
_LABEL: Final = "CALCIFICATION"  # of the object
_DESCRIPTION: Final = "Soft-tissue calcification, draft, not verified"  # of the object
_FULL: Final = 255  # A pixel that is all mask, where a pixel has a byte; none is in part

# Colours in CIELab: the first hue is cyan, that of the outlines on the key images, each other as far as can be from all
# before it; a mass has the hue of its lesion, darker.
_FIRST_HUE_DEG: Final = 220.0
_GOLDEN_DEG: Final = 137.508
_CHROMA: Final = 45.0
_LIGHT: Final = 72.0
_DARK: Final = 50.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment(Generic[MaskT]):
    """One segment."""

    lesion: Lesion
    hue: int
    """Place of the lesion in the report: its segments share a hue."""
    tracking_id: str
    tracking_uid: str
    """As in the structured report."""
    label: str
    """Name in a viewer's list; ASCII."""
    mask: MaskT
    is_mass: bool = False
    """A reader's contour of a whole lesion rather than mineral that was found."""


def tracking_uid(lesion: Lesion, study_instance_uid: str) -> str:
    """Tracking UID of a lesion; of one that has none it follows from its name in the study."""
    return lesion.tracking_uid or derive_uid("lesion", study_instance_uid, lesion.id)


def list_segments(subject: Subject, series_index: int = 0) -> list[Segment[VoxelMask]]:
    """Mineral of every lesion of one measured series, in report order, then the masses that a reader drew around it.

    A contour without mineral is the lesion itself and carries its tracking id. One whose mass a reader denied since is
    left out.
    """
    study = subject.report.study.study_instance_uid
    minerals, masses = [], []
    for hue, (lesion, measured) in enumerate(subject.lesions):
        if not isinstance(measured, MeasuredLesion) or measured.series_index != series_index:
            continue
        if measured.mineral is not None:
            minerals.append(_mineral_segment(lesion, measured.mineral, hue, study))
        if measured.contour is not None and lesion.mass.present is not YesNo.NO:
            whole = _mineral_segment(lesion, measured.contour, hue, study)
            label = _label(f"{lesion.id} mass (reader contour)")
            whole = replace(whole, label=label, is_mass=True)
            if measured.mineral is not None:
                uid = derive_uid("mass", tracking_uid(lesion, study))
                whole = replace(whole, tracking_id=f"{lesion.id} mass", tracking_uid=uid)
            masses.append(whole)
    return [segment for segment in minerals + masses if segment.mask.voxels.any()]


def _mineral_segment(lesion: Lesion, mask: MaskT, hue: int, study_instance_uid: str) -> Segment[MaskT]:
    uid, label = tracking_uid(lesion, study_instance_uid), _label(f"{lesion.id} calcification")
    return Segment(lesion=lesion, hue=hue, tracking_id=lesion.id, tracking_uid=uid, label=label, mask=mask)


def _describe_segments(segments: Sequence[Segment[Any]], subject: Subject) -> list[SegmentDescription]:
    """Segment descriptions, numbered from 1; all segments of an object lie on one series, with the same limits."""
    limits, parameters = find_limits(subject.report, segments[0].lesion), {"method": "local contrast"}
    if limits:
        parameters = {"grow_hu": f"{limits.grow:g}", "seed_hu": f"{limits.seed:g}"}
    algorithm = AlgorithmIdentificationSequence(
        name=MAKER, family=_FAMILY, version=subject.report.software.version, source=MAKER, parameters=parameters
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=segment.label,
            segmented_property_category=ABNORMAL_STRUCTURE,
            segmented_property_type=MASS if segment.is_mass else PATHOLOGIC_CALCIFICATION,
            algorithm_type="MANUAL" if segment.is_mass else "AUTOMATIC",
            algorithm_identification=None if segment.is_mass else algorithm,
            tracking_id=segment.tracking_id,
            tracking_uid=segment.tracking_uid,
            display_color=CIELabColor(
                _DARK if segment.is_mass else _LIGHT, _CHROMA * math.cos(angle), _CHROMA * math.sin(angle)
            ),
        )
        for number, segment in enumerate(segments, start=1)
        for angle in (math.radians(_FIRST_HUE_DEG + segment.hue * _GOLDEN_DEG),)
    ]


def _label(text: str) -> str:
    return to_ascii(text).replace("\\", "/")[: instance.LONGEST]


def write_segmentation(subject: Subject, *, series_index: int = 0, number: int = 1) -> bytes | None:
    """Write the segmentation of one measured series of a CT study: a segmentation lies in one frame of reference.

    `number` is its Instance Number, from 1 among the segmentations of the study. ``None`` for radiographs and when no
    lesion of the series is left.
    """
    segments = list_segments(subject, series_index)
    if not segments or not subject.volumes:
        return None
    volume = subject.volumes[series_index]
    slices = [
        {segment.mask.offset[0] + index for index in np.flatnonzero(segment.mask.voxels.any(axis=(1, 2))).tolist()}
        for segment in segments
    ]
    used = sorted(set().union(*slices))
    presence = np.array([[index in held for held in slices] for index in used])
    with untroubled():
        sources = [_slice_header(subject, volume, index) for index in used]
        shape = volume.hu.shape[1:]
        made = _segmentation(sources, presence, segments, subject, shape)
        of_stand_in = {str(source.SOPInstanceUID): index for source, index in zip(sources, used, strict=True)}
        _fill(made, (segments[number].mask.on_slice(of_stand_in[uid], shape) for number, uid in _frames(made)))
        _refer_to_stored(made, [_stored(subject, volume, index) for index in used])
    return finish(made, subject, kind="seg", number=number, name="" if number == 1 else str(number))


def write_film_segmentations(subject: Subject) -> dict[str, bytes]:
    """Write ``seg.dcm`` of the first radiograph that shows a lesion, ``seg_2.dcm`` of the next; nothing for CT.

    Radiographs have no patient coordinates, and so has their segmentation: its pixels are those of the film that it
    names, which the standard allows for one image an object (PS3.3 A.51, C.8.20.2).
    """
    findings = subject.findings
    if not isinstance(findings, FilmFindings):
        return {}
    written: dict[str, bytes] = {}
    for film, radiograph in enumerate(findings.films):
        segments = [
            _mineral_segment(lesion, shadow.mineral, hue, subject.report.study.study_instance_uid)
            for hue, (lesion, measured) in enumerate(subject.lesions)
            if isinstance(measured, ProjectedLesion)
            for shadow in measured.shadows
            if shadow.film == film and shadow.mineral.pixels.any()
        ]
        if not segments:
            continue
        header = subject.source.header(radiograph.reference.sop_instance_uid)
        number = len(written) + 1
        with untroubled():
            source = stand_in(header)
            source.SOPClassUID = ComputedRadiographyImageStorage
            source.Rows = source.Columns = 1
            shape = radiograph.picture.shape
            made = _segmentation([source], np.ones((1, len(segments)), dtype=bool), segments, subject, shape)
            _fill(made, (segments[place].mask.on_film(shape) for place, _ in _frames(made)))
            _refer_to_stored(made, [(header, radiograph.reference.frame)])
            made.PatientOrientation = header.get("PatientOrientation", "")
            made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [_measures(radiograph.scale.spacing_mm)]
        name = "seg.dcm" if number == 1 else f"seg_{number}.dcm"
        written[name] = finish(made, subject, kind="seg", number=number, name="" if number == 1 else str(number))
    return written


def _measures(spacing_mm: tuple[float, float] | None) -> Dataset:
    """Pixel measures of a film, never empty: Orthanc drops an empty item, and OHIF goes blank without one."""
    measures = Dataset()
    if spacing_mm:
        measures.PixelSpacing = [format_number_as_ds(value) for value in spacing_mm]
    else:
        measures.PixelSpacingCalibrationDescription = "No pixel spacing"
    return measures


def _frames(made: Dataset) -> list[tuple[int, str]]:
    """Of each frame the place of its segment in the list, and the UID of its source."""
    return [
        (
            int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) - 1,
            str(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID),
        )
        for group in made.PerFrameFunctionalGroupsSequence
    ]


def _fill(made: Dataset, planes: Iterable[NDArray[np.bool_]]) -> None:
    """Put the pixels in: a bit each, or where the object has bytes `_FULL` where the mask is."""
    if made.BitsAllocated == 1:
        made.PixelData = _pack_frames(planes)
        return
    content = b"".join((plane * np.uint8(_FULL)).tobytes() for plane in planes)
    made.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))


def _segmentation(
    sources: Sequence[Dataset],
    presence: NDArray[np.bool_],
    segments: Sequence[Segment[Any]],
    subject: Subject,
    shape: tuple[int, ...],
) -> Dataset:
    """Lay the object out by the standard's rules, with one pixel a frame; without its pixels, patient, study and times.

    The whole stack of every segment, which highdicom would want for the pixels, can take gigabytes. `sources` are
    stand-ins of one row and one column; `presence`, shape ``(slices, segments)``, tells whether a slice holds a
    segment. Where the columns of `shape`, that of the frames, fill no whole bytes a pixel has a byte: Orthanc gives
    out no frame of single bits then (docs/decisions/0031).
    """
    made: Dataset = Segmentation(
        source_images=sources,
        pixel_array=presence[:, None, None, :].astype(np.uint8),
        segmentation_type="FRACTIONAL" if shape[1] % 8 else "BINARY",
        fractional_type="OCCUPANCY",
        max_fractional_value=_FULL,
        segment_descriptions=_describe_segments(segments, subject),
        **instance.arguments_of(subject, "seg"),
        manufacturer_model_name=MAKER,
        software_versions=subject.report.software.version[:64],
        device_serial_number=instance.SERIAL_NUMBER,
        content_label=_LABEL,
        content_description=_DESCRIPTION,
    )
    made.Rows, made.Columns = shape
    masks = [(m.voxels if isinstance(m, VoxelMask) else m.pixels, m.offset) for m in (one.mask for one in segments)]
    made.SegmentsOverlap = "YES" if any(starmap(count_shared, combinations(masks, 2))) else "NO"
    _settle(made, subject)
    return made


def _settle(made: Dataset, subject: Subject) -> None:
    """Replace what is random, and keep the segment of each frame with the frame, where every reader looks for it."""
    organisation = derive_uid("dimensions", subject.revision.instance_uid("seg"))
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    made.pop("DimensionOrganizationType", None)  # slices without mask are missing: no volume
    shared = made.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        element = shared["SegmentIdentificationSequence"]
        del shared["SegmentIdentificationSequence"]
        for frame in made.PerFrameFunctionalGroupsSequence:
            frame["SegmentIdentificationSequence"] = element


def _slice_header(subject: Subject, volume: CtVolume, index: int) -> Dataset:
    """Stand-in for one stored slice, a frame of a multi-frame object included, under a name of its own."""
    header, frame = _stored(subject, volume, index)
    to_slice, row_step, column_step = volume.geometry.affine[:3, :3].T
    position = _plane_position(header, frame)
    if position is None:
        position = [float(value) for value in volume.geometry.lps_mm(np.array((index, 0, 0)))]
    source = stand_in(header)
    source.SOPClassUID = CTImageStorage
    source.SOPInstanceUID = derive_uid("slice", str(index))
    source.FrameOfReferenceUID = (
        header.get("FrameOfReferenceUID")
        or volume.frame_of_reference_uid
        or derive_uid("frame of reference", volume.series_instance_uid)
    )
    source.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    source.Rows = source.Columns = 1
    source.ImagePositionPatient = [format_number_as_ds(value) for value in position]
    source.ImageOrientationPatient = [
        format_number_as_ds(float(value)) for step in (column_step, row_step) for value in step / np.linalg.norm(step)
    ]
    between, row_mm, column_mm = volume.geometry.spacing_mm
    source.PixelSpacing = [format_number_as_ds(row_mm), format_number_as_ds(column_mm)]
    thickness = header.get("SliceThickness")
    source.SliceThickness = format_number_as_ds(float(thickness) if thickness else between)
    if len(volume.slices) > 1 and np.linalg.norm(to_slice) > 0:
        source.SpacingBetweenSlices = format_number_as_ds(between)
    return source


def _stored(subject: Subject, volume: CtVolume, index: int) -> tuple[Dataset, int | None]:
    reference = volume.slices[index]
    return subject.source.header(reference.sop_instance_uid), reference.frame


def _plane_position(header: Dataset, frame: int | None) -> list[float] | None:
    """Position of a stored slice as its header says, LPS mm; ``None`` when that is missing or malformed."""
    holder: Any = header
    if frame is not None:
        groups = header.get("PerFrameFunctionalGroupsSequence") or []
        positions = groups[frame - 1].get("PlanePositionSequence") if frame <= len(groups) else None
        holder = positions[0] if positions else None
    value = None if holder is None else holder.get("ImagePositionPatient")
    if value is None or len(value) != 3:
        return None
    return [float(part) for part in value]


def _refer_to_stored(made: Dataset, stored: Sequence[tuple[Dataset, int | None]]) -> None:
    """Name the stored images, and of multi-frame ones the frame, instead of their stand-ins.

    `stored` are header and frame of each source, in the order in which the sources were given.
    """
    uids = (str(item.ReferencedSOPInstanceUID) for item in made.SourceImageSequence)
    of_stand_in = dict(zip(uids, stored, strict=True))
    for group in made.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or ():
            for item in derivation.SourceImageSequence:
                source = of_stand_in.get(str(item.ReferencedSOPInstanceUID))
                if source is not None:  # segments share an item: it is renamed once
                    item.update(refer_to(source[0]))
                    if source[1] is not None:
                        item.ReferencedFrameNumber = source[1]
    items = [refer_to(header) for header in {str(header.SOPInstanceUID): header for header, _ in stored}.values()]
    made.SourceImageSequence = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = items


def _pack_frames(planes: Iterable[NDArray[np.bool_]]) -> bytes:
    """Pack frames of one shape ``(rows, columns)``, one bit a pixel, without a gap, to even length (PS3.5 8.1.1).

    They are taken eight at a time, for eight frames end with a whole byte whatever their size.
    """
    content, rest = b"", iter(planes)
    while batch := list(islice(rest, 8)):
        content += np.packbits(np.stack(batch), bitorder="little").tobytes()
    return content + b"\0" * (len(content) % 2)
