"""A row says what it is: rows a site adds are treated like the program's own, without a line of Python."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import calcreport
from calcreport.compose.report import DraftContext, compose_report
from calcreport.errors import RuleFileError
from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.model.report import Report, Software, Study
from calcreport.resources import rule_texts, template_texts
from calcreport.rules import Ruleset, decide, decide_and_ask, load_rules
from calcreport.rules.facts import DECLARED
from calcreport.settings import PolicySettings, Settings
from calcreport.text.narrative import narrate
from calcreport.text.statements import parse_statements

BUILT_IN = rule_texts()
HEAD = 'schema = 1\nversion = "7"\n'
ROW = 'sources = ["site"]\nsince = 2026-01-01\n'
STATEMENTS = parse_statements(template_texts()["statements.toml"])

FIBROMATOSIS = f"""
[[class]]
id = "X1"
label = "calcifying aponeurotic fibroma"
rank = 0
forbids_biopsy = true
when = {{ fact = "place.tissue", is = "nerve" }}
{ROW}
[[recommendation]]
id = "X2"
before = "R13"
forbids_biopsy = true
text = "Do not biopsy"
when = {{ fact = "class.X1", one_of = ["++", "+"] }}
{ROW}
[[recommendation]]
id = "X3"
before = "X2"
leads_to_procedure = true
text = "Core biopsy"
when = {{}}
{ROW}
"""
"""A class that forbids biopsy, a row that says so, and advice of biopsy that stands before it."""

REFERRAL = f"""
[[recommendation]]
id = "X4"
before = "R13"
is_referral = true
text = "Show the images at the sarcoma meeting of our hospital"
when = {{ fact = "flag.size", is = "present" }}
excludes = ["R09"]
{ROW}
"""

SHELL = f"""
[[class]]
id = "X5"
label = "calcified shell of an old implant"
is_benign = true
rank = 1
explains_flags = ["size", "depth"]
when = {{ fact = "pattern.id", is = "P27" }}
strong = {{ condition = "sure" }}
{ROW}
"""


def _load(text: str = "", head: str = HEAD) -> Ruleset:
    return load_rules(BUILT_IN, {"site.toml": head + text})


def _problems(text: str, head: str = HEAD) -> str:
    with pytest.raises(RuleFileError) as caught:
        _load(text, head)
    return "\n".join(caught.value.problems)


def _findings(*lesions: dict[str, Any]) -> Findings:
    return Findings.model_validate({"modality": "CT", "lesions": lesions})


def _lesion(pattern: str = "P27", size_mm: float = 80, **fields: object) -> dict[str, Any]:
    return {
        "pattern": {"id": pattern, "confidence": "high"},
        "size": {"max_diameter_mm": size_mm},
        "depth": {"class": "subfascial"},
        **fields,
    }


def _decide(rules: Ruleset, *lesions: dict[str, Any]) -> Decision:
    return decide(_findings(*lesions), Clinical(), PolicySettings(), rules)


def _report(rules: Ruleset, *lesions: dict[str, Any]) -> Report:
    context = DraftContext(
        study=Study(study_instance_uid="1.2", study_date=None, modality="CT", description=None, patient={}),
        series=(),
        clinical={},
        settings=Settings(),
        software=Software(name="calcreport", version="0", rules_version="0"),
    )
    decision = decide_and_ask(_findings(*lesions), Clinical(), PolicySettings(), rules)
    return compose_report(_findings(*lesions), decision, context=context, imaging=None, statements=STATEMENTS)


def _ids(decision: Decision) -> list[str]:
    return [entry.id for entry in decision.recommendations]


def test_a_class_of_a_site_forbids_biopsy_of_every_lesion_wherever_its_rows_stand() -> None:
    lesions = (_lesion("P30", location={"region": "thigh", "tissue": "nerve"}), _lesion("P30"))
    without, ids = _ids(_decide(_load(), *lesions)), _ids(_decide(_load(FIBROMATOSIS), *lesions))
    assert {"R05", "R09"} & set(without)
    assert "X2" in ids
    assert not {"X3", "R03", "R05", "R06", "R07", "R09", "R18"} & set(ids)
    assert "X3" in _ids(_decide(_load(FIBROMATOSIS), _lesion("P30"))), "without the class nothing is forbidden"


def test_the_report_leaves_room_for_who_was_told_of_a_sites_own_ban() -> None:
    report = _report(_load(FIBROMATOSIS), _lesion("P30", location={"region": "thigh", "tissue": "nerve"}))
    told = narrate(report, STATEMENTS).communication
    assert STATEMENTS.say("communication.no_biopsy") in told


def test_what_would_raise_a_sites_own_ban_names_its_class() -> None:
    text = FIBROMATOSIS.replace('"place.tissue", is = "nerve"', '"history.immobility", is = "yes"')
    told = [entry.text for entry in _report(_load(text), _lesion("P30")).would_change]
    assert any("suspicion of calcifying aponeurotic fibroma and forbid biopsy" in entry for entry in told), told


def test_a_referral_of_a_site_is_worded_as_one() -> None:
    report = _report(_load(REFERRAL), _lesion("P30"))
    assert [entry.id for entry in report.recommendations if entry.is_referral] == ["X4"]
    plain = _report(_load(REFERRAL.replace("is_referral = true", "")), _lesion("P30"))
    assert not [entry.id for entry in plain.recommendations if entry.is_referral]
    mass = _lesion("P30", 12, mass={"present": "yes"})
    told = "a mass over 5 cm would meet a criterion for sarcoma-centre opinion"
    assert any(told in entry.text for entry in _report(_load(REFERRAL), mass).would_change)
    other = _report(_load(REFERRAL.replace("is_referral = true", "")), mass)
    assert not any(told in entry.text for entry in other.would_change)


def test_a_same_day_contact_of_a_site_is_named() -> None:
    row = (
        '[[recommendation]]\nid = "X6"\nsame_day_contact = "the vascular surgeon"\ntext = "Call"\n'
        f'when = {{ fact = "history.burns", is = "yes" }}\n{ROW}'
    )
    told = [entry.text for entry in _report(_load(row), _lesion("P30")).would_change]
    assert any("call for same-day contact with the vascular surgeon" in entry for entry in told), told


def test_a_class_of_a_site_explains_size_and_depth_and_nothing_else() -> None:
    flags = _decide(_load(SHELL), _lesion()).lesions[0].flags
    assert (flags.size.state, flags.depth.state) == ("explained", "explained")
    assert flags.size.evidence.endswith("explained by calcified shell of an old implant")
    assert _decide(_load(), _lesion()).lesions[0].flags.size.state == "present"
    mass = _lesion(mass={"present": "yes", "max_diameter_mm": 90, "source": "contour"})
    assert _decide(_load(SHELL), mass).lesions[0].flags.depth.state == "present", "beside a mass nothing is explained"
    weak = SHELL.replace('strong = { condition = "sure" }\n', "")
    assert _decide(_load(weak), _lesion()).lesions[0].flags.size.state == "present", "only where characteristic"


def test_a_tumour_and_an_open_class_of_a_site_are_worded_like_the_programs_own() -> None:
    for capability, told in (("is_tumour", "ossifying sarcoma not excluded"), ("is_open", "indeterminate")):
        row = (
            f'[[class]]\nid = "X7"\nlabel = "ossifying sarcoma"\n{capability} = true\nrank = 90\n'
            f'when = {{ fact = "pattern.id", is = "P27" }}\n{ROW}'
        )
        decision = _decide(_load(row), _lesion(size_mm=12))
        certainty = {entry.id: entry.certainty for entry in decision.lesions[0].differential}["X7"]
        assert certainty == ("cannot be determined" if capability == "is_open" else "possible")
        first = _report(_load(row), _lesion(size_mm=12)).impression[0]
        assert told in first, (capability, first, decision.lesions[0].differential)


def test_a_capability_holds_for_every_row_of_one_conclusion_and_no_site_takes_it_away() -> None:
    reworded = (
        '[[recommendation]]\nid = "R13"\ntext = "ours"\nwhen = { fact = "class.C23", one_of = ["++", "+"] }\n' + ROW
    )
    rules = _load(reworded)
    assert rules.capabilities.contacts == load_rules(BUILT_IN).capabilities.contacts
    assert all("is_referral" in rule.capabilities for rule in rules.rules if rule.concludes == "R09")
    away = reworded.replace('id = "R13"', 'id = "X8"\nrecommendation = "R09"\nis_referral = false')
    assert "is_referral contradicts another row of R09" in _problems(away)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (REFERRAL.replace("is_referral", "is_referal"), "unknown key 'is_referal'; did you mean 'is_referral'?"),
        (REFERRAL.replace("is_referral = true", 'is_referral = "yes"'), "'is_referral' must be true or false"),
        (REFERRAL.replace("is_referral = true", "same_day_contact = true"), "'same_day_contact' must be text"),
        (REFERRAL.replace("is_referral", "is_tumour"), "unknown key 'is_tumour'"),
        (SHELL.replace('["size", "depth"]', '["growth"]'), "only size and depth can be explained"),
        (SHELL.replace('["size", "depth"]', '"size"'), "'explains_flags' must be a list"),
        (FIBROMATOSIS.partition("[[recommendation]]")[0], "class X1 forbids biopsy: a recommendation with"),
        (FIBROMATOSIS.replace("leads_to_procedure", "forbids_biopsy = true\nleads_to_procedure"), "X3: forbids_biopsy"),
    ],
)
def test_a_mistaken_capability_is_named(text: str, expected: str) -> None:
    assert expected in _problems(text)


@pytest.mark.parametrize(
    "site",
    [
        'removed = ["R11", "R11-with-flags"]\n',
        'removed = ["C05"]\n',
        '[[class]]\nid = "C05"\nlabel = "x"\nwhen = { fact = "age_years", above = 200 }\n'
        'sources = ["s"]\nsince = 2026-01-01\n',
        '[[recommendation]]\nid = "R11"\ntext = "biopsy it"\nwhen = { fact = "age_years", above = 200 }\n'
        'sources = ["s"]\nsince = 2026-01-01\n',
    ],
)
def test_the_ban_on_biopsy_cannot_be_taken_out(site: str) -> None:
    """It is part of the engine: a site that takes its rows out, or makes them empty, is told, and the ban stays."""
    ruleset = load_rules(rule_texts(), {"site.toml": f'schema = 1\nversion = "9"\n{site}'})
    lesion = {"pattern": {"id": "P08", "confidence": "high"}, "depth": {"class": "subfascial"}}
    findings = Findings.model_validate({"modality": "CT", "lesions": [lesion]})
    decision = decide(findings, parse_clinical({"patient": {"age_years": 6}}), PolicySettings(), ruleset)
    ids = {entry.id for entry in decision.recommendations}
    assert "R11" in ids
    assert not ids & {"R05", "R06", "R07", "R09"}
    assert "do not biopsy" in " ".join(entry.text for entry in decision.recommendations)
    assert ruleset.used.warnings


def test_a_condition_the_ban_rests_on_cannot_be_replaced() -> None:
    text = '[condition]\nfop_known = { fact = "age_years", above = 200 }\n'
    assert "'fop_known' decides on the ban" in _problems(text)


@pytest.mark.parametrize("row", ["F1", "F2", "F7", "R09", "R11"])
def test_safety_rows_taken_out_are_told(row: str) -> None:
    ruleset = load_rules(rule_texts(), {"site.toml": f'schema = 1\nversion = "9"\nremoved = ["{row}"]\n'})
    assert any(row in warning for warning in ruleset.used.warnings)
    assert ruleset.printed_version.endswith("(safety rows changed by the site)")


def test_what_is_no_safety_row_or_only_reworded_is_not_warned_of(ruleset: Ruleset) -> None:
    row = next(rule for rule in ruleset.rules if rule.id == "R19")
    site = 'schema = 1\nversion = "9"\nremoved = ["R19"]\n'
    assert row
    assert load_rules(rule_texts(), {"site.toml": site}).used.warnings == ()
    assert ruleset.printed_version == ruleset.version


def test_a_conclusion_nobody_knows_is_a_mistake() -> None:
    text = '[[class]]\nid = "X9"\nclass = "C2"\nlabel = "x"\nwhen = {}\nsources = ["s"]\nsince = 2026-01-01\n'
    assert "speaks of the unknown class 'C2'" in _problems(text)


IDS_IN_PYTHON = {
    # Labels, words for shapes and DICOM codes of patterns; what patterns are read from is data.
    "calcification/patterns/pattern.py": 8,
    "film/shape.py": 12,
    "film/analysis.py": 8,
    "model/findings.py": 2,  # the range of pattern ids, in a message
    "model/terms.py": 28,  # labels of patterns
    "formats/ris/as_hl7.py": 1,  # ORU^R01 is an event of HL7
}
"""How many ids of rules, classes and patterns each file may hold; a smaller number has to be written here too."""


def _literals(path: Path, word: re.Pattern[str]) -> int:
    """Strings of a module that name an id, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return sum(
        len(word.findall(node.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
    )


def test_no_module_knows_a_row_by_its_id(ruleset: Ruleset) -> None:
    rules = [rule for table in ("class", "recommendation") for rule in ruleset.tables[table]]
    ids = {rule.id for rule in ruleset.rules} | {rule.concludes for rule in rules} | DECLARED["pattern.id"].words
    word = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, ids))})(?!\w)")
    source = Path(calcreport.__file__).parent
    found = Counter({str(path.relative_to(source)): _literals(path, word) for path in source.rglob("*.py")})
    assert dict(+found) == IDS_IN_PYTHON


def test_only_what_forbids_biopsy_excludes_every_procedure() -> None:
    rules = {rule.id: rule for rule in _load(FIBROMATOSIS + REFERRAL).rules}
    procedures = {rule.concludes for rule in rules.values() if "leads_to_procedure" in rule.capabilities}
    assert {"X3", "R05", "R09"} & procedures
    assert set(rules["X2"].excludes) == procedures
    assert (rules["X1"].excludes, rules["X3"].excludes, rules["X4"].excludes) == ((), (), ("R09",))
