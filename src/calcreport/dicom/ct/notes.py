"""Sentences a reader must see about how a stack was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from calcreport.dicom.ct.stack_geometry import has_frame_per_image
from calcreport.dicom.header.image_header import Plane
from calcreport.model.geometry import VolumeGeometry

_DIFFERS: Final = 0.01  # relative difference of spacings worth a note
_PLANES: Final = ("sagittal", "coronal", "axial")  # by the axis of the patient that the slice normal follows
_OBLIQUE: Final = 0.8  # cosine of the slice normal to its nearest axis; below it the plane is oblique


def notes_of(planes: Sequence[Plane], geometry: VolumeGeometry) -> tuple[str, ...]:
    """Give notes on geometry and origin of a stack, most important first."""
    first = planes[0]
    header = first.image.series
    notes = [*_spacing_notes(first, geometry), *_plane_notes(geometry)]
    if geometry.is_sheared:
        notes.insert(0, f"Slices are tilted by {geometry.tilt_deg:.1f} degrees; sizes follow the true positions.")
    if first.image_type[:1] != ("ORIGINAL",):
        notes.append("The images are derived (reformatted), not original reconstructions.")
        if any(plane.rescale_type is None for plane in planes):
            notes.append("The unit of the values is not stated; by the standard they are Hounsfield units.")
    if any(plane.image.series.is_lossy for plane in planes):
        ratio = f" (ratio {header.lossy_ratio:g}:1)" if header.lossy_ratio else ""
        notes.append(f"The images were compressed lossily{ratio}; small deposits may be lost.")
    if has_frame_per_image(planes):
        notes.append(
            "Each image has a Frame of Reference UID of its own; orientation and positions agree, so the images were "
            "taken for one scan. Positions cannot be compared with other series; no segmentation object was written."
        )
    if any(plane.image.series.is_burned_in for plane in planes):
        notes.append("The images may contain burned-in text, which looks dense.")
    return tuple(notes)


def _spacing_notes(first: Plane, geometry: VolumeGeometry) -> list[str]:
    step, thickness, stated = geometry.spacing_mm[0], first.thickness_mm, first.spacing_between_mm
    notes = []
    if thickness is None or thickness <= 0:
        notes.append("Slice thickness is not stated.")
    elif thickness < step * (1 - _DIFFERS):
        notes.append(
            f"There are gaps between slices: {thickness:g} mm thick every {step:.3g} mm; "
            "volumes are estimates and small deposits may lie in a gap."
        )
    elif thickness > step * (1 + _DIFFERS):
        notes.append(f"Slices overlap: {thickness:g} mm thick every {step:.3g} mm; sizes use the true distance.")
    if stated is not None and abs(abs(stated) - step) > _DIFFERS * step:
        notes.append(f"Spacing Between Slices ({stated:g} mm) is not the true {step:.4g} mm and is not used.")
    return notes


def _plane_notes(geometry: VolumeGeometry) -> list[str]:
    normal = np.abs(geometry.slice_normal)
    axis = int(np.argmax(normal))
    if normal[axis] < _OBLIQUE:
        return ["The slices are oblique."]
    return [] if axis == _PLANES.index("axial") else [f"The slices are {_PLANES[axis]}."]
