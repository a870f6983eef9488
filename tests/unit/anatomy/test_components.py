"""Run-length labelling agrees with a dense labelling, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from calcreport.anatomy.components import find_components, find_runs, paint, with_extra


def components_of(mask, hu):
    return find_components(hu, find_runs(mask.astype(np.int16), 1))


@pytest.mark.parametrize("shape", [(5, 9, 7), (3, 1, 4), (1, 12, 12), (4, 16, 1)])
@pytest.mark.parametrize("density", [0.05, 0.3, 0.6])
def test_components_are_those_of_a_dense_labelling(shape, density):
    rng = np.random.default_rng(7)
    mask = rng.random(shape) < density
    hu = rng.integers(-100, 2000, shape).astype(np.int16)
    found = components_of(mask, hu)
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    assert found.count == count
    for i in range(count):
        index = found.indices(i)
        label = labels[tuple(index[0])]
        assert (labels[tuple(index.T)] == label).all()
        assert found.voxels[i] == len(index) == (labels == label).sum()
        assert found.peak_hu[i] == hu[labels == label].max()
        assert (found.box[i][:, 0] == index.min(0)).all()
        assert (found.box[i][:, 1] == index.max(0) + 1).all()


def test_first_and_last_row_of_neighbouring_slices_do_not_touch():
    mask = np.zeros((2, 4, 3), dtype=bool)
    mask[0, 3, 1] = mask[1, 0, 1] = True
    assert components_of(mask, mask.astype(np.int16)).count == 2


def test_empty_mask_has_no_components():
    mask = np.zeros((3, 4, 5), dtype=bool)
    assert components_of(mask, mask.astype(np.int16)).count == 0


def test_paint_gives_back_the_voxels_in_any_box():
    rng = np.random.default_rng(3)
    mask = rng.random((6, 20, 18)) < 0.2
    hu = mask.astype(np.int16)
    found = components_of(mask, hu)
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    chosen = np.arange(0, found.count, 2)
    wanted = np.isin(labels, [labels[tuple(found.indices(i)[0])] for i in chosen])
    for box in ((slice(0, 6), slice(0, 20), slice(0, 18)), (slice(2, 4), slice(5, 11), slice(3, 9))):
        assert (paint(found, chosen, box) == wanted[box]).all()
        thinned = tuple(slice(part.start, part.stop, every) for part, every in zip(box, (2, 3, 2), strict=True))
        assert (paint(found, chosen, box, np.array([2, 3, 2])) == wanted[thinned]).all()


@pytest.mark.parametrize("count", [1, 7, 100, 10_000])
def test_a_sample_is_evenly_spread_over_the_voxels(count):
    mask = np.random.default_rng(4).random((6, 20, 18)) < 0.5
    found = components_of(mask, mask.astype(np.int16))
    whole = found.indices(0)
    assert len(whole) > 500
    assert (found.sampled(0, count) == whole[:: max(1, len(whole) // count)]).all()


@pytest.mark.parametrize("slices", [1, 4, 5, 11])
def test_runs_are_those_of_the_voxels_at_or_above_the_limit_slice_by_slice(slices):
    hu = np.random.default_rng(5).integers(0, 10, (slices, 7, 9)).astype(np.int16)
    runs = find_runs(hu, 6)
    painted = np.zeros(hu.shape, dtype=bool)
    for row, start, stop in zip(runs.row, runs.start, runs.stop, strict=True):
        painted[row // 7, row % 7, start:stop] = True
        assert start == 0 or hu[row // 7, row % 7, start - 1] < 6
        assert stop == 9 or hu[row // 7, row % 7, stop] < 6
    assert np.array_equal(painted, hu >= 6)
    assert (np.diff(runs.row * 10 + runs.start) > 0).all()


def test_extra_components_hold_the_voxels_given():
    rng = np.random.default_rng(4)
    mask = rng.random((4, 10, 10)) < 0.3
    hu = rng.integers(0, 500, mask.shape).astype(np.int16)
    found = components_of(mask, hu)
    extra = np.argwhere(rng.random(mask.shape) < 0.2)
    more = with_extra(found, hu, [extra, extra[:5]])
    assert more.count == found.count + 2
    assert {tuple(v) for v in more.indices(found.count)} == {tuple(v) for v in extra}
    assert more.voxels[-1] == 5
    assert more.peak_hu[found.count] == hu[tuple(extra.T)].max()
    assert (more.indices(0) == found.indices(0)).all()
