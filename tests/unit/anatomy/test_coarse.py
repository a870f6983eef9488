"""Block means are the means of the blocks, in any slice, at the ends too."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.coarse import block_means


@pytest.mark.parametrize("shape", [(1, 8, 12), (3, 8, 12), (2, 9, 14), (5, 3, 2)])
@pytest.mark.parametrize("steps", [(1, 1), (4, 4), (3, 5)])
def test_each_block_holds_its_mean(shape, steps):
    planes = np.random.default_rng(2).integers(-1024, 3071, shape).astype(np.int16)
    means = block_means(planes, steps)
    down, across = steps
    assert means.shape == (shape[0], -(-shape[1] // down), -(-shape[2] // across))
    for i, j, k in np.ndindex(means.shape):
        block = planes[i, j * down : (j + 1) * down, k * across : (k + 1) * across]
        assert abs(means[i, j, k] - block.mean()) < 1.0
        if block.size == down * across:
            assert means[i, j, k] == np.floor(block.mean())
