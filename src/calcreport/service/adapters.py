"""What a source of images and a sink of results have to offer, and what they are given.

An adapter is a class with a name and one method. It knows nothing of the queue, the worker or other adapters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from calcreport.service.inbox import Inbox
from calcreport.study.result import Status


class Source(Protocol):
    """Something images come from, in a thread of its own."""

    @property
    def name(self) -> str:
        """Lower-case letters and ``_``; names its cursor and its counters."""
        ...

    def run(self, inbox: Inbox, stop: Event) -> None:
        """Fetch until `stop` is set, then return within five seconds.

        A `DeliveryError` that is raised is logged by its code, and the source is run again after a back-off.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Results of one study, ready to be handed on."""

    reference: str
    """Of the study, for logs and notifications: 12 hexadecimal digits."""
    study_instance_uid: str = field(repr=False)
    """As received; identifies a patient's study."""
    key: str
    """Hash of the images that were analysed and of the revision: whoever took results under this key has them, and need
    not take them again."""
    revision: int
    """1 for the first report of a study, one more for every later one that supersedes it."""
    outcome: Status
    """Whether there is a report, and whether it names a lesion."""
    code: str
    """Of the refusal; empty otherwise."""
    concern: str | None
    """Of the report, as in ``summary.json``."""
    folder: Path | None = field(repr=False)
    """``results/<StudyInstanceUID>``; ``None`` when the study was refused. To be read, not altered."""


class Sink(Protocol):
    """Something results go to."""

    @property
    def name(self) -> str:
        """Lower-case letters and ``_``; under this name the record remembers what it took."""
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Hand results on; when this returns, the other side has them.

        Called from a thread of this sink's own, one study at a time, again after a crash: it must not matter. Raises
        `DeliveryError`: with ``is_retryable`` it is tried again after a back-off, otherwise given up.
        """
        ...
