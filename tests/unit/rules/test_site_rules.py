"""A site's own rules laid over the built-in ones, and every mistake in them named, whatever they hold."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcreport.errors import RuleFileError
from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings
from calcreport.resources import rule_texts
from calcreport.rules import Ruleset, decide, load_rules
from calcreport.rules.rule_rows import REQUIRED
from calcreport.settings import PolicySettings

BUILT_IN = rule_texts()
HEAD = 'schema = 1\nversion = "7"\n'
ROW = 'sources = ["site"]\nsince = 2026-01-01\n'


def _load(text: str, head: str = HEAD) -> Ruleset:
    return load_rules(BUILT_IN, {"site.toml": head + text})


def _problems(text: str, head: str = HEAD) -> str:
    with pytest.raises(RuleFileError) as caught:
        _load(text, head)
    assert caught.value.code == "rules.invalid"
    return "\n".join(caught.value.problems)


def _ids(ruleset: Ruleset, table: str) -> list[str]:
    return [rule.id for rule in ruleset.tables[table]]


def test_an_empty_layer_changes_no_rule_but_is_named(ruleset: Ruleset) -> None:
    site = _load("")
    assert site.tables == ruleset.tables
    assert (site.name, site.version) == ("calcreport+site", f"{ruleset.version}+7")
    assert site.sha256 != ruleset.sha256


def test_the_digest_is_of_the_text_and_not_of_its_line_ends() -> None:
    assert load_rules(BUILT_IN).sha256 == load_rules(dict(reversed(BUILT_IN.items()))).sha256
    windows = {name: text.replace("\n", "\r\n") for name, text in BUILT_IN.items()}
    assert load_rules(windows).sha256 == load_rules(BUILT_IN).sha256
    assert _load("# a comment\n").sha256 != _load("").sha256


def test_a_row_with_a_known_id_replaces_that_row_where_it_stands(ruleset: Ruleset) -> None:
    site = _load(
        f'[[flag]]\nid = "F2"\nflag = "depth"\nstate = "possible"\ntext = "ours"\n{ROW}'
        'when = { condition = "deep" }\n'
    )
    assert _ids(site, "flag") == _ids(ruleset, "flag")
    assert next(rule for rule in site.rules if rule.id == "F2").text == "ours"


def test_a_new_row_goes_where_it_says(ruleset: Ruleset) -> None:
    row = f'[[recommendation]]\nid = "X1"\nrecommendation = "R09"\ntext = "x"\nwhen = {{}}\n{ROW}'
    first = _ids(ruleset, "recommendation")[0]
    assert _ids(_load(row + f'before = "{first}"\n'), "recommendation")[:2] == ["X1", first]
    assert _ids(_load(row), "recommendation")[-1] == "X1"


def test_a_known_row_can_be_moved(ruleset: Ruleset) -> None:
    first, *_, last = _ids(ruleset, "note")
    old = next(rule for rule in ruleset.rules if rule.id == last)
    moved = f'[[note]]\nid = "{last}"\ntext = "x"\nlevel = "{old.level}"\nwhen = {{}}\nbefore = "{first}"\n{ROW}'
    assert _ids(_load(moved), "note")[0] == last
    assert sorted(_ids(_load(moved), "note")) == sorted(_ids(ruleset, "note"))


def test_a_new_flag_row_is_asked_before_the_row_without_a_condition(ruleset: Ruleset) -> None:
    site = _load(
        f'[[flag]]\nid = "X1"\nflag = "pain"\nstate = "possible"\ntext = "x"\n{ROW}'
        'when = { fact = "sex", is = "F" }\n'
    )
    rows = [rule.id for rule in site.tables["flag"] if rule.concludes == "pain"]
    assert rows.index("X1") == len(rows) - 2
    assert len(rows) == len([rule for rule in ruleset.tables["flag"] if rule.concludes == "pain"]) + 1


def test_a_named_condition_is_replaced_everywhere() -> None:
    site = _load('[condition]\nsure = { fact = "pattern.id", known = true }\n')
    findings = Findings.model_validate(
        {
            "modality": "CT",
            "lesions": [{"pattern": {"id": "P02", "confidence": "low"}, "size": {"max_diameter_mm": 80}}],
        }
    )
    states = [
        decide(findings, Clinical(), PolicySettings(), rules).lesions[0].flags.size.state
        for rules in (load_rules(BUILT_IN), site)
    ]
    assert states == ["present", "explained"], "sure of a pattern of low confidence, its length is an extent"


def test_rows_can_be_taken_out(ruleset: Ruleset) -> None:
    site = _load("", HEAD + 'removed = ["R19"]\n')
    assert {rule.id for rule in ruleset.rules} - {rule.id for rule in site.rules} == {"R19"}


def test_what_the_tables_need_cannot_be_taken_out(ruleset: Ruleset) -> None:
    for table in ("flag", "concern"):
        last = _ids(ruleset, table)[-1]
        assert "must have no condition" in _problems("", HEAD + f'removed = ["{last}"]\n')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'[[flag]]\nid = "R09"\nflag = "size"\nstate = "absent"\ntext = "x"\n{ROW}', "belongs to a recommendation"),
        (f'[[note]]\nid = "X"\ntext = "x"\nwhen = {{}}\nbefore = "R09"\n{ROW}', "before names the unknown note 'R09'"),
        (f'[[note]]\nid = "X"\ntext = "x"\nwhen = {{}}\nbefore = 5\n{ROW}', "before names the unknown note '5'"),
        (f'[[note]]\nid = "X"\ntext = 5\nwhen = {{}}\n{ROW}', "site.toml line 3 X: 'text' must be text"),
        (f'[[note]]\nid = "X"\ntext = "x"\nwhen = {{ condition = ["deep"] }}\n{ROW}', "named by a word"),
        ("[[notes]]\n", "unknown table 'notes'; did you mean 'note'?"),
        ("note = 5\n", "write [[note]] for each row"),
        ("condition = 5\n", "write named conditions under [condition]"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, expected: str) -> None:
    assert expected in _problems(text)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            'schema = 1\nversion = "7"\nremoved = ["R199"]\n',
            "removed names the unknown row 'R199'; did you mean 'R19'?",
        ),
        ('schema = 1\nversion = "7"\nremoved = [1]\n', "removed must list ids"),
        ('schema = 1\nversion = "7"\nname = "a\\nb"\n', "name must be a line"),
        ('schema = 1\nversion = "7\\u001b"\n', "version is missing"),
        ('schema = true\nversion = "7"\n', "schema must be 1"),
        ("schema = 1\n", "version is missing"),
        ("x = " + "9" * 5000, "not TOML"),
        ("x = " + "[" * 100_000, "not TOML"),
    ],
)
def test_a_wrong_head_is_named(head: str, expected: str) -> None:
    assert expected in _problems("", head)


def test_what_only_a_site_may_write_is_no_key_of_the_built_in_tables() -> None:
    with pytest.raises(RuleFileError) as caught:
        load_rules(BUILT_IN | {"zz.toml": 'schema = 1\nversion = "1.0.0"\nremoved = ["R19"]\n'})
    assert "unknown table 'removed'" in str(caught.value)


def _known_keys(table: str) -> set[str]:
    """Keys a row of the built-in tables has somewhere."""
    tables = [tomllib.loads(text).get(table, []) for text in BUILT_IN.values()]
    return {key for rows in tables for row in rows for key in row}


_VALUES = st.sampled_from(
    """1|-1|nan|true|'x'
    |[]|[1]|['P01']|{}|{a=1}|2026-01-01|[[1]]|''|"\\u0000"|{ fact = [1], is = 2 }|{ condition = [1] }
    |{ all = [1, {}] }|{ any = {} }|{ not = 5 }|{ fact = 'pattern.id', one_of = 5 }|{ certainly = {} }
    |{ fact = 'size.longest_mm', above = [1] }|99999999999999999999|{ fact = 'pattern.id', is = {} }
    |{ fact = 'pattern.id', known = 'x' }""".replace("\n", "").split("|")
)
_KEYS = st.sampled_from(sorted({key for table in REQUIRED for key in _known_keys(table)} | {"before", "colour"}))
_TABLES = st.sampled_from(
    ["pattern", "gate", "flag", "explanation", "class", "concern", "recommendation", "note", "condition", "removed"]
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(_TABLES, st.dictionaries(_KEYS, _VALUES, max_size=8)), max_size=3),
    st.dictionaries(_TABLES, _VALUES, max_size=2),
)
def test_any_file_is_taken_or_refused_by_name(rows: list[tuple[str, dict[str, Any]]], tops: dict[str, Any]) -> None:
    lines = [f"{key} = {value}" for key, value in tops.items()]
    for table, row in rows:
        lines += [f"[[{table}]]", *(f"{key} = {value}" for key, value in row.items())]
    problems: tuple[str, ...] = ("none",)
    try:
        _load("\n".join(lines))
    except RuleFileError as error:
        problems = error.problems
    assert problems
    assert all(text.isprintable() for text in problems)
