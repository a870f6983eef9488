"""Conclusions of a report: the part that is rewritten when a reader changes its facts."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import BaseModel

from calcreport.compose.limitations import collect_limitations
from calcreport.model.decision import Decision
from calcreport.model.findings import Findings
from calcreport.model.report import Differential, Lesion, PriorStudy, Report
from calcreport.settings import PolicySettings
from calcreport.text.changes import describe_changes
from calcreport.text.impression import join_advice, name_flag, write_impression
from calcreport.text.statements import Statements
from calcreport.text.technique import say_no_lesion

_WORDED: Final = frozenset({
    "text", "label", "evidence", "notes", "measured_notes", "because", "reason", "remarks", "limitations",
    "measured_limitations", "bans", "contacts",
})  # fmt: skip
"""Fields that hold sentences."""
_Record = TypeVar("_Record", bound=BaseModel)


def in_own_words(record: _Record, statements: Statements) -> _Record:
    """Record with every sentence of the core in the words of the site; as it is where the site replaces none."""
    if not statements.of_core:
        return record
    changed = {
        name: _reworded(value, statements, is_worded=name in _WORDED)
        for name in type(record).model_fields
        if isinstance(value := getattr(record, name), str | tuple | dict | BaseModel)
    }
    return record.model_copy(update=changed)


def _reworded(value: Any, statements: Statements, *, is_worded: bool) -> Any:  # noqa: ANN401 - values of any field
    if isinstance(value, str):
        return statements.reword(value) if is_worded and type(value) is str else value
    if isinstance(value, tuple):
        return tuple(_reworded(item, statements, is_worded=is_worded) for item in value)
    if isinstance(value, dict):
        return {key: _reworded(item, statements, is_worded=is_worded) for key, item in value.items()}
    return in_own_words(value, statements) if isinstance(value, BaseModel) else value


def conclude(
    facts: Report,
    decision: Decision,
    *,
    order: tuple[int, ...],
    rule_findings: Findings | None,
    policy: PolicySettings,
    statements: Statements,
) -> Report:
    """Write the conclusions of a decision into a report, in place of those it has.

    `order` gives for each lesion of the report its index among those the decision is about; `rule_findings`, the input
    of the rules, is in the order of the decision.
    """
    facts, decision = in_own_words(facts, statements), in_own_words(decision, statements)
    lesions = tuple(_with_answer(lesion, decision, index) for lesion, index in zip(facts.lesions, order, strict=True))
    numbered = tuple((lesion.id, index) for lesion, index in zip(lesions, order, strict=True))
    size_name = name_flag("size", statements, size_limit_mm=policy.size_limit_mm, size_operator=policy.size_operator)
    negative = say_no_lesion(facts, statements)
    concluded = facts.model_copy(
        update={
            "lesions": lesions,
            "patient": decision.patient,
            "concern": decision.concern,
            "flags_summary": decision.flags_summary,
            "recommendations": join_advice(decision.recommendations, lesions),
            "limitations": collect_limitations(facts, decision, lesions, statements),
            "would_change": describe_changes(decision, numbered, statements, size_name=size_name),
            "comparison": _name_comparison(rule_findings),
            "laboratory": decision.laboratory,
            "inputs": decision.inputs,
            "findings": _keep(rule_findings, numbered),
        }
    )
    items = write_impression(concluded, statements, negative=negative)
    return concluded.model_copy(update={"impression": tuple(item.text for item in items)})


def _with_answer(lesion: Lesion, decision: Decision, index: int) -> Lesion:
    decided = decision.lesions[index]
    return lesion.model_copy(
        update={
            "flags": decided.flags,
            "concern": decided.concern,
            "differential": mark_tumours(decided.differential, decision),
            "recommendations": decided.recommendations,
            "growth": decided.growth,
            "notes": tuple(dict.fromkeys((*lesion.measured_notes, *decided.notes))),
        }
    )


def mark_tumours(differential: tuple[Differential, ...], decision: Decision) -> tuple[Differential, ...]:
    """Say of each class of a decided differential whether it is a tumour, as the report does."""
    return tuple(
        entry.model_copy(update={"is_tumour": decision.capabilities.is_class(entry.id, "is_tumour")})
        for entry in differential
    )


def _keep(rule_findings: Findings | None, numbered: tuple[tuple[str, int], ...]) -> dict[str, Any] | None:
    """Findings given to the rules, in the order and with the ids of the report; unknown values are left out."""
    if rule_findings is None:
        return None
    lesions = tuple(rule_findings.lesions[index].model_copy(update={"id": name}) for name, index in numbered)
    return rule_findings.model_copy(update={"lesions": lesions}).model_dump(mode="json", exclude_defaults=True) | (
        {} if lesions else {"lesions": []}
    )


def _name_comparison(rule_findings: Findings | None) -> PriorStudy | None:
    """Earlier study compared with: that of the whole study, else that a reader typed for a lesion."""
    if rule_findings is None:
        return None
    study = rule_findings.prior_study
    typed = [lesion.prior for lesion in rule_findings.lesions if lesion.prior is not None]
    if study is None and not typed:
        return None
    days = {prior.study_date for prior in typed} if study is None else {study.study_date}
    kinds = {prior.modality for prior in typed} if study is None else {study.modality}
    day = days.pop() if len(days) == 1 else None
    return PriorStudy(
        source="reader" if study is None else study.source,
        date=None if day is None else day.isoformat(),
        modality=kinds.pop() if len(kinds) == 1 else None,
    )
