"""Header of a NRRD label map, as 3D Slicer and others write it, checked before SimpleITK decodes the voxels.

References
----------
Nearly Raw Raster Data format definition, https://teem.sourceforge.net/nrrd/format.html: the space origin is the centre
of the first sample.
"""

from __future__ import annotations

import re
from typing import IO, Final

from calcreport.contour.stream import GZIP_MAGIC, Checked, read_up_to, refuse, text_header, unpacked

_SPACES: Final = frozenset(
    {"left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las"}
)  # whose axes are the patient's
# Regular expressions of a number and of three in brackets.
_NUMBER: Final = r"\s*[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\s*"
_VECTOR: Final = rf"\s*\({_NUMBER},{_NUMBER},{_NUMBER}\)\s*"
# Fields read, and those of a segment of 3D Slicer.
_KEPT: Final = ("type", "dimension", "space", "sizes", "endian", "space directions", "space origin")
_SEGMENT: Final = re.compile(r"segment(\d{1,4})_(name|labelvalue|layer)")


def is_nrrd(start: bytes) -> bool:
    """Whether a file beginning with these bytes is NRRD."""
    return re.match(rb"NRRD000[1-5]\r?\n", start) is not None


def check_nrrd(stream: IO[bytes]) -> tuple[Checked, dict[int, str]]:
    """Check the header of a NRRD label map; names of labels where the file gives them (3D Slicer segmentations).

    Raises `InputError` ``mask.unsupported``, ``mask.geometry``, ``mask.damaged``.
    """
    read_up_to(stream, 100, is_line=True)
    fields = text_header(stream, ":", "")
    _check_layout(fields)
    _check_position(fields)
    if fields["encoding"].lower() != "raw":
        start = stream.tell()
        if stream.read(2) != GZIP_MAGIC:
            refuse("mask.damaged", "the lesion mask cannot be decompressed; export it again")
        stream.seek(start)
        stream = unpacked(stream)
    lines = ["NRRD0004", *(f"{key}: {fields[key]}" for key in _KEPT if key in fields), "encoding: raw", "", ""]
    return Checked(suffix=".nrrd", header="\n".join(lines).encode(), voxels=stream), _names(fields)


def _check_layout(fields: dict[str, str]) -> None:
    if "data file" in fields or "datafile" in fields:
        refuse("mask.unsupported", "the lesion mask is a NRRD header without voxels; save it as one .nrrd file")
    if any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip")):
        refuse("mask.unsupported", "the lesion mask is a NRRD file with foreign data inside; save it again as .nrrd")
    if fields.get("encoding", "").lower() not in {"raw", "gzip", "gz"}:
        refuse(
            "mask.unsupported", "the lesion mask uses a NRRD encoding other than raw or gzip; save it as one of these"
        )
    sizes = fields.get("sizes", "").split()
    if fields.get("dimension") != "3" or len(sizes) != 3 or not all(re.fullmatch(r"[0-9]{1,9}", n) for n in sizes):
        refuse(
            "mask.unsupported",
            "the lesion mask is not one three-dimensional NRRD volume; save the lesion as a single label map",
        )
    if 0 in map(int, sizes):
        refuse("mask.damaged", "the lesion mask declares a volume without voxels; export it again")


def _check_position(fields: dict[str, str]) -> None:
    is_placed = (
        fields.get("space", "").lower() in _SPACES
        and re.fullmatch(_VECTOR, fields.get("space origin", "")[:1000])
        and re.fullmatch(_VECTOR * 3, fields.get("space directions", "")[:1000])
    )
    if not is_placed:
        refuse(
            "mask.geometry",
            "the lesion mask does not say where its voxels are (NRRD without anatomical space, directions or origin); "
            "export it with its geometry",
        )
    if set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {"mm", ""}:
        refuse("mask.geometry", "the lesion mask is not in millimetres; export it in millimetres")


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
