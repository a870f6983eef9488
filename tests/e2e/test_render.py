"""``calcreport render``: every output again from an edited or reviewed report, without measuring anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from calcreport.model.report import Report

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
EVERY_RUN = "text,json,html,png,sr,seg,sc"
CT, FILMS, NODULES = "myositis_calf", "phleboliths_leg_films", "dermatomyositis_thighs"


@pytest.fixture(scope="module")
def analysed(run, tmp_path_factory):
    """Folder of each sample's results, made once; tests copy what they change."""
    out = tmp_path_factory.mktemp("analysed")
    for name in (CT, FILMS, NODULES, "deep_mass_thigh", "negative_calf"):
        clinical = SAMPLES / f"{name}.clinical.yaml"
        words = ("--clinical", clinical) if clinical.exists() else ()
        result = run("analyze", SAMPLES / name, "--out", out / name, *words)
        assert result.returncode == 0, result.stderr
    return out


@pytest.fixture
def folder(analysed, tmp_path):
    """Copy the results of a sample and give the folder of its study."""

    def copy(name: str = CT) -> Path:
        target = tmp_path / name
        if not target.exists():
            shutil.copytree(analysed / name, target)
        return next(path for path in target.iterdir() if path.is_dir())

    return copy


def read(folder: Path) -> Report:
    return Report.model_validate_json((folder / "report.json").read_bytes())


def full_text(run, study: Path) -> str:
    """Every detail of a report in words, on one line; ``report.txt`` is one screen of it."""
    result = run("render", study / "report.json", "--format", f"{EVERY_RUN},text-full")
    assert result.returncode == 0, result.stderr
    return " ".join((study / "report_full.txt").read_text(encoding="utf-8").split())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [CT, FILMS, NODULES, "deep_mass_thigh", "negative_calf"])
def test_an_unchanged_report_gives_every_output_byte_for_byte(run, folder, name) -> None:
    study = folder(name)
    before = contents(study)
    result = run("render", study / "report.json")
    assert result.returncode == 0, result.stderr
    assert contents(study) == before
    assert result.stdout == before["report.txt"].decode("ascii")


def test_a_fact_changed_by_hand_reaches_flags_and_text(run, folder) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    assert data["lesions"][0]["flags"]["depth"]["state"] in {"present", "explained"}
    data["lesions"][0]["depth"]["class"] = "subcutaneous"
    (study / "report.json").write_text(json.dumps(data))
    assert run("render", study / "report.json").returncode == 0
    report = read(study)
    assert report.lesions[0].flags.depth.state == "absent"
    assert report.findings is not None
    assert report.findings["lesions"][0]["depth"]["class"] == "subcutaneous"
    assert "subcutaneous" in (study / "report.txt").read_text()


def test_words_edited_by_hand_stay_as_they_were_written(run, folder) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    data["impression"] = ["Seen with Dr. Alpha: myositis ossificans."]
    (study / "report.json").write_text(json.dumps(data))
    assert run("render", study / "report.json").returncode == 0
    assert "Seen with Dr. Alpha" in (study / "report.txt").read_text()
    assert "Seen with Dr. Alpha" in (study / "report.html").read_text()


def test_a_rejected_lesion_is_struck_out_and_kept(run, folder) -> None:
    study = folder(NODULES)
    drafted = read(study)
    assert len(drafted.lesions) > 1
    (study / "review.yaml").write_text(
        "reader: Dr. Beta\ndate: 2026-11-20\nlesions:\n  L1: {decision: reject, reason: surgical clip}\n"
    )
    result = run("render", study / "report.json")
    assert result.returncode == 0, result.stderr
    report = read(study)
    assert [lesion.id for lesion in report.lesions] == [lesion.id for lesion in drafted.lesions[1:]]
    assert report.rejected[0].lesion.size == drafted.lesions[0].size
    page, text = (study / "report.html").read_text(), full_text(run, study)
    assert "Rejected by Dr. Beta (2026-11-20): surgical clip" in page
    for signed in (text, (study / "report.txt").read_text()):
        assert not any(trace in signed for trace in ("Beta", "Rejected", "surgical clip", "draft was"))
    assert "<del>L1," in (study / "report.html").read_text()
    assert not (study / "images" / "L1.png").exists()
    assert (study / "images" / "L2.png").exists()
    assert (study / "review.yaml").exists()


