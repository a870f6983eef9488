"""``calcreport rules``: list, explain, check, from the command line."""

import json
import re

import pydicom
import pytest

from calcreport.resources import rule_texts
from calcreport.rules import load_rules

FINDINGS = """
modality: CT
lesions:
  - {size: {max_diameter_mm: 30}, depth: {class: subfascial}, pattern: {id: P30},
     location: {region: thigh, laterality: left}}
  - {size: {max_diameter_mm: 6}, depth: {class: subcutaneous}, pattern: {id: P19},
     location: {region: buttock, laterality: left}}
"""
SITE = """
schema = 1
version = "2026.1"
name = "our-site"
removed = ["R19"]

[[flag]]
id = "F2"
flag = "depth"
state = "present"
text = "our wording: deep"
when = { condition = "deep" }
sources = ["site"]
since = 2026-11-01

[[recommendation]]
id = "X-R09"
recommendation = "R09"
before = "R09-rim"
text = "Ring our own clinic"
when = { fact = "flag.depth", is = "present" }
sources = ["site"]
since = 2026-11-01
"""


@pytest.fixture(scope="module")
def reports(run, tmp_path_factory):
    """A report with the built-in rules, and one with the site's."""
    folder = tmp_path_factory.mktemp("explained")
    (folder / "f.yaml").write_text(FINDINGS)
    (folder / "site.toml").write_text(SITE)
    (folder / "c.yaml").write_text("symptoms: {pain: no}")
    words = ["decide", folder / "f.yaml", "--clinical", folder / "c.yaml", "--format", "json"]
    (folder / "plain.json").write_text(run(*words).stdout)
    result = run(*words, "--rules", folder / "site.toml")
    assert result.returncode == 0, result.stderr
    (folder / "site.json").write_text(result.stdout)
    return folder


def test_the_list_names_every_rule_with_its_sources(run) -> None:
    ruleset = load_rules(rule_texts())
    for words in (["rules"], ["rules", "list"]):
        lines = run(*words).stdout
        assert ruleset.sha256 in lines
        for rule in ruleset.rules:
            assert f"\n{rule.id}: " in lines
        assert lines.count("\n  sources: ") == len(ruleset.rules)


def test_the_list_as_json_holds_condition_conclusion_weight_statement_sources_and_date(run) -> None:
    told = json.loads(run("rules", "list", "--format", "json").stdout)
    rows = {row["id"]: row for row in told["rows"]}
    for row in rows.values():
        assert row["when"]
        assert row["conclusion"]
        assert row["sources"]
        assert row["since"] >= "2026"
    assert rows["C02"]["weight"] == "+ or ++"
    assert rows["C02"]["statement"] == "C02"
    assert rows["F1"]["when"] == "<above_size_limit>"
    assert "above_size_limit" in told["conditions"]


def test_every_named_condition_that_is_mentioned_is_spelt_out(run) -> None:
    text = run("rules", "list", "--rule", "C02").stdout
    assert "\n<mature_rim>: " in text
    assert "\n<sure>: " in text, "a condition named by a named condition"
    assert "\n<metabolic>: " not in text


def test_the_list_can_be_narrowed(run) -> None:
    rows = json.loads(run("rules", "list", "--rule", "R09", "--format", "json").stdout)["rows"]
    assert len(rows) > 1
    assert {row["statement"] for row in rows} == {"R09"}
    rows = json.loads(run("rules", "list", "--table", "gate", "--format", "json").stdout)["rows"]
    assert {row["table"] for row in rows} == {"gate"}


def test_an_id_that_is_none_is_named_with_near_ones(run) -> None:
    result = run("rules", "list", "--rule", "R099")
    assert result.returncode == 2
    assert "[rules.unknown_id]" in result.stderr
    assert "R09" in result.stderr


