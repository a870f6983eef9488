"""Voxels and lines of a measured lesion, packed for the report, and the UID derived from them."""

from __future__ import annotations

import hashlib

from calcreport.model.film import FilmSegment, ProjectedLesion, Shadow
from calcreport.model.lesion import MeasuredLesion, Segment, VoxelMask
from calcreport.model.shape import FilmShape, LesionShape, Line, PackedMask, pack_mask, unpack_mask
from calcreport.model.uids import derive_uid


def shape_of(lesion: MeasuredLesion | ProjectedLesion) -> LesionShape:
    """Pack the masks and lines of a lesion; see `calcreport.model.shape`."""
    if isinstance(lesion, ProjectedLesion):
        return LesionShape(films=tuple(map(_film_shape, lesion.shadows)))
    return LesionShape(
        key_slice=lesion.key_slice,
        mineral=_pack(lesion.mineral),
        contour=_pack(lesion.contour),
        longest=_line(lesion.longest),
        axial_longest=_line(lesion.axial_longest),
        to_skin=_line(lesion.to_skin),
        to_fascia=_line(lesion.to_fascia),
    )


def track(shape: LesionShape, images: tuple[str, ...], *, name: str) -> str:
    """Tracking UID of a lesion: the same for the same voxels of the same images (UIDs of study, series or films).

    Its id in the report, `name`, distinguishes lesions without a voxel of their own.
    """
    masks = [mask for mask in (shape.mineral, shape.contour, *(film.mineral for film in shape.films)) if mask]
    return derive_uid("lesion", *images, *([_identify(mask) for mask in masks] or [name]))


def _identify(mask: PackedMask) -> str:
    """Name a mask by its voxels: how they were compressed depends on the machine."""
    return f"{mask.offset}{mask.shape}{hashlib.sha256(unpack_mask(mask).tobytes()).hexdigest()}"


def _film_shape(shadow: Shadow) -> FilmShape:
    return FilmShape(
        mineral=pack_mask(shadow.mineral.offset, shadow.mineral.pixels),
        longest=_film_line(shadow.longest),
        across=_film_line(shadow.across),
        to_skin_line=None if shadow.to_skin_line is None else _film_line(shadow.to_skin_line),
    )


def _pack(mask: VoxelMask | None) -> PackedMask | None:
    return None if mask is None else pack_mask(mask.offset, mask.voxels)


def _line(segment: Segment | None) -> Line | None:
    if segment is None:
        return None
    return Line(start=segment.start_lps_mm, end=segment.end_lps_mm, length_mm=segment.length_mm)


def _film_line(segment: FilmSegment) -> Line:
    return Line(start=segment.start, end=segment.end, length_mm=segment.length_mm, length_px=segment.length_px)
