"""What the image header says beside what was typed: marked, overruled, and contradictions printed, end to end."""

import json

import pytest

TAGS = {"PatientAge": "046Y", "PatientSex": "F", "BodyPartExamined": "LEG", "Laterality": "R"}


@pytest.fixture(scope="module")
def leg(write_study, tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("leg") / "study", tags=TAGS)


def _analyse(run, study, out, clinical=""):
    out.mkdir()
    (out / "c.yaml").write_text(clinical)
    words = ("--clinical", out / "c.yaml", "--format", "text,text-full,json")
    assert run("analyze", study, "--out", out / "r", *words).returncode == 0
    (folder,) = (path for path in (out / "r").iterdir() if path.is_dir())
    report = json.loads((folder / "report.json").read_text())
    return report, " ".join((folder / "report.txt").read_text().split())


def test_the_header_speaks_where_nobody_typed(run, leg, tmp_path) -> None:
    report, text = _analyse(run, leg, tmp_path / "a")
    told = {used["name"]: (used["value"], used["source"]) for used in report["inputs"]}
    assert told["patient.age_years"] == (46, "header")
    assert told["patient.sex"] == ("F", "header")
    assert told["site.laterality"] == ("right", "header")
    assert told["site.region"] == ("leg", "header")
    (full,) = (tmp_path / "a").glob("r/*/report_full.txt")
    assert "Taken from the image header: age, sex, side, region." in " ".join(full.read_text().split())
    assert report["lesions"][0]["location"]["laterality"] == "right"
    assert "Contradiction" not in text


def test_what_was_typed_wins_and_every_contradiction_is_printed(run, leg, tmp_path) -> None:
    clinical = "patient: {age_years: 47.1, sex: F}\nsite: {region: forearm, laterality: left}"
    report, text = _analyse(run, leg, tmp_path / "a", clinical)
    assert {used["name"] for used in report["inputs"] if used["is_contradicted"]} == {
        "patient.age_years",
        "site.laterality",
        "site.region",
    }
    for words in ("the age was entered as 47.1, the image header says 46", "the side was entered as left"):
        assert words in text
    location = report["lesions"][0]["location"]
    assert (location["laterality"], location["laterality_source"], location["region"]) == (
        "left",
        "clinician",
        "thigh",  # the image shows one; the typed region is told as contradicted above
    )
    (full,) = (tmp_path / "a").glob("r/*/report_full.txt")
    assert "47 F." in " ".join(full.read_text().split())
    assert "Taken from the image header" not in text


def test_contrast_typed_is_marked_and_used(run, leg, tmp_path) -> None:
    report, text = _analyse(run, leg, tmp_path / "a", "imaging: {contrast: venous}")
    assert report["technique"]["contrast_source"] == "clinician"
    assert report["technique"]["threshold_hu"]["grow"] == 300
    assert "contrast as entered by the clinician" in text
