"""Short texts that a PACS shows in its lists: what was found and which red flags are met; never who the patient is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from calcreport.model.report import Concern, FlagState, Lesion, Report
from calcreport.text.flags import size_limit_mm, size_operator
from calcreport.text.impression import FLAG_NAMES

LONGEST: Final = 64
"""Characters of a DICOM long string."""

_WORDS: Final = {
    "depth": "deep",
    "growth": "rapid growth",
    "pain": "pain",
    "mass": "mass",
    "history": "history",
    "aggressive": "aggressive feature",
}
_WITHOUT_FLAG: Final = {
    Concern.HIGH: "sarcoma-centre criteria met",
    Concern.FLAGGED: "red flag",
    Concern.MODIFIED: "flag explained by pattern",
    Concern.INDETERMINATE: "flags not fully assessable",
    Concern.NONE: "no red flag",
}
_STEPS: Final = tuple(Concern)


def series_description(report: Report) -> str:
    """Series Description of every object of a report, such as ``"calcreport: 1 finding, >5 cm + deep"``.

    ASCII, at most `LONGEST` characters, no patient data. Only flags that are present are named, and possible ones as
    such; what was not assessed is never called absent. Without a lesion those are named that were reported of the
    patient; lesions that a reader rejected do not count.
    """
    lesions = report.lesions
    if not lesions:
        return _describe_none(report)
    head = f"calcreport: {len(lesions)} finding{'' if len(lesions) == 1 else 's'}, "
    met = _named(report, lesions, FlagState.PRESENT)
    if met:
        return head + _join(met, LONGEST - len(head))
    possible = _named(report, lesions, FlagState.POSSIBLE)
    if possible:
        return f"{head}possible " + _join(possible, LONGEST - len(head) - len("possible "))
    return head + _WITHOUT_FLAG[min((lesion.concern for lesion in lesions), key=_STEPS.index)]


def _describe_none(report: Report) -> str:
    """Nothing found, or nothing left; what was reported of the patient counts nevertheless."""
    head = f"calcreport: {f'{len(report.rejected)} rejected by reader' if report.rejected else 'no finding'}"
    states = report.flags_summary
    reported = [_word(name, report) for name in FLAG_NAMES if states.get(name) is FlagState.PRESENT]
    if not reported:
        return head
    head += ", reported "
    return head + _join(reported, LONGEST - len(head))


def _named(report: Report, lesions: Sequence[Lesion], state: FlagState) -> list[str]:
    return [
        _word(name, report)
        for name in FLAG_NAMES
        if any(getattr(lesion.flags, name).state is state for lesion in lesions)
    ]


def _word(flag: str, report: Report) -> str:
    return _WORDS.get(flag) or f"{size_operator(report)}{size_limit_mm(report) / 10:g} cm"


def _join(words: Sequence[str], room: int) -> str:
    """As many words as there is room for; that some are missing is shown."""
    for count in range(len(words), 0, -1):
        left = len(words) - count
        text = " + ".join([*words[:count], *([f"{left} more"] if left else [])])
        if len(text) <= room:
            return text
    return f"{len(words)} red flags"
