"""Voxels of a NIfTI or NRRD label map, read slab by slab so that a file cannot take more memory than it declares."""

from __future__ import annotations

import gzip
import zlib
from typing import IO, Final, cast

import numpy as np
from numpy.typing import NDArray

from calcreport.errors import InputError

GZIP_MAGIC: Final = b"\x1f\x8b"

_MAX_LABEL: Final = 65_535
"""Labels are small whole numbers; larger values belong to an image."""


def unpacked(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream from its present position, decompressed when it is gzip data there."""
    start = stream.tell()
    is_packed = stream.read(2) == GZIP_MAGIC
    stream.seek(start)
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb")) if is_packed else stream


def read_exactly(stream: IO[bytes], count: int) -> bytes:
    """Read ``count`` bytes.

    Raises
    ------
    InputError
        ``mask.damaged`` when the stream ends before or cannot be decompressed.
    """
    try:
        content = stream.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = "the lesion mask cannot be decompressed; export it again"
        raise InputError(msg, code="mask.damaged") from error
    if len(content) != count:
        msg = "the lesion mask is shorter than its header says; export or copy it again"
        raise InputError(msg, code="mask.damaged")
    return content


def read_labels(
    stream: IO[bytes], dtype: np.dtype[np.generic], shape: tuple[int, int, int], scale: tuple[float, float] = (1.0, 0.0)
) -> NDArray[np.uint16]:
    """Labels of a volume stored first axis fastest.

    Parameters
    ----------
    stream : IO[bytes]
        Positioned at the first voxel.
    dtype : np.dtype[np.generic]
        Of a stored voxel, with byte order.
    shape : tuple[int, int, int]
        Number of voxels along the slowest, middle and fastest axis; checked against the limits by the caller.
    scale : tuple[float, float]
        Slope and intercept from stored value to label.

    Returns
    -------
    NDArray[np.uint16]
        Shape ``shape``; 0 for background.

    Raises
    ------
    InputError
        ``mask.damaged``, ``mask.not_labels``.
    """
    codes = np.zeros(shape, dtype=np.uint16)
    count = shape[1] * shape[2]
    for i in range(shape[0]):
        stored = np.frombuffer(read_exactly(stream, count * dtype.itemsize), dtype=dtype)
        if stored.any() or scale[1] != 0.0:
            codes[i] = _as_labels(stored, scale).reshape(shape[1:])
    return codes


def _as_labels(stored: NDArray[np.generic], scale: tuple[float, float]) -> NDArray[np.uint16]:
    values = np.asarray(stored) if scale == (1.0, 0.0) else np.asarray(stored, dtype=np.float64) * scale[0] + scale[1]
    is_whole = values.dtype.kind in "iu" or bool(
        np.isfinite(values).all() and (np.abs(values - np.rint(values)) < 1e-3).all()
    )
    if not is_whole or values.min() < 0 or values.max() > _MAX_LABEL:
        msg = (
            "the lesion mask is not a label map (whole numbers, 0 outside): an image, or a map of probabilities; "
            "threshold it and save it as labels"
        )
        raise InputError(msg, code="mask.not_labels")
    return np.asarray(np.rint(values), dtype=np.uint16)
