"""Studies as de-identified archives hold them, end to end: what is written, and what is not."""

import json
import subprocess

import pydicom
import pytest

BLANK = {"StudyInstanceUID": "", "SeriesInstanceUID": ""} | {
    "PatientAge": "000Y",
    "PatientSex": "MALE",
    "PatientBirthDate": "",
}


def results(run, study, out, formats="text,json,html,png,sr,seg,sc"):
    done = run("analyze", study, "--out", out, "--format", formats)
    assert done.returncode == 0, done.stderr
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    return (
        folder,
        json.loads((folder / "report.json").read_text()),
        " ".join((folder / "report.txt").read_text().split()),
    )


def test_a_study_without_uids_is_reported_without_dicom_objects(run, write_study, tmp_path):
    study = write_study(tmp_path / "study", tags=BLANK)
    folder, report, text = results(run, study, tmp_path / "out", "text,json,html,png,sr,seg,sc,fhir,hl7")
    assert folder.name.startswith("no-uid-")
    assert report["study"]["study_instance_uid"] == folder.name
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["studies"][0]["folder"] == folder.name
    assert not list(folder.glob("*.dcm"))
    assert "Identity missing" in text
    assert any("Identity missing" in sentence for sentence in report["limitations"])
    assert report["study"]["patient"]["age_years"] is None
    assert report["study"]["patient"]["sex"] == "M"
    assert "0 M" not in text
    assert "MALE" not in text
    assert "urn:oid:no-uid" not in (folder / "fhir.json").read_text()
    assert run("render", folder / "report.json", "--format", "text").returncode == 0


def test_without_a_common_frame_of_reference_there_is_a_report_but_no_mask(run, write_study, tmp_path):
    study = write_study(tmp_path / "study")
    for number, path in enumerate(sorted(study.iterdir())):
        ds = pydicom.dcmread(path)
        ds.FrameOfReferenceUID = f"1.2.840.9.{number + 1}"
        ds.save_as(path)
    folder, report, _text = results(run, study, tmp_path / "out")
    assert (folder / "sr.dcm").is_file()
    assert not (folder / "seg.dcm").exists()
    assert any("Frame of Reference UID of its own" in note for note in report["technique"]["notes"])
    try:
        checked = subprocess.run(
            ["dciodvfy", folder / "sr.dcm"], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        pytest.skip("dciodvfy is not installed")
    assert not [line for line in checked.stderr.splitlines() if line.startswith("Error")]


PEOPLE = [
    ({"PatientAge": "000Y", "PatientSex": "F", "PatientBirthDate": ""}, "", ("0 F",)),
    ({"PatientAge": "", "PatientSex": "F", "PatientBirthDate": "19000101"}, "", ("126 F", "124 F", "125 F")),
    ({"PatientAge": "050Y", "PatientSex": "", "PatientBirthDate": ""}, "50 years.", ("50. ",)),
    ({"PatientAge": "058Y", "PatientSex": "MALE", "PatientBirthDate": ""}, "58 M.", ("MALE",)),
    ({"PatientAge": "058Y", "PatientSex": "M", "PatientBirthDate": "19300101"},
     "contradicts itself on age: 58 years stated", ()),
]  # fmt: skip


@pytest.mark.parametrize(("tags", "said", "unsaid"), PEOPLE)
def test_a_placeholder_is_never_printed_as_a_person(run, write_study, tmp_path, tags, said, unsaid):
    study = write_study(tmp_path / "study", tags=tags)
    folder, _report, text = results(run, study, tmp_path / "out", "text,text-full,json")
    full = " ".join((folder / "report_full.txt").read_text().split())
    assert said in full
    assert not [words for words in unsaid if words in text or words in full]
