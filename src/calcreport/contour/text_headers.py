"""Headers of text before the voxels: NRRD, as 3D Slicer and others write it, and MetaImage (``.mha``, ``.mhd``).

They are checked before SimpleITK decodes the voxels. Origin and offset are the centre of the first sample, LPS mm.

References
----------
Nearly Raw Raster Data format definition, https://teem.sourceforge.net/nrrd/format.html; MetaIO,
https://itk.org/Wiki/MetaIO/Documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO, Final, cast

from calcreport.contour.stream import GZIP_MAGIC, Checked, Inflated, read_up_to, refuse, text_header, unpacked

_SPACES: Final = frozenset(
    {"left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las"}
)  # whose axes are the patient's
# Regular expressions of a number and of three in brackets.
_NUMBER: Final = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"
_VECTOR: Final = rf"\s*\((?:\s*{_NUMBER}\s*,){{2}}\s*{_NUMBER}\s*\)\s*"
# Fields read, and those of a segment of 3D Slicer.
_KEPT: Final = ("type", "dimension", "space", "sizes", "endian", "space directions", "space origin")
_SEGMENT: Final = re.compile(r"segment(\d{1,4})_(name|labelvalue|layer)")


def is_nrrd(start: bytes) -> bool:
    """Whether a file beginning with these bytes is NRRD."""
    return re.match(rb"NRRD000[1-5]\r?\n", start) is not None


def check_nrrd(stream: IO[bytes]) -> Checked:
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
    return Checked(suffix=".nrrd", header="\n".join(lines).encode(), voxels=stream, names=_names(fields))


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


_PLACES: Final = {
    "TransformMatrix": (9, ("transformmatrix", "rotation", "orientation")),
    "Offset": (3, ("offset", "position", "origin")),
    "ElementSpacing": (3, ("elementspacing",)),
}  # how many numbers, and names they may go by
_BYTE_ORDER: Final = ("binarydatabyteordermsb", "elementbyteordermsb")  # names, big-endian when true
_ABSENT: Final = {
    "headersize": "0", "binarydata": "true", "elementnumberofchannels": "1", "elementtointensityfunctionslope": "1",
    "elementtointensityfunctionoffset": "0",
}  # fmt: skip
"""What these fields mean when they are left out; nothing else is read."""


def is_metaimage(start: bytes) -> bool:
    """Whether a file beginning with these bytes is a MetaImage."""
    return re.match(rb"\s*(?:ObjectType\s*=\s*Image|NDims\s*=)", start) is not None


def check_metaimage(stream: IO[bytes], beside: Callable[[str], IO[bytes]]) -> Checked:
    """Check the header of a MetaImage label map, decompressed; `beside` opens a file of the same folder.

    Raises `InputError` ``mask.unsupported``, ``mask.geometry``, ``mask.damaged``, and those of `beside`.
    """
    fields = text_header(stream, "=", "elementdatafile")
    if fields.get("ndims") != "3" or any(fields.get(key, usual).lower() != usual for key, usual in _ABSENT.items()):
        refuse(
            "mask.unsupported",
            "the lesion mask is not one plain three-dimensional MetaImage; save it as a label map in one .mha file",
        )
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "CompressedData = False", *_positions(fields)]
    lines += [f"BinaryDataByteOrderMSB = {fields[key]}" for key in _BYTE_ORDER if key in fields][:1]
    lines += [f"{name} = {fields.get(name.lower(), '')[:100]}" for name in ("DimSize", "ElementType")]
    name = fields.get("elementdatafile", "")
    if name.lower() != "local":
        # A header may name any file, a list or a pattern of files: only one file of its own folder counts.
        if not re.fullmatch(r"[^/\\%\0]{1,255}", name) or name.lower().startswith((".", "list")):
            refuse("mask.unsupported", "the lesion mask is a MetaImage header without voxels; save it as one .mha file")
        stream = beside(name)
    if fields.get("compresseddata", "false").lower() == "true":
        stream = cast("IO[bytes]", Inflated(stream))
    return Checked(suffix=".mha", header="\n".join([*lines, "ElementDataFile = LOCAL", ""]).encode(), voxels=stream)


def _positions(fields: dict[str, str]) -> list[str]:
    stated = []
    for name, (count, keys) in _PLACES.items():
        values = {fields[key][:1000] for key in keys if key in fields}
        if len(values) != 1 or not re.fullmatch(rf"{_NUMBER}(?:\s+{_NUMBER}){{{count - 1}}}", next(iter(values))):
            refuse(
                "mask.geometry",
                "the lesion mask does not say where its voxels are (MetaImage without matrix, offset or spacing); "
                "export it with its geometry",
            )
        stated.append(f"{name} = {values.pop()}")
    if fields.get("distanceunits", "mm").lower() not in {"mm", "?", ""}:
        refuse("mask.geometry", "the lesion mask is not in millimetres; export it in millimetres")
    if set(fields.get("centerofrotation", "0").split()) - {"0", "-0", "0.0"}:
        refuse("mask.geometry", "the lesion mask is turned about a centre of its own; export it with its geometry")
    return stated
