"""The grid of block means: size of its blocks, where they lie, what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.coarse import coarsen, make_grid
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference


def volume_of(hu, spacing_mm):
    affine = np.array([[0, 0, spacing_mm[2], 0], [0, spacing_mm[1], 0, 0], [spacing_mm[0], 0, 0, 0], [0, 0, 0, 1.0]])
    slices = tuple(SliceReference(sop_instance_uid=f"1.{i}", instance_number=i) for i in range(len(hu)))
    return CtVolume(hu=hu, geometry=VolumeGeometry(affine=affine, shape=hu.shape), slices=slices)


@pytest.mark.parametrize(
    ("spacing", "step"),
    [
        ((0.6, 0.5, 0.5), (5, 3, 3)), ((1.0, 0.7, 0.7), (3, 2, 2)), ((1.4, 0.98, 0.98), (2, 2, 2)),
        ((3.0, 1.37, 1.37), (1, 1, 1)), ((5.0, 3.0, 3.0), (1, 1, 1)),
    ],
)  # fmt: skip
def test_blocks_have_about_a_millimetre_and_a_half_and_three_at_most_through(spacing, step):
    volume = volume_of(np.zeros((12, 60, 60), np.int16), spacing)
    coarse = coarsen(volume)
    grid = make_grid(volume, coarse, np.ones(coarse.hu.shape, dtype=bool))
    assert grid.step == step
    assert grid.spacing_mm == pytest.approx([s * n for s, n in zip(spacing, step, strict=True)])


def test_only_the_part_with_the_body_is_kept_and_indices_find_their_block():
    hu = np.full((6, 120, 140), -1000, np.int16)
    hu[:, 60:66, 80:86] = 500
    volume = volume_of(hu, (1.0, 0.75, 0.75))
    coarse = coarsen(volume)
    grid = make_grid(volume, coarse, coarse.hu > -300)
    assert grid.hu.shape[1] < 20
    assert grid.hu.shape[2] < 20
    inside = grid.of_fine(np.array([[0, 62, 82], [5, 63, 83]]))
    assert (grid.hu[tuple(inside.T)] == 500).all()
    corners = grid.of_fine(np.array([[0, 0, 0], [5, 119, 139]]))
    assert (grid.hu[tuple(corners.T)] < -900).all()
    assert grid.steps(3.0) == 2


def test_voxels_that_were_not_imaged_count_as_air():
    hu = np.full((3, 30, 30), -2048, np.int16)
    coarse = coarsen(volume := volume_of(hu, (3.0, 1.5, 1.5)))
    assert make_grid(volume, coarse, np.zeros(coarse.hu.shape, dtype=bool)).hu.min() == -1024
