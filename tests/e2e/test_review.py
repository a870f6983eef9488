"""What a reader decided, end to end: nothing of a value that was replaced or rejected stays unmarked in a report."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from calcreport.model.report import Lesion, Report

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
CT, FILMS, LUMP = "myositis_calf", "rim_mass_thigh_films", "deep_mass_thigh"
FORMATS = "text,text-full,json,html,png"

_CONTOUR = b"""NRRD0004
type: uchar
dimension: 3
sizes: 128 128 30
space: left-posterior-superior
space directions: (1,0,0) (0,1,0) (0,0,1)
space origin: (-64,-64,0)
encoding: raw

"""


def _write_contour(path: Path) -> Path:
    """A ball of 22 mm in the muscle of the limb, around its deposit where there is one."""
    i, j, k = np.ogrid[:30, :128, :128]
    ball = (i - 15) ** 2 + (j - 84) ** 2 + (k - 64) ** 2 < 11**2
    path.write_bytes(_CONTOUR + ball.astype(np.uint8).tobytes())
    return path


@pytest.fixture(scope="module")
def analysed(run, write_study, tmp_path_factory):
    """Folder of each study's results, made once; tests copy what they change."""
    out = tmp_path_factory.mktemp("analysed")
    words = {}
    for name in (CT, FILMS, LUMP):
        words[name] = [SAMPLES / name, "--clinical", SAMPLES / f"{name}.clinical.yaml"]
    for name, deposit_mm in (("contour", 12.0), ("bare_contour", 0.0)):
        mask = _write_contour(out / f"{name}.nrrd")
        words[name] = [write_study(out / f"{name}.in", deposit_mm=deposit_mm), "--lesion-mask", mask]
    for name, given in words.items():
        result = run("analyze", *given, "--out", out / name, "--format", FORMATS)
        assert result.returncode == 0, result.stderr
    return out


@pytest.fixture
def folder(analysed, tmp_path):
    """Copy the results of a study and give their folder."""

    def copy(name: str) -> Path:
        shutil.copytree(analysed / name, tmp_path / name)
        return next(path for path in (tmp_path / name).iterdir() if path.is_dir())

    return copy


@pytest.fixture
def review(run, folder):
    """Lay a review of L1 over a study; gives the folder, the lesion before and after, and the full text in one line."""

    def lay(name: str, verdict: str) -> tuple[Path, Lesion, Lesion, str]:
        study = folder(name)
        (drafted,) = read(study).lesions
        (study / "review.yaml").write_text(f"lesions: {{L1: {verdict}}}\n")
        result = run("render", study / "report.json", "--format", FORMATS)
        assert result.returncode == 0, result.stderr
        (lesion,) = read(study).lesions
        return study, drafted, lesion, flat(study)

    return lay


def read(study: Path) -> Report:
    return Report.model_validate_json((study / "report.json").read_bytes())


def flat(study: Path) -> str:
    """The text with every detail, in one line."""
    return " ".join((study / "report_full.txt").read_text().split())


def audit(study: Path) -> str:
    """Decisions of the reader, in one line: they stand on the page, and in no text that is signed."""
    page = " ".join(html.unescape((study / "report.html").read_text()).split())
    for text in (flat(study), pasted(study)):
        assert "instead of" not in text
        assert "by the reader:" not in text
    return page


def pasted(study: Path) -> str:
    """The one-screen section, in one line."""
    return " ".join((study / "report.txt").read_text().split())


def findings(text: str) -> str:
    return text.split("FINDINGS:")[1].split("SARCOMA FLAGS:", maxsplit=1)[0]


def take_back(run, study: Path) -> Lesion:
    """Lesion after every decision was taken back."""
    (study / "review.yaml").write_text("lesions: {}\n")
    assert run("render", study / "report.json", "--format", FORMATS).returncode == 0
    (lesion,) = read(study).lesions
    return lesion


def edit(run, study: Path, **parts: dict[str, object]) -> Report:
    """Edit values of L1 by hand, and render."""
    data = json.loads((study / "report.json").read_text())
    for part, values in parts.items():
        data["lesions"][0][part] |= values
    (study / "report.json").write_text(json.dumps(data))
    result = run("render", study / "report.json", "--format", FORMATS)
    assert result.returncode == 0, result.stderr
    return read(study)


