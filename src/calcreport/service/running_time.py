"""How long the service has run on a store, over all its starts: an age that no wrong clock can lengthen."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Final

from calcreport.service.durable import write_file

_FILE: Final = "running.json"
_SAVE_S: Final = 60.0
"""Written so often; what a power cut takes away only makes the store younger."""
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
