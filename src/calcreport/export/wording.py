"""Short texts that a PACS shows in its lists: what was found and which red flags are met; never who the patient is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from calcreport.compose.flags_text import size_limit_mm, size_operator
from calcreport.compose.impression import FLAG_NAMES
from calcreport.model.report import Concern, FlagState, Lesion, Report

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


def is_rejected(lesion: Lesion) -> bool:
    """Whether a reader rejected the lesion."""
    return lesion.review is not None and lesion.review.status == "rejected"


def series_description(report: Report) -> str:
    """Series Description of every object of a report.

    Parameters
    ----------
    report : Report
        Lesions that a reader rejected do not count.

    Returns
    -------
    str
        Such as ``"calcreport: 1 finding, >5 cm + deep"``; ASCII, at most `LONGEST` characters, no patient data. Only
        flags that are present are named, and possible ones as such; what was not assessed is never called absent.
    """
    kept = [lesion for lesion in report.lesions if not is_rejected(lesion)]
    if not kept:
        rejected = len(report.rejected) + len(report.lesions)
        return "calcreport: no finding" + (f" ({rejected} rejected)" if rejected else "")
    head = f"calcreport: {len(kept)} finding{'' if len(kept) == 1 else 's'}, "
    met = _named(report, kept, FlagState.PRESENT)
    if met:
        return head + _join(met, LONGEST - len(head))
    possible = _named(report, kept, FlagState.POSSIBLE)
    if possible:
        return f"{head}possible " + _join(possible, LONGEST - len(head) - len("possible "))
    return head + _WITHOUT_FLAG[min((lesion.concern for lesion in kept), key=_STEPS.index)]


def _named(report: Report, lesions: Sequence[Lesion], state: FlagState) -> list[str]:
    size = f"{size_operator(report)}{size_limit_mm(report) / 10:g} cm"
    return [
        _WORDS.get(name, size)
        for name in FLAG_NAMES
        if any(getattr(lesion.flags, name).state is state for lesion in lesions)
    ]


def _join(words: Sequence[str], room: int) -> str:
    """As many words as there is room for; that some are missing is shown."""
    for count in range(len(words), 0, -1):
        left = len(words) - count
        text = " + ".join([*words[:count], *([f"{left} more"] if left else [])])
        if len(text) <= room:
            return text
    return f"{len(words)} red flags"
