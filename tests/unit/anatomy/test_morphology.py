"""Shifted views give what general structuring elements give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from calcreport.anatomy.morphology import (
    ALL_AXES,
    IN_PLANE,
    SHARED_VOXELS,
    close_planes,
    dilate,
    erode,
    open_planes,
    outside_planes,
)

MASKS = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9))
ELEMENTS = st.sampled_from(("cross", "square", "disc"))
AXES = st.sampled_from((IN_PLANE, ALL_AXES))
STEPS = st.integers(1, 3)


def structure_of(element, axes):
    """The same neighbourhood, written down directly."""
    reach = 2 if element == "disc" else 1
    offsets = np.abs(np.indices((2 * reach + 1,) * 3) - reach)
    square = offsets.max(axis=0) <= reach
    shape = {"cross": offsets.sum(axis=0) <= 1, "square": square}.get(element)
    if shape is None:
        one = np.ones((3, 3, 3), dtype=bool)
        cross = np.pad(structure_of("cross", axes), 1)
        plane = np.zeros((3, 3, 3), dtype=bool)
        plane[1] = True
        return ndimage.binary_dilation(cross, structure=plane if axes == IN_PLANE else one)
    if axes == IN_PLANE:
        shape = shape & (offsets[0] == 0)
    return shape


def inside(function, array, value, **options):
    """Result of scipy's function on an array with plenty around it: scipy errs where the structure is the larger."""
    margin = (slice(8, -8),) * 3
    if "mask" in options:
        options["mask"] = np.pad(options["mask"], 8)
    return function(np.pad(array, 8, constant_values=bool(value)), border_value=value, **options)[margin]


@given(mask=MASKS, element=ELEMENTS, axes=AXES, steps=STEPS)
@settings(deadline=None)
def test_dilation_is_scipys(mask, element, axes, steps):
    expected = inside(ndimage.binary_dilation, mask, 0, structure=structure_of(element, axes), iterations=steps)
    assert (dilate(mask, element, axes=axes, steps=steps) == expected).all()


@given(mask=MASKS, seed=st.integers(0, 2**32 - 1), element=ELEMENTS, axes=AXES, steps=STEPS)
@settings(deadline=None)
def test_dilation_within_a_mask_is_scipys(mask, seed, element, axes, steps):
    allowed = np.random.default_rng(seed).random(mask.shape) < 0.7
    structure = structure_of(element, axes)
    expected = inside(ndimage.binary_dilation, mask, 0, structure=structure, iterations=steps, mask=allowed)
    assert (dilate(mask, element, axes=axes, steps=steps, within=allowed) == expected).all()


@given(mask=MASKS, element=ELEMENTS, axes=AXES, steps=STEPS, beyond=st.sampled_from((0, 1)))
@settings(deadline=None)
def test_erosion_is_scipys(mask, element, axes, steps, beyond):
    expected = inside(ndimage.binary_erosion, mask, beyond, structure=structure_of(element, axes), iterations=steps)
    assert (erode(mask, element, axes=axes, steps=steps, beyond=beyond) == expected).all()


@given(mask=MASKS, element=ELEMENTS, steps=STEPS)
@settings(deadline=None)
def test_opening_and_closing_are_scipys_with_the_border_repeated(mask, element, steps):
    structure = structure_of(element, IN_PLANE)
    rim = (2 if element == "disc" else 1) * steps
    wide = np.pad(mask, ((0, 0), (rim, rim), (rim, rim)), mode="edge")
    middle = (slice(None), slice(rim, -rim), slice(rim, -rim))

    def steps_of(first, second):
        once = inside(first, wide, 0, structure=structure, iterations=steps)
        return inside(second, once, 0, structure=structure, iterations=steps)[middle]

    assert (open_planes(mask, element, steps=steps) == steps_of(ndimage.binary_erosion, ndimage.binary_dilation)).all()
    assert (close_planes(mask, element, steps=steps) == steps_of(ndimage.binary_dilation, ndimage.binary_erosion)).all()


@given(mask=MASKS)
@settings(deadline=None)
def test_outside_is_what_filling_holes_leaves(mask):
    expected = np.stack([~ndimage.binary_fill_holes(plane) for plane in mask])
    assert (outside_planes(mask) == expected).all()


def test_a_disc_is_a_box_without_its_corners():
    point = np.zeros((1, 7, 7), dtype=bool)
    point[0, 3, 3] = True
    assert (dilate(point, "disc")[0, 1:6, 1:6] == (np.hypot(*np.mgrid[-2:3, -2:3]) <= 2.3)).all()


@pytest.mark.parametrize("function", [dilate, erode, open_planes, close_planes])
def test_the_mask_given_is_left_alone(function):
    mask = np.random.default_rng(3).random((4, 6, 5)) < 0.5
    before = mask.copy()
    function(mask, "square")
    assert (mask == before).all()


@pytest.mark.parametrize(
    "work",
    [lambda m: open_planes(m, "square"), lambda m: close_planes(m, "cross", steps=2), outside_planes],
    ids=["opening", "closing", "outside"],
)
def test_a_large_mask_is_treated_as_its_slices_one_by_one(work):
    mask = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((35, 130, 130)), (0, 3, 3)) > 0
    assert mask.size > SHARED_VOXELS, "large enough to be shared between threads"
    alone = np.concatenate([work(plane[np.newaxis]) for plane in mask])
    assert 0 < alone.sum() < alone.size
    assert np.array_equal(work(mask), alone)
