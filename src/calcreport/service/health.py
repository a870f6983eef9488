"""Counters and state of the service, in a file that other programs may read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

from calcreport.service.durable import write_file

STATUS_FILE: Final = "status.json"
_MOST_NAMES: Final = 200
"""Counters that are kept; names come from our own code, so this is never reached."""


class Counters:
    """Numbers since the service was started, from any thread."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        """Count something; `name` is a word or a code."""
        with self._guard:
            if name in self._counts or len(self._counts) < _MOST_NAMES:
                self._counts[name] += count

    def snapshot(self) -> dict[str, int]:
        """Return every counter, by name."""
        with self._guard:
            return dict(sorted(self._counts.items()))


def write_status(root: Path, status: Mapping[str, Any]) -> None:
    """Replace ``status.json``; when the disk is full the old one stays."""
    with suppress(OSError):
        write_file(root / STATUS_FILE, (json.dumps(status, indent=1) + "\n").encode(), is_flushed=False)


def read_status(root: Path) -> dict[str, Any]:
    """Read what the service said last; empty when it said nothing readable."""
    try:
        status = json.loads((root / STATUS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}
