"""Events of the service for its log and its counters: no patient data, and no more of them than an operator can read.

A hostile sender must not fill the disk with our log, so that each kind of event has a budget a minute.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Final

from calcreport.log import event

LOGGER: Final = logging.getLogger("calcreport.service")
_WINDOW_S: Final = 60.0
_MOST_A_WINDOW: Final = 60
_MOST_NAMES: Final = 200
"""Counters that are kept; names come from our own code, so this is never reached."""


class Journal:
    """Where events are told and counted, from any thread; `clock` gives monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._guard = Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        self._counts: Counter[str] = Counter()

    def count(self, name: str, count: int = 1) -> None:
        """Count something since the service was started; `name` is a word or a code."""
        with self._guard:
            if name in self._counts or len(self._counts) < _MOST_NAMES:
                self._counts[name] += count

    def counts(self) -> dict[str, int]:
        """Return every counter, by name."""
        with self._guard:
            return dict(sorted(self._counts.items()))

    def tell(self, name: str, **fields: float | str) -> None:
        """Log an event of `calcreport.log.event`, unless too many of its name came within a minute.

        When the minute is over, the next one is preceded by how many were left out.
        """
        now = self._clock()
        with self._guard:
            begun, count = self._windows.get(name, (now, 0))
            left_out = 0
            if now - begun >= _WINDOW_S:
                left_out = max(0, count - _MOST_A_WINDOW)
                begun, count = now, 0
            self._windows[name] = begun, count + 1
        if left_out:
            event(LOGGER, f"{name}_left_out", count=left_out)
        if count < _MOST_A_WINDOW:
            event(LOGGER, name, **fields)


class LineFormatter(logging.Formatter):
    """One event a line: time with offset, then name and fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; nothing but its message is shown, no traceback either."""
        when = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        return f"{when} {record.getMessage()}"
