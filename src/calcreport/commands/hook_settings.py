"""What a dispatcher's rule may ask of the hook: ``process.settings.calcreport`` in Mercure's ``task.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from calcreport.arguments import read_text
from calcreport.errors import UsageError
from calcreport.files.settings import checked_tables
from calcreport.settings import SettingsBlock

Grade = Literal["high", "flagged", "modified", "indeterminate", "refused", "none", "no_calcification"]
"""What became of a study, most worrying first."""
GRADES: tuple[Grade, ...] = ("high", "flagged", "modified", "indeterminate", "refused", "none", "no_calcification")
_TASK: str = "task.json"
_LARGEST_TASK: int = 4_000_000

Target = Annotated[str, Field(min_length=1)]


class Routing(SettingsBlock):
    """Where Mercure sends the results, as it takes it from ``result.json``."""

    target: Target | tuple[Target, ...] | None = None
    """Targets by their names in Mercure."""
    use_alternate_target: bool = False
    """The alternate target of the rule."""
    discard: bool = False
    """Nowhere."""


class HookSettings(SettingsBlock):
    """Settings of one module or rule; a path is one inside the container."""

    config: str | None = None
    """Settings file, as ``analyze --config``."""
    clinical: str | None = None
    """Clinical data, as ``analyze --clinical``."""
    format: str | None = None
    """Formats, as ``analyze --format``."""
    templates: str | None = None
    """Templates, as ``analyze --templates``."""
    rules: str | None = None
    """Rules, as ``analyze --rules``."""
    notify: tuple[Grade, ...] = ("high", "flagged", "refused")
    """When a notification is asked for."""
    routing: dict[Grade, Routing] = Field(default_factory=dict)
    """Where results go, by what became of the study; without an entry where the rule says."""
    accept_refused: bool = False
    """Whether a study that cannot be measured is a success for the dispatcher: exit code 0 instead of 3."""


def settings_of_task(folder: Path) -> HookSettings:
    """Read what the rule asks for beside the study; defaults when there is no task, or none of our settings in it.

    Raises `UsageError` ``usage.hook_task``: not a task of Mercure, or not readable; `SettingsError`
    ``settings.unknown_key`` or ``settings.invalid_value``.
    """
    path = folder / _TASK
    if not path.is_file() or path.is_symlink():
        return HookSettings()
    try:
        task: Any = json.loads(read_text(str(path), _TASK, max_bytes=_LARGEST_TASK))
        asked = ((task["process"] or {}).get("settings") or {}).get("calcreport") or {}
        if not isinstance(asked, dict):
            raise TypeError  # noqa: TRY301 - said below
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        pass
    else:
        return checked_tables(asked, HookSettings, prefix="process.settings.calcreport.")
    # Raised outside the handler: the cause would carry the task, which names the patient, into a traceback.
    msg = "task.json is not a task with one processing step, as Mercure gives it to a module"
    raise UsageError(msg, code="usage.hook_task")
