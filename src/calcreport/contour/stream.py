"""Voxels of a label map, decoded by SimpleITK behind checks of our own.

SimpleITK returns whatever lay in memory for a NIfTI file that is cut short, and for a MetaImage whose compressed part
is damaged. So it is given a header reduced to what was checked, and exactly as many bytes as that header declares.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from calcreport.contour.grid import LabelVolume, checked_affine, refuse
from calcreport.settings import ReadingSettings

_GZIP_MAGIC: Final = b"\x1f\x8b"  # beginning of a gzip file
_MAX_LABEL: Final = 65_535  # labels are small whole numbers; larger values belong to an image
_PIECE: Final = 1_048_576  # bytes read at a time, 1 MiB
_MAX_LINES: Final = 5_000  # of a header
_MAX_HEADER: Final = 16_777_216  # segment tables of an atlas make long headers; more than this is not a header
_READERS: Final = {".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}  # ITK's reader of each format


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A label map whose header was checked."""

    suffix: str  # ``.nii``, ``.nrrd`` or ``.mha``
    header: bytes  # in that format; uncompressed voxels follow it
    voxels: IO[bytes]  # Decompressed, at the first voxel
    affine: NDArray[np.float64] | None = None  # from index (slowest, middle, fastest) to LPS mm; else of the header
    scale: tuple[float, float] = (1.0, 0.0)  # slope and intercept from stored value to label
    extension: bytes = b""  # what a NIfTI file holds between header and voxels
    names: dict[int, str] = field(default_factory=dict)  # of the labels, where the file gives them


class Inflated:
    """Zlib data, decompressed no further than is read."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed, self._inflate = packed, zlib.decompressobj(47)

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes; fewer at the end of the data."""
        content = bytearray()
        while len(content) < count and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._packed.read(_PIECE)
            piece = self._inflate.decompress(packed, count - len(content))
            if not packed and not piece:
                break
            content += piece
        return bytes(content)


def unpacked(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream from its present position, decompressed when it is gzip data there."""
    start = stream.tell()
    is_packed = stream.read(2) == _GZIP_MAGIC
    stream.seek(start)
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb")) if is_packed else stream


def read_up_to(stream: IO[bytes], count: int, *, is_line: bool = False) -> bytes:
    """Read ``count`` bytes, or what there is, or a line; ``mask.damaged`` when it cannot be decompressed."""
    try:
        return stream.readline(count) if is_line else stream.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        refuse("mask.damaged", "the lesion mask cannot be decompressed; export it again")


def read_exactly(stream: IO[bytes], count: int) -> bytes:
    """Read ``count`` bytes; ``mask.damaged`` when the stream ends before or cannot be decompressed."""
    content = read_up_to(stream, count)
    if len(content) != count:
        refuse("mask.damaged", "the lesion mask is shorter than its header says; export or copy it again")
    return content


def text_header(stream: IO[bytes], separator: str, last: str) -> dict[str, str]:
    """Fields by lower-case name, up to an empty line or the field ``last``; lines that begin with # are comments."""
    fields: dict[str, str] = {}
    size = 0
    for _ in range(_MAX_LINES):
        line = read_up_to(stream, _MAX_HEADER - size, is_line=True)
        size += len(line)
        text = line.decode("utf-8", "replace").strip()
        if not text and line[-1:] in {b"\n", b""}:
            return fields
        if text.startswith("#"):
            continue
        name, found, value = text.partition(separator)
        key = name.strip().lower()
        if not found or key in fields:
            break
        fields[key] = value.removeprefix("=").strip()
        if key == last:
            return fields
    return refuse("mask.damaged", "the lesion mask has a damaged header; export it again")


def decode(checked: Checked, limits: ReadingSettings) -> LabelVolume:
    """Decode a label map, 0 for background; what exceeds the limits is refused before anything is decompressed.

    Raises `InputError` ``mask.unsupported``, ``mask.too_large``, ``mask.geometry``, ``mask.damaged``,
    ``mask.not_labels``.
    """
    import SimpleITK as sitk  # noqa: N813, PLC0415 - 0.2 s, not needed without a mask

    with TemporaryDirectory(prefix="calcreport-") as folder:
        path = Path(folder) / f"mask{checked.suffix}"
        path.write_bytes(checked.header)
        reader = sitk.ImageFileReader()
        reader.SetImageIO(_READERS[checked.suffix])
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            voxel_bytes = sitk.Image([1, 1, 1], reader.GetPixelID()).GetSizeOfPixelComponent()
        except RuntimeError:
            voxel_bytes = 0
        if not voxel_bytes or reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
            refuse("mask.unsupported", "the lesion mask is not one volume of whole numbers; save it as a label map")
        count = math.prod(reader.GetSize())
        if count < 1:
            refuse("mask.damaged", "the lesion mask declares a volume without voxels; export it again")
        if count > limits.max_volume_voxels or count * voxel_bytes > limits.max_file_bytes:
            refuse("mask.too_large", "the lesion mask declares more voxels than can be read; check it")
        affine = checked_affine(_affine(reader) if checked.affine is None else checked.affine)
        _append(path, checked.voxels, count * voxel_bytes)
        try:
            image = reader.Execute()
        except RuntimeError:
            refuse("mask.damaged", "the lesion mask is damaged or incomplete; export it again")
    return LabelVolume(codes=_labels(sitk.GetArrayViewFromImage(image), checked.scale), affine=affine)


def _affine(reader: Any) -> NDArray[np.float64]:  # noqa: ANN401 - SimpleITK has no types
    affine = np.eye(4)
    affine[:3, :3] = (np.array(reader.GetDirection()).reshape(3, 3) * reader.GetSpacing())[:, ::-1]
    affine[:3, 3] = reader.GetOrigin()
    return affine


def _append(path: Path, voxels: IO[bytes], count: int) -> None:
    with path.open("ab") as file:
        for start in range(0, count, _PIECE):
            file.write(read_exactly(voxels, min(_PIECE, count - start)))
    # The checksum is looked at where compressed data ends: what goes on beyond was never checked.
    if read_up_to(voxels, 1) and isinstance(voxels, gzip.GzipFile | Inflated):
        refuse("mask.damaged", "the lesion mask is longer than its header says; export it again")


def _labels(stored: NDArray[np.generic], scale: tuple[float, float]) -> NDArray[np.uint16]:
    codes = np.zeros(stored.shape, dtype=np.uint16)
    for plane, values in zip(codes, stored, strict=True):
        if scale[1] == 0.0 and not values.any():
            continue
        labels = values if scale == (1.0, 0.0) else np.asarray(values, dtype=np.float64) * scale[0] + scale[1]
        is_whole = labels.dtype.kind in "iu" or (
            np.isfinite(labels).all() and (abs(labels - np.rint(labels)) < 1e-3).all()
        )
        if not is_whole or labels.min() < 0 or labels.max() > _MAX_LABEL:
            refuse(
                "mask.not_labels",
                "the lesion mask is not a label map (whole numbers, 0 outside): an image, or a map of probabilities; "
                "threshold it and save it as labels",
            )
        plane[:] = np.rint(labels)
    return codes
