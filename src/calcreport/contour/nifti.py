"""Header of a NIfTI-1 or NIfTI-2 label map.

Unlike general readers, this one takes no position for granted: a file that does not say where its voxels are in the
scanner is refused, and so is one whose two statements differ.

References
----------
nifti1.h and nifti2.h, https://nifti.nimh.nih.gov: world axes are right, anterior, superior (RAS).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.grid import LabelVolume, checked_affine
from calcreport.contour.stream import read_exactly, read_labels
from calcreport.errors import InputError

_TYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_UNIT_MM: Final = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""xyzt_units: unknown is taken as mm, as every program that leaves it out means it; metre, millimetre, micrometre."""

_SIZES: Final = {1: 348, 2: 540}
_MAX_HEADER: Final = 16_777_216
"""Header extensions are texts; more than this before the voxels is not one."""

_AGREEMENT_MM: Final = 0.1
"""qform is stored as a rotation in single precision; a larger difference to sform is a contradiction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    vox_offset: int
    scale: tuple[float, float]
    codes: tuple[int, int]
    quaternion: tuple[float, ...]
    rows: tuple[float, ...]
    units: int


def is_nifti(start: bytes) -> bool:
    """Whether a file beginning with these (decompressed) bytes, 352 or more, is NIfTI."""
    return _version(start) is not None


def read_nifti(stream: IO[bytes], max_voxels: int) -> LabelVolume:
    """Read a NIfTI label map.

    Parameters
    ----------
    stream : IO[bytes]
        Decompressed, at the beginning of the file.
    max_voxels : int
        Largest number of voxels read.

    Returns
    -------
    LabelVolume
        Positions turned from RAS to LPS mm.

    Raises
    ------
    InputError
        ``mask.unsupported``, ``mask.too_large``, ``mask.geometry``, ``mask.damaged``, ``mask.not_labels``.
    """
    start = read_exactly(stream, 348)
    version = _version(start)
    if version is None:
        _refuse("mask.damaged", "the lesion mask has a damaged NIfTI header; export it again")
    number, order, is_single_file = version
    if not is_single_file:
        _refuse(
            "mask.unsupported", "the lesion mask is a NIfTI header without voxels; save it as one .nii or .nii.gz file"
        )
    content = start + read_exactly(stream, _SIZES[number] - len(start))
    header = _parse_1(content, order) if number == 1 else _parse_2(content, order)
    shape = _shape(header, max_voxels)
    affine = _affine(header, shape)
    if not _SIZES[number] <= header.vox_offset <= _MAX_HEADER:
        _refuse("mask.damaged", "the lesion mask has a damaged NIfTI header; export it again")
    read_exactly(stream, header.vox_offset - _SIZES[number])
    dtype = np.dtype(order + _TYPES[header.datatype])
    return LabelVolume(codes=read_labels(stream, dtype, shape, header.scale), affine=affine)


def _refuse(code: str, message: str) -> NoReturn:
    raise InputError(message, code=code)


def _version(start: bytes) -> tuple[int, str, bool] | None:
    """NIfTI version, byte order and whether header and voxels share the file; ``None`` for something else."""
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", start) if len(start) >= 348 else (0,)
        if size == _SIZES[1] and start[344:348] in {b"n+1\0", b"ni1\0"}:
            return 1, order, start[344:346] == b"n+"
        if size == _SIZES[2] and start[4:8] in {b"n+2\0", b"ni2\0"}:
            return 2, order, start[4:6] == b"n+"
    return None


def _parse_1(content: bytes, order: str) -> _Header:
    def field(form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, content, offset)

    vox_offset, slope, intercept = field("3f", 108)
    return _Header(
        dim=field("8h", 40),
        datatype=field("h", 70)[0],
        pixdim=field("8f", 76),
        vox_offset=int(vox_offset) if np.isfinite(vox_offset) else 0,
        scale=_scale(slope, intercept),
        codes=field("2h", 252),
        quaternion=field("6f", 256),
        rows=field("12f", 280),
        units=field("B", 123)[0],
    )


def _parse_2(content: bytes, order: str) -> _Header:
    def field(form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, content, offset)

    return _Header(
        dim=field("8q", 16),
        datatype=field("h", 12)[0],
        pixdim=field("8d", 104),
        vox_offset=field("q", 168)[0],
        scale=_scale(*field("2d", 176)),
        codes=field("2i", 344),
        quaternion=field("6d", 352),
        rows=field("12d", 400),
        units=field("i", 500)[0],
    )


def _scale(slope: float, intercept: float) -> tuple[float, float]:
    """Slope and intercept; a slope of zero means that values are not scaled."""
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0.0:
        return (1.0, 0.0)
    return (slope, intercept)


def _shape(header: _Header, max_voxels: int) -> tuple[int, int, int]:
    """Voxels along the slowest, middle and fastest axis."""
    count, (nx, ny, nz), extra = header.dim[0], header.dim[1:4], header.dim[4:]
    is_volume = 3 <= count <= 7 and all(n == 1 for n in extra[: count - 3]) and min(nx, ny, nz) >= 1
    if not is_volume or header.datatype not in _TYPES:
        _refuse(
            "mask.unsupported", "the lesion mask is not one volume of whole numbers; save a three-dimensional label map"
        )
    if nx * ny * nz > max_voxels:
        _refuse("mask.too_large", "the lesion mask declares more voxels than can be read; check it")
    return nz, ny, nx


def _affine(header: _Header, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """From index (slowest, middle, fastest) to LPS mm."""
    unit_mm = _UNIT_MM.get(header.units & 7)
    qform_code, sform_code = header.codes
    stated = []
    if sform_code > 0:
        stated.append(np.vstack((np.array(header.rows, dtype=np.float64).reshape(3, 4), [0, 0, 0, 1])))
    if qform_code > 0:
        stated.append(_from_quaternion(header))
    if not stated or unit_mm is None:
        _refuse(
            "mask.geometry",
            "the lesion mask does not say where its voxels are (NIfTI without sform and qform); "
            "export it with its geometry",
        )
    to_ras = stated[0]
    if len(stated) == 2:
        ends = np.array([(i, j, k, 1) for i in (0, shape[2]) for j in (0, shape[1]) for k in (0, shape[0])])
        apart = np.abs(ends @ (stated[0] - stated[1]).T).max() * unit_mm
        if not apart <= _AGREEMENT_MM:
            _refuse(
                "mask.geometry",
                "the lesion mask states two different positions (NIfTI sform and qform differ); export it again",
            )
    to_lps = np.diag([-unit_mm, -unit_mm, unit_mm, 1.0]) @ to_ras
    return checked_affine(np.ascontiguousarray(to_lps[:, [2, 1, 0, 3]]))


def _from_quaternion(header: _Header) -> NDArray[np.float64]:
    """Affine of the qform (nifti1.h, method 2)."""
    b, c, d, *offset = (float(value) for value in header.quaternion)
    a_squared = 1.0 - (b * b + c * c + d * d)
    if not a_squared > -1e-4:
        _refuse("mask.geometry", "the lesion mask has an impossible orientation (NIfTI quaternion); export it again")
    a = np.sqrt(max(a_squared, 0.0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if header.pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * (np.array(header.pixdim[1:4], dtype=np.float64) * (1.0, 1.0, handedness))
    affine[:3, 3] = offset
    return affine
