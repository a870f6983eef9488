"""The table of all rules: source, statement of an article, test case, hazard. Used by generate.py."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any, Final

from calcreport.model.clinical import parse_clinical
from calcreport.model.findings import Findings
from calcreport.resources import rule_texts
from calcreport.rules import Outcome, Ruleset, evaluate, load_rules
from calcreport.rules.ruleset import Rule
from calcreport.settings import PolicySettings

ROOT: Final = Path(__file__).parents[1]
CASES: Final = ROOT / "tests/unit/rules/cases"
MOST_CASES: Final = 2
HEAD: Final = """# Rules and where they come from

Made by `make docs` from the rule tables, [management-statements.toml](management-statements.toml) and
[hazards.toml](hazards.toml); do not edit. A source is a study, a guideline or a standard, or it is marked: *background*
(teaching page, blog, review copy), *article* (one of the five articles of management-statements.toml), *this project*
(a settlement or proposal of our own). A case is a file of `tests/unit/rules/cases` in which the row speaks; where there
is none, tests name the row itself, or it is a row of the tests of limits.

{hazards}

| rule | concludes | sources | statement | case | hazard |
|---|---|---|---|---|---|
"""


def page() -> str:
    """Write the table."""
    ruleset = load_rules(rule_texts())
    cases, statements = _cases(ruleset), _statements()
    hazards = tomllib.loads((ROOT / "docs/hazards.toml").read_text(encoding="utf-8"))["hazard"]
    listed = "\n".join(f"- **{hazard['id']}**: {hazard['text']}" for hazard in hazards)
    return HEAD.format(hazards=listed) + "".join(_row(rule, cases, statements, hazards) for rule in ruleset.rules)


def _row(
    rule: Rule, cases: dict[str, list[str]], statements: dict[str, list[str]], hazards: list[dict[str, Any]]
) -> str:
    own = [h["id"] for h in hazards if any(n.startswith(p) for p in h["rules"] for n in (rule.id, rule.concludes))]
    said = dict.fromkeys([*statements.get(rule.id, ()), *statements.get(rule.concludes, ())])
    concludes = f"{rule.concludes} {rule.state.value}" if rule.state else rule.concludes
    tested = ", ".join(cases.get(rule.id, ())[:MOST_CASES]) or _named_in_tests(rule.id)
    cells = (rule.id, concludes, "; ".join(rule.sources), "; ".join(said) or "-", tested, ", ".join(own) or "-")
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _cases(ruleset: Ruleset) -> dict[str, list[str]]:
    """Cases in which each row speaks."""
    speaking: dict[str, list[str]] = defaultdict(list)
    for path in sorted(CASES.glob("*.toml")):
        case = tomllib.loads(path.read_text(encoding="utf-8"))
        if "refused" in case["expect"]:
            continue
        findings, clinical = Findings.model_validate(case["findings"]), parse_clinical(case.get("clinical", {}))
        verdicts = evaluate(findings, clinical, PolicySettings(**case.get("policy", {})), ruleset)
        for name in dict.fromkeys(v.rule.id for v in verdicts if v.outcome is Outcome.APPLIED):
            speaking[name].append(path.stem)
    return speaking


def _statements() -> dict[str, list[str]]:
    """What the articles say, by rule."""
    table = tomllib.loads((ROOT / "docs/management-statements.toml").read_text(encoding="utf-8"))
    said: dict[str, list[str]] = defaultdict(list)
    for entry in table["statement"]:
        for name in entry.get("rules", ()):
            said[name].append(f"{entry['article']}: {entry['says']}")
    return said


@cache
def _tests() -> dict[str, str]:
    """Text of the test files of rules, by name."""
    files = sorted((ROOT / "tests").glob("unit/rules/test_*.py")) + sorted((ROOT / "tests").glob("properties/*.py"))
    return {path.stem: path.read_text(encoding="utf-8") for path in files}


def _named_in_tests(name: str) -> str:
    """Test files that name the row."""
    return ", ".join([stem for stem, text in _tests().items() if f'"{name}"' in text][:MOST_CASES]) or "-"
