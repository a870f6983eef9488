"""Sinks by their settings, and the plainest of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from calcreport.service.adapters import Delivery, Sink
from calcreport.service.service_settings import FolderSinkSettings
from calcreport.study_folder import ResultsFolder, folder_name


class FolderSink:
    """Copies results into a folder, a study's folder as a whole; a study that was refused loses its older one there.

    Parameters
    ----------
    name : str
        Under which it is known.
    settings : FolderSinkSettings
        Where.
    """

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


def sinks_from(settings: Mapping[str, FolderSinkSettings]) -> list[Sink]:
    """Make the sinks a site has set up."""
    return [FolderSink(name, item) for name, item in settings.items()]
