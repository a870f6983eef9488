"""``calcreport rules explain``: for one report, each rule's verdict with its evidence."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import groupby
from typing import Final

from pydantic import ValidationError

from calcreport.compose.conclusion import mark_tumours
from calcreport.errors import ClinicalError, UsageError
from calcreport.files.named_file import read_text
from calcreport.files.report import MAX_REPORT_BYTES, findings_of_report, report_from_text
from calcreport.formats.characters import lay_out, to_ascii
from calcreport.model.clinical import Clinical, parse_clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Report
from calcreport.rules import Outcome, Ruleset, RuleVerdict, decide, evaluate
from calcreport.rules.condition_words import describe_evidence
from calcreport.settings import PolicySettings
from calcreport.text.impression import join_advice

_COLUMNS: Final = 100  # of a terminal
# Lesions, and entries of one line, on the one screen that is shown by default.
_MOST_LESIONS: Final = 3
_MOST_MISSING: Final = 5
_WHY: Final = {
    Outcome.APPLIED: "because",
    Outcome.OUTRANKED: "met by",
    Outcome.NOT_MET: "not so",
    Outcome.UNKNOWN: "missing",
    Outcome.NOT_ASKED: "",
}
"""What stands before the comparisons that settled an answer."""


def explain(options: argparse.Namespace, ruleset: Ruleset, ids: frozenset[str]) -> str:
    """Explain one report from what it holds, as text or JSON: the rows with these `ids`.

    `ruleset` must be that of the report, or an explanation by it would be untrue: `UsageError` ``report.other_rules``.
    """
    report = report_from_text(read_text(options.report, "REPORT.json", max_bytes=MAX_REPORT_BYTES, may_be_input=True))
    findings = findings_of_report(report)
    clinical, policy = _inputs(report)
    if report.rules is None or report.rules.sha256 != ruleset.sha256:
        made = f"{report.rules.name} {report.rules.version}" if report.rules else "rules it does not name"
        msg = (
            f"the report was made with other rules ({to_ascii(made)}) than these ({ruleset.name} {ruleset.version}); "
            "name the site's own with --rules, or use the calcreport version it was made with"
        )
        raise UsageError(msg, code="report.other_rules")
    names = _names(report, findings, options.lesion)
    verdicts = [
        verdict
        for verdict in evaluate(findings, clinical, policy, ruleset)
        if verdict.rule.id in ids and verdict.lesion in names
    ]
    differing = _differences(report, findings, clinical, policy, ruleset)
    if options.format == "json":
        return _as_json(report, names, verdicts, differing)
    return _as_text(report, names, verdicts, differing, is_all=bool(options.all or options.rule or options.table))


def lay_out_lines(lines: Sequence[str]) -> str:
    """Lines made harmless for a terminal, and as long as it is wide."""
    return lay_out("\n".join(map(to_ascii, lines)), _COLUMNS)


def _inputs(report: Report) -> tuple[Clinical, PolicySettings]:
    with suppress(ClinicalError, ValidationError):
        return parse_clinical(report.clinical), PolicySettings.model_validate(report.settings.get("policy"))
    # Raised outside the handler: the cause would carry the values into a traceback.
    msg = "the clinical input or the policy in the report was damaged or edited wrongly; take the original report"
    raise UsageError(msg, code="report.invalid")


def _names(report: Report, findings: Findings, wanted: str | None) -> dict[int, str]:
    """Name of each lesion asked for, by its place in the findings; a study without lesion is judged as one."""
    names = {index: lesion.id or f"L{index + 1}" for index, lesion in enumerate(findings.lesions)} or {0: "study"}
    if len(report.lesions) != len(findings.lesions):
        msg = "the lesions of the report are not those of the findings it holds; take the original report"
        raise UsageError(msg, code="report.invalid")
    if wanted is None:
        return names
    chosen = {index: name for index, name in names.items() if name == wanted}
    if not chosen:
        msg = f"the report has no lesion of that name; it has {', '.join(map(to_ascii, names.values()))}"
        raise UsageError(msg, code="report.unknown_lesion")
    return chosen


def _differences(
    report: Report, findings: Findings, clinical: Clinical, policy: PolicySettings, ruleset: Ruleset
) -> list[str]:
    """Name what the report says otherwise than the rules do of its own findings: it was edited."""
    decision = decide(findings, clinical, policy, ruleset)
    of_lesions = [
        f"{lesion.id} {name}"
        for lesion, decided in zip(report.lesions, decision.lesions, strict=True)
        for name, concluded in (
            ("flags", decided.flags),
            ("concern", decided.concern),
            ("differential", mark_tumours(decided.differential, decision)),
            ("recommendations", decided.recommendations),
        )
        if getattr(lesion, name) != concluded
    ]
    of_study = [] if report.concern is decision.concern else ["concern"]
    if report.recommendations != join_advice(decision.recommendations, report.lesions):
        of_study.append("recommendations")
    return of_lesions + of_study


def _as_text(
    report: Report, names: dict[int, str], verdicts: Sequence[RuleVerdict], differing: list[str], *, is_all: bool
) -> str:
    rules = report.rules
    lines = [f"Rules {rules.name} {rules.version}, sha256 {rules.sha256}" if rules else ""]
    if differing:
        lines.append(f"Edited: of these the report says something else than its rules do: {', '.join(differing)}.")
    shown = list(names.items())[: None if is_all else _MOST_LESIONS]
    for index, name in shown:
        own = [verdict for verdict in verdicts if verdict.lesion == index]
        lines += ["", _head(report, index, name), *(_list_all(own) if is_all else _list_decisive(own))]
    if len(shown) < len(names):
        lines.append(f"{len(names) - len(shown)} further lesions: name one with --lesion, or see all with --all.")
    return lay_out_lines(lines)


def _list_all(verdicts: Sequence[RuleVerdict]) -> Iterator[str]:
    for table, rows in groupby(verdicts, key=lambda verdict: verdict.rule.table):
        yield from ("", table.upper())
        for verdict in rows:
            rule, outcome = verdict.rule, verdict.outcome.value.replace("_", " ")
            state = f" {rule.state.value}" if rule.state else ""
            about = f" ({rule.concludes}{state})" if rule.concludes != rule.id else ""
            yield f"{rule.id}{about}: {outcome}{f', {verdict.reason}' if verdict.reason else ''}"
            if _WHY[verdict.outcome]:
                for row in dict.fromkeys(map(describe_evidence, verdict.decisive)):
                    yield f"  {_WHY[verdict.outcome]} {row}"


def _list_decisive(verdicts: Sequence[RuleVerdict]) -> Iterator[str]:
    """What applied, what one answer more would have made apply, and why there is no referral."""
    applied = [verdict for verdict in verdicts if verdict.outcome is Outcome.APPLIED]
    for table in dict.fromkeys(verdict.rule.table for verdict in applied):
        rows = [verdict.rule for verdict in applied if verdict.rule.table == table]
        said = (f"{rule.id}{f' ({rule.concludes} {rule.state.value})' if rule.state else ''}" for rule in rows)
        yield f"{table}: {', '.join(said)}"
    missing: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.outcome is Outcome.UNKNOWN and len({row.fact for row in verdict.decisive}) == 1:
            missing.setdefault(verdict.decisive[0].fact, []).append(verdict.rule.id)
    for fact, rules in sorted(missing.items(), key=lambda entry: -len(entry[1]))[:_MOST_MISSING]:
        yield f"missing {fact}: nearly applied {', '.join(rules[:_MOST_MISSING])}"
    referring = [verdict for verdict in verdicts if "is_referral" in verdict.rule.capabilities]
    for verdict in [row for row in referring if row.outcome is Outcome.APPLIED] or referring[-2:-1]:
        why = "; ".join(list(dict.fromkeys(map(describe_evidence, verdict.decisive)))[:_MOST_MISSING])
        words = "" if verdict.outcome is Outcome.APPLIED else "not "
        yield f"{words}{verdict.rule.concludes}: {verdict.reason or f'{_WHY[verdict.outcome]} {why}'}"


def _head(report: Report, index: int, name: str) -> str:
    if not report.lesions:
        return f"{name}: no lesion; concern {report.concern}"
    lesion = report.lesions[index]
    side = "" if lesion.location.laterality == "unknown" else f"{lesion.location.laterality} "
    return (
        f"{name}: {side}{lesion.location.region or 'region not given'}, {lesion.pattern.id}, concern {lesion.concern}"
    )


def _as_json(report: Report, names: dict[int, str], verdicts: Sequence[RuleVerdict], differing: list[str]) -> str:
    content = {
        "rules": report.rules.model_dump() if report.rules else None,
        "edited": differing,
        "verdicts": [
            {
                "lesion": names[verdict.lesion],
                "rule": verdict.rule.id,
                "table": verdict.rule.table,
                "statement": verdict.rule.concludes,
                "verdict": verdict.verdict.value,
                "outcome": verdict.outcome.value,
                "reason": verdict.reason,
                "sources": list(verdict.rule.sources),
                "evidence": [
                    asdict(row) | {"is_decisive": row in verdict.decisive, "words": describe_evidence(row)}
                    for row in verdict.evidence
                ],
            }
            for verdict in verdicts
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"