def test_rejecting_every_finding_never_reads_as_a_negative_study(run, folder) -> None:
    study = folder()
    (study / "review.yaml").write_text("lesions: {L1: {decision: reject, reason: it is a bone}}\n")
    assert run("render", study / "report.json").returncode == 0
    text = " ".join((study / "report.txt").read_text().split())
    assert "No reportable soft-tissue calcification; that there is none is not shown" in text
    assert "soft-tissue calcification is not excluded" in text
    assert "reader" not in text
    assert "No soft-tissue calcification" not in text
    assert read(study).concern == "none"


def test_corrections_reach_flags_and_can_be_taken_back(run, folder) -> None:
    study = folder()
    before = contents(study)
    drafted = read(study)
    review = study / "review.yaml"
    review.write_text(
        "lesions:\n  L1:\n    pattern: P09\n    depth_class: crosses_fascia\n    laterality: left\n"
        "    max_diameter_mm: 62\n    mass: {present: yes, max_diameter_mm: 80}\n"
    )
    assert run("render", study / "report.json").returncode == 0
    report = read(study)
    lesion = report.lesions[0]
    assert (lesion.pattern.id, lesion.depth.class_, lesion.location.laterality) == ("P09", "crosses_fascia", "left")
    assert (lesion.size.max_diameter_mm, lesion.mass.max_diameter_mm, lesion.mass.source) == (62, 80, "clinician")
    assert lesion.flags.size.state == "present"
    assert lesion.flags.size.value == 80
    assert lesion.review is not None
    assert lesion.review.status == "corrected"
    told = {change.field: (change.measured, change.reader) for change in lesion.review.changes}
    assert told["pattern.id"] == (drafted.lesions[0].pattern.id, "P09")
    assert lesion.size.volume_mm3 == drafted.lesions[0].size.volume_mm3
    page = (study / "report.html").read_text()
    assert "Corrected by the reader: " in page
    assert "longest dimension of the mineral 6.2 cm instead of" in page
    assert "instead of P" not in full_text(run, study)
    review.write_text("lesions: {L1: accept}\n")
    assert run("render", study / "report.json").returncode == 0
    accepted = read(study)
    assert accepted.lesions[0].review is not None
    assert accepted.lesions[0].review.status == "accepted"
    assert accepted.lesions[0].model_copy(update={"review": None}) == drafted.lesions[0]
    assert accepted.impression == drafted.impression
    review.write_text("lesions: {}\n")
    assert run("render", study / "report.json").returncode == 0
    review.unlink()
    after = contents(study)
    for name in ("report.txt", "images/L1.png", "images/overview.png"):
        assert after[name] == before[name], name


def test_a_lesion_rejected_in_the_report_itself_leaves_every_output(run, folder) -> None:
    study = folder(NODULES)
    drafted = read(study)
    data = json.loads((study / "report.json").read_text())
    data["lesions"][1]["review"] = {"status": "rejected", "reason": "seen to be a vessel"}
    (study / "report.json").write_text(json.dumps(data))
    assert run("render", study / "report.json").returncode == 0
    report = read(study)
    assert [lesion.id for lesion in report.lesions] == [
        lesion.id for lesion in drafted.lesions if lesion.id != drafted.lesions[1].id
    ]
    assert "seen to be a vessel" in (study / "report.html").read_text()
    assert drafted.lesions[1].tracking_uid.encode() not in (study / "sr.dcm").read_bytes()


def test_a_lesion_deleted_by_hand_is_gone_from_every_conclusion(run, folder) -> None:
    study = folder(NODULES)
    data = json.loads((study / "report.json").read_text())
    del data["lesions"][1:]
    (study / "report.json").write_text(json.dumps(data))
    assert run("render", study / "report.json").returncode == 0
    report = read(study)
    assert [lesion.id for lesion in report.lesions] == ["L1"]
    assert "(L2)" not in (study / "report.txt").read_text()


def test_a_review_of_films_redraws_them(run, folder) -> None:
    study = folder(FILMS)
    drafted = read(study)
    before = contents(study)
    (study / "review.yaml").write_text("lesions: {L1: {decision: reject, reason: clothes}}\n")
    assert run("render", study / "report.json").returncode == 0
    assert [lesion.id for lesion in read(study).lesions] == [lesion.id for lesion in drafted.lesions[1:]]
    after = contents(study)
    films = [name for name in before if name.startswith("images/film_")]
    shown = [place.instance_number for place in drafted.lesions[0].location.films]
    assert len([name for name in films if after[name] != before[name]]) == len(shown)


