# ruff: noqa: E501  (one picture a line reads as a table)
"""Pattern criteria: each pattern wins on its own picture, and none is named where nothing can be seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calcreport.calcification.patterns.features import Features
from calcreport.calcification.patterns.pattern import MIN_SCORE, pattern_table, pattern_values, read_pattern
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.pattern_table import score_patterns
from calcreport.model.report import Confidence, DepthClass
from calcreport.model.terms import PATTERN_LABELS

LUMP = Features(
    longest_mm=22.0, width_mm=17.0, thickness_mm=15.0, foci_count=1, largest_focus_mm=22.0, focus_size_mm=22.0,
    focus_elongation=1.3, focus_alignment=0.0, sphericity=0.4, smoothness=0.65, wall_mm=8.0, fill=0.8, shell_share=0.9,
    coverage=0.95, worst_coverage=0.9, core_hu=420.0, core_tail_hu=60.0, heart_hu=430.0, hole_count=0.0, hole_mm=0.0, outward_correlation=-0.3, mean_hu=420.0,
    peak_hu=700.0, variation=0.2, projected_fill=0.9, near_hu=55.0, near_fat=0.05, wide_fat=0.05, fat_sides=0.0,
    coat_hu=60.0, swelling_hu=0.0, vessel_hu=None, plane_hu=None, level_share=0.0,
    is_vessel_chain=False, tube_share=0.0, layer=DepthClass.SUBFASCIAL, bone_gap_mm=float("inf"), to_fascia_mm=15.0,
    ring_share=0.0, section_fill=0.9, centre_level=1.0, middle_level=0.9, contrast_ratio=1.3, peak_count=1, grain_mm=17.0, noise_hu=10.0,
)  # fmt: skip

PICTURES = {
    "P09": {},
    "P01": {"grain_mm": 5.0, "heart_hu": None, "outward_correlation": -0.5, "longest_mm": 6.0, "largest_focus_mm": 6.0, "focus_size_mm": 6.0, "sphericity": 0.8, "smoothness": 0.9, "focus_elongation": 1.1, "shell_share": None, "coverage": None, "core_hu": None, "variation": 0.1, "centre_level": None, "middle_level": None, "section_fill": 1.0},
    "P02": {"grain_mm": 7.0, "heart_hu": None, "longest_mm": 90.0, "width_mm": 9.0, "thickness_mm": 8.0, "foci_count": 5, "largest_focus_mm": 25.0, "focus_size_mm": 18.0, "focus_elongation": 3.0, "is_vessel_chain": True, "tube_share": 0.7, "ring_share": 0.5, "fill": 0.3, "centre_level": 0.2, "section_fill": 0.7, "peak_count": 5, "smoothness": 0.6},
    "P03": {"grain_mm": 4.5, "heart_hu": None, "longest_mm": 8.0, "width_mm": 4.0, "thickness_mm": 3.5, "largest_focus_mm": 8.0, "focus_size_mm": 8.0, "focus_elongation": 1.8, "sphericity": 0.3, "smoothness": 0.75, "shell_share": None, "coverage": None, "core_hu": None, "vessel_hu": 60.0, "centre_level": None, "middle_level": None},
    "P04": {"layer": DepthClass.SUBCUTANEOUS, "longest_mm": 60.0, "width_mm": 40.0, "fill": 0.05, "projected_fill": 0.4, "wall_mm": 1.2, "near_fat": 0.95, "wide_fat": 0.7, "fat_sides": 1.0, "centre_level": 0.1, "section_fill": 0.2, "peak_count": 12},
    "P05": {"heart_hu": 65.0, "hole_count": 1.0, "hole_mm": 14.0, "outward_correlation": 0.2, "coverage": 1.0, "core_hu": 62.0, "core_tail_hu": 5.0, "wall_mm": 3.0, "fill": 0.5, "peak_hu": 900.0, "centre_level": 0.05, "section_fill": 0.5},
    "P06": {"mean_hu": 240.0, "peak_hu": 310.0, "smoothness": 0.55, "variation": 0.08, "swelling_hu": 6.0, "fill": 0.85, "contrast_ratio": 1.3},
    "P07": {"heart_hu": -10.0, "hole_count": 1.0, "hole_mm": 16.0, "outward_correlation": 0.2, "coverage": 1.0, "core_hu": -20.0, "core_tail_hu": 200.0, "wall_mm": 2.0, "peak_hu": 1100.0, "mean_hu": 850.0, "centre_level": 0.1, "section_fill": 0.5},
    "P10": {"heart_hu": 25.0, "hole_count": 1.0, "hole_mm": 30.0, "outward_correlation": 0.2, "longest_mm": 130.0, "width_mm": 34.0, "thickness_mm": 28.0, "largest_focus_mm": 130.0, "coverage": 0.85, "core_hu": 25.0, "wall_mm": 2.5, "fill": 0.4, "centre_level": 0.02, "section_fill": 0.3},
    "P11": {"longest_mm": 70.0, "width_mm": 40.0, "thickness_mm": 10.0, "largest_focus_mm": 60.0, "focus_size_mm": 45.0, "wall_mm": 2.5, "fill": 0.15, "projected_fill": 0.85, "to_fascia_mm": 1.5, "coverage": 0.4, "smoothness": 0.3, "centre_level": None, "middle_level": None, "section_fill": 0.6},
    "P12": {"grain_mm": 5.5, "heart_hu": None, "width_mm": 9.0, "thickness_mm": 6.0, "layer": DepthClass.SUBCUTANEOUS, "longest_mm": 16.0, "foci_count": 3, "largest_focus_mm": 6.0, "focus_size_mm": 5.5, "focus_elongation": 1.1, "sphericity": 0.55, "smoothness": 0.8, "wall_mm": 2.6, "fill": 0.6, "near_fat": 0.95, "wide_fat": 0.8, "fat_sides": 1.0, "coat_hu": -95.0, "shell_share": None, "coverage": None, "core_hu": None, "peak_count": 3, "centre_level": None, "middle_level": None},
    "P13": {"grain_mm": 15.0, "level_share": 0.6, "longest_mm": 50.0, "width_mm": 40.0, "foci_count": 5, "smoothness": 0.5, "peak_count": 5, "section_fill": 0.7},
    "P14": {"grain_mm": 2.0, "longest_mm": 40.0, "foci_count": 40, "largest_focus_mm": 3.0, "focus_size_mm": 2.0, "fill": 0.02, "shell_share": 0.03, "coverage": 0.3, "peak_count": 40, "centre_level": 0.1, "section_fill": 0.1},
    "P15": {"smoothness": 0.8, "variation": 0.05, "focus_elongation": 1.7, "longest_mm": 14.0, "largest_focus_mm": 14.0, "swelling_hu": -8.0, "bone_gap_mm": 5.0, "coat_hu": 82.0, "section_fill": 0.97},
    "P18": {"layer": DepthClass.SUBCUTANEOUS, "longest_mm": 60.0, "width_mm": 40.0, "fill": 0.05, "projected_fill": 0.4, "wall_mm": 2.3, "near_fat": 0.95, "wide_fat": 0.7, "fat_sides": 1.0, "centre_level": 0.1, "section_fill": 0.2, "peak_count": 12},
    "P19": {"grain_mm": 7.0, "heart_hu": None, "layer": DepthClass.SUBCUTANEOUS, "longest_mm": 8.0, "largest_focus_mm": 8.0, "focus_size_mm": 8.0, "focus_elongation": 1.2, "sphericity": 0.55, "smoothness": 0.8, "near_fat": 0.95, "wide_fat": 0.75, "fat_sides": 1.0, "coat_hu": -75.0, "shell_share": None, "coverage": None, "core_hu": None, "centre_level": None, "middle_level": None},
    "P20": {"grain_mm": 4.5, "heart_hu": None, "longest_mm": 45.0, "foci_count": 8, "largest_focus_mm": 9.0, "focus_size_mm": 8.0, "focus_elongation": 2.5, "focus_alignment": 1.0, "fill": 0.06, "wall_mm": 2.8, "coverage": 0.3, "peak_count": 8, "centre_level": 0.1, "section_fill": 0.3},
    "P22": {"grain_mm": 5.0, "hole_count": 2.0, "hole_mm": 4.0, "foci_count": 3, "longest_mm": 22.0, "largest_focus_mm": 12.0, "focus_size_mm": 8.0, "fill": 0.35, "wall_mm": 2.0, "ring_share": 0.5, "swelling_hu": 20.0, "smoothness": 0.42, "shell_share": 0.6, "coverage": 0.6, "core_tail_hu": 200.0, "peak_count": 5, "centre_level": 0.6, "section_fill": 0.6},
    "P23": {"outward_correlation": -0.65, "heart_hu": 600.0, "longest_mm": 34.0, "variation": 0.35, "smoothness": 0.5, "middle_level": 0.6, "contrast_ratio": 2.2},
    "P24": {"grain_mm": 3.5, "foci_count": 8, "longest_mm": 20.0, "largest_focus_mm": 5.0, "focus_size_mm": 4.0, "focus_elongation": 1.5, "fill": 0.12, "shell_share": 0.1, "coverage": 0.4, "peak_count": 8, "centre_level": 0.4, "section_fill": 0.3, "smoothness": 0.5},
    "P25": {"near_fat": 0.9, "wide_fat": 0.3, "fat_sides": 1.0, "coat_hu": -50.0, "longest_mm": 16.0, "largest_focus_mm": 16.0, "sphericity": 0.5, "smoothness": 0.82},
    "P26": {"heart_hu": 52.0, "hole_count": 1.0, "hole_mm": 14.0, "outward_correlation": 0.2, "layer": DepthClass.SUBCUTANEOUS, "coverage": 0.75, "core_hu": 52.0, "wall_mm": 2.0, "fill": 0.4, "centre_level": 0.05, "section_fill": 0.5, "worst_coverage": 0.6},
    "P27": {"heart_hu": 14.0, "hole_count": 1.0, "hole_mm": 16.0, "outward_correlation": 0.2, "coverage": 1.0, "core_hu": 14.0, "core_tail_hu": 4.0, "wall_mm": 1.6, "mean_hu": 500.0, "centre_level": -0.05, "section_fill": 0.4},
}  # fmt: skip

NODE = {
    "near_fat": 0.95, "wide_fat": 0.4, "fat_sides": 1.0, "coat_hu": 10.0, "longest_mm": 11.0, "largest_focus_mm": 11.0,
    "sphericity": 0.45, "smoothness": 0.8, "focus_elongation": 1.35,
}  # fmt: skip


def geometry(slice_mm=1.0):
    affine = np.diag([slice_mm, 0.7, 0.7, 1.0])[[2, 1, 0, 3]]
    return VolumeGeometry(affine=affine, shape=(50, 100, 100))


def read(features, slice_mm=1.0, region=None):
    return read_pattern(
        features, geometry=geometry(slice_mm), slice_thickness_mm=slice_mm, region=region, table=pattern_table()
    )


def picture(pattern, **changes):
    return dataclasses.replace(LUMP, **PICTURES[pattern] | changes)


@pytest.mark.parametrize("pattern", PICTURES)
def test_each_pattern_wins_on_its_own_picture(pattern):
    assert read(dataclasses.replace(LUMP, **PICTURES[pattern])).id == pattern


@pytest.mark.parametrize(
    ("first", "second", "seen", "slice_mm", "confidence"),
    [
        (0.9, 0.4, 1.0, 1.0, "high"),
        (0.9, 0.6, 1.0, 1.0, "low"),
        (0.74, 0.33, 1.0, 1.0, "moderate"),
        (0.74, 0.35, 1.0, 1.0, "low"),
        (0.7, 0.1, 1.0, 1.0, "moderate"),
        (0.9, 0.85, 1.0, 1.0, "low"),
        (0.4, 0.1, 1.0, 1.0, "low"),
        (0.9, 0.4, 0.8, 1.0, "moderate"),
        (0.9, 0.4, 0.45, 1.0, "low"),
        (0.9, 0.4, 1.0, 3.3, "moderate"),
    ],
)
def test_confidence_needs_a_high_grade_a_lead_and_resolution(monkeypatch, first, second, seen, slice_mm, confidence):
    """Two readings that fit equally well are no certainty, however well they fit; nor is what the voxels do not show."""
    grades = {"P01": (first, seen), "P12": (second, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    reading = read(picture("P05"), slice_mm=slice_mm)
    assert (reading.id, reading.confidence) == ("P01", confidence)


def test_below_the_least_grade_no_pattern_is_named_and_the_shape_still_is(monkeypatch):
    grades = {"P01": (0.09, 1.0), "P12": (0.05, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    reading = read(picture("P11"))
    assert (reading.id, reading.confidence, reading.features["morphology"]) == ("P30", Confidence.LOW, "sheet-like")


@pytest.mark.parametrize(("seen", "named"), [(0.44, "P12"), (0.45, "P01")])
def test_what_is_not_resolved_is_not_named(monkeypatch, seen, named):
    grades = {"P01": (0.9, seen), "P12": (0.3, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    assert read(picture("P05")).id == named


@pytest.mark.parametrize(
    ("pattern", "morphology"),
    [("P01", "punctate"), ("P02", "clustered"), ("P05", "rim"), ("P09", "amorphous"), ("P11", "sheet-like"),
     ("P20", "clustered")],
)  # fmt: skip
def test_the_shape_is_said_whatever_the_pattern(pattern, morphology):
    assert read(picture(pattern)).features["morphology"] == morphology


def test_one_slender_deposit_is_linear():
    assert read(picture("P01", longest_mm=20.0, width_mm=5.0)).features["morphology"] == "linear"


def test_grades_lie_between_0_and_1_and_every_pattern_has_a_label():
    scores = score_patterns(pattern_values(LUMP, (1.0, 0.7, 0.7)), pattern_table())
    assert set(scores) <= set(PATTERN_LABELS)
    assert all(0.0 <= grade <= 1.0 and 0.0 <= seen <= 1.0 for grade, seen in scores.values())


@pytest.mark.parametrize("pattern", ["P05", "P07", "P11", "P20", "P27"])
def test_slices_of_3_mm_still_name_what_is_many_voxels_wide_but_not_with_high_confidence(pattern):
    reading = read(picture(pattern), slice_mm=3.3)
    assert reading.id == pattern
    assert reading.confidence is not Confidence.HIGH


@pytest.mark.parametrize(
    ("changes", "pixel_mm", "name", "seen"),
    [
        ({"largest_focus_mm": 22.0}, 0.7, "lesion", 1.0),
        ({"largest_focus_mm": 2.8}, 0.7, "lesion", 0.0),
        ({"largest_focus_mm": 4.2}, 0.7, "lesion", 0.5),
        ({"wall_mm": 2.0, "width_mm": 17.0}, 1.0, "centre", 1.0),
        ({"wall_mm": 8.0, "width_mm": 17.0}, 1.0, "centre", 0.0),
        ({"wall_mm": 7.5, "width_mm": 17.0}, 1.0, "centre", 0.5),
        ({"wall_mm": 2.0}, 1.0, "wall", 1.0),
        ({"wall_mm": 0.8}, 1.0, "wall", 0.0),
        ({"wall_mm": 1.4}, 1.0, "wall", 0.5),
    ],
)
def test_resolution_is_relative_to_the_lesion(changes, pixel_mm, name, seen):
    values = pattern_values(dataclasses.replace(LUMP, **changes), (1.0, pixel_mm, pixel_mm))
    assert values[f"resolved_{name}"] == pytest.approx(seen)


@pytest.mark.parametrize(("slice_mm", "seen"), [(5.0, 1.0), (11.0, 0.75), (50.0, 0.0)])
def test_a_lesion_of_one_slice_is_not_resolved(slice_mm, seen):
    assert pattern_values(LUMP, (slice_mm, 0.7, 0.7))["resolved_lesion"] == pytest.approx(seen)


def test_a_few_voxels_have_no_shape():
    tiny = dataclasses.replace(LUMP, **PICTURES["P01"] | {"largest_focus_mm": 2.4, "longest_mm": 2.4})
    assert read(tiny).confidence is Confidence.LOW


def test_what_rests_on_the_tissue_around_is_never_read_with_high_confidence():
    never_sure = {name for name, cases in pattern_table().patterns.items() if cases.never_sure}
    assert never_sure == {"P03", "P06", "P09", "P21", "P25"}
    for pattern in never_sure - {"P21"}:
        assert read(picture(pattern)).confidence is not Confidence.HIGH


def test_an_ovoid_in_deep_fat_of_the_neck_is_a_node_and_in_a_limb_a_fatty_mass():
    node = dataclasses.replace(LUMP, **NODE)
    neck = read(node, region="NECK")
    assert (neck.id, neck.confidence) == ("P21", Confidence.MODERATE)
    assert read(node, region="LEG").id == "P25"


def test_the_eggshell_of_a_node_is_no_shell_of_a_subcutaneous_tumour():
    shell = {"ring_share": 0.6, "coverage": 0.9, "core_hu": 58.0, "fill": 0.7, "thickness_mm": 9.0}
    assert read(dataclasses.replace(LUMP, **NODE | shell), region="NECK").id == "P21"


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("P03", {"vessel_hu": -20.0}),
        ("P03", {"vessel_hu": None}),
        ("P06", {"mean_hu": 420.0}),
        ("P06", {"smoothness": 0.85}),
        ("P07", {"core_tail_hu": 2.0}),
        ("P15", {"near_fat": 0.9, "wide_fat": 0.9}),
        ("P25", {"layer": DepthClass.ABUTS_FASCIA, "fat_sides": 0.7}),
        ("P27", {"core_hu": -30.0}),
        ("P05", {"near_fat": 0.9, "wide_fat": 0.9}),
        ("P05", {"core_tail_hu": 90.0}),
        ("P06", {"fill": 0.2, "foci_count": 6}),
        ("P10", {"width_mm": 10.0, "tube_share": 1.0, "ring_share": 0.9}),
        ("P11", {"longest_mm": 11.0}),
        ("P11", {"to_fascia_mm": 20.0}),
        ("P11", {"layer": DepthClass.SUBCUTANEOUS, "to_fascia_mm": 20.0, "near_fat": 0.05}),
        ("P13", {"thickness_mm": 5.0}),
        ("P14", {"longest_mm": 22.0}),
        ("P15", {"core_tail_hu": 150.0}),
        ("P20", {"focus_size_mm": 3.0}),
        ("P25", {"to_fascia_mm": 2.0, "wide_fat": 0.7, "fat_sides": 0.75}),
    ],
    ids=str,
)
def test_a_pattern_falls_with_the_feature_it_rests_on(pattern, change):
    reading = read(picture(pattern, **change))
    assert reading.id != pattern or reading.confidence is Confidence.LOW


@pytest.mark.parametrize(("pattern", "longest_mm"), [("P22", 76.0), ("P24", 76.0), ("P10", 120.0)])
def test_a_calcified_vessel_is_no_stipples_no_chondroid_mass_and_no_shell_of_a_muscle(pattern, longest_mm):
    reading = read(picture(pattern, is_vessel_chain=True, longest_mm=longest_mm, width_mm=9.0))
    assert reading.id == "P02"
    assert reading.scores.get(pattern, 0.0) < 0.3


@pytest.mark.parametrize(("coverage", "complete", "incomplete"), [(1.0, "yes", "no"), (0.8, "no", "yes")])
def test_a_gap_in_the_rim_is_not_a_complete_rim(coverage, complete, incomplete):
    features = read(dataclasses.replace(LUMP, **PICTURES["P05"] | {"worst_coverage": coverage})).features
    assert (features["rim_complete"], features["rim_incomplete"]) == (complete, incomplete)


def test_fat_around_subcutaneous_mineral_is_not_a_fatty_mass():
    in_fat = dataclasses.replace(LUMP, layer=DepthClass.SUBCUTANEOUS, near_fat=0.95, wide_fat=0.9)
    reading = read(in_fat)
    assert reading.id != "P25"
    assert reading.features["fatty_mass"] == "unknown"


def test_foci_in_a_row_that_are_no_vessel_may_be_several_lesions():
    assert read(picture("P11")).confidence is not Confidence.LOW
    apart = read(picture("P11", is_vessel_chain=True))
    assert (apart.id, apart.confidence) == ("P11", Confidence.LOW)


@pytest.mark.parametrize(("width_mm", "layer", "is_vessel"), [
    (13.0, DepthClass.SUBFASCIAL, True), (17.0, DepthClass.SUBFASCIAL, False), (13.0, DepthClass.SUBCUTANEOUS, False),
])  # fmt: skip
def test_a_broad_row_or_one_under_the_skin_is_no_artery(width_mm, layer, is_vessel):
    chain = picture("P02", width_mm=width_mm, longest_mm=120.0, layer=layer, tube_share=0.0, ring_share=0.0)
    assert (read(chain).id == "P02" and read(chain).confidence is not Confidence.LOW) == is_vessel


@pytest.mark.parametrize(("slice_mm", "confidence"), [(1.0, Confidence.MODERATE), (5.0, Confidence.LOW)])
def test_what_is_left_when_nothing_specific_is_seen_needs_more_voxels(slice_mm, confidence):
    reading = read(picture("P09", longest_mm=15.0, largest_focus_mm=15.0), slice_mm)
    assert (reading.id, reading.confidence) == ("P09", confidence)


def test_a_shell_whose_centre_is_not_resolved_is_not_half_granted():
    tiny = {"core_hu": None, "centre_level": None, "coverage": None, "core_tail_hu": None, "wall_mm": 2.0}
    assert read(picture("P27", longest_mm=8.0, width_mm=2.5, largest_focus_mm=8.0, **tiny), 3.3).id != "P27"


@pytest.mark.parametrize(("width_mm", "thickness_mm", "shape"), [
    (3.8, 3.5, "linear"), (6.4, 2.5, "linear"), (9.0, 3.0, "sheet-like"), (9.0, 8.0, "amorphous"),
])  # fmt: skip
def test_the_plain_shape_of_a_longer_deposit(width_mm, thickness_mm, shape):
    reading = read(picture("P09", longest_mm=17.0, width_mm=width_mm, thickness_mm=thickness_mm))
    assert reading.features["morphology"] == shape


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({}, "P03"),
        ({"plane_hu": 4.0}, "P01"),
        ({"plane_hu": None}, "P01"),
        ({"layer": DepthClass.SUBCUTANEOUS}, "P01"),
        ({"sphericity": 0.6}, "P01"),
    ],
    ids=["on a plane", "in muscle", "unknown", "under the skin", "round"],
)
def test_a_slender_dot_on_the_plane_between_muscles_is_a_plaque_first(changes, pattern):
    dot = {"longest_mm": 5.0, "width_mm": 2.0, "thickness_mm": 2.0, "largest_focus_mm": 5.0, "sphericity": 0.24}
    seen = picture("P01", **dot | {"plane_hu": 28.0} | changes)
    grades = {name: grade for name, (grade, _) in score_patterns(
        pattern_values(seen, (3.3, 1.0, 1.0)), pattern_table()).items()}  # fmt: skip
    assert (grades["P03"] > max(grades["P01"], MIN_SCORE)) == (pattern == "P03")  # below the least grade none is named
    assert read(seen, 3.3).confidence is Confidence.LOW


PLEXUS = {
    "longest_mm": 13.0, "width_mm": 7.0, "thickness_mm": 5.0, "foci_count": 2, "largest_focus_mm": 7.0,
    "focus_size_mm": 5.0, "focus_elongation": 1.3, "sphericity": 0.36, "smoothness": 0.84, "near_fat": 0.55,
    "wide_fat": 0.5, "peak_count": 2, "grain_mm": 5.0, "variation": 0.43,
}  # fmt: skip


@pytest.mark.parametrize(
    ("region", "changes", "is_stone"),
    [
        ("PELVIS", {}, True),
        ("EXTREMITY hip", {}, True),
        ("EXTREMITY thigh", {}, False),
        ("PELVIS", {"layer": DepthClass.SUBCUTANEOUS}, False),
        ("PELVIS", {"near_fat": 0.1}, False),
        ("PELVIS", {"focus_size_mm": 13.0}, False),
        ("PELVIS", {"bone_gap_mm": 1.0}, False),
    ],
)
def test_round_foci_in_the_fat_of_the_pelvis_are_stones_of_its_veins(region, changes, is_stone):
    values = pattern_values(picture("P09", **PLEXUS | changes), (3.3, 1.0, 1.0), region)
    grade = float(score_patterns(values, pattern_table())["P01"][0])
    assert (grade > 0.5) == is_stone


@pytest.mark.parametrize(
    ("feature", "changes", "value"),
    [
        ("slenderness", {"longest_mm": 20.0, "width_mm": 5.0}, 0.25),
        ("bulk", {"longest_mm": 20.0, "thickness_mm": 5.0}, 0.25),
        ("plate", {"width_mm": 10.0, "thickness_mm": 4.0}, 0.4),
        ("fat_gain", {"near_fat": 0.7, "wide_fat": 0.2}, 0.5),
        ("deep_fat", {"near_fat": 0.7}, 0.7),
        ("deep_fat", {"near_fat": 0.7, "layer": DepthClass.ABUTS_FASCIA}, 0.49),
        ("deep_fat", {"near_fat": 0.7, "layer": DepthClass.CUTANEOUS}, 0.0),
        ("beneath_fascia", {"layer": DepthClass.JUXTACORTICAL}, 1.0),
        ("beneath_fascia", {"layer": DepthClass.CROSSES_FASCIA}, 0.7),
        ("over_fascia", {"layer": DepthClass.CUTANEOUS}, 1.0),
        ("over_fascia", {"layer": DepthClass.CROSSES_FASCIA}, 0.7),
        ("over_fascia", {"layer": DepthClass.SUBFASCIAL}, 0.0),
        ("by_fascia", {"layer": DepthClass.ABUTS_FASCIA}, 1.0),
        ("by_fascia", {"layer": DepthClass.SUBFASCIAL}, 0.0),
        ("superficial_foci", {"layer": DepthClass.SUBCUTANEOUS, "foci_count": 4}, 4.0),
        ("superficial_foci", {"layer": DepthClass.CROSSES_FASCIA, "foci_count": 4}, 1.0),
    ],
)
def test_what_follows_from_the_features(feature, changes, value):
    assert pattern_values(dataclasses.replace(LUMP, **changes), (1.0, 0.7, 0.7))[feature] == pytest.approx(value)


@pytest.mark.parametrize(
    ("region", "trunk", "buttock", "pelvic"),
    [(None, 0, 1, 0), ("", 0, 1, 0), ("CHEST", 1, 0, 0), ("left hip", 1, 1, 1), ("Pelvis", 1, 1, 1), ("GLUTEAL", 1, 1, 0),
     ("LEG", 0, 0, 0), ("neck", 1, 0, 0)],
)  # fmt: skip
def test_regions_by_the_words_of_header_and_image(region, trunk, buttock, pelvic):
    values = pattern_values(LUMP, (1.0, 0.7, 0.7), region)
    assert (values["trunk"], values["buttock"], values["pelvic"]) == (trunk, buttock, pelvic)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("P07", "trabeculated"), ("P13", "fluid_calcium_level"), ("P22", "chondroid"), ("P23", "centre_dense"),
     ("P25", "fatty_mass")],
)  # fmt: skip
@pytest.mark.parametrize(("grade", "said"), [(0.9, "yes"), (0.3, "unknown")])
def test_a_pattern_that_is_read_with_some_certainty_says_what_it_stands_for(monkeypatch, pattern, name, grade, said):
    grades = {pattern: (grade, 1.0), "P12": (0.1, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    solid = dataclasses.replace(LUMP, centre_level=None, shell_share=None)
    assert read(solid).features[name] == said


@pytest.mark.parametrize(("gap_mm", "cleft"), [(2.5, "no"), (2.6, "yes"), (float("inf"), "yes")])
def test_a_cleft_to_the_cortex_is_wider_than_ct_can_close(gap_mm, cleft):
    assert read(dataclasses.replace(LUMP, bone_gap_mm=gap_mm)).features["cleft_to_cortex"] == cleft


@pytest.mark.parametrize(
    ("largest_mm", "seen", "caveat"),
    [(2.0, 1.0, "Only a few voxels wide"), (22.0, 0.8, "do not resolve all"), (22.0, 0.9, "")],
)
def test_what_the_voxels_do_not_show_is_said(monkeypatch, largest_mm, seen, caveat):
    grades = {"P01": (0.9, seen), "P12": (0.1, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    said = read(dataclasses.replace(LUMP, largest_focus_mm=largest_mm)).caveats
    assert len(said) == bool(caveat)
    assert caveat in "".join(said)


@pytest.mark.parametrize(
    ("to_fascia_mm", "grade", "confidence"),
    [(4.0, 0.9, "high"), (4.1, 0.9, "moderate"), (15.0, 0.9, "moderate"), (15.5, 0.9, "low"), (None, 0.9, "moderate")],
)
def test_a_sheet_far_from_the_fascia_is_a_shape_without_its_place(monkeypatch, to_fascia_mm, grade, confidence):
    grades = {"P11": (grade, 1.0), "P12": (0.1, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    assert read(picture("P11", to_fascia_mm=to_fascia_mm)).confidence == confidence


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"peak_count": 3}, "clustered"), ({"foci_count": 3}, "clustered"), ({"peak_count": 2, "foci_count": 2}, "amorphous"),
        ({"longest_mm": 10.0, "width_mm": 4.0}, "linear"), ({"longest_mm": 9.9, "width_mm": 3.0}, "punctate"),
        ({"longest_mm": 10.0, "width_mm": 4.1, "thickness_mm": 4.0}, "punctate"),
        ({"longest_mm": 10.1, "width_mm": 5.0, "thickness_mm": 4.0}, "amorphous"),
        ({"longest_mm": 20.0, "width_mm": 10.0, "thickness_mm": 4.0}, "sheet-like"),
        ({"centre_level": 0.59, "shell_share": 0.31, "wall_mm": 2.0}, "rim"),
        ({"centre_level": 0.6, "shell_share": 0.31, "wall_mm": 2.0}, "amorphous"),
        ({"centre_level": 0.59, "shell_share": 0.3, "wall_mm": 2.0}, "amorphous"),
    ],
)  # fmt: skip
def test_limits_of_the_plain_shapes(changes, shape):
    assert read(dataclasses.replace(LUMP, **changes)).features["morphology"] == shape


@pytest.mark.parametrize(("vessel_hu", "confidence"), [(5.0, "moderate"), (4.9, "low"), (None, "low")])
def test_a_plaque_whose_vessel_is_not_seen_is_no_more_than_possible(monkeypatch, vessel_hu, confidence):
    grades = {"P03": (0.9, 1.0), "P12": (0.1, 1.0)}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args: grades)
    assert read(picture("P03", vessel_hu=vessel_hu)).confidence == confidence


@pytest.mark.parametrize(
    ("region", "is_joint"),
    [
        ("FOOT", 1),
        ("left hand", 1),
        ("Wrist", 1),
        ("KNEES", 1),
        ("elbow", 1),
        ("TOES", 1),
        ("LEG", 0),
        ("HIP", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_regions_of_little_but_joints(region, is_joint):
    assert pattern_values(LUMP, (1.0, 0.7, 0.7), region)["by_joint"] == is_joint


TOPHUS = {
    "mean_hu": 200.0, "peak_hu": 320.0, "longest_mm": 9.0, "width_mm": 8.5, "thickness_mm": 8.0, "largest_focus_mm": 9.0, "focus_size_mm": 9.0,
    "focus_elongation": 1.1, "sphericity": 0.5, "smoothness": 0.76, "near_fat": 0.9, "wide_fat": 0.7, "coat_hu": -98.0, "variation": 0.13,
    "layer": DepthClass.SUBCUTANEOUS, "bone_gap_mm": 5.0, "core_hu": 200.0, "heart_hu": None, "contrast_ratio": 1.3,
}  # fmt: skip
CARTILAGE = TOPHUS | {
    "mean_hu": 330.0, "peak_hu": 400.0, "bone_gap_mm": 2.1, "sphericity": 0.16, "smoothness": 0.49, "near_fat": 0.3, "wide_fat": 0.3,
    "layer": DepthClass.JUXTACORTICAL,
}  # fmt: skip
LAYER = CARTILAGE | {
    "longest_mm": 16.5, "width_mm": 15.7, "thickness_mm": 4.0, "largest_focus_mm": 16.5, "focus_size_mm": 16.5, "projected_fill": 0.9,
    "wall_mm": 1.2, "ring_share": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "region", "named"),
    [
        (TOPHUS, "FOOT", "P17"),
        (TOPHUS, "LEG", ""),  # as faint, where no joint is shown
        (TOPHUS | {"mean_hu": 300.0, "peak_hu": 520.0}, "FOOT", ""),  # denser than urate
        (TOPHUS | {"longest_mm": 3.5}, "FOOT", ""),
        (CARTILAGE, "HAND", "P16"),
        (CARTILAGE, None, ""),
        (CARTILAGE | {"bone_gap_mm": 6.0}, "HAND", ""),
        (LAYER, "right knee", "P16"),  # a layer as of fascia, or stipples as of a tumour, by its shape alone
        (LAYER, "thigh", ""),
        (LAYER | {"bone_gap_mm": 5.5}, "right knee", ""),
        (LAYER | {"thickness_mm": 7.0}, "right knee", ""),
    ],
)
def test_faint_nodules_and_mineral_beside_bone_are_urate_and_cartilage_only_at_joints_and_only_possible(
    changes, region, named
):
    said = read(dataclasses.replace(LUMP, **changes), region=region)
    assert (said.id if said.id in {"P16", "P17"} else "") == named
    assert not named or said.confidence is Confidence.LOW


@pytest.mark.parametrize(
    ("gap_mm", "projected_fill", "named"),
    [(0.0, 0.65, "P30"), (0.9, 0.65, "P11"), (0.0, 0.68, "P11"), (0.9, 0.59, "P30")],
)
def test_mineral_joined_to_bone_whose_shape_is_seen_in_part_needs_a_better_grade(gap_mm, projected_fill, named):
    changes = LAYER | {"bone_gap_mm": gap_mm, "projected_fill": projected_fill}
    assert read(dataclasses.replace(LUMP, **changes), region="thigh").id == named