# --- everything rejected ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [LUMP, FILMS])
def test_rejecting_every_finding_does_not_say_that_none_was_found(run, folder, name) -> None:
    study = folder(name)
    (study / "review.yaml").write_text("lesions: {L1: {decision: reject, reason: it is a bone}}\n")
    assert run("render", study / "report.json", "--format", FORMATS).returncode == 0
    impression = " ".join(read(study).impression)
    assert "history that was reported is not explained by this report" in impression
    assert "no calcification" not in impression.lower()


# --- the layer ----------------------------------------------------------------------------------------------------


def test_another_layer_takes_the_distance_to_the_fascia_along(review, run) -> None:
    study, drafted, lesion, text = review(LUMP, "{depth_class: subcutaneous}")
    assert drafted.depth.fascia_distance_mm is not None
    assert drafted.shape is not None
    assert drafted.shape.to_fascia is not None
    assert lesion.depth.fascia_distance_mm is None
    assert lesion.shape is not None
    assert lesion.shape.to_fascia is None
    assert lesion.depth.skin_distance_mm == drafted.depth.skin_distance_mm
    assert "from the fascia" not in text + pasted(study)
    assert take_back(run, study) == drafted


def test_the_layer_of_a_contoured_lesion_is_that_of_its_mass(review, run) -> None:
    study, drafted, lesion, text = review("contour", "{depth_class: subcutaneous}")
    assert drafted.mass.depth_class == "subfascial"
    assert drafted.flags.depth.state == "present"
    assert (lesion.depth.class_, lesion.mass.depth_class) == ("subcutaneous", "subcutaneous")
    assert lesion.flags.depth.state == "absent"
    for told in (text, pasted(study)):
        assert "deep location" not in told.split("IMPRESSION:")[1].split("RECOMMENDATION")[0]
    assert take_back(run, study) == drafted


# --- the place ----------------------------------------------------------------------------------------------------


def test_a_corrected_region_reaches_rules_and_text_and_can_be_taken_back(run, folder) -> None:
    study = folder(CT)
    before = read(study)
    (study / "review.yaml").write_text(
        "{reader: A, date: 2026-01-02, lesions: {L1: {region: Neck, reader: B, date: 2026-01-01}}}\n"
    )
    assert run("render", study / "report.json", "--format", FORMATS).returncode == 0
    report = read(study)
    (lesion,) = report.lesions
    assert (lesion.location.region, lesion.location.region_source) == ("neck", "reader")
    assert lesion.review is not None
    assert (lesion.review.reader, lesion.review.date) == ("B", "2026-01-01")
    assert report.findings is not None
    assert report.findings["lesions"][0]["location"]["region"] == "neck"
    assert "right neck" in pasted(study)
    assert "calf" not in findings(pasted(study)).lower()
    assert "Corrected by B (2026-01-01): region neck instead of calf" in audit(study)
    assert take_back(run, study) == before.lesions[0]
    assert read(study).findings == before.findings


# --- the mass -----------------------------------------------------------------------------------------------------


def test_a_denied_mass_is_the_readers_word_and_its_contour_is_drawn_no_more(review, run) -> None:
    study, drafted, lesion, text = review("contour", "{mass: {present: no}}")
    assert "Soft-tissue mass: absent (by the reader)" in text
    assert "clinician" not in findings(text) + findings(pasted(study))
    assert "Corrected by the reader: soft-tissue mass absent instead of present." in audit(study)
    assert "reader contour" not in text + pasted(study)
    assert lesion.shape is not None
    assert lesion.shape.contour is None
    assert (lesion.shape.to_skin, lesion.depth.skin_distance_mm) == (None, None)  # they were those of the contour
    assert drafted.shape is not None
    assert drafted.shape.contour is not None
    assert take_back(run, study) == drafted


def test_a_mass_by_the_reader_is_told_as_such(review) -> None:
    study, _, lesion, text = review("bare_contour", "{mass: {present: yes, max_diameter_mm: 80}}")
    assert lesion.mass.source == "clinician"  # the contract knows no other word
    assert "Soft-tissue mass: present (by the reader); Mass, longest dimension: 8.0 cm" in text
    assert "No mineral above threshold" in text
    assert "longest dimension of the mass 8.0 cm instead of 2.2 cm" in audit(study)


@pytest.mark.parametrize("present", ["no", "unknown"])
def test_a_contour_without_mineral_and_without_mass_is_refused(run, folder, present) -> None:
    study = folder("bare_contour")
    before = (study / "report.json").read_bytes()
    (study / "review.yaml").write_text(f"lesions: {{L1: {{mass: {{present: {present}}}}}}}\n")
    result = run("render", study / "report.json", "--format", FORMATS)
    assert result.returncode == 2
    assert "[review.nothing_left]" in result.stderr
    assert (study / "report.json").read_bytes() == before