@pytest.mark.parametrize(
    ("review", "code"),
    [
        ("lesions: {L9: accept}", "review.unknown_lesion"),
        ("lesions: {L1: reject}", "review.value"),
        ("lesions: {L1: {decision: accept, pattern: P05}}", "review.value"),
        ("lesions: {L1: {patern: P05}}", "review.unknown_key"),
        ("lesions: {L1: {max_diameter_mm: 0}}", "review.value"),
        ("lesions: {L1: {mass: {max_diameter_mm: 30}}}", "review.value"),
        ("[]", "review.not_mapping"),
        ("lesions: &a {L1: *a}", "review.not_yaml"),
    ],
)
def test_a_wrong_review_is_refused_and_changes_nothing(run, folder, review, code) -> None:
    study = folder()
    before = contents(study)
    (study.parent / "r.yaml").write_text(review)
    result = run("render", study / "report.json", "--review", study.parent / "r.yaml")
    assert result.returncode == 2
    assert f"[{code}]" in result.stderr
    assert contents(study) == before


def test_images_that_went_away_are_asked_for(run, folder, tmp_path) -> None:
    study = folder()
    (study / "sources.json").write_text(json.dumps({"places": [str(tmp_path / "gone")]}))
    result = run("render", study / "report.json")
    assert result.returncode == 2
    assert "[render.no_study]" in result.stderr
    assert "--study" in result.stderr
    assert run("render", study / "report.json", "--study", SAMPLES / CT).returncode == 0


def test_another_study_is_refused(run, folder) -> None:
    study = folder()
    result = run("render", study / "report.json", "--study", SAMPLES / "negative_calf")
    assert result.returncode == 3
    assert "[render.other_study]" in result.stderr


def test_a_damaged_mask_is_refused(run, folder) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    data["lesions"][0]["shape"]["mineral"]["bits"] = "AAAA"
    (study / "report.json").write_text(json.dumps(data))
    result = run("render", study / "report.json")
    assert result.returncode == 2
    assert "[render.damaged_shape]" in result.stderr


def test_a_mask_outside_the_images_is_refused(run, folder) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    data["lesions"][0]["shape"]["mineral"]["offset"][1] = 100_000
    (study / "report.json").write_text(json.dumps(data))
    result = run("render", study / "report.json")
    assert result.returncode == 2
    assert "[render.damaged_shape]" in result.stderr


