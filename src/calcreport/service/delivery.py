"""Results handed to sinks: each sink in a thread of its own, each study until the sink took it or refused for good.

A sink is a class with a name and one method. It knows nothing of the queue, the worker or other adapters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Final, Protocol

from calcreport.errors import DeliveryError
from calcreport.service.journal import code_of
from calcreport.service.queue import Handover, Record, wait_s
from calcreport.service.store import RESULTS
from calcreport.study.folder import folder_name
from calcreport.study.result import Status

FIRST_WAIT_S: Final = 15.0  # Wait after the first failure of a sink; it doubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Results of one study, ready to be handed on."""

    study_instance_uid: str = field(repr=False)
    """As received; identifies a patient's study."""
    key: str
    """Hash of the images that were analysed and of the revision: whoever took results under this key has them."""
    revision: int
    """1 for the first report of a study, one more for every later one that supersedes it."""
    outcome: Status
    """Whether there is a report, and whether it names a lesion."""
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

        Called in a thread, one study at a time, again after a crash: it must not matter. Raises `DeliveryError`: with
        ``is_retryable`` it is tried again after a back-off, otherwise given up.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One attempt to hand the results with a key to a sink; `study` is a folder name, `code` why it failed."""

    study: str
    sink: str
    key: str
    code: str = ""
    is_retryable: bool = True


def key_of(record: Record) -> str:
    """Key of a study's last results."""
    return hashlib.sha256(f"{record.reported}:{record.revision}".encode()).hexdigest()[:32]


def delivery_of(record: Record, folder: Path) -> Delivery:
    """Describe the results of the study in a folder for a sink."""
    return Delivery(
        study_instance_uid=record.study_instance_uid,
        key=key_of(record),
        revision=record.revision,
        outcome=record.outcome or "refused",
        folder=None if record.outcome == "refused" else folder / RESULTS / folder_name(record.study_instance_uid),
    )


def handed_over(record: Record, ended: Ended) -> Record:
    """Record after an attempt at a sink; results of an older revision do not count."""
    if ended.key != key_of(record):
        return record
    before = record.deliveries.get(ended.sink, Handover())
    failure = {"attempts": before.attempts + 1, "code": ended.code, "has_given_up": not ended.is_retryable}
    after = before.model_copy(update=failure) if ended.code else Handover(key=ended.key)
    return record.model_copy(update={"deliveries": {**record.deliveries, ended.sink: after}})


def _left(record: Record, sinks: Sequence[str]) -> dict[str, Handover]:
    """Sinks that have not taken these results."""
    key = key_of(record)
    items = {name: record.deliveries.get(name, Handover()) for name in sinks if not record.is_earlier}
    return {name: item for name, item in items.items() if item.key != key}


def open_sinks(record: Record, sinks: Sequence[str]) -> list[str]:
    """Sinks that have not taken these results and have not refused them for good."""
    return [name for name, item in _left(record, sinks).items() if not item.has_given_up]


def refused_by(record: Record, sinks: Sequence[str]) -> str:
    """Code of a sink that refused these results for good; empty when none did."""
    return next((item.code for item in _left(record, sinks).values() if item.has_given_up), "")


class Deliveries:
    """Sinks that are at work, and when each study is due at each."""

    def __init__(self, sinks: Sequence[Sink], *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sinks = {sink.name: sink for sink in sinks}
        self._due_s: dict[tuple[str, str], float] = {}  # study and sink
        self._busy: set[str] = set()  # sinks
        self._ended: SimpleQueue[Ended] = SimpleQueue()

    @property
    def sinks(self) -> list[str]:
        """Names of all sinks."""
        return list(self._sinks)

    def put(self, study: str, sink: str, *, failures: int) -> None:
        """Let a study be due at a sink, after a wait that grows with its failures."""
        self._due_s[study, sink] = self._clock() + wait_s(failures, FIRST_WAIT_S)

    def drop(self, study: str) -> None:
        """Forget a study: its results are about to be others."""
        self._due_s = {pair: due_s for pair, due_s in self._due_s.items() if pair[0] != study}

    def begin(self, describe: Callable[[str], Delivery]) -> None:
        """Give every idle sink the study that is due longest."""
        now = self._clock()
        for (study, sink), due_s in sorted(self._due_s.items(), key=lambda item: item[1]):
            if due_s <= now and sink not in self._busy:
                del self._due_s[study, sink]
                self._busy.add(sink)
                work = (study, self._sinks[sink], describe(study))
                Thread(target=self._deliver, args=work, name=f"sink-{sink}", daemon=True).start()

    def ended(self) -> list[Ended]:
        """Attempts that ended since this was asked last."""
        results = [self._ended.get() for _number in range(self._ended.qsize())]
        self._busy -= {result.sink for result in results}
        return results

    def stop(self) -> None:
        """Begin nothing more. What is under way is done again after the next start: sinks have to bear it."""
        self._due_s.clear()

    def __len__(self) -> int:
        """How many deliveries wait or are under way."""
        return len(self._due_s) + len(self._busy)

    def _deliver(self, study: str, sink: Sink, delivery: Delivery) -> None:
        code, is_retryable = "", True
        try:
            sink.deliver(delivery)
        except Exception as error:  # noqa: BLE001  # a bug in one sink must not end the service
            code = code_of(error, "delivery.failed")
            is_retryable = not isinstance(error, DeliveryError) or error.is_retryable
        self._ended.put(Ended(study=study, sink=sink.name, key=delivery.key, code=code, is_retryable=is_retryable))