# --- the pattern --------------------------------------------------------------------------------------------------


def test_scores_of_the_draft_do_not_stand_beside_the_readers_pattern(review, run) -> None:
    study, drafted, lesion, _ = review(LUMP, "{pattern: P05}")
    assert drafted.pattern.scores
    assert (lesion.pattern.scores, lesion.pattern.features) == ({}, {})
    page = (study / "report.html").read_text()
    assert f"<td>{drafted.pattern.id}</td>" not in page
    assert f"pattern P05 (zonal peripheral rim in muscle) instead of {drafted.pattern.id}" in audit(study)
    assert take_back(run, study) == drafted


@pytest.mark.parametrize("pattern", ["{id: P05, confidence: low}", "{confidence: low}"])
def test_how_sure_a_pattern_is_can_be_corrected(review, run, pattern) -> None:
    study, drafted, lesion, _ = review(CT, f"{{pattern: {pattern}}}")
    assert drafted.pattern.id == "P05"
    assert drafted.pattern.confidence != "low"
    assert lesion.pattern == drafted.pattern.model_copy(update={"confidence": "low"})
    assert lesion.review is not None
    assert lesion.review.status == "corrected"
    assert f"pattern with low instead of {drafted.pattern.confidence} confidence" in audit(study)
    assert take_back(run, study) == drafted


# --- the length ---------------------------------------------------------------------------------------------------


def test_the_drafted_values_typed_again_are_accepted(run, folder) -> None:
    study = folder(CT)
    (drafted,) = read(study).lesions
    typed = f"max_diameter_mm: {drafted.size.max_diameter_mm!r}, pattern: P05, depth_class: {drafted.depth.class_}"
    (study / "review.yaml").write_text(f"lesions: {{L1: {{{typed}}}}}\n")
    assert run("render", study / "report.json", "--format", FORMATS).returncode == 0
    (lesion,) = read(study).lesions
    assert lesion.review is not None
    assert (lesion.review.status, lesion.review.changes) == ("accepted", ())
    assert lesion.size == drafted.size


def test_a_readers_length_of_films_takes_the_place_of_the_longest_one(review, analysed) -> None:
    study, drafted, _, text = review(FILMS, "{max_diameter_mm: 62}")
    lengths = [place.max_diameter_mm for place in drafted.location.films]
    assert len(lengths) == 2
    assert "Projected size (AP): 4.4 x 3.1 cm" in text
    assert "Projected size (right lateral): 6.2 cm by the reader" in text
    assert "4.7 x" not in text + pasted(study)
    page = (study / "report.html").read_text()
    assert "6.2 cm by the reader" in page
    assert "4.7 x" not in page
    for picture in ("L1.png", "L1_2.png"):
        (before,) = (analysed / FILMS).glob(f"*/images/{picture}")
        assert (study / "images" / picture).read_bytes() != before.read_bytes(), picture


def test_a_readers_mass_is_told_beside_what_films_show(review) -> None:
    study, *_, text = review(FILMS, "{mass: {present: yes, max_diameter_mm: 70}}")
    assert "Projected size (AP): 4.4 x 3.1 cm" in findings(text)
    assert "Soft-tissue mass: present (by the reader); Mass, longest dimension: 7.0 cm" in findings(text)
    assert "soft-tissue mass present instead of not determined" in audit(study)


def test_what_films_show_longer_than_the_reader_says_is_left_out(review) -> None:
    study, _, _, text = review(FILMS, "{max_diameter_mm: 20}")
    assert "Projected size (right lateral): 2.0 cm by the reader" in text
    assert "4.4 x" not in text + pasted(study)


# --- edits in the report itself -----------------------------------------------------------------------------------


def test_a_region_edited_by_hand_reaches_rules_and_text(run, folder) -> None:
    study = folder(CT)
    report = edit(run, study, location={"region": "neck"})
    assert report.findings is not None
    assert report.findings["lesions"][0]["location"]["region"] == "neck"
    assert "right neck" in report.impression[0]
    assert "calf" not in (findings(flat(study)) + findings(pasted(study))).lower()


