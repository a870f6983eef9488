"""Masks of lesions for other programs: label maps as NIfTI, and outlines in the way of COCO as JSON.

Both follow from the report alone, which keeps the voxels of every lesion.

References
----------
nifti1.h, https://nifti.nimh.nih.gov; COCO "data format", https://cocodataset.org: uncompressed run lengths.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.headers import nifti_header
from calcreport.model.report import Lesion, Report, SeriesGeometry
from calcreport.model.shape import PackedMask, unpack_mask

COCO_FILE: Final = "coco.json"  # in the study's folder
_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])  # from DICOM's to NIfTI's axes
_UINT16: Final = 512  # NIFTI_TYPE_UINT16


def nifti_files(report: Report) -> dict[str, bytes]:
    """Label maps by file name: ``lesions_1.nii.gz`` of the first measured CT series, ``masses_1.nii.gz`` where drawn.

    A voxel of the third lesion of the report is 3. Radiographs have none.
    """
    files = {}
    for number, (uid, geometry) in enumerate(_measured(report).items(), start=1):
        for name, kind in (("lesions", "mineral"), ("masses", "contour")):
            masks = {
                label: mask
                for label, lesion in enumerate(report.lesions, start=1)
                if lesion.series_instance_uid == uid
                and lesion.shape is not None
                and (mask := getattr(lesion.shape, kind)) is not None
            }
            if masks or kind == "mineral":
                files[f"{name}_{number}.nii.gz"] = _nifti(geometry, masks)
    return files


def _measured(report: Report) -> dict[str, SeriesGeometry]:
    """Grid of each measured CT series by its UID."""
    analysed = (series for series in report.series if series.status == "analysed")
    return {series.series_instance_uid: series.geometry for series in analysed if series.geometry is not None}


def _nifti(geometry: SeriesGeometry, masks: dict[int, PackedMask]) -> bytes:
    """Voxels run along columns, rows, slices; the affine is in RAS mm, of voxel centres."""
    slices, rows, columns = geometry.shape
    affine = _LPS_TO_RAS @ np.array(geometry.affine_lps_mm)[:, [2, 1, 0, 3]]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    header = nifti_header((columns, rows, slices), _UINT16)
    header["bits"], header["pixdim"], header["scale"] = 16, (1, *spacing, 0, 0, 0, 0), (1, 0)
    header["rows"] = affine[:3]
    boxes = {label: (mask.offset, unpack_mask(mask)) for label, mask in masks.items()}
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1, mtime=0) as stream:
        stream.write(header.tobytes() + bytes(4))
        for index in range(slices):
            plane = np.zeros((rows, columns), dtype="<u2")
            for label, (offset, cells) in boxes.items():
                if 0 <= index - offset[0] < len(cells):
                    _cut(plane, offset[1:], cells.shape[1:])[cells[index - offset[0]]] = label
            stream.write(plane.tobytes())
    return sink.getvalue()


def _cut(plane: NDArray[Any], offset: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    return plane[offset[0] : offset[0] + shape[0], offset[1] : offset[1] + shape[1]]


def coco(report: Report) -> bytes:
    """Outlines of the mineral of every lesion, image by image, as COCO has it; a category is a pattern."""
    patterns = sorted({(lesion.pattern.id, lesion.pattern.label) for lesion in report.lesions})
    numbers = {pattern: number for number, (pattern, _) in enumerate(patterns, start=1)}
    images: dict[tuple[str, int], dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for lesion in report.lesions:
        for key, described, cells, offset in _sections(report, lesion):
            image = images.setdefault(key, {"id": len(images) + 1, **described})
            plane = np.zeros((image["height"], image["width"]), dtype=bool)
            _cut(plane, offset, cells.shape)[...] = cells
            down, across = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": numbers[lesion.pattern.id],
                    "lesion_id": lesion.id,
                    "bbox": [int(v) for v in (across[0], down[0], np.ptp(across) + 1, np.ptp(down) + 1)],
                    "area": int(plane.sum()),
                    "iscrowd": 1,
                    "segmentation": {"size": list(plane.shape), "counts": _run_lengths(plane)},
                }
            )
    content = {
        "info": {"description": "calcreport", "version": report.software.version},
        "images": list(images.values()),
        "categories": [{"id": numbers[name], "name": name, "label": label} for name, label in patterns],
        "annotations": annotations,
    }
    return f"{json.dumps(content)}\n".encode()


_Section = tuple[tuple[str, int], dict[str, Any], NDArray[np.bool_], tuple[int, ...]]
"""Key of an image, its description, cells of a lesion on it, and the first row and column of these cells."""


def _sections(report: Report, lesion: Lesion) -> Iterator[_Section]:
    """Images that show a lesion: slices of CT by their index and place, radiographs by their SOP Instance UID."""
    if lesion.shape is None:
        return
    series = _measured(report).get(lesion.series_instance_uid)
    mask = lesion.shape.mineral
    if series is not None and mask is not None:
        affine = np.array(series.affine_lps_mm)
        for index, cells in enumerate(unpack_mask(mask), start=mask.offset[0]):
            image = {
                "height": series.shape[1],
                "width": series.shape[2],
                "series_instance_uid": lesion.series_instance_uid,
                "slice_index": index,
                "image_position_lps_mm": (affine @ (index, 0, 0, 1))[:3].tolist(),
            }
            if cells.any():
                yield (lesion.series_instance_uid, index), image, cells, mask.offset[1:]
    films = {} if report.technique is None else {film.sop_instance_uid: film for film in report.technique.films}
    for place, shape in zip(lesion.location.films, lesion.shape.films, strict=False):
        film = films.get(place.sop_instance_uid)
        if film is not None:
            image = {"height": film.rows, "width": film.columns, "sop_instance_uid": film.sop_instance_uid}
            yield (film.sop_instance_uid, 0), image, unpack_mask(shape.mineral), shape.mineral.offset


def _run_lengths(plane: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs down the columns, of false and true in turn, beginning with false."""
    cells = plane.ravel(order="F")
    ends = np.flatnonzero(np.diff(cells)) + 1
    lengths = np.diff(np.concatenate(([0], ends, [cells.size]))).tolist()
    return [0, *lengths] if cells[0] else lengths
