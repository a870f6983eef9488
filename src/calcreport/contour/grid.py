"""Which masks of a file are lesions, and a mask on a grid of its own laid into the voxel grid of a CT volume."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import pairwise
from typing import Final, NoReturn, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.polygons import MAX_BRIDGED_MM, between
from calcreport.errors import InputError
from calcreport.model.drawn import BRIDGED_STEPS, DrawnOutline, drawn_every, outline_of_voxels
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.lesion import VoxelMask

# Voxels own their lower border; this much rounding error must not move a centre that lies exactly on one.
_TIE = 1e-6
# A mask voxel whose centre lies further than this outside the outermost CT centre, in voxels, is not imaged.
_BEYOND = 0.51


Placed = tuple[NDArray[np.uint8], tuple[int, int, int]]  # a box of voxels and the index of its first one
Voxel = TypeVar("Voxel", np.bool_, np.uint8)  # of a mask, of labels


def refuse(code: str, message: str) -> NoReturn:
    """Raise `InputError`."""
    raise InputError(message, code=code)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedMask:
    """One lesion on the grid of the CT."""

    key: int  # number of the label, segment or structure in its file
    name: str  # as received; hostile text until escaped
    mask: VoxelMask | None  # voxels whose centre lies inside, cut out without margin; ``None`` when there is none
    is_beyond: bool  # whether some of the drawn contour lies outside the CT volume
    notes: tuple[str, ...] = ()
    outline: DrawnOutline | None = None  # surface on the grid of the drawing; ``None`` where nothing was drawn


def skip_notes(interpolated_slices: int) -> tuple[str, ...]:
    """Sentence on slices that were left out of a drawing."""
    text = f"The lesion contour skips slices: {interpolated_slices} were filled between the contours above and below."
    return (text,) * bool(interpolated_slices)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelVolume:
    """Several lesions in one array of labels."""

    codes: NDArray[np.uint16]  # shape ``(n0, n1, n2)``; 0 for background
    affine: NDArray[np.float64]  # shape ``(4, 4)``; from voxel-centre index of `codes` to LPS mm


def place_labels(
    labels: LabelVolume, geometry: VolumeGeometry, choose: Callable[[Iterable[int]], dict[int, str]]
) -> tuple[PlacedMask, ...]:
    """Lay the labels that are lesions, which `choose` names, into the grid of a CT; parts of one stay one lesion."""
    from scipy import ndimage  # noqa: PLC0415 - 0.2 s, not needed without a mask

    # The stubs of SciPy leave out that a label in a gap has no box.
    found = cast("list[tuple[slice, slice, slice] | None]", ndimage.find_objects(labels.codes))
    boxes = {code: box for code, box in enumerate(found, start=1) if box is not None}
    placed = []
    for code, name in choose(boxes).items():
        affine = _moved(labels.affine, boxes[code])
        placed.append(place_grid(labels.codes[boxes[code]] == code, affine, geometry, key=code, name=name))
    return tuple(placed)


def place_grid(
    voxels: NDArray[np.bool_], affine: NDArray[np.float64], geometry: VolumeGeometry, *, key: int, name: str
) -> PlacedMask:
    """Lay a mask of any orientation and spacing into the grid of a CT volume.

    `voxels`, shape ``(n0, n1, n2)``, are true inside; `affine` leads from their voxel-centre index to LPS mm.
    A CT voxel is inside when the mask voxel that holds its centre is: exact on equal, flipped and permuted grids,
    nearest neighbour on others.
    """
    cut = _cut(voxels, affine)
    if cut is None:
        return PlacedMask(key=key, name=name, mask=None, is_beyond=False)
    voxels, to_lps_mm = cut
    to_ct = np.linalg.inv(geometry.affine) @ to_lps_mm
    solid, filled = _without_skips(voxels, np.linalg.norm(to_lps_mm[:3, :3], axis=0))
    placed = _resample(solid.view(np.uint8), to_ct, geometry.shape)
    return PlacedMask(
        key=key,
        name=name,
        mask=None if placed is None else cut_out(placed[0].view(np.bool_), placed[1]),
        is_beyond=_is_beyond(voxels, to_ct, geometry.shape),
        notes=skip_notes(filled),
        outline=outline_of_voxels(voxels, to_lps_mm),
    )


def _without_skips(voxels: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> tuple[NDArray[np.bool_], int]:
    """A mask drawn on every second plane or fewer, its planes between filled in shape; and how many were filled."""
    every = [drawn_every(voxels, axis) for axis in range(3)]
    across = int(np.argmax(every))
    if every[across] == 1:
        return voxels, 0
    solid = np.moveaxis(voxels, across, 0).copy()
    pixel_mm = np.delete(spacing_mm, across)
    widest = max(BRIDGED_STEPS * every[across], MAX_BRIDGED_MM / float(spacing_mm[across]))
    drawn, filled = np.flatnonzero(solid.any(axis=(1, 2))).tolist(), 0
    for low, high in pairwise(drawn):
        for i in range(low + 1, high if high - low <= widest else low + 1):
            weight = (i - low) / (high - low)
            solid[i] = between((solid[low], solid[high]), weight, (float(pixel_mm[0]), float(pixel_mm[1])))
            filled += 1
    return np.moveaxis(solid, 0, across), filled


def cut_out(voxels: NDArray[np.bool_], offset: tuple[int, int, int]) -> VoxelMask | None:
    """Mask without empty margin; ``None`` when no voxel is set.

    `voxels`, shape ``(slices, rows, columns)``, is a part of the volume, whose first voxel has the index `offset`.
    """
    box = _bounding_box(voxels)
    if box is None:
        return None
    i, j, k = (o + piece.start for o, piece in zip(offset, box, strict=True))
    return VoxelMask(offset=(i, j, k), voxels=np.ascontiguousarray(voxels[box]))


def count_shared(*masks: tuple[NDArray[np.bool_], tuple[int, ...]]) -> int:
    """Cells that two masks share, each given with the index of its first cell in one grid."""
    low = np.max([offset for _, offset in masks], axis=0)
    high = np.min([np.add(offset, cells.shape) for cells, offset in masks], axis=0)
    if (high <= low).any():
        return 0
    one, other = (cells[tuple(map(slice, low - offset, high - offset))] for cells, offset in masks)
    return int(np.count_nonzero(one & other))


def checked_affine(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the affine of a mask, once it is known to describe a possible grid.

    Raises `InputError` ``mask.geometry`` when a value is not finite, a spacing is outside 0.01-100 mm or the axes are
    not independent.
    """
    steps_mm = np.linalg.norm(affine[:3, :3], axis=0) if np.isfinite(affine).all() else np.zeros(3)
    is_possible = bool(np.all((steps_mm > 0.01) & (steps_mm < 100.0))) and float(np.abs(affine).max()) < 1e6
    if not is_possible or abs(float(np.linalg.det(affine[:3, :3] / steps_mm))) < 0.1:
        msg = "the lesion mask has impossible voxel spacing or axes; export it again with its geometry"
        refuse("mask.geometry", msg)
    return affine


