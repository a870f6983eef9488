"""Where a dispatcher wants a study read from and results written to: typed, or told by environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from calcreport.errors import InputError, UsageError

Host = Literal["plain", "mercure", "monai", "kaapana"]

_PAIRS: Final[tuple[tuple[Host, str, str], ...]] = (
    ("mercure", "MERCURE_IN_DIR", "MERCURE_OUT_DIR"),
    ("monai", "HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"),
    ("monai", "MONAI_INPUTPATH", "MONAI_OUTPUTPATH"),
)
"""Mercure comes first: it sets the other two pairs as well."""
_KAAPANA: Final = ("WORKFLOW_DIR", "BATCH_NAME", "OPERATOR_IN_DIR", "OPERATOR_OUT_DIR")


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
    if all(name in told for name in _KAAPANA):
        return _batch(*(told[name] for name in _KAAPANA))
    msg = "name the folders: calcreport hook IN OUT; no environment variable of a dispatcher known here tells them"
    raise UsageError(msg, code="usage.hook_folders")


def _one(host: Host, source: str, target: str) -> Places:
    return Places(host=host, places=(Place(source=Path(source), target=Path(target)),))


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
