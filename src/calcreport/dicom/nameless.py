"""CT slices without identity: UIDs that are blank, or the same in every file, where identities were hidden.

A folder stands for the missing study, and for the missing series together with what tells series apart. The names that
take the place of UIDs are digests of the content: the same in every run, and safe as names of folders.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from calcreport.dicom.ct.stacks import MIN_SLICES
from calcreport.dicom.header.image_header import NO_UID, ImageHeader, Plane


def name_by_folder(planes: Sequence[Plane], folder_of: Mapping[int, str]) -> list[Plane]:
    """Give slices without Study, Series or own SOP Instance UID names that group them; the others stay unchanged.

    `folder_of` is the folder of each file, by the identity of its source.
    """
    named = {id(plane.image): plane.image for plane in planes} | _with_own_instance(planes)
    studies, series = defaultdict[Hashable, list[int]](list), defaultdict[Hashable, list[int]](list)
    for key, image in named.items():
        folder = folder_of[id(image.source)]
        if not image.study_uid:
            studies[folder, image.patient.study_date].append(key)
        if not image.series_uid:
            series[folder, image.study_uid, _kind(image)].append(key)
    for members in studies.values():
        uid = _name("study", (named[key] for key in members))
        named |= {key: replace(named[key], study_uid=uid) for key in members}
    for members in series.values():
        for part in _by_frame_of_reference(members, named):
            uid = _name("series", (named[key] for key in part))
            named |= {key: replace(named[key], series_uid=uid) for key in part}
    return [p if named[id(p.image)] is p.image else replace(p, image=named[id(p.image)]) for p in planes]


def _kind(image: ImageHeader) -> Hashable:
    """Give what tells series of one folder apart; where it does not, their geometry does when stacks are cut."""
    return image.patient.study_date, image.series.number, image.series.description


def _by_frame_of_reference(members: list[int], named: Mapping[int, ImageHeader]) -> Iterable[list[int]]:
    """Parts that share a frame of reference; the whole where every image has one of its own."""
    parts: dict[str | None, list[int]] = defaultdict(list)
    for key in members:
        parts[named[key].frame_of_reference_uid].append(key)
    return parts.values() if len(parts) < len(members) else [members]


def _with_own_instance(planes: Sequence[Plane]) -> dict[int, ImageHeader]:
    """Files of series whose one SOP Instance UID stands in every file, each under a name of its own."""
    alike: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        if plane.frame is None:
            alike[plane.image.study_uid, plane.image.series_uid].append(plane)
    return {
        id(plane.image): replace(plane.image, instance_uid=_digest(plane.image.instance_uid, repr(plane.position_mm)))
        for members in alike.values()
        if len(members) >= MIN_SLICES
        and len({plane.image.instance_uid for plane in members}) == 1
        and len({plane.position_mm for plane in members}) == len(members)
        for plane in members
    }


def _name(kind: str, images: Iterable[ImageHeader]) -> str:
    return _digest(kind, *sorted(image.instance_uid for image in images))


def _digest(*parts: str) -> str:
    return f"{NO_UID}{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"
