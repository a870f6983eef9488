"""Lesions in their places: what a lesion lies in is clipped to where it may be."""

from __future__ import annotations

import numpy as np
import pytest
from calcphantom.limb import FAT_HU
from calcphantom.place import Placed, place_lesion
from calcphantom.recipe import LesionRecipe, PhantomRecipe, Region, ScanRecipe
from calcphantom.shapes import Floats
from calcphantom.study import build_setting

HALF_LENGTH_MM = 40.0


def placed_node(seed: int, region: Region) -> Placed:
    lesion = LesionRecipe(pattern="P21", diameter_mm=10.0, hu=500.0)
    recipe = PhantomRecipe(kind="test", region=region, seed=seed, lesions=(lesion,), scan=ScanRecipe())
    rng = np.random.default_rng(seed)
    body = build_setting(recipe, rng, half_length_mm=HALF_LENGTH_MM).bodies[0]
    return place_lesion(lesion, body, rng, others=(), half_length_mm=HALF_LENGTH_MM, blood_hu=45.0)


def sampled(placed: Placed) -> tuple[Floats, Floats, Floats, Floats]:
    """Points in the bed as built, and there: in the fat as painted, in what it must spare, signed depth (mm)."""
    assert placed.piece.bed is not None
    low, high = placed.piece.bed.box
    axes = [np.linspace(a, b, 24) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    points = points[placed.piece.bed.distance(*points.T) < 0]
    body = placed.body
    solids = (*body.bones, *body.keep_out, *(v.tube().shape() for v in body.vessels))
    in_solid = np.min([s.distance(*points.T) for s in solids], axis=0) < 0
    in_fat = placed.piece.paints[0].shape.distance(*points.T) < 0
    return points, in_fat, in_solid, body.fascia.distance(*points.T)


@pytest.mark.parametrize("region", [Region.NECK, Region.PELVIS])
def test_a_node_lies_in_fat_that_spares_vessels_bones_and_fascia(region: Region) -> None:
    met = 0
    for seed in range(8):
        placed = placed_node(seed, region)
        assert (placed.piece.paints[0].hu, placed.piece.paints[0].is_mineral) == (FAT_HU, False)
        _, in_fat, in_solid, depth = sampled(placed)
        met += int(in_solid.any())
        assert not (in_fat & in_solid).any()
        assert not (in_fat & (depth > 0)).any()
        assert in_fat[~in_solid & (depth < -1.5)].all()
    assert met > 0


def test_the_fat_of_a_node_ends_at_the_fascia() -> None:
    _, in_fat, _, depth = sampled(next(p for p in map(near_the_fascia, range(40)) if p is not None))
    assert in_fat.any()
    assert not (in_fat & (depth > -0.5)).any()


def near_the_fascia(seed: int) -> Placed | None:
    """A node whose bed reaches through the fascia, if the seed gives one."""
    placed = placed_node(seed, Region.NECK)
    return placed if (sampled(placed)[3] > 0).any() else None


def test_the_fat_a_node_lies_in_moves_with_it_and_is_no_part_of_its_size() -> None:
    placed = placed_node(1, Region.PELVIS)
    bed, gland = placed.piece.paints[:2]
    assert len(bed.shape.points) == 0
    assert placed.piece.bed is not None
    assert placed.piece.bed.box.mean(axis=0) == pytest.approx(gland.shape.box.mean(axis=0), abs=1e-6)
