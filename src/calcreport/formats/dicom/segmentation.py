"""``seg.dcm``: segmentation of every lesion that no reader rejected, on the images that were measured.

Frames stand for stored slices that hold mask, nothing else: their positions are those of the source images, so that
oblique, tilted and unevenly ordered stacks need no special case, and only those headers are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage
from pydicom.valuerep import format_number_as_ds

from calcreport.dicom.header.image_header import MAKER
from calcreport.formats.dicom.instance import SERIAL_NUMBER, SERIES_NUMBERS, finish, refer_to, stand_in, untroubled
from calcreport.formats.dicom.segments import Segment, describe_segments, list_segments, mineral_segment
from calcreport.formats.dicom.subject import Subject
from calcreport.model.film import FilmFindings, PixelMask, ProjectedLesion
from calcreport.model.image import CtVolume
from calcreport.model.lesion import VoxelMask
from calcreport.model.uids import derive_uid

_FULL: Final = 255
"""A pixel that is all mask, where a pixel has a byte; none is in part."""
_LABEL: Final = "CALCIFICATION"
_DESCRIPTION: Final = "Soft-tissue calcification, draft, not verified"


def write_segmentation(subject: Subject, *, series_index: int = 0, number: int = 1) -> bytes | None:
    """Write the segmentation of one measured series of a CT study: a segmentation lies in one frame of reference.

    `number` is its Instance Number, from 1 among the segmentations of the study. ``None`` for radiographs and when no
    lesion of the series is left. Raises `NotDicomError` ``file.damaged`` when the header of an image cannot be read
    again.
    """
    segments = list_segments(subject, series_index)
    if not segments or not subject.volumes:
        return None
    volume = subject.volumes[series_index]
    slices = [set(_slices_of(segment.mask)) for segment in segments]
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
    names, which the standard allows for one image an object (PS3.3 A.51, C.8.20.2). Raises `NotDicomError`
    ``file.damaged`` when the header of an image cannot be read again.
    """
    findings = subject.findings
    if not isinstance(findings, FilmFindings):
        return {}
    written: dict[str, bytes] = {}
    for film, radiograph in enumerate(findings.films):
        segments = _shadows_on(subject, film)
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
        name = "seg.dcm" if number == 1 else f"seg_{number}.dcm"
        written[name] = finish(made, subject, kind="seg", number=number, name="" if number == 1 else str(number))
    return written


def _shadows_on(subject: Subject, film: int) -> list[Segment[PixelMask]]:
    study = subject.report.study.study_instance_uid
    return [
        mineral_segment(lesion, shadow.mineral, hue, study)
        for hue, (lesion, measured) in enumerate(subject.lesions)
        if isinstance(measured, ProjectedLesion)
        for shadow in measured.shadows
        if shadow.film == film and shadow.mineral.pixels.any()
    ]


def _slices_of(mask: VoxelMask) -> list[int]:
    return [mask.offset[0] + int(index) for index in np.flatnonzero(mask.voxels.any(axis=(1, 2)))]


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
        made.PixelData = pack_frames(planes)
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
    from highdicom.seg import Segmentation  # noqa: PLC0415 - slow to import

    made: Dataset = Segmentation(
        source_images=sources,
        pixel_array=presence[:, None, None, :].astype(np.uint8),
        segmentation_type="FRACTIONAL" if shape[1] % 8 else "BINARY",
        fractional_type="OCCUPANCY",
        max_fractional_value=_FULL,
        segment_descriptions=describe_segments(segments, subject),
        series_instance_uid=subject.revision.series_uid("seg"),
        series_number=SERIES_NUMBERS["seg"],
        sop_instance_uid=subject.revision.instance_uid("seg"),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=subject.report.software.version[:64],
        device_serial_number=SERIAL_NUMBER,
        content_label=_LABEL,
        content_description=_DESCRIPTION,
    )
    made.Rows, made.Columns = shape
    made.SegmentsOverlap = "YES" if overlap([segment.mask for segment in segments]) else "NO"
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
    source.ImagePositionPatient = [_decimal(value) for value in position]
    source.ImageOrientationPatient = [
        _decimal(float(value)) for step in (column_step, row_step) for value in step / np.linalg.norm(step)
    ]
    between, row_mm, column_mm = volume.geometry.spacing_mm
    source.PixelSpacing = [_decimal(row_mm), _decimal(column_mm)]
    thickness = header.get("SliceThickness")
    source.SliceThickness = _decimal(float(thickness) if thickness else between)
    if len(volume.slices) > 1 and np.linalg.norm(to_slice) > 0:
        source.SpacingBetweenSlices = _decimal(between)
    return source