def _bounding_box(voxels: NDArray[np.bool_ | np.uint8]) -> tuple[slice, slice, slice] | None:
    from scipy import ndimage  # noqa: PLC0415 - 0.2 s, not needed without a mask

    found = ndimage.find_objects((voxels != 0).view(np.uint8)) if voxels.size else []
    return cast("tuple[slice, slice, slice]", found[0]) if found else None


def _cut(voxels: NDArray[Voxel], affine: NDArray[np.float64]) -> tuple[NDArray[Voxel], NDArray[np.float64]] | None:
    box = _bounding_box(voxels)
    return None if box is None else (voxels[box], _moved(affine, box))


def _moved(affine: NDArray[np.float64], box: tuple[slice, slice, slice]) -> NDArray[np.float64]:
    first = affine.copy()
    first[:3, 3] += affine[:3, :3] @ np.array([piece.start for piece in box], dtype=np.float64)
    return first


def _corners(shape: tuple[int, ...], margin: float) -> NDArray[np.float64]:
    """Index of the eight corners of a box, its outer voxel centres moved out by ``margin`` voxels; shape ``(8, 3)``."""
    ends = [(-margin, n - 1 + margin) for n in shape]
    return np.array(np.meshgrid(*ends), dtype=np.float64).reshape(3, -1).T


