"""The last good settings as files of the store: every analysis reads these, whatever becomes of the site's file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calcreport.service.durable import make_folder, store_errors, write_file
from calcreport.service.service_settings import ServiceSettings

_NAME: Final = "settings-"
_KEPT: Final = 3
"""Snapshots kept: an analysis that has just begun may still read the one before the last reload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """A settings file that was found right as a whole: of the service, and what every analysis is going to read."""

    service: ServiceSettings
    text: str = ""
    """TOML text of the file; empty without one."""
    rules: Mapping[str, str] | None = None
    """The site's own rules, file name to TOML text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Files to analyse with; ``None`` where the site has none."""

    config: Path | None = None
    rules: Path | None = None


def write_snapshot(root: Path, loaded: LoadedSettings) -> Snapshot:
    """Keep settings below the store's folder.

    Raises `StoreError` ``store.full`` or ``store.failed``.
    """
    files = {"site.toml": loaded.text, **{f"rules/{name}": text for name, text in (loaded.rules or {}).items()}}
    digest = hashlib.sha256(repr(sorted(files.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    folder = root / f"{_NAME}{digest}"
    with store_errors():
        for path in (folder, folder / "rules"):
            make_folder(path)
        for name, text in files.items():
            write_file(folder / name, text.encode(), is_flushed=False)
        others = sorted((p for p in root.glob(f"{_NAME}*") if p != folder), key=lambda p: p.stat().st_mtime)
        for path in others[: -(_KEPT - 1)]:
            shutil.rmtree(path, ignore_errors=True)
    return Snapshot(
        config=folder / "site.toml" if loaded.text else None, rules=folder / "rules" if loaded.rules else None
    )
