"""Results copied into a folder."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from calcreport.errors import DeliveryError
from calcreport.service.adapter_settings import FolderSinkSettings
from calcreport.service.delivery import Delivery
from calcreport.study.folder import ResultsFolder, folder_name


@dataclass(frozen=True)
class FolderSink:
    """Copies results into a folder, a study's folder as a whole; a study that was refused loses its older one there."""

    name: str
    settings: FolderSinkSettings

    def deliver(self, delivery: Delivery) -> None:
        """Copy.

        Raises `DeliveryError` ``delivery.no_folder`` while the folder is not there or nothing is mounted, and
        `OutputError`; both are tried again.
        """
        root, mount = Path(self.settings.path), self.settings.mount
        if not root.is_dir() or (mount is not None and not os.path.ismount(mount)):
            msg = "the folder of this sink is not there, or its share is not mounted"
            raise DeliveryError(msg, code="delivery.no_folder", is_retryable=True)
        target = ResultsFolder(root, run_id=secrets.token_hex(6), release=self._release)
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

    def _release(self, folder: Path) -> None:
        """Give a study's folder to the group, with the rights that the site has set."""
        mode = int(self.settings.file_mode, 8)
        for path in (*folder.rglob("*"), folder):
            if self.settings.group is not None:
                try:
                    shutil.chown(path, group=self.settings.group)
                except LookupError as error:
                    msg = "the group of this sink does not exist on this machine"
                    raise DeliveryError(msg, code="delivery.no_group", is_retryable=True) from error
            path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)
