"""Phantoms: what is rendered agrees with what is said to be true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calcphantom import (
    KINDS,
    Extra,
    Kernel,
    Layer,
    LesionRecipe,
    NoRoomError,
    PhantomRecipe,
    Region,
    ScanRecipe,
    make_phantom,
    random_recipe,
)
from calcphantom.place import BOUND_PATTERNS, PATTERNS
from calcphantom.recipe import CLASSIC_REGIONS, RoughLesionRecipe
from calcphantom.render import noise_field, render, scan_geometry
from calcphantom.scene import Paint
from calcphantom.shapes import about_z, ball, ellipsoid, everywhere, half_space, moved
from calcphantom.truth import depth_class

from calcreport.model.image import Contrast
from calcreport.model.report import DepthClass

COARSE = ScanRecipe(pixel_mm=1.4, spacing_mm=4.0)


def one(pattern: str, diameter_mm: float, layer: Layer = Layer.SUBFASCIAL, **more: object) -> PhantomRecipe:
    settings: dict[str, object] = {"region": Region.THIGH, "seed": 5, "scan": COARSE} | more
    lesion = LesionRecipe(pattern=pattern, diameter_mm=diameter_mm, layer=layer)
    return PhantomRecipe(kind="test", lesions=(lesion,), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("tilt_deg", [0.0, 18.0])
@pytest.mark.parametrize(("spacing_mm", "thickness_mm"), [(0.7, 0.7), (2.0, 2.0), (5.0, 5.0), (2.0, 4.0)])
def test_partial_volume_conserves_volume_and_place(spacing_mm: float, thickness_mm: float, tilt_deg: float) -> None:
    scan = ScanRecipe(pixel_mm=0.9, spacing_mm=spacing_mm, thickness_mm=thickness_mm, tilt_deg=tilt_deg)
    geometry = scan_geometry(scan, half_width_mm=20, half_height_mm=20, length_mm=44)
    place = np.array([1.3, -2.1, 0.8])
    shape = moved(ellipsoid((6.0, 4.0, 9.0)), about_z(0.5, 0.4), place)
    share = render((Paint(shape=shape, hu=500, is_mineral=True, owner=0),), geometry, scan, lesions=1).mineral_share[0]
    volume = share[:, 3].sum() * geometry.voxel_volume_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * 6 * 4 * 9, rel=0.02)
    centre = np.average(geometry.lps_mm(share[:, :3]), axis=0, weights=share[:, 3])
    assert centre == pytest.approx(place, abs=0.15)


def test_a_flat_face_is_not_quantised_by_the_samples() -> None:
    scan = ScanRecipe(pixel_mm=1.0, spacing_mm=1.0)
    geometry = scan_geometry(scan, half_width_mm=4, half_height_mm=4, length_mm=6)
    for offset in np.linspace(-0.45, 0.45, 7):
        box = everywhere()
        shape = half_space(np.array([1.0, 0.0, 0.0]), float(offset) + float(geometry.lps_mm(np.array([3, 3, 4]))[0]))
        shape = type(shape)(distance=shape.distance, box=box, points=shape.points)
        share = render(
            (Paint(shape=shape, hu=500, is_mineral=True, owner=0),), geometry, scan, lesions=1
        ).mineral_share[0]
        row = share[(share[:, 0] == 3) & (share[:, 1] == 3) & (share[:, 2] == 4)]
        assert float(row[0, 3]) == pytest.approx(0.5 + offset, abs=0.035)


def test_the_same_recipe_gives_the_same_voxels_and_another_seed_others() -> None:
    first, _ = make_phantom(one("P05", 20))
    again, _ = make_phantom(one("P05", 20))
    other, _ = make_phantom(one("P05", 20, seed=6))
    assert np.array_equal(first.hu, again.hu)
    assert first.hu.shape != other.hu.shape or not np.array_equal(first.hu, other.hu)


def test_truth_lies_where_the_voxels_are_dense() -> None:
    volume, truth = make_phantom(one("P15", 20, scan=ScanRecipe(pixel_mm=0.9, spacing_mm=2, noise_hu=3, tilt_deg=12)))
    centre = np.rint(volume.geometry.index(np.array(truth.lesions[0].centre_lps_mm))).astype(int)
    assert volume.hu[tuple(centre)] > 400
    beyond = np.array(truth.lesions[0].centre_lps_mm) + np.array([0.0, 0.0, truth.lesions[0].cc_mm / 2 + 5])
    assert volume.hu[tuple(np.rint(volume.geometry.index(beyond)).astype(int))] < 150


def test_a_solid_lesion_has_the_size_that_was_asked_for() -> None:
    _, truth = make_phantom(one("P15", 22))
    lesion = truth.lesions[0]
    assert lesion.max_diameter_mm == pytest.approx(22, abs=0.1)
    assert lesion.cc_mm <= lesion.max_diameter_mm + 1e-6


@pytest.mark.parametrize("kernel", list(Kernel))
def test_noise_has_the_standard_deviation_of_the_recipe(kernel: Kernel) -> None:
    scan = ScanRecipe(noise_hu=20, kernel=kernel)
    noise = noise_field((6, 120, 120), scan, np.random.default_rng(2))
    assert noise[:, 30:90, 30:90].std() == pytest.approx(20, rel=0.15)


@pytest.mark.parametrize("pattern", sorted({*PATTERNS, *BOUND_PATTERNS} - {"P28"}))
def test_every_pattern_can_be_built(pattern: str) -> None:
    fatty = {"P04", "P12", "P18", "P19", "P26"}
    layer = Layer.SUBCUTANEOUS if pattern in fatty else Layer.SUBFASCIAL
    diameter = {"P10": 105.0, "P11": 30.0, "P03": 7.0, "P19": 8.0}.get(pattern, 22.0)
    knee = {"region": Region.CALF, "extras": (Extra.KNEE_END,), "length_mm": 130.0} if pattern == "P16" else {}
    _, truth = make_phantom(one(pattern, diameter, layer, **knee))
    lesion = truth.lesions[0]
    assert lesion.pattern == pattern
    assert 0 < lesion.volume_mm3 < lesion.max_diameter_mm**3
    assert lesion.skin_distance_mm > 0
    if layer is Layer.SUBCUTANEOUS:
        assert lesion.depth_class is DepthClass.SUBCUTANEOUS
        assert lesion.fascia_distance_mm > 0


@pytest.mark.parametrize("definition", [LesionRecipe, RoughLesionRecipe])
def test_mineral_in_cartilage_lies_between_two_bones(definition: type[LesionRecipe]) -> None:
    lesion = definition(pattern="P16", diameter_mm=18, hu=500)
    recipe = replace(one("P16", 18, region=Region.HAND, seed=4), lesions=(lesion,))
    _, truth = make_phantom(recipe)
    found = truth.lesions[0]
    assert 0 < found.bone_distance_mm < 4.5
    assert 3 < found.max_diameter_mm <= 18.5
    assert found.volume_mm3 < 0.1 * found.max_diameter_mm**3
    assert found.mean_hu == pytest.approx(500, abs=1)


@pytest.mark.parametrize("definition", [LesionRecipe, RoughLesionRecipe])
def test_a_tophus_is_faint_with_denser_flecks(definition: type[LesionRecipe]) -> None:
    lesion = definition(pattern="P17", diameter_mm=12, hu=170, layer=Layer.SUBCUTANEOUS, site="ankle fat")
    recipe = replace(one("P17", 12, region=Region.FOOT, seed=4, length_mm=140.0), lesions=(lesion,))
    _, truth = make_phantom(recipe)
    found = truth.lesions[0]
    assert 170 < found.mean_hu < 260
    assert found.max_diameter_mm == pytest.approx(12, abs=4)
    assert found.bone_distance_mm > 2


def test_without_a_joint_there_is_no_room_for_mineral_in_cartilage() -> None:
    with pytest.raises(NoRoomError, match="no joint"):
        make_phantom(one("P16", 12))


@pytest.mark.parametrize(
    ("layer", "classes"),
    [
        (Layer.SUBCUTANEOUS, {DepthClass.SUBCUTANEOUS}),
        (Layer.ABUTTING, {DepthClass.ABUTS_FASCIA}),
        (Layer.SUBFASCIAL, {DepthClass.SUBFASCIAL}),
        (Layer.JUXTACORTICAL, {DepthClass.JUXTACORTICAL}),
        (Layer.FUSED, {DepthClass.JUXTACORTICAL}),
    ],
)
@pytest.mark.parametrize("region", [Region.CALF, Region.THIGH])
def test_a_lesion_lies_in_the_layer_asked_for(layer: Layer, classes: set[DepthClass], region: Region) -> None:
    _, truth = make_phantom(one("P09", 12, layer, region=region))
    assert truth.lesions[0].depth_class in classes
    assert (truth.lesions[0].bone_distance_mm == 0) == (layer is Layer.FUSED)


def test_depth_class_comes_from_the_fascia_and_not_from_millimetres() -> None:
    outside, inside, both = np.array([1.0, 40.0]), np.array([-2.0, -1.0]), np.array([-2.0, 3.0])
    assert depth_class(outside, 1.0, 30.0) is DepthClass.SUBCUTANEOUS
    assert depth_class(inside, 1.0, 30.0) is DepthClass.SUBFASCIAL
    assert depth_class(inside, 1.0, 2.0) is DepthClass.JUXTACORTICAL
    assert depth_class(both, 0.0, 30.0) is DepthClass.CROSSES_FASCIA
    assert depth_class(np.array([0.2, 9.0]), 0.2, 30.0) is DepthClass.ABUTS_FASCIA


@pytest.mark.parametrize("name", ["phlebolith", "sternocleidomastoid", "negative"])
def test_named_kinds_can_be_made(name: str) -> None:
    _, truth = make_phantom(KINDS[name].recipe(name, seed=3, scan=ScanRecipe(pixel_mm=1.6, spacing_mm=5)))
    assert len(truth.lesions) == len(KINDS[name].lesions)


def test_both_sides_of_the_body_are_where_they_belong() -> None:
    lesions = (LesionRecipe(pattern="P09", diameter_mm=10),) * 2
    recipe = PhantomRecipe(
        kind="test", region=Region.CALF, seed=4, lesions=lesions, extras=(Extra.SECOND_LEG,), scan=COARSE
    )
    _, truth = make_phantom(recipe)
    assert [x.side for x in truth.lesions] == ["right", "left"]
    assert truth.lesions[0].centre_lps_mm[0] < 0 < truth.lesions[1].centre_lps_mm[0]


def test_metal_is_clipped_at_the_ceiling_and_is_no_lesion() -> None:
    recipe = PhantomRecipe(kind="test", region=Region.THIGH, seed=1, extras=(Extra.NAIL,), scan=COARSE)
    volume, truth = make_phantom(recipe)
    assert volume.hu.max() == 3071
    assert truth.lesions == ()
    assert "nail" in truth.distractors


def test_faint_mineral_under_noise_or_contrast_is_called_undetectable() -> None:
    lesion = LesionRecipe(pattern="P09", diameter_mm=5, hu=240)
    quiet = PhantomRecipe(
        kind="t", region=Region.CALF, seed=2, lesions=(lesion,), scan=ScanRecipe(spacing_mm=1, noise_hu=8)
    )
    loud = ScanRecipe(spacing_mm=5, noise_hu=45)
    arterial = ScanRecipe(spacing_mm=1, noise_hu=8, contrast=Contrast.ARTERIAL)
    assert make_phantom(quiet)[1].lesions[0].is_detectable
    for scan in (loud, arterial):
        recipe = PhantomRecipe(kind="t", region=Region.CALF, seed=2, lesions=(lesion,), scan=scan)
        assert not make_phantom(recipe)[1].lesions[0].is_detectable


def test_a_lesion_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(NoRoomError):
        make_phantom(one("P15", 22, Layer.SUBCUTANEOUS, fat_mm=1.0, length_mm=20.0))


def test_random_recipes_cover_the_ranges_and_repeat() -> None:
    recipes = [random_recipe(seed) for seed in range(230)]
    assert recipes[7] == random_recipe(7)
    assert {r.region for r in recipes} == set(CLASSIC_REGIONS)
    assert min(r.scan.spacing_mm for r in recipes) == 0.5
    assert max(r.scan.spacing_mm for r in recipes) == 5.0
    assert {r.lesions[0].pattern for r in recipes} >= {"P01", "P02", "P05", "P10", "P23", "P27"}
    assert all(not random_recipe(seed, has_lesions=False).lesions for seed in range(8))


def test_ball_volume_and_density_in_the_truth() -> None:
    recipe = one("P01", 8.0)
    _, truth = make_phantom(recipe)
    lesion = truth.lesions[0]
    assert lesion.mean_hu == pytest.approx(450, rel=0.1)
    assert lesion.volume_mm3 == pytest.approx(np.pi / 6 * 8 * lesion.ap_mm * lesion.tr_mm, rel=0.35)
    assert ball(4.0).box.shape == (2, 3)
