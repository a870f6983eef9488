"""Results handed to sinks: each sink in a thread of its own, each study until the sink took it or refused for good.

A source or a sink is a class with a name and one method. It knows nothing of the queue, the worker or other adapters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Final, Protocol

from calcreport.errors import CalcReportError, DeliveryError
from calcreport.service.identity import References
from calcreport.service.inbox import Inbox
from calcreport.service.queue import Handover, Record, wait_s
from calcreport.service.store import RESULTS
from calcreport.study.folder import folder_name
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


FIRST_WAIT_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One attempt to hand the results with a key to a sink; `study` is a folder name, `code` why it failed."""

    study: str
    sink: str
    key: str
    code: str = ""
    is_retryable: bool = True


def key_of(record: Record) -> str:
    """Key of the results a record tells of."""
    return hashlib.sha256(f"{record.reported}:{record.revision}".encode()).hexdigest()[:32]


def delivery_of(study: str, record: Record, folder: Path, references: References) -> Delivery:
    """Describe the results of a study for a sink."""
    results = folder / RESULTS / folder_name(record.study_instance_uid)
    return Delivery(
        reference=references.of(study),
        study_instance_uid=record.study_instance_uid,
        key=key_of(record),
        revision=record.revision,
        outcome=record.outcome or "refused",
        code=record.code,
        concern=record.concern,
        folder=None if record.outcome == "refused" else results,
    )


def handed_over(record: Record, ended: Ended) -> Record:
    """Record after an attempt at a sink; results of an older revision do not count."""
    if ended.key != key_of(record):
        return record
    before = record.deliveries.get(ended.sink, Handover())
    if not ended.code:
        after = Handover(key=ended.key)
    else:
        after = before.model_copy(
            update={"attempts": before.attempts + 1, "code": ended.code, "has_given_up": not ended.is_retryable}
        )
    return record.model_copy(update={"deliveries": {**record.deliveries, ended.sink: after}})


def open_sinks(record: Record, sinks: Sequence[str]) -> list[str]:
    """Sinks that have not taken these results and have not refused them for good."""
    key = key_of(record)
    items = {name: record.deliveries.get(name, Handover()) for name in sinks}
    return [name for name, item in items.items() if item.key != key and not item.has_given_up]


def refused_by(record: Record, sinks: Sequence[str]) -> str:
    """Code of a sink that refused these results for good; empty when none did."""
    key = key_of(record)
    items = (record.deliveries.get(name, Handover()) for name in sinks)
    return next((item.code for item in items if item.has_given_up and item.key != key), "")


class Deliveries:
    """Threads of the sinks, and when each study is due at each."""

    def __init__(self, sinks: Sequence[Sink], *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._due_s: dict[tuple[str, str], float] = {}  # study and sink
        self._busy: set[str] = set()  # sinks
        self._ended: SimpleQueue[Ended] = SimpleQueue()
        self._tasks: dict[str, SimpleQueue[tuple[str, Delivery] | None]] = {}
        for sink in sinks:
            tasks: SimpleQueue[tuple[str, Delivery] | None] = SimpleQueue()
            self._tasks[sink.name] = tasks
            Thread(target=self._serve, args=(sink, tasks), name=f"sink-{sink.name}", daemon=True).start()

    @property
    def sinks(self) -> list[str]:
        """Names of all sinks."""
        return list(self._tasks)

    def put(self, study: str, sink: str, *, failures: int) -> None:
        """Let a study be due at a sink, after a wait that grows with its failures."""
        self._due_s[study, sink] = self._clock() + wait_s(failures, FIRST_WAIT_S)

    def drop(self, study: str) -> None:
        """Forget a study: its results are about to be others."""
        for pair in [pair for pair in self._due_s if pair[0] == study]:
            del self._due_s[pair]

    def begin(self, describe: Callable[[str], Delivery]) -> None:
        """Give every idle sink the study that is due longest."""
        now = self._clock()
        for (study, sink), due_s in sorted(self._due_s.items(), key=lambda item: item[1]):
            if due_s <= now and sink not in self._busy:
                del self._due_s[study, sink]
                self._busy.add(sink)
                self._tasks[sink].put((study, describe(study)))

    def ended(self) -> list[Ended]:
        """Attempts that ended since this was asked last."""
        results = []
        try:
            while True:
                results.append(self._ended.get_nowait())
        except Empty:
            self._busy -= {result.sink for result in results}
            return results

    def stop(self) -> None:
        """Begin nothing more. What is under way is done again after the next start: sinks have to bear it."""
        self._due_s.clear()
        for tasks in self._tasks.values():
            tasks.put(None)

    def __len__(self) -> int:
        """How many deliveries wait or are under way."""
        return len(self._due_s) + len(self._busy)

    def _serve(self, sink: Sink, tasks: SimpleQueue[tuple[str, Delivery] | None]) -> None:
        while (task := tasks.get()) is not None:
            study, delivery = task
            code, is_retryable = _attempt(sink, delivery)
            self._ended.put(Ended(study=study, sink=sink.name, key=delivery.key, code=code, is_retryable=is_retryable))


def _attempt(sink: Sink, delivery: Delivery) -> tuple[str, bool]:
    try:
        sink.deliver(delivery)
    except DeliveryError as error:
        return error.code, error.is_retryable
    except CalcReportError as error:
        return error.code, True
    except OSError:
        return "delivery.failed", True
    except Exception:  # noqa: BLE001  # a bug in one sink must not end its thread
        return "internal.error", True
    return "", True
