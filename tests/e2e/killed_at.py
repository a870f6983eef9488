"""The program, which kills itself by SIGKILL at a moment of choice.

usage: killed_at.py MOMENT [WORD ...]
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

MOMENTS = {
    "first image not kept yet": "listen",
    "all images kept": "listen",
    "complete and not recorded": "listen",
    "recorded and not begun": "listen",
    "lent and nobody told": "listen",
    "lent and workers told": "listen",
    "told and not taken": "worker",
    "taken and not begun": "worker",
    "analysing": "worker",
    "analysing, the service": "listen",
    "results written and not answered": "worker",
    "answered and still in the queue": "worker",
    "answer read and not recorded": "listen",
    "recorded and not sent": "listen",
    "sent and not recorded": "listen",
}
"""Moments in the life of a study, and which of the two commands dies then."""
LOCAL = [moment for moment, word in MOMENTS.items() if word == "listen" and "lent" not in moment]
"""Those of a service that analyses by itself."""


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner: Any, name: str, *, is_before: bool, call: int = 1, when: Any = lambda *_a, **_k: True) -> None:
    original, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def wrapped(*words: Any, **named: Any) -> Any:
        is_now = when(*words, **named) and next(calls) == call
        if is_now and is_before:
            _die()
        result = original(*words, **named)
        if is_now:
            _die()
        return result

    setattr(owner, name, wrapped)


def _at_state(state: str, *, is_before: bool) -> None:
    from calcreport.service.store import Store  # noqa: PLC0415 - only where this is the program

    _wrap(Store, "write_record", is_before=is_before, when=lambda _self, _study, record: record.state == state)


def arm(moment: str, images: int) -> None:
    """Die at a moment; a study has so many images."""
    from calcreport.service import distributed  # noqa: PLC0415
    from calcreport.service.inbox import Inbox  # noqa: PLC0415
    from calcreport.service.sinks.folder import FolderSink  # noqa: PLC0415
    from calcreport.service.worker import Analysis  # noqa: PLC0415

    def later(*_: object) -> bool:
        threading.Timer(0.5, _die).start()
        return False

    {
        "first image not kept yet": lambda: _wrap(Inbox, "keep", is_before=True),
        "all images kept": lambda: _wrap(Inbox, "keep", is_before=False, call=images),
        "complete and not recorded": lambda: _at_state("waiting", is_before=True),
        "recorded and not begun": lambda: _at_state("waiting", is_before=False),
        "lent and nobody told": lambda: _at_state("analysing", is_before=False),
        "lent and workers told": lambda: _wrap(
            distributed, "tell_workers", is_before=False, when=lambda _settings, lent: bool(lent)
        ),
        "told and not taken": lambda: _wrap(distributed, "read_record", is_before=True),
        "taken and not begun": lambda: _wrap(Analysis, "__init__", is_before=True),
        "analysing": lambda: _wrap(Analysis, "__init__", is_before=False, when=later),
        "analysing, the service": lambda: _wrap(
            distributed.Lent if "WORKERS" in os.environ else Analysis, "__init__", is_before=False, when=later
        ),
        "results written and not answered": lambda: _wrap(
            distributed, "write_file", is_before=True, when=lambda path, _content: path.suffix == ".lease"
        ),
        "answered and still in the queue": lambda: _wrap(
            distributed, "write_file", is_before=False, when=lambda path, _content: path.suffix == ".lease"
        ),
        "answer read and not recorded": lambda: _at_state("delivering", is_before=True),
        "recorded and not sent": lambda: _wrap(FolderSink, "deliver", is_before=True),
        "sent and not recorded": lambda: _at_state("done", is_before=True),
    }[moment]()  # fmt: skip


if __name__ == "__main__":
    from calcreport.cli import main

    sys.path.pop(0)
    arm(sys.argv[1], int(os.environ["IMAGES"]))
    sys.exit(main(sys.argv[2:]))
