"""What became of a study: one small file beside its images, written by the service only."""

from __future__ import annotations

from time import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calcreport.study.result import Status

State = Literal["waiting", "analysing", "delivering", "done", "failed"]


class Handover(BaseModel):
    """What became of the results at one sink."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: str = ""
    """Of the results it took last."""
    attempts: int = 0
    """For the results it has not taken."""
    code: str = ""
    """Of the last failure."""
    has_given_up: bool = False
    """Whether it is not tried any more for these results."""


class Record(BaseModel):
    """State of a study as of its last change.

    A field that a newer version knows is ignored, one that an older version did not know has its default: a record
    never keeps a study from being analysed.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    study_instance_uid: str = Field(default="", repr=False)
    state: State = "waiting"
    content: str = ""
    """Hash of the images the state is about."""
    reported: str = ""
    """Hash of the images of the last analysis that ended; empty before the first."""
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
    conflicts: int = 0
    """SOP Instance UIDs that came with more than one content."""
    is_incomplete: bool = False
    """Whether fewer images came than the source told of."""
    changed: float = 0.0
    """When, seconds since 1970."""
    done_running_s: float | None = None
    """Seconds for which the service had run on its store when the study was done; see `running_time`."""
    seconds: float = 0.0
    """Duration of the last analysis."""
    deliveries: dict[str, Handover] = {}
    removed: tuple[str, ...] = ()
    """Names of images removed by retention; the study can only be analysed anew when they are back."""

    def changed_to(self, **changes: object) -> Record:
        """The record with other values, changed just now."""
        return self.model_copy(update={"changed": time(), "done_running_s": None, **changes})

    def to_bytes(self) -> bytes:
        """Text of the file."""
        return (self.model_dump_json(indent=1, exclude_defaults=True) + "\n").encode()


def record_from(content: bytes | None) -> Record:
    """Read a record; one that is missing or damaged is empty, so that the study is looked at anew."""
    if content is None:
        return Record()
    try:
        return Record.model_validate_json(content)
    except ValidationError:
        return Record()
