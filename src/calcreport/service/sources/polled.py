"""What all sources share: looks at what is there, time between them, and a thread that runs again after a failure."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from calcreport.errors import InputError, NotDicomError
from calcreport.service.adapter_settings import AnySource, DicomwebSourceSettings, OrthancSourceSettings
from calcreport.service.identity import Identity
from calcreport.service.inbox import Inbox, IncomingFile
from calcreport.service.journal import Journal, code_of
from calcreport.service.queue import wait_s
from calcreport.service.web import MissingError, WebClient, first_part

_Web = OrthancSourceSettings | DicomwebSourceSettings  # servers
# Parameters of the kinds of sources: settings, where to go on.
Settings = TypeVar("Settings", bound=AnySource)
WebSettings = TypeVar("WebSettings", bound=_Web)
Cursor = TypeVar("Cursor")
Model = TypeVar("Model", bound=BaseModel)

_FIRST_WAIT_S: Final = 5.0  # after the first failure
_STEADY_S: Final = 300.0  # A source that ran for so long before it failed has recovered: its wait begins anew
_UID: Final = re.compile(r"[0-9.]{1,64}")  # PS3.5 section 9.1, loosely


class Source(ABC, Generic[Settings, Cursor]):
    """Something images come from. It knows nothing of the queue, the worker or other adapters.

    `name` is of lower-case letters and ``_``; it names the cursor and the counters. The journal gets codes of files
    that cannot be kept.
    """

    def __init__(self, name: str, settings: Settings, journal: Journal) -> None:
        self.name = name
        self._settings: Settings = settings
        self._journal = journal

    def run(self, inbox: Inbox, stop: Event) -> None:
        """Fetch until `stop` is set, then return within five seconds.

        What is raised is logged by its code, and the source is run again after a back-off.
        """
        try:
            cursor = self._begin(inbox)
            while not stop.is_set():
                cursor = self._look(inbox, cursor, stop)
                self._journal.ended(f"source_{self.name}")
                stop.wait(self._settings.poll_seconds)
        finally:
            self._close()

    @abstractmethod
    def _begin(self, inbox: Inbox) -> Cursor:
        """Where to go on from, as it was remembered."""

    @abstractmethod
    def _look(self, inbox: Inbox, cursor: Cursor, stop: Event) -> Cursor:
        """Take what is new since the cursor; return where to go on."""

    def _close(self) -> None:
        """Give up what is open between two looks."""


class WebSource(Source[WebSettings, Cursor]):
    """A source that is a server."""

    def __init__(self, name: str, settings: WebSettings, journal: Journal) -> None:
        super().__init__(name, settings, journal)
        self._client = WebClient(settings)

    def _close(self) -> None:
        self._client.close()

    def _fetch_all(
        self, inbox: Inbox, study_uid: str, paths: Sequence[str], stop: Event, *, accept: str = "*/*", sender: str = ""
    ) -> bool:
        """Fetch every image of a study; ``False`` when `stop` was set before its end.

        Raises `WebError`: the server does not answer as it should, `StoreError`: the disk is full or broken; to be
        tried again.
        """
        inbox.expect(study_uid, len(paths))
        kept = 0
        for path in paths:
            if stop.is_set():
                return False
            kept += self._fetch(inbox, study_uid, path, accept, sender or self.name)
        if 0 < kept < len(paths):
            inbox.expect(study_uid, kept)  # the others will not come
        return True

    def _fetch(self, inbox: Inbox, study_uid: str, path: str, accept: str, sender: str) -> bool:
        """Fetch one file, as it is or as the first part of a multipart message; say whether it was kept.

        It is not when it is gone meanwhile, damaged, too large, no image, or of a study that was not asked for.
        """
        try:
            with inbox.incoming() as file:
                self._client.fetch(path, accept=accept, take=lambda blocks, kind: _write(blocks, kind, file))
                file.close()
                inbox.keep(file.path, accept=lambda identity: _require_study(study_uid, identity), sender=sender)
        except InputError as error:
            self._journal.tell("file_refused", step=self.name, code=error.code)
            return False
        except MissingError:
            return False
        return True


def _write(blocks: Iterable[bytes], kind: str, file: IncomingFile) -> None:
    for block in first_part(blocks, kind) if kind.lower().startswith("multipart/") else blocks:
        file.take(block)


def _require_study(study_uid: str, identity: Identity) -> None:
    if identity.study_uid != study_uid:
        msg = "the server gave an image of another study than was asked for"
        raise NotDicomError(msg, code="file.other_study")


def is_uid(text: str) -> bool:
    """Whether a text that a server gave is an identifier of digits and dots: it becomes part of an address."""
    return _UID.fullmatch(text) is not None and bool(text.strip("."))


def cursor_from(text: str, empty: Model) -> Model:
    """Cursor as it was remembered; a damaged one is empty: what was kept before is recognised."""
    try:
        return type(empty).model_validate_json(text)
    except ValidationError:
        return empty


class Sources:
    """All sources but the SCP, each in a thread of its own; the journal gets what happens."""

    def __init__(self, sources: Sequence[Source[Any, Any]], inbox: Inbox, *, journal: Journal) -> None:
        self._stop = Event()
        self._inbox = inbox
        self._journal = journal
        self._threads = [
            Thread(target=self._run, args=(source,), name=f"source-{source.name}", daemon=True) for source in sources
        ]

    def start(self) -> None:
        """Begin to fetch."""
        for thread in self._threads:
            thread.start()

    def ask_to_stop(self) -> None:
        """Let every source end."""
        self._stop.set()

    def stop(self, seconds: float) -> None:
        """Wait for every source to end; after so many seconds it is left alone."""
        self._stop.set()
        deadline_s = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - monotonic()))

    def _run(self, source: Source[Any, Any]) -> None:
        failures = 0
        while not self._stop.is_set():
            begun_s = monotonic()
            try:
                source.run(self._inbox, self._stop)
                code = ""
            except Exception as error:  # noqa: BLE001  # a bug in one source must not end its thread, nor quote what it read
                code = code_of(error, "source.failed")
            failures = 1 if not code or monotonic() - begun_s > _STEADY_S else failures + 1
            if code:
                self._journal.ended(f"source_{source.name}", code)
                self._journal.count(f"source_{source.name}_failed")
                self._journal.tell("source_failed", step=source.name, code=code)
            self._stop.wait(wait_s(failures, _FIRST_WAIT_S))
