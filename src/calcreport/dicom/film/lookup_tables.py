"""Lookup tables of a radiograph: Modality and VOI LUT (PS3.3 C.11.1, C.11.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.header import film_tags
from calcreport.dicom.header.elements import Item

_DESCRIPTOR_BYTES: Final = 6  # three values of 16 bits
_MOST_ENTRIES: Final = 65_536  # of a table, PS3.3 C.11.1.1.1
_BITS: Final = (8, 16)  # fewest and most bits of an entry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """A table of outputs for consecutive inputs."""

    first: int
    """Input of the first entry; smaller inputs get its output, larger ones than the last get the last output."""
    outputs: NDArray[np.float64]
    """Shape ``(n,)``."""
    bits: int
    """Bits of an output: the full scale of a VOI LUT."""

    def apply(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs for inputs of any shape; inputs are rounded to whole numbers."""
        index = np.clip(np.rint(inputs) - self.first, 0, len(self.outputs) - 1).astype(np.int64)
        return np.asarray(self.outputs[index])


def table_of(items: list[Item], *, is_signed: bool, is_big_endian: bool) -> LookupTable | None:
    """First table of a Modality or VOI LUT Sequence, or ``None`` when it is damaged.

    The descriptor's second value is two's complement where inputs may be negative (`is_signed`).
    """
    descriptor = items[0].values.get(film_tags.LUT_DESCRIPTOR, b"") if items else b""
    data = items[0].values.get(film_tags.LUT_DATA, b"") if items else b""
    if len(descriptor) != _DESCRIPTOR_BYTES:
        return None
    order = ">" if is_big_endian else "<"
    count, first, bits = struct.unpack(f"{order}H{'h' if is_signed else 'H'}H", descriptor)
    count = count or _MOST_ENTRIES
    if not _BITS[0] <= bits <= _BITS[1]:
        return None
    if len(data) == 2 * count:
        outputs = np.frombuffer(data, dtype=f"{order}u2")
    elif bits == _BITS[0] and len(data) == count + count % 2 and not is_big_endian:
        outputs = np.frombuffer(data, dtype=np.uint8, count=count)
    else:
        return None
    if count < 2 or int(outputs.max()) >= 1 << bits:
        return None
    return LookupTable(first=first, outputs=outputs.astype(np.float64), bits=bits)