def test_a_report_is_explained_rule_by_rule(run, reports) -> None:
    told = json.loads(run("rules", "explain", reports / "plain.json", "--format", "json").stdout)
    ruleset = load_rules(rule_texts())
    assert len(told["verdicts"]) == 2 * len(ruleset.rules)
    assert told["edited"] == []
    rows = {(row["lesion"], row["rule"]): row for row in told["verdicts"]}
    deep = rows["L1", "F2"]
    assert (deep["verdict"], deep["outcome"]) == ("met", "applied")
    assert [(row["fact"], row["value"]) for row in deep["evidence"]] == [("depth.class", "subfascial")]
    assert rows["L2", "F2"]["outcome"] == "not_met"
    unknown = rows["L1", "F3-rapid"]
    assert unknown["outcome"] == "unknown"
    assert [row["fact"] for row in unknown["evidence"] if row["is_decisive"]] == ["growth.rate"]
    assert {row["outcome"] for row in told["verdicts"]} >= {"applied", "outranked", "not_met", "unknown"}


def test_what_fired_is_what_the_report_says(run, reports) -> None:
    told = json.loads(run("rules", "explain", reports / "plain.json", "--format", "json").stdout)
    report = json.loads((reports / "plain.json").read_text())
    for lesion in report["lesions"]:
        applied = [row for row in told["verdicts"] if row["lesion"] == lesion["id"] and row["outcome"] == "applied"]
        said = {row["statement"] for row in applied if row["table"] == "recommendation"}
        assert said == {entry["id"] for entry in lesion["recommendations"]}
        classes = {row["statement"] for row in applied if row["table"] == "class"}
        assert classes == {entry["id"] for entry in lesion["differential"]}
        assert [row["statement"] for row in applied if row["table"] == "concern"] == [lesion["concern"]]
        assert len([row for row in applied if row["table"] == "flag"]) == 7


def test_the_explanation_reads_in_words(run, reports) -> None:
    text = run(
        "rules", "explain", reports / "plain.json", "--lesion", "L1", "--rule", "F2", "--rule", "F3-rapid"
    ).stdout
    lines = text.splitlines()
    assert "L1: left thigh, P30, concern flagged" in lines
    assert not [line for line in lines if line.startswith("L2")]
    assert "F2 (depth present): applied" in lines
    assert "F3-rapid (growth present): unknown" in lines
    assert any(line.startswith("  missing growth: rate: not provided") for line in lines)


def test_a_report_without_lesion_is_explained_too(run, tmp_path) -> None:
    (tmp_path / "f.yaml").write_text("modality: CT\nlesions: []")
    (tmp_path / "r.json").write_text(run("decide", tmp_path / "f.yaml", "--format", "json").stdout)
    result = run("rules", "explain", tmp_path / "r.json", "--rule", "F1")
    assert result.returncode == 0
    assert "study: no lesion" in result.stdout


def test_a_report_of_analyze_is_explained(run, limb, tmp_path) -> None:
    run("analyze", limb, "--out", tmp_path / "out", "--format", "json")
    (path,) = (tmp_path / "out").glob("*/report.json")
    told = json.loads(run("rules", "explain", path, "--format", "json").stdout)
    assert told["edited"] == []
    assert told["verdicts"]


def test_a_report_made_with_other_rules_is_not_explained_by_these(run, reports) -> None:
    site = reports / "site.toml"
    for report, more, code in (
        ("site.json", [], 2),
        ("plain.json", ["--rules", site], 2),
        ("site.json", ["--rules", site], 0),
    ):
        result = run("rules", "explain", reports / report, *more)
        assert result.returncode == code
        assert ("[report.other_rules]" in result.stderr) is (code == 2)


def test_an_edited_report_is_called_so(run, reports, tmp_path) -> None:
    report = json.loads((reports / "plain.json").read_text())
    report["lesions"][0]["flags"]["depth"]["state"] = "absent"
    (tmp_path / "r.json").write_text(json.dumps(report))
    result = run("rules", "explain", tmp_path / "r.json")
    assert result.returncode == 0
    assert "Edited: " in result.stdout
    assert "L1 flags" in result.stdout


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda report: report | {"schema_version": "0.9"}, "report.other_version"),
        (lambda report: report | {"findings": None}, "report.no_findings"),
        (lambda report: report | {"clinical": {"patient": {"age_years": "Jane"}}}, "report.invalid"),
        (lambda report: report | {"settings": {"policy": {"size_limit_mm": "Jane"}}}, "report.invalid"),
        (lambda report: report | {"settings": {}}, "report.invalid"),
        (lambda report: report | {"lesions": report["lesions"][:1]}, "report.invalid"),
        (lambda report: report | {"rules": None}, "report.other_rules"),
        (lambda _report: [], "report.not_json"),
        (lambda _report: "Jane", "report.not_json"),
    ],
)
def test_a_report_that_cannot_be_explained_is_refused_by_code(run, reports, tmp_path, break_it, code) -> None:
    report = json.loads((reports / "plain.json").read_text())
    (tmp_path / "r.json").write_text(json.dumps(break_it(report)))
    result = run("rules", "explain", tmp_path / "r.json")
    assert (result.returncode, result.stdout) == (2, "")
    assert f"[{code}]" in result.stderr
    assert "Jane" not in result.stderr


