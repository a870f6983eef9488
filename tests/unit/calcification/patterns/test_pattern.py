# ruff: noqa: E501  (one picture a line reads as a table)
"""Pattern criteria: each pattern wins on its own picture, and none is named where nothing can be seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calcreport.calcification.patterns.criteria import score_patterns
from calcreport.calcification.patterns.features import Features
from calcreport.calcification.patterns.pattern import FINE_PATTERNS, LABELS, NEVER_SURE, read_pattern
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import Confidence, DepthClass

LUMP = Features(
    longest_mm=22.0, width_mm=17.0, thickness_mm=15.0, foci_count=1, largest_focus_mm=22.0, focus_size_mm=22.0,
    focus_elongation=1.3, focus_alignment=0.0, sphericity=0.4, smoothness=0.65, wall_mm=8.0, fill=0.8, shell_share=0.9,
    core_share=1.0, coverage=0.95, worst_coverage=0.9, core_hu=420.0, core_spread_hu=40.0, core_tail_hu=60.0, centre_gain=1.0, mean_hu=420.0,
    peak_hu=700.0, variation=0.2, projected_fill=0.9, near_hu=55.0, near_fat=0.05, wide_fat=0.05, fat_sides=0.0,
    coat_hu=60.0, swelling_hu=0.0, vessel_hu=None, level_share=0.0,
    is_vessel_chain=False, tube_share=0.0, layer=DepthClass.SUBFASCIAL, bone_gap_mm=float("inf"), to_fascia_mm=15.0,
    ring_share=0.0,
)  # fmt: skip

PICTURES = {
    "P09": {},
    "P01": {"longest_mm": 6.0, "largest_focus_mm": 6.0, "focus_size_mm": 6.0, "sphericity": 0.8, "smoothness": 0.9, "focus_elongation": 1.1, "core_share": None, "shell_share": None, "coverage": None, "core_hu": None, "variation": 0.1},
    "P02": {"longest_mm": 90.0, "width_mm": 9.0, "thickness_mm": 8.0, "foci_count": 5, "largest_focus_mm": 25.0, "focus_size_mm": 18.0, "focus_elongation": 3.0, "is_vessel_chain": True, "tube_share": 0.7, "ring_share": 0.5, "fill": 0.3, "core_share": 0.1},
    "P03": {"longest_mm": 8.0, "width_mm": 4.0, "thickness_mm": 3.5, "largest_focus_mm": 8.0, "focus_size_mm": 8.0, "focus_elongation": 1.8, "sphericity": 0.3, "smoothness": 0.75, "core_share": None, "shell_share": None, "coverage": None, "core_hu": None, "vessel_hu": 60.0},
    "P04": {"layer": DepthClass.SUBCUTANEOUS, "longest_mm": 60.0, "width_mm": 40.0, "fill": 0.05, "projected_fill": 0.4, "wall_mm": 1.2, "near_fat": 0.95, "wide_fat": 0.7, "fat_sides": 1.0, "core_share": 0.1},
    "P05": {"core_share": 0.02, "coverage": 1.0, "core_hu": 62.0, "core_tail_hu": 5.0, "centre_gain": None, "wall_mm": 3.0, "fill": 0.5, "peak_hu": 900.0},
    "P06": {"mean_hu": 240.0, "peak_hu": 310.0, "smoothness": 0.55, "variation": 0.08, "swelling_hu": 6.0, "fill": 0.85},
    "P07": {"core_share": 0.05, "coverage": 1.0, "core_hu": -20.0, "core_tail_hu": 200.0, "centre_gain": None, "wall_mm": 2.0, "peak_hu": 1100.0, "mean_hu": 850.0},
    "P10": {"longest_mm": 130.0, "width_mm": 34.0, "thickness_mm": 28.0, "largest_focus_mm": 130.0, "core_share": 0.03, "coverage": 0.85, "core_hu": 25.0, "wall_mm": 2.5, "fill": 0.4, "centre_gain": None},
    "P11": {"longest_mm": 70.0, "width_mm": 40.0, "thickness_mm": 10.0, "largest_focus_mm": 60.0, "focus_size_mm": 45.0, "wall_mm": 2.5, "fill": 0.15, "projected_fill": 0.85, "to_fascia_mm": 1.5, "coverage": 0.4, "core_share": 0.1, "smoothness": 0.3},
    "P12": {"layer": DepthClass.SUBCUTANEOUS, "longest_mm": 16.0, "foci_count": 3, "largest_focus_mm": 6.0, "focus_size_mm": 5.5, "focus_elongation": 1.1, "sphericity": 0.55, "smoothness": 0.8, "wall_mm": 2.6, "fill": 0.6, "near_fat": 0.95, "wide_fat": 0.8, "fat_sides": 1.0, "coat_hu": -95.0, "core_share": None, "shell_share": None, "coverage": None, "core_hu": None},
    "P13": {"level_share": 0.6, "longest_mm": 50.0, "width_mm": 40.0, "foci_count": 5, "core_share": 0.6, "smoothness": 0.5},
    "P14": {"longest_mm": 40.0, "foci_count": 40, "largest_focus_mm": 3.0, "focus_size_mm": 2.0, "fill": 0.02, "core_share": 0.03, "shell_share": 0.03, "coverage": 0.3},
    "P15": {"smoothness": 0.8, "variation": 0.05, "focus_elongation": 1.7, "longest_mm": 14.0, "largest_focus_mm": 14.0, "swelling_hu": -8.0, "bone_gap_mm": 5.0, "coat_hu": 82.0},
    "P18": {"layer": DepthClass.SUBCUTANEOUS, "longest_mm": 60.0, "width_mm": 40.0, "fill": 0.05, "projected_fill": 0.4, "wall_mm": 2.3, "near_fat": 0.95, "wide_fat": 0.7, "fat_sides": 1.0, "core_share": 0.1},
    "P19": {"layer": DepthClass.SUBCUTANEOUS, "longest_mm": 8.0, "largest_focus_mm": 8.0, "focus_size_mm": 8.0, "focus_elongation": 1.2, "sphericity": 0.55, "smoothness": 0.8, "near_fat": 0.95, "wide_fat": 0.75, "fat_sides": 1.0, "coat_hu": -75.0, "core_share": None, "shell_share": None, "coverage": None, "core_hu": None},
    "P20": {"longest_mm": 45.0, "foci_count": 8, "largest_focus_mm": 9.0, "focus_size_mm": 8.0, "focus_elongation": 2.5, "focus_alignment": 1.0, "fill": 0.06, "core_share": 0.05, "wall_mm": 2.8, "coverage": 0.3},
    "P22": {"foci_count": 3, "longest_mm": 22.0, "largest_focus_mm": 12.0, "focus_size_mm": 8.0, "fill": 0.35, "wall_mm": 2.0, "ring_share": 0.5, "swelling_hu": 20.0, "smoothness": 0.42, "core_share": 0.35, "shell_share": 0.6, "coverage": 0.6, "core_tail_hu": 200.0},
    "P23": {"centre_gain": 1.5, "core_share": 0.8, "longest_mm": 34.0, "variation": 0.35, "smoothness": 0.5},
    "P24": {"foci_count": 8, "longest_mm": 20.0, "largest_focus_mm": 5.0, "focus_size_mm": 4.0, "focus_elongation": 1.2, "fill": 0.12, "core_share": 0.1, "shell_share": 0.1, "coverage": 0.4},
    "P25": {"near_fat": 0.9, "wide_fat": 0.3, "fat_sides": 1.0, "coat_hu": -50.0, "longest_mm": 16.0, "largest_focus_mm": 16.0, "sphericity": 0.5, "smoothness": 0.82},
    "P26": {"layer": DepthClass.SUBCUTANEOUS, "core_share": 0.02, "coverage": 0.75, "core_hu": 52.0, "centre_gain": None, "wall_mm": 2.0, "fill": 0.4},
    "P27": {"core_share": 0.0, "coverage": 1.0, "core_hu": 14.0, "core_tail_hu": 4.0, "centre_gain": None, "wall_mm": 1.6, "mean_hu": 500.0},
}  # fmt: skip

NODE = {
    "near_fat": 0.95, "wide_fat": 0.4, "fat_sides": 1.0, "coat_hu": 10.0, "longest_mm": 11.0, "largest_focus_mm": 11.0,
    "sphericity": 0.45, "smoothness": 0.8, "focus_elongation": 1.35,
}  # fmt: skip


def geometry(slice_mm=1.0):
    affine = np.diag([slice_mm, 0.7, 0.7, 1.0])[[2, 1, 0, 3]]
    return VolumeGeometry(affine=affine, shape=(50, 100, 100))


def read(features, slice_mm=1.0, region=None):
    return read_pattern(features, geometry=geometry(slice_mm), slice_thickness_mm=slice_mm, region=region)


def picture(pattern, **changes):
    return dataclasses.replace(LUMP, **PICTURES[pattern] | changes)


@pytest.mark.parametrize("pattern", PICTURES)
def test_each_pattern_wins_on_its_own_picture(pattern):
    assert read(dataclasses.replace(LUMP, **PICTURES[pattern])).id == pattern


@pytest.mark.parametrize(
    ("first", "second", "confidence"),
    [(0.9, 0.65, "high"), (0.9, 0.75, "moderate"), (0.74, 0.2, "moderate"), (0.9, 0.9, "low")],
)
def test_high_confidence_needs_a_high_grade_and_a_lead(monkeypatch, first, second, confidence):
    """Two readings that fit equally well are no certainty, however well they fit."""
    grades = {"P01": first, "P12": second}
    monkeypatch.setattr("calcreport.calcification.patterns.pattern.score_patterns", lambda *_args, **_kw: grades)
    assert read(picture("P01")).confidence == confidence


def test_grades_lie_between_0_and_1_and_every_pattern_has_a_label():
    scores = score_patterns(LUMP)
    assert set(scores) <= set(LABELS)
    assert all(0.0 <= s <= 1.0 for s in scores.values())


@pytest.mark.parametrize("pattern", ["P05", "P07", "P20", "P26", "P27"])
def test_slices_of_5_mm_name_no_rim_and_say_so(pattern):
    reading = read(dataclasses.replace(LUMP, **PICTURES[pattern]), slice_mm=5.0)
    assert reading.id == "P30"
    assert reading.confidence is Confidence.LOW
    assert any("thicker than 3 mm" in caveat for caveat in reading.caveats)
    assert reading.features["rim_complete"] == "unknown"


def test_a_few_voxels_have_no_shape():
    tiny = dataclasses.replace(LUMP, **PICTURES["P01"] | {"largest_focus_mm": 2.4, "longest_mm": 2.4})
    assert read(tiny).confidence is Confidence.LOW


@pytest.mark.parametrize("pattern", sorted(NEVER_SURE - {"P21"}))
def test_what_rests_on_the_tissue_around_is_never_read_with_high_confidence(pattern):
    assert read(picture(pattern)).confidence is Confidence.MODERATE


@pytest.mark.parametrize("pattern", sorted(FINE_PATTERNS & {"P05", "P07", "P27"}))
def test_slices_over_2_mm_take_the_certainty_from_a_rim(pattern):
    assert read(picture(pattern)).confidence is Confidence.HIGH
    assert read(picture(pattern), slice_mm=2.5).confidence is Confidence.MODERATE


def test_an_ovoid_in_deep_fat_of_the_neck_is_a_node_and_in_a_limb_a_fatty_mass():
    node = dataclasses.replace(LUMP, **NODE)
    neck = read(node, region="NECK")
    assert (neck.id, neck.confidence) == ("P21", Confidence.MODERATE)
    assert read(node, region="LEG").id == "P25"


def test_the_eggshell_of_a_node_is_no_shell_of_a_subcutaneous_tumour():
    shell = {"ring_share": 0.6, "core_share": 0.05, "coverage": 0.9, "core_hu": 58.0, "fill": 0.7, "thickness_mm": 9.0}
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
        ("P05", {"near_fat": 0.9}),
        ("P05", {"core_tail_hu": 90.0}),
        ("P06", {"fill": 0.2, "foci_count": 6}),
        ("P10", {"width_mm": 10.0, "tube_share": 1.0, "ring_share": 0.9}),
        ("P11", {"longest_mm": 22.0}),
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
    assert reading.scores[pattern] < 0.3


@pytest.mark.parametrize(("coverage", "complete", "incomplete"), [(1.0, "yes", "no"), (0.8, "no", "yes")])
def test_a_gap_in_the_rim_is_not_a_complete_rim(coverage, complete, incomplete):
    features = read(dataclasses.replace(LUMP, **PICTURES["P05"] | {"worst_coverage": coverage})).features
    assert (features["rim_complete"], features["rim_incomplete"]) == (complete, incomplete)


def test_fat_around_subcutaneous_mineral_is_not_a_fatty_mass():
    in_fat = dataclasses.replace(LUMP, layer=DepthClass.SUBCUTANEOUS, near_fat=0.95, wide_fat=0.9)
    reading = read(in_fat)
    assert reading.id != "P25"
    assert reading.features["fatty_mass"] == "unknown"
