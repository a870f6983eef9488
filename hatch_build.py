"""Build hook: a wheel and a source archive carry the commit they were made from, which reports print."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "src"))

from calcreport.version import COMMIT_FILE, commit_of


class CommitHook(BuildHookInterface):
    """Lays a file with the commit into what is built; nothing in the source folder changes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file; an editable installation asks git's files itself, each time."""
        commit = commit_of(Path(self.root))
        if version == "editable" or not commit:
            return
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        (folder / COMMIT_FILE).write_text(f"{commit}\n", encoding="utf-8")
        package = "calcreport" if self.target_name == "wheel" else "src/calcreport"
        build_data["force_include"][str(folder / COMMIT_FILE)] = f"{package}/{COMMIT_FILE}"
