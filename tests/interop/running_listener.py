"""``calcreport listen`` for tests beside a PACS: started with a settings file, watched, killed at a moment of choice.

Run as a program it is the service itself, with waits made short and, when a moment is named, a SIGKILL at that moment:

usage: running_listener.py MOMENT [WORD ...]
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 90
MOMENTS = (
    "feed read and not remembered",
    "feed remembered",
    "first image kept",
    "half of the images kept",
    "all images kept",
    "study complete and not recorded",
    "analysis recorded and not begun",
    "analysis under way",
    "analysis ended and not recorded",
    "results recorded and not sent",
    "first object sent",
    "all objects sent and not recorded",
)


class Listener:
    """A service that runs, or ran."""

    def __init__(self, store: Path, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.store = store
        self.process = process
        self._log = log

    def events(self, name: str) -> list[str]:
        """Lines of the log about an event, over all runs with this store."""
        return [line for line in self.log().splitlines() if re.search(rf" {name}( |$)", line)]

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, what: Callable[[], Any], told: str) -> Any:
        """Wait until something is true, and return it; the service must not end meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if found := what():
                return found
            assert self.process.poll() is None, f"the service ended: {self.log()[-3000:]}"
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {told}: {self.log()[-3000:]}")


@contextlib.contextmanager
def running_listener(folder: Path, settings: str, *, moment: str = "") -> Iterator[Listener]:
    """Start the service with its store and log in `folder`, and kill it at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    config, log = folder / "settings.toml", folder / "log.txt"
    config.write_text(settings)
    words = [sys.executable, __file__, moment, "listen", "--config", config, "--store", folder / "store"]
    with log.open("ab") as stream, subprocess.Popen(words, stdout=stream, stderr=stream) as process:
        try:
            yield Listener(folder / "store", log, process)
        finally:
            process.kill()


def dcmtk(name: str) -> str | None:
    """Path of a program of dcmtk: pynetdicom installs others of the same names beside Python."""
    beside = {Path(sys.prefix, "bin"), Path(sys.executable).parent}
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder) not in beside]
    return shutil.which(name, path=os.pathsep.join(folders))


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _count(owner: type, name: str, number: int, *, is_before: bool = False) -> None:
    """Die at the call of a method with this number, before it does anything or when it is done."""
    original, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def counted(*words: Any, **named: Any) -> Any:
        call = next(calls)
        if is_before and call == number:
            _die()
        result = original(*words, **named)
        if not is_before and call == number:
            _die()
        return result

    setattr(owner, name, counted)


def _at_state(store: type, state: str, *, is_before: bool) -> None:
    """Die when the record of a study gets this state."""
    original = store.write_record  # type: ignore[attr-defined]

    def watched(self: Any, study: str, record: Any) -> None:
        if is_before and record.state == state:
            _die()
        original(self, study, record)
        if record.state == state:
            _die()

    store.write_record = watched  # type: ignore[attr-defined]


def _arm(moment: str) -> None:
    from calcreport.service.inbox import Inbox  # noqa: PLC0415 - only where this is the service
    from calcreport.service.sinks.web import OrthancSink  # noqa: PLC0415
    from calcreport.service.store import Store  # noqa: PLC0415
    from calcreport.service.worker import Analysis  # noqa: PLC0415

    def late(owner: type) -> None:
        original = owner.__init__

        def begun(self: Any, *words: Any, **named: Any) -> None:
            original(self, *words, **named)
            threading.Timer(0.8, _die).start()

        owner.__init__ = begun  # type: ignore[misc]

    arms: dict[str, Callable[[], None]] = {
        MOMENTS[0]: lambda: _count(Inbox, "remember", 1, is_before=True),
        MOMENTS[1]: lambda: _count(Inbox, "remember", 1),
        MOMENTS[2]: lambda: _count(Inbox, "keep", 1),
        MOMENTS[3]: lambda: _count(Inbox, "keep", 14),
        MOMENTS[4]: lambda: _count(Inbox, "keep", 28),
        MOMENTS[5]: lambda: _at_state(Store, "waiting", is_before=True),
        MOMENTS[6]: lambda: _at_state(Store, "analysing", is_before=False),
        MOMENTS[7]: lambda: late(Analysis),
        MOMENTS[8]: lambda: _at_state(Store, "delivering", is_before=True),
        MOMENTS[9]: lambda: _count(OrthancSink, "deliver", 1, is_before=True),
        MOMENTS[10]: lambda: _count(OrthancSink, "_send", 1),
        MOMENTS[11]: lambda: _at_state(Store, "done", is_before=True),
        "never, but slowly": lambda: _slow(Inbox),
    }
    arms[moment]()


def _slow(inbox: type) -> None:
    """Take a second for each of four images, so that a server can go away in between."""
    original, calls = inbox.keep, iter(range(1_000_000))  # type: ignore[attr-defined]

    def keep(self: Any, path: Path, **named: Any) -> Any:
        if 3 <= next(calls) < 7:
            time.sleep(1.0)
        return original(self, path, **named)

    inbox.keep = keep  # type: ignore[attr-defined]


def _main(moment: str, words: list[str]) -> int:
    from calcreport.cli import main  # noqa: PLC0415
    from calcreport.service import delivery  # noqa: PLC0415
    from calcreport.service.sources import polled  # noqa: PLC0415

    delivery.FIRST_WAIT_S = polled._FIRST_WAIT_S = 1.0  # a test has no minutes
    if moment:
        _arm(moment)
    return main(words)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
