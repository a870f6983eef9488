"""Header of a MetaImage label map (``.mha``, ``.mhd``), checked before SimpleITK decodes the voxels.

References
----------
MetaIO, https://itk.org/Wiki/MetaIO/Documentation: Offset is the centre of the first sample, LPS mm.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO, Final, cast

from calcreport.contour.stream import Checked, Inflated, refuse, text_header

_NUMBER: Final = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"  # regular expression
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
