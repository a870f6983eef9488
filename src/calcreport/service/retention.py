"""What is removed, and when: only what was delivered everywhere, only after a time that a site has set.

Destruction never rests on the wall clock alone: a study's age is the least of what the wall clock, its files, and the
time for which the service has run since it was delivered say. What goes lies in quarantine first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import Final

from calcreport.errors import StoreError
from calcreport.service.durable import write_file
from calcreport.service.journal import Journal, code_of
from calcreport.service.queue import Record
from calcreport.service.service_settings import RetentionSettings
from calcreport.service.store import ASIDE, IMAGES, RESULTS, Store

_FILE: Final = "running.json"  # in the store
_SAVE_S: Final = 60.0  # Written so often; what a power cut takes away only makes the store younger
_TOLERANCE_S: Final = 3600.0
"""Summer time is no change of UTC, and time servers slew: more than this is a clock that was set."""


class RunningTime:
    """Seconds of service on a store, and whether the wall clock can be believed.

    `clock` gives monotonic seconds, `wall` seconds since 1970.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = monotonic, wall: Callable[[], float] = time) -> None:
        self._path = root / _FILE
        self._clock, self._wall = clock, wall
        self._begun_s, self._begun_wall = clock(), wall()
        self._saved_s = float("-inf")
        self._before_s = self._last_wall = 0.0
        with suppress(OSError, ValueError, LookupError, TypeError):
            saved = json.loads(self._path.read_bytes())
            self._before_s, self._last_wall = max(0.0, float(saved["seconds"])), float(saved["written"])

    @property
    def seconds(self) -> float:
        """Seconds that the service has run on this store."""
        return self._before_s + self._clock() - self._begun_s

    @property
    def is_clock_wrong(self) -> bool:
        """Whether the wall clock was set while the service ran, or stands before the time it showed here last."""
        passed = self._wall() - self._begun_wall
        was_set = abs(passed - (self._clock() - self._begun_s)) > _TOLERANCE_S
        return was_set or self._wall() < self._last_wall - _TOLERANCE_S

    def save(self) -> None:
        """Keep the time, once a minute; on a full disk the store stays younger than it is."""
        if self._clock() - self._saved_s < _SAVE_S:
            return
        self._saved_s = self._clock()
        written = max(self._wall(), self._last_wall)
        with suppress(OSError):
            content = json.dumps({"seconds": round(self.seconds, 1), "written": round(written, 1)})
            write_file(self._path, content.encode(), is_flushed=False)


_DAY_S: Final = 86_400.0  # seconds
_EVERY_S: Final = 600.0  # between two rounds
_SLICE_S: Final = 0.05  # Longest look at a time: the loop of the service has other things to do
MOST_A_ROUND: Final = 200
"""Studies that go in one round: 28,800 a day; more is a mistake, and someone may notice it in time."""


@dataclass(slots=True)
class Retention:
    """Looks for what may go, every ten minutes; the journal says what went, and what cannot be removed.

    `may_go` is asked about the images of a study before they go.
    """

    store: Store
    settings: Callable[[], RetentionSettings]
    journal: Journal
    _: KW_ONLY
    running: RunningTime
    may_go: Callable[[str, Sequence[str]], bool] = lambda _study, _images: True
    clock: Callable[[], float] = monotonic
    _last_s: float = field(default=float("-inf"), init=False)
    _round: Iterator[str] = field(default_factory=lambda: iter(()), init=False)
    _left: int = field(default=0, init=False)

    def tick(self, is_busy: Callable[[str], bool]) -> None:
        """Remove what may go, when it is time, a few studies at once; nothing of a study that is busy."""
        settings = self.settings()
        if settings.received_days is None and settings.results_days is None:
            return
        begun_s = self.clock()
        if begun_s - self._last_s >= _EVERY_S:
            self._last_s, self._left, self._round = begun_s, MOST_A_ROUND, iter(())
            self._guarded(self._begin, settings)
        while self._left > 0 and not self.running.is_clock_wrong and self.clock() - begun_s <= _SLICE_S:
            study = next(self._round, None)
            if study is None:
                return
            if not is_busy(study):
                self._guarded(self._look, study, settings)

    def _guarded(self, act: Callable[..., None], *how: object) -> None:
        try:
            act(*how)
        except (OSError, StoreError) as error:
            self.journal.tell("retention_failed", code=code_of(error, "store.failed"))

    def _begin(self, settings: RetentionSettings) -> None:
        """Empty the quarantine of what has lain there long enough, and list the studies."""
        if self.running.is_clock_wrong:
            self.journal.tell("retention_waits", code="clock.wrong")
            return
        gone = self.store.empty_quarantine(self.running.seconds - settings.quarantine_days * _DAY_S)
        if gone:
            self.journal.tell("quarantine_emptied", count=gone)
        self._round = iter(list(self.store.studies()))

    def _look(self, study: str, settings: RetentionSettings) -> None:
        record = self.store.record(study)
        if record.state != "done":
            return
        if record.done_running_s is None:  # delivered before this time was kept: its age begins now
            self._left -= 1
            begun = record.model_copy(update={"done_running_s": round(self.running.seconds, 1)})
            self.store.write_record(study, begun)
            return
        age_days = self._age_s(study, record) / _DAY_S
        if settings.received_days is not None and age_days >= settings.received_days:
            images = self.store.images(study)
            if images and not self.may_go(study, images):
                settings = settings.model_copy(update={"received_days": None})
        moved = remove_expired(self.store, study, record, settings, age_days=age_days, mark=self.running.seconds)
        if moved:
            self._left -= 1
            self.journal.count("studies_removed")
            self.journal.tell("retention_removed", study_ref=self.store.reference(study), count=moved)

    def _age_s(self, study: str, record: Record) -> float:
        """Least age of a delivered study by the wall clock, its files, and the service's own time."""
        by_service = self.running.seconds - (record.done_running_s or 0.0)
        return min(time() - record.changed, time() - self.store.modified(study), by_service)


def remove_expired(
    store: Store, study: str, record: Record, settings: RetentionSettings, *, age_days: float, mark: float
) -> int:
    """Move what a delivered study no longer needs into quarantine; count the files and folders that went.

    The names of removed images are remembered first: a late image alone must not be reported as the whole study. `mark`
    is the running time that quarantine remembers. Raises `StoreError` when the record cannot be written; then nothing
    was removed.
    """
    moved = 0
    if settings.received_days is not None and age_days >= settings.received_days:
        images = store.images(study)
        if images:
            store.write_record(study, record.model_copy(update={"removed": images}))
            moved += store.set_apart(study, IMAGES, images, mark=mark)
        moved += store.set_apart(study, ASIDE, store.images(study, ASIDE), mark=mark)
    if settings.results_days is not None and age_days >= settings.results_days:
        moved += store.set_apart(study, RESULTS, (), mark=mark)
    return moved
