"""Gas that the picture cuts is not the room."""

from __future__ import annotations

import numpy as np

from calcreport.anatomy.body import find_body
from calcreport.anatomy.coarse import CoarseVolume


def coarse_of(hu):
    return CoarseVolume(
        hu=hu.astype(np.int16), is_imaged=np.ones(hu.shape, dtype=bool), step=(1, 3, 3), spacing_mm=(3.0, 3.0, 3.0)
    )


def test_a_gas_pocket_at_the_side_of_the_picture_is_not_outside():
    hu = np.full((12, 60, 60), 40.0)
    hu[:, :15] = -1000.0
    hu[3:9, 40:50, 52:] = -950.0
    body = find_body(coarse_of(hu))
    assert not body.outside[5, 44, 56]
    assert body.mask[5, 44, 59], "it lies at the cut edge of the body"
    assert body.outside[5, 5, 30]


def test_the_only_air_there_is_is_the_room_however_small():
    hu = np.full((6, 60, 60), 40.0)
    hu[:, :4, :10] = -1000.0
    assert find_body(coarse_of(hu)).outside[3, 1, 3]
