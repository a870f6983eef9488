"""Labels of candidates from what is known of a study, and the fit on them."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from candidates import area_under_curve, fit, fit_table, label_of, left_out, plain_features, recall_at, truth_of
from unseen_studies import Known, Part, Study

from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import Acquisition, CtVolume, SliceReference

SHAPE = (12, 60, 60)


def volume(*blocks: tuple[int, int, int]) -> CtVolume:
    """Blocks of 4 x 6 x 6 voxels of 1 mm, 400 HU, at these corners, in a volume whose index (z, y, x) is its LPS."""
    hu = np.full(SHAPE, 40, dtype=np.int16)
    for z, y, x in blocks:
        hu[z : z + 4, y : y + 6, x : x + 6] = 400
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = affine[3, 3] = 1.0
    slices = tuple(SliceReference(sop_instance_uid=f"1.{i}", instance_number=i) for i in range(SHAPE[0]))
    return CtVolume(hu=hu, geometry=VolumeGeometry(affine=affine, shape=SHAPE), slices=slices)


def block_box(z: int, y: int, x: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x, y, z]) - 0.5, np.array([x + 6, y + 6, z + 4]) - 0.5


def index_of(z: int, y: int, x: int) -> np.ndarray:
    return np.argwhere(np.ones((4, 6, 6))) + np.array([z, y, x])


BONE, TUMOUR, VAGUE, FAINT = (2, 5, 5), (2, 5, 30), (2, 30, 5), (2, 30, 30)


@pytest.mark.parametrize(("block", "label"), [(BONE, "bone"), (TUMOUR, "lesion"), (VAGUE, "unknown"), (FAINT, "noise")])
def test_a_candidate_of_a_limb_is_what_the_reading_says_of_its_component(
    block: tuple[int, int, int], label: str
) -> None:
    study = Study(
        name="limb",
        part=Part.LIMB,
        folder=Path(),
        known=(
            Known(box=block_box(*TUMOUR), name="tumour", owed="separate"),
            Known(box=block_box(*VAGUE), name="unsure"),
        ),
        components=((block_box(*BONE), "skeleton_main", 144.0), (block_box(*TUMOUR), "tumour_calcification", 144.0)),
    )
    truth = truth_of(study, volume(BONE, TUMOUR, VAGUE, FAINT))
    assert label_of(index_of(*block), truth) == label


def test_an_inserted_lesion_is_a_lesion_and_the_rest_of_a_trunk_is_not() -> None:
    known = (Known(box=block_box(*VAGUE), name="hilar node", owed="separate", is_listed_enough=True),)
    study = Study(name="trunk", part=Part.TRUNK, folder=Path(), known=known)
    low, high = block_box(*TUMOUR)
    truth = truth_of(study, volume(), [{"box_lps_mm": (low.tolist(), high.tolist())}])
    labels = [label_of(index_of(*block), truth) for block in (TUMOUR, VAGUE, BONE)]
    assert labels == ["lesion", "incidental", "other"]


def test_plain_features_list_every_component_with_its_voxels() -> None:
    found = list(plain_features(volume(BONE, TUMOUR), Acquisition()))
    assert len(found) == 2
    index, numbers = found[0]
    assert len(index) == pytest.approx(144, abs=40)  # the median rounds the corners
    assert numbers["peak_hu"] == 400
    assert numbers["around_hu"] == 40


def clouds(seed: int, shift: float, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    is_lesion = np.arange(count) % 3 == 0
    values = rng.normal(size=(count, 2)) + np.where(is_lesion, shift, 0.0)[:, None] * np.array([1.0, 0.0])
    return values, is_lesion, np.array([f"s{i % 5}" for i in range(count)])


def test_a_rule_weighs_what_separates_and_says_so_on_studies_left_out() -> None:
    values, is_lesion, host = clouds(1, 4.0)
    made = fit(("a", "b"), values, is_lesion)
    assert made.weight[0] > 3 * abs(made.weight[1])
    assert area_under_curve(left_out(("a", "b"), values, is_lesion, host), is_lesion) > 0.95


def test_features_that_only_name_the_study_score_as_chance_where_it_is_left_out() -> None:
    _, _, host = clouds(1, 0.0)
    own = np.array([int(name[1]) for name in host])
    is_lesion = own < 2  # whole studies of lesions, whole studies without
    values = (own[:, None] == np.arange(5)).astype(float)
    names = tuple("abcde")
    assert area_under_curve(fit(names, values, is_lesion).logit(values), is_lesion) == 1.0
    assert area_under_curve(left_out(names, values, is_lesion, host), is_lesion) <= 0.5


def test_both_classes_weigh_the_same() -> None:
    values = np.array([[0.0]] * 90 + [[1.0]] * 10)
    made = fit(("a",), values, values[:, 0] > 0)
    assert made.logit(np.array([[0.5]]))[0] == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(("allowed", "share"), [(0.0, 1 / 3), (1.0, 2 / 3), (9.0, 1.0)])
def test_recall_counts_lesions_above_what_is_allowed(allowed: float, share: float) -> None:
    logit = np.array([5.0, 3.0, 1.0, 4.0, 2.0])
    is_lesion = np.array([True, True, True, False, False])
    assert recall_at(allowed, logit, is_lesion, 1)[0] == pytest.approx(share)


def test_the_table_is_toml_with_its_error_in_the_header_and_leaves_out_what_nobody_knows() -> None:
    values, is_lesion, host = clouds(2, 3.0)
    fixed = {"part": "limb", "variant": "as it is", "number": "0", "voxels": "9", "x_mm": "0", "y_mm": "0", "z_mm": "0"}
    rows = [
        {"study": str(h), **fixed, "label": "lesion" if yes else "bone", "a": str(v[0]), "b_mm": str(v[1])}
        for v, yes, h in zip(values, is_lesion, host, strict=True)
    ]
    text = fit_table([*rows, rows[0] | {"label": "unknown", "a": "1e9"}])
    table = tomllib.loads(text)
    assert list(table["feature"]) == ["a", "b_mm"]
    assert table["feature"]["a"]["scale"] < 10
    assert "60 candidates of 5 studies; 20 lesions" in text
    assert "# area under the curve 0.9" in text
