"""What the hook tells a dispatcher in ``result.json``: nothing about the patient, it ends up in logs and mails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from calcreport import __version__
from calcreport.commands.hook_settings import GRADES, Grade, HookSettings
from calcreport.model.report import SCHEMA_VERSION
from calcreport.study.result import StudyOutcome

_WORDS: Final[dict[Grade, str]] = {
    "high": "high concern",
    "flagged": "flagged",
    "modified": "flags explained",
    "indeterminate": "concern cannot be determined",
    "refused": "could not be measured",
    "none": "no flag",
    "no_calcification": "no calcification found",
}
_CAUTION: Final = "Draft for a radiologist to check."


def result_of(outcomes: Sequence[StudyOutcome]) -> dict[str, Any]:
    """Tell what became of the studies of one folder, in the order found."""
    return {
        "schema_version": SCHEMA_VERSION,
        "software": f"calcreport {__version__}",
        "grade": _worst(outcomes),
        "studies": [
            {
                "status": outcome.status,
                "grade": grade_of(outcome),
                "code": outcome.code,
                "message": outcome.message,
                "concern": outcome.concern,
                "lesions": outcome.counts.lesions,
                "images": outcome.counts.images,
                "seconds": outcome.seconds,
            }
            for outcome in outcomes
        ],
    }


def for_mercure(outcomes: Sequence[StudyOutcome], settings: HookSettings) -> dict[str, Any]:
    """Fields that Mercure reads: whether somebody is told, and where results go; the most worrying study decides."""
    worst = _worst(outcomes)
    fields: dict[str, Any] = {
        "__mercure_notification": {"text": _sentence(outcomes), "requested": worst in settings.notify}
    }
    routing = settings.routing.get(worst)
    if routing is not None:
        fields["__mercure_routing"] = routing.model_dump(exclude_defaults=True)
    return fields


def grade_of(outcome: StudyOutcome) -> Grade:
    """What became of a study; a report without a concern is not one without worry."""
    if outcome.status != "reported":
        return outcome.status
    return outcome.concern.value if outcome.concern is not None else "indeterminate"


def _worst(outcomes: Sequence[StudyOutcome]) -> Grade:
    grades = {grade_of(outcome) for outcome in outcomes}
    return next((grade for grade in GRADES if grade in grades), "refused")


def _sentence(outcomes: Sequence[StudyOutcome]) -> str:
    counts = Counter(grade_of(outcome) for outcome in outcomes)
    parts = [
        f"{counts[grade]} {'study' if counts[grade] == 1 else 'studies'}: {_WORDS[grade]}"
        for grade in GRADES
        if counts[grade]
    ]
    return f"Soft-tissue calcification: {'; '.join(parts) or 'no study found'}. {_CAUTION}"
