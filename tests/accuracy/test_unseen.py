"""The harness for real studies: scores, changed copies and what it does without any study."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from calcphantom import PhantomRecipe, Region, ScanRecipe, make_phantom, write_study
from calcphantom.insert import Host, Tissue, read_host, write_host
from calcphantom.insert.blur import measure_noise_hu

sys.path.insert(0, str(Path(__file__).parent))

from perturb import PERTURBATIONS, THIN_MM, thin_slices
from run_unseen import (
    AS_IT_IS,
    END,
    MARK,
    Outcome,
    Reported,
    Row,
    analyse,
    dense_points,
    inserted_cells,
    main,
    pattern_verdict,
    report,
    run_study,
    score,
    wishes_for,
    write_into,
)  # fmt: skip
from unseen_studies import Known, Part, Study, find_studies, limb_study, structure_of, trunk_study


def box(*low: float, size: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    return np.array(low, dtype=float), np.array(low, dtype=float) + size


def reported(*low: float, size: float = 10.0, depth: str = "subfascial", diameter_mm: float = 10.0) -> Reported:
    first, last = box(*low, size=size)
    return Reported(box=(list(first), list(last)), depth=depth, diameter_mm=diameter_mm, pattern="P09")


def study(*known: Known, part: Part = Part.LIMB, components: tuple = ()) -> Study:
    return Study(name="s", part=part, folder=Path(), known=known, components=components)


def row() -> Row:
    return Row(study="s", part="limb", variant=AS_IT_IS)


INSERTED = {
    "kind": "rim", "pattern": "P05", "tissue": "limb muscle", "depth": "deep", "max_diameter_mm": 10.0,
    "is_detectable": True, "is_scattered": False, "box_lps_mm": ((50.0, 0.0, 0.0), (60.0, 10.0, 10.0)),
}  # fmt: skip


def test_findings_are_owed_by_kind_and_everything_unlisted_is_false() -> None:
    known = (
        Known(box=box(0, 0, 0), name="a", owed="separate", is_clear=True, depth="deep"),
        Known(box=box(100, 0, 0), name="b", owed="separate"),
        Known(box=box(0, 100, 0), name="c", owed="fused"),
        Known(box=box(0, 0, 100), name="d"),
    )
    bone = ((box(200, 0, 0), "skeleton_main", 9e4), (box(300, 0, 0), "noise", 5.0))
    lesions = (
        reported(5, 5, 5), reported(0, 0, 105), reported(200, 0, 0), reported(301, 0, 0), reported(400, 0, 0)
    )  # fmt: skip
    got = score(study(*known, components=bone), Outcome(status="reported", lesions=lesions), row())
    assert (got.owed, got.found, got.clear, got.clear_found, got.fused, got.fused_found) == (2, 1, 1, 1, 1, 0)
    assert (got.depth_asked, got.depth_right, got.false) == (1, 1, 3)
    assert [f.split(":")[0] for f in got.false_as] == ["skeleton or near", "noise", "unlabelled"]
    assert len(got.missed) == 2


def test_in_a_trunk_being_listed_as_incidental_is_enough() -> None:
    entry = {"true": [{"what": "node", "lps_mm": [0, 0, 0], "size_mm": 6}], "neutral": []}
    known = trunk_study("t", entry, Path())
    listed = Outcome(status="reported", incidental=(reported(2, 0, 0),))
    assert score(known, listed, row()).found == 1
    assert score(known, Outcome(status="reported"), row()).missed == ["node"]


@pytest.mark.parametrize(
    ("lesion", "found", "in_larger", "depth_right"),
    [
        (reported(50, 0, 0, diameter_mm=12.0), True, False, True),
        (reported(50, 0, 0, depth="subcutaneous"), True, False, False),
        (reported(50, 0, 0, depth="abuts_fascia"), True, False, False),
        (reported(40, -20, -20, size=60, diameter_mm=80.0), False, True, None),
        (reported(80, 0, 0), False, False, None),
    ],
)
def test_an_inserted_lesion_is_found_by_one_of_its_size(
    lesion: Reported, found: bool, in_larger: bool, depth_right: bool | None
) -> None:
    got = score(study(), Outcome(status="reported", lesions=(lesion,)), row(), lesions=(INSERTED,))
    (entry,) = got.inserted
    assert (entry["found"], entry["in_larger"], entry.get("depth_right")) == (found, in_larger, depth_right)
    assert got.false == (not found and not in_larger)


def test_what_a_copy_cuts_is_neither_owed_nor_wrong_and_a_refusal_asks_nothing() -> None:
    known = Known(box=box(0, 0, 0), name="a", owed="separate")
    lesions = (reported(0, 0, 0), reported(50, 0, 0))
    outcome = Outcome(status="reported", lesions=lesions)
    got = score(study(known), outcome, row(), moved=lambda _: None, lesions=(INSERTED,))
    assert (got.owed, got.found, got.false, got.inserted) == (0, 0, 0, [])
    assert score(study(), Outcome(status="file.damaged"), row(), lesions=(INSERTED,)).inserted == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = PhantomRecipe(
        kind="host", region=Region.THIGH, seed=5, length_mm=72.0, scan=ScanRecipe(pixel_mm=1.2, spacing_mm=3.0)
    )
    out = tmp_path_factory.mktemp("host")
    write_study(*make_phantom(recipe), recipe, out)
    return out


@pytest.fixture(scope="module")
def host(folder: Path) -> Host:
    return read_host(folder)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_place_is_where_the_copy_says_it_is(name: str, host: Host, tmp_path: Path) -> None:
    """A dense block is set into the host: in the copy it lies in the box that `moved` gives, written and read again."""
    stored = host.stored.copy()
    middle = np.array(stored.shape) // 2
    first, last = middle - np.array([3, 6, 9]), middle + np.array([3, 6, 5])
    stored[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = 3000
    marked = Host(
        headers=host.headers, stored=stored, scale=host.scale, geometry=host.geometry, thickness_mm=host.thickness_mm
    )
    corners = host.geometry.lps_mm(np.array([first, last - 1]))
    place = corners.min(axis=0), corners.max(axis=0)
    changed = PERTURBATIONS[name](marked)
    moved = changed.moved(place)
    assert moved is not None
    write_host(changed.host, tmp_path, salt=name)
    again = read_host(tmp_path)
    seen = again.geometry.lps_mm(np.argwhere(again.hu() > 1700))
    step = np.array(again.geometry.spacing_mm)[::-1]
    assert np.abs(seen.min(axis=0) - moved[0]).max() <= step.max() * 1.01
    assert np.abs(seen.max(axis=0) - moved[1]).max() <= step.max() * 1.01


def test_a_host_on_thin_slices_shows_the_same_in_the_same_place(host: Host, tmp_path: Path) -> None:
    stored = host.stored.copy()
    middle = np.array(stored.shape) // 2
    first, last = middle - np.array([3, 6, 9]), middle + np.array([3, 6, 5])
    stored[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = 3000
    write_host(thin_slices(dataclasses.replace(host, stored=stored), 1), tmp_path, salt="thin")
    thin = read_host(tmp_path)
    assert thin.geometry.spacing_mm == pytest.approx(THIN_MM)
    corners, seen = host.geometry.lps_mm(np.array([first, last - 1])), np.argwhere(thin.hu() > 1700)
    off = np.abs(
        np.sort(thin.geometry.lps_mm(np.array([seen.min(axis=0), seen.max(axis=0)])), axis=0) - np.sort(corners, axis=0)
    )
    assert off.max() <= max(host.geometry.spacing_mm)
    assert measure_noise_hu(thin.hu()) == pytest.approx(measure_noise_hu(host.hu()), rel=0.6)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("noise +20 HU", 10, 30), ("shift +15 HU", 14, 16), ("shift -15 HU", 14, 16), ("smoothed", 1, 400)],
)
def test_a_copy_differs_as_much_as_it_says(name: str, low: float, high: float, host: Host) -> None:
    tissue = host.hu() > -200
    change = np.abs(PERTURBATIONS[name](host).host.hu() - host.hu())[tissue]
    assert low < np.median(change) < high or name == "smoothed"
    assert change.max() > low


def test_lost_slices_lose_their_places(host: Host) -> None:
    corners = host.geometry.lps_mm(np.array([[0.0, 50, 50], [2, 60, 60]]))
    place = corners.min(axis=0), corners.max(axis=0)
    assert PERTURBATIONS["first slices lost"](host).moved(place) is None
    assert PERTURBATIONS["last slices lost"](host).moved(place) is not None


def test_a_study_is_run_in_all_its_variants(folder: Path, tmp_path: Path) -> None:
    rows = run_study(
        Study(name="host", part=Part.LIMB, folder=folder), perturb=("mirrored left-right",), insert=2, seed=1,
        work=tmp_path,
    )  # fmt: skip
    assert [r.variant for r in rows] == [AS_IT_IS, "with lesions", "mirrored left-right"]
    assert all(r.status == "reported" for r in rows)
    assert [len(r.inserted) for r in rows] == [0, 2, 2]
    assert list(tmp_path.iterdir()) == []
    text = report(rows, {"found": "-", "false": "-", "size": "-", "depth": "-"}, 60.0)
    assert "| mirrored left-right | 1 |" in text


def test_a_folder_without_images_is_a_status_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no image", encoding="utf-8")
    assert analyse(tmp_path).status == "study.none_found"


def test_without_any_study_nothing_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["run_unseen.py", str(tmp_path), str(tmp_path / "absent")])
    assert main() == 0
    assert "no real studies" in capsys.readouterr().err
    assert find_studies([tmp_path], tmp_path) == []


def test_a_reading_without_its_images_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "torso.json").write_text('{"absent": {"true": [], "neutral": []}}', encoding="utf-8")
    assert find_studies([tmp_path], tmp_path / "work") == []


def test_a_case_of_the_reading_becomes_places_in_mm() -> None:
    finding = {
        "name": "x", "label": "phlebolith", "confidence": 0.9, "below_150HU_size_limit": False, "hu_max": 400,
        "bbox_zyx": [[0, 2], [10, 12], [20, 22]], "volume_mm3_median": {"150": 30.0},
        "touches_bone_component_at_150": False, "depth_to_fascia": "deep (muscle)",
    }  # fmt: skip
    unsure = finding | {"confidence": 0.5}
    case = {
        "case": "c", "origin_lps": [0, 0, 0], "spacing_zyx_mm": [3, 1, 1], "findings": [finding, unsure],
        "components": [], "gtv": {"axial_long_mm": 20, "centroid_lps_mm": [0, 0, 0], "z_range": [0, 3]},
    }  # fmt: skip
    sure, other = limb_study(case, Path()).known
    assert np.allclose(sure.box, [[17.5, 7.5, -3.5], [23.5, 13.5, 6.5]])
    assert (sure.owed, sure.is_clear, sure.depth, other.owed) == ("separate", True, "deep", "")


@pytest.mark.parametrize(
    ("label", "name"), [(52, "heart or vessel"), (92, "bone"), (80, ""), (0, ""), (117, "cartilage")]
)
def test_classes_of_a_label_map(label: int, name: str) -> None:
    assert structure_of(label) == name


def test_wishes_are_the_same_for_a_host_and_differ_between_hosts() -> None:
    tissues = tuple(Tissue)
    assert wishes_for("a", tissues, 5, 1) == wishes_for("a", tissues, 5, 1)
    assert wishes_for("a", tissues, 5, 1) != wishes_for("b", tissues, 5, 1)
    assert len({w.kind for w in wishes_for("a", tissues, 12, 1)}) == 12


def test_undetectable_lesions_are_not_asked_for() -> None:
    entry = {key: INSERTED[key] for key in ("kind", "tissue", "is_scattered")}
    entry |= {"found": False, "in_larger": False, "listed": False, "is_detectable": False}
    assert inserted_cells([entry])[0] == "-"


def test_depth_that_is_not_said_is_counted_apart() -> None:
    entry = {key: INSERTED[key] for key in ("kind", "tissue", "is_scattered", "is_detectable")}
    entry |= {"found": True, "in_larger": False, "listed": False, "error_mm": 0.5}
    told, unsaid = entry | {"depth_right": True, "depth_as": "subfascial"}, entry | {"depth_right": False}
    assert inserted_cells([told, unsaid | {"depth_as": "cannot_determine"}])[-1] == "1 of 1 (100%), 1 not said"
    assert inserted_cells([told, unsaid | {"depth_as": "cutaneous"}])[-1] == "1 of 2 (50%)"


def test_dense_points_are_the_dense_voxels_of_a_box(folder: Path, host: Host) -> None:
    whole = host.geometry.lps_mm(np.array([[0.0, 0, 0], np.array(host.stored.shape) - 1]))
    points = dense_points(folder, (whole.min(axis=0), whole.max(axis=0)))
    assert len(points) == (host.hu() >= 150).sum()
    assert len(dense_points(folder, (whole.max(axis=0) - 0.1, whole.max(axis=0)))) == 1


def test_figures_are_put_between_the_marks(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text(f"before\n{MARK}\nold\n{END}\nafter\n", encoding="utf-8")
    write_into(document, "new")
    assert document.read_text(encoding="utf-8") == f"before\n{MARK}\n\nnew\n\n{END}\nafter\n"


@pytest.mark.parametrize(
    ("pattern_as", "confidence", "verdict"),
    [
        ("P05", "low", "right"), ("P05", "high", "right"), ("P30", "low", "indeterminate"), ("P09", "low", "wrong"),
        ("P09", "moderate", "wrong, moderate"), ("P09", "high", "wrong, high"),
    ],
)  # fmt: skip
def test_indeterminate_is_never_right(pattern_as, confidence, verdict):
    assert pattern_verdict({"pattern": "P05", "pattern_as": pattern_as, "confidence": confidence}) == verdict
