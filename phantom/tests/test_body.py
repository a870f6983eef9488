"""Chest, abdomen, shoulder, hand and foot: what is drawn is made of what it should be, and the truth names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from calcphantom import (
    Extra,
    Kernel,
    Layer,
    LesionRecipe,
    LesionTruth,
    PhantomRecipe,
    Region,
    ScanRecipe,
    Truth,
    make_phantom,
)
from calcphantom import random_recipe as draw
from calcphantom.canvas import painted_background
from calcphantom.recipe import WHOLE_BODY_REGIONS
from calcphantom.render import render, scan_geometry
from calcphantom.scene import Paint
from calcphantom.scoring import score_study
from calcphantom.shapes import Floats, ball, capsule, intersection, outside
from calcphantom.solids import band, chain, curve, drum, egg, joined, kept_in, plate, rod, sampled
from calcphantom.study import build_setting, place_all
from scipy import ndimage

from calcreport.model.image import Contrast, CtVolume
from calcreport.model.report import DepthClass

COARSE = ScanRecipe(pixel_mm=2.0, spacing_mm=6.0, noise_hu=2.0)
TRUNK_LESIONS = (
    ("right pectoral", Region.THORAX, Layer.SUBFASCIAL, "chest wall", "muscle"),
    ("left lateral chest wall", Region.THORAX, Layer.SUBFASCIAL, "chest wall", "muscle"),
    ("right paraspinal chest", Region.THORAX, Layer.SUBFASCIAL, "back", "muscle"),
    ("left anterior chest fat", Region.THORAX, Layer.SUBCUTANEOUS, "chest wall", "subcutaneous fat"),
    ("right abdominal wall", Region.ABDOMEN, Layer.SUBFASCIAL, "abdominal wall", "muscle"),
    ("left paraspinal lumbar", Region.ABDOMEN, Layer.SUBFASCIAL, "back", "muscle"),
    ("left gluteal", Region.ABDOMEN, Layer.SUBFASCIAL, "buttock", "muscle"),
    ("right back fat", Region.ABDOMEN, Layer.SUBCUTANEOUS, "back", "subcutaneous fat"),
)
SMALL_LESIONS = (
    ("deltoid", Region.SHOULDER, Layer.SUBFASCIAL, "shoulder", "muscle"),
    ("upper arm fat", Region.SHOULDER, Layer.SUBCUTANEOUS, "shoulder", "subcutaneous fat"),
    ("finger", Region.HAND, Layer.SUBCUTANEOUS, "hand", "subcutaneous fat"),
    ("palm", Region.HAND, Layer.SUBFASCIAL, "hand", "muscle"),
    ("sole", Region.FOOT, Layer.SUBCUTANEOUS, "foot", "subcutaneous fat"),
    ("foot muscle", Region.FOOT, Layer.SUBFASCIAL, "foot", "muscle"),
    ("ankle fat", Region.FOOT, Layer.SUBCUTANEOUS, "ankle", "subcutaneous fat"),
)


def recipe(region: Region, **more: object) -> PhantomRecipe:
    settings: dict[str, object] = {"seed": 4, "scan": COARSE, "length_mm": 60.0, "fat_mm": 14.0, "sex": "M"} | more
    return PhantomRecipe(kind="test", region=region, **settings)  # type: ignore[arg-type]


def share(volume: CtVolume, low: float, high: float) -> float:
    return float(((volume.hu >= low) & (volume.hu < high)).mean())


@pytest.fixture(scope="module")
def chest() -> tuple[CtVolume, Truth]:
    return make_phantom(recipe(Region.THORAX, length_mm=240.0, extras=(Extra.ARMS_UP, Extra.OLD_CARTILAGE)))


def test_a_chest_is_made_of_lung_fat_muscle_and_bone(chest: tuple[CtVolume, Truth]) -> None:
    volume, _ = chest
    body = 1.0 - share(volume, -1100, -940)
    assert 0.15 < share(volume, -920, -750) / body < 0.55
    assert 0.10 < share(volume, -130, -70) / body < 0.45
    assert 0.15 < share(volume, 30, 80) / body < 0.60
    assert 0.01 < share(volume, 150, 1500) / body < 0.08


def test_a_chest_without_contrast_holds_no_enhanced_blood(chest: tuple[CtVolume, Truth]) -> None:
    enhanced, _ = make_phantom(
        recipe(
            Region.THORAX, length_mm=240.0, scan=replace(COARSE, contrast=Contrast.ARTERIAL), extras=(Extra.ARMS_UP,)
        )
    )
    assert share(enhanced, 250, 540) > 1.5 * share(chest[0], 250, 540)


def test_the_same_seed_draws_the_same_chest_and_another_seed_another() -> None:
    scan = replace(COARSE, pixel_mm=4.0)
    first, again, other = (
        make_phantom(recipe(Region.THORAX, seed=seed, scan=scan, length_mm=24.0))[0] for seed in (4, 4, 5)
    )
    assert np.array_equal(first.hu, again.hu)
    assert first.hu.shape != other.hu.shape or not np.array_equal(first.hu, other.hu)


@pytest.fixture(scope="module")
def placed() -> Callable[[Region], dict[str, LesionTruth]]:
    """One phantom a region, with a lesion at each of its places; by place."""

    @cache
    def make(region: Region) -> dict[str, LesionTruth]:
        is_small = region in {Region.HAND, Region.FOOT}
        size, pixel = (5.0, 0.8) if is_small else (10.0, 2.0)
        lesions = [
            LesionRecipe(pattern="P09", diameter_mm=size, layer=layer, hu=600.0, site=site)
            for site, of, layer, *_ in (*TRUNK_LESIONS, *SMALL_LESIONS)
            if of is region
        ]
        made = recipe(
            region,
            lesions=tuple(lesions),
            extras=(Extra.ARMS_DOWN,) if region is Region.SHOULDER else (),
            fat_mm={Region.HAND: 3.0, Region.FOOT: 9.0}.get(region, 16.0),
            scan=replace(COARSE, pixel_mm=pixel, spacing_mm=2 * pixel),
            length_mm=120.0 if is_small or region is Region.SHOULDER else 60.0,
        )
        _, truth = make_phantom(made)
        return {lesion.site: found for lesion, found in zip(lesions, truth.lesions, strict=True)}

    return make


@pytest.mark.parametrize(("site", "region", "layer", "part", "tissue"), [*TRUNK_LESIONS, *SMALL_LESIONS])
def test_a_lesion_lies_in_the_tissue_that_its_place_names(
    placed: Callable[[Region], dict[str, LesionTruth]], site: str, region: Region, layer: Layer, part: str, tissue: str
) -> None:
    lesion = placed(region)[site]
    assert (lesion.region, lesion.tissue) == (part, tissue)
    if site.startswith(("left ", "right ")):
        assert lesion.side == site.split(maxsplit=1)[0]
        assert (lesion.centre_lps_mm[0] > 0) == site.startswith("left ")
    shallow = {DepthClass.SUBCUTANEOUS, DepthClass.ABUTS_FASCIA}
    assert (lesion.depth_class in shallow) == (layer is Layer.SUBCUTANEOUS)
    assert lesion.skin_distance_mm > 0
    assert lesion.bone_distance_mm > 0


def test_a_lesion_of_a_painted_background_is_as_large_and_dense_as_the_truth_says() -> None:
    lesion = LesionRecipe(
        pattern="P09", diameter_mm=24.0, layer=Layer.SUBFASCIAL, hu=600.0, site="left paraspinal chest"
    )
    scan = ScanRecipe(pixel_mm=1.0, spacing_mm=2.0, noise_hu=2.0)
    volume, truth = make_phantom(recipe(Region.THORAX, lesions=(lesion,), scan=scan))
    (found,) = truth.lesions
    low, high = (volume.geometry.index(np.array(corner)) for corner in found.box_lps_mm)
    first, last = (np.rint(v).astype(int) for v in (np.minimum(low, high) - 1, np.maximum(low, high) + 2))
    part = volume.hu[tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))]
    inside = (
        float(((part.astype(float) - 56) / (found.mean_hu - 56)).clip(0, 1).sum()) * volume.geometry.voxel_volume_mm3
    )
    assert inside == pytest.approx(found.volume_mm3, rel=0.12)
    assert found.peak_hu == pytest.approx(part.max(), abs=40)
    assert found.max_diameter_mm <= 24.5


@cache
def incidentals(region: Region, *extras: Extra, **more: object) -> set[tuple[str, str]]:
    made = recipe(region, extras=extras, length_mm=240.0, **more)
    setting = build_setting(made, np.random.default_rng(made.seed), half_length_mm=120.0)
    return {(i.kind, i.structure) for body in setting.bodies for i in body.incidentals}


@pytest.mark.parametrize(
    ("region", "extra", "kind", "structure"),
    [
        (Region.THORAX, Extra.OLD_CARTILAGE, "cartilage", "costal cartilage"),
        (Region.THORAX, Extra.AIRWAY_MINERAL, "airway", "trachea"),
        (Region.THORAX, Extra.PLAQUES, "vascular", "thoracic aorta"),
        (Region.THORAX, Extra.PLAQUES, "vascular", "coronary arteries"),
        (Region.ABDOMEN, Extra.PLAQUES, "vascular", "abdominal aorta"),
        (Region.ABDOMEN, Extra.STONES, "stone", "gall bladder"),
        (Region.ABDOMEN, Extra.PILLS, "enteric", "bowel"),
        (Region.ABDOMEN, Extra.CLIPS, "foreign", "clips"),
    ],
)
def test_incidental_mineral_is_named_with_its_structure(
    region: Region, extra: Extra, kind: str, structure: str
) -> None:
    assert (kind, structure) in incidentals(region, extra)
    assert (kind, structure) not in incidentals(region)


def test_the_truth_counts_incidental_mineral_within_the_scan_only(chest: tuple[CtVolume, Truth]) -> None:
    volume, truth = chest
    low, high = (volume.geometry.lps_mm(np.array(i)) for i in ((0, 0, 0), np.array(volume.hu.shape) - 1))
    cartilage = [i for i in truth.incidentals if i.structure == "costal cartilage"]
    assert {i.side for i in cartilage} >= {"left", "right"}
    for item in cartilage:
        assert (np.array(item.box_lps_mm[0]) >= low - 1e-6).all()
        assert (np.array(item.box_lps_mm[1]) <= high + 1e-6).all()
        assert item.count >= 1
        assert 250 <= item.hu <= 500


def test_the_mineral_of_an_incidental_lies_where_the_truth_says() -> None:
    scan = ScanRecipe(pixel_mm=1.2, spacing_mm=2.5, noise_hu=2.0)
    made = recipe(Region.ABDOMEN, extras=(Extra.STONES,), scan=scan, length_mm=240.0)
    volume, truth = make_phantom(made)
    stones = [i for i in truth.incidentals if i.kind == "stone" and i.largest_mm > 5]
    assert stones
    for stone in stones:
        low, high = (volume.geometry.index(np.array(corner)) for corner in stone.box_lps_mm)
        first, last = (np.rint(v).astype(int) for v in (low - 1, high + 2))
        part = volume.hu[tuple(slice(max(0, int(a)), int(b)) for a, b in zip(first, last, strict=True))]
        assert part.max() > 0.6 * stone.hu


def thing(box: tuple[tuple[float, ...], ...], **more: object) -> SimpleNamespace:
    centre = tuple(np.mean(box, axis=0))
    return SimpleNamespace(
        location=SimpleNamespace(bbox_lps_mm=box, centroid_lps_mm=centre),
        size=SimpleNamespace(max_diameter_mm=10.0),
        pattern=SimpleNamespace(id="P09"),
        depth=SimpleNamespace(class_=DepthClass.SUBFASCIAL),
        bbox_lps_mm=box,
        **more,
    )


def test_incidental_mineral_counts_as_listed_under_its_kind_only(chest: tuple[CtVolume, Truth]) -> None:
    truth = chest[1]
    boxes = [i.box_lps_mm for i in truth.incidentals]
    assert all(i.kind == "cartilage" for i in truth.incidentals)
    for kind, is_listed in (("cartilage", True), ("vascular", False)):
        report = SimpleNamespace(lesions=(), incidental=tuple(thing(box, kind=kind) for box in boxes))
        score = score_study(report, truth, voxel_diagonal_mm=2.0)  # type: ignore[arg-type]
        assert {i.is_listed for i in score.incidentals} == {is_listed}
        assert any(i.is_required for i in score.incidentals)


def test_cartilage_reported_as_a_lesion_is_invented_and_named(chest: tuple[CtVolume, Truth]) -> None:
    truth = chest[1]
    low, high = (np.array(corner) for corner in truth.incidentals[0].box_lps_mm)
    inside = (tuple(low + (high - low) * 0.4), tuple(low + (high - low) * 0.5))
    away = ((900.0, 0.0, 0.0), (910.0, 9.0, 9.0))
    report = SimpleNamespace(lesions=(thing(inside), thing(away)))
    score = score_study(report, truth, voxel_diagonal_mm=2.0)  # type: ignore[arg-type]
    assert [text.endswith("on cartilage costal cartilage") for text in score.false] == [True, False]
    assert next(i.is_lesion for i in score.incidentals)
    assert not score.is_alert


def test_a_cut_field_is_bright_at_its_rim_and_padded_outside() -> None:
    extras = (Extra.ARMS_DOWN, Extra.CUT_FIELD)
    volume, _ = make_phantom(recipe(Region.THORAX, extras=extras, scan=replace(COARSE, pixel_mm=3.0)))
    assert (volume.hu[:, 0, 0] <= -1024).all()
    rows = volume.hu.shape[1]
    assert volume.hu[:, rows // 2 - 6 : rows // 2 + 6, :3].max() > 200


def test_an_injected_vein_is_denser_than_any_artery_and_streaks() -> None:
    scan = replace(COARSE, contrast=Contrast.VENOUS)
    plain, injected = (
        make_phantom(recipe(Region.THORAX, extras=extras, scan=scan, length_mm=200.0))[0]
        for extras in ((Extra.ARMS_UP,), (Extra.ARMS_UP, Extra.INJECTED_VEIN))
    )
    dense = injected.hu > 700
    assert dense.sum() > (plain.hu > 700).sum() + 20
    assert np.abs(injected.hu.astype(int) - plain.hu)[~dense].max() > 60


def test_a_lung_kernel_overshoots_at_edges() -> None:
    edge = np.full((1, 40, 40), -850.0, dtype=np.float32)
    edge[:, :, 20:] = 50.0
    geometry = scan_geometry(ScanRecipe(pixel_mm=1.0, spacing_mm=1.0), half_width_mm=20, half_height_mm=20, length_mm=1)
    highest = {}
    for kernel in (Kernel.SOFT, Kernel.SHARP, Kernel.LUNG):
        background = np.repeat(edge, geometry.shape[0], axis=0)
        scan = ScanRecipe(pixel_mm=1.0, spacing_mm=1.0, kernel=kernel)
        highest[kernel] = float(render((), geometry, scan, lesions=0, background=background).hu.max())
    assert highest[Kernel.SOFT] == pytest.approx(50, abs=1)
    assert highest[Kernel.SOFT] + 20 < highest[Kernel.SHARP] < highest[Kernel.LUNG] - 50


@pytest.mark.parametrize("region", WHOLE_BODY_REGIONS)
def test_drawn_recipes_repeat_and_have_room_for_their_lesions(region: Region) -> None:
    assert draw(31, region=region) == draw(31, region=region)
    assert draw(31, region=region) != draw(32, region=region)
    assert not draw(31, region=region, has_lesions=False).lesions
    made = draw(31, region=region)
    half = (made.length_mm or 0.0) / 2
    rng = np.random.default_rng(made.seed)
    setting = build_setting(made, rng, half_length_mm=half)
    assert len(place_all(made, setting, rng, half_length_mm=half)) == len(made.lesions) >= 1


def test_a_hand_has_twenty_seven_bones_and_two_sesamoids() -> None:
    made = recipe(Region.HAND, fat_mm=3.0, extras=(Extra.SPREAD_FINGERS,))
    bones = build_setting(made, np.random.default_rng(1), half_length_mm=60.0).bodies[0].bones[0]
    axes = [np.arange(a, b, 0.8) for a, b in zip(bones.box[0], bones.box[1], strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    inside = np.zeros(grid.shape[:3], dtype=bool)
    for part in bones.parts:
        near = np.all((grid >= part.box[0]) & (grid <= part.box[1]), axis=-1)
        inside[near] |= part.distance(*grid[near].T) < 0
    assert ndimage.label(inside)[1] == 27 + 2 + 2  # and the ends of radius and ulna


def true_distance(points: Floats, inside: Floats) -> Floats:
    return np.asarray([np.linalg.norm(inside - p, axis=1).min() for p in points])


BENT = [np.array([-5.0, 0, 0]), np.array([0, 3.0, 0]), np.array([5.0, 0, 1])]
SOLIDS = {
    "rod": rod(np.array([-4.0, 0, 1]), np.array([5.0, 3, 2]), 3.0, 2.0),
    "plate": plate(np.zeros(3), np.array([4.0, 1, 0]), np.array([0, 0, 5.0]), 1.5),
    "egg": egg(np.array([1.0, 0, 0]), (3.0, 5.0, 4.0)),
    "drum": drum(np.zeros(3), (5.0, 4.0), 3.0, waist_mm=0.5),
    "band": band(curve(BENT, 6), np.array([0, 0, 1.0]), 2.0, 1.2),
    "chain": chain([np.zeros(3), np.array([5.0, 0, 0]), np.array([5.0, 5.0, 2])], [2.0, 1.5, 1.0]),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_lies_in_its_box_and_its_distance_is_right_near_the_surface(name: str) -> None:
    shape = SOLIDS[name]
    axes = [np.arange(a - 1.2, b + 1.3, 0.25) for a, b in shape.box.T]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = shape.distance(*grid.T)
    solid = grid[distance < 0]
    assert (solid >= shape.box[0] - 1e-6).all()
    assert (solid <= shape.box[1] + 1e-6).all()
    near = (distance > 0.3) & (distance < 0.9)
    some = np.random.default_rng(0).permutation(np.flatnonzero(near))[:60]
    assert distance[some] == pytest.approx(
        true_distance(grid[some], solid), abs=0.8 if name == "drum" else 0.45
    )  # a drum has edges


def test_a_union_of_many_parts_knows_its_nearest_part_without_asking_all() -> None:
    rng = np.random.default_rng(3)
    balls = [egg(rng.uniform(-60, 60, 3), (3.0, 3.0, 3.0)) for _ in range(50)]
    shape, points = joined(balls), rng.uniform(-70, 70, (200, 3))
    assert shape.distance(*points.T) == pytest.approx(np.min([b.distance(*points.T) for b in balls], axis=0))


def test_a_table_of_distances_is_as_good_as_the_solid() -> None:
    shape = ball(40.0)
    table = sampled(shape, np.full(3, -60.0), np.full(3, 60.0))
    points = np.random.default_rng(2).uniform(-50, 50, (300, 3))
    assert table.distance(*points.T) == pytest.approx(shape.distance(*points.T), abs=0.4)


def test_a_part_inside_a_room_is_kept_whole_and_another_is_cut() -> None:
    room, inner, outer = ball(30.0), egg(np.zeros(3), (5.0, 5.0, 5.0)), egg(np.array([29.0, 0, 0]), (5.0, 5.0, 5.0))
    assert kept_in(inner, room) is inner
    assert kept_in(outer, room).distance(np.array([32.0]), np.zeros(1), np.zeros(1))[0] > 0


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0])
@pytest.mark.parametrize(("spacing_mm", "thickness_mm"), [(1.0, 1.0), (2.5, 2.5), (5.0, 5.0), (2.0, 3.0), (3.27, 5.0)])
def test_the_canvas_paints_what_the_samples_say(spacing_mm: float, thickness_mm: float, tilt_deg: float) -> None:
    scan = ScanRecipe(pixel_mm=0.9, spacing_mm=spacing_mm, thickness_mm=thickness_mm, tilt_deg=tilt_deg)
    geometry = scan_geometry(scan, half_width_mm=32, half_height_mm=30, length_mm=60)
    large = intersection(ball(24.0), outside(ball(9.0, (4.0, 0.0, 3.0))))
    pair = joined([egg(np.array([0, -12.0, 0]), (6, 3, 4)), rod(np.array([0, -12.0, 0]), np.array([0, 10.0, 9]), 2.5)])
    bar = capsule(np.array([-10.0, 0, -12]), np.array([8.0, 4, 10]), 4.0)
    paints = tuple(Paint(shape=s, hu=hu) for s, hu in ((large, 60.0), (bar, 400.0), (pair, -100.0)))
    fast = painted_background(paints, geometry, scan)
    exact = render(paints, geometry, replace(scan, kernel=Kernel.SHARP), lesions=0).hu
    soft = render((), geometry, replace(scan, kernel=Kernel.SHARP), lesions=0, background=fast).hu
    assert float(np.abs(soft - exact).mean()) < 12.0
    assert float(soft.mean()) == pytest.approx(float(exact.mean()), abs=3.0)
