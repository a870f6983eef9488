"""Lesion contours in DICOM files: RTSTRUCT, and Segmentations (PS3.3 A.51, C.8.20), binary, fractional, label map."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Final, NamedTuple, NoReturn

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.utils import iter_pixels

from calcreport.contour import grid
from calcreport.contour.rtstruct import place_structures
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume

_RTSTRUCT: Final = "1.2.840.10008.5.1.4.1.1.481.3"  # RT Structure Set Storage
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage and Label Map Segmentation Storage."""
_DAMAGE: Final = (  # what pydicom and numpy raise on files that break their own rules
    ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, RecursionError, OSError, EOFError,
    struct.error, zlib.error, InvalidDicomError, BytesLengthException,
)  # fmt: skip
# Segmented Property Category codes: morphologically abnormal structure; anatomical structure, physical object.
_ABNORMAL: Final = frozenset({"49755003", "M-01000"})
_ANATOMY: Final = frozenset({"123037004", "T-D000A", "260787004", "A-00004"})

_OFF_PLANE: Final = 0.1  # a frame is on a plane of the grid when it lies within this part of the plane distance


class _Frames(NamedTuple):
    """Where every frame lies: upper-left voxel centres ``(n, 3)`` and the steps of one row and one column, LPS mm."""

    origins_mm: NDArray[np.float64]
    row_step_mm: NDArray[np.float64]
    column_step_mm: NDArray[np.float64]
    declared_step_mm: float | None


def place_dicom(
    stream: IO[bytes], volume: CtVolume, wanted: str | None, max_voxels: int
) -> tuple[grid.PlacedMask, ...]:
    """Lay the lesions of an RT Structure Set or Segmentation into the CT grid, one entry each.

    `wanted` is the name or number of the structure chosen by the user. Raises `InputError` ``mask.unknown_format``,
    ``mask.damaged``, and those of `place_structures` and `place_segments`.
    """
    with _opened(stream) as (dataset, sop_class):
        if sop_class == _RTSTRUCT:
            return place_structures(dataset, volume, wanted)
        if sop_class in _SEGMENTATIONS:
            return place_segments(dataset, volume, wanted, max_voxels)
    msg = "the lesion mask is a DICOM file, but neither an RT Structure Set nor a Segmentation; give the contour"
    return grid.refuse("mask.unknown_format", msg)


def read_segments(
    stream: IO[bytes], volume: CtVolume, max_voxels: int
) -> tuple[grid.LabelVolume, dict[int, tuple[str, ...]]]:
    """Read every segment of a Segmentation as a label, the last where they overlap, and their names.

    Raises `InputError` ``mask.unknown_format``, ``mask.damaged`` and those of `place_segments`.
    """
    with _opened(stream) as (dataset, sop_class):
        if sop_class in _SEGMENTATIONS:
            planes, affine = _checked_grid(dataset, volume, max_voxels)
            names = {
                number: tuple(str(item.get(name) or "") for name in ("SegmentLabel", "SegmentDescription"))
                for number, item in _segments(dataset).items()
            }
            return grid.LabelVolume(codes=_codes(dataset, planes), affine=affine), names
    msg = "the lesion mask is a DICOM file, but no Segmentation; give a Segmentation or NIfTI"
    return grid.refuse("mask.unknown_format", msg)


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[tuple[Dataset, str]]:
    """A data set and its SOP class; ``mask.damaged`` for what breaks the rules of DICOM while it is read."""
    try:
        # Warnings of pydicom quote values, and with them the patient.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(stream, force=True)
            yield dataset, str(dataset.get("SOPClassUID") or "")
    except _DAMAGE:
        grid.refuse("mask.damaged", "the lesion mask is damaged or incomplete; export it again")


def place_segments(
    dataset: Dataset, volume: CtVolume, wanted: str | None, max_voxels: int
) -> tuple[grid.PlacedMask, ...]:
    """Lay the lesions of a segmentation with pixel data into the CT grid, one entry each.

    `max_voxels` bounds what is decoded. Fractional segments are cut at half their maximum. Raises `InputError`
    ``mask.other_frame``, ``mask.geometry``, ``mask.damaged``, ``mask.too_large`` and those of `choose`.
    """
    planes, affine = _checked_grid(dataset, volume, max_voxels)
    segments = _segments(dataset)
    if _is_label_map(dataset):
        labels = grid.LabelVolume(codes=_codes(dataset, planes), affine=affine)
        return grid.place_labels(labels, volume.geometry, lambda keys: choose_segments(keys, segments, wanted))
    of_frame = _segment_of_frames(dataset)
    chosen = choose_segments(sorted(set(of_frame.tolist())), segments, wanted)
    stacks = ((key, name, _stack(dataset, np.flatnonzero(of_frame == key), planes)) for key, name in chosen.items())
    return tuple(grid.place_grid(voxels, affine, volume.geometry, key=key, name=name) for key, name, voxels in stacks)


