"""Shares and marks on the coarse grid agree with counting voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.body import find_body
from calcreport.anatomy.body_map import find_body_map
from calcreport.anatomy.bone_map import find_bone_map
from calcreport.anatomy.coarse import coarsen
from calcreport.anatomy.components import find_components, find_runs
from calcreport.calcification.scene import SAMPLED_VOXELS, Scene
from calcreport.model.report import Thresholds


@pytest.fixture
def scene(make_volume):
    def paint(x, y, z):
        return np.where(np.hypot(x, y) < 25, 55.0, -1000.0) + np.where((x * 0.9 + y * 0.3) ** 2 + z**2 < 90, 500.0, 0.0)

    volume = make_volume(paint, size_mm=62.0, spacing_mm=(1.3, 0.7, 0.9))
    runs = find_runs(volume.hu, 130)
    coarse = coarsen(volume)
    body = find_body(coarse)
    bones = find_bone_map(volume, coarse, body, 10.0)
    return Scene(
        volume=volume, coarse=coarse, body=body, bones=bones,
        places=find_body_map(coarse, body, bones.on_coarse(coarse), volume.geometry),
        components=find_components(volume.hu, runs),
        limits=Thresholds(grow=130, seed=200), noise_hu=10.0,
    )  # fmt: skip


def test_share_in_counts_voxels_and_a_sample_of_large_components(scene):
    blocks = np.random.default_rng(1).random(scene.coarse.hu.shape) < 0.4
    for i in range(scene.components.count):
        index = scene.coarse.of_fine(scene.components.indices(i))
        error = 0.02 if len(index) > SAMPLED_VOXELS else 1e-9
        assert scene.share_in(blocks, i) == pytest.approx(blocks[tuple(index.T)].mean(), abs=error)


def test_marks_are_the_blocks_of_the_voxels(scene):
    wanted = np.zeros(scene.coarse.hu.shape, dtype=bool)
    wanted[tuple(scene.coarse.of_fine(scene.components.indices(0)).T)] = True
    assert (scene.mark([0]) == wanted).all()
