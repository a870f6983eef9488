"""What all sources that fetch from a server do: keep a file, or say that it cannot be kept and go on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from threading import Event
from typing import Final

from calcreport.errors import InputError, NotDicomError
from calcreport.service.adapter_settings import WebSettings
from calcreport.service.identity import Identity
from calcreport.service.inbox import Inbox, IncomingFile
from calcreport.service.journal import Journal
from calcreport.service.web import MissingError, WebClient, first_part

_UID: Final = re.compile(r"[0-9.]{1,64}")


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
            kept += self._fetch(inbox, study_uid, path, accept)
        if 0 < kept < len(paths):
            inbox.expect(study_uid, kept)  # the others will not come
        return True

    def _fetch(self, inbox: Inbox, study_uid: str, path: str, accept: str) -> bool:
        """Fetch one file, as it is or as the first part of a multipart message; tell whether it was kept.

        It is not when it is gone meanwhile, damaged, too large, no image, or of a study that was not asked for.
        """
        try:
            with inbox.incoming() as file:
                self._client.fetch(path, accept=accept, take=lambda blocks, kind: _write(blocks, kind, file))
                file.close()
                inbox.keep(file.path, accept=lambda identity: _require_study(study_uid, identity), sender=self.name)
        except InputError as error:
            self._journal.tell("file_refused", step=self.name, code=error.code)
            return False
        except MissingError:
            return False
        return True


def _write(blocks: Iterable[bytes], kind: str, file: IncomingFile) -> None:
    for block in first_part(blocks, kind) if kind.lower().startswith("multipart/") else blocks:
        file.take(block)


def is_uid(text: str) -> bool:
    """Whether a text that a server gave is an identifier of digits and dots: it becomes part of an address."""
    return _UID.fullmatch(text) is not None and bool(text.strip("."))


def _require_study(study_uid: str, identity: Identity) -> None:
    if identity.study_uid != study_uid:
        msg = "the server gave an image of another study than was asked for"
        raise NotDicomError(msg, code="file.other_study")
