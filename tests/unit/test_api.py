"""The public Python interface: its names, signatures, and what each function gives and refuses."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import calcreport
from calcreport import CalcReportError, Report, StudyResult

SAMPLES = Path(__file__).parents[2] / "sample_dicoms"
FINDINGS = {"modality": "CT", "lesions": [{"id": "A", "mass": {"present": "yes", "max_diameter_mm": 62}}]}
SIGNATURES = {
    "analyze": ["paths", "out", "clinical", "anatomy", "prior", "lesion_mask", "settings"],
    "decide": ["findings", "clinical"],
    "render": ["report", "review", "out"],
    "read_report": ["path"],
}
NAMES = ["CalcReportError", "Report", "StudyResult", "__version__", "analyze", "decide", "read_report", "render"]


def test_exactly_these_names_are_public() -> None:
    assert calcreport.__all__ == NAMES
    assert all(hasattr(calcreport, name) for name in NAMES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_signatures_are_those_of_the_contract(name: str) -> None:
    parameters = inspect.signature(getattr(calcreport, name)).parameters
    assert list(parameters) == SIGNATURES[name]
    optional = [
        parameter for parameter in parameters.values() if parameter.name not in {"paths", "findings", "report", "path"}
    ]
    assert all(parameter.default is None for parameter in optional)


def test_the_fields_of_a_result() -> None:
    assert list(StudyResult.__dataclass_fields__) == ["status", "code", "message", "report", "text", "folder"]


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, calcreport; sys.exit(bool({'numpy', 'pydicom', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        calcreport.nothing_like_it  # noqa: B018


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the results of one study."""
    out = tmp_path_factory.mktemp("out")
    (study,) = calcreport.analyze(SAMPLES / "myositis_calf", out=out, clinical=SAMPLES / "myositis_calf.clinical.yaml")
    assert study.status == "reported"
    assert study.folder is not None
    return study.folder


def test_without_out_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (study,) = calcreport.analyze(SAMPLES / "negative_calf")
    assert (study.status, study.code, study.folder) == ("no_calcification", None, None)
    assert study.report is not None
    assert "No soft-tissue calcification" in study.text
    assert not list(tmp_path.iterdir())


def test_the_files_are_those_of_the_command(folder: Path, tmp_path: Path) -> None:
    words = ["analyze", str(SAMPLES / "myositis_calf"), "--clinical", str(SAMPLES / "myositis_calf.clinical.yaml")]
    subprocess.run(
        [sys.executable, "-m", "calcreport", *words, "--out", str(tmp_path), "--quiet"], check=True, capture_output=True
    )
    typed = tmp_path / folder.name
    assert {path.name for path in typed.iterdir()} == {path.name for path in folder.iterdir()}
    assert (typed / "report.txt").read_text() == (folder / "report.txt").read_text()


def test_mappings_do_as_files_do() -> None:
    clinical = {"patient": {"age_years": 46, "sex": "F"}, "history": {"trauma": "no"}}
    report = calcreport.decide(FINDINGS, clinical)
    assert isinstance(report, Report)
    assert report.lesions[0].flags.size.state == "present"
    assert report.clinical["patient"] == {"age_years": 46.0, "sex": "F"}


def test_findings_and_clinical_data_from_files(tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text(json.dumps(FINDINGS))
    (tmp_path / "clinical.yaml").write_text("history: {trauma: no}\n")
    report = calcreport.decide(tmp_path / "findings.json", tmp_path / "clinical.yaml")
    assert report.lesions[0].mass.max_diameter_mm == 62


def test_a_refused_study_is_a_result_and_the_others_go_on(tmp_path: Path) -> None:
    first = sorted((SAMPLES / "negative_calf").rglob("*.dcm"))[0]
    (tmp_path / "one.dcm").write_bytes(first.read_bytes())
    other = SAMPLES / "phleboliths_thigh"
    refused, reported = sorted(calcreport.analyze([tmp_path, other]), key=lambda study: study.status != "refused")
    assert refused.status == "refused"
    assert refused.code
    assert refused.message
    assert refused.report is None
    assert reported.status == "reported"


def test_settings_are_taken_as_tables() -> None:
    with pytest.raises(CalcReportError) as refusal:
        calcreport.analyze(SAMPLES / "negative_calf", settings={"policy": {"size_limit": 40}})
    assert refusal.value.code == "settings.unknown_key"
    (study,) = calcreport.analyze(SAMPLES / "phleboliths_thigh", settings={"policy": {"size_limit_mm": 60.0}})
    assert study.report is not None
    assert study.report.settings["policy"]["size_limit_mm"] == 60.0


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: calcreport.analyze(SAMPLES / "nowhere"), "usage.no_such_path"),
        (lambda: calcreport.analyze(Path(__file__).parent / "rules"), "study.none_found"),
        (lambda: calcreport.analyze(SAMPLES, clinical={"patient": {"sex": "F"}}), "clinical.which_study"),
        (lambda: calcreport.decide(FINDINGS, [{"patient_id": "1"}]), "clinical.which_study"),
        (lambda: calcreport.decide({"lesion": []}), "findings.unknown_key"),
        (lambda: calcreport.decide([]), "findings.not_mapping"),
        (lambda: calcreport.read_report(SAMPLES), "report.which_study"),
        (lambda: calcreport.read_report(SAMPLES / "MANIFEST.toml"), "report.not_json"),
        (lambda: calcreport.render({"schema_version": "0.1"}), "report.other_version"),
    ],
)
def test_what_is_wrong_as_a_whole_is_raised_with_its_code(call, code: str) -> None:
    with pytest.raises(CalcReportError) as refusal:
        call()
    assert refusal.value.code == code


def test_a_report_is_read_from_its_folder_and_from_the_run(folder: Path) -> None:
    report = calcreport.read_report(folder)
    assert report == calcreport.read_report(folder / "report.json")
    assert report == calcreport.read_report(folder.parent)


def test_rendering_without_out_lays_the_review_over_and_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    lesion = calcreport.read_report(folder).lesions[0].id
    review = {"reader": "A", "lesions": {lesion: {"decision": "reject", "reason": "artefact"}}}
    try:
        result = calcreport.render(folder, review=review)
    except CalcReportError as error:
        pytest.fail(f"{error.code}: {error}")
    assert result.folder is None
    assert result.status == "reported"  # it names the lesion that the reader rejected
    assert not result.report.lesions
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_rendering_with_out_writes_every_output_again(folder: Path, tmp_path: Path) -> None:
    result = calcreport.render(folder.parent, out=tmp_path)  # the folder of a run of one study does too
    assert result.folder == tmp_path / folder.name
    assert (result.folder / "report.txt").read_text() == (folder / "report.txt").read_text() == result.text
    with pytest.raises(CalcReportError) as refusal:
        calcreport.render(calcreport.read_report(folder), out=tmp_path)
    assert refusal.value.code == "render.no_study"


def test_an_earlier_report_of_somebody_else_is_refused(folder: Path) -> None:
    (study,) = calcreport.analyze(SAMPLES / "phleboliths_thigh", prior=folder)
    assert study.code == "prior.other_patient"