def test_a_typed_report_is_sent_back_to_its_findings(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text("modality: CT\nlesions: [{size: {max_diameter_mm: 30}}]\n")
    report = run("decide", tmp_path / "f.yaml", "--format", "json").stdout
    (tmp_path / "report.json").write_text(report)
    result = run("render", tmp_path / "report.json", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "[render.typed_findings]" in result.stderr


def test_a_review_survives_a_new_analysis(run, folder) -> None:
    study = folder()
    (study / "review.yaml").write_text("lesions: {L1: accept}\n")
    result = run("analyze", SAMPLES / CT, "--out", study.parent)
    assert result.returncode == 0
    assert (study / "review.yaml").read_text() == "lesions: {L1: accept}\n"
    assert "calcreport render" in result.stderr


def test_a_review_reaches_every_object_and_supersedes_the_draft(run, folder) -> None:
    study = folder(NODULES)
    before = (study / "sr.dcm").read_bytes()
    drafted = pydicom.dcmread(study / "sr.dcm")
    count = len(pydicom.dcmread(study / "seg.dcm").SegmentSequence)
    rejected_uid = read(study).lesions[0].tracking_uid
    (study / "review.yaml").write_text("lesions: {L1: {decision: reject, reason: surgical clip}}\n")
    words = ("render", study / "report.json", "--format", "text,json,html,png,sr,seg,sc,hl7,fhir")
    assert run(*words).returncode == 0
    reviewed = pydicom.dcmread(study / "sr.dcm")
    assert reviewed.SOPInstanceUID != drafted.SOPInstanceUID
    (predecessor,) = reviewed.PredecessorDocumentsSequence
    (series,) = predecessor.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert instance.ReferencedSOPInstanceUID == drafted.SOPInstanceUID
    content = (study / "sr.dcm").read_bytes()
    assert rejected_uid.encode() in before
    assert rejected_uid.encode() not in content
    assert b"surgical clip" in content
    segments = pydicom.dcmread(study / "seg.dcm").SegmentSequence
    assert len(segments) == count - 1
    assert rejected_uid not in str(segments)
    told = [line for line in (study / "oru.hl7").read_text().splitlines() if rejected_uid in line]
    assert all(line.endswith("|D") for line in told), "what the receiver may hold is taken back, not told again"
    entries = json.loads((study / "fhir.json").read_text())["entry"]
    about = [entry["resource"] for entry in entries if rejected_uid in json.dumps(entry)]
    assert all(resource["status"] == "entered-in-error" for resource in about)
    first = contents(study)
    assert run(*words).returncode == 0
    assert {name for name, content in contents(study).items() if content != first[name]} == set()


def test_a_short_format_list_takes_nothing_from_the_folder(run, folder) -> None:
    study = folder()
    before = contents(study)
    assert run("render", study / "report.json", "--format", "hl7").returncode == 0
    after = contents(study)
    assert set(after) == {*before, "oru.hl7"}
    assert run("render", study / "report.json").returncode == 0
    assert "oru.hl7" in contents(study)


def test_the_overview_of_the_folder_follows(run, tmp_path) -> None:
    out = tmp_path / "out"
    assert run("analyze", SAMPLES / CT, SAMPLES / "negative_calf", "--out", out).returncode == 0
    folders = {row["folder"]: row for row in json.loads((out / "summary.json").read_text())["studies"]}
    name = next(name for name, row in folders.items() if row["counts"]["lesions"])
    page = (out / "index.html").read_text()
    (out / name / "review.yaml").write_text("lesions: {L1: {decision: reject, reason: a bone}}\n")
    assert run("render", out / name / "report.json").returncode == 0
    updated = {row["folder"]: row for row in json.loads((out / "summary.json").read_text())["studies"]}
    assert updated[name]["counts"]["lesions"] == 0
    assert updated[name]["concern"] == "none"
    assert updated[name]["status"] == "reported"
    assert {key: row for key, row in updated.items() if key != name} == {
        key: row for key, row in folders.items() if key != name
    }
    assert (out / "index.html").read_text() != page
    assert "concern-" in page or "chip" in page


def test_a_report_and_images_of_two_people_are_never_joined(run, folder, tmp_path) -> None:
    study = folder()
    other = tmp_path / "other"
    other.mkdir()
    for path in (SAMPLES / CT).rglob("*.dcm"):
        header = pydicom.dcmread(path)
        header.PatientName, header.PatientID = "Other^Patient", "OTHER"
        header.save_as(other / path.name)
    result = run("render", study / "report.json", "--study", other)
    assert result.returncode == 2
    assert "[render.other_patient]" in result.stderr
    assert "OTHER" not in result.stderr


def test_images_with_other_uids_are_not_those_of_the_report(run, folder, tmp_path) -> None:
    study = folder()
    other = tmp_path / "other"
    other.mkdir()
    for number, path in enumerate(sorted((SAMPLES / CT).rglob("*.dcm"))):
        header = pydicom.dcmread(path)
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        header.save_as(other / path.name)
    result = run("render", study / "report.json", "--study", other)
    assert result.returncode == 2
    assert "[render.other_images]" in result.stderr


def test_a_review_of_another_draft_is_refused(run, folder) -> None:
    study = folder()
    (study / "review.yaml").write_text("lesions: {L1: {decision: reject, reason: clip}}\n")
    assert run("analyze", SAMPLES / CT, "--out", study.parent, "--threshold-hu", "300,400").returncode == 0
    before = contents(study)
    result = run("render", study / "report.json")
    assert result.returncode == 2
    assert "[review.other_lesion]" in result.stderr
    assert contents(study) == before
    (study / "review.yaml").write_text("# seen again\nlesions: {L1: {decision: reject, reason: clip}}\n")
    assert run("render", study / "report.json").returncode == 0
    assert not read(study).lesions


def test_a_refused_analysis_keeps_the_review(run, folder, tmp_path) -> None:
    study = folder()
    (study / "review.yaml").write_text("lesions: {L1: accept}\n")
    damaged = tmp_path / "damaged"
    shutil.copytree(SAMPLES / CT, damaged)
    sorted(damaged.rglob("*.dcm"))[20].unlink()
    assert run("analyze", damaged, "--out", study.parent).returncode == 3
    assert {path.name for path in study.iterdir()} == {"review.yaml"}


def test_another_folder_still_names_the_draft_it_supersedes(run, folder, tmp_path) -> None:
    study = folder()
    (tmp_path / "r.yaml").write_text("lesions: {L1: {depth_class: subcutaneous}}\n")
    words = ("render", study / "report.json", "--review", tmp_path / "r.yaml", "--out", tmp_path / "elsewhere")
    assert run(*words).returncode == 0
    drafted = pydicom.dcmread(study / "sr.dcm")
    (reviewed,) = (tmp_path / "elsewhere").rglob("sr.dcm")
    predecessor = pydicom.dcmread(reviewed).PredecessorDocumentsSequence[0]
    instance = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert instance.ReferencedSOPInstanceUID == drafted.SOPInstanceUID


@pytest.mark.parametrize(("path", "value"), [(("flags", "depth", "state"), "absent"), (("concern",), "none")])
def test_conclusions_edited_by_hand_follow_from_the_facts_again(run, folder, path, value) -> None:
    study = folder()
    drafted = read(study)
    data = json.loads((study / "report.json").read_text())
    place = data["lesions"][0]
    for name in path[:-1]:
        place = place[name]
    assert place[path[-1]] != value
    place[path[-1]] = value
    (study / "report.json").write_text(json.dumps(data))
    result = run("render", study / "report.json")
    assert result.returncode == 0
    assert "concluded anew" in result.stderr
    assert read(study).lesions[0].flags == drafted.lesions[0].flags
    assert read(study).concern == drafted.concern


def test_an_answer_edited_in_the_report_is_concluded_anew(run, folder) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    assert read(study).lesions[0].flags.growth.state == "absent"
    data["clinical"]["growth"]["rate"] = "rapid"
    (study / "report.json").write_text(json.dumps(data))
    assert run("render", study / "report.json").returncode == 0
    assert read(study).lesions[0].flags.growth.state == "present"
    assert "rapid growth" in full_text(run, study)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("created",), "yesterday"),
        (("lesions", 0, "id"), "../../x"),
        (("lesions", 0, "tracking_uid"), "<script>"),
        (("lesions", 0, "tracking_uid"), "1." * 40 + "1"),
        (("lesions", 0, "size", "volume_mm3"), -1.0),
        (("lesions", 0, "size", "max_diameter_mm"), 1e300),
        (("lesions", 0, "density", "max_hu"), 1e300),
        (("software", "version"), "x" * 5000),
    ],
)
def test_impossible_values_are_refused(run, folder, path, value) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    place = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (study / "report.json").write_text(json.dumps(data))
    result = run("render", study / "report.json")
    assert result.returncode == 2, result.stderr
    assert "[report.invalid]" in result.stderr


