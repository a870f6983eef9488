"""``calcreport rules``: the table with its sources, the verdict of each rule in one report, a check of a site's own."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

from calcreport.arguments import ruleset_of, settings_of
from calcreport.calcification.patterns.pattern import pattern_table
from calcreport.commands.explain import explain, lay_out_lines
from calcreport.errors import UsageError
from calcreport.film.shape import film_table
from calcreport.model.pattern_table import PatternTable, Row
from calcreport.model.terms import PATTERN_LABELS
from calcreport.resources import rule_texts, site_rule_texts
from calcreport.rules import Ruleset, load_rules
from calcreport.rules.condition_words import ConditionWords
from calcreport.rules.conditions import ALWAYS
from calcreport.rules.facts import DECLARED
from calcreport.rules.rule_rows import OPTIONAL, REQUIRED, Rule


def run(options: argparse.Namespace) -> str:
    """List, explain or check; `ConfigurationError` ``rules.…``, ``report.…``, ``settings.…`` or ``usage.…``."""
    if options.action == "check":
        return _check(options)
    if options.action == "facts":
        return _list_facts()
    settings = settings_of(options.config)
    ruleset = ruleset_of(options.rules, settings, options.config)
    rows = _chosen(ruleset, options)
    if options.action == "explain":
        return explain(options, ruleset, frozenset(rule.id for rule in rows))
    is_listed = options.table in {None, "feature"} and not options.rule
    patterns = pattern_table(settings.detection.patterns) if is_listed else None
    return (_as_json if options.format == "json" else _as_text)(ruleset, rows, patterns)


def _chosen(ruleset: Ruleset, options: argparse.Namespace) -> list[Rule]:
    """Rows asked for; an id that is neither a row nor a conclusion is a mistake."""
    known = {name for rule in ruleset.rules for name in (rule.id, rule.concludes)}
    wanted = set(options.rule or ())
    unknown = sorted(wanted - known)
    if unknown:
        near = sorted({match for name in unknown for match in get_close_matches(name, known, n=2)})
        hint = f"did you mean {', '.join(near)}?" if near else "calcreport rules list prints all of them"
        msg = f"no rule has, or concludes, an id that was typed; {hint}"
        raise UsageError(msg, code="rules.unknown_id")
    return [
        rule
        for rule in ruleset.rules
        if options.table in {None, rule.table} and (not wanted or {rule.id, rule.concludes} & wanted)
    ]


def conclusion_of(rule: Rule) -> str:
    """What a row concludes, in a few words."""
    if rule.table == "flag":
        return f"{rule.concludes} flag {rule.state.value.replace('_', ' ') if rule.state else ''}".strip()
    if rule.table == "explanation":
        return f"explains {' and '.join(rule.explains)}"
    return "a sentence" if rule.table == "note" else f"{rule.table} {rule.concludes}"


def weight_of(rule: Rule) -> str:
    """Weight of a class row: what it has, and what it can rise to; empty for other rows."""
    if rule.table != "class":
        return ""
    if rule.strong is None:
        return rule.weight
    return "++" if rule.strong is ALWAYS else f"{rule.weight} or ++"


def _as_text(ruleset: Ruleset, rows: Sequence[Rule], patterns: PatternTable | None) -> str:
    lines = [f"Rules {ruleset.name} {ruleset.version}, {len(rows)} rows, sha256 {ruleset.sha256}", ""]
    words = ConditionWords(ruleset.conditions)
    for table, own in groupby(rows, key=lambda rule: rule.table):
        lines += [table.upper(), ""]
        for rule in own:
            lines += [*_describe(rule, words), ""]
    lines += _name_conditions(ruleset, words, " ".join(lines))
    if patterns is not None:
        lines += [*_name_features("CT", patterns), *_name_features("FILMS", film_table())]
    return lay_out_lines(lines)


def _name_conditions(ruleset: Ruleset, words: ConditionWords, text: str) -> list[str]:
    """Spell out the named conditions the text mentions, and those these mention in turn."""
    named: dict[str, str] = {}
    while new := [name for name in ruleset.conditions if f"<{name}>" in text and name not in named]:
        named |= {name: words.spell_out(ruleset.conditions[name]) for name in new}
        text += " ".join(named.values())
    lines = [line for name in ruleset.conditions if name in named for line in (f"<{name}>: {named[name]}", "")]
    return ["NAMED CONDITIONS", "", *lines] if lines else []


def _name_features(images: str, table: PatternTable) -> list[str]:
    """What each pattern is read from: rows of one case hold together, and the best case counts."""
    lines = [f"FEATURES OF PATTERNS ON {images}", ""]
    for name, cases in (*table.signs.items(), *table.patterns.items()):
        label = PATTERN_LABELS.get(name, "sign")
        lines.append(f"{name}: {label}{', never with high confidence' if cases.never_sure else ''}")
        for rows in cases.cases:
            lines += [f"  {' or ' if rows is not cases.cases[0] else ''}{len(rows)} rows", *map(_describe_row, rows)]
        lines += [f"  source: {cases.source}", ""]
    return lines


def _describe_row(row: Row) -> str:
    ends = (row.high, row.low) if row.falls else (row.low, row.high)
    needs = f", needs the {row.needs} resolved" if row.needs else ""
    source = f" ({row.source})" if row.source else ""
    unit = f" {row.unit}" if row.unit else ""
    return f"    {row.feature} from {ends[0]:g} to {ends[1]:g}{unit}, weight {row.weight:g}{needs}{source}"


def _describe(rule: Rule, words: ConditionWords) -> Iterator[str]:
    weight = f" (weight {weight_of(rule)})" if weight_of(rule) else ""
    yield f"{rule.id}: {conclusion_of(rule)}{weight}, since {rule.since}"
    yield f"  when {words.describe(rule.when)}"
    if rule.strong is not None and rule.strong is not ALWAYS:
        yield f"  ++ when also {words.describe(rule.strong)}"
    if rule.text:
        yield f'  says "{rule.text}"'
    if rule.capabilities or rule.contact:
        contact = [f'same_day_contact "{rule.contact}"'] if rule.contact else []
        yield f"  marked {', '.join((*sorted(rule.capabilities), *contact))}"
    if rule.excludes or rule.excludes_here:
        yield f"  never beside {', '.join((*rule.excludes, *rule.excludes_here))}"
    yield f"  sources: {'; '.join(rule.sources)}"


def _as_json(ruleset: Ruleset, rows: Sequence[Rule], patterns: PatternTable | None) -> str:
    words = ConditionWords(ruleset.conditions)
    entries: list[dict[str, Any]] = [
        {
            "id": rule.id,
            "table": rule.table,
            "when": words.describe(rule.when),
            "conclusion": conclusion_of(rule),
            "statement": rule.concludes,
            "weight": weight_of(rule) or None,
            "strong_when": None if rule.strong is None else words.describe(rule.strong),
            "text": rule.text,
            "capabilities": sorted(rule.capabilities),
            "same_day_contact": rule.contact or None,
            "sources": list(rule.sources),
            "since": rule.since.isoformat(),
        }
        for rule in rows
    ]
    conditions = {name: words.spell_out(condition) for name, condition in ruleset.conditions.items()}
    content = {"rules": ruleset.used.model_dump(), "rows": entries, "conditions": conditions}
    if patterns is not None:
        content |= {"features": dataclasses.asdict(patterns), "film_features": dataclasses.asdict(film_table())}
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"


def _list_facts() -> str:
    """List what conditions may ask, what a row of each table is made of, and the ids rows conclude."""
    lines = ["FACTS", ""]
    for name, fact in DECLARED.items():
        words = f": {', '.join(sorted(fact.words))}" if fact.words else ""
        lines.append(f"{name} ({fact.unit or fact.kind}) {fact.meaning}{words}")
    lines += ["", "COLUMNS OF ROWS (id, sources and since are in every row)", ""]
    lines += [
        f"[[{table}]] must: {', '.join(must)}; may: {', '.join(OPTIONAL[table])}" for table, must in REQUIRED.items()
    ]
    concluded: dict[str, dict[str, None]] = {}
    for rule in load_rules(rule_texts()).rules:
        concluded.setdefault(rule.table, {}).setdefault(rule.concludes)
    lines += ["", "CONCLUSIONS", "", *(f"{table}: {', '.join(names)}" for table, names in concluded.items())]
    return lay_out_lines(lines)


def _check(options: argparse.Namespace) -> str:
    """Check a site's rules, applied to the built-in ones, and say what they change."""
    built_in = load_rules(rule_texts())
    ruleset = load_rules(rule_texts(), site_rule_texts(Path(options.file)))
    before, after = ({rule.id: rule for rule in rules.rules} for rules in (built_in, ruleset))
    changes = {
        "added": [name for name in after if name not in before],
        "replaced": [name for name in after if name in before and after[name] != before[name]],
        "removed": [name for name in before if name not in after],
    }
    different = "; ".join(f"{what}: {', '.join(names)}" for what, names in changes.items() if names)
    lines = [
        f"No mistake. Rules {ruleset.name} {ruleset.version}, {len(after)} rows, sha256 {ruleset.sha256}",
        f"Against the built-in rules, {different or 'no row is different'}.",
        *(f"WARNING: {warning}; every report says so." for warning in ruleset.warnings),
    ]
    return lay_out_lines(lines)