def _segments(dataset: Dataset) -> dict[int, Dataset]:
    return {int(item.SegmentNumber): item for item in dataset.get("SegmentSequence") or []}


def _is_label_map(dataset: Dataset) -> bool:
    return str(dataset.get("SegmentationType") or "").strip() == "LABELMAP"


def _checked_grid(dataset: Dataset, volume: CtVolume, max_voxels: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As `_grid`, once frame of reference and size are known to fit."""
    frame_uid = str(dataset.get("FrameOfReferenceUID") or "")
    if volume.frame_of_reference_uid and frame_uid and frame_uid != volume.frame_of_reference_uid:
        grid.refuse(
            "mask.other_frame",
            "the lesion mask was drawn in another frame of reference than this CT series; export the segmentation of "
            "this series, or register the two first",
        )
    frames, rows, columns = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    if min(frames, rows, columns) < 1 or frames * rows * columns > max_voxels:
        msg = "the lesion mask declares more voxels than can be read; check it, or raise reading.max_volume_voxels"
        grid.refuse("mask.too_large", msg)
    if len(dataset.get("PerFrameFunctionalGroupsSequence") or []) != frames:
        grid.refuse("mask.damaged", "the lesion mask does not describe every frame it declares; export it again")
    planes, affine = _grid(_frames(dataset), volume.geometry)
    if (int(planes.max()) + 1) * rows * columns > max_voxels:
        _refuse_geometry()
    return planes, affine


def choose_segments(keys: Iterable[int], segments: Mapping[int, Dataset], wanted: str | None) -> dict[int, str]:
    """Numbers and labels of the segments that are lesions, among those that have voxels or frames."""
    names = {key: str(segments[key].get("SegmentLabel") or "") if key in segments else "" for key in keys}
    kinds = (_kind(segments.get(key), name) for key, name in names.items())
    return {key: names[key] for key in grid.choose(names, kinds, wanted=wanted, is_drawn_for_lesions=True)}


def _kind(segment: Dataset | None, name: str) -> grid.Kind:
    by_name = grid.kind_of(name)
    if by_name is not grid.Kind.UNKNOWN or segment is None:
        return by_name
    category = segment.get("SegmentedPropertyCategoryCodeSequence") or []
    code = str(category[0].get("CodeValue") or "").strip() if len(category) else ""
    if code in _ABNORMAL:
        return grid.Kind.LESION
    return grid.Kind.OTHER if code in _ANATOMY else grid.Kind.UNKNOWN


def _group(dataset: Dataset, frame: Dataset, name: str) -> Dataset | None:
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    return next((items[0] for holder in (frame, *shared[:1]) if len(items := holder.get(name) or [])), None)


def _segment_of_frames(dataset: Dataset) -> NDArray[np.int64]:
    numbers: list[int] = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        group = _group(dataset, frame, "SegmentIdentificationSequence")
        if group is None:
            msg = "the lesion mask does not say which segment a frame belongs to; export it again"
            grid.refuse("mask.damaged", msg)
        numbers.append(int(group.ReferencedSegmentNumber))
    return np.array(numbers, dtype=np.int64)


def _frames(dataset: Dataset) -> _Frames:
    origins, steps, declared = [], [], None
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = _group(dataset, frame, "PlanePositionSequence")
        orientation = _group(dataset, frame, "PlaneOrientationSequence")
        measures = _group(dataset, frame, "PixelMeasuresSequence")
        if position is None or orientation is None or measures is None:
            _refuse_geometry()
        origins.append([float(value) for value in position.ImagePositionPatient])
        cosines = np.array([float(value) for value in orientation.ImageOrientationPatient])
        spacing_mm = [float(value) for value in measures.PixelSpacing]
        # The first three cosines point along a row, that is from column to column; spacing names rows first.
        steps.append(np.concatenate((cosines[3:] * spacing_mm[0], cosines[:3] * spacing_mm[1])))
        declared = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    origins_mm, all_steps_mm = np.array(origins), np.array(steps)
    if origins_mm.shape[1:] != (3,) or all_steps_mm.shape[1:] != (6,) or np.ptp(all_steps_mm, axis=0).max() > 1e-3:
        _refuse_geometry()
    step_mm = None if declared is None else float(declared)
    return _Frames(origins_mm, all_steps_mm[0, :3], all_steps_mm[0, 3:], step_mm)


def _grid(frames: _Frames, geometry: VolumeGeometry) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Plane number of every frame, counted from 0, and the affine of the grid they make, to LPS mm."""
    normal = np.cross(frames.row_step_mm, frames.column_step_mm)
    area = float(np.linalg.norm(normal))
    is_possible = bool(np.isfinite(frames.origins_mm).all()) and area > 0
    for step_mm in _possible_steps(frames, normal / area, geometry) if is_possible else ():
        height = normal @ step_mm
        planes = np.rint((frames.origins_mm - frames.origins_mm[0]) @ normal / height)
        if float(np.abs(planes).max()) > 100_000:
            continue
        expected_mm = frames.origins_mm[0] + planes[:, None] * step_mm
        tolerance_mm = _OFF_PLANE * max(float(np.linalg.norm(step_mm)), float(np.linalg.norm(frames.row_step_mm)))
        if float(np.linalg.norm(frames.origins_mm - expected_mm, axis=1).max()) <= tolerance_mm:
            affine = np.eye(4)
            affine[:3, 0], affine[:3, 1], affine[:3, 2] = step_mm, frames.row_step_mm, frames.column_step_mm
            affine[:3, 3] = frames.origins_mm[0] + planes.min() * step_mm
            return (planes - planes.min()).astype(np.int64), grid.checked_affine(affine)
    return _refuse_geometry()


def _possible_steps(
    frames: _Frames, normal: NDArray[np.float64], geometry: VolumeGeometry
) -> Iterator[NDArray[np.float64]]:
    """Possible steps from plane to plane, most trustworthy first: of the CT, between frames, as declared."""
    index = geometry.index(frames.origins_mm)
    is_parallel = abs(float(normal @ geometry.slice_normal)) > 0.99999
    if is_parallel and float(np.abs(index[:, 0] - np.rint(index[:, 0])).max()) <= _OFF_PLANE:
        yield geometry.affine[:3, 0]
    heights = np.unique(np.round((frames.origins_mm - frames.origins_mm[0]) @ normal, 3))
    if heights.size > 1:
        order = np.argsort((frames.origins_mm - frames.origins_mm[0]) @ normal)
        ends_mm = frames.origins_mm[order[-1]] - frames.origins_mm[order[0]]
        yield ends_mm * float(np.diff(heights).min()) / float(np.ptp(heights))
    declared = frames.declared_step_mm
    if declared is not None and 0.01 < declared < 100.0:
        yield normal * declared


def _refuse_geometry() -> NoReturn:
    msg = "the frames of the lesion mask do not form parallel, evenly spaced planes; export it again with its geometry"
    grid.refuse("mask.geometry", msg)


def _decoded(dataset: Dataset, indices: NDArray[np.int64]) -> Iterator[NDArray[np.integer]]:
    try:
        yield from iter_pixels(dataset, indices=indices.tolist(), raw=True)
    except (NotImplementedError, RuntimeError):
        grid.refuse("mask.compressed", "the pixels of the lesion mask cannot be decoded; export it uncompressed")


def _stack(dataset: Dataset, indices: NDArray[np.int64], planes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Voxels of one segment, shape ``(planes, rows, columns)``."""
    least = _least_value(dataset)
    voxels = np.zeros((int(planes.max()) + 1, int(dataset.Rows), int(dataset.Columns)), dtype=np.bool_)
    for i, pixels in zip(indices, _decoded(dataset, indices), strict=True):
        voxels[planes[i]] |= pixels >= least
    return voxels


def _least_value(dataset: Dataset) -> float:
    """Pixel value from which on a pixel is inside: half the maximum where segments are fractional."""
    is_fractional = str(dataset.get("SegmentationType") or "").strip() == "FRACTIONAL"
    return float(dataset.MaximumFractionalValue) / 2 if is_fractional else 0.5


def _codes(dataset: Dataset, planes: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Segment number of every voxel, 0 for background, shape ``(planes, rows, columns)``; of overlaps the last one."""
    background, least = int(dataset.get("PixelPaddingValue") or 0), _least_value(dataset)
    of_frame = None if _is_label_map(dataset) else _segment_of_frames(dataset)
    codes = np.zeros((int(planes.max()) + 1, int(dataset.Rows), int(dataset.Columns)), dtype=np.uint16)
    for i, pixels in enumerate(_decoded(dataset, np.arange(planes.size))):
        if of_frame is None:
            codes[planes[i]] = np.where(pixels == background, 0, pixels)
        else:
            codes[planes[i]][pixels >= least] = of_frame[i]
    return codes
