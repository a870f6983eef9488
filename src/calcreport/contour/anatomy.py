"""Organ and bone masks of another program: one label map, a folder with one mask a structure, or a DICOM SEG.

Names come from the file; a TotalSegmentator label map without names is read by the version whose bones fit the images.
Masks that do not fit the images are refused: they are of another scan, or lie elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.structures import StructureTable, parse_structures
from calcreport.contour.grid import LabelVolume, lay_labels
from calcreport.contour.read import OpenMask, open_mask
from calcreport.contour.stream import refuse
from calcreport.errors import InputError
from calcreport.model.anatomy_labels import AnatomyLabels, Structure, StructureKind
from calcreport.model.image import CtVolume
from calcreport.resources import structure_text
from calcreport.settings import ReadingSettings

BONE_HU: Final = 100
"""Denser than muscle, fat and marrow; cortex and most cancellous bone are denser still."""

LEAST_BONE_SHARE: Final = 0.5
"""Share of the voxels labelled as bone that has to be denser than `BONE_HU` …"""

LEAST_BODY_SHARE: Final = 0.5
"""… and, where hardly any bone is labelled, share of the other labels outside lung, gut and airway that is not air."""

_AIR_HU: Final = -300
_FEW_VOXELS: Final = 200
"""Fewer voxels of bone than this say nothing about the fit."""

_HOLLOW: Final = frozenset({StructureKind.LUNG, StructureKind.GUT, StructureKind.AIRWAY})
_MOST_LABELS: Final = 255
_SUFFIX: Final = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_NAMED: Final = re.compile(rb'<Label\s+Key="(\d{1,5})"[^>]{0,200}>\s*<!\[CDATA\[([^\]]{1,64})\]\]>')
"""Label table in the header extension that TotalSegmentator writes."""

_USED: Final = (
    "Anatomy masks of another program were used to tell bones, vessels and organs apart; the masks themselves were not "
    "checked beyond their fit to the images."
)


def read_anatomy(path: Path, volume: CtVolume, *, limits: ReadingSettings | None = None) -> AnatomyLabels:
    """Read organ and bone masks and lay them into a CT volume.

    Parameters
    ----------
    path : Path
        NIfTI, NRRD or MetaImage label map, DICOM SEG, or a folder with one NIfTI mask a structure, named as it is.
    volume : CtVolume
        The CT series the masks were made of, or one in the same position.
    limits : ReadingSettings | None
        Limits on file size and voxels; the defaults when ``None``.

    Returns
    -------
    AnatomyLabels
        Known structures alone, by nearest neighbour on the grid of the CT.

    Raises
    ------
    InputError
        ``anatomy.…``, and the codes of `read_lesion_masks` about files.
    """
    limits = limits or ReadingSettings()
    try:
        candidates = _read_folder(path, volume, limits) if path.is_dir() else _read_file(path, volume, limits)
    except InputError as error:
        raise InputError(error.message.replace("lesion mask", "anatomy mask"), code=error.code) from error
    best = max(candidates, key=lambda labels: _fit(labels, volume))
    _refuse_misfit(best, volume)
    return replace(best, notes=(*best.notes, _USED))


@cache
def _table() -> StructureTable:
    return parse_structures(structure_text())


def _read_folder(folder: Path, volume: CtVolume, limits: ReadingSettings) -> list[AnatomyLabels]:
    """Masks of a folder, named by their files; what is called otherwise, as the CT beside them, is left alone."""
    found = sorted((path for path in folder.iterdir() if _SUFFIX.search(path.name)), key=lambda path: path.name)
    named = [(path, one) for path in found if (one := _table().find(_SUFFIX.sub("", path.name))) is not None]
    if not named:
        refuse(
            "anatomy.no_names", "no file in the folder of masks is named as a structure is, such as femur_left.nii.gz"
        )
    if len(named) > _MOST_LABELS:
        refuse("anatomy.too_many", f"the folder holds more than {_MOST_LABELS} masks; give those of one program")
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    for value, (path, _) in enumerate(named, start=1):
        with open_mask(path, limits) as mask:
            read = mask.decode() if mask.checked is not None else None
        if read is None:
            refuse("anatomy.not_nifti", "a file in the folder of masks is not NIfTI; give one NIfTI file a structure")
        _lay((read.codes != 0).view(np.uint8) * np.uint8(value), read.affine, volume, labels)
    structures = tuple(replace(one, value=value) for value, (_, one) in enumerate(named, start=1))
    return [AnatomyLabels(labels=labels, structures=structures)]


def _read_file(path: Path, volume: CtVolume, limits: ReadingSettings) -> list[AnatomyLabels]:
    """Labels of one file; of a label map without names, as each version it can be of would name them."""
    with open_mask(path, limits) as mask:
        read, names = _read_labels(mask, volume, limits)
    most = int(read.codes.max(initial=0))
    if not most:
        refuse("anatomy.empty", "the anatomy mask holds no label; export it again")
    if names:
        known = {code: one for code, one in _known(names) if code <= most}
        if not known:
            refuse(
                "anatomy.no_names", "no label of the anatomy mask is named as a structure that is known; see the manual"
            )
        if len(known) > _MOST_LABELS:
            refuse("anatomy.too_many", f"the anatomy mask holds more than {_MOST_LABELS} structures that are known")
        lut = np.zeros(most + 1, dtype=np.uint8)
        lut[list(known)] = np.arange(1, len(known) + 1)
        structures = tuple(replace(one, value=value) for value, one in enumerate(known.values(), start=1))
        return [AnatomyLabels(labels=_laid(lut[read.codes], read.affine, volume), structures=structures)]
    possible = {name: classes for name, classes in _table().numbered.items() if len(classes) >= most}
    if not possible:
        refuse(
            "anatomy.no_names",
            "the anatomy mask does not name its labels, and they are not those of TotalSegmentator 1 or 2",
        )
    labels = _laid(read.codes.astype(np.uint8), read.affine, volume)
    return [_by_number(labels, version, classes) for version, classes in possible.items()]


def _by_number(labels: NDArray[np.uint8], version: str, classes: tuple[str, ...]) -> AnatomyLabels:
    found = ((number, _table().find(name)) for number, name in enumerate(classes, start=1))
    note = f"The anatomy mask does not name its labels; they were read as those of TotalSegmentator {version}."
    structures = tuple(replace(one, value=number) for number, one in found if one is not None)
    return AnatomyLabels(labels=labels, structures=structures, notes=(note,))


def _read_labels(
    mask: OpenMask, volume: CtVolume, limits: ReadingSettings
) -> tuple[LabelVolume, Mapping[int, tuple[str, ...]]]:
    if mask.checked is None:
        from calcreport.contour.dicom_file import read_segments  # noqa: PLC0415 - pydicom takes 0.2 s to import

        return read_segments(mask.stream, volume, limits.max_volume_voxels)
    in_header = {int(key): name.decode("utf-8", "replace") for key, name in _NAMED.findall(mask.checked.extension)}
    return mask.decode(), {key: (name,) for key, name in (mask.names | in_header).items() if key}


def _known(names: Mapping[int, tuple[str, ...]]) -> Iterator[tuple[int, Structure]]:
    for code, words in names.items():
        structure = next(filter(None, map(_table().find, words)), None)
        if structure is not None:
            yield code, structure


def _laid(codes: NDArray[np.uint8], affine: NDArray[np.float64], volume: CtVolume) -> NDArray[np.uint8]:
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    _lay(codes, affine, volume, labels)
    return labels


def _lay(codes: NDArray[np.uint8], affine: NDArray[np.float64], volume: CtVolume, labels: NDArray[np.uint8]) -> None:
    """Write labels where there is none yet: of masks that overlap the first one stands."""
    placed = lay_labels(codes, affine, volume.geometry)
    if placed is not None:
        box = tuple(slice(low, low + size) for low, size in zip(placed[1], placed[0].shape, strict=True))
        np.copyto(labels[box], placed[0], where=labels[box] == 0)


def _fit(labels: AnatomyLabels, volume: CtVolume) -> tuple[float, int]:
    """Share of bone voxels that are as dense as bone, and how many there are; ``(0, …)`` where they are too few."""
    bone = volume.hu[np.isin(labels.labels, labels.values_of({StructureKind.BONE}))]
    return (float(np.mean(bone >= BONE_HU)) if bone.size >= _FEW_VOXELS else 0.0), int(bone.size)


def _refuse_misfit(labels: AnatomyLabels, volume: CtVolume) -> None:
    if not labels.labels.any():
        refuse(
            "anatomy.outside_volume",
            "the anatomy mask lies outside this CT series; give the masks that were made of this series",
        )
    share, count = _fit(labels, volume)
    limit = LEAST_BONE_SHARE
    if count < _FEW_VOXELS:
        solid = labels.values_of(set(StructureKind) - _HOLLOW)
        inside = volume.hu[np.isin(labels.labels, solid)]
        share, limit = (float(np.mean(inside >= _AIR_HU)) if inside.size else 1.0), LEAST_BODY_SHARE
    if share < limit:
        refuse(
            "anatomy.other_scan",
            "the anatomy masks do not fit this CT series: what they call bone or body is not dense there; give the "
            "masks that were made of this series",
        )
