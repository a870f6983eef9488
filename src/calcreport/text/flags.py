"""Red flags in words: those met first, then undetermined, absent and unreported ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from calcreport.model.lengths import Lengths
from calcreport.model.report import Flag, FlagState, Lesion, Report
from calcreport.text.impression import FLAG_NAMES, join_ids, name_flag
from calcreport.text.statements import Statements
from calcreport.text.wording import as_sentence, lengths_of

_DEFAULT_LIMIT_MM: Final = 50.0  # size limit of reports whose settings name none; as in `PolicySettings`


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagText:
    """Red flags of one lesion, or of several with the same answers: `who` names the lesions, `sentences` the flags."""

    who: str
    sentences: tuple[str, ...]


def size_limit_mm(report: Report) -> float:
    """Limit of the size flag in mm, from the settings the report was made with."""
    policy = report.settings.get("policy")
    value = policy.get("size_limit_mm") if isinstance(policy, dict) else None
    return float(value) if isinstance(value, int | float) else _DEFAULT_LIMIT_MM


def size_operator(report: Report) -> str:
    """Operator of the size flag, from the settings the report was made with."""
    policy = report.settings.get("policy")
    value = policy.get("size_operator") if isinstance(policy, dict) else None
    return value if value in {">", ">="} else ">"


def is_assessed(report: Report) -> bool:
    """Whether any red flag of the study was assessed: without a lesion only flags reported for the patient can be."""
    return bool(report.flags_summary)


def name_flags(report: Report, statements: Statements) -> list[str]:
    """Printed names of the flags, in their order."""
    limit_mm, operator = size_limit_mm(report), size_operator(report)
    return [name_flag(name, statements, size_limit_mm=limit_mm, size_operator=operator) for name in FLAG_NAMES]


def name_summary_flags(report: Report, statements: Statements, state: FlagState) -> list[str]:
    """Printed names of the flags that the study as a whole has in this state, in their order."""
    named = zip(FLAG_NAMES, name_flags(report, statements), strict=True)
    return [name for key, name in named if report.flags_summary.get(key) is state]


def describe_flags(report: Report, statements: Statements) -> tuple[FlagText, ...]:
    """Describe the red flags of every lesion; lesions with the same flags share one entry.

    A study without lesion has one entry without a lesion's name.
    """
    if not report.lesions:
        return (FlagText(who="", sentences=_describe_without_lesion(report, statements)),)
    by_lesion = [(lesion.id, _describe_flags(report, lesion, statements)) for lesion in report.lesions]
    shared = _shared_on_films(report, by_lesion)
    by_lesion = [(name, tuple(text for text in sentences if text not in shared)) for name, sentences in by_lesion]
    alike = groupby(sorted(by_lesion, key=lambda entry: _first_with(by_lesion, entry[1])), key=lambda entry: entry[1])
    groups = [([lesion_id for lesion_id, _ in group], sentences) for sentences, group in alike]
    own = [FlagText(who=join_ids(ids), sentences=sentences) for ids, sentences in groups if sentences]
    everyone = join_ids([lesion_id for lesion_id, _ in by_lesion])
    return (*own, FlagText(who=everyone, sentences=shared)) if shared else tuple(own)


def _describe_without_lesion(report: Report, statements: Statements) -> tuple[str, ...]:
    """State the flags reported for the patient, which count without a lesion, and that no others were assessed."""
    reported = name_summary_flags(report, statements, FlagState.PRESENT)
    nothing = "flags.all_rejected" if report.rejected else "flags.no_lesion"
    if not reported:
        return (as_sentence(statements.say(nothing)),)
    first = statements.say("flags.reported", list=statements.join(reported))
    rest = statements.say("flags.others", reason=statements.say(f"{nothing}_reason"))
    return as_sentence(first), as_sentence(rest)


def _shared_on_films(report: Report, by_lesion: list[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """Sentences that apply to every lesion on radiographs; they are stated once, at the end."""
    on_films = all(lesion.location.films for lesion in report.lesions)
    if len(by_lesion) == 1 or not on_films:
        return ()
    return tuple(text for text in by_lesion[0][1] if all(text in sentences for _, sentences in by_lesion))


def _first_with(by_lesion: list[tuple[str, tuple[str, ...]]], sentences: tuple[str, ...]) -> int:
    return next(position for position, entry in enumerate(by_lesion) if entry[1] == sentences)


def _describe_flags(report: Report, lesion: Lesion, statements: Statements) -> tuple[str, ...]:
    """List flags met first, then undetermined, absent and unreported ones."""
    lengths = lengths_of(report)
    flags = [
        (name, getattr(lesion.flags, key)) for key, name in zip(FLAG_NAMES, name_flags(report, statements), strict=True)
    ]
    sentences = []
    for state in (FlagState.PRESENT, FlagState.EXPLAINED, FlagState.POSSIBLE, FlagState.CANNOT_DETERMINE):
        sentences += [_describe_flag(name, flag, statements) for name, flag in flags if flag.state is state]
    absent = [_with_value(name, flag, lengths) for name, flag in flags if flag.state is FlagState.ABSENT]
    if absent:
        sentences.append(statements.say("flags.absent_list", list=", ".join(absent)))
    unknown = [name for name, flag in flags if flag.state is FlagState.NOT_PROVIDED]
    if unknown:
        sentences.append(statements.say("flags.unknown_list", list=", ".join(unknown)))
    return tuple(as_sentence(sentence) for sentence in sentences)


def _describe_flag(name: str, flag: Flag, statements: Statements) -> str:
    """Name, state and the evidence with its notes; evidence that only repeats the name is left out."""
    details = [detail.strip(" .") for detail in (flag.evidence, *flag.notes)]
    evidence = "; ".join(detail for detail in details if detail.lower() not in {"", name.lower()})
    identifier = "flags.explained" if flag.state is FlagState.EXPLAINED else "flags.with_evidence"
    state = statements.say(f"state.{flag.state}")
    return statements.say(identifier if evidence else "flags.plain", flag=name, state=state, evidence=evidence)


def _with_value(name: str, flag: Flag, lengths: Lengths) -> str:
    if flag.value is None or flag.unit != "mm":
        return name
    return f"{name} ({lengths.spell(flag.value)})"
