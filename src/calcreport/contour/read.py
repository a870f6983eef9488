"""A reader's contour of the whole lesion, from whatever file it was drawn into.

Nothing is taken for granted: a mask without geometry, of another frame of reference, outside the volume or in air is
refused.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path
from typing import IO, Final

import numpy as np

from calcreport.contour.grid import LabelVolume, PlacedMask, choose, count_shared, kind_of, place_labels, refuse
from calcreport.contour.headers import METAIMAGE, NRRD, check_metaimage, check_nifti, check_nrrd, nifti_layout
from calcreport.contour.stream import Checked, decode, read_up_to, unpacked
from calcreport.model.image import NOT_IMAGED_HU, CtVolume
from calcreport.model.lesion import LesionContour, VoxelMask
from calcreport.settings import ReadingSettings

_AIR_HU: Final = -500  # less dense than lung or fat ever average: a soft-tissue lesion does not lie in it
_NAME_LENGTH: Final = 64  # length of a DICOM long string; longer names are cut


def read_lesion_masks(
    path: Path, volume: CtVolume, *, roi: str | None = None, limits: ReadingSettings | None = None
) -> tuple[LesionContour, ...]:
    """Read the contours of whole lesions, at least one, and lay them into a CT volume of their frame of reference.

    The file is a DICOM RTSTRUCT, DICOM SEG, NIfTI (``.nii``, ``.nii.gz``), NRRD or MetaImage (``.mha``, ``.mhd``); its
    suffix does not matter. `volume` is the CT series the lesion was drawn on, or one of the same frame of reference;
    `roi` the name or number of the structure, segment or label that is the lesion, needed when the file does not tell.
    Each of them is one lesion, however many parts it has; a voxel belongs to it when its centre lies inside the
    contour. Raises `InputError` with one of the codes ``mask.…`` (docs/error-codes.md).
    """
    limits = limits or ReadingSettings()
    with open_mask(path, limits) as (stream, checked):
        if checked is not None:
            placed = _place_labels(decode(checked, limits), checked.names, volume, roi)
        else:
            from calcreport.contour.segmentation import place_dicom  # noqa: PLC0415 - pydicom takes 0.2 s to import

            placed = place_dicom(stream, volume, roi, limits.max_volume_voxels)
    return _contours(placed, volume)


@contextmanager
def open_mask(path: Path, limits: ReadingSettings) -> Iterator[tuple[IO[bytes], Checked | None]]:
    """Open a mask recognised by content: its stream, at the beginning for DICOM, and the header of a label map.

    Raises `InputError` ``mask.not_readable``, ``mask.too_large``, ``mask.unknown_format`` and those of the header.
    """
    with ExitStack() as stack:

        def beside(name: str) -> IO[bytes]:
            return stack.enter_context(_opened(path.parent / name, limits.max_file_bytes))

        stream = unpacked(beside(path.name))
        start = read_up_to(stream, 400)
        stream.seek(0)
        checked: Checked | None = None
        if nifti_layout(start) is not None:
            checked = check_nifti(stream)
        elif NRRD.match(start):
            checked = check_nrrd(stream)
        elif METAIMAGE.match(start):
            checked = check_metaimage(stream, beside)
        if checked is None and not _is_dicom(start):
            refuse(
                "mask.unknown_format",
                "the lesion mask is not DICOM RTSTRUCT, DICOM SEG, NIfTI, NRRD or MetaImage; export it as one of these",
            )
        yield stream, checked


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[IO[bytes]]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            msg = "the lesion mask is not a file; give one RTSTRUCT, SEG, NIfTI, NRRD or MetaImage file"
            refuse("mask.not_readable", msg)
        if status.st_size > max_bytes:
            msg = "the lesion mask is larger than reading.max_file_bytes; check it, or raise the limit"
            refuse("mask.too_large", msg)
        with path.open("rb") as stream:
            yield stream
    except (MemoryError, OverflowError):
        refuse("mask.too_large", "the lesion mask needs more memory than there is; export only the lesion")
    except OSError:
        refuse("mask.not_readable", "the lesion mask cannot be opened or read; check the path and its permissions")


def _is_dicom(start: bytes) -> bool:
    """Whether a file begins as DICOM does; files without preamble begin with a group 0002 or 0008 element."""
    return (
        start[128:132] == b"DICM"
        or start[:4] in {b"\2\0\0\0", b"\2\0\1\0", b"\2\0\2\0", b"\2\0\3\0", b"\2\0\x10\0"}
        or (start[:2] == b"\x08\0" and start[3:4] == b"\0")
    )


def _place_labels(
    labels: LabelVolume, names: dict[int, str], volume: CtVolume, roi: str | None
) -> tuple[PlacedMask, ...]:
    def choose_labels(keys: Iterable[int]) -> dict[int, str]:
        named = {key: names.get(key, "") for key in keys}
        chosen = choose(named, map(kind_of, named.values()), wanted=roi, is_drawn_for_lesions=True)
        return {key: named[key] or f"label {key}" for key in chosen}

    return place_labels(labels, volume.geometry, choose_labels)


def _contours(placed: Sequence[PlacedMask], volume: CtVolume) -> tuple[LesionContour, ...]:
    inside = [(mask, lesion) for lesion in placed if (mask := lesion.mask) is not None]
    lost = sum(lesion.is_beyond for lesion in placed if lesion.mask is None)
    if not inside and lost:
        refuse(
            "mask.outside_volume",
            "the lesion mask lies outside this CT series: another patient, another series or another frame of "
            "reference? export the contour drawn on this series",
        )
    if not inside:
        msg = "the lesion mask is empty on the voxel grid of this CT series; draw the lesion and export it again"
        refuse("mask.empty", msg)
    _refuse_overlap([mask for mask, _ in inside])
    notes = (f"{lost} lesion contour(s) lie outside this series and were not measured.",) if lost else ()
    return tuple(_contour(mask, lesion, volume, notes) for mask, lesion in inside)


def _contour(mask: VoxelMask, lesion: PlacedMask, volume: CtVolume, notes: tuple[str, ...]) -> LesionContour:
    hu = volume.hu[mask.box][mask.voxels]
    if float(np.mean(hu < _AIR_HU)) > 0.5:
        msg = "the lesion mask lies mostly in air on this CT series; export the contour drawn on this series"
        refuse("mask.not_in_body", msg)
    at_edge = (p.start == 0 or p.stop == length for p, length in zip(mask.box, volume.hu.shape, strict=True))
    is_cut = lesion.is_beyond or any(at_edge) or bool((hu == NOT_IMAGED_HU).any())
    name = lesion.name.strip()[:_NAME_LENGTH] or f"lesion {lesion.key}"
    return LesionContour(name=name, mask=mask, is_cut=is_cut, notes=(*lesion.notes, *notes), outline=lesion.outline)


def _refuse_overlap(masks: Sequence[VoxelMask]) -> None:
    """Two contours of one lesion (a boost inside a GTV) would be reported as two lesions."""
    for one, other in combinations(masks, 2):
        shared = count_shared((one.voxels, one.offset), (other.voxels, other.offset))
        if shared > 0.5 * min(int(one.voxels.sum()), int(other.voxels.sum())):
            refuse(
                "mask.overlapping",
                f"the lesion mask holds {len(masks)} lesions, and some overlap: outlines of the same lesion? name the "
                "one to measure with --lesion-roi",
            )
