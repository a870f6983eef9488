"""Which part of a film is exposed, air and body."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from calcreport.film.exposure import continued, find_exposure
from calcreport.film.reduced import reduce_film

sys.path.append(str(Path(__file__).parent))

from painted_films import AIR, LIMB_AT, PIXEL_MM, disc, film, leg, noisy, paint, with_grey

LIMB_MM = 90.0


def parted(made):
    reduced = reduce_film(made)
    return reduced, find_exposure(reduced)


def away(mask, pixels):
    """Pixels farther from the outside of a mask than so many."""
    return ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1] > pixels


def in_limb(reduced, *, margin_mm=0.0):
    """True limb of `leg` on the plate, less (or more) a margin."""
    columns = (np.arange(reduced.grey.shape[1]) + 0.5) * reduced.pixel_mm
    inside = np.abs(columns - LIMB_AT) < LIMB_MM / 2 - margin_mm
    return np.broadcast_to(inside, reduced.grey.shape)


def margin_of(made, side, *, depth_mm=14.0, tilt_deg=1.0):
    """Film pixels beyond a collimator's edge at a side, tilted."""
    rows, columns = made.intensity.shape
    length, across = (rows, columns) if side in {"top", "bottom"} else (columns, rows)
    edge = depth_mm / PIXEL_MM + np.tan(np.radians(tilt_deg)) * np.arange(across)
    mask = np.arange(length)[:, None] < edge[None, :]
    mask = mask[::-1] if side in {"bottom", "right"} else mask
    return mask if side in {"top", "bottom"} else mask.T


def downsampled(mask):
    """Film mask on the plate."""
    return mask[1::2, 1::2]


@pytest.mark.parametrize("tilt_deg", [0.0, 1.0])
@pytest.mark.parametrize(
    ("sides", "depth_mm"),
    [
        (("top",), 14.0),
        (("bottom",), 14.0),
        (("left",), 14.0),
        (("right",), 14.0),
        (("top", "bottom", "left", "right"), 4.0),
        (("top", "bottom", "left", "right"), 10.0),
    ],
)
def test_bright_margins_beyond_a_collimator_are_not_exposed(sides, depth_mm, tilt_deg):
    made = leg()
    margin = np.any([margin_of(made, side, depth_mm=depth_mm, tilt_deg=tilt_deg) for side in sides], axis=0)
    bright = 1.2 * float(made.intensity.max())
    grey = np.where(margin, bright, made.intensity)
    made = with_grey(made, ndimage.gaussian_filter(grey, 1.5) + noisy(0 * grey, noise=8.0))
    reduced, exposure = parted(made)
    margin = downsampled(margin)
    assert not (exposure.is_exposed & margin).any()
    field = away(~margin, 7.0 / reduced.pixel_mm)
    assert exposure.is_exposed[field].mean() > 0.99
    assert not exposure.is_body[margin].any()
    assert exposure.brightest < bright
    # margins on both sides may leave no air
    assert exposure.has_skin_line is bool((exposure.is_exposed & ~in_limb(reduced, margin_mm=-2)).any())


def test_a_film_without_margins_is_exposed_all_over():
    _plate, exposure = parted(leg())
    assert exposure.is_exposed.all()


def test_a_bone_across_the_film_is_no_collimator():
    made = leg()
    turned = with_grey(film(np.zeros(made.intensity.T.shape)), made.intensity.T)
    for one in (made, turned):
        assert parted(one)[1].is_exposed.all()


def test_a_dense_round_thing_at_the_end_of_the_film_is_no_collimator():
    _plate, exposure = parted(leg(disc((-60, 60), 200, 2500)))
    assert exposure.is_exposed.all()


@pytest.mark.parametrize("value", [0.0, 3000.0])
@pytest.mark.parametrize("side", ["top", "left", "right"])
def test_a_margin_overwritten_with_one_value_is_not_exposed(side, value):
    made = leg()
    margin = margin_of(made, side, depth_mm=10.0, tilt_deg=0.0)
    reduced, exposure = parted(with_grey(made, np.where(margin, value, made.intensity)))
    assert not exposure.is_exposed[downsampled(margin)].any()
    assert exposure.is_exposed[away(~downsampled(margin), 7.0 / reduced.pixel_mm)].all()
    assert exposure.darkest > 0.5 * AIR