def lay_labels(codes: NDArray[np.uint8], affine: NDArray[np.float64], geometry: VolumeGeometry) -> Placed | None:
    """Lay labels, shape ``(n0, n1, n2)``, into the grid of a CT volume by nearest neighbour, as `place_grid` does.

    `affine` leads from the voxel-centre index of `codes` to LPS mm. Returns a box of CT voxels and the index of its
    first one; ``None`` when no label lies in the volume.
    """
    cut = _cut(codes, affine)
    return None if cut is None else _resample(cut[0], np.linalg.inv(geometry.affine) @ cut[1], geometry.shape)


def _resample(codes: NDArray[np.uint8], to_ct: NDArray[np.float64], ct_shape: tuple[int, int, int]) -> Placed | None:
    import SimpleITK as sitk  # noqa: N813, PLC0415 - 0.2 s, not needed without a mask

    reach = _corners(codes.shape, 0.5) @ to_ct[:3, :3].T + to_ct[:3, 3]
    lowest = np.clip(np.floor(reach.min(axis=0)), 0, ct_shape).astype(np.int64)
    highest = np.clip(np.ceil(reach.max(axis=0)) + 1, 0, ct_shape).astype(np.int64)
    if (highest <= lowest).any():
        return None
    # The world of these images is the voxel grid of the CT, the fastest axis first.
    steps = to_ct[2::-1, 2::-1]
    lengths = np.linalg.norm(steps, axis=0)
    image = sitk.GetImageFromArray(codes)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    image.SetOrigin((to_ct[2::-1, 3] - steps.sum(axis=1) * _TIE).tolist())
    placed = sitk.Resample(
        image, (highest - lowest)[::-1].tolist(), sitk.Transform(), sitk.sitkNearestNeighbor,
        lowest[::-1].astype(float).tolist(), (1.0, 1.0, 1.0), np.eye(3).ravel().tolist(),
    )  # fmt: skip
    return sitk.GetArrayFromImage(placed), (int(lowest[0]), int(lowest[1]), int(lowest[2]))


def is_outside(index: NDArray[np.float64], ct_shape: tuple[int, int, int]) -> bool:
    """Whether any of some places, ``(slice, row, column)``, lies beyond the outer border of the outermost voxels."""
    return bool((index < -_BEYOND).any() or (index > np.array(ct_shape) - 1 + _BEYOND).any())


def _is_beyond(voxels: NDArray[np.bool_], to_ct: NDArray[np.float64], ct_shape: tuple[int, int, int]) -> bool:
    if not is_outside(_corners(voxels.shape, 0.0) @ to_ct[:3, :3].T + to_ct[:3, 3], ct_shape):
        return False
    planes = (np.argwhere(plane) @ to_ct[:3, 1:3].T + to_ct[:3, 0] * i + to_ct[:3, 3] for i, plane in enumerate(voxels))
    return any(is_outside(index, ct_shape) for index in planes)


# A planning file outlines the body, bones and the couch beside the tumour, and margins around it. A margin (CTV, PTV)
# is larger than the lesion (ICRU Report 83), so it is never taken as the lesion unless the reader names it.
MAX_LESIONS: Final = 50  # more contours than this in one file is an organ atlas, not the lesions of one patient

