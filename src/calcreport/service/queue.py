"""State of a study: one small file beside its images; what is to be done with it, and in which order.

Nothing else is kept: the queue is read from the file tree, and what is written is the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from time import time
from typing import Final, Literal

from pydantic import BaseModel, Field, ValidationError

from calcreport.service.identity import content_of
from calcreport.service.service_settings import AnalysisSettings, PriorityRow
from calcreport.study.result import Status, StudyOutcome

EARLIER: Final = "#earlier"  # ends the sender of a study that is fetched to compare another with it
MOST_URGENT: Final = 101  # above every priority that can be set
State = Literal["waiting", "analysing", "delivering", "done", "failed"]  # of a study


class Handover(BaseModel, frozen=True):
    """Outcome of the results at one sink."""

    key: str = ""
    """Of the results it took last."""
    attempts: int = 0
    """For the results it has not taken."""
    code: str = ""
    """Of the last failure."""
    has_given_up: bool = False
    """Whether it is not tried any more for these results."""


class Record(BaseModel, frozen=True):
    """State of a study as of its last change.

    A field that a newer version knows is ignored, one that an older version did not know has its default: a record
    never keeps a study from being analysed.
    """

    study_instance_uid: str = Field(default="", repr=False)
    state: State = "waiting"
    content: str = ""
    """Hash of the images the state is about."""
    reported: str = ""
    """Hash of the images of the last analysis that ended; empty before the first."""
    lease: str = ""
    """Under which the study is lent to a worker; only an answer of this lease counts."""
    revision: int = 0
    """Analyses that ended with a result, a refusal included."""
    attempts: int = 0
    """Analyses of `content` that failed through the study."""
    setbacks: int = 0
    """Analyses of `content` that failed through no fault of the study: a settings file that is wrong, a full disk."""
    interruptions: int = 0
    """Analyses of `content` that did not end because the service did not live; nobody knows whose fault it was."""
    outcome: Status | None = None
    code: str = ""
    """Why the study was refused, or why the last attempt failed."""
    message: str = ""
    """For the code, without patient data."""
    concern: str | None = None
    images: int = 0
    priority: int = 0
    """Higher is analysed before lower."""
    is_earlier: bool = False
    """Whether it was fetched to compare another with it: it is handed to no sink."""
    conflicts: int = 0
    """SOP Instance UIDs that came with more than one content."""
    is_incomplete: bool = False
    """Whether fewer images came than the source announced."""
    changed: float = 0.0
    """When, seconds since 1970."""
    done_running_s: float | None = None
    """Seconds for which the service had run on its store when the study was done; see `running_time`."""
    seconds: float = 0.0
    """Duration of the last analysis."""
    deliveries: dict[str, Handover] = Field(default_factory=dict)
    removed: tuple[str, ...] = ()
    """Names of images removed by retention; the study can only be analysed anew when they are back."""

    def changed_to(self, **changes: object) -> Record:
        """The record with other values, changed just now."""
        return self.model_copy(update={"changed": time(), "done_running_s": None, "lease": "", **changes})

    def to_bytes(self) -> bytes:
        """Text of the file."""
        return (self.model_dump_json(indent=1, exclude_defaults=True) + "\n").encode()


def record_from(content: bytes) -> Record:
    """Read a record; one that is damaged is empty, so that the study is looked at anew."""
    try:
        return Record.model_validate_json(content)
    except ValidationError:
        return Record()


_LONGEST_WAIT_S: Final = 600.0  # between two attempts
_MOST_SETBACKS: Final = 100  # Attempts that failed through no fault of the study, before it is given up: most of a day
_MOST_INTERRUPTIONS: Final = 20  # Attempts that a dying service did not end: it may well have been the study
LOST: Final = "worker.lost"  # code of an analysis whose worker does not live: nobody knows whose fault it was
_NO_FAILURES: Final[dict[str, int]] = {"attempts": 0, "setbacks": 0, "interruptions": 0}  # of a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An analysis that ended without an answer, and whether the study is not to blame; no patient data."""

    code: str
    message: str
    is_environment: bool = False
    seconds: float