@pytest.mark.parametrize("value", [0.0, 3000.0])
def test_text_in_an_overwritten_margin_does_not_hide_it(value):
    made = leg()
    margin = margin_of(made, "top", depth_mm=10.0, tilt_deg=0.0)
    grey = np.where(margin, value, made.intensity)
    grey[:15, :90] = 3000.0 - value
    _plate, exposure = parted(with_grey(made, grey))
    assert not exposure.is_exposed[downsampled(margin)].any()


def test_what_the_header_masks_is_not_exposed():
    imaged = np.ones((500, 600), dtype=bool)
    imaged[:, :120] = False
    reduced, exposure = parted(leg(imaged=imaged))
    assert not exposure.is_exposed[:, :60].any()
    assert exposure.is_exposed[:, 60 + reduced.pixels(3) :].all()
    assert not exposure.is_body[:, :60].any()
    assert not exposure.is_air[:, :60].any()


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_air_is_found_up_to_the_skin(slope):
    """Also where air brightens by a good part of the way to the body, as the heel of an anode makes it."""
    made = leg()
    gradient = slope * np.arange(made.intensity.shape[0])[:, None] * PIXEL_MM
    reduced, exposure = parted(with_grey(made, made.intensity + gradient))
    assert exposure.has_skin_line
    air = ~in_limb(reduced, margin_mm=-1.5)
    assert exposure.is_air[air].mean() > 0.98
    assert not exposure.is_air[in_limb(reduced, margin_mm=2.0)].any()
    assert exposure.is_body[in_limb(reduced, margin_mm=2.0)].all()
    assert not exposure.is_body[air & exposure.is_air].any()


def test_a_marker_in_air_is_no_body():
    reduced, exposure = parted(leg(disc((30, 5), 6, 2500)))
    marker = disc_on(reduced, (30, 5), 6)
    assert not exposure.is_air[marker].any()
    assert not exposure.is_body[marker].any()
    assert exposure.is_body[in_limb(reduced, margin_mm=2.0)].all()


def disc_on(reduced, middle, diameter):
    i, j = (np.indices(reduced.grey.shape) + 0.5) * reduced.pixel_mm
    return np.hypot(i - middle[0], j - middle[1]) < diameter / 2 - 0.5


def test_without_air_there_is_no_skin_line():
    grey = leg(bone=False).intensity[:, 150:450]
    _plate, exposure = parted(film(grey))
    assert not exposure.has_skin_line
    assert not exposure.is_air.any()
    assert exposure.is_body.all()


@pytest.mark.parametrize(
    "make", [lambda i, j: 0 * (i + j) + 5, lambda i, j: i + j, lambda i, j: (j - 300) ** 2 / 100 + 0 * i]
)
def test_a_smooth_film_shows_no_skin_line(make):
    i, j = np.mgrid[:500, :600].astype(float)
    _plate, exposure = parted(film(noisy(make(i, j))))
    assert not exposure.has_skin_line


def test_the_parts_of_a_film_do_not_overlap():
    _plate, exposure = parted(leg())
    assert not (exposure.is_air & exposure.is_body).any()
    assert not ((exposure.is_air | exposure.is_body) & ~exposure.is_exposed).any()


def test_grey_goes_on_beyond_the_field_as_it_ends_there():
    grey = paint([], size_mm=(10, 10)).astype(np.float32) + np.arange(50, dtype=np.float32)
    exposed = np.zeros((50, 50), dtype=bool)
    exposed[:, 10:30] = True
    wide = continued(grey, exposed)
    assert (wide[:, :10] == grey[:, [10]]).all()
    assert (wide[:, 30:] == grey[:, [29]]).all()
    assert (wide[exposed] == grey[exposed]).all()
    assert continued(grey, ~np.zeros_like(exposed)) is grey
