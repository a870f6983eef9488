"""Events of the service for its log, its counters and its health: no patient data, no more than an operator can read.

A hostile sender must not fill the disk with our log, so that each kind of event has a budget a minute.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Final

from calcreport.errors import CalcReportError
from calcreport.log import event

LOGGER: Final = logging.getLogger("calcreport.service")  # of all events of the service
_WINDOW_S: Final = 60.0  # seconds
_MOST_A_WINDOW: Final = 60  # events of a name
_FAILURES: Final = 3
"""So many failures in a row of a sink, a source or of analyses are a problem: one may be the fault of one study."""
_MOST_NAMES: Final = 200  # Counters that are kept; names come from our own code, so this is never reached


@dataclass(slots=True, kw_only=True)
class _Part:
    last_success_s: float | None = None
    code: str = ""
    failures: int = 0


class Journal:
    """Logs and counts events, from any thread; `clock` gives monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._guard = Lock()
        self._windows: dict[str, tuple[float, int]] = {}
        self._counts: Counter[str] = Counter()
        self._parts: dict[str, _Part] = {}

    def count(self, name: str, count: int = 1) -> None:
        """Count something since the service was started; `name` is a word or a code."""
        with self._guard:
            if name in self._counts or len(self._counts) < _MOST_NAMES:
                self._counts[name] += count

    def counts(self) -> dict[str, int]:
        """Return every counter, by name."""
        with self._guard:
            return dict(sorted(self._counts.items()))

    def ended(self, part: str, code: str = "") -> None:
        """Note how the last thing that a sink, a source, the analyses or the places for senders did has ended."""
        with self._guard:
            known = self._parts.setdefault(part, _Part())
            known.code = code
            known.failures = known.failures + 1 if code else 0
            if not code:
                known.last_success_s = self._clock()

    def health(self) -> dict[str, dict[str, float | str | None]]:
        """Return for every part how long its last success is past, the code of its last failure, and failures since."""
        now = self._clock()
        with self._guard:
            return {
                name: {
                    "seconds_since_success": None if part.last_success_s is None else round(now - part.last_success_s),
                    "code": part.code,
                    "failures": part.failures,
                }
                for name, part in sorted(self._parts.items())
            }

    def problems(self) -> list[str]:
        """Codes of the parts that fail again and again."""
        with self._guard:
            failing = [part.code for _name, part in sorted(self._parts.items()) if part.failures >= _FAILURES]
            return list(dict.fromkeys(failing))

    def flush(self, *names: str) -> None:
        """Log how many events, of these names or of any, were left out in minutes that are over."""
        now = self._clock()
        left_out = {}
        with self._guard:
            for name in names or tuple(self._windows):
                begun, count = self._windows.get(name, (now, 0))
                if now - begun >= _WINDOW_S:
                    del self._windows[name]
                    left_out[name] = count - _MOST_A_WINDOW
        for name, count in left_out.items():
            if count > 0:
                event(LOGGER, f"{name}_left_out", count=count)

    def tell(self, name: str, **fields: float | str) -> None:
        """Log an event of `calcreport.log.event`, unless too many of its name came within a minute.

        When the minute is over, `flush` or the next one says how many were left out.
        """
        self.flush(name)
        with self._guard:
            begun, count = self._windows.get(name, (self._clock(), 0))
            self._windows[name] = begun, count + 1
        if count < _MOST_A_WINDOW:
            event(LOGGER, name, **fields)


class LineFormatter(logging.Formatter):
    """One event a line: time with offset, then name and fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; nothing but its message is shown, no traceback either."""
        when = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        return f"{when} {record.getMessage()}"


def code_of(error: Exception, for_system: str) -> str:
    """Code of what ended a step: its own, `for_system` when the operating system refused, otherwise of a bug."""
    if isinstance(error, CalcReportError):
        return error.code
    return for_system if isinstance(error, OSError) else "internal.error"
