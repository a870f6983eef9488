"""Segments of a segmentation: which mask each one is, what it is called, and its colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydicom.sr.coding import Code

from calcreport.dicom.header.image_header import MAKER
from calcreport.formats.characters import to_ascii
from calcreport.formats.dicom.codes import ABNORMAL_STRUCTURE, MASS, PATHOLOGIC_CALCIFICATION
from calcreport.formats.dicom.subject import Subject
from calcreport.formats.dicom.wording import LONGEST
from calcreport.model.film import PixelMask
from calcreport.model.lesion import MeasuredLesion, VoxelMask
from calcreport.model.report import Lesion, YesNo
from calcreport.model.uids import derive_uid
from calcreport.text.narrative import find_limits

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

MaskT = TypeVar("MaskT", VoxelMask, PixelMask)

_FAMILY: Final = Code("123101", "DCM", "Neighborhood Analysis")
_FIRST_HUE_DEG: Final = 220.0
"""Cyan: the colour of the outlines on the key images."""
_GOLDEN_DEG: Final = 137.508
"""Each hue as far as can be from all before it."""
_CHROMA: Final = 45.0
_LIGHT: Final = 72.0
_DARK: Final = 50.0
"""A mass has the hue of its lesion, darker."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment(Generic[MaskT]):
    """One segment."""

    lesion_id: str
    """Name of the lesion it belongs to."""
    tracking_id: str
    tracking_uid: str
    """As in the structured report."""
    label: str
    """Name in a viewer's list; ASCII."""
    mask: MaskT
    """Voxels of the measured series, or pixels of a film."""
    is_mass: bool
    """A reader's contour of a whole lesion rather than mineral that was found."""
    hue: int
    """Segments of one lesion share a hue."""


def tracking_uid(lesion: Lesion, study_instance_uid: str) -> str:
    """Tracking UID of a lesion; of one that has none it follows from its name in the study."""
    return lesion.tracking_uid or derive_uid("lesion", study_instance_uid, lesion.id)


def mass_tracking_uid(lesion: Lesion, study_instance_uid: str) -> str:
    """Tracking UID of the whole mass around the mineral of a lesion."""
    return derive_uid("mass", tracking_uid(lesion, study_instance_uid))


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
            minerals.append(mineral_segment(lesion, measured.mineral, hue, study))
        if measured.contour is not None and lesion.mass.present is not YesNo.NO:
            is_whole = measured.mineral is None
            masses.append(
                Segment(
                    lesion_id=lesion.id,
                    tracking_id=lesion.id if is_whole else f"{lesion.id} mass",
                    tracking_uid=(tracking_uid if is_whole else mass_tracking_uid)(lesion, study),
                    label=_label(f"{lesion.id} mass (reader contour)"),
                    mask=measured.contour,
                    is_mass=True,
                    hue=hue,
                )
            )
    return [segment for segment in minerals + masses if _any(segment.mask)]


def mineral_segment(lesion: Lesion, mask: MaskT, hue: int, study_instance_uid: str) -> Segment[MaskT]:
    """Segment of the mineral of a lesion."""
    return Segment(
        lesion_id=lesion.id,
        tracking_id=lesion.id,
        tracking_uid=tracking_uid(lesion, study_instance_uid),
        label=_label(f"{lesion.id} calcification"),
        mask=mask,
        is_mass=False,
        hue=hue,
    )


def describe_segments(segments: Sequence[Segment[Any]], subject: Subject) -> list[SegmentDescription]:
    """Segment descriptions, numbered from 1."""
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415 - slow to import
    from highdicom.color import CIELabColor  # noqa: PLC0415
    from highdicom.seg import SegmentDescription  # noqa: PLC0415

    algorithm = AlgorithmIdentificationSequence(
        name=MAKER,
        family=_FAMILY,
        version=subject.report.software.version,
        source=MAKER,
        parameters=_parameters(subject, segments),
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
            display_color=CIELabColor(*colour_of(segment)),
        )
        for number, segment in enumerate(segments, start=1)
    ]


def colour_of(segment: Segment[Any]) -> tuple[float, float, float]:
    """Colour in CIELab: L 0 to 100, a and b -128 to 127."""
    angle = math.radians(_FIRST_HUE_DEG + segment.hue * _GOLDEN_DEG)
    return (_DARK if segment.is_mass else _LIGHT, _CHROMA * math.cos(angle), _CHROMA * math.sin(angle))


def _parameters(subject: Subject, segments: Sequence[Segment[Any]]) -> dict[str, str]:
    """Limits of the search; all segments of an object lie on one series."""
    lesions = {lesion.id: lesion for lesion in subject.report.lesions}
    limits = find_limits(subject.report, lesions.get(segments[0].lesion_id))
    if limits is None:
        return {"method": "local contrast"}
    return {"grow_hu": f"{limits.grow:g}", "seed_hu": f"{limits.seed:g}"}


def _label(text: str) -> str:
    return to_ascii(text).replace("\\", "/")[:LONGEST]


def _any(mask: VoxelMask | PixelMask) -> bool:
    return bool((mask.voxels if isinstance(mask, VoxelMask) else mask.pixels).any())