def priority_of(rows: Sequence[PriorityRow], sender: str, values: Callable[[str], str]) -> int:
    """Priority by the first row that fits: a sender, and what `values` gives for keywords of DICOM elements."""
    for row in rows:
        named = [(row.sender, ""), (row.modality, "Modality"), (row.value, row.tag)]
        pairs = [(values(tag) if tag else sender, pattern) for pattern, tag in named if pattern is not None]
        if all(fnmatchcase(value.upper(), pattern.upper()) for value, pattern in pairs):
            return row.priority
    return 0


def is_due(record: Record, images: Sequence[str], clinical: tuple[str, ...] = ()) -> bool:
    """Whether images and clinical file of a study are neither those of its last answer nor those of a dead letter."""
    if not images:
        return False
    content = content_of([*images, *clinical])
    if record.state in {"waiting", "analysing"} and record.content == content:
        return True
    return content != (record.content if record.state == "failed" else record.reported)


def queued(
    record: Record, images: Sequence[str], *, study_uid: str, is_short: bool, clinical: tuple[str, ...] = ()
) -> Record:
    """Record of a complete study that waits for its analysis; attempts at the same images are remembered."""
    content = content_of([*images, *clinical])
    reset = {} if content == record.content else {**_NO_FAILURES, "code": "", "message": ""}
    return record.changed_to(
        study_instance_uid=study_uid,
        state="waiting",
        content=content,
        images=len(images),
        conflicts=sum(count > 1 for count in Counter(name.partition(".")[0] for name in images).values()),
        is_incomplete=is_short,
        removed=(),
        **reset,
    )


def images_missing(record: Record, images: Sequence[str]) -> bool:
    """Whether images that retention removed are not back: a report on the rest would not be about the study."""
    return not set(record.removed) <= set(images)


def given_up(record: Record, code: str, message: str) -> Record:
    """Dead letter."""
    return record.changed_to(state="failed", code=code, message=message)


def retried(record: Record) -> Record:
    """Record of a study an operator wants to be tried again, as if it had just come."""
    deliveries = {name: item.model_copy(update={"has_given_up": False}) for name, item in record.deliveries.items()}
    return record.changed_to(state="waiting", deliveries=deliveries, **_NO_FAILURES)


def interrupted(record: Record) -> Record:
    """Record of a study whose analysis was under way when the service died."""
    after = record.changed_to(state="waiting", interruptions=record.interruptions + 1)
    msg = "the service or its worker died again and again while it analysed this study"
    is_over = after.interruptions >= _MOST_INTERRUPTIONS
    return given_up(after, "analysis.interrupted", msg) if is_over else after


def answered(record: Record, result: StudyOutcome) -> Record:
    """Record after an analysis that ended with an answer; results are to be handed on."""
    return record.changed_to(
        state="delivering",
        reported=record.content,
        revision=record.revision + 1,
        outcome=result.status,
        code=result.code,
        message=result.message,
        concern=result.concern and result.concern.value,
        seconds=round(result.seconds, 3),
        **_NO_FAILURES,
    )


def failed(record: Record, failure: Failure, settings: AnalysisSettings) -> Record:
    """Record after an analysis that ended without an answer: another attempt later, or a dead letter."""
    if failure.code == LOST:
        return interrupted(record)
    name = "setbacks" if failure.is_environment else "attempts"
    changes = {name: getattr(record, name) + 1, "seconds": round(failure.seconds, 3)}
    after = record.changed_to(**changes, state="waiting", code=failure.code, message=failure.message)
    is_over = after.attempts >= settings.attempts or after.setbacks >= _MOST_SETBACKS
    return given_up(after, failure.code, failure.message) if is_over else after


def wait_s(failures: int, first_s: float) -> float:
    """Seconds before the attempt that follows so many failures."""
    return min(_LONGEST_WAIT_S, first_s * 2.0 ** min(failures - 1, 30)) if failures else 0.0


class Waiting(dict[str, tuple[int, int, float]]):
    """Complete studies, each with its interruptions, rank and time: the order in which they are to be analysed."""

    def put(self, study: str, *, due_s: float, interruptions: int, priority: int = 0) -> None:
        """Add a study, or move it; one that may have taken the service down comes after all others."""
        self[study] = interruptions, -priority, due_s

    def due(self, now_s: float) -> list[str]:
        """Studies whose time has come, in order."""
        return [study for study in sorted(self, key=self.__getitem__) if self[study][-1] <= now_s]
