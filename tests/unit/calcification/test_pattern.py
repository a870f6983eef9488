# ruff: noqa: E501  (one picture a line reads as a table)
"""Pattern criteria: each pattern wins on its own picture, and none is named where nothing can be seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calcreport.calcification.features import Features
from calcreport.calcification.pattern import LABELS, read_pattern, score_patterns
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.report import Confidence, DepthClass

LUMP = Features(
    longest_mm=22.0, width_mm=17.0, thickness_mm=15.0, foci_count=1, largest_focus_mm=22.0, focus_size_mm=22.0,
    focus_elongation=1.3, focus_alignment=0.0, sphericity=0.4, smoothness=0.65, wall_mm=8.0, fill=0.8, shell_share=0.9,
    core_share=1.0, coverage=0.95, worst_coverage=0.9, core_hu=420.0, core_spread_hu=40.0, core_tail_hu=60.0, centre_gain=1.0, mean_hu=420.0,
    peak_hu=700.0, variation=0.2, projected_fill=0.9, near_hu=55.0, near_fat=0.05, wide_fat=0.05, level_share=0.0,
    is_vessel_chain=False, tube_share=0.0, layer=DepthClass.SUBFASCIAL, bone_gap_mm=float("inf"), to_fascia_mm=15.0,
    ring_share=0.0,
)  # fmt: skip

PICTURES = {
    "P09": {},
    "P01": {"longest_mm": 6.0, "largest_focus_mm": 6.0, "focus_size_mm": 6.0, "sphericity": 0.8, "smoothness": 0.9, "focus_elongation": 1.1, "core_share": None, "shell_share": None, "coverage": None, "core_hu": None, "variation": 0.1},
    "P02": {"longest_mm": 90.0, "width_mm": 9.0, "thickness_mm": 8.0, "foci_count": 5, "largest_focus_mm": 25.0, "focus_size_mm": 18.0, "focus_elongation": 3.0, "is_vessel_chain": True, "tube_share": 0.7, "ring_share": 0.5, "fill": 0.3, "core_share": 0.1},
    "P05": {"core_share": 0.02, "coverage": 1.0, "core_hu": 62.0, "core_tail_hu": 5.0, "centre_gain": None, "wall_mm": 3.0, "fill": 0.5, "peak_hu": 900.0},
    "P07": {"core_share": 0.05, "coverage": 1.0, "core_hu": -20.0, "core_tail_hu": 200.0, "centre_gain": None, "wall_mm": 2.0, "peak_hu": 1100.0, "mean_hu": 850.0},
    "P10": {"longest_mm": 130.0, "width_mm": 34.0, "thickness_mm": 28.0, "largest_focus_mm": 130.0, "core_share": 0.03, "coverage": 0.85, "core_hu": 25.0, "wall_mm": 2.5, "fill": 0.4, "centre_gain": None},
    "P11": {"longest_mm": 70.0, "width_mm": 40.0, "thickness_mm": 10.0, "largest_focus_mm": 60.0, "focus_size_mm": 45.0, "wall_mm": 2.5, "fill": 0.15, "projected_fill": 0.85, "to_fascia_mm": 1.5, "coverage": 0.4, "core_share": 0.1, "smoothness": 0.3},
    "P13": {"level_share": 0.6, "longest_mm": 50.0, "width_mm": 40.0, "foci_count": 5, "core_share": 0.6, "smoothness": 0.5},
    "P14": {"longest_mm": 40.0, "foci_count": 40, "largest_focus_mm": 3.0, "focus_size_mm": 2.0, "fill": 0.02, "core_share": 0.03, "shell_share": 0.03, "coverage": 0.3},
    "P15": {"smoothness": 0.92, "variation": 0.05, "focus_elongation": 1.8, "longest_mm": 18.0, "largest_focus_mm": 18.0},
    "P20": {"longest_mm": 45.0, "foci_count": 8, "largest_focus_mm": 9.0, "focus_size_mm": 8.0, "focus_elongation": 2.5, "focus_alignment": 1.0, "fill": 0.06, "core_share": 0.05, "wall_mm": 2.8, "coverage": 0.3},
    "P23": {"centre_gain": 1.5, "core_share": 0.8, "longest_mm": 34.0, "variation": 0.35, "smoothness": 0.5},
    "P26": {"layer": DepthClass.SUBCUTANEOUS, "core_share": 0.02, "coverage": 0.75, "core_hu": 52.0, "centre_gain": None, "wall_mm": 2.0, "fill": 0.4},
    "P27": {"core_share": 0.0, "coverage": 1.0, "core_hu": 14.0, "core_tail_hu": 4.0, "centre_gain": None, "wall_mm": 1.6, "mean_hu": 500.0},
}  # fmt: skip


def geometry(slice_mm=1.0):
    affine = np.diag([slice_mm, 0.7, 0.7, 1.0])[[2, 1, 0, 3]]
    return VolumeGeometry(affine=affine, shape=(50, 100, 100))


def read(features, slice_mm=1.0):
    return read_pattern(features, geometry=geometry(slice_mm), slice_thickness_mm=slice_mm, region=None)


@pytest.mark.parametrize("pattern", PICTURES)
def test_each_pattern_wins_on_its_own_picture(pattern):
    assert read(dataclasses.replace(LUMP, **PICTURES[pattern])).id == pattern


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


def test_an_amorphous_deposit_is_never_read_with_high_confidence():
    assert read(LUMP).confidence is not Confidence.HIGH


@pytest.mark.parametrize(("coverage", "complete", "incomplete"), [(1.0, "yes", "no"), (0.8, "no", "yes")])
def test_a_gap_in_the_rim_is_not_a_complete_rim(coverage, complete, incomplete):
    features = read(dataclasses.replace(LUMP, **PICTURES["P05"] | {"worst_coverage": coverage})).features
    assert (features["rim_complete"], features["rim_incomplete"]) == (complete, incomplete)


def test_fat_around_subcutaneous_mineral_is_not_a_fatty_mass():
    in_fat = dataclasses.replace(LUMP, layer=DepthClass.SUBCUTANEOUS, near_fat=0.95, wide_fat=0.9)
    reading = read(in_fat)
    assert reading.id != "P25"
    assert reading.features["fatty_mass"] == "unknown"
