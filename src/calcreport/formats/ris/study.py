"""What a RIS can keep of the study as a whole, and what it has to forget once a reader has rejected findings."""

from __future__ import annotations

from collections.abc import Iterator

from calcreport.formats.ris.items import Answer, Item, answer_flag
from calcreport.model.report import Report
from calcreport.text.flags import is_assessed, size_limit_mm, size_operator
from calcreport.text.impression import FLAG_NAMES, name_flag
from calcreport.text.statements import Statements
from calcreport.text.wording import capitalise


def study_items(report: Report, statements: Statements) -> tuple[Item, ...]:
    """Concern of the study, then the worst state of each flag; without a lesion the flags reported of the patient.

    Empty where no flag was assessed.
    """
    if not is_assessed(report):
        return ()
    answer = Answer(word=report.concern, text=statements.choose("concern", report.concern, report.concern))
    flags = (
        _flag(name, report, statements, answer_flag(report.flags_summary[name], statements))
        for name in FLAG_NAMES
        if name in report.flags_summary
    )
    return (_concern(answer), *flags)


def withdrawn_study_items(report: Report, statements: Statements) -> Iterator[Item]:
    """Items, without value, that an earlier draft may have sent of the study and that left with rejected findings."""
    if not report.rejected:
        return
    if not is_assessed(report):
        yield _concern("")
    for name in FLAG_NAMES:
        if name not in report.flags_summary:
            yield _flag(name, report, statements, "")


def _concern(value: Answer | str) -> Item:
    return Item(name="report.concern", text="Concern of the study", value=value)


def _flag(name: str, report: Report, statements: Statements, value: Answer | str) -> Item:
    flag = name_flag(name, statements, size_limit_mm=size_limit_mm(report), size_operator=size_operator(report))
    return Item(name=f"flags_summary.{name}", text=f"{capitalise(flag)}, whole study", value=value)