# Names of a contoured lesion, and of what else is contoured.
_LESION_NAME: Final = re.compile(r"(?:^|[^a-z])(gtv|tumou?r|mass(?!et)|lesion|neoplasm|sarcoma)")
_OTHER_NAME: Final = re.compile(
    r"(?:^|[^a-z])([cpi]tv|o?edema|body|external|skin|couch|table|margin|ring|dose|bed)(?:[^a-z]|$)"
)
_OTHER_TYPES: Final = frozenset((  # RT ROI Interpreted Type (PS3.3 C.8.8.8.1) of what is no lesion
    "EXTERNAL", "PTV", "CTV", "TREATED_VOLUME", "IRRAD_VOLUME", "BOLUS", "AVOIDANCE", "MARKER", "REGISTRATION",
    "ISOCENTER", "CONTRAST_AGENT", "SUPPORT", "FIXATION", "DOSE_REGION", "DOSE_MEASUREMENT", "BRACHY_CHANNEL",
    "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD",
))  # fmt: skip


@unique
class Kind(StrEnum):
    """What a structure is taken for."""

    LESION = "lesion"
    OTHER = "other"
    UNKNOWN = "unknown"


def kind_of(name: str, interpreted_type: str = "") -> Kind:
    """Tell from its name and RT ROI Interpreted Type (empty when not known) what a structure is.

    ``ORGAN`` and ``CONTROL`` decide nothing: several planning systems write them by default. A margin or oedema is
    `Kind.OTHER` even when its name also says tumour.
    """
    lowered, declared = name.casefold(), interpreted_type.strip().upper()
    if _OTHER_NAME.search(lowered) or declared in _OTHER_TYPES:
        return Kind.OTHER
    return Kind.LESION if declared == "GTV" or _LESION_NAME.search(lowered) else Kind.UNKNOWN


def choose(
    names: Mapping[int, str], kinds: Iterable[Kind], *, wanted: str | None, is_drawn_for_lesions: bool
) -> tuple[int, ...]:
    """Numbers of the structures that are lesions, at least one, in the order of the file.

    `names` and `kinds` are of all structures with a contour, by number; `wanted`, a name or number given by the user,
    decides alone. With `is_drawn_for_lesions` several structures of unknown kind are all lesions: a label map holds
    what its author wanted to hold, a planning file holds the anatomy too.

    Raises `InputError` ``mask.empty``, ``mask.unknown_structure``, ``mask.which_structure`` or ``mask.too_many``. Names
    are not repeated in messages: they may hold patient data.
    """
    if not names:
        refuse("mask.empty", "the lesion mask holds no contour; draw the lesion and export it again")
    if wanted is not None:
        keys = _named(names, wanted.strip().casefold())
    else:
        keys = _guessed(dict(zip(names, kinds, strict=True)), is_drawn_for_lesions)
    if len(keys) > MAX_LESIONS:
        refuse(
            "mask.too_many",
            f"the lesion mask holds {len(keys)} structures, more than {MAX_LESIONS}; name the lesion with --lesion-roi",
        )
    return keys


def _named(names: Mapping[int, str], wanted: str) -> tuple[int, ...]:
    keys = tuple(key for key, name in names.items() if name.strip().casefold() == wanted)
    return (
        keys
        or tuple(key for key in names if str(key) == wanted)
        or refuse(
            "mask.unknown_structure",
            f"none of the {len(names)} structures in the lesion mask has the name or number given with "
            "--lesion-roi; use the name shown by the program that drew it",
        )
    )


def _guessed(kinds: Mapping[int, Kind], is_drawn_for_lesions: bool) -> tuple[int, ...]:  # noqa: FBT001 - private
    lesions = tuple(key for key, kind in kinds.items() if kind is Kind.LESION)
    is_unknown = set(kinds.values()) == {Kind.UNKNOWN} and (len(kinds) == 1 or is_drawn_for_lesions)
    return (
        lesions
        or (tuple(kinds) if is_unknown else ())
        or refuse(
            "mask.which_structure",
            f"the lesion mask holds {len(kinds)} structure(s) and does not say which is the lesion; "
            "name it with --lesion-roi, or call it GTV, tumor, mass or lesion (a CTV or PTV holds a margin)",
        )
    )
