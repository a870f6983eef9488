"""What a process that gave no result died of, by its exit code."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Work that gave no result: a stable code, a message without patient data, and a traceback that may hold some."""

    code: str
    message: str
    detail: str = field(default="", repr=False)


def name_task_crash(exit_code: int | None) -> Crash:
    """Name the end of a worker of a run that died over a study."""
    if exit_code == -signal.SIGKILL:
        msg = "the analysis of the study was killed, most likely for want of memory; use fewer --jobs"
        return Crash(code="study.out_of_memory", message=msg)
    reason = f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit {exit_code}"
    msg = f"reading the study crashed native code ({reason}); a file in it is damaged, export it again"
    return Crash(code="study.crashed", message=msg)