def _stored(subject: Subject, volume: CtVolume, index: int) -> tuple[Dataset, int | None]:
    reference = volume.slices[index]
    return subject.source.header(reference.sop_instance_uid), reference.frame


def _plane_position(header: Dataset, frame: int | None) -> list[float] | None:
    """Position of a stored slice as its header says, LPS mm; ``None`` when that is missing or malformed."""
    holder: Any = header
    if frame is not None:
        groups = header.get("PerFrameFunctionalGroupsSequence") or []
        holder = _first(groups[frame - 1] if frame <= len(groups) else None, "PlanePositionSequence")
    value = None if holder is None else holder.get("ImagePositionPatient")
    if value is None or len(value) != 3:
        return None
    return [float(part) for part in value]


def _first(holder: Dataset | None, keyword: str) -> Dataset | None:
    items = holder.get(keyword) if holder is not None else None
    return items[0] if items else None


def _decimal(value: float) -> str:
    """Write a number as a decimal string of at most 16 characters, as exactly as that allows."""
    return format_number_as_ds(value)


def _refer_to_stored(made: Dataset, stored: Sequence[tuple[Dataset, int | None]]) -> None:
    """Name the stored images, and of multi-frame ones the frame, instead of their stand-ins.

    `stored` are header and frame of each source, in the order in which the sources were given.
    """
    of_stand_in = dict(
        zip((str(item.ReferencedSOPInstanceUID) for item in made.SourceImageSequence), stored, strict=True)
    )
    for group in made.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or ():
            for item in derivation.SourceImageSequence:
                source = of_stand_in.get(str(item.ReferencedSOPInstanceUID))
                if source is not None:  # segments share an item: it is renamed once
                    item.update(refer_to(source[0]))
                    if source[1] is not None:
                        item.ReferencedFrameNumber = source[1]
    items = [refer_to(header) for header in {str(header.SOPInstanceUID): header for header, _ in stored}.values()]
    made.SourceImageSequence = items
    made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = items


def pack_frames(planes: Iterable[NDArray[np.bool_]]) -> bytes:
    """Pack frames of one shape ``(rows, columns)``, one bit a pixel, without a gap, to even length (PS3.5 8.1.1).

    They are taken eight at a time, for eight frames end with a whole byte whatever their size.
    """
    packed = []
    rest = iter(planes)
    while batch := list(islice(rest, 8)):
        packed.append(np.packbits(np.stack(batch), bitorder="little").tobytes())
    content = b"".join(packed)
    return content + b"\0" * (len(content) % 2)


def overlap(masks: Sequence[VoxelMask | PixelMask]) -> bool:
    """Whether any two masks share a cell."""
    return any(_share(one, other) for one, other in combinations(masks, 2))


def _share(one: VoxelMask | PixelMask, other: VoxelMask | PixelMask) -> bool:
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.box, other.box, strict=True)]
    if any(part.start >= part.stop for part in common):
        return False
    cut = [
        (mask.voxels if isinstance(mask, VoxelMask) else mask.pixels)[
            tuple(slice(part.start - o, part.stop - o) for part, o in zip(common, mask.offset, strict=True))
        ]
        for mask in (one, other)
    ]
    return bool((cut[0] & cut[1]).any())
