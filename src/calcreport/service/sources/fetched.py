"""What all sources that fetch from a server do: keep a file, or say that it cannot be kept and go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Event
from typing import IO

from calcreport.errors import InputError
from calcreport.service.adapter_settings import WebSettings
from calcreport.service.inbox import Inbox
from calcreport.service.journal import Journal
from calcreport.service.multipart import write_first_part
from calcreport.service.web import MissingError, WebClient


class WebSource:
    """Base of a source that is a server; the journal is told of files that cannot be kept."""

    def __init__(self, name: str, settings: WebSettings, journal: Journal) -> None:
        self.name = name
        self._journal = journal
        self._client = WebClient(settings)

    def _fetch_all(
        self, inbox: Inbox, study_uid: str, paths: Sequence[str], stop: Event, *, accept: str = "*/*"
    ) -> bool:
        """Fetch every image of a study; ``False`` when `stop` was set before its end.

        Raises `WebError`: the server does not answer as it should; to be tried again; `StoreError`: the disk is full or
        broken; to be tried again.
        """
        inbox.expect(study_uid, len(paths))
        kept = 0
        for path in paths:
            if stop.is_set():
                return False
            kept += self._fetch(inbox, path, accept)
        if 0 < kept < len(paths):
            inbox.expect(study_uid, kept)  # the others will not come
        return True

    def _fetch(self, inbox: Inbox, path: str, accept: str) -> bool:
        """Fetch one file, as it is or as the first part of a multipart message; tell whether it was kept.

        It is not when it is gone meanwhile, damaged, or no image.
        """
        target = inbox.temporary()
        try:
            with target.open("wb") as stream:
                self._client.fetch(path, accept=accept, take=lambda blocks, kind: _write(blocks, kind, stream))
            inbox.keep(target)
        except InputError as error:
            self._journal.tell("file_refused", step=self.name, code=error.code)
            return False
        except MissingError:
            return False
        finally:
            with suppress(OSError):
                target.unlink(missing_ok=True)
        return True


def _write(blocks: Iterable[bytes], kind: str, stream: IO[bytes]) -> None:
    if kind.lower().startswith("multipart/"):
        write_first_part(blocks, kind, stream)
        return
    for block in blocks:
        stream.write(block)
