"""The fit of the rule on noise: its candidates, its limit, and that the table in use is one of its own."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fit_detection import HERE, TABLE, detector_features, fit, known_rows, limit_for, rows_of_phantom, table_of

from calcreport.calcification.foci import FEATURES
from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import Acquisition, Contrast, CtVolume, SliceReference


def row(study: str, variant: str, label: str, value: float) -> dict[str, str]:
    return {"study": study, "variant": variant, "label": label, "a": str(value)}


def cloud() -> list[dict[str, str]]:
    rng = np.random.default_rng(0)
    rows = []
    for n in range(20):
        for value, label in ((2.0, "lesion"), (-2.0, "noise")):
            rows.append(row(f"s{n}", "as it is", label, value + 0.5 * rng.standard_normal()))
        rows.append(row(f"s{n}", "sharpened", "noise", -9.0))
    return rows


def test_the_limit_lets_the_allowed_share_of_false_foci_of_unchanged_studies_pass() -> None:
    rows = known_rows(cloud(), ("a",), studies=20)
    logit = rows.left_out()
    limit = limit_for(logit, rows)
    false = np.sort(logit[rows.is_real & ~rows.is_mineral])
    assert (false >= limit).sum() <= 2
    assert (false >= limit - 0.1).sum() >= 2
    worse = known_rows([*cloud(), *(row(f"s{n}", "sharpened", "noise", 3.0) for n in range(3))], ("a",), studies=20)
    assert limit_for(worse.left_out(), worse) > limit


@pytest.mark.parametrize(
    ("label", "variant", "is_kept"),
    [
        ("unknown", "as it is", False),
        ("incidental", "as it is", False),
        ("contrast", "as it is", True),
        ("contrast", "sharpened", False),
        ("other", "sharpened", False),
        ("noise", "sharpened", True),
        ("lesion", "sharpened", True),
    ],
)
def test_what_is_not_noise_counts_as_false_only_in_unchanged_studies(label: str, variant: str, is_kept: bool) -> None:
    rows = known_rows([*cloud(), row("s0", variant, label, 9.0)], ("a",), studies=20)
    assert len(rows.values) == 60 + is_kept


def test_a_real_focus_counts_more_than_one_put_in_and_contrast_not_at_all() -> None:
    rows = known_rows([row("s0", "as it is", "lesion", 1), row("s0", "with lesions 1", "lesion", 1),
                       row("s0", "as it is", "noise", 0), row("s0", "as it is", "contrast", 0)],
                      ("a",), studies=1)  # fmt: skip
    assert rows.weight.tolist() == [6, 1, 1, 0]


def test_the_table_says_what_it_found_and_reads_back() -> None:
    rows = known_rows(cloud(), ("a",), studies=20)
    text = table_of(rows, fit(("a",), rows.values, rows.is_mineral), rows.left_out(), limit=-999.0)
    table = tomllib.loads(text)
    assert table["accept"] == -999.0
    assert list(table["features"]["a"]) == ["mean", "deviation", "weight"]
    assert "#   real: 20 of 20" in text
    assert "False foci then: 20 in 20 studies, 20 in 20 changed copies." in text


def test_the_table_in_use_names_its_script_and_holds_features_that_exist() -> None:
    text = TABLE.read_text(encoding="utf-8")
    (script,) = re.findall(r"Written by tests/accuracy/(\w+\.py)", text)
    assert (HERE / script).is_file()
    assert list(tomllib.loads(text)["features"]) == list(FEATURES)


@pytest.mark.parametrize(("hu", "count"), [(400, 1), (60, 0)])
def test_candidates_are_those_of_the_detector(hu: int, count: int) -> None:
    shape = (20, 90, 90)
    _, y, x = np.ogrid[:20, :90, :90]
    rng = np.random.default_rng(0)
    field = np.where((y - 45) ** 2 + (x - 45) ** 2 < 40**2, 50.0, -1000.0) + np.zeros(shape)
    field += 8 * rng.standard_normal(shape)
    field[8:11, 40:44, 60:64] = hu
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 2.0, 1.0, 1.0, 1.0
    slices = tuple(SliceReference(sop_instance_uid=f"1.{i}", instance_number=i) for i in range(20))
    volume = CtVolume(hu=np.clip(field, -1024, 3000).astype(np.int16),
                      geometry=VolumeGeometry(affine=affine, shape=shape), slices=slices)  # fmt: skip
    found = list(detector_features(volume, Acquisition(kvp=120, contrast=Contrast.NONE)))
    assert len(found) == count
    assert all(set(FEATURES) <= set(numbers) and len(index) == 48 for index, numbers in found)


@pytest.mark.accuracy
@pytest.mark.slow
def test_rows_of_a_phantom_are_its_lesions_alone() -> None:
    assert {r["label"] for r in rows_of_phantom(5000)} == {"lesion"}