def test_a_lesion_cannot_stand_in_a_report_twice(run, folder) -> None:
    study = folder()
    data = json.loads((study / "report.json").read_text())
    data["lesions"].append(data["lesions"][0])
    (study / "report.json").write_text(json.dumps(data))
    assert "[report.invalid]" in run("render", study / "report.json").stderr


@pytest.mark.parametrize(("name", "most", "captures"), [(NODULES, 2, 3), (FILMS, 1, 4), (CT, 0, 1)])
def test_key_images_are_capped_in_every_format_and_nothing_else_changes(
    run, folder, tmp_path, name, most, captures
) -> None:
    whole = folder(name)
    settings = tmp_path / "settings.toml"
    settings.write_text(f"[output]\nmax_key_images = {most}\n")
    clinical = SAMPLES / f"{name}.clinical.yaml"
    result = run("analyze", SAMPLES / name, "--out", tmp_path / "capped", "--clinical", clinical, "--config", settings)
    assert result.returncode == 0, result.stderr
    study = tmp_path / "capped" / whole.name

    report, before = read(study), contents(study)
    pictured = [lesion.id for lesion in report.lesions if lesion.images]
    assert pictured == [f"L{number}" for number in range(1, most + 1)]
    assert {name for lesion in report.lesions for name in lesion.images} == {
        name for name in before if name.startswith("images/L")
    }
    assert sum(name.startswith("sc_") for name in before) == captures
    assert before["report.txt"] == contents(whole)["report.txt"]
    uncapped = [lesion.model_copy(update={"images": ()}) for lesion in read(whole).lesions]
    assert [lesion.model_copy(update={"images": ()}) for lesion in report.lesions] == uncapped
    page = " ".join(before["report.html"].decode().split())
    told = f"Key images show {most} of {len(report.lesions)} lesions"
    assert (told in page) == (most < len(report.lesions))
    assert told not in " ".join(contents(whole)["report.html"].decode().split())
    drawn = [name for name in before if name.startswith("images/")]
    assert page.count("data:image/png") == len(drawn) + len(pictured)  # small ones in the table
    result = run("render", study / "report.json")
    assert result.returncode == 0, result.stderr
    assert contents(study) == before
