"""Enhanced and legacy converted multi-frame CT: functional groups to one plane a frame (PS3.3 A.38, C.7.6.16)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from calcreport.dicom.codes import problem
from calcreport.dicom.header import tags, values
from calcreport.dicom.header.elements import Item
from calcreport.dicom.header.image_header import ImageHeader, Plane
from calcreport.dicom.header.parsing import plane_of

_FROM_DATA_SET: Final = (tags.IMAGE_TYPE, tags.VOLUMETRIC, tags.ACQUISITION_DATE_TIME, tags.KERNEL)
"""Attributes taken from the data set itself where no functional group states them."""


def planes_of(image: ImageHeader, item: Item) -> tuple[Plane, ...]:
    """Slices of a file, in frame order.

    Raises `GeometryError` ``geometry.functional_groups`` when a multi-frame header does not describe each frame once;
    `UnsupportedImageError` ``pixel.frames`` when a single-frame class claims several frames.
    """
    frames = image.pixels.frames
    if image.series.sop_class_uid not in tags.MULTI_FRAME_CT:
        if frames != 1:
            raise problem("pixel.frames")
        return (plane_of(image, item),)
    shared = item.sequences.get(tags.SHARED_GROUPS, [])
    per_frame = item.sequences.get(tags.FRAME_GROUPS, [])
    if frames is None or frames != len(per_frame) or len(shared) > 1:
        raise problem("geometry.functional_groups")
    common: dict[int, bytes] = {tag: item.values[tag] for tag in _FROM_DATA_SET if tag in item.values}
    for group in shared:
        common |= _flattened(group)
    if per_frame:
        image = _with_frame_attributes(image, common | _flattened(per_frame[0]))
    return tuple(
        plane_of(image, Item(values=common | _flattened(group)), frame=number)
        for number, group in enumerate(per_frame, start=1)
    )


def _with_frame_attributes(image: ImageHeader, raw: dict[int, bytes]) -> ImageHeader:
    """Image whose series attributes include those that only the functional groups state."""
    series = replace(
        image.series,
        kvp=image.series.kvp if image.series.kvp is not None else values.decimal(raw.get(tags.KVP)),
        acquisition_type=image.series.acquisition_type or values.keyword(raw.get(tags.ACQUISITION_TYPE)),
    )
    return replace(image, series=series)


def _flattened(group: Item) -> dict[int, bytes]:
    """Attributes of the first item of every functional group read."""
    merged: dict[int, bytes] = {}
    for tag in tags.FUNCTIONAL_GROUPS:
        for macro in group.sequences.get(tag, [])[:1]:
            merged |= macro.values
    return merged
