"""What a dispatcher asks of the hook: where a study lies, where results go, settings in ``task.json`` of Mercure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from calcreport.errors import InputError, UsageError
from calcreport.files.named_file import read_text
from calcreport.files.settings import checked_tables
from calcreport.settings import SettingsBlock

Host = Literal["plain", "mercure", "monai", "kaapana"]

_PAIRS: Final[tuple[tuple[Host, str, str], ...]] = (
    ("mercure", "MERCURE_IN_DIR", "MERCURE_OUT_DIR"),
    ("monai", "HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"),
    ("monai", "MONAI_INPUTPATH", "MONAI_OUTPUTPATH"),
)
"""Mercure comes first: it sets the other two pairs as well."""
_KAAPANA: Final = ("WORKFLOW_DIR", "BATCH_NAME", "OPERATOR_IN_DIR", "OPERATOR_OUT_DIR")
_CHANNELS: Final = ("CALCREPORT_IN_DIR", "CALCREPORT_OUT_DIR")
"""Of Kaapana's Task API, as ``deploy/kaapana/processing-container.json`` sets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One folder in, one folder out."""

    source: Path = field(repr=False)
    target: Path = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What is to be done, and for whom."""

    host: Host
    """Whose contract holds."""
    places: tuple[Place, ...]
    """In this order."""


def find_places(typed: tuple[str | None, str | None], environment: Mapping[str, str]) -> Places:
    """Find folders: those typed, else Mercure's, else those of Holoscan or MONAI, else those of Kaapana; at least one.

    A variable that is empty, or ``none`` as Kaapana writes it, counts as not set. Raises `UsageError`
    ``usage.hook_folders`` when only one of a pair is told, or nothing is; `InputError` ``study.none_found`` when
    Kaapana's batch is empty.
    """
    source, target = typed
    if source is not None and target is not None:
        return _one("plain", source, target)
    if source is not None:
        msg = "name both folders: calcreport hook IN OUT"
        raise UsageError(msg, code="usage.hook_folders")
    told = {name: text for name, text in environment.items() if text.strip() and text.strip().lower() != "none"}
    for host, source_name, target_name in _PAIRS:
        if source_name in told and target_name in told:
            return _one(host, told[source_name], told[target_name])
        if source_name in told or target_name in told:
            msg = f"{source_name} and {target_name} have to be set together"
            raise UsageError(msg, code="usage.hook_folders")
    if all(name in told for name in _CHANNELS):
        return _channels(*(Path(told[name]) for name in _CHANNELS))
    if all(name in told for name in _KAAPANA):
        return _batch(*(told[name] for name in _KAAPANA))
    msg = "name the folders: calcreport hook IN OUT; no environment variable of a dispatcher known here tells them"
    raise UsageError(msg, code="usage.hook_folders")


def _one(host: Host, source: str, target: str) -> Places:
    return Places(host=host, places=(Place(source=Path(source), target=Path(target)),))


def _channels(source: Path, target: Path) -> Places:
    """Items of a channel of the Task API, each a folder; without any, the channel itself."""
    items = sorted(path.name for path in source.glob("*") if path.is_dir()) or [""]
    return Places(host="kaapana", places=tuple(Place(source=source / name, target=target / name) for name in items))


def _batch(workflow: str, batch: str, operator_in: str, operator_out: str) -> Places:
    """Elements of a batch of Kaapana, usually one a series; without any, the folders of the workflow itself."""
    root = Path("/", workflow)
    elements = sorted(path for path in (root / batch).glob("*") if (path / operator_in).is_dir())
    folders = elements or ([root] if (root / operator_in).is_dir() else [])
    if not folders:
        msg = "no element of the batch has a folder of the input operator; check OPERATOR_IN_DIR"
        raise InputError(msg, code="study.none_found")
    places = tuple(Place(source=folder / operator_in, target=folder / operator_out) for folder in folders)
    return Places(host="kaapana", places=places)


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
