"""The earlier study on the slice of the present one."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Hu
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.registration.rigid import Place

_ROWS_AT_ONCE: Final = 64


def earlier_slice(now: CtVolume, key_slice: int, before: CtVolume, place: Place) -> Hu:
    """HU of the earlier volume where the slice of the present one lies; air where it shows nothing."""
    _, rows, columns = now.hu.shape
    plane = np.full((rows, columns), LOWEST_HU, dtype=np.int16)
    for row in range(0, rows, _ROWS_AT_ONCE):
        height = min(_ROWS_AT_ONCE, rows - row)
        j, k = np.mgrid[row : row + height, 0:columns]
        index = np.stack([np.full(j.size, key_slice), j.ravel(), k.ravel()], axis=1)
        there = before.geometry.index(place.before(now.geometry.lps_mm(index)))
        part = ndimage.map_coordinates(before.hu, there.T, order=1, cval=LOWEST_HU, output=np.int16)
        plane[row : row + height] = part.reshape(height, columns)
    return np.maximum(plane, np.int16(LOWEST_HU))
