"""NRRD label maps, as 3D Slicer and others write them.

References
----------
Nearly Raw Raster Data format definition, https://teem.sourceforge.net/nrrd/format.html: the space origin is the centre
of the first sample.
"""

from __future__ import annotations

import re
from typing import IO, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.grid import LabelVolume, checked_affine
from calcreport.contour.stream import GZIP_MAGIC, read_labels, unpacked
from calcreport.errors import InputError

_TYPES: Final = {
    name: code
    for code, names in {
        "i1": "signed char|int8|int8_t",
        "u1": "uchar|unsigned char|uint8|uint8_t",
        "i2": "short|short int|signed short|signed short int|int16|int16_t",
        "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
        "i4": "int|signed int|int32|int32_t",
        "u4": "uint|unsigned int|uint32|uint32_t",
        "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
        "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split("|")
}
_TO_LPS: Final = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_MAX_LINE: Final = 1_000_000
_MAX_LINES: Final = 5_000
"""Segment tables of an atlas make long headers; more than this is not a header."""

_SEGMENT: Final = re.compile(r"segment(\d{1,4})_(name|labelvalue|layer)")


def is_nrrd(start: bytes) -> bool:
    """Whether a file beginning with these bytes is NRRD."""
    return re.match(rb"NRRD000[1-5]\r?\n", start) is not None


def read_nrrd(stream: IO[bytes], max_voxels: int) -> tuple[LabelVolume, dict[int, str]]:
    """Read a NRRD label map.

    Parameters
    ----------
    stream : IO[bytes]
        At the beginning of the file.
    max_voxels : int
        Largest number of voxels read.

    Returns
    -------
    tuple[LabelVolume, dict[int, str]]
        Labels, positions in LPS mm; names of labels where the file gives them (3D Slicer segmentations).

    Raises
    ------
    InputError
        ``mask.unsupported``, ``mask.too_large``, ``mask.geometry``, ``mask.damaged``, ``mask.not_labels``.
    """
    fields = _fields(stream)
    shape = _shape(fields, max_voxels)
    affine = _affine(fields)
    dtype = _dtype(fields)
    encoding = fields.get("encoding", "").lower()
    if encoding not in {"raw", "gzip", "gz"}:
        _refuse(
            "mask.unsupported", "the lesion mask uses a NRRD encoding other than raw or gzip; save it as one of these"
        )
    if encoding != "raw":
        start = stream.tell()
        if stream.read(2) != GZIP_MAGIC:
            _refuse("mask.damaged", "the lesion mask cannot be decompressed; export it again")
        stream.seek(start)
        stream = unpacked(stream)
    return LabelVolume(codes=read_labels(stream, dtype, shape), affine=affine), _names(fields)


def _refuse(code: str, message: str) -> NoReturn:
    raise InputError(message, code=code)


def _fields(stream: IO[bytes]) -> dict[str, str]:
    """Header fields and key/value pairs by lower-case name."""
    fields: dict[str, str] = {}
    stream.readline(_MAX_LINE)
    for _ in range(_MAX_LINES):
        line = stream.readline(_MAX_LINE).decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            break
        if line.startswith("#"):
            continue
        name, separator, value = line.partition(":")
        key = name.strip().lower()
        if not separator or key in fields:
            _refuse("mask.damaged", "the lesion mask has a damaged NRRD header; export it again")
        fields[key] = value.removeprefix("=").strip()
    else:
        _refuse("mask.damaged", "the lesion mask has a damaged NRRD header; export it again")
    if "data file" in fields or "datafile" in fields:
        _refuse("mask.unsupported", "the lesion mask is a NRRD header without voxels; save it as one .nrrd file")
    if any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip")):
        _refuse("mask.unsupported", "the lesion mask is a NRRD file with foreign data inside; save it again as .nrrd")
    return fields


def _shape(fields: dict[str, str], max_voxels: int) -> tuple[int, int, int]:
    sizes = fields.get("sizes", "").split()
    if fields.get("dimension") != "3" or len(sizes) != 3 or not all(re.fullmatch(r"[0-9]{1,9}", n) for n in sizes):
        _refuse(
            "mask.unsupported",
            "the lesion mask is not one three-dimensional NRRD volume; save the lesion as a single label map",
        )
    nx, ny, nz = (int(n) for n in sizes)
    if min(nx, ny, nz) < 1:
        _refuse("mask.damaged", "the lesion mask declares a volume without voxels; export it again")
    if nx * ny * nz > max_voxels:
        _refuse("mask.too_large", "the lesion mask declares more voxels than can be read; check it")
    return nz, ny, nx


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    code = _TYPES.get(fields.get("type", "").lower())
    endian = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if code is None or (endian is None and code[1] != "1"):
        _refuse(
            "mask.unsupported", "the lesion mask does not say how its NRRD values are stored; save it as a label map"
        )
    return np.dtype((endian or "<") + code)


def _affine(fields: dict[str, str]) -> NDArray[np.float64]:
    """From index (slowest, middle, fastest) to LPS mm."""
    signs = _TO_LPS.get(fields.get("space", "").lower())
    origin = _vectors(fields.get("space origin", ""))
    steps = _vectors(fields.get("space directions", ""))
    if signs is None or len(origin) != 1 or len(steps) != 3:
        _refuse(
            "mask.geometry",
            "the lesion mask does not say where its voxels are (NRRD without anatomical space, directions or origin); "
            "export it with its geometry",
        )
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {"mm", ""}
    if units:
        _refuse("mask.geometry", "the lesion mask is not in millimetres; export it in millimetres")
    affine = np.eye(4)
    affine[:3, :3] = np.array(steps[::-1]).T
    affine[:3, 3] = origin[0]
    return checked_affine(np.diag([*signs, 1.0]) @ affine)


def _vectors(text: str) -> list[list[float]]:
    """Vectors such as ``(1,0,0) (0,1,0)``; empty when anything in between is not a vector of three numbers."""
    if len(text) > 1000 or not re.fullmatch(r"\s*(?:\([-+0-9.eE,\s]+\)\s*)+", text):
        return []
    try:
        vectors = [[float(value) for value in vector.split(",")] for vector in re.findall(r"\(([^)]*)\)", text)]
    except ValueError:
        return []
    return vectors if all(len(vector) == 3 for vector in vectors) else []


def _names(fields: dict[str, str]) -> dict[int, str]:
    segments: dict[str, dict[str, str]] = {}
    for key, value in fields.items():
        match = _SEGMENT.fullmatch(key)
        if match:
            segments.setdefault(match[1], {})[match[2]] = value
    return {
        int(entry["labelvalue"]): entry.get("name", "")
        for entry in segments.values()
        if re.fullmatch(r"[0-9]{1,5}", entry.get("labelvalue", ""))
    }
