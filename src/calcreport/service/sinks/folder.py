"""Results copied into a folder."""

from __future__ import annotations

import secrets
from pathlib import Path

from calcreport.service.adapter_settings import FolderSinkSettings
from calcreport.service.adapters import Delivery
from calcreport.study.folder import ResultsFolder, folder_name


class FolderSink:
    """Copies results into a folder, a study's folder as a whole; a study that was refused loses its older one there."""

    def __init__(self, name: str, settings: FolderSinkSettings) -> None:
        self.name = name
        self._root = Path(settings.path)

    def deliver(self, delivery: Delivery) -> None:
        """Copy; an `OutputError` is tried again."""
        target = ResultsFolder(self._root, run_id=secrets.token_hex(6))
        target.prepare()
        name = folder_name(delivery.study_instance_uid)
        if delivery.folder is None:
            target.remove(name)
            return
        files = {
            path.relative_to(delivery.folder).as_posix(): path.read_bytes()
            for path in sorted(delivery.folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        target.write_study(name, files)
