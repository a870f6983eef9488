"""Small coarse volumes: blocks of 3 mm, painted in millimetres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calcreport.anatomy.coarse import CoarseVolume

AIR, FAT, MUSCLE, BONE = -1000, -105, 55, 700
"""HU."""


@pytest.fixture
def make_coarse() -> Callable[..., CoarseVolume]:
    """``make_coarse(paint, size_mm, slices, is_imaged)``: a coarse volume.

    `paint` takes x, y (mm from the middle, arrays of a slice's shape) and z (mm from the first slice), and returns HU;
    `is_imaged` takes the same and returns where something was imaged.
    """

    def make(paint, *, size_mm=180.0, slices=12, is_imaged=None):
        count = round(size_mm / 3.0)
        line = (np.arange(count) - (count - 1) / 2) * 3.0
        z, y, x = np.meshgrid(np.arange(slices) * 3.0, line, line, indexing="ij")
        seen = np.ones(x.shape, dtype=bool) if is_imaged is None else is_imaged(x, y, z)
        hu = np.where(seen, paint(x, y, z), -16_384).astype(np.int16)
        return CoarseVolume(hu=hu, is_imaged=seen, step=(1, 1, 1), spacing_mm=(3.0, 3.0, 3.0))

    return make


@pytest.fixture
def limb() -> Callable[..., np.ndarray]:
    """HU of a limb about the z axis: fat to 60 mm out, muscle to 42 mm, a bone of 12 mm, air around."""

    def paint(x, y, _z):
        r = np.hypot(x, y)
        return np.select([r < 12, r < 42, r < 60], [BONE, MUSCLE, FAT], AIR)

    return paint