def test_a_length_edited_by_hand_counts_as_a_readers(run, folder) -> None:
    study = folder(LUMP)
    (drafted,) = read(study).lesions
    report = edit(run, study, size={"max_diameter_mm": 80})
    (lesion,) = report.lesions
    assert (lesion.size.max_diameter_mm, lesion.size.ap_mm, lesion.size.uncertainty_mm) == (80, None, None)
    assert report.findings is not None
    assert report.findings["lesions"][0]["size"]["is_by_reader"] is True
    text = flat(study)
    assert "longest dimension of the mineral 8.0 cm instead of 3.4 cm" in audit(study)
    assert "AP x TR x CC" not in findings(text) + findings(pasted(study))
    # a review laid over it later does not take the edit back, and the drafted length typed again does
    (study / "review.yaml").write_text("lesions: {L1: {depth_class: subcutaneous}}\n")
    assert run("render", study / "report.json", "--format", FORMATS).returncode == 0
    (lesion,) = read(study).lesions
    assert (lesion.size.max_diameter_mm, lesion.depth.class_) == (80, "subcutaneous")
    assert take_back(run, study).size.max_diameter_mm == 80
    (study / "review.yaml").unlink()
    (lesion,) = edit(run, study, size={"max_diameter_mm": drafted.size.max_diameter_mm}).lesions
    assert lesion == drafted


def test_extents_edited_along_with_a_length_stay(run, folder) -> None:
    study = folder(LUMP)
    (lesion,) = edit(run, study, size={"max_diameter_mm": 80, "ap_mm": 50, "tr_mm": 60, "cc_mm": 70}).lesions
    assert (lesion.size.ap_mm, lesion.size.tr_mm, lesion.size.cc_mm, lesion.size.axial_long_mm) == (50, 60, 70, None)
    assert "Mineral (AP x TR x CC): 5.0 x 6.0 x 7.0 cm; Mineral, longest dimension: 8.0 cm" in flat(study)


def test_a_pattern_edited_to_one_that_does_not_exist_is_refused(run, folder) -> None:
    study = folder(CT)
    data = json.loads((study / "report.json").read_text())
    data["lesions"][0]["pattern"]["id"] = "P99"
    (study / "report.json").write_text(json.dumps(data))
    result = run("render", study / "report.json", "--format", FORMATS)
    assert result.returncode == 2
    assert "[report.edited_value]" in result.stderr
    assert "P99" not in result.stderr


def test_a_lesion_added_by_hand_is_refused_beside_a_review(run, folder) -> None:
    study = folder(CT)
    data = json.loads((study / "report.json").read_text())
    data["lesions"].append(data["lesions"][0] | {"id": "L2", "tracking_uid": "1.2.3"})
    (study / "report.json").write_text(json.dumps(data))
    (study / "review.yaml").write_text("lesions: {L1: accept}\n")
    result = run("render", study / "report.json", "--format", FORMATS)
    assert result.returncode == 2
    assert "[render.unknown_lesion]" in result.stderr


# --- an earlier study ---------------------------------------------------------------------------------------------


def test_a_readers_length_is_never_growth(run, write_study, tmp_path) -> None:
    def analyse(name: str, day: str, number: int, *more: object) -> Path:
        uid = f"1.2.826.0.1.3680043.10.8{number}"
        told = {"BodyPartExamined": "LEG", "Laterality": "R", "StudyDate": day, "FrameOfReferenceUID": uid}
        source = write_study(tmp_path / f"{name}.in", uid=uid, tags=told)
        result = run("analyze", source, "--out", tmp_path / name, "--format", "json,text", *more)
        assert result.returncode == 0, result.stderr
        (path,) = (tmp_path / name).glob("*/report.json")
        return path

    def correct(path: Path, length_mm: float) -> None:
        (path.parent / "review.yaml").write_text(f"lesions: {{L1: {{max_diameter_mm: {length_mm}}}}}\n")
        assert run("render", path, "--format", "json,text").returncode == 0

    earlier = analyse("earlier", "20250110", 1)
    later = analyse("later", "20250410", 2, "--prior", earlier)
    assert read(later.parent).lesions[0].growth.stable_since is not None
    correct(later, 30)
    (lesion,) = read(later.parent).lesions
    assert lesion.growth is not None
    assert lesion.growth.change_mm is None
    assert lesion.flags.growth.state not in {"present", "absent"}
    assert "measured by the program before and by a reader now" in pasted(later.parent)
    correct(earlier, 30)
    again = analyse("again", "20250410", 3, "--prior", earlier)
    (lesion,) = read(again.parent).lesions
    assert lesion.growth is not None
    assert (lesion.growth.status, lesion.growth.change_mm) == ("matched", None)
    assert "measured by a reader before and by the program now" in pasted(again.parent)
