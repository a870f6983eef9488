"""Lesion contours from a DICOM RT Structure Set (PS3.3 A.19, C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from calcreport.contour.grid import PlacedMask, choose, cut_out, is_outside, kind_of, refuse, skip_notes
from calcreport.contour.polygons import ON_SLICE, Plane, fill_stack, plane_area
from calcreport.model.drawn import DrawnOutline, Section, outline_of_sections
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume

_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})  # Contour Geometric Type of an outline
_MAX_POINTS: Final = 5_000_000  # of one file
_MAX_CONTOURS: Final = 50_000  # of one file
_MAX_CONTOURS_A_PLANE: Final = 2_000  # more is damage, or meant to exhaust memory
_FLATNESS_MM: Final = 0.5  # a contour may leave its plane by this much (rounding, a fraction of a degree)
_SAME_PLANE_MM: Final = 0.1  # contours this close along the slice normal were drawn in one plane
_DECIMAL_CHARACTERS: Final = b"0123456789+-.eE \\\0"  # of Contour Data


def place_structures(dataset: Dataset, volume: CtVolume, wanted: str | None) -> tuple[PlacedMask, ...]:
    """Rasterise the lesions of a structure set, one entry each; `wanted` is as for `choose`.

    Raises `InputError` ``mask.other_frame``, ``mask.not_axial``, ``mask.damaged``, ``mask.too_large``, or as `choose`.
    """
    contours = {
        int(item.ReferencedROINumber): closed
        for item in dataset.get("ROIContourSequence") or []
        if (closed := _closed_contours(item))
    }
    rois = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
    types = {
        int(item.ReferencedROINumber): str(item.get("RTROIInterpretedType") or "")
        for item in dataset.get("RTROIObservationsSequence") or []
    }
    names = {key: str(rois[key].get("ROIName") or "") if key in rois else "" for key in contours}
    kinds = (kind_of(name, types.get(key, "")) for key, name in names.items())
    keys = choose(names, kinds, wanted=wanted, is_drawn_for_lesions=False)
    return tuple(_place(dataset, volume, (key, names[key]), contours[key], rois.get(key)) for key in keys)


def _closed_contours(item: Dataset) -> list[Dataset]:
    contours = item.get("ContourSequence") or []
    if len(contours) > _MAX_CONTOURS:
        msg = f"a structure in the lesion mask has more than {_MAX_CONTOURS} contours; export only the lesion"
        refuse("mask.too_large", msg)
    return [contour for contour in contours if str(contour.get("ContourGeometricType") or "").strip() in _CLOSED]


def _place(
    dataset: Dataset, volume: CtVolume, named: tuple[int, str], contours: list[Dataset], roi: Dataset | None
) -> PlacedMask:
    geometry = volume.geometry
    is_xor = any(str(contour.ContourGeometricType).strip() == "CLOSEDPLANAR_XOR" for contour in contours)
    polygons = _indexed(contours, geometry)
    planes = _planes(polygons, geometry.spacing_mm[0], is_xor)
    notes = _check_frame(dataset, roi, volume, planes)
    voxels, offset, interpolated, open_breaks = fill_stack(planes, geometry.shape, geometry.spacing_mm)
    breaks = f"The lesion contour has {open_breaks} wide break(s) between slices, taken as parts of one lesion."
    return PlacedMask(
        key=named[0],
        name=named[1],
        mask=cut_out(voxels, offset),
        is_beyond=any(is_outside(index, geometry.shape) for index in polygons),
        notes=(*notes, *skip_notes(interpolated), *(breaks,) * bool(open_breaks)),
        outline=_outline(planes, geometry),
    )


def _outline(planes: list[Plane], geometry: VolumeGeometry) -> DrawnOutline:
    step_mm, pixel_mm2 = geometry.spacing_mm[0], geometry.spacing_mm[1] * geometry.spacing_mm[2]
    sections = [
        Section(
            position_mm=plane.position * step_mm,
            outlines_mm=tuple(
                geometry.lps_mm(np.column_stack((np.full(len(p), plane.position), p))) for p in plane.polygons
            ),
            area_mm2=plane_area(plane) * pixel_mm2,
        )
        for plane in planes
    ]
    steps_mm = geometry.affine[:3, :3].T.copy()
    if len(planes) > 1:
        steps_mm[0] *= float(np.median(np.diff([plane.position for plane in planes])))
    # Between few points a curve bulges beyond its chord: what was drawn is known that much less within the plane.
    bulge_mm = max(_bulge_mm(outline) for outline in max(sections, key=lambda s: s.area_mm2).outlines_mm)
    lengths_mm = np.linalg.norm(steps_mm[1:], axis=1, keepdims=True)
    steps_mm[1:] *= (lengths_mm + 2 * bulge_mm) / lengths_mm
    return outline_of_sections(sections, steps_mm)


def _bulge_mm(outline_mm: NDArray[np.float64]) -> float:
    """How far the arc a polygon stands for usually bulges beyond its edges (length by turning angle, over 8), mm."""
    edges = np.diff(outline_mm, axis=0, append=outline_mm[:1])
    lengths = np.linalg.norm(edges, axis=1)
    edges, lengths = edges[lengths > 0], lengths[lengths > 0]
    if not lengths.size:
        return 0.0
    along = edges / lengths[:, None]
    turning = np.arccos(np.clip((along * np.roll(along, -1, axis=0)).sum(axis=1), -1, 1))
    return float(np.median(lengths * (turning + np.roll(turning, 1)) / 2)) / 8


def _indexed(contours: Iterable[Dataset], geometry: VolumeGeometry) -> list[NDArray[np.float64]]:
    """Contours as fractional (slice, row, column), each of shape ``(n, 3)``; refuses what does not lie in a slice."""
    polygons: list[NDArray[np.float64]] = []
    total = 0
    for contour in contours:
        points_mm = _points_mm(contour)
        total += len(points_mm)
        if total > _MAX_POINTS:
            msg = f"a structure in the lesion mask has more than {_MAX_POINTS} points; export only the lesion"
            refuse("mask.too_large", msg)
        if len(points_mm) >= 3:
            polygons.append(geometry.index(points_mm))
    between_mm = geometry.spacing_mm[0]
    if any(float(np.ptp(index[:, 0])) * between_mm > 2 * _FLATNESS_MM for index in polygons):
        refuse(
            "mask.not_axial",
            "the lesion contours do not lie in the slices of this CT series (drawn on another plane?); draw them on "
            "these slices, or export the lesion as DICOM SEG, NIfTI, NRRD or MetaImage",
        )
    if not polygons:
        msg = "the lesion mask holds no closed contour of three or more points; draw the lesion and export it again"
        refuse("mask.empty", msg)
    return polygons


def _points_mm(contour: Dataset) -> NDArray[np.float64]:
    """Contour Data, shape ``(n, 3)``, LPS mm; strict, since Python reads more than DICOM decimal strings allow."""
    value: Any = contour.get_item("ContourData").value if "ContourData" in contour else None
    if isinstance(value, bytes):
        if value.translate(None, delete=_DECIMAL_CHARACTERS):
            _refuse_damaged("coordinates that are not numbers")
        flat = np.array(value.rstrip(b" \0").split(b"\\"), dtype=np.bytes_).astype(np.float64) if value else np.empty(0)
    else:
        flat = np.atleast_1d(np.array([] if value is None else value, dtype=np.float64))
    if flat.size % 3 or not np.isfinite(flat).all() or (flat.size and float(np.abs(flat).max()) > 1e5):
        _refuse_damaged("coordinates that are incomplete or impossible")
    declared = contour.get("NumberOfContourPoints")
    if declared is not None and int(declared) != flat.size // 3:
        _refuse_damaged("another number of contour points than declared")
    return flat.reshape(-1, 3)


def _refuse_damaged(what: str) -> None:
    refuse("mask.damaged", f"the lesion mask has {what}; export it again")


def _planes(polygons: list[NDArray[np.float64]], between_mm: float, is_xor: bool) -> list[Plane]:  # noqa: FBT001 - private
    positions = np.array([float(index[:, 0].mean()) for index in polygons])
    order = np.argsort(positions, kind="stable")
    starts = np.flatnonzero(np.diff(positions[order], prepend=-np.inf) * between_mm > _SAME_PLANE_MM)
    groups = np.split(order, starts[1:])
    if max(len(group) for group in groups) > _MAX_CONTOURS_A_PLANE:
        msg = f"the lesion mask has more than {_MAX_CONTOURS_A_PLANE} contours in one plane; export only the lesion"
        refuse("mask.too_large", msg)
    return [
        Plane(
            # Coordinates are written with a few decimals: what they cannot tell apart must not decide which slice.
            position=round(float(positions[group].mean()), 3),
            polygons=tuple(polygons[i][:, 1:] for i in group),
            is_xor=is_xor,
        )
        for group in groups
    ]


def _check_frame(dataset: Dataset, roi: Dataset | None, volume: CtVolume, planes: list[Plane]) -> tuple[str, ...]:
    """Refuse contours drawn in another frame of reference.

    Some files name the right frame for the whole set and another one for the structure (PET and CT share positions);
    such a contradiction passes only when every contour lies on a slice of this series, and is named in a note.
    """
    expected = volume.frame_of_reference_uid
    own = str(roi.get("ReferencedFrameOfReferenceUID") or "") if roi is not None else ""
    of_file = {
        str(item.get("FrameOfReferenceUID") or "") for item in dataset.get("ReferencedFrameOfReferenceSequence") or []
    } | {str(dataset.get("FrameOfReferenceUID") or "")}
    of_file.discard("")
    if not expected or own == expected or not (own or of_file):
        return ()
    is_on_slices = all(abs(plane.position - round(plane.position)) <= ON_SLICE for plane in planes)
    if expected in of_file and (not own or is_on_slices):
        note = "The contour file names two frames of reference; its contours lie on the slices of this series."
        return (note,) * bool(own)
    return refuse(
        "mask.other_frame",
        "the lesion mask was drawn in another frame of reference than this CT series; export the contour drawn on this "
        "series, or register the two first",
    )
