"""Mineral fused with a shaft is told from the shaft; the shaft itself never is."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.components import find_components, find_runs
from calcreport.anatomy.outgrowth import find_outgrowths

SPACING_MM = (2.0, 1.0, 1.0)
SHAPE = (60, 80, 80)
MIDDLE = 40
CORTEX, MARROW, MINERAL = 1300, 40, 450


def grid():
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
    return z * SPACING_MM[0], y - MIDDLE, x - MIDDLE


def shaft(y, x):
    r = np.hypot(y, x)
    return np.select([r < 7, r < 12], [MARROW, CORTEX], -50).astype(np.int16)


def outgrowths_of(hu):
    runs = find_runs(hu, 130)
    components = find_components(hu, runs)
    skeleton = np.zeros(components.count, dtype=bool)
    skeleton[int(components.voxels.argmax())] = True
    return find_outgrowths(hu, components, skeleton, SPACING_MM)


def test_a_plain_shaft_has_no_outgrowth():
    _, y, x = grid()
    assert outgrowths_of(shaft(y, x)) == []


def test_no_skeleton_no_outgrowth():
    hu = np.zeros((4, 8, 8), dtype=np.int16)
    components = find_components(hu, find_runs(hu, 1))
    assert find_outgrowths(hu, components, np.zeros(0, dtype=bool), SPACING_MM) == []


def test_mineral_laid_on_the_cortex_is_found_where_it_is():
    z, y, x = grid()
    hu = shaft(y, x)
    ball = np.sqrt((z - 60) ** 2 + y**2 + (x - 16) ** 2) < 9
    hu[ball & (np.hypot(y, x) >= 12)] = MINERAL
    found = outgrowths_of(hu)
    assert len(found) == 1
    index = found[0]
    assert (hu[tuple(index.T)] == MINERAL).mean() > 0.95
    assert len(index) > 0.6 * (hu == MINERAL).sum()
    centre = index.mean(axis=0) * SPACING_MM
    assert centre == pytest.approx((60, MIDDLE, MIDDLE + 19), abs=3)


def test_a_shaft_that_leans_is_its_own_course():
    z, y, x = grid()
    assert outgrowths_of(shaft(y, x - (z - 60) * 0.15)) == []


def test_a_bulge_of_the_cortex_itself_is_not_mineral_laid_on_it():
    """As dense as the cortex, with marrow and no cortex beneath: the bone's own shape."""
    z, y, x = grid()
    hu = shaft(y, x)
    bulge = (np.sqrt((z - 60) ** 2 + y**2 + (x - 14) ** 2) < 9) & (x > 0)
    rim = (np.sqrt((z - 60) ** 2 + y**2 + (x - 14) ** 2) >= 6) & bulge
    hu[bulge & (np.hypot(y, x) >= 7)] = 300
    hu[rim & (np.hypot(y, x) >= 12)] = CORTEX
    assert outgrowths_of(hu) == []


def test_roughness_thinner_than_the_limit_is_bone():
    z, y, x = grid()
    hu = shaft(y, x)
    hu[(np.abs(z - 60) < 10) & (np.hypot(y, x) >= 12) & (np.hypot(y, x) < 14) & (x > 0)] = MINERAL
    assert outgrowths_of(hu) == []


def test_a_spike_thinner_than_the_limit_is_bone():
    z, y, x = grid()
    hu = shaft(y, x)
    hu[(np.abs(z - 60) < 10) & (np.abs(y) < 2) & (x >= 12) & (x < 26)] = MINERAL
    assert outgrowths_of(hu) == []


def test_a_shaft_that_widens_towards_its_end_is_its_own_course():
    """Mineral on one side only, from the middle to the end of the scan, may be the flare of the bone."""
    z, y, x = grid()
    hu = shaft(y, x)
    hu[(z > 55) & (np.hypot(y, x - 12) < 9) & (np.hypot(y, x) >= 12)] = MINERAL
    assert outgrowths_of(hu) == []


def test_what_is_as_dense_as_the_cortex_beneath_is_the_bone():
    z, y, x = grid()
    hu = shaft(y, x)
    hu[(np.sqrt((z - 60) ** 2 + y**2 + (x - 16) ** 2) < 9) & (np.hypot(y, x) >= 12)] = CORTEX
    assert outgrowths_of(hu) == []
