"""Small CT volumes of known shape, supersampled so that partial volume is real."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from calcreport.anatomy.body import Body
from calcreport.anatomy.bone_map import BoneMap
from calcreport.anatomy.coarse import Grid, coarsen
from calcreport.anatomy.components import find_components, find_runs
from calcreport.calcification.foci import Focus
from calcreport.calcification.scene import Scene
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference
from calcreport.model.report import Thresholds
from calcreport.model.terms import Laterality


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


@pytest.fixture
def make_focus() -> Callable[..., Focus]:
    """``make_focus(**changes)``: a deposit that is surely mineral, apart from everything, but for the changes."""

    def make(**changes):
        plain = {
            "component": 0, "volume_mm3": 500.0, "peak_hu": 700.0, "mean_hu": 500.0, "spread_hu": 120.0,
            "core_hu": 600.0, "background_hu": 55.0, "reference_hu": 55.0, "background_sd_hu": 10.0,
            "bone_gap_mm": float("inf"), "gas_fraction": 0.0, "air_fraction": 0.0, "touches_border": False,
            "evidence": 600.0, "thickness_mm": 7.0,
        }  # fmt: skip
        return Focus(**plain | changes)

    return make


@pytest.fixture
def make_scene() -> Callable[..., Scene]:
    """``make_scene(*boxes, hu, shape, region, first_row_is_back, noise_hu, lumen_hu, grow)``: boxes in empty maps.

    Voxels of 1 mm, blocks of 3 mm in every map. Each box is three (start, stop) pairs in voxels; the components are the
    boxes, 500 HU in muscle. All maps are empty but for the body, which is everywhere; tests set blocks in them.
    """

    def make(
        *boxes,
        hu=500,
        shape=(60, 60, 120),
        region=None,
        first_row_is_back=False,
        noise_hu=10.0,
        lumen_hu=None,
        grow=130,
    ):
        values = np.full(shape, 55, dtype=np.int16)
        for box in boxes:
            values[tuple(slice(*pair) for pair in box)] = hu
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 1, -1 if first_row_is_back else 1, 1, 1
        geometry = VolumeGeometry(affine=affine, shape=shape)
        slices = tuple(SliceReference(sop_instance_uid=f"1.2.{i}", instance_number=i + 1) for i in range(shape[0]))
        volume = CtVolume(hu=values, geometry=geometry, slices=slices)
        volume.hu.setflags(write=True)
        coarse = coarsen(volume)
        blocks = coarse.hu.shape
        empty = {
            name: np.zeros(blocks, dtype=bool)
            for name in ("bone", "free", "cartilage", "lumen", "pools", "outside", "cage")
        }
        grid = Grid(hu=coarse.hu, step=(3, 3, 3), spacing_mm=(3.0, 3.0, 3.0))
        bones = BoneMap(
            grid=grid, bone=empty["bone"], free=empty["free"], cartilage=empty["cartilage"], lumen=empty["lumen"],
            lumen_hu=lumen_hu, pools=empty["pools"], noise_hu=noise_hu, doubt=None,
        )  # fmt: skip
        whole = np.ones(blocks, dtype=bool)
        return Scene(
            volume=volume, coarse=coarse, bones=bones, noise_hu=noise_hu, limits=Thresholds(grow=grow, seed=200),
            body=Body(mask=whole, outside=empty["outside"], firm=whole.copy()),
            places=SimpleNamespace(
                cavity=np.zeros(blocks, dtype=np.uint8), cage=empty["cage"],
                place=lambda _: SimpleNamespace(region=region, laterality=Laterality.UNKNOWN),
                trunk=SimpleNamespace(part=np.full(blocks[0], "pelvis")),
            ),
            components=find_components(values, find_runs(values, grow)),
        )  # fmt: skip

    return make
