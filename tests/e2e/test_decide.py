"""``calcreport decide``: typed findings in, the same report out as from images."""

import json
import subprocess

import pytest
import yaml

from calcreport.model.report import Report

FINDINGS = """
modality: CT
study_date: 2026-10-02
lesions:
  - size: {ap_mm: 24, tr_mm: 21, cc_mm: 43, max_diameter_mm: 44}
    depth: {class: subfascial, skin_distance_mm: 21}
    pattern: {id: P05}
    location: {region: calf, laterality: right, tissue: muscle}
    features: {rim_complete: yes, cleft_to_cortex: yes}
"""
CLINICAL = """
patient: {age_years: 19, sex: M}
site: {region: calf, laterality: right}
symptoms: {pain: yes, pain_explained_by: trauma}
growth: {rate: none}
history: {trauma: yes, trauma_weeks_ago: 8}
"""


@pytest.fixture
def typed(tmp_path):
    (tmp_path / "findings.yaml").write_text(FINDINGS)
    (tmp_path / "clinical.yaml").write_text(CLINICAL)
    return tmp_path


def test_the_report_is_printed_and_nothing_else(run, typed) -> None:
    result = run("decide", typed / "findings.yaml", "--clinical", typed / "clinical.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    for part in ("Right calf", " 4.4 cm.", "consistent with myositis ossificans", "findings entered by a reader"):
        assert part in " ".join(result.stdout.split())
    full = run("decide", typed / "findings.yaml", "--clinical", typed / "clinical.yaml", "--format", "text-full")
    assert (full.returncode, full.stderr) == (0, "")
    for part in ("Right calf", "longest dimension: 4.4 cm", "myositis ossificans", "no images were measured"):
        assert part in " ".join(full.stdout.split())
    assert sorted(path.name for path in typed.iterdir()) == ["clinical.yaml", "findings.yaml"]


def test_json_is_a_report_of_the_same_schema(run, typed) -> None:
    result = run("decide", typed / "findings.yaml", "--clinical", typed / "clinical.yaml", "--format", "json")
    report = Report.model_validate_json(result.stdout)
    assert report.schema_version == "1.1"
    assert report.lesions[0].size.max_diameter_mm == 44
    assert report.clinical["history"]["trauma_weeks_ago"] == 8
    assert report.settings["policy"]["size_limit_mm"] == 50
    assert report.rules is not None
    assert len(report.rules.sha256) == 64


def test_html_is_one_page(run, typed) -> None:
    page = run("decide", typed / "findings.yaml", "--format", "html").stdout
    assert page.startswith("<!DOCTYPE html>")
    assert "myositis ossificans" in page


def test_json_in_gives_what_yaml_in_gives(run, typed) -> None:
    (typed / "findings.json").write_text(json.dumps(yaml.safe_load(FINDINGS), default=str))
    texts = {run("decide", typed / f"findings.{kind}").stdout for kind in ("yaml", "json")}
    assert len(texts) == 1


def test_findings_may_come_from_standard_input(command, typed) -> None:
    from_file = subprocess.run([*command, "decide", typed / "findings.yaml"], capture_output=True, check=True).stdout
    words = [*command, "decide", "-"]
    from_input = subprocess.run(words, input=FINDINGS.encode(), capture_output=True, check=True).stdout
    assert from_input == from_file


def test_only_the_findings_may_come_from_standard_input(run, typed) -> None:
    result = run("decide", typed / "findings.yaml", "--clinical", "-")
    assert result.returncode == 2
    assert "[usage.no_such_file]" in result.stderr


@pytest.mark.parametrize("clinical", ["", CLINICAL])
def test_images_and_the_findings_measured_on_them_are_decided_alike(run, limb, tmp_path, clinical: str) -> None:
    told = tmp_path / "clinical.yaml"
    told.write_text(clinical)
    assert run("analyze", limb, "--out", tmp_path / "out", "--clinical", told).returncode == 0
    (path,) = (tmp_path / "out").glob("*/report.json")
    measured = Report.model_validate_json(path.read_text())
    assert measured.lesions
    (tmp_path / "findings.json").write_text(json.dumps(measured.findings))
    words = ["decide", tmp_path / "findings.json", "--clinical", told]
    typed = Report.model_validate_json(run(*words, "--format", "json").stdout)
    for name in ("concern", "flags_summary", "recommendations", "patient", "would_change", "inputs", "clinical"):
        assert getattr(typed, name) == getattr(measured, name), name
    for one, other in zip(typed.lesions, measured.lesions, strict=True):
        for name in ("id", "flags", "concern", "differential", "recommendations", "size", "mass", "depth", "density"):
            left, right = getattr(one, name), getattr(other, name)
            if name == "depth":
                left, right = (depth.model_copy(update={"reason": ""}) for depth in (left, right))
            assert left == right, name
    assert typed.findings == measured.findings


def test_a_projection_is_never_sized_for_certain(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text("modality: DX\nlesions: [{size: {max_diameter_mm: 58}}]")
    report = json.loads(run("decide", tmp_path / "f.yaml", "--format", "json").stdout)
    assert report["lesions"][0]["flags"]["size"]["state"] == "possible"
    assert report["lesions"][0]["flags"]["depth"]["state"] == "cannot_determine"


def test_no_lesion_is_told_as_such(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text("modality: CT\nlesions: []")
    result = run("decide", tmp_path / "f.yaml")
    assert result.returncode == 0
    assert "normal" not in result.stdout.lower()


def test_a_decimal_comma_and_a_leading_zero_reach_the_report_as_typed(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text("modality: CT\nlesions:\n- mass:\n    present: yes\n    max_diameter_mm: 50,4\n")
    (tmp_path / "c.yaml").write_text(
        "patient: {age_years: 046}\nlabs:\n  calcium:\n    value: 2,85\n    unit: mmol/L\n"
    )
    words = ["decide", tmp_path / "f.yaml", "--clinical", tmp_path / "c.yaml", "--format", "json"]
    report = json.loads(run(*words).stdout)
    assert report["lesions"][0]["flags"]["size"]["state"] == "present"
    assert report["clinical"]["patient"]["age_years"] == 46
    assert report["clinical"]["labs"]["calcium"]["value"] == 2.85


@pytest.mark.parametrize(
    ("findings", "more", "code"),
    [
        ("lesions: [{size: {max_diameter: 5}}]", {}, "findings.unknown_key"),
        ("lesions: [{size: {max_diameter_mm: -5}}]", {}, "findings.value"),
        ("lesion: []", {}, "findings.unknown_key"),
        ("modality: CT", {}, "findings.not_mapping"),
        ("a: [", {}, "findings.not_yaml"),
        ("lesions: []", {"clinical": "history: {truama: yes}"}, "clinical.unknown_key"),
        ("lesions: [{mass: {present: yes, max_diameter_mm: 50,4 mm}}]", {}, "findings.value"),
        ("lesions: []", {"clinical": "history: {sarcoma yes, trauma: no}"}, "clinical.unknown_key"),
        ("lesions: []", {"clinical": "labs: {calcium: {value: 2,85, unit: mmol/L}}"}, "clinical.value"),
        ("lesions: []", {"config": "[policy]\nsize_limit_mm = 50,4"}, "settings.syntax"),
        ("lesions: []", {"clinical": "labs: {calcium: {value: 2.4}}"}, "clinical.lab_unit"),
        ("lesions: []", {"config": "[policy]\nsize_limit = 1"}, "settings.unknown_key"),
        ("lesions: []", {"rules": "schema = 1"}, "rules.invalid"),
        ("lesions: []", {"prior": "{}"}, "report.not_json"),
        ("lesions: []", {"prior": '{"schema_version": "9"}'}, "report.other_version"),
        ("lesions: []", {"prior": '{"schema_version": "1.0"}'}, "report.invalid"),
    ],
)
def test_what_is_wrong_is_named_with_exit_code_2(run, tmp_path, findings, more, code) -> None:
    (tmp_path / "f.yaml").write_text(findings)
    words = ["decide", tmp_path / "f.yaml"]
    for name, text in more.items():
        (tmp_path / name).write_text(text)
        words += [f"--{name}", tmp_path / name]
    result = run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"error [{code}]: " in result.stderr


@pytest.mark.parametrize("words", [["missing.yaml"], ["."], ["\x01"], []])
def test_a_file_that_is_none_is_named(run, tmp_path, words) -> None:
    result = run("decide", *words, cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_what_is_no_text_is_named(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xff\xfe\x00")
    assert "[usage.unreadable_file]" in run("decide", tmp_path / "f.yaml").stderr


HOSTILE = "\u202etxt\u0007<script>alert(1)</script>{{7*7}}\u001b[31m"


def test_hostile_text_stays_text(run, tmp_path) -> None:
    findings = {"lesions": [{"location": {"region": HOSTILE, "compartment": HOSTILE}, "id": HOSTILE}]}
    clinical = {"site": {"region": HOSTILE}, "request": {"question": HOSTILE}}
    (tmp_path / "f.json").write_text(json.dumps(findings))
    (tmp_path / "c.json").write_text(json.dumps(clinical))
    words = ["decide", tmp_path / "f.json", "--clinical", tmp_path / "c.json"]
    text, full, page = run(*words), run(*words, "--format", "text-full"), run(*words, "--format", "html")
    assert (text.returncode, full.returncode, page.returncode) == (0, 0, 0)
    for printed in (text.stdout, full.stdout):
        assert all(character.isprintable() or character == "\n" for character in printed)
        assert "49" not in printed.split("Draft generated")[0]
    assert "Question" in full.stdout
    assert "<script>alert" not in page.stdout
    assert "\u202e" not in page.stdout


def test_a_mistake_does_not_repeat_what_was_typed(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text("lesions: [{location: {laterality: Jane-Doe}, Doe: 1, prior: {reason: [Doe]}}]")
    stderr = run("decide", tmp_path / "f.yaml").stderr
    assert "lesion 1: location.laterality" in stderr
    assert "Jane" not in stderr


def test_a_policy_reaches_the_rules_and_the_report(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text(
        "modality: CT\nlesions: [{mass: {present: yes, max_diameter_mm: 50}, pattern: {id: P30}}]"
    )
    (tmp_path / "s.toml").write_text('[policy]\nsize_operator = ">="')
    plain = json.loads(run("decide", tmp_path / "f.yaml", "--format", "json").stdout)
    result = run("decide", tmp_path / "f.yaml", "--format", "json", "--config", tmp_path / "s.toml")
    strict = json.loads(result.stdout)
    assert plain["lesions"][0]["flags"]["size"]["state"] == "possible"
    assert strict["lesions"][0]["flags"]["size"]["state"] == "present"
    assert strict["settings"]["policy"]["size_operator"] == ">="


def test_the_reader_of_a_pipe_may_stop(command, typed) -> None:
    words = [*command, "decide", typed / "findings.yaml"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0