def test_a_lesion_that_is_none_is_named(run, reports) -> None:
    result = run("rules", "explain", reports / "plain.json", "--lesion", "L9")
    assert result.returncode == 2
    assert "[report.unknown_lesion]" in result.stderr
    assert "L1, L2" in result.stderr


def test_hostile_text_in_a_report_cannot_move_the_cursor(run, tmp_path) -> None:
    hostile = "\u001b[2J\u202e\nL9: forged"
    (tmp_path / "f.json").write_text(json.dumps({"lesions": [{"location": {"region": hostile}}]}))
    (tmp_path / "r.json").write_text(run("decide", tmp_path / "f.json", "--format", "json").stdout)
    for form in ("text", "json"):
        text = run("rules", "explain", tmp_path / "r.json", "--format", form).stdout
        assert all(character.isprintable() or character == "\n" for character in text)
        assert "\nL9: forged" not in text


def test_a_sites_rules_change_the_report_and_are_named_in_it(reports) -> None:
    plain, site = (json.loads((reports / name).read_text()) for name in ("plain.json", "site.json"))
    assert site["rules"]["name"] == "calcreport+our-site"
    assert site["rules"]["version"] == f"{plain['rules']['version']}+2026.1"
    assert site["software"]["rules_version"] == site["rules"]["version"]
    assert site["rules"]["sha256"] != plain["rules"]["sha256"]
    assert site["lesions"][0]["flags"]["depth"]["evidence"] == "our wording: deep"
    assert site["recommendations"][0]["text"] == "Ring our own clinic"


