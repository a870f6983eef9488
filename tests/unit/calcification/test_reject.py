"""Each rule that says why something dense is no deposit, on both sides of each of its limits."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.anatomy.bone_map import BoneMap
from calcreport.calcification.enteric import is_contrast_pool
from calcreport.calcification.reject import beside_externals, is_plain_noise, judge, metal_blocks
from calcreport.model.image import LOWEST_HU, NOT_IMAGED_HU
from calcreport.model.report import ExclusionReason

BOX = ((18, 24), (18, 24), (18, 24))
"""Eight blocks of the maps, 6 and 7 along each axis."""

NOISE = {"peak_hu": 75.0, "evidence": 3.0}
"""Two noise deviations above its surroundings."""


def fill(mask, eighths, value=True):
    """Set so many of the eight blocks of `BOX`."""
    for n in range(eighths):
        mask[6 + n // 4, 6 + n // 2 % 2, 6 + n % 2] = value


def verdict(scene, focus, metal=None, hooks=None):
    empty = np.zeros(scene.coarse.hu.shape, dtype=bool)
    found = judge(scene, focus, empty if metal is None else metal, empty if hooks is None else hooks)
    return found and (found.reason, found.detail)


@pytest.fixture
def scene(make_scene):
    return make_scene(BOX)


def test_a_clear_deposit_apart_from_everything_is_not_rejected(scene, make_focus):
    assert verdict(scene, make_focus()) is None


@pytest.mark.parametrize(
    ("peak_hu", "volume_mm3", "is_metal"),
    [
        (2400.0, 5_000.0, True),
        (2399.0, 5_000.0, False),
        (2399.0, 100.1, False),
        (1800.0, 100.0, True),
        (1799.0, 100.0, False),
        (1800.0, 100.1, False),
    ],
)
def test_metal_is_denser_than_mineral_of_its_size(scene, make_focus, peak_hu, volume_mm3, is_metal):
    found = verdict(scene, make_focus(peak_hu=peak_hu, volume_mm3=volume_mm3))
    assert found == ((ExclusionReason.METAL, "high-attenuation material, probably metal") if is_metal else None)


@pytest.mark.parametrize("eighths", [3, 4])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (lambda s: s.bones.cartilage, (ExclusionReason.ORGAN, "cartilage of a rib")),
        (lambda s: s.places.cage, (ExclusionReason.SKELETON, "rib or costal cartilage")),
        (
            lambda s: s.bones.pools,
            (ExclusionReason.CONTRAST, "homogeneous fluid density, probably enteric or urinary contrast"),
        ),
    ],
)
def test_half_of_it_in_a_map_belongs_to_the_map(scene, make_focus, where, expected, eighths):
    fill(where(scene), eighths)
    assert verdict(scene, make_focus(reference_hu=100.0)) == (expected if eighths == 4 else None)


@pytest.mark.parametrize(
    ("changes", "is_lesion"),
    [
        ({}, True),
        ({"reference_hu": 69.0}, True),
        ({"reference_hu": 70.0}, False),  # cartilage around it
        ({"gas_fraction": 0.049}, True),
        ({"gas_fraction": 0.05}, False),  # lung beside it
        ({"bone_gap_mm": 6.1}, True),
        ({"bone_gap_mm": 6.0}, False),
        ({"touches_border": True}, False),
        ({"background_sd_hu": 50.0}, False),  # 12.9 deviations of the noise around it
    ],
)
def test_what_lies_plainly_in_the_muscle_between_the_ribs_is_no_rib(scene, make_focus, changes, is_lesion):
    fill(scene.places.cage, 8)
    found = verdict(scene, make_focus(**changes))
    assert (found != (ExclusionReason.SKELETON, "rib or costal cartilage")) is is_lesion


@pytest.mark.parametrize(
    ("peak_hu", "eighths", "lumen_hu", "is_blood"),
    [
        (449.0, 8, 400.0, True),
        (450.0, 8, 400.0, False),  # five noise deviations of 10 HU
        (900.0, 8, 400.0, False),
        (449.0, 4, 400.0, True),
        (449.0, 3, 400.0, False),
        (449.0, 8, None, False),
    ],
)
def test_in_the_lumen_only_what_noise_explains_is_blood(make_scene, make_focus, peak_hu, eighths, lumen_hu, is_blood):
    scene = make_scene(BOX, lumen_hu=lumen_hu, noise_hu=10.0)
    fill(scene.bones.lumen, eighths)
    expected = (ExclusionReason.CONTRAST, "enhanced blood")
    assert verdict(scene, make_focus(peak_hu=peak_hu)) == (expected if is_blood else None)


@pytest.mark.parametrize(
    ("reference_hu", "mean_hu", "lumen_hu", "is_blood"),
    [
        (110.0, 159.0, 200.0, True),
        (110.0, 160.0, 200.0, False),
        (109.0, 150.0, 200.0, False),
        (110.0, 159.0, None, False),
    ],
)
def test_what_noise_explains_among_enhanced_blood_is_blood(
    make_scene, make_focus, reference_hu, mean_hu, lumen_hu, is_blood
):
    scene = make_scene(BOX, lumen_hu=lumen_hu, noise_hu=10.0)
    found = verdict(scene, make_focus(reference_hu=reference_hu, mean_hu=mean_hu))
    assert found == ((ExclusionReason.CONTRAST, "enhanced blood") if is_blood else None)


@pytest.mark.parametrize(
    ("touches", "gap_mm", "volume_mm3", "is_bone"),
    [
        (True, 7.9, 299.0, True),
        (True, 8.0, 299.0, False),
        (True, 7.9, 300.0, False),
        (True, 4.4, 799.0, True),
        (True, 4.5, 799.0, False),
        (True, 4.4, 800.0, False),
        (False, 4.4, 299.0, False),
    ],
)
def test_a_small_piece_that_the_scan_cuts_beside_bone_is_bone(scene, make_focus, touches, gap_mm, volume_mm3, is_bone):
    focus = make_focus(touches_border=touches, bone_gap_mm=gap_mm, volume_mm3=volume_mm3)
    expected = (ExclusionReason.SKELETON, "part of a bone at the edge of the scan")
    assert verdict(scene, focus) == (expected if is_bone else None)


@pytest.mark.parametrize(
    ("column", "touches", "volume_mm3", "is_bone"),
    [(7, True, 799.0, True), (7, True, 800.0, False), (7, False, 799.0, False), (8, True, 799.0, False)],
)
def test_what_the_scan_cuts_on_a_bone_that_only_its_map_shows_is_bone(
    scene, make_focus, column, touches, volume_mm3, is_bone
):
    """Two of seven blocks of the piece lie in the map: too few to be bone by them alone."""
    scene.bones.bone[:, :, column:] = True
    expected = (ExclusionReason.SKELETON, "part of a bone at the edge of the scan")
    found = verdict(scene, make_focus(touches_border=touches, volume_mm3=volume_mm3))
    assert found == (expected if is_bone else None)


@pytest.mark.parametrize(
    ("first_block", "grow", "piece_hu", "is_cartilage"),
    [
        (9, 300, 200, True),
        (12, 300, 200, False),  # less than half of the piece lies in the cage
        (9, 180, 200, False),  # the limit shows the whole piece
        (9, 300, 170, False),  # no piece holds the chip
    ],
)
def test_above_a_raised_limit_a_chip_of_what_lies_in_the_cage_is_cartilage(
    make_scene, make_focus, first_block, grow, piece_hu, is_cartilage
):
    """A band of blocks 6 to 15 along the columns; a chip of 600 HU fills block 7, outside the cage."""
    chip = ((18, 24), (18, 24), (21, 24))
    scene = make_scene(chip, hu=600, grow=grow)
    scene.bones.grid.hu[6:8, 6:8, 6:16] = piece_hu
    scene.bones.grid.hu[6:8, 6:8, 7] = 600
    scene.places.cage[:, :, first_block:] = True
    expected = (ExclusionReason.SKELETON, "rib or costal cartilage")
    assert verdict(scene, make_focus(reference_hu=100.0)) == (expected if is_cartilage else None)


KNEE = (ExclusionReason.SKELETON, "separate bone of the knee (patella or fabella)")
PATELLA = {"volume_mm3": 2_000.0, "bone_gap_mm": 12.0, "peak_hu": 1_000.0, "core_hu": 599.0}
FABELLA = {"volume_mm3": 1_500.0, "bone_gap_mm": 5.5}
FRONT, HARDLY_FRONT, BEHIND, HARDLY_BEHIND = 10, 9, 3, 4
"""Row of the blocks of bone that leaves the box 10.5 and 7.5 mm before it, and 10.5 and 7.5 mm behind it."""


@pytest.mark.parametrize(
    ("region", "bone_row", "changes", "is_knee"),
    [
        ("knee", FRONT, PATELLA, True),
        ("thigh", FRONT, PATELLA, False),
        (None, FRONT, PATELLA, False),
        ("knee", HARDLY_FRONT, PATELLA, False),
        ("knee", BEHIND, PATELLA, False),
        ("knee", FRONT, PATELLA | {"volume_mm3": 1_999.0}, False),
        ("knee", FRONT, PATELLA | {"bone_gap_mm": 12.1}, False),
        ("knee", FRONT, PATELLA | {"core_hu": 600.0}, False),
        ("knee", BEHIND, FABELLA, True),
        ("elbow", BEHIND, FABELLA, False),
        ("knee", HARDLY_BEHIND, FABELLA, False),
        ("knee", FRONT, FABELLA, False),
        ("knee", BEHIND, FABELLA | {"volume_mm3": 1_501.0}, False),
        ("knee", BEHIND, FABELLA | {"bone_gap_mm": 5.6}, False),
        ("knee", BEHIND, FABELLA | {"thickness_mm": 2.9, "bone_gap_mm": 2.5}, True),
        ("knee", BEHIND, FABELLA | {"thickness_mm": 3.0, "bone_gap_mm": 2.4}, True),
        ("knee", BEHIND, FABELLA | {"thickness_mm": 2.9, "bone_gap_mm": 2.4}, False),  # a line in cartilage or meniscus
    ],
)
def test_patella_and_fabella_by_region_side_size_and_gap(make_scene, make_focus, region, bone_row, changes, is_knee):
    scene = make_scene(BOX, region=region)
    scene.bones.bone[:, bone_row, 20] = True
    assert verdict(scene, make_focus(**changes)) == (KNEE if is_knee else None)


def test_front_and_back_are_the_patients_not_the_pictures(make_scene, make_focus):
    scene = make_scene(BOX, region="knee", first_row_is_back=True)
    scene.bones.bone[:, FRONT, 20] = True
    assert scene.behind_bones_mm(0) == pytest.approx(10.5)
    assert verdict(scene, make_focus(**PATELLA)) is None
    assert verdict(scene, make_focus(**FABELLA)) == KNEE


def test_without_bone_at_its_level_nothing_lies_before_or_behind_it(make_scene, make_focus):
    scene = make_scene(BOX, region="knee")
    assert np.isnan(scene.behind_bones_mm(0))
    assert verdict(scene, make_focus(**PATELLA)) is None
    assert verdict(scene, make_focus(**FABELLA)) is None


@pytest.mark.parametrize(
    ("air", "hook", "is_hook"),
    [
        (0.31, (6, 6, 17), True),
        (0.30, (6, 6, 17), False),
        (0.31, (6, 6, 18), False),
        (0.31, (17, 6, 6), True),
        (0.31, (18, 6, 6), False),
        (0.31, None, False),
    ],
)
def test_half_in_the_air_within_30_mm_of_hooks_is_one_of_them(scene, make_focus, air, hook, is_hook):
    hooks = np.zeros(scene.coarse.hu.shape, dtype=bool)
    if hook:
        hooks[hook] = True
    found = verdict(scene, make_focus(air_fraction=air), hooks=hooks)
    assert found == ((ExclusionReason.EXTERNAL, "beside metal on the skin") if is_hook else None)


@pytest.mark.parametrize(("air", "firm_eighths", "is_on_skin"), [(0.21, 4, True), (0.20, 4, False), (0.21, 5, False)])
def test_what_stands_on_the_skin_has_air_around_it(scene, make_focus, air, firm_eighths, is_on_skin):
    scene.body.firm[:] = False
    fill(scene.body.firm, firm_eighths)
    found = verdict(scene, make_focus(air_fraction=air))
    assert found == ((ExclusionReason.EXTERNAL, "on the skin") if is_on_skin else None)


@pytest.mark.parametrize(
    ("box", "is_cut"),
    [
        (((18, 24), (0, 6), (18, 24)), True),
        (((18, 24), (54, 60), (18, 24)), True),
        (((18, 24), (18, 24), (0, 6)), True),
        (((18, 24), (18, 24), (114, 120)), True),
        (((18, 24), (1, 6), (1, 6)), False),
        (((18, 24), (54, 59), (114, 119)), False),
        (((0, 6), (18, 24), (18, 24)), False),
        (((54, 60), (18, 24), (18, 24)), False),
    ],
)
def test_what_the_side_of_the_picture_cuts_is_taken_as_bone_and_the_reader_told(make_scene, make_focus, box, is_cut):
    found = verdict(make_scene(box), make_focus())
    expected = (ExclusionReason.SKELETON, "cut by the side of the picture, taken as bone; check the source images")
    assert found == (expected if is_cut else None)


RIM = (ExclusionReason.EXTERNAL, "bright rim where the field of view cuts the body; check the source images")


@pytest.mark.parametrize("outside_hu", [LOWEST_HU, NOT_IMAGED_HU])
@pytest.mark.parametrize(
    ("case", "is_rim"),
    [
        ((24, True, 184.0), True),  # not thirteen deviations of the scan's noise above its surroundings
        ((24, True, 185.0), False),
        ((25, True, 184.0), False),  # a voxel apart
        ((24, False, 184.0), False),  # gas or a streak
    ],
)
def test_where_the_field_of_view_cuts_the_body_only_what_stands_out_is_mineral(
    scene, make_focus, outside_hu, case, is_rim
):
    first_row, is_outside, peak_hu = case
    scene.volume.hu[:, first_row:] = outside_hu
    scene.body.outside[:, 8:] = is_outside
    focus = make_focus(peak_hu=peak_hu, evidence=100.0)
    assert verdict(scene, focus) == (RIM if is_rim else None)


@pytest.mark.parametrize(("region", "is_edge"), [("back", True), (None, False), ("foot", False)])
def test_a_vertebra_with_its_processes_is_no_hand_or_foot(make_scene, make_focus, monkeypatch, region, is_edge):
    """Among small bones a speck that stands out this far is mineral; beside a spine it is the edge of bone."""
    scene = make_scene(BOX, region=region)
    scene.bones.bone[:, :, 8] = True
    monkeypatch.setattr(type(scene.bones), "is_crowded", lambda *_: True)
    found = verdict(scene, make_focus(volume_mm3=7.0, evidence=79.0))
    assert found == ((ExclusionReason.NOISE, "edge of bone") if is_edge else None)


def test_what_is_not_told_from_noise_is_noise(scene, make_focus):
    assert verdict(scene, make_focus(**NOISE)) == (ExclusionReason.NOISE, "not told from noise")


@pytest.mark.parametrize(
    ("volume_mm3", "column", "is_edge"),
    [
        (29.9, 7, True),  # on the bone
        (29.9, 8, True),  # a block of 3 mm beside it
        (29.9, 9, False),
        (30.0, 7, False),
    ],
)
def test_a_speck_on_bone_is_its_edge(scene, make_focus, volume_mm3, column, is_edge):
    scene.bones.bone[:, :, column:] = True
    found = verdict(scene, make_focus(volume_mm3=volume_mm3))
    assert found == ((ExclusionReason.NOISE, "edge of bone") if is_edge else None)


@pytest.mark.parametrize(
    ("cnr", "thickness_mm", "metal", "is_streak"),
    [
        (8.9, 5.0, (6, 6, 22), True),
        (9.0, 5.0, (6, 6, 22), False),
        (9.0, 2.9, (6, 6, 22), True),
        (12.9, 2.9, (6, 6, 22), True),
        (13.0, 2.9, (6, 6, 22), False),
        (12.9, 3.0, (6, 6, 22), False),
        (8.9, 5.0, (6, 6, 23), False),  # farther than 45 mm
        (8.9, 5.0, (8, 6, 6), False),  # streaks stay in their slice
    ],
)
def test_near_metal_a_deposit_stands_out_more_than_streaks(scene, make_focus, cnr, thickness_mm, metal, is_streak):
    blocks = np.zeros(scene.coarse.hu.shape, dtype=bool)
    blocks[metal] = True
    focus = make_focus(peak_hu=55.0 + 10 * cnr, thickness_mm=thickness_mm)
    found = verdict(scene, focus, metal=blocks)
    assert found == ((ExclusionReason.NOISE, "metal streak") if is_streak else None)


@pytest.mark.parametrize(
    ("air", "cnr", "thickness_mm", "is_edge"),
    [(0.31, 12.9, 2.9, True), (0.30, 12.9, 2.9, False), (0.31, 13.0, 2.9, False), (0.31, 12.9, 3.0, False)],
)
def test_thin_mineral_half_in_the_air_stands_out_more_than_an_edge_of_skin(
    scene, make_focus, air, cnr, thickness_mm, is_edge
):
    focus = make_focus(peak_hu=55.0 + 10 * cnr, thickness_mm=thickness_mm, air_fraction=air)
    assert verdict(scene, focus) == ((ExclusionReason.NOISE, "edge of the skin") if is_edge else None)


def test_the_first_rule_that_holds_gives_the_reason(make_scene, make_focus):
    scene = make_scene(BOX, lumen_hu=400.0)
    for mask in (scene.bones.cartilage, scene.places.cage, scene.bones.lumen):
        fill(mask, 8)
    assert verdict(scene, make_focus(peak_hu=2_500.0))[0] is ExclusionReason.METAL
    assert verdict(scene, make_focus(**NOISE))[0] is ExclusionReason.ORGAN
    scene.bones.cartilage[:] = False
    assert verdict(scene, make_focus(**NOISE))[1] == "rib or costal cartilage"
    scene.places.cage[:] = False
    assert verdict(scene, make_focus(**NOISE))[0] is ExclusionReason.CONTRAST
    scene.bones.lumen[:] = False
    assert verdict(scene, make_focus(**NOISE))[0] is ExclusionReason.NOISE


@pytest.mark.parametrize(
    ("region", "mean_hu", "reference_hu", "evidence", "is_noise"),
    [
        (None, 300.0, 55.0, 60.0, False),
        (None, 300.0, 55.0, 59.0, True),
        ("knee", 300.0, 55.0, 60.0, False),
        ("chest wall", 300.0, 55.0, 60.0, True),  # ribs and sternum are many bones as well
        ("shoulder", 300.0, 55.0, 60.0, True),
        (None, 155.0, -95.0, 149.0, True),  # noise in a tendon in fat: 100 of the 250 HU stand out of muscle
        (None, 155.0, -95.0, 150.0, False),
        (None, 155.0, 80.0, 60.0, False),
    ],
)
def test_a_plain_speck_among_the_bones_of_hand_or_foot_is_no_noise(
    make_scene, make_focus, monkeypatch, *, region, mean_hu, reference_hu, evidence, is_noise
):
    monkeypatch.setattr(BoneMap, "is_crowded", lambda *_: True)
    monkeypatch.setattr("calcreport.calcification.reject.is_mineral", lambda _: False)
    focus = make_focus(mean_hu=mean_hu, reference_hu=reference_hu, evidence=evidence, volume_mm3=50.0)
    expected = (ExclusionReason.NOISE, "not told from noise")
    assert verdict(make_scene(BOX, region=region), focus) == (expected if is_noise else None)


CHIP = ((30, 32), (12, 14), (57, 63))


def with_vertebra(scene, *, middle=(30, 60), radius=17, cortex_hu=250, inside_hu=120):
    """Paint the cortex of a vertebra, whose densest piece `CHIP` is, and its inside."""
    row, column = np.ogrid[:60, :120]
    away = np.hypot(row - middle[0], column - middle[1])
    kept = scene.volume.hu == 500
    scene.volume.hu[28:34, away <= radius + 1] = cortex_hu
    scene.volume.hu[28:34, away < radius - 1] = inside_hu
    scene.volume.hu[kept] = 500
    return scene


@pytest.mark.parametrize(
    ("grow", "paint", "air_fraction", "is_bone"),
    [
        (300, {}, 0.0, True),
        (180, {}, 0.0, False),  # the map of bones has the same limit
        (181, {}, 0.0, True),
        (300, {"inside_hu": 85}, 0.0, True),
        (300, {"inside_hu": 84}, 0.0, False),  # a calcified shell around muscle
        (300, {"cortex_hu": 179}, 0.0, False),  # nothing outlines it
        (300, {"middle": (30, 95)}, 0.0, False),  # 35 mm aside the chip is apart from the ring
        (300, {"middle": (24, 60), "radius": 11}, 0.0, False),  # 450 mm2
        (300, {"middle": (26, 60), "radius": 13}, 0.0, True),
        (300, {}, 0.01, False),  # at the skin
    ],
)
def test_a_piece_of_cortex_around_spongiosa_is_bone(make_scene, make_focus, grow, paint, air_fraction, is_bone):
    scene = with_vertebra(make_scene(CHIP, grow=grow), **paint)
    expected = (ExclusionReason.SKELETON, "cortex of a vertebra or the sacrum; check the source images")
    assert verdict(scene, make_focus(air_fraction=air_fraction)) == (expected if is_bone else None)


@pytest.mark.parametrize(("column", "is_bone"), [(60, True), (99, True), (101, False)])
def test_the_spine_lies_at_the_middle_of_the_body(make_scene, make_focus, column, is_bone):
    chip = (CHIP[0], CHIP[1], (column - 3, column + 3))
    scene = with_vertebra(make_scene(chip, grow=300), middle=(30, column))
    assert (verdict(scene, make_focus()) is not None) is is_bone


POOL = {
    "spread_hu": 15.0, "core_hu": 250.0, "peak_hu": 290.0, "volume_mm3": 2_500.0, "thickness_mm": 12.0,
    "background_hu": -90.0,
}  # fmt: skip
"""A round pool of dilute contrast in fat; what is not gas and ends of the scan is left out."""
IN_GAS, AT_END = {"gas_fraction": 0.021}, {"touches_border": True}
UNDER_GAS = POOL | {"gas_fraction": 0.051, "core_hu": 495.0, "peak_hu": 570.0, "spread_hu": 25.9}
SHRED = POOL | {"core_hu": 349.0, "peak_hu": 360.0, "background_hu": 55.0, "thickness_mm": 5.0, "touches_border": True}


@pytest.mark.parametrize(
    ("changes", "grow", "is_pool"),
    [
        (POOL, 130, False),  # no gas near, not cut by the scan
        (POOL | AT_END, 130, True),
        (POOL | AT_END | {"thickness_mm": 8.0}, 130, True),
        (POOL | AT_END | {"thickness_mm": 7.9}, 130, False),
        (POOL | AT_END | {"background_hu": 15.0}, 130, True),
        (POOL | AT_END | {"background_hu": 15.1}, 130, False),
        (POOL | AT_END | {"air_fraction": 0.001}, 130, False),
        (POOL | AT_END | {"core_hu": 449.0}, 130, True),
        (POOL | AT_END | {"core_hu": 450.0}, 130, False),
        (POOL | AT_END | {"volume_mm3": 150.0}, 130, True),
        (POOL | AT_END | {"volume_mm3": 149.9}, 130, False),
        (POOL | AT_END | {"spread_hu": 25.9}, 130, True),  # 1.6 noise deviations of 10 HU and 10 HU
        (POOL | AT_END | {"spread_hu": 26.0}, 130, False),
        (POOL | IN_GAS | {"thickness_mm": 6.0, "background_hu": 20.0}, 130, True),
        (POOL | IN_GAS | {"thickness_mm": 5.9, "background_hu": 20.0}, 130, False),
        (POOL | {"gas_fraction": 0.02, "thickness_mm": 7.9}, 130, False),
        (POOL | IN_GAS | {"spread_hu": 74.9}, 130, True),  # bubbles roughen by 0.3 of 250 HU
        (POOL | IN_GAS | {"spread_hu": 75.0}, 130, False),
        (POOL | IN_GAS | {"spread_hu": 74.9, "background_hu": 0.0}, 130, False),
        (POOL | IN_GAS | {"spread_hu": 74.9, "thickness_mm": 9.9}, 130, False),
        (UNDER_GAS, 130, True),  # little diluted, but a fluid level
        (UNDER_GAS | {"gas_fraction": 0.05}, 130, False),
        (UNDER_GAS | {"background_hu": 0.0}, 130, False),  # in muscle
        (UNDER_GAS | {"spread_hu": 26.0}, 130, False),
        (POOL | {"thickness_mm": 28.0, "spread_hu": 20.9, "core_hu": 900.0}, 130, True),  # a bladder, however dense
        (POOL | {"thickness_mm": 27.9, "spread_hu": 20.9, "core_hu": 900.0}, 130, False),
        (POOL | {"thickness_mm": 28.0, "spread_hu": 21.0, "core_hu": 900.0}, 130, False),
        (SHRED | {"gas_fraction": 0.051}, 300, True),
        (SHRED | {"gas_fraction": 0.05}, 300, False),
        (SHRED | {"gas_fraction": 0.051, "core_hu": 350.0}, 300, False),
        (SHRED | {"gas_fraction": 0.051, "core_hu": 290.0}, 250, True),
        (SHRED | {"gas_fraction": 0.051, "core_hu": 290.0}, 249, False),
    ],
)
def test_contrast_in_bowel_and_bladder_is_even_fluid_among_fat_and_gas(make_scene, make_focus, changes, grow, is_pool):
    scene = make_scene(BOX, grow=grow)
    focus = make_focus(**changes)
    assert is_contrast_pool(scene, focus) is is_pool
    if not focus.touches_border:
        expected = (ExclusionReason.CONTRAST, "homogeneous fluid density, probably enteric or urinary contrast")
        assert verdict(scene, focus) == (expected if is_pool else None)


FLUID_AROUND = SHRED | {"touches_border": False, "core_hu": 320.0}


@pytest.mark.parametrize(
    ("changes", "grow", "gas_column", "is_pool"),
    [
        (POOL, 130, 27, True),  # 60 mm
        (POOL, 130, 28, False),
        (POOL | {"core_hu": 300.0, "volume_mm3": 1_999.0}, 130, 27, True),
        (POOL | {"core_hu": 301.0, "volume_mm3": 1_999.0}, 130, 27, False),
        (POOL | {"core_hu": 301.0, "volume_mm3": 2_000.0}, 130, 27, True),
        (FLUID_AROUND | {"background_hu": 220.0}, 300, 39, True),
        (FLUID_AROUND | {"background_hu": 219.0}, 300, 39, False),
        (FLUID_AROUND | {"background_hu": 220.0}, 300, None, False),
    ],
)
def test_fluid_without_gas_against_it_is_bowel_where_gas_is_near(
    make_scene, make_focus, changes, grow, gas_column, is_pool
):
    scene = make_scene(BOX, grow=grow)
    if gas_column is not None:
        scene.coarse.hu[6, 6, gas_column] = -900
    assert is_contrast_pool(scene, make_focus(**changes)) is is_pool


def textured(scene, box, value):
    """Muscle of noise deviation 29.65 HU (50 HU and 20 HU above and below it), with a box of one value."""
    hu = scene.volume.hu
    hu[:] = 50 + 20 * (np.arange(hu.size).reshape(hu.shape) % 3 - 1)
    hu[tuple(slice(*pair) for pair in box)] = value


SPECK = ((20, 21), (20, 21), (20, 23))


@pytest.mark.parametrize(
    ("box", "value", "is_noise"),
    [
        (SPECK, 183, True),  # 4.49 deviations
        (SPECK, 184, False),  # 4.52
        (((20, 21), (20, 26), (20, 26)), 147, False),  # 36 voxels at 3.3 deviations of 29.65: evidence 19
        (((20, 21), (20, 24), (20, 24)), 147, True),  # 16 voxels: 13
    ],
)
def test_noise_at_first_sight(make_scene, box, value, is_noise):
    scene = make_scene(box, noise_hu=29.65)
    textured(scene, box, value)
    assert is_plain_noise(scene, 0) is is_noise


def test_where_too_little_tissue_is_around_nothing_is_noise_at_first_sight(make_scene):
    scene = make_scene(SPECK, noise_hu=40.0)
    textured(scene, SPECK, 150)
    assert is_plain_noise(scene, 0)
    hu = scene.volume.hu
    hu[hu < 130] = -900
    assert not is_plain_noise(scene, 0)


def test_a_patch_quieter_than_5_hu_counts_as_5(make_scene):
    scene = make_scene(SPECK, hu=140, noise_hu=200.0)
    scene.volume.hu[scene.volume.hu < 130] = 118
    assert is_plain_noise(scene, 0)  # 22 HU above
    scene.volume.hu[scene.volume.hu < 130] = 117
    assert not is_plain_noise(scene, 0)


def test_blocks_of_metal_hold_a_voxel_at_the_limit_of_a_candidate(make_scene):
    scene = make_scene(BOX, ((18, 24), (18, 24), (60, 66)))
    for column in (20, 62):
        scene.volume.hu[20, 20, column] = 2_400
    peaks = scene.components.peak_hu
    peaks[:] = 2_400
    first = [i for i in (0, 1) if scene.components.box[i, 2, 0] == 18]
    assert np.argwhere(metal_blocks(scene, first, 2_400)).tolist() == [[6, 6, 6]]
    assert not metal_blocks(scene, first, 2_401).any()
    assert not metal_blocks(scene, [], 2_400).any()


def test_the_rim_of_the_body_beside_table_or_cast_is_marked(make_scene):
    scene = make_scene(((18, 24), (18, 24), (90, 96)))
    scene.body.outside[:, :, 30:] = True
    scene.body.mask[:] = ~scene.body.outside
    beside = beside_externals(scene, [0])
    assert sorted(set(np.nonzero(beside)[2])) == [29]
    assert sorted(set(np.nonzero(beside)[0])) == [4, 5, 6, 7, 8, 9]
    assert not beside_externals(scene, []).any()
