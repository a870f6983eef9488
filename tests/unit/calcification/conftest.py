"""Small CT volumes of known shape, supersampled so that partial volume is real."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference


def _geometry(shape, spacing_mm, tilt_deg):
    step = np.array([0.0, spacing_mm[0] * np.tan(np.radians(tilt_deg)), spacing_mm[0]])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, [0, spacing_mm[1], 0], [spacing_mm[2], 0, 0]
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = -middle
    return VolumeGeometry(affine=affine, shape=tuple(shape))


@pytest.fixture
def make_volume() -> Callable[..., CtVolume]:
    """``make_volume(paint, size_mm, spacing_mm, tilt_deg, noise_hu, blur_mm)``.

    `paint` takes LPS coordinates x, y, z (mm, arrays) about the volume's centre and returns HU.
    """

    def make(paint, *, size_mm=60.0, spacing_mm=(2.0, 0.8, 0.8), tilt_deg=0.0, noise_hu=0.0, blur_mm=0.0, seed=1):
        shape = tuple(int(np.ceil(size_mm / s)) for s in spacing_mm)
        geometry = _geometry(shape, spacing_mm, tilt_deg)
        total = np.zeros(shape)
        # Large volumes serve for finding and placing, small ones for measuring edges.
        sub = 4 if size_mm <= 64 else 2
        offsets = (np.arange(sub) + 0.5) / sub - 0.5
        index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).astype(float)
        for a in offsets:
            for b in offsets:
                for c in offsets:
                    p = geometry.lps_mm(index + np.array([a, b, c]))
                    total += paint(p[..., 0], p[..., 1], p[..., 2])
        hu = total / sub**3
        if blur_mm:
            hu = ndimage.gaussian_filter(hu, (0, *(blur_mm / 2.3548 / s for s in spacing_mm[1:])))
        hu += np.random.default_rng(seed).normal(0, noise_hu, shape) if noise_hu else 0
        slices = tuple(SliceReference(sop_instance_uid=f"1.2.{i}", instance_number=i + 1) for i in range(shape[0]))
        return CtVolume(hu=np.clip(hu, -1024, 32767).round().astype(np.int16), geometry=geometry, slices=slices)

    return make


@pytest.fixture
def limb() -> Callable[..., np.ndarray]:
    """HU of a limb about the z axis: skin 40 mm out, fascia 30 mm out, a bone shaft off centre, air around."""

    def paint(x, y, _z):
        r = np.hypot(x, y)
        hu = np.full(x.shape, -1000.0)
        hu[r < 40] = -100.0
        hu[(r < 40) & (r > 38.5)] = 40.0
        hu[r < 30] = 55.0
        bone = np.hypot(x + 10, y)
        hu[bone < 9] = 1300.0
        hu[bone < 5.5] = -60.0
        return hu

    return paint
