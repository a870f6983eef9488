"""Organ and bone masks of another program: one label map, a folder with one mask a structure, or a DICOM SEG.

Names come from the file; a TotalSegmentator label map without names is read by the version whose bones fit the images.
Masks that do not fit the images are refused: they are of another scan, or lie elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.structures import StructureTable, parse_structures
from calcreport.contour.grid import LabelVolume, lay_labels, refuse
from calcreport.contour.read import open_mask
from calcreport.contour.stream import decode
from calcreport.errors import InputError, UsageError
from calcreport.model.anatomy_labels import AnatomyLabels, Structure, StructureKind
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.processes import child
from calcreport.resources import packaged_text
from calcreport.settings import ReadingSettings

BONE_HU: Final = 100  # denser than muscle, fat and marrow; cortex and most cancellous bone are denser still
LEAST_FIT: Final = 0.5
"""Least share of the voxels labelled as bone that is denser than that: 0.75 in an example of TotalSegmentator, 0.45
with its masks moved by 12 mm or mirrored. Where hardly any bone is labelled, of solid structures that is not air."""
_AIR_HU: Final = -300  # below any tissue
_FEW_VOXELS: Final = 200  # fewer voxels of bone than this say nothing about the fit

# Solid kinds hold no air; masks have 8 bits; a file is named as its structure.
_BONE: Final = frozenset((StructureKind.BONE,))
_SOLID: Final = frozenset(StructureKind) - {StructureKind.LUNG, StructureKind.GUT, StructureKind.AIRWAY}
_MOST_LABELS: Final = 255
_SUFFIX: Final = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_NAMED: Final = re.compile(rb'<Label\s+Key="(\d{1,5})"[^>]{0,200}>\s*<!\[CDATA\[([^\]]{1,64})\]\]>')
"""Label table in the header extension that TotalSegmentator writes."""
_USED: Final = (  # note in the report
    "Anatomy masks of another program were used to tell bones, vessels and organs apart; the masks themselves were not "
    "checked beyond their fit to the images."
)


def read_anatomy(path: Path, volume: CtVolume, *, limits: ReadingSettings | None = None) -> AnatomyLabels:
    """Read organ and bone masks and lay them into a CT volume by nearest neighbour; known structures alone.

    `path` is a label map, a DICOM SEG, or a folder with one NIfTI a structure, named as it is. Raises `InputError`
    ``anatomy.…``, and the codes of `read_lesion_masks` about files.
    """
    limits = limits or ReadingSettings()
    try:
        candidates = _read_folder(path, volume, limits) if path.is_dir() else _read_file(path, volume, limits)
    except InputError as error:
        raise InputError(error.message.replace("lesion mask", "anatomy mask"), code=error.code) from error
    if not any(labels.labels.any() for labels in candidates):
        msg = "the anatomy mask lies outside this CT series; give the masks that were made of this series"
        refuse("anatomy.outside_volume", msg)
    best = _most_plausible(candidates, volume)
    if _fit(best, volume) < LEAST_FIT:
        msg = "the anatomy masks do not fit this CT series: what they call bone or body is not dense there; give those "
        refuse("anatomy.other_scan", msg + "made of this series")
    return replace(best, notes=(*best.notes, _USED))


@cache
def _table() -> StructureTable:
    return parse_structures(packaged_text("anatomy/structures.toml"))


def _read_folder(folder: Path, volume: CtVolume, limits: ReadingSettings) -> list[AnatomyLabels]:
    """Masks of a folder, named by their files; what is called otherwise, as the CT beside them, is left alone."""
    paths = {_SUFFIX.sub("", path.name): path for path in sorted(folder.glob("*")) if _SUFFIX.search(path.name)}
    structures = _numbered(one for name in paths if (one := _table().find(name)) is not None)
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    for structure, path in zip(structures, (paths[name] for name in paths if _table().find(name)), strict=True):
        with open_mask(path, limits) as (_, checked):
            if checked is None:
                refuse("anatomy.not_nifti", "a file in the folder of masks is not NIfTI; give one NIfTI a structure")
            read = decode(checked, limits)
        _lay((read.codes != 0).view(np.uint8) * np.uint8(structure.value), read.affine, volume, labels)
    return [AnatomyLabels(labels=labels, structures=structures)]


def _read_file(path: Path, volume: CtVolume, limits: ReadingSettings) -> list[AnatomyLabels]:
    """Labels of one file; of a label map without names, as each version that it can be of names them."""
    with open_mask(path, limits) as (stream, checked):
        if checked is None:
            from calcreport.contour.segmentation import read_segments  # noqa: PLC0415 - pydicom takes 0.2 s to import

            read, names = read_segments(stream, volume, limits.max_volume_voxels)
        else:
            stated = {int(key): name.decode("utf-8", "replace") for key, name in _NAMED.findall(checked.extension)}
            read, names = (
                decode(checked, limits),
                {key: (name,) for key, name in (checked.names | stated).items() if key},
            )
    most = int(read.codes.max(initial=0))
    if not most:
        refuse("anatomy.empty", "the anatomy mask holds no label; export it again")
    if names:
        return [_labelled(read, names, volume)]
    found = []
    for version, classes in _table().numbered.items():
        if most <= len(classes):
            note = f"The anatomy mask does not name its labels; they were read as those of TotalSegmentator {version}."
            found.append(_labelled(read, {n: (name,) for n, name in enumerate(classes, start=1)}, volume, note))
    return found or _refuse_names()


def _labelled(read: LabelVolume, names: Mapping[int, tuple[str, ...]], volume: CtVolume, *notes: str) -> AnatomyLabels:
    most = int(read.codes.max())
    found = {code: next(filter(None, map(_table().find, names[code])), None) for code in names if code <= most}
    known = {code: one for code, one in found.items() if one is not None}
    structures = _numbered(known.values())
    lut = np.zeros(most + 1, dtype=np.uint8)
    lut[list(known)] = [one.value for one in structures]
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    _lay(lut[read.codes], read.affine, volume, labels)
    return AnatomyLabels(labels=labels, structures=structures, notes=notes)


def _numbered(found: Iterable[Structure]) -> tuple[Structure, ...]:
    structures = tuple(replace(one, value=value) for value, one in enumerate(found, start=1))
    if not structures:
        _refuse_names()
    if len(structures) > _MOST_LABELS:
        refuse("anatomy.too_many", f"there are more than {_MOST_LABELS} anatomy masks; give those of one program")
    return structures


def _refuse_names() -> NoReturn:
    msg = "the anatomy masks are not named as known structures are, such as femur_left, and not numbered as by "
    refuse("anatomy.no_names", msg + "TotalSegmentator 1 or 2; export them with their names")


def _lay(codes: NDArray[np.uint8], affine: NDArray[np.float64], volume: CtVolume, labels: NDArray[np.uint8]) -> None:
    """Write labels where there is none yet: of masks that overlap the first one stands."""
    placed = lay_labels(codes, affine, volume.geometry)
    if placed is not None:
        box = tuple(slice(low, low + size) for low, size in zip(placed[1], placed[0].shape, strict=True))
        np.copyto(labels[box], placed[0], where=labels[box] == 0)


def _most_plausible(candidates: Sequence[AnatomyLabels], volume: CtVolume) -> AnatomyLabels:
    """The reading of the labels by which bone is dense and what is no bone is not, where one does better."""
    if len(candidates) == 1:
        return candidates[0]
    shares = []
    for labels in candidates:
        is_bone, is_solid = (np.isin(labels.labels, labels.values_of(kinds)) for kinds in (_BONE, _SOLID))
        shares.append(float(np.mean(is_bone[is_solid] == (volume.hu[is_solid] >= BONE_HU))) if is_solid.any() else 0.0)
    return candidates[int(np.argmax(shares))] if shares.count(max(shares)) == 1 else _refuse_names()


def _fit(labels: AnatomyLabels, volume: CtVolume) -> float:
    """Share of the bone labels that are as dense as bone; with hardly any, of the solid labels that are not air."""
    for kinds, least_hu, fewest in ((_BONE, BONE_HU, _FEW_VOXELS), (_SOLID, _AIR_HU, 1)):
        inside = volume.hu[np.isin(labels.labels, labels.values_of(kinds))]
        if inside.size >= fewest:
            return float(np.mean(inside >= least_hu))
    return 1.0


COMMAND: Final = "TotalSegmentator"  # as installed, on the path
_NO_NETWORK: Final = {  # no answer to statistics that TotalSegmentator sends, nor to weights it misses
    name: "http://127.0.0.1:9" for word in ("http_proxy", "https_proxy", "all_proxy") for name in (word, word.upper())
}
_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Limited in our own process, for reasons that do not hold for a network."""


