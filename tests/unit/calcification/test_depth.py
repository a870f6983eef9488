"""Which layer is read from the share beneath the fascia, the distances and the extent: one row a rule."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from calcreport.calcification.depth import Distances, read_depth
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.lesion import Segment
from calcreport.model.report import DepthClass

ENVELOPE = np.zeros((60, 3, 3), dtype=np.bool_)
ENVELOPE[20:] = True
"""Muscle from slice 20 on; slices are 1 mm apart."""


def line(length_mm):
    return Segment(start_lps_mm=(0.0, 0.0, 0.0), end_lps_mm=(0.0, 0.0, length_mm), length_mm=length_mm)


def layer(first, last, *, skin_mm, fascia_mm, is_mass=False):
    """Class of a column of voxels from slice `first` to `last`."""
    affine = np.eye(4)[:, [2, 1, 0, 3]]
    layers = SimpleNamespace(
        coarse=SimpleNamespace(of_fine=lambda voxels: voxels),
        envelope=SimpleNamespace(mask=ENVELOPE, is_reliable=True),
        volume=SimpleNamespace(geometry=VolumeGeometry(affine=affine, shape=ENVELOPE.shape)),
    )
    voxels = np.array([(i, 1, 1) for i in range(first, last + 1)])
    distances = Distances(to_skin=line(skin_mm), to_fascia=line(fascia_mm))
    return read_depth(layers, voxels, distances, is_mass=is_mass).class_


@pytest.mark.parametrize(
    ("first", "last", "skin_mm", "fascia_mm", "is_mass", "expected"),
    [
        (5, 9, 5.0, 10.0, False, DepthClass.SUBCUTANEOUS),
        (5, 9, 5.0, 2.0, False, DepthClass.SUBCUTANEOUS),
        (5, 9, 5.0, 1.9, False, DepthClass.ABUTS_FASCIA),  # no fat plane can be claimed within 2 mm
        (5, 9, 2.0, 10.0, False, DepthClass.SUBCUTANEOUS),
        (5, 9, 1.9, 10.0, False, DepthClass.CUTANEOUS),
        # Mineral that reaches the skin: of the skin where it is thin, or where a part of it lies outside the muscles.
        (24, 28, 1.0, 1.0, False, DepthClass.CUTANEOUS),
        (15, 45, 1.0, 0.0, False, DepthClass.CUTANEOUS),
        (24, 54, 1.0, 1.0, False, DepthClass.SUBFASCIAL),
        # A mass that reaches the skin is of the skin only where it ends above the fascia.
        (5, 15, 1.0, 5.0, True, DepthClass.CUTANEOUS),
        (5, 15, 1.0, 1.0, True, DepthClass.ABUTS_FASCIA),
        (15, 45, 1.0, 0.0, True, DepthClass.CROSSES_FASCIA),
        (24, 28, 1.0, 1.0, True, DepthClass.SUBFASCIAL),
    ],
)
def test_the_layer_follows_from_share_distances_and_extent(first, last, skin_mm, fascia_mm, is_mass, expected):
    assert layer(first, last, skin_mm=skin_mm, fascia_mm=fascia_mm, is_mass=is_mass) is expected
