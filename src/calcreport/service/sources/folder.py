"""Images out of a folder that something else writes to: a file is taken when it has not changed between two looks."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final

from calcreport.errors import ClinicalError, DeliveryError, InputError
from calcreport.files.clinical_table import STUDY_FILES
from calcreport.service.adapter_settings import FolderSourceSettings
from calcreport.service.clinical_watch import MAX_CLINICAL_BYTES
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.sources.polled import Source

_MOST_FILES: Final = 500_000  # Files that are looked at; more is a mistyped path
_BLOCK: Final = 1 << 20  # bytes read at a time
_REMEMBERED: Final = 200  # Files taken between two times the cursor is written


class FolderSource(Source[FolderSourceSettings, frozenset[str]]):
    """A source; see the module."""

    def __init__(self, name: str, settings: FolderSourceSettings, journal: Journal) -> None:
        super().__init__(name, settings, journal)
        self._root = Path(settings.path)
        self._seen: dict[str, str] = {}

    def _begin(self, inbox: Inbox) -> frozenset[str]:
        try:
            marks = json.loads(inbox.recall(self.name) or "[]")
        except ValueError:
            marks = []
        return frozenset(mark for mark in marks if isinstance(mark, str)) if isinstance(marks, list) else frozenset()

    def _look(self, inbox: Inbox, cursor: frozenset[str], stop: Event) -> frozenset[str]:
        """Take what has not changed since the last look; what is gone is forgotten."""
        found: dict[str, str] = {}
        now: set[str] = set()
        fresh = 0
        for path, status in self._files():
            if stop.is_set():
                return cursor
            mark = _mark(path, status)
            found[str(path)] = mark
            if mark in cursor:
                now.add(mark)
            elif self._seen.get(str(path)) == mark:
                self._take(inbox, path)
                now.add(mark)
                fresh += 1
                if fresh % _REMEMBERED == 0:
                    inbox.remember(self.name, json.dumps(sorted(cursor | now)))
        self._seen = found
        if now != cursor:
            inbox.remember(self.name, json.dumps(sorted(now)))
        return frozenset(now)

    def _take(self, inbox: Inbox, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as source:
                if path.name.lower().endswith(STUDY_FILES):
                    inbox.keep_clinical(source.read(MAX_CLINICAL_BYTES + 1))
                else:
                    self._keep(inbox, source)
        except (ClinicalError, InputError) as error:
            self._journal.tell("file_refused", step=self.name, code=error.code)
            return
        except FileNotFoundError:
            return
        if self._settings.is_emptied:
            with suppress(OSError):
                path.unlink()

    def _keep(self, inbox: Inbox, source: BinaryIO) -> None:
        with inbox.incoming() as file:
            while block := source.read(_BLOCK):
                file.take(block)
            file.close()
            inbox.keep(file.path, sender=self.name)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Regular files, hidden ones excepted: they are what other programs have not finished."""
        if not self._root.is_dir():
            msg = "the folder of the source is not there; is it mounted?"
            raise DeliveryError(msg, code="source.no_folder", is_retryable=True)
        count = 0
        for folder, folders, names in os.walk(self._root, followlinks=False):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                with suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_size and not name.startswith("."):
                        count += 1
                        yield path, status
                if count > _MOST_FILES:
                    msg = "too many files lie in the folder of the source; name another, or let it be emptied"
                    raise DeliveryError(msg, code="source.too_many_files", is_retryable=True)


def _mark(path: Path, status: os.stat_result) -> str:
    """Stands for a file as it is now; a hash, so that no name is kept."""
    text = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{os.fspath(path)}"
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:24]