def test_rules_may_be_named_in_the_settings_beside_the_settings_file(run, reports, tmp_path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/site.toml").write_text(SITE)
    (tmp_path / "s.toml").write_text('[rules]\npath = "ours"')
    words = ["decide", reports / "f.yaml", "--config", tmp_path / "s.toml", "--format", "json"]
    report = json.loads(run(*words, cwd="/").stdout)
    assert report["rules"]["name"] == "calcreport+our-site"
    assert report["settings"]["rules"]["path"] == "ours"


def test_analyze_takes_a_sites_rules_too(run, reports, limb, tmp_path) -> None:
    assert run("analyze", limb, "--out", tmp_path, "--rules", reports / "site.toml").returncode == 0
    (path,) = tmp_path.glob("*/report.json")
    assert json.loads(path.read_text())["rules"]["name"] == "calcreport+our-site"


@pytest.fixture(scope="module")
def unsafe(tmp_path_factory):
    """A site's rules that take a red flag out."""
    path = tmp_path_factory.mktemp("unsafe") / "site.toml"
    path.write_text('schema = 1\nversion = "9"\nremoved = ["F2"]\n')
    return path


WARNING = "calcreport: WARNING: safety rows taken out: F2; every report says so\n"
FOOT = "safety rows changed by the site"


def test_a_safety_row_taken_out_is_warned_of_in_every_output(run, limb, unsafe, tmp_path) -> None:
    """Also when quiet: it is no progress."""
    formats = "text,text-full,json,html,png,sr,seg,sc,fhir,hl7"
    words = ["analyze", limb, "--out", tmp_path, "--quiet", "--format", formats]
    result = run(*words, "--rules", unsafe)
    assert (result.returncode, result.stderr) == (0, WARNING)
    assert FOOT in result.stdout.splitlines()[-1]
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert json.loads((folder / "report.json").read_text())["rules"]["warnings"] == ["safety rows taken out: F2"]
    assert FOOT in json.loads((tmp_path / "summary.json").read_text())["software"]["rules_version"]
    for name in ("report.txt", "report_full.txt", "oru.hl7", "fhir.json"):
        assert FOOT in " ".join((folder / name).read_text().split()), name
    (foot,) = re.findall(r"<footer>(.*?)</footer>", (folder / "report.html").read_text(), re.DOTALL)
    assert FOOT in foot
    report = pydicom.dcmread(folder / "sr.dcm")
    values = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
    assert sum(FOOT in value for value in values) >= 2  # parameters of the algorithm, and the section as text
    assert WARNING in run("render", folder / "report.json", "--rules", unsafe, "--out", tmp_path / "again").stderr

    assert run(*words).stderr == ""
    assert FOOT not in (folder / "report.html").read_text()


def test_a_safety_row_taken_out_is_warned_of_by_every_command(run, reports, limb, unsafe, tmp_path) -> None:
    decided = run("decide", reports / "f.yaml", "--rules", unsafe, "--format", "json")
    assert (decided.returncode, decided.stderr) == (0, WARNING)
    (tmp_path / "hook").mkdir()
    assert WARNING in run("hook", limb, tmp_path / "hook", "--rules", unsafe).stderr
    checked = run("rules", "check", unsafe)
    assert "WARNING: safety rows taken out: F2" in checked.stdout


def test_a_right_rule_file_is_told_with_what_it_changes(run, reports) -> None:
    result = run("rules", "check", reports / "site.toml")
    assert result.returncode == 0
    text = " ".join(result.stdout.split())
    assert text.startswith("No mistake.")
    assert "added: X-R09; replaced: F2; removed: R19" in text


def test_the_built_in_rules_are_right_and_change_nothing(run, tmp_path) -> None:
    for name, text in rule_texts().items():
        (tmp_path / name).write_text(text)
    result = run("rules", "check", tmp_path)
    assert result.returncode == 0
    assert "no row is different" in result.stdout


def test_every_mistake_of_a_rule_file_is_named_at_once_with_its_line(run, tmp_path) -> None:
    (tmp_path / "wrong.toml").write_text(
        'schema = 1\nversion = "1"\nremoved = ["R9"]\n\n'
        '[[flag]]\nid = "F2"\nflag = "dept"\nstat = "present"\ntext = "x"\nsources = ["s"]\nsince = 2026-01-01\n\n'
        '[[flag]]\nid = "F3"\nflag = "growth"\nstate = "present"\ntext = "{growth.rat}"\nbefore = "F4"\n'
        'when = { fact = "growth.rat", is = "rapid" }\nsources = ["s"]\nsince = 2026-01-01\n'
    )
    result = run("rules", "check", tmp_path / "wrong.toml")
    assert (result.returncode, result.stdout) == (2, "")
    for part in (
        "error [rules.invalid]: The rule tables have",
        "removed names the unknown row 'R9'; did you mean",
        "wrong.toml line 5 F2: unknown key 'stat'; did you mean 'state'?",
        "wrong.toml line 5 F2: 'state' is missing",
        "wrong.toml line 5 F2: flag must be one of",
        "wrong.toml line 13 F3: unknown fact 'growth.rat'; did you mean 'growth.rate'?",
        "wrong.toml line 13 F3: {growth.rat} is no fact",
    ):
        assert part in result.stderr


@pytest.mark.parametrize(("path", "code"), [("none.toml", "rules.missing"), ("empty", "rules.missing")])
def test_no_rule_file_is_told(run, tmp_path, path, code) -> None:
    (tmp_path / "empty").mkdir()
    result = run("rules", "check", tmp_path / path)
    assert result.returncode == 2
    assert f"[{code}]" in result.stderr


def test_what_is_no_text_is_no_rule_file(run, tmp_path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    assert "[rules.unreadable]" in run("rules", "check", tmp_path / "a.toml").stderr


def test_hostile_names_in_a_rule_file_cannot_move_the_cursor(run, tmp_path) -> None:
    (tmp_path / "a.toml").write_text('schema = 1\nversion = "1"\n"\\u001b[2J\\nerror" = 1\n')
    stderr = run("rules", "check", tmp_path / "a.toml").stderr
    assert "\u001b" not in stderr
    assert "unknown table" in stderr


@pytest.mark.parametrize("words", [["explain"], ["check"], ["chekc"], ["list", "--table", "x"]])
def test_wrong_words_end_with_exit_code_2(run, words) -> None:
    assert run("rules", *words).returncode == 2