def require_totalsegmentator(environment: Mapping[str, str] = os.environ) -> str:
    """Find the command and its weights; raises `UsageError` ``usage.no_totalsegmentator``, ``usage.no_weights``."""
    command = shutil.which(COMMAND, path=environment.get("PATH"))
    if command is None:
        msg = f"--anatomy run needs the command {COMMAND}; install it, or give masks that were made elsewhere"
        raise UsageError(msg, code="usage.no_totalsegmentator")
    home = Path(environment.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator")
    weights = Path(environment.get("TOTALSEG_WEIGHTS_PATH") or home / "nnunet" / "results")
    if not any(True for place in ("", "nnUNet/*/") for _ in weights.glob(f"{place}*TotalSegmentator*")):
        msg = "TotalSegmentator has no weights on this machine; fetch them once: totalseg_download_weights -t total"
        raise UsageError(msg, code="usage.no_weights")
    return command


def label_anatomy(volume: CtVolume, *, seconds: float, limits: ReadingSettings | None = None) -> AnatomyLabels:
    """Let TotalSegmentator label a CT volume; it sees voxels and their place, no header, and is ended after `seconds`.

    Raises `UsageError` as `require_totalsegmentator`, `InputError` ``anatomy.tilted``, ``anatomy.run_failed`` and those
    of `read_anatomy`.
    """
    command = require_totalsegmentator()
    if volume.geometry.is_sheared:
        refuse("anatomy.tilted", "TotalSegmentator takes no slices of a tilted gantry; leave out --anatomy")
    with TemporaryDirectory(prefix="calcreport-") as folder:
        source, made, lock = (Path(folder) / name for name in ("ct.nii.gz", "labels.nii.gz", "lock"))
        _write_nifti(volume, source)
        # By way of `child`, so that it ends with this process; memory and time are its own matter.
        words = [sys.executable, "-I", child.__file__, *[str(sys.maxsize)] * 2, str(lock), str(os.getpid())]
        words += [command, "-i", str(source), "-o", str(made), "--ml"]
        environment = {name: value for name, value in os.environ.items() if name not in _THREADS} | _NO_NETWORK
        try:
            subprocess.run(  # noqa: S603 - a list of our own making
                words, env=environment, timeout=seconds, check=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError) as error:
            msg = f"TotalSegmentator failed ({type(error).__name__}); try it by itself, or leave out --anatomy"
            refuse("anatomy.run_failed", msg)
        if not made.is_file():
            refuse("anatomy.run_failed", "TotalSegmentator wrote no labels; try it by itself, or leave out --anatomy")
        return read_anatomy(made, volume, limits=limits)


def _write_nifti(volume: CtVolume, path: Path) -> None:
    import SimpleITK as sitk  # noqa: N813, PLC0415 - 0.2 s, not needed without masks

    image = sitk.GetImageFromArray(np.maximum(volume.hu, LOWEST_HU))
    steps = volume.geometry.affine[:3, 2::-1]
    lengths = np.linalg.norm(steps, axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    image.SetOrigin(volume.geometry.affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path))
