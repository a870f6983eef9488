"""Headers of label maps, checked before SimpleITK decodes the voxels: NIfTI, NRRD, MetaImage (``.mha``, ``.mhd``).

Unlike general readers, this one takes no position for granted: a file that does not say where its voxels are in the
scanner is refused, and so is one whose two statements differ. SimpleITK reads neither NIfTI-2 nor sheared grids: it is
given a plain NIfTI-1 header, and the affine is that of the file. NIfTI's world axes are right, anterior, superior;
origin and offset of the others are the centre of the first sample, LPS mm. References: https://nifti.nimh.nih.gov,
https://teem.sourceforge.net/nrrd/format.html, https://itk.org/Wiki/MetaIO/Documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import IO, Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.grid import checked_affine, refuse
from calcreport.contour.stream import Checked, Inflated, read_exactly, read_up_to, text_header, unpacked

# xyzt_units: unknown is taken as mm, as every program that leaves it out means it; metre, millimetre, micrometre.
_UNIT_MM: Final = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_NAMES: Final = (  # fields of both headers
    "size", "magic", "dim", "datatype", "bits", "pixdim", "vox_offset", "scale", "codes", "quaternion", "rows", "units",
)  # fmt: skip
_HEADERS: Final = tuple(
    np.dtype({"names": _NAMES, "formats": formats.split(), "offsets": offsets, "itemsize": size})
    for formats, offsets, size in (
        ("i4 S4 8i2 i2 i2 8f4 f4 2f4 2i2 6f4 (3,4)f4 u1", [0, 344, 40, 70, 72, 76, 108, 112, 252, 256, 280, 123], 348),
        ("i4 S4 8i8 i2 i2 8f8 i8 2f8 2i4 6f8 (3,4)f8 i4", [0, 4, 16, 12, 14, 104, 168, 176, 344, 352, 400, 500], 540),
    )
)  # NIfTI-1 and NIfTI-2
_MAX_HEADER: Final = 16_777_216  # header extensions are texts; more than this before the voxels is not one
# Beginnings of other files.
NRRD: Final = re.compile(rb"NRRD000[1-5]\r?\n")
METAIMAGE: Final = re.compile(rb"\s*(?:ObjectType\s*=\s*Image|NDims\s*=)")
_AGREEMENT_MM: Final = 0.1  # qform is a rotation in single precision; a larger difference to sform is a contradiction


def check_nifti(stream: IO[bytes]) -> Checked:
    """Check the header of a NIfTI label map, decompressed; its affine is turned from RAS to LPS mm.

    Raises `InputError` ``mask.unsupported``, ``mask.geometry``, ``mask.damaged``.
    """
    start = read_exactly(stream, 348)
    layout = nifti_layout(start)
    if layout is None:
        refuse("mask.damaged", "the lesion mask has a damaged NIfTI header; export it again")
    header = np.frombuffer(start + read_exactly(stream, layout.itemsize - len(start)), layout)[0]
    if header["magic"].startswith(b"ni"):
        refuse("mask.unsupported", "the lesion mask is a NIfTI header without voxels; save it as one .nii file")
    dim = header["dim"].tolist()
    if not 3 <= dim[0] <= 7 or any(n != 1 for n in dim[4 : dim[0] + 1]) or min(dim[1:4]) < 1:
        msg = "the lesion mask is not one volume of whole numbers; save a three-dimensional label map"
        refuse("mask.unsupported", msg)
    if max(dim[1:4]) > np.iinfo(np.int16).max:
        refuse("mask.too_large", "the lesion mask declares more voxels than can be read; check it")
    affine = _affine(header)
    offset = header["vox_offset"]
    if not layout.itemsize <= offset <= _MAX_HEADER:
        refuse("mask.damaged", "the lesion mask has a damaged NIfTI header; export it again")
    extension = read_exactly(stream, int(offset) - layout.itemsize)
    slope, intercept = header["scale"].tolist()
    is_scaled = np.isfinite((slope, intercept)).all() and slope != 0.0
    return Checked(
        suffix=".nii",
        header=nifti_header(dim[1:4], header["datatype"], layout["size"].byteorder).tobytes() + bytes(4),
        voxels=stream,
        affine=affine,
        scale=(slope, intercept) if is_scaled else (1.0, 0.0),
        extension=extension,
    )


def nifti_layout(start: bytes) -> np.dtype[Any] | None:
    """Layout of the header of a NIfTI file that begins with these (decompressed) bytes, 348 or more; else ``None``."""
    for layout, place, endings in zip(_HEADERS, (344, 4), ((b"n+1", b"ni1"), (b"n+2", b"ni2")), strict=True):
        if len(start) < 348 or start[place : place + 3] not in endings:
            continue
        for ordered in (layout.newbyteorder("<"), layout.newbyteorder(">")):
            if np.frombuffer(start[:4], ordered["size"])[0] == layout.itemsize:
                return ordered
    return None


def nifti_header(shape: Sequence[int], datatype: int, byte_order: Literal["<", ">", "=", "|"] = "<") -> NDArray[Any]:
    """NIfTI-1 header of voxels at the identity, in mm; a record of numpy, behind which four bytes of 0 come."""
    plain = np.zeros((), _HEADERS[0].newbyteorder(byte_order))
    plain["size"], plain["magic"], plain["vox_offset"] = 348, b"n+1", 352
    plain["dim"], plain["datatype"], plain["pixdim"] = [3, *shape, 1, 1, 1, 1], datatype, 1
    plain["codes"], plain["rows"], plain["units"] = (0, 1), np.eye(3, 4), 2
    return plain


def _affine(header: Any) -> NDArray[np.float64]:  # noqa: ANN401 - a record of numpy
    """From index (slowest, middle, fastest) to LPS mm."""
    unit_mm = _UNIT_MM.get(int(header["units"]) & 7)
    qform_code, sform_code = header["codes"]
    stated = [np.vstack((header["rows"].astype(np.float64), [0, 0, 0, 1]))] if sform_code > 0 else []
    if qform_code > 0:
        stated.append(_from_quaternion(header))
    if not stated or unit_mm is None:
        refuse(
            "mask.geometry",
            "the lesion mask does not say where its voxels are (NIfTI without sform and qform); "
            "export it with its geometry",
        )
    ends = np.array([(*corner, 1) for corner in np.ndindex(2, 2, 2)]) * (*header["dim"][1:4], 1)
    apart = np.abs(ends @ (stated[0] - stated[-1]).T).max() * unit_mm
    if len(stated) == 2 and not apart <= _AGREEMENT_MM:
        msg = "the lesion mask states two different positions (NIfTI sform and qform differ); export it again"
        refuse("mask.geometry", msg)
    to_lps = np.diag([-unit_mm, -unit_mm, unit_mm, 1.0]) @ stated[0]
    return checked_affine(np.ascontiguousarray(to_lps[:, [2, 1, 0, 3]]))


def _from_quaternion(header: Any) -> NDArray[np.float64]:  # noqa: ANN401 - a record of numpy
    """Affine of the qform (nifti1.h, method 2)."""
    from scipy.spatial.transform import Rotation  # noqa: PLC0415 - not needed without a mask

    b, c, d, *offset = header["quaternion"].astype(np.float64)
    a_squared = 1.0 - (b * b + c * c + d * d)
    if not a_squared > -1e-4:
        refuse("mask.geometry", "the lesion mask has an impossible orientation (NIfTI quaternion); export it again")
    rotation = Rotation.from_quat([b, c, d, np.sqrt(max(a_squared, 0.0))]).as_matrix()
    pixdim = header["pixdim"].astype(np.float64)
    affine = np.eye(4)
    affine[:3, :3] = rotation * (pixdim[1:4] * (1.0, 1.0, -1.0 if pixdim[0] < 0 else 1.0))
    affine[:3, 3] = offset
    return affine


_SPACES: Final = frozenset(
    {"left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las"}
)  # whose axes are the patient's
# Regular expressions of a number and of three in brackets.
_NUMBER: Final = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"
_VECTOR: Final = rf"\s*\((?:\s*{_NUMBER}\s*,){{2}}\s*{_NUMBER}\s*\)\s*"
# Fields read, and those of a segment of 3D Slicer.
_KEPT: Final = ("type", "dimension", "space", "sizes", "endian", "space directions", "space origin")
_SEGMENT: Final = re.compile(r"segment(\d{1,4})_(name|labelvalue|layer)")


def check_nrrd(stream: IO[bytes]) -> Checked:
    """Check the header of a NRRD label map, with the names of labels it gives; errors as for `check_nifti`."""
    read_up_to(stream, 100, is_line=True)
    fields = text_header(stream, ":", "")
    _check_layout(fields)
    _check_position(fields)
    voxels = stream if fields["encoding"].lower() == "raw" else unpacked(stream)
    if voxels is stream and fields["encoding"].lower() != "raw":
        refuse("mask.damaged", "the lesion mask cannot be decompressed; export it again")
    lines = ["NRRD0004", *(f"{key}: {fields[key]}" for key in _KEPT if key in fields), "encoding: raw", "", ""]
    return Checked(suffix=".nrrd", header="\n".join(lines).encode(), voxels=voxels, names=_names(fields))


def _check_layout(fields: dict[str, str]) -> None:
    if "data file" in fields or "datafile" in fields:
        refuse("mask.unsupported", "the lesion mask is a NRRD header without voxels; save it as one .nrrd file")
    if any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip")):
        refuse("mask.unsupported", "the lesion mask is a NRRD file with foreign data inside; save it again as .nrrd")
    if fields.get("encoding", "").lower() not in {"raw", "gzip", "gz"}:
        msg = "the lesion mask uses a NRRD encoding other than raw or gzip; save it as one of these"
        refuse("mask.unsupported", msg)
    sizes = fields.get("sizes", "").split()
    if fields.get("dimension") != "3" or len(sizes) != 3 or not all(re.fullmatch(r"[0-9]{1,9}", n) for n in sizes):
        msg = "the lesion mask is not one three-dimensional NRRD volume; save the lesion as a single label map"
        refuse("mask.unsupported", msg)
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
_ABSENT: Final = {  # what these fields mean when they are left out; nothing else is read
    "headersize": "0", "binarydata": "true", "elementnumberofchannels": "1", "elementtointensityfunctionslope": "1",
    "elementtointensityfunctionoffset": "0",
}  # fmt: skip


def check_metaimage(stream: IO[bytes], beside: Callable[[str], IO[bytes]]) -> Checked:
    """Check the header of a MetaImage; `beside` opens a file of its folder; errors as `check_nifti`, `beside`."""
    fields = text_header(stream, "=", "elementdatafile")
    if fields.get("ndims") != "3" or any(fields.get(key, usual).lower() != usual for key, usual in _ABSENT.items()):
        msg = "the lesion mask is not one plain three-dimensional MetaImage; save it as a label map in one .mha file"
        refuse("mask.unsupported", msg)
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
